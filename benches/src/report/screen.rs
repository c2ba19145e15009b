//! A report on the screen: at most 40 lines of 100 columns, the same facts as the JSON, warnings in words.

use super::{LoopKind, Report};
use crate::observe::Observed;
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

/// Columns of the throughput picture, and of any line.
const BARS_MAX: usize = 60;
const COLUMNS_MAX: usize = 100;

/// Kinds of errors and wrong values that the screen shows; JSON has more.
const ERRORS_SHOWN: usize = 5;

/// Above this share of a core the client may be what limits the run.
const BUSY_MAX: f64 = 0.9;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_work(&mut text)?;
        self.write_latency(&mut text)?;
        self.write_costs(&mut text)?;
        self.write_faults(&mut text)?;
        text.lines().try_for_each(|line| writeln!(f, "{}", cut(line)))?;
        // The one line that is never cut: it says what to do.
        self.failure.iter().try_for_each(|failure| writeln!(f, "  FAILED: {failure}"))
    }
}

/// A line as long as the screen is wide.
fn cut(line: &str) -> String {
    if line.chars().count() <= COLUMNS_MAX {
        return line.to_owned();
    }
    line.chars().take(COLUMNS_MAX - 3).chain("...".chars()).collect()
}

impl Report {
    fn write_work(&self, f: &mut String) -> fmt::Result {
        let state = if self.complete { "" } else { ", ended early: partial" };
        writeln!(f, "{} on {}{state} ({})", self.name, self.server, self.observed.version)?;
        if !self.workload.name.is_empty() {
            let parameters = self.workload.parameters.iter();
            let parameters: String =
                parameters.fold(String::new(), |line, (name, value)| line + ", " + name + " " + value);
            writeln!(f, "  workload {}{parameters}", self.workload.name)?;
        }
        let arrivals = self.pacing.arrivals.as_deref().unwrap_or_default();
        let pacing = match (self.pacing.kind, self.pacing.rate_per_second) {
            (LoopKind::Closed, _) => "closed loop: latency from sending".to_owned(),
            (LoopKind::Open, Some(rate)) => {
                format!("open loop {rate:.0}/s {arrivals}: latency from the intended moment")
            }
            (LoopKind::Open, None) => "open loop by the trace's times: latency from the intended moment".to_owned(),
        };
        writeln!(f, "  {pacing}; connections {}, pipeline {}", self.connections, self.pipeline)?;
        let warmup =
            if self.warmup_s > 0.0 { format!(" (behind {:.1} s of warm-up)", self.warmup_s) } else { String::new() };
        let (answers, seconds, rate) = (self.operations, self.seconds, self.operations_per_second);
        writeln!(f, "  {answers} answers in {seconds:.2} s{warmup}: {rate:.0}/s")?;
        let seconds: Vec<u64> = self.timeline.points.iter().map(|point| point.answers).collect();
        if seconds.len() > 2 {
            // The last interval is cut by the end of the run.
            let whole = &seconds[..seconds.len() - 1];
            let (lowest, highest) = (whole.iter().min().unwrap_or(&0), whole.iter().max().unwrap_or(&0));
            let interval = self.timeline.interval_s;
            writeln!(f, "  per {interval} s: {} {lowest}..{highest}", bars(whole))?;
        }
        Ok(())
    }

    fn write_latency(&self, f: &mut String) -> fmt::Result {
        writeln!(f, "  latency us        count       p50       p90       p99     p99.9   slowest")?;
        for name in ["get", "set", "delete", "scan", "hot", "cold", "miss"] {
            if let Some(l) = self.latency.get(name) {
                write!(f, "    {name:<8} {:>12}", l.count)?;
                for us in [l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.max_us] {
                    write!(f, " {us:9.1}")?;
                }
                writeln!(f)?;
            }
        }
        if self.pacing.kind == LoopKind::Open {
            let (waiting, late) = (self.pacing.waiting_max, self.pacing.sent_late_max_s);
            writeln!(f, "  waiting in the client at worst: {waiting} requests, {late:.3} s")?;
        }
        if let Some(shares) = self.shares {
            writeln!(f, "  GETs served: hot {:.4}, cold {:.4}, miss {:.4}", shares.hot, shares.cold, shares.miss)?;
        }
        let (found, missed, lost, earlier) = (self.found, self.missed, self.lost, self.preexisting);
        writeln!(f, "  found {found}, missed {missed} (of keys written before: {lost}), left by earlier runs {earlier}")
    }

    fn write_costs(&self, f: &mut String) -> fmt::Result {
        let mut costs = Vec::new();
        if let Some(us) = self.client_cpu_us_per_operation {
            let busy = self.client_busy.unwrap_or(0.0) * 100.0;
            costs.push(format!("client {us:.2} us (its one thread busy {busy:.0} %)"));
        }
        if let Some(us) = self.server_cpu_us_per_operation {
            costs.push(format!("server {us:.2} us"));
        }
        if !costs.is_empty() {
            writeln!(f, "  CPU per answer: {}", costs.join(", "))?;
        }
        write_storage(f, self, &self.observed)?;
        let changes = COUNTERS_SHOWN.iter().filter_map(|name| self.observed.tier_changes.get_key_value(*name));
        let after = RATIOS_SHOWN.iter().filter_map(|name| self.observed.tier_after.get_key_value(*name));
        let tier: Vec<String> = changes
            .map(|(name, change)| format!("{name} {change:+}"))
            .chain(after.map(|(name, ratio)| format!("{name} {ratio}")))
            .collect();
        for (index, part) in tier.chunks(3).enumerate() {
            writeln!(f, "  {} {}", if index == 0 { "INFO tier:" } else { "          " }, part.join(", "))?;
        }
        Ok(())
    }

