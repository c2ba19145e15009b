//! A shard: one latch, and everything it guards - index slots, cells, the policy's queues - for the keys whose hash begins
//! with its number.
//!
//! Promises: all changes of a key's slot, cell and place happen in one hold of the latch. Never: I/O, waiting, or memory taken
//! from the budget under the latch (what is needed is brought in from outside: spans, [`Spare`]).

use crate::arena::cell::{self, Cell};
use crate::change::{Access, Key, SpaceId};
use crate::delta::DeltaTable;
use crate::hash::Hasher;
use crate::index::{Index, Slot, SlotRef, Spare, State};
use crate::log::Log;
use crate::log::record::{padded, record_bytes};
use crate::nodes::NodeKey;
use crate::options::TierPolicy;
use crate::place::Place;
use crate::policy::{Entry, Ghost, Look, Objects, S3Fifo, Victim};
use crate::queue::Queues;
use crate::tier::fetch::{Flight, Known, KnownRecord};
use crate::watch::Watches;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use thermocline_memory::{Handle, Heap, Region, Span};

/// One space's part of a shard.
pub struct SpaceIndex {
    /// Which space.
    pub id: SpaceId,
    /// Its slots.
    pub index: Index,
    /// Keys with a TTL.
    pub expiring: u64,
}

/// Owner of keys that are kept for waiting commands (`queue.rs` knows for which).
pub const RESERVED: u64 = u64::MAX;

/// A key that somebody holds logically.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct HeldKey {
    /// Its hash (space mixed in).
    pub hash: u128,
    /// Who holds it.
    pub owner: u64,
}

/// What commands did in a shard: plain numbers, for the latch is held whenever one changes.
#[derive(Copy, Clone, Default)]
pub struct Counts {
    /// Values asked for and found in DRAM.
    pub hot_hits: u64,
    /// Values asked for and found on the SSD.
    pub cold_hits: u64,
    /// Values asked for and not found.
    pub misses: u64,
    /// Keys removed because a command met them after their time.
    pub expired: u64,
    /// Keys stored or removed.
    pub changes: u64,
    /// Nodes of collections asked for.
    pub nodes: u64,
}

/// What a look without the SSD finds.
pub enum Sight<'s> {
    /// No slot can be this key.
    Absent,
    /// Hot: the slot, and what is in its cell.
    Hot(SlotRef, Slot, Cell<'s>),
    /// A cold slot may be this key.
    Unknown,
}

/// What a look for a key found.
pub enum Found<'k> {
    /// No slot can be this key.
    Absent,
    /// Hot, in this cell.
    Hot(SlotRef, Slot, Handle),
    /// Cold, proven by its record.
    Cold(SlotRef, Slot, &'k Arc<KnownRecord>),
    /// A slot that may be this key lies in damage.
    Corrupt(SlotRef, Slot),
    /// These must be read first.
    Unknown(SmallVec<[Slot; 2]>),
}

impl Found<'_> {
    /// A slot in damage is that of the first key of a group that looks like it and is replaced: for the others there is none.
    pub(crate) fn unless_taken(self, access: Access, is_taken: impl Fn(Slot) -> bool) -> Self {
        match self {
            Found::Corrupt(_, slot) if access == Access::Overwrite && is_taken(slot) => Found::Absent,
            found => found,
        }
    }
}

/// What is guarded by one latch.
pub struct Shard {
    /// Cells.
    pub heap: Heap,
    /// Order of leaving.
    pub policy: S3Fifo,
    /// Epochs of ghosts.
    pub ghost: Ghost,
    ghost_sweep: Option<u64>,
    /// Index per space.
    pub spaces: Vec<SpaceIndex>,
    /// Memory for growth of the indexes.
    pub spare: Spare,
    /// Highest seq written in this shard.
    pub high_seq: u64,
    /// Reads under way.
    pub flights: HashMap<u64, Arc<Flight>>,
    /// Keys held logically: locked, or kept for a waiting command.
    pub held: Vec<HeldKey>,
    /// Keys that clients watch.
    pub(crate) watches: Watches,
    /// Commands that wait for keys.
    pub(crate) queues: Queues,
    /// What was done here.
    pub counts: Counts,
    /// Nodes whose last changes are deltas.
    pub(crate) deltas: DeltaTable,
    /// Cells put aside for whoever asked.
    reserved: SmallVec<[(usize, Handle); 4]>,
    shard_bits: u32,
    base_bits: u32,
    /// Where shrinking stands: (space, cursor).
    shrunk: (usize, u64),
}

