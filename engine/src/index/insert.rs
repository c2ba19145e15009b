//! Insert and growth: place the key; else one growth step at a time until it has a place.
//!
//! | segment is | step | moves |
//! |---|---|---|
//! | not there | a fresh one of a single bucket | 0 |
//! | smaller than 128 buckets | the next size (x1.25 or less) | all its keys, at most 784 |
//! | 128 buckets | split by the next stored bit, the children sized by what they get (80 buckets at the mean) | at most 896 |
//! | full of equal bits | a longer overflow list | the list |
//!
//! The way back: a segment without keys goes at once (`remove`), one that is less than half full when `shrink_segment` comes by.

use super::segment::{BUCKETS_MAX, NoRoom, SIZES, Segment, is_sparse, size_for};
use super::slot::Slot;
use super::spare::{NeedsMemory, Spare, Wanted};
use super::tree::{Node, bit_at};
use super::{Index, SlotRef};

/// An overflow list starts with this many keys.
const OVERFLOW_KEYS_MIN: usize = 4;
/// What a split may add to an overflow list.
const OVERFLOW_RESERVE: usize = 8;

impl Index {
    /// Puts in a slot for a key with this hash; its hash bits are filled in. It does not look whether the key is there already.
    /// Allocates nothing: when growth needs memory that `spare` does not have, nothing is inserted; refill and repeat.
    pub fn insert(&mut self, hash: u64, slot: Slot, spare: &mut Spare) -> Result<SlotRef, NeedsMemory> {
        assert!(!slot.is_empty(), "an empty slot is no key");
        self.learn_shard(hash);
        let (base, stored) = self.address(hash);
        let slot = slot.with_hash(stored >> 8);
        let (mut node, mut depth) = self.bases[base as usize].descend_mut(stored);
        loop {
            let failed = match node {
                Node::Empty => None,
                Node::Leaf(segment) => match segment.insert(stored, slot) {
                    Ok(position) => {
                        self.keys += 1;
                        return Ok(SlotRef { base, stored, position });
                    }
                    Err(failed) => Some(failed),
                },
                Node::Branch(children) => {
                    node = &mut children[bit_at(stored, depth)];
                    depth += 1;
                    continue;
                }
            };
            let before = bytes(node);
            match failed {
                None => begin(node, spare)?,
                Some(NoRoom::Overflow) => lengthen_overflow(node, spare)?,
                Some(NoRoom::Grow) => grow(node, depth, spare)?,
            }
            self.bytes = self.bytes + bytes(node) - before;
        }
    }

    /// Makes the first segment from `cursor` on smaller, if it is less than half full; answers the cursor for the next one,
    /// `None` at the end. For a background pass after many removals; every place found before is stale afterwards.
    pub fn shrink_segment(&mut self, cursor: u64, spare: &mut Spare) -> Result<Option<u64>, NeedsMemory> {
        let Some((base, stored, next)) = self.segment_from(cursor) else { return Ok(None) };
        let Node::Leaf(segment) = self.bases[base as usize].descend_mut(stored).0 else {
            unreachable!("a segment was found there");
        };
        if is_sparse(segment.keys(), segment.bucket_count()) {
            let before = segment.bytes();
            rehash(segment, size_for(segment.keys()), spare)?;
            self.bytes = self.bytes + segment.bytes() - before;
        }
        Ok(next)
    }

    fn learn_shard(&mut self, hash: u64) {
        let shard_prefix = self.shard_prefix_of(hash);
        if self.keys == 0 {
            self.shard_prefix = shard_prefix;
        }
        assert_eq!(shard_prefix, self.shard_prefix, "the hash {hash:#x} belongs to another shard");
    }
}

/// What a node and those directly below it take.
fn bytes(node: &Node) -> u64 {
    match node {
        Node::Empty => 0,
        Node::Leaf(segment) => segment.bytes(),
        Node::Branch(children) => size_of::<[Node; 2]>() as u64 + children.iter().map(bytes).sum::<u64>(),
    }
}

fn begin(node: &mut Node, spare: &mut Spare) -> Result<(), NeedsMemory> {
    spare.demand(Wanted::default().with_table(0, 1).with_segment())?;
    *node = Node::Leaf(spare.segment(1));
    Ok(())
}

fn lengthen_overflow(node: &mut Node, spare: &mut Spare) -> Result<(), NeedsMemory> {
    let Node::Leaf(segment) = node else { unreachable!("only a segment has an overflow list") };
    let overflow = (segment.overflow.len() * 2).max(OVERFLOW_KEYS_MIN);
    spare.demand(Wanted { overflow, ..Wanted::default() })?;
    let old = segment.exchange_overflow(spare.list());
    spare.retire_list(old);
    Ok(())
}

fn grow(node: &mut Node, depth: u32, spare: &mut Spare) -> Result<(), NeedsMemory> {
    let Node::Leaf(segment) = node else { unreachable!("only a segment grows") };
    match SIZES.into_iter().find(|&size| size > segment.bucket_count()) {
        Some(buckets) => rehash(segment, buckets, spare),
        None => {
            debug_assert_eq!(segment.bucket_count(), BUCKETS_MAX);
            split(node, depth, spare)
        }
    }
}

fn rehash(segment: &mut Segment, buckets: usize, spare: &mut Spare) -> Result<(), NeedsMemory> {
    let wanted = Wanted { keys: segment.keys(), ..Wanted::default() };
    spare.demand(wanted.with_table(segment.bucket_count(), buckets))?;
    let mut keys = spare.drain(segment);
    spare.resize(segment, buckets);
    segment.fill(keys.drain(..));
    spare.put_back(keys);
    Ok(())
}

fn split(node: &mut Node, depth: u32, spare: &mut Spare) -> Result<(), NeedsMemory> {
    let Node::Leaf(segment) = node else { unreachable!("only a segment splits") };
    let mut counts = [0; 2];
    segment.for_each(|_, stored, _| counts[bit_at(stored, depth)] += 1);
    let overflow = if segment.overflow.is_empty() { 0 } else { segment.overflow.len() + OVERFLOW_RESERVE };
    // The old segment becomes the child with more keys; the other one, if it has any, is new.
    let (kept, made) = if counts[0] >= counts[1] { (0, 1) } else { (1, 0) };
    let sizes = counts.map(size_for);
    let mut wanted = Wanted { keys: segment.keys(), branches: 1, ..Wanted::default() }
        .with_table(segment.bucket_count(), sizes[kept]);
    if counts[made] > 0 {
        wanted = Wanted { overflow, ..wanted.with_table(0, sizes[made]).with_segment() };
    }
    spare.demand(wanted)?;

    let mut children = spare.branch();
    let keys = spare.drain(segment);
    spare.resize(segment, sizes[kept]);
    segment.fill(keys.iter().copied().filter(|&(stored, _)| bit_at(stored, depth) == kept));
    if counts[made] > 0 {
        let mut sibling = spare.segment(sizes[made]);
        if overflow > 0 {
            sibling.overflow = spare.list();
        }
        sibling.fill(keys.iter().copied().filter(|&(stored, _)| bit_at(stored, depth) == made));
        children[made] = Node::Leaf(sibling);
    }
    spare.put_back(keys);
    children[kept] = std::mem::take(node);
    *node = Node::Branch(children);
    Ok(())
}
