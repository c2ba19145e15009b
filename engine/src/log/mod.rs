//! The log: the write-ahead log and the SSD tier in one. Append, flush, watermark; the rules are in docs/FORMAT.md.
//!
//! Promises: position and seq are taken together, so log order = seq order; the watermark never passes a hole and never stops
//! inside a group; a footer is written only when its segment is durable. Never: waits, or touches the disk, under its lock
//! (writes are left in a lane by [`Log::pump`]).

pub mod checkpoint;
pub mod chunk;
pub(crate) mod copies;
pub mod footer;
pub mod hot_list;
pub mod latency;
pub mod map;
pub mod mode;
pub mod record;
pub mod segment;
pub mod superblock;
pub mod walk;

pub(crate) mod flush;
mod heal;

pub use flush::segment_name;

use crate::change::SpaceId;
use crate::delta::DeltaTotals;
use crate::hash::KeyHash;
use crate::options::{
    BLOCK_BYTES, Durability, GC_RESERVE_SEGMENTS, Options, REMOVAL_RESERVE_SEGMENTS, SEGMENTS_PER_FLUSH,
};
use crate::place::{Place, class_of};
use crate::planted::{self, Bug};
use crate::wait::WaitList;
use chunk::CHUNK_HEADER_BYTES;
use flush::Sealing;
use footer::{Entry, FooterBuilder};
use latency::Latency;
use mode::Mode;
use parking_lot::{Mutex, RwLock};
use record::{Address, FLAG_FIRST, FLAG_LAST, Record, RecordKind, Seq, padded, record_bytes};
use segment::{Segment, SegmentState, raise};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use thermocline_io::{Buffer, BufferPool, Disk};

/// The foreground stream and three GC generations.
pub const STREAMS: usize = 4;
/// The stream that all workers append to.
pub const FOREGROUND: usize = 0;

/// Who appends: decides which reserve of free segments it may touch.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Purpose {
    /// Growing writes.
    Growth,
    /// Removals, expiry, eviction: have a reserve.
    Removal,
    /// Removals of nodes and parts that no key names any more. Each gives back more than it takes, and removals that wait for room wait
    /// for them: they may use one segment of GC's reserve.
    Sweep,
    /// GC copies, and nodes with deltas that a map waits for: may use the last segment.
    Gc,
}

/// A record that wants a place.
#[derive(Copy, Clone, Debug)]
pub struct Draft<'r> {
    /// What it says.
    pub kind: RecordKind,
    /// Space of the key.
    pub space: SpaceId,
    /// Hash of the key.
    pub hash: KeyHash,
    /// Expiry in Unix milliseconds.
    pub expiry: Option<u64>,
    /// The key.
    pub key: &'r [u8],
    /// The payload.
    pub payload: &'r [u8],
    /// A moved record keeps its seq.
    pub moved: Option<Seq>,
}

impl Draft<'_> {
    /// Bytes in a chunk.
    pub fn padded_bytes(&self) -> usize {
        padded(record_bytes(self.key.len(), self.payload.len(), self.expiry.is_some()))
    }
}

/// Where a draft went.
#[derive(Copy, Clone, Debug)]
pub struct Appended {
    /// Its place.
    pub place: Place,
    /// Its seq.
    pub seq: Seq,
    /// The class of a read that holds it.
    pub class: u8,
    /// Padded bytes.
    pub bytes: u32,
}

/// Why nothing was appended (and nothing changed).
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum NoRoom {
    /// No segment is ready: GC or the preparation of files must go on.
    Segment,
    /// The buffers are full of what is not durable yet.
    Buffers,
    /// The log cannot be written any more.
    Failed,
}

/// State of a closed chunk.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum ChunkState {
    Closed,
    Writing,
    Written,
    Durable,
    Orphaned,
}

/// A closed chunk: in DRAM until it is durable.
pub struct Chunk {
    segment: u32,
    offset: u32,
    bytes: u32,
    stream: usize,
    prev_seq: Seq,
    max_seq: Seq,
    /// Seq of the last record that ended a group; 0 = none did.
    whole_seq: Seq,
    opened_us: u64,
    buffer: Arc<Buffer>,
    state: Mutex<ChunkState>,
}

