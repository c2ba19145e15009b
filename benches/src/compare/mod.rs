//! `compare`: two or more servers under the same workloads, in interleaved rounds.

use crate::cli::OutputArguments;
use crate::report::LatencyReport;
use crate::run::Outcome;
use anyhow::{Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;

/// `compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// What a comparison gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CompareReport {
    /// The servers, the first is the one that the others are compared with.
    pub targets: Vec<TargetReport>,
    /// The workloads, in order.
    pub scenes: Vec<SceneReport>,
}

/// A server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetReport {
    /// Its name in the tables.
    pub name: String,
    /// Its version, by itself.
    pub version: String,
    /// How it was started.
    pub command: String,
}

/// A workload and what each server made of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SceneReport {
    /// Its name.
    pub name: String,
    /// What was run, as arguments of `run`.
    pub command: String,
    /// All rounds, in the order in which they ran.
    pub rounds: Vec<RoundReport>,
}

/// One round of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoundReport {
    /// Index into the targets.
    pub target: usize,
    /// Answers per second.
    pub operations_per_second: f64,
    /// CPU of the server per answer.
    pub server_cpu_us: Option<f64>,
    /// CPU of the client per answer.
    pub client_cpu_us: Option<f64>,
    /// Share of the round that the client's thread was busy: near 1 the client is the limit.
    pub client_busy: Option<f64>,
    /// SSD bytes read per answer.
    pub read_bytes: Option<f64>,
    /// SSD bytes written per answer.
    pub write_bytes: Option<f64>,
    /// Keys that the server holds at the end.
    pub keys: Option<u64>,
    /// Highest resident memory.
    pub rss_bytes: Option<u64>,
    /// Latencies by `get`, `set`, `hot`, `cold`, `miss`.
    pub latency: BTreeMap<String, LatencyReport>,
    /// Keys lost, values wrong, errors: anything that makes the figures worth less, in words.
    pub remarks: Vec<String>,
}

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} servers", self.targets.len())
    }
}

/// Compares.
pub fn run(_arguments: &CompareArguments, _stop: &AtomicBool) -> Result<Outcome> {
    bail!("compare is not built yet")
}
