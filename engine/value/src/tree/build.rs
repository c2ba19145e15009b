//! From a run to a tree, at once: a run is a few KiB, so this is a handful of leaves and one node above them.
//!
//! Promises: leaves are filled to three quarters (a list's to the brim: it grows at its ends), so the next insertions do
//! not split them all.
//! Never: reads a node.

use super::Tree;
use super::insert::{Entry, separator, sort};
use super::limits::{INNER_BYTES_MAX, INNER_CHILDREN_MIN, leaf_bytes_fit, leaf_bytes_max};
use super::nodes::{NodeId, Nodes};
use super::shape::Shape;
use crate::CodecError;
use crate::packed::inner::{Child, write as write_inner};
use crate::packed::root::TreeTop;
use crate::packed::run::{run_bytes, stored_bytes, write};

impl Tree {
    /// Makes a tree of these elements, which are in order unless the shape orders by hash. There is at least one.
    pub(crate) fn build<N: Nodes + ?Sized>(
        nodes: &mut N,
        shape: Shape,
        mut entries: Vec<Entry<'_>>,
    ) -> Result<Tree, CodecError> {
        assert!(!entries.is_empty(), "a tree of nothing");
        sort(shape, &mut entries, nodes)?;
        let bytes_max = if shape == Shape::List { leaf_bytes_max(shape) } else { leaf_bytes_fit(shape) };
        let mut separators = Vec::new();
        let mut ends = Vec::new();
        let mut start = 0;
        while start < entries.len() {
            separators.push(separator(shape, &entries, start, nodes)?);
            let mut end = start;
            let mut elements = 0;
            while end < entries.len() {
                elements += stored_bytes(entries[end].1.len());
                if end > start && run_bytes(elements, end + 1 - start, shape.is_hashed()) > bytes_max {
                    break;
                }
                end += 1;
            }
            ends.push(end);
            start = end;
        }
        let mut children = Vec::with_capacity(ends.len());
        let mut start = 0;
        let mut payload = Vec::new();
        for (&end, &separator) in ends.iter().zip(&separators) {
            payload.clear();
            write(entries[start..end].iter().copied(), shape.is_hashed(), &mut payload);
            let id = put(nodes, &payload);
            children.push(Child { id, count: (end - start) as u64, separator });
            start = end;
        }
        let mut levels = 0;
        while children.len() > 1 {
            levels += 1;
            children = parents(nodes, shape, levels, &children);
        }
        Ok(Tree { shape, top: TreeTop { node: children[0].id, levels } })
    }
}

/// Puts the nodes above these children, and says what their own parents will know of them.
fn parents<'k, N: Nodes + ?Sized>(nodes: &mut N, shape: Shape, level: u8, children: &[Child<'k>]) -> Vec<Child<'k>> {
    let mut above = Vec::new();
    let mut rest = children;
    while !rest.is_empty() {
        let mut taken = rest.len();
        let mut payload = Vec::new();
        loop {
            payload.clear();
            write_inner(level, shape.is_keyed(), rest[..taken].iter().copied(), &mut payload);
            if payload.len() <= INNER_BYTES_MAX || taken < INNER_CHILDREN_MIN {
                break;
            }
            taken = taken.div_ceil(2);
        }
        let count = rest[..taken].iter().map(|child| child.count).sum();
        above.push(Child { id: put(nodes, &payload), count, separator: rest[0].separator });
        rest = &rest[taken..];
    }
    above
}

fn put<N: Nodes + ?Sized>(nodes: &mut N, payload: &[u8]) -> NodeId {
    let id = nodes.allocate();
    nodes.put(id, payload);
    id
}
