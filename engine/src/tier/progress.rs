//! How far a start has come, for whoever waits for it.
//!
//! ```text
//!   looking at segments | reading the checkpoint | reading footers | replaying the log
//!   a block each          its frames               what is live      chunks and footers behind the map
//! ```
//! What a step has to read is known when it begins, so the total grows from step to step: it is what is known so far.
//!
//! Promises: cheap to read and to write from any thread; what is done never passes the total. Never: an estimate of time.

use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest pause of a start that is slowed down: the delay may be taken back meanwhile.
const PAUSE_US_MAX: u64 = 10_000;

/// Progress of one start. Make one, hand it to `Engine::open_with`, look at it from elsewhere.
#[derive(Default)]
pub struct RecoveryProgress {
    step: RwLock<&'static str>,
    jobs_done: AtomicU64,
    jobs: AtomicU64,
    step_bytes: AtomicU64,
    /// Of all steps that are over.
    bytes_before: AtomicU64,
    records: AtomicU64,
    delay_us: AtomicU64,
}

impl RecoveryProgress {
    /// What is being done; empty before the start.
    pub fn step_name(&self) -> &'static str {
        *self.step.read()
    }

    /// Bytes that are done, and those that are known to be read at all.
    pub fn bytes(&self) -> (u64, u64) {
        let get = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (before, step, jobs) = (get(&self.bytes_before), get(&self.step_bytes), get(&self.jobs));
        let done = (u128::from(step) * u128::from(get(&self.jobs_done).min(jobs))).checked_div(u128::from(jobs));
        (before + done.unwrap_or(0) as u64, before + step)
    }

    /// Records that were met.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Test option (`key-load-delay`): each record takes so much longer, from now on.
    pub fn delay_records_us(&self, delay_us: u64) {
        self.delay_us.store(delay_us, Ordering::Relaxed);
    }

    /// A file of so many bytes is read from here on.
    pub fn enter_file(&self, step: &'static str, bytes: u64) {
        self.enter(step);
        self.expect(bytes as usize, bytes);
    }

    /// So many of its bytes are read, and `records` more records were met.
    pub fn reached(&self, bytes: u64, records: u64) {
        self.step(records);
        self.jobs_done.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn enter(&self, step: &'static str) {
        *self.step.write() = step;
        self.expect(0, 0);
        tracing::debug!(step, "recovery");
    }

    /// This step has so many jobs, which take so many bytes together.
    pub(crate) fn expect(&self, jobs: usize, bytes: u64) {
        self.jobs_done.store(0, Ordering::Relaxed);
        self.jobs.store(jobs as u64, Ordering::Relaxed);
        self.bytes_before.fetch_add(self.step_bytes.swap(bytes, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A job is done, and so many records were met in it.
    pub(crate) fn step(&self, records: u64) {
        self.steps(1, records);
    }

    /// So many jobs are done, and so many records were met in them.
    pub(crate) fn steps(&self, jobs: u64, records: u64) {
        let mut left = records;
        while left > 0 {
            let delay_us = self.delay_us.load(Ordering::Relaxed);
            let some = PAUSE_US_MAX.checked_div(delay_us).map_or(left, |some| some.clamp(1, left));
            if delay_us > 0 {
                std::thread::sleep(Duration::from_micros(some * delay_us));
            }
            self.records.fetch_add(some, Ordering::Relaxed);
            left -= some;
        }
        self.jobs_done.fetch_add(jobs, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_grows_with_the_jobs_and_never_passes_the_total() {
        let progress = RecoveryProgress::default();
        assert_eq!(progress.bytes(), (0, 0));
        progress.enter("one");
        progress.expect(4, 100);
        progress.step(7);
        assert_eq!((progress.step_name(), progress.bytes(), progress.records()), ("one", (25, 100), 7));
        progress.enter("two");
        assert_eq!(progress.bytes(), (100, 100), "a step that ends early is over all the same");
        progress.expect(1, 50);
        assert_eq!(progress.bytes(), (100, 150));
        progress.step(0);
        progress.step(0);
        assert_eq!((progress.bytes(), progress.records()), ((150, 150), 7));
    }
}
