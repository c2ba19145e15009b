//! `thermocline verify`: every checksum, every footer, every map, every checkpoint, and what they say of each other.
//!
//! ```text
//!  copies   superblocks, maps, checkpoints
//!  fast     one segment's ends: what `--fast` looks at
//!  segment  one segment: chunks, records, footer, live bits
//!  stream   the foreground's order beyond the map, over all segments
//! ```
//! Promises: each damage is named with file and offset; what a crash leaves behind is not called damage. Never: holds more than
//! one segment, the newest map and a bounded list in memory.

mod copies;
mod fast;
mod records;
mod report;
mod segment;
mod stream;

use crate::directory::Directory;
use crate::{Target, print, progress};
use anyhow::Result;
use clap::Args;
use report::{Damage, Report};
use std::process::ExitCode;
use thermocline::log::{checkpoint, segment_name};

/// What `verify` takes.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    target: Target,
    /// Check superblocks, maps, checkpoints, footers and what they say of each other, without reading the records.
    #[arg(long)]
    fast: bool,
}

/// Verifies and prints. Exit code 1: damage.
pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let target = &args.target;
    let report = verify(target, args.fast)?;
    if target.json {
        print::json(&report)?
    } else {
        print::text(&report.words())?
    }
    Ok(ExitCode::from(u8::from(report.damages_total > 0)))
}

fn verify(target: &Target, fast: bool) -> Result<Report> {
    let directory = Directory::open(&target.directory)?;
    let mut report = Report::new(directory.path.display().to_string(), target.limit);
    for name in &directory.foreign {
        report.note(format!("'{name}' is not ours; it is left alone"));
    }
    copies::superblocks_and_maps(&directory, &mut report);
    let Some(block) = directory.superblock() else {
        report.note("without a superblock nothing else can be checked".into());
        return Ok(report);
    };
    report.clean_shutdown = block.clean;
    if block.mode == 0 && !block.clean {
        report.note(
            "`appendonly no` and the last shutdown was not clean: the store starts empty, its segments hold nothing"
                .into(),
        );
        return Ok(report);
    }
    let small = checkpoint::FILES.iter().filter_map(|name| std::fs::metadata(directory.path.join(name)).ok());
    let bytes =
        directory.segments.iter().map(|(_, bytes)| bytes).sum::<u64>() + small.map(|file| file.len()).sum::<u64>();
    let bar = progress::bar("verify", bytes);
    copies::checkpoints(&directory, &bar, &mut report);
    for map in directory.map.iter().flat_map(|map| &map.segments).filter(|map| !map.none_live()) {
        if directory.segments.binary_search_by_key(&map.segment, |s| s.0).is_err() {
            let what = format!("it is missing; the map calls {} bytes in it live", map.live_bytes);
            report.damage(Damage { file: segment_name(map.segment), offset: 0, what, loses_data: true });
        }
    }
    let mut runs = Vec::new();
    for &(id, bytes) in &directory.segments {
        match fast {
            true => fast::check(&directory, block, id, &mut report),
            false => {
                runs.extend(segment::check(&directory, block, id, &mut report));
                report.checked.bytes += bytes;
            }
        }
        report.checked.segments += 1;
        bar.inc(bytes);
    }
    if fast {
        report.note("the fast check: records were counted in the footers and not read".into());
        bar.finish_and_clear();
        return Ok(report);
    }
    stream::judge(runs, directory.map.as_ref().map_or(0, |map| map.last_seq), &mut report);
    bar.finish_and_clear();
    Ok(report)
}
