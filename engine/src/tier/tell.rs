//! What a start says of damage: in notes for people, in the report's numbers for machines.
//!
//! Promises: with `tier-recovery strict` the first damage is a refusal that names file, offset and reason. Never: a loss that is not
//! told.

use crate::error::{Error, Result};
use crate::log::segment_name;
use crate::options::{Options, RecoveryMode};
use crate::planted::{self, Bug};
use crate::stats::RecoveryReport;
use crate::tier::scan_log::SegmentScan;
use crate::tier::tail::{Damage, Outcome};

/// Notes damage; `tier-recovery strict` starts only on a sound store.
fn tell(options: &Options, report: &mut RecoveryReport, words: String) -> Result<()> {
    if options.recovery == RecoveryMode::Strict {
        let cure = "start with tier-recovery salvage to serve the rest";
        return Err(Error::Format { words: format!("{words} (tier-recovery strict); {cure}") });
    }
    report.notes.push(words);
    Ok(())
}

/// Says what segments have lost beside the stream: blocks that the disk refuses, values that the map calls live and that are not
/// there.
pub(crate) fn tell_segments(scans: &[SegmentScan<'_>], options: &Options, report: &mut RecoveryReport) -> Result<()> {
    let scans = if planted::is(Bug::QuietDamage) { &[] } else { scans };
    for scan in scans {
        let name = segment_name(scan.segment);
        let before = report.notes.len();
        if let Some(unreadable) = scan.unreadable() {
            let words = format!("{name} cannot be read at offset {}: {}", unreadable.offset, unreadable.words);
            tell(options, report, words)?;
        }
        if let Some(offset) = scan.doubtful {
            tell(options, report, format!("{name} is damaged at offset {offset}, and a key may be lost with it"))?;
        }
        if scan.missing > 0 {
            report.lost_records += u64::from(scan.missing);
            let words = format!("{name} has no footer and is damaged: {} values in it are lost", scan.missing);
            tell(options, report, words)?;
        }
        if report.notes.len() > before {
            report.quarantined.push(scan.segment);
        }
    }
    report.quarantined.sort_unstable();
    report.quarantined.dedup();
    Ok(())
}

/// Says what the stream has lost.
pub(crate) fn tell_stream(outcome: &Outcome, options: &Options, report: &mut RecoveryReport) -> Result<()> {
    for damage in &outcome.damage {
        let (words, seqs) = match *damage {
            Damage::Bytes { segment, offset } => {
                let name = segment_name(segment);
                report.quarantined.push(segment);
                (format!("{name} is damaged at offset {offset}: what it held is quarantined"), 0)
            }
            Damage::Hole { seqs, segment, offset } => {
                let name = segment_name(segment);
                (
                    format!("the log lacks {seqs} records before {name}, offset {offset}: what they changed is lost"),
                    seqs,
                )
            }
            Damage::End { seqs } => {
                (format!("the log lacks {seqs} records at its end: what they changed is lost"), seqs)
            }
        };
        report.lost_records += seqs;
        tell(options, report, words)?;
    }
    Ok(())
}