struct OpenChunk {
    offset: u32,
    used: usize,
    buffer: Buffer,
    prev_seq: Seq,
    max_seq: Seq,
    whole_seq: Seq,
    opened_us: u64,
}

struct OpenSegment {
    id: u32,
    epoch: u32,
    /// Bytes of closed chunks.
    used: u32,
    footer: FooterBuilder,
    /// It was opened when only the reserves were left: while they are touched, growth has no part of it.
    of_reserve: bool,
}

#[derive(Default)]
struct Stream {
    segment: Option<OpenSegment>,
    chunk: Option<OpenChunk>,
    /// Closed chunks that are not durable yet, in order.
    pending: VecDeque<Arc<Chunk>>,
}

struct Tail {
    next_seq: Seq,
    last_seq: Seq,
    streams: [Stream; STREAMS],
    /// Segments with a file, ready to be opened.
    ready: VecDeque<u32>,
    /// Segments without a file.
    absent: VecDeque<u32>,
    closed: VecDeque<Arc<Chunk>>,
    /// Chunks whose flush failed: oldest first, the foreground's before the others'.
    orphans: VecDeque<Arc<Chunk>>,
    sealing: Vec<Sealing>,
    flushes: usize,
    syncs: usize,
    buffered_bytes: usize,
    written_unsynced_bytes: usize,
    last_sync_us: u64,
    draining: bool,
}

impl Tail {
    /// Segments that could be opened.
    fn free(&self) -> usize {
        self.ready.len() + self.absent.len()
    }
}

/// Counters of the log.
#[derive(Default)]
pub struct LogCounters {
    /// Bytes of records appended to the foreground stream.
    pub record_bytes: AtomicU64,
    /// Bytes of chunks written, padding included.
    pub chunk_bytes: AtomicU64,
    /// The same, never reset: what maps and checkpoints are paced by.
    pub log_bytes: AtomicU64,
    /// Bytes of padding.
    pub padding_bytes: AtomicU64,
    /// Footers, maps, checkpoints.
    pub meta_bytes: AtomicU64,
    /// Bytes copied by GC.
    pub gc_bytes: AtomicU64,
    /// Flushes.
    pub flushes: AtomicU64,
    /// Sum of flush times.
    pub flush_us_sum: AtomicU64,
    /// Longest flush.
    pub flush_us_max: AtomicU64,
    /// How old the oldest record of a foreground chunk was when the chunk became durable.
    pub commit_us: Latency,
}

/// The log.
pub struct Log {
    /// Where segments live.
    pub disk: Arc<dyn Disk>,
    /// The store's id.
    pub store: u32,
    /// Size of a segment.
    pub segment_bytes: u32,
    /// What it does with changes, and what is promised.
    pub mode: Mode,
    /// All segments that may exist.
    pub segments: Box<[Segment]>,
    /// Wakes who waits for the watermark.
    pub durable: WaitList,
    /// Wakes who waits for room.
    pub room: WaitList,
    /// Counters.
    pub counters: LogCounters,
    /// Live bytes over all segments.
    pub live_bytes: AtomicU64,
    /// The nodes with deltas, which every map wants appended whole.
    pub(crate) deltas: Arc<DeltaTotals>,
    tail: Mutex<Tail>,
    watermark: AtomicU64,
    last_seq: AtomicU64,
    /// Chunks wait to be submitted.
    ripe: AtomicBool,
    failed: AtomicBool,
    failure: RwLock<Option<String>>,
    heals: AtomicU64,
    pool: BufferPool,
    chunk_bytes: usize,
    buffered_bytes_max: usize,
    /// Epochs of this life are not below it: what an earlier life wrote and no header tells of is never believed.
    epoch_floor: u32,
}

