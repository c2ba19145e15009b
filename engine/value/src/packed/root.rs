//! The root of a collection that has become a tree: where its one or two trees begin. It is the payload of the key's own
//! record, so a key of ten million fields has a record of a few bytes.
//!
//! ```text
//!   0        2                10                       17                      24
//!   +--------+----------------+------------+-----------+------------+----------+
//!   | header | collection u64 | top id 6 B | levels 1 B| second top | levels   |     the second tree: sorted sets only
//!   +--------+----------------+------------+-----------+------------+----------+
//!   header    bits 15 and 14 = 1, bit 0 = there is a second tree, bit 1 = fields may have an expiry
//!   levels    how many inner levels are above the leaves; 0: the top is the only leaf
//! ```
//!
//! The root holds no count and changes only when a tree grows or loses a level: a changed element does not touch it.
//! The length of a collection is the sum in its top node.
//!
//! Promises: read back as written; what cannot be true is refused.
//! Never: reads a node.

use super::{IS_ROOT, NOT_A_RUN, header};
use crate::codec::CodecError;
use crate::packed::inner::LEVEL_MAX;
use crate::tree::nodes::{CollectionId, NodeId};

const SECOND: u16 = 1 << 0;
const EXPIRIES: u16 = 1 << 1;
const TREE: usize = 7;
const FIRST_TREE: usize = 10;

/// Where a tree begins.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct TreeTop {
    /// The node that every descent begins with.
    pub node: NodeId,
    /// Inner levels above the leaves; 0 if `node` is a leaf.
    pub levels: u8,
}

/// The payload of a collection's own record once it is a tree.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Root {
    /// The first half of every node's key. Never reused.
    pub collection: CollectionId,
    /// The tree of the elements; of a sorted set the one by (score, member).
    pub tree: TreeTop,
    /// The second tree of a sorted set: member to score.
    pub second: Option<TreeTop>,
    /// True if some field of the hash may have an expiry. It stays set until a walk found none.
    pub expiries: bool,
}

impl Root {
    /// True if a payload of a collection's own record is a root, false if it is a run.
    pub fn is_root(payload: &[u8]) -> bool {
        header(payload).is_some_and(|header| header & (NOT_A_RUN | IS_ROOT) == NOT_A_RUN | IS_ROOT)
    }

    /// Appends the bytes of the drawing.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let second = if self.second.is_some() { SECOND } else { 0 };
        let expiries = if self.expiries { EXPIRIES } else { 0 };
        into.extend_from_slice(&(NOT_A_RUN | IS_ROOT | second | expiries).to_le_bytes());
        into.extend_from_slice(&self.collection.0.to_le_bytes());
        for top in [Some(self.tree), self.second].into_iter().flatten() {
            into.extend_from_slice(&top.node.number().to_le_bytes()[..6]);
            into.push(top.levels);
        }
    }

    /// Most bytes of a root.
    pub const BYTES_MAX: usize = 24;

    /// Reads a root that stands at the front of `bytes`.
    pub fn decode_front(bytes: &[u8]) -> Result<Root, CodecError> {
        let header = header(bytes).ok_or(CodecError::Truncated)?;
        let end = FIRST_TREE + TREE * if header & SECOND != 0 { 2 } else { 1 };
        Root::decode(bytes.get(..end).ok_or(CodecError::Truncated)?)
    }

    /// Reads a root. The payload must be exactly one.
    pub fn decode(payload: &[u8]) -> Result<Root, CodecError> {
        let header = header(payload).ok_or(CodecError::Truncated)?;
        if header & !(SECOND | EXPIRIES) != NOT_A_RUN | IS_ROOT {
            return Err(CodecError::BadField);
        }
        let collection = payload.get(2..).and_then(|rest| rest.first_chunk::<8>()).ok_or(CodecError::Truncated)?;
        let tree = take_top(payload, FIRST_TREE)?;
        let second = if header & SECOND != 0 { Some(take_top(payload, FIRST_TREE + TREE)?) } else { None };
        let end = FIRST_TREE + TREE * if second.is_some() { 2 } else { 1 };
        if payload.len() != end {
            return Err(CodecError::BadField);
        }
        let collection = CollectionId(u64::from_le_bytes(*collection));
        Ok(Root { collection, tree, second, expiries: header & EXPIRIES != 0 })
    }
}

fn take_top(payload: &[u8], at: usize) -> Result<TreeTop, CodecError> {
    let bytes = payload.get(at..).and_then(|rest| rest.first_chunk::<TREE>()).ok_or(CodecError::Truncated)?;
    let mut id = [0; 8];
    id[..6].copy_from_slice(&bytes[..6]);
    let top = TreeTop { node: NodeId::new(u64::from_le_bytes(id)), levels: bytes[6] };
    if top.node == NodeId::ROOT || top.levels > LEVEL_MAX { Err(CodecError::BadField) } else { Ok(top) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let tree = TreeTop { node: NodeId::new(0x0102), levels: 3 };
        let root = Root { collection: CollectionId(9), tree, second: None, expiries: true };
        let mut payload = Vec::new();
        root.encode(&mut payload);
        assert_eq!(payload, [0x02, 0xC0, 9, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x01, 0, 0, 0, 0, 3]);
        let second = Some(TreeTop { node: NodeId::new(7), levels: 0 });
        payload.clear();
        Root { second, ..root }.encode(&mut payload);
        assert_eq!(payload.len(), 24);
        assert_eq!(Root::decode(&payload).unwrap(), Root { second, ..root });
    }

    proptest! {
        #[test]
        fn foreign_bytes_have_one_encoding(mut bytes in proptest::collection::vec(any::<u8>(), 0..30), flags in 0u8..8) {
            if let Some(first) = bytes.first_chunk_mut::<2>() {
                *first = [flags, 0xC0];
            }
            if let Ok(root) = Root::decode(&bytes) {
                let mut again = Vec::new();
                root.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
