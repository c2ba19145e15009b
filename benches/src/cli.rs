//! The command line: what may be asked, in words that `--help` shows.

use crate::compare::CompareArguments;
use crate::control::Target;
use crate::demo::DemoArguments;
use crate::device::DeviceArguments;
use crate::embedded::EngineArguments;
use crate::hitratio::HitRatioArguments;
use crate::page::ReportArguments;
use crate::workload::{ValueSizes, parse_bytes};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    /// Replays a trace (.csv or .csv.zst) as cache-aside: GET, on a miss SET.
    Replay(ReplayArguments),
    /// Measures the engine embedded in this process: no network.
    Engine(EngineArguments),
    /// Measures the disk itself: random reads, sequential writes, flushes.
    Device(DeviceArguments),
    /// Replays a trace through cache policies: how much DRAM serves which share of the reads.
    #[command(name = "hitratio")]
    HitRatio(HitRatioArguments),
    /// Runs two or more servers against each other in interleaved rounds.
    Compare(CompareArguments),
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
            Self::Replay(arguments) => &arguments.server.output,
            Self::Engine(arguments) => &arguments.output,
            Self::Device(arguments) => &arguments.output,
            Self::HitRatio(arguments) => &arguments.output,
            Self::Compare(arguments) => &arguments.output,
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
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub key_size: u32,
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
        Target { host: self.host.clone(), port: self.port, password: self.password.clone(), database: self.database }
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
}

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

fn connections(text: &str) -> Result<usize, String> {
    bounded(text, 10_000)
}

fn pipeline(text: &str) -> Result<usize, String> {
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
    fn bytes_stand_for_a_number_of_keys() {
        let cli = Cli::try_parse_from(["bench", "load", "--bytes", "4g", "--value-size", "400"]).unwrap();
        let Command::Load(load) = cli.command else { panic!("load was asked for") };
        assert_eq!(load.key_count(), (4u64 << 30).div_ceil(400));
        assert!(Cli::try_parse_from(["bench", "load"]).is_err(), "neither keys nor bytes");
        assert!(Cli::try_parse_from(["bench", "replay"]).is_err(), "no trace");
        assert!(Cli::try_parse_from(["bench", "load", "--keys", "1", "--pipeline", "0"]).is_err());
    }
}
