//! `thermocline compact`: a directory rewritten so that hardly anything in it is dead; expired keys and fields are left behind.
//!
//! ```text
//!   DIR  --every live key, in the order of SCAN-->  DIR.compact  --closed cleanly, changed places with DIR-->  old one removed
//!   DIR.compact.json: whose copy it is, how far it has come            (decision 0013 says why a copy)
//! ```
//! Promises: until the new directory is complete and durable the old one is what a server opens, and it is only read; an
//! interruption at any point, a kill included, leaves one of the two under the name, and the same command goes on where it was.
//! Memory is bounded by the two budgets and the indexes. Never: removes a file that is not ours, or a key that has not expired.

mod copy;
mod state;
mod switch;

use crate::directory::Directory;
use crate::store::Memory;
use crate::{print, size};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use state::{Phase, State};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `compact` takes.
#[derive(Args)]
pub struct CompactArgs {
    /// The data directory (`dir` of the server).
    directory: PathBuf,
    /// Share of live bytes, in percent, from which on nothing is done. Footers, padding, map and checkpoint count as not live, so
    /// small values never reach 90.
    #[arg(long, value_name = "PERCENT", default_value_t = 70, value_parser = clap::value_parser!(u8).range(1..=100))]
    live: u8,
    /// Write the new directory here and leave the old one alone (for one that cannot be renamed, as a mount point).
    #[arg(long, value_name = "DIRECTORY")]
    into: Option<PathBuf>,
    #[command(flatten)]
    memory: Memory,
    /// Copy at most so many bytes of keys and values per second.
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    pace: Option<u64>,
    /// Print the report as JSON to standard output.
    #[arg(long)]
    json: bool,
}

/// What a directory takes.
#[derive(Clone, Copy, Default, Serialize)]
struct Room {
    /// Segment files.
    segments: u64,
    /// Bytes of all our files.
    bytes: u64,
    /// Bytes of live records.
    live_bytes: u64,
    /// Their share.
    live_percent: f64,
    /// Keys, those that have expired and are still there included.
    keys: u64,
}

#[derive(Serialize)]
struct Report {
    directory: String,
    result: &'static str,
    resumed: bool,
    before: Room,
    after: Option<Room>,
    copied_keys: u64,
    dropped_keys: u64,
    seconds: f64,
    peak_memory_bytes: u64,
}

/// Where everything is.
struct Paths {
    /// The directory that is compacted.
    source: PathBuf,
    /// The new one, until it is complete.
    staging: PathBuf,
    /// How far it has come.
    state: PathBuf,
    /// The new one's name if it does not take the old one's.
    into: Option<PathBuf>,
}

impl Paths {
    fn of(args: &CompactArgs) -> Result<Paths> {
        let source = match args.directory.canonicalize() {
            Ok(source) => source,
            // Between two renames the name may be free for a moment: `switch` puts things right.
            Err(_) => args.directory.clone(),
        };
        let beside = |suffix: &str| {
            let mut name = args.into.as_ref().unwrap_or(&source).clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        if source.parent().is_none() {
            bail!("{} has no name that could be changed", source.display());
        }
        Ok(Paths { staging: beside(".compact"), state: beside(".compact.json"), into: args.into.clone(), source })
    }
}

/// Compacts and prints.
pub fn run(args: &CompactArgs) -> Result<ExitCode> {
    let report = compact(args)?;
    print::report(&report, args.json, |report| words(report, args))?;
    Ok(ExitCode::SUCCESS)
}

fn compact(args: &CompactArgs) -> Result<Report> {
    let paths = Paths::of(args)?;
    let mut state = State::read(&paths.state)?;
    if let Some(State { phase: Phase::Switching, .. }) = &state {
        // All was copied before: what is left is to change places.
        let state = state.take().context("it was just there")?;
        return finish(args, &paths, state, true);
    }
    let copied = copy::copy(args, &paths, state)?;
    match copied {
        copy::Copied::Enough(before) => Ok(Report {
            directory: args.directory.display().to_string(),
            result: "live enough: nothing done",
            resumed: false,
            before,
            after: None,
            copied_keys: 0,
            dropped_keys: 0,
            seconds: 0.0,
            peak_memory_bytes: print::peak_memory_bytes(),
        }),
        copy::Copied::Whole(state, resumed) => finish(args, &paths, state, resumed),
    }
}

fn finish(args: &CompactArgs, paths: &Paths, state: State, resumed: bool) -> Result<Report> {
    let path = switch::switch(paths, &state)?;
    let after = room(&path, state.after_live_bytes, state.after_keys)?;
    state::remove(&paths.state)?;
    Ok(Report {
        directory: args.directory.display().to_string(),
        result: "compacted",
        resumed,
        before: state.before.into(),
        after: Some(after),
        copied_keys: state.copied_keys,
        dropped_keys: state.before.keys.saturating_sub(state.after_keys),
        seconds: state.seconds,
        peak_memory_bytes: print::peak_memory_bytes(),
    })
}

impl From<state::Before> for Room {
    fn from(before: state::Before) -> Room {
        let live_percent = percent(before.live_bytes, before.bytes);
        let state::Before { segments, bytes, live_bytes, keys } = before;
        Room { segments, bytes, live_bytes, live_percent, keys }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// What the files of a directory take.
fn room(path: &Path, live_bytes: u64, keys: u64) -> Result<Room> {
    let (mut segments, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if Directory::is_ours(&name) {
            segments += u64::from(name.starts_with("segment-"));
            bytes += entry.metadata().map_or(0, |about| about.len());
        }
    }
    Ok(Room { segments, bytes, live_bytes, live_percent: percent(live_bytes, bytes), keys })
}

fn words(report: &Report, args: &CompactArgs) -> String {
    let row = |name: &str, room: &Room| {
        vec![
            name.to_owned(),
            room.keys.to_string(),
            room.segments.to_string(),
            print::bytes(room.bytes),
            print::bytes(room.live_bytes),
            format!("{:.1}", room.live_percent),
        ]
    };
    let mut rows = vec![row("before", &report.before)];
    rows.extend(report.after.as_ref().map(|after| row("after", after)));
    let mut out = print::table(&["", "keys", "segments", "bytes", "live bytes", "live %"], &rows);
    match report.after {
        None => out.push_str(&format!("\n{} % live or more: nothing done (--live sets the share)\n", args.live)),
        Some(_) => out.push_str(&format!(
            "\n{} copied, {} expired or replaced left behind, in {:.1} s{}\n",
            print::count(report.copied_keys, "key"),
            report.dropped_keys,
            report.seconds,
            if report.resumed { " (resumed)" } else { "" }
        )),
    }
    out
}
