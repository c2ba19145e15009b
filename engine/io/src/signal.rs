//! The eventfd through which a queue's thread learns that something happened.
//!
//! One descriptor says both "a completion is there" (written by the kernel for a ring, by a thread of the pool) and "somebody
//! called the waker". A flag beside it keeps the two apart, so that `wait` does not sleep over a wake whose readiness was
//! drained together with old completions. It carries no data and loses no signal: many become one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A queue that is dropped sleeps this long at a time for what is in flight.
pub(crate) const DROP_SLEEP: Duration = Duration::from_millis(100);

/// It gives up after this many sleeps in a row in which nothing completed (30 seconds).
pub(crate) const DROP_SLEEPS_IDLE_MAX: u32 = 300;

/// A non-blocking eventfd and whether a wake is among what it says.
pub(crate) struct Signal {
    event: File,
    woken: AtomicBool,
}

impl Signal {
    pub(crate) fn new() -> io::Result<Arc<Signal>> {
        // SAFETY: takes no pointers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, fresh, and known to nobody else.
        let event = unsafe { File::from_raw_fd(descriptor) };
        Ok(Arc::new(Signal { event, woken: AtomicBool::new(false) }))
    }

    /// Makes the descriptor readable.
    pub(crate) fn raise(&self) {
        // The only failure is a counter near 2^64 (WouldBlock): it is readable then, which is all that is wanted.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
    }

    /// What the waker does.
    pub(crate) fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.raise();
    }

    /// The waker, as the queue hands it out.
    pub(crate) fn waker(self: &Arc<Self>) -> Arc<dyn Fn() + Send + Sync> {
        let signal = self.clone();
        Arc::new(move || signal.wake())
    }

    /// Whether there was a wake since the last time this or `clear` was called.
    pub(crate) fn take_wake(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    /// Makes the descriptor unreadable; a wake in it remains to be taken.
    pub(crate) fn drain(&self) {
        // Failing with WouldBlock means that there was nothing.
        let _ = (&self.event).read(&mut [0; 8]);
    }

    /// Sleeps until the descriptor is readable, the time is over, or a signal handler ran.
    pub(crate) fn sleep(&self, timeout: Duration) -> io::Result<()> {
        let mut entry = libc::pollfd { fd: self.event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let seconds = libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX);
        let timeout = libc::timespec { tv_sec: seconds, tv_nsec: timeout.subsec_nanos() as libc::c_long };
        // SAFETY: one pollfd and one timespec, both alive during the call; a null mask leaves the signal mask alone.
        let result = unsafe { libc::ppoll(&mut entry, 1, &timeout, ptr::null()) };
        let error = io::Error::last_os_error();
        if result < 0 && error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        Ok(())
    }
}

impl AsRawFd for Signal {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_survives_the_draining_of_its_readiness() {
        let signal = Signal::new().unwrap();
        signal.waker()();
        signal.drain();
        assert!(signal.take_wake());
        assert!(!signal.take_wake());
    }

    #[test]
    fn a_raised_signal_is_not_slept_over() {
        let signal = Signal::new().unwrap();
        signal.raise();
        signal.raise();
        signal.sleep(Duration::MAX).unwrap();
        signal.drain();
        signal.sleep(Duration::from_millis(1)).unwrap();
    }
}
