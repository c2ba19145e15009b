//! One worker's queue to the lying disk. Completions come from `FaultDisk::step` alone, or from waiting for them.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::GEOMETRY;
use super::state::{Outstanding, Shared};
use crate::check::check_operation;
use crate::{Completion, QUEUE_DEPTH_MAX, Queue, Request};

pub(super) struct FaultQueue {
    state: Shared,
    /// Its name in `State::queues`; after a crash it is not there any more, and this queue is dead.
    number: u64,
    staged: Vec<Outstanding>,
    refused: Vec<Completion>,
    /// Neither refused nor reaped.
    taken: usize,
    woken: Arc<AtomicBool>,
}

impl FaultQueue {
    pub(super) fn new(state: Shared) -> FaultQueue {
        let mut locked = state.lock();
        let number = locked.queues_made;
        locked.queues_made += 1;
        locked.queues.insert(number, Vec::new());
        drop(locked);
        FaultQueue { state, number, staged: Vec::new(), refused: Vec::new(), taken: 0, woken: Arc::default() }
    }
}

impl Queue for FaultQueue {
    fn submit(&mut self, request: Request) -> Result<(), Request> {
        if self.in_flight() >= QUEUE_DEPTH_MAX {
            return Err(request);
        }
        let Request { tag, file, operation } = request;
        let mut state = self.state.lock();
        let checked = if state.queues.contains_key(&self.number) {
            check_operation(GEOMETRY, &operation).and_then(|()| state.file(file).map(|_| ()))
        } else {
            Err(io::Error::new(io::ErrorKind::BrokenPipe, "this queue died in a crash"))
        };
        match checked {
            Ok(()) => {
                let covers_below = state.write_number;
                self.staged.push(Outstanding { queue: self.number, tag, file, operation, done: 0, covers_below });
                self.taken += 1;
            }
            Err(error) => self.refused.push(Completion { tag, file, operation, result: Err(error) }),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.queues.contains_key(&self.number) {
            state.outstanding.append(&mut self.staged);
        } else {
            self.staged.clear();
        }
        Ok(())
    }

    fn reap(&mut self, into: &mut Vec<Completion>) -> io::Result<usize> {
        let before = into.len();
        into.append(&mut self.refused);
        if let Some(done) = self.state.lock().queues.get_mut(&self.number) {
            self.taken -= done.len();
            into.append(done);
        }
        Ok(into.len() - before)
    }

    /// Never sleeps: steps the disk until something of this queue completes or nothing is outstanding. A zero timeout takes no
    /// step.
    fn wait(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize> {
        self.flush()?;
        loop {
            let count = self.reap(into)?;
            if count > 0 || self.woken.swap(false, Ordering::AcqRel) || timeout.is_zero() || !self.state.lock().step() {
                return Ok(count);
            }
        }
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let woken = self.woken.clone();
        Arc::new(move || woken.store(true, Ordering::Release))
    }

    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn clear_readiness(&mut self) {
        self.woken.store(false, Ordering::Release);
    }

    fn in_flight(&self) -> usize {
        let living = self.state.lock().queues.contains_key(&self.number);
        self.refused.len() + if living { self.taken } else { 0 }
    }
}

impl Drop for FaultQueue {
    /// As on a real disk, what was flushed happens first.
    fn drop(&mut self) {
        let mut state = self.state.lock();
        while let Some(index) = state.outstanding.iter().position(|request| request.queue == self.number) {
            let request = state.outstanding.swap_remove(index);
            state.carry_out(request);
        }
        state.queues.remove(&self.number);
    }
}
