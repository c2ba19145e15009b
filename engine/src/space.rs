//! Whole spaces: FLUSHDB, FLUSHALL, SWAPDB, SCAN, RANDOMKEY; and single keys by hand: locate, demote, promote.
//!
//! Promises: FLUSHDB is a fresh space (O(1)), logged as one record before it is visible; SCAN returns every key that is there
//! throughout, cold ones by reading their records. Never: a walk over all keys in one hold.

use crate::change::{Access, Changes, Done, Key, SpaceId, View};
use crate::collection::tree_of;
use crate::engine::{Engine, Inner, Spaces};
use crate::error::Result;
use crate::index::State;
use crate::log::record::{Address, RecordKind};
use crate::options::{READY_SEGMENTS, SCAN_READS_MAX};
use crate::place::{CLASS_SECTORS, Place, SECTOR_BYTES};
use crate::run::{GroupEnd, Guards, Need};
use crate::shard::Found;
use crate::tier::fetch::{Known, Landing};
use crate::{Error, Kind, Tier};
use std::sync::atomic::Ordering;
use thermocline_memory::Handle;
use thermocline_value::LargeHead;

/// Where a key lies.
#[derive(Copy, Clone, Debug)]
pub struct Location {
    /// Hot or cold.
    pub tier: Tier,
    /// Segment of the SSD copy, if there is one.
    pub segment: Option<u32>,
    /// Epoch of that segment.
    pub epoch: u32,
    /// Byte offset in the segment.
    pub offset: u32,
    /// Bytes of its record.
    pub place_bytes: u32,
    /// Bytes that one read of it takes.
    pub reads_bytes: u32,
    /// Access counter while hot.
    pub heat: u8,
    /// The SSD has no copy of this version.
    pub dirty: bool,
    /// Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// Kind.
    pub kind: Kind,
    /// Length of the value.
    pub length: u64,
    /// DRAM of its cell.
    pub memory_bytes: u64,
}

impl Inner {
    /// The head of a key's value, if it is kept in extents; a cold one is read first.
    pub(crate) fn head_of(
        &self,
        key: &Key<'_>,
        known: &Known,
        owner: u64,
    ) -> std::result::Result<Option<LargeHead>, Need> {
        let hash = self.hash_of(key);
        let number = self.shard_of(hash);
        let mut shard = self.shards[number].lock();
        if shard.is_held(key, owner) {
            return Err(Need::Held(self.unlocked.ticket()));
        }
        let head =
            |kind: Kind, payload: &[u8]| (kind == Kind::LargeString).then(|| LargeHead::decode(payload).ok()).flatten();
        match shard.find(key, hash, known, &self.log) {
            Found::Hot(_, _, handle) => {
                let object = shard.cell(handle);
                Ok(head(object.kind, object.payload))
            }
            Found::Cold(_, _, record) => {
                let fields = record.record();
                let RecordKind::Value(kind) = fields.kind else { return Ok(None) };
                Ok(head(kind, fields.payload))
            }
            Found::Unknown(slots) => {
                Err(Need::Cold(slots.iter().map(|&s| self.flight(&mut shard, number, s)).collect()))
            }
            Found::Absent | Found::Corrupt(..) => Ok(None),
        }
    }

    /// The databases of `plan` are what there is from now on; the group has also `touched` these keys. The caller holds all latches and has logged the map as `seq`.
    pub(crate) fn switch_spaces(&self, guards: &mut Guards<'_>, plan: &SpacePlan, touched: &[(u32, &[u8])], seq: u64) {
        for (_, shard) in guards.iter_mut() {
            shard.high_seq = shard.high_seq.max(seq);
        }
        for (cell, space) in self.space_of.iter().zip(&plan.after.of_database) {
            cell.store(space.0, Ordering::Release);
        }
        let emptied = plan.after.of_database.iter().any(|space| !plan.before.of_database.contains(space));
        if emptied {
            self.advising.forget();
        }
        *self.spaces.write() = plan.after.clone();
        self.move_watches(guards, &plan.before, &plan.after, touched);
        self.move_queues(guards, &plan.before, &plan.after);
    }

