//! The index while recovery rebuilds it: what the map calls live goes in as it comes, what lies beyond it is replayed in order.
//!
//! The base needs no proof: below a map's lengths no key has two live records (tier/maps.rs). What is replayed does: tier/replay.rs.
//!
//! Promises: equal space and equal 96-bit hash are one key; every slot it leaves names a place whose live bit is set; memory is
//! the index and one batch. Never: decides what is replayed.

use crate::change::SpaceId;
use crate::engine::Spaces;
use crate::error::Result;
use crate::hash::Hasher;
use crate::index::{Index, Slot};
use crate::log::footer::Entry;
use crate::log::map::Pending;
use crate::log::record::{RecordKind, padded, u32_at, u64_at};
use crate::log::segment::Segment;
use crate::part::Part;
use crate::place::{CLASS_SECTORS, Place, SECTOR_BYTES, class_of};
use crate::shard::{Shard, SpaceIndex};
use crate::tier::deltas::Replayed;
use crate::tier::parallel::in_parallel;
use crate::tier::prove::words_of;
use crate::tier::recover::ShardSeed;
use crate::tier::replay::Change;
use crate::tier::scan_log::{Found, SegmentScan};
use crate::tier::torn::Torn;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use thermocline_io::Disk;
use thermocline_value::Root;

/// Spaces that a thread tells apart in what it collects: as many as fit in a slot's hash bits.
const SPACES_MAX: usize = 1 << 15;
/// Keys of a space per shard from which on its index is presized.
const PRESIZED_KEYS_MIN: u64 = 1 << 14;

/// An index from this size on is built in a heap that is grown ahead.
const LARGE_INDEX_BYTES: u64 = 32 << 20;
/// One step of that growth.
const HEAP_AHEAD_BYTES: usize = 8 << 20;
/// So small that allocators cut it from their heap instead of mapping it.
const HEAP_BLOCK_BYTES: usize = 64 << 10;
/// What a key takes in an index that was made for it.
const INDEX_BYTES_PER_KEY: u64 = 11;

/// The indexes, live bits and facts while they are rebuilt.
pub(crate) struct Builder<'b> {
    pub(crate) disk: &'b dyn Disk,
    pub(crate) segments: &'b [Segment],
    pub(crate) segment_bytes: u32,
    pub(crate) hasher: Hasher,
    pub(crate) shard_bits: u32,
    pub(crate) base_bits: u32,
    pub(crate) threads: usize,
    pub(crate) seeds: Vec<Mutex<ShardSeed>>,
    pub(crate) spaces: Spaces,
    pub(crate) pending: Vec<Pending>,
    /// Changes waiting for their batch, and how many make one.
    pub(crate) batch: Vec<Change>,
    batch_max: usize,
    /// Slots that a thread collects per shard.
    slots_per_hold: usize,
    pub(crate) replayed: u64,
    /// Nodes of collections whose last changes are deltas.
    pub(crate) deltas: Replayed,
    /// Trees behind a loss.
    pub(crate) torn: Torn,
    /// Which keys are wanted.
    pub(crate) part: Part,
}

/// What a thread is about to allocate of a large index, asked for in large steps.
///
/// The heap of a thread that is not the first one grows by a page or two whenever it must, and each step is a system call that
/// stops the page faults of all other threads: a sixth of the time in which 20 M keys were copied back (measured). Blocks that are
/// taken and given back at once leave the heap grown, and what nobody has touched is not resident. Advice to use huge pages there
/// made that step slower (measured).
pub(crate) struct HeapAhead {
    is_large: bool,
    left: usize,
}

impl HeapAhead {
    /// For an index of so many bytes.
    pub(crate) fn of(bytes: u64) -> HeapAhead {
        HeapAhead { is_large: bytes >= LARGE_INDEX_BYTES, left: 0 }
    }

    /// So many bytes come next.
    pub(crate) fn take(&mut self, bytes: usize) {
        if self.is_large && self.left < bytes {
            self.left = HEAP_AHEAD_BYTES.max(bytes);
            let blocks = self.left / HEAP_BLOCK_BYTES;
            let taken: Vec<Vec<u8>> = (0..blocks).map(|_| Vec::with_capacity(HEAP_BLOCK_BYTES)).collect();
            std::hint::black_box(&taken);
        }
        self.left = self.left.saturating_sub(bytes);
    }
}

/// What a thread has for each shard: hashes, and slots whose hash bits say which of the spaces they are of.
#[derive(Default)]
pub(crate) struct Collected {
    spaces: Vec<SpaceId>,
    shards: Vec<Vec<(u64, Slot)>>,
    scratch: Vec<(u64, Slot)>,
}

impl Collected {
    fn number_of(&mut self, space: SpaceId) -> Option<u32> {
        let at = self.spaces.iter().rposition(|&known| known == space);
        if at.is_none() && self.spaces.len() < SPACES_MAX {
            self.spaces.push(space);
            return Some(self.spaces.len() as u32 - 1);
        }
        at.map(|at| at as u32)
    }
}

