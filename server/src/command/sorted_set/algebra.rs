//! Several sorted sets in one: ZUNION, ZINTER, ZDIFF, what stores them, and ZINTERCARD. Plain sets take part with scores of 1.
//!
//! Promises: members are compared by look-up, never all with all; of the sources all missing nodes are asked for before
//! one of them is waited for.
//! Never: lets an addition of infinities become a NaN: that is 0, as in Redis.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thermocline::{Access, Collection, Expiry, Kind};
use thermocline_value::{Fault, Missing, ScoredMember, length, set, sorted_set};

use super::{Form, answer, number_from, ready_each};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::KeyArgument;

/// Members that ZINTERCARD with a LIMIT looks for at once, at least.
const MEMBERS_PER_STEP_MIN: u64 = 1024;

#[derive(Copy, Clone, Eq, PartialEq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the result.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Use {
    Answer,
    Store,
    Count,
}

/// What two scores of one member make.
#[derive(Copy, Clone)]
enum Aggregate {
    Sum,
    Least,
    Greatest,
}

impl Aggregate {
    fn of(word: &[u8]) -> Result<Aggregate, CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"sum" => Ok(Aggregate::Sum),
            b"min" => Ok(Aggregate::Least),
            b"max" => Ok(Aggregate::Greatest),
            _ => Err(CommandError::SYNTAX),
        }
    }

    /// `more` may be a NaN (an infinity with the weight 0): then it adds nothing, and is neither less nor greater.
    fn join(self, score: f64, more: f64) -> f64 {
        match self {
            Aggregate::Sum => or_zero(score + more),
            Aggregate::Least if more < score => more,
            Aggregate::Greatest if more > score => more,
            _ => score,
        }
    }
}

fn or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// One of the sorted sets, or sets, that take part.
struct Source<'c> {
    /// None: there is no such key.
    collection: Option<Collection<'c>>,
    length: u64,
    weight: f64,
}

impl<'c> Source<'c> {
    fn of(context: &Context<'c, '_>, key: usize) -> Result<Source<'c>, CommandError> {
        let kind = match context.view(key) {
            Some(view) if view.kind == Kind::Set => Kind::Set,
            _ => Kind::SortedSet,
        };
        Ok(Source { collection: context.collection(key, kind)?, length: 0, weight: 1.0 })
    }

    fn is_set(collection: &Collection<'_>) -> bool {
        collection.kind() == Kind::Set
    }

    fn measure(&mut self) -> Result<(), Fault> {
        if let Some(collection) = &self.collection {
            self.length = length(collection)?;
        }
        Ok(())
    }

    /// Makes sure that members from `first` on, `count` of them, are in memory.
    fn ready_members(&self, first: u64, count: u64) -> Result<(), Fault> {
        let Some(collection) = &self.collection else { return Ok(()) };
        let ranks = first..first.saturating_add(count).min(self.length);
        ready_each(collection, [ranks], |nodes, ranks, missing| {
            if Source::is_set(nodes) {
                set::touch_ranks(nodes, ranks, missing)
            } else {
                sorted_set::touch_ranks(nodes, ranks, missing)
            }
        })
    }

    /// Makes sure that these members can be looked up.
    fn ready_look_ups(&self, members: &[ScoredMember<'_>]) -> Result<(), Fault> {
        let Some(collection) = &self.collection else { return Ok(()) };
        ready_each(collection, members, |nodes: &Collection<'_>, entry, missing: &mut Missing| {
            if Source::is_set(nodes) {
                set::touch_member(nodes, entry.member, missing)
            } else {
                sorted_set::touch_score(nodes, entry.member, missing)
            }
        })
    }

    /// Appends the members from `first` on, `count` of them, with the scores that they have here.
    fn put_members<'s>(&'s self, first: u64, count: u64, into: &mut Vec<ScoredMember<'s>>) -> Result<(), Fault> {
        let count = count.min(self.length.saturating_sub(first)) as usize;
        let Some(collection) = self.collection.as_ref().filter(|_| count > 0) else { return Ok(()) };
        if Source::is_set(collection) {
            for member in set::walk(collection, first)?.take(count) {
                into.push(ScoredMember { score: 1.0, member: member? });
            }
        } else {
            for entry in sorted_set::walk(collection, first, false)?.take(count) {
                into.push(entry?);
            }
        }
        Ok(())
    }

    /// The score of a member, if it is here.
    fn score(&self, member: &[u8]) -> Result<Option<f64>, Fault> {
        match &self.collection {
            None => Ok(None),
            Some(collection) if Source::is_set(collection) => Ok(set::contains(collection, member)?.then_some(1.0)),
            Some(collection) => sorted_set::score(collection, member),
        }
    }
}

