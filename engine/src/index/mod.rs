//! The index of one shard and one space: from a 64-bit hash to slot words, without keys.
//!
//! ```text
//!  hash:  | shard | base segment    | 23 stored bits: hash 15, tag 8 | unused |
//!         0       shard_bits        base_bits                        base_bits + 23
//! ```
//! Promises: about 10.7 bytes per key at the mean and at most 12 at any moment, however long keys are; growth moves at most 900
//! slots per step and reads no key; `insert` does not allocate (see [`Spare`]); a scan misses no key that is there throughout.
//! A matching slot is not yet the same key: the caller compares keys.
//! Never: does I/O, locks, remembers a key, or grows because of keys whose bits are all equal.
//!
//! `segment` is the table, `tree` the way to it, `insert`, `bulk`, `scan`, `export` and `presize` what is done with them.

mod bucket;
mod bulk;
mod export;
mod insert;
mod presize;
mod scan;
mod segment;
mod slot;
mod spare;
mod tree;

#[cfg(test)]
mod tests;

pub use export::Part;
pub use slot::{Slot, State};
pub use spare::Spare;

use bucket::STORED_BITS;
use segment::{Position, Segment};
use tree::Node;

/// Shard and base bits together: with the stored bits they fit in a hash.
const BASE_BITS_MAX: u32 = 32;

/// A slot's place in the index: small, copyable, good until the next insert or remove.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SlotRef {
    base: u32,
    stored: u32,
    position: Position,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    shard_bits: u32,
    base_bits: u32,
    /// The shard's number, left-aligned: learned from the first key.
    shard_prefix: u64,
    bases: Box<[Node]>,
    keys: u64,
    bytes: u64,
}

impl Index {
    /// An empty index. The first `shard_bits` of each hash are the same (they chose the shard), the next
    /// `base_bits - shard_bits` choose a base segment. Costs 16 bytes per base segment and nothing else.
    pub fn new(shard_bits: u32, base_bits: u32) -> Index {
        assert!(
            shard_bits <= base_bits && base_bits <= BASE_BITS_MAX,
            "shard bits {shard_bits}, base bits {base_bits}"
        );
        let count = 1_usize << (base_bits - shard_bits);
        let bases: Box<[Node]> = (0..count).map(|_| Node::Empty).collect();
        let bytes = (size_of::<Index>() + count * size_of::<Node>()) as u64;
        Index { shard_bits, base_bits, shard_prefix: 0, bases, keys: 0, bytes }
    }

    /// Visits every slot whose stored bits are those of `hash`, until `stop` answers true; answers that one.
    #[inline]
    pub fn find(&self, hash: u64, mut stop: impl FnMut(SlotRef, Slot) -> bool) -> Option<(SlotRef, Slot)> {
        let (base, stored) = self.address(hash);
        let segment = self.bases[base as usize].descend(stored).0.segment()?;
        let at = |position| SlotRef { base, stored, position };
        let (position, slot) = segment.find(stored, |position, slot| stop(at(position), slot))?;
        Some((at(position), slot))
    }

    /// The slot at a place.
    #[inline]
    pub fn get(&self, at: SlotRef) -> Slot {
        self.segment(at).get(at.position)
    }

    /// Changes all of a slot but its hash bits, which stay. The slot must not become empty: that is `remove`.
    #[inline]
    pub fn set(&mut self, at: SlotRef, slot: Slot) {
        assert!(!slot.is_empty(), "a slot is emptied by remove");
        match self.bases[at.base as usize].descend_mut(at.stored).0 {
            Node::Leaf(segment) => segment.set(at.position, slot),
            Node::Empty | Node::Branch(_) => panic!("the place {at:?} is stale"),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, at: SlotRef) -> Slot {
        let (node, _) = self.bases[at.base as usize].descend_mut(at.stored);
        let Node::Leaf(segment) = node else { panic!("the place {at:?} is stale") };
        let slot = segment.remove(at.position);
        assert!(!slot.is_empty(), "the place {at:?} is stale");
        if segment.keys() == 0 {
            self.bytes -= segment.bytes();
            *node = Node::Empty;
        }
        self.keys -= 1;
        slot
    }

    /// Hints that this hash will be looked up soon.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let (base, stored) = self.address(hash);
        if let Some(segment) = self.bases[base as usize].descend(stored).0.segment() {
            segment.prefetch(stored);
        }
    }

    /// Keys in the index.
    pub fn len(&self) -> u64 {
        self.keys
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Bytes of DRAM it takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is known of the hash of the key at this place: its first bits, left-aligned, and how many.
    #[cfg(test)]
    pub fn known_bits(&self, at: SlotRef) -> (u64, u32) {
        (self.prefix(at.base, at.stored), self.base_bits + STORED_BITS)
    }

    fn segment(&self, at: SlotRef) -> &Segment {
        match self.bases[at.base as usize].descend(at.stored).0 {
            Node::Leaf(segment) => segment,
            Node::Empty | Node::Branch(_) => panic!("the place {at:?} is stale"),
        }
    }

    /// Base segment and stored bits.
    #[inline]
    fn address(&self, hash: u64) -> (u32, u32) {
        address(self.shard_bits, self.base_bits, hash)
    }

    fn prefix(&self, base: u32, stored: u32) -> u64 {
        self.shard_prefix | (u64::from(base) << STORED_BITS | u64::from(stored)) << (64 - STORED_BITS - self.base_bits)
    }

    fn shard_prefix_of(&self, hash: u64) -> u64 {
        if self.shard_bits == 0 { 0 } else { hash >> (64 - self.shard_bits) << (64 - self.shard_bits) }
    }
}

/// Base segment and stored bits of a hash.
#[inline]
fn address(shard_bits: u32, base_bits: u32, hash: u64) -> (u32, u32) {
    // Two shifts: a shift by 64 is not one.
    let base = hash << shard_bits >> 1 >> (63 - (base_bits - shard_bits));
    (base as u32, (hash << base_bits >> (64 - STORED_BITS)) as u32)
}
