//! GC: empties segments that hold little that is live, so that they can be written again.
//!
//! A victim is read once in order; each record whose live bit is set is looked up under its latch, appended to the next GC
//! stream *and swapped in the same hold*. Tombstones and expired records are never copied. Emptied victims wait for a map that
//! is younger than their scan, then they are free.
//!
//! Promises: a moved record keeps its seq; a segment that cannot be emptied (damage) is quarantined, never reused. Never: a
//! victim that frees nothing.

use crate::engine::Inner;
use crate::index::State;
use crate::log::record::{Record, RecordKind, Seq, padded};
use crate::log::segment::SegmentState;
use crate::log::walk::{Step, Walk};
use crate::log::{Draft, FOREGROUND, NoRoom, Purpose, STREAMS};
use crate::options::{
    BLOCK_BYTES, GC_READ_BYTES, GC_RECORDS_PER_STEP, GC_RESERVE_SEGMENTS, READY_SEGMENTS, REMOVAL_RESERVE_SEGMENTS,
};
use crate::place::Place;
use crate::planted::{self, Bug};
use crate::tier::sweep::yield_now;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::Operation;
use thermocline_memory::Handle;

/// Share of live bytes above which a victim frees too little, in percent.
const LIVE_PERCENT_MAX: u64 = 95;
/// Victims that wait for one map at most.
const VICTIMS_PER_MAP: usize = 8;
/// Rounds without gain after which GC rests: victims of 95 % need 20 for each of three streams to gain a segment.
const FUTILE_ROUNDS_MAX: u32 = 64;

/// Whether GC gains anything. Records that leave gaps (two of a quarter segment, and their footer, fill a segment) can make a store
/// full long before its live bytes say so: GC then moves them round and round.
#[derive(Default)]
pub(crate) struct Gain {
    free: usize,
    appended_bytes: u64,
    live_bytes: u64,
    futile_rounds: u32,
}

impl Gain {
    /// A round has ended. True if GC should rest: many rounds have gained nothing, and nothing was appended or died meanwhile.
    pub(crate) fn is_over(&mut self, inner: &Inner) -> bool {
        let (ready, absent) = inner.log.free_segments();
        if ready + absent > self.free || self.has_moved(inner) {
            *self = Gain {
                free: ready + absent,
                appended_bytes: inner.log.counters.record_bytes.load(Ordering::Relaxed),
                live_bytes: inner.log.live_bytes.load(Ordering::Relaxed),
                futile_rounds: 0,
            };
        } else {
            self.futile_rounds += 1;
        }
        self.futile_rounds > FUTILE_ROUNDS_MAX
    }

    /// Something was appended or has died since the last gain.
    pub(crate) fn has_moved(&self, inner: &Inner) -> bool {
        inner.log.counters.record_bytes.load(Ordering::Relaxed) != self.appended_bytes
            || inner.log.live_bytes.load(Ordering::Relaxed) < self.live_bytes
    }
}

enum Moved {
    Done,
    NoRoom,
}

impl Inner {
    /// Free segments below which GC works.
    fn gc_threshold(&self) -> usize {
        let total = self.log.segments.len();
        (self.log.growth_reserve(0) + 4).max(total / 32).min(total / 2)
    }

    /// Is GC needed?
    pub(crate) fn needs_gc(&self) -> bool {
        let (ready, absent) = self.log.free_segments();
        ready + absent < self.gc_threshold()
    }

    /// Does somebody wait for room that GC could make? The largest group asks for more segments than GC keeps free in a small store.
    pub(crate) fn is_waited_for_room(&self) -> bool {
        let (ready, absent) = self.log.free_segments();
        let is_short = ready <= READY_SEGMENTS || ready + absent < self.log.growth_reserve(0) + READY_SEGMENTS;
        let is_wanted = self.gc_wanted.load(Ordering::Acquire) && self.log.room.is_waited_for();
        is_short && is_wanted && self.log.segments.iter().any(|s| s.state() == SegmentState::Sealed)
    }

