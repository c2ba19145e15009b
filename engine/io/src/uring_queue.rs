//! One worker's io_uring.
//!
//! ```text
//!   submit ──> slot (owns buffer and file) ──staged──> flush ──> submission ring ──> kernel
//!                 ^                                                                   │
//!              resubmit the rest of a short one                              completion ring, eventfd
//!                 └───────────────────── reap <───────────────────────────────────────┘
//! ```
//!
//! Promises: what the kernel may touch (buffer, descriptor) is owned by a slot from before it is pushed until its completion is
//! taken from the ring, whatever happens to the queue in between; dropping the queue waits for the kernel, and if the kernel
//! does not answer, leaks the slots rather than freeing them under it.
//!
//! The ring is made by the first `flush`, because it belongs to the thread that makes it (SINGLE_ISSUER). Completions are
//! announced through a registered eventfd, which is also what the waker writes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use io_uring::{EnterFlags, IoUring, opcode, squeue, types};

use crate::check::{check_operation, end_of_file};
use crate::directory::{Directory, OpenFile};
use crate::signal::{DROP_SLEEP, DROP_SLEEPS_IDLE_MAX, Signal};
use crate::uring::build_ring;
use crate::{Completion, FileId, Operation, QUEUE_DEPTH_MAX, Queue, Request};

/// How often `flush` tries again when the kernel is short of memory, 100 us apart.
const BUSY_RETRIES_MAX: u32 = 100;

/// The longest sleep in the ring; a longer one is several.
const SLEEP_MAX: Duration = Duration::from_secs(86_400);

/// How often one request is started again after EINTR or EAGAIN.
const RESTARTS_MAX: u32 = 100;

pub(crate) struct UringQueue {
    files: Arc<Directory>,
    signal: Arc<Signal>,
    ring: Option<IoUring>,
    /// Taken out only by `drop`.
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Slots to push at the next flush.
    staged: Vec<u32>,
    /// Slots pushed whose completion has not been taken from the ring.
    pushed: usize,
    /// Completions that never went to the kernel.
    refused: VecDeque<Completion>,
}

struct Slot {
    tag: u64,
    id: FileId,
    file: Arc<OpenFile>,
    operation: Operation,
    done: usize,
    restarts: u32,
}

/// What to do with a slot after a completion of the kernel.
enum Outcome {
    Finished(io::Result<usize>),
    Again,
}

fn another_thread() -> io::Error {
    io::Error::other("a queue stays on the thread that first used it")
}

impl UringQueue {
    pub(crate) fn new(files: Arc<Directory>) -> io::Result<UringQueue> {
        Ok(UringQueue {
            files,
            signal: Signal::new()?,
            ring: None,
            slots: (0..QUEUE_DEPTH_MAX).map(|_| None).collect(),
            free: (0..QUEUE_DEPTH_MAX as u32).rev().collect(),
            staged: Vec::with_capacity(QUEUE_DEPTH_MAX),
            pushed: 0,
            refused: VecDeque::new(),
        })
    }

    /// Moves staged slots into the submission ring.
    fn push_staged(&mut self) -> io::Result<()> {
        if self.ring.is_none() {
            let (ring, _) = build_ring(QUEUE_DEPTH_MAX as u32)?;
            ring.submitter().register_eventfd(self.signal.as_raw_fd())?;
            self.ring = Some(ring);
        }
        let ring = self.ring.as_mut().expect("made just now");
        let mut submission = ring.submission();
        for index in self.staged.drain(..) {
            let slot = self.slots[index as usize].as_mut().expect("a staged slot is taken");
            let entry = slot.entry().user_data(u64::from(index));
            // SAFETY: the entry points into the slot's buffer and to the slot's descriptor. The slot owns both and stays in
            // `slots` until this entry's completion is reaped or, on drop, until the kernel is done or the slots are leaked.
            // The buffer's bytes do not move with the slot, and nobody else can write to them meanwhile: a read's buffer is
            // owned, a write's is behind an `Arc`.
            let pushed = unsafe { submission.push(&entry) };
            pushed.expect("the ring has an entry for each slot");
            self.pushed += 1;
        }
        Ok(())
    }

