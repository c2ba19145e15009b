//! The engine: what all the rooms share, and how it is opened and closed.
//!
//! Promises: `Engine` is a handle (`Send + Sync + Clone`); the disk, the clock and all randomness come from outside, so one
//! thread can run everything from a seed. Never: a thread, a timer or a socket of its own.

use crate::advise::Advising;
use crate::change::{Key, SpaceId};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::hash::{Hasher, KeyHash};
use crate::index::State;
use crate::lane::Lanes;
use crate::log::Log;
use crate::log::flush::FlushJob;
use crate::log::map::Pending;
use crate::options::{Durability, EvictionPolicy, Options, PREFETCH_BYTES_MIN, READ_BUFFERS_KEPT_BYTES_MAX};
use crate::part::Part;
use crate::planted::{self, Bug};
use crate::serve::{Doors, Serving};
use crate::shard::Shard;
use crate::stats::{Counters, RecoveryReport};
use crate::tier::fetch::Flight;
use crate::tier::progress::RecoveryProgress;
use crate::wait::WaitList;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use thermocline_io::{BufferPool, Completion, Disk, FileId, Operation};
use thermocline_memory::{Handle, Region};
use thermocline_value::{CollectionId, NodeId};

/// A tiered store. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What a completed request was for.
pub(crate) enum Job {
    /// A cold read.
    Flight(Arc<Flight>),
    /// The log's.
    Flush(FlushJob),
    /// A background task's.
    Task(Arc<Slot>),
}

/// Where a background task finds its completion.
#[derive(Default)]
pub(crate) struct Slot {
    state: Mutex<(Option<Completion>, Option<Waker>)>,
}

