//! Writing checkpoints while work goes on: fix `B` and the lengths, copy index segment by index segment, write paced.
//!
//! A slot is read under its shard's latch, later than `B`, and may name something newer: recovery voids what lies beyond the
//! lengths, and of the rest believes only what a younger map calls live (log/checkpoint.rs). So nothing has to stand still: not
//! GC, not deletions, not the growth of the index, whose cursor is a hash prefix.
//!
//! Promises: a latch is held for one index segment (8 KiB) at a time; one piece is in memory; the newest whole checkpoint is never
//! written over. Never: goes on when the store closes, unless it is the shutdown's own.

use crate::arena::cell;
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::index::{Slot, State};
use crate::log::checkpoint::{BODY_OFFSET, CheckpointHeader, FILES, Frame, Length, Table};
use crate::options::{LOG_PER_CHECKPOINT_BYTE, LOG_PER_MAP_BYTE, META_PIECE_BYTES, PACED_BYTES_PER_SECOND};
use crate::planted::{self, Bug};
use crate::tier::maps::{Turn, Written};
use crate::tier::sweep::yield_now;
use crate::wait::next_period;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::FileId;
use thermocline_memory::Handle;

/// Room that a checkpoint's file gets beyond what the index takes now.
const GROWTH_PERCENT: u64 = 25;

/// What is due.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Due {
    Nothing,
    Map,
    Checkpoint,
}

/// The pace of background writing.
pub(crate) struct Pace<'i> {
    inner: &'i Inner,
    began_us: u64,
    bytes: u64,
    paced: bool,
}

impl<'i> Pace<'i> {
    pub(crate) fn new(inner: &'i Inner, paced: bool) -> Self {
        Pace { inner, began_us: inner.clock.monotonic_us(), bytes: 0, paced }
    }

    /// So much was written or read: waits until that is within the pace.
    pub(crate) async fn took(&mut self, bytes: u64) {
        self.bytes += bytes;
        yield_now().await;
        while self.paced && !self.inner.closing.load(Ordering::Acquire) {
            let us = self.inner.clock.monotonic_us().saturating_sub(self.began_us);
            if self.bytes * 1_000_000 <= (us + 1) * PACED_BYTES_PER_SECOND {
                return;
            }
            self.inner.pacing.store(true, Ordering::Release);
            next_period().await;
        }
    }
}

impl Drop for Pace<'_> {
    fn drop(&mut self) {
        self.inner.pacing.store(false, Ordering::Release);
    }
}

/// Collects whole index segments into frames and writes them.
struct Frames {
    file: FileId,
    offset: u64,
    piece: Vec<u8>,
    table: Table,
}

impl Inner {
    /// Is it time for a map or a checkpoint?
    pub(crate) fn due(&self) -> Due {
        // While a log is being begun there are values without a place.
        if !self.log.mode.promised().logs() || self.closing.load(Ordering::Acquire) || self.log.failure().is_some() {
            return Due::Nothing;
        }
        let log_bytes = self.log.counters.log_bytes.load(Ordering::Relaxed);
        let maps = self.maps.lock();
        let since = |written: &Written| log_bytes - written.log_bytes;
        // A test's store is so small that its own gaps are the only ones that matter.
        let gap = |written: &Written, per_byte: u64, least: u64| match self.options.tiny {
            true => least,
            false => (written.bytes * per_byte).max(least),
        };
        if since(&maps.checkpoint) >= gap(&maps.checkpoint, LOG_PER_CHECKPOINT_BYTE, self.options.checkpoint_gap_bytes)
        {
            Due::Checkpoint
        } else if since(&maps.map) >= gap(&maps.map, LOG_PER_MAP_BYTE, self.options.map_gap_bytes) {
            Due::Map
        } else {
            Due::Nothing
        }
    }

