//! The result of a run: one object for JSON, one screen for people. The two say the same.
//!
//! A figure that was not measured is absent, never zero.

mod latency;
mod screen;
mod timeline;

pub use latency::{CurvePoint, LatencyReport};
pub use timeline::{ObservedPoint, POINTS_MAX, Timeline, TimelinePoint};

use crate::observe::Observed;
use crate::tally::{Latencies, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Shares of all GETs, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Served from DRAM.
    pub hot: f64,
    /// Served from the SSD.
    pub cold: f64,
    /// Not there.
    pub miss: f64,
}

/// What was run, by name, with everything that decides its requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadReport {
    /// Its name: one of `run --list`, or `load`, `verify`, or a trace's file name.
    pub name: String,
    /// Where its parameters come from, when they come from somewhere.
    pub source: Option<String>,
    /// Keys, sizes, shares, seed, ... in words.
    pub parameters: BTreeMap<String, String>,
}

/// Who decides when a request is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopKind {
    /// The answers: a connection sends its next request when the one before is answered. Latency counts from sending.
    #[default]
    Closed,
    /// A timetable: latency counts from the intended moment, whether or not the request could be sent then.
    Open,
}

/// The pacing of a pass and how well it was kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopReport {
    /// Closed or open.
    pub kind: LoopKind,
    /// Requests per second that were asked for (open loop; absent when the trace has its own times).
    pub rate_per_second: Option<f64>,
    /// `constant`, `poisson` or `trace` (open loop).
    pub arrivals: Option<String>,
    /// The longest that a request waited in this client behind its intended moment.
    pub sent_late_max_s: f64,
    /// Most requests that were due and waited in this client at once.
    pub waiting_max: u64,
    /// Requests that waited longer than the client's patience (open loop): above 0 the rate was not kept.
    pub over_patience: u64,
    /// Requests that were due and not yet sent when the pass ended: their wait is in no latency.
    pub unsent_at_end: u64,
}

impl LoopReport {
    /// Why the rate was not kept, in words.
    pub fn broken(&self) -> Option<String> {
        let (late, unsent) = (self.over_patience, self.unsent_at_end);
        // What was due in the last moments of an interrupted pass says nothing.
        let behind = unsent as f64 > self.rate_per_second.unwrap_or(f64::INFINITY) * BEHIND_S_MAX;
        (late > 0 || behind).then(|| {
            let patience_s = crate::workload::schedule::PATIENCE_S;
            format!("{late} requests went out more than {patience_s} s late, {unsent} due ones never")
        })
    }
}

/// A pass may end this far behind its timetable.
const BEHIND_S_MAX: f64 = 0.1;

/// One pass over a workload.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The pass: `load`, `run`, `verify`, `replay`.
    pub name: String,
    /// What was run.
    #[serde(default)]
    pub workload: WorkloadReport,
    /// Closed or open loop.
    #[serde(default, rename = "loop")]
    pub pacing: LoopReport,
    /// False when it ended early (a signal or an error).
    pub complete: bool,
    /// Why it could not go on, if so.
    pub failure: Option<String>,
    /// Address of the server.
    pub server: String,
    /// `resp` or `memcached`.
    #[serde(default)]
    pub protocol: String,
    /// Connections and requests in flight on each.
    pub connections: usize,
    /// Requests in flight per connection.
    pub pipeline: usize,
    /// Seconds that ran before it was measured.
    #[serde(default)]
    pub warmup_s: f64,
    /// Wall time that was measured.
    pub seconds: f64,
    /// Answers.
    pub operations: u64,
    /// Answers per second of wall time.
    pub operations_per_second: f64,
    /// The pass over time.
    pub timeline: Timeline,
    /// By `get`, `set`, `delete`, `scan`, and the GETs again by `hot`, `cold`, `miss`.
    pub latency: BTreeMap<String, LatencyReport>,
    /// By the server's own words, when it tells tiers.
    pub shares: Option<Shares>,
    /// Reads that found a value.
    pub found: u64,
    /// Reads that found none.
    pub missed: u64,
    /// Of these, keys that this run had written: lost, evicted or expired.
    pub lost: u64,
    /// SETs that filled in a miss.
    pub fill_ins: u64,
    /// Values found that an earlier run had written.
    pub preexisting: u64,
    /// Wrong values.
    pub wrong: u64,
    /// The first wrong values in words.
    pub wrong_shown: Vec<String>,
    /// Error answers by code.
    pub errors: BTreeMap<String, u64>,
    /// The first error in full.
    pub first_error: Option<String>,
    /// Elements that collections took as new, by the server's own answers.
    #[serde(default)]
    pub elements_added: u64,
    /// Bytes of values sent.
    pub value_bytes_sent: u64,
    /// Bytes of the keys sent with them.
    pub key_bytes_sent: u64,
    /// CPU of this client per answer.
    pub client_cpu_us_per_operation: Option<f64>,
    /// Share of the wall time that the client's one thread was busy: near 1 the client is the limit, not the server.
    #[serde(default)]
    pub client_busy: Option<f64>,
    /// CPU of the server per answer.
    pub server_cpu_us_per_operation: Option<f64>,
    /// The server, as watched.
    pub observed: Observed,
}

