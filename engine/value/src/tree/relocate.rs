//! An element that moves to another place of its tree, if no leaf is cut or merged for it: two edits and the counts in which the
//! two ways down differ. Above the node where they part nothing changes.
//!
//! Promises: both paths are present and whole, or nothing changes; the element is put in its new place before it leaves the old one.
//! Never: cuts, merges, or looks at a neighbour.

use super::Tree;
use super::limits::{leaf_bytes_low, leaf_bytes_max};
use super::nodes::{At, Fault, NodeId, Nodes};
use super::path::{Path, inner};
use crate::packed::node_edit::{Edit, NodeEdit};
use crate::packed::run::{run_bytes, stored_bytes};
use smallvec::SmallVec;

/// New counts: the node, which of its children, that child's id, the count.
type Counts = SmallVec<[(NodeId, usize, NodeId, u64); 8]>;

impl Tree {
    /// Puts `element` at a position of one leaf and takes the one at a position of another (or the same) out, as both stand
    /// before. False: that is not all there is to do, and nothing was changed.
    pub(crate) fn relocate<N: Nodes + ?Sized>(
        &self,
        nodes: &mut N,
        to: (&Path, usize),
        from: (&Path, usize),
        element: &[u8],
    ) -> Result<bool, Fault> {
        let ((to, position), (from, old_position)) = (to, from);
        let (target, source) = (to.run(nodes)?, from.run(nodes)?);
        let gone = stored_bytes(source.get(old_position).at(from.leaf)?.len());
        let more = target.element_bytes() + stored_bytes(element.len());
        if run_bytes(more, target.len() + 1, target.is_tagged()) > leaf_bytes_max(self.shape) {
            return Ok(false);
        }
        let insert = NodeEdit(Edit::Insert { position, tag: 0, element });
        if to.leaf == from.leaf {
            let behind = usize::from(position <= old_position);
            nodes.edit(to.leaf, &insert);
            nodes.edit(from.leaf, &NodeEdit(Edit::Remove { position: old_position + behind, count: 1 }));
            return Ok(true);
        }
        let kept = source.len() - 1;
        if kept == 0 || run_bytes(source.element_bytes() - gone, kept, source.is_tagged()) < leaf_bytes_low(self.shape)
        {
            return Ok(false);
        }
        let mut counts = Counts::new();
        let (mut joined, mut left) = (to.leaf, from.leaf);
        for (up, down) in to.steps().iter().zip(from.steps()).rev() {
            if (up.node, up.place) == (down.node, down.place) {
                break;
            }
            counts.push((up.node, up.place, joined, inner(nodes, up.node)?.count(up.place).wrapping_add(1)));
            counts.push((down.node, down.place, left, inner(nodes, down.node)?.count(down.place).wrapping_sub(1)));
            (joined, left) = (up.node, down.node);
        }
        nodes.edit(to.leaf, &insert);
        nodes.edit(from.leaf, &NodeEdit(Edit::Remove { position: old_position, count: 1 }));
        for (node, place, child, count) in counts {
            nodes.edit(node, &NodeEdit(Edit::ChildCount { place, child, count }));
        }
        Ok(true)
    }
}
