//! Single members: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER, SCARD, and all of them: SMEMBERS.
//!
//! Promises: all members that a command names are found in one round of reads.

use thermocline::Kind;
use thermocline_value::{Fault, length, set};

use super::{ANSWERED_BYTES_MIN, MISCOUNTED, fits, ready_for, set_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

const SOURCE: usize = 0;
const TARGET: usize = 1;

/// SADD key member [member ...]
pub(super) fn add(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let mut members = context.collection_or_new(0, Kind::Set)?;
    if args.len() > 3 {
        // One alone brings its own way down.
        ready_for(&members, args.from(2))?;
    }
    let mut added = 0;
    for member in args.from(2) {
        added += i64::from(set::add(&mut members, member)?);
    }
    context.keep(0, members)?;
    context.reply.integer(added);
    Ok(())
}

/// SREM key member [member ...]
pub(super) fn remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let Some(mut members) = set_of(context, 0)? else {
        context.reply.integer(0);
        return Ok(());
    };
    ready_for(&members, args.from(2))?;
    // All are looked up before the first goes: with it can go the leaf where another one would be missed.
    let mut there = Vec::new();
    for member in args.from(2) {
        if set::contains(&members, member)? {
            there.push(member);
        }
    }
    there.sort_unstable();
    there.dedup();
    for member in &there {
        set::remove(&mut members, member)?;
    }
    context.keep(0, members)?;
    context.reply.integer(there.len() as i64);
    Ok(())
}

/// SMOVE source destination member
pub(super) fn move_to(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let member = context.args.at(3);
    // Without a source, nobody looks at what the destination holds.
    if context.view(SOURCE).is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let mut source = context.collection_or_new(SOURCE, Kind::Set)?;
    let mut target = context.collection_or_new(TARGET, Kind::Set)?;
    let ready = [&source, &target].map(|set| ready_for(set, std::iter::once(member)));
    ready.into_iter().collect::<Result<(), Fault>>()?;
    let moves = set::contains(&source, member)?;
    if moves && !context.is_repeat(TARGET) {
        set::remove(&mut source, member)?;
        set::add(&mut target, member)?;
        context.keep(SOURCE, source)?;
        context.keep(TARGET, target)?;
    }
    context.reply.integer(i64::from(moves));
    Ok(())
}

/// SISMEMBER key member
pub(super) fn has(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let there = match set_of(context, 0)? {
        Some(members) => set::contains(&members, context.args.at(2))?,
        None => false,
    };
    context.reply.integer(i64::from(there));
    Ok(())
}

/// SMISMEMBER key member [member ...]
pub(super) fn has_each(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let members = set_of(context, 0)?;
    if let Some(members) = &members {
        ready_for(members, args.from(2))?;
    }
    context.reply.array(args.len() - 2);
    for member in args.from(2) {
        let there = match &members {
            Some(members) => set::contains(members, member)?,
            None => false,
        };
        context.reply.integer(i64::from(there));
    }
    Ok(())
}

/// SCARD key
pub(super) fn count(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = match set_of(context, 0)? {
        Some(members) => length(&members)?,
        None => 0,
    };
    context.reply.integer(count.cast_signed());
    Ok(())
}

/// SMEMBERS key
pub(super) fn all(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    match set_of(context, 0)? {
        Some(members) => {
            let count = length(&members)?;
            context.reply.set(count as usize);
            answer_all(context, &members, count)
        }
        None => {
            context.reply.set(0);
            Ok(())
        }
    }
}

/// Answers with all `count` members of a set, behind a head that is written.
pub(super) fn answer_all(
    context: &mut Context<'_, '_>,
    members: &thermocline::Collection<'_>,
    count: u64,
) -> Result<(), CommandError> {
    fits(context, count.saturating_mul(ANSWERED_BYTES_MIN))?;
    members.ready(|members, missing| set::touch_ranks(members, 0..count, missing))?;
    let start = context.reply.position();
    let mut answered = 0;
    for member in set::walk(members, 0)? {
        context.reply.bulk(member?);
        answered += 1;
        fits(context, (context.reply.position() - start) as u64)?;
    }
    // The client reads as many as the head said.
    if answered == count { Ok(()) } else { Err(MISCOUNTED.into()) }
}
