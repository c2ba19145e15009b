//! A pass over time: what was answered in each interval, and what was seen of the server beside it.
//!
//! Bounded: at most [`POINTS_MAX`] points; a longer pass doubles its interval and merges pairs of points.
//! Times count from the moment when the pass began to be measured (behind the warm-up).

use serde::{Deserialize, Serialize};

/// Most points of a timeline.
pub const POINTS_MAX: usize = 3_600;

/// A pass over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Seconds of each point; the last one is cut by the end of the pass.
    pub interval_s: f64,
    /// Answers, interval by interval, without gaps: point `i` begins at `i * interval_s`.
    pub points: Vec<TimelinePoint>,
    /// The server, about once a second, in order of time.
    pub observed: Vec<ObservedPoint>,
}

/// The answers of one interval. Merged points keep the higher percentile of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Answers of all kinds.
    pub answers: u64,
    /// Half of the answers came within this.
    pub p50_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// The slowest answer.
    pub max_us: f64,
    /// GETs from DRAM.
    pub hot: u64,
    /// GETs from the SSD.
    pub cold: u64,
    /// GETs of keys that are not there.
    pub miss: u64,
    /// Error answers and wrong values.
    pub errors: u64,
}

impl TimelinePoint {
    /// Two neighbours as one.
    pub fn merged(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            p50_us: self.p50_us.max(other.p50_us),
            p99_us: self.p99_us.max(other.p99_us),
            p999_us: self.p999_us.max(other.p999_us),
            max_us: self.max_us.max(other.max_us),
            hot: self.hot + other.hot,
            cold: self.cold + other.cold,
            miss: self.miss + other.miss,
            errors: self.errors + other.errors,
        }
    }
}

/// The server at a moment. What it or the kernel does not tell is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedPoint {
    /// Moment of the pass.
    pub at_s: f64,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// DRAM in use, by the server's own count.
    pub dram_bytes: Option<u64>,
    /// SSD space in use, by the server's own count.
    pub disk_used_bytes: Option<u64>,
    /// Storage bytes that the kernel read for it since the pass began.
    pub device_read_bytes: Option<u64>,
    /// Storage bytes that the kernel wrote for it since the pass began.
    pub device_write_bytes: Option<u64>,
    /// SSD bytes written per byte taken, by the server's own count since its start.
    pub write_amplification: Option<f64>,
    /// CPU seconds that it used since the pass began, all threads.
    pub cpu_seconds: Option<f64>,
}
