//! Closing, writing and settling of chunks; sealing of segments.
//!
//! Promises: a chunk leaves DRAM only when it is durable; the foreground's watermark moves in order and by whole groups; a GC
//! chunk is written only when the foreground records in it are durable. Never: a write submitted under the log's lock.

use super::chunk::ChunkHeader;
use super::footer::FooterBuilder;
use super::record::{Address, Seq};
use super::segment::{Segment, SegmentState};
use super::{Chunk, ChunkState, FOREGROUND, Log, STREAMS, Tail};
use crate::options::{BLOCK_BYTES, Durability, FLUSH_AGE_US, FLUSH_AGE_US_MAX, FLUSHES_IN_FLIGHT_MAX};
use crate::planted::{self, Bug};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::{Buffer, FileId, Operation};

/// A request of the log, to be left in a lane.
pub enum FlushJob {
    /// A chunk's write, and whether it is all that was asked for: else a sync must vouch for it.
    Write(Arc<Chunk>, bool, u64),
    /// A sync that vouches for these chunks.
    Sync(Vec<Arc<Chunk>>, u64),
    /// A footer's write.
    Footer(u32),
}

/// A sealed segment whose footer waits for its chunks.
pub(super) struct Sealing {
    pub(super) segment: u32,
    pub(super) epoch: u32,
    pub(super) stream: u8,
    pub(super) footer: FooterBuilder,
}

impl Log {
    /// Closes the open chunk by a padding reservation: the next flush starts on a fresh block.
    pub(super) fn close_chunk(&self, tail: &mut Tail, stream: usize) {
        let watermark = self.watermark();
        let s = &mut tail.streams[stream];
        let (Some(mut chunk), Some(open)) = (s.chunk.take(), s.segment.as_mut()) else { return };
        let bytes = chunk.used.next_multiple_of(BLOCK_BYTES as usize);
        chunk.buffer[chunk.used..bytes].fill(0);
        let header = ChunkHeader {
            epoch: open.epoch,
            stream: stream as u8,
            prev_seq: chunk.prev_seq,
            last_seq: chunk.max_seq,
            watermark,
            bytes: bytes as u32,
            used: chunk.used as u32,
        };
        header.encode(
            Address { store: self.store, segment: open.id, epoch: open.epoch, offset: chunk.offset },
            &mut chunk.buffer,
        );
        open.used += bytes as u32;
        let meta = &self.segments[open.id as usize];
        meta.used.store(open.used, Ordering::Release);
        meta.undurable.fetch_add(1, Ordering::AcqRel);
        self.counters.padding_bytes.fetch_add((bytes - chunk.used) as u64, Ordering::Relaxed);
        self.counters.chunk_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.counters.log_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let closed = Arc::new(Chunk {
            segment: open.id,
            offset: chunk.offset,
            bytes: bytes as u32,
            stream,
            prev_seq: chunk.prev_seq,
            max_seq: chunk.max_seq,
            whole_seq: chunk.whole_seq,
            opened_us: chunk.opened_us,
            buffer: Arc::new(chunk.buffer),
            state: Mutex::new(ChunkState::Closed),
        });
        s.pending.push_back(closed.clone());
        tail.closed.push_back(closed);
        self.ripe.store(true, Ordering::Release);
    }

    /// Ends the stream's segment: its footer waits until its chunks are durable.
    pub(super) fn seal(&self, tail: &mut Tail, stream: usize) {
        self.close_chunk(tail, stream);
        let Some(open) = tail.streams[stream].segment.take() else { return };
        let meta = &self.segments[open.id as usize];
        meta.live.lock().seal(self.segment_bytes);
        meta.set_state(SegmentState::Sealed);
        tail.sealing.push(Sealing { segment: open.id, epoch: open.epoch, stream: stream as u8, footer: open.footer });
    }

    /// Seals the segment of every stream, so that what has been appended lies in segments that nothing is appended to any more, and
    /// names them while `pin` keeps each where it is. Answers the last seq in them; `None`: the log has failed.
    pub(crate) fn seal_all(&self, mut pin: impl FnMut(u32, &Segment)) -> Option<Seq> {
        let mut tail = self.tail.lock();
        if tail.draining || self.failure().is_some() {
            return None;
        }
        let last_seq = tail.last_seq;
        for stream in 0..STREAMS {
            self.seal(&mut tail, stream);
        }
        for (id, segment) in self.segments.iter().enumerate() {
            if segment.state().is_ended() && segment.file().is_some() {
                pin(id as u32, segment);
            }
        }
        self.ripe.store(true, Ordering::Release);
        Some(last_seq)
    }

    /// Is there something for [`Log::pump`]?
    pub fn is_ripe(&self) -> bool {
        self.ripe.load(Ordering::Acquire)
    }

    /// `everysec`: the oldest record in DRAM has waited too long.
    pub(super) fn is_late(&self, tail: &Tail, now_us: u64) -> bool {
        let s = &tail.streams[FOREGROUND];
        tail.written_unsynced_bytes > 0 && now_us.saturating_sub(tail.last_sync_us) > 2 * FLUSH_AGE_US_MAX
            || s.chunk.as_ref().is_some_and(|c| now_us.saturating_sub(c.opened_us) > 2 * FLUSH_AGE_US_MAX)
    }

