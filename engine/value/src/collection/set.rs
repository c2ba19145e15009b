//! Sets: members, found by their hash. Set algebra is walks and look-ups.
//!
//! Promises: SISMEMBER in memory is one descent and allocates nothing.
//! Never: keeps numbers apart from other members: a set of integers is a set of their texts.

use super::{fields, touch_ranks as touch};
use crate::packed::run::EMPTY_TAGGED;
use crate::tree::nodes::{Fault, Missing, Nodes};
use crate::tree::shape::Shape;
use std::ops::Range;

/// The payload of a set without members, to begin with.
pub const EMPTY: &[u8] = EMPTY_TAGGED;

/// True if this is a member.
pub fn contains<N: Nodes + ?Sized>(nodes: &N, member: &[u8]) -> Result<bool, Fault> {
    fields::find(nodes, Shape::Set, member).map(|found| found.is_some())
}

/// Adds a member. True if it is new.
pub fn add<N: Nodes + ?Sized>(nodes: &mut N, member: &[u8]) -> Result<bool, Fault> {
    fields::put(nodes, Shape::Set, member, member, false, |_| {})
}

/// Removes a member. True if there was one.
pub fn remove<N: Nodes + ?Sized>(nodes: &mut N, member: &[u8]) -> Result<bool, Fault> {
    fields::remove(nodes, Shape::Set, member, EMPTY)
}

/// The member at a rank of the order in which [`walk`] goes: for SRANDMEMBER and SPOP.
pub fn at<N: Nodes + ?Sized>(nodes: &N, rank: u64) -> Result<Option<&[u8]>, Fault> {
    super::at(nodes, Shape::Set, rank)
}

/// Shows the members from `cursor` (0 to begin) on to `visit`, at least `count` of them if there are, and answers the
/// cursor to go on with; 0 at the end. A member that stays is shown exactly once, whatever changes between two calls.
pub fn scan<'n, N: Nodes + ?Sized>(
    nodes: &'n N,
    cursor: u64,
    count: usize,
    visit: impl FnMut(&'n [u8]),
) -> Result<u64, Fault> {
    fields::scan(nodes, Shape::Set, cursor, count, visit)
}

/// Notes what it takes to [`scan`] about `count` members from a cursor on. Without it, a scan ends where memory does.
pub fn touch_scan<N: Nodes + ?Sized>(nodes: &N, cursor: u64, count: u64, missing: &mut Missing) -> Result<(), Fault> {
    fields::touch_scan(nodes, Shape::Set, cursor, count, missing)
}

/// Notes what it takes to find, add or remove a member.
pub fn touch_member<N: Nodes + ?Sized>(nodes: &N, member: &[u8], missing: &mut Missing) -> Result<(), Fault> {
    fields::touch(nodes, Shape::Set, member, missing)
}

/// Notes what it takes to walk over these ranks.
pub fn touch_ranks<N: Nodes + ?Sized>(nodes: &N, ranks: Range<u64>, missing: &mut Missing) -> Result<(), Fault> {
    touch(nodes, Shape::Set, ranks, true, missing)
}

/// Walks the members from a rank on: a small set in the order in which they were added, a large one by hash.
pub fn walk<N: Nodes + ?Sized>(nodes: &N, rank: u64) -> Result<impl Iterator<Item = Result<&[u8], Fault>>, Fault> {
    super::walk(nodes, Shape::Set, rank, false)
}
