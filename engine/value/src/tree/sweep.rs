//! Freeing a tree that nobody can reach any more, in steps of bounded size.
//!
//! DEL of a collection of any size only removes its root; this walks what is left, from the end of the tree, and
//! takes away what it has freed. So the tree itself is the note of how far it has come, and a crash resumes there.
//!
//! Promises: a step frees at most `nodes_max` nodes (and the inner nodes that lost all of theirs); leaves are not read.
//! Never: looks at an element.

use super::nodes::{Fault, Nodes};
use super::parents::ParentEdit;
use super::path::inner;
use super::{Seek, Tree};
use crate::packed::inner::write;

impl Tree {
    /// Frees up to `nodes_max` leaves (at least one). True when the tree is gone.
    pub(crate) fn sweep<N: Nodes + ?Sized>(&mut self, nodes: &mut N, nodes_max: usize) -> Result<bool, Fault> {
        let path = self.descend(nodes, Seek::Rank(u64::MAX))?;
        let Some(step) = path.steps().last() else {
            nodes.free(self.top.node);
            return Ok(true);
        };
        let parent = inner(nodes, step.node)?;
        let kept = parent.len().saturating_sub(nodes_max.max(1));
        let gone: Vec<_> = (kept..parent.len()).map(|place| parent.id(place)).collect();
        // One child less than what goes is taken from the payload; the last of them goes the ordinary way, with its parents.
        let mut payload = Vec::new();
        write(1, self.shape.is_keyed(), parent.children().take(kept + 1), &mut payload);
        if gone.len() > 1 {
            nodes.put(step.node, &payload);
        }
        for leaf in gone {
            nodes.free(leaf);
        }
        let mut path = path;
        path.set_last_place(kept);
        Ok(self.change_parents(nodes, &path, vec![ParentEdit::Remove { place: kept }]))
    }
}