    /// Closes what is due and hands out what is to be written. `all`: close everything now (shutdown, a waiting GC).
    pub fn pump(&self, now_us: u64, all: bool, mut submit: impl FnMut(FileId, Operation, FlushJob)) {
        if self.failure().is_some() {
            return; // a later flush that succeeds would vouch for what the failed one has lost
        }
        let mut work = Vec::new();
        let sealed;
        {
            let mut tail = self.tail.lock();
            let tail = &mut *tail;
            self.ripe.store(false, Ordering::Release);
            for stream in 0..STREAMS {
                let due = tail.streams[stream].chunk.as_ref().is_some_and(|c| match self.mode.log() {
                    _ if all => true,
                    Durability::Always if stream == FOREGROUND => tail.flushes == 0,
                    _ => now_us.saturating_sub(c.opened_us) >= FLUSH_AGE_US,
                });
                if due {
                    self.close_chunk(tail, stream);
                }
            }
            self.ripe.store(false, Ordering::Release);
            self.submit_closed(tail, now_us, &mut work);
            self.submit_sync(tail, now_us, all, &mut work);
            sealed = self.footers_due(tail);
        }
        for sealing in sealed {
            self.submit_footer(&sealing, &mut work);
        }
        for (file, operation, job) in work {
            submit(file, operation, job);
        }
    }

    fn submit_closed(&self, tail: &mut Tail, now_us: u64, work: &mut Vec<(FileId, Operation, FlushJob)>) {
        let watermark = self.watermark();
        let mut kept = std::collections::VecDeque::new();
        while let Some(chunk) = tail.closed.pop_front() {
            let waits = chunk.stream != FOREGROUND && chunk.max_seq > watermark && self.mode.logs();
            let full = tail.flushes >= FLUSHES_IN_FLIGHT_MAX;
            let file = self.segments[chunk.segment as usize].file();
            match file {
                Some(file) if !waits && !full => {
                    *chunk.state.lock() = ChunkState::Writing;
                    tail.flushes += 1;
                    let mode = self.mode.log();
                    let durable = mode == Durability::Always && !planted::is(Bug::SkipFlush);
                    let is_all = matches!(mode, Durability::Always | Durability::None) || planted::is(Bug::SkipFlush);
                    let operation = Operation::Write {
                        offset: u64::from(chunk.offset),
                        buffer: chunk.buffer.clone(),
                        bytes: 0..chunk.bytes as usize,
                        durable,
                    };
                    work.push((file, operation, FlushJob::Write(chunk, is_all, now_us)));
                }
                _ => kept.push_back(chunk),
            }
        }
        tail.closed = kept;
    }

    fn submit_sync(&self, tail: &mut Tail, now_us: u64, all: bool, work: &mut Vec<(FileId, Operation, FlushJob)>) {
        if tail.syncs > 0 || tail.written_unsynced_bytes == 0 {
            return;
        }
        let age_us = match self.mode.log() {
            Durability::No => 30 * FLUSH_AGE_US_MAX,
            Durability::EverySecond => FLUSH_AGE_US,
            // Left from another mode.
            Durability::Always | Durability::None => 0,
        };
        let aged = now_us.saturating_sub(tail.last_sync_us) >= age_us;
        // Chunks that were closed early take whole buffers: these can be full long before a quarter of their bytes is written.
        let is_full = tail.written_unsynced_bytes >= self.buffered_bytes_max / 4
            || tail.buffered_bytes >= self.buffered_bytes_max / 4 * 3;
        if !(all || tail.draining || aged || is_full) {
            return;
        }
        let mut by_file: Vec<(FileId, Vec<Arc<Chunk>>)> = Vec::new();
        for chunk in tail.streams.iter().flat_map(|s| &s.pending) {
            if *chunk.state.lock() == ChunkState::Written
                && let Some(file) = self.segments[chunk.segment as usize].file()
            {
                match by_file.iter_mut().find(|(f, _)| *f == file) {
                    Some((_, chunks)) => chunks.push(chunk.clone()),
                    None => by_file.push((file, vec![chunk.clone()])),
                }
            }
        }
        tail.syncs = by_file.len();
        tail.last_sync_us = now_us;
        tail.flushes += by_file.len();
        for (file, chunks) in by_file {
            work.push((file, Operation::Sync, FlushJob::Sync(chunks, now_us)));
        }
    }

    /// Sealed segments whose chunks are all durable.
    fn footers_due(&self, tail: &mut Tail) -> Vec<Sealing> {
        let segments = &self.segments;
        let (due, waiting) = std::mem::take(&mut tail.sealing)
            .into_iter()
            .partition(|s| segments[s.segment as usize].undurable.load(Ordering::Acquire) == 0);
        tail.sealing = waiting;
        due
    }

