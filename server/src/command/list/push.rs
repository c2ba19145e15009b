//! Putting elements at an end: LPUSH, RPUSH, LPUSHX, RPUSHX.
//!
//! Promises: the words go in one after the other, so that the last one pushed stands at the end. Never: a list made by LPUSHX or
//! RPUSHX.

use thermocline::{Collection, Kind};
use thermocline_value::{length, list};

use super::{End, list_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// LPUSH key element [element ...]
pub(super) fn push_left(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let list = context.collection_or_new(0, Kind::List)?;
    push(context, list, End::Left)
}

/// RPUSH key element [element ...]
pub(super) fn push_right(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let list = context.collection_or_new(0, Kind::List)?;
    push(context, list, End::Right)
}

/// LPUSHX key element [element ...]
pub(super) fn push_left_if_there(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    push_if_there(context, End::Left)
}

/// RPUSHX key element [element ...]
pub(super) fn push_right_if_there(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    push_if_there(context, End::Right)
}

fn push_if_there(context: &mut Context<'_, '_>, end: End) -> Result<(), CommandError> {
    if let Some(list) = list_of(context, 0)? {
        return push(context, list, end);
    }
    context.reply.integer(0);
    Ok(())
}

fn push(context: &mut Context<'_, '_>, mut list: Collection<'_>, end: End) -> Result<(), CommandError> {
    // The way down that the first element needs is there for the others too.
    let length = length(&list)? + context.args.from(2).len() as u64;
    for element in context.args.from(2) {
        list::insert(&mut list, end.gap(), element)?;
    }
    context.keep(0, list)?;
    context.reply.integer(length.cast_signed());
    Ok(())
}
