//! Node edits: the small changes of payloads, as they are done, logged, and done again at recovery.
//!
//! ```text
//!   01  position  tag  element...                    put an element into a run
//!   02  position  element...                         replace an element of a run; its tag stays
//!   03  position  n                                  remove n elements of a run
//!   04  place  child  count                          a child holds so many elements (absolute, never added)
//!   05  place  child  count  prefix(8 B)  tail...    put a child into an inner node
//!   06  place                                        remove a child of an inner node
//! ```
//! Numbers are varints, but for the tag (one byte) and the prefix; `...` goes to the end.
//!
//! Promises: an edit decoded from its bytes does exactly what the edit did that they came from, because both are this
//! code; one that does not fit its payload is an error and changes nothing.
//! Never: names the node that it changes: the log record that carries it does.

use super::inner::{Child, find_count, insert_child, remove_child, set_count};
use super::run::splice;
use crate::codec::{CodecError, put_varint, take_varint};
use crate::tree::key::Key;
use crate::tree::nodes::NodeId;
use std::ops::Range;

/// A small change of one payload.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NodeEdit<'e>(pub(crate) Edit<'e>);

/// How many elements are below a child: the edit that a change of one element needs in each node above it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct ChildCount {
    place: usize,
    child: NodeId,
    count: u64,
}

impl ChildCount {
    /// The child.
    #[inline]
    pub fn child(&self) -> NodeId {
        self.child
    }

    /// The same as an edit.
    pub fn edit(&self) -> NodeEdit<'static> {
        NodeEdit(Edit::ChildCount { place: self.place, child: self.child, count: self.count })
    }

    /// Where in this payload the count stands; nowhere (an empty range) if the child does not.
    ///
    /// # Errors
    /// The payload does not take it.
    pub fn find(&self, payload: &[u8]) -> Result<Range<usize>, CodecError> {
        find_count(payload, self.place, self.child, self.count)
    }

    /// Writes the count into the bytes that [`ChildCount::find`] has named.
    #[inline]
    pub fn write(&self, into: &mut [u8]) {
        let bytes = self.count.to_le_bytes();
        into.copy_from_slice(&bytes[..into.len()]);
    }
}

