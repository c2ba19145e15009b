//! Tasks that are polled only when they are woken: a lost wake-up is a task that never ends, and is found.
//!
//! Promises: nothing runs by itself. Never: polls a task that nobody woke.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A future and whether it wants to be polled.
pub struct Task<'t, T> {
    future: Pin<Box<dyn Future<Output = T> + 't>>,
    flag: Arc<Flag>,
}

impl<'t, T> Task<'t, T> {
    /// A task that wants its first poll.
    pub fn new(future: impl Future<Output = T> + 't) -> Task<'t, T> {
        Task { future: Box::pin(future), flag: Arc::new(Flag(AtomicBool::new(true))) }
    }

    /// Does it want to be polled?
    pub fn woken(&self) -> bool {
        self.flag.0.load(Ordering::Acquire)
    }

    /// Polls it if it is woken.
    pub fn poll(&mut self) -> Option<T> {
        if !self.flag.0.swap(false, Ordering::AcqRel) {
            return None;
        }
        let waker = Waker::from(self.flag.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