/// What a command asks for.
struct Asked<'c> {
    sources: Vec<Source<'c>>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: no limit.
    limit: u64,
}

impl<'c> Asked<'c> {
    /// Reads the words. The number of keys is word `at`; the first of them is key `first_key`.
    fn read(context: &Context<'c, '_>, operation: Operation, wanted: Use) -> Result<Asked<'c>, CommandError> {
        let args = context.args;
        let (at, first_key) = if wanted == Use::Store { (2, 1) } else { (1, 0) };
        let count = args.integer(at)?;
        if count < 1 {
            return Err(CommandError::built(format_args!(
                "ERR at least 1 input key is needed for '{}' command",
                context.name()
            )));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > args.len() - (at + 1) {
            return Err(CommandError::SYNTAX);
        }
        let mut sources = Vec::with_capacity(count);
        for key in first_key..first_key + count {
            sources.push(Source::of(context, key)?);
        }
        let mut asked = Asked { sources, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        asked.read_options(&args, at + 1 + count, operation, wanted)?;
        // All are asked for their length, so that what is missing of them comes in one round.
        all(asked.sources.iter_mut().map(Source::measure))?;
        if operation != Operation::Difference {
            // The order decides how sums are rounded, and with which members an intersection begins.
            asked.sources.sort_by_key(|source| source.length);
        }
        Ok(asked)
    }

    fn read_options(
        &mut self,
        args: &Args<'_>,
        mut at: usize,
        operation: Operation,
        wanted: Use,
    ) -> Result<(), CommandError> {
        let aggregates = operation != Operation::Difference && wanted != Use::Count;
        while at < args.len() {
            let behind = args.len() - at - 1;
            if aggregates && behind >= self.sources.len() && args.is(at, "WEIGHTS") {
                for source in &mut self.sources {
                    at += 1;
                    source.weight = super::score(args.at(at))
                        .map_err(|_| CommandError::Static("ERR weight value is not a float"))?;
                }
            } else if aggregates && behind >= 1 && args.is(at, "AGGREGATE") {
                at += 1;
                self.aggregate = Aggregate::of(args.at(at))?;
            } else if wanted == Use::Answer && args.is(at, "WITHSCORES") {
                self.with_scores = true;
            } else if wanted == Use::Count && behind >= 1 && args.is(at, "LIMIT") {
                at += 1;
                self.limit = number_from(args.get(at), 0, CommandError::Static("ERR LIMIT can't be negative"))?;
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(())
    }

    /// The members of the result with their scores, lowest first.
    fn result(&self, operation: Operation) -> Result<Vec<ScoredMember<'_>>, Fault> {
        let mut result = match operation {
            Operation::Union => self.union()?,
            Operation::Intersection => {
                let mut common = Vec::new();
                self.common(0, u64::MAX, &mut common)?;
                common
            }
            Operation::Difference => self.difference()?,
        };
        // Both zeros are one score; there is no NaN.
        result.sort_unstable_by(|left, right| {
            let by_score = left.score.partial_cmp(&right.score).unwrap_or(Ordering::Equal);
            by_score.then_with(|| left.member.cmp(right.member))
        });
        Ok(result)
    }

    fn union(&self) -> Result<Vec<ScoredMember<'_>>, Fault> {
        all(self.sources.iter().map(|source| source.ready_members(0, source.length)))?;
        let mut scores: HashMap<&[u8], f64> = HashMap::new();
        let mut members = Vec::new();
        for source in &self.sources {
            members.clear();
            source.put_members(0, source.length, &mut members)?;
            for ScoredMember { score, member } in &members {
                let score = or_zero(source.weight * score);
                match scores.entry(member) {
                    Entry::Vacant(place) => {
                        place.insert(score);
                    }
                    Entry::Occupied(mut place) => {
                        let joined = self.aggregate.join(*place.get(), score);
                        place.insert(joined);
                    }
                }
            }
        }
        Ok(scores.into_iter().map(|(member, score)| ScoredMember { score, member }).collect())
    }

    /// Appends what is in all sources, of the smallest's members from `first` on, `count` of them.
    fn common<'s>(&'s self, first: u64, count: u64, into: &mut Vec<ScoredMember<'s>>) -> Result<(), Fault> {
        let Some((smallest, others)) = self.sources.split_first() else { return Ok(()) };
        smallest.ready_members(first, count)?;
        let mut members = Vec::new();
        smallest.put_members(first, count, &mut members)?;
        ready_all(others, &members)?;
        'members: for ScoredMember { score, member } in members {
            let mut joined = or_zero(smallest.weight * score);
            for other in others {
                let Some(score) = other.score(member)? else { continue 'members };
                joined = self.aggregate.join(joined, other.weight * score);
            }
            into.push(ScoredMember { score: joined, member });
        }
        Ok(())
    }

