//! Taking what is lowest or highest: ZPOPMIN, ZPOPMAX, ZMPOP, and what their sisters that block do when there is something.
//!
//! Promises: a count is never more than what is there, whatever the words claim.

use thermocline_value::length;

use super::range::members;
use super::remove::remove_ranks;
use super::{Form, MEMBER_ANSWER_BYTES_MIN, answer_each, fits, number_from, sorted_set_of};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// What is popped, and how it is answered.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Pop {
    /// The highest go first.
    pub highest: bool,
    /// So many, or as many as there are.
    pub count: u64,
    /// How members are answered.
    pub form: Form,
    /// Whether the key's name is answered: ZMPOP puts pairs into an array behind it, BZPOPMIN the members right behind it.
    pub names_key: bool,
}

/// Pops from the first of the command's keys that exists, and answers. Keys stand from word `first_word` on. False: none of them
/// exists, and nothing was answered.
pub(crate) fn pop_first(context: &mut Context<'_, '_>, first_word: usize, asked: &Pop) -> Result<bool, CommandError> {
    for key in 0..context.keys() {
        let Some(collection) = sorted_set_of(context, key)? else { continue };
        let length = length(&collection)?;
        let count = asked.count.min(length);
        let ranks = if asked.highest { length - count..length } else { 0..count };
        fits(context, count.saturating_mul(MEMBER_ANSWER_BYTES_MIN))?;
        let answers = asked.form.answers(count);
        if asked.names_key {
            let name = context.args.at(first_word + key);
            let is_nested = asked.form == Form::Pairs;
            context.reply.array(if is_nested { 2 } else { 1 + answers });
            context.reply.bulk(name);
            if is_nested {
                context.reply.array(answers);
            }
        } else {
            context.reply.array(answers);
        }
        answer_each(context, asked.form, members(&collection, ranks.clone(), asked.highest)?)?;
        remove_ranks(context, key, collection, ranks)?;
        return Ok(true);
    }
    Ok(false)
}

/// ZPOPMIN key [count]
pub(crate) fn pop_min(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, false)
}

/// ZPOPMAX key [count]
pub(crate) fn pop_max(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, true)
}

fn pop(context: &mut Context<'_, '_>, highest: bool) -> Result<(), CommandError> {
    let args = context.args;
    if args.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let count = match args.get(2) {
        None => None,
        word => Some(number_from(word, 0, CommandError::Static("ERR value is out of range, must be positive"))?),
    };
    let form = match (count, Form::with_scores(&context.reply, true)) {
        // One that was not counted is answered flat in both protocols.
        (None, _) => Form::Flat,
        (Some(_), form) => form,
    };
    let asked = Pop { highest, count: count.unwrap_or(1), form, names_key: false };
    if !pop_first(context, 1, &asked)? {
        context.reply.array(0);
    }
    Ok(())
}

/// What ZMPOP and BZMPOP say from the number of keys on.
#[derive(Copy, Clone, Debug)]
pub(crate) struct MultiPop {
    /// The word of the first key.
    pub first_word: usize,
    /// What is popped.
    pub pop: Pop,
}

impl MultiPop {
    /// Reads `numkeys key [key ...] MIN | MAX [COUNT count]`; the number of keys is word `at`.
    pub(crate) fn read(args: &Args<'_>, at: usize) -> Result<MultiPop, CommandError> {
        let keys = number_from(args.get(at), 1, CommandError::Static("ERR numkeys should be greater than 0"))?;
        let end = usize::try_from(keys)
            .ok()
            .and_then(|keys| keys.checked_add(at + 1))
            .filter(|end| *end < args.len())
            .ok_or(CommandError::SYNTAX)?;
        let highest = args.is(end, "MAX");
        if !highest && !args.is(end, "MIN") {
            return Err(CommandError::SYNTAX);
        }
        let count = match args.len() - end {
            1 => 1,
            3.. if args.is(end + 1, "COUNT") => {
                let count =
                    number_from(args.get(end + 2), 1, CommandError::Static("ERR count should be greater than 0"))?;
                if args.len() > end + 3 {
                    return Err(CommandError::SYNTAX);
                }
                count
            }
            _ => return Err(CommandError::SYNTAX),
        };
        let pop = Pop { highest, count, form: Form::Pairs, names_key: true };
        Ok(MultiPop { first_word: at + 1, pop })
    }
}

/// ZMPOP numkeys key [key ...] MIN | MAX [COUNT count]
pub(super) fn pop_any(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let MultiPop { first_word, pop } = MultiPop::read(&context.args, 1)?;
    if !pop_first(context, first_word, &pop)? {
        context.reply.null_array();
    }
    Ok(())
}
