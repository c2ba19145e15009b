//! The index while recovery rebuilds it: records are put and removed in order; a table from place to hash proves slots.
//!
//! Promises: equal space and equal 96-bit hash are one key; every slot it leaves names a place whose live bit is set. Never:
//! reads the disk.

use crate::engine::Spaces;
use crate::hash::{Hasher, KeyHash};
use crate::index::{Index, Slot, SlotRef};
use crate::log::footer::Entry;
use crate::log::map::Pending;
use crate::log::record::{ALIGN_BYTES, RecordKind, Seq, padded, u32_at, u64_at};
use crate::log::segment::Segment;
use crate::place::{Place, class_of};
use crate::shard::{Shard, SpaceIndex};
use crate::tier::recover::ShardSeed;
use crate::tier::scan_log::Found;
/// Entries by which a segment's list of proofs grows: doubling would take twice the memory at the wrong moment.
const PROOFS_STEP: usize = 4096;

/// What is known of the records that slots name while recovery runs: 20 bytes each, in order of offset per segment.
///
/// ```text
///  | offset u32 | the low 64 of the footer's 96 hash bits as two u32 | padded bytes / 16 : 16, seq high : 16 | seq low u32 |
/// ```
/// The index itself knows the first 35 bits or more of a hash, so together all 96 are compared.
#[derive(Default)]
pub(crate) struct Proofs {
    segments: Vec<Vec<[u32; 5]>>,
}

/// One record's proof.
#[derive(Copy, Clone)]
struct Proof {
    hash: [u32; 2],
    bytes: u32,
    seq: Seq,
}

impl Proofs {
    fn insert(&mut self, segment: u32, offset: u32, proof: Proof) {
        let at = segment as usize;
        if self.segments.len() <= at {
            self.segments.resize_with(at + 1, Vec::new);
        }
        let list = &mut self.segments[at];
        let sizes = (proof.bytes / ALIGN_BYTES as u32) | (((proof.seq >> 32) as u32) << 16);
        let packed = [offset, proof.hash[0], proof.hash[1], sizes, proof.seq as u32];
        if list.len() == list.capacity() {
            list.reserve_exact(PROOFS_STEP);
        }
        match list.last() {
            Some(last) if last[0] >= offset => match list.binary_search_by_key(&offset, |p| p[0]) {
                Ok(same) => list[same] = packed,
                Err(between) => list.insert(between, packed),
            },
            _ => list.push(packed),
        }
    }

    fn get(&self, segment: u32, offset: u32) -> Option<Proof> {
        let list = self.segments.get(segment as usize)?;
        let p = list[list.binary_search_by_key(&offset, |p| p[0]).ok()?];
        let seq = u64::from(p[4]) | (u64::from(p[3] >> 16) << 32);
        Some(Proof { hash: [p[1], p[2]], bytes: (p[3] & 0xFFFF) * ALIGN_BYTES as u32, seq })
    }
}

/// The indexes, live bits and facts while they are rebuilt.
pub(crate) struct Builder<'b> {
    pub(crate) segments: &'b [Segment],
    pub(crate) segment_bytes: u32,
    pub(crate) hasher: Hasher,
    pub(crate) shard_bits: u32,
    pub(crate) base_bits: u32,
    pub(crate) seeds: Vec<ShardSeed>,
    pub(crate) proofs: Proofs,
    pub(crate) spaces: Spaces,
    pub(crate) pending: Vec<Pending>,
}

fn hash_words(hash: KeyHash) -> [u32; 2] {
    let bytes = hash.footer();
    [u32_at(&bytes, 0), u32_at(&bytes, 4)]
}

