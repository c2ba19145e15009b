//! What recovery decides on is made durable first: an earlier life may have died before, or after a failed, sync of it.
//!
//! A file's bytes that are visible may be in the page cache alone, and after a failed sync even a sync that succeeds says nothing
//! about them (docs/decisions/0010). So they are written once more, in place, and synced.
//!
//! Promises: writes only the bytes that are there already, or over a copy that does not count, so a crash in the middle changes
//! nothing. Never: appends, or touches what does count.

use crate::error::{Error, Result};
use crate::planted::{self, Bug};
use crate::tier::rebuild::Builder;
use crate::tier::scan_log::SegmentScan;
use crate::tier::tail::Outcome;
use thermocline_io::Disk;

/// Writes what was read once more, durably: an earlier life may have died before, or after a failed, sync of it, and what is
/// decided now stands on it. Then it goes to the other copy, which may be damaged or of an older generation: the next one is
/// written over one of them.
pub(crate) fn harden_copies(disk: &dyn Disk, files: [&'static str; 2], newest: &str, bytes: &[u8]) -> Result<()> {
    if planted::is(Bug::NoRecoverySync) {
        return Ok(());
    }
    let other = if files[0] == newest { files[1] } else { files[0] };
    for name in [newest, other] {
        let again = |e: std::io::Error| Error::io(format!("writing {name} again"), &e);
        let file = match disk.open(name) {
            Ok(file) => file,
            Err(_) => disk.create(name, bytes.len() as u64).map_err(again)?,
        };
        if disk.length(file).map_err(again)? < bytes.len() as u64 {
            disk.truncate(file, bytes.len() as u64).map_err(again)?;
        }
        disk.write_at(file, 0, bytes).and_then(|()| disk.sync(file)).map_err(again)?;
    }
    Ok(())
}

/// Writes once more where they are, and syncs, the chunks that count and that nothing vouches for: the page cache shows what the
/// device may have lost after a failed sync, and one that succeeds only now would say nothing about it. These are the foreground's
/// behind the last watermark, and those of GC with a copy that a slot names. A segment with a footer needs none: it was written
/// when all its chunks were durable.
pub(crate) fn harden_chunks(builder: &Builder<'_>, scans: &[SegmentScan<'_>], outcome: &Outcome) -> Result<()> {
    if planted::is(Bug::NoRecoverySync) {
        return Ok(());
    }
    let disk = builder.disk;
    for (number, scan) in scans.iter().enumerate() {
        let mut written = false;
        for &(at, header) in &scan.chunks {
            let counts = match scan.stream {
                0 => outcome.unvouched.contains(&(number, at)),
                _ => {
                    let live = builder.segments[scan.segment as usize].live.lock();
                    at + header.used > scan.covered && live.any(at.max(scan.covered), at + header.used)
                }
            };
            if counts {
                let mut bytes = vec![0; header.bytes as usize];
                let Ok(read) = disk.read_at(scan.file, u64::from(at), &mut bytes) else { continue }; // damage, told elsewhere
                disk.write_at(scan.file, u64::from(at), &bytes[..read]).map_err(|e| again(scan.segment, &e))?;
                written = true;
            }
        }
        if written {
            disk.sync(scan.file).map_err(|e| again(scan.segment, &e))?;
        }
    }
    Ok(())
}

fn again(segment: u32, error: &std::io::Error) -> Error {
    Error::io(format!("writing the tail of {} again", crate::log::segment_name(segment)), error)
}
