//! `thermocline repair`: what can be read of a damaged directory, in a fresh one beside it.
//!
//! The engine recovers the directory as a server would (its writes stay in memory), and every key whose value checks out to its
//! last byte is copied. What does not is left out whole, and listed: by key where the key is known, else by the place of its
//! record.
//!
//! Promises: the damaged directory stays as it is; no value that is not exactly what was stored; the new directory appears under
//! its name only when it is complete. Never: guesses, or keeps a part of a value.

use crate::store::{Memory, ReadStore, Wanted, WriteStore, clear_empty, is_absent_or_empty};
use crate::transfer::filter::Filter;
use crate::transfer::{self, databases};
use crate::{owner, print, progress};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use thermocline::log::segment_name;
use thermocline_transfer::Counts;
use thermocline_transfer::from_store::{Counting, FromStore, Lost};
use thermocline_transfer::into_store::IntoStore;

/// What `repair` takes.
#[derive(Args)]
pub struct RepairArgs {
    /// The damaged data directory; it is only read.
    directory: PathBuf,
    /// The directory to make; it must not be there yet, or be empty.
    #[arg(long, value_name = "DIRECTORY")]
    into: PathBuf,
    #[command(flatten)]
    memory: Memory,
    /// Print the report as JSON to standard output.
    #[arg(long)]
    json: bool,
    /// List at most this many losses; all are counted.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
}

/// A key that is not in the new directory.
#[derive(Serialize)]
struct LostRow {
    /// Its database.
    db: u32,
    /// Its name, if it is known; bytes that are no text are escaped.
    key: Option<String>,
    /// File of its record, if the name is not known.
    file: Option<String>,
    /// Offset in it.
    offset: Option<u32>,
    /// Why.
    why: String,
}

#[derive(Serialize)]
struct Report {
    directory: String,
    into: String,
    #[serde(flatten)]
    kept: Counts,
    /// Keys that could not be read.
    lost: u64,
    /// Of them, those whose name is not known.
    lost_without_name: u64,
    /// Records that the start could not find: at most so many keys.
    lost_at_start: u64,
    /// The keys, up to the limit.
    losses: Vec<LostRow>,
    /// Bytes of a torn tail that the start cut: the last writes before a crash.
    truncated_bytes: u64,
    /// Segments with damage.
    damaged_segments: Vec<u32>,
    /// What the start said.
    notes: Vec<String>,
}

/// Repairs and prints. Exit code 1: something is lost.
pub fn run(args: &RepairArgs) -> Result<ExitCode> {
    let report = repair(args)?;
    print::report(&report, args.json, words)?;
    Ok(ExitCode::from(u8::from(report.lost + report.lost_at_start > 0)))
}

fn repair(args: &RepairArgs) -> Result<Report> {
    let into = args.into.display();
    if !is_absent_or_empty(&args.into)? {
        bail!("{into} is not empty: name a directory that is to be made");
    }
    let mut unfinished = args.into.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if !is_absent_or_empty(&unfinished)? {
        bail!("{} is what an interrupted repair left: remove it, and start again", unfinished.display());
    }
    let source = ReadStore::open(&args.directory, args.memory.memory)?;
    let wanted = Wanted {
        memory: args.memory.memory,
        max_disk: None,
        segment_bytes: Some(source.block.segment_bytes.into()),
        databases: source.engine.databases(),
    };
    let target = WriteStore::open(&unfinished, &wanted)?;
    let found = source.engine.recovery();
    let mut report = Report {
        directory: args.directory.display().to_string(),
        into: into.to_string(),
        kept: Counts::default(),
        lost: 0,
        lost_without_name: 0,
        lost_at_start: found.lost_records,
        losses: Vec::new(),
        truncated_bytes: found.truncated_bytes,
        damaged_segments: found.quarantined.clone(),
        notes: found.notes.clone(),
    };
    copy(&source, &target, args.limit, &mut report)?;
    target.close()?;
    if args.into.exists() {
        clear_empty(&args.into)?;
    }
    owner::take_over(&args.directory, &unfinished)?;
    std::fs::rename(&unfinished, &args.into).with_context(|| format!("renaming {} to {into}", unfinished.display()))?;
    Ok(report)
}

fn copy(source: &ReadStore, target: &WriteStore, limit: usize, report: &mut Report) -> Result<()> {
    let filter = Filter::default();
    let bar = progress::keys("repair", source.keys(&databases(&source.engine, &filter)?));
    let mut sink = IntoStore::new(&target.engine);
    let mut counting = Counting { sink: &mut sink, counts: Counts::default() };
    let mut salvage = |lost: Lost| {
        report.lost += 1;
        report.lost_without_name += u64::from(lost.key.is_none());
        if report.losses.len() < limit {
            report.losses.push(LostRow {
                db: lost.database,
                key: lost.key.map(|key| key.escape_ascii().to_string()),
                file: lost.place.map(|(segment, _)| segment_name(segment)),
                offset: lost.place.map(|(_, offset)| offset),
                why: lost.why,
            });
        }
    };
    let mut step = |_, _, looked| {
        bar.inc(looked);
        Ok(())
    };
    FromStore {
        engine: &source.engine,
        choice: &filter,
        salvage: Some(&mut salvage),
        leaves_out: None,
        step: &mut step,
    }
    .run((0, 0), &mut counting)?;
    bar.finish_and_clear();
    report.kept = counting.counts;
    Ok(())
}

fn words(report: &Report) -> String {
    let Report { kept, losses, .. } = report;
    let mut out = format!("{} are in {}\n", transfer::words(kept), report.into);
    if report.lost > 0 {
        out.push_str(&format!(
            "\nlost: {} ({} without a name)\n",
            print::count(report.lost, "key"),
            report.lost_without_name
        ));
        let row = |row: &LostRow| {
            let place = row.file.as_ref().zip(row.offset).map(|(file, offset)| format!("{file} at {offset}"));
            let key = row.key.clone().or(place).unwrap_or_default();
            vec![format!("db{}", row.db), key, row.why.clone()]
        };
        out.push_str(&print::table(
            &["database", "key, or place of its record", "why"],
            &losses.iter().map(row).collect::<Vec<_>>(),
        ));
        if report.lost as usize > losses.len() {
            out.push_str(&format!("  ... and {} more (--limit shows more)\n", report.lost as usize - losses.len()));
        }
    }
    if report.lost_at_start > 0 {
        out.push_str(&format!(
            "\nlost besides: at most {} that the start could not find\n",
            print::count(report.lost_at_start, "record")
        ));
    }
    if report.truncated_bytes > 0 {
        out.push_str(&format!(
            "\na torn tail of {} was cut: the last writes before a crash\n",
            print::bytes(report.truncated_bytes)
        ));
    }
    for note in &report.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    if report.lost + report.lost_at_start == 0 {
        out.push_str("nothing is lost\n");
    }
    out
}