    /// The largest group: the log asks for a ready segment for each third of one, and one more.
    pub(crate) fn group_bytes_max(&self) -> u64 {
        (READY_SEGMENTS as u64 * u64::from(self.log.segment_bytes) - 1) / 3
    }
}

/// The map of databases as a group found it and as it will leave it.
#[derive(Clone, Debug)]
pub struct SpacePlan {
    before: Spaces,
    after: Spaces,
}

impl SpacePlan {
    /// The space of a database, after what was planned so far. Panics if there is no such database.
    pub fn space(&self, database: u32) -> SpaceId {
        self.after.of_database[database as usize]
    }

    /// A database is emptied.
    pub fn flush(&mut self, database: u32) {
        self.after.renew(database as usize);
    }

    /// All databases are emptied.
    pub fn flush_all(&mut self) {
        (0..self.after.of_database.len()).for_each(|database| self.after.renew(database));
    }

    /// Two databases change places.
    pub fn swap(&mut self, one: u32, other: u32) {
        self.after.of_database.swap(one as usize, other as usize);
    }

    /// Will this space be one of a database's?
    pub fn names(&self, space: SpaceId) -> bool {
        self.after.of_database.contains(&space)
    }

    /// Does it change anything?
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }

    pub(crate) fn before(&self) -> &Spaces {
        &self.before
    }

    /// Are the databases still what they were when the plan was made? Under a latch the answer stays true.
    pub(crate) fn holds(&self, inner: &Inner) -> bool {
        let map = inner.space_of.iter().map(|space| SpaceId(space.load(Ordering::Acquire)));
        map.eq(self.before.of_database.iter().copied())
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        self.after.payload()
    }
}

impl Engine {
    /// Number of logical databases.
    pub fn databases(&self) -> u32 {
        self.inner.options.databases
    }

    /// The space of a logical database. Panics if there is no such database: the caller has checked its number.
    #[inline]
    pub fn space(&self, database: u32) -> SpaceId {
        SpaceId(self.inner.space_of[database as usize].load(Ordering::Acquire))
    }

