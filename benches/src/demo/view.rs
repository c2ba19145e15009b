//! What there is to see at a moment of the demo, made from the answers and from the server's words. Draws nothing.

use super::live::Live;
use super::watch::ServerState;
use crate::report::Shares;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// Points of the throughput picture: two minutes at two a second, more than any terminal is wide.
const HISTORY_MAX: usize = 240;

/// A hot set is new for so long.
const MOVE_SHOWN_S: f64 = 6.0;

/// Half of the answers, and 99 % of them, came within so many microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// 50 %.
    pub p50_us: u64,
    /// 99 %.
    pub p99_us: u64,
}

/// The moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Bytes of all values.
    pub data_bytes: u64,
    /// Number of keys.
    pub keys: u64,
    /// Keys loaded so far, while that goes.
    pub loaded: Option<u64>,
    /// Seconds of the mix so far, and in all.
    pub mix_s: (f64, f64),
    /// The server's words.
    pub server: Option<ServerState>,
    /// Reads from the SSD per second.
    pub ssd_reads_per_s: f64,
    /// Answers per second, the newest last.
    pub throughput: VecDeque<u64>,
    /// Where GETs came from since the last moment.
    pub shares: Option<Shares>,
    /// GETs from DRAM.
    pub hot: Option<Latency>,
    /// GETs from the SSD.
    pub cold: Option<Latency>,
    /// Requests in flight.
    pub in_flight: usize,
    /// The hot set has just moved.
    pub just_moved: bool,
    /// Wrong values, errors, lost keys.
    pub faults: u64,
    seen_s: f64,
    answers: u64,
    reads: Option<(f64, u64)>,
    mix_began_s: Option<f64>,
    moves: u64,
    moved_s: f64,
}

impl View {
    /// Before anything happened.
    pub fn new(data_bytes: u64, keys: u64, mix_s: f64) -> Self {
        Self { data_bytes, keys, mix_s: (0.0, mix_s), loaded: Some(0), ..Self::default() }
    }

    /// Looks at everything again.
    pub fn update(&mut self, now_s: f64, live: &Live, server: Option<ServerState>) {
        let elapsed_s = (now_s - self.seen_s).max(1e-3);
        self.seen_s = now_s;
        let answers = live.answers.load(Ordering::Relaxed);
        let mixing = live.mixing.load(Ordering::Relaxed);
        if mixing && self.mix_began_s.is_none() {
            self.mix_began_s = Some(now_s);
            self.answers = 0;
        }
        self.loaded = (!mixing).then_some(answers);
        self.mix_s.0 = self.mix_began_s.map_or(0.0, |began_s| now_s - began_s);
        if self.throughput.len() == HISTORY_MAX {
            self.throughput.pop_front();
        }
        self.throughput.push_back((answers.saturating_sub(self.answers) as f64 / elapsed_s) as u64);
        self.answers = answers;
        self.in_flight = live.in_flight();
        self.faults = live.faults.load(Ordering::Relaxed);
        if live.moves() != self.moves {
            (self.moves, self.moved_s) = (live.moves(), now_s);
        }
        self.just_moved = self.moves > 0 && now_s - self.moved_s < MOVE_SHOWN_S;
        self.look_at_window(live);
        self.look_at_server(now_s, server);
    }

    /// Seconds since the hot set moved or the mix began.
    pub fn steady_s(&self) -> f64 {
        self.seen_s - self.mix_began_s.unwrap_or(self.seen_s).max(self.moved_s)
    }

    fn look_at_window(&mut self, live: &Live) {
        let window = live.take();
        let latency = |histogram: &hdrhistogram::Histogram<u32>| {
            let at = |quantile| histogram.value_at_quantile(quantile);
            (!histogram.is_empty()).then(|| Latency { p50_us: at(0.5), p99_us: at(0.99) })
        };
        (self.hot, self.cold) = (latency(&window.hot), latency(&window.cold));
        let (hot, cold, miss) = (window.hot.len(), window.cold.len(), window.miss);
        let all = (hot + cold + miss) as f64;
        let share = |count: u64| count as f64 / all;
        self.shares = (all > 0.0).then(|| Shares { hot: share(hot), cold: share(cold), miss: share(miss) });
    }

    fn look_at_server(&mut self, now_s: f64, server: Option<ServerState>) {
        let Some(state) = server.filter(|state| Some(*state) != self.server) else { return };
        if let Some((before_s, before)) = self.reads {
            let reads = state.cold_reads.saturating_sub(before) as f64;
            self.ssd_reads_per_s = reads / (now_s - before_s).max(1e-3);
        }
        self.reads = Some((now_s, state.cold_reads));
        self.server = Some(state);
    }

    /// What one sees, in one sentence.
    pub fn explanation(&self) -> String {
        if self.faults > 0 {
            return format!("{} wrong values, errors or lost keys: the summary at the end says which.", self.faults);
        }
        if self.loaded.is_some() {
            return "Loading: values that do not fit into DRAM go to the SSD; no key is dropped.".to_owned();
        }
        if self.just_moved {
            return "The hot set has moved: its values lie on the SSD, so cold GETs rise until they are in DRAM again."
                .to_owned();
        }
        let (Some(shares), Some(server)) = (self.shares, self.server) else {
            return "Waiting for answers.".to_owned();
        };
        let in_dram = server.hot_keys as f64 / server.keys.max(1) as f64;
        format!(
            "DRAM holds the values of {:.1} % of the keys and serves {:.0} % of the GETs; each other GET costs {:.2} SSD reads.",
            in_dram * 100.0,
            shares.hot * 100.0,
            server.reads_per_cold_get
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Tier;

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let live = Live::new();
        let mut view = View::new(1 << 30, 1_000, 60.0);
        let state = |cold_reads| Some(ServerState { cold_reads, keys: 1_000, hot_keys: 50, ..ServerState::default() });
        live.answers.store(500, Ordering::Relaxed);
        view.update(0.5, &live, state(0));
        assert_eq!((view.loaded, view.throughput.back()), (Some(500), Some(&1_000)));
        live.mixing.store(true, Ordering::Relaxed);
        live.answers.store(300, Ordering::Relaxed);
        live.answered(Some(Tier::Hot), 10_000);
        live.answered(Some(Tier::Cold), 90_000);
        view.update(1.0, &live, state(40));
        assert_eq!((view.loaded, view.throughput.back()), (None, Some(&600)));
        assert_eq!(view.ssd_reads_per_s, 80.0);
        assert_eq!(view.shares, Some(Shares { hot: 0.5, cold: 0.5, miss: 0.0 }));
        assert!(view.explanation().contains("5.0 % of the keys"), "{}", view.explanation());
        live.move_hot_set();
        view.update(1.5, &live, None);
        assert!(view.explanation().contains("moved"));
        view.update(9.0, &live, None);
        assert!(!view.just_moved && view.steady_s() > 7.0);
    }
}