    fn difference(&self) -> Result<Vec<ScoredMember<'_>>, Fault> {
        let Some((first, others)) = self.sources.split_first() else { return Ok(Vec::new()) };
        first.ready_members(0, first.length)?;
        let mut members = Vec::new();
        first.put_members(0, first.length, &mut members)?;
        ready_all(others, &members)?;
        let mut left = Vec::new();
        'members: for entry in members {
            for other in others {
                if other.score(entry.member)?.is_some() {
                    continue 'members;
                }
            }
            left.push(entry);
        }
        Ok(left)
    }

    /// How many members are in all sources, counted up to the limit.
    fn count_common(&self) -> Result<u64, Fault> {
        let length = self.sources.first().map_or(0, |smallest| smallest.length);
        let step = if self.limit == 0 { u64::MAX } else { self.limit.max(MEMBERS_PER_STEP_MIN) };
        let (mut first, mut count) = (0, 0);
        let mut common = Vec::new();
        while first < length {
            common.clear();
            self.common(first, step, &mut common)?;
            count += common.len() as u64;
            if self.limit > 0 && count >= self.limit {
                return Ok(self.limit);
            }
            first = first.saturating_add(step);
        }
        Ok(count)
    }
}

/// The first fault, when all have been asked.
fn all(answers: impl Iterator<Item = Result<(), Fault>>) -> Result<(), Fault> {
    let mut first = Ok(());
    for answer in answers {
        first = first.and(answer);
    }
    first
}

/// Makes sure that the members can be looked up in all of these.
fn ready_all(sources: &[Source<'_>], members: &[ScoredMember<'_>]) -> Result<(), Fault> {
    all(sources.iter().map(|source| source.ready_look_ups(members)))
}

fn read(context: &mut Context<'_, '_>, operation: Operation) -> Result<(), CommandError> {
    let asked = Asked::read(context, operation, Use::Answer)?;
    let result = asked.result(operation)?;
    let form = Form::with_scores(&context.reply, asked.with_scores);
    answer(context, form, result.len() as u64, result.into_iter().map(Ok))
}

fn store(context: &mut Context<'_, '_>, operation: Operation) -> Result<(), CommandError> {
    let asked = Asked::read(context, operation, Use::Store)?;
    let result = asked.result(operation)?;
    let mut stored = context.new_collection(Kind::SortedSet);
    for entry in &result {
        sorted_set::set(&mut stored, entry)?;
    }
    context.replace(0, stored, Expiry::Clear)?;
    context.reply.integer(result.len() as i64);
    Ok(())
}

/// ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
pub(super) fn union(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Operation::Union)
}

/// ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
pub(super) fn intersection(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Operation::Intersection)
}

/// ZDIFF numkeys key [key ...] [WITHSCORES]
pub(super) fn difference(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    read(context, Operation::Difference)
}

/// ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]
pub(super) fn store_union(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    store(context, Operation::Union)
}

/// ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]
pub(super) fn store_intersection(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    store(context, Operation::Intersection)
}

/// ZDIFFSTORE destination numkeys key [key ...]
pub(super) fn store_difference(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    store(context, Operation::Difference)
}

/// ZINTERCARD numkeys key [key ...] [LIMIT limit]
pub(super) fn count_intersection(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = Asked::read(context, Operation::Intersection, Use::Count)?.count_common()?;
    context.reply.integer(count.cast_signed());
    Ok(())
}

/// The keys of what stores: the destination, then as many sources as are announced. A number that is none, or beyond the words, is
/// the body's to refuse: it sees no sources then.
pub(super) fn store_keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    const FIRST: usize = 3;
    keys.push(KeyArgument { word: 1, access: Access::Overwrite, database: None });
    let count = args.integer(2).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    if count <= args.len().saturating_sub(FIRST) {
        keys.extend((FIRST..FIRST + count).map(|word| KeyArgument { word, access: Access::Read, database: None }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_aggregate_makes_a_nan() {
        let infinity = f64::INFINITY;
        assert_eq!(Aggregate::Sum.join(infinity, -infinity), 0.0);
        for aggregate in [Aggregate::Least, Aggregate::Greatest] {
            assert_eq!(aggregate.join(3.0, f64::NAN), 3.0);
        }
        assert_eq!(Aggregate::Sum.join(3.0, f64::NAN), 0.0);
        assert_eq!(Aggregate::Least.join(3.0, -infinity), -infinity);
        assert_eq!(Aggregate::Greatest.join(3.0, 4.0), 4.0);
    }
}
