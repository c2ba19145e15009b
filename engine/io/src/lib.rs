//! The disk behind one completion-based seam.
//!
//! ```text
//!   Disk (a flat directory)          Queue (one per worker)
//!     open_directory ── uring          submit -> flush -> ... -> reap
//!                    └─ pool           buffers go in and come back
//!     MemoryDisk
//!     ShadowDisk (writes stay in memory: offline tools)
//!     FaultDisk (the disk that lies, for tests)
//! ```
//!
//! One of the two crates that may hold unsafe code: the ring, buffers the kernel writes to, and system calls.
//! It knows no record, no segment and no checksum, and it is the only crate that opens the database's files.

mod bounce;
mod buffer;
mod buffer_pool;
mod check;
#[expect(clippy::disallowed_methods, reason = "this crate is the seam to the disk")]
mod directory;
mod disk;
mod fault;
#[expect(clippy::disallowed_methods, reason = "this crate is the seam to the disk")]
mod lock;
#[expect(clippy::disallowed_methods, reason = "this crate is the seam to the disk")]
mod map;
mod memory;
mod open;
mod pool;
#[expect(clippy::disallowed_methods, reason = "this crate is the seam to the disk")]
mod probe;
#[cfg(feature = "tokio")]
mod readiness;
mod shadow;
#[expect(clippy::disallowed_methods, reason = "an eventfd takes a number in the machine's order")]
mod signal;
#[expect(clippy::disallowed_methods, reason = "a kernel setting is read from /proc")]
mod uring;
mod uring_queue;

pub use buffer::{BUFFER_ALIGN, Buffer};
pub use buffer_pool::BufferPool;
pub use disk::{
    BackendReport, Completion, Disk, Entry, FileId, Geometry, Operation, QUEUE_DEPTH_MAX, Queue, Request, WRITE_ALIGN,
};
pub use fault::{FaultDisk, Faults, Injected};
pub use lock::{DirectoryLock, lock_directory};
pub use map::MappedFile;
pub use memory::MemoryDisk;
pub use open::{BackendChoice, open_directory};
#[cfg(feature = "tokio")]
pub use readiness::Readiness;
pub use shadow::ShadowDisk;
