//! The elements of a collection of any kind, one after the other: what copies, payloads, digests and encodings are made of.
//!
//! ```text
//!  list  --each-->  Item(a) Item(b) ..          --add-->  another list, element by element
//!  hash  --each-->  Field(name, value, expiry)  --add-->  another hash
//! ```
//! Promises: the nodes of a part are asked for together before its first element is shown; what was changed by [`add`] is only
//! what the collection says of itself. Never: judges an expiry, or knows a command.

use std::ops::Range;

use thermocline::{Collection, Kind};
use thermocline_rdb::Element;
use thermocline_value::{Fault, HashEntry, ScoredMember, hash, length, list, set, sorted_set};

/// Whether a value of this kind is a collection of elements.
pub fn is_collection(kind: Kind) -> bool {
    matches!(kind, Kind::List | Kind::Hash | Kind::Set | Kind::SortedSet)
}

/// Which way a walk goes. Hashes and sets have no order: theirs is always forward.
#[derive(Copy, Clone, Eq, PartialEq)]
pub enum Way {
    /// From the head, or the lowest score.
    Forward,
    /// From the tail, or the highest score.
    Backward,
}

/// Whether a walk goes on.
#[derive(Copy, Clone, Eq, PartialEq)]
pub enum Walk {
    /// To the next element.
    On,
    /// It has seen enough.
    Enough,
}

/// Asks for the nodes that a walk over these ranks needs.
///
/// # Errors
/// Some are missing.
pub fn ready(collection: &Collection<'_>, ranks: &Range<u64>) -> Result<(), Fault> {
    collection.ready(|nodes, missing| {
        let ranks = ranks.clone();
        match nodes.kind() {
            Kind::List => list::touch_ranks(nodes, ranks, missing),
            Kind::Set => set::touch_ranks(nodes, ranks, missing),
            Kind::SortedSet => sorted_set::touch_ranks(nodes, ranks, missing),
            _ => hash::touch_ranks(nodes, ranks, missing),
        }
    })
}

/// Shows the elements of these ranks (at most as many as there are) to `see`.
///
/// # Errors
/// Nodes are missing or damaged, or what `see` says.
pub fn each<'n, E: From<Fault>>(
    collection: &'n Collection<'_>,
    ranks: Range<u64>,
    way: Way,
    see: impl FnMut(Element<'n>) -> Result<Walk, E>,
) -> Result<(), E> {
    let ranks = ranks.start..ranks.end.min(length(collection)?);
    if ranks.is_empty() {
        return Ok(());
    }
    ready(collection, &ranks)?;
    let count = usize::try_from(ranks.end - ranks.start).unwrap_or(usize::MAX);
    let backward = way == Way::Backward;
    let first = if backward { ranks.end - 1 } else { ranks.start };
    match collection.kind() {
        Kind::List => {
            let items = list::walk(collection, first, backward)?.take(count);
            show(items.map(|item| item.map(Element::Item)), see)
        }
        Kind::Set => show(set::walk(collection, ranks.start)?.take(count).map(|item| item.map(Element::Item)), see),
        Kind::SortedSet => {
            let scored = |ScoredMember { member, score }| Element::Scored { member, score };
            show(sorted_set::walk(collection, first, backward)?.take(count).map(|entry| entry.map(scored)), see)
        }
        _ => {
            let field =
                |HashEntry { field, value, expiry_ms }| Element::Field { field, value, expires_at_ms: expiry_ms };
            show(hash::walk(collection, ranks.start)?.take(count).map(|entry| entry.map(field)), see)
        }
    }
}

fn show<'n, E: From<Fault>>(
    elements: impl Iterator<Item = Result<Element<'n>, Fault>>,
    mut see: impl FnMut(Element<'n>) -> Result<Walk, E>,
) -> Result<(), E> {
    for element in elements {
        if see(element?)? == Walk::Enough {
            break;
        }
    }
    Ok(())
}

/// Adds one element: to a list at its tail. False if it was there before (or is no element of such a collection), which the
/// caller may call an error.
///
/// # Errors
/// Nodes are missing or damaged.
pub fn add(into: &mut Collection<'_>, element: Element<'_>) -> Result<bool, Fault> {
    match (into.kind(), element) {
        (Kind::List, Element::Item(item)) => list::insert(into, u64::MAX, item).map(|()| true),
        (Kind::Set, Element::Item(member)) => set::add(into, member),
        (Kind::SortedSet, Element::Scored { member, score }) if !score.is_nan() => {
            sorted_set::set(into, &ScoredMember { score, member })
        }
        (Kind::Hash, Element::Field { field, value, expires_at_ms }) => {
            hash::set(into, &HashEntry { field, value, expiry_ms: expires_at_ms })
        }
        _ => Ok(false),
    }
}

/// Copies all elements of a collection into an empty one of its kind.
///
/// # Errors
/// Nodes are missing or damaged.
pub fn copy(from: &Collection<'_>, into: &mut Collection<'_>) -> Result<(), Fault> {
    each(from, 0..u64::MAX, Way::Forward, |element| add(into, element).map(|_| Walk::On))
}

/// Bytes of an element: of the field and value, or of the member.
pub fn element_bytes(element: &Element<'_>) -> usize {
    match element {
        Element::Field { field, value, .. } => field.len() + value.len(),
        Element::Item(bytes) | Element::String(bytes) | Element::Raw(bytes) => bytes.len(),
        Element::Scored { member, .. } => member.len(),
    }
}
