//! Waiting for a queue inside a tokio task (feature `tokio`).
//!
//! It holds a duplicate of the queue's descriptor, so it stays sound whatever becomes of the queue, and so that users need no
//! unsafe code of their own. The order that loses nothing: `ready().await`, then `clear_readiness`, then `reap`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Queue;

/// A queue's `poll_fd` in tokio's hands.
pub struct Readiness {
    descriptor: AsyncFd<OwnedFd>,
}

impl Readiness {
    /// Registers the queue's descriptor with the runtime of this thread. `None` for a queue without one.
    pub fn of(queue: &dyn Queue) -> io::Result<Option<Readiness>> {
        let Some(descriptor) = queue.poll_fd() else {
            return Ok(None);
        };
        // SAFETY: takes no pointers; a descriptor that is not open is answered with EBADF.
        let duplicate = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
        if duplicate < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, fresh, and known to nobody else.
        let duplicate = unsafe { OwnedFd::from_raw_fd(duplicate) };
        // SAFETY: an `OwnedFd` names the same open descriptor for as long as it lives, and it lives in the `AsyncFd`.
        let descriptor = unsafe { AsyncFd::register_with_interest(duplicate, Interest::READABLE) }?;
        Ok(Some(Readiness { descriptor }))
    }

    /// Returns when completions or a wake are pending; rarely without either. Safe to drop half-way.
    pub async fn ready(&self) -> io::Result<()> {
        self.descriptor.readable().await?.clear_ready();
        Ok(())
    }
}
