//! Writers of the four kinds of collections, as one.
//!
//! Promises: what is left out breaks the promise of the count, and `end` says so. Never: decides what to leave out.

use std::io::Write;

use thermocline::Kind;
use thermocline_rdb::{Element, Error, HashWriter, ListWriter, SetWriter, SortedSetWriter, ValueWriter};

/// Writers of the four kinds of collections, as one.
pub enum CollectionWriter<'w, W: Write> {
    /// A list.
    List(ListWriter<'w, W>),
    /// A set.
    Set(SetWriter<'w, W>),
    /// A sorted set.
    SortedSet(SortedSetWriter<'w, W>),
    /// A hash.
    Hash(HashWriter<'w, W>),
}

impl<'w, W: Write> CollectionWriter<'w, W> {
    /// Begins a value of so many elements. `earliest_ms`: the earliest time at which a field of a hash expires, if one does.
    ///
    /// # Errors
    /// No elements, an output that fails, or a version that has no fields that expire.
    pub fn begin(
        value: ValueWriter<'w, W>,
        kind: Kind,
        count: u64,
        earliest_ms: Option<u64>,
    ) -> Result<CollectionWriter<'w, W>, Error> {
        Ok(match (kind, earliest_ms) {
            (Kind::List, _) => CollectionWriter::List(value.list(count)?),
            (Kind::Set, _) => CollectionWriter::Set(value.set(count)?),
            (Kind::SortedSet, _) => CollectionWriter::SortedSet(value.sorted_set(count)?),
            (_, None) => CollectionWriter::Hash(value.hash(count)?),
            (_, Some(earliest_ms)) => CollectionWriter::Hash(value.hash_that_expires(count, earliest_ms)?),
        })
    }

    /// The next element. What is no element of such a collection is left out, and `end` says so.
    ///
    /// # Errors
    /// More than were promised, or an output that fails.
    pub fn add(&mut self, element: Element<'_>) -> Result<(), Error> {
        match (self, element) {
            (CollectionWriter::List(writer), Element::Item(item)) => writer.element(item),
            (CollectionWriter::Set(writer), Element::Item(member)) => writer.member(member),
            (CollectionWriter::SortedSet(writer), Element::Scored { member, score }) => writer.member(member, score),
            (CollectionWriter::Hash(writer), Element::Field { field, value, expires_at_ms }) => {
                writer.field(field, value, expires_at_ms)
            }
            // What is left out breaks the promise of the count, and `end` says so.
            _ => Ok(()),
        }
    }

    /// The value is complete.
    ///
    /// # Errors
    /// Not as many elements as were promised, or an output that fails.
    pub fn end(self) -> Result<(), Error> {
        match self {
            CollectionWriter::List(writer) => writer.end(),
            CollectionWriter::Set(writer) => writer.end(),
            CollectionWriter::SortedSet(writer) => writer.end(),
            CollectionWriter::Hash(writer) => writer.end(),
        }
    }
}
