//! Latencies as a report shows them: a few percentiles for the screen, a curve for a plot.

use crate::tally::Latencies;
use serde::{Deserialize, Serialize};

/// Where the curve is read. Ends where a histogram of this kind still tells its steps apart.
const CURVE_PERCENTILES: &[f64] = &[
    0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.0, 98.0, 99.0, 99.3, 99.5,
    99.7, 99.8, 99.9, 99.93, 99.95, 99.97, 99.98, 99.99, 99.995, 99.999, 99.9999, 99.99999,
];

/// Percentiles of one kind of answer, in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// The whole distribution in about 30 points, for a plot. Percentiles that so few answers cannot tell are left out.
    #[serde(default)]
    pub curve: Vec<CurvePoint>,
}

/// One point of a latency distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// 0 to 100.
    pub percentile: f64,
    /// This share of the answers came within so many microseconds.
    pub us: f64,
}

impl LatencyReport {
    /// Of a histogram; `None` when it is empty.
    pub fn of(latencies: &Latencies) -> Option<Self> {
        let Latencies(histogram) = latencies;
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        let told =
            CURVE_PERCENTILES.iter().filter(|percentile| (100.0 - **percentile) * histogram.len() as f64 >= 100.0);
        let last = CurvePoint { percentile: 100.0, us: histogram.max() as f64 / 1_000.0 };
        let curve = told.map(|percentile| CurvePoint { percentile: *percentile, us: at(percentile / 100.0) });
        Some(Self {
            count: histogram.len(),
            mean_us: histogram.mean() / 1_000.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1_000.0,
            curve: curve.chain([last]).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_and_ends_at_the_slowest_answer() {
        let mut latencies = Latencies::default();
        assert!(LatencyReport::of(&latencies).is_none());
        for us in 1..=10_000 {
            latencies.0.record(us * 1_000).unwrap();
        }
        let report = LatencyReport::of(&latencies).unwrap();
        assert!(
            report.curve.windows(2).all(|pair| pair[0].us <= pair[1].us && pair[0].percentile < pair[1].percentile)
        );
        assert_eq!(report.curve.last().unwrap().us, report.max_us);
        assert!((report.p999_us - 9_990.0).abs() < 20.0, "{}", report.p999_us);
        let below_the_last = report.curve[report.curve.len() - 2].percentile;
        assert!(below_the_last <= 99.99, "10,000 answers do not tell {below_the_last} %");
    }
}
