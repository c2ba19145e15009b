//! Active expiry: hot keys by walking the index, cold ones by the earliest expiry of each segment.
//!
//! Promises: an expired key is gone within seconds even if nobody asks for it, with a tombstone in durable modes. Never: a read
//! of a cold value just to learn its TTL (its footer says it).

use crate::change::{Access, Changes, SpaceId};
use crate::engine::{Engine, Inner};
use crate::index::State;
use crate::log::footer;
use crate::log::record::Address;
use crate::log::segment::{Segment, SegmentState};
use crate::options::{BLOCK_BYTES, EXPIRY_SLOTS_PER_STEP};
use crate::place::Place;
use crate::planted::{self, Bug};
use crate::tier::fetch::Landing;
use crate::tier::sweep::yield_now;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::{Buffer, Operation};
use thermocline_memory::Handle;

/// Where the walk over the index stands.
#[derive(Default)]
pub(crate) struct ExpiryWalk {
    shard: usize,
    space: usize,
    cursor: u64,
}

impl Inner {
    /// Looks at some slots and removes hot keys whose time is over. Returns (looked at, removed).
    pub(crate) async fn expire_hot(self: &Arc<Self>, walk: &mut ExpiryWalk) -> (usize, usize) {
        let now_ms = self.clock.now_ms();
        let mut due: Vec<(SpaceId, Vec<u8>)> = Vec::new();
        let mut looked = 0;
        {
            let shard = self.shards[walk.shard].lock();
            match shard.spaces.get(walk.space) {
                Some(space) if space.expiring > 0 => {
                    let next = space.index.scan(walk.cursor, EXPIRY_SLOTS_PER_STEP, |_, slot, _, _| {
                        looked += 1;
                        if slot.has_ttl() && slot.state() == State::Hot {
                            let object = shard.cell(Handle::from_bits(slot.place()));
                            if object.expiry.is_some_and(|e| e <= now_ms) {
                                due.push((object.space, object.key.to_vec()));
                            }
                        }
                    });
                    match next {
                        Some(cursor) => walk.cursor = cursor,
                        None => (walk.cursor, walk.space) = (0, walk.space + 1),
                    }
                }
                Some(_) => (walk.cursor, walk.space) = (0, walk.space + 1),
                None => {
                    walk.cursor = 0;
                    walk.space = 0;
                    walk.shard = (walk.shard + 1) % self.shards.len();
                }
            }
        }
        let removed = due.len();
        self.remove_expired(due).await;
        (looked, removed)
    }

    /// A look at an expired key removes it (the commit's lazy expiry).
    async fn remove_expired(self: &Arc<Self>, names: Vec<(SpaceId, Vec<u8>)>) {
        let engine = Engine { inner: self.clone() };
        for (space, name) in names {
            let key = self.key(space, &name);
            let mut changes = Changes::new(1);
            if engine.run(&[(key, Access::Peek)], &mut changes, |_, _| ()).await.is_err() {
                return;
            }
        }
    }

    /// Removes cold keys of one segment whose earliest expiry has passed. Returns true if a segment was walked.
    pub(crate) async fn expire_cold(self: &Arc<Self>) -> bool {
        let now_ms = self.clock.now_ms();
        let due = self.log.segments.iter().position(|s| {
            s.state() == SegmentState::Sealed
                && s.undurable.load(Ordering::Acquire) == 0
                && s.live.lock().earliest_expiry_ms <= now_ms
        });
        let Some(segment) = due else { return false };
        let meta = &self.log.segments[segment];
        meta.pins.fetch_add(1, Ordering::AcqRel);
        let entries = self.read_footer(segment as u32).await;
        meta.pins.fetch_sub(1, Ordering::AcqRel);
        let Some(entries) = entries else {
            // No footer yet: GC meets the expired records when it comes by.
            meta.live.lock().earliest_expiry_ms = u64::MAX;
            return true;
        };
        let mut earliest = u64::MAX;
        for (n, entry) in entries.iter().enumerate() {
            let Some(expiry) = entry.expiry else { continue };
            if planted::is(Bug::ExpiredByTime) && expiry <= now_ms {
                self.drop_by_time(entry);
                continue;
            }
            if !entry.kind.is_value() || !meta.live.lock().is_live(entry.offset) {
                continue;
            }
            if expiry > now_ms {
                earliest = earliest.min(expiry);
                continue;
            }
            self.expire_entry(segment as u32, entry).await;
            if n % 64 == 0 {
                yield_now().await;
            }
        }
        meta.live.lock().earliest_expiry_ms = earliest;
        true
    }

