//! Wakes the client at the moment when the next request is due: finer than the milliseconds of a poll's own timeout.

use anyhow::Result;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

const SECOND_NS: u64 = 1_000_000_000;

/// A timer that a poll hears.
pub struct Alarm {
    timer: OwnedFd,
    armed_ns: Option<u64>,
}

impl Alarm {
    /// A timer that is not set.
    pub fn new(registry: &Registry, token: Token) -> Result<Self> {
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, armed_ns: None })
    }

    /// It has rung; it may be set to the same moment again.
    pub fn rung(&mut self) {
        self.armed_ns = None;
    }

    /// Rings at this moment of the run, which lies ahead of `now_ns`.
    pub fn set(&mut self, due_ns: u64, now_ns: u64) -> Result<()> {
        if self.armed_ns == Some(due_ns) {
            return Ok(());
        }
        let wait_ns = due_ns.saturating_sub(now_ns).max(1);
        let wait = Timespec { tv_sec: (wait_ns / SECOND_NS) as i64, tv_nsec: (wait_ns % SECOND_NS) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: wait };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed_ns = Some(due_ns);
        Ok(())
    }
}