    /// One round of GC: empties victims, writes a map, frees them. Returns how many segments became free.
    pub(crate) async fn collect(self: &Arc<Self>) -> crate::Result<usize> {
        self.gc_wanted.store(false, Ordering::Release);
        self.take_back_kept();
        let (ready, absent) = self.log.free_segments();
        if ready + absent <= self.log.growth_reserve(0) {
            // What is kept for nodes with deltas is better used: each map would wait for them, and the first only once.
            self.flush_deltas(Seq::MAX).await?;
        }
        let mut emptied = 0;
        while emptied < VICTIMS_PER_MAP {
            let Some(victim) = self.choose_victim() else { break };
            self.empty(victim).await?;
            emptied += 1;
            let (ready, absent) = self.log.free_segments();
            if ready + absent <= GC_RESERVE_SEGMENTS {
                break;
            }
        }
        let waiting = !self.maps.lock().victims.is_empty();
        if !waiting {
            return Ok(0);
        }
        let needs_map = || self.log.mode.logs() && !planted::is(Bug::ReuseWithoutMap);
        if !needs_map() {
            self.wait_for_causes().await?;
        }
        if needs_map() {
            // Perhaps only now: a log may have been begun meanwhile.
            self.write_map(false).await?;
        } else {
            let mut maps = self.maps.lock();
            maps.tick += 1;
            maps.durable_tick = maps.tick;
        }
        Ok(self.free_victims())
    }

    /// The sealed segment with the best ratio of benefit to cost (Rosenblum and Ousterhout's (1 - u) x age / (1 + u)).
    fn choose_victim(&self) -> Option<u32> {
        let last = self.log.last_seq();
        let watermark = self.log.watermark();
        let segment_bytes = u64::from(self.log.segment_bytes);
        let (ready, absent) = self.log.free_segments();
        let short = ready + absent <= REMOVAL_RESERVE_SEGMENTS;
        let mut best: Option<(f64, u32)> = None;
        for (id, meta) in self.log.segments.iter().enumerate() {
            if meta.state() != SegmentState::Sealed || meta.undurable.load(Ordering::Acquire) != 0 {
                continue;
            }
            let max_seq = meta.max_seq.load(Ordering::Acquire);
            if max_seq > watermark && self.log.mode.logs() {
                continue;
            }
            let live = meta.live.lock().bytes;
            if live * 100 > segment_bytes * LIVE_PERCENT_MAX {
                continue;
            }
            let used = live as f64 / segment_bytes as f64;
            // When room is short the emptiest segment goes first, whatever its age.
            let age = if short { 1.0 } else { (last.saturating_sub(max_seq) + 1) as f64 };
            let score = (1.0 - used) * age.sqrt() / (1.0 + used);
            if best.is_none_or(|(s, _)| score > s) {
                best = Some((score, id as u32));
            }
        }
        best.map(|(_, id)| id)
    }

