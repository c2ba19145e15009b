//! `engine`: the engine itself, embedded in this process: no network, no server.
//!
//! Promises: the same workloads, the same check of every value and the same report as `run`; what the generator itself costs
//! (steps, keys, values, checks, the book) is measured alone, against an array instead of the engine, and shown beside.
//! Never opens a folder that holds a store already unless it is told to.

mod array;
mod book;
mod caller;
mod executor;
mod observe;
mod store;
mod target;
mod worker;

use crate::cli::{OutputArguments, duration};
use crate::procfs;
use crate::progress::Progress;
use crate::record::Results;
use crate::report::{Circumstances, Report, WorkloadReport};
use crate::run::{ExitCode, Outcome};
use crate::spec::{Spec, Steps, ValueSizes, named, parse_bytes};
use crate::wire::KeyText;
use crate::workload::Versions;
use crate::workload::load::LOADED_VERSION;
use anyhow::{Context as _, Result, bail};
use array::Array;
use book::{Book, Pass, Source};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thermocline::{BackendChoice, Durability, Engine, Options};

/// How long to measure when nothing is said.
const DURATION: Duration = Duration::from_secs(30);

/// SSD space when nothing is said, at least.
const DISK_BYTES_MIN: u64 = 4 << 30;

/// SSD space when nothing is said, as a multiple of the data.
const DISK_PER_DATA: f64 = 3.0;

/// Keys and steps of the generator's own measurement: small enough to stay in the processor's caches.
const ARRAY_KEYS_MAX: u64 = 1_024;
const ARRAY_STEPS: u64 = 200_000;

/// `engine`.
///
/// Examples:
///   thermocline-bench engine zipf /mnt/nvme/store --load --keys 2000000 --value-size 400 --max-memory 128mb
///   thermocline-bench engine uniform /mnt/nvme/store --open-existing --concurrency 1 --duration 10s
///   thermocline-bench engine ycsb-a ./store --load --durability always --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct EngineArguments {
    /// The workload: a name as `run --list` shows them.
    pub workload: String,
    /// Folder of the store: a new or empty one, or with --open-existing one that an earlier run has left. It stays.
    pub folder: PathBuf,
    /// DRAM for everything.
    #[arg(long, default_value = "512mb", value_parser = parse_bytes)]
    pub max_memory: u64,
    /// SSD space (default: three times the data, at least 4 GiB).
    #[arg(long, value_parser = parse_bytes)]
    pub max_disk: Option<u64>,
    /// Number of keys, instead of the workload's own.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: Option<u64>,
    /// Size of a value, instead of the workload's own: 400, 8k, or a uniform range such as 100-1000.
    #[arg(long)]
    pub value_size: Option<ValueSizes>,
    /// Bytes of a key, instead of the workload's own.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub key_size: Option<u32>,
    /// Callers of each thread: so many operations may be under way at once. 1 is one caller that waits for each answer.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub concurrency: u32,
    /// Threads, each with its own driver. The generator's book is shared: with many threads it is the limit.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// How long to measure: 30s, 500ms, 2m. Default: 30 s, or as long as --requests takes.
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Steps to run.
    #[arg(long)]
    pub requests: Option<u64>,
    /// What an acknowledgement means: `appendfsync`.
    #[arg(long, value_enum, default_value_t = DurabilityChoice::Everysec)]
    pub durability: DurabilityChoice,
    /// Set every key before, as a pass of its own.
    #[arg(long, conflicts_with = "open_existing")]
    pub load: bool,
    /// The folder holds a store that an earlier run with the same keys (number, size) and values has loaded.
    #[arg(long)]
    pub open_existing: bool,
    /// `auto`, `uring` or `pool`.
    #[arg(long, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,
    /// Seed of the steps.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityChoice {
    /// Flushed at the log's pace.
    No,
    /// At most a second is lost.
    Everysec,
    /// On the device before the answer.
    Always,
}

