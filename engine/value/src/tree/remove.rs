//! Taking elements out of a leaf: an edit; a leaf that is empty goes, one that is small joins a neighbour.
//!
//! Promises: the path is present and whole, or nothing changes. Joining is a matter of space, not of truth: it happens
//! only if the neighbour is in memory and the two fill at most three quarters of a leaf.
//! Never: leaves an empty leaf, or a parent without children.

use super::limits::{leaf_bytes_fit, leaf_bytes_low};
use super::nodes::{At, Fault, NodeId, Nodes};
use super::parents::ParentEdit;
use super::path::{Path, inner};
use super::shape::Shape;
use super::{Seek, Tree};
use crate::packed::node_edit::{Edit, NodeEdit};
use crate::packed::run::{Run, run_bytes, stored_bytes, write};

/// What a removal left.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Left {
    /// The tree still has elements.
    Some,
    /// The tree is gone, with all of its nodes.
    Nothing,
}

impl Tree {
    /// Removes `count` elements that begin at `position` of the path's leaf.
    pub(crate) fn remove<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        path: &Path,
        position: usize,
        count: usize,
    ) -> Result<Left, Fault> {
        let run = path.run(nodes)?;
        let place = path.steps().last().map_or(0, |step| step.place);
        let kept = run.len() - count;
        if kept == 0 {
            nodes.free(path.leaf);
            let empty = self.change_parents(nodes, path, vec![ParentEdit::Remove { place }]);
            return Ok(if empty { Left::Nothing } else { Left::Some });
        }
        let mut gone = 0;
        for position in position..position + count {
            gone += stored_bytes(run.get(position).at(path.leaf)?.len());
        }
        let bytes = run_bytes(run.element_bytes() - gone, kept, run.is_tagged());
        let merged = if bytes < leaf_bytes_low(self.shape) {
            merge(nodes, self.shape, path, &run, position, count)
        } else {
            None
        };
        if let Some(Merged { payload, at, left, right, total }) = merged {
            nodes.put(left, &payload);
            nodes.free(right);
            let count = ParentEdit::Count { place: at, child: left, count: total };
            self.change_parents(nodes, path, vec![count, ParentEdit::Remove { place: at + 1 }]);
        } else {
            nodes.edit(path.leaf, &NodeEdit(Edit::Remove { position, count }));
            self.recount(nodes, path, kept as u64);
        }
        Ok(Left::Some)
    }

    /// Removes at most `count` elements from `rank` on, all of one leaf, and says how many. A leaf that goes as a whole
    /// need not be in memory.
    pub(crate) fn remove_by_rank<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        rank: u64,
        count: u64,
    ) -> Result<(u64, Left), Fault> {
        let path = self.descend(nodes, Seek::Rank(rank))?;
        if let (0, Some(step)) = (path.position, path.steps().last()) {
            let whole = inner(nodes, step.node)?.count(step.place);
            if whole <= count {
                nodes.free(path.leaf);
                let empty = self.change_parents(nodes, &path, vec![ParentEdit::Remove { place: step.place }]);
                return Ok((whole, if empty { Left::Nothing } else { Left::Some }));
            }
        }
        let length = path.run(nodes)?.len();
        let position = usize::try_from(path.position).unwrap_or(usize::MAX).min(length);
        let removed = usize::try_from(count).unwrap_or(usize::MAX).min(length - position);
        if removed == 0 {
            return Ok((0, Left::Some));
        }
        let left = self.remove(nodes, &path, position, removed)?;
        Ok((removed as u64, left))
    }
}

struct Merged {
    payload: Vec<u8>,
    /// Where the left of the two stands in the parent.
    at: usize,
    left: NodeId,
    right: NodeId,
    total: u64,
}

/// What comes out if the leaf, less the removed elements, joins a neighbour.
fn merge<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    path: &Path,
    run: &Run<'_>,
    position: usize,
    removed: usize,
) -> Option<Merged> {
    let step = path.steps().last()?;
    let parent = inner(nodes, step.node).ok()?;
    let place = step.place;
    let neighbours = [Some(place + 1).filter(|&right| right < parent.len()), place.checked_sub(1)];
    for neighbour in neighbours.into_iter().flatten() {
        let Some(other) = nodes.get(parent.id(neighbour)).and_then(|payload| Run::open(payload).ok()) else {
            continue;
        };
        if other.bytes() > leaf_bytes_fit(shape) || other.is_tagged() != run.is_tagged() || other.check().is_err() {
            continue;
        }
        let mut entries = super::insert::entries(run).ok()?;
        entries.drain(position..position + removed);
        let others = super::insert::entries(&other).ok()?;
        let (left, right, at) = if neighbour > place { (entries, others, place) } else { (others, entries, neighbour) };
        let both = left.iter().chain(&right).copied();
        let mut payload = Vec::with_capacity(leaf_bytes_fit(shape));
        write(both, run.is_tagged(), &mut payload);
        if payload.len() > leaf_bytes_fit(shape) {
            continue;
        }
        let total = (left.len() + right.len()) as u64;
        return Some(Merged { payload, at, left: parent.id(at), right: parent.id(at + 1), total });
    }
    None
}
