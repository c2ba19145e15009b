//! Drives a store: carries requests to a disk queue and completions back, and does the background work.
//!
//! The engine has no threads. Each worker owns a [`Driver`]; one of them (whoever comes first) does the background work in
//! small pieces: flushing, GC, maps, expiry, sweeping, keeping the arena in its limit, preparing segments.
//!
//! Promises: a turn is bounded; background tasks are futures polled only when woken or due. Never: blocks, except in
//! [`Driver::wait`].

use crate::engine::{Engine, Inner};
use crate::error::Error;
use crate::log::segment_name;
use crate::options::{ADVISED_NOTES_PER_STEP, Durability, READY_SEGMENTS, REMOVAL_RESERVE_SEGMENTS};
use crate::tier::checkpoint::Due;
use crate::tier::compact::Gain;
use crate::tier::expire::ExpiryWalk;
use crate::tier::sweep::yield_now;
use crate::wait::next_period;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use thermocline_io::{Buffer, Completion, Operation, Queue, Request};

/// Bytes zeroed by one write while a segment is prepared (`always`).
const ZERO_BYTES: usize = 256 << 10;
/// Pace of the periodic work.
const TICK_US: u64 = 1_000;
const ADVICE_US: u64 = 10_000;
const KEEPER_US: u64 = 20_000;
const EXPIRY_US: u64 = 100_000;
/// Cells per shard that may stay put aside between commands.
const RESERVED_KEPT: usize = 64;

/// What a turn did.
#[derive(Copy, Clone, Debug, Default)]
pub struct Turn {
    /// Something was submitted, completed or worked on.
    pub progressed: bool,
    /// When the driver wants to be called again even if nothing wakes it.
    pub next_wake: Option<Duration>,
}

/// One worker's driver.
pub struct Driver {
    inner: Arc<Inner>,
    lane: usize,
    queue: Box<dyn Queue>,
    background: Option<Background>,
    requests: Vec<Request>,
    completions: Vec<Completion>,
}

impl Engine {
    /// A driver for the calling worker. One per worker; the first one also does the background work.
    ///
    /// # Errors
    /// The disk gives no queue.
    pub fn driver(&self) -> io::Result<Driver> {
        let queue = self.inner.log.disk.queue()?;
        let lane = self.inner.lanes.assign();
        self.inner.lanes.set_waker(lane, queue.waker());
        let first = !self.inner.background_taken.swap(true, Ordering::AcqRel);
        let background = first.then(|| Background::new(self));
        Ok(Driver { inner: self.inner.clone(), lane, queue, background, requests: Vec::new(), completions: Vec::new() })
    }

    /// The background work alone, for a simulator that schedules it itself.
    pub fn background(&self) -> Background {
        self.inner.background_taken.store(true, Ordering::Release);
        Background::new(self)
    }

    /// Starts a thread that drives the store, for embedding without a runtime. It ends when the store is closed.
    ///
    /// # Errors
    /// The disk gives no queue, or the thread cannot be started.
    pub fn spawn_driver(&self) -> io::Result<std::thread::JoinHandle<()>> {
        let mut driver = self.driver()?;
        std::thread::Builder::new().name("thermocline-io".into()).spawn(move || {
            driver.enter();
            while !driver.inner.finished.load(Ordering::Acquire) {
                let turn = driver.turn();
                if !turn.progressed {
                    driver.wait(turn.next_wake.unwrap_or(Duration::from_millis(10)));
                }
            }
        })
    }
}

impl Driver {
    /// Marks the calling thread as this driver's worker: requests made on it go to this driver.
    pub fn enter(&self) {
        self.inner.lanes.enter(self.lane);
    }

    /// Replaces who is woken when requests arrive (a runtime's own waker is cheaper than the queue's).
    pub fn set_waker(&self, waker: Arc<dyn Fn() + Send + Sync>) {
        self.inner.lanes.set_waker(self.lane, waker);
    }

