//! Nodes with deltas: appended whole before a map and when they become many, and made again at a start.
//!
//! ```text
//!  a start   delta --> is the node's payload known? yes: edit it
//!                                                   no:  keep the edits; a batch of them together: find the slots, read the
//!                                                        last full versions, edit
//!  at its end        the nodes are hot again, as the crash found them, and have deltas still
//! ```
//! Promises: a map at `B` is written only when every node with deltas before `B` is in the log whole; a node whose deltas do not
//! follow each other is not served. Never: holds more than the nodes that had deltas at one time, and one batch of edits.

use crate::SpaceId;
use crate::arena::cell::{self, Cell};
use crate::collection::node_name;
use crate::delta::{self, Before, Dirty};
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::hash::{Hasher, KeyHash};
use crate::index::State;
use crate::log::Purpose;
use crate::log::record::{Record, RecordKind, Seq, padded, record_bytes};
use crate::part::Part;
use crate::place::{Place, read_range};
use crate::planted::{self, Bug};
use crate::shard::Shard;
use crate::tier::parallel::in_parallel;
use crate::tier::prove::words_of;
use crate::tier::rebuild::Builder;
use crate::tier::scan_log::SegmentScan;
use crate::tier::sweep::yield_now;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_memory::Handle;
use thermocline_value::Kind;

/// Nodes appended in one step.
const NODES_PER_STEP: usize = 32;
/// Bytes of edits that wait for their nodes to be read.
const EDIT_BYTES_MAX: usize = 8 << 20;

impl Inner {
    /// Appends every node that has deltas before `b`.
    pub(crate) async fn flush_deltas(self: &Arc<Self>, b: Seq) -> Result<()> {
        for number in 0..self.shards.len() {
            loop {
                let ticket = self.log.room.ticket();
                let (more, stuck) = self.flush_some_deltas(number, b);
                if !more {
                    break;
                }
                if !stuck {
                    yield_now().await;
                    continue;
                }
                if let Some(reason) = self.log.failure() {
                    return Err(Error::Misconfigured { reason });
                }
                if self.frozen.load(Ordering::Acquire) {
                    return Err(Error::Closed);
                }
                self.pump(true);
                self.log.room.changed(ticket).await;
            }
        }
        Ok(())
    }

    /// A few of them, in one hold of a latch: (perhaps there are more, the log has no room).
    fn flush_some_deltas(&self, number: usize, b: Seq) -> (bool, bool) {
        let mut shard = self.shards[number].lock();
        let due: Vec<(Place, Dirty)> = shard
            .deltas
            .iter()
            .filter(|(_, dirty)| dirty.first_seq < b)
            .take(NODES_PER_STEP)
            .map(|(place, dirty)| (place, *dirty))
            .collect();
        for (place, dirty) in &due {
            // What it replaces dies: even the last reserve may be used.
            if !self.append_whole(&mut shard, *place, dirty, Purpose::Gc) {
                return (true, true);
            }
        }
        (due.len() == NODES_PER_STEP, false)
    }

