//! Finding elements by their bytes: LPOS, LREM, LINSERT.
//!
//! A list keeps no order of its elements' bytes, so these walk: first over a part at the end where they begin, which is often
//! enough, then over the rest. Each part is brought into memory as a whole before it is looked at, so that a body that is called
//! again does not look at everything again and again.
//!
//! Promises: no more is brought than that part when it is enough, and never more than MAXLEN allows.

use std::ops::ControlFlow;

use thermocline::Collection;
use thermocline_value::{length, list};

use super::{End, MISCOUNTED, list_of, remove_ranks};
use crate::command::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// Elements that are looked at before the rest is asked for.
const RANKS_AT_FIRST: u64 = 1024;

/// Shows `visit` at most `count_max` elements with their ranks, from this end on, until it says that it is enough.
fn walk(
    list: &Collection<'_>,
    from: End,
    count_max: u64,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<(), CommandError> {
    let length = length(list)?;
    let all = count_max.min(length);
    let mut seen = 0;
    while seen < all {
        let until = if seen == 0 { RANKS_AT_FIRST.min(all) } else { all };
        let ranks = from.ranks(until, length);
        list.ready(|list, missing| list::touch_ranks(list, ranks, missing))?;
        let rank_of = |seen: u64| if from == End::Left { seen } else { length - 1 - seen };
        for element in list::walk(list, rank_of(seen), from == End::Right)?.take((until - seen) as usize) {
            if visit(rank_of(seen), element?).is_break() {
                return Ok(());
            }
            seen += 1;
        }
        if seen < until {
            return Err(MISCOUNTED.into());
        }
    }
    Ok(())
}

/// What LPOS says behind its element.
struct Wanted {
    /// From which end.
    from: End,
    /// Which match is the first that counts, from 1.
    first: u64,
    /// How many matches; `None`: one, and not in an array. 0: all.
    count: Option<u64>,
    /// How many elements are looked at; 0: all.
    looks_max: u64,
}

impl Wanted {
    fn read(args: &Args<'_>) -> Result<Wanted, CommandError> {
        let mut wanted = Wanted { from: End::Left, first: 1, count: None, looks_max: 0 };
        let not_negative = |at: usize, refusal: &'static str| {
            let number = args.integer(at).ok().and_then(|number| u64::try_from(number).ok());
            number.ok_or(CommandError::Static(refusal))
        };
        for at in (3..args.len()).step_by(2) {
            if at + 1 == args.len() {
                return Err(CommandError::SYNTAX);
            } else if args.is(at, "RANK") {
                let rank = args.integer(at + 1)?;
                if rank == 0 {
                    return Err(CommandError::Static(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                         negative to start from the end of the list",
                    ));
                }
                if rank == i64::MIN {
                    return Err(CommandError::Static(
                        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                    ));
                }
                wanted.from = if rank > 0 { End::Left } else { End::Right };
                wanted.first = rank.unsigned_abs();
            } else if args.is(at, "COUNT") {
                wanted.count = Some(not_negative(at + 1, "ERR COUNT can't be negative")?);
            } else if args.is(at, "MAXLEN") {
                wanted.looks_max = not_negative(at + 1, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        Ok(wanted)
    }
}

/// LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]
pub(super) fn position(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let wanted = Wanted::read(&context.args)?;
    let element = context.args.at(2);
    let count = wanted.count.unwrap_or(1);
    let mut found: Vec<u64> = Vec::new();
    if let Some(list) = list_of(context, 0)? {
        let looks_max = if wanted.looks_max == 0 { u64::MAX } else { wanted.looks_max };
        let mut matches = 0;
        walk(&list, wanted.from, looks_max, |rank, other| {
            if other != element {
                return ControlFlow::Continue(());
            }
            matches += 1;
            if matches >= wanted.first {
                found.push(rank);
            }
            if count != 0 && found.len() as u64 == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    match (wanted.count, found.first()) {
        (Some(_), _) => {
            context.reply.array(found.len());
            found.into_iter().for_each(|rank| context.reply.integer(rank.cast_signed()));
        }
        (None, Some(rank)) => context.reply.integer(rank.cast_signed()),
        (None, None) => context.reply.null(),
    }
    Ok(())
}

/// LREM key count element
pub(super) fn remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = context.args.integer(2)?;
    let element = context.args.at(3);
    let Some(mut list) = list_of(context, 0)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let from = if count < 0 { End::Right } else { End::Left };
    let mut found: Vec<u64> = Vec::new();
    walk(&list, from, u64::MAX, |rank, other| {
        if other == element {
            found.push(rank);
        }
        let is_enough = count != 0 && found.len() as u64 == count.unsigned_abs();
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if from == End::Right {
        found.reverse();
    }
    if found.len() as u64 == length(&list)? {
        context.remove(0);
    } else {
        // From the highest down, so that those below keep their ranks; neighbours go together.
        for together in found.chunk_by(|one, next| one + 1 == *next).rev() {
            remove_ranks(&mut list, together[0]..together[0] + together.len() as u64)?;
        }
        context.keep(0, list)?;
    }
    context.reply.integer(found.len() as i64);
    Ok(())
}

/// LINSERT key BEFORE|AFTER pivot element
pub(super) fn insert(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let behind = match (args.is(2, "BEFORE"), args.is(2, "AFTER")) {
        (true, _) => 0,
        (_, true) => 1,
        _ => return Err(CommandError::SYNTAX),
    };
    let Some(mut list) = list_of(context, 0)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let mut pivot = None;
    walk(&list, End::Left, u64::MAX, |rank, element| {
        if element != args.at(3) {
            return ControlFlow::Continue(());
        }
        pivot = Some(rank);
        ControlFlow::Break(())
    })?;
    let Some(pivot) = pivot else {
        context.reply.integer(-1);
        return Ok(());
    };
    let gap = pivot + behind;
    list.ready(|list, missing| list::touch_insert(list, gap, missing))?;
    list::insert(&mut list, gap, args.at(4))?;
    let length = length(&list)?;
    context.keep(0, list)?;
    context.reply.integer(length.cast_signed());
    Ok(())
}
