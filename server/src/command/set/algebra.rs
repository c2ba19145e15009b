//! Set algebra: the members of an intersection, a union, a difference, shown one after another.
//!
//! ```text
//!  intersection   walk the smallest set, look each member up in the others                    n0 x M look-ups at most
//!  union          walk all, leave out what was shown                                          the sum of all
//!  difference     either walk the first, look each member up in the others (largest first)    n0 x M look-ups at most
//!                 or walk the others, note which of their members the first has               the sum of all
//! ```
//! Which way a difference goes is decided by Redis's estimate: look-ups that find end early, so they count half.
//!
//! Promises: sets are walked only when all of the walk is in memory; look-ups that meet what is not go on to the next member, so
//! that one round of reads brings many. What is shown before a fault is worth nothing. Never: knows a command or a reply.

use std::collections::HashSet;

use thermocline::Collection;
use thermocline_value::{Fault, NodeId, length, set};

use super::NEARLY_ALL;
use crate::command::reply::CommandError;

/// With a limit, a walk is prepared for so many members at a time: it may end after the first.
const WALKED_TOGETHER: u64 = 1024;
/// Nodes that look-ups find missing before the round of reads begins.
const WANTED_MAX: usize = 128;

/// Whoever is shown the members.
pub(super) trait Visit: FnMut(&[u8]) -> Result<(), CommandError> {}
impl<F: FnMut(&[u8]) -> Result<(), CommandError>> Visit for F {}

/// Questions of which some cannot be answered before a round of reads.
#[derive(Default)]
struct Wanted {
    /// What is missing, each node once.
    nodes: Vec<NodeId>,
}

impl Wanted {
    /// What was answered; `None` if a node is missing. The store has noted which.
    fn known<T>(&mut self, answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Fault::Missing(node)) => {
                // Sets are walked by hash: whoever asks for a node asks again soon.
                if !self.nodes.iter().rev().any(|wanted| *wanted == node) {
                    self.nodes.push(node);
                }
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.nodes.len() >= WANTED_MAX
    }

    /// The first fault, when all was asked.
    fn end(&self) -> Result<(), Fault> {
        self.nodes.first().map_or(Ok(()), |node| Err(Fault::Missing(*node)))
    }
}

/// The lengths of all sets.
fn lengths(sets: &[Collection<'_>]) -> Result<Vec<u64>, Fault> {
    let mut wanted = Wanted::default();
    let mut lengths = Vec::with_capacity(sets.len());
    for set in sets {
        lengths.push(wanted.known(length(set))?.unwrap_or(0));
    }
    wanted.end().map(|()| lengths)
}

/// All that it takes to walk these sets is in memory.
fn ready_to_walk<'s, 'v: 's>(sets: impl Iterator<Item = &'s Collection<'v>>) -> Result<(), Fault> {
    let mut wanted = Wanted::default();
    for set in sets {
        wanted.known(set.ready(|set, missing| set::touch_ranks(set, 0..u64::MAX, missing)))?;
    }
    wanted.end()
}

/// Shows the members that all of `sets` have, at most `limit` of them.
pub(super) fn intersect(sets: &[Collection<'_>], limit: u64, mut visit: impl Visit) -> Result<(), CommandError> {
    let lengths = lengths(sets)?;
    let mut order: Vec<usize> = (0..sets.len()).collect();
    order.sort_by_key(|&at| lengths[at]);
    let Some((&smallest, others)) = order.split_first() else { return Ok(()) };
    let (walked, length) = (&sets[smallest], lengths[smallest]);
    let step = if limit == u64::MAX { u64::MAX } else { WALKED_TOGETHER };
    if limit == u64::MAX {
        let whole = others.iter().filter(|&&other| lengths[other] / NEARLY_ALL <= length);
        ready_to_walk(whole.map(|&other| &sets[other]).chain([walked]))?;
    }
    let mut shown = 0;
    let mut rank = 0;
    while rank < length {
        let end = length.min(rank.saturating_add(step));
        walked.ready(|walked, missing| set::touch_ranks(walked, rank..end, missing))?;
        let mut wanted = Wanted::default();
        for member in set::walk(walked, rank)?.take((end - rank) as usize) {
            let member = member?;
            let mut everywhere = true;
            for &other in others {
                if wanted.known(set::contains(&sets[other], member))? == Some(false) {
                    everywhere = false;
                    break;
                }
            }
            if wanted.is_full() {
                break;
            }
            if everywhere && wanted.is_empty() {
                visit(member)?;
                shown += 1;
                if shown == limit {
                    return Ok(());
                }
            }
        }
        wanted.end()?;
        rank = end;
    }
    Ok(())
}

/// Shows the members that any of `sets` has.
pub(super) fn unite(sets: &[Collection<'_>], mut visit: impl Visit) -> Result<(), CommandError> {
    ready_to_walk(sets.iter())?;
    let mut shown = HashSet::new();
    for (number, set) in sets.iter().enumerate() {
        let is_last = number + 1 == sets.len();
        for member in set::walk(set, 0)? {
            let member = member?;
            // What only the last set has, nobody asks for again.
            let is_new = if is_last { !shown.contains(member) } else { shown.insert(member) };
            if is_new {
                visit(member)?;
            }
        }
    }
    Ok(())
}

/// Shows the members of `first` that none of `others` has.
pub(super) fn subtract(
    first: &Collection<'_>,
    others: &[Collection<'_>],
    visit: impl Visit,
) -> Result<(), CommandError> {
    let lengths = lengths(others)?;
    let length = length(first)?;
    let looked_up = length.saturating_mul(others.len() as u64 + 1) / 2;
    let walked = lengths.iter().fold(length, |sum, length| sum.saturating_add(*length));
    if looked_up <= walked {
        let mut order: Vec<usize> = (0..others.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
        let whole = order.iter().filter(|&&at| lengths[at] / NEARLY_ALL <= length);
        ready_to_walk(whole.map(|&at| &others[at]).chain([first]))?;
        subtract_by_look_up(first, order.iter().map(|&at| &others[at]), visit)
    } else {
        subtract_by_walk(first, others, length, visit)
    }
}

fn subtract_by_look_up<'s, 'v: 's>(
    first: &Collection<'_>,
    others: impl Iterator<Item = &'s Collection<'v>> + Clone,
    mut visit: impl Visit,
) -> Result<(), CommandError> {
    let mut wanted = Wanted::default();
    for member in set::walk(first, 0)? {
        let member = member?;
        let mut nowhere = true;
        for other in others.clone() {
            if wanted.known(set::contains(other, member))? == Some(true) {
                nowhere = false;
                break;
            }
        }
        if wanted.is_full() {
            break;
        }
        if nowhere && wanted.is_empty() {
            visit(member)?;
        }
    }
    Ok(wanted.end()?)
}

fn subtract_by_walk(
    first: &Collection<'_>,
    others: &[Collection<'_>],
    length: u64,
    mut visit: impl Visit,
) -> Result<(), CommandError> {
    ready_to_walk(std::iter::once(first).chain(others))?;
    let mut gone = HashSet::new();
    for other in others {
        for member in set::walk(other, 0)? {
            let member = member?;
            if set::contains(first, member)? {
                gone.insert(member);
            }
        }
        if gone.len() as u64 == length {
            return Ok(());
        }
    }
    for member in set::walk(first, 0)? {
        let member = member?;
        if !gone.contains(member) {
            visit(member)?;
        }
    }
    Ok(())
}
