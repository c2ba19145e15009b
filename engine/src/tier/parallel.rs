//! Work over numbered jobs on several threads, for recovery.
//!
//! Promises: with one thread everything runs on the calling one, in order (a simulator repeats it); the first error ends it.
//! Never: leaves a thread behind.

use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Runs `work` for each job number below `jobs`; `state` makes what each thread keeps for itself, and all of them come back.
pub(crate) fn in_parallel<S: Send>(
    threads: usize,
    jobs: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<()> + Sync,
) -> Result<Vec<S>> {
    if threads <= 1 || jobs <= 1 {
        let mut mine = state();
        (0..jobs).try_for_each(|job| work(&mut mine, job))?;
        return Ok(vec![mine]);
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let run = || {
        let mut mine = state();
        while !failed.load(Ordering::Relaxed) {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                break;
            }
            if let Err(error) = work(&mut mine, job) {
                failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(mine)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(jobs)).map(|_| scope.spawn(run)).collect();
        let mut states = vec![run()];
        for other in others {
            states.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        states.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn every_job_is_done_once_and_an_error_comes_back() {
        for threads in [1, 3] {
            let states = in_parallel(threads, 100, Vec::new, |mine, job| {
                mine.push(job);
                Ok(())
            });
            let mut jobs = states.unwrap().concat();
            jobs.sort_unstable();
            assert_eq!(jobs, (0..100).collect::<Vec<_>>());
            let failed = in_parallel(threads, 100, || (), |_, job| if job == 7 { Err(Error::Closed) } else { Ok(()) });
            assert!(matches!(failed, Err(Error::Closed)));
        }
    }
}
