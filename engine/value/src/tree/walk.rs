//! Walks: element after element from a rank on, forward or backward.
//!
//! Promises: one leaf is looked at, at a time; nothing is allocated. A leaf that is missing ends the walk with its id:
//! whoever wants to go on begins a new walk at the rank it had come to.
//! Never: outlives a change of the collection (it borrows the nodes).

use super::nodes::{At, Fault, Nodes};
use super::path::Path;
use super::{Seek, Tree};
use crate::packed::run::{Elements, Run};

/// A walk over the elements of a tree or a run.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'n, N: ?Sized> {
    nodes: &'n N,
    /// `None` for a run, and after the end.
    path: Option<Path>,
    run: Run<'n>,
    forward: Option<Elements<'n>>,
    /// Going backward: how many elements of this leaf are left.
    left: usize,
}

impl<'n, N: Nodes + ?Sized> Walk<'n, N> {
    /// Walks a run that is not part of a tree.
    pub(crate) fn of_run(nodes: &'n N, run: Run<'n>, rank: u64, backward: bool) -> Walk<'n, N> {
        let mut walk = Walk { nodes, path: None, run, forward: None, left: 0 };
        walk.enter(rank, backward);
        walk
    }

    /// Begins in this leaf. Backward, `position` is the first element that is seen.
    fn enter(&mut self, position: u64, backward: bool) {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        if backward {
            self.left = position.saturating_add(1).min(self.run.len());
        } else {
            self.forward = Some(self.run.iter_from(position));
        }
    }

    fn advance(&mut self) -> Result<Option<&'n [u8]>, Fault> {
        loop {
            let leaf = self.path.as_ref().map_or(super::nodes::NodeId::ROOT, |path| path.leaf);
            if let Some(forward) = &mut self.forward {
                if let Some(element) = forward.next() {
                    return element.map(Some).at(leaf);
                }
            } else if self.left > 0 {
                self.left -= 1;
                return self.run.get(self.left).map(Some).at(leaf);
            }
            let backward = self.forward.is_none();
            let Some(path) = &mut self.path else { return Ok(None) };
            if !path.advance(self.nodes, backward)? {
                self.path = None;
                return Ok(None);
            }
            self.run = path.run(self.nodes)?;
            self.enter(if backward { u64::MAX } else { 0 }, backward);
        }
    }
}

impl<'n, N: Nodes + ?Sized> Iterator for Walk<'n, N> {
    type Item = Result<&'n [u8], Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            (self.path, self.forward, self.left) = (None, None, 0);
        }
        next.transpose()
    }
}

impl Tree {
    /// Walks from the element of this rank on. Backward from a rank past the end, the walk begins at the last element.
    pub(crate) fn walk<'n, N: Nodes + ?Sized>(
        &self,
        nodes: &'n N,
        rank: u64,
        backward: bool,
    ) -> Result<Walk<'n, N>, Fault> {
        let path = self.descend(nodes, Seek::Rank(rank))?;
        let run = path.run(nodes)?;
        let position = path.position;
        let mut walk = Walk { nodes, path: Some(path), run, forward: None, left: 0 };
        walk.enter(position, backward);
        Ok(walk)
    }
}