impl Shard {
    /// An empty shard.
    pub(crate) fn new(
        region: &Arc<Region>,
        number: u32,
        policy: TierPolicy,
        shard_bits: u32,
        base_bits: u32,
        deltas: DeltaTable,
    ) -> Self {
        Shard {
            heap: Heap::new(region.clone(), number),
            policy: S3Fifo::new(policy),
            ghost: Ghost::default(),
            ghost_sweep: None,
            spaces: Vec::new(),
            spare: Spare::default(),
            high_seq: 0,
            flights: HashMap::new(),
            held: Vec::new(),
            watches: Watches::default(),
            queues: Queues::default(),
            counts: Counts::default(),
            deltas,
            reserved: SmallVec::new(),
            shard_bits,
            base_bits,
            shrunk: (0, 0),
        }
    }

    /// The index of a space, if it has any keys here.
    #[inline]
    pub fn space(&self, id: SpaceId) -> Option<&SpaceIndex> {
        self.spaces.iter().find(|s| s.id == id)
    }

    /// The index of a space, to change.
    #[inline]
    pub fn space_mut(&mut self, id: SpaceId) -> Option<&mut SpaceIndex> {
        self.spaces.iter_mut().find(|s| s.id == id)
    }

    /// The index of a space, made if there is none (O(1)).
    pub fn space_or_new(&mut self, id: SpaceId) -> &mut SpaceIndex {
        let at = match self.spaces.iter().position(|s| s.id == id) {
            Some(at) => at,
            None => {
                self.spaces.push(SpaceIndex { id, index: Index::new(self.shard_bits, self.base_bits), expiring: 0 });
                self.spaces.len() - 1
            }
        };
        &mut self.spaces[at]
    }

    /// Is the key locked by somebody else?
    #[inline]
    pub fn is_held(&self, key: &Key<'_>, owner: u64) -> bool {
        let is_others = |h: &HeldKey| h.hash == key.hash.0 && h.owner != owner && h.owner != RESERVED;
        !self.held.is_empty() && self.held.iter().any(is_others)
    }

    /// Looks for a key. `known` proves or refutes cold slots.
    pub fn find<'k>(&self, key: &Key<'_>, hash: u64, known: &'k Known, log: &Log) -> Found<'k> {
        let Some(space) = self.space(key.space) else { return Found::Absent };
        let mut unknown: SmallVec<[Slot; 2]> = SmallVec::new();
        let mut proven = None;
        let mut corrupt = None;
        let heap = &self.heap;
        let hit = space.index.find(hash, |at, slot| match slot.state() {
            State::Hot => cell::read(heap.bytes(Handle::from_bits(slot.place()))).key == key.bytes,
            State::Cold => match known.get(Place::from_bits(slot.place()), log) {
                None => {
                    unknown.push(slot);
                    false
                }
                Some(record) if record.is_corrupt() => {
                    corrupt = Some((at, slot));
                    false
                }
                Some(record) if record.record().key == key.bytes && record.record().space == key.space => {
                    proven = Some(record);
                    true
                }
                Some(_) => false,
            },
            State::Empty => false,
        });
        match (hit, proven) {
            (Some((at, slot)), Some(record)) => Found::Cold(at, slot, record),
            (Some((at, slot)), None) => Found::Hot(at, slot, Handle::from_bits(slot.place())),
            _ if !unknown.is_empty() => Found::Unknown(unknown),
            _ => corrupt.map_or(Found::Absent, |(at, slot)| Found::Corrupt(at, slot)),
        }
    }

