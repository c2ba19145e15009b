//! The nodes of collections on the road of a command: what a body reads of them, what is brought for it, and how they are
//! committed with the command's keys.
//!
//! ```text
//!  body --get--> Source: hot in a latched shard, or a record that is known -> payload
//!                        anything else: noted as missed
//!  body says it cannot go on -> [`Inner::need_nodes`]: flights for cold ones, latches for those in other shards
//!  body has staged changes of nodes -> [`Inner::node_items`]: behind the keys, in the same commit
//! ```
//! Whoever works on a collection holds the latch of its key's shard (or its key lock), so nobody else changes a node meanwhile;
//! GC and demotion may move nodes between two attempts, which is why each attempt finds them anew.
//!
//! Promises: what a body sees of a collection is of one moment. Never: waits or reads under a latch.

use crate::change::{Access, Changes, Key, SpaceId};
use crate::collection::{NODE_NAME_BYTES, NodeSource, node_name};
use crate::commit::Item;
use crate::engine::Inner;
use crate::error::Error;
use crate::hash::KeyHash;
use crate::index::{Slot, SlotRef};
use crate::options::{DELTA_NODE_BYTES, DELTA_SHARE_MAX, DELTAS_MIN, NODES_PER_ROUND_MAX, READ_SHARE_MAX};
use crate::place::{CLASS_SECTORS, Place, SECTOR_BYTES};
use crate::run::{Guards, Need};
use crate::shard::{Found, Shard};
use crate::tier::fetch::{Flight, Known};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_value::{CollectionId, NodeId};

/// Up to so many nodes of one call are found by looking at each.
const MET_SEARCHED_MAX: usize = 16;

/// A node's key, owned.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct NodeKey {
    /// The twin space.
    pub(crate) space: SpaceId,
    pub(crate) hash: KeyHash,
    pub(crate) name: [u8; NODE_NAME_BYTES],
}

impl NodeKey {
    pub(crate) fn key(&self) -> Key<'_> {
        Key { space: self.space, hash: self.hash, bytes: &self.name }
    }
}

impl Inner {
    /// How many nodes may have deltas.
    pub(crate) fn deltas_max(&self) -> usize {
        let nodes = self.max_memory.load(Ordering::Relaxed) / DELTA_SHARE_MAX / DELTA_NODE_BYTES;
        DELTAS_MIN.max(nodes as usize)
    }

    pub(crate) fn node_key(&self, space: SpaceId, collection: CollectionId, node: NodeId) -> NodeKey {
        let name = node_name(collection, node);
        NodeKey { space, hash: self.hasher.hash(space, &name), name }
    }
}

/// A node that a body has read.
pub(crate) struct Met {
    collection: CollectionId,
    node: NodeId,
    /// Its key.
    pub(crate) key: NodeKey,
    /// Its index hash.
    pub(crate) hash: u64,
    /// Which of the shards.
    guard: usize,
    /// The slot, if it is hot.
    pub(crate) hot: Option<(SlotRef, Slot)>,
}

impl Met {
    /// Is it this one?
    #[inline]
    fn is(&self, collection: CollectionId, node: NodeId) -> bool {
        self.node == node && self.collection == collection
    }
}

/// What a body asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) met: SmallVec<[Met; 8]>,
    pub(crate) missed: Vec<NodeKey>,
    pub(crate) damage: Option<Error>,
}

/// Where a node stands among those that were read, once they are many.
type Places = HashMap<(CollectionId, NodeId), usize>;

/// What a source has been asked, and what it answered.
struct Answers<'g> {
    asked: &'g mut Asked,
    /// The payloads of what was met.
    payloads: SmallVec<[&'g [u8]; 8]>,
    places: Option<Places>,
}

