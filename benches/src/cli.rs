//! The command line: what may be asked, in words that `--help` shows.

use crate::collection::CollectionArguments;
use crate::compare::CompareArguments;
use crate::control::Target;
use crate::demo::DemoArguments;
use crate::device::DeviceArguments;
use crate::embedded::EngineArguments;
use crate::hitratio::HitRatioArguments;
use crate::page::ReportArguments;
use crate::restart::RestartArguments;
use crate::wire::{KeyText, Speech};
use crate::workload::schedule::{PaceArguments, positive};
use crate::workload::{Speaker, ValueSizes, parse_bytes};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Load generator and trace replay for servers that speak Redis. Every value is verified.
///
/// Exit code: 0 all is well, 1 errors or lost keys, 2 a wrong command line, 3 a wrong value.
#[derive(Debug, Parser)]
#[command(name = "thermocline-bench", version)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sets many keys as fast as the server takes them; reads them back if asked.
    Load(LoadArguments),
    /// Runs a workload by name: YCSB A-F, zipf, uniform, hotspot, ... (`run --list` shows them all).
    Run(RunArguments),
    /// Replays a trace (.csv or .csv.zst) as cache-aside: GET, on a miss SET.
    Replay(ReplayArguments),
    /// Fills hashes, sets, sorted sets or lists, or runs one command on their elements.
    Collection(CollectionArguments),
    /// Measures the engine embedded in this process: no network.
    Engine(EngineArguments),
    /// Measures the disk itself: random reads, sequential writes, flushes.
    Device(DeviceArguments),
    /// Replays a trace through cache policies: how much DRAM serves which share of the reads.
    #[command(name = "hitratio")]
    HitRatio(HitRatioArguments),
    /// Runs two or more servers against each other in interleaved rounds.
    Compare(CompareArguments),
    /// Measures starts after SIGTERM and kill -9, with and without a checkpoint, and how hot the first minute is.
    Restart(RestartArguments),
    /// Turns results (JSON) into a page with plots.
    Report(ReportArguments),
    /// Shows a server with 64 MB of DRAM and 1 GiB of data, live.
    Demo(DemoArguments),
}

impl Command {
    /// Where the result goes.
    pub fn output(&self) -> &OutputArguments {
        match self {
            Self::Load(arguments) => &arguments.server.output,
            Self::Run(arguments) => &arguments.server.output,
            Self::Replay(arguments) => &arguments.server.output,
            Self::Collection(arguments) => &arguments.server.output,
            Self::Engine(arguments) => &arguments.output,
            Self::Device(arguments) => &arguments.output,
            Self::HitRatio(arguments) => &arguments.output,
            Self::Compare(arguments) => &arguments.output,
            Self::Restart(arguments) => &arguments.output,
            Self::Report(arguments) => &arguments.output,
            Self::Demo(arguments) => &arguments.output,
        }
    }
}

/// Where the result goes.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArguments {
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Also write the JSON object to this file, for `report`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Where the server is, and how hard to push.
#[derive(Debug, Args)]
pub struct TargetArguments {
    /// Host of the server.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server.
    #[arg(short, long, default_value_t = 6379)]
    pub port: u16,
    /// Password for AUTH.
    #[arg(long)]
    pub password: Option<String>,
    /// Database for SELECT.
    #[arg(long, default_value_t = 0)]
    pub database: u32,
    /// Prefix of all keys.
    #[arg(long, default_value = "key:")]
    pub prefix: String,
    /// Bytes of a key: the prefix and the key's number, filled with zeros.
    /// Default: the workload's own, else 16.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub key_size: Option<u32>,
    /// Language of the server.
    #[arg(long, value_enum, default_value_t)]
    pub protocol: Speech,
    /// The server's process on this machine, for its CPU, memory and storage; else it is asked for it.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// A server that owes an answer and is silent for so long has failed: 30s, 500ms, 2m.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Do not ask the server for the tier of each answer.
    #[arg(long)]
    pub no_tiers: bool,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

impl TargetArguments {
    /// The server's address and credentials.
    pub fn target(&self) -> Target {
        Target {
            host: self.host.clone(),
            port: self.port,
            password: self.password.clone(),
            database: self.database,
            speech: self.protocol,
            process: self.server_pid,
        }
    }

