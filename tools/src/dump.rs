//! `thermocline dump`: the keys of a directory as an RDB file or as lines of JSON.
//!
//! The store is opened by the engine itself, with its writes kept in memory: what is dumped is what a server would serve.
//!
//! Promises: the file appears under its name only when it is whole; a store with damage is refused in words. Never: changes the
//! directory, or leaves out a key without saying so.

use crate::store::{Memory, ReadStore};
use crate::transfer::databases;
use crate::transfer::filter::Filter;
use crate::transfer::json_lines::IntoJsonLines;
use crate::{print, progress};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thermocline_rdb::Version;
use thermocline_transfer::from_store::{Counting, FromStore};
use thermocline_transfer::rdb::{IntoRdb, NeedsVersion};
use thermocline_transfer::{Counts, Sink};

/// How a file is laid out.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Redis's file format: loads in a Redis.
    Rdb,
    /// Lines of JSON: one key per line.
    Jsonl,
}

impl Format {
    /// What a file's name says.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "rdb" => Some(Format::Rdb),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            _ => None,
        }
    }
}

/// What `dump` takes.
#[derive(Args)]
pub struct DumpArgs {
    /// The data directory (`dir` of the server).
    directory: PathBuf,
    /// The file to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Layout of the file; told from its name if that ends with .rdb or .jsonl.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// RDB version: 10 (Redis 7.0), 11 (7.2) or 12 (7.4). 11 if nothing is said, or 12 if a hash has fields that expire.
    #[arg(long, value_name = "NUMBER")]
    rdb_version: Option<u8>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    memory: Memory,
    /// Print the counts as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    directory: String,
    output: String,
    format: &'static str,
    #[serde(flatten)]
    counts: Counts,
    file_bytes: u64,
    seconds: f64,
}

/// Dumps and prints.
pub fn run(args: &DumpArgs) -> Result<ExitCode> {
    let to_stdout = args.output == Path::new("-");
    let format = match args.format.or_else(|| Format::of(&args.output)) {
        Some(format) => format,
        None => bail!("the name of {} does not say its layout: give --format rdb or jsonl", args.output.display()),
    };
    let version = match args.rdb_version {
        None => None,
        Some(number) => Some(
            Version::from_number(number)
                .with_context(|| format!("RDB version {number} cannot be written: 10, 11 and 12 can"))?,
        ),
    };
    if to_stdout && args.json {
        bail!("standard output takes the dump or, with --json, the counts: write the dump to a file");
    }
    let store = ReadStore::open(&args.directory, args.memory.memory)?;
    if let Some(damage) = store.damage() {
        bail!("{}: {damage}; `thermocline repair` saves what can be", args.directory.display());
    }
    let began_us = store.engine.monotonic_us();
    let (counts, file_bytes) = if to_stdout {
        let version = version.unwrap_or(Version::REDIS_7_2);
        let mut output = Metered { output: BufWriter::new(std::io::stdout().lock()), bytes: 0 };
        (write(&store, args, (format, version), &mut output)?, output.bytes)
    } else {
        to_file(&store, args, (format, version))?
    };
    let report = Report {
        directory: args.directory.display().to_string(),
        output: args.output.display().to_string(),
        format: if format == Format::Rdb { "rdb" } else { "jsonl" },
        counts,
        file_bytes,
        seconds: (store.engine.monotonic_us() - began_us) as f64 / 1e6,
    };
    if args.json {
        print::json(&report)?;
    } else {
        eprintln!(
            "{} ({} with a time to live, {}) written: {} in {:.1} s",
            print::count(counts.keys, "key"),
            counts.expiring,
            print::count(counts.elements, "element"),
            print::bytes(file_bytes),
            report.seconds
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file beside the one that is wanted, and gives it that name when it is whole and durable.
fn to_file(store: &ReadStore, args: &DumpArgs, (format, version): (Format, Option<Version>)) -> Result<(Counts, u64)> {
    let about = || format!("writing {}", args.output.display());
    let mut unfinished = args.output.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let attempt = |version| -> Result<(Counts, u64)> {
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        let file = File::create(&unfinished).with_context(about)?;
        let mut output = Metered { output: BufWriter::with_capacity(1 << 20, file), bytes: 0 };
        let counts = write(store, args, (format, version), &mut output)?;
        output.output.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all().with_context(about)?;
        Ok((counts, output.bytes))
    };
    let mut written = attempt(version.unwrap_or(Version::REDIS_7_2));
    if let Err(error) = &written
        && version.is_none()
        && error.downcast_ref::<NeedsVersion>().is_some()
    {
        eprintln!("note: {error}; begun anew in version 12");
        written = attempt(Version::REDIS_7_4);
    }
    match written {
        Ok(written) => {
            std::fs::rename(&unfinished, &args.output).with_context(about)?;
            Ok(written)
        }
        Err(error) => {
            let _ = std::fs::remove_file(&unfinished); // nobody misses it
            Err(error)
        }
    }
}

fn write(
    store: &ReadStore,
    args: &DumpArgs,
    (format, version): (Format, Version),
    output: &mut Metered<impl Write>,
) -> Result<Counts> {
    let engine = &store.engine;
    let wanted = databases(engine, &args.filter)?;
    let keys = store.keys(&wanted);
    let whole = args.filter.pattern.is_none() && args.filter.types.is_empty();
    let hints = match whole {
        true => (0..engine.databases())
            .map(|database| engine.space(database))
            .map(|space| (engine.length(space), engine.expiring(space)))
            .collect(),
        false => Vec::new(), // nobody knows before the end
    };
    let counts = match format {
        Format::Rdb => {
            let mut sink = IntoRdb::begin(&mut *output, version, engine.now_ms(), hints)?;
            let counts = walk(store, args, keys, &mut sink)?;
            sink.end()?;
            counts
        }
        Format::Jsonl => walk(store, args, keys, &mut IntoJsonLines { output: &mut *output })?,
    };
    output.flush()?;
    Ok(counts)
}

fn walk(store: &ReadStore, args: &DumpArgs, keys: u64, sink: &mut dyn Sink) -> Result<Counts> {
    let bar = progress::keys("dump", keys);
    let mut counting = Counting { sink, counts: Counts::default() };
    let mut step = |_, _, looked| {
        bar.inc(looked);
        Ok(())
    };
    let mut walk =
        FromStore { engine: &store.engine, choice: &args.filter, salvage: None, leaves_out: None, step: &mut step };
    let walked = walk.run((0, 0), &mut counting);
    bar.finish_and_clear();
    walked?;
    Ok(counting.counts)
}

/// Counts what is written.
struct Metered<W: Write> {
    output: W,
    bytes: u64,
}

impl<W: Write> Write for Metered<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
