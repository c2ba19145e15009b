//! A part of a store's keys, by the first bits of their hashes: how a store is read whose whole index would not fit beside the
//! one that serves.
//!
//! ```text
//!  hash of a key   101.....   part 5 of 8: the slots of these keys and of these nodes are in the index, the others are not
//!  hash of a node  101.....   begins as its collection's id does, and so, unless the key was renamed, as its key's
//!  extents         any        in every part: one for each 256 KiB
//! ```
//! A key that was renamed while its tree stayed where it was is *parted*: its slot is in one part, its nodes are in another. Whoever
//! reads the one notes it, and a part made of such keys alone ([`Part::with_moved`]) goes with the other's nodes.
//!
//! Promises: each key is in exactly one part. Never: a decision by anything but hashes.

use crate::change::SpaceId;
use crate::hash::KeyHash;
use crate::log::record::Seq;
use crate::tier::prove::words_of;
use thermocline_value::{CollectionId, Kind};

/// Which slots a recovery keeps, and where the stream ends for it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// There are 2^bits parts.
    bits: u32,
    number: u32,
    /// Only these keys, sorted, instead of all that the part has.
    moved: Option<Vec<Name>>,
    /// What is younger does not count.
    pub(crate) last_seq: Seq,
}

/// A key by the 96 bits that footers know.
pub(crate) type Name = (SpaceId, [u32; 3]);

/// The most bits: those that a node's hash shares with its collection's id.
pub(crate) const PART_BITS_MAX: u32 = 8;

impl Part {
    /// All keys.
    pub(crate) fn whole() -> Part {
        Part::new(0, 0, Seq::MAX)
    }

    /// One of 2^bits parts, up to this seq.
    pub(crate) fn new(bits: u32, number: u32, last_seq: Seq) -> Part {
        assert!(bits <= PART_BITS_MAX && number < 1 << bits, "part {number} of {bits} bits");
        Part { bits, number, moved: None, last_seq }
    }

    /// The part's nodes, and these keys instead of its own.
    pub(crate) fn with_moved(self, mut moved: Vec<Name>) -> Part {
        moved.sort_unstable();
        Part { moved: Some(moved), ..self }
    }

    /// Is it everything?
    pub(crate) fn is_whole(&self) -> bool {
        self.bits == 0 && self.moved.is_none()
    }

    /// The part that has this tree's nodes.
    pub(crate) fn of_tree(bits: u32, collection: CollectionId) -> u32 {
        (collection.0 >> (64 - PART_BITS_MAX)) as u32 >> (PART_BITS_MAX - bits)
    }

    /// Does a record count? `kind` is `None` for a tombstone.
    #[inline]
    pub(crate) fn has(&self, space: SpaceId, hash: KeyHash, kind: Option<Kind>) -> bool {
        if self.is_whole() {
            return true;
        }
        let is_visible = space.visible() == space;
        match &self.moved {
            Some(moved) if is_visible => moved.binary_search(&(space, words_of(hash))).is_ok(),
            // Nobody knows what a tombstone in the hidden space was: one too many does no harm.
            _ if !is_visible && matches!(kind, None | Some(Kind::Extent)) => true,
            _ => (hash.0 >> (128 - PART_BITS_MAX)) as u32 >> (PART_BITS_MAX - self.bits) == self.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::node_name;
    use crate::hash::Hasher;
    use thermocline_value::NodeId;

    #[test]
    fn each_key_is_in_one_part_and_the_nodes_of_a_tree_are_in_one_too() {
        let hasher = Hasher::new(7, 64);
        let space = SpaceId(4);
        for number in 0..500_u64 {
            let hash = hasher.hash(space, &number.to_le_bytes());
            let parts = (0..16).filter(|&part| Part::new(4, part, 1).has(space, hash, Some(Kind::Hash)));
            assert_eq!(parts.count(), 1);
            let collection = CollectionId(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            for node in 1..9 {
                let name = node_name(collection, NodeId::new(node));
                let hash = hasher.hash(space.twin(), &name);
                let parts: Vec<u32> = (0..16)
                    .filter(|&part| Part::new(4, part, 1).has(space.twin(), hash, Some(Kind::HashNode)))
                    .collect();
                assert_eq!(parts, [Part::of_tree(4, collection)]);
            }
        }
    }

    #[test]
    fn a_part_of_moved_keys_has_no_others() {
        let hasher = Hasher::new(7, 64);
        let space = SpaceId(4);
        let (one, other) = (hasher.hash(space, b"one"), hasher.hash(space, b"other"));
        let part = Part::new(1, 0, 1).with_moved(vec![(space, words_of(one))]);
        assert!(part.has(space, one, Some(Kind::Set)) && !part.has(space, other, Some(Kind::Set)));
    }
}