impl Log {
    /// A log whose segments have been set up by recovery. `last_seq` is the end of what survived, `next_seq` above all seen.
    pub fn new(
        disk: Arc<dyn Disk>,
        store: u32,
        options: &Options,
        segments: Box<[Segment]>,
        last_seq: Seq,
        next_seq: Seq,
        epoch_floor: u32,
    ) -> Self {
        let by_state = |state| {
            let of_state = |(id, s): (usize, &Segment)| (s.state() == state).then_some(id as u32);
            segments.iter().enumerate().filter_map(of_state).collect::<VecDeque<_>>()
        };
        let tail = Tail {
            next_seq,
            last_seq,
            streams: Default::default(),
            ready: by_state(SegmentState::Free),
            absent: by_state(SegmentState::Absent),
            closed: VecDeque::new(),
            orphans: VecDeque::new(),
            sealing: Vec::new(),
            flushes: 0,
            syncs: 0,
            buffered_bytes: 0,
            written_unsynced_bytes: 0,
            last_sync_us: 0,
            draining: false,
        };
        let live_bytes = segments.iter().map(|s| s.live.lock().bytes).sum();
        Log {
            disk,
            store,
            segment_bytes: options.segment_bytes() as u32,
            mode: Mode::new(options.durability),
            segments,
            durable: WaitList::default(),
            room: WaitList::default(),
            counters: LogCounters::default(),
            live_bytes: AtomicU64::new(live_bytes),
            deltas: Arc::default(),
            tail: Mutex::new(tail),
            watermark: AtomicU64::new(last_seq),
            last_seq: AtomicU64::new(last_seq),
            ripe: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: RwLock::new(None),
            heals: AtomicU64::new(0),
            pool: BufferPool::new(options.log_buffer_bytes()),
            chunk_bytes: options.chunk_bytes(),
            buffered_bytes_max: options.log_buffer_bytes(),
            epoch_floor,
        }
    }

    /// The address of an offset in a segment, with its present epoch.
    pub fn address(&self, segment: u32, offset: u32) -> Address {
        Address { store: self.store, segment, epoch: self.segments[segment as usize].epoch(), offset }
    }

    /// Everything up to here is durable.
    pub fn watermark(&self) -> Seq {
        self.watermark.load(Ordering::Acquire)
    }

    /// Seq of the foreground stream's last record.
    pub fn last_seq(&self) -> Seq {
        self.last_seq.load(Ordering::Acquire)
    }

    /// The reason why writes are refused, if they are.
    pub fn failure(&self) -> Option<String> {
        if self.failed.load(Ordering::Acquire) { self.failure.read().clone() } else { None }
    }

    /// A flush failed: writes are refused until [`Log::healed`].
    pub fn fail(&self, reason: String) {
        let mut failure = self.failure.write();
        if failure.is_none() {
            tracing::error!(%reason, "the log cannot be written; writes are refused, reads go on");
        }
        *failure = Some(reason);
        self.failed.store(true, Ordering::Release);
        drop(failure);
        self.durable.notify();
        self.room.notify();
    }

    /// Is this place on the device (not only in a buffer)?
    pub fn is_settled(&self, place: Place) -> bool {
        let (segment, offset) = place.split(self.segment_bytes);
        offset < self.segments[segment as usize].durable_to.load(Ordering::Acquire)
    }

    /// Would a crash now leave the record at this place, with the whole of its group?
    pub fn is_whole(&self, place: Place) -> bool {
        let (segment, offset) = place.split(self.segment_bytes);
        offset < self.segments[segment as usize].whole_to.load(Ordering::Acquire)
    }

