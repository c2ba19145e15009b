//! Writing liveness maps: fix `B` and the lengths at once, read the bits while work goes on, wait for what killed the dead,
//! then write, in pieces.
//!
//! Between the fix and the first bit every latch is taken once: whoever appended before `B` has by then unnamed what it replaced,
//! so below the lengths no key has two live records, and recovery needs no proof for what a map calls live.
//!
//! Promises: a map is durable only after every foreground record and GC copy that it knows of; a victim is reused only under a
//! map younger than its scan. Never: stops the world.

use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::log::copies;
use crate::log::map::{FILES, Map, MapBody, MapSegment};
use crate::log::record::Seq;
use crate::options::META_PIECE_BYTES;
use crate::planted::{self, Bug};
use crate::tier::sweep::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thermocline_io::{Buffer, FileId, Operation};

/// Segments whose bits are read in one step.
const SEGMENTS_PER_STEP: usize = 8;

/// What is known of maps, checkpoints and victims that wait for a map.
#[derive(Default)]
pub(crate) struct MapState {
    /// Counts maps begun and scans ended, so that "younger than its scan" can be asked.
    pub(crate) tick: u64,
    /// Tick at which the last durable map was begun.
    pub(crate) durable_tick: u64,
    /// Victims emptied by GC: (segment, tick of the scan's end).
    pub(crate) victims: Vec<(u32, u64)>,
    /// The newest map, and one that is being written.
    pub(crate) map: Written,
    pub(crate) map_is_written: bool,
    /// The newest checkpoint.
    pub(crate) checkpoint: Written,
    /// The newest hot-set list.
    pub(crate) hot_list: Written,
}

/// The newest durable one of what is written in turn.
#[derive(Copy, Clone, Default)]
pub(crate) struct Written {
    pub(crate) generation: u64,
    /// Its `B`.
    pub(crate) b: u64,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// Bytes of log written by this process when it was begun, whether it succeeded or not.
    pub(crate) log_bytes: u64,
}

/// The right to write a map or a checkpoint; given back when dropped.
pub(crate) struct Turn {
    inner: Arc<Inner>,
    of: fn(&Inner) -> &AtomicBool,
}

impl Turn {
    pub(crate) async fn take(inner: &Arc<Inner>, of: fn(&Inner) -> &AtomicBool) -> Turn {
        loop {
            let ticket = inner.map_written.ticket();
            if !of(inner).swap(true, Ordering::AcqRel) {
                return Turn { inner: inner.clone(), of };
            }
            inner.map_written.changed(ticket).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        (self.of)(&self.inner).store(false, Ordering::Release);
        self.inner.map_written.notify();
    }
}

impl Inner {
    /// Writes a map. One at a time: a map begun earlier must not be written over one begun later. `last`: the shutdown's own,
    /// after which there is none.
    pub(crate) async fn write_map(self: &Arc<Self>, last: bool) -> Result<()> {
        let _turn = Turn::take(self, |inner| &inner.map_busy).await;
        if self.frozen.load(Ordering::Acquire) && !last {
            return Err(Error::Closed);
        }
        self.maps.lock().map_is_written = true;
        let written = self.put_map().await;
        self.maps.lock().map_is_written = false;
        written
    }

