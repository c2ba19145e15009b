//! Asking about members: ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.
//!
//! Promises: changes nothing; counts without walking.

use thermocline_value::{length, sorted_set};

use super::bounds::{By, Part};
use super::{ready_each, sorted_set_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// ZCARD key
pub(super) fn cardinality(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = match sorted_set_of(context, 0)? {
        Some(collection) => length(&collection)?,
        None => 0,
    };
    context.reply.integer(count.cast_signed());
    Ok(())
}

/// ZSCORE key member
pub(super) fn score(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let found = match sorted_set_of(context, 0)? {
        Some(collection) => sorted_set::score(&collection, context.args.at(2))?,
        None => None,
    };
    answer_score(context, found);
    Ok(())
}

/// ZMSCORE key member [member ...]
pub(super) fn scores(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    const FIRST: usize = 2;
    let args = context.args;
    let collection = sorted_set_of(context, 0)?;
    if let Some(collection) = &collection {
        ready_each(collection, args.from(FIRST), |nodes, member, missing| {
            sorted_set::touch_score(nodes, member, missing)
        })?;
    }
    context.reply.array(args.len() - FIRST);
    for member in args.from(FIRST) {
        let found = match &collection {
            Some(collection) => sorted_set::score(collection, member)?,
            None => None,
        };
        answer_score(context, found);
    }
    Ok(())
}

fn answer_score(context: &mut Context<'_, '_>, score: Option<f64>) {
    match score {
        Some(score) => context.reply.double(score),
        None => context.reply.null(),
    }
}

/// ZRANK key member [WITHSCORE]
pub(super) fn rank(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_rank(context, false)
}

/// ZREVRANK key member [WITHSCORE]
pub(super) fn rank_backward(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_rank(context, true)
}

fn answer_rank(context: &mut Context<'_, '_>, backward: bool) -> Result<(), CommandError> {
    let args = context.args;
    if args.len() > 4 {
        return Err(CommandError::arity(context.name()));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(CommandError::SYNTAX);
    }
    let mut found = None;
    if let Some(collection) = sorted_set_of(context, 0)? {
        found = sorted_set::rank(&collection, args.at(2))?;
        if let (Some((rank, _)), true) = (&mut found, backward) {
            *rank = length(&collection)?.saturating_sub(*rank + 1);
        }
    }
    match found {
        Some((rank, score)) if with_score => {
            context.reply.array(2);
            context.reply.integer(rank.cast_signed());
            context.reply.double(score);
        }
        Some((rank, _)) => context.reply.integer(rank.cast_signed()),
        None if with_score => context.reply.null_array(),
        None => context.reply.null(),
    }
    Ok(())
}

/// ZCOUNT key min max
pub(super) fn count_by_score(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    count(context, By::Score)
}

/// ZLEXCOUNT key min max
pub(super) fn count_by_member(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    count(context, By::Member)
}

fn count(context: &mut Context<'_, '_>, by: By) -> Result<(), CommandError> {
    let part = Part::read(by, context.args.at(2), context.args.at(3))?;
    let count = match sorted_set_of(context, 0)? {
        Some(collection) => {
            let ranks = part.ranks(&collection)?;
            ranks.end - ranks.start
        }
        None => 0,
    };
    context.reply.integer(count.cast_signed());
    Ok(())
}
