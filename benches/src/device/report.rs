//! What a device gave, as JSON and as a table. The two say the same; what was not measured is absent.

use super::case::Case;
use super::drive::Measured;
use super::fio::FioMeasured;
use crate::report::LatencyReport;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a device gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The folder, its file system and block device, as far as the kernel tells.
    pub place: String,
    /// `io_uring` or `pool`, with its reason.
    pub backend: String,
    /// Bytes of the scratch file.
    pub file_bytes: u64,
    /// One row per kind of I/O and depth.
    pub rows: Vec<DeviceRow>,
    /// All rows were measured in all rounds.
    #[serde(default)]
    pub complete: bool,
    /// Seconds of each measurement.
    #[serde(default)]
    pub seconds: f64,
    /// Requests handed to the kernel at a time, at most.
    #[serde(default)]
    pub batch: u32,
    /// Measurements per row.
    #[serde(default)]
    pub rounds: u32,
    /// The requests went past the page cache. If not, this is no measure of the device.
    #[serde(default)]
    pub direct: bool,
    /// Blocks that were read and were not what was written.
    #[serde(default)]
    pub wrong: u64,
    /// The first of them in words.
    #[serde(default)]
    pub wrong_shown: Vec<String>,
    /// The job file for fio.
    #[serde(default)]
    pub fio_job: String,
    /// The fio that ran in turn.
    #[serde(default)]
    pub fio_version: Option<String>,
}

/// One kind of I/O at one depth.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeviceRow {
    /// `random read`, `sequential write`, `write and flush (dsync)`, `write and flush (fdatasync)`.
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
    /// Requests of the best round.
    #[serde(default)]
    pub requests: u64,
    /// Requests per second of each round, in order.
    #[serde(default)]
    pub iops_of_rounds: Vec<f64>,
    /// The same of fio.
    #[serde(default)]
    pub fio_iops_of_rounds: Vec<f64>,
    /// Median latency of fio.
    #[serde(default)]
    pub fio_p50_us: Option<f64>,
    /// 99th percentile of fio.
    #[serde(default)]
    pub fio_p99_us: Option<f64>,
}

impl DeviceReport {
    /// Adds the wrong blocks of a measurement.
    pub(super) fn count_wrong(&mut self, measured: &Measured) {
        const SHOWN_MAX: usize = 10;
        self.wrong += measured.wrong.count;
        let room = SHOWN_MAX.saturating_sub(self.wrong_shown.len());
        self.wrong_shown.extend(measured.wrong.shown.iter().take(room).cloned());
    }
}

/// Something with a rate.
pub(super) trait Rated {
    /// Requests per second.
    fn iops(&self) -> f64;
}

impl Rated for Measured {
    fn iops(&self) -> f64 {
        self.pumped.requests as f64 / self.pumped.seconds.max(1e-9)
    }
}

impl Rated for FioMeasured {
    fn iops(&self) -> f64 {
        self.iops
    }
}

/// The best of several rounds, and the rate of each.
pub(super) struct Best<T> {
    best: Option<T>,
    rates: Vec<f64>,
}

impl<T> Default for Best<T> {
    fn default() -> Self {
        Self { best: None, rates: Vec::new() }
    }
}

impl<T: Rated> Best<T> {
    /// Takes a round.
    pub(super) fn offer(&mut self, round: T) {
        self.rates.push(round.iops());
        if self.best.as_ref().is_none_or(|best| best.iops() < round.iops()) {
            self.best = Some(round);
        }
    }
}

/// The row of a case; none if no round of ours was finished.
pub(super) fn row(case: &Case, ours: Best<Measured>, theirs: Best<FioMeasured>) -> Option<DeviceRow> {
    let best = ours.best?;
    let requests = best.pumped.requests;
    let fio = theirs.best;
    Some(DeviceRow {
        what: case.what().to_owned(),
        block_bytes: case.block_bytes,
        depth: case.depth,
        iops: best.iops(),
        fio_iops: fio.as_ref().map(|fio| fio.iops),
        cpu_us_per_request: best.cpu_seconds.map(|seconds| seconds * 1e6 / requests.max(1) as f64),
        fio_cpu_us_per_request: fio.as_ref().and_then(|fio| fio.cpu_us_per_request),
        latency: LatencyReport::of(&best.pumped.latencies),
        requests,
        iops_of_rounds: ours.rates,
        fio_iops_of_rounds: theirs.rates,
        fio_p50_us: fio.as_ref().and_then(|fio| fio.p50_us),
        fio_p99_us: fio.as_ref().and_then(|fio| fio.p99_us),
    })
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.complete { "" } else { "  (ended early: partial)" };
        writeln!(f, "device {}{state}", self.place)?;
        writeln!(f, "  {}", self.backend)?;
        writeln!(
            f,
            "  {} MiB written once and then read; best of {} rounds of {} s; at most {} requests to the kernel at a time",
            self.file_bytes >> 20,
            self.rounds,
            self.seconds,
            self.batch
        )?;
        if !self.direct {
            writeln!(f, "  NOT DIRECT: the page cache answers, this is no measure of the device")?;
        }
        let with_fio = self.rows.iter().any(|row| row.fio_iops.is_some());
        write!(f, "  {:<27} {:>6} {:>5} {:>9} {:>7}", "", "bytes", "depth", "IOPS", "MB/s")?;
        write!(f, " {:>8} {:>8} {:>9} {:>7}", "p50 us", "p99 us", "p99.9 us", "CPU us")?;
        if with_fio {
            write!(f, "  {:>9} {:>7} {:>8} {:>8}", "fio IOPS", "CPU us", "IOPS x", "CPU x")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            row.fmt_line(f)?;
        }
        writeln!(f, "  wrong blocks: {}", self.wrong)?;
        for wrong in &self.wrong_shown {
            writeln!(f, "    {wrong}")?;
        }
        match &self.fio_version {
            Some(version) => writeln!(f, "  {version} in turn with {} (x: ours / fio)", self.fio_job),
            None => writeln!(f, "  the same for fio: {}", self.fio_job),
        }
    }
}

impl DeviceRow {
    fn fmt_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.iops * f64::from(self.block_bytes) / 1e6;
        write!(f, "  {:<27} {:>6} {:>5}", self.what, size(self.block_bytes), self.depth)?;
        write!(f, " {:>9.0} {megabytes:>7.0}", self.iops)?;
        match &self.latency {
            Some(latency) => {
                write!(f, " {:>8.1} {:>8.1} {:>9.1}", latency.p50_us, latency.p99_us, latency.p999_us)?;
            }
            None => write!(f, " {:>8} {:>8} {:>9}", "", "", "")?,
        }
        match self.cpu_us_per_request {
            Some(us) => write!(f, " {us:>7.2}")?,
            None => write!(f, " {:>7}", "")?,
        }
        if let Some(fio_iops) = self.fio_iops {
            write!(f, "  {fio_iops:>9.0}")?;
            let cpu = self.cpu_us_per_request.zip(self.fio_cpu_us_per_request);
            match self.fio_cpu_us_per_request {
                Some(us) => write!(f, " {us:>7.2}")?,
                None => write!(f, " {:>7}", "")?,
            }
            write!(f, " {:>8.3}", self.iops / fio_iops.max(1e-9))?;
            if let Some((ours, theirs)) = cpu {
                write!(f, " {:>8.3}", ours / theirs.max(1e-9))?;
            }
        }
        writeln!(f)
    }
}

fn size(bytes: u32) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}m", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{}k", bytes >> 10),
        bytes => bytes.to_string(),
    }
}
