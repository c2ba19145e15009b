//! The look at all segments that a start begins with.
//!
//! Promises: if footers and first blocks leave a hole that was durable once, every block is read. Never: writes.

use crate::error::Result;
use crate::hash::Hasher;
use crate::log::map::{Map, MapSegment};
use crate::log::segment::{Live, Segment, SegmentState, raise};
use crate::log::superblock::{Cut, Superblock};
use crate::options::BLOCK_BYTES;
use crate::tier::parallel::in_parallel;
use crate::tier::progress::RecoveryProgress;
use crate::tier::scan_log::{Depth, SegmentScan};
use crate::tier::tail::Tail;
use crate::tier::window::Window;
use std::sync::atomic::Ordering;
use thermocline_io::Disk;

/// What a look at the segments needs.
pub(crate) struct Survey<'s> {
    pub(crate) disk: &'s dyn Disk,
    pub(crate) block: &'s Superblock,
    pub(crate) map: &'s Map,
    pub(crate) nothing: &'s MapSegment,
    pub(crate) segments: &'s [Segment],
    pub(crate) hasher: Hasher,
    pub(crate) threads: usize,
    pub(crate) progress: &'s RecoveryProgress,
}

pub(crate) type Looked<'s> = (Vec<SegmentScan<'s>>, Vec<Cut>, Tail);

impl<'s> Survey<'s> {
    /// What is in the segments, and what is still void of them. If the stream proves damage, every block is looked at.
    pub(crate) fn look(&self, depth: Depth) -> Result<Looked<'s>> {
        let looked = self.look_once(depth)?;
        if depth == Depth::Footers && looked.2.has_damage(&looked.0, self.map.last_seq, &looked.1) {
            tracing::warn!("the log has a hole that was durable once; every block is read");
            return self.look_once(Depth::Blocks);
        }
        Ok(looked)
    }

    fn look_once(&self, depth: Depth) -> Result<Looked<'s>> {
        let mut of_segment: Vec<&'s MapSegment> = vec![self.nothing; self.segments.len()];
        for entry in &self.map.segments {
            if let Some(of) = of_segment.get_mut(entry.segment as usize) {
                *of = entry;
            }
        }
        self.progress.enter("looking at segments");
        let each = match depth {
            Depth::Map => 0,
            Depth::Footers => BLOCK_BYTES,
            Depth::Blocks => self.block.segment_bytes,
        };
        let files = self.segments.iter().filter(|segment| segment.file().is_some()).count();
        self.progress.expect(files, files as u64 * u64::from(each));
        let (store, bytes, hasher) = (self.block.store, self.block.segment_bytes, self.hasher);
        let state = || (Vec::new(), Window::default());
        let looked = in_parallel(self.threads, self.segments.len(), state, |(scans, window), id| {
            let Some(file) = self.segments[id].file() else { return Ok(()) };
            let map = of_segment[id];
            let mut scan = SegmentScan::open(self.disk, store, id as u32, file, bytes, map, hasher, depth, window)?;
            scan.spaces_end = self.map.next_space;
            scans.push(scan);
            self.progress.step(0);
            Ok(())
        })?;
        let mut scans: Vec<SegmentScan<'s>> = looked.into_iter().flat_map(|(scans, _)| scans).collect();
        scans.sort_by_key(|scan| scan.segment);
        let holds = |cut: &Cut| {
            scans.iter().any(|s| {
                let there = s.epoch == cut.epoch && s.covered < bytes;
                s.segment == cut.segment && (there || s.skipped && cut.epoch > s.map.epoch)
            })
        };
        let cuts: Vec<Cut> = self.block.cuts.iter().filter(|cut| holds(cut)).copied().collect();
        let tail = if depth == Depth::Map { Tail::default() } else { Tail::of(&scans, self.block, self.map) };
        Ok((scans, cuts, tail))
    }

    /// Takes over what was seen.
    pub(crate) fn adopt(&self, scans: &[SegmentScan<'_>]) {
        for scan in scans {
            let segment = &self.segments[scan.segment as usize];
            segment.set_epoch(scan.epoch);
            segment.used.store(scan.used, Ordering::Release);
            segment.stream.store(scan.stream, Ordering::Release);
            if !scan.has_records() {
                continue;
            }
            segment.set_state(SegmentState::Sealed);
            raise(&segment.max_seq, if scan.has_beyond() { scan.max_seq } else { self.map.last_seq });
            let grain_shift = match scan.sealed {
                _ if scan.covered > 0 => scan.map.grain_shift,
                Some(sealed) => sealed.grain_shift,
                None => Live::GRAIN_SHIFT_OPEN,
            };
            *segment.live.lock() = Live::restore(grain_shift, self.block.segment_bytes);
        }
    }
}