    /// How the keys are spelt; `key_bytes` where the command line says nothing.
    pub fn speaker(&self, key_bytes: u32) -> Speaker {
        let text = KeyText::new(&self.prefix, self.key_size.unwrap_or(key_bytes));
        Speaker { protocol: self.protocol.protocol(), text }
    }
}

/// The order of keys in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// 0, 1, 2, ...
    Sequential,
    /// Every key once, in an order that follows from the seed.
    Random,
}

/// `load`.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// The server.
    #[command(flatten)]
    pub server: TargetArguments,
    /// Number of keys.
    #[arg(long, required_unless_present = "bytes", conflicts_with = "bytes")]
    pub keys: Option<u64>,
    /// Bytes of all values together, instead of a number of keys: 1g, 512m.
    #[arg(long, value_parser = parse_bytes)]
    pub bytes: Option<u64>,
    /// Size of a value: 400, 8k, or a uniform range such as 100-1000. Units are powers of 1024.
    #[arg(long, default_value = "400")]
    pub value_size: ValueSizes,
    /// Connections.
    #[arg(short, long, default_value_t = 8, value_parser = connections)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(short = 'P', long, default_value_t = 32, value_parser = pipeline)]
    pub pipeline: usize,
    /// Order in which keys are set.
    #[arg(long, value_enum, default_value_t = Order::Sequential)]
    pub order: Order,
    /// Afterwards read every key in random order and check every byte.
    #[arg(long)]
    pub verify: bool,
    /// Set nothing: check what an earlier load with the same options has set.
    #[arg(long)]
    pub verify_only: bool,
    /// Requests in flight on each connection while reading back (default: as --pipeline).
    #[arg(long, value_parser = pipeline)]
    pub verify_pipeline: Option<usize>,
    /// Time to live of every key, in seconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl: Option<u32>,
    /// Seed of the random orders.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Closed or open loop.
    #[command(flatten)]
    pub pace: PaceArguments,
}

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArguments {
    /// The workload: a name, some with a parameter (`zipf:0.8`).
    #[arg(required_unless_present = "list")]
    pub workload: Option<String>,
    /// Show the workloads, their parameters and where these come from.
    #[arg(long)]
    pub list: bool,
    /// The server.
    #[command(flatten)]
    pub server: TargetArguments,
    /// Number of keys, instead of the workload's own.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: Option<u64>,
    /// Size of a value, instead of the workload's own: 400, 8k, or a uniform range such as 100-1000.
    #[arg(long)]
    pub value_size: Option<ValueSizes>,
    /// Share of the steps that read, instead of the workload's own: 95%.
    #[arg(long, value_parser = share)]
    pub reads: Option<f64>,
    /// Time to live of what is written, in seconds, instead of the workload's own.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl: Option<u32>,
    /// Connections.
    #[arg(short, long, default_value_t = 50, value_parser = connections)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(short = 'P', long, default_value_t = 1, value_parser = pipeline)]
    pub pipeline: usize,
    /// How long to measure: 30s, 500ms, 2m. Default: 30 s, or as long as --requests takes.
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Steps to run, warm-up included.
    #[arg(long)]
    pub requests: Option<u64>,
    /// How long to run before it is measured.
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub warmup: Duration,
    /// Set every key before, as a pass of its own.
    #[arg(long)]
    pub load: bool,
    /// Seed of the steps.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Closed or open loop.
    #[command(flatten)]
    pub pace: PaceArguments,
}

const RUN_EXAMPLES: &str = "\
Examples:
  thermocline-bench run --list
  thermocline-bench run ycsb-b --load --duration 30s --warmup 5s
  thermocline-bench run zipf:0.8 --keys 10000000 --value-size 400 --reads 95% -c 64
  thermocline-bench run uniform --load --rate 50000 --arrivals poisson      (open loop)
  thermocline-bench run ycsb-a --load --protocol memcached --port 11211

