//! `thermocline load`: keys into a directory, from an RDB file, lines of JSON, or a running Redis.
//!
//! Promises: a directory that holds keys is refused unless the caller says to add to them; the directory is left as after a clean
//! shutdown. What was loaded before an error stays, and loading again replaces it. Never: changes where the keys come from.

use crate::dump::Format;
use crate::store::{Memory, Wanted, WriteStore};
use crate::transfer::filter::Filter;
use crate::transfer::json_lines::from_json_lines;
use crate::transfer::redis::Server;
use crate::{print, progress};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thermocline_transfer::from_store::Counting;
use thermocline_transfer::into_store::IntoStore;
use thermocline_transfer::rdb::{Passed, from_rdb};
use thermocline_transfer::{Choice, Counts, Sink};

/// What `load` takes.
#[derive(Args)]
pub struct LoadArgs {
    /// The data directory; made if it is not there.
    directory: PathBuf,
    /// The file to read; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    input: Option<PathBuf>,
    /// A running Redis (or Thermocline) to read from instead, by SCAN and DUMP.
    #[arg(long, value_name = "HOST:PORT")]
    from: Option<String>,
    /// User to sign in as there.
    #[arg(long, requires = "from")]
    user: Option<String>,
    /// File whose first line is the password there.
    #[arg(long, value_name = "FILE", requires = "from")]
    password_file: Option<PathBuf>,
    /// Layout of the file; told from its name if that ends with .rdb or .jsonl.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Add to the keys that are there; those of the same name are replaced.
    #[arg(long)]
    merge: bool,
    /// Leave out streams and values of modules, which are not carried yet, instead of refusing them.
    #[arg(long)]
    skip_unsupported: bool,
    /// Bytes the log may take; what the file system has if nothing is said. A new directory's segments are a 256th of it.
    #[arg(long, value_name = "BYTES", value_parser = crate::size::parse)]
    max_disk: Option<u64>,
    /// Databases of a new directory.
    #[arg(long = "databases", value_name = "NUMBER", default_value_t = 16)]
    databases_at_least: u32,
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
    source: String,
    #[serde(flatten)]
    counts: Counts,
    left_out: Passed,
    seconds: f64,
}

/// Loads and prints.
pub fn run(args: &LoadArgs) -> Result<ExitCode> {
    let source = open(args)?;
    let wanted = Wanted {
        memory: args.memory.memory,
        max_disk: args.max_disk,
        segment_bytes: None,
        databases: args.databases_at_least,
    };
    let store = WriteStore::open(&args.directory, &wanted)?;
    let engine = &store.engine;
    let there: u64 = (0..engine.databases()).map(|database| engine.length(engine.space(database))).sum();
    let shown = args.directory.display();
    if there > 0 && !args.merge {
        store.close()?;
        bail!("{shown} holds {}; --merge adds to them and replaces those of the same name", print::count(there, "key"));
    }
    let began_us = engine.monotonic_us();
    let mut sink = IntoStore::new(engine);
    let mut counting = Counting { sink: &mut sink, counts: Counts::default() };
    let now_ms = || engine.now_ms();
    let loaded = bring(source, args, &now_ms, &mut counting);
    let flushed = counting.flush();
    let counts = counting.counts;
    let seconds = (engine.monotonic_us() - began_us) as f64 / 1e6;
    store.close()?;
    flushed?;
    let source = args.input.as_ref().map(|path| path.display().to_string()).or_else(|| args.from.clone());
    let source = source.unwrap_or_default();
    let left_out = loaded.with_context(|| {
        format!("{source} was not loaded to its end; {} before it are in {shown}", print::count(counts.keys, "key"))
    })?;
    let report = Report { directory: shown.to_string(), source, counts, left_out, seconds };
    print::report(&report, args.json, words)?;
    Ok(ExitCode::SUCCESS)
}

fn words(report: &Report) -> String {
    let Report { counts, left_out, .. } = report;
    let mut out = format!("{} loaded in {:.1} s\n", crate::transfer::words(counts), report.seconds);
    for (count, what) in [
        (left_out.expired, "had expired or went meanwhile"),
        (left_out.filtered, "did not pass the filter"),
        (left_out.unsupported, "streams or values of modules left out"),
        (left_out.functions, "libraries of functions or notes of modules left out"),
    ] {
        if count > 0 {
            out.push_str(&format!("  {count} {what}\n"));
        }
    }
    out
}

/// An input whose reads go on after a signal.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

enum Source {
    File(Box<dyn Read>, Format, u64),
    Server(Server),
}

fn open(args: &LoadArgs) -> Result<Source> {
    if let Some(address) = &args.from {
        let password = match &args.password_file {
            None => None,
            Some(path) => {
                #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
        };
        return Ok(Source::Server(Server::connect(address, args.user.as_deref(), password.as_deref())?));
    }
    let path = args.input.as_deref().unwrap_or(Path::new("-"));
    let format = args.format.or_else(|| Format::of(path));
    let format = format.with_context(|| {
        format!("the name of {} does not say its layout: give --format rdb or jsonl", path.display())
    })?;
    if path == Path::new("-") {
        return Ok(Source::File(Box::new(Patient(std::io::stdin())), format, 0));
    }
    #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let bytes = file.metadata().map_or(0, |about| about.len());
    Ok(Source::File(Box::new(Patient(file)), format, bytes))
}

fn bring(source: Source, args: &LoadArgs, now_ms: &dyn Fn() -> u64, sink: &mut dyn Sink) -> Result<Passed> {
    match source {
        Source::File(input, format, bytes) => {
            let bar = progress::bar("load", bytes);
            let mut step = |bytes| bar.set_position(bytes);
            let passed = match format {
                Format::Rdb => from_rdb(input, (&args.filter, args.skip_unsupported, now_ms()), sink, &mut step),
                Format::Jsonl => {
                    let input = BufReader::with_capacity(256 << 10, input);
                    from_json_lines(input, (&args.filter, now_ms()), sink, &mut step)
                }
            };
            bar.finish_and_clear();
            passed
        }
        Source::Server(mut server) => {
            let databases = server.databases()?;
            let keys = databases.iter().filter(|(n, _)| args.filter.has_database(*n)).map(|(_, keys)| keys).sum();
            let bar = progress::keys("load", keys);
            let rules = (&args.filter, args.skip_unsupported, now_ms);
            let passed = server.bring(&databases, rules, sink, &mut |named| bar.set_position(named));
            bar.finish_and_clear();
            passed
        }
    }
}