/// The nodes that one call of a body may read: those in the shards whose latches are held.
pub(crate) struct Source<'g> {
    inner: &'g Inner,
    shards: SmallVec<[(usize, &'g Shard); 2]>,
    known: &'g Known,
    answers: RefCell<Answers<'g>>,
}

impl<'g> Source<'g> {
    /// A source that notes in `asked` what it is asked for.
    #[inline]
    pub(crate) fn new(
        inner: &'g Inner,
        shards: SmallVec<[(usize, &'g Shard); 2]>,
        known: &'g Known,
        asked: &'g mut Asked,
    ) -> Source<'g> {
        let answers = RefCell::new(Answers { asked, payloads: SmallVec::new(), places: None });
        Source { inner, shards, known, answers }
    }

    /// Looks a node up in the shards.
    fn look(
        &self,
        asked: &mut Asked,
        space: SpaceId,
        collection: CollectionId,
        node: NodeId,
    ) -> Option<(&'g [u8], Met)> {
        let key = self.inner.node_key(space, collection, node);
        let hash = self.inner.hash_of(&key.key());
        let number = self.inner.shard_of(hash);
        let Some(guard) = self.shards.iter().position(|shard| shard.0 == number) else {
            asked.note(key);
            return None;
        };
        let shard = self.shards[guard].1;
        let met = |hot| Met { collection, node, key, hash, guard, hot };
        if let Some((at, slot, payload)) = shard.sight_node(&key, hash) {
            return Some((payload, met(Some((at, slot)))));
        }
        match shard.find(&key.key(), hash, self.known, &self.inner.log) {
            Found::Hot(at, slot, handle) => return Some((shard.cell(handle).payload, met(Some((at, slot))))),
            Found::Cold(_, _, record) => return Some((record.record().payload, met(None))),
            Found::Unknown(_) => asked.note(key),
            Found::Corrupt(_, slot) => {
                let (segment, offset) = Place::from_bits(slot.place()).split(self.inner.log.segment_bytes);
                asked.damage.get_or_insert(Error::Corrupt { segment, offset });
            }
            Found::Absent => {
                asked.damage.get_or_insert(Error::NodeMissing);
            }
        }
        None
    }
}

impl<'g> Answers<'g> {
    #[inline]
    fn seen(&self, collection: CollectionId, node: NodeId) -> Option<&'g [u8]> {
        if let Some(places) = &self.places {
            return places.get(&(collection, node)).map(|&at| self.payloads[at]);
        }
        let at = self.asked.place(collection, node)?;
        Some(self.payloads[at])
    }

    #[inline]
    fn remember(&mut self, payload: &'g [u8], met: Met) {
        self.payloads.push(payload);
        self.asked.met.push(met);
        if self.payloads.len() > MET_SEARCHED_MAX {
            self.index();
        }
    }

    #[cold]
    fn index(&mut self) {
        let places = self.places.get_or_insert_default();
        let indexed = places.len();
        let more = self.asked.met[indexed..].iter().enumerate();
        places.extend(more.map(|(n, met)| ((met.collection, met.node), indexed + n)));
    }
}

impl Asked {
    /// Which of those that were read a node is.
    #[inline]
    pub(crate) fn place(&self, collection: CollectionId, node: NodeId) -> Option<usize> {
        self.met.iter().position(|met| met.is(collection, node))
    }

    fn note(&mut self, key: NodeKey) {
        if self.missed.len() < NODES_PER_ROUND_MAX && !self.missed.contains(&key) {
            self.missed.push(key);
        }
    }
}

impl NodeSource for Source<'_> {
    fn node(&self, space: SpaceId, collection: CollectionId, node: NodeId) -> Option<&[u8]> {
        let mut answers = self.answers.borrow_mut();
        if let Some(payload) = answers.seen(collection, node) {
            return Some(payload);
        }
        let (payload, met) = self.look(answers.asked, space.twin(), collection, node)?;
        answers.remember(payload, met);
        Some(payload)
    }
}

/// Nodes that an attempt lacks.
#[derive(Default)]
pub(crate) struct NodesNeeded {
    /// Reads under way.
    pub(crate) flights: Vec<Arc<Flight>>,
    /// What they bring.
    pub(crate) cold: Vec<NodeKey>,
    /// Shards that must be latched, too.
    pub(crate) shards: SmallVec<[usize; 2]>,
    /// What is known has grown so large that what has moved meanwhile must go.
    pub(crate) forgets: bool,
}

impl NodesNeeded {
    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty() && self.shards.is_empty()
    }
}