    /// Completions, background work, submissions: one bounded round.
    pub fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        if let Err(error) = self.queue.reap(&mut self.completions) {
            tracing::error!(%error, "the disk queue does not answer");
        }
        turn.progressed |= self.deliver();
        if self.inner.log.is_ripe() {
            self.inner.pump(false);
        }
        if let Some(background) = &mut self.background {
            let (worked, next) = background.step();
            turn.progressed |= worked;
            turn.next_wake = Some(next);
        }
        turn.progressed |= self.submit();
        turn
    }

    fn deliver(&mut self) -> bool {
        let any = !self.completions.is_empty();
        for completion in self.completions.drain(..) {
            self.inner.complete(completion);
        }
        any
    }

    fn submit(&mut self) -> bool {
        self.inner.lanes.take(self.lane, &mut self.requests);
        if self.requests.is_empty() {
            return false;
        }
        let mut rest = Vec::new();
        for request in self.requests.drain(..) {
            if rest.is_empty() {
                if let Err(request) = self.queue.submit(request) {
                    rest.push(request);
                }
            } else {
                rest.push(request);
            }
        }
        if !rest.is_empty() {
            self.inner.lanes.put_back(self.lane, rest);
        }
        if let Err(error) = self.queue.flush() {
            tracing::error!(%error, "requests could not be handed to the disk");
        }
        true
    }

    /// A descriptor that becomes readable when a completion or a wake is there.
    pub fn poll_fd(&self) -> Option<RawFd> {
        self.queue.poll_fd()
    }

    /// The queue itself (to make its readiness a runtime's).
    pub fn queue(&self) -> &dyn Queue {
        &*self.queue
    }

    /// Forgets past readiness; call before [`Driver::turn`].
    pub fn clear_readiness(&mut self) {
        self.queue.clear_readiness();
    }

    /// Blocks until a completion, a wake or the timeout.
    pub fn wait(&mut self, timeout: Duration) {
        if let Err(error) = self.queue.wait(timeout, &mut self.completions) {
            tracing::error!(%error, "the disk queue does not answer");
        }
        self.deliver();
    }
}

/// A background task and whether it wants to be polled.
struct Task {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    flag: Arc<Flag>,
    period_us: u64,
    due_us: u64,
}

struct Flag {
    woken: AtomicBool,
    inner: Weak<Inner>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Some(inner) = self.inner.upgrade()
        {
            inner.lanes.nudge(0);
        }
    }
}

/// The background work of a store.
pub struct Background {
    inner: Arc<Inner>,
    tasks: Vec<Task>,
    ticked_us: u64,
}

impl Background {
    fn new(engine: &Engine) -> Self {
        let inner = &engine.inner;
        let task = |period_us, future: Pin<Box<dyn Future<Output = ()> + Send>>| Task {
            future,
            flag: Arc::new(Flag { woken: AtomicBool::new(true), inner: Arc::downgrade(inner) }),
            period_us,
            due_us: 0,
        };
        let mut tasks = vec![
            task(TICK_US, Box::pin(prepare_segments(Arc::downgrade(inner)))),
            task(TICK_US, Box::pin(collect_garbage(Arc::downgrade(inner)))),
            task(KEEPER_US, Box::pin(heal(Arc::downgrade(inner)))),
            task(EXPIRY_US, Box::pin(expire(Arc::downgrade(inner)))),
            task(EXPIRY_US, Box::pin(sweep(Arc::downgrade(inner)))),
            task(KEEPER_US, Box::pin(keep(Arc::downgrade(inner)))),
            task(TICK_US, Box::pin(keep_maps(Arc::downgrade(inner)))),
            task(TICK_US, Box::pin(keep_hot_set(Arc::downgrade(inner)))),
        ];
        if inner.advising.is_on() {
            tasks.push(task(ADVICE_US, Box::pin(advise(Arc::downgrade(inner)))));
        }
        Background { inner: inner.clone(), tasks, ticked_us: 0 }
    }