impl From<DurabilityChoice> for Durability {
    fn from(choice: DurabilityChoice) -> Self {
        match choice {
            DurabilityChoice::No => Self::No,
            DurabilityChoice::Everysec => Self::EverySecond,
            DurabilityChoice::Always => Self::Always,
        }
    }
}

/// Runs it.
pub fn run(arguments: &EngineArguments, stop: &AtomicBool) -> Result<Outcome> {
    let spec = spec(arguments)?;
    if !arguments.open_existing {
        refuse_used_folder(&arguments.folder)?;
    }
    let options = options(arguments, &spec);
    let engine = Engine::open_directory(&arguments.folder, options, arguments.backend)?;
    let plan = Plan { arguments, spec: &spec, stop };
    let generator_us = plan.generator_us()?;
    let reports = std::thread::scope(|scope| -> Result<Vec<Report>> {
        let crew = worker::Crew::start(scope, &engine, arguments, stop)?;
        let reports = plan.passes(&engine, &crew, generator_us);
        // Closed also after a failed pass: the folder is the user's, and may be opened again.
        let closed = thermocline::block_on(engine.close()).context("closing the store");
        crew.end()?;
        closed.and(reports)
    })?;
    let any = |question: fn(&Report) -> bool| reports.iter().any(question);
    let exit_code = if any(|report| report.wrong > 0) {
        ExitCode::WrongValue
    } else if any(|report| report.failure.is_some() || !report.errors.is_empty() || report.lost > 0) {
        ExitCode::Errors
    } else {
        ExitCode::Good
    };
    Ok(Outcome { results: Some(Results::Passes(reports)), exit_code })
}

struct Plan<'a> {
    arguments: &'a EngineArguments,
    spec: &'a Spec,
    stop: &'a AtomicBool,
}

