//! Making room: in the arena by demotion, on the SSD by eviction.
//!
//! A clean value leaves for nothing: its slot names its place on the SSD and the cell is free. A dirty one (`appendonly no`) is
//! appended first, in the same hold, and readable from the log's buffer until it is flushed. Only when the SSD is full too
//! does the eviction policy decide.
//!
//! Promises: nothing is dropped while the SSD has room. Never: waits under a latch; a demotion of what the log does not hold.

use crate::arena::cell::{self, Cell};
use crate::change::{Access, Changes, Key};
use crate::engine::{Engine, Inner};
use crate::error::{Error, Result};
use crate::index::State;
use crate::log::record::RecordKind;
use crate::log::{Draft, FOREGROUND, Purpose};
use crate::options::{DISK_LIVE_PERCENT_MAX, EvictionPolicy, ROOM_WAIT_US_MAX};
use crate::place::Place;
use crate::planted::{self, Bug};
use crate::shard::{Found, Shard};
use crate::tier::fetch::{Known, Landing};
use crate::wait::Boxed;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_memory::{Heap, Span};

/// Demotions in one hold of a latch.
const DEMOTIONS_PER_HOLD: usize = 32;
/// Rounds of one call: enough for the policy to turn over its queues until somebody has no heat left.
const ROUNDS_PER_CALL: usize = 1 << 14;
/// Share of the arena above which a value is served, not promoted.
const PROMOTED_SHARE_MAX: u64 = 64;
/// Percent of its fair share of the arena below which a shard takes from the richest one.
const FAIR_SHARE_PERCENT: u64 = 90;
/// Keys dropped by one call when both tiers are full.
const EVICTIONS_PER_CALL: usize = 16;
/// Fruitless calls after which a growing write is refused.
const STARVED_MAX: u32 = 64;
/// And on a disk that is slow, but not dead (a wait is 5 ms at most).
const STARVED_MAX_SLOW: u32 = 100_000;

/// What one call of the policy did.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Demoted {
    /// An object left.
    Done,
    /// Nobody left, but the policy took heat away from some: call again.
    Tired,
    /// Nobody can leave now.
    Stuck,
}

impl Inner {
    /// Makes room for several cells. False: nothing can leave now.
    pub(crate) fn make_rooms(&self, cells: &[(usize, usize)]) -> bool {
        cells.iter().all(|&(shard, bytes)| self.make_room(shard, bytes))
    }

    /// Puts one more cell of `bytes` aside in a shard. False: nothing can leave now.
    pub(crate) fn make_room(&self, number: usize, bytes: usize) -> bool {
        let units = Heap::wants(bytes);
        for _ in 0..ROUNDS_PER_CALL {
            if let Some(span) = self.region.take(units) {
                let mut shard = self.shards[number].lock();
                shard.heap.donate(bytes, span);
                return shard.reserve(bytes);
            }
            if let Some(richest) = self.richer_than(number) {
                // Others grew first: the memory comes from the shard that has most of it, span by span.
                if self.reserve_here(number, bytes) {
                    return true;
                }
                if self.give_up_a_span(richest) {
                    continue;
                }
            }
            let mut spans = Vec::new();
            let (made, left) = {
                let mut shard = self.shards[number].lock();
                let mut left = 0;
                let mut made = shard.reserve(bytes);
                let mut tired = false;
                while !made && !tired && left < DEMOTIONS_PER_HOLD {
                    match self.demote_one(&mut shard, &mut spans) {
                        Demoted::Stuck => break,
                        Demoted::Tired => tired = true,
                        Demoted::Done => made = shard.reserve(bytes),
                    }
                    left += 1;
                }
                if !made && !tired && spans.is_empty() && shard.evacuate(&self.hasher, &mut spans) {
                    left += 1;
                }
                (made, left)
            };
            let gave = !spans.is_empty();
            self.give(spans);
            if made {
                return true;
            }
            if left == 0 && !gave && !self.squeeze() {
                return false;
            }
        }
        false
    }

    fn reserve_here(&self, number: usize, bytes: usize) -> bool {
        self.shards[number].lock().reserve(bytes)
    }

    /// The shard with the most memory, if this one has clearly less than its share.
    fn richer_than(&self, number: usize) -> Option<usize> {
        let share = self.region.limit_bytes() / self.shards.len() as u64;
        if self.shards[number].lock().heap.owned_bytes() * 100 >= share * FAIR_SHARE_PERCENT {
            return None;
        }
        let owned = (0..self.shards.len()).map(|n| (self.shards[n].lock().heap.owned_bytes(), n));
        owned.max().filter(|&(bytes, n)| n != number && bytes > share).map(|(_, n)| n)
    }

