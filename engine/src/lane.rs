//! Lanes: where the engine leaves its requests for the disk, one lane per worker. The engine itself never touches a queue:
//! a [`crate::Driver`] (or a simulator) carries requests to the disk and completions back.
//!
//! Promises: each request carries a tag that finds its job again, exactly once. Never: I/O under a latch (a lane is a list).

use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thermocline_io::{FileId, Operation, Request};

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Wakes the driver of a lane.
pub type LaneWaker = Arc<dyn Fn() + Send + Sync>;

struct Lane {
    requests: Mutex<Vec<Request>>,
    waker: Mutex<Option<LaneWaker>>,
}

/// All lanes, and the jobs of the requests under way.
pub struct Lanes<J> {
    lanes: Box<[Lane]>,
    jobs: Mutex<Jobs<J>>,
    next: AtomicUsize,
}

struct Jobs<J> {
    slots: Vec<Option<J>>,
    free: Vec<usize>,
}

impl<J> Lanes<J> {
    /// `count` lanes.
    pub fn new(count: usize) -> Self {
        Lanes {
            lanes: (0..count.max(1)).map(|_| Lane { requests: Mutex::default(), waker: Mutex::default() }).collect(),
            jobs: Mutex::new(Jobs { slots: Vec::new(), free: Vec::new() }),
            next: AtomicUsize::new(0),
        }
    }

    /// Marks this thread as the worker of `lane`.
    pub fn enter(&self, lane: usize) {
        CURRENT.with(|c| c.set(lane));
    }

    /// A lane number for a new driver.
    pub fn assign(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len()
    }

    /// Who is called when a request arrives in an empty lane.
    pub fn set_waker(&self, lane: usize, waker: LaneWaker) {
        *self.lanes[lane].waker.lock() = Some(waker);
    }

    /// Leaves a request in this thread's lane (another thread's requests go to lane 0).
    pub fn submit(&self, file: FileId, operation: Operation, job: J) {
        let tag = {
            let mut jobs = self.jobs.lock();
            match jobs.free.pop() {
                Some(slot) => {
                    jobs.slots[slot] = Some(job);
                    slot
                }
                None => {
                    jobs.slots.push(Some(job));
                    jobs.slots.len() - 1
                }
            }
        };
        let current = CURRENT.with(Cell::get);
        let lane = &self.lanes[if current < self.lanes.len() { current } else { 0 }];
        let first = {
            let mut requests = lane.requests.lock();
            requests.push(Request { tag: tag as u64, file, operation });
            requests.len() == 1
        };
        if first {
            self.wake(lane);
        }
    }

    fn wake(&self, lane: &Lane) {
        let waker = lane.waker.lock().clone();
        if let Some(waker) = waker {
            waker();
        }
    }

    /// Wakes the driver of a lane to do background work.
    pub fn nudge(&self, lane: usize) {
        self.wake(&self.lanes[lane]);
    }

    /// Takes what waits in `lane`.
    pub fn take(&self, lane: usize, into: &mut Vec<Request>) {
        into.append(&mut self.lanes[lane].requests.lock());
    }

    /// Puts requests back in front (the queue was full).
    pub fn put_back(&self, lane: usize, requests: Vec<Request>) {
        let mut waiting = self.lanes[lane].requests.lock();
        let later = std::mem::replace(&mut *waiting, requests);
        waiting.extend(later);
    }

    /// Finds the job of a completed request.
    pub fn finish(&self, tag: u64) -> J {
        let mut jobs = self.jobs.lock();
        let slot = tag as usize;
        let job = jobs.slots.get_mut(slot).and_then(Option::take);
        jobs.free.push(slot);
        drop(jobs);
        job.expect("a tag completes once")
    }

    /// Number of lanes.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }
}
