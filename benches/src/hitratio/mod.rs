//! `hitratio`: a trace or a workload through the policies, without a disk and without a server: how much DRAM serves which
//! share of the GETs.
//!
//! Promises: `s3fifo` is the engine's own code; every policy sees the same requests; what an interrupted run had finished is
//! reported. Bounded: as many threads as cores, each with one policy at one size.

mod belady;
mod cache;
mod input;
mod queue;
mod report;
mod sampled;

pub use cache::{Cache, Counts, PolicyName, Shards, replay};
pub use input::{Key, Request, Requests};
pub use report::{HitRatioReport, HitRatioRow};

use crate::cli::OutputArguments;
use crate::progress::Progress;
use crate::record::Results;
use crate::run::{ExitCode, Outcome};
use crate::spec::{self, SizeError, ValueSizes, parse_bytes};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Requests of a workload, which has no end of its own.
const WORKLOAD_REQUESTS: u64 = 2_000_000;
/// How often the progress bar moves.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// `hitratio`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thermocline-bench hitratio web12.csv.zst
  thermocline-bench hitratio zipf:0.8 meta-cdn --sizes 1%,5%,64mb --policies s3fifo,belady
  thermocline-bench hitratio app.csv --value-size 400 --json > curve.json")]
pub struct HitRatioArguments {
    /// Traces (.csv or .csv.zst) or workloads by name (see `run --list`).
    #[arg(required = true, value_name = "TRACE|WORKLOAD")]
    pub inputs: Vec<String>,
    /// Sizes of DRAM: percent of the bytes of all different values, or bytes such as 64mb.
    #[arg(long, value_delimiter = ',', default_value = "0.1%,1%,5%,10%,20%,40%")]
    pub sizes: Vec<Capacity>,
    /// Policies.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "lru,s3fifo,belady")]
    pub policies: Vec<PolicyName>,
    /// Replay only the first requests (default: all of a trace, 2,000,000 of a workload).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// Requests that warm the DRAM up before the counting begins.
    #[arg(long, default_value_t = 0)]
    pub warmup: u64,
    /// Size of a value where the trace has none (a workload has its own): 400, 8k, or a range such as 100-1000.
    #[arg(long, default_value = "1000")]
    pub value_size: ValueSizes,
    /// Shards that keys and DRAM are split over, each with its own queues.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub shards: u32,
    /// Seed of a workload's steps.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// A size of DRAM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// Share of the bytes of all different values.
    Share(f64),
    /// Bytes.
    Bytes(u64),
}

impl Capacity {
    /// In bytes, where all different values have this many.
    pub fn bytes(self, distinct_bytes: u64) -> u64 {
        match self {
            Self::Share(share) => (share * distinct_bytes as f64).round() as u64,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl FromStr for Capacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return parse_bytes(text).map(Self::Bytes).map_err(|error: SizeError| error.to_string());
        };
        let share: Option<f64> = percent.trim().parse().ok();
        let share = share.filter(|percent| (0.0..=100.0).contains(percent));
        share.map(|percent| Self::Share(percent / 100.0)).ok_or_else(|| format!("{text:?} is not a percentage to 100"))
    }
}

/// One policy at one size.
struct Job {
    policy: PolicyName,
    capacity_bytes: u64,
}

/// Replays.
pub fn run(arguments: &HitRatioArguments, stop: &AtomicBool) -> Result<Outcome> {
    let mut reports = Vec::new();
    for input in &arguments.inputs {
        if reports.is_empty() || !stop.load(Ordering::Relaxed) {
            let requests = read(arguments, input, stop)?;
            if requests.is_empty() {
                bail!("{input} has no requests");
            }
            reports.push(curve(arguments, name_of(input), &requests, stop));
        }
    }
    let mut reports = reports.into_iter();
    let mut report: HitRatioReport = reports.next().context("no trace and no workload was named")?;
    report.further = reports.collect();
    Ok(Outcome { results: Some(Results::HitRatio(report)), exit_code: ExitCode::Good })
}

