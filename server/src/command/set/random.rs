//! Members by chance: SPOP takes them out, SRANDMEMBER only shows them.
//!
//! Promises: the choice comes from the command's seed, so that it stays the same when the body is called again after a round of
//! reads; one round brings all that was chosen. A count takes no memory before the set has shown that it has as many.

use thermocline::Collection;
use thermocline_value::{Fault, length, set};

use super::members::answer_all;
use super::pick::{Chance, distinct};
use super::{ANSWERED_BYTES_MIN, MISCOUNTED, NEARLY_ALL, fits, set_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

const NOT_POSITIVE: CommandError = CommandError::Static("ERR value is out of range, must be positive");
const BEYOND_COUNT: CommandError =
    CommandError::Static("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

/// Asks for everything that the members of these ranks, `count` of `length`, need.
fn ready_for(
    members: &Collection<'_>,
    (count, length): (u64, u64),
    ranks: impl Iterator<Item = u64>,
) -> Result<(), Fault> {
    members.ready(|members, missing| {
        if count >= length / NEARLY_ALL {
            return set::touch_ranks(members, 0..length, missing);
        }
        for rank in ranks {
            if missing.is_full() {
                break;
            }
            set::touch_ranks(members, rank..rank + 1, missing)?;
        }
        Ok(())
    })
}

/// SPOP key [count]
pub(super) fn pop(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    match context.args.len() {
        2 => pop_one(context),
        3 => pop_some(context),
        _ => Err(CommandError::SYNTAX),
    }
}

fn pop_one(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(mut members) = set_of(context, 0)? else {
        context.reply.null();
        return Ok(());
    };
    let rank = Chance::new(context.seed()).below(length(&members)?);
    let member = set::at(&members, rank)?.ok_or(MISCOUNTED)?.to_vec();
    set::remove(&mut members, &member)?;
    context.keep(0, members)?;
    context.reply.bulk(&member);
    Ok(())
}

fn pop_some(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = context.args.integer(2).ok().and_then(|count| u64::try_from(count).ok()).ok_or(NOT_POSITIVE)?;
    let members = set_of(context, 0)?;
    let Some(mut members) = members.filter(|_| count > 0) else {
        context.reply.set(0);
        return Ok(());
    };
    let length = length(&members)?;
    if count >= length {
        context.reply.set(length as usize);
        answer_all(context, &members, length)?;
        context.remove(0);
        return Ok(());
    }
    fits(context, count.saturating_mul(ANSWERED_BYTES_MIN))?;
    let ranks = distinct(count, length, Chance::new(context.seed()));
    ready_for(&members, (count, length), ranks.iter().copied())?;
    context.reply.set(ranks.len());
    let start = context.reply.position();
    let mut member = Vec::new();
    // From the highest rank down: what goes does not change the ranks below it.
    for rank in ranks.iter().rev() {
        member.clear();
        member.extend_from_slice(set::at(&members, *rank)?.ok_or(MISCOUNTED)?);
        set::remove(&mut members, &member)?;
        context.reply.bulk(&member);
        fits(context, (context.reply.position() - start) as u64)?;
    }
    context.keep(0, members)
}

/// SRANDMEMBER key [count]
pub(super) fn show(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    match context.args.len() {
        2 => show_one(context),
        3 => show_some(context),
        _ => Err(CommandError::SYNTAX),
    }
}

fn show_one(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(members) = set_of(context, 0)? else {
        context.reply.null();
        return Ok(());
    };
    let rank = Chance::new(context.seed()).below(length(&members)?);
    context.reply.bulk(set::at(&members, rank)?.ok_or(MISCOUNTED)?);
    Ok(())
}

/// A positive count: different members, as many as there are. A negative one: so many draws, members may come again.
fn show_some(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = context.args.integer(2)?;
    if count == i64::MIN {
        return Err(BEYOND_COUNT);
    }
    let members = set_of(context, 0)?;
    let Some(members) = members.filter(|_| count != 0) else {
        context.reply.array(0);
        return Ok(());
    };
    let length = length(&members)?;
    let wanted = count.unsigned_abs();
    let chance = Chance::new(context.seed());
    if count > 0 && wanted >= length {
        context.reply.array(length as usize);
        return answer_all(context, &members, length);
    }
    fits(context, wanted.saturating_mul(ANSWERED_BYTES_MIN))?;
    if count > 0 {
        let ranks = distinct(wanted, length, chance);
        return answer_ranks(context, &members, (wanted, length), ranks.iter().copied());
    }
    let mut chance = chance;
    let draws = std::iter::repeat_with(move || chance.below(length)).take(wanted as usize);
    answer_ranks(context, &members, (wanted, length), draws)
}

fn answer_ranks(
    context: &mut Context<'_, '_>,
    members: &Collection<'_>,
    (count, length): (u64, u64),
    ranks: impl Iterator<Item = u64> + Clone,
) -> Result<(), CommandError> {
    ready_for(members, (count, length), ranks.clone())?;
    context.reply.array(count as usize);
    let start = context.reply.position();
    for rank in ranks {
        context.reply.bulk(set::at(members, rank)?.ok_or(MISCOUNTED)?);
        fits(context, (context.reply.position() - start) as u64)?;
    }
    Ok(())
}