One thread drives all connections; the report says how busy it was, and warns when it is the limit. Every value is checked:
its bytes, its key, and that its version was not overwritten before the read began. Memory: 4 bytes per key (8 once keys are deleted).";

impl LoadArguments {
    /// Number of keys that were asked for.
    pub fn key_count(&self) -> u64 {
        let by_bytes = |bytes: u64| (bytes as f64 / self.value_size.mean().max(1.0)).ceil() as u64;
        self.keys.unwrap_or_else(|| by_bytes(self.bytes.unwrap_or(0))).max(1)
    }
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The trace.
    pub trace: PathBuf,
    /// The server.
    #[command(flatten)]
    pub server: TargetArguments,
    /// Open loop by the trace's own times, so many times as fast: 1, 10, 0.5.
    #[arg(long, value_name = "TIMES", value_parser = positive, conflicts_with = "rate")]
    pub speed: Option<f64>,
    /// Closed or open loop.
    #[command(flatten)]
    pub pace: PaceArguments,
    /// Replay only the first requests.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Size of a value where the trace has none: 400, 8k, or a range such as 100-1000.
    #[arg(long)]
    pub value_size: Option<ValueSizes>,
    /// Time to live where the trace has none, in seconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl: Option<u32>,
    /// Connections; a key always uses the same one. 1 with --pipeline 1 is the trace's exact order.
    #[arg(short, long, default_value_t = 1, value_parser = connections)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(short = 'P', long, default_value_t = 1, value_parser = pipeline)]
    pub pipeline: usize,
}

/// `95%` or `0.95`.
fn share(text: &str) -> Result<f64, String> {
    let number = |digits: &str| digits.parse::<f64>().map_err(|_| format!("{text:?} is not a share such as 95%"));
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent)? / 100.0,
        None => number(text)?,
    };
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(format!("{text} is not within 0% and 100%")) }
}

/// `30s`, `500ms`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 30s, 500ms or 2m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let milliseconds = number.checked_mul(unit_ms).filter(|ms| *ms <= DURATION_MS_MAX).ok_or_else(wrong)?;
    Ok(Duration::from_millis(milliseconds))
}

/// A year.
const DURATION_MS_MAX: u64 = 365 * 24 * 3_600_000;

pub(crate) fn connections(text: &str) -> Result<usize, String> {
    bounded(text, 10_000)
}

pub(crate) fn pipeline(text: &str) -> Result<usize, String> {
    bounded(text, 1_024)
}

fn bounded(text: &str, most: usize) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (1..=most).contains(&number) { Ok(number) } else { Err(format!("{number} is not within 1 and {most}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn shares_and_durations_are_read_as_people_write_them() {
        assert_eq!((share("95%"), share("0.5"), share("0")), (Ok(0.95), Ok(0.5), Ok(0.0)));
        assert!(share("101%").is_err() && share("x").is_err() && share("NaN").is_err());
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!((duration("2m"), duration("7")), (Ok(Duration::from_secs(120)), Ok(Duration::from_secs(7))));
        assert!(duration("1d").is_err() && duration("s").is_err() && duration("99999999999999999999h").is_err());
    }

    #[test]
    fn bytes_stand_for_a_number_of_keys() {
        let cli = Cli::try_parse_from(["bench", "load", "--bytes", "4g", "--value-size", "400"]).unwrap();
        let Command::Load(load) = cli.command else { panic!("load was asked for") };
        assert_eq!(load.key_count(), (4u64 << 30).div_ceil(400));
        assert!(Cli::try_parse_from(["bench", "load"]).is_err(), "neither keys nor bytes");
        assert!(Cli::try_parse_from(["bench", "replay"]).is_err(), "no trace");
        assert!(Cli::try_parse_from(["bench", "load", "--keys", "1", "--pipeline", "0"]).is_err());
    }
}