    /// Enters the kernel until it has taken every pushed entry.
    fn enter(&mut self) -> io::Result<()> {
        let Some(ring) = &mut self.ring else {
            return Ok(());
        };
        let mut busy = 0;
        while !ring.submission().is_empty() {
            match ring.submit() {
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::EBUSY) if busy < BUSY_RETRIES_MAX => {
                        busy += 1;
                        thread::sleep(Duration::from_micros(100));
                    }
                    Some(libc::EEXIST) => {
                        return Err(another_thread());
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Whether nobody else can end this queue's sleep: no waker is out there, and what is in flight is with the kernel.
    fn is_alone(&self) -> bool {
        let waits_in_ring = self.ring.as_ref().is_some_and(|ring| ring.params().is_feature_ext_arg());
        Arc::strong_count(&self.signal) == 1 && self.refused.is_empty() && self.in_flight() > 0 && waits_in_ring
    }

    /// Submits, sleeps and takes what has come in one call of the kernel.
    fn wait_alone(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize> {
        if !self.staged.is_empty() {
            self.push_staged()?;
        }
        let Some(ring) = &self.ring else {
            return Ok(0);
        };
        let timeout = types::Timespec::from(timeout.min(SLEEP_MAX));
        let arguments = types::SubmitArgs::new().timespec(&timeout);
        match ring.submitter().submit_with_args(1, &arguments).map_err(|error| (error.raw_os_error(), error)) {
            // What the kernel did not take for want of memory is handed over by the next call.
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY), _)) => self.reap(into),
            Err((Some(libc::EEXIST), _)) => Err(another_thread()),
            Err((_, error)) => Err(error),
        }
    }

    /// Takes all completions from the ring; unfinished ones are staged again.
    fn take_completions(&mut self, into: &mut Vec<Completion>) -> io::Result<()> {
        let Some(ring) = &mut self.ring else {
            return Ok(());
        };
        let submission = ring.submission();
        let work_waits = submission.taskrun() || submission.cq_overflow();
        drop(submission);
        if work_waits {
            // SAFETY: no argument is passed; it only lets the kernel post the completions that wait for this thread.
            match unsafe { ring.submitter().enter::<libc::sigset_t>(0, 0, EnterFlags::GETEVENTS.bits(), None) } {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        for entry in ring.completion() {
            self.pushed -= 1;
            let index = entry.user_data() as u32;
            let place = &mut self.slots[index as usize];
            let slot = place.as_mut().expect("a completion belongs to a taken slot");
            match slot.advance(entry.result(), self.files.geometry.read_align) {
                Outcome::Again => self.staged.push(index),
                Outcome::Finished(result) => {
                    let Slot { tag, id, operation, .. } = place.take().expect("looked at just now");
                    self.free.push(index);
                    into.push(Completion { tag, file: id, operation, result });
                }
            }
        }
        Ok(())
    }
}

impl Slot {
    /// The kernel's entry for what is still to do.
    fn entry(&self) -> squeue::Entry {
        let fd = types::Fd(self.file.file.as_raw_fd());
        let done = self.done;
        match &self.operation {
            Operation::Read { offset, buffer } => {
                assert!(done < buffer.len());
                // SAFETY: `done` is inside the buffer's allocation.
                let start = unsafe { buffer.start().add(done) };
                let bytes = (buffer.len() - done) as u32;
                opcode::Read::new(fd, start.as_ptr(), bytes).offset(offset + done as u64).build()
            }
            Operation::Write { offset, buffer, bytes, durable } => {
                assert!(bytes.end <= buffer.len() && done < bytes.len());
                // SAFETY: `bytes` was checked to be inside the buffer, and `done` to be inside `bytes`.
                let start = unsafe { buffer.start().add(bytes.start + done) };
                let flags = if *durable { libc::RWF_DSYNC } else { 0 };
                let rest = (bytes.len() - done) as u32;
                opcode::Write::new(fd, start.as_ptr(), rest).offset(offset + done as u64).rw_flags(flags).build()
            }
            Operation::Sync => opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build(),
        }
    }

    fn advance(&mut self, result: i32, read_align: u32) -> Outcome {
        if result < 0 {
            self.restarts += 1;
            return match -result {
                libc::EINTR | libc::EAGAIN if self.restarts <= RESTARTS_MAX => Outcome::Again,
                code => Outcome::Finished(Err(io::Error::from_raw_os_error(code))),
            };
        }
        self.done += result as usize;
        let (wanted, align) = match &self.operation {
            Operation::Read { buffer, .. } => (buffer.len(), read_align),
            Operation::Write { bytes, .. } => (bytes.len(), crate::WRITE_ALIGN),
            Operation::Sync => return Outcome::Finished(Ok(0)),
        };
        if self.done == wanted {
            return Outcome::Finished(Ok(wanted));
        }
        if result > 0 && self.done.is_multiple_of(align as usize) {
            return Outcome::Again;
        }
        Outcome::Finished(Err(match &self.operation {
            Operation::Read { .. } => end_of_file(),
            Operation::Write { .. } | Operation::Sync => io::ErrorKind::WriteZero.into(),
        }))
    }
}

impl Queue for UringQueue {
    fn submit(&mut self, request: Request) -> Result<(), Request> {
        if self.in_flight() >= QUEUE_DEPTH_MAX {
            return Err(request);
        }
        let Request { tag, file: id, operation } = request;
        match check_operation(self.files.geometry, &operation).and_then(|()| self.files.file(id)) {
            Ok(file) => {
                let index = self.free.pop().expect("fewer slots are taken than there are");
                self.slots[index as usize] = Some(Slot { tag, id, file, operation, done: 0, restarts: 0 });
                self.staged.push(index);
            }
            Err(error) => {
                self.refused.push_back(Completion { tag, file: id, operation, result: Err(error) });
                self.signal.raise();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.staged.is_empty() {
            self.push_staged()?;
        }
        self.enter()
    }

    fn reap(&mut self, into: &mut Vec<Completion>) -> io::Result<usize> {
        let before = into.len();
        into.extend(self.refused.drain(..));
        let unflushed = self.staged.len();
        self.take_completions(into)?;
        if self.staged.len() > unflushed {
            self.flush()?;
        }
        Ok(into.len() - before)
    }

    fn wait(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize> {
        if self.is_alone() {
            return self.wait_alone(timeout, into);
        }
        self.flush()?;
        self.signal.drain();
        let count = self.reap(into)?;
        if count > 0 || self.signal.take_wake() {
            return Ok(count);
        }
        self.signal.sleep(timeout)?;
        self.clear_readiness();
        self.reap(into)
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.signal.waker()
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.signal.as_raw_fd())
    }

    fn clear_readiness(&mut self) {
        self.signal.drain();
        self.signal.take_wake();
    }

    fn in_flight(&self) -> usize {
        QUEUE_DEPTH_MAX - self.free.len() + self.refused.len()
    }
}

impl Drop for UringQueue {
    fn drop(&mut self) {
        // What is staged, here or in the ring, is never handed over; only what the kernel took is waited for.
        let untaken = self.ring.as_mut().map_or(0, |ring| ring.submission().len());
        let (mut reaped, mut idle) = (Vec::new(), 0);
        while idle < DROP_SLEEPS_IDLE_MAX {
            let before = self.pushed;
            if self.take_completions(&mut reaped).is_err() || self.pushed == untaken {
                break;
            }
            idle = if self.pushed < before { 0 } else { idle + 1 };
            reaped.clear();
            if self.signal.sleep(DROP_SLEEP).is_err() {
                break;
            }
            self.signal.drain();
        }
        if self.pushed != untaken {
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::Buffer;

    fn slot(operation: Operation) -> Slot {
        let file = tempfile::tempfile().unwrap();
        let file = Arc::new(OpenFile { file, rewriting: Mutex::new(()) });
        Slot { tag: 1, id: FileId(0), file, operation, done: 0, restarts: 0 }
    }

    fn error_of(outcome: Outcome) -> io::ErrorKind {
        match outcome {
            Outcome::Finished(result) => result.unwrap_err().kind(),
            Outcome::Again => panic!("not finished"),
        }
    }

    #[test]
    fn a_short_completion_is_resumed_where_it_stopped() {
        let mut read = slot(Operation::Read { offset: 0, buffer: Buffer::new(8192) });
        assert!(matches!(read.advance(512, 512), Outcome::Again));
        assert_eq!(read.done, 512);
        assert!(matches!(read.advance(8192 - 512, 512), Outcome::Finished(Ok(8192))));
        let operation =
            Operation::Write { offset: 0, buffer: Arc::new(Buffer::new(8192)), bytes: 0..8192, durable: false };
        let mut write = slot(operation);
        assert!(matches!(write.advance(4096, 512), Outcome::Again));
        assert!(matches!(write.advance(4096, 512), Outcome::Finished(Ok(8192))));
    }

    #[test]
    fn what_cannot_be_resumed_is_an_error() {
        let read = || slot(Operation::Read { offset: 0, buffer: Buffer::new(8192) });
        assert_eq!(error_of(read().advance(0, 512)), io::ErrorKind::UnexpectedEof);
        assert_eq!(error_of(read().advance(700, 512)), io::ErrorKind::UnexpectedEof);
        let operation =
            Operation::Write { offset: 0, buffer: Arc::new(Buffer::new(4096)), bytes: 0..4096, durable: false };
        assert_eq!(error_of(slot(operation).advance(0, 512)), io::ErrorKind::WriteZero);
    }

    #[test]
    fn an_interrupted_request_is_started_again_but_not_for_ever() {
        let mut sync = slot(Operation::Sync);
        for _ in 0..RESTARTS_MAX {
            assert!(matches!(sync.advance(-libc::EINTR, 512), Outcome::Again));
        }
        assert_eq!(error_of(sync.advance(-libc::EINTR, 512)), io::ErrorKind::Interrupted);
        assert_eq!(slot(Operation::Sync).advance(-libc::EIO, 512).raw(), Some(libc::EIO));
    }

    impl Outcome {
        fn raw(self) -> Option<i32> {
            match self {
                Outcome::Finished(Err(error)) => error.raw_os_error(),
                Outcome::Finished(Ok(_)) | Outcome::Again => None,
            }
        }
    }
}