    /// Moves all that is live out of a segment.
    async fn empty(self: &Arc<Self>, segment: u32) -> crate::Result<()> {
        let meta = &self.log.segments[segment as usize];
        meta.set_state(SegmentState::Victim);
        let stream = (usize::from(meta.stream.load(Ordering::Acquire)) + 1).min(STREAMS - 1);
        let used = meta.used.load(Ordering::Acquire);
        let address = self.log.address(segment, 0);
        let mut walk = Walk::new(address, Some(address.epoch), 0, used);
        if meta.live.lock().records > 0
            && let Some(file) = meta.file()
        {
            let mut base = 0u32;
            let mut window: Vec<u8> = Vec::new();
            let mut handled = 0;
            loop {
                let more = match walk.step(&window, base) {
                    Step::Record { offset, record } => {
                        if planted::is(Bug::GcCopyAfterDeath) && !meta.live.lock().is_live(offset) {
                            self.copy_of_the_dead(&record, stream);
                        }
                        while matches!(self.relocate(segment, offset, &record, stream), Moved::NoRoom) {
                            if self.frozen.load(Ordering::Acquire) {
                                return Err(crate::Error::Closed);
                            }
                            let ticket = self.log.room.ticket();
                            if self.log.flush_segments(0) > 0 {
                                let flushed = self.flush_deltas(Seq::MAX).await;
                                flushed.inspect_err(|_| meta.set_state(SegmentState::Sealed))?;
                                continue;
                            }
                            self.pump(true);
                            self.log.room.changed(ticket).await;
                        }
                        handled += 1;
                        None
                    }
                    Step::More { from, bytes } => Some((from, bytes)),
                    Step::End => break,
                    Step::BadRecord { offset, .. } => {
                        tracing::error!(
                            segment,
                            offset,
                            "GC met a record that fails its checksum; the segment is kept"
                        );
                        None
                    }
                    Step::Chunk { .. } | Step::NoChunk { .. } => None,
                };
                if handled >= GC_RECORDS_PER_STEP {
                    handled = 0;
                    if meta.live.lock().records == 0 {
                        break;
                    }
                    yield_now().await;
                }
                let Some((from, bytes)) = more else { continue };
                let start = from / BLOCK_BYTES * BLOCK_BYTES;
                let want = ((from - start) as usize + bytes as usize)
                    .max(GC_READ_BYTES)
                    .next_multiple_of(BLOCK_BYTES as usize);
                let want = want.min((self.log.segment_bytes - start) as usize);
                let mut buffer = self.read_buffers.take(want);
                buffer.set_len(want);
                let completion = self.request(file, Operation::Read { offset: u64::from(start), buffer }).await;
                self.counters.gc_read_bytes.fetch_add(want as u64, Ordering::Relaxed);
                match (completion.result, completion.operation) {
                    (Ok(read), Operation::Read { buffer, .. }) if read > (from - start) as usize => {
                        window.clear();
                        window.extend_from_slice(&buffer[..read]);
                        base = start;
                        self.read_buffers.give(buffer);
                    }
                    (Err(error), _) => {
                        tracing::error!(segment, %error, "GC could not read a segment; it is kept");
                        break;
                    }
                    _ => break,
                }
            }
        }
        if let Some(reason) = self.log.failure() {
            meta.set_state(SegmentState::Sealed); // what could not be moved stays where it is
            return Err(crate::Error::Misconfigured { reason });
        }
        if self.frozen.load(Ordering::Acquire) {
            return Err(crate::Error::Closed);
        }
        if meta.live.lock().records > 0 {
            meta.set_state(SegmentState::Quarantined);
            self.counters.quarantined.fetch_add(1, Ordering::Relaxed);
            tracing::error!(segment, "a segment holds live records that cannot be read; it is quarantined");
            return Ok(());
        }
        let mut maps = self.maps.lock();
        maps.tick += 1;
        let tick = maps.tick;
        maps.victims.push((segment, tick));
        Ok(())
    }

    /// Moves one record if it is live: position, slot and live bits in one hold.
    fn relocate(&self, segment: u32, offset: u32, record: &Record<'_>, stream: usize) -> Moved {
        let meta = &self.log.segments[segment as usize];
        let RecordKind::Value(_) = record.kind else { return Moved::Done };
        if !meta.live.lock().is_live(offset) {
            return Moved::Done;
        }
        let place = Place::new(segment, offset, self.log.segment_bytes);
        let key = self.key(record.space, record.key);
        let hash = self.hash_of(&key);
        let mut spans = Vec::new();
        let moved = {
            let mut shard = self.shards[self.shard_of(hash)].lock();
            if self.frozen.load(Ordering::Acquire) {
                return Moved::Done; // the last map has been read; without a log nothing else would stop a removal
            }
            let Some((at, slot)) = shard.naming(record.space, hash, place) else { return Moved::Done };
            let bytes = padded(record.bytes()) as u32;
            let expired = record.expiry.is_some_and(|e| e <= self.clock.now_ms()) && !shard.is_held(&key, 0);
            if expired && self.bury(record, &key) {
                self.log.unname(place, bytes);
                shard.high_seq = shard.high_seq.max(self.log.last_seq());
                shard.remove_slot(record.space, at);
                if slot.state() == State::Hot {
                    shard.free_cell(Handle::from_bits(slot.place()), &mut spans);
                }
                self.counters.expired.fetch_add(1, Ordering::Relaxed);
                Moved::Done
            } else {
                let draft = Draft {
                    kind: record.kind,
                    space: record.space,
                    hash: key.hash,
                    expiry: record.expiry,
                    key: record.key,
                    payload: record.payload,
                    moved: Some(record.seq),
                };
                let mut out = SmallVec::new();
                match self.log.append(stream, Purpose::Gc, || self.clock.monotonic_us(), &[draft], &mut out) {
                    Ok(()) => {
                        shard.name_again(record.space, at, slot, &out[0]);
                        self.log.unname(place, bytes);
                        Moved::Done
                    }
                    Err(NoRoom::Failed) => Moved::Done,
                    Err(_) => Moved::NoRoom,
                }
            }
        };
        for span in spans {
            self.region.give(span);
        }
        moved
    }

