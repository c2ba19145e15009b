//! OBJECT: what is known about how a value is kept.
//!
//! Promises: answers in Redis's terms. Encodings are told from size and content (`encoding.rs`); nobody counts references, so small numbers
//! are called shared as Redis shares them; no moment of last use is kept, so a present key was just used.

use thermocline_value::parse_integer;

use super::encoding;
use crate::command::context::Context;
use crate::command::elements::any_collection;
use crate::command::help;
use crate::command::reply::CommandError;

/// Redis shares the numbers below this one, and answers this count for them.
const SHARED_NUMBERS: i64 = 10_000;
const SHARED_COUNT: i64 = i32::MAX as i64;

/// OBJECT ENCODING key
pub(super) fn encoding(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    match context.view(0) {
        None => context.reply.null(),
        Some(view) => {
            let collection = any_collection(context, Some(&view));
            let name = encoding::name(&view, collection.as_ref(), &encoding::thresholds(context.settings()))?;
            context.reply.bulk(name.as_bytes());
        }
    }
    Ok(())
}

/// OBJECT REFCOUNT key
pub(super) fn reference_count(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    match context.view(0) {
        None => context.reply.null(),
        Some(view) => {
            let number = if view.kind.is_string() { parse_integer(view.value) } else { None };
            let is_shared = number.is_some_and(|number| (0..SHARED_NUMBERS).contains(&number));
            context.reply.integer(if is_shared { SHARED_COUNT } else { 1 });
        }
    }
    Ok(())
}

/// OBJECT IDLETIME key
pub(super) fn idle_time(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    if context.view(0).is_none() {
        context.reply.null();
        return Ok(());
    }
    if context.settings().maxmemory_policy_is_lfu() {
        return Err(CommandError::Static(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    context.reply.integer(0);
    Ok(())
}

/// OBJECT FREQ key
pub(super) fn frequency(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(view) = context.view(0) else {
        context.reply.null();
        return Ok(());
    };
    if !context.settings().maxmemory_policy_is_lfu() {
        return Err(CommandError::Static(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    context.reply.integer(i64::from(view.heat));
    Ok(())
}

/// OBJECT HELP
pub(super) fn show_help(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    help(
        &mut context.reply,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    );
    Ok(())
}