    fn write_faults(&self, f: &mut String) -> fmt::Result {
        writeln!(f, "  wrong values: {}", self.wrong)?;
        for wrong in self.wrong_shown.iter().take(ERRORS_SHOWN) {
            writeln!(f, "    {wrong}")?;
        }
        for (code, count) in self.errors.iter().take(ERRORS_SHOWN) {
            writeln!(f, "  errors {code}: {count}")?;
        }
        if let Some(error) = &self.first_error {
            writeln!(f, "    first: {error}")?;
        }
        if let Some(words) = self.pacing.broken() {
            writeln!(f, "  CANNOT KEEP UP: {words}")?;
        }
        if self.client_busy.is_some_and(|busy| busy > BUSY_MAX) {
            writeln!(
                f,
                "  THE CLIENT IS THE LIMIT: its one thread was busy {:.0} %; the server may do more than this",
                self.client_busy.unwrap_or(0.0) * 100.0
            )?;
        }
        Ok(())
    }
}

fn write_storage(f: &mut String, report: &Report, observed: &Observed) -> fmt::Result {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    if let Some(rss) = observed.rss_max_bytes {
        write!(f, "  server RSS: highest sample {:.1} MiB", mib(rss))?;
        if let Some(peak) = observed.rss_peak_bytes {
            write!(f, ", peak since its start {:.1} MiB", mib(peak))?;
        }
        if let Some(limit) = observed.max_memory_bytes.filter(|limit| *limit > 0) {
            write!(f, ", maxmemory {:.1} MiB", mib(limit))?;
        }
        writeln!(f)?;
    }
    if let (Some(read), Some(written)) = (observed.read_bytes, observed.write_bytes) {
        write!(f, "  storage by /proc: read {:.1} MiB, written {:.1} MiB", mib(read), mib(written))?;
        let sent = report.value_bytes_sent + report.key_bytes_sent;
        if let Some(cold) = report.latency.get("cold") {
            write!(f, " ({:.0} bytes per cold GET)", read as f64 / cold.count as f64)?;
        }
        if sent > 0 {
            write!(f, " ({:.3} x sent)", written as f64 / sent as f64)?;
        }
        writeln!(f)?;
    }
    Ok(())
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
    use super::super::*;
    use super::*;
    use crate::tally::{Kind, Tally};

    #[test]
    fn the_bars_show_a_stall() {
        assert_eq!(bars(&[100, 100, 0, 50, 100]), "██▁▄█");
        assert_eq!(bars(&[]), "");
        assert!(bars(&[7; 10_000]).chars().count() <= BARS_MAX);
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let circumstances = Circumstances { name: "load", seconds: 2.0, tiers: true, ..Circumstances::default() };
        let report = Report::new(circumstances, Tally::default(), Observed::default());
        assert_eq!(report.shares, None, "no GET, no share");
        assert!(report.latency.is_empty());
        let text = report.to_string();
        assert!(text.contains("partial"), "{text}");
        assert!(!text.contains("CPU") && !text.contains("RSS") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn the_worst_report_fits_one_screen_and_says_who_is_the_limit() {
        let mut tally = Tally::default();
        for second in 0..200 {
            let now_ns = second * 1_000_000_000;
            for kind in [Kind::Get, Kind::Set, Kind::Delete, Kind::Scan] {
                tally.answered(kind, Some(crate::wire::Tier::Cold), 3_000_000_000_000, now_ns);
            }
            tally.error(&format!("CODE{second} {}", "long ".repeat(100)));
            tally.wrong_value(crate::value::KeyId(u64::MAX), crate::value::Wrong::Header);
        }
        let ratios = COUNTERS_SHOWN.iter().chain(RATIOS_SHOWN).map(|name| ((*name).to_owned(), 1e15));
        let ratios: BTreeMap<String, f64> = ratios.collect();
        let some = Some(u64::MAX >> 10);
        let observed = Observed {
            version: "version ".repeat(20),
            rss_max_bytes: some,
            rss_peak_bytes: some,
            max_memory_bytes: some,
            read_bytes: some,
            write_bytes: some,
            cpu_seconds: Some(1e9),
            tier_changes: ratios.clone(),
            tier_after: ratios,
            ..Observed::default()
        };
        let pacing = LoopReport { kind: LoopKind::Open, over_patience: 7, unsent_at_end: 8, ..LoopReport::default() };
        let circumstances = Circumstances {
            name: "run",
            pacing,
            seconds: 200.0,
            client_cpu_seconds: Some(199.0),
            failure: Some("words ".repeat(10)),
            workload: WorkloadReport { name: "ycsb-a".repeat(30), ..WorkloadReport::default() },
            ..Circumstances::default()
        };
        let text = Report::new(circumstances, tally, observed).to_string();
        assert!(text.lines().count() <= 40, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS_MAX), "{text}");
        for words in ["THE CLIENT IS THE LIMIT", "CANNOT KEEP UP", "FAILED", "partial", "CODE0", "open loop"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
