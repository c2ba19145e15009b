//! `hitratio`: a trace through the policies, without a disk and without a server: how much DRAM serves which share.

use crate::cli::OutputArguments;
use crate::run::Outcome;
use anyhow::{Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// `hitratio`.
#[derive(Debug, Args)]
pub struct HitRatioArguments {
    /// Trace (.csv or .csv.zst).
    pub trace: PathBuf,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Shares by policy and size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HitRatioReport {
    /// Name of the trace or workload.
    pub trace: String,
    /// Requests replayed.
    pub requests: u64,
    /// Different keys.
    pub keys: u64,
    /// Bytes of all different values.
    pub distinct_bytes: u64,
    /// One row per policy and size.
    pub rows: Vec<HitRatioRow>,
}

/// One policy at one size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HitRatioRow {
    /// `lru`, `s3fifo`, `belady`, ...
    pub policy: String,
    /// DRAM in bytes.
    pub capacity_bytes: u64,
    /// The same as a share of all distinct bytes.
    pub capacity_share: f64,
    /// Share of GETs that found their value in DRAM.
    pub hit_ratio: f64,
    /// Share of the bytes of GETs.
    pub byte_hit_ratio: f64,
}

impl fmt::Display for HitRatioReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.trace)
    }
}

/// Replays.
pub fn run(_arguments: &HitRatioArguments, _stop: &AtomicBool) -> Result<Outcome> {
    bail!("hitratio is not built yet")
}