    /// Polls the tasks that are woken or due. Returns whether one worked, and when to come back.
    pub fn step(&mut self) -> (bool, Duration) {
        let now_us = self.inner.clock.monotonic_us();
        let mut worked = false;
        for number in 0..self.tasks.len() {
            worked |= self.step_task(number, now_us);
        }
        if now_us.saturating_sub(self.ticked_us) >= TICK_US * 5 {
            self.ticked_us = now_us;
            self.inner.pump(false);
            if self.inner.log.room.is_waited_for() {
                self.inner.log.room.notify();
            }
        }
        let busy = self.inner.log.room.is_waited_for()
            || self.inner.needs_gc()
            || self.inner.pacing.load(Ordering::Acquire)
            || self.inner.log.has_unflushed();
        (worked, Duration::from_micros(if busy { TICK_US * 5 } else { EXPIRY_US }))
    }

    /// How many tasks there are, for a simulator.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Polls one task if it is woken or due.
    pub fn step_task(&mut self, number: usize, now_us: u64) -> bool {
        let task = &mut self.tasks[number];
        let woken = task.flag.woken.swap(false, Ordering::AcqRel);
        if !woken && now_us < task.due_us {
            return false;
        }
        if now_us >= task.due_us {
            task.due_us = now_us + task.period_us;
        }
        let waker = Waker::from(task.flag.clone());
        let _ = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        woken
    }
}

/// Few segments are ready, and there are some without a file yet.
fn wants_segments(inner: &Inner) -> bool {
    let (ready, absent) = inner.log.free_segments();
    absent > 0 && ready < READY_SEGMENTS + REMOVAL_RESERVE_SEGMENTS.min(absent)
}

async fn prepare_segments(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        // A shutdown still appends what is dirty: segments are made until the store is frozen.
        if wants_segments(&inner) && !inner.frozen.load(Ordering::Acquire) {
            prepare_one(&inner).await;
            yield_now().await;
        } else {
            drop(inner);
            next_period().await;
        }
    }
}

async fn prepare_one(inner: &Arc<Inner>) {
    let Some(segment) = inner.log.take_absent() else { return };
    let name = segment_name(segment);
    let made = match inner.log.disk.create(&name, u64::from(inner.log.segment_bytes)) {
        Ok(file) => zero(inner, file).await.map(|()| file),
        Err(error) => Err(error),
    };
    match made {
        Ok(file) => {
            inner.log.segments[segment as usize].set_file(file);
            if inner.starved.write().take().is_some() {
                tracing::info!("space is back: writes go on");
            }
            inner.log.give_ready(segment);
        }
        Err(error) => {
            inner.log.give_absent(segment);
            let (ready, _) = inner.log.free_segments();
            if ready <= REMOVAL_RESERVE_SEGMENTS {
                let mut starved = inner.starved.write();
                if starved.is_none() {
                    tracing::error!(%name, %error, "no room for another segment; growing writes are refused until there is");
                }
                *starved = Some(format!("{name} could not be created: {error}"));
                drop(starved);
                inner.log.room.notify();
            }
            inner.gc_wanted.store(true, Ordering::Release);
            next_period().await;
        }
    }
}

/// `always` flushes each group on its own: unwritten extents would cost a journal commit per flush, so the segment is written
/// once before it is used.
async fn zero(inner: &Arc<Inner>, file: thermocline_io::FileId) -> io::Result<()> {
    if inner.log.mode.log() != Durability::Always {
        return Ok(());
    }
    let bytes = ZERO_BYTES.min(inner.log.segment_bytes as usize);
    let mut buffer = Buffer::new(bytes);
    buffer.set_len(bytes);
    let buffer = Arc::new(buffer);
    for offset in (0..u64::from(inner.log.segment_bytes)).step_by(bytes) {
        let operation = Operation::Write { offset, buffer: buffer.clone(), bytes: 0..bytes, durable: false };
        inner.request(file, operation).await.result?;
    }
    inner.request(file, Operation::Sync).await.result.map(|_| ())
}

