//! How far a start has come, for whoever waits for it.
//!
//! Promises: cheap to read from any thread; a line in the log at each step and each tenth of it. Never: an estimate of time.

use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Progress of one start. Make one, hand it to `Engine::open_with`, look at it from elsewhere.
#[derive(Default)]
pub struct RecoveryProgress {
    step: RwLock<&'static str>,
    done: AtomicU64,
    total: AtomicU64,
}

impl RecoveryProgress {
    /// What is being done; empty before the start.
    pub fn step_name(&self) -> &'static str {
        *self.step.read()
    }

    /// How much of this step is done, in percent.
    pub fn percent(&self) -> u64 {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed) * 100).checked_div(total).map_or(100, |percent| percent.min(100))
    }

    pub(crate) fn enter(&self, step: &'static str) {
        *self.step.write() = step;
        self.expect(0);
        tracing::debug!(step, "recovery");
    }

    pub(crate) fn expect(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn step(&self) {
        let (done, total) = (self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total.load(Ordering::Relaxed));
        if total >= 100 && done.is_multiple_of(total / 10) {
            tracing::info!("{}: {done} of {total}", self.step_name());
        }
    }
}
