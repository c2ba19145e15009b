//! What a run leaves behind: its results, with the command, the machine and the moment that belong to them.
//!
//! Promises: one JSON object per run, readable by `report` of this and later versions (fields are only ever added); a figure
//! that was not measured is absent, never zero. Never measures anything itself.

use crate::compare::CompareReport;
use crate::device::DeviceReport;
use crate::hitratio::HitRatioReport;
use crate::report::Report;
use crate::restart::RestartReport;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the JSON object; it grows when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// One run of the tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] when it was written.
    pub schema: u32,
    /// Name and version of this tool.
    pub tool: String,
    /// The command line that made it, as it was typed.
    pub command: Vec<String>,
    /// When it began: seconds since 1970, UTC.
    pub started_unix_s: u64,
    /// Where.
    pub machine: Machine,
    /// What came out.
    pub results: Results,
}

/// The machine of a run, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// RAM in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
}

/// What the subcommands give.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Results {
    /// `load`, `run`, `replay`, `engine`: one report per pass.
    Passes(Vec<Report>),
    /// `device`.
    Device(DeviceReport),
    /// `hitratio`.
    HitRatio(HitRatioReport),
    /// `compare`.
    Compare(CompareReport),
    /// `restart`.
    Restart(RestartReport),
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passes(passes) => passes.iter().try_for_each(|pass| pass.fmt(f)),
            Self::Device(report) => report.fmt(f),
            Self::HitRatio(report) => report.fmt(f),
            Self::Compare(report) => report.fmt(f),
            Self::Restart(report) => report.fmt(f),
        }
    }
}

impl Record {
    /// Puts a run's results beside its circumstances; `started_unix_s` from the clock, the rest from the process.
    pub fn new(results: Results, started_unix_s: u64) -> Self {
        Self {
            schema: SCHEMA,
            tool: format!("thermocline-bench {}", env!("CARGO_PKG_VERSION")),
            command: std::env::args().collect(),
            started_unix_s,
            machine: Machine::here(),
            results,
        }
    }
}

impl Machine {
    /// This machine, as far as the kernel tells.
    pub fn here() -> Self {
        let text = |path: &str| crate::procfs::read(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal").unwrap_or_default();
        Self {
            cpu: field(&text("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}