impl Builder<'_> {
    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        if self.shard_bits == 0 { 0 } else { (hash >> (64 - self.shard_bits)) as usize }
    }

    fn proof(&self, slot: Slot) -> Option<Proof> {
        let (segment, offset) = Place::from_bits(slot.place()).split(self.segment_bytes);
        self.proofs.get(segment, offset)
    }

    fn find(&self, entry: &Entry) -> Option<(usize, usize, SlotRef, Slot)> {
        let hash = self.hasher.index(entry.hash);
        let number = self.shard_of(hash);
        let at = self.seeds[number].spaces.iter().position(|s| s.id == entry.space)?;
        let words = hash_words(entry.hash);
        let (slot_at, slot) = self.seeds[number].spaces[at]
            .index
            .find(hash, |_, slot| self.proof(slot).is_some_and(|p| p.hash == words))?;
        Some((number, at, slot_at, slot))
    }

    /// The key's newest version is this record.
    pub(crate) fn put(&mut self, segment: u32, entry: &Entry) {
        let bytes = padded(entry.bytes as usize) as u32;
        let place = Place::new(segment, entry.offset, self.segment_bytes);
        let slot = Shard::cold_slot(place, class_of(entry.offset, bytes), entry.expiry.is_some(), 0);
        match self.find(entry) {
            Some((_, _, _, old)) if old.place() == place.bits() => return,
            // A map may call two versions live, if it read the bits between an append and the swap: the newer one counts. Of two
            // copies of one version the map's counts: it is durable, GC's copy beyond the map may be only visible.
            Some((_, _, _, old)) if self.proof(old).is_some_and(|p| p.seq >= entry.seq) => return,
            Some((number, at, slot_at, old)) => {
                self.unname(old);
                let space = &mut self.seeds[number].spaces[at];
                match (old.has_ttl(), slot.has_ttl()) {
                    (false, true) => space.expiring += 1,
                    (true, false) => space.expiring -= 1,
                    _ => {}
                }
                let mut new = space.index.get(slot_at);
                new = new.with_place(slot.place()).with_class(slot.class()).with_ttl(slot.has_ttl());
                space.index.set(slot_at, new);
            }
            None => {
                let hash = self.hasher.index(entry.hash);
                let number = self.shard_of(hash);
                let (shard_bits, base_bits) = (self.shard_bits, self.base_bits);
                let seed = &mut self.seeds[number];
                let at = match seed.spaces.iter().position(|s| s.id == entry.space) {
                    Some(at) => at,
                    None => {
                        seed.spaces.push(SpaceIndex {
                            id: entry.space,
                            index: Index::new(shard_bits, base_bits),
                            expiring: 0,
                        });
                        seed.spaces.len() - 1
                    }
                };
                let space = &mut seed.spaces[at];
                while space.index.insert(hash, slot, &mut seed.spare).is_err() {
                    seed.spare.refill();
                }
                space.expiring += u64::from(slot.has_ttl());
            }
        }
        self.proofs.insert(segment, entry.offset, Proof { hash: hash_words(entry.hash), bytes, seq: entry.seq });
        self.segments[segment as usize].live.lock().name(entry.offset, bytes, entry.expiry);
    }

    /// The key is gone.
    fn remove(&mut self, entry: &Entry) {
        if let Some((number, at, slot_at, old)) = self.find(entry) {
            self.unname(old);
            let space = &mut self.seeds[number].spaces[at];
            space.index.remove(slot_at);
            space.expiring -= u64::from(old.has_ttl());
        }
    }

    fn unname(&mut self, slot: Slot) {
        let (segment, offset) = Place::from_bits(slot.place()).split(self.segment_bytes);
        let bytes = self.proof(slot).map_or(0, |p| p.bytes);
        self.segments[segment as usize].live.lock().unname(offset, bytes);
    }

    /// A record of the foreground stream, in order.
    pub(crate) fn replay(&mut self, found: &Found) {
        match found.entry.kind {
            RecordKind::Value(_) => self.put(found.segment, &found.entry),
            RecordKind::Tombstone => self.remove(&found.entry),
            RecordKind::Spaces => {
                if let Some(spaces) = Spaces::from_payload(&found.fact) {
                    self.spaces = spaces;
                }
            }
            RecordKind::Intent | RecordKind::Sweep if found.fact.len() >= 12 => {
                let id = u64_at(&found.fact, 0);
                let intent = found.entry.kind == RecordKind::Intent;
                match self.pending.iter_mut().find(|p| p.id == id) {
                    Some(p) => p.intent &= intent,
                    None => {
                        let (space, extents) = (found.entry.space, u32_at(&found.fact, 8));
                        self.pending.push(Pending { id, space, extents, intent });
                    }
                }
            }
            RecordKind::Committed | RecordKind::Swept if found.fact.len() >= 8 => {
                let id = u64_at(&found.fact, 0);
                self.pending.retain(|p| p.id != id);
            }
            _ => {}
        }
    }

    /// Spaces that no database names any more are dropped whole.
    pub(crate) fn drop_unnamed_spaces(&mut self) {
        for number in 0..self.seeds.len() {
            let spaces = std::mem::take(&mut self.seeds[number].spaces);
            for space in spaces {
                if self.spaces.names(space.id) {
                    self.seeds[number].spaces.push(space);
                    continue;
                }
                let mut slots = Vec::new();
                space.index.for_each(|_, slot, _, _| slots.push(slot));
                for slot in slots {
                    self.unname(slot);
                }
            }
        }
    }
}
