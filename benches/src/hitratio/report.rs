//! The curve of a replay, for JSON and for people: a table of hit ratios, and the answer to "how much DRAM do I need".

use indicatif::BinaryBytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Shares of GETs whose need of DRAM is told.
const SHARES_TOLD: &[f64] = &[0.5, 0.8, 0.9, 0.95, 0.99];

/// Shares by policy and size.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// GETs that were counted.
    #[serde(default)]
    pub gets: u64,
    /// Share of them that no size of DRAM serves: the first request of their key.
    #[serde(default)]
    pub first_share: f64,
    /// Requests replayed before the counting began.
    #[serde(default)]
    pub warmup: u64,
    /// Shards that the capacity is split over.
    #[serde(default)]
    pub shards: u32,
    /// All policies and sizes that were asked for are there.
    #[serde(default)]
    pub complete: bool,
    /// The other traces and workloads of the same command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<HitRatioReport>,
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

impl HitRatioReport {
    /// The row of a policy at a capacity.
    pub fn row(&self, policy: &str, capacity_bytes: u64) -> Option<&HitRatioRow> {
        self.rows.iter().find(|row| row.policy == policy && row.capacity_bytes == capacity_bytes)
    }

    /// DRAM for a share of GETs by a policy: between two sizes of the curve along the logarithm of the size. `None`: the
    /// curve does not reach it.
    pub fn need_bytes(&self, policy: &str, share: f64) -> Option<f64> {
        let curve: Vec<_> = self.rows.iter().filter(|row| row.policy == policy).collect();
        let above = curve.iter().position(|row| row.hit_ratio >= share)?;
        let high = curve[above];
        let Some(low) = above.checked_sub(1).map(|below| curve[below]) else {
            return Some(high.capacity_bytes as f64);
        };
        let along = (share - low.hit_ratio) / (high.hit_ratio - low.hit_ratio);
        let (low, high) = (low.capacity_bytes as f64, high.capacity_bytes as f64);
        Some(low * (high / low).powf(along))
    }

    /// Values of one column, each once, in the order of the rows.
    fn distinct<T: PartialEq>(&self, column: impl Fn(&HitRatioRow) -> T) -> Vec<T> {
        let mut seen = Vec::new();
        for value in self.rows.iter().map(column) {
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        seen
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>, policies: &[String]) -> fmt::Result {
        write!(f, "{:>12} {:>9}", "DRAM", "of values")?;
        policies.iter().try_for_each(|policy| write!(f, " {policy:>13}"))?;
        for (capacity, share) in self.distinct(|row| (row.capacity_bytes, row.capacity_share)) {
            write!(f, "\n{:>12} {:>7.2} %", BinaryBytes(capacity).to_string(), share * 100.0)?;
            for policy in policies {
                match self.row(policy, capacity) {
                    Some(row) => write!(f, " {:>11.1} %", row.hit_ratio * 100.0)?,
                    None => write!(f, " {:>13}", "-")?,
                }
            }
        }
        writeln!(f)
    }

    /// What each share needs, by the policy that is asked about and the optimum.
    fn write_needs(&self, f: &mut fmt::Formatter<'_>, policy: &str) -> fmt::Result {
        let largest = self.rows.iter().rfind(|row| row.policy == policy);
        let text = |policy: &str, share: f64| {
            let need = self.need_bytes(policy, share)?;
            let smallest = self.rows.iter().find(|row| row.policy == policy)?;
            let about = if smallest.hit_ratio >= share { "at most" } else { "about" };
            let part = need / (self.distinct_bytes as f64).max(1.0) * 100.0;
            Some(format!("{about} {} ({part:.1} % of the values)", BinaryBytes(need as u64)))
        };
        for &share in SHARES_TOLD {
            let percent = (share * 100.0).round();
            match (text(policy, share), largest) {
                (Some(need), _) => {
                    write!(f, "{percent} % of GETs from DRAM need {need}")?;
                    if let Some(least) = text("belady", share).filter(|_| policy != "belady") {
                        write!(f, "; the optimum {least}")?;
                    }
                    writeln!(f)?;
                }
                (None, Some(row)) => {
                    let (most, capacity) = (row.hit_ratio * 100.0, BinaryBytes(row.capacity_bytes));
                    writeln!(f, "{percent} % of GETs from DRAM need more than {capacity} (there: {most:.1} %)")?;
                    break;
                }
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for HitRatioReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.complete { "" } else { ", interrupted" };
        let bytes = BinaryBytes(self.distinct_bytes);
        writeln!(f, "{}: {} requests, {} keys, {bytes} of values{ending}", self.trace, self.requests, self.keys)?;
        let first = self.first_share * 100.0;
        writeln!(f, "share of GETs found in DRAM ({first:.1} % are the first of their key: no DRAM serves them)\n")?;
        let policies = self.distinct(|row| row.policy.clone());
        self.write_table(f, &policies)?;
        let asked = policies.iter().find(|policy| *policy == "s3fifo").or(policies.first());
        if let Some(policy) = asked {
            writeln!(f, "\nby {policy}:")?;
            self.write_needs(f, policy)?;
        }
        for report in &self.further {
            write!(f, "\n{report}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> HitRatioReport {
        let row = |policy: &str, capacity_bytes: u64, hit_ratio| HitRatioRow {
            policy: policy.to_owned(),
            capacity_bytes,
            capacity_share: capacity_bytes as f64 / 10_000.0,
            hit_ratio,
            byte_hit_ratio: hit_ratio,
        };
        let rows = vec![row("s3fifo", 100, 0.4), row("belady", 100, 0.6), row("s3fifo", 400, 0.6)];
        HitRatioReport { trace: "t".into(), distinct_bytes: 10_000, rows, complete: false, ..Default::default() }
    }

    #[test]
    fn the_need_lies_between_the_sizes_of_the_curve() {
        let report = report();
        assert_eq!(report.need_bytes("s3fifo", 0.5).map(f64::round), Some(200.0), "half way, geometrically");
        assert_eq!(report.need_bytes("s3fifo", 0.3), Some(100.0), "the smallest size is enough");
        assert_eq!(report.need_bytes("s3fifo", 0.7), None);
    }

    #[test]
    fn people_see_the_table_the_answer_and_what_is_missing() {
        let text = report().to_string();
        let mut easy = report();
        easy.rows[0].hit_ratio = 0.55;
        assert!(easy.to_string().contains("50 % of GETs from DRAM need at most 100 B"), "{easy}");
        for part in [
            "interrupted",
            "50 % of GETs from DRAM need about 200 B (2.0 % of the values); the optimum at most 100 B",
            "80 % of GETs from DRAM need more than 400 B (there: 60.0 %)",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.matches(" - ").count() + text.matches(" -\n").count(), 1, "one policy has no row\n{text}");
    }
}
