//! Callers as futures on one thread: a fixed number of them, polled when woken, and whoever drives the disk in between.
//!
//! A caller whose answers are all at hand would never let anybody else run: after a few steps it gives way. Bounded: the
//! list of callers to poll holds each at most a few times (a caller that is woken twice is polled twice, which is harmless).

use super::book::Pass;
use super::caller;
use super::target::Target;
use parking_lot::Mutex;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use thermocline::Driver;

/// Steps of all callers together between two looks at the disk.
const STEPS_PER_ROUND: usize = 64;

/// How long a thread sleeps that nobody wakes.
const SLEEP_MAX: Duration = Duration::from_millis(10);

/// Lets a caller give way.
pub struct Turns {
    given_way: Cell<bool>,
    left: Cell<usize>,
}

impl Turns {
    /// A caller has done a step: after some, the others come first.
    pub async fn done_one(&self) {
        let left = self.left.get();
        if left > 1 {
            return self.left.set(left - 1);
        }
        let mut waited = false;
        poll_fn(|_| {
            if waited {
                return Poll::Ready(());
            }
            waited = true;
            self.given_way.set(true);
            Poll::Pending
        })
        .await;
    }
}

/// What carries the disk's requests while the callers wait.
pub trait Carrier {
    /// One bounded round; true when there may be more to do at once.
    fn turn(&mut self) -> bool;
    /// Sleeps until something has come.
    fn sleep(&mut self);
    /// Ends a sleep, from any thread.
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync>;
}

/// Nobody: for a target that never waits.
pub struct Nobody;

impl Carrier for Nobody {
    fn turn(&mut self) -> bool {
        false
    }

    fn sleep(&mut self) {}

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        Arc::new(|| {})
    }
}

/// An engine's driver.
pub struct Driving<'d> {
    /// The driver; the thread has entered it.
    pub driver: &'d mut Driver,
    /// When it wants to be called again.
    pub next_wake: Option<Duration>,
}

impl Carrier for Driving<'_> {
    fn turn(&mut self) -> bool {
        let turn = self.driver.turn();
        self.next_wake = turn.next_wake;
        turn.progressed
    }

    fn sleep(&mut self) {
        self.driver.wait(self.next_wake.unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.driver.queue().waker()
    }
}

/// A caller under way.
type Caller<'c> = Pin<Box<dyn Future<Output = ()> + 'c>>;

/// Callers that were woken, and whether the thread sleeps.
struct Woken {
    callers: Mutex<Vec<usize>>,
    asleep: AtomicBool,
    wake_thread: Arc<dyn Fn() + Send + Sync>,
}

struct CallerWaker {
    number: usize,
    woken: Arc<Woken>,
}

impl Wake for CallerWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.callers.lock().push(self.number);
        if self.woken.asleep.swap(false, Ordering::SeqCst) {
            (self.woken.wake_thread)();
        }
    }
}

/// Runs so many callers of a target to the end of the pass.
pub fn run<T: Target>(target: &T, pass: &Pass, callers: usize, stop: &AtomicBool, mut carrier: impl Carrier) {
    let burst = (STEPS_PER_ROUND / callers).max(1);
    let turns = Turns { given_way: Cell::new(false), left: Cell::new(burst) };
    let woken = Arc::new(Woken {
        callers: Mutex::new(Vec::with_capacity(callers)),
        asleep: AtomicBool::new(false),
        wake_thread: carrier.waker(),
    });
    let waker = |number| Waker::from(Arc::new(CallerWaker { number, woken: woken.clone() }));
    let mut futures: Vec<Option<(Caller<'_>, Waker)>> = (0..callers)
        .map(|number| {
            let caller: Caller<'_> = Box::pin(caller::work(target, pass, &turns, stop));
            Some((caller, waker(number)))
        })
        .collect();
    let mut live = callers;
    let mut ready: Vec<usize> = (0..callers).collect();
    let mut gave_way = Vec::with_capacity(callers);
    loop {
        for number in ready.drain(..) {
            let Some((future, waker)) = &mut futures[number] else { continue };
            turns.left.set(burst);
            match future.as_mut().poll(&mut Context::from_waker(waker)) {
                Poll::Ready(()) => {
                    futures[number] = None;
                    live -= 1;
                }
                Poll::Pending if turns.given_way.take() => gave_way.push(number),
                Poll::Pending => {}
            }
        }
        if live == 0 {
            return;
        }
        let progressed = carrier.turn();
        ready.append(&mut gave_way);
        ready.append(&mut woken.callers.lock());
        if ready.is_empty() && !progressed {
            woken.asleep.store(true, Ordering::SeqCst);
            if woken.callers.lock().is_empty() {
                carrier.sleep();
            }
            woken.asleep.store(false, Ordering::SeqCst);
        }
    }
}
