//! Time from outside: the engine asks a [`Clock`], so that a test can turn it.
//!
//! Promises: wall time for expiry, monotonic time for ages and latencies. Never: `Instant::now` anywhere else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the engine gets the time.
pub trait Clock: Send + Sync {
    /// Wall clock, milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Monotonic microseconds since an arbitrary start.
    fn monotonic_us(&self) -> u64;
}

/// The machine's clock.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic side starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    pub fn new() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }

    fn monotonic_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

/// A clock that a test turns by hand. Both sides move together.
#[derive(Default)]
pub struct ManualClock {
    us: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `ms` milliseconds.
    pub fn at_ms(ms: u64) -> Self {
        ManualClock { us: AtomicU64::new(ms * 1000) }
    }

    /// Moves the time forward.
    pub fn advance_us(&self, us: u64) {
        self.us.fetch_add(us, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.us.load(Ordering::Relaxed) / 1000
    }

    fn monotonic_us(&self) -> u64 {
        self.us.load(Ordering::Relaxed)
    }
}