    /// Looks for a key in DRAM.
    #[inline]
    pub fn sight(&self, key: &Key<'_>, hash: u64) -> Sight<'_> {
        let Some(space) = self.space(key.space) else { return Sight::Absent };
        let mut object = None;
        let hit = space.index.find(hash, |_, slot| {
            if slot.state() != State::Hot {
                return true;
            }
            object = Some(self.cell(Handle::from_bits(slot.place()))).filter(|object| object.key == key.bytes);
            object.is_some()
        });
        match (hit, object) {
            (None, _) => Sight::Absent,
            (Some((at, slot)), Some(object)) => Sight::Hot(at, slot, object),
            (Some(_), None) => Sight::Unknown,
        }
    }

    /// Looks for a node in DRAM. `None`: it is not there, or perhaps cold.
    #[inline]
    pub(crate) fn sight_node(&self, node: &NodeKey, hash: u64) -> Option<(SlotRef, Slot, &[u8])> {
        let space = self.space(node.space)?;
        let mut payload = None;
        let (at, slot) = space.index.find(hash, |_, slot| {
            if slot.state() != State::Hot {
                return true;
            }
            payload = cell::node_payload(self.heap.bytes(Handle::from_bits(slot.place())), &node.name);
            payload.is_some()
        })?;
        Some((at, slot, payload?))
    }

    /// Finds the slot that is exactly this word again (positions move when others are inserted).
    pub fn refind(&self, space: SpaceId, hash: u64, want: Slot) -> Option<(SlotRef, Slot)> {
        self.space(space)?.index.find(hash, |_, slot| slot.state() == want.state() && slot.place() == want.place())
    }

    /// The object of a handle.
    #[inline]
    pub fn cell(&self, handle: Handle) -> Cell<'_> {
        cell::read(self.heap.bytes(handle))
    }

    /// A cell of at least `bytes`, if the heap has one.
    pub fn alloc(&mut self, bytes: usize) -> Option<Handle> {
        if !self.reserved.is_empty() {
            let class = Heap::class_bytes(bytes);
            if let Some(at) = self.reserved.iter().position(|r| r.0 == class) {
                return Some(self.reserved.swap_remove(at).1);
            }
        }
        self.heap.alloc(bytes)
    }

    /// Is a cell of this size put aside?
    pub fn has_reserved(&self, bytes: usize) -> bool {
        let class = Heap::class_bytes(bytes);
        self.reserved.iter().any(|r| r.0 == class)
    }

