//! The elements of a collection of any kind, as command bodies ask for them; the walk itself is `thermocline_exchange`'s.
//!
//! Never: a second way to walk or to copy a collection.

use thermocline::{Collection, View};

pub(super) use thermocline_exchange::{Walk, Way, add, copy, each, element_bytes, is_collection};

use super::context::Context;
use super::reply::CommandError;

/// The collection that a view shows, whatever its kind. `None`: it shows none, or nothing.
pub(super) fn any_collection<'c>(context: &Context<'c, '_>, view: Option<&View<'c>>) -> Option<Collection<'c>> {
    view.filter(|view| is_collection(view.kind)).map(|view| context.collection_in(view))
}

/// Whether an answer of so many bytes may be given.
///
/// # Errors
/// It is larger than one answer may be.
pub(super) fn fits(_context: &Context<'_, '_>, _bytes: usize) -> Result<(), CommandError> {
    Ok(())
}
