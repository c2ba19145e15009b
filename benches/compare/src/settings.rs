//! What to run: the command line, and the plan that follows from it.

use crate::engines::EngineName;
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use thermocline_bench::cli::OutputArguments;

const KEYS: u64 = 2_000_000;
const KEYS_QUICK: u64 = 50_000;
const SECONDS_QUICK: f64 = 3.0;
/// Below this no engine has room for its buffers.
const DRAM_BYTES_MIN: u64 = 8 << 20;
const MEMTABLE_BYTES_MIN: u64 = 1 << 20;
const MEMTABLE_BYTES_MAX: u64 = 16 << 20;

const EXAMPLES: &str = "Examples:
  compare-engines                                  everything, about 15 minutes and 12 GB of SSD
  compare-engines --quick                          50 k keys, half a minute: does it all work?
  compare-engines --engines thermocline,rocksdb --rounds 3 --out engines.json
  compare-engines --dram-percent 10 --dir /mnt/ssd/data

Exit code: 0 all is well, 1 errors or lost keys, 2 a wrong command line, 3 a wrong value.";

/// One workload over the embedded engine and its peers: larger than memory, every value verified.
///
/// Each engine runs in processes of its own: one loads, the next opens what was loaded and reads. RSS, CPU and SSD bytes are
/// the kernel's figures of that process.
#[derive(Debug, Parser)]
#[command(name = "compare-engines", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Engines, in this order.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub engines: Vec<EngineName>,
    /// Number of keys (16 bytes each).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub keys: Option<u64>,
    /// Bytes of a value.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(24..=65_536))]
    pub value_bytes: u32,
    /// DRAM of an engine, in percent of all keys and values.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub dram_percent: u64,
    /// Requests outstanding in the scenes with many.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub outstanding: u64,
    /// Skew of the zipf scenes.
    #[arg(long, default_value_t = 0.99, value_parser = skew)]
    pub theta: f64,
    /// A read scene ends after so many seconds at the latest.
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Rounds over all engines, from the beginning; the order is turned each time and the table shows the best.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Few keys and short scenes: for CI.
    #[arg(long)]
    pub quick: bool,
    /// Where the data goes; made, and removed again.
    #[arg(long, default_value = "compare-engines.data")]
    pub dir: PathBuf,
    /// Seed of all orders.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
    /// Internal: this process is the child of a comparison.
    #[arg(long, hide = true, value_enum, requires = "phase")]
    pub child: Option<EngineName>,
    /// Internal: what the child does.
    #[arg(long, hide = true, value_enum)]
    pub phase: Option<PhaseName>,
    /// Internal: the cgroup that the child enters.
    #[arg(long, hide = true)]
    pub cgroup: Option<PathBuf>,
}

/// What a child process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PhaseName {
    /// Puts every key, and closes.
    Load,
    /// Opens what was loaded, and reads.
    Read,
}

/// Everything that decides a run of one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Keys.
    pub keys: u64,
    /// Bytes of each value.
    pub value_bytes: u32,
    /// DRAM for an engine.
    pub dram_bytes: u64,
    /// Requests outstanding where there are many.
    pub outstanding: usize,
    /// Skew.
    pub theta: f64,
    /// Longest read scene.
    pub seconds_max: f64,
    /// Seed.
    pub seed: u64,
}

impl Arguments {
    /// The plan.
    pub fn plan(&self) -> Plan {
        let keys = self.keys.unwrap_or(if self.quick { KEYS_QUICK } else { KEYS });
        let mut plan = Plan {
            keys,
            value_bytes: self.value_bytes,
            dram_bytes: 0,
            outstanding: self.outstanding as usize,
            theta: self.theta,
            seconds_max: self.seconds.unwrap_or(if self.quick { SECONDS_QUICK } else { 60.0 }),
            seed: self.seed,
        };
        plan.dram_bytes = (plan.data_bytes() * self.dram_percent / 100).max(DRAM_BYTES_MIN);
        plan
    }

    /// The engines that were asked for: all of this build, if none was.
    pub fn engines(&self) -> Vec<EngineName> {
        if self.engines.is_empty() { EngineName::value_variants().to_vec() } else { self.engines.clone() }
    }
}

impl Plan {
    /// Bytes of all keys and values.
    pub fn data_bytes(&self) -> u64 {
        self.keys * (crate::store::KEY_BYTES as u64 + u64::from(self.value_bytes))
    }

    /// A memtable (or write buffer) that leaves most of the DRAM to caches.
    pub fn memtable_bytes(&self) -> u64 {
        (self.dram_bytes / 8).clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX)
    }
}

fn skew(text: &str) -> Result<f64, String> {
    let theta: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if theta > 0.0 && theta < 1.0 { Ok(theta) } else { Err(format!("{theta} is not between 0 and 1")) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if seconds > 0.0 && seconds <= 86_400.0 { Ok(seconds) } else { Err(format!("{seconds} is not within 0 and 86400")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_default_is_two_million_keys_in_a_fifth_of_their_dram() {
        let plan = Arguments::parse_from(["compare-engines"]).plan();
        assert_eq!((plan.keys, plan.value_bytes, plan.outstanding), (2_000_000, 400, 64));
        assert_eq!(plan.dram_bytes, 2_000_000 * 416 / 5);
        let quick = Arguments::parse_from(["compare-engines", "--quick"]).plan();
        assert_eq!(quick.keys, 50_000);
        assert!(quick.dram_bytes > 2 * quick.memtable_bytes(), "memtables leave room for a cache");
    }
}
