//! The disk without a ring: a few threads that call pread, pwrite and fdatasync, shared by the queues of one disk.
//!
//! Always there, on every kernel and in every sandbox. Costs two thread switches per request. At most `QUEUE_DEPTH_MAX`
//! requests of each queue wait for a thread; completions are handed back through a list per queue and its eventfd.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::check::{check_operation, end_of_file};
use crate::directory::{Directory, OpenFile};
use crate::signal::{DROP_SLEEP, DROP_SLEEPS_IDLE_MAX, Signal};
use crate::{Completion, FileId, Operation, QUEUE_DEPTH_MAX, Queue, Request};

const THREADS_MIN: usize = 4;
const THREADS_MAX: usize = 16;

/// The threads of one disk. They end, after the work at hand, when the disk and its last queue are gone.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    sleepers: Condvar,
}

#[derive(Default)]
struct Work {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    tag: u64,
    id: FileId,
    file: Arc<OpenFile>,
    operation: Operation,
    answers: Arc<Answers>,
}

/// The completions of one queue.
struct Answers {
    done: Mutex<Vec<Completion>>,
    signal: Arc<Signal>,
}

impl Answers {
    fn push(&self, completion: Completion) {
        let mut done = self.done.lock();
        let first = done.is_empty();
        done.push(completion);
        drop(done);
        // Later ones are reaped together with the first, whose signal comes after its push.
        if first {
            self.signal.raise();
        }
    }
}

/// Starts the threads: two per processor, within bounds.
pub(crate) fn start() -> io::Result<Arc<Threads>> {
    let count = thread::available_parallelism().map_or(THREADS_MIN, |processors| processors.get() * 2);
    let mut threads = Threads { shared: Arc::default(), handles: Vec::new() };
    for number in 0..count.clamp(THREADS_MIN, THREADS_MAX) {
        let shared = threads.shared.clone();
        threads.handles.push(thread::Builder::new().name(format!("disk-{number}")).spawn(move || shared.work())?);
    }
    Ok(Arc::new(threads))
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.work.lock().closed = true;
        self.shared.sleepers.notify_all();
        for handle in self.handles.drain(..) {
            // A thread that panicked has said so itself.
            let _ = handle.join();
        }
    }
}

impl Shared {
    /// The life of one thread.
    fn work(&self) {
        while let Some(job) = self.next() {
            let Job { tag, id, file, mut operation, answers } = job;
            let result = perform(&file, &mut operation);
            answers.push(Completion { tag, file: id, operation, result });
        }
    }

    fn next(&self) -> Option<Job> {
        let mut work = self.work.lock();
        loop {
            if let Some(job) = work.jobs.pop_front() {
                return Some(job);
            }
            if work.closed {
                return None;
            }
            self.sleepers.wait(&mut work);
        }
    }
}

fn perform(file: &OpenFile, operation: &mut Operation) -> io::Result<usize> {
    match operation {
        Operation::Read { offset, buffer } => read(file, *offset, buffer).map(|()| buffer.len()),
        Operation::Write { offset, buffer, bytes, durable } => {
            let from = &buffer[bytes.clone()];
            if *durable { write_durably(file, *offset, from) } else { file.file.write_all_at(from, *offset) }?;
            Ok(from.len())
        }
        Operation::Sync => file.file.sync_data().map(|()| 0),
    }
}

fn read(file: &OpenFile, offset: u64, into: &mut [u8]) -> io::Result<()> {
    file.file.read_exact_at(into, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => end_of_file(),
        // A short count at an unaligned end of file: direct I/O refuses to go on from there.
        io::ErrorKind::InvalidInput => end_of_file(),
        _ => error,
    })
}

/// `pwritev2` with RWF_DSYNC; where the kernel or the file system lacks it, a write and a sync.
fn write_durably(file: &OpenFile, offset: u64, from: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < from.len() {
        let rest = &from[done..];
        let part = libc::iovec { iov_base: rest.as_ptr() as *mut libc::c_void, iov_len: rest.len() };
        let at = (offset + done as u64) as libc::off_t;
        // SAFETY: one iovec over a slice that is borrowed during the call; the kernel only reads from it.
        let result = unsafe { libc::pwritev2(file.file.as_raw_fd(), &part, 1, at, libc::RWF_DSYNC) };
        if result > 0 {
            done += result as usize;
            continue;
        }
        if result == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => {
                file.file.write_all_at(rest, at as u64)?;
                return file.file.sync_data();
            }
            _ => return Err(error),
        }
    }
    Ok(())
}

/// A queue whose requests are carried out by the pool.
pub(crate) struct PoolQueue {
    files: Arc<Directory>,
    threads: Arc<Threads>,
    answers: Arc<Answers>,
    signal: Arc<Signal>,
    /// Submitted, and waiting for `flush`.
    staged: Vec<Job>,
    in_flight: usize,
}

impl PoolQueue {
    pub(crate) fn new(files: Arc<Directory>, threads: Arc<Threads>) -> io::Result<PoolQueue> {
        let signal = Signal::new()?;
        let answers = Arc::new(Answers { done: Mutex::default(), signal: signal.clone() });
        Ok(PoolQueue { files, threads, answers, signal, staged: Vec::new(), in_flight: 0 })
    }
}

impl Queue for PoolQueue {
    fn submit(&mut self, request: Request) -> Result<(), Request> {
        if self.in_flight == QUEUE_DEPTH_MAX {
            return Err(request);
        }
        self.in_flight += 1;
        let Request { tag, file: id, operation } = request;
        let checked = check_operation(self.files.geometry, &operation).and_then(|()| self.files.file(id));
        let answers = self.answers.clone();
        match checked {
            Ok(file) => self.staged.push(Job { tag, id, file, operation, answers }),
            Err(error) => answers.push(Completion { tag, file: id, operation, result: Err(error) }),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let count = self.staged.len();
        if count > 0 {
            self.threads.shared.work.lock().jobs.extend(self.staged.drain(..));
            for _ in 0..count.min(THREADS_MAX) {
                self.threads.shared.sleepers.notify_one();
            }
        }
        Ok(())
    }

    fn reap(&mut self, into: &mut Vec<Completion>) -> io::Result<usize> {
        let mut done = self.answers.done.lock();
        let count = done.len();
        into.append(&mut done);
        self.in_flight -= count;
        Ok(count)
    }

    fn wait(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize> {
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
        self.in_flight
    }
}

impl Drop for PoolQueue {
    /// Waits, so that nothing of this queue reaches the disk later. A system call that hangs is not waited for for ever.
    fn drop(&mut self) {
        self.in_flight -= self.staged.len();
        self.staged.clear();
        let (mut reaped, mut idle) = (Vec::new(), 0);
        while idle < DROP_SLEEPS_IDLE_MAX {
            let count = self.reap(&mut reaped).unwrap_or(0);
            if self.in_flight == 0 || self.signal.sleep(DROP_SLEEP).is_err() {
                break;
            }
            idle = if count > 0 { 0 } else { idle + 1 };
            reaped.clear();
            self.signal.drain();
        }
    }
}
