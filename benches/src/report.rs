//! The result of a run: one object for JSON, one screen for people. The two say the same.
//!
//! A figure that was not measured is absent, never zero.

use crate::observe::Observed;
use crate::tally::{Latencies, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What the screen shows of INFO's tier section, as change over the run; JSON has all of it.
const COUNTERS_SHOWN: &[&str] = &[
    "hot_hits",
    "cold_hits",
    "misses",
    "cold_reads",
    "promotions",
    "demotions",
    "evictions",
    "false_matches",
    "blocking_reads",
];

/// What the screen shows of it as it stands at the end.
const RATIOS_SHOWN: &[&str] = &["reads_per_cold_get", "bytes_per_cold_get", "write_amplification"];

/// Columns of the throughput picture.
const BARS_MAX: usize = 60;

/// Percentiles of one kind of answer, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Answers.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Half of the answers came within this.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// The slowest answer.
    pub max_us: f64,
}

impl LatencyReport {
    /// Of a histogram; `None` when it is empty.
    pub fn of(latencies: &Latencies) -> Option<Self> {
        let Latencies(histogram) = latencies;
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean_us: histogram.mean() / 1_000.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1_000.0,
        })
    }
}

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

/// One pass over a workload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What was run: `load`, `verify`, `replay`.
    pub name: String,
    /// False when it ended early (a signal or an error).
    pub complete: bool,
    /// Why it could not go on, if so.
    pub failure: Option<String>,
    /// Address of the server.
    pub server: String,
    /// Connections and requests in flight on each.
    pub connections: usize,
    /// Requests in flight per connection.
    pub pipeline: usize,
    /// Wall time.
    pub seconds: f64,
    /// Answers.
    pub operations: u64,
    /// Answers per second of wall time.
    pub operations_per_second: f64,
    /// Answers in each second; the last one is cut by the end.
    pub timeline: Vec<u64>,
    /// By `get`, `set`, `hot`, `cold`, `miss`.
    pub latency: BTreeMap<String, LatencyReport>,
    /// By the server's own words, when it tells tiers.
    pub shares: Option<Shares>,
    /// GETs that found a value.
    pub found: u64,
    /// GETs that found none.
    pub missed: u64,
    /// Of these, keys that this run had written.
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
    /// Bytes of values sent.
    pub value_bytes_sent: u64,
    /// Bytes of the keys sent with them.
    pub key_bytes_sent: u64,
    /// CPU of this client per answer.
    pub client_cpu_us_per_operation: Option<f64>,
    /// CPU of the server per answer.
    pub server_cpu_us_per_operation: Option<f64>,
    /// The server, as watched.
    pub observed: Observed,
}

/// The facts of a run which are not in its tally.
pub struct Circumstances {
    /// Name of the pass.
    pub name: &'static str,
    /// Address of the server.
    pub server: String,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub pipeline: usize,
    /// Wall time.
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
        let per_operation = |seconds: f64| seconds * 1e6 / operations.max(1) as f64;
        let kinds = [
            ("get", &tally.get),
            ("set", &tally.set),
            ("hot", &tally.hot),
            ("cold", &tally.cold),
            ("miss", &tally.miss),
        ];
        let latency =
            kinds.iter().filter_map(|(name, latencies)| Some(((*name).to_owned(), LatencyReport::of(latencies)?)));
        let gets = tally.get.0.len();
        let share = |latencies: &Latencies| latencies.0.len() as f64 / gets as f64;
        let shares = Shares { hot: share(&tally.hot), cold: share(&tally.cold), miss: share(&tally.miss) };
        Self {
            name: circumstances.name.to_owned(),
            complete: circumstances.complete,
            failure: circumstances.failure,
            server: circumstances.server,
            connections: circumstances.connections,
            pipeline: circumstances.pipeline,
            seconds: circumstances.seconds,
            operations,
            operations_per_second: operations as f64 / circumstances.seconds.max(1e-9),
            latency: latency.collect(),
            shares: (circumstances.tiers && gets > 0).then_some(shares),
            client_cpu_us_per_operation: circumstances.client_cpu_seconds.map(per_operation),
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
            value_bytes_sent: tally.value_bytes_sent,
            key_bytes_sent: tally.key_bytes_sent,
            timeline: tally.timeline,
            observed,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.complete { "" } else { "  (ended early: partial)" };
        writeln!(f, "{} on {} ({}){state}", self.name, self.server, self.observed.version)?;
        writeln!(
            f,
            "  {} answers in {:.2} s: {:.0}/s   connections {}, pipeline {}",
            self.operations, self.seconds, self.operations_per_second, self.connections, self.pipeline
        )?;
        if self.timeline.len() > 2 {
            // The last second is cut by the end of the run.
            let whole = &self.timeline[..self.timeline.len() - 1];
            let (lowest, highest) = (whole.iter().min().unwrap_or(&0), whole.iter().max().unwrap_or(&0));
            writeln!(f, "  per second: {} lowest {lowest}, highest {highest}", bars(whole))?;
        }
        writeln!(f, "  latency us        count       p50       p90       p99     p99.9   slowest")?;
        for name in ["get", "set", "hot", "cold", "miss"] {
            if let Some(l) = self.latency.get(name) {
                let columns = [l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.max_us];
                let columns: String = columns.iter().fold(String::new(), |mut line, us| {
                    write!(line, " {us:9.1}").expect("a String takes every write");
                    line
                });
                writeln!(f, "    {name:<8} {:>12}{columns}", l.count)?;
            }
        }
        if let Some(shares) = self.shares {
            writeln!(f, "  GETs served: hot {:.4}, cold {:.4}, miss {:.4}", shares.hot, shares.cold, shares.miss)?;
        }
        writeln!(
            f,
            "  found {}, missed {} (of keys written before: {}), left by earlier runs {}",
            self.found, self.missed, self.lost, self.preexisting
        )?;
        self.fmt_costs(f)?;
        let changes = COUNTERS_SHOWN.iter().filter_map(|name| self.observed.tier_changes.get_key_value(*name));
        let after = RATIOS_SHOWN.iter().filter_map(|name| self.observed.tier_after.get_key_value(*name));
        let tier: Vec<String> = changes
            .map(|(name, change)| format!("{name} {change:+}"))
            .chain(after.map(|(name, ratio)| format!("{name} {ratio}")))
            .collect();
        if !tier.is_empty() {
            writeln!(f, "  INFO tier: {}", tier.join(", "))?;
        }
        writeln!(f, "  wrong values: {}", self.wrong)?;
        for wrong in &self.wrong_shown {
            writeln!(f, "    {wrong}")?;
        }
        for (code, count) in &self.errors {
            writeln!(f, "  errors {code}: {count}")?;
        }
        if let Some(error) = &self.first_error {
            writeln!(f, "    first: {error}")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "  FAILED: {failure}")?;
        }
        Ok(())
    }
}

