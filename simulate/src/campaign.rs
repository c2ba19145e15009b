//! Many seeds, on all cores, until one fails.
//!
//! Promises: a panic in the engine is a failure of its seed, with the panic's words. Never: a failing seed without its number.

use crate::plan::{Profile, Settings};
use crate::report::Report;
use crate::world::run_seed;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use thermocline::planted::Bug;

thread_local! {
    static WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub words: String,
}

/// What a campaign did.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds run.
    pub seeds: u64,
    /// Sums over all runs.
    pub report: Report,
    /// Failures, by seed.
    pub failures: Vec<Failure>,
}

/// A range of seeds.
#[derive(Copy, Clone, Debug)]
pub struct Campaign {
    /// First seed.
    pub start: u64,
    /// How many.
    pub seeds: u64,
    /// How each is run.
    pub settings: Settings,
    /// Threads.
    pub threads: usize,
    /// Go on after a failure, up to so many.
    pub failures_max: usize,
}

/// Panics are kept as words instead of printed: a run's failure is told once, with its seed.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|info| WORDS.with(|w| *w.borrow_mut() = info.to_string().replace('\n', " "))));
}

/// Runs a seed; a panic is a failure.
pub fn try_seed(seed: u64, settings: &Settings) -> Result<Report, Failure> {
    match catch_unwind(AssertUnwindSafe(|| run_seed(seed, settings))) {
        Ok(result) => result.map_err(|words| Failure { seed, words }),
        Err(payload) => {
            let told = WORDS.with(|w| std::mem::take(&mut *w.borrow_mut()));
            let plain = payload.downcast_ref::<&str>().map_or_else(|| "a panic".to_owned(), |s| (*s).to_owned());
            Err(Failure { seed, words: if told.is_empty() { plain } else { told } })
        }
    }
}

impl Campaign {
    /// Runs it. `progress` is called with each finished seed.
    pub fn run(&self, progress: impl Fn(u64) + Sync) -> Tally {
        let (next, stop) = (AtomicU64::new(self.start), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        let running: Vec<AtomicU64> = (0..self.threads.max(1)).map(|_| AtomicU64::new(IDLE)).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| watch(&running));
            for mine in &running {
                let (next, stop, tally, progress) = (&next, &stop, &tally, &progress);
                scope.spawn(move || {
                    let _done = Done(mine);
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.start + self.seeds {
                            return;
                        }
                        mine.store(seed, Ordering::Relaxed);
                        let outcome = try_seed(seed, &self.settings);
                        let mut tally = tally.lock().unwrap_or_else(|e| e.into_inner());
                        tally.seeds += 1;
                        match outcome {
                            Ok(report) => tally.report.add(&report),
                            Err(failure) => tally.failures.push(failure),
                        }
                        if tally.failures.len() >= self.failures_max.max(1) {
                            stop.store(true, Ordering::Relaxed);
                        }
                        progress(tally.seeds);
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(|e| e.into_inner());
        tally.failures.sort_by_key(|f| f.seed);
        tally
    }
}

/// No seed.
const IDLE: u64 = u64::MAX;
/// The thread has ended.
const ENDED: u64 = u64::MAX - 1;
/// A seed takes milliseconds; one that takes this long hangs in one step of the engine.
const HANGS_AFTER_SECONDS: u32 = 60;

struct Done<'d>(&'d AtomicU64);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }
}

/// A seed that hangs inside one poll cannot be stopped, only told.
fn watch(running: &[AtomicU64]) {
    let mut seen: Vec<(u64, u32)> = vec![(IDLE, 0); running.len()];
    let mut ticks = 0u64;
    while running.iter().any(|r| r.load(Ordering::Relaxed) != ENDED) {
        std::thread::sleep(Duration::from_millis(20));
        ticks += 1;
        if !ticks.is_multiple_of(50) {
            continue;
        }
        for (now, (seed, seconds)) in running.iter().map(|r| r.load(Ordering::Relaxed)).zip(&mut seen) {
            *seconds = if now == *seed { *seconds + 1 } else { 0 };
            *seed = now;
            if *seconds > HANGS_AFTER_SECONDS && now < ENDED {
                println!("seed {now} FAILED: HANGS in one step");
                std::process::exit(1);
            }
        }
    }
}

/// How many seeds a planted bug needs until it is noticed, and how; `None` if it is not within `seeds_max`. A bug in what is said
/// of damage needs a disk that does some.
pub fn seeds_until_found(
    bug: Bug,
    settings: Settings,
    start: u64,
    seeds_max: u64,
    threads: usize,
) -> Option<(u64, Failure)> {
    let profile = if bug == Bug::QuietDamage { Profile::Media } else { settings.profile };
    let settings = Settings { profile, bug: Some(bug), trace: false, ..settings };
    let campaign = Campaign { start, seeds: seeds_max, settings, threads, failures_max: 1 };
    let tally = campaign.run(|_| {});
    tally.failures.first().map(|f| (f.seed - start + 1, f.clone()))
}
