//! What a command body sees of its keys, and what it decides about them.
//!
//! Promises: a body is an ordinary synchronous function over values in memory; what it decides is staged here and applied
//! by the engine as one group, whole or absent. Never: a body that waits or knows where a value lives.

use crate::collection::NodesOf;
use crate::delta;
use crate::hash::KeyHash;
use smallvec::SmallVec;
pub use thermocline_value::Kind;
use thermocline_value::{ChildCount, CodecError, CollectionId, NodeId};

/// A logical database's storage: never reused, so that FLUSHDB is a fresh one. Even numbers are visible spaces, the odd
/// number after each is its hidden twin (extents, nodes).
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, PartialOrd, Ord)]
pub struct SpaceId(pub u32);

impl SpaceId {
    /// The hidden space that holds this space's extents and nodes.
    pub fn twin(self) -> SpaceId {
        SpaceId(self.0 | 1)
    }

    /// The visible space of a twin (or of itself).
    pub fn visible(self) -> SpaceId {
        SpaceId(self.0 & !1)
    }
}

/// A key with its space and hash.
#[derive(Copy, Clone, Debug)]
pub struct Key<'k> {
    /// The space it lives in.
    pub space: SpaceId,
    /// Its hash in that space.
    pub hash: KeyHash,
    /// Its bytes.
    pub bytes: &'k [u8],
}

/// Where a value was found.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Tier {
    /// In DRAM.
    Hot,
    /// On the SSD.
    Cold,
    /// Nowhere.
    Miss,
}

/// What a command needs of a key.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Access {
    /// Existence, kind, length, expiry; does not touch or promote.
    Peek,
    /// The value; touches and promotes.
    Read,
    /// The old value, to change it.
    Write,
    /// The key's identity only: the old value is replaced or removed unread.
    Overwrite,
}

impl Access {
    /// May the body change the key?
    pub fn writes(self) -> bool {
        matches!(self, Access::Write | Access::Overwrite)
    }
}

/// What a body sees of one key.
#[derive(Copy, Clone, Debug)]
pub struct View<'v> {
    /// The value's kind. A string kept in extents is seen as [`Kind::String`].
    pub kind: Kind,
    /// The payload. Empty for a string in extents under [`Access::Peek`] and [`Access::Overwrite`]: use `length`.
    pub value: &'v [u8],
    /// Length of the value in bytes.
    pub length: u64,
    /// Unix milliseconds; an expired key is never shown.
    pub expires_at_ms: Option<u64>,
    /// Where it was found.
    pub tier: Tier,
    /// Access counter of the policy, 0 to 3.
    pub heat: u8,
    /// The nodes of a collection that is a tree.
    pub nodes: Option<NodesOf<'v>>,
}

/// What happens to a key's time to live.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Expiry {
    /// No expiry.
    Clear,
    /// As it was.
    Keep,
    /// At this Unix millisecond.
    At(u64),
}

/// A staged decision about one key.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) enum Change<'a> {
    /// Nothing.
    #[default]
    None,
    /// A new value.
    Put(Kind, Payload<'a>, Expiry),
    /// Gone. True: the group had set it before, so that whoever watches it is told even if it was not there at first.
    Remove(bool),
    /// Only the expiry changes.
    Expire(Expiry),
    /// A node: its payload is changed by these edits.
    Edit(Kind, Payload<'a>),
    /// Its own record stays, its nodes change: whoever watches it is told.
    Touch,
}

/// A staged decision about one node of a collection.
#[derive(Copy, Clone, Debug)]
pub(crate) struct NodeChange {
    /// The number of the key whose collection it is.
    pub(crate) owner: usize,
    pub(crate) collection: CollectionId,
    pub(crate) node: NodeId,
    pub(crate) kind: Kind,
    payload: NodePayload,
}

/// What becomes of a node. Places in the scratch buffer, from..to.
#[derive(Copy, Clone, Debug)]
enum NodePayload {
    /// It has this payload.
    Full(usize, usize),
    /// Its payload is changed by this list of edits (`delta.rs`).
    Edited(usize, usize),
    /// A count of it changes.
    Counted(ChildCount),
    /// It is gone.
    Freed,
}

impl NodeChange {
    /// Its payload after the change, made of `old` if it is edited: `None` if it is freed. The old one is not asked for otherwise:
    /// a new node has none, and asking would look like damage.
    ///
    /// # Errors
    /// The edits do not fit the old payload.
    pub(crate) fn payload<'o>(
        &self,
        changes: &Changes<'_>,
        old: impl FnOnce() -> Option<&'o [u8]>,
    ) -> Result<Option<Vec<u8>>, CodecError> {
        match self.payload {
            NodePayload::Full(from, to) => Ok(Some(changes.scratch[from..to].to_vec())),
            NodePayload::Freed => Ok(None),
            NodePayload::Edited(from, to) => {
                let old = old().ok_or(CodecError::Truncated)?;
                delta::applied(&changes.scratch[from..to], old).map(Some)
            }
            NodePayload::Counted(count) => {
                let mut payload = old().ok_or(CodecError::Truncated)?.to_vec();
                count.edit().apply(&mut payload)?;
                Ok(Some(payload))
            }
        }
    }

    /// The list of its edits, if it is edited.
    pub(crate) fn edits<'c>(&self, changes: &'c Changes<'_>) -> Option<&'c [u8]> {
        match self.payload {
            NodePayload::Edited(from, to) => Some(&changes.scratch[from..to]),
            NodePayload::Full(..) | NodePayload::Counted(_) | NodePayload::Freed => None,
        }
    }

    /// The count that changes, if that is all.
    pub(crate) fn count(&self) -> Option<ChildCount> {
        match self.payload {
            NodePayload::Counted(count) => Some(count),
            _ => None,
        }
    }

    /// The same decision as one about a key.
    pub(crate) fn change<'a>(&self) -> Change<'a> {
        match self.payload {
            NodePayload::Full(from, to) => Change::Put(self.kind, Payload::Scratch(from, to), Expiry::Clear),
            NodePayload::Edited(from, to) => Change::Edit(self.kind, Payload::Scratch(from, to)),
            NodePayload::Counted(_) => unreachable!("counts are written as edits first"),
            NodePayload::Freed => Change::Remove(false),
        }
    }
}