    async fn put_map(self: &Arc<Self>) -> Result<()> {
        let (tick, log_bytes) = {
            let mut maps = self.maps.lock();
            maps.tick += 1;
            maps.map.log_bytes = self.log.counters.log_bytes.load(Ordering::Relaxed);
            (maps.tick, maps.map.log_bytes)
        };
        let heals = self.log.heals();
        let (b, last_seq, lengths) = self.log.fix();
        for shard in &self.shards {
            drop(shard.lock());
        }
        // A start that begins with this map replays no delta before `B`.
        if !planted::is(Bug::MapOverDeltas) {
            self.flush_deltas(b).await?;
        }
        let mut body = MapBody::default();
        self.read_bits(&lengths, &mut body).await;
        if planted::is(Bug::MapLengthsLate) {
            body.set_covered(self.log.fix().2.into_iter().map(|late| late.2));
        }
        let (spaces, next_space) = {
            let spaces = self.spaces.read();
            (spaces.of_database.clone(), spaces.next)
        };
        let pending = self.pending.lock().clone();
        let durable_seq = if planted::is(Bug::MapWithoutCauses) { last_seq } else { self.wait_for_causes().await? };
        if self.log.heals() != heals {
            return Err(Error::Misconfigured { reason: "a flush failed while the map was read".into() });
        }
        let generation = self.maps.lock().map.generation + 1;
        let map = Map { generation, b, last_seq, durable_seq, next_space, spaces, pending, segments: Vec::new() };
        let (head, body) = map.encode_with(self.log.store, body);
        let bytes = (head.len() + body.len()) as u64;
        let held = Held::new(self, bytes);
        let [first, second] = copies::in_order(FILES, generation);
        self.write_meta(first, &[&head, &body]).await?;
        if let Err(error) = self.write_meta(second, &[&head, &body]).await {
            // Spent: the next map must not begin with the copy that is good.
            self.maps.lock().map.generation = generation;
            return Err(error);
        }
        drop(held);
        let mut maps = self.maps.lock();
        maps.durable_tick = tick;
        maps.map = Written { generation, b, bytes, log_bytes };
        drop(maps);
        self.counters.maps.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Reads the bits of all segments.
    async fn read_bits(&self, lengths: &[(u32, u32, u32)], body: &mut MapBody) {
        for (number, &(segment, epoch, covered)) in lengths.iter().enumerate() {
            if number % SEGMENTS_PER_STEP == SEGMENTS_PER_STEP - 1 {
                yield_now().await;
            }
            let meta = &self.log.segments[segment as usize];
            let live = meta.live.lock();
            let mut entry = MapSegment {
                segment,
                epoch,
                covered,
                grain_shift: live.grain_shift,
                stream: meta.stream.load(Ordering::Acquire),
                live_bytes: 0,
                earliest_expiry_ms: u64::MAX,
                bits: Vec::new(),
            };
            let (mut words, mut last_mask) = (0, u64::MAX);
            if meta.epoch() == epoch {
                entry.live_bytes = live.bytes;
                entry.earliest_expiry_ms = live.earliest_expiry_ms;
                let grains = (covered as usize).div_ceil(1 << live.grain_shift);
                words = grains.div_ceil(64).min(live.bits.len());
                if !grains.is_multiple_of(64) && grains.div_ceil(64) == words {
                    last_mask = u64::MAX >> (64 - grains % 64);
                }
            }
            let word = |at: usize| if at + 1 == words { live.bits[at] & last_mask } else { live.bits[at] };
            let used = (0..words).rev().find(|&at| word(at) != 0).map_or(0, |at| at + 1);
            body.push(&entry, (0..used).map(word));
        }
    }

    /// Waits until everything that may have killed a record so far is durable. Returns the last seq of it.
    pub(crate) async fn wait_for_causes(self: &Arc<Self>) -> Result<Seq> {
        let last = self.log.last_seq();
        self.pump(true);
        let copies = if planted::is(Bug::MapBeforeGcCopy) { Vec::new() } else { self.log.gc_pending() };
        loop {
            let ticket = self.log.durable.ticket();
            // Asked first: a log that has failed closes no chunk, and what GC has copied into an open one is in no list.
            if let Some(reason) = self.log.failure() {
                return Err(Error::Misconfigured { reason });
            }
            if self.log.watermark() >= last && copies.iter().all(|c| c.is_durable()) {
                return Ok(last);
            }
            if copies.iter().any(|c| c.is_orphaned()) {
                return Err(Error::Misconfigured { reason: "a flush of GC's copies failed".into() });
            }
            self.pump(true);
            self.log.durable.changed(ticket).await;
        }
    }

    /// Writes a whole file of two parts durably, in pieces. The parts together are a multiple of 4 KiB.
    pub(crate) async fn write_meta(&self, name: &str, parts: &[&[u8]]) -> Result<()> {
        let bytes: usize = parts.iter().map(|p| p.len()).sum();
        let file = self.meta_file(name, bytes as u64)?;
        let (mut offset, mut piece) = (0, Vec::with_capacity(META_PIECE_BYTES.min(bytes)));
        for &part in parts {
            let mut rest = part;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(META_PIECE_BYTES - piece.len()));
                piece.extend_from_slice(now);
                rest = later;
                if piece.len() == META_PIECE_BYTES || offset + piece.len() as u64 == bytes as u64 {
                    let written = self.write_piece(file, offset, &piece).await;
                    written.map_err(|e| Error::io(format!("writing {name}"), &e))?;
                    offset += piece.len() as u64;
                    piece.clear();
                }
            }
        }
        self.sync_meta(file).await.map_err(|e| Error::io(format!("syncing {name}"), &e))
    }

    /// The file of this name, at least so long.
    pub(crate) fn meta_file(&self, name: &str, bytes: u64) -> Result<FileId> {
        let disk = &self.log.disk;
        let file = match disk.open(name) {
            Ok(file) => file,
            Err(_) => disk.create(name, bytes).map_err(|e| Error::io(format!("creating {name}"), &e))?,
        };
        let length = disk.length(file).map_err(|e| Error::io(format!("asking the length of {name}"), &e))?;
        if length < bytes {
            disk.truncate(file, bytes).map_err(|e| Error::io(format!("growing {name}"), &e))?;
        }
        Ok(file)
    }

    /// Writes bytes at a block, padded with zeros to whole blocks; not yet durable.
    pub(crate) async fn write_piece(&self, file: FileId, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let padded = bytes.len().next_multiple_of(4096);
        let mut buffer = Buffer::new(padded);
        buffer.set_len(padded);
        buffer[..bytes.len()].copy_from_slice(bytes);
        buffer[bytes.len()..].fill(0);
        self.log.counters.meta_bytes.fetch_add(padded as u64, Ordering::Relaxed);
        let operation = Operation::Write { offset, buffer: Arc::new(buffer), bytes: 0..padded, durable: false };
        self.request(file, operation).await.result.map(|_| ())
    }

    /// Makes durable what was written.
    pub(crate) async fn sync_meta(&self, file: FileId) -> std::io::Result<()> {
        self.request(file, Operation::Sync).await.result.map(|_| ())
    }
}

/// Memory of a background task that the arena must leave it.
pub(crate) struct Held<'i> {
    inner: &'i Inner,
    bytes: u64,
}

impl<'i> Held<'i> {
    pub(crate) fn new(inner: &'i Inner, bytes: u64) -> Held<'i> {
        inner.pinned_bytes.fetch_add(bytes, Ordering::Relaxed);
        Held { inner, bytes }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.inner.pinned_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
