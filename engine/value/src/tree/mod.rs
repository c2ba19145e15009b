//! The counted tree: a collection that is too large for one record, cut into nodes that are records of their own.
//!
//! ```text
//!                      root record: top, levels                  (the client's key)
//!                              |
//!                  inner node, level 2: | sep, id, 5200 | sep, id, 4711 |
//!                        /                             \
//!          inner, level 1: | .., id, 21 | .., id, 17 | ...     ...
//!               /               |
//!           leaf: a run     leaf: a run                          <= 512 B each
//! ```
//!
//! An element's rank is the counts to the left of the way down to it, so ZRANK, LINDEX and a random field cost one descent.
//!
//! **Nodes may be absent.** Every operation first goes down, reads only, and ends with [`Fault::Missing`] before it has
//! changed anything; once all nodes on its way are there it cannot fail. A change needs its way down and nothing else:
//! neighbours are merged only if they happen to be in memory, so removing from a cold collection costs no more reads
//! than finding. (What is lost: a cold collection that shrinks element by element keeps small leaves until they are met
//! again beside a neighbour. An empty leaf always goes.)
//!
//! Promises: a parent's count is what lies below it, after each operation; the changes of one operation are reported in
//! order through [`Nodes`]; work is bounded by the height and the size of a few nodes.
//! Never: recurses over elements, keeps a node, reads a leaf it does not need.

mod build;
pub(crate) mod insert;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod nodes;
mod parents;
pub(crate) mod path;
mod relocate;
mod remove;
mod scan;
pub(crate) mod shape;
mod touch;
mod walk;

pub(crate) use path::{Path, Seek};
pub(crate) use remove::Left;
pub(crate) use walk::Walk;

use crate::packed::inner::Inner;
use crate::packed::root::TreeTop;
use crate::packed::run::Run;
use nodes::{At, Fault, Nodes, present};
use shape::Shape;

/// One tree: a shape and where it begins. Changed by operations that split or remove the top.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tree {
    pub(crate) shape: Shape,
    pub(crate) top: TreeTop,
}

impl Tree {
    /// How many elements the tree holds.
    pub(crate) fn length<N: Nodes + ?Sized>(&self, nodes: &N) -> Result<u64, Fault> {
        let payload = present(nodes, self.top.node)?;
        match self.top.levels {
            0 => Ok(Run::open(payload).at(self.top.node)?.len() as u64),
            _ => Ok(Inner::open(payload).at(self.top.node)?.total()),
        }
    }
}
