//! After a failed flush: what was not durable is taken off its segments, to be appended again to fresh ones.
//!
//! ```text
//!   segment 7 (failed)                              segment 9 (fresh)
//!   | chunk 40 | chunk 41 | chunk 42 | chunk 43 |   | 41' | 42' | 43' |      same records, seqs and order
//!     durable  ^ cut        orphans
//! ```
//!
//! A flush that failed may not be repeated: the next one may succeed and vouch for pages that the kernel has dropped
//! (fsyncgate, 2018; measured on ext4). So the file is never acknowledged again: the segment is cut where its durable part
//! ends, the cut is made durable in a superblock, and every record behind it goes to a fresh segment before anything newer.
//!
//! Promises: order and seqs stay, so what survives a crash in the middle is still a prefix; readers find the records in DRAM
//! until the new chunks are durable. Never: forgets a record because it is dead (an older state of the prefix needs it).

use super::flush::Sealing;
use super::footer::FooterBuilder;
use super::record::{FLAG_FIRST, FLAG_LAST};
use super::segment::SegmentState;
use super::superblock::Cut;
use super::{Appended, Chunk, ChunkState, Draft, FOREGROUND, Log, NoRoom, OpenSegment, STREAMS};
use crate::options::BLOCK_BYTES;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Log {
    /// The log has failed and nothing is in flight any more: what was not durable will not become so by itself.
    pub fn has_come_to_rest(&self) -> bool {
        self.failed.load(Ordering::Acquire) && self.tail.lock().flushes == 0
    }

    /// How often the log was healed: a map that was begun before must not be believed after.
    pub fn heals(&self) -> u64 {
        self.heals.load(Ordering::Acquire)
    }

    /// Ends every segment with a chunk that is not durable. Its chunks become orphans, in order; the cuts say where what is
    /// durable ends. Only while nothing is in flight.
    pub fn cut_failed(&self) -> Vec<Cut> {
        let mut tail = self.tail.lock();
        let tail = &mut *tail;
        assert_eq!(tail.flushes, 0, "a flush in flight may still become durable");
        assert!(tail.orphans.is_empty(), "the last failure was healed, or nothing would have been flushed");
        let mut cut: Vec<u32> = Vec::new();
        for stream in 0..STREAMS {
            self.close_chunk(tail, stream);
            let pending = std::mem::take(&mut tail.streams[stream].pending);
            if stream == FOREGROUND
                && let Some(first) = pending.front()
            {
                // The chain goes on where the durable part ends, not where the failed part ended.
                tail.last_seq = first.prev_seq;
            }
            for chunk in &pending {
                if !cut.contains(&chunk.segment) {
                    cut.push(chunk.segment);
                }
                *chunk.state.lock() = ChunkState::Orphaned;
            }
            tail.orphans.extend(pending);
            if tail.streams[stream].segment.as_ref().is_some_and(|open| cut.contains(&open.id)) {
                let open = tail.streams[stream].segment.take();
                self.segments[open.map_or(0, |o| o.id) as usize].live.lock().seal(self.segment_bytes);
            }
        }
        tail.closed.clear();
        tail.written_unsynced_bytes = 0;
        // A footer would name what lies behind the cut; recovery reads the records of these segments instead.
        tail.sealing.retain(|sealing: &Sealing| !cut.contains(&sealing.segment));
        let of = |&segment: &u32| {
            let meta = &self.segments[segment as usize];
            let length = meta.durable_to.load(Ordering::Acquire);
            meta.used.store(length, Ordering::Release);
            meta.undurable.store(0, Ordering::Release);
            meta.poison();
            meta.set_state(SegmentState::Sealed);
            Cut { segment, epoch: meta.epoch(), length }
        };
        cut.iter().map(of).collect()
    }

    /// Planted: the foreground goes on behind a cut instead of in a fresh segment.
    pub fn go_on_behind(&self, cuts: &[Cut]) {
        let whole = |cut: &&Cut| {
            let meta = &self.segments[cut.segment as usize];
            meta.epoch() == cut.epoch
                && meta.state() == SegmentState::Sealed
                && meta.stream.load(Ordering::Acquire) == 0
        };
        let Some(cut) = cuts.iter().find(whole) else { return };
        let used = cut.length.next_multiple_of(BLOCK_BYTES);
        self.segments[cut.segment as usize].set_state(SegmentState::Open);
        self.tail.lock().streams[FOREGROUND].segment = Some(OpenSegment {
            id: cut.segment,
            epoch: cut.epoch,
            used,
            footer: FooterBuilder::default(),
            of_reserve: false,
        });
    }

    /// The oldest orphan.
    pub fn first_orphan(&self) -> Option<Arc<Chunk>> {
        self.tail.lock().orphans.front().cloned()
    }

    /// All records of the oldest orphan are in fresh chunks.
    pub fn drop_orphan(&self) {
        let mut tail = self.tail.lock();
        if let Some(chunk) = tail.orphans.pop_front() {
            tail.buffered_bytes -= chunk.buffer.len();
        }
    }

    /// Appends a record of an orphan again, with its seq and its marks of a group. The log is still failed, so nobody else
    /// appends. No bound of buffers is asked: the bytes are in DRAM already, and leave it one chunk later.
    ///
    /// # Errors
    /// [`NoRoom::Segment`]: no fresh segment is ready.
    pub fn append_again(
        &self,
        stream: usize,
        now_us: impl Fn() -> u64,
        draft: &Draft<'_>,
        group: u8,
    ) -> Result<Appended, NoRoom> {
        debug_assert!(draft.moved.is_some(), "a record that is appended again keeps its seq");
        let mut tail = self.tail.lock();
        self.check_segments(&tail, stream, 0, std::slice::from_ref(draft))?;
        let appended = self.append_one(&mut tail, stream, &now_us, draft, group & (FLAG_FIRST | FLAG_LAST));
        if stream == FOREGROUND {
            tail.last_seq = appended.seq;
        }
        Ok(appended)
    }

    /// Every orphan is in a fresh chunk: writes go on.
    pub fn healed(&self) {
        {
            let tail = self.tail.lock();
            assert!(tail.orphans.is_empty(), "an orphan would be forgotten");
            assert_eq!(tail.last_seq, self.last_seq(), "the foreground ends where it ended");
        }
        self.heals.fetch_add(1, Ordering::AcqRel);
        *self.failure.write() = None;
        self.failed.store(false, Ordering::Release);
        self.ripe.store(true, Ordering::Release);
        self.durable.notify();
        self.room.notify();
    }
}

impl Chunk {
    /// Its segment, the offset in it, and its stream.
    pub fn home(&self) -> (u32, u32, usize) {
        (self.segment, self.offset, self.stream)
    }

    /// Its bytes, header and padding included.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.bytes as usize]
    }

    /// Its flush failed; its records live on in another chunk.
    pub fn is_orphaned(&self) -> bool {
        *self.state.lock() == ChunkState::Orphaned
    }
}