    /// Demotes and moves objects of a shard until a span of it is free. False: nothing can leave it now.
    fn give_up_a_span(&self, number: usize) -> bool {
        let mut spans = Vec::new();
        {
            let mut shard = self.shards[number].lock();
            for _ in 0..DEMOTIONS_PER_HOLD {
                if !spans.is_empty() || matches!(self.demote_one(&mut shard, &mut spans), Demoted::Stuck) {
                    break;
                }
            }
            if spans.is_empty() {
                shard.evacuate(&self.hasher, &mut spans);
            }
        }
        let gave = !spans.is_empty();
        self.give(spans);
        gave
    }

    /// Gives back the cells put aside everywhere: whoever asked for several of them and did not get all asks again, after a wait
    /// (in the same step two such commands would take them from each other for ever).
    pub(crate) fn forget_reserved(&self) {
        let mut spans = Vec::new();
        for shard in &self.shards {
            shard.lock().forget_reserved(&mut spans);
        }
        self.give(spans);
    }

    /// Takes from all shards the empty spans that they keep. Returns true if there were any.
    fn squeeze(&self) -> bool {
        let mut spans = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            while let Some(span) = shard.heap.release_empty() {
                spans.push(span);
            }
        }
        let any = !spans.is_empty();
        self.give(spans);
        any
    }

    fn give(&self, spans: Vec<Span>) {
        for span in spans {
            self.region.give(span);
        }
    }

    /// Demotes the object that the policy names.
    pub(crate) fn demote_one(&self, shard: &mut Shard, spans: &mut Vec<Span>) -> Demoted {
        let Some(victim) = shard.victim(&self.hasher) else {
            return if shard.policy.objects() == 0 { Demoted::Stuck } else { Demoted::Tired };
        };
        let Some((space, _, at, slot, handle)) = shard.resident(victim.entry, &self.hasher) else {
            return Demoted::Tired;
        };
        if !self.clean(shard, handle, at, space) {
            shard.policy.spare(victim);
            return Demoted::Stuck;
        }
        let slot = shard.space(space).map_or(slot, |s| s.index.get(at));
        shard.demote(space, at, slot, handle, victim.from_small, spans);
        self.counters.demotions.fetch_add(1, Ordering::Relaxed);
        Demoted::Done
    }

    /// Makes sure that the log holds this version of a hot object. False: the log has no room now.
    pub(crate) fn clean(
        &self,
        shard: &mut Shard,
        handle: thermocline_memory::Handle,
        at: crate::index::SlotRef,
        space: crate::SpaceId,
    ) -> bool {
        let object = shard.cell(handle);
        if object.place.is_some() && !object.deltas {
            return true;
        }
        if object.deltas && planted::is(Bug::DemotionDropsDeltas) {
            let place = object.place;
            shard.deltas.remove(place);
            return true;
        }
        // A shutdown may use the reserve of removals, and a node with deltas, whose older version dies; GC keeps its own, to make
        // more.
        let purpose = match object.deltas || self.closing.load(Ordering::Acquire) {
            true => Purpose::Removal,
            false => Purpose::Growth,
        };
        self.clean_for(shard, handle, at, space, purpose)
    }

    /// Appends this version of a hot object, which the log does not hold or only as deltas. False: the log has no room now.
    pub(crate) fn clean_for(
        &self,
        shard: &mut Shard,
        handle: thermocline_memory::Handle,
        at: crate::index::SlotRef,
        space: crate::SpaceId,
        purpose: Purpose,
    ) -> bool {
        let object = shard.cell(handle);
        let older = object.deltas.then(|| (object.place, shard.record_bytes_of(&object)));
        let draft = Draft {
            kind: RecordKind::Value(object.kind),
            space: object.space,
            hash: self.hasher.hash(object.space, object.key),
            expiry: object.expiry,
            key: object.key,
            payload: object.payload,
            moved: None,
        };
        let mut out = SmallVec::new();
        if (self.is_disk_full() && purpose == Purpose::Growth)
            || self.log.append(FOREGROUND, purpose, || self.clock.monotonic_us(), &[draft], &mut out).is_err()
        {
            return false;
        }
        if let Some((place, bytes)) = older {
            shard.deltas.remove(place);
            self.log.unname(place, bytes);
            shard.high_seq = shard.high_seq.max(out[0].seq);
        }
        let into = shard.heap.bytes_mut(handle);
        cell::set_place(into, out[0].place);
        cell::clear_deltas(into);
        let slot = shard.space(space).map(|s| s.index.get(at));
        if let Some(slot) = slot {
            shard.set_slot(space, at, slot.with_class(out[0].class));
        }
        true
    }

    /// Puts a cell aside for a cold value that was read, unless it is too large to be promoted.
    pub(crate) fn prepare_promotion(&self, key: &Key<'_>, known: &Known) {
        let hash = self.hash_of(key);
        let number = self.shard_of(hash);
        let (bytes, ready) = {
            let mut shard = self.shards[number].lock();
            let Found::Cold(_, _, record) = shard.find(key, hash, known, &self.log) else { return };
            let fields = record.record();
            let bytes = cell::cell_bytes(key.space, key.bytes.len(), fields.payload.len(), fields.expiry.is_some());
            if bytes as u64 > self.region.limit_bytes() / PROMOTED_SHARE_MAX && !self.options.tiny {
                return;
            }
            let ready = shard.has_reserved(bytes) || shard.reserve(bytes);
            (bytes, ready)
        };
        if !ready {
            self.make_room(number, bytes);
        }
    }

    /// Promotes a cold value whose record is known, if there is a cell for it. The SSD copy stays.
    pub(crate) fn promote_latched(&self, shard: &mut Shard, key: &Key<'_>, hash: u64, known: &Known) -> bool {
        let Found::Cold(at, slot, record) = shard.find(key, hash, known, &self.log) else { return false };
        let fields = record.record();
        let RecordKind::Value(kind) = fields.kind else { return false };
        let bytes = cell::cell_bytes(key.space, key.bytes.len(), fields.payload.len(), fields.expiry.is_some());
        if bytes as u64 > self.region.limit_bytes() / PROMOTED_SHARE_MAX && !self.options.tiny {
            return false;
        }
        let Some(handle) = shard.alloc(bytes) else { return false };
        let ghost = shard.ghost.remembers(slot.heat());
        self.promote_into(shard, handle, key, hash, (at, slot), kind, &fields, ghost);
        true
    }

    /// Makes a cold slot hot: its value goes into the cell. The SSD copy stays.
    #[expect(clippy::too_many_arguments, reason = "one hold of the latch needs all of it")]
    pub(crate) fn promote_into(
        &self,
        shard: &mut Shard,
        handle: thermocline_memory::Handle,
        key: &Key<'_>,
        hash: u64,
        (at, slot): (crate::index::SlotRef, crate::index::Slot),
        kind: crate::Kind,
        record: &crate::log::record::Record<'_>,
        remembered: bool,
    ) {
        let object = Cell {
            place: Place::from_bits(slot.place()),
            kind,
            main: false,
            deltas: false,
            space: key.space,
            expiry: record.expiry,
            key: key.bytes,
            payload: record.payload,
        };
        shard.place_cell(handle, hash, object, remembered);
        shard.set_slot(key.space, at, slot.with_state(State::Hot).with_place(handle.bits()).with_heat(0));
        self.counters.promotions.fetch_add(1, Ordering::Relaxed);
    }

    /// Demotes until the arena keeps its limit again (it shrank, or others need memory). Returns true if it does.
    pub(crate) fn trim(&self) -> bool {
        for round in 0..ROUNDS_PER_CALL * self.shards.len() {
            if self.region.used_bytes() <= self.region.limit_bytes() {
                return true;
            }
            let mut spans = Vec::new();
            {
                let mut shard = self.shards[round % self.shards.len()].lock();
                for _ in 0..DEMOTIONS_PER_HOLD {
                    if !matches!(self.demote_one(&mut shard, &mut spans), Demoted::Done) {
                        break;
                    }
                }
                shard.evacuate(&self.hasher, &mut spans);
                while let Some(span) = shard.heap.release_empty() {
                    spans.push(span);
                }
            }
            self.give(spans);
        }
        false
    }

    /// Is so much of `maxdisk` live that growing writes must drop something first?
    pub(crate) fn is_disk_full(&self) -> bool {
        let max_disk = self.log.segments.len() as u64 * u64::from(self.log.segment_bytes);
        self.log.live_bytes.load(Ordering::Relaxed) * 100 > max_disk * DISK_LIVE_PERCENT_MAX
    }

    /// Why a growing write that has waited so often, or so long, finds no room in memory: nothing can be demoted while the disk takes
    /// nothing.
    pub(crate) fn is_waiting_for_the_disk(&self, starved: u32, waited_us: u64) -> Option<String> {
        let reason = || self.log.failure().or_else(|| self.starved.read().clone());
        if starved > STARVED_MAX || waited_us > ROOM_WAIT_US_MAX { reason() } else { None }
    }

    /// Waits until the log may have room again. While no segment can be made, or nothing can be dropped, it is refused instead.
    pub(crate) async fn log_room(self: &Arc<Self>, ticket: u64) -> Result<()> {
        if let Some(reason) = self.starved.read().clone() {
            return Err(Error::Misconfigured { reason });
        }
        self.gc_wanted.store(true, Ordering::Release);
        self.counters.write_waits.fetch_add(1, Ordering::Relaxed);
        if self.gc_stuck.load(Ordering::Acquire) || self.gc_futile.load(Ordering::Acquire) {
            self.make_disk_room().await?;
        }
        self.pump(false);
        self.log.room.changed(ticket).await;
        Ok(())
    }

    /// Is it time for a growing write that waits for memory to ask for a flush of all that is buffered? With `appendfsync no` the next one
    /// is half a minute away.
    pub(crate) fn is_to_flush(&self, starved: u32) -> bool {
        starved.is_multiple_of(STARVED_MAX)
    }

    /// Has a growing write waited in vain so often that it must be refused?
    pub(crate) fn is_stuck(&self, starved: u32) -> bool {
        // While something is on its way to the disk, waiting is not in vain.
        let in_vain = starved > STARVED_MAX && !self.log.has_unflushed();
        in_vain || starved > STARVED_MAX_SLOW || self.is_disk_full()
    }

    /// Both tiers are full: the eviction policy drops what is coldest, or refuses.
    pub(crate) fn make_disk_room(self: &Arc<Self>) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            let policy = *self.eviction.lock();
            let volatile = match policy {
                EvictionPolicy::NoEviction => return Err(Error::OutOfMemory),
                EvictionPolicy::AllKeysLru | EvictionPolicy::AllKeysLfu | EvictionPolicy::AllKeysRandom => false,
                _ => true,
            };
            let mut dropped = 0;
            for _ in 0..4 * self.shards.len() {
                for (space, name) in self.coldest(volatile).await? {
                    let key = self.key(space, &name);
                    let engine = Engine { inner: self.clone() };
                    let mut changes = Changes::new(1);
                    let keys = [(key, Access::Overwrite)];
                    let removal: Boxed<'_, Result<(bool, crate::Done)>> =
                        Box::pin(engine.run(&keys, &mut changes, |views, changes| {
                            changes.remove(0);
                            views[0].is_some()
                        }));
                    if removal.await?.0 {
                        dropped += 1;
                        self.counters.evictions.fetch_add(1, Ordering::Relaxed);
                    }
                }
                if dropped >= EVICTIONS_PER_CALL {
                    self.gc_wanted.store(true, Ordering::Release);
                    return Ok(());
                }
            }
            if dropped > 0 { Ok(()) } else { Err(Error::OutOfMemory) }
        })
    }

    /// A few keys at a random place of the index: cold ones that are not remembered first, then any.
    async fn coldest(self: &Arc<Self>, volatile: bool) -> Result<Vec<(crate::SpaceId, Vec<u8>)>> {
        let number = (self.random() % self.shards.len() as u64) as usize;
        let cursor = if self.shard_bits == 0 {
            self.random()
        } else {
            (number as u64) << (64 - self.shard_bits) | self.random() >> self.shard_bits
        };
        let mut names = Vec::new();
        let mut flights = Vec::new();
        {
            let mut shard = self.shards[number].lock();
            let mut hot = Vec::new();
            let mut cold = Vec::new();
            for space in shard.spaces.iter().filter(|s| s.id.visible() == s.id) {
                for from in [cursor, 0] {
                    space.index.scan(from, EVICTIONS_PER_CALL, |_, slot, _, _| match slot.state() {
                        State::Cold if !volatile || slot.has_ttl() => cold.push(slot),
                        State::Hot if !volatile || slot.has_ttl() => hot.push(slot),
                        _ => {}
                    });
                    if !cold.is_empty() {
                        break;
                    }
                }
            }
            cold.sort_by_key(|s| shard.ghost.remembers(s.heat()));
            for slot in cold.into_iter().take(EVICTIONS_PER_CALL) {
                flights.push(self.flight(&mut shard, number, slot));
            }
            if flights.is_empty() {
                for slot in hot.into_iter().take(EVICTIONS_PER_CALL) {
                    let object = shard.cell(thermocline_memory::Handle::from_bits(slot.place()));
                    names.push((object.space, object.key.to_vec()));
                }
            }
        }
        for flight in flights {
            // What cannot be read cannot be named: another key goes.
            if let Ok(record) = Landing(flight).await
                && !record.is_corrupt()
            {
                let fields = record.record();
                names.push((fields.space, fields.key.to_vec()));
            }
        }
        Ok(names)
    }
}
