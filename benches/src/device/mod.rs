//! `device`: what the disk itself can do, through the same I/O room that the engine uses.

use crate::cli::OutputArguments;
use crate::report::LatencyReport;
use crate::run::Outcome;
use anyhow::{Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// `device`.
#[derive(Debug, Args)]
pub struct DeviceArguments {
    /// Folder on the device; a scratch file is made in it and removed.
    pub folder: PathBuf,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// What a device gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The folder, its file system and block device, as far as the kernel tells.
    pub place: String,
    /// `io_uring` or `pool`, with its reason.
    pub backend: String,
    /// Bytes of the scratch file.
    pub file_bytes: u64,
    /// One row per kind of I/O and depth.
    pub rows: Vec<DeviceRow>,
}

/// One kind of I/O at one depth.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceRow {
    /// `random read`, `sequential write`, `write and flush`.
    pub what: String,
    /// Bytes of one request.
    pub block_bytes: u32,
    /// Requests in flight.
    pub depth: u32,
    /// Requests per second (best round).
    pub iops: f64,
    /// The same of fio with the job file beside it (best round), when asked for.
    pub fio_iops: Option<f64>,
    /// CPU of this process per request.
    pub cpu_us_per_request: Option<f64>,
    /// The same of fio.
    pub fio_cpu_us_per_request: Option<f64>,
    /// Latencies.
    pub latency: Option<LatencyReport>,
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.place)
    }
}

/// Measures.
pub fn run(_arguments: &DeviceArguments, _stop: &AtomicBool) -> Result<Outcome> {
    bail!("device is not built yet")
}