async fn collect_garbage(inner: Weak<Inner>) {
    let mut gain = Gain::default();
    while let Some(inner) = inner.upgrade() {
        if inner.gc_futile.load(Ordering::Acquire) && !gain.has_moved(&inner) {
            drop(inner);
            next_period().await;
            continue;
        }
        if inner.needs_gc() || inner.is_waited_for_room() {
            match inner.collect().await {
                Ok(freed) => {
                    let idle = freed == 0 && inner.maps.lock().victims.is_empty();
                    // A writer that only waits for a file to be made (a slow disk) must not be told that all is full.
                    inner.gc_stuck.store(idle && !wants_segments(&inner), Ordering::Release);
                    inner.gc_futile.store(gain.is_over(&inner), Ordering::Release);
                    if idle {
                        drop(inner);
                        next_period().await;
                        continue;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "GC stopped");
                    drop(inner);
                    next_period().await;
                    continue;
                }
            }
            yield_now().await;
        } else {
            inner.gc_stuck.store(false, Ordering::Release);
            inner.gc_futile.store(false, Ordering::Release);
            inner.free_victims();
            drop(inner);
            next_period().await;
        }
    }
}

async fn heal(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        inner.heal().await;
        drop(inner);
        next_period().await;
    }
}

async fn expire(inner: Weak<Inner>) {
    let mut walk = ExpiryWalk::default();
    while let Some(inner) = inner.upgrade() {
        if inner.active_expire.load(Ordering::Relaxed) && !inner.closing.load(Ordering::Acquire) {
            // A bounded part of the index per period; on while many are found.
            for _ in 0..64 {
                let (looked, removed) = inner.expire_hot(&mut walk).await;
                if looked > 0 && removed * 10 < looked {
                    yield_now().await;
                }
            }
            while inner.expire_cold().await {
                yield_now().await;
            }
            // Once per period: one that takes keys with short TTLs is due again and again.
            inner.expire_open().await;
        }
        drop(inner);
        next_period().await;
    }
}

async fn sweep(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        let closing = inner.closing.load(Ordering::Acquire);
        while !closing && inner.retire_deltas() {
            yield_now().await;
        }
        if !closing && inner.sweep().await {
            yield_now().await;
            continue;
        }
        drop(inner);
        next_period().await;
    }
}

/// Keeps the sample of requests up to date.
async fn advise(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        while inner.digest_notes(ADVISED_NOTES_PER_STEP) {
            yield_now().await;
        }
        drop(inner);
        next_period().await;
    }
}

/// Keeps the arena in what the budget leaves it, and the queues free of stale entries.
async fn keep(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        inner.region.set_limit_bytes(inner.arena_limit_bytes());
        inner.trim();
        for shard in &inner.shards {
            let mut spans = Vec::new();
            {
                let mut shard = shard.lock();
                shard.compact_policy(&inner.hasher);
                shard.shrink_some();
                shard.trim_reserved(RESERVED_KEPT, &mut spans);
            }
            for span in spans {
                inner.region.give(span);
            }
        }
        drop(inner);
        next_period().await;
    }
}

/// Maps and checkpoints at the pace of the log; after each checkpoint the map that makes it serve.
async fn keep_maps(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        let due = inner.due();
        let written = match due {
            Due::Nothing => Ok(()),
            Due::Map => inner.write_map(false).await,
            Due::Checkpoint => match inner.write_checkpoint(false).await {
                Ok(_) => inner.write_map(false).await,
                Err(error) => Err(error),
            },
        };
        match written {
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => {
                tracing::warn!(%error, ?due, "a map or checkpoint could not be written; the next start takes longer")
            }
        }
        inner.free_victims();
        drop(inner);
        next_period().await;
    }
}

/// The hot set comes back once, then it is noted now and then.
async fn keep_hot_set(inner: Weak<Inner>) {
    if let Some(inner) = inner.upgrade() {
        inner.warm_up().await;
    }
    let mut noted_us = inner.upgrade().map_or(0, |inner| inner.clock.monotonic_us());
    while let Some(inner) = inner.upgrade() {
        let now_us = inner.clock.monotonic_us();
        let due = now_us.saturating_sub(noted_us) >= inner.options.hot_list_seconds * 1_000_000;
        if due && inner.options.hot_list && inner.log.mode.logs() && !inner.closing.load(Ordering::Acquire) {
            noted_us = now_us;
            if let Err(error) = inner.write_hot_list().await {
                tracing::warn!(%error, "the hot-set list could not be written; the next start is colder");
            }
        }
        drop(inner);
        next_period().await;
    }
}