impl Plan<'_> {
    /// The load if it was asked for, and the run.
    fn passes(&self, engine: &Engine, crew: &worker::Crew<'_>, generator_us: f64) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        let mut versions = Versions::new(self.spec.keys, LOADED_VERSION);
        if self.arguments.load {
            let source = Source::load(self.spec.keys);
            let total = Some(self.spec.keys);
            let report = self.pass(
                "load",
                engine,
                crew,
                Book::new(source, Versions::new(0, LOADED_VERSION)),
                total,
                u64::MAX,
                None,
            )?;
            let going_on = report.complete && report.errors.is_empty() && !self.stop.load(Ordering::Relaxed);
            reports.push(report);
            if !going_on {
                return Ok(reports);
            }
            versions = Versions::loaded(self.spec.keys, LOADED_VERSION);
        }
        let steps = Source::steps(Steps::new(self.spec, self.arguments.seed), self.arguments.requests);
        let forever = self.arguments.requests.map_or(DURATION, |_| Duration::MAX);
        let ends_ns = self.arguments.duration.unwrap_or(forever).as_nanos().try_into().unwrap_or(u64::MAX);
        let book = Book::new(steps, versions);
        let generator = Some(generator_us);
        reports.push(self.pass("run", engine, crew, book, self.arguments.requests, ends_ns, generator)?);
        Ok(reports)
    }

    #[expect(clippy::too_many_arguments, reason = "two callers, each with its own of everything")]
    fn pass(
        &self,
        name: &'static str,
        engine: &Engine,
        crew: &worker::Crew<'_>,
        book: Book,
        total: Option<u64>,
        ends_ns: u64,
        generator_us: Option<f64>,
    ) -> Result<Report> {
        let progress = Progress::start(name, total);
        let watch = observe::Watch::begin(engine);
        let pass = Pass::begin(self.spec, book, ends_ns);
        let failure = crew.run(&pass, |tally| progress.show(tally)).err();
        let seconds = pass.clock.seconds();
        drop(progress);
        let (book, described) = (pass.finish()?, self.describe());
        let failure = failure.map(|error| format!("{error:#}")).or(book.failure);
        let operations = book.tally.operations();
        let circumstances = Circumstances {
            name,
            workload: described,
            server: format!("the engine in {}", self.arguments.folder.display()),
            protocol: "embedded".to_owned(),
            connections: self.arguments.threads as usize,
            pipeline: self.arguments.concurrency as usize,
            seconds,
            complete: book.complete && failure.is_none(),
            tiers: true,
            failure,
            client_cpu_seconds: generator_us.map(|us| us * operations as f64 / 1e6),
            ..Circumstances::default()
        };
        Ok(Report::new(circumstances, book.tally, watch.finish(engine)))
    }

    /// CPU of one step without the engine: the same callers, book, keys, values and checks over an array.
    fn generator_us(&self) -> Result<f64> {
        let spec = Spec { keys: self.spec.keys.min(ARRAY_KEYS_MAX), ..self.spec.clone() };
        let array = Array::new(&spec);
        let source = Source::steps(Steps::new(&spec, self.arguments.seed), Some(ARRAY_STEPS));
        let book = Book::new(source, Versions::loaded(spec.keys, LOADED_VERSION));
        let pass = Pass::begin(&spec, book, Duration::from_secs(1).as_nanos() as u64);
        let before = procfs::thread_cpu_seconds();
        executor::run(&array, &pass, self.arguments.concurrency as usize, self.stop, executor::Nobody);
        let seconds = procfs::thread_cpu_seconds().zip(before).map_or(0.0, |(after, before)| after - before);
        let book = pass.finish()?;
        if book.tally.wrong + book.tally.error_count() > 0 {
            bail!("the generator does not agree with itself: {:?} {:?}", book.tally.wrong_shown, book.tally.errors);
        }
        Ok(seconds * 1e6 / book.tally.operations().max(1) as f64)
    }

    fn describe(&self) -> WorkloadReport {
        let Spec { keys, key_bytes, .. } = self.spec;
        let facts = [
            ("keys", keys.to_string()),
            ("key bytes", key_bytes.to_string()),
            ("value bytes (mean)", format!("{:.0}", self.spec.sizes.mean())),
            ("seed", self.arguments.seed.to_string()),
            ("threads", self.arguments.threads.to_string()),
            ("callers per thread", self.arguments.concurrency.to_string()),
            ("durability", format!("{:?}", self.arguments.durability).to_lowercase()),
            ("client CPU", "the generator alone, measured over an array".to_owned()),
            ("server CPU", "this whole process, generator included".to_owned()),
        ];
        WorkloadReport {
            name: self.spec.name.to_string(),
            source: Some(self.spec.source.to_owned()),
            parameters: facts.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
        }
    }
}

fn spec(arguments: &EngineArguments) -> Result<Spec> {
    let spec = named(&arguments.workload)?;
    Ok(Spec { keys: arguments.keys.unwrap_or(spec.keys), sizes: arguments.value_size.unwrap_or(spec.sizes), ..spec })
}

fn options(arguments: &EngineArguments, spec: &Spec) -> Options {
    let data = spec.value_bytes() + spec.keys as f64 * f64::from(spec.key_bytes);
    Options {
        max_memory: arguments.max_memory,
        max_disk: arguments.max_disk.unwrap_or(((data * DISK_PER_DATA) as u64).max(DISK_BYTES_MIN)),
        workers: arguments.threads as usize,
        durability: arguments.durability.into(),
        seed: arguments.seed,
        ..Options::default()
    }
}

/// A store is never mixed with another, and nothing of the user's is written over.
fn refuse_used_folder(folder: &std::path::Path) -> Result<()> {
    let mut entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("the folder {}", folder.display()))?,
    };
    let Some(entry) = entries.next() else { return Ok(()) };
    bail!(
        "{} is not empty ({} is in it): choose another folder, or give --open-existing",
        folder.display(),
        entry?.file_name().display()
    )
}

