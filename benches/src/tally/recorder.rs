//! Records a run over time: one point per interval, none left out, so that a stall shows as intervals without answers.
//!
//! Bounded: a run longer than [`POINTS_MAX`] intervals doubles its interval and merges pairs.

use crate::report::{POINTS_MAX, Timeline, TimelinePoint};
use crate::wire::Tier;
use hdrhistogram::Histogram;

const INTERVAL_NS: u64 = 1_000_000_000;

/// Two digits, 1 us to 1000 s: enough for a plot, small enough to be wiped every second.
const LATENCY_US_MAX: u64 = 1_000_000_000;

/// A timeline that is being written.
pub struct Recorder {
    interval_ns: u64,
    ends_ns: u64,
    points: Vec<TimelinePoint>,
    now: TimelinePoint,
    latencies_us: Histogram<u32>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::starting(0)
    }
}

impl Recorder {
    /// The first interval begins at this moment of the run.
    pub fn starting(now_ns: u64) -> Self {
        Self {
            interval_ns: INTERVAL_NS,
            ends_ns: now_ns + INTERVAL_NS,
            points: Vec::new(),
            now: TimelinePoint::default(),
            latencies_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 2).expect("bounds in order"),
        }
    }

    /// An answer at this moment of the run.
    pub fn answered(&mut self, tier: Option<Tier>, latency_ns: u64, now_ns: u64) {
        while now_ns >= self.ends_ns {
            self.close();
        }
        match tier {
            Some(Tier::Hot) => self.now.hot += 1,
            Some(Tier::Cold) => self.now.cold += 1,
            Some(Tier::Miss) => self.now.miss += 1,
            None => {}
        }
        self.latencies_us.saturating_record(latency_ns / 1_000);
    }

    /// An error, at the moment of the last answer.
    pub fn error(&mut self) {
        self.now.errors += 1;
    }

    /// The timeline so far.
    pub fn finish(mut self) -> Timeline {
        if !self.latencies_us.is_empty() || self.now.errors > 0 {
            self.close();
        }
        Timeline { interval_s: self.interval_ns as f64 / 1e9, points: self.points, observed: Vec::new() }
    }

    fn close(&mut self) {
        let mut point = std::mem::take(&mut self.now);
        if !self.latencies_us.is_empty() {
            let at = |quantile| self.latencies_us.value_at_quantile(quantile) as f64;
            point.answers = self.latencies_us.len();
            (point.p50_us, point.p99_us, point.p999_us) = (at(0.5), at(0.99), at(0.999));
            point.max_us = self.latencies_us.max() as f64;
            self.latencies_us.reset();
        }
        self.points.push(point);
        self.ends_ns += self.interval_ns;
        if self.points.len() == POINTS_MAX {
            self.points = self.points.chunks(2).map(|pair| pair[0].merged(*pair.last().expect("one or two"))).collect();
            self.interval_ns *= 2;
            self.ends_ns += self.interval_ns / 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = INTERVAL_NS;

    #[test]
    fn a_stall_is_seconds_without_answers() {
        let mut recorder = Recorder::starting(5 * SECOND);
        recorder.answered(Some(Tier::Hot), 50_000, 5 * SECOND + 1);
        recorder.answered(None, 2_000_000_000, 8 * SECOND + 1);
        recorder.error();
        let timeline = recorder.finish();
        let answers: Vec<u64> = timeline.points.iter().map(|point| point.answers).collect();
        assert_eq!(answers, [1, 0, 0, 1]);
        assert_eq!((timeline.points[0].hot, timeline.points[3].errors), (1, 1));
        assert!(timeline.points[3].max_us > 1.9e6);
    }

    #[test]
    fn a_long_run_keeps_its_sums_in_few_points() {
        let mut recorder = Recorder::default();
        let seconds = 10_000;
        for second in 0..seconds {
            recorder.answered(None, 1_000 * (second + 1), second * SECOND);
        }
        let timeline = recorder.finish();
        assert!(timeline.points.len() < POINTS_MAX);
        assert_eq!(timeline.points.iter().map(|point| point.answers).sum::<u64>(), seconds);
        assert_eq!(timeline.interval_s, 4.0);
        assert_eq!(timeline.points[0].answers, 4, "the intervals stay whole");
        let slowest = timeline.points.iter().map(|point| point.max_us).fold(0.0, f64::max);
        assert!((slowest - 10_000.0).abs() < 100.0, "{slowest}");
    }
}
