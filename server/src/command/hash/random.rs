//! HRANDFIELD: fields by chance.
//!
//! Chance chooses ranks. Its seed is the same at every call of one command's body, so the nodes that one call asks for are the
//! ones that the next call reads.
//!
//! Promises: every field that lives is as likely as any other; picks without repetition are distinct.
//! Never: shows an expired field, remembers a pick that may come again.

use std::collections::HashSet;

use thermocline::Collection;
use thermocline_resp::Protocol;
use thermocline_value::{HashEntry, hash, length, parse_integer};

use super::read::living;
use super::{STRING_BYTES_MIN, existing, fits, lives, ready_all};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// There is a field at each rank below the length.
const MISCOUNTED: CommandError = CommandError::Static("CORRUPT a hash has fewer fields than it counts");
/// Where fields may have expired, so many picks are tried before those that live are looked for.
const TRIED_MAX: u64 = 64;
/// The same for a single pick, of which a few are tried in its stead.
const TRIED_FOR_ONE: u64 = 8;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// Numbers below a limit, by chance: as many as wanted, or distinct ones.
struct Draws {
    chance: Chance,
    limit: u64,
    left: u64,
    /// What was drawn, if nothing may come twice.
    taken: Option<HashSet<u64>>,
}

impl Draws {
    fn new(seed: u64, limit: u64, wanted: Wanted) -> Draws {
        let (left, taken) = match wanted {
            Wanted::Distinct(count) => (count.min(limit), Some(HashSet::new())),
            Wanted::Any(count) => (if limit == 0 { 0 } else { count }, None),
        };
        Draws { chance: Chance(seed), limit, left, taken }
    }
}

impl Iterator for Draws {
    type Item = u64;

    /// Distinct ones by Floyd's way: each number is drawn from one more than the last; if it is taken, the new one is not.
    fn next(&mut self) -> Option<u64> {
        if self.left == 0 {
            return None;
        }
        let left = self.left;
        self.left -= 1;
        let Some(taken) = &mut self.taken else { return Some(self.chance.below(self.limit)) };
        let last = self.limit - left;
        let drawn = self.chance.below(last + 1);
        let new = if taken.insert(drawn) { drawn } else { last };
        taken.insert(new);
        Some(new)
    }
}

/// How many picks are wanted.
#[derive(Copy, Clone)]
enum Wanted {
    /// No field twice.
    Distinct(u64),
    /// Each from all fields.
    Any(u64),
}

impl Wanted {
    fn of(count: i64) -> Wanted {
        if count < 0 { Wanted::Any(count.unsigned_abs()) } else { Wanted::Distinct(count.unsigned_abs()) }
    }

    fn count(self) -> u64 {
        match self {
            Wanted::Distinct(count) | Wanted::Any(count) => count,
        }
    }
}

/// The ranks among which chance chooses.
enum Ranks {
    /// All of so many.
    All(u64),
    /// Those of the fields that live.
    Living(Vec<u64>),
}

impl Ranks {
    fn count(&self) -> u64 {
        match self {
            Ranks::All(count) => *count,
            Ranks::Living(ranks) => ranks.len() as u64,
        }
    }

    fn at(&self, number: u64) -> u64 {
        match self {
            Ranks::All(_) => number,
            Ranks::Living(ranks) => ranks[number as usize],
        }
    }

    /// Those of the fields that live. Looks at the whole hash.
    fn living(context: &Context<'_, '_>, collection: &Collection<'_>) -> Result<Ranks, CommandError> {
        ready_all(collection)?;
        let mut ranks = Vec::new();
        for (rank, entry) in (0..).zip(hash::walk(collection, 0)?) {
            if lives(context, &entry?) {
                ranks.push(rank);
            }
        }
        Ok(Ranks::Living(ranks))
    }
}

