//! Thermocline, embedded: all outstanding requests are futures on one thread, which also drives the store.
//!
//! Promises: no thread of its own; the driver gets a turn after each round of the callers. Never: a request left unpolled
//! after its wake.

use crate::settings::Plan;
use crate::store::{Key, Store};
use anyhow::{Context as _, Result};
use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use thermocline::{
    Access, Attempt, Changes, Driver, Durability, Engine, Expiry, Kind, Options, SpaceId, SystemClock, Turn,
};
use thermocline_io::{BackendChoice, open_directory};

/// Below this the engine asks for its test option.
const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// How long the thread sleeps when neither a caller nor the driver knows better.
const SLEEP_MAX: Duration = Duration::from_millis(10);

/// The embedded engine and its driver.
pub struct Thermocline {
    engine: Engine,
    driver: Mutex<Driver>,
    space: SpaceId,
    settings: Vec<String>,
}

impl Thermocline {
    /// Opens or makes a store.
    pub fn open(directory: &Path, plan: &Plan) -> Result<Self> {
        let disk = open_directory(directory, BackendChoice::Auto)?;
        let options = Options {
            max_memory: plan.dram_bytes,
            max_disk: (plan.data_bytes() * 2).max(64 << 20),
            durability: Durability::EverySecond,
            databases: 1,
            seed: plan.seed,
            tiny: plan.dram_bytes < MEMORY_BYTES_MIN,
            ..Options::default()
        };
        let settings = vec![
            format!("max_memory {} (index, values, buffers: everything)", options.max_memory),
            format!("max_disk {}", options.max_disk),
            "durability everysec, S3-FIFO".to_owned(),
            "callers are futures on one thread, which also drives the store".to_owned(),
        ];
        let engine = Engine::open(disk, options, Arc::new(SystemClock::new()))?;
        let backend = engine.backend();
        let direct = if backend.direct { "direct I/O" } else { "NO direct I/O here" };
        let settings = [settings, vec![format!("I/O backend {}, {direct}", backend.name)]].concat();
        let driver = Mutex::new(engine.driver()?);
        Ok(Self { space: engine.space(0), engine, driver, settings })
    }
}

impl Store for Thermocline {
    fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    async fn get<R: Send>(&self, key: &Key, mut see: impl FnMut(Option<&[u8]>) -> R + Send) -> Result<R> {
        let key = self.engine.key(self.space, &key.0);
        let mut changes = Changes::new(1);
        let mut body =
            |views: &[Option<thermocline::View<'_>>], _: &mut Changes<'_>| see(views[0].map(|view| view.value));
        match self.engine.try_run(&key, Access::Read, &mut changes, &mut body) {
            Attempt::Ready(result, _) => Ok(result),
            Attempt::Later(later) => {
                let (result, _) = self.engine.finish(later, &key, Access::Read, &mut changes, &mut body).await?;
                Ok(result)
            }
            Attempt::Refused(error) => Err(error.into()),
        }
    }

    async fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let key = self.engine.key(self.space, &key.0);
        let mut changes = Changes::new(1);
        self.engine
            .run(&[(key, Access::Overwrite)], &mut changes, |_, changes| {
                changes.put(0, Kind::String, value, Expiry::Clear);
            })
            .await?;
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let engine = self.engine.clone();
        let flushed = self.drive(vec![async move { engine.durable(engine.stats().last_seq).await }])?;
        flushed.into_iter().try_for_each(|result| result).context("flushing the log")
    }

    fn close(self) -> Result<()> {
        let engine = self.engine.clone();
        let closed = self.drive(vec![async move { engine.close().await.map(|_| ()) }])?;
        closed.into_iter().try_for_each(|result| result).context("closing the store")
    }

    fn dram_bytes(&self) -> Option<u64> {
        Some(self.engine.stats().memory_bytes)
    }

    fn drive<F>(&self, callers: Vec<F>) -> Result<Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut driver = self.driver.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
        driver.enter();
        Ok(run_on(&mut *driver, callers))
    }
}

/// What a round needs of the driver: a disk that turns.
trait Turns {
    fn turn(&mut self) -> Turn;
    fn wait(&mut self, at_most: Duration);
}

impl Turns for Driver {
    fn turn(&mut self) -> Turn {
        Driver::turn(self)
    }

    fn wait(&mut self, at_most: Duration) {
        Driver::wait(self, at_most);
    }
}

/// Callers whose wakes have come.
type Ready = Arc<Mutex<VecDeque<usize>>>;

struct CallerWaker {
    number: usize,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for CallerWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.lock().expect("no panic under this lock").push_back(self.number);
        }
    }
}

/// Polls the callers that are ready, lets the driver turn, sleeps when nobody has anything to do.
fn run_on<F: Future>(driver: &mut impl Turns, callers: Vec<F>) -> Vec<F::Output> {
    let ready: Ready = Arc::new(Mutex::new((0..callers.len()).collect()));
    let wakers: Vec<Arc<CallerWaker>> = (0..callers.len())
        .map(|number| Arc::new(CallerWaker { number, queued: AtomicBool::new(true), ready: ready.clone() }))
        .collect();
    let mut callers: Vec<Option<Pin<Box<F>>>> = callers.into_iter().map(|caller| Some(Box::pin(caller))).collect();
    let mut outputs: Vec<Option<F::Output>> = callers.iter().map(|_| None).collect();
    let mut left = callers.len();
    let mut round = VecDeque::new();
    while left > 0 {
        std::mem::swap(&mut round, &mut *ready.lock().expect("no panic under this lock"));
        let idle = round.is_empty();
        for number in round.drain(..) {
            wakers[number].queued.store(false, Ordering::Release);
            let Some(caller) = &mut callers[number] else { continue };
            let waker = Waker::from(wakers[number].clone());
            if let Poll::Ready(output) = caller.as_mut().poll(&mut Context::from_waker(&waker)) {
                outputs[number] = Some(output);
                callers[number] = None;
                left -= 1;
            }
        }
        let turn = driver.turn();
        let nothing_woken = ready.lock().expect("no panic under this lock").is_empty();
        if idle && !turn.progressed && nothing_woken {
            driver.wait(turn.next_wake.unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
        }
    }
    outputs.into_iter().map(|output| output.expect("every caller has ended")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that answers one caller per wait.
    struct OneByOne(Arc<Mutex<VecDeque<Waker>>>);

    impl Turns for OneByOne {
        fn turn(&mut self) -> Turn {
            Turn::default()
        }

        fn wait(&mut self, _: Duration) {
            let waker = self.0.lock().unwrap().pop_front();
            waker.expect("somebody waits").wake();
        }
    }

    #[test]
    fn callers_that_wait_are_polled_again_after_their_wake() {
        let waiting = Arc::new(Mutex::new(VecDeque::new()));
        let callers: Vec<_> = (0..5)
            .map(|number| {
                let waiting = waiting.clone();
                async move {
                    for _ in 0..3 {
                        let mut asked = false;
                        std::future::poll_fn(|context| {
                            if std::mem::replace(&mut asked, true) {
                                return Poll::Ready(());
                            }
                            waiting.lock().unwrap().push_back(context.waker().clone());
                            Poll::Pending
                        })
                        .await;
                    }
                    number
                }
            })
            .collect();
        assert_eq!(run_on(&mut OneByOne(waiting), callers), [0, 1, 2, 3, 4]);
    }
}
