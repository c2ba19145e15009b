//! Shapes: what the elements of a tree look like, and what decides their order.
//!
//! ```text
//!   List        element = the bytes                                            by position     no tags
//!   Set         element = the member                                           by hash         tags
//!   Hash        element = varint(2 * field length + e), [expiry], field, value by hash         tags
//!   SortedSet   element = score, member                                        by score        no tags
//!   Scores      element = score, member                                        by hash         tags
//!
//!   the field "f" with the value "v": 02 66 76      with an expiry: 03, six bytes of milliseconds, 66 76
//! ```
//!
//! `SortedSet` and `Scores` are the two trees of one sorted set. The second holds the members too and not only their
//! hashes: it alone can serve ZSCAN, whose cursor must survive changes of scores, and it answers ZSCORE with one leaf.
//!
//! By hash, a leaf holds its elements in the order in which they came: they are found by tag, an insertion is an append,
//! and a small hash lists its fields as Redis does. Which leaf holds a field is decided by (hash, field). By score and by
//! position, a leaf is in order itself.
//!
//! Promises: an element is read back as written; foreign bytes give an error.
//! Never: looks at more than one element.

use super::key::Key;
use super::nodes::Nodes;
use crate::codec::{CodecError, put_varint, take_varint, varint_bytes};
use crate::packed::score::{put_score, sortable, take_score};

/// Bytes of an expiry: milliseconds since 1970 up to the year 10889.
const EXPIRY_BYTES: usize = 6;
/// The last expiry that can be stored.
pub const EXPIRY_MS_MAX: u64 = (1 << (8 * EXPIRY_BYTES)) - 1;

/// What elements look like, and their order.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    List,
    Set,
    Hash,
    SortedSet,
    Scores,
}

impl Shape {
    /// True if elements are found by the hash of their field.
    #[inline]
    pub(crate) const fn is_hashed(self) -> bool {
        matches!(self, Shape::Set | Shape::Hash | Shape::Scores)
    }

    /// True if inner nodes have separators.
    #[inline]
    pub(crate) const fn is_keyed(self) -> bool {
        !matches!(self, Shape::List)
    }

    /// The field or member of an element.
    #[inline]
    pub(crate) fn field(self, element: &[u8]) -> Result<&[u8], CodecError> {
        match self {
            Shape::List | Shape::Set => Ok(element),
            Shape::Hash => Ok(HashEntry::decode(element)?.field),
            Shape::SortedSet | Shape::Scores => Ok(ScoredMember::decode(element)?.member),
        }
    }

    /// Where an element stands. A list's element has no key.
    pub(crate) fn key<'e, N: Nodes + ?Sized>(self, element: &'e [u8], nodes: &N) -> Result<Key<'e>, CodecError> {
        match self {
            Shape::List => Ok(Key::default()),
            Shape::SortedSet => {
                let scored = ScoredMember::decode(element)?;
                Ok(Key { prefix: sortable(scored.score), tail: scored.member })
            }
            Shape::Set | Shape::Hash | Shape::Scores => {
                let field = self.field(element)?;
                Ok(Key { prefix: nodes.hash(field), tail: field })
            }
        }
    }
}

/// A field of a hash.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct HashEntry<'b> {
    /// The field's name.
    pub field: &'b [u8],
    /// Its value.
    pub value: &'b [u8],
    /// When it expires, in milliseconds since 1970, if ever. An entry past it is still an entry: the caller has the clock.
    pub expiry_ms: Option<u64>,
}

impl<'b> HashEntry<'b> {
    #[inline]
    pub(crate) fn decode(mut element: &'b [u8]) -> Result<HashEntry<'b>, CodecError> {
        let head = take_varint(&mut element)?;
        let expiry_ms = if head & 1 == 1 {
            let (expiry, rest) = element.split_first_chunk::<EXPIRY_BYTES>().ok_or(CodecError::Truncated)?;
            element = rest;
            let mut wide = [0; 8];
            wide[..EXPIRY_BYTES].copy_from_slice(expiry);
            Some(u64::from_le_bytes(wide))
        } else {
            None
        };
        let length = usize::try_from(head >> 1).map_err(|_| CodecError::Truncated)?;
        let (field, value) = element.split_at_checked(length).ok_or(CodecError::Truncated)?;
        Ok(HashEntry { field, value, expiry_ms })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = (self.field.len() as u64) << 1 | u64::from(self.expiry_ms.is_some());
        let bytes = varint_bytes(head) + EXPIRY_BYTES + self.field.len() + self.value.len();
        let mut element = Vec::with_capacity(bytes);
        put_varint(head, &mut element);
        if let Some(expiry) = self.expiry_ms {
            element.extend_from_slice(&expiry.min(EXPIRY_MS_MAX).to_le_bytes()[..EXPIRY_BYTES]);
        }
        element.extend_from_slice(self.field);
        element.extend_from_slice(self.value);
        element
    }
}

/// A member of a sorted set.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct ScoredMember<'b> {
    /// Its score; never NaN.
    pub score: f64,
    /// The member.
    pub member: &'b [u8],
}

impl<'b> ScoredMember<'b> {
    #[inline]
    pub(crate) fn decode(mut element: &'b [u8]) -> Result<ScoredMember<'b>, CodecError> {
        let score = take_score(&mut element)?;
        Ok(ScoredMember { score, member: element })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut element = Vec::with_capacity(9 + self.member.len());
        put_score(self.score, &mut element);
        element.extend_from_slice(self.member);
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let entry = HashEntry { field: b"f", value: b"v", expiry_ms: None };
        assert_eq!(entry.encode(), [0x02, b'f', b'v']);
        let entry = HashEntry { expiry_ms: Some(0x0102), ..entry };
        assert_eq!(entry.encode(), [0x03, 2, 1, 0, 0, 0, 0, b'f', b'v']);
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back(field in any::<Vec<u8>>(), value in any::<Vec<u8>>(), expiry in proptest::option::of(0..=EXPIRY_MS_MAX)) {
            let entry = HashEntry { field: &field, value: &value, expiry_ms: expiry };
            let element = entry.encode();
            prop_assert_eq!(HashEntry::decode(&element), Ok(entry));
            let scored = ScoredMember { score: value.len() as f64 / 2.0, member: &field };
            let element = scored.encode();
            prop_assert_eq!(ScoredMember::decode(&element), Ok(scored));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = HashEntry::decode(&bytes);
            let _ = ScoredMember::decode(&bytes);
        }
    }
}
