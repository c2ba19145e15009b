//! Changing strings in place: numbers counted up and down, APPEND, SETRANGE. The time to live stays.
//!
//! Promises: a number never wraps; a string never passes proto-max-bulk-len; what is refused changes nothing.

use thermocline::{Expiry, Kind};
use thermocline_value::{
    Extended, IncrementError, ParsedFloat, increment, length_after_set_range, parse_float, put_integer, put_set_range,
};

use super::string_view;
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// INCR key
pub(super) fn increment_by_one(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    count(context, 1)
}

/// DECR key
pub(super) fn decrement_by_one(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    count(context, -1)
}

/// INCRBY key increment
pub(super) fn increment_by(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let by = context.args.integer(2)?;
    count(context, by)
}

/// DECRBY key decrement: the lowest number has no negative.
pub(super) fn decrement_by(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let by = context.args.integer(2)?;
    let negative = by.checked_neg().ok_or(CommandError::Static("ERR decrement would overflow"))?;
    count(context, negative)
}

fn count(context: &mut Context<'_, '_>, by: i64) -> Result<(), CommandError> {
    let old = string_view(context, 0)?.map(|view| view.value);
    let new = increment(old, by).map_err(|error| match error {
        IncrementError::NotAnInteger => CommandError::NOT_INTEGER,
        IncrementError::Overflow => CommandError::OVERFLOW,
    })?;
    context.put_with(0, Kind::String, Expiry::Keep, |buffer| put_integer(new, buffer));
    context.reply.integer(new);
    Ok(())
}

/// INCRBYFLOAT key increment
pub(super) fn increment_by_float(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let old = match string_view(context, 0)? {
        Some(view) => parse_float(view.value).ok_or(CommandError::NOT_FLOAT)?,
        None => ParsedFloat::Finite(Extended::from(0)),
    };
    let by = parse_float(context.args.at(2)).ok_or(CommandError::NOT_FLOAT)?;
    let sum = match (old, by) {
        (ParsedFloat::Finite(old), ParsedFloat::Finite(by)) => old.checked_add(by),
        _ => None,
    };
    let sum = sum.ok_or(CommandError::Static("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::new();
    sum.put_decimal(&mut text);
    context.put_with(0, Kind::String, Expiry::Keep, |buffer| buffer.extend_from_slice(&text));
    context.reply.bulk(&text);
    Ok(())
}

/// APPEND key value
pub(super) fn append(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let tail = context.args.at(2);
    let Some(view) = string_view(context, 0)? else {
        context.put(0, Kind::String, tail, Expiry::Clear);
        context.reply.integer(tail.len() as i64);
        return Ok(());
    };
    let length = view.value.len() as u64 + tail.len() as u64;
    if length > context.settings().proto_max_bulk_len() {
        return Err(CommandError::STRING_TOO_LONG);
    }
    // Appending nothing is a change, too, for whoever watches the key.
    context.put_with(0, Kind::String, Expiry::Keep, |buffer| {
        put_set_range(view.value, view.value.len(), tail, buffer);
    });
    context.reply.integer(length.cast_signed());
    Ok(())
}

/// SETRANGE key offset value: a gap is filled with zeros; nothing written changes nothing.
pub(super) fn set_range(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let offset = u64::try_from(context.args.integer(2)?).map_err(|_| CommandError::OFFSET)?;
    let patch = context.args.at(3);
    let old = string_view(context, 0)?.map_or(&[][..], |view| view.value);
    if patch.is_empty() {
        context.reply.integer(old.len() as i64);
        return Ok(());
    }
    let length_max = context.settings().proto_max_bulk_len();
    let length = length_after_set_range(old.len() as u64, offset, patch.len() as u64, length_max)
        .ok_or(CommandError::STRING_TOO_LONG)?;
    context.put_with(0, Kind::String, Expiry::Keep, |buffer| {
        put_set_range(old, offset as usize, patch, buffer);
    });
    context.reply.integer(length.cast_signed());
    Ok(())
}
