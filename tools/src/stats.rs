//! `thermocline stats`: the numbers that a server would tell of this directory right after its start.
//!
//! The engine opens the store with its writes kept in memory, so the numbers are those of recovery itself.
//!
//! Promises: the directory stays as it is. Never: a number computed a second way.

use crate::print;
use crate::store::{Memory, ReadStore};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `stats` takes.
#[derive(Args)]
pub struct StatsArgs {
    /// The data directory (`dir` of the server).
    directory: PathBuf,
    #[command(flatten)]
    memory: Memory,
    /// Print JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Database {
    db: u32,
    keys: u64,
    expiring: u64,
}

#[derive(Serialize)]
struct Recovery {
    clean_shutdown: bool,
    checkpoint_used: bool,
    seconds: f64,
    records_replayed: u64,
    truncated_bytes: u64,
    lost_records: u64,
    damaged_segments: Vec<u32>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    directory: String,
    segment_bytes: u32,
    databases: Vec<Database>,
    recovery: Recovery,
    /// The engine's own numbers, by the names of `INFO tier`.
    engine: BTreeMap<&'static str, u64>,
}

/// Names of the engine's numbers that say something about a store nobody uses.
const NAMES: &[&str] = &[
    "keys",
    "index_bytes",
    "disk_used",
    "disk_live",
    "segments",
    "segments_free",
    "segments_quarantined",
    "map_bytes",
    "map_seq",
    "checkpoint_bytes",
    "checkpoint_seq",
    "delta_nodes",
    "last_seq",
];

/// Gathers and prints.
pub fn run(args: &StatsArgs) -> Result<ExitCode> {
    let store = ReadStore::open(&args.directory, args.memory.memory)?;
    let engine = &store.engine;
    let found = engine.recovery();
    let databases = (0..engine.databases()).map(|db| {
        let space = engine.space(db);
        Database { db, keys: engine.length(space), expiring: engine.expiring(space) }
    });
    let report = Report {
        directory: args.directory.display().to_string(),
        segment_bytes: store.block.segment_bytes,
        databases: databases.filter(|database| database.keys > 0).collect(),
        recovery: Recovery {
            clean_shutdown: store.block.clean,
            checkpoint_used: found.checkpoint,
            seconds: found.us as f64 / 1e6,
            records_replayed: found.replayed,
            truncated_bytes: found.truncated_bytes,
            lost_records: found.lost_records,
            damaged_segments: found.quarantined.clone(),
            notes: found.notes.clone(),
        },
        engine: engine.stats().fields().into_iter().filter(|(name, _)| NAMES.contains(name)).collect(),
    };
    print::report(&report, args.json, words)?;
    Ok(ExitCode::SUCCESS)
}

fn words(report: &Report) -> String {
    let Recovery { clean_shutdown, checkpoint_used, seconds, records_replayed, truncated_bytes, lost_records, .. } =
        &report.recovery;
    let mut out = format!(
        "{}: opened in {seconds:.3} s, {}, {}\n\n",
        report.directory,
        if *clean_shutdown { "shut down cleanly" } else { "not shut down cleanly" },
        if *checkpoint_used { "from a checkpoint" } else { "without a checkpoint" },
    );
    let database = |d: &Database| vec![format!("db{}", d.db), d.keys.to_string(), d.expiring.to_string()];
    let rows: Vec<Vec<String>> = report.databases.iter().map(database).collect();
    out.push_str(&print::table(&["database", "keys", "expiring"], &rows));
    out.push('\n');
    let shown = |name: &str, value: u64| match name.ends_with("_bytes") || name.starts_with("disk_") {
        true => print::bytes(value),
        false => value.to_string(),
    };
    let mut rows: Vec<Vec<String>> =
        report.engine.iter().map(|(name, value)| vec![(*name).to_owned(), shown(name, *value)]).collect();
    for (name, value) in [
        ("records replayed", *records_replayed),
        ("truncated_bytes", *truncated_bytes),
        ("records lost", *lost_records),
    ] {
        rows.push(vec![name.replace('_', " "), shown(name, value)]);
    }
    out.push_str(&print::table(&["what", "value"], &rows));
    for note in &report.recovery.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}
