//! A clean shutdown: flush all, demote all, map, checkpoint, clean mark.
//!
//! Promises: after it the directory opens without reading the log; if it is interrupted anywhere, recovery works as after a
//! crash. Never: marks a directory clean before everything else is durable.

use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::index::{Slot, SlotRef, State};
use crate::log::checkpoint::{BODY_OFFSET, CheckpointHeader, FILES};
use crate::log::superblock::Superblock;
use crate::stats::CloseReport;
use crate::tier::sweep::yield_now;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::{Buffer, FileId, Operation};
use thermocline_memory::Handle;

/// Bytes written at once.
const PIECE_BYTES: usize = 1 << 20;

impl Inner {
    pub(crate) async fn shut(self: &Arc<Self>) -> Result<CloseReport> {
        if self.closing.swap(true, Ordering::AcqRel) {
            return Err(Error::Closed);
        }
        let result = self.shut_down().await;
        self.finished.store(true, Ordering::Release);
        for lane in 0..self.lanes.len() {
            self.lanes.nudge(lane);
        }
        result
    }

    async fn shut_down(self: &Arc<Self>) -> Result<CloseReport> {
        let began_us = self.clock.monotonic_us();
        let mut report = CloseReport::default();
        self.flush_dirty(&mut report).await?;
        self.closed.store(true, Ordering::Release);
        for shard in &self.shards {
            drop(shard.lock()); // whoever did not see `closed` has committed
        }
        self.flush_dirty(&mut report).await?; // what changed while the first round waited
        // From here on nothing is appended, by GC neither: slots, live bits and log stay as the map will say.
        self.frozen.store(true, Ordering::Release);
        self.log.drain();
        self.wait_for_causes().await?;
        if !self.options.durability.logs() {
            self.sync_segments().await?;
        }
        self.demote_all();
        self.write_map(true).await?;
        report.keys = self.write_checkpoint().await?;
        self.write_superblock(true)?;
        report.us = self.clock.monotonic_us().saturating_sub(began_us);
        Ok(report)
    }

    /// `appendonly no`: chunks were written, but nobody vouched for them.
    async fn sync_segments(&self) -> Result<()> {
        for (id, file) in self.log.segments.iter().enumerate().filter_map(|(id, s)| s.file().map(|file| (id, file))) {
            let done = self.request(file, Operation::Sync).await;
            done.result.map_err(|e| Error::io(format!("syncing {}", crate::log::segment_name(id as u32)), &e))?;
        }
        Ok(())
    }

