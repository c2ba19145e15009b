//! What the client's thread and the screen tell each other while the demo goes.
//!
//! Bounded: two small histograms that the screen empties twice a second, and a few counters.

use crate::wire::Tier;
use hdrhistogram::Histogram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Most requests in flight that the keys can ask for.
pub const IN_FLIGHT_MAX: usize = 256;

const IN_FLIGHT_AT_FIRST: usize = 16;
const LATENCY_US_MAX: u64 = 60_000_000;

/// The answers since the screen looked last.
pub struct Window {
    /// Latencies of GETs from DRAM, in microseconds.
    pub hot: Histogram<u32>,
    /// Latencies of GETs from the SSD.
    pub cold: Histogram<u32>,
    /// GETs of keys that are not there.
    pub miss: u64,
}

impl Default for Window {
    fn default() -> Self {
        let empty = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 2).expect("bounds in order");
        Self { hot: empty(), cold: empty(), miss: 0 }
    }
}

/// Both directions.
#[derive(Default)]
pub struct Live {
    window: Mutex<Window>,
    in_flight: AtomicUsize,
    moves: AtomicU64,
    over: AtomicBool,
    /// Answers of this pass so far.
    pub answers: AtomicU64,
    /// The load is done, the mix goes.
    pub mixing: AtomicBool,
    /// Wrong values, errors and lost keys so far.
    pub faults: AtomicU64,
}

impl Live {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self { in_flight: AtomicUsize::new(IN_FLIGHT_AT_FIRST), ..Self::default() }
    }

    /// Counts a GET.
    pub fn answered(&self, tier: Option<Tier>, latency_ns: u64) {
        let mut window = self.window.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match tier {
            Some(Tier::Hot) => window.hot.saturating_record(latency_ns / 1_000),
            Some(Tier::Cold) => window.cold.saturating_record(latency_ns / 1_000),
            Some(Tier::Miss) => window.miss += 1,
            None => {}
        }
    }

    /// Takes what was counted since the last time.
    pub fn take(&self) -> Window {
        std::mem::take(&mut *self.window.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Requests that may be in flight at once.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Doubles the load, or halves it.
    pub fn change_load(&self, more: bool) {
        let now = self.in_flight();
        let then = if more { now * 2 } else { now / 2 };
        self.in_flight.store(then.clamp(1, IN_FLIGHT_MAX), Ordering::Relaxed);
    }

    /// How often the hot set has moved.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Moves the hot set.
    pub fn move_hot_set(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks the mix to end as planned.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_came_since_the_last_one() {
        let live = Live::new();
        live.answered(Some(Tier::Hot), 50_000);
        live.answered(Some(Tier::Cold), 90_000);
        live.answered(None, 1);
        let window = live.take();
        assert_eq!((window.hot.len(), window.cold.len(), window.miss), (1, 1, 0));
        assert_eq!(live.take().hot.len(), 0);
    }

    #[test]
    fn the_load_stays_within_its_bounds() {
        let live = Live::new();
        (0..20).for_each(|_| live.change_load(true));
        assert_eq!(live.in_flight(), IN_FLIGHT_MAX);
        (0..20).for_each(|_| live.change_load(false));
        assert_eq!(live.in_flight(), 1);
    }
}