/// The facts of a run which are not in its tally.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Name of the pass.
    pub name: &'static str,
    /// What is run.
    pub workload: WorkloadReport,
    /// Closed or open loop.
    pub pacing: LoopReport,
    /// Address of the server.
    pub server: String,
    /// `resp` or `memcached`.
    pub protocol: String,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub pipeline: usize,
    /// Seconds that ran before it was measured.
    pub warmup_s: f64,
    /// Wall time that was measured.
    pub seconds: f64,
    /// Everything was sent and answered.
    pub complete: bool,
    /// The server told tiers.
    pub tiers: bool,
    /// Why it could not go on.
    pub failure: Option<String>,
    /// CPU seconds of the client's thread.
    pub client_cpu_seconds: Option<f64>,
}

impl Report {
    /// Puts a run together.
    pub fn new(circumstances: Circumstances, tally: Tally, observed: Observed) -> Self {
        let operations = tally.operations();
        let seconds = circumstances.seconds.max(1e-9);
        let per_operation = |seconds: f64| seconds * 1e6 / operations.max(1) as f64;
        let latency = tally.by_name().into_iter();
        let latency = latency.filter_map(|(name, latencies)| Some((name.to_owned(), LatencyReport::of(latencies)?)));
        let gets = tally.get.0.len();
        let share = |latencies: &Latencies| latencies.0.len() as f64 / gets as f64;
        let shares = Shares { hot: share(&tally.hot), cold: share(&tally.cold), miss: share(&tally.miss) };
        Self {
            name: circumstances.name.to_owned(),
            workload: circumstances.workload,
            pacing: circumstances.pacing,
            complete: circumstances.complete,
            failure: circumstances.failure,
            server: circumstances.server,
            protocol: circumstances.protocol,
            connections: circumstances.connections,
            pipeline: circumstances.pipeline,
            warmup_s: circumstances.warmup_s,
            seconds: circumstances.seconds,
            operations,
            operations_per_second: operations as f64 / seconds,
            latency: latency.collect(),
            shares: (circumstances.tiers && gets > 0).then_some(shares),
            client_cpu_us_per_operation: circumstances.client_cpu_seconds.map(per_operation),
            client_busy: circumstances.client_cpu_seconds.map(|cpu| (cpu / seconds).min(1.0)),
            server_cpu_us_per_operation: observed.cpu_seconds.map(per_operation),
            found: tally.found,
            missed: tally.missed,
            lost: tally.lost,
            fill_ins: tally.fill_ins,
            preexisting: tally.preexisting,
            wrong: tally.wrong,
            wrong_shown: tally.wrong_shown,
            errors: tally.errors,
            first_error: tally.first_error,
            elements_added: tally.elements_added,
            value_bytes_sent: tally.value_bytes_sent,
            key_bytes_sent: tally.key_bytes_sent,
            timeline: Timeline { observed: observed.points.clone(), ..tally.timeline.finish() },
            observed: Observed { points: Vec::new(), ..observed },
        }
    }
}