    /// `appendonly no`: what the log does not hold yet is appended now. Once the store is closed it goes on until nothing dirty
    /// is left: an object may be moved to another cell while room is waited for, and is met again by its new handle.
    async fn flush_dirty(self: &Arc<Self>, report: &mut CloseReport) -> Result<()> {
        for number in 0..self.shards.len() {
            loop {
                let dirty = self.dirty_slots(number);
                for &(space, prefix, slot) in &dirty {
                    report.flushed += u64::from(self.flush_slot(number, space, prefix, slot).await?);
                }
                if dirty.is_empty() || !self.closed.load(Ordering::Acquire) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn dirty_slots(&self, number: usize) -> Vec<(crate::SpaceId, u64, Slot)> {
        let mut slots = Vec::new();
        let shard = self.shards[number].lock();
        for space in &shard.spaces {
            space.index.for_each(|_, slot, prefix, _| {
                if slot.state() == State::Hot && !shard.cell(Handle::from_bits(slot.place())).place.is_some() {
                    slots.push((space.id, prefix, slot));
                }
            });
        }
        slots
    }

    /// Appends one dirty object; false if it is not where it was.
    async fn flush_slot(
        self: &Arc<Self>,
        number: usize,
        space: crate::SpaceId,
        prefix: u64,
        slot: Slot,
    ) -> Result<bool> {
        let mut tries = 0;
        loop {
            let ticket = self.log.room.ticket();
            {
                let mut shard = self.shards[number].lock();
                let Some((at, slot)) = shard.refind(space, prefix, slot) else { return Ok(false) };
                if self.clean(&mut shard, Handle::from_bits(slot.place()), at, space) {
                    return Ok(true);
                }
            }
            tries += 1;
            if let Some(reason) = self.log.failure().or_else(|| self.starved.read().clone()) {
                return Err(Error::Misconfigured { reason });
            }
            if self.is_disk_full() && tries > 1000 {
                return Err(Error::OutOfMemory);
            }
            self.gc_wanted.store(true, Ordering::Release);
            self.pump(true);
            self.log.room.changed(ticket).await;
        }
    }

    /// Every hot slot names its place again. The cells are left alone: the store is closed.
    fn demote_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let shard = &mut *shard;
            for space in &mut shard.spaces {
                let mut hot: Vec<(SlotRef, Slot)> = Vec::new();
                space.index.for_each(|at, slot, _, _| {
                    if slot.state() == State::Hot {
                        hot.push((at, slot));
                    }
                });
                for (at, slot) in hot {
                    let place = crate::arena::cell::place(shard.heap.bytes(Handle::from_bits(slot.place())));
                    assert!(place.is_some(), "a checkpoint must not name a cell: every dirty object was appended");
                    space.index.set(at, slot.with_state(State::Cold).with_place(place.bits()).with_heat(0));
                }
            }
        }
    }

    /// Writes the index. Returns its keys.
    async fn write_checkpoint(&self) -> Result<u64> {
        let generation = self.maps.lock().generation;
        let (b, _, _) = self.log.fix();
        let name = FILES[(generation % 2) as usize];
        let disk = &self.log.disk;
        let io = |what: &str| {
            let what = format!("{what} {name}");
            move |e: std::io::Error| Error::io(what, &e)
        };
        let file = match disk.open(name) {
            Ok(file) => file,
            Err(_) => disk.create(name, BODY_OFFSET).map_err(io("creating"))?,
        };
        disk.write_at(file, 0, &vec![0; BODY_OFFSET as usize]).map_err(io("voiding the old header of"))?;
        disk.sync(file).map_err(io("syncing"))?;
        let mut crc = crc32fast::Hasher::new();
        let (mut piece, mut offset, mut body_bytes, mut keys) = (Vec::new(), BODY_OFFSET, 0u64, 0u64);
        for number in 0..self.shards.len() {
            let spaces = self.shards[number].lock().spaces.iter().map(|s| s.id).collect::<Vec<_>>();
            for id in spaces {
                let mut cursor = Some(0);
                while let Some(at) = cursor {
                    let mut words = Vec::new();
                    {
                        let shard = self.shards[number].lock();
                        let Some(space) = shard.space(id) else { break };
                        if at == 0 {
                            keys += space.index.len();
                        }
                        cursor = space.index.export_segment(at, &mut words);
                    }
                    if words.is_empty() {
                        continue;
                    }
                    piece.extend_from_slice(&u64::from(id.0).to_le_bytes());
                    piece.extend_from_slice(&(words.len() as u64).to_le_bytes());
                    for word in words {
                        piece.extend_from_slice(&word.to_le_bytes());
                    }
                    while piece.len() >= PIECE_BYTES {
                        let rest = piece.split_off(PIECE_BYTES);
                        crc.update(&piece);
                        body_bytes += piece.len() as u64;
                        self.write_piece(file, offset, &piece).await.map_err(io("writing"))?;
                        offset += PIECE_BYTES as u64;
                        piece = rest;
                    }
                }
                yield_now().await;
            }
        }
        crc.update(&piece);
        body_bytes += piece.len() as u64;
        if !piece.is_empty() {
            self.write_piece(file, offset, &piece).await.map_err(io("writing"))?;
        }
        disk.sync(file).map_err(io("syncing"))?;
        let header = CheckpointHeader {
            store: self.log.store,
            body_crc: crc.finalize(),
            generation,
            b,
            body_bytes,
            shard_bits: self.shard_bits as u8,
            base_bits: self.base_bits as u8,
        };
        disk.write_at(file, 0, &header.encode()).map_err(io("writing"))?;
        disk.sync(file).map_err(io("syncing"))?;
        self.log.counters.meta_bytes.fetch_add(body_bytes + BODY_OFFSET, Ordering::Relaxed);
        Ok(keys)
    }

    async fn write_piece(&self, file: FileId, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let padded = bytes.len().next_multiple_of(4096);
        if self.log.disk.length(file)? < offset + padded as u64 {
            self.log.disk.truncate(file, offset + padded as u64)?;
        }
        let mut buffer = Buffer::new(padded);
        buffer.set_len(padded);
        buffer[..bytes.len()].copy_from_slice(bytes);
        buffer[bytes.len()..].fill(0);
        let operation = Operation::Write { offset, buffer: Arc::new(buffer), bytes: 0..padded, durable: false };
        self.request(file, operation).await.result.map(|_| ())
    }

    /// Writes a superblock with the present facts. Blocking; only while opening and closing.
    pub(crate) fn write_superblock(&self, clean: bool) -> Result<()> {
        let mut newest = self.superblock.lock();
        let spaces = self.spaces.read();
        let block = Superblock {
            generation: newest.generation + 1,
            next_seq: self.log.next_seq(),
            mode: u8::from(self.options.durability.logs()),
            clean,
            next_space: spaces.next,
            spaces: spaces.of_database.clone(),
            cuts: Vec::new(), // the shutdown's map covers them
            ..newest.clone()
        };
        put_superblock(&*self.log.disk, &block)?;
        *newest = block;
        Ok(())
    }
}

/// Writes one copy of the superblock, in turn, durably.
pub(crate) fn put_superblock(disk: &dyn thermocline_io::Disk, block: &Superblock) -> Result<()> {
    let name = block.file_name();
    let bytes = block.encode();
    let io = |what: &str| {
        let what = format!("{what} {name}");
        move |e: std::io::Error| Error::io(what, &e)
    };
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(_) => disk.create(name, bytes.len() as u64).map_err(io("creating"))?,
    };
    disk.write_at(file, 0, &bytes).map_err(io("writing"))?;
    disk.sync(file).map_err(io("syncing"))
}
