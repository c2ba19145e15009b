//! A collection as a command body sees it: its own record and, once it is a tree, its nodes, with everything the body has
//! changed laid over what lies in the store.
//!
//! ```text
//!  view of the key --payload--> run of a small collection, or root     staged: root, node 7, node 9 (freed)
//!          `------nodes-------> node source: what is in memory  <------ what the body's later reads see first
//! ```
//! A node is an ordinary value of the hidden twin space under (collection id, node id): it is demoted, promoted and moved by
//! itself. A read of a node that is not in memory is noted by the source; a body that cannot go on without it says
//! [`Changes::want_nodes`], and the engine brings what was noted and calls the body again.
//!
//! Promises: nothing reaches the store before [`Collection::stage`]; what is staged is one group with all else the command
//! decides. Never: waits, knows a command.

use crate::change::{Changes, Expiry, Kind, SpaceId, View};
use crate::delta::{self, put_edit};
use crate::engine::Engine;
use crate::options::NODES_PER_ROUND_MAX;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::ops::Range;
use thermocline_value::{ChildCount, CodecError, CollectionId, Fault, Missing, NodeEdit, NodeId, Nodes, Root, length};

/// Bytes of a node's key: the collection's id and six bytes of the node's.
pub(crate) const NODE_NAME_BYTES: usize = 14;
/// Up to so many changed nodes are found by looking at each.
const STAGED_SEARCHED_MAX: usize = 8;

/// Room for what a usual command adds to a small collection.
const ROOT_ROOM_BYTES: usize = 128;
/// Room for the nodes, and for the edits, of a usual command.
const STAGED_AT_FIRST: usize = 4;
const EDITS_BYTES: usize = 256;

/// Key of a node in the twin space.
pub(crate) fn node_name(collection: CollectionId, node: NodeId) -> [u8; NODE_NAME_BYTES] {
    let mut name = [0; NODE_NAME_BYTES];
    name[..8].copy_from_slice(&collection.0.to_le_bytes());
    name[8..].copy_from_slice(&node.number().to_le_bytes()[..6]);
    name
}

/// Where the nodes of collections come from during one call of a body.
pub(crate) trait NodeSource {
    /// The payload of a node, if it is in memory; if not, it is noted that it was asked for.
    fn node(&self, space: SpaceId, collection: CollectionId, node: NodeId) -> Option<&[u8]>;
}

/// The nodes that belong to one view.
#[derive(Copy, Clone)]
pub struct NodesOf<'v> {
    pub(crate) source: &'v dyn NodeSource,
    /// The space of the key.
    pub(crate) space: SpaceId,
}

impl std::fmt::Debug for NodesOf<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "nodes in space {}", self.space.twin().0)
    }
}

/// What has become of a node.
enum Staged {
    /// It has this payload.
    Full(Vec<u8>),
    /// It was changed by a list of edits, this part of all edits; its payload is made when somebody looks.
    Edited(Range<usize>, OnceCell<Vec<u8>>),
    /// Of its counts only this one changes; its payload is made when somebody looks.
    Counted(ChildCount, OnceCell<Vec<u8>>),
    /// It is gone.
    Freed,
}

/// A collection under change. Made from a view, handed to the functions of `thermocline_value`, staged at the end.
pub struct Collection<'v> {
    engine: &'v Engine,
    kind: Kind,
    nodes: Option<NodesOf<'v>>,
    /// The key that a tree made here is to share the shard of.
    near: (SpaceId, &'v [u8]),
    /// The collection's own record.
    root: Cow<'v, [u8]>,
    id: Option<CollectionId>,
    staged: Vec<(NodeId, Staged)>,
    /// Lists of edits, one behind the other; those of one node are neighbours.
    edits: Vec<u8>,
    /// Where a node stands in `staged`, once they are many.
    places: Option<HashMap<NodeId, usize>>,
    is_new_root: bool,
    /// A node that an edit did not fit: its bytes are not what they should be.
    damage: Cell<Option<(NodeId, CodecError)>>,
}