/// The kinds of edits. The numbers reach the disk: append, never renumber.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Edit<'e> {
    Insert { position: usize, tag: u8, element: &'e [u8] },
    Replace { position: usize, element: &'e [u8] },
    Remove { position: usize, count: usize },
    ChildCount { place: usize, child: NodeId, count: u64 },
    InsertChild { place: usize, child: Child<'e> },
    RemoveChild { place: usize },
}

impl<'e> NodeEdit<'e> {
    /// Changes a payload, in place.
    pub fn apply(&self, payload: &mut Vec<u8>) -> Result<(), CodecError> {
        match self.0 {
            Edit::Insert { position, tag, element } => splice(payload, position, 0, Some((tag, element))),
            Edit::Replace { position, element } => {
                let tag = super::run::Run::open(payload)?.tag(position);
                splice(payload, position, 1, Some((tag, element)))
            }
            Edit::Remove { position, count } => splice(payload, position, count, None),
            Edit::ChildCount { place, child, count } => set_count(payload, place, child, count),
            Edit::InsertChild { place, ref child } => insert_child(payload, place, child),
            Edit::RemoveChild { place } => remove_child(payload, place),
        }
    }

    /// True for the counts that parents hold. They change with every insertion below, and need not be logged each time:
    /// see "What the engine provides" in the crate's README.
    pub fn is_count(&self) -> bool {
        matches!(self.0, Edit::ChildCount { .. })
    }

    /// What it says, if it is the count of a child.
    #[inline]
    pub fn child_count(&self) -> Option<ChildCount> {
        match self.0 {
            Edit::ChildCount { place, child, count } => Some(ChildCount { place, child, count }),
            _ => None,
        }
    }

    /// Appends the bytes of the drawing.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self.0 {
            Edit::Insert { position, tag, element } => {
                into.push(1);
                put_varint(position as u64, into);
                into.push(tag);
                into.extend_from_slice(element);
            }
            Edit::Replace { position, element } => {
                into.push(2);
                put_varint(position as u64, into);
                into.extend_from_slice(element);
            }
            Edit::Remove { position, count } => {
                into.push(3);
                put_varint(position as u64, into);
                put_varint(count as u64, into);
            }
            Edit::ChildCount { place, child, count } => {
                into.push(4);
                put_varint(place as u64, into);
                put_varint(child.number(), into);
                put_varint(count, into);
            }
            Edit::InsertChild { place, child } => {
                into.push(5);
                put_varint(place as u64, into);
                put_varint(child.id.number(), into);
                put_varint(child.count, into);
                into.extend_from_slice(&child.separator.prefix.to_le_bytes());
                into.extend_from_slice(child.separator.tail);
            }
            Edit::RemoveChild { place } => {
                into.push(6);
                put_varint(place as u64, into);
            }
        }
    }

    /// Reads an edit; it borrows the elements from `bytes`.
    pub fn decode(mut bytes: &'e [u8]) -> Result<NodeEdit<'e>, CodecError> {
        let bytes = &mut bytes;
        let number = take_byte(bytes)?;
        let position = take_usize(bytes)?;
        let edit = match number {
            1 => {
                let tag = take_byte(bytes)?;
                Edit::Insert { position, tag, element: std::mem::take(bytes) }
            }
            2 => Edit::Replace { position, element: std::mem::take(bytes) },
            3 => Edit::Remove { position, count: take_usize(bytes)? },
            4 => Edit::ChildCount { place: position, child: take_id(bytes)?, count: take_varint(bytes)? },
            5 => {
                let (id, count) = (take_id(bytes)?, take_varint(bytes)?);
                let (prefix, tail) = bytes.split_first_chunk::<8>().ok_or(CodecError::Truncated)?;
                *bytes = &[];
                let separator = Key { prefix: u64::from_le_bytes(*prefix), tail };
                Edit::InsertChild { place: position, child: Child { id, count, separator } }
            }
            6 => Edit::RemoveChild { place: position },
            _ => return Err(CodecError::BadField),
        };
        if bytes.is_empty() { Ok(NodeEdit(edit)) } else { Err(CodecError::BadField) }
    }
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8, CodecError> {
    let (&byte, rest) = bytes.split_first().ok_or(CodecError::Truncated)?;
    *bytes = rest;
    Ok(byte)
}

fn take_usize(bytes: &mut &[u8]) -> Result<usize, CodecError> {
    usize::try_from(take_varint(bytes)?).map_err(|_| CodecError::BadField)
}

fn take_id(bytes: &mut &[u8]) -> Result<NodeId, CodecError> {
    let number = take_varint(bytes)?;
    if number == 0 || number > NodeId::MAX { Err(CodecError::BadField) } else { Ok(NodeId::new(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(edit: &NodeEdit<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        bytes
    }

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let insert = NodeEdit(Edit::Insert { position: 300, tag: 7, element: b"ab" });
        assert_eq!(encoded(&insert), [1, 0xAC, 0x02, 7, b'a', b'b']);
        let count = NodeEdit(Edit::ChildCount { place: 1, child: NodeId::new(2), count: 3 });
        assert_eq!(encoded(&count), [4, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn an_edit_is_read_back(
            kind in 0usize..6, position in any::<usize>(), tag in any::<u8>(), count in any::<u64>(),
            id in 1u64..=NodeId::MAX, prefix in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let child = NodeId::new(id);
            let edit = NodeEdit([
                Edit::Insert { position, tag, element: &bytes },
                Edit::Replace { position, element: &bytes },
                Edit::Remove { position, count: count as usize },
                Edit::ChildCount { place: position, child, count },
                Edit::InsertChild { place: position, child: Child { id: child, count, separator: Key { prefix, tail: &bytes } } },
                Edit::RemoveChild { place: position },
            ][kind]);
            let bytes = encoded(&edit);
            prop_assert_eq!(NodeEdit::decode(&bytes), Ok(edit));
        }

        #[test]
        fn foreign_edits_on_foreign_payloads_never_panic(
            edit in proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..40),
            payload in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..200),
        ) {
            if let Ok(edit) = NodeEdit::decode(&edit) {
                let mut changed = payload.clone();
                if edit.apply(&mut changed).is_err() {
                    prop_assert_eq!(changed, payload);
                }
            }
        }
    }
}
