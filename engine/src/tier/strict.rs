//! `tier-recovery strict`: every value that the map calls live is read before anything is served.
//!
//! Salvage finds a damaged value when somebody asks for it. Strict asks for all of them at the start, at the speed at which the
//! device reads the log from end to end.
//!
//! Promises: names file and offset of the first value that does not hold. Never: writes; minds damage to what is dead.

use crate::error::{Error, Result};
use crate::log::segment_name;
use crate::tier::parallel::in_parallel;
use crate::tier::progress::RecoveryProgress;
use crate::tier::scan_log::{Met, SegmentScan};
use thermocline_io::Disk;

/// The refusal.
pub(crate) fn refusal(segment: u32, offset: u64, reason: &str) -> Error {
    let name = segment_name(segment);
    Error::Format {
        words: format!(
            "{name} is damaged at offset {offset}: {reason} (tier-recovery strict); start with tier-recovery salvage to serve the rest"
        ),
    }
}

/// Reads what the map calls live.
pub(crate) fn check_live(
    disk: &dyn Disk,
    scans: &[SegmentScan<'_>],
    threads: usize,
    progress: &RecoveryProgress,
) -> Result<()> {
    let wanted: Vec<_> = scans.iter().filter(|scan| scan.any_covered_live()).collect();
    progress.enter("reading every live value");
    let bytes = wanted.iter().map(|scan| u64::from(scan.covered)).sum();
    progress.expect(wanted.len(), bytes);
    let check = |(): &mut (), number: usize| {
        let scan: &SegmentScan<'_> = wanted[number];
        if let Some(offset) = first_missing(disk, scan)? {
            return Err(refusal(scan.segment, u64::from(offset), "a live value does not hold"));
        }
        progress.step(0);
        Ok(())
    };
    in_parallel(threads, wanted.len(), || (), check).map(|_| ())
}

/// Where the first value lies that the map calls live and that is not there.
fn first_missing(disk: &dyn Disk, scan: &SegmentScan<'_>) -> Result<Option<u32>> {
    let map = scan.map;
    let mut missing = map.bits.clone();
    scan.walk(disk, 0, scan.covered, |met| {
        if let Met::Record(found) = met {
            let grain = (found.entry.offset >> map.grain_shift) as usize;
            if found.entry.kind.is_value() && map.live(found.entry.offset) {
                missing[grain / 64] &= !(1 << (grain % 64));
            }
        }
    })?;
    let word = missing.iter().position(|&word| word != 0);
    Ok(word.map(|at| (at as u32 * 64 + missing[at].trailing_zeros()) << map.grain_shift))
}
