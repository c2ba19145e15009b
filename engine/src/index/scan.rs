//! Walking the index in the order of the hash.
//!
//! A cursor is a hash prefix: everything below it was visited. Growth moves slots about, but never changes a key's hash, so a
//! key that is there throughout is visited exactly once. Inside a segment slots are in no order, so one call visits the slots
//! of a range of prefixes that is just wide enough for `at_least` keys; keys with equal bits always come together.
//!
//! Worked example, 4 bits: a segment holds 1, 9, 4, 4, 12 and the caller wants 2 from cursor 2 on. The two smallest that are
//! left are 4 and 4, so both are visited and the next cursor is 5. The segment may split before the next call: 9 and 12 are
//! then elsewhere, but they are still the keys from 5 on.

use super::bucket::STORED_BITS;
use super::segment::Segment;
use super::tree::{Node, width};
use super::{Index, Slot, SlotRef};

impl Index {
    /// Visits, in the order of prefixes, at least `at_least` slots from `cursor` on (fewer only at the end), each with what is
    /// known of its hash (left-aligned, and how many bits). Answers the next cursor, `None` at the end. 0 begins.
    pub fn scan(&self, cursor: u64, at_least: usize, mut visit: impl FnMut(SlotRef, Slot, u64, u32)) -> Option<u64> {
        let mut place = self.place_of(cursor)?;
        let mut visited = 0;
        loop {
            let (base, stored) = (place >> STORED_BITS, place as u32 & (width(0) - 1));
            let (node, depth) = self.bases.get(base as usize)?.descend(stored);
            let end = (place >> (STORED_BITS - depth) << (STORED_BITS - depth)) + u64::from(width(depth));
            let Some(segment) = node.segment() else {
                place = end;
                continue;
            };
            let missing = at_least.max(1) - visited;
            let last = last_of_range(segment, stored, missing);
            segment.for_each(|position, bits, slot| {
                if bits >= stored && last.is_none_or(|last| bits <= last) {
                    let at = SlotRef { base: base as u32, stored: bits, position };
                    visit(at, slot, self.prefix(at.base, bits), self.base_bits + STORED_BITS);
                    visited += 1;
                }
            });
            place = last.map_or(end, |last| base << STORED_BITS | u64::from(last + 1));
            if visited >= at_least.max(1) {
                return self.cursor_at(place);
            }
        }
    }

    /// Visits every slot once, as `scan` does.
    pub fn for_each(&self, mut visit: impl FnMut(SlotRef, Slot, u64, u32)) {
        for (base, node) in (0..).zip(&self.bases) {
            each_segment(node, &mut |segment| {
                segment.for_each(|position, stored, slot| {
                    visit(
                        SlotRef { base, stored, position },
                        slot,
                        self.prefix(base, stored),
                        self.base_bits + STORED_BITS,
                    );
                });
            });
        }
    }

    /// The cursor as a number that counts base segments and stored bits; `None` when it is past this shard.
    fn place_of(&self, cursor: u64) -> Option<u64> {
        if self.is_empty() || self.shard_prefix_of(cursor) > self.shard_prefix {
            return None;
        }
        if self.shard_prefix_of(cursor) < self.shard_prefix {
            return Some(0);
        }
        let (base, stored) = self.address(cursor);
        Some(u64::from(base) << STORED_BITS | u64::from(stored))
    }

    fn cursor_at(&self, place: u64) -> Option<u64> {
        let (base, stored) = (place >> STORED_BITS, place as u32 & (width(0) - 1));
        (base < self.bases.len() as u64).then(|| self.prefix(base as u32, stored))
    }

    /// The first segment that ends after `cursor`: its base, stored bits that lead to it, and the cursor behind it.
    pub(super) fn segment_from(&self, cursor: u64) -> Option<(u32, u32, Option<u64>)> {
        let mut place = self.place_of(cursor)?;
        loop {
            let (base, stored) = (place >> STORED_BITS, place as u32 & (width(0) - 1));
            let (node, depth) = self.bases.get(base as usize)?.descend(stored);
            place = (place >> (STORED_BITS - depth) << (STORED_BITS - depth)) + u64::from(width(depth));
            if node.segment().is_some() {
                return Some((base as u32, stored, self.cursor_at(place)));
            }
        }
    }
}

fn each_segment(node: &Node, visit: &mut impl FnMut(&Segment)) {
    match node {
        Node::Empty => {}
        Node::Leaf(segment) => visit(segment),
        Node::Branch(children) => children.iter().for_each(|child| each_segment(child, visit)),
    }
}

/// The stored bits up to which `missing` keys lie, from `stored` on; `None`: all the segment's keys are wanted.
fn last_of_range(segment: &Segment, stored: u32, missing: usize) -> Option<u32> {
    let mut left = Vec::with_capacity(segment.keys());
    segment.for_each(|_, bits, _| {
        if bits >= stored {
            left.push(bits);
        }
    });
    (left.len() > missing).then(|| *left.select_nth_unstable(missing - 1).1)
}
