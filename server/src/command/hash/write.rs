//! Setting, counting and removing fields.
//!
//! Promises: what is refused changes nothing; a field that is set anew lives for ever, one that is counted up keeps its
//! expiry; an expired field counts as missing.

use thermocline::{Collection, Kind};
use thermocline_value::{Extended, HashEntry, IncrementError, ParsedFloat, hash, increment, parse_float, put_integer};

use super::{Doomed, existing, find, find_or_doom, finish, lives, ready};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// HSET key field value [field value ...]
pub(super) fn set(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let created = set_pairs(context)?;
    context.reply.integer(created);
    Ok(())
}

/// HMSET key field value [field value ...]
pub(super) fn set_many(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    set_pairs(context)?;
    context.reply.ok();
    Ok(())
}

/// Sets all pairs; how many of the fields were missing.
fn set_pairs(context: &mut Context<'_, '_>) -> Result<i64, CommandError> {
    let args = context.args;
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::arity(context.name()));
    }
    let mut collection = context.collection_or_new(0, Kind::Hash)?;
    if args.len() > 4 {
        // One alone brings its own way down.
        ready(&collection, args.from(2).step_by(2))?;
    }
    let mut created = 0;
    for (field, value) in args.from(2).step_by(2).zip(args.from(3).step_by(2)) {
        let entry = HashEntry { field, value, expiry_ms: None };
        let was_there = hash::set_judging(&mut collection, &entry, |old| lives(context, old))?.unwrap_or(false);
        created += i64::from(!was_there);
    }
    context.keep(0, collection)?;
    Ok(created)
}

/// HSETNX key field value
pub(super) fn set_if_missing(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let (field, value) = (context.args.at(2), context.args.at(3));
    let mut collection = context.collection_or_new(0, Kind::Hash)?;
    let missing = find(context, &collection, field)?.is_none();
    if missing {
        hash::set(&mut collection, &HashEntry { field, value, expiry_ms: None })?;
        context.keep(0, collection)?;
    }
    context.reply.integer(i64::from(missing));
    Ok(())
}

/// HINCRBY key field increment
pub(super) fn increment_by(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let by = context.args.integer(3)?;
    let collection = context.collection_or_new(0, Kind::Hash)?;
    let old = find(context, &collection, context.args.at(2))?;
    let new = increment(old.map(|old| old.value), by).map_err(|error| match error {
        IncrementError::NotAnInteger => CommandError::Static("ERR hash value is not an integer"),
        IncrementError::Overflow => CommandError::OVERFLOW,
    })?;
    let expiry_ms = old.and_then(|old| old.expiry_ms);
    let mut text = Vec::new();
    put_integer(new, &mut text);
    keep_value(context, collection, &text, expiry_ms)?;
    context.reply.integer(new);
    Ok(())
}

/// HINCRBYFLOAT key field increment
pub(super) fn increment_by_float(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let by = match parse_float(context.args.at(3)) {
        Some(ParsedFloat::Finite(by)) => by,
        Some(ParsedFloat::Infinite) => return Err(CommandError::Static("ERR value is NaN or Infinity")),
        None => return Err(CommandError::NOT_FLOAT),
    };
    let collection = context.collection_or_new(0, Kind::Hash)?;
    let old = find(context, &collection, context.args.at(2))?;
    let value = match old {
        Some(old) => parse_float(old.value).ok_or(CommandError::Static("ERR hash value is not a float"))?,
        None => ParsedFloat::Finite(Extended::from(0)),
    };
    let sum = match value {
        ParsedFloat::Finite(value) => value.checked_add(by),
        ParsedFloat::Infinite => None,
    };
    let sum = sum.ok_or(CommandError::Static("ERR increment would produce NaN or Infinity"))?;
    let expiry_ms = old.and_then(|old| old.expiry_ms);
    let mut text = Vec::new();
    sum.put_decimal(&mut text);
    keep_value(context, collection, &text, expiry_ms)?;
    context.reply.bulk(&text);
    Ok(())
}

/// Sets the field in word 2.
fn keep_value(
    context: &mut Context<'_, '_>,
    mut collection: Collection<'_>,
    value: &[u8],
    expiry_ms: Option<u64>,
) -> Result<(), CommandError> {
    hash::set(&mut collection, &HashEntry { field: context.args.at(2), value, expiry_ms })?;
    context.keep(0, collection)
}

/// HDEL key field [field ...]
pub(super) fn remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let Some(collection) = existing(context)? else {
        context.reply.integer(0);
        return Ok(());
    };
    ready(&collection, args.from(2))?;
    let mut doomed = Doomed::new();
    let mut removed = 0;
    for field in args.from(2) {
        if find_or_doom(context, &collection, field, &mut doomed)?.is_some() {
            doomed.insert(field);
            removed += 1;
        }
    }
    finish(context, collection, &doomed)?;
    context.reply.integer(removed);
    Ok(())
}