    /// Writes a checkpoint; it serves once a map follows. Returns its keys. `last`: the shutdown's own.
    pub(crate) async fn write_checkpoint(self: &Arc<Self>, last: bool) -> Result<u64> {
        let _turn = Turn::take(self, |inner| &inner.checkpoint_busy).await;
        if self.closing.load(Ordering::Acquire) && !last {
            return Err(Error::Closed);
        }
        let (generation, log_bytes) = {
            let mut maps = self.maps.lock();
            maps.checkpoint.log_bytes = self.log.counters.log_bytes.load(Ordering::Relaxed);
            (maps.checkpoint.generation + 1, maps.checkpoint.log_bytes)
        };
        let name = FILES[(generation % 2) as usize];
        let io = |what: &'static str| move |e: std::io::Error| Error::io(format!("{what} {name}"), &e);
        let index = self.index_bytes();
        let file = self.meta_file(name, BODY_OFFSET)?;
        let length = self.log.disk.length(file).map_err(io("asking the length of"))?;
        if length < BODY_OFFSET + index {
            // One step, not one per piece: each costs a journal commit.
            self.meta_file(name, (BODY_OFFSET + index * (100 + GROWTH_PERCENT) / 100).next_multiple_of(4096))?;
        }
        self.write_piece(file, 0, &[0; BODY_OFFSET as usize]).await.map_err(io("voiding the old header of"))?;
        self.sync_meta(file).await.map_err(io("syncing"))?;
        let heals = self.log.heals();
        let (b, _, lengths) = self.log.fix();
        let mut frames =
            Frames { file, offset: BODY_OFFSET, piece: Vec::with_capacity(META_PIECE_BYTES), table: Table::default() };
        let keys = self.write_frames(&mut frames, last).await.map_err(|e| match e {
            None => Error::Closed,
            Some(e) => Error::io(format!("writing {name}"), &e),
        })?;
        let map_generation = {
            let maps = self.maps.lock();
            maps.map.generation + 1 + u64::from(maps.map_is_written)
        };
        let lengths = if planted::is(Bug::CheckpointLengthsLate) { self.log.fix().2 } else { lengths };
        frames.table.lengths =
            lengths.into_iter().map(|(segment, epoch, covered)| Length { segment, epoch, covered }).collect();
        let table = frames.table.encode();
        self.grow(file, frames.offset + table.len() as u64).map_err(io("growing"))?;
        if !table.is_empty() {
            // A store into which nothing was ever written has neither frames nor lengths.
            self.write_piece(file, frames.offset, &table).await.map_err(io("writing"))?;
        }
        self.sync_meta(file).await.map_err(io("syncing"))?;
        self.wait_for_causes().await?;
        if self.log.heals() != heals {
            return Err(Error::Misconfigured { reason: "a flush failed while the checkpoint was read".into() });
        }
        let header = CheckpointHeader {
            store: self.log.store,
            table_crc: crc32fast::hash(&table),
            generation,
            map_generation,
            b,
            table_offset: frames.offset,
            table_bytes: table.len() as u32,
            frames: frames.table.frames.len() as u32,
            segments: frames.table.lengths.len() as u32,
            base_bits: self.base_bits as u8,
        };
        self.write_piece(file, 0, &header.encode()).await.map_err(io("writing"))?;
        self.sync_meta(file).await.map_err(io("syncing"))?;
        let bytes = frames.offset + table.len() as u64;
        self.maps.lock().checkpoint = Written { generation, b, bytes, log_bytes };
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        Ok(keys)
    }

    /// All slots, as cold ones. `None` as an error: the store closes.
    async fn write_frames(
        self: &Arc<Self>,
        frames: &mut Frames,
        last: bool,
    ) -> std::result::Result<u64, Option<std::io::Error>> {
        let (mut keys, mut words) = (0, Vec::new());
        let mut pace = Pace::new(self, !last);
        for number in 0..self.shards.len() {
            let spaces = self.shards[number].lock().spaces.iter().map(|s| s.id).collect::<Vec<_>>();
            for id in spaces {
                let mut cursor = Some(0);
                while let Some(at) = cursor {
                    words.clear();
                    {
                        let shard = self.shards[number].lock();
                        let Some(space) = shard.space(id) else { break };
                        cursor = space.index.export_segment(at, &mut words, |slot| {
                            let cold = as_cold(slot, |handle| cell::place(shard.heap.bytes(handle)));
                            assert!(cold.is_some() || !last, "the shutdown appended every dirty object");
                            keys += u64::from(cold.is_some());
                            cold
                        });
                    }
                    if words.is_empty() {
                        continue;
                    }
                    if frames.piece.len() + 16 + words.len() * 8 > META_PIECE_BYTES && !frames.piece.is_empty() {
                        pace.took(self.write_frame(frames).await?).await;
                    }
                    if self.closing.load(Ordering::Acquire) && !last {
                        return Err(None);
                    }
                    frames.piece.extend_from_slice(&u64::from(id.0).to_le_bytes());
                    frames.piece.extend_from_slice(&(words.len() as u64).to_le_bytes());
                    words.iter().for_each(|word| frames.piece.extend_from_slice(&word.to_le_bytes()));
                }
            }
        }
        if !frames.piece.is_empty() {
            self.write_frame(frames).await?;
        }
        Ok(keys)
    }

    async fn write_frame(&self, frames: &mut Frames) -> std::io::Result<u64> {
        let bytes = frames.piece.len();
        self.grow(frames.file, frames.offset + bytes as u64)?;
        self.write_piece(frames.file, frames.offset, &frames.piece).await?;
        let crc = crc32fast::hash(&frames.piece);
        frames.table.frames.push(Frame { offset: frames.offset, bytes: bytes as u32, crc });
        let padded = bytes.next_multiple_of(4096) as u64;
        frames.offset += padded;
        frames.piece.clear();
        Ok(padded)
    }

    /// Makes a file longer in large steps, if it must be.
    fn grow(&self, file: FileId, bytes: u64) -> std::io::Result<()> {
        let length = self.log.disk.length(file)?;
        if length < bytes.next_multiple_of(4096) {
            self.log.disk.truncate(file, (bytes + length / 4).next_multiple_of(4096))?;
        }
        Ok(())
    }
}

/// A slot as a checkpoint stores it: what is hot names its place on the SSD; what has none is not in the log and left out.
fn as_cold(slot: Slot, place_of: impl Fn(Handle) -> crate::place::Place) -> Option<Slot> {
    if slot.state() != State::Hot {
        return Some(slot);
    }
    let place = place_of(Handle::from_bits(slot.place()));
    place.is_some().then(|| slot.with_state(State::Cold).with_place(place.bits()).with_heat(0))
}
