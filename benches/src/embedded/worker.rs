//! The threads of a run: each owns a driver for the engine's whole life, works on the passes, and drives on in between.
//!
//! A driver's queue belongs to the thread that first used it, and the first driver does the background work: so threads live
//! from the opening of the store to its closing, and passes are handed to them.

use super::EngineArguments;
use super::book::Pass;
use super::executor::{self, Carrier as _, Driving};
use super::store::Store;
use crate::tally::Tally;
use anyhow::{Result, bail};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;
use thermocline::{Driver, Engine};

/// How often the progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// All threads.
pub struct Crew<'scope> {
    threads: Vec<Thread<'scope>>,
    done: Receiver<()>,
}

struct Thread<'scope> {
    orders: Sender<Pass>,
    wake: Arc<dyn Fn() + Send + Sync>,
    handle: ScopedJoinHandle<'scope, ()>,
}

impl<'scope> Crew<'scope> {
    /// Starts the threads; they drive the engine from now on.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        engine: &Engine,
        arguments: &EngineArguments,
        stop: &'env AtomicBool,
    ) -> Result<Self> {
        let (finished, done) = channel();
        let mut threads = Vec::new();
        for _ in 0..arguments.threads {
            let driver = engine.driver()?;
            let wake = driver.queue().waker();
            let (orders, received) = channel();
            let store = Store::new(engine.clone());
            let finished = finished.clone();
            let callers = arguments.concurrency as usize;
            let handle = scope.spawn(move || live(driver, &store, callers, stop, &received, &finished));
            threads.push(Thread { orders, wake, handle });
        }
        Ok(Self { threads, done })
    }

    /// Runs a pass on all threads to its end.
    pub fn run(&self, pass: &Pass, mut show: impl FnMut(&Tally)) -> Result<()> {
        for thread in &self.threads {
            if thread.orders.send(pass.clone()).is_err() {
                bail!("a thread of the engine has ended");
            }
            (thread.wake)();
        }
        let mut left = self.threads.len();
        while left > 0 {
            match self.done.recv_timeout(SHOWN_EVERY) {
                Ok(()) => left -= 1,
                Err(RecvTimeoutError::Timeout) => {
                    if self.threads.iter().any(|thread| thread.handle.is_finished()) {
                        bail!("a thread of the engine has ended in the middle");
                    }
                    pass.book(|book| show(&book.tally));
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the threads of the engine have ended"),
            }
        }
        Ok(())
    }

    /// Ends the threads; the engine must be closed.
    pub fn end(self) -> Result<()> {
        for Thread { orders, wake, handle } in self.threads {
            drop(orders);
            wake();
            if handle.join().is_err() {
                bail!("a thread of the engine panicked");
            }
        }
        Ok(())
    }
}

fn live(
    mut driver: Driver,
    store: &Store,
    callers: usize,
    stop: &AtomicBool,
    orders: &Receiver<Pass>,
    finished: &Sender<()>,
) {
    driver.enter();
    loop {
        match orders.try_recv() {
            Ok(pass) => {
                executor::run(store, &pass, callers, stop, Driving { driver: &mut driver, next_wake: None });
                // Before it is told: the pass must be nobody else's then.
                drop(pass);
                if finished.send(()).is_err() {
                    return;
                }
            }
            Err(TryRecvError::Empty) => {
                let mut driving = Driving { driver: &mut driver, next_wake: None };
                if !driving.turn() {
                    driving.sleep();
                }
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}
