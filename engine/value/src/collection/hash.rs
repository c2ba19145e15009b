//! Hashes: fields with values, each perhaps with an expiry of its own.
//!
//! Promises: HGET in memory is one descent and allocates nothing; a field that is set again keeps its place. A value set
//! without an expiry has none, whatever the field had before.
//! Never: hides a field that has expired: the caller has the clock, and removes it.

use super::{fields, touch_ranks as touch};
use crate::packed::root::Root;
use crate::packed::run::EMPTY_TAGGED;
use crate::tree::nodes::{At, Fault, Missing, NodeId, Nodes};
use crate::tree::shape::{HashEntry, Shape};
use std::ops::Range;

/// The payload of a hash without fields, to begin with.
pub const EMPTY: &[u8] = EMPTY_TAGGED;

/// A field's value and expiry.
pub fn get<'n, N: Nodes + ?Sized>(nodes: &'n N, field: &[u8]) -> Result<Option<HashEntry<'n>>, Fault> {
    fields::find(nodes, Shape::Hash, field)?.map(decode).transpose()
}

/// Sets a field. True if it is new.
pub fn set<N: Nodes + ?Sized>(nodes: &mut N, entry: &HashEntry<'_>) -> Result<bool, Fault> {
    fields::put(nodes, Shape::Hash, entry.field, &entry.encode(), entry.expiry_ms.is_some(), |_| {})
}

/// Sets a field, and answers what `judge` says of the entry that it had, if it had one.
pub fn set_judging<N: Nodes + ?Sized>(
    nodes: &mut N,
    entry: &HashEntry<'_>,
    judge: impl FnOnce(&HashEntry<'_>) -> bool,
) -> Result<Option<bool>, Fault> {
    let mut judged = Ok(None);
    let see = |old: &[u8]| judged = decode(old).map(|old| Some(judge(&old)));
    fields::put(nodes, Shape::Hash, entry.field, &entry.encode(), entry.expiry_ms.is_some(), see)?;
    judged
}

/// Removes a field. True if there was one.
pub fn remove<N: Nodes + ?Sized>(nodes: &mut N, field: &[u8]) -> Result<bool, Fault> {
    fields::remove(nodes, Shape::Hash, field, EMPTY)
}

/// The field at a rank of the order in which [`walk`] goes: for HRANDFIELD.
pub fn at<N: Nodes + ?Sized>(nodes: &N, rank: u64) -> Result<Option<HashEntry<'_>>, Fault> {
    super::at(nodes, Shape::Hash, rank)?.map(decode).transpose()
}

/// Shows the fields from `cursor` (0 to begin) on to `visit`, at least `count` of them if there are, and answers the
/// cursor to go on with; 0 at the end. A field that stays is shown exactly once, whatever changes between two calls.
pub fn scan<'n, N: Nodes + ?Sized>(
    nodes: &'n N,
    cursor: u64,
    count: usize,
    mut visit: impl FnMut(HashEntry<'n>),
) -> Result<u64, Fault> {
    let mut damage = None;
    let next = fields::scan(nodes, Shape::Hash, cursor, count, |element| match decode(element) {
        Ok(entry) => visit(entry),
        Err(fault) => damage = Some(fault),
    })?;
    damage.map_or(Ok(next), Err)
}

/// Notes what it takes to [`scan`] about `count` fields from a cursor on. Without it, a scan ends where memory does.
pub fn touch_scan<N: Nodes + ?Sized>(nodes: &N, cursor: u64, count: u64, missing: &mut Missing) -> Result<(), Fault> {
    fields::touch_scan(nodes, Shape::Hash, cursor, count, missing)
}

/// Notes what it takes to get, set or remove a field.
pub fn touch_field<N: Nodes + ?Sized>(nodes: &N, field: &[u8], missing: &mut Missing) -> Result<(), Fault> {
    fields::touch(nodes, Shape::Hash, field, missing)
}

/// Notes what it takes to walk over these ranks.
pub fn touch_ranks<N: Nodes + ?Sized>(nodes: &N, ranks: Range<u64>, missing: &mut Missing) -> Result<(), Fault> {
    touch(nodes, Shape::Hash, ranks, true, missing)
}

/// False if certainly no field has an expiry. A run is looked at; a tree remembers that there was one, until
/// [`note_no_expiries`].
pub fn may_expire<N: Nodes + ?Sized>(nodes: &N) -> Result<bool, Fault> {
    match super::body(nodes)? {
        super::Body::Tree(root) => Ok(root.expiries),
        super::Body::Run(run) => {
            for element in run.iter() {
                if decode(element.at(NodeId::ROOT)?)?.expiry_ms.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// Says that a whole scan, without a change meanwhile, found no field with an expiry.
pub fn note_no_expiries<N: Nodes + ?Sized>(nodes: &mut N) -> Result<(), Fault> {
    if let super::Body::Tree(root) = super::body(nodes)? {
        super::put_root(nodes, Some(&root), &Root { expiries: false, ..root });
    }
    Ok(())
}

/// Walks the fields from a rank on: a small hash in the order in which they were added, a large one by hash.
pub fn walk<N: Nodes + ?Sized>(
    nodes: &N,
    rank: u64,
) -> Result<impl Iterator<Item = Result<HashEntry<'_>, Fault>>, Fault> {
    Ok(super::walk(nodes, Shape::Hash, rank, false)?.map(|element| element.and_then(decode)))
}

// An element that does not decode is damage of the node that holds it; which one is not known here any more.
#[inline]
fn decode(element: &[u8]) -> Result<HashEntry<'_>, Fault> {
    HashEntry::decode(element).at(NodeId::ROOT)
}