    /// Puts one more cell aside, so that one more [`Shard::alloc`] of this size succeeds. False: there is none.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        let Some(handle) = self.heap.alloc(bytes) else { return false };
        self.put_aside(bytes, handle);
        true
    }

    /// Keeps a cell that was taken and not used for whoever comes back for it.
    pub fn put_aside(&mut self, bytes: usize, handle: Handle) {
        self.reserved.push((Heap::class_bytes(bytes), handle));
    }

    /// Gives back cells that were put aside and not fetched, beyond `kept`.
    pub fn trim_reserved(&mut self, kept: usize, spans: &mut Vec<Span>) {
        while self.reserved.len() > kept {
            let (_, oldest) = self.reserved.remove(0);
            spans.extend(self.heap.free(oldest));
        }
    }

    /// Gives back all cells put aside: memory is so short that who asked for them must ask again.
    pub fn forget_reserved(&mut self, spans: &mut Vec<Span>) {
        for (_, cell) in std::mem::take(&mut self.reserved) {
            spans.extend(self.heap.free(cell));
        }
    }

    /// Writes a new hot object into a cell and enters it into the policy's queues. `was_ghost`: it is remembered.
    pub fn place_cell(&mut self, handle: Handle, hash: u64, mut object: Cell<'_>, was_ghost: bool) {
        object.main = self.policy.goes_to_main(was_ghost);
        let into = self.heap.bytes_mut(handle);
        let bytes = into.len();
        cell::write(into, &object);
        self.policy.insert(entry_of(handle, hash), bytes, object.main);
    }

    /// Takes a hot object's cell away; its slot must already say something else. Empty spans go to `spans`.
    pub fn free_cell(&mut self, handle: Handle, spans: &mut Vec<Span>) {
        let bytes = self.heap.bytes(handle);
        let main = cell::read(bytes).main;
        let bytes = bytes.len();
        self.policy.removed(bytes, main);
        spans.extend(self.heap.free(handle));
    }

    /// Bytes of the record at the place of a hot object.
    pub fn record_bytes_of(&self, object: &Cell<'_>) -> u32 {
        if object.deltas
            && let Some(dirty) = self.deltas.get(object.place)
        {
            return dirty.base_bytes;
        }
        padded(record_bytes(object.key.len(), object.payload.len(), object.expiry.is_some())) as u32
    }

    /// Inserts a slot for a key that has none. Growth takes its few KiB from the stock in [`Shard::spare`], which is refilled
    /// when it runs out (a group may need many new segments at once, more than any stock).
    pub fn insert_slot(&mut self, space: SpaceId, hash: u64, slot: Slot) -> SlotRef {
        let mut spare = std::mem::take(&mut self.spare);
        let space = self.space_or_new(space);
        let at = loop {
            match space.index.insert(hash, slot, &mut spare) {
                Ok(at) => break at,
                Err(_) => spare.refill(),
            }
        };
        space.expiring += u64::from(slot.has_ttl());
        self.spare = spare;
        at
    }

    /// Removes a slot.
    pub fn remove_slot(&mut self, space: SpaceId, at: SlotRef) -> Option<Slot> {
        let space = self.space_mut(space)?;
        let slot = space.index.remove(at);
        if slot.has_ttl() {
            space.expiring -= 1;
        }
        Some(slot)
    }

    /// Changes a slot (its hash bits stay).
    pub fn set_slot(&mut self, space: SpaceId, at: SlotRef, slot: Slot) {
        if let Some(old) = self.space(space).map(|space| space.index.get(at)) {
            self.replace_slot(space, at, old, slot);
        }
    }

    /// Changes a slot that is known to be `old` (its hash bits stay).
    #[inline]
    pub fn replace_slot(&mut self, space: SpaceId, at: SlotRef, old: Slot, slot: Slot) {
        if let Some(space) = self.space_mut(space) {
            match (old.has_ttl(), slot.has_ttl()) {
                (false, true) => space.expiring += 1,
                (true, false) => space.expiring -= 1,
                _ => {}
            }
            space.index.set(at, slot);
        }
    }

    /// Raises the counter of a hot slot.
    #[inline]
    pub fn touch(&mut self, space: SpaceId, at: SlotRef, slot: Slot) {
        if slot.heat() < 3
            && let Some(space) = self.space_mut(space)
        {
            space.index.set(at, slot.with_heat(slot.heat() + 1));
        }
    }

    /// Who leaves next, by the policy.
    pub fn victim(&mut self, hasher: &Hasher) -> Option<Victim> {
        let mut policy = std::mem::replace(&mut self.policy, S3Fifo::new(TierPolicy::S3Fifo));
        let victim = policy.victim(&mut Residents { shard: self, hasher });
        self.policy = policy;
        victim
    }

    /// Drops stale queue entries.
    pub fn compact_policy(&mut self, hasher: &Hasher) {
        let mut policy = std::mem::replace(&mut self.policy, S3Fifo::new(TierPolicy::S3Fifo));
        policy.compact(&mut Residents { shard: self, hasher });
        self.policy = policy;
    }

    /// The slot, handle and hash of an entry, if its object is still here.
    pub fn resident(&self, entry: Entry, hasher: &Hasher) -> Option<(SpaceId, u64, SlotRef, Slot, Handle)> {
        let handle = Handle::from_bits(entry.0 & ((1 << 40) - 1));
        if !self.heap.holds(handle) || self.reserved.iter().any(|r| r.1 == handle) {
            return None;
        }
        let object = self.cell(handle);
        let hash = hasher.index(hasher.hash(object.space, object.key));
        if entry_of(handle, hash) != entry {
            return None;
        }
        let space = object.space;
        let (at, slot) =
            self.space(space)?.index.find(hash, |_, s| s.state() == State::Hot && s.place() == handle.bits())?;
        Some((space, hash, at, slot, handle))
    }

    /// Demotes a clean hot object: the slot names its place, the cell is free. `ghost`: it left the small queue.
    pub fn demote(
        &mut self,
        space: SpaceId,
        at: SlotRef,
        slot: Slot,
        handle: Handle,
        ghost: bool,
        spans: &mut Vec<Span>,
    ) {
        let (place, class) = {
            let object = self.cell(handle);
            (object.place, slot.class())
        };
        assert!(place.is_some(), "only a value that the SSD has is demoted");
        let bytes = self.heap.bytes(handle).len();
        let mark = if ghost {
            let capacity = self.heap.owned_bytes() as usize;
            let (mark, turned) = self.ghost.mark(bytes, capacity);
            if turned {
                self.ghost_sweep = Some(0);
            }
            mark
        } else {
            0
        };
        let cold = slot.with_state(State::Cold).with_place(place.bits()).with_class(class).with_heat(mark);
        self.set_slot(space, at, cold);
        self.free_cell(handle, spans);
        self.sweep_ghosts();
    }

    /// Clears a few marks of the epoch that will be used next.
    fn sweep_ghosts(&mut self) {
        const SLOTS_PER_STEP: usize = 48;
        let Some(cursor) = self.ghost_sweep else { return };
        let stale = self.ghost.stale();
        let Some(space) = self.spaces.iter_mut().max_by_key(|s| s.index.len()) else { return };
        let mut found: SmallVec<[(SlotRef, Slot); 16]> = SmallVec::new();
        self.ghost_sweep = space.index.scan(cursor, SLOTS_PER_STEP, |at, slot, _, _| {
            if slot.state() == State::Cold && slot.heat() == stale {
                found.push((at, slot));
            }
        });
        for (at, slot) in found {
            space.index.set(at, slot.with_heat(0));
        }
    }

    /// Moves the cells of the sparsest span elsewhere. Returns false if there is nothing to gain.
    pub fn evacuate(&mut self, hasher: &Hasher, spans: &mut Vec<Span>) -> bool {
        let Some(sparse) = self.heap.sparsest() else { return false };
        let cells: Vec<Handle> = self.heap.cells_of(sparse.span).collect();
        for from in cells {
            if let Some(at) = self.reserved.iter().position(|r| r.1 == from) {
                self.reserved.swap_remove(at);
                spans.extend(self.heap.free(from));
                continue;
            }
            let (space, hash, main, bytes) = {
                let object = self.cell(from);
                let bytes =
                    cell::cell_bytes(object.space, object.key.len(), object.payload.len(), object.expiry.is_some());
                (object.space, hasher.index(hasher.hash(object.space, object.key)), object.main, bytes)
            };
            let slot = self
                .space(space)
                .and_then(|s| s.index.find(hash, |_, s| s.state() == State::Hot && s.place() == from.bits()));
            let Some((at, slot)) = slot else { continue };
            // As large as it was: a leaf of a list has more than it needs, and the policy counts what a cell takes.
            let Some(to) = self.heap.alloc(self.heap.bytes(from).len()) else { return false };
            let copy: SmallVec<[u8; 512]> = SmallVec::from_slice(&self.heap.bytes(from)[..bytes]);
            self.heap.bytes_mut(to)[..bytes].copy_from_slice(&copy);
            if let Some(space) = self.space_mut(space) {
                space.index.set(at, slot.with_place(to.bits()));
            }
            self.policy.moved(entry_of(to, hash), main);
            spans.extend(self.heap.free(from));
        }
        true
    }

    /// Makes one index segment smaller if removals left it less than half full; goes round with each call.
    pub fn shrink_some(&mut self) {
        if self.spaces.is_empty() {
            return;
        }
        let (number, cursor) = self.shrunk;
        let number = number % self.spaces.len();
        match self.spaces[number].index.shrink_segment(cursor, &mut self.spare) {
            Ok(Some(next)) => self.shrunk = (number, next),
            Ok(None) => self.shrunk = (number + 1, 0),
            Err(_) => self.spare.refill(),
        }
    }

    /// DRAM of the indexes and queues.
    pub fn memory_bytes(&self) -> u64 {
        self.spaces.iter().map(|s| s.index.bytes()).sum::<u64>()
            + self.policy.memory_bytes() as u64
            + self.spare.bytes()
    }

    /// A cold slot for a record.
    pub fn cold_slot(place: Place, class: u8, ttl: bool, heat: u8) -> Slot {
        Slot::new(State::Cold, place.bits()).with_class(class).with_ttl(ttl).with_heat(heat)
    }
}

/// Packs handle and 24 bits of the hash: a stale entry is told from a new object in the same cell.
pub fn entry_of(handle: Handle, hash: u64) -> Entry {
    Entry(handle.bits() | (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) << 40)
}

struct Residents<'s> {
    shard: &'s mut Shard,
    hasher: &'s Hasher,
}

impl Objects for Residents<'_> {
    fn look(&mut self, entry: Entry) -> Option<Look> {
        let (_, _, _, slot, handle) = self.shard.resident(entry, self.hasher)?;
        let bytes = self.shard.heap.bytes(handle);
        Some(Look { bytes: bytes.len(), heat: slot.heat(), main: cell::read(bytes).main })
    }

    fn set_heat(&mut self, entry: Entry, heat: u8) {
        if let Some((space, _, at, slot, _)) = self.shard.resident(entry, self.hasher) {
            self.shard.set_slot(space, at, slot.with_heat(heat));
        }
    }

    fn set_main(&mut self, entry: Entry) {
        if let Some((_, _, _, _, handle)) = self.shard.resident(entry, self.hasher) {
            cell::set_main(self.shard.heap.bytes_mut(handle));
        }
    }
}