/// Where a staged value lies.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Payload<'a> {
    /// In the caller's arguments.
    Argument(&'a [u8]),
    /// In the scratch buffer, from..to.
    Scratch(usize, usize),
}

/// What a body decided, key by key. `'a` is the life of the arguments: a value borrowed from the read buffer is copied once,
/// into the store.
#[derive(Default)]
pub struct Changes<'a> {
    staged: SmallVec<[Change<'a>; 2]>,
    scratch: Vec<u8>,
    /// Keys that a group set, by database, before it flushed or swapped that database.
    touched: Vec<(u32, &'a [u8])>,
    /// Nodes of collections: behind the keys, in the same group.
    nodes: Vec<NodeChange>,
    /// Where nodes are made anew: memory that is used again.
    pub(crate) rooms: Vec<Vec<u8>>,
    refused: bool,
    wants_nodes: bool,
    waits: bool,
}

impl<'a> Changes<'a> {
    /// Room for decisions about `keys` keys.
    pub fn new(keys: usize) -> Self {
        let mut changes = Changes::default();
        changes.reset(keys);
        changes
    }

    /// Forgets all decisions and makes room for `keys` keys; keeps the scratch buffer's memory (up to 64 KiB).
    #[inline]
    pub fn reset(&mut self, keys: usize) {
        match self.staged.as_mut_slice() {
            [one] if keys == 1 => *one = Change::None,
            _ => {
                self.staged.clear();
                self.staged.resize_with(keys, Change::default);
            }
        }
        self.scratch.clear();
        self.touched.clear();
        self.nodes.clear();
        self.refused = false;
        self.wants_nodes = false;
        self.waits = false;
        if self.scratch.capacity() > crate::options::SCRATCH_KEPT_BYTES_MAX {
            self.scratch = Vec::new();
        }
    }

    /// Forgets all decisions.
    #[inline]
    pub fn clear(&mut self) {
        let keys = self.staged.len();
        self.reset(keys);
    }

    /// The key gets a value that lies in the arguments.
    #[inline]
    pub fn put(&mut self, key: usize, kind: Kind, value: &'a [u8], expiry: Expiry) {
        self.staged[key] = Change::Put(kind, Payload::Argument(value), expiry);
    }

    /// The key gets a computed value, which `build` appends to a scratch buffer.
    pub fn put_with(&mut self, key: usize, kind: Kind, expiry: Expiry, build: impl FnOnce(&mut Vec<u8>)) {
        let from = self.scratch.len();
        build(&mut self.scratch);
        self.staged[key] = Change::Put(kind, Payload::Scratch(from, self.scratch.len()), expiry);
    }

    /// The key is removed.
    pub fn remove(&mut self, key: usize) {
        self.staged[key] = Change::Remove(false);
    }

    /// The key is removed that the same group had set.
    pub(crate) fn remove_again(&mut self, key: usize) {
        self.staged[key] = Change::Remove(true);
    }

    /// Only the expiry changes.
    pub fn expire(&mut self, key: usize, expiry: Expiry) {
        self.staged[key] = Change::Expire(expiry);
    }

    /// A key of a database that the same group flushes or swaps was set on the way: whoever watches it is told, even if it is not
    /// there at the end.
    pub fn touch(&mut self, database: u32, name: &'a [u8]) {
        self.touched.push((database, name));
    }

    /// Nodes of the key's collection change, its own record does not. A decision about the record stands.
    pub fn touch_key(&mut self, key: usize) {
        if matches!(self.staged[key], Change::None) {
            self.staged[key] = Change::Touch;
        }
    }

    /// A node of the collection under this key gets a payload, or is freed.
    pub(crate) fn put_node(
        &mut self,
        owner: usize,
        collection: CollectionId,
        node: NodeId,
        kind: Kind,
        payload: Option<&[u8]>,
    ) {
        let from = self.scratch.len();
        self.scratch.extend_from_slice(payload.unwrap_or_default());
        let payload = payload.map_or(NodePayload::Freed, |_| NodePayload::Full(from, self.scratch.len()));
        self.nodes.push(NodeChange { owner, collection, node, kind, payload });
    }

    /// A node of the collection under this key is changed by a list of edits (`delta.rs`).
    pub(crate) fn edit_node(&mut self, owner: usize, collection: CollectionId, node: NodeId, kind: Kind, edits: &[u8]) {
        let from = self.scratch.len();
        self.scratch.extend_from_slice(edits);
        let payload = NodePayload::Edited(from, self.scratch.len());
        self.nodes.push(NodeChange { owner, collection, node, kind, payload });
    }

    /// A count of a node of the collection under this key changes, and nothing else of it.
    pub(crate) fn count_node(
        &mut self,
        owner: usize,
        collection: CollectionId,
        node: NodeId,
        kind: Kind,
        count: ChildCount,
    ) {
        self.nodes.push(NodeChange { owner, collection, node, kind, payload: NodePayload::Counted(count) });
    }

    /// Counts become lists of edits, as whoever logs them needs them.
    pub(crate) fn write_counts(&mut self) {
        for node in &mut self.nodes {
            if let NodePayload::Counted(count) = node.payload {
                let from = self.scratch.len();
                delta::put_edit(&mut self.scratch, &count.edit());
                node.payload = NodePayload::Edited(from, self.scratch.len());
            }
        }
    }

    /// The decision about a node, if this number is not one of the keys'.
    pub(crate) fn node(&self, number: usize) -> Option<&NodeChange> {
        self.nodes.get(number.checked_sub(self.staged.len())?)
    }

    pub(crate) fn nodes(&self) -> &[NodeChange] {
        &self.nodes
    }

    /// Nothing was decided yet: nodes that were asked for must come into memory first. The body is called again.
    pub fn want_nodes(&mut self) {
        self.clear();
        self.wants_nodes = true;
    }

    #[inline]
    pub(crate) fn wants_nodes(&self) -> bool {
        self.wants_nodes
    }

    /// Nothing is there yet: the command waits until one of its keys is ([`crate::Waiter`]).
    pub fn wait(&mut self) {
        self.clear();
        self.waits = true;
    }

    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    pub(crate) fn touched(&self) -> &[(u32, &'a [u8])] {
        &self.touched
    }

    /// Nothing is to be done after all: not even what the plan of the group says about the databases.
    pub fn refuse(&mut self) {
        self.clear();
        self.refused = true;
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.staged.iter().all(|c| matches!(c, Change::None))
    }

    /// Nothing is to be done to the only key.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.staged.as_slice(), [Change::None]) && !self.wants_nodes
    }

    /// How many keys there is room for.
    pub fn keys(&self) -> usize {
        self.staged.len()
    }

    /// The decision about a key, or, behind the keys, about a node.
    #[inline]
    pub(crate) fn get(&self, key: usize) -> Change<'a> {
        match self.staged.get(key) {
            Some(change) => *change,
            None => self.nodes[key - self.staged.len()].change(),
        }
    }

    #[inline]
    pub(crate) fn bytes<'s>(&'s self, payload: Payload<'s>) -> &'s [u8] {
        match payload {
            Payload::Argument(bytes) => bytes,
            Payload::Scratch(from, to) => &self.scratch[from..to],
        }
    }
}

/// What a finished command must still respect.
#[derive(Copy, Clone, Debug)]
pub struct Done {
    /// In mode `always` the reply may leave when the watermark covers this seq; 0 = at once.
    pub wait_seq: u64,
    /// Where the (first) key was found.
    pub tier: Tier,
    /// Time spent reading the SSD.
    pub read_us: u32,
    /// Commands that waited for a key were called by this one: its answer may leave when they are served
    /// ([`crate::Engine::served`]); 0 = nobody was.
    pub cause: u64,
}
