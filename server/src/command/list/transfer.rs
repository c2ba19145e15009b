//! From one list to another, or from one end of a list to its other: LMOVE, RPOPLPUSH, and what BLMOVE and BRPOPLPUSH do when
//! there is something.
//!
//! Promises: the element is never in neither list: both change in one group. Nothing is changed when the target is no list.

use thermocline::Kind;
use thermocline_value::{length, list};

use super::{End, MISCOUNTED, list_of, remove_ranks};
use crate::command::context::Context;
use crate::command::reply::CommandError;

const SOURCE: usize = 0;
const TARGET: usize = 1;

/// LMOVE source destination LEFT|RIGHT LEFT|RIGHT
pub(super) fn transfer(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let (from, to) = (End::read(&context.args, 3)?, End::read(&context.args, 4)?);
    if !move_one(context, from, to)? {
        context.reply.null();
    }
    Ok(())
}

/// RPOPLPUSH source destination
pub(super) fn pop_push(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    if !move_one(context, End::Right, End::Left)? {
        context.reply.null();
    }
    Ok(())
}

/// Moves an element and answers it. False: there is none, and nothing was answered.
pub(super) fn move_one(context: &mut Context<'_, '_>, from: End, to: End) -> Result<bool, CommandError> {
    let Some(mut source) = list_of(context, SOURCE)? else { return Ok(false) };
    let target = match context.is_repeat(TARGET) {
        true => None,
        false => Some(context.collection_or_new(TARGET, Kind::List)?),
    };
    // Both are asked before either is waited for, so that all comes in one round.
    let ranks = from.ranks(1, length(&source)?);
    let gap = to.gap();
    let takes = source.ready(|source, missing| {
        list::touch_ranks(source, ranks.clone(), missing)?;
        if target.is_none() { list::touch_insert(source, gap, missing) } else { Ok(()) }
    });
    let puts = target.as_ref().map(|target| target.ready(|target, missing| list::touch_insert(target, gap, missing)));
    takes?;
    puts.transpose()?;
    let element = list::at(&source, ranks.start)?.ok_or(MISCOUNTED)?.to_vec();
    remove_ranks(&mut source, ranks)?;
    match target {
        None => list::insert(&mut source, gap, &element)?,
        Some(mut target) => {
            list::insert(&mut target, gap, &element)?;
            context.keep(TARGET, target)?;
        }
    }
    context.keep(SOURCE, source)?;
    context.reply.bulk(&element);
    Ok(true)
}
