//! Writing liveness maps: fix `B` and the lengths at once, read the bits while work goes on, wait for what killed the dead,
//! then write.
//!
//! Promises: a map is durable only after every foreground record and GC copy that it knows of; a victim is reused only under a
//! map younger than its scan. Never: stops the world.

use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::log::map::{FILES, Map, MapSegment};
use crate::planted::{self, Bug};
use crate::tier::sweep::yield_now;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::{Buffer, Operation};

/// Segments whose bits are read in one step.
const SEGMENTS_PER_STEP: usize = 8;

/// What is known of maps and of victims that wait for one.
#[derive(Default)]
pub(crate) struct MapState {
    /// Counts maps begun and scans ended, so that "younger than its scan" can be asked.
    pub(crate) tick: u64,
    /// Tick at which the last durable map was begun.
    pub(crate) durable_tick: u64,
    /// Victims emptied by GC: (segment, tick of the scan's end).
    pub(crate) victims: Vec<(u32, u64)>,
    /// Generation of the newest map.
    pub(crate) generation: u64,
}

/// The right to write a map; given back when dropped.
struct MapTurn(Arc<Inner>);

impl MapTurn {
    fn take(inner: &Arc<Inner>) -> Option<MapTurn> {
        (!inner.map_busy.swap(true, Ordering::AcqRel)).then(|| MapTurn(inner.clone()))
    }
}

impl Drop for MapTurn {
    fn drop(&mut self) {
        self.0.map_busy.store(false, Ordering::Release);
        self.0.map_written.notify();
    }
}

impl Inner {
    /// Writes a map. One at a time: a map begun earlier must not be written over one begun later. `last`: the shutdown's own,
    /// after which there is none.
    pub(crate) async fn write_map(self: &Arc<Self>, last: bool) -> Result<()> {
        let _turn = loop {
            let ticket = self.map_written.ticket();
            if let Some(turn) = MapTurn::take(self) {
                break turn;
            }
            self.map_written.changed(ticket).await;
        };
        if self.frozen.load(Ordering::Acquire) && !last {
            return Err(Error::Closed);
        }
        let tick = {
            let mut maps = self.maps.lock();
            maps.tick += 1;
            maps.tick
        };
        let heals = self.log.heals();
        let (b, last_seq, lengths) = self.log.fix();
        let mut segments = Vec::with_capacity(lengths.len());
        for (number, (segment, epoch, covered)) in lengths.into_iter().enumerate() {
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
                live_bytes: 0,
                earliest_expiry_ms: u64::MAX,
                bits: Vec::new(),
            };
            if meta.epoch() == epoch {
                entry.live_bytes = live.bytes;
                entry.earliest_expiry_ms = live.earliest_expiry_ms;
                let grains = (covered as usize).div_ceil(1 << live.grain_shift);
                entry.bits = live.bits.iter().take(grains.div_ceil(64)).copied().collect();
                if !grains.is_multiple_of(64)
                    && let Some(last) = entry.bits.last_mut()
                    && grains.div_ceil(64) == live.bits.len().min(grains.div_ceil(64))
                {
                    *last &= u64::MAX >> (64 - grains % 64);
                }
                while entry.bits.last() == Some(&0) {
                    entry.bits.pop();
                }
            }
            drop(live);
            segments.push(entry);
        }
        let (spaces, next_space) = {
            let spaces = self.spaces.read();
            (spaces.of_database.clone(), spaces.next)
        };
        let pending = self.pending.lock().clone();
        if planted::is(Bug::MapLengthsLate) {
            for (entry, late) in segments.iter_mut().zip(self.log.fix().2) {
                entry.covered = late.2;
            }
        }
        if !planted::is(Bug::MapWithoutCauses) {
            self.wait_for_causes().await?;
        }
        if self.log.heals() != heals {
            return Err(Error::Misconfigured { reason: "a flush failed while the map was read".into() });
        }
        let generation = self.maps.lock().generation + 1;
        let map = Map { generation, b, last_seq, next_space, spaces, pending, segments };
        let bytes = map.encode(self.log.store);
        self.log.counters.meta_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let name = FILES[(generation % 2) as usize];
        self.write_meta(name, &bytes).await?;
        let mut maps = self.maps.lock();
        maps.durable_tick = tick;
        maps.generation = generation;
        drop(maps);
        self.counters.maps.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until everything that may have killed a record so far is durable.
    pub(crate) async fn wait_for_causes(self: &Arc<Self>) -> Result<()> {
        let last = self.log.last_seq();
        self.pump(true);
        let copies = if planted::is(Bug::MapBeforeGcCopy) { Vec::new() } else { self.log.gc_pending() };
        loop {
            let ticket = self.log.durable.ticket();
            if self.log.watermark() >= last && copies.iter().all(|c| c.is_durable()) {
                return Ok(());
            }
            if let Some(reason) = self.log.failure() {
                return Err(Error::Misconfigured { reason });
            }
            if copies.iter().any(|c| c.is_orphaned()) {
                return Err(Error::Misconfigured { reason: "a flush of GC's copies failed".into() });
            }
            self.pump(true);
            self.log.durable.changed(ticket).await;
        }
    }

    /// Writes a whole small file durably.
    pub(crate) async fn write_meta(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let disk = &self.log.disk;
        let file = match disk.open(name) {
            Ok(file) => file,
            Err(_) => disk.create(name, bytes.len() as u64).map_err(|e| Error::io(format!("creating {name}"), &e))?,
        };
        let length = disk.length(file).map_err(|e| Error::io(format!("asking the length of {name}"), &e))?;
        if length < bytes.len() as u64 {
            disk.truncate(file, bytes.len() as u64).map_err(|e| Error::io(format!("growing {name}"), &e))?;
        }
        let mut buffer = Buffer::new(bytes.len());
        buffer.set_len(bytes.len());
        buffer.copy_from_slice(bytes);
        let operation = Operation::Write { offset: 0, buffer: Arc::new(buffer), bytes: 0..bytes.len(), durable: true };
        let completion = self.request(file, operation).await;
        completion.result.map_err(|e| Error::io(format!("writing {name}"), &e))?;
        Ok(())
    }
}