    /// Appends some of the nodes whose last delta is oldest, if so many nodes have deltas that those that change now would soon find
    /// no place. True: call again.
    pub(crate) fn retire_deltas(&self) -> bool {
        let deltas = &self.log.deltas;
        let are_many =
            || deltas.nodes() > self.deltas_max() / 4 * 3 || deltas.flush_bytes() > self.log.flush_bytes_max() / 4 * 3;
        let mut retired = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            if !are_many() || shard.deltas.len() == 0 {
                continue;
            }
            let mut oldest: Vec<(Seq, Place, Dirty)> =
                shard.deltas.iter().map(|(place, dirty)| (dirty.last_seq, place, *dirty)).collect();
            oldest.sort_unstable_by_key(|(last_seq, place, _)| (*last_seq, *place));
            for (_, place, dirty) in oldest.iter().take(NODES_PER_STEP.min(oldest.len().div_ceil(2))) {
                if !self.append_whole(&mut shard, *place, dirty, Purpose::Growth) {
                    return false;
                }
                retired += 1;
            }
        }
        retired > 0
    }

    /// Appends a node that has deltas whole. False: the log has no room now.
    fn append_whole(&self, shard: &mut Shard, place: Place, dirty: &Dirty, purpose: Purpose) -> bool {
        let Some((at, slot)) = shard.naming(dirty.space, dirty.hash, place) else {
            panic!("the table of deltas names an object that is not there")
        };
        assert!(slot.state() == State::Hot, "a node with deltas is hot");
        self.clean_for(shard, Handle::from_bits(slot.place()), at, dirty.space, purpose)
    }

    /// A node as the replay has made it: hot, over its last full version.
    pub(crate) fn restore(&self, node: &RestoredNode) -> Result<()> {
        let key = self.key(node.space, &node.name);
        let hash = self.hash_of(&key);
        let number = self.shard_of(hash);
        let bytes = cell::cell_bytes(key.space, key.bytes.len(), node.payload.len(), false);
        if !self.make_room(number, bytes) {
            return Err(Error::OutOfMemory);
        }
        let mut shard = self.shards[number].lock();
        let shard = &mut *shard;
        let Some((at, slot)) = shard.naming(key.space, hash, node.place) else { return Ok(()) };
        let Some(handle) = shard.alloc(bytes) else { return Err(Error::OutOfMemory) };
        let deltas = !planted::is(Bug::DeltasRestoredClean);
        let object = Cell {
            place: node.place,
            kind: node.kind,
            main: false,
            deltas,
            space: key.space,
            expiry: None,
            key: key.bytes,
            payload: &node.payload,
        };
        shard.place_cell(handle, hash, object, false);
        shard.set_slot(key.space, at, slot.with_state(State::Hot).with_place(handle.bits()).with_heat(1));
        let (base_bytes, last_seq) = (node.base_bytes, node.last_seq);
        let full_bytes = padded(record_bytes(key.bytes.len(), node.payload.len(), false)) as u32;
        let dirty = Dirty { hash, space: key.space, base_bytes, full_bytes, first_seq: node.first_seq, last_seq };
        if deltas {
            shard.deltas.note(node.place, dirty);
        }
        Ok(())
    }
}

/// A node after the replay.
pub(crate) struct RestoredNode {
    space: SpaceId,
    name: Vec<u8>,
    kind: Kind,
    payload: Vec<u8>,
    /// Its last full version.
    place: Place,
    base_bytes: u32,
    first_seq: Seq,
    last_seq: Seq,
}

/// A delta that waits for its node.
struct Waiting {
    seq: Seq,
    before: Before,
    edits: Vec<u8>,
}

/// A node during the replay.
struct Node {
    space: SpaceId,
    name: Vec<u8>,
    hash: KeyHash,
    waiting: Vec<Waiting>,
    known: Option<RestoredNode>,
    is_lost: bool,
}

/// What a space's key is found by.
type NodeName = (u32, [u32; 3]);

/// The nodes that the replay has met deltas of.
#[derive(Default)]
pub(crate) struct Replayed {
    nodes: BTreeMap<NodeName, Node>,
    waiting_bytes: usize,
    /// Nodes whose deltas do not follow each other.
    pub(crate) lost: u64,
}

impl Replayed {
    /// A full version of a key, or its end: what was known of it before does not count.
    pub(crate) fn forget(&mut self, space: SpaceId, hash: [u32; 3]) {
        if !self.nodes.is_empty() && space.visible() != space {
            self.nodes.remove(&(space.0, hash));
        }
    }

    /// A delta record.
    pub(crate) fn note(&mut self, hasher: &Hasher, part: &Part, (space, seq): (SpaceId, Seq), payload: &[u8]) {
        let Ok(entries) = delta::entries(payload) else {
            self.lost += 1;
            return;
        };
        for entry in entries {
            let name = node_name(entry.collection, entry.node);
            let hash = hasher.hash(space, &name);
            if !part.has(space, hash, Some(Kind::HashNode)) {
                continue;
            }
            let node = self.nodes.entry((space.0, words_of(hash))).or_insert_with(|| Node {
                space,
                name: name.to_vec(),
                hash,
                waiting: Vec::new(),
                known: None,
                is_lost: false,
            });
            let delta = Waiting { seq, before: entry.before, edits: entry.edits.to_vec() };
            match &mut node.known {
                Some(known) => node.is_lost |= !known.change(&delta),
                None => {
                    self.waiting_bytes += delta.edits.len() + size_of::<Waiting>();
                    node.waiting.push(delta);
                }
            }
        }
    }

