//! The sorted-set family: what clients may do with members and their scores.
//!
//! Every command that asks for a part of a sorted set - by rank, by score, by member - finds out between which two ranks it
//! lies (`bounds.rs`); what follows is a walk.
//!
//! Promises: every command of Redis 7.2 that works on sorted sets, its refusals and edges included. Those that block are not
//! here; they call [`pop::pop_first`].
//! Never: asks where a node lies, orders members itself, or keeps a NaN.

mod add;
mod algebra;
mod block;
mod bounds;
pub(crate) mod pop;
mod random;
mod range;
mod read;
mod remove;
mod rows;
mod scan;

pub use block::ROWS as BLOCKING_ROWS;
pub use rows::ROWS;

use thermocline::{Collection, Kind};
use thermocline_resp::{Protocol, Reply};
use thermocline_value::{Fault, Missing, ScoredMember, parse_double};

use crate::command::context::Context;
use crate::command::reply::CommandError;

/// One answer takes at most this part of `maxmemory`.
const ANSWER_SHARE_MAX: u64 = 8;
/// A member in an answer takes at least so many bytes: `$0`, and two ends of line.
const MEMBER_ANSWER_BYTES_MIN: u64 = 6;
/// The size of an answer is looked at again after so many members.
const MEMBERS_PER_LOOK: usize = 1024;

const ANSWER_TOO_LARGE: CommandError =
    CommandError::Static("OOM the answer would take more than an eighth of maxmemory");
const NOT_A_NUMBER: CommandError = CommandError::Static("ERR resulting score is not a number (NaN)");

/// The sorted set under key `key`, if there is one.
fn sorted_set_of<'c>(context: &Context<'c, '_>, key: usize) -> Result<Option<Collection<'c>>, CommandError> {
    context.collection(key, Kind::SortedSet)
}

/// A score among the words.
fn score(word: &[u8]) -> Result<f64, CommandError> {
    parse_double(word).ok_or(CommandError::NOT_FLOAT)
}

/// A number among the words that lies in `least..`; what is none, or lies elsewhere, is refused with `refusal`.
fn number_from(word: Option<&[u8]>, least: u64, refusal: CommandError) -> Result<u64, CommandError> {
    word.and_then(thermocline_value::parse_integer)
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number >= least)
        .ok_or(refusal)
}

/// Makes sure that what `touch` names for each of these is in memory: what is not comes in one round.
fn ready_each<T>(
    collection: &Collection<'_>,
    items: impl IntoIterator<Item = T>,
    touch: impl Fn(&Collection<'_>, T, &mut Missing) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if collection.is_run() {
        return Ok(());
    }
    collection.ready(|nodes, missing| {
        for item in items {
            if missing.is_full() {
                break;
            }
            touch(nodes, item, missing)?;
        }
        Ok(())
    })
}

/// Refuses an answer of so many bytes if it is too large.
fn fits(context: &Context<'_, '_>, bytes: u64) -> Result<(), CommandError> {
    if bytes <= context.facts().engine().max_memory() / ANSWER_SHARE_MAX { Ok(()) } else { Err(ANSWER_TOO_LARGE) }
}

/// How members are answered.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Without scores.
    Members,
    /// Member, score, member, score.
    Flat,
    /// Arrays of member and score.
    Pairs,
}

impl Form {
    /// What WITHSCORES makes of an answer: RESP3 has pairs.
    fn with_scores(reply: &Reply<'_>, with_scores: bool) -> Form {
        match (with_scores, reply.protocol()) {
            (false, _) => Form::Members,
            (true, Protocol::Two) => Form::Flat,
            (true, Protocol::Three) => Form::Pairs,
        }
    }

    /// How many answers `count` members are.
    fn answers(self, count: u64) -> usize {
        (if self == Form::Flat { count * 2 } else { count }) as usize
    }

    fn member(self, reply: &mut Reply<'_>, entry: &ScoredMember<'_>) {
        if self == Form::Pairs {
            reply.array(2);
        }
        reply.bulk(entry.member);
        if self != Form::Members {
            reply.double(entry.score);
        }
    }
}

/// Answers an array of these `count` members.
fn answer<'m>(
    context: &mut Context<'_, '_>,
    form: Form,
    count: u64,
    members: impl IntoIterator<Item = Result<ScoredMember<'m>, Fault>>,
) -> Result<(), CommandError> {
    fits(context, count.saturating_mul(MEMBER_ANSWER_BYTES_MIN))?;
    context.reply.array(form.answers(count));
    answer_each(context, form, members)
}

/// The same without the array's head.
fn answer_each<'m>(
    context: &mut Context<'_, '_>,
    form: Form,
    members: impl IntoIterator<Item = Result<ScoredMember<'m>, Fault>>,
) -> Result<(), CommandError> {
    let start = context.reply.position();
    for (number, entry) in members.into_iter().enumerate() {
        form.member(&mut context.reply, &entry?);
        if number % MEMBERS_PER_LOOK == 0 {
            fits(context, (context.reply.position() - start) as u64)?;
        }
    }
    Ok(())
}
