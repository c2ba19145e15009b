//! Waits for a future on the calling thread, for callers without a runtime.
//!
//! A thread that has taken over a store's driver ([`DrivenHere`]) drives it while it waits: no other thread is needed, or woken.
//!
//! Promises: the thread sleeps until it is woken. Never: to be used on a worker that drives the store (nobody would wake it).

use crate::driver::Driver;
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// A completion ends the sleep of who drives; this only bounds it.
const SLEEP_MAX: Duration = Duration::from_millis(10);

thread_local! {
    static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
}

/// A store is driven by this thread whenever it waits in [`block_on`], as long as this lives. One store at a time.
pub(crate) struct DrivenHere(PhantomData<*const ()>);

impl DrivenHere {
    pub(crate) fn new(driver: Driver) -> DrivenHere {
        driver.enter();
        DRIVER.set(Some(driver));
        DrivenHere(PhantomData)
    }
}

impl Drop for DrivenHere {
    fn drop(&mut self) {
        DRIVER.take();
    }
}

/// Who waits, and whether it was woken since it last looked.
struct Waiting {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Waiting {
    /// Drives the store of this thread, if it has one, or sleeps.
    fn wait(&self) {
        DRIVER.with_borrow_mut(|driver| match driver {
            None => std::thread::park(),
            Some(driver) => {
                if !driver.turn().progressed && !self.woken.load(Ordering::Acquire) {
                    driver.wait(SLEEP_MAX);
                }
            }
        });
    }
}

/// Runs a future to its end, parking the thread while it waits. The store must be driven elsewhere
/// ([`crate::Engine::spawn_driver`]), unless it is a part of a snapshot.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waiting = Arc::new(Waiting { thread: std::thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(waiting.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending if waiting.woken.swap(false, Ordering::AcqRel) => {}
            Poll::Pending => waiting.wait(),
        }
    }
}