    fn submit_footer(&self, sealing: &Sealing, work: &mut Vec<(FileId, Operation, FlushJob)>) {
        let meta = &self.segments[sealing.segment as usize];
        let Some(file) = meta.file() else { return };
        if meta.epoch() != sealing.epoch || meta.state() != SegmentState::Sealed {
            return; // emptied already: a dead segment needs no footer
        }
        let end =
            Address { store: self.store, segment: sealing.segment, epoch: sealing.epoch, offset: self.segment_bytes };
        let footer = sealing.footer.encode(end, sealing.stream);
        let bytes = footer.len().next_multiple_of(BLOCK_BYTES as usize);
        let mut buffer = Buffer::new(bytes);
        buffer.set_len(bytes);
        let at = bytes - footer.len();
        buffer[..at].fill(0);
        buffer[at..].copy_from_slice(&footer);
        self.counters.meta_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        meta.pins.fetch_add(1, Ordering::AcqRel);
        let offset = u64::from(self.segment_bytes) - bytes as u64;
        let operation = Operation::Write { offset, buffer: Arc::new(buffer), bytes: 0..bytes, durable: false };
        work.push((file, operation, FlushJob::Footer(sealing.segment)));
    }

    /// A request of [`Log::pump`] has completed.
    pub fn flushed(&self, job: FlushJob, result: std::io::Result<usize>, now_us: u64) {
        match job {
            FlushJob::Write(chunk, is_all, began_us) => {
                let mut tail = self.tail.lock();
                tail.flushes -= 1;
                if let Err(error) = result {
                    drop(tail);
                    let name = segment_name(chunk.segment);
                    return self.fail(format!("{name}, offset {}: write failed: {error}", chunk.offset));
                }
                self.count_flush(now_us.saturating_sub(began_us));
                if is_all {
                    *chunk.state.lock() = ChunkState::Durable;
                    drop(chunk); // or its buffer would not go back to the pool
                    self.settle(&mut tail, now_us);
                } else {
                    *chunk.state.lock() = ChunkState::Written;
                    tail.written_unsynced_bytes += chunk.bytes as usize;
                }
            }
            FlushJob::Sync(chunks, began_us) => {
                let mut tail = self.tail.lock();
                tail.flushes -= 1;
                tail.syncs -= 1;
                if let Err(error) = result {
                    drop(tail);
                    let name = segment_name(chunks.first().map_or(0, |c| c.segment));
                    return self.fail(format!("{name}: fdatasync failed: {error}"));
                }
                self.count_flush(now_us.saturating_sub(began_us));
                for chunk in chunks {
                    *chunk.state.lock() = ChunkState::Durable;
                    tail.written_unsynced_bytes -= chunk.bytes as usize;
                }
                self.settle(&mut tail, now_us);
            }
            FlushJob::Footer(segment) => {
                self.segments[segment as usize].pins.fetch_sub(1, Ordering::AcqRel);
                if let Err(error) = result {
                    // A footer can be rebuilt from its records: nothing is lost, but somebody should know.
                    tracing::warn!(segment, %error, "a footer could not be written; it will be rebuilt from the records when needed");
                }
                return;
            }
        }
        self.ripe.store(true, Ordering::Release);
        self.durable.notify();
        self.room.notify();
    }

    fn count_flush(&self, us: u64) {
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.flush_us_sum.fetch_add(us, Ordering::Relaxed);
        self.counters.flush_us_max.fetch_max(us, Ordering::Relaxed);
    }

    /// Retires what is durable in order, per stream, and moves the watermark.
    fn settle(&self, tail: &mut Tail, now_us: u64) {
        for stream in 0..STREAMS {
            while tail.streams[stream].pending.front().is_some_and(|c| c.is_durable()) {
                let Some(chunk) = tail.streams[stream].pending.pop_front() else { break };
                let meta = &self.segments[chunk.segment as usize];
                meta.durable_to.store(chunk.offset + chunk.bytes, Ordering::Release);
                meta.undurable.fetch_sub(1, Ordering::AcqRel);
                if stream != FOREGROUND || chunk.whole_seq == chunk.max_seq {
                    meta.whole_to.store(chunk.offset + chunk.bytes, Ordering::Release);
                }
                if stream == FOREGROUND {
                    self.counters.commit_us.note(now_us.saturating_sub(chunk.opened_us));
                }
                if stream == FOREGROUND && chunk.whole_seq != 0 {
                    self.watermark.store(chunk.whole_seq, Ordering::Release);
                }
                tail.buffered_bytes -= chunk.buffer.len();
                if let Ok(chunk) = Arc::try_unwrap(chunk)
                    && let Ok(buffer) = Arc::try_unwrap(chunk.buffer)
                {
                    self.pool.give(buffer);
                }
            }
        }
    }

    /// From now on nothing is appended and everything is flushed as soon as it can be (shutdown).
    pub fn drain(&self) {
        self.tail.lock().draining = true;
    }

    /// Nothing is left in DRAM that is not durable.
    pub fn is_drained(&self) -> bool {
        let tail = self.tail.lock();
        tail.streams.iter().all(|s| s.chunk.is_none() && s.pending.is_empty())
            && tail.orphans.is_empty()
            && tail.flushes == 0
    }
}

/// The file of a segment.
pub fn segment_name(segment: u32) -> String {
    format!("segment-{segment:06}")
}