impl Slot {
    fn fill(&self, completion: Completion) {
        let waker = {
            let mut state = self.state.lock();
            state.0 = Some(completion);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The map from logical databases to spaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Spaces {
    pub(crate) of_database: Vec<SpaceId>,
    pub(crate) next: u32,
}

impl Spaces {
    /// Is this space (or its visible twin) one of a database? One that was not given out yet may be: a group that flushes a
    /// database writes large values into the fresh space before it is logged.
    pub(crate) fn names(&self, space: SpaceId) -> bool {
        space.visible().0 >= self.next || self.of_database.contains(&space.visible())
    }

    /// A database gets a space that nobody used.
    pub(crate) fn renew(&mut self, database: usize) {
        self.of_database[database] = SpaceId(self.next);
        self.next += 2;
    }

    /// Payload of a Spaces record: next space id, then the space of each database.
    pub(crate) fn payload(&self) -> Vec<u8> {
        std::iter::once(self.next).chain(self.of_database.iter().map(|s| s.0)).flat_map(u32::to_le_bytes).collect()
    }

    /// Reads that payload.
    pub(crate) fn from_payload(from: &[u8]) -> Option<Spaces> {
        let mut words = from.chunks_exact(4).map(|w| crate::log::record::u32_at(w, 0));
        Some(Spaces { next: words.next()?, of_database: words.map(SpaceId).collect() })
    }
}

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Log,
    pub(crate) shards: Box<[Mutex<Shard>]>,
    pub(crate) shard_bits: u32,
    pub(crate) base_bits: u32,
    pub(crate) hasher: Hasher,
    pub(crate) region: Arc<Region>,
    pub(crate) lanes: Lanes<Job>,
    pub(crate) read_buffers: BufferPool,
    pub(crate) record_bytes_max: usize,
    pub(crate) spaces: RwLock<Spaces>,
    /// The same map, to be read without a lock.
    pub(crate) space_of: Box<[AtomicU32]>,
    pub(crate) pending: Mutex<Vec<Pending>>,
    pub(crate) unlocked: WaitList,
    /// Waiting commands that have a turn.
    pub(crate) serving: Serving,
    /// Who needs keys that are kept for those.
    pub(crate) doors: Doors,
    pub(crate) owners: AtomicU64,
    pub(crate) counters: Counters,
    /// What other sizes of memory would do.
    pub(crate) advising: Advising,
    pub(crate) recovery: RecoveryReport,
    pub(crate) max_memory: AtomicU64,
    pub(crate) client_bytes: AtomicI64,
    pub(crate) pinned_bytes: AtomicU64,
    pub(crate) switch: crate::switch::Switch,
    /// The newest superblock on the disk.
    pub(crate) superblock: Mutex<crate::log::superblock::Superblock>,
    pub(crate) next_id: AtomicU64,
    pub(crate) active_expire: AtomicBool,
    pub(crate) closed: AtomicBool,
    pub(crate) closing: AtomicBool,
    /// Closed, and nothing moves any more: the last map is being written.
    pub(crate) frozen: AtomicBool,
    /// Closing is over: drivers may end.
    pub(crate) finished: AtomicBool,
    pub(crate) eviction: Mutex<EvictionPolicy>,
    /// Why no segment can be made ready (disk full), if so.
    pub(crate) starved: RwLock<Option<String>>,
    pub(crate) maps: Mutex<crate::tier::maps::MapState>,
    /// A map is being written.
    pub(crate) map_busy: AtomicBool,
    /// What a running backup and a running snapshot keep.
    pub(crate) moments: crate::moment::Moments,
    /// A checkpoint is being written.
    pub(crate) checkpoint_busy: AtomicBool,
    /// A background writer waits for its pace.
    pub(crate) pacing: AtomicBool,
    pub(crate) warm: crate::tier::hot_set::WarmUp,
    pub(crate) map_written: WaitList,
    pub(crate) gc_wanted: AtomicBool,
    pub(crate) gc_stuck: AtomicBool,
    /// GC moves records without gaining room, and rests until something is appended or dies.
    pub(crate) gc_futile: AtomicBool,
    pub(crate) background_taken: AtomicBool,
    pub(crate) random: AtomicU64,
    /// Keeps other processes out of the directory.
    pub(crate) lock: std::sync::OnceLock<thermocline_io::DirectoryLock>,
}

impl Inner {
    #[inline]
    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        if self.shard_bits == 0 { 0 } else { (hash >> (64 - self.shard_bits)) as usize }
    }

    #[inline]
    pub(crate) fn hash_of(&self, key: &Key<'_>) -> u64 {
        self.hasher.index(key.hash)
    }

    #[inline]
    pub(crate) fn key<'k>(&self, space: SpaceId, bytes: &'k [u8]) -> Key<'k> {
        Key { space, hash: self.hasher.hash(space, bytes), bytes }
    }

    /// Why the log takes nothing any more: it failed, or the store is closed.
    pub(crate) fn refusal(&self) -> Error {
        self.log.failure().map_or(Error::Closed, |reason| Error::Misconfigured { reason })
    }

    /// A number from the seeded generator (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Brings a completion to whoever waits for it.
    pub(crate) fn complete(&self, completion: Completion) {
        match self.lanes.finish(completion.tag) {
            Job::Flight(flight) => self.landed(&flight, completion),
            Job::Flush(job) => {
                let Completion { operation, result, .. } = completion;
                drop(operation); // its hold on the chunk's buffer
                self.log.flushed(job, result, self.clock.monotonic_us());
                self.pump(false);
            }
            Job::Task(slot) => slot.fill(completion),
        }
    }

    /// Lets the log write what is due.
    pub(crate) fn pump(&self, all: bool) {
        let now_us = self.clock.monotonic_us();
        self.log.pump(now_us, all, |file, operation, job| self.lanes.submit(file, operation, Job::Flush(job)));
    }

    /// One request of a background task.
    pub(crate) async fn request(&self, file: FileId, operation: Operation) -> Completion {
        let slot = Arc::new(Slot::default());
        self.lanes.submit(file, operation, Job::Task(slot.clone()));
        std::future::poll_fn(move |cx| {
            let mut state = slot.state.lock();
            match state.0.take() {
                Some(completion) => std::task::Poll::Ready(completion),
                None => {
                    state.1 = Some(cx.waker().clone());
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }

    /// DRAM of the indexes.
    pub(crate) fn index_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().memory_bytes()).sum()
    }

    /// DRAM of all live bits.
    pub(crate) fn live_bits_bytes(&self) -> u64 {
        self.log.segments.iter().map(|segment| segment.live.lock().memory_bytes() as u64).sum()
    }

    /// What the arena may take now.
    pub(crate) fn arena_limit_bytes(&self) -> u64 {
        let clients = self.client_bytes.load(Ordering::Relaxed).max(0) as u64;
        let others = self.index_bytes()
            + self.live_bits_bytes()
            + self.log.memory_bytes() as u64
            + self.read_buffers.kept_bytes() as u64
            + self.pinned_bytes.load(Ordering::Relaxed)
            + self.advising.memory_bytes()
            + clients;
        let floor = if self.options.tiny { 192 << 10 } else { 1 << 20 };
        self.max_memory.load(Ordering::Relaxed).saturating_sub(others).max(floor)
    }
}

impl Engine {
    /// Opens a store on a disk and recovers it. Blocking.
    ///
    /// # Errors
    /// Invalid options, a directory that is not ours or of a newer format, a disk that does not answer.
    pub fn open(disk: Arc<dyn Disk>, options: Options, clock: Arc<dyn Clock>) -> Result<Engine> {
        Engine::open_with(disk, options, clock, &RecoveryProgress::default())
    }

    /// The same, telling how far it has come: a server calls it on a thread of its own and answers `-LOADING` meanwhile.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_with(
        disk: Arc<dyn Disk>,
        options: Options,
        clock: Arc<dyn Clock>,
        progress: &RecoveryProgress,
    ) -> Result<Engine> {
        Engine::open_part(disk, options, clock, progress, Part::whole())
    }

    /// The same, with some of the keys only.
    pub(crate) fn open_part(
        disk: Arc<dyn Disk>,
        options: Options,
        clock: Arc<dyn Clock>,
        progress: &RecoveryProgress,
        part: Part,
    ) -> Result<Engine> {
        options.validate()?;
        let recovered = crate::tier::recover::recover(&disk, &options, &*clock, progress, part)?;
        // Size and width are fixed when the directory is made.
        let mut options = Options { segment_bytes: Some(recovered.segment_bytes), ..options };
        if options.begins_unlogged && recovered.report.holds_nothing() {
            options.durability = Durability::None;
        }
        let shard_bits = options.shard_bits().min(recovered.base_bits);
        let region = Region::new(options.max_memory.max(options.machine_bytes).next_multiple_of(2 << 20))
            .map_err(|e| Error::io("reserving address space for the arena", &e))?;
        let log = Log::new(
            disk,
            recovered.store,
            &options,
            recovered.segments,
            recovered.last_seq,
            recovered.next_seq,
            recovered.block.generation as u32,
        );
        if planted::is(Bug::AppendAfterCut) {
            log.go_on_behind(&recovered.block.cuts);
        }
        let lanes = Lanes::new(options.workers.max(1));
        let inner = Inner {
            shards: recovered
                .shards
                .into_iter()
                .enumerate()
                .map(|(n, s)| {
                    Mutex::new(s.into_shard(&region, n, &options, shard_bits, recovered.base_bits, &log.deltas))
                })
                .collect(),
            shard_bits,
            base_bits: recovered.base_bits,
            hasher: Hasher::new(recovered.secret, options.index_bits_kept),
            region,
            lanes,
            read_buffers: BufferPool::new(READ_BUFFERS_KEPT_BYTES_MAX.min(options.max_memory as usize / 32)),
            record_bytes_max: options.record_bytes_max(),
            space_of: recovered.spaces.of_database.iter().map(|s| AtomicU32::new(s.0)).collect(),
            spaces: RwLock::new(recovered.spaces),
            pending: Mutex::new(recovered.pending),
            unlocked: WaitList::default(),
            serving: Serving::default(),
            doors: Doors::default(),
            owners: AtomicU64::new(1),
            counters: Counters::default(),
            advising: Advising::new(
                options.tier_policy,
                options.max_memory,
                clock.monotonic_us(),
                options.advise && !options.tiny,
            ),
            recovery: recovered.report,
            max_memory: AtomicU64::new(options.max_memory),
            client_bytes: AtomicI64::new(0),
            pinned_bytes: AtomicU64::new(0),
            // No id is ever given twice: a life's ids lie above those of all lives before it, used, lost or swept.
            next_id: AtomicU64::new(if planted::is(Bug::NodeIdsAgain) { 1 } else { recovered.block.generation << 32 }),
            superblock: Mutex::new(recovered.block),
            switch: crate::switch::Switch::default(),
            active_expire: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            eviction: Mutex::new(options.eviction),
            starved: RwLock::new(None),
            maps: Mutex::new(recovered.maps),
            map_busy: AtomicBool::new(false),
            moments: crate::moment::Moments::default(),
            checkpoint_busy: AtomicBool::new(false),
            pacing: AtomicBool::new(false),
            warm: crate::tier::hot_set::WarmUp::default(),
            map_written: WaitList::default(),
            gc_wanted: AtomicBool::new(false),
            gc_stuck: AtomicBool::new(false),
            gc_futile: AtomicBool::new(false),
            background_taken: AtomicBool::new(false),
            random: AtomicU64::new(recovered.secret ^ options.seed),
            lock: std::sync::OnceLock::new(),
            options,
            clock,
            log,
        };
        inner.region.set_limit_bytes(inner.arena_limit_bytes());
        recovered.nodes.iter().try_for_each(|node| inner.restore(node))?;
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'k>(&self, space: SpaceId, bytes: &'k [u8]) -> Key<'k> {
        self.inner.key(space, bytes)
    }

    /// The frozen hash of a field or member.
    pub fn field_hash(&self, field: &[u8]) -> u64 {
        self.inner.hasher.field(field)
    }

    /// A number from the store's seeded generator.
    pub fn random(&self) -> u64 {
        self.inner.random()
    }

    /// An id for a collection that becomes a tree; its nodes will lie in this key's shard.
    pub(crate) fn new_collection(&self, near: (SpaceId, &[u8])) -> CollectionId {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let shard = self.inner.hasher.hash(near.0, near.1).index() >> 56;
        CollectionId(shard << 56 | id & (u64::MAX >> 8))
    }

    /// An id for a new node.
    pub(crate) fn new_node(&self) -> NodeId {
        loop {
            let id = NodeId::new(self.inner.next_id.fetch_add(1, Ordering::Relaxed) & NodeId::MAX);
            if id != NodeId::ROOT {
                return id;
            }
        }
    }

    /// Whether looking ahead for keys pays: a small store is in the CPU's caches anyway.
    #[inline]
    pub fn is_worth_prefetching(&self) -> bool {
        self.inner.region.used_bytes() > PREFETCH_BYTES_MIN
    }

    /// Hints that the key's bucket will be looked at soon.
    #[inline]
    pub fn prefetch(&self, key: &Key<'_>) {
        let hash = self.inner.hash_of(key);
        if let Some(shard) = self.inner.shards[self.inner.shard_of(hash)].try_lock()
            && let Some(space) = shard.space(key.space)
        {
            space.index.prefetch(hash);
        }
    }

    /// Hints that the key's value will be read soon, if it is hot: to be called when its bucket has arrived.
    #[inline]
    pub fn prefetch_value(&self, space: SpaceId, hash: KeyHash) {
        let hash = self.inner.hasher.index(hash);
        if let Some(shard) = self.inner.shards[self.inner.shard_of(hash)].try_lock()
            && let Some(part) = shard.space(space)
            && let Some((_, slot)) = part.index.find(hash, |_, slot| slot.state() == State::Hot)
        {
            shard.heap.prefetch(Handle::from_bits(slot.place()));
        }
    }

    /// Does the watermark cover this seq?
    #[inline]
    pub fn is_durable(&self, seq: u64) -> bool {
        seq <= self.inner.log.watermark()
    }

    /// Waits until the watermark covers `seq`.
    ///
    /// # Errors
    /// The log cannot be written any more: what waits is not acknowledged.
    pub async fn durable(&self, seq: u64) -> Result<()> {
        loop {
            let ticket = self.inner.log.durable.ticket();
            if self.is_durable(seq) || planted::is(Bug::AckEarly) {
                return Ok(());
            }
            if let Some(reason) = self.inner.log.failure() {
                return Err(Error::Misconfigured { reason });
            }
            // A log whose mode was lowered meanwhile would flush at its own pace, up to half a minute later.
            self.inner.pump(self.inner.log.mode.log() != Durability::Always);
            self.inner.log.durable.changed(ticket).await;
        }
    }

    /// The last seq that was written, by anybody.
    pub fn written_seq(&self) -> u64 {
        self.inner.log.last_seq()
    }

    /// Brings everything up to `seq` to the device, whatever the mode's pace, and waits for it.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn flush_log(&self, seq: u64) -> Result<()> {
        loop {
            let ticket = self.inner.log.durable.ticket();
            if self.is_durable(seq) {
                return Ok(());
            }
            if let Some(reason) = self.inner.log.failure() {
                return Err(Error::Misconfigured { reason });
            }
            self.inner.pump(true);
            self.inner.log.durable.changed(ticket).await;
        }
    }

    /// Why a growing write (or, `growing` false, any write) would be refused right now, if it would.
    pub fn refuses_writes(&self, growing: bool) -> Option<Error> {
        if let Some(reason) = self.inner.log.failure() {
            return Some(Error::Misconfigured { reason });
        }
        let full = growing && self.inner.is_disk_full() && *self.inner.eviction.lock() == EvictionPolicy::NoEviction;
        full.then_some(Error::OutOfMemory)
    }

    /// Unix milliseconds by the engine's clock.
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// Monotonic microseconds by the engine's clock.
    pub fn monotonic_us(&self) -> u64 {
        self.inner.clock.monotonic_us()
    }

    /// The server accounts its clients' buffers here, so that the arena leaves them room.
    pub fn charge_clients(&self, bytes: i64) {
        self.inner.client_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What start found.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.recovery
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Changes the DRAM budget, live. Down: pages are given back in the background.
    ///
    /// # Errors
    /// Below the smallest budget.
    pub fn set_max_memory(&self, bytes: u64) -> Result<()> {
        Options { max_memory: bytes, ..self.inner.options.clone() }.validate()?;
        self.inner.max_memory.store(bytes, Ordering::Relaxed);
        self.inner.region.set_limit_bytes(self.inner.arena_limit_bytes());
        Ok(())
    }

    /// The DRAM budget.
    pub fn max_memory(&self) -> u64 {
        self.inner.max_memory.load(Ordering::Relaxed)
    }

    /// Expiry in the background, on or off.
    pub fn set_active_expire(&self, on: bool) {
        self.inner.active_expire.store(on, Ordering::Relaxed);
    }

    /// What is dropped when memory and disk are both full.
    pub fn set_eviction(&self, policy: EvictionPolicy) {
        *self.inner.eviction.lock() = policy;
    }

    /// What an acknowledgement means now.
    pub fn durability(&self) -> Durability {
        self.inner.log.mode.promised()
    }

    /// Which backend carries the disk's requests, and why.
    pub fn backend(&self) -> thermocline_io::BackendReport {
        self.inner.log.disk.backend()
    }

    /// Flushes everything, writes map, checkpoint and the clean mark. The store refuses commands afterwards.
    ///
    /// # Errors
    /// The log could not be written.
    pub async fn close(&self) -> Result<crate::stats::CloseReport> {
        self.inner.shut().await
    }
}