    /// Nothing names `place` any more.
    pub fn unname(&self, place: Place, bytes: u32) {
        let (segment, offset) = place.split(self.segment_bytes);
        self.segments[segment as usize].live.lock().unname(offset, bytes);
        let _ = self
            .live_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |b| Some(b.saturating_sub(u64::from(bytes))));
    }

    /// Segments that could be opened: (ready, without a file).
    pub fn free_segments(&self) -> (usize, usize) {
        let tail = self.tail.lock();
        (tail.ready.len(), tail.absent.len())
    }

    /// The entries with an expiry in one block of an open segment's footer to be ([`FooterBuilder::expiring`]).
    pub fn open_expiring(&self, segment: u32, block: usize, before: usize) -> Option<Vec<Entry>> {
        let tail = self.tail.lock();
        let open = tail.streams.iter().filter_map(|s| s.segment.as_ref()).find(|o| o.id == segment)?;
        open.footer.expiring(block, before)
    }

    /// Takes a segment without a file, to create one.
    pub fn take_absent(&self) -> Option<u32> {
        self.tail.lock().absent.pop_front()
    }

    /// Its file could not be created.
    pub fn give_absent(&self, segment: u32) {
        self.tail.lock().absent.push_front(segment);
    }

    /// A segment may be opened.
    pub fn give_ready(&self, segment: u32) {
        self.segments[segment as usize].set_state(SegmentState::Free);
        self.tail.lock().ready.push_back(segment);
        self.room.notify();
    }

    /// Appends one group (or one record, or moved records) whole, or nothing.
    ///
    /// # Errors
    /// [`NoRoom`] says what to wait for; nothing has changed.
    pub fn append(
        &self,
        stream: usize,
        purpose: Purpose,
        now_us: impl Fn() -> u64,
        drafts: &[Draft<'_>],
        out: &mut SmallVec<[Appended; 2]>,
    ) -> Result<(), NoRoom> {
        let mut tail = self.tail.lock();
        // Asked under the lock: what is appended behind the cut of a failure would break the chain.
        if tail.draining || self.failed.load(Ordering::Acquire) {
            return Err(NoRoom::Failed);
        }
        self.check_room(&tail, stream, purpose, &now_us, drafts)?;
        for (index, draft) in drafts.iter().enumerate() {
            let mut group = 0;
            if index == 0 || draft.moved.is_some() {
                group |= FLAG_FIRST;
            }
            if index + 1 == drafts.len() || draft.moved.is_some() {
                group |= FLAG_LAST;
            }
            out.push(self.append_one(&mut tail, stream, &now_us, draft, group));
        }
        self.last_seq.store(tail.last_seq, Ordering::Release);
        if self.mode.log() == Durability::Always && tail.flushes == 0 {
            self.ripe.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn check_room(
        &self,
        tail: &Tail,
        stream: usize,
        purpose: Purpose,
        now_us: &impl Fn() -> u64,
        drafts: &[Draft<'_>],
    ) -> Result<(), NoRoom> {
        let bytes: usize = drafts.iter().map(Draft::padded_bytes).sum();
        let s = &tail.streams[stream];
        if purpose == Purpose::Growth
            && s.segment.as_ref().is_some_and(|open| open.of_reserve)
            && tail.free() < self.reserve(stream, purpose)
        {
            // Before each map GC appends the nodes with deltas. Were growth to fill what was opened for them, each map would take
            // another segment of the reserve, until GC has nowhere to copy to.
            return Err(NoRoom::Segment);
        }
        if let (Some(chunk), 1) = (&s.chunk, drafts.len()) {
            let footer = s.segment.as_ref().map_or(0, |o| o.footer.bytes_with_one_more());
            if chunk.used + bytes <= chunk.buffer.len() && self.fits(chunk, bytes, footer) {
                return Ok(());
            }
        }
        let buffered_max =
            if purpose == Purpose::Growth { self.buffered_bytes_max } else { self.buffered_bytes_max * 3 / 2 };
        if tail.buffered_bytes >= buffered_max {
            return Err(NoRoom::Buffers);
        }
        if self.mode.log() == Durability::EverySecond && purpose == Purpose::Growth && self.is_late(tail, now_us()) {
            return Err(NoRoom::Buffers);
        }
        self.check_segments(tail, stream, self.reserve(stream, purpose), drafts)
    }

    /// The stream's open segment takes the drafts, or there are segments for them beside the `reserve`.
    fn check_segments(&self, tail: &Tail, stream: usize, reserve: usize, drafts: &[Draft<'_>]) -> Result<(), NoRoom> {
        let bytes: usize = drafts.iter().map(Draft::padded_bytes).sum();
        let s = &tail.streams[stream];
        let left = s.segment.as_ref().map_or(0, |o| {
            let footer = o.footer.bytes_with_one_more() + drafts.len() * (footer::ENTRY_BYTES + 8);
            let open = s.chunk.as_ref().map_or(0, |c| c.used.next_multiple_of(BLOCK_BYTES as usize));
            (self.segment_bytes as usize).saturating_sub(o.used as usize + open + footer)
        });
        let chunks = bytes / self.chunk_bytes + 2;
        if left >= bytes + chunks * (BLOCK_BYTES as usize + CHUNK_HEADER_BYTES) {
            return Ok(());
        }
        let needed = if drafts.len() == 1 { 1 } else { bytes * 3 / self.segment_bytes as usize + 1 };
        if tail.ready.len() < needed || tail.free() < reserve + needed {
            return Err(NoRoom::Segment);
        }
        Ok(())
    }

    /// Free segments that `purpose` leaves to others.
    fn reserve(&self, stream: usize, purpose: Purpose) -> usize {
        let of_flush = self.flush_segments(0);
        match purpose {
            Purpose::Growth => self.growth_reserve(0),
            Purpose::Removal => GC_RESERVE_SEGMENTS + of_flush,
            Purpose::Sweep => GC_RESERVE_SEGMENTS - 1 + of_flush,
            Purpose::Gc if stream != FOREGROUND => of_flush,
            Purpose::Gc => 0,
        }
    }

    /// Free segments that growth leaves to others, were `more` bytes of nodes to have deltas besides.
    pub(crate) fn growth_reserve(&self, more: u64) -> usize {
        REMOVAL_RESERVE_SEGMENTS + self.flush_segments(more)
    }

    /// Segments that take all nodes with deltas and `more` bytes: an open one that is full, padding, and what they are.
    pub(crate) fn flush_segments(&self, more: u64) -> usize {
        match self.deltas.flush_bytes() + more {
            0 => 0,
            bytes => 1 + (bytes + bytes / 4).div_ceil(u64::from(self.segment_bytes)) as usize,
        }
    }

    /// May one more node of so many bytes have deltas? Their flush must find room, however full the log becomes: without it there is
    /// no map, and without a map no segment is free again.
    pub(crate) fn takes_delta(&self, bytes: u64) -> bool {
        self.deltas.flush_bytes() + bytes <= self.flush_bytes_max()
            && self.tail.lock().free() > self.growth_reserve(bytes)
    }

    /// Bytes that appending all nodes with deltas may take.
    pub(crate) fn flush_bytes_max(&self) -> u64 {
        u64::from(self.segment_bytes) * (self.segments.len() / SEGMENTS_PER_FLUSH).max(1) as u64 * 3 / 4
    }

    fn fits(&self, chunk: &OpenChunk, bytes: usize, footer: usize) -> bool {
        let end = chunk.offset as usize + (chunk.used + bytes).next_multiple_of(BLOCK_BYTES as usize);
        end + footer <= self.segment_bytes as usize
    }

    fn append_one(
        &self,
        tail: &mut Tail,
        stream: usize,
        now_us: &impl Fn() -> u64,
        draft: &Draft<'_>,
        group: u8,
    ) -> Appended {
        let seq = draft.moved.unwrap_or(match tail.next_seq {
            next if next & 14 == 8 && planted::is(Bug::SeqBeforeLatch) => next ^ 1,
            next => next,
        });
        let bytes = draft.padded_bytes();
        self.open_for(tail, stream, now_us, bytes, seq, draft.space);
        let (next_seq, last_seq) = (tail.next_seq, tail.last_seq);
        let s = &mut tail.streams[stream];
        let open = s.segment.as_mut().expect("open_for opened one");
        let chunk = s.chunk.as_mut().expect("open_for opened one");
        let offset = chunk.offset + chunk.used as u32;
        let record = Record {
            kind: draft.kind,
            seq,
            group,
            space: draft.space,
            expiry: draft.expiry,
            key: draft.key,
            payload: draft.payload,
        };
        let address = Address { store: self.store, segment: open.id, epoch: open.epoch, offset };
        record.encode(address, &mut chunk.buffer[chunk.used..chunk.used + bytes]);
        chunk.used += bytes;
        if chunk.max_seq == 0 {
            chunk.prev_seq = if stream == FOREGROUND { last_seq } else { 0 };
        }
        chunk.max_seq = chunk.max_seq.max(seq);
        if group & FLAG_LAST != 0 {
            chunk.whole_seq = chunk.whole_seq.max(seq);
        }
        open.footer.push(&Entry {
            hash: draft.hash,
            offset,
            bytes: record.bytes() as u32,
            seq,
            kind: draft.kind,
            flags: group,
            space: draft.space,
            expiry: draft.expiry,
        });
        let meta = &self.segments[open.id as usize];
        raise(&meta.max_seq, seq);
        if draft.kind.is_value() {
            meta.live.lock().name(offset, bytes as u32, draft.expiry);
            self.live_bytes.fetch_add(bytes as u64, Ordering::AcqRel);
        }
        if draft.moved.is_none() {
            debug_assert_eq!(stream, FOREGROUND, "only the foreground stream takes new seqs");
            tail.next_seq = next_seq + 1;
            tail.last_seq = seq;
            self.counters.record_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        } else {
            self.counters.gc_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Appended {
            place: Place::new(open_id(&tail.streams[stream]), offset, self.segment_bytes),
            seq,
            class: class_of(offset, bytes as u32),
            bytes: bytes as u32,
        }
    }

    /// Makes sure that the stream's open chunk takes `bytes` more.
    fn open_for(
        &self,
        tail: &mut Tail,
        stream: usize,
        now_us: &impl Fn() -> u64,
        bytes: usize,
        seq: Seq,
        space: SpaceId,
    ) {
        let s = &tail.streams[stream];
        if let (Some(chunk), Some(open)) = (&s.chunk, &s.segment) {
            let footer = open.footer.bytes_with_one_more();
            if chunk.used + bytes <= chunk.buffer.len()
                && self.fits(chunk, bytes, footer)
                && open.footer.fits(seq, space)
            {
                return;
            }
            self.close_chunk(tail, stream);
        }
        let need = CHUNK_HEADER_BYTES + bytes;
        let full = |o: &OpenSegment| {
            let end = o.used as usize + need.next_multiple_of(BLOCK_BYTES as usize) + o.footer.bytes_with_one_more();
            end > self.segment_bytes as usize || !o.footer.fits(seq, space)
        };
        if tail.streams[stream].segment.as_ref().is_none_or(full) {
            self.seal(tail, stream);
            let of_reserve = tail.free() <= self.reserve(stream, Purpose::Growth);
            let id = tail.ready.pop_front().expect("check_room saw a ready segment");
            self.segments[id as usize].begin(stream as u8, self.segment_bytes, self.epoch_floor);
            let epoch = self.segments[id as usize].epoch();
            let footer = FooterBuilder::default();
            tail.streams[stream].segment = Some(OpenSegment { id, epoch, used: 0, footer, of_reserve });
        }
        let offset = tail.streams[stream].segment.as_ref().map_or(0, |o| o.used);
        let room = (self.segment_bytes - offset) as usize & !(BLOCK_BYTES as usize - 1);
        let capacity = self.chunk_bytes.max(need.next_multiple_of(BLOCK_BYTES as usize)).min(room);
        let mut buffer = self.pool.take(capacity);
        buffer.set_len(capacity);
        tail.buffered_bytes += capacity;
        tail.streams[stream].chunk = Some(OpenChunk {
            offset,
            used: CHUNK_HEADER_BYTES,
            buffer,
            prev_seq: 0,
            max_seq: 0,
            whole_seq: 0,
            opened_us: now_us(),
        });
    }

    /// Copies `bytes` at `place` into `out` if they are still in a buffer. False: they are on the device.
    pub fn read_buffered(&self, place: Place, bytes: usize, out: &mut Vec<u8>) -> bool {
        let (segment, offset) = place.split(self.segment_bytes);
        if offset < self.segments[segment as usize].durable_to.load(Ordering::Acquire) {
            return false;
        }
        let tail = self.tail.lock();
        let copy = |start: u32, from: &[u8], out: &mut Vec<u8>| {
            let at = (offset - start) as usize;
            out.clear();
            out.extend_from_slice(&from[at..from.len().min(at + bytes)]);
        };
        let holds = |c: &Chunk| c.segment == segment && offset >= c.offset && offset - c.offset < c.bytes;
        if let Some(orphan) = tail.orphans.iter().find(|c| holds(c)) {
            copy(orphan.offset, orphan.bytes(), out);
            return true;
        }
        for s in &tail.streams {
            if let (Some(open), Some(chunk)) = (&s.segment, &s.chunk)
                && open.id == segment
                && offset >= chunk.offset
                && (offset - chunk.offset) < chunk.used as u32
            {
                copy(chunk.offset, &chunk.buffer[..chunk.used], out);
                return true;
            }
            if let Some(c) = s.pending.iter().find(|c| holds(c)) {
                copy(c.offset, c.bytes(), out);
                return true;
            }
        }
        false
    }

    /// Bytes of DRAM that buffers and footers of open segments take.
    pub fn memory_bytes(&self) -> usize {
        let tail = self.tail.lock();
        let footers: usize = tail.streams.iter().filter_map(|s| s.segment.as_ref()).map(|o| o.footer.bytes()).sum();
        let sealing: usize = tail.sealing.iter().map(|s| s.footer.bytes()).sum();
        tail.buffered_bytes + footers + sealing + self.pool.kept_bytes()
    }

    /// The facts that a map fixes at once: (B, last seq, per segment that exists: (segment, epoch, covered)).
    pub fn fix(&self) -> (Seq, Seq, Vec<(u32, u32, u32)>) {
        let tail = self.tail.lock();
        let mut out = Vec::new();
        for (id, s) in self.segments.iter().enumerate() {
            let covered = match s.state() {
                SegmentState::Absent => continue,
                SegmentState::Open => tail
                    .streams
                    .iter()
                    .filter(|t| t.segment.as_ref().is_some_and(|o| o.id == id as u32))
                    .map(|t| {
                        t.chunk.as_ref().map_or(t.segment.as_ref().map_or(0, |o| o.used), |c| c.offset + c.used as u32)
                    })
                    .next()
                    .unwrap_or(self.segment_bytes),
                _ => self.segment_bytes,
            };
            out.push((id as u32, s.epoch(), covered));
        }
        (tail.next_seq, tail.last_seq, out)
    }

    /// Chunks of GC streams that are not durable: a map waits for those that were there when it had read its bits.
    pub fn gc_pending(&self) -> Vec<Arc<Chunk>> {
        let tail = self.tail.lock();
        let orphans = tail.orphans.iter().filter(|c| c.stream != FOREGROUND);
        tail.streams[1..].iter().flat_map(|s| &s.pending).chain(orphans).cloned().collect()
    }

    /// Is there an open GC chunk with records?
    pub fn gc_open(&self) -> bool {
        self.tail.lock().streams[1..].iter().any(|s| s.chunk.is_some())
    }

    /// Is anything in DRAM that is not durable yet?
    pub fn has_unflushed(&self) -> bool {
        let tail = self.tail.lock();
        tail.streams.iter().any(|s| s.chunk.is_some() || !s.pending.is_empty()) || !tail.orphans.is_empty()
    }

    /// Next seq (for the superblock).
    pub fn next_seq(&self) -> Seq {
        self.tail.lock().next_seq
    }
}

impl Chunk {
    /// Has it reached the device?
    pub fn is_durable(&self) -> bool {
        *self.state.lock() == ChunkState::Durable
    }
}

fn open_id(stream: &Stream) -> u32 {
    stream.segment.as_ref().map_or(0, |o| o.id)
}