    /// Planted: a copy that nothing names. Of some: GC should not choke on them.
    fn copy_of_the_dead(&self, record: &Record<'_>, stream: usize) {
        if !record.kind.is_value() || !record.seq.is_multiple_of(4) {
            return;
        }
        let key = self.key(record.space, record.key);
        let draft = Draft {
            kind: record.kind,
            space: record.space,
            hash: key.hash,
            expiry: record.expiry,
            key: record.key,
            payload: record.payload,
            moved: Some(record.seq),
        };
        let mut out = SmallVec::new();
        if self.log.append(stream, Purpose::Gc, || self.clock.monotonic_us(), &[draft], &mut out).is_ok() {
            self.log.unname(out[0].place, out[0].bytes);
        }
    }

    /// Logs the tombstone of an expired record. False: no room now.
    pub(crate) fn bury(&self, record: &Record<'_>, key: &crate::Key<'_>) -> bool {
        let is_tree = |kind: crate::Kind| !kind.is_string() && crate::collection::tree_of(record.payload).is_some();
        if matches!(record.kind, RecordKind::Value(kind) if kind == crate::Kind::LargeString || is_tree(kind)) {
            return false; // its extents or nodes are swept by the ordinary road
        }
        if !self.log.mode.logs() {
            return true;
        }
        let draft = Draft {
            kind: RecordKind::Tombstone,
            space: key.space,
            hash: key.hash,
            expiry: None,
            key: key.bytes,
            payload: &[],
            moved: None,
        };
        self.log
            .append(FOREGROUND, Purpose::Removal, || self.clock.monotonic_us(), &[draft], &mut SmallVec::new())
            .is_ok()
    }

    /// Removes the file of an emptied segment whose flush failed once: another one is made when it is needed.
    fn discard(&self, segment: u32) {
        let meta = &self.log.segments[segment as usize];
        let name = crate::log::segment_name(segment);
        match self.log.disk.remove(&name) {
            Ok(()) => {
                meta.set_absent();
                self.log.give_absent(segment);
            }
            Err(error) => {
                meta.set_state(SegmentState::Quarantined);
                tracing::warn!(%name, %error, "a segment whose flush failed could not be removed; it is not used again");
            }
        }
    }

    /// Frees victims that may be reused now.
    pub(crate) fn free_victims(&self) -> usize {
        let mut freed = Vec::new();
        {
            let mut maps = self.maps.lock();
            let (durable_tick, watermark) = (maps.durable_tick, self.log.watermark());
            let logs = self.log.mode.logs();
            maps.victims.retain(|&(segment, scanned)| {
                let meta = &self.log.segments[segment as usize];
                let below = meta.max_seq.load(Ordering::Acquire) <= watermark || !logs;
                let young = durable_tick > scanned || planted::is(Bug::ReuseWithoutMap);
                let free = young && below && meta.pins.load(Ordering::Acquire) == 0;
                if free {
                    freed.push(segment);
                }
                !free
            });
        }
        for &segment in &freed {
            if self.log.segments[segment as usize].is_poisoned() {
                self.discard(segment);
            } else {
                self.log.give_ready(segment);
            }
            self.counters.gc_segments.fetch_add(1, Ordering::Relaxed);
        }
        freed.len()
    }
}
