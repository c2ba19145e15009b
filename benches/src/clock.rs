//! The client's clock: nanoseconds since the run began. The only place of this crate that reads the machine's time.

use std::time::Instant;

/// Counts from its creation.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Begins to count.
    #[expect(clippy::disallowed_methods, reason = "a load generator measures real time")]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// Nanoseconds since the start.
    pub fn nanoseconds(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}
