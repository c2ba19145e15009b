//! The seam to the engine: nodes by id, present or not, and every change of them reported through one trait.
//!
//! Promises: the structures read payloads with [`Nodes::get`] and change them only through `put`, `edit`, `free`: those
//! calls *are* the report of what changed, in order. One operation's calls belong together: either all of them are
//! found after a crash, or none.
//! Never: waits. What is not in memory is named in a [`Fault`] or a [`Missing`]; the caller brings it and asks again.

use crate::codec::CodecError;
use crate::packed::node_edit::NodeEdit;

/// Names a node within its space. 48 bits, given by the engine, never reused.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The collection's own record, under the client's key. No node of a tree has this id.
    pub const ROOT: NodeId = NodeId(0);
    /// The largest id.
    pub const MAX: u64 = (1 << 48) - 1;

    /// The node with this number.
    ///
    /// # Panics
    /// If the number has more than 48 bits.
    #[inline]
    pub const fn new(number: u64) -> NodeId {
        assert!(number <= NodeId::MAX, "a node id of more than 48 bits");
        NodeId(number)
    }

    /// The number that goes to the disk.
    #[inline]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Names a collection that is a tree: the seq of its creation, so never reused.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct CollectionId(pub u64);

/// The nodes of one collection, as an operation sees them.
///
/// `get`, then changes: a payload that `get` answered is not looked at after the next change.
pub trait Nodes {
    /// The payload of a node, or `None` if it is not in memory. Never waits.
    fn get(&self, node: NodeId) -> Option<&[u8]>;
    /// The frozen hash of a field or member: decides where it stands in the tree.
    fn hash(&self, field: &[u8]) -> u64;
    /// An id for the tree that this collection is about to become.
    fn collection(&mut self) -> CollectionId;
    /// An id for a new node, whose payload `put` brings next.
    fn allocate(&mut self) -> NodeId;
    /// The node has this payload from now on. Also for [`NodeId::ROOT`].
    fn put(&mut self, node: NodeId, payload: &[u8]);
    /// Changes the payload by `edit.apply`, which does not fail: the operation has looked at it. Also for [`NodeId::ROOT`].
    fn edit(&mut self, node: NodeId, edit: &NodeEdit<'_>);
    /// The node is gone. It need not be in memory.
    fn free(&mut self, node: NodeId);
}

/// Why an operation did nothing.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// This node is needed and not in memory: bring it and ask again.
    Missing(NodeId),
    /// The payload of this node is not what it should be.
    Corrupt(NodeId, CodecError),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Missing(node) => write!(formatter, "node {} is not in memory", node.0),
            Fault::Corrupt(node, error) => write!(formatter, "node {} is damaged: {error}", node.0),
        }
    }
}

impl std::error::Error for Fault {}

/// What `touch` functions found missing: each node once, at most as many as the caller can bring in one round.
#[derive(Clone, Debug)]
pub struct Missing {
    nodes: Vec<NodeId>,
    nodes_max: usize,
}

impl Missing {
    /// A list that ends at `nodes_max` (at least one).
    pub fn new(nodes_max: usize) -> Missing {
        Missing { nodes: Vec::new(), nodes_max: nodes_max.max(1) }
    }

    /// The nodes to bring. Empty: the operation can run.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// True if nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// True if more cannot be noted: bring these first.
    pub fn is_full(&self) -> bool {
        self.nodes.len() >= self.nodes_max
    }

    /// Forgets all, for the next round.
    pub fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Notes a missing node and goes on; a damaged one is an error.
    pub(crate) fn note<T>(&mut self, result: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Missing(node)) => {
                if !self.is_full() && !self.nodes.contains(&node) {
                    self.nodes.push(node);
                }
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// The payload of a node, or the fault that it is missing.
#[inline]
pub(crate) fn present<N: Nodes + ?Sized>(nodes: &N, node: NodeId) -> Result<&[u8], Fault> {
    nodes.get(node).ok_or(Fault::Missing(node))
}

/// Says which node an error is about.
pub(crate) trait At<T> {
    fn at(self, node: NodeId) -> Result<T, Fault>;
}

impl<T> At<T> for Result<T, CodecError> {
    #[inline]
    fn at(self, node: NodeId) -> Result<T, Fault> {
        self.map_err(|error| Fault::Corrupt(node, error))
    }
}
