//! A clean shutdown: flush all, hot-set list, checkpoint, map, clean mark.
//!
//! Promises: after it the directory opens without reading the log; if it is interrupted anywhere, recovery works as after a
//! crash. Never: marks a directory clean before everything else is durable.

use crate::SpaceId;
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::index::{Slot, State};
use crate::log::superblock::{self, Superblock};
use crate::stats::CloseReport;
use crate::tier::maps::Turn;
use crate::tier::sweep::yield_now;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::Operation;
use thermocline_memory::Handle;

/// Slots looked at in one hold of a latch.
const SLOTS_PER_HOLD: usize = 512;

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
        let _turn = Turn::take(self, |inner| &inner.switch.busy).await; // a switch that runs ends first
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
        if !self.log.mode.promised().logs() {
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

    /// Vouches for what was written while nothing was promised.
    pub(crate) async fn sync_segments(&self) -> Result<()> {
        for (id, file) in self.log.segments.iter().enumerate().filter_map(|(id, s)| s.file().map(|file| (id, file))) {
            let done = self.request(file, Operation::Sync).await;
            done.result.map_err(|e| Error::io(format!("syncing {}", crate::log::segment_name(id as u32)), &e))?;
        }
        Ok(())
    }

    /// What the log does not hold yet is appended now. Where nothing becomes dirty any more (the store is closed, or a log has
    /// been begun) it goes on until nothing dirty is left: an object may be moved to another cell while room is waited for, and is met again by its new handle.
    pub(crate) async fn flush_dirty(self: &Arc<Self>, report: &mut CloseReport) -> Result<()> {
        for number in 0..self.shards.len() {
            loop {
                let met = self.flush_shard(number, report).await?;
                if met == 0 || !self.closed.load(Ordering::Acquire) && !self.log.mode.logs() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// One walk through a shard, a few slots in one hold of its latch. Returns how many dirty objects it met.
    async fn flush_shard(self: &Arc<Self>, number: usize, report: &mut CloseReport) -> Result<usize> {
        let spaces: Vec<SpaceId> = self.shards[number].lock().spaces.iter().map(|space| space.id).collect();
        let (mut met, mut dirty) = (0, Vec::new());
        for id in spaces {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                {
                    let shard = self.shards[number].lock();
                    let Some(space) = shard.space(id) else { break };
                    cursor = space.index.scan(from, SLOTS_PER_HOLD, |_, slot, prefix, _| {
                        if slot.state() == State::Hot {
                            let object = shard.cell(Handle::from_bits(slot.place()));
                            if !object.place.is_some() || object.deltas {
                                dirty.push((prefix, slot));
                            }
                        }
                    });
                }
                met += dirty.len();
                for (prefix, slot) in dirty.drain(..) {
                    report.flushed += u64::from(self.flush_slot(number, id, prefix, slot).await?);
                }
                yield_now().await;
            }
        }
        Ok(met)
    }

    /// Appends one dirty object; false if it is not where it was.
    async fn flush_slot(self: &Arc<Self>, number: usize, space: SpaceId, prefix: u64, slot: Slot) -> Result<bool> {
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
            mode: u8::from(self.log.mode.promised().logs()),
            clean,
            next_space: spaces.next,
            spaces: spaces.of_database.clone(),
            cuts: Vec::new(), // the shutdown's map covers them
            ..newest.clone()
        };
        let [first, second] = block.file_names();
        put_copy(&*self.log.disk, first, &block)?;
        *newest = block;
        put_copy(&*self.log.disk, second, &newest)
    }
}

/// Writes both copies of the superblock durably, one after the other.
pub(crate) fn put_superblock(disk: &dyn thermocline_io::Disk, block: &Superblock) -> Result<()> {
    block.file_names().into_iter().try_for_each(|name| put_copy(disk, name, block))
}

/// Writes one copy of the superblock durably.
pub(crate) fn put_copy(disk: &dyn thermocline_io::Disk, name: &str, block: &Superblock) -> Result<()> {
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