/// HRANDFIELD key [count [WITHVALUES]]
pub(super) fn pick(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    if args.len() == 2 {
        return pick_one(context);
    }
    let count = parse_integer(args.at(2)).ok_or(CommandError::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(CommandError::Static(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_values = match args.len() {
        3 => false,
        4 if args.is(3, "WITHVALUES") => true,
        _ => return Err(CommandError::SYNTAX),
    };
    if with_values && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(CommandError::Static("ERR value is out of range"));
    }
    pick_many(context, Wanted::of(count), with_values)
}

fn pick_one(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(collection) = existing(context)? else {
        context.reply.null();
        return Ok(());
    };
    let length = length(&collection)?;
    let tries = if hash::may_expire(&collection)? { TRIED_FOR_ONE } else { 1 };
    let draws = || Draws::new(context.seed(), length, Wanted::Any(tries));
    ready(&collection, draws())?;
    let mut field = None;
    for rank in draws() {
        field = hash::at(&collection, rank)?.filter(|entry| lives(context, entry)).map(|entry| entry.field);
        if field.is_some() {
            break;
        }
    }
    if field.is_none() {
        let ranks = Ranks::living(context, &collection)?;
        if let Some(number) = Draws::new(context.seed(), ranks.count(), Wanted::Any(1)).next() {
            field = hash::at(&collection, ranks.at(number))?.map(|entry| entry.field);
        }
    }
    match field {
        Some(field) => context.reply.bulk(field),
        None => context.reply.null(),
    }
    Ok(())
}

fn pick_many(context: &mut Context<'_, '_>, wanted: Wanted, with_values: bool) -> Result<(), CommandError> {
    let collection = existing(context)?.filter(|_| wanted.count() > 0);
    let Some(collection) = collection else {
        context.reply.array(0);
        return Ok(());
    };
    let length = length(&collection)?;
    if matches!(wanted, Wanted::Distinct(count) if count >= length) {
        return answer_all(context, &collection, with_values);
    }
    let strings = if with_values { 2 } else { 1 };
    fits(context, wanted.count().saturating_mul(strings * STRING_BYTES_MIN))?;
    let ranks = ranks(context, &collection, length, wanted)?;
    let draws = || Draws::new(context.seed(), ranks.count(), wanted).map(|number| ranks.at(number));
    if wanted.count() > length {
        ready_all(&collection)?;
    } else {
        ready(&collection, draws())?;
    }
    let count = match wanted {
        Wanted::Distinct(count) => count.min(ranks.count()),
        Wanted::Any(count) => {
            if ranks.count() == 0 {
                0
            } else {
                count
            }
        }
    };
    let draws = draws();
    begin(context, count, with_values);
    let start = context.reply.position();
    for rank in draws {
        let entry = hash::at(&collection, rank)?.ok_or(MISCOUNTED)?;
        answer(context, &entry, with_values);
        fits(context, (context.reply.position() - start) as u64)?;
    }
    Ok(())
}

/// The ranks to choose from. If all of a few picks live, they need not be looked for: given that, each of those that live is
/// as likely as any other.
fn ranks(
    context: &Context<'_, '_>,
    collection: &Collection<'_>,
    length: u64,
    wanted: Wanted,
) -> Result<Ranks, CommandError> {
    if !hash::may_expire(collection)? {
        return Ok(Ranks::All(length));
    }
    if wanted.count() <= TRIED_MAX {
        ready(collection, Draws::new(context.seed(), length, wanted))?;
        let mut all_live = true;
        for rank in Draws::new(context.seed(), length, wanted) {
            all_live &= hash::at(collection, rank)?.is_some_and(|entry| lives(context, &entry));
        }
        if all_live {
            return Ok(Ranks::All(length));
        }
    }
    Ranks::living(context, collection)
}

fn answer_all(
    context: &mut Context<'_, '_>,
    collection: &Collection<'_>,
    with_values: bool,
) -> Result<(), CommandError> {
    let strings = if with_values { 2 } else { 1 };
    fits(context, length(collection)?.saturating_mul(strings * STRING_BYTES_MIN))?;
    ready_all(collection)?;
    let count = living(context, collection)?;
    begin(context, count, with_values);
    let start = context.reply.position();
    for entry in hash::walk(collection, 0)? {
        let entry = entry?;
        if lives(context, &entry) {
            answer(context, &entry, with_values);
            fits(context, (context.reply.position() - start) as u64)?;
        }
    }
    Ok(())
}

/// Brings what it takes to read the fields of these ranks.
fn ready(collection: &Collection<'_>, ranks: impl Iterator<Item = u64>) -> Result<(), CommandError> {
    if collection.is_run() {
        return Ok(());
    }
    Ok(collection.ready(|nodes, missing| {
        for rank in ranks {
            hash::touch_ranks(nodes, rank..rank + 1, missing)?;
            if missing.is_full() {
                break;
            }
        }
        Ok(())
    })?)
}

/// The head of the answer: RESP3 has a pair for each field with its value.
fn begin(context: &mut Context<'_, '_>, count: u64, with_values: bool) {
    let flat = with_values && context.reply.protocol() == Protocol::Two;
    context.reply.array(if flat { count * 2 } else { count } as usize);
}

fn answer(context: &mut Context<'_, '_>, entry: &HashEntry<'_>, with_values: bool) {
    if with_values && context.reply.protocol() == Protocol::Three {
        context.reply.array(2);
    }
    context.reply.bulk(entry.field);
    if with_values {
        context.reply.bulk(entry.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_draws_are_distinct_and_all_of_them_in_the_end() {
        for limit in [1, 2, 10, 100] {
            for count in [1, limit / 2, limit, limit + 5] {
                let mut drawn: Vec<u64> = Draws::new(count, limit, Wanted::Distinct(count)).collect();
                drawn.sort_unstable();
                let length = drawn.len() as u64;
                drawn.dedup();
                assert_eq!((drawn.len() as u64, length), (count.min(limit), count.min(limit)));
                assert!(drawn.iter().all(|number| *number < limit));
            }
        }
    }

    #[test]
    fn every_number_is_drawn_about_as_often_as_any_other() {
        let mut counts = [[0u32; 10]; 2];
        for seed in 0..2000 {
            for number in Draws::new(seed, 10, Wanted::Distinct(3)) {
                counts[0][number as usize] += 1;
            }
            for number in Draws::new(seed, 10, Wanted::Any(3)) {
                counts[1][number as usize] += 1;
            }
        }
        // 600 are expected; five standard deviations are 105 to 118.
        assert!(counts.iter().flatten().all(|count| (480..720).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |wanted| Draws::new(7, 1000, wanted).collect::<Vec<_>>();
        assert_eq!(draw(Wanted::Any(50)), draw(Wanted::Any(50)));
        assert_eq!(draw(Wanted::Distinct(50)), draw(Wanted::Distinct(50)));
        assert_eq!(Draws::new(7, 0, Wanted::Any(5)).count(), 0);
    }
}
