//! The index while recovery rebuilds it: records are put and removed in order; a table from place to hash proves slots.
//!
//! Promises: equal space and equal 96-bit hash are one key; every slot it leaves names a place whose live bit is set. Never:
//! reads the disk.

use crate::engine::Spaces;
use crate::hash::{Hasher, KeyHash};
use crate::index::{Index, Slot, SlotRef};
use crate::log::footer::Entry;
use crate::log::map::Pending;
use crate::log::record::{RecordKind, Seq, padded, u32_at, u64_at};
use crate::log::segment::Segment;
use crate::place::{Place, class_of};
use crate::shard::{Shard, SpaceIndex};
use crate::tier::recover::ShardSeed;
use crate::tier::scan_log::Found;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher as StdHasher};

/// Hashes a place for the table of proofs.
#[derive(Default)]
pub(crate) struct PlaceHasher(u64);

impl StdHasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(word ^ 0x9E37_79B9_7F4A_7C15) * 0xA076_1D64_78BD_642F_u128;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

/// What is known of a place while recovery runs: the footer's hash bits beyond what the index has, and the record's bytes.
#[derive(Copy, Clone)]
pub(crate) struct Proof {
    hash: [u32; 3],
    bytes: u32,
    seq: Seq,
}

/// The indexes, live bits and facts while they are rebuilt.
pub(crate) struct Builder<'b> {
    pub(crate) segments: &'b [Segment],
    pub(crate) segment_bytes: u32,
    pub(crate) hasher: Hasher,
    pub(crate) shard_bits: u32,
    pub(crate) base_bits: u32,
    pub(crate) seeds: Vec<ShardSeed>,
    pub(crate) proofs: HashMap<u64, Proof, BuildHasherDefault<PlaceHasher>>,
    pub(crate) spaces: Spaces,
    pub(crate) pending: Vec<Pending>,
}

fn hash_words(hash: KeyHash) -> [u32; 3] {
    let bytes = hash.footer();
    [u32_at(&bytes, 0), u32_at(&bytes, 4), u32_at(&bytes, 8)]
}

impl Builder<'_> {
    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        if self.shard_bits == 0 { 0 } else { (hash >> (64 - self.shard_bits)) as usize }
    }

    fn find(&self, entry: &Entry) -> Option<(usize, usize, SlotRef, Slot)> {
        let hash = self.hasher.index(entry.hash);
        let number = self.shard_of(hash);
        let at = self.seeds[number].spaces.iter().position(|s| s.id == entry.space)?;
        let words = hash_words(entry.hash);
        let (slot_at, slot) = self.seeds[number].spaces[at]
            .index
            .find(hash, |_, slot| self.proofs.get(&slot.place()).is_some_and(|p| p.hash == words))?;
        Some((number, at, slot_at, slot))
    }

    /// The key's newest version is this record.
    pub(crate) fn put(&mut self, segment: u32, entry: &Entry) {
        let bytes = padded(entry.bytes as usize) as u32;
        let place = Place::new(segment, entry.offset, self.segment_bytes);
        let slot = Shard::cold_slot(place, class_of(entry.offset, bytes), entry.expiry.is_some(), 0);
        match self.find(entry) {
            Some((_, _, _, old)) if old.place() == place.bits() => return,
            // A map may call two versions live, if it read the bits between an append and the swap: the newer one counts.
            Some((_, _, _, old)) if self.proofs.get(&old.place()).is_some_and(|p| p.seq > entry.seq) => return,
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
        self.proofs.insert(place.bits(), Proof { hash: hash_words(entry.hash), bytes, seq: entry.seq });
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
        let bytes = self.proofs.remove(&slot.place()).map_or(0, |p| p.bytes);
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
