//! Taking members away: ZREM and the three ZREMRANGEBY....
//!
//! Promises: everything that goes is looked up before the first is removed, so a node that is not in memory stops nothing half-way.

use std::ops::Range;

use thermocline::Collection;
use thermocline_value::{length, sorted_set};

use super::bounds::{By, Part};
use super::range::members;
use super::{ready_each, sorted_set_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// ZREM key member [member ...]
pub(super) fn remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let Some(mut collection) = sorted_set_of(context, 0)? else {
        context.reply.integer(0);
        return Ok(());
    };
    ready_each(&collection, args.from(2), |nodes, member, missing| {
        sorted_set::touch_member(nodes, member, None, missing)
    })?;
    let mut there = Vec::with_capacity(args.len() - 2);
    for member in args.from(2) {
        if sorted_set::score(&collection, member)?.is_some() {
            there.push(member);
        }
    }
    let mut removed = 0;
    for member in there {
        // A member named twice is there only once.
        removed += i64::from(sorted_set::remove(&mut collection, member)?.is_some());
    }
    context.keep(0, collection)?;
    context.reply.integer(removed);
    Ok(())
}

/// ZREMRANGEBYRANK key start stop
pub(super) fn by_rank(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    remove_part(context, By::Rank)
}

/// ZREMRANGEBYSCORE key min max
pub(super) fn by_score(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    remove_part(context, By::Score)
}

/// ZREMRANGEBYLEX key min max
pub(super) fn by_member(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    remove_part(context, By::Member)
}

fn remove_part(context: &mut Context<'_, '_>, by: By) -> Result<(), CommandError> {
    let part = Part::read(by, context.args.at(2), context.args.at(3))?;
    let mut removed = 0;
    if let Some(collection) = sorted_set_of(context, 0)? {
        let ranks = part.ranks(&collection)?;
        removed = ranks.end - ranks.start;
        remove_ranks(context, 0, collection, ranks)?;
    }
    context.reply.integer(removed.cast_signed());
    Ok(())
}

/// Removes the members of these ranks from the sorted set under key `key`.
pub(super) fn remove_ranks(
    context: &mut Context<'_, '_>,
    key: usize,
    mut collection: Collection<'_>,
    ranks: Range<u64>,
) -> Result<(), CommandError> {
    if ranks.is_empty() {
        return Ok(());
    }
    if ranks == (0..length(&collection)?) {
        // The whole of it goes with its key, and no node needs to be looked at.
        context.remove(key);
        return Ok(());
    }
    // Their names must outlive the nodes that they stand in.
    let mut names = Vec::new();
    for entry in members(&collection, ranks, false)? {
        names.push(entry?.member.to_vec());
    }
    ready_each(&collection, &names, |nodes, member, missing| sorted_set::touch_member(nodes, member, None, missing))?;
    for member in &names {
        sorted_set::remove(&mut collection, member)?;
    }
    context.keep(key, collection)
}
