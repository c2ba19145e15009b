//! Reading parts: ZRANGE and its eight elder sisters, and ZRANGESTORE.
//!
//! Promises: LIMIT costs nothing, however much it skips: it is arithmetic on ranks.

use std::ops::Range;

use thermocline::{Access, Collection, Expiry, Kind};
use thermocline_value::{Fault, ScoredMember, sorted_set};

use super::bounds::{By, Part};
use super::{Form, answer, ready_each, sorted_set_of};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::KeyArgument;

/// What a command's name has already decided.
#[derive(Copy, Clone)]
struct Name {
    by: Option<By>,
    backward: Option<bool>,
    /// Word of the source.
    source: usize,
    stores: bool,
}

impl Name {
    const fn of(by: By, backward: bool) -> Name {
        Name { by: Some(by), backward: Some(backward), source: 1, stores: false }
    }
}

/// What is asked for.
struct Asked<'a> {
    part: Part<'a>,
    backward: bool,
    with_scores: bool,
    offset: i64,
    count: i64,
}

impl<'a> Asked<'a> {
    fn read(args: &Args<'a>, name: Name) -> Result<Asked<'a>, CommandError> {
        let Name { mut by, mut backward, source, stores } = name;
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        let mut at = source + 3;
        while at < args.len() {
            if !stores && args.is(at, "WITHSCORES") {
                with_scores = true;
            } else if args.is(at, "LIMIT") && at + 2 < args.len() {
                (offset, count) = (args.integer(at + 1)?, args.integer(at + 2)?);
                at += 2;
            } else if backward.is_none() && args.is(at, "REV") {
                backward = Some(true);
            } else if by.is_none() && args.is(at, "BYLEX") {
                by = Some(By::Member);
            } else if by.is_none() && args.is(at, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        let by = by.unwrap_or(By::Rank);
        let backward = backward.unwrap_or(false);
        if count != -1 && by == By::Rank {
            return Err(CommandError::Static(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Member {
            return Err(CommandError::Static("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        // Ranks are given in the order of the answer, counted from where it begins; the others highest first.
        let (first, second) = (args.at(source + 1), args.at(source + 2));
        let swapped = backward && by != By::Rank;
        let part = if swapped { Part::read(by, second, first)? } else { Part::read(by, first, second)? };
        Ok(Asked { part, backward, with_scores, offset, count })
    }

    /// The ranks of what is asked for.
    fn ranks(&self, collection: &Collection<'_>) -> Result<Range<u64>, CommandError> {
        let ranks = self.part.ranks(collection)?;
        let ranks = match self.part {
            Part::Ranks(..) if self.backward => {
                let length = thermocline_value::length(collection)?;
                return Ok(length - ranks.end.min(length)..length - ranks.start.min(length));
            }
            Part::Ranks(..) => return Ok(ranks),
            _ => ranks,
        };
        Ok(limited(ranks, self.backward, self.offset, self.count))
    }
}

/// What LIMIT leaves of a range.
fn limited(ranks: Range<u64>, backward: bool, offset: i64, count: i64) -> Range<u64> {
    let length = ranks.end - ranks.start;
    // A negative offset skips everything, a negative count takes everything.
    let skipped = u64::try_from(offset).unwrap_or(u64::MAX).min(length);
    let taken = u64::try_from(count).unwrap_or(u64::MAX).min(length - skipped);
    if backward {
        let end = ranks.end - skipped;
        end - taken..end
    } else {
        let start = ranks.start + skipped;
        start..start + taken
    }
}

fn read(context: &mut Context<'_, '_>, name: Name) -> Result<(), CommandError> {
    let asked = Asked::read(&context.args, name)?;
    let Some(collection) = sorted_set_of(context, 0)? else {
        context.reply.array(0);
        return Ok(());
    };
    let ranks = asked.ranks(&collection)?;
    let form = Form::with_scores(&context.reply, asked.with_scores);
    answer_ranks(context, &collection, form, ranks, asked.backward)
}

/// Answers the members of these ranks.
pub(super) fn answer_ranks(
    context: &mut Context<'_, '_>,
    collection: &Collection<'_>,
    form: Form,
    ranks: Range<u64>,
    backward: bool,
) -> Result<(), CommandError> {
    let count = ranks.end - ranks.start;
    answer(context, form, count, members(collection, ranks, backward)?)
}

/// The members of these ranks, all of them in memory.
pub(super) fn members<'n>(
    collection: &'n Collection<'_>,
    ranks: Range<u64>,
    backward: bool,
) -> Result<impl Iterator<Item = Result<ScoredMember<'n>, Fault>>, Fault> {
    let first = if backward { ranks.end.saturating_sub(1) } else { ranks.start };
    let count = (ranks.end - ranks.start) as usize;
    // A walk looks at its first leaf at once: there is none for nothing.
    let walk = if count == 0 {
        None
    } else {
        ready_each(collection, [ranks], |nodes, ranks, missing| sorted_set::touch_ranks(nodes, ranks, missing))?;
        Some(sorted_set::walk(collection, first, backward)?)
    };
    Ok(walk.into_iter().flatten().take(count))
}

/// ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
pub(super) fn range(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Name { by: None, backward: None, source: 1, stores: false })
}

/// ZREVRANGE key start stop [WITHSCORES]
pub(super) fn backward(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Name::of(By::Rank, true))
}

/// ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]
pub(super) fn by_score(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Name::of(By::Score, false))
}

/// ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]
pub(super) fn by_score_backward(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Name::of(By::Score, true))
}

/// ZRANGEBYLEX key min max [LIMIT offset count]
pub(super) fn by_member(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Name::of(By::Member, false))
}

/// ZREVRANGEBYLEX key max min [LIMIT offset count]
pub(super) fn by_member_backward(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Name::of(By::Member, true))
}

/// The keys of ZRANGESTORE: the destination first.
pub(super) fn store_keys(_args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    keys.push(KeyArgument { word: 1, access: Access::Overwrite, database: None });
    keys.push(KeyArgument { word: 2, access: Access::Read, database: None });
    Ok(())
}

/// ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
pub(super) fn store(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let asked = Asked::read(&context.args, Name { by: None, backward: None, source: 2, stores: true })?;
    let mut stored = context.new_collection(Kind::SortedSet);
    let mut count = 0;
    if let Some(source) = sorted_set_of(context, 1)? {
        let ranks = asked.ranks(&source)?;
        count = ranks.end - ranks.start;
        for entry in members(&source, ranks, false)? {
            sorted_set::set(&mut stored, &entry?)?;
        }
    }
    context.replace(0, stored, Expiry::Clear)?;
    context.reply.integer(count.cast_signed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_counted_from_where_the_answer_begins() {
        assert_eq!(limited(10..20, false, 0, -1), 10..20);
        assert_eq!(limited(10..20, false, 2, 3), 12..15);
        assert_eq!(limited(10..20, true, 2, 3), 15..18);
        assert_eq!(limited(10..20, false, 8, 100), 18..20);
        assert_eq!(limited(10..20, true, 8, 100), 10..12);
        assert!(limited(10..20, false, 99, 1).is_empty());
        assert!(limited(10..20, false, -1, 1).is_empty());
        assert!(limited(10..20, true, 0, 0).is_empty());
        assert_eq!(limited(10..20, true, i64::MAX, i64::MIN).count(), 0);
    }
}
