//! A clean shutdown: flush all, hot-set list, checkpoint, map, clean mark.
//!
//! Promises: after it the directory opens without reading the log; if it is interrupted anywhere, recovery works as after a
//! crash. Never: marks a directory clean before everything else is durable.

use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::index::{Slot, State};
use crate::log::superblock::{self, Superblock};
use crate::stats::CloseReport;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::Operation;
use thermocline_memory::Handle;

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
        if self.options.hot_list && self.warm.ended.load(Ordering::Acquire) {
            self.write_hot_list().await?;
        }
        report.keys = self.write_checkpoint(true).await?;
        self.write_map(true).await?;
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
            if self.is_disk_full() && tries > 1000 || self.gc_futile.load(Ordering::Acquire) {
                return Err(Error::OutOfMemory);
            }
            self.gc_wanted.store(true, Ordering::Release);
            self.pump(true);
            self.log.room.changed(ticket).await;
        }
    }

    /// Writes a superblock with the present facts. Blocking; only while opening and closing.
    pub(crate) fn write_superblock(&self, clean: bool) -> Result<()> {
        let mut newest = self.superblock.lock();
        let spaces = self.spaces.read();
        let block = Superblock {
            format: superblock::FORMAT,
            generation: newest.generation + 1,
            next_seq: self.log.next_seq(),
            durable_seq: self.log.last_seq(),
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
