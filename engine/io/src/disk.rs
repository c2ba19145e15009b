//! The seam: what every disk behind the engine can do, and the words it is asked with.
//!
//! A `Disk` is a flat directory of named files. It has two sides. The blocking side (`read_at`, `write_at`, `sync`, names and
//! lengths) serves recovery and offline tools. The queue side serves workers: requests go in, completions come out, in any
//! order, and the buffers come back with them.
//!
//! What is promised by every disk is written once, as tests, in `tests/contract.rs`.
//!
//! A disk never interprets bytes, never orders two requests of one queue (only waiting for a completion orders them), and
//! never retries after an error of the device.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::Buffer;

/// The most requests one queue holds, from `submit` until their completion is reaped.
pub const QUEUE_DEPTH_MAX: usize = 256;

/// Queue writes begin and end on multiples of this, on every disk.
pub const WRITE_ALIGN: u32 = 4096;

/// A file of one disk, as long as that disk lives. Never reused by it.
#[derive(Clone, Copy, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct FileId(pub u32);

/// One line of `Disk::list`.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Entry {
    /// The file's name, without a folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// What the disk asks of queue requests.
#[derive(Clone, Copy, Eq, PartialEq, Debug)]
pub struct Geometry {
    /// Offsets and lengths of queue reads are multiples of this: 512 or 4096 for direct I/O, 1 through the page cache.
    pub read_align: u32,
    /// Offsets, lengths and buffer positions of queue writes are multiples of this.
    pub write_align: u32,
    /// Whether queue I/O goes past the page cache (`O_DIRECT`).
    pub direct: bool,
}

/// Which disk this is and why, for the log and for INFO.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct BackendReport {
    /// `uring`, `pool`, `memory` or `fault`.
    pub name: &'static str,
    /// Why this one was taken.
    pub reason: String,
    /// What an operator can change to get the better one, if there is one.
    pub cure: Option<String>,
    /// Whether queue I/O goes past the page cache.
    pub direct: bool,
    /// Whatever else is worth knowing, one sentence each.
    pub notes: Vec<String>,
}

/// What a request asks for.
#[derive(Debug)]
pub enum Operation {
    /// Fill the whole buffer (its length, not its capacity) from `offset`. Reaching the end of the file is `UnexpectedEof`.
    Read {
        /// Where in the file.
        offset: u64,
        /// Where to. Comes back in the completion, also after an error.
        buffer: Buffer,
    },
    /// Write a part of the buffer at `offset`.
    Write {
        /// Where in the file.
        offset: u64,
        /// Where from. Shared, so that readers may look into it while it is being written.
        buffer: Arc<Buffer>,
        /// Which part of the buffer.
        bytes: Range<usize>,
        /// Complete only when these bytes (and no others) are durable (`RWF_DSYNC`).
        durable: bool,
    },
    /// Make durable what had completed in this file before this was submitted (`fdatasync`).
    Sync,
}

/// One request to a queue.
#[derive(Debug)]
pub struct Request {
    /// The caller's number, returned as it came.
    pub tag: u64,
    /// Which file.
    pub file: FileId,
    /// What to do.
    pub operation: Operation,
}

/// The answer to one request.
#[derive(Debug)]
pub struct Completion {
    /// The request's tag.
    pub tag: u64,
    /// The request's file.
    pub file: FileId,
    /// The request's operation, with its buffer.
    pub operation: Operation,
    /// The bytes that went over (always all that were asked for; 0 for a sync), or why not.
    pub result: io::Result<usize>,
}

/// A named flat directory of files.
///
/// Names are plain: not empty, no `/`, no NUL, not `.` or `..`. The names `LOCK` and `PROBE.*` belong to this crate; they
/// are refused and not listed.
pub trait Disk: Send + Sync {
    /// Opens an existing file for reading and writing. `NotFound` if it is absent. The same name gives the same id.
    fn open(&self, name: &str) -> io::Result<FileId>;
    /// Makes a file of `bytes` zeros (an existing one is emptied first and keeps its id), allocated but not zero-written.
    /// The name and the length are durable on return. When it fails for want of
    /// space, no file of that name is left.
    fn create(&self, name: &str, bytes: u64) -> io::Result<FileId>;
    /// The files, sorted by name.
    fn list(&self) -> io::Result<Vec<Entry>>;
    /// Removes a file. Durable on return. Its id answers `NotFound` from now on.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, replacing `to` if it is there. Durable on return. The id of `from` keeps working.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// The file's length.
    fn length(&self, file: FileId) -> io::Result<u64>;
    /// Reads at any alignment, blocking. Short only at the end of the file. Sees every completed queue write.
    fn read_at(&self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `from` at any alignment, blocking, durable only after `sync`. Bytes of the same 4-KiB block must not be
    /// in flight in a queue meanwhile.
    fn write_at(&self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()>;
    /// Makes durable all that had completed in this file.
    fn sync(&self, file: FileId) -> io::Result<()>;
    /// Sets the length; new bytes are zeros. Durable on return.
    fn truncate(&self, file: FileId, bytes: u64) -> io::Result<()>;
    /// How many bytes files can still grow by.
    fn free_bytes(&self) -> io::Result<u64>;
    /// What queue requests must be aligned to.
    fn geometry(&self) -> Geometry;
    /// Which disk this is and why.
    fn backend(&self) -> BackendReport;
    /// A new queue, one per worker.
    fn queue(&self) -> io::Result<Box<dyn Queue>>;
}

/// One worker's submission and completion queue.
///
/// It may be made on one thread and moved to another before its first use. From then on it stays there (a ring belongs to the
/// thread that first submits); only dropping is allowed elsewhere. Dropping waits for what is in flight.
pub trait Queue: Send {
    /// Takes a request. `Err` gives it back untouched when `QUEUE_DEPTH_MAX` are in flight. A request that breaks the rules
    /// (alignment, unknown file) is taken, and completes with `InvalidInput` or `NotFound`.
    fn submit(&mut self, request: Request) -> Result<(), Request>;
    /// Hands what was submitted to the device. Nothing completes before this (or `wait`) is called.
    fn flush(&mut self) -> io::Result<()>;
    /// Appends the completions that are there, and says how many. Never waits.
    fn reap(&mut self, into: &mut Vec<Completion>) -> io::Result<usize>;
    /// Flushes, then waits for at least one completion, the waker, or the timeout. Rarely it returns 0 for no reason.
    fn wait(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize>;
    /// A function for other threads: makes `wait` return and `poll_fd` readable. Works for as long as it is kept.
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync>;
    /// A descriptor that is readable when completions or a wake are pending. `None` for disks without one.
    fn poll_fd(&self) -> Option<RawFd>;
    /// Makes `poll_fd` unreadable. Call it before `reap`, or a completion in between is slept over.
    fn clear_readiness(&mut self);
    /// Requests taken whose completion has not been reaped.
    fn in_flight(&self) -> usize;
}