/// The text of this workload's keys.
fn key_text(spec: &Spec) -> KeyText {
    KeyText::new("key:", spec.key_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn arguments(folder: &std::path::Path, workload: &str, more: &[&str]) -> EngineArguments {
        let words = ["bench", "engine", workload, folder.to_str().unwrap(), "--max-memory", "64mb"];
        match Cli::try_parse_from(words.iter().chain(more)).unwrap().command {
            Command::Engine(arguments) => arguments,
            other => panic!("engine was asked for, not {other:?}"),
        }
    }

    fn passes(arguments: &EngineArguments) -> (Vec<Report>, ExitCode) {
        let outcome = run(arguments, &AtomicBool::new(false)).unwrap();
        let Some(Results::Passes(reports)) = outcome.results else { panic!("passes") };
        (reports, outcome.exit_code)
    }

    #[test]
    fn a_run_larger_than_memory_checks_hot_and_cold_values() {
        let folder = tempfile::tempdir().unwrap();
        let size = ["--keys", "60000", "--value-size", "2000", "--max-disk", "1g"];
        let loaded = arguments(folder.path(), "ycsb-b", &[&size[..], &["--load", "--requests", "30000"]].concat());
        let (reports, exit_code) = passes(&loaded);
        assert_eq!(exit_code, ExitCode::Good, "{reports:?}");
        let [load, run] = &reports[..] else { panic!("two passes") };
        assert_eq!((load.operations, load.latency["set"].count), (60_000, 60_000));
        assert!(run.complete && run.operations >= 30_000);
        let shares = run.shares.unwrap();
        assert!(shares.cold > 0.05 && shares.hot > 0.05 && shares.miss == 0.0, "{shares:?}");
        assert_eq!(run.latency["hot"].count + run.latency["cold"].count, run.found);
        assert!(run.observed.tier_changes["cold_reads"] >= run.latency["cold"].count as f64 / 2.0);
        assert!(run.client_cpu_us_per_operation.unwrap() > 0.0);
        // The store stays, and is not run over.
        let again = run_error(&arguments(folder.path(), "ycsb-b", &size));
        assert!(again.contains("--open-existing"), "{again}");
        let one_caller = [&size[..], &["--open-existing", "--requests", "500", "--concurrency", "1"]].concat();
        let (reports, exit_code) = passes(&arguments(folder.path(), "ycsb-c", &one_caller));
        assert_eq!((exit_code, reports[0].found, reports[0].missed), (ExitCode::Good, 500, 0));
    }

    fn run_error(arguments: &EngineArguments) -> String {
        format!("{:#}", run(arguments, &AtomicBool::new(false)).err().unwrap())
    }

    #[test]
    fn threads_share_one_row_of_steps() {
        let folder = tempfile::tempdir().unwrap();
        let more = ["--keys", "1000", "--load", "--requests", "20000", "--threads", "2", "--max-disk", "512m"];
        let (reports, exit_code) = passes(&arguments(folder.path(), "ycsb-a", &more));
        assert_eq!((exit_code, reports[1].operations, reports[1].lost), (ExitCode::Good, 20_000, 0));
    }

    #[test]
    fn an_acknowledged_write_is_durable_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let more = ["--keys", "200", "--load", "--requests", "200", "--durability", "always", "--max-disk", "512m"];
        let (reports, exit_code) = passes(&arguments(folder.path(), "ycsb-a", &more));
        assert_eq!(exit_code, ExitCode::Good);
        assert!(reports[0].observed.tier_changes["flushes"] > 0.0);
    }

    #[test]
    fn a_stopped_run_is_partial_and_valid() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments(folder.path(), "uniform", &["--load", "--max-disk", "1g"]);
        let outcome = run(&arguments, &AtomicBool::new(true)).unwrap();
        let Some(Results::Passes(reports)) = outcome.results else { panic!("passes") };
        assert_eq!((outcome.exit_code, reports.len()), (ExitCode::Good, 1));
        assert!(!reports[0].complete);
    }
}
