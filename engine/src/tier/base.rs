//! The base of a recovery: every record that the map calls live and the checkpoint does not have.
//!
//! Promises: each segment's footer is read once (a few of them once more, to size the indexes). Never: reads a value.

use crate::SpaceId;
use crate::error::Result;
use crate::log::footer::ENTRY_BYTES;
use crate::log::map::MapSegment;
use crate::log::record::padded;
use crate::log::segment::Live;
use crate::tier::parallel::in_parallel;
use crate::tier::progress::RecoveryProgress;
use crate::tier::rebuild::Builder;
use crate::tier::scan_log::{Found, SegmentScan};
use crate::tier::window::Window;
use parking_lot::Mutex;
use std::sync::atomic::Ordering;

/// Segments whose footers are looked at to guess how many keys each space has.
const SAMPLED_SEGMENTS: usize = 4;

/// What the map calls live.
pub(crate) fn base(
    builder: &mut Builder<'_>,
    scans: &mut [SegmentScan<'_>],
    usable: &[bool],
    format: u32,
    progress: &RecoveryProgress,
) -> Result<()> {
    let is_usable = |scan: &SegmentScan<'_>| usable.get(scan.segment as usize).copied().unwrap_or(false);
    for scan in scans.iter().filter(|scan| is_usable(scan) && scan.any_covered_live()) {
        *builder.segments[scan.segment as usize].live.lock() = restored(scan.map, builder.segment_bytes);
    }
    let wanted: Vec<usize> =
        (0..scans.len()).filter(|&n| !is_usable(&scans[n]) && scans[n].any_covered_live()).collect();
    let disk = builder.disk;
    let total: u64 = wanted.iter().map(|&n| u64::from(live_records(scans[n].map))).sum();
    let mut window = Window::default();
    if usable.is_empty() && wanted.len() > SAMPLED_SEGMENTS {
        let mut shares: Vec<(SpaceId, u64)> = Vec::new();
        let mut sampled = 0;
        for &n in wanted.iter().step_by(wanted.len() / SAMPLED_SEGMENTS) {
            scans[n].covered_live(disk, &mut window, |entry| {
                sampled += 1;
                match shares.iter_mut().find(|s| s.0 == entry.space) {
                    Some(share) => share.1 += 1,
                    None => shares.push((entry.space, 1)),
                }
            })?;
        }
        shares.iter_mut().for_each(|share| share.1 = share.1 * 1000 / u64::max(sampled, 1));
        builder.presize(&shares, total)?;
    }
    progress.expect(wanted.len(), total * ENTRY_BYTES as u64);
    if format < 2 {
        // Maps of format 1 could call two versions of a key live: each is put in with its proof.
        for &n in &wanted {
            let segment = scans[n].segment;
            let mut entries = Vec::new();
            scans[n].covered_live(disk, &mut window, |entry| entries.push(*entry))?;
            progress.step(entries.len() as u64);
            for entry in entries {
                builder.replay(scans, &Found { segment, entry, fact: Vec::new(), losses: 0 })?;
            }
        }
        return builder.apply(scans);
    }
    drop(window);
    let wanted: Vec<Mutex<&mut SegmentScan<'_>>> = scans
        .iter_mut()
        .enumerate()
        .filter(|(n, _)| wanted.binary_search(n).is_ok())
        .map(|(_, scan)| Mutex::new(scan))
        .collect();
    let builder = &*builder;
    let state = || (builder.collected(), Window::default());
    let collected = in_parallel(builder.threads, wanted.len(), state, |(collected, window), number| {
        let mut scan = wanted[number].lock();
        let (id, map) = (scan.segment, scan.map);
        let segment = &builder.segments[id as usize];
        let mut live = segment.live.lock();
        // What is wholly covered is as the map says, if everything that it calls live is met; else record by record.
        let whole = map.covered >= builder.segment_bytes;
        let mut records = 0;
        scan.covered_live(disk, window, |entry| {
            records += 1;
            if !whole {
                live.name(entry.offset, padded(entry.bytes as usize) as u32, entry.expiry);
            }
            builder.collect(collected, id, entry);
        })?;
        if whole && scan.missing == 0 && records == u64::from(live_records(map)) {
            *live = restored(map, builder.segment_bytes);
        } else if whole {
            scan.covered_live(disk, window, |entry| {
                live.name(entry.offset, padded(entry.bytes as usize) as u32, entry.expiry);
            })?;
        }
        segment.stream.store(scan.stream, Ordering::Release);
        progress.step(records);
        Ok(())
    })?;
    builder.insert_all(collected.into_iter().map(|(slots, _)| slots).collect())
}

fn live_records(map: &MapSegment) -> u32 {
    map.bits.iter().map(|word| word.count_ones()).sum()
}

/// A segment's bits as the map has them.
fn restored(map: &MapSegment, segment_bytes: u32) -> Live {
    let mut live = Live::restore(map.grain_shift, segment_bytes);
    for (into, from) in live.bits.iter_mut().zip(&map.bits) {
        *into = *from;
    }
    live.records = live_records(map);
    live.bytes = map.live_bytes;
    live.earliest_expiry_ms = map.earliest_expiry_ms;
    live
}