    /// So many edits wait that their nodes should be read.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes > EDIT_BYTES_MAX
    }

    /// The nodes at the end.
    pub(crate) fn into_nodes(self) -> Vec<RestoredNode> {
        self.nodes.into_values().filter_map(|node| node.known).collect()
    }
}

impl RestoredNode {
    /// Applies a delta. False: it is not one of this version, or does not fit it.
    fn change(&mut self, delta: &Waiting) -> bool {
        let follows = match delta.before {
            Before::Delta(last_seq) => last_seq == self.last_seq,
            Before::Full(crc) => self.last_seq == 0 && crc32fast::hash(&self.payload) == crc,
        };
        if !follows && !planted::is(Bug::DeltasUnchained) || delta::apply(&delta.edits, &mut self.payload).is_err() {
            return false;
        }
        self.first_seq = if self.first_seq == 0 { delta.seq } else { self.first_seq };
        self.last_seq = delta.seq;
        true
    }
}

impl Builder<'_> {
    /// Reads the nodes that edits wait for, and edits them. A node that is not what its deltas say is taken out of the index: a
    /// read of it is an error.
    pub(crate) fn settle_deltas(&mut self, scans: &[SegmentScan<'_>]) -> Result<()> {
        let mut deltas = std::mem::take(&mut self.deltas);
        if deltas.nodes.is_empty() {
            self.deltas = deltas;
            return Ok(());
        }
        self.apply(scans)?;
        let waiting: Vec<Mutex<&mut Node>> =
            deltas.nodes.values_mut().filter(|node| !node.waiting.is_empty()).map(Mutex::new).collect();
        in_parallel(
            self.threads,
            waiting.len(),
            || (),
            |(), number| {
                let mut node = waiting[number].lock();
                node.known = self.read_node(scans, &node)?;
                let waiting = std::mem::take(&mut node.waiting);
                let fits = node.known.as_mut().is_some_and(|known| waiting.iter().all(|delta| known.change(delta)));
                node.is_lost |= !fits;
                Ok(())
            },
        )?;
        drop(waiting);
        for node in deltas.nodes.values_mut().filter(|node| node.is_lost) {
            deltas.lost += 1;
            let Some(known) = node.known.take() else { continue };
            let hash = self.hasher.index(node.hash);
            let mut seed = self.seeds[self.shard_of(hash)].lock();
            let space = seed.space(node.space, self.shard_bits, self.base_bits);
            let found = space.index.find(hash, |_, slot| slot.place() == known.place.bits());
            if let Some((at, slot)) = found {
                self.unname(slot, known.base_bytes);
                space.index.remove(at);
            }
        }
        deltas.nodes.retain(|_, node| !node.is_lost);
        deltas.waiting_bytes = 0;
        self.deltas = deltas;
        Ok(())
    }

    /// The last full version of a node.
    fn read_node(&self, scans: &[SegmentScan<'_>], node: &Node) -> Result<Option<RestoredNode>> {
        let hash = self.hasher.index(node.hash);
        let mut places = Vec::new();
        {
            let mut seed = self.seeds[self.shard_of(hash)].lock();
            let space = seed.space(node.space, self.shard_bits, self.base_bits);
            space.index.find(hash, |_, slot| {
                places.push((Place::from_bits(slot.place()), slot.class()));
                false
            });
        }
        for (place, class) in places {
            let (segment, offset) = place.split(self.segment_bytes);
            let Some(scan) = scans.iter().find(|scan| scan.segment == segment) else { continue };
            let (from, bytes) = read_range(offset, class, 1, self.segment_bytes);
            let mut window = vec![0; bytes as usize];
            let read = scan.read(self.disk, from, &mut window)?;
            let record = window
                .get((offset - from) as usize..read)
                .and_then(|record| Record::decode(scan.address().at(offset), record).ok())
                .filter(|record| record.space == node.space && record.key == node.name);
            let Some(record) = record else { continue };
            let RecordKind::Value(kind) = record.kind else { continue };
            return Ok(Some(RestoredNode {
                space: node.space,
                name: node.name.clone(),
                kind,
                payload: record.payload.to_vec(),
                place,
                base_bytes: padded(record.bytes()) as u32,
                first_seq: 0,
                last_seq: 0,
            }));
        }
        Ok(None)
    }
}
