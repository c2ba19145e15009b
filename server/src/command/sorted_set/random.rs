//! ZRANDMEMBER.
//!
//! Which members are picked is decided by the command's seed before any of them is looked at. So the body picks the same ones
//! when it is called again with their nodes in memory.
//!
//! Promises: every member is as likely as another; what is picked together is picked at once, in ranks.

use std::collections::HashSet;

use thermocline::Collection;
use thermocline_value::{Fault, ScoredMember, length, sorted_set};

use super::range::answer_ranks;
use super::{Form, MEMBER_ANSWER_BYTES_MIN, answer, fits, ready_each, sorted_set_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// SplitMix64.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    /// The seeds of two commands in a row are one step apart: scrambled first, their numbers have nothing in common.
    fn new(seed: u64) -> Chance {
        Chance(Chance(seed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// `count` different numbers below `limit`, in order, all choices equally likely (Floyd's way: as many draws as numbers).
fn different(chance: &mut Chance, count: u64, limit: u64) -> Vec<u64> {
    let mut picked = HashSet::with_capacity(count as usize);
    for last in limit - count..limit {
        let number = chance.below(last + 1);
        if !picked.insert(number) {
            picked.insert(last);
        }
    }
    let mut picked: Vec<u64> = picked.into_iter().collect();
    picked.sort_unstable();
    picked
}

/// The member of a rank that is there.
fn at<'n>(collection: &'n Collection<'_>, rank: u64) -> Option<Result<ScoredMember<'n>, Fault>> {
    sorted_set::at(collection, rank).transpose()
}

fn ready(collection: &Collection<'_>, ranks: impl IntoIterator<Item = u64>) -> Result<(), Fault> {
    ready_each(collection, ranks, |nodes, rank, missing| sorted_set::touch_ranks(nodes, rank..rank + 1, missing))
}

/// ZRANDMEMBER key [count [WITHSCORES]]: a negative count may pick a member more than once.
pub(super) fn random(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    if context.args.len() < 3 {
        return one(context);
    }
    let args = context.args;
    let count = args.integer(2)?;
    if count == i64::MIN {
        return Err(CommandError::Static(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_scores = args.len() == 4 && args.is(3, "WITHSCORES");
    if args.len() > 3 && !with_scores {
        return Err(CommandError::SYNTAX);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::Static("ERR value is out of range"));
    }
    let form = Form::with_scores(&context.reply, with_scores);
    let Some(collection) = sorted_set_of(context, 0)? else {
        context.reply.array(0);
        return Ok(());
    };
    let length = length(&collection)?;
    let mut chance = Chance::new(context.seed());
    let picks = count.unsigned_abs();
    if count >= 0 && picks >= length {
        return answer_ranks(context, &collection, form, 0..length, false);
    }
    // Before the picks are made: a claim takes no memory.
    fits(context, picks.saturating_mul(MEMBER_ANSWER_BYTES_MIN))?;
    if count >= 0 {
        let ranks = different(&mut chance, picks, length);
        ready(&collection, ranks.iter().copied())?;
        return answer(context, form, picks, ranks.iter().filter_map(|rank| at(&collection, *rank)));
    }
    let draw = |chance: &Chance| {
        let mut chance = chance.clone();
        (0..picks).map(move |_| chance.below(length))
    };
    ready(&collection, draw(&chance))?;
    answer(context, form, picks, draw(&chance).filter_map(|rank| at(&collection, rank)))
}

fn one(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(collection) = sorted_set_of(context, 0)? else {
        context.reply.null();
        return Ok(());
    };
    let rank = Chance::new(context.seed()).below(length(&collection)?);
    match sorted_set::at(&collection, rank)? {
        Some(entry) => context.reply.bulk(entry.member),
        None => context.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_numbers_are_different_and_all_choices_come() {
        let mut seen = HashSet::new();
        for seed in 0..2_000 {
            let picked = different(&mut Chance::new(seed), 3, 6);
            assert!(picked.len() == 3 && picked.is_sorted_by(|left, right| left < right) && picked[2] < 6);
            seen.insert(picked);
        }
        assert_eq!(seen.len(), 20, "six over three");
        assert_eq!(different(&mut Chance::new(1), 5, 5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn commands_in_a_row_have_numbers_of_their_own() {
        let numbers = |seed: u64| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| chance.next()).collect::<HashSet<_>>()
        };
        assert!(numbers(7).is_disjoint(&numbers(7 + Chance::STEP)));
    }
}