/// The requests of a trace if this is a file, or looks like one; of a workload otherwise.
fn read(arguments: &HitRatioArguments, input: &str, stop: &AtomicBool) -> Result<Requests> {
    let path = Path::new(input);
    if path.is_file() || input.ends_with(".csv") || input.ends_with(".zst") {
        return Requests::from_trace(path, arguments.requests.unwrap_or(u64::MAX), arguments.value_size, stop);
    }
    let workload = spec::named(input).context("neither a file nor a workload")?;
    Requests::from_workload(&workload, arguments.seed, arguments.requests.unwrap_or(WORKLOAD_REQUESTS), stop)
}

/// A trace's file name without what follows the first point; a workload's own name.
fn name_of(input: &str) -> String {
    let trace = Path::new(input).file_name().and_then(|name| name.to_str()).filter(|name| name.contains(".csv"));
    trace.map_or(input, |name| name.split('.').next().unwrap_or(name)).to_owned()
}

/// All policies at all sizes.
pub fn curve(arguments: &HitRatioArguments, trace: String, requests: &Requests, stop: &AtomicBool) -> HitRatioReport {
    let distinct_bytes = requests.distinct_bytes();
    let mut sizes: Vec<u64> = arguments.sizes.iter().map(|size| size.bytes(distinct_bytes)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let job = |&capacity_bytes| arguments.policies.iter().map(move |&policy| Job { policy, capacity_bytes });
    let jobs: Vec<Job> = sizes.iter().flat_map(job).collect();
    let warmup = usize::try_from(arguments.warmup).unwrap_or(usize::MAX);
    let counts = run_jobs(&jobs, requests, arguments.shards, warmup, stop);
    let finished = jobs.iter().zip(&counts).filter_map(|(job, counts)| Some((job, (*counts)?)));
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let rows = finished.map(|(job, counts)| HitRatioRow {
        policy: job.policy.text().to_owned(),
        capacity_bytes: job.capacity_bytes,
        capacity_share: share(job.capacity_bytes, distinct_bytes),
        hit_ratio: share(counts.hits, counts.gets),
        byte_hit_ratio: share(counts.hit_bytes, counts.get_bytes),
    });
    let (gets, first) = first_gets(requests, warmup);
    HitRatioReport {
        trace,
        requests: requests.len() as u64,
        keys: requests.key_count(),
        distinct_bytes,
        rows: rows.collect(),
        gets,
        first_share: share(first, gets),
        warmup: arguments.warmup,
        shards: arguments.shards,
        complete: counts.iter().all(Option::is_some) && !stop.load(Ordering::Relaxed),
        further: Vec::new(),
    }
}

/// GETs that count, and those of them that are the first request of their key.
fn first_gets(requests: &Requests, warmup: usize) -> (u64, u64) {
    let (mut seen, mut gets, mut first) = (0, 0, 0);
    for place in 0..requests.len() {
        let request = requests.at(place);
        let new = request.key.0 == seen;
        seen += u32::from(new);
        let counts = place >= warmup && !request.write;
        gets += u64::from(counts);
        first += u64::from(counts && new);
    }
    (gets, first)
}

/// Runs the jobs on all cores; those that were stopped give `None`.
fn run_jobs(jobs: &[Job], requests: &Requests, shards: u32, warmup: usize, stop: &AtomicBool) -> Vec<Option<Counts>> {
    let next_uses = jobs.iter().any(|job| job.policy == PolicyName::Belady).then(|| requests.next_uses());
    let next_uses = Arc::new(next_uses.unwrap_or_default());
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let results = Mutex::new(vec![None; jobs.len()]);
    let one = |job: &Job| {
        let capacity = job.capacity_bytes / u64::from(shards);
        let one = || job.policy.cache(capacity, &next_uses);
        let mut cache: Box<dyn Cache> =
            if shards == 1 { one() } else { Box::new(Shards::new(shards, requests.key_count(), one)) };
        replay(cache.as_mut(), requests, warmup, stop, &done)
    };
    let work = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < jobs.len()) {
            let counts = one(&jobs[at]);
            results.lock().expect("no thread panicked")[at] = counts;
        }
    };
    let progress = Progress::start("hitratio", Some((jobs.len() * requests.len()) as u64));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::sleep(SHOW_EVERY);
            progress.at(done.load(Ordering::Relaxed));
        }
    });
    results.into_inner().expect("no thread panicked")
}

#[cfg(test)]
mod tests;
