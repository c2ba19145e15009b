//! An empty index of the right size: recovery knows how many keys will come, so that none of them moves later.
//!
//! Promises: only memory differs from an index that grew; what turned out too large is given back by `drop_empty` and, piece by
//! piece, by `shrink_segment`. Never: touches an index that has keys.

use super::Index;
use super::bucket::{Bucket, SLOTS};
use super::segment::{BUCKETS_MAX, Segment, size_for};
use super::tree::Node;

/// Keys per base segment below which growing costs nothing.
const KEYS_PER_BASE_MIN: u64 = 32;

impl Index {
    /// Makes room for `keys` keys whose hashes begin like `hash`, evenly spread. Only if there are none yet.
    pub fn presize(&mut self, keys: u64, hash: u64) {
        let per_base = keys / self.bases.len() as u64;
        if !self.is_empty() || per_base < KEYS_PER_BASE_MIN {
            return;
        }
        self.shard_prefix = self.shard_prefix_of(hash);
        // A segment should take its share and two standard deviations more.
        let wanted = |depth: u32| {
            let share = per_base as usize >> depth;
            share + 2 * share.isqrt()
        };
        let depth = (0..8).find(|&depth| wanted(depth) * 10 <= BUCKETS_MAX * SLOTS * 8).unwrap_or(8);
        for base in 0..self.bases.len() {
            self.bases[base] = tree(depth, size_for(wanted(depth)));
            self.bytes += bytes_of(&self.bases[base]);
        }
    }

    /// Gives back the segments that got no key.
    pub fn drop_empty(&mut self) {
        for base in 0..self.bases.len() {
            let before = bytes_of(&self.bases[base]);
            drop_empty(&mut self.bases[base]);
            self.bytes = self.bytes + bytes_of(&self.bases[base]) - before;
        }
    }
}

fn tree(depth: u32, buckets: usize) -> Node {
    if depth > 0 {
        return Node::Branch(Box::new([tree(depth - 1, buckets), tree(depth - 1, buckets)]));
    }
    let mut segment = Box::<Segment>::default();
    segment.resize(buckets, |length| vec![Bucket::default(); length].into_boxed_slice(), |_| ());
    Node::Leaf(segment)
}

fn drop_empty(node: &mut Node) {
    match node {
        Node::Empty => {}
        Node::Leaf(segment) if segment.keys() > 0 => {}
        Node::Leaf(_) => *node = Node::Empty,
        Node::Branch(children) => {
            children.iter_mut().for_each(drop_empty);
            if children.iter().all(|child| matches!(child, Node::Empty)) {
                *node = Node::Empty;
            }
        }
    }
}

fn bytes_of(node: &Node) -> u64 {
    match node {
        Node::Empty => 0,
        Node::Leaf(segment) => segment.bytes(),
        Node::Branch(children) => size_of::<[Node; 2]>() as u64 + children.iter().map(bytes_of).sum::<u64>(),
    }
}