impl Report {
    fn fmt_costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut costs = Vec::new();
        if let Some(us) = self.client_cpu_us_per_operation {
            costs.push(format!("client {us:.2} us"));
        }
        if let Some(us) = self.server_cpu_us_per_operation {
            costs.push(format!("server {us:.2} us"));
        }
        if !costs.is_empty() {
            writeln!(f, "  CPU per answer: {}", costs.join(", "))?;
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        if let Some(rss) = self.observed.rss_max_bytes {
            write!(f, "  server RSS: highest sample {:.1} MiB", mib(rss))?;
            if let Some(peak) = self.observed.rss_peak_bytes {
                write!(f, ", peak since its start {:.1} MiB", mib(peak))?;
            }
            if let Some(limit) = self.observed.max_memory_bytes.filter(|limit| *limit > 0) {
                write!(f, ", maxmemory {:.1} MiB", mib(limit))?;
            }
            writeln!(f)?;
        }
        if let (Some(read), Some(written)) = (self.observed.read_bytes, self.observed.write_bytes) {
            write!(f, "  storage by /proc: read {:.1} MiB, written {:.1} MiB", mib(read), mib(written))?;
            let sent = self.value_bytes_sent + self.key_bytes_sent;
            if let Some(cold) = self.latency.get("cold") {
                write!(f, " ({:.0} bytes per cold GET)", read as f64 / cold.count as f64)?;
            }
            if sent > 0 {
                write!(f, " ({:.3} x keys and values sent)", written as f64 / sent as f64)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Throughput over time as a row of bars, from none to the highest.
fn bars(seconds: &[u64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let group = seconds.len().div_ceil(BARS_MAX).max(1);
    let means: Vec<u64> = seconds.chunks(group).map(|part| part.iter().sum::<u64>() / part.len() as u64).collect();
    let highest = means.iter().copied().max().unwrap_or(0).max(1);
    means.iter().map(|mean| HEIGHTS[(mean * 7 / highest) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_show_a_stall() {
        assert_eq!(bars(&[100, 100, 0, 50, 100]), "██▁▄█");
        assert_eq!(bars(&[]), "");
        assert!(bars(&[7; 10_000]).chars().count() <= BARS_MAX);
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let circumstances = Circumstances {
            name: "load",
            server: "here:1".to_owned(),
            connections: 1,
            pipeline: 1,
            seconds: 2.0,
            complete: false,
            tiers: true,
            failure: None,
            client_cpu_seconds: None,
        };
        let report = Report::new(circumstances, Tally::default(), Observed::default());
        assert_eq!(report.shares, None, "no GET, no share");
        assert!(report.latency.is_empty());
        let text = report.to_string();
        assert!(text.contains("partial"), "{text}");
        assert!(!text.contains("CPU") && !text.contains("RSS") && !text.contains("NaN"), "{text}");
    }
}