impl<'v> Collection<'v> {
    /// The collection that a view shows.
    pub fn of(engine: &'v Engine, view: &View<'v>, near: (SpaceId, &'v [u8])) -> Collection<'v> {
        Collection {
            engine,
            kind: view.kind,
            nodes: view.nodes,
            near,
            root: Cow::Borrowed(view.value),
            id: tree_of(view.value).map(|root| root.collection),
            staged: Vec::new(),
            edits: Vec::new(),
            places: None,
            is_new_root: false,
            damage: Cell::new(None),
        }
    }

    /// An empty collection of this kind, whose record begins as `empty`.
    pub fn new(engine: &'v Engine, kind: Kind, empty: &'static [u8], near: (SpaceId, &'v [u8])) -> Collection<'v> {
        Collection {
            engine,
            kind,
            nodes: None,
            near,
            root: Cow::Borrowed(empty),
            id: None,
            staged: Vec::new(),
            edits: Vec::new(),
            places: None,
            is_new_root: false,
            damage: Cell::new(None),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Is it a run inside its own record?
    pub fn is_run(&self) -> bool {
        !Root::is_root(&self.root)
    }

    /// Was anything changed?
    pub fn is_changed(&self) -> bool {
        self.is_new_root || !self.staged.is_empty()
    }

    /// Asks `touch` which nodes an operation will need.
    ///
    /// # Errors
    /// The first that is missing: all were noted, so that they come in one round. Or a damaged node.
    pub fn ready(&self, touch: impl FnOnce(&Self, &mut Missing) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut missing = Missing::new(NODES_PER_ROUND_MAX);
        touch(self, &mut missing)?;
        missing.nodes().first().map_or(Ok(()), |node| Err(Fault::Missing(*node)))
    }

    /// Hands what has changed to the group: `key` is the key's number among those of the command. An empty collection is
    /// removed.
    ///
    /// # Errors
    /// As of [`length`].
    pub fn stage(self, changes: &mut Changes<'_>, key: usize, expiry: Expiry) -> Result<(), Fault> {
        if !self.is_changed() {
            return Ok(());
        }
        if let Some((node, error)) = self.damage.get() {
            return Err(Fault::Corrupt(node, error));
        }
        // A tree is never empty.
        if self.is_run() && length(&self)? == 0 {
            changes.remove(key);
            return Ok(());
        }
        if self.is_new_root {
            changes.put_with(key, self.kind, expiry, |into| into.extend_from_slice(&self.root));
        } else {
            changes.touch_key(key);
        }
        let Some(id) = self.id.filter(|_| !self.is_run()) else { return Ok(()) };
        let kind = node_kind(self.kind);
        for (node, staged) in &self.staged {
            match staged {
                Staged::Full(payload) => changes.put_node(key, id, *node, kind, Some(payload)),
                Staged::Edited(edits, _) => changes.edit_node(key, id, *node, kind, &self.edits[edits.clone()]),
                Staged::Counted(count, _) => changes.count_node(key, id, *node, kind, *count),
                Staged::Freed => changes.put_node(key, id, *node, kind, None),
            }
        }
        Ok(())
    }

    fn place(&self, node: NodeId) -> Option<usize> {
        if self.staged.len() > STAGED_SEARCHED_MAX {
            return self.places.as_ref().and_then(|places| places.get(&node).copied());
        }
        self.staged.iter().position(|staged| staged.0 == node)
    }

    fn stage_node(&mut self, node: NodeId, staged: Staged) {
        if let Some(at) = self.place(node) {
            self.staged[at].1 = staged;
            return;
        }
        if self.staged.capacity() == 0 {
            self.staged = Vec::with_capacity(STAGED_AT_FIRST);
        }
        self.staged.push((node, staged));
        if self.staged.len() > STAGED_SEARCHED_MAX {
            let places = self.places.get_or_insert_default();
            let indexed = places.len();
            places.extend(self.staged[indexed..].iter().enumerate().map(|(n, staged)| (staged.0, indexed + n)));
        }
    }

    /// Notes an edit that did not fit.
    fn check(&self, node: NodeId, applied: Result<(), CodecError>) {
        if let Err(error) = applied {
            self.damage.set(Some((node, error)));
        }
    }

    /// The payload of a node as the store has it.
    fn stored(&self, node: NodeId) -> Option<&[u8]> {
        self.nodes.and_then(|nodes| nodes.source.node(nodes.space, self.id?, node))
    }

    fn counted(&self, node: NodeId, count: &ChildCount) -> Vec<u8> {
        let mut payload = self.stored(node).map(<[u8]>::to_vec).unwrap_or_default();
        self.check(node, count.edit().apply(&mut payload));
        payload
    }

    fn edited(&self, node: NodeId, edits: &[u8]) -> Vec<u8> {
        let mut payload = self.stored(node).map(<[u8]>::to_vec).unwrap_or_default();
        self.check(node, delta::apply(edits, &mut payload));
        payload
    }
}

/// The root, if a collection's payload is one.
pub(crate) fn tree_of(payload: &[u8]) -> Option<Root> {
    if Root::is_root(payload) { Root::decode(payload).ok() } else { None }
}

/// The kind of the nodes of a collection. Both trees of a sorted set have the same.
fn node_kind(kind: Kind) -> Kind {
    match kind {
        Kind::List => Kind::ListNode,
        Kind::Set => Kind::SetNode,
        Kind::SortedSet => Kind::SortedSetNode,
        Kind::Stream => Kind::StreamNode,
        _ => Kind::HashNode,
    }
}

impl Nodes for Collection<'_> {
    fn get(&self, node: NodeId) -> Option<&[u8]> {
        if node == NodeId::ROOT {
            return Some(&self.root);
        }
        match self.place(node) {
            Some(at) => match &self.staged[at].1 {
                Staged::Full(payload) => Some(payload),
                Staged::Edited(edits, payload) => {
                    Some(payload.get_or_init(|| self.edited(node, &self.edits[edits.clone()])))
                }
                Staged::Counted(count, payload) => Some(payload.get_or_init(|| self.counted(node, count))),
                Staged::Freed => None,
            },
            None => self.stored(node),
        }
    }

    fn hash(&self, field: &[u8]) -> u64 {
        self.engine.field_hash(field)
    }

    fn collection(&mut self) -> CollectionId {
        // Nodes of a tree that this one replaces go with the old root.
        self.staged.clear();
        self.edits.clear();
        self.places = None;
        let id = self.engine.new_collection(self.near);
        self.id = Some(id);
        id
    }

    fn allocate(&mut self) -> NodeId {
        self.engine.new_node()
    }

    fn put(&mut self, node: NodeId, payload: &[u8]) {
        if node == NodeId::ROOT {
            self.is_new_root = true;
            self.root = Cow::Owned(payload.to_vec());
            return;
        }
        self.stage_node(node, Staged::Full(payload.to_vec()));
    }

    fn edit(&mut self, node: NodeId, edit: &NodeEdit<'_>) {
        if node == NodeId::ROOT {
            self.is_new_root = true;
            if let Cow::Borrowed(stored) = self.root {
                let mut root = Vec::with_capacity(stored.len() + ROOT_ROOM_BYTES);
                root.extend_from_slice(stored);
                self.root = Cow::Owned(root);
            }
            let applied = edit.apply(self.root.to_mut());
            self.check(node, applied);
            return;
        }
        let Some(at) = self.place(node) else {
            let staged = match edit.child_count() {
                Some(count) => Staged::Counted(count, OnceCell::new()),
                None => {
                    if self.edits.capacity() == 0 {
                        self.edits = Vec::with_capacity(EDITS_BYTES);
                    }
                    let from = self.edits.len();
                    put_edit(&mut self.edits, edit);
                    Staged::Edited(from..self.edits.len(), OnceCell::new())
                }
            };
            self.stage_node(node, staged);
            return;
        };
        if let Staged::Counted(old, payload) = &mut self.staged[at].1 {
            match edit.child_count().filter(|new| new.child() == old.child()) {
                Some(new) => *old = new,
                None => {
                    let from = self.edits.len();
                    put_edit(&mut self.edits, &old.edit());
                    put_edit(&mut self.edits, edit);
                    let payload = std::mem::take(payload);
                    self.staged[at].1 = Staged::Edited(from..self.edits.len(), payload);
                }
            }
            let applied = match &mut self.staged[at].1 {
                Staged::Counted(_, payload) | Staged::Edited(_, payload) => {
                    payload.get_mut().map_or(Ok(()), |payload| edit.apply(payload))
                }
                Staged::Full(_) | Staged::Freed => Ok(()),
            };
            self.check(node, applied);
            return;
        }
        let applied = match &mut self.staged[at].1 {
            Staged::Full(payload) => edit.apply(payload),
            Staged::Edited(edits, payload) => {
                if edits.end != self.edits.len() {
                    let from = self.edits.len();
                    self.edits.extend_from_within(edits.clone());
                    edits.start = from;
                }
                put_edit(&mut self.edits, edit);
                edits.end = self.edits.len();
                payload.get_mut().map_or(Ok(()), |payload| edit.apply(payload))
            }
            Staged::Counted(..) | Staged::Freed => Err(CodecError::BadField),
        };
        self.check(node, applied);
    }

    fn free(&mut self, node: NodeId) {
        self.stage_node(node, Staged::Freed);
    }
}
