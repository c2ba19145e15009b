//! Giving scores: ZADD and ZINCRBY.
//!
//! Promises: all words are read and checked before the first score changes; what a refused increment would have changed stays.

use thermocline::{Collection, Kind};
use thermocline_value::{Fault, Missing, ScoredMember, sorted_set};

use super::{NOT_A_NUMBER, ready_each, score, sorted_set_of};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// What ZADD was told beside scores and members.
#[derive(Copy, Clone, Debug, Default)]
struct Options {
    only_new: bool,
    only_present: bool,
    only_greater: bool,
    only_less: bool,
    counts_changes: bool,
    increments: bool,
}

/// What became of one member.
enum Outcome {
    Added(f64),
    Changed(f64),
    Same(f64),
    /// The options did not let it.
    Kept,
}

impl Options {
    /// Reads the options and answers which word is the first score. ZINCRBY reads them too, though none leaves it enough words.
    fn read(args: &Args<'_>, increments: bool) -> (Options, usize) {
        let mut options = Options { increments, ..Options::default() };
        let mut at = 2;
        loop {
            let option = if args.is(at, "NX") {
                &mut options.only_new
            } else if args.is(at, "XX") {
                &mut options.only_present
            } else if args.is(at, "GT") {
                &mut options.only_greater
            } else if args.is(at, "LT") {
                &mut options.only_less
            } else if args.is(at, "CH") {
                &mut options.counts_changes
            } else if args.is(at, "INCR") {
                &mut options.increments
            } else {
                return (options, at);
            };
            *option = true;
            at += 1;
        }
    }

    /// Refuses options that contradict each other, or the number of members.
    fn check(&self, members: usize) -> Result<(), CommandError> {
        if self.only_new && self.only_present {
            return Err(CommandError::Static("ERR XX and NX options at the same time are not compatible"));
        }
        if (self.only_new && (self.only_greater || self.only_less)) || (self.only_greater && self.only_less) {
            return Err(CommandError::Static("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increments && members > 1 {
            return Err(CommandError::Static("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Whether a member gets its score whatever it had, and nobody asks what that was.
    fn is_plain(&self) -> bool {
        !(self.only_new
            || self.only_present
            || self.only_greater
            || self.only_less
            || self.counts_changes
            || self.increments)
    }

    /// Notes the nodes that a member's change needs.
    fn touch(&self, nodes: &Collection<'_>, entry: &ScoredMember<'_>, missing: &mut Missing) -> Result<(), Fault> {
        let mut new = entry.score;
        if self.increments {
            sorted_set::touch_score(nodes, entry.member, missing)?;
            if !missing.is_empty() {
                return Ok(());
            }
            new += sorted_set::score(nodes, entry.member)?.unwrap_or(0.0);
        }
        // A sum that is no number is refused before it needs a place.
        sorted_set::touch_member(nodes, entry.member, Some(new).filter(|new| !new.is_nan()), missing)
    }

    /// Gives one member its score, as far as the options let it.
    fn apply(&self, collection: &mut Collection<'_>, entry: &ScoredMember<'_>) -> Result<Outcome, CommandError> {
        let ScoredMember { score, member } = *entry;
        if self.is_plain() {
            let is_new = sorted_set::set(collection, entry)?;
            return Ok(if is_new { Outcome::Added(score) } else { Outcome::Changed(score) });
        }
        let old = sorted_set::score(collection, member)?;
        let new = match old {
            None if self.only_present => return Ok(Outcome::Kept),
            None => score,
            Some(_) if self.only_new => return Ok(Outcome::Kept),
            Some(old) if self.increments => old + score,
            Some(_) => score,
        };
        if new.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if let Some(old) = old {
            if (self.only_less && new >= old) || (self.only_greater && new <= old) {
                return Ok(Outcome::Kept);
            }
            if new == old {
                return Ok(Outcome::Same(new));
            }
        }
        sorted_set::set(collection, &ScoredMember { score: new, member })?;
        Ok(if old.is_none() { Outcome::Added(new) } else { Outcome::Changed(new) })
    }
}

/// ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
pub(super) fn add(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    change(context, false)
}

/// ZINCRBY key increment member
pub(super) fn increment(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    change(context, true)
}

fn change(context: &mut Context<'_, '_>, increments: bool) -> Result<(), CommandError> {
    let args = context.args;
    let (options, first) = Options::read(&args, increments);
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(2) {
        return Err(CommandError::SYNTAX);
    }
    options.check(words / 2)?;
    let mut entries = Vec::with_capacity(words / 2);
    for at in (first..args.len()).step_by(2) {
        entries.push(ScoredMember { score: score(args.at(at))?, member: args.at(at + 1) });
    }
    let found = sorted_set_of(context, 0)?;
    let mut collection = found.unwrap_or_else(|| context.new_collection(Kind::SortedSet));
    let ready = |nodes: &_| ready_each(nodes, &entries, |nodes, entry, missing| options.touch(nodes, entry, missing));
    if entries.len() > 1 {
        ready(&collection)?;
    }
    let (mut added, mut changed) = (0, 0);
    let mut last = None;
    for entry in &entries {
        let outcome = options.apply(&mut collection, entry);
        if let (Err(CommandError::Nodes), true) = (&outcome, entries.len() == 1) {
            // One alone finds its own way down. What is missing in both trees comes in one round.
            ready(&collection)?;
        }
        last = match outcome? {
            Outcome::Added(score) => {
                added += 1;
                Some(score)
            }
            Outcome::Changed(score) => {
                changed += 1;
                Some(score)
            }
            Outcome::Same(score) => Some(score),
            Outcome::Kept => None,
        };
    }
    context.keep(0, collection)?;
    match last {
        Some(score) if options.increments => context.reply.double(score),
        None if options.increments => context.reply.null(),
        _ if options.counts_changes => context.reply.integer(added + changed),
        _ => context.reply.integer(added),
    }
    Ok(())
}
