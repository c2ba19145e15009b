//! The way from a base segment's number to the segment: a binary tree over the stored bits, one bit per level.
//!
//! ```text
//!  bases[n] = Branch                      bit 22 of the stored bits
//!              |- Leaf  (0.......)
//!              '- Branch                  bit 21
//!                  |- Leaf  (10......)
//!                  '- Empty (11......)    no key here yet: costs nothing
//! ```
//! A tree and not a table of 2^depth pointers: a few keys with a long common prefix cost a few levels, not a table. With as many
//! base segments as the machine deserves the depth is 0 to 3. In-order is hash order.

use super::bucket::STORED_BITS;
use super::segment::Segment;

/// A place in the tree.
#[derive(Debug, Default)]
pub(super) enum Node {
    /// No key.
    #[default]
    Empty,
    /// The keys of this prefix.
    Leaf(Box<Segment>),
    /// By the next bit.
    Branch(Box<[Node; 2]>),
}

/// The bit by which a node at this depth branches.
pub(super) fn bit_at(stored: u32, depth: u32) -> usize {
    (stored >> (STORED_BITS - 1 - depth) & 1) as usize
}

/// How many stored values begin with one prefix of this depth.
pub(super) fn width(depth: u32) -> u32 {
    1 << (STORED_BITS - depth)
}

impl Node {
    /// The node where these bits end, and its depth.
    #[inline]
    pub(super) fn descend(&self, stored: u32) -> (&Node, u32) {
        let (mut node, mut depth) = (self, 0);
        while let Node::Branch(children) = node {
            node = &children[bit_at(stored, depth)];
            depth += 1;
        }
        (node, depth)
    }

    #[inline]
    pub(super) fn descend_mut(&mut self, stored: u32) -> (&mut Node, u32) {
        let (mut node, mut depth) = (self, 0);
        while let Node::Branch(children) = node {
            node = &mut children[bit_at(stored, depth)];
            depth += 1;
        }
        (node, depth)
    }

    #[inline]
    pub(super) fn segment(&self) -> Option<&Segment> {
        match self {
            Node::Leaf(segment) => Some(segment),
            Node::Empty | Node::Branch(_) => None,
        }
    }
}
