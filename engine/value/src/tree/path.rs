//! The way down: which child was taken at each level, from the top to a leaf.
//!
//! Promises: every inner node of a path was in memory, whole, and of the level it should have. The leaf need not be there.
//! Never: changes anything.

use super::Tree;
use super::key::Key;
use super::nodes::{At, Fault, NodeId, Nodes, present};
use crate::codec::CodecError;
use crate::packed::inner::Inner;
use crate::packed::run::Run;
use smallvec::SmallVec;

/// What a descent looks for.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Seek<'k> {
    /// The leaf whose keys include this one.
    Key(Key<'k>),
    /// The leaf that holds the element of this rank, or the last leaf.
    Rank(u64),
    /// The leaf into which an element goes that shall have this rank: between two leaves, the left one.
    Gap(u64),
}

/// An inner node on the way, and the child that was taken.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Step {
    pub(crate) node: NodeId,
    pub(crate) place: usize,
}

/// The way from the top to a leaf.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// As many as the tree has levels above its leaves: four levels hold more than a thousand million elements.
    steps: SmallVec<[Step; 4]>,
    /// The leaf at the end.
    pub(crate) leaf: NodeId,
    /// After a descent by rank: the position inside the leaf. May lie past its end.
    pub(crate) position: u64,
    /// True if this is the first leaf of the tree.
    pub(crate) first: bool,
    /// True if this is the last leaf of the tree.
    pub(crate) last: bool,
}

impl Path {
    /// The inner nodes from the top down.
    #[inline]
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The leaf as a run.
    #[inline]
    pub(crate) fn run<'n, N: Nodes + ?Sized>(&self, nodes: &'n N) -> Result<Run<'n>, Fault> {
        Run::open(present(nodes, self.leaf)?).at(self.leaf)
    }

    /// How many elements stand before this leaf.
    pub(crate) fn before<N: Nodes + ?Sized>(&self, nodes: &N) -> Result<u64, Fault> {
        let mut before = 0u64;
        for step in self.steps() {
            before = before.wrapping_add(inner(nodes, step.node)?.before(step.place));
        }
        Ok(before)
    }

    /// Goes on to the next leaf, or the one before; false at the end. After an error the path is not used again.
    pub(crate) fn advance<N: Nodes + ?Sized>(&mut self, nodes: &N, backward: bool) -> Result<bool, Fault> {
        for depth in (0..self.steps.len()).rev() {
            let Step { node, place } = self.steps[depth];
            let inner = inner(nodes, node)?;
            let next = if backward { place.checked_sub(1) } else { Some(place + 1).filter(|&next| next < inner.len()) };
            let Some(next) = next else { continue };
            self.steps[depth].place = next;
            let mut child = inner.id(next);
            for below in depth + 1..self.steps.len() {
                let inner = level(nodes, child, (self.steps.len() - below) as u8)?;
                let place = if backward { inner.len() - 1 } else { 0 };
                self.steps[below] = Step { node: child, place };
                child = inner.id(place);
            }
            self.leaf = child;
            return Ok(true);
        }
        Ok(false)
    }
}

/// An inner node that is in memory.
#[inline]
pub(crate) fn inner<N: Nodes + ?Sized>(nodes: &N, node: NodeId) -> Result<Inner<'_>, Fault> {
    Inner::open(present(nodes, node)?).at(node)
}

/// An inner node of this level. (The wrong level is damage; without this check a circle of ids would never end.)
#[inline]
pub(crate) fn level<N: Nodes + ?Sized>(nodes: &N, node: NodeId, level: u8) -> Result<Inner<'_>, Fault> {
    let inner = inner(nodes, node)?;
    if inner.level() == level { Ok(inner) } else { Err(Fault::Corrupt(node, CodecError::BadField)) }
}

impl Tree {
    /// Goes down to the leaf that `seek` names.
    #[inline]
    pub(crate) fn descend<N: Nodes + ?Sized>(&self, nodes: &N, seek: Seek<'_>) -> Result<Path, Fault> {
        let mut position = match seek {
            Seek::Key(_) => 0,
            Seek::Rank(rank) | Seek::Gap(rank) => rank,
        };
        // Between which prefixes the keys of the node lie that comes next.
        let mut range = 0..=u64::MAX;
        let mut path = Path { steps: SmallVec::new(), leaf: self.top.node, position: 0, first: true, last: true };
        for height in (1..=self.top.levels).rev() {
            let inner = level(nodes, path.leaf, height)?;
            if inner.is_keyed() != self.shape.is_keyed() {
                return Err(Fault::Corrupt(path.leaf, CodecError::BadField));
            }
            let place = match &seek {
                Seek::Key(key) => {
                    let place = inner.find(key, &range);
                    if place > 0 {
                        range = inner.separator(place).prefix..=*range.end();
                    }
                    if place + 1 < inner.len() {
                        range = *range.start()..=inner.separator(place + 1).prefix;
                    }
                    place
                }
                Seek::Rank(_) | Seek::Gap(_) => {
                    let (place, rest) = inner.at_rank(position, matches!(seek, Seek::Gap(_)));
                    position = rest;
                    place
                }
            };
            path.first &= place == 0;
            path.last &= place + 1 == inner.len();
            path.steps.push(Step { node: path.leaf, place });
            path.leaf = inner.id(place);
        }
        path.position = position;
        Ok(path)
    }
}
