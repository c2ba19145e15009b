//! Cures a log whose flush failed, without a restart: see [`crate::log`]'s heal for what happens to the chunks.
//!
//! While the log is failed growing writes are refused with words and reads go on. As soon as nothing is in flight the segments
//! are cut, a superblock makes the cuts durable (that write is also the probe whether the disk takes anything at all), and the
//! records behind the cuts are appended again, each with its slot in one hold of the latch, as GC moves them.
//!
//! Promises: tries again at growing intervals for as long as the disk refuses; nothing acknowledged is lost by waiting. Never:
//! acknowledges anything on a file whose flush failed.

use crate::arena::cell;
use crate::engine::Inner;
use crate::error::Result;
use crate::index::{Slot, SlotRef, State};
use crate::log::record::{Record, RecordKind, padded};
use crate::log::superblock::Cut;
use crate::log::walk::{Step, Walk};
use crate::log::{Appended, Draft, NoRoom};
use crate::options::{GC_RECORDS_PER_STEP, HEAL_RETRY_US_MAX, HEAL_RETRY_US_MIN};
use crate::place::Place;
use crate::shard::Shard;
use crate::tier::sweep::yield_now;
use crate::wait::next_period;
use std::sync::atomic::Ordering;
use thermocline_memory::Handle;

impl Inner {
    /// Waits until the log has failed and come to rest, then heals it; false when there is nothing to heal.
    pub(crate) async fn heal(&self) -> bool {
        if !self.log.has_come_to_rest() || self.closing.load(Ordering::Acquire) {
            return false;
        }
        let cuts = self.log.cut_failed();
        let mut wait_us = HEAL_RETRY_US_MIN;
        while let Err(error) = self.write_cuts(&cuts).await {
            tracing::warn!(%error, retry_ms = wait_us / 1_000, "the disk still refuses; writes stay refused");
            let due_us = self.clock.monotonic_us() + wait_us;
            while self.clock.monotonic_us() < due_us {
                if self.closing.load(Ordering::Acquire) {
                    return false;
                }
                next_period().await;
            }
            wait_us = (wait_us * 2).min(HEAL_RETRY_US_MAX);
        }
        let mut records = 0;
        while let Some(orphan) = self.log.first_orphan() {
            let (segment, offset, stream) = orphan.home();
            let mut address = self.log.address(segment, 0);
            address.offset = 0;
            let mut walk = Walk::new(address, Some(address.epoch), offset, offset + orphan.bytes().len() as u32);
            let mut handled = 0;
            loop {
                match walk.step(orphan.bytes(), offset) {
                    Step::Record { offset, record } => {
                        while self
                            .append_again(Place::new(segment, offset, self.log.segment_bytes), &record, stream)
                            .is_err()
                        {
                            // Segments are made ready by another task.
                            if self.closing.load(Ordering::Acquire) {
                                return false;
                            }
                            next_period().await;
                        }
                        handled += 1;
                    }
                    Step::End | Step::More { .. } => break,
                    Step::Chunk { .. } => {}
                    Step::BadRecord { .. } | Step::NoChunk { .. } => {
                        unreachable!("a chunk in DRAM holds what was appended to it")
                    }
                }
                if handled % GC_RECORDS_PER_STEP == GC_RECORDS_PER_STEP - 1 {
                    yield_now().await;
                }
            }
            records += handled;
            self.log.drop_orphan();
        }
        self.log.healed();
        self.counters.heals.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            segments = cuts.len(),
            records,
            "the log is healed: unflushed records went to fresh segments; writes go on"
        );
        true
    }

    /// The newest superblock again, with these cuts. They stay until their segment is reused. Its spaces are not today's: the
    /// record that changed them may lie behind a cut.
    async fn write_cuts(&self, new: &[Cut]) -> Result<()> {
        let mut block = self.superblock.lock().clone();
        block.generation += 1;
        block.next_seq = self.log.next_seq();
        block.durable_seq = 0; // this life's epochs lie below this generation: its records would count as void
        block.cuts.retain(|old| {
            let reused = self.log.segments[old.segment as usize].epoch() != old.epoch;
            !reused && new.iter().all(|cut| cut.segment != old.segment)
        });
        block.cuts.extend_from_slice(new);
        let (bytes, [first, second]) = (block.encode(), block.file_names());
        self.write_meta(first, &[&bytes]).await?;
        // Only now: a retry must go to the same copy, or the good one would be in danger.
        *self.superblock.lock() = block;
        self.write_meta(second, &[&bytes]).await
    }

    /// Appends one record again; if a slot or a header names its old place, that names the new one in the same hold.
    fn append_again(&self, place: Place, record: &Record<'_>, stream: usize) -> std::result::Result<(), NoRoom> {
        let key = self.key(record.space, record.key);
        let hash = self.hash_of(&key);
        let mut shard = self.shards[self.shard_of(hash)].lock();
        let draft = Draft {
            kind: record.kind,
            space: record.space,
            hash: match record.kind {
                RecordKind::Value(_) | RecordKind::Tombstone => key.hash,
                _ => crate::KeyHash(0),
            },
            expiry: record.expiry,
            key: record.key,
            payload: record.payload,
            moved: Some(record.seq),
        };
        let appended = self.log.append_again(stream, || self.clock.monotonic_us(), &draft, record.group)?;
        let RecordKind::Value(_) = record.kind else { return Ok(()) };
        match shard.naming(record.space, hash, place) {
            Some((at, slot)) => {
                shard.name_again(record.space, at, slot, &appended);
                self.log.unname(place, padded(record.bytes()) as u32);
            }
            // Dead already: an older state of the prefix, kept for a crash in the middle.
            None => self.log.unname(appended.place, appended.bytes),
        }
        Ok(())
    }
}

impl Shard {
    /// The slot that names `place`, itself or by the header of its hot object.
    pub(crate) fn naming(&self, space: crate::SpaceId, hash: u64, place: Place) -> Option<(SlotRef, Slot)> {
        let heap = &self.heap;
        self.space(space)?.index.find(hash, |_, slot| match slot.state() {
            State::Cold => slot.place() == place.bits(),
            State::Hot => cell::place(heap.bytes(Handle::from_bits(slot.place()))) == place,
            State::Empty => false,
        })
    }

    /// Lets a slot, or the header of its hot object, name another copy of the same version.
    pub(crate) fn name_again(&mut self, space: crate::SpaceId, at: SlotRef, slot: Slot, copy: &Appended) {
        let moved = match slot.state() {
            State::Hot => {
                let into = self.heap.bytes_mut(Handle::from_bits(slot.place()));
                let older = cell::place(into);
                cell::set_place(into, copy.place);
                if let Some(dirty) = self.deltas.remove(older) {
                    self.deltas.note(copy.place, dirty);
                }
                slot
            }
            _ => slot.with_place(copy.place.bits()),
        };
        self.set_slot(space, at, moved.with_class(copy.class));
    }
}