    /// The same for an open segment, whose footer is still in DRAM: it may stay open for long. Returns true if one was walked.
    pub(crate) async fn expire_open(self: &Arc<Self>) -> bool {
        let now_ms = self.clock.now_ms();
        let is_due = |s: &Segment| s.state() == SegmentState::Open && s.live.lock().earliest_expiry_ms <= now_ms;
        let Some(segment) = self.log.segments.iter().position(is_due) else { return false };
        let meta = &self.log.segments[segment];
        // What is appended from here on lowers it again.
        meta.live.lock().earliest_expiry_ms = u64::MAX;
        let (mut earliest, mut before) = (u64::MAX, 0);
        for block in 0.. {
            let Some(entries) = self.log.open_expiring(segment as u32, block, before) else { break };
            before += entries.len();
            for entry in &entries {
                match entry.expiry {
                    Some(expiry) if meta.live.lock().is_live(entry.offset) => {
                        if expiry <= now_ms {
                            self.expire_entry(segment as u32, entry).await;
                        } else {
                            earliest = earliest.min(expiry);
                        }
                    }
                    _ => {}
                }
            }
            yield_now().await;
        }
        if meta.state() != SegmentState::Open {
            // Sealed meanwhile: the rest is walked by its footer.
            earliest = 0;
        }
        let mut live = meta.live.lock();
        live.earliest_expiry_ms = live.earliest_expiry_ms.min(earliest);
        true
    }

    async fn read_footer(&self, segment: u32) -> Option<Vec<footer::Entry>> {
        let file = self.log.segments[segment as usize].file()?;
        let end = Address { offset: self.log.segment_bytes, ..self.log.address(segment, 0) };
        let read = |offset: u32| {
            let bytes = (self.log.segment_bytes - offset) as usize;
            let mut buffer = Buffer::new(bytes);
            buffer.set_len(bytes);
            self.request(file, Operation::Read { offset: u64::from(offset), buffer })
        };
        let last = read(self.log.segment_bytes - BLOCK_BYTES).await;
        let (Ok(_), Operation::Read { buffer, .. }) = (last.result, last.operation) else { return None };
        let (epoch, bytes) = footer::peek(&buffer[buffer.len() - footer::TRAILER_BYTES..])?;
        if epoch != end.epoch || bytes > self.log.segment_bytes as usize {
            return None;
        }
        let start = (self.log.segment_bytes - bytes as u32) / BLOCK_BYTES * BLOCK_BYTES;
        let whole = read(start).await;
        let (Ok(_), Operation::Read { buffer, .. }) = (whole.result, whole.operation) else { return None };
        footer::decode(end, &buffer[buffer.len() - bytes..]).map(|(_, footer)| footer.entries)
    }

    /// Planted: the cold slot of an entry's key goes, whatever it names.
    fn drop_by_time(&self, entry: &footer::Entry) {
        let hash = self.hasher.index(entry.hash);
        let mut shard = self.shards[self.shard_of(hash)].lock();
        let cold = shard.space(entry.space).and_then(|s| s.index.find(hash, |_, slot| slot.state() == State::Cold));
        if let Some((at, slot)) = cold {
            self.forget(&mut shard, slot, &mut Vec::new());
            shard.remove_slot(entry.space, at);
        }
    }

    /// The entry's key is proven by its record, then removed by the ordinary road.
    async fn expire_entry(self: &Arc<Self>, segment: u32, entry: &footer::Entry) {
        let hash = self.hasher.index(entry.hash);
        let number = self.shard_of(hash);
        let place = Place::new(segment, entry.offset, self.log.segment_bytes);
        let flight = {
            let mut shard = self.shards[number].lock();
            let slot = shard.space(entry.space).and_then(|s| {
                s.index.find(hash, |_, slot| slot.state() == State::Cold && slot.place() == place.bits())
            });
            slot.map(|(_, slot)| self.flight(&mut shard, number, slot))
        };
        let Some(flight) = flight else { return };
        if let Ok(record) = Landing(flight).await
            && !record.is_corrupt()
        {
            let fields = record.record();
            let names = vec![(fields.space, fields.key.to_vec())];
            self.remove_expired(names).await;
        }
    }
}