impl Inner {
    /// What it takes to see these nodes at the next attempt.
    pub(crate) fn need_nodes(
        &self,
        guards: &mut Guards<'_>,
        known: &Known,
        nodes: &[NodeKey],
    ) -> Result<NodesNeeded, Error> {
        let mut needed = NodesNeeded::default();
        let mut bytes = known.bytes();
        let bytes_max = self.max_memory.load(Ordering::Relaxed) / READ_SHARE_MAX;
        for node in nodes {
            let hash = self.hash_of(&node.key());
            let number = self.shard_of(hash);
            let Some((_, shard)) = guards.iter_mut().find(|guard| guard.0 == number) else {
                if !needed.shards.contains(&number) {
                    needed.shards.push(number);
                }
                continue;
            };
            let Found::Unknown(slots) = shard.find(&node.key(), hash, known, &self.log) else { continue };
            needed.cold.push(*node);
            for slot in slots {
                bytes += u64::from(CLASS_SECTORS[usize::from(slot.class())] * SECTOR_BYTES);
                needed.flights.push(self.flight(shard, number, slot));
            }
        }
        // What a command reads together is bounded; a first few nodes always fit, and what GC has moved meanwhile is forgotten.
        if bytes > bytes_max && known.len() > NODES_PER_ROUND_MAX {
            needed.forgets = true;
            if bytes - known.bytes() + known.live_bytes(&self.log) > bytes_max {
                return Err(Error::OutOfMemory);
            }
        }
        Ok(needed)
    }

    /// The nodes that a body has changed, as items behind those of the keys.
    pub(crate) fn node_items(
        &self,
        guards: &mut Guards<'_>,
        known: &Known,
        nodes: &[NodeKey],
        items: &mut SmallVec<[Item; 2]>,
    ) -> Result<(), Need> {
        let mut unproven = Vec::new();
        for node in nodes {
            let hash = self.hash_of(&node.key());
            let number = self.shard_of(hash);
            let Some(guard) = guards.iter().position(|guard| guard.0 == number) else {
                unproven.push(*node);
                continue;
            };
            let mut item = Item::absent(guard, hash);
            let shard = &guards[guard].1;
            let found = shard.find(&node.key(), hash, known, &self.log);
            match found.unless_taken(Access::Overwrite, |slot| items.iter().any(|item| item.is_at(guard, slot))) {
                Found::Absent => {}
                Found::Hot(at, slot, handle) => {
                    let object = shard.cell(handle);
                    item.set_hot(&node.key(), at, slot, &object.outline());
                    if let Some(dirty) = shard.deltas.get(object.place).filter(|_| object.deltas) {
                        item.set_deltas(dirty);
                    }
                }
                Found::Cold(at, slot, record) => item.set_cold(at, slot, record),
                Found::Corrupt(at, slot) => item.set_corrupt(at, slot),
                Found::Unknown(_) => unproven.push(*node),
            }
            items.push(item);
        }
        if unproven.is_empty() {
            return Ok(());
        }
        let mut needed = NodesNeeded::default();
        for part in unproven.chunks(NODES_PER_ROUND_MAX) {
            match self.need_nodes(guards, known, part) {
                Ok(more) => {
                    needed.flights.extend(more.flights);
                    needed.cold.extend(more.cold);
                    needed.forgets |= more.forgets;
                    needed
                        .shards
                        .extend(more.shards.into_iter().filter(|n| !needed.shards.contains(n)).collect::<Vec<_>>());
                }
                Err(_) => break,
            }
        }
        Err(Need::Nodes(needed))
    }

    /// The keys of the nodes that a body has changed; `keys` are the command's.
    pub(crate) fn changed_nodes(&self, keys: &[(Key<'_>, Access)], changes: &Changes<'_>) -> Vec<NodeKey> {
        changes
            .nodes()
            .iter()
            .map(|change| self.node_key(keys[change.owner].0.space.twin(), change.collection, change.node))
            .collect()
    }

    /// After the commit: heat and promotion of the nodes that were read.
    pub(crate) fn after_nodes(&self, guards: &mut Guards<'_>, met: &[Met], moved: bool, known: &Known) {
        for node in met {
            let shard = &mut guards[node.guard].1;
            match node.hot {
                Some((at, slot)) if !moved => shard.touch(node.key.space, at, slot),
                Some((_, slot)) => {
                    if let Some((at, slot)) = shard.refind(node.key.space, node.hash, slot) {
                        shard.touch(node.key.space, at, slot);
                    }
                }
                None => {
                    self.promote_latched(shard, &node.key.key(), node.hash, known);
                }
            }
            self.note_node(shard, node);
        }
    }
}