impl<'b> Builder<'b> {
    #[expect(clippy::too_many_arguments, reason = "it is built once")]
    pub(crate) fn new(
        disk: &'b dyn Disk,
        segments: &'b [Segment],
        segment_bytes: u32,
        hasher: Hasher,
        shard_bits: u32,
        base_bits: u32,
        threads: usize,
        (batch_max, slots_per_hold): (usize, usize),
        spaces: Spaces,
        pending: Vec<Pending>,
        part: Part,
    ) -> Self {
        let seeds = (0..1 << shard_bits).map(|_| Mutex::default()).collect();
        Builder {
            disk,
            segments,
            segment_bytes,
            hasher,
            shard_bits,
            base_bits,
            threads,
            seeds,
            spaces,
            pending,
            batch: Vec::new(),
            batch_max,
            slots_per_hold,
            replayed: 0,
            deltas: Replayed::default(),
            torn: Torn::default(),
            part,
        }
    }

    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        if self.shard_bits == 0 { 0 } else { (hash >> (64 - self.shard_bits)) as usize }
    }

    pub(crate) fn collected(&self) -> Collected {
        Collected { shards: vec![Vec::new(); self.seeds.len()], ..Collected::default() }
    }

    /// An index for each space of which a sample promises many keys: (space, its share of `total` in thousandths).
    pub(crate) fn presize(&self, shares: &[(SpaceId, u64)], total: u64) -> Result<()> {
        if !self.part.is_whole() {
            return Ok(()); // its keys are not spread evenly
        }
        in_parallel(
            self.threads,
            self.seeds.len(),
            || (),
            |(), number| {
                let mut seed = self.seeds[number].lock();
                let mut heap = HeapAhead::of(total * INDEX_BYTES_PER_KEY);
                for &(space, share) in shares {
                    let keys = total / 1000 * share / self.seeds.len() as u64;
                    if keys >= PRESIZED_KEYS_MIN {
                        heap.take((keys * INDEX_BYTES_PER_KEY) as usize);
                        let hash = if self.shard_bits == 0 { 0 } else { (number as u64) << (64 - self.shard_bits) };
                        seed.space(space, self.shard_bits, self.base_bits).index.presize(keys, hash);
                    }
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    /// A record that the map calls live: the only one of its key below the map's lengths.
    #[inline]
    pub(crate) fn collect(&self, into: &mut Collected, segment: u32, entry: &Entry) {
        if !self.wants(entry) {
            return;
        }
        let bytes = padded(entry.bytes as usize) as u32;
        let place = Place::new(segment, entry.offset, self.segment_bytes);
        let slot = Shard::cold_slot(place, class_of(entry.offset, bytes), entry.expiry.is_some(), 0);
        let hash = self.hasher.index(entry.hash);
        let number = self.shard_of(hash);
        let space = into.number_of(entry.space).unwrap_or_else(|| {
            (0..into.shards.len()).for_each(|number| self.insert(number, into));
            into.spaces.clear();
            into.spaces.push(entry.space);
            0
        });
        into.shards[number].push((hash, slot.with_mark(space)));
        if into.shards[number].len() >= self.slots_per_hold {
            self.insert(number, into);
        }
    }

    /// Is it of a key that is wanted?
    #[inline]
    fn wants(&self, entry: &Entry) -> bool {
        let kind = match entry.kind {
            RecordKind::Value(kind) => Some(kind),
            _ => None,
        };
        self.part.has(entry.space, entry.hash, kind)
    }

    /// Puts in what all threads have left, shard by shard.
    pub(crate) fn insert_all(&self, collected: Vec<Collected>) -> Result<()> {
        let collected: Vec<Mutex<Collected>> = collected.into_iter().map(Mutex::new).collect();
        let shards = self.seeds.len();
        // Jobs at the same time are of different threads' slots and of different shards, so that they seldom wait for each other.
        let parts = collected.len();
        in_parallel(
            self.threads,
            shards * parts,
            || (),
            |(), job| {
                let (part, step) = (job % parts, job / parts);
                self.insert((step + part * shards / parts) % shards, &mut collected[part].lock());
                Ok(())
            },
        )?;
        Ok(())
    }

    fn insert(&self, number: usize, collected: &mut Collected) {
        let Collected { spaces, shards, scratch } = collected;
        let slots = &mut shards[number];
        let mut seed = self.seeds[number].lock();
        let ShardSeed { spaces: indexes, spare } = &mut *seed;
        let mut insert = |space: u32, slots: &mut Vec<(u64, Slot)>| {
            let space = ShardSeed::space_of(indexes, spaces[space as usize], self.shard_bits, self.base_bits);
            space.expiring += slots.iter().filter(|(_, slot)| slot.has_ttl()).count() as u64;
            space.index.insert_many(slots, scratch, spare);
        };
        match slots.first().map(|(_, slot)| slot.mark()) {
            None => {}
            Some(only) if slots.iter().all(|(_, slot)| slot.mark() == only) => insert(only, slots),
            Some(_) => {
                slots.sort_by_key(|(_, slot)| slot.mark());
                slots.chunk_by(|(_, one), (_, next)| one.mark() == next.mark()).for_each(|of_one| {
                    insert(of_one[0].1.mark(), &mut of_one.to_vec());
                });
                slots.clear();
            }
        }
    }

    /// So many records at most will be replayed.
    pub(crate) fn expect(&mut self, records: usize) {
        self.batch.reserve_exact(records.min(self.batch_max));
    }

    /// A record to be replayed, in order.
    pub(crate) fn replay(&mut self, scans: &[SegmentScan<'_>], found: &Found) -> Result<()> {
        let entry = &found.entry;
        self.replayed += 1;
        match entry.kind {
            RecordKind::Value(_) | RecordKind::Tombstone if !self.wants(entry) => {}
            RecordKind::Value(_) | RecordKind::Tombstone => {
                self.deltas.forget(entry.space, words_of(entry.hash));
                self.batch.push(Change::new(found.segment, entry));
                if self.batch.len() >= self.batch_max {
                    self.apply(scans)?;
                }
            }
            RecordKind::Delta => {
                self.deltas.note(&self.hasher, &self.part, (entry.space, entry.seq), &found.fact);
                if self.deltas.is_full() {
                    self.settle_deltas(scans)?;
                }
            }
            RecordKind::Spaces => {
                if let Some(spaces) = Spaces::from_payload(&found.fact) {
                    self.spaces = spaces;
                }
            }
            RecordKind::Sweep if Root::is_root(&found.fact) && found.fact.len() > 12 => {
                if let Ok(root) = Root::decode(&found.fact)
                    && !self.pending.iter().any(|p| p.id == root.collection.0)
                {
                    self.pending.push(Pending::of_tree(entry.space, root));
                }
            }
            RecordKind::Intent | RecordKind::Sweep if found.fact.len() >= 12 => {
                let id = u64_at(&found.fact, 0);
                let intent = entry.kind == RecordKind::Intent;
                match self.pending.iter_mut().find(|p| p.id == id) {
                    Some(p) => p.intent &= intent,
                    None => {
                        let (space, extents) = (entry.space, u32_at(&found.fact, 8));
                        self.pending.push(Pending { id, space, extents, intent, tree: None });
                    }
                }
            }
            RecordKind::Committed | RecordKind::Swept if found.fact.len() >= 8 => {
                let id = u64_at(&found.fact, 0);
                self.pending.retain(|p| p.id != id);
            }
            _ => {}
        }
        Ok(())
    }

    /// A key that is not served, as if its tombstone had come last.
    pub(crate) fn remove(&mut self, space: SpaceId, hash: [u32; 3]) {
        self.batch.push(Change::removal(space, hash));
    }

    pub(crate) fn unname(&self, slot: Slot, bytes: u32) {
        let (segment, offset) = Place::from_bits(slot.place()).split(self.segment_bytes);
        self.segments[segment as usize].live.lock().unname(offset, bytes);
    }

    /// Spaces that no database names any more are dropped whole; what was presized too large is given back.
    pub(crate) fn tidy(&mut self) -> Result<u64> {
        // A space that was given out by a record that is lost is never given out again: its keys would be in it.
        for seed in &self.seeds {
            let highest = seed.lock().spaces.iter().map(|space| space.id.visible().0).max();
            self.spaces.next = self.spaces.next.max(highest.map_or(0, |highest| highest + 2));
        }
        let keys = AtomicU64::new(0);
        in_parallel(
            self.threads,
            self.seeds.len(),
            || (),
            |(), number| {
                let mut seed = self.seeds[number].lock();
                let spaces = std::mem::take(&mut seed.spaces);
                for mut space in spaces {
                    if self.spaces.names(space.id) {
                        space.index.drop_empty();
                        if !space.index.is_empty() {
                            // What is hidden is no key of anybody.
                            let is_visible = space.id.visible() == space.id;
                            keys.fetch_add(if is_visible { space.index.len() } else { 0 }, Ordering::Relaxed);
                            seed.spaces.push(space);
                        }
                        continue;
                    }
                    // The exact length is on the SSD only; the class bounds it.
                    space.index.for_each(|_, slot, _, _| {
                        self.unname(slot, CLASS_SECTORS[usize::from(slot.class())] * SECTOR_BYTES);
                    });
                }
                Ok(())
            },
        )?;
        Ok(keys.into_inner())
    }
}

impl ShardSeed {
    /// The index of a space, made if there is none.
    pub(crate) fn space(&mut self, id: SpaceId, shard_bits: u32, base_bits: u32) -> &mut SpaceIndex {
        ShardSeed::space_of(&mut self.spaces, id, shard_bits, base_bits)
    }

    pub(crate) fn space_of(
        spaces: &mut Vec<SpaceIndex>,
        id: SpaceId,
        shard_bits: u32,
        base_bits: u32,
    ) -> &mut SpaceIndex {
        let at = match spaces.iter().position(|s| s.id == id) {
            Some(at) => at,
            None => {
                spaces.push(SpaceIndex { id, index: Index::new(shard_bits, base_bits), expiring: 0 });
                spaces.len() - 1
            }
        };
        &mut spaces[at]
    }
}