    /// Empties a database: O(1) for the caller.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn flush_database(&self, database: u32) -> Result<Done> {
        self.change_spaces(|plan| plan.flush(database)).await
    }

    /// Empties all databases.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn flush_all(&self) -> Result<Done> {
        self.change_spaces(SpacePlan::flush_all).await
    }

    /// Swaps two databases.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn swap_databases(&self, a: u32, b: u32) -> Result<Done> {
        self.change_spaces(|plan| plan.swap(a, b)).await
    }

    /// A plan that changes nothing yet.
    pub fn plan_spaces(&self) -> SpacePlan {
        let spaces = self.inner.spaces.read().clone();
        SpacePlan { before: spaces.clone(), after: spaces }
    }

    /// Changes the map of databases: a group without keys.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn change_spaces(&self, change: impl Fn(&mut SpacePlan)) -> Result<Done> {
        loop {
            let mut plan = self.plan_spaces();
            change(&mut plan);
            let mut none = Changes::new(0);
            if let GroupEnd::Ran((), done) = self.run_group(&[], &plan, None, &mut none, |_, _| ()).await? {
                return Ok(done);
            }
        }
    }

    /// Visits at least `count` keys from `cursor` on (all keys of one hash prefix together), skipping expired ones. Returns the
    /// next cursor, 0 at the end. Cold keys cost one read each.
    ///
    /// # Errors
    /// A read failed, or a record is damaged: whose it was nobody can say, so it cannot be left out quietly.
    pub async fn scan(
        &self,
        space: SpaceId,
        cursor: u64,
        count: usize,
        visit: impl FnMut(&[u8], &View<'_>),
    ) -> Result<u64> {
        self.scan_around(space, cursor, count, visit, |_, error| Err(error)).await
    }

    /// The same, asking `damaged` about each record that cannot be read or does not check out: by its segment and offset, with
    /// the reason. `Ok` leaves it out.
    ///
    /// # Errors
    /// What `damaged` says.
    pub async fn scan_around(
        &self,
        space: SpaceId,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&[u8], &View<'_>),
        mut damaged: impl FnMut((u32, u32), Error) -> Result<()>,
    ) -> Result<u64> {
        let inner = &self.inner;
        let mut cursor = cursor;
        let mut left = count.max(1);
        loop {
            let number = inner.shard_of(cursor);
            let mut flights = Vec::new();
            let mut seen = 0;
            let now_ms = inner.clock.now_ms();
            let next = {
                let mut shard = inner.shards[number].lock();
                let mut cold = Vec::new();
                let next = match shard.space(space) {
                    None => None,
                    Some(part) => part.index.scan(cursor, left.min(SCAN_READS_MAX), |_, slot, _, _| {
                        seen += 1;
                        if slot.state() == State::Hot {
                            let object = shard.cell(Handle::from_bits(slot.place()));
                            show(object.kind, object.key, object.payload, object.expiry, Tier::Hot, now_ms, &mut visit);
                        } else {
                            cold.push(slot);
                        }
                    }),
                };
                for slot in cold {
                    let place = Place::from_bits(slot.place()).split(inner.log.segment_bytes);
                    flights.push((place, inner.flight(&mut shard, number, slot)));
                }
                next
            };
            for (place, flight) in flights {
                let record = match Landing(flight).await {
                    Ok(record) => record,
                    Err(error) => {
                        damaged(place, error)?;
                        continue;
                    }
                };
                if record.is_corrupt() {
                    // Leaving it out without a word would be a loss.
                    let Address { segment, offset, .. } = record.address();
                    damaged((segment, offset), Error::Corrupt { segment, offset })?;
                    continue;
                }
                let fields = record.record();
                if let RecordKind::Value(kind) = fields.kind {
                    show(kind, fields.key, fields.payload, fields.expiry, Tier::Cold, now_ms, &mut visit);
                }
            }
            cursor = match next {
                Some(next) => next,
                None => {
                    let next = number as u64 + 1;
                    if next == 1 << inner.shard_bits {
                        return Ok(0);
                    }
                    next << (64 - inner.shard_bits)
                }
            };
            if seen >= left {
                return Ok(cursor);
            }
            left -= seen;
        }
    }

    /// A key of the space, by chance; `None` if there is none that is not expired.
    ///
    /// # Errors
    /// A read failed.
    pub async fn random_key(&self, space: SpaceId) -> Result<Option<Vec<u8>>> {
        for round in 0..16 {
            let from = if round < 12 { self.inner.random() } else { 0 };
            let mut cursor = from;
            loop {
                let mut keys: Vec<Vec<u8>> = Vec::new();
                cursor = self.scan(space, cursor, 8, |key, _| keys.push(key.to_vec())).await?;
                if !keys.is_empty() {
                    let pick = (self.inner.random() % keys.len() as u64) as usize;
                    return Ok(Some(keys.swap_remove(pick)));
                }
                if cursor == 0 {
                    break;
                }
            }
            if self.length(space) == 0 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Where a key lies.
    ///
    /// # Errors
    /// A read failed.
    pub async fn locate(&self, key: &Key<'_>) -> Result<Option<Location>> {
        let mut view = None;
        self.run(&[(*key, Access::Peek)], &mut Changes::new(1), |views, _| {
            view = views[0].map(|v| (v.kind, v.length, v.expires_at_ms));
        })
        .await?;
        let Some((kind, length, expires_at_ms)) = view else { return Ok(None) };
        let inner = &self.inner;
        let hash = inner.hash_of(key);
        let known = self.known(key).await?;
        let shard = inner.shards[inner.shard_of(hash)].lock();
        let mut location = Location {
            tier: Tier::Cold,
            segment: None,
            epoch: 0,
            offset: 0,
            place_bytes: 0,
            reads_bytes: 0,
            heat: 0,
            dirty: false,
            expires_at_ms,
            kind,
            length,
            memory_bytes: 0,
        };
        let (place, class) = match shard.find(key, hash, &known, &inner.log) {
            Found::Hot(_, slot, handle) => {
                let object = shard.cell(handle);
                location.tier = Tier::Hot;
                location.heat = slot.heat();
                location.dirty = !object.place.is_some();
                location.memory_bytes = shard.heap.bytes(handle).len() as u64;
                location.place_bytes = shard.record_bytes_of(&object);
                (object.place, slot.class())
            }
            Found::Cold(_, slot, record) => {
                location.place_bytes = record.record().bytes() as u32;
                (Place::from_bits(slot.place()), slot.class())
            }
            _ => return Ok(None),
        };
        if place.is_some() {
            let (segment, offset) = place.split(inner.log.segment_bytes);
            location.segment = Some(segment);
            location.offset = offset;
            location.epoch = inner.log.segments[segment as usize].epoch();
            location.reads_bytes = CLASS_SECTORS[usize::from(class)] * SECTOR_BYTES;
        }
        Ok(Some(location))
    }

    /// The records that prove a key's cold slots.
    async fn known(&self, key: &Key<'_>) -> Result<Known> {
        let inner = &self.inner;
        let hash = inner.hash_of(key);
        let number = inner.shard_of(hash);
        let mut known = Known::default();
        loop {
            let flights: Vec<_> = {
                let mut shard = inner.shards[number].lock();
                match shard.find(key, hash, &known, &inner.log) {
                    Found::Unknown(slots) => slots.iter().map(|&s| inner.flight(&mut shard, number, s)).collect(),
                    _ => return Ok(known),
                }
            };
            for flight in flights {
                known.add(Landing(flight).await?);
            }
        }
    }

    /// Demotes a key by hand, of a collection every node. True if it is cold afterwards.
    ///
    /// # Errors
    /// The log has no room for a dirty value.
    pub async fn demote(&self, key: &Key<'_>) -> Result<bool> {
        let mut tree = None;
        self.run(&[(*key, Access::Peek)], &mut Changes::new(1), |views, _| {
            tree = views[0].filter(|view| !view.kind.is_string()).and_then(|view| tree_of(view.value));
        })
        .await?;
        if let Some(root) = tree {
            // From the leaves up: to find them the nodes above are read.
            for node in self.inner.nodes_below(self, key.space, &root).await?.iter().rev() {
                self.demote_one(&node.key()).await?;
            }
        }
        self.demote_one(key).await
    }

    async fn demote_one(&self, key: &Key<'_>) -> Result<bool> {
        let inner = &self.inner;
        let hash = inner.hash_of(key);
        let known = self.known(key).await?;
        let mut spans = Vec::new();
        let cold = {
            let mut shard = inner.shards[inner.shard_of(hash)].lock();
            match shard.find(key, hash, &known, &inner.log) {
                Found::Hot(at, _, handle) => {
                    if !inner.clean(&mut shard, handle, at, key.space) {
                        return Err(Error::OutOfMemory);
                    }
                    if let Some(slot) = shard.space(key.space).map(|s| s.index.get(at)) {
                        shard.demote(key.space, at, slot, handle, false, &mut spans);
                    }
                    true
                }
                Found::Cold(..) | Found::Unknown(_) => true,
                Found::Absent | Found::Corrupt(..) => false,
            }
        };
        for span in spans {
            inner.region.give(span);
        }
        Ok(cold)
    }

    /// Promotes a key by hand. True if it is hot afterwards.
    ///
    /// # Errors
    /// A read failed.
    pub async fn promote(&self, key: &Key<'_>) -> Result<bool> {
        let mut there = false;
        self.run(&[(*key, Access::Read)], &mut Changes::new(1), |views, _| there = views[0].is_some()).await?;
        if !there {
            return Ok(false);
        }
        Ok(self.locate(key).await?.is_some_and(|l| l.tier == Tier::Hot))
    }
}

fn show(
    kind: Kind,
    key: &[u8],
    payload: &[u8],
    expiry: Option<u64>,
    tier: Tier,
    now_ms: u64,
    visit: &mut impl FnMut(&[u8], &View<'_>),
) {
    if expiry.is_some_and(|e| e <= now_ms) {
        return;
    }
    let large = (kind == Kind::LargeString).then(|| LargeHead::decode(payload).ok()).flatten();
    let (kind, length, value) = match large {
        Some(head) => (Kind::String, head.length, &[][..]),
        None => (kind, payload.len() as u64, payload),
    };
    visit(key, &View { kind, value, length, expires_at_ms: expiry, tier, heat: 0, nodes: None });
}
