//! What another `max_memory` would do: notes requests for the keys of a small sample and keeps [`policy::Advisor`] up to date.
//!
//! ```text
//!  command: hash below the limit? --no--> nothing more        background, every 10 ms: models of 6 sizes
//!                |yes, latch held                                   ^
//!                '--> what it found, what is there now --> pending -'   lost if somebody else writes there, or it is full
//! ```
//! Nodes of collections are objects of their own to the policy, and so they are here.
//!
//! Promises: a command pays for a comparison, or for one note if its key is in the sample; at most [`ADVISED_KEYS_MAX`] keys and
//! [`ADVISED_NOTES_PER_SECOND_MAX`] notes a second, beyond which the sample shrinks. Never: waits under a latch.
//!
//! [`policy::Advisor`]: crate::policy::Advisor

use crate::change::{Access, Key, Tier};
use crate::engine::{Engine, Inner};
use crate::index::Slot;
use crate::nodes::Met;
use crate::options::{
    ADVISED_BYTES_MAX, ADVISED_KEYS_MAX, ADVISED_NOTES_MAX, ADVISED_NOTES_PER_SECOND_MAX, ADVISED_SIZES, TierPolicy,
};
use crate::policy::{Advisor, Asked, SAMPLED_BITS, Sample};
use crate::shard::{Shard, Sight};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use thermocline_memory::Handle;

/// The size that is the store's own, among [`ADVISED_SIZES`].
const OWN: f64 = 1.0;

/// The sizes that are kept, in bytes.
fn sizes_of(max_memory: u64) -> [u64; ADVISED_SIZES.len()] {
    ADVISED_SIZES.map(|factor| (max_memory as f64 * factor) as u64)
}

/// What the value of a hot slot takes in the arena.
fn bytes_of(shard: &Shard, slot: Slot) -> u32 {
    shard.heap.bytes(Handle::from_bits(slot.place())).len() as u32
}

/// What one size of memory would do.
#[derive(Copy, Clone, Debug)]
pub struct AdvisedSize {
    /// `max_memory` in bytes.
    pub max_memory: u64,
    /// The share of the reads that it would serve from DRAM, 0 to 1.
    pub hot_share: f64,
    /// Reads from the SSD per second.
    pub cold_reads_per_second: f64,
}

/// What the sample says.
#[derive(Clone, Debug)]
pub struct Advice {
    /// `max_memory` now.
    pub max_memory: u64,
    /// Reads of keys and of nodes of collections, per second.
    pub reads_per_second: f64,
    /// Keys in the sample, nodes of collections among them.
    pub sampled_keys: u64,
    /// Which part of all keys these are.
    pub sample_rate: f64,
    /// Reads of the sample that the shares rest on.
    pub sampled_reads: u64,
    /// DRAM that the sample takes, in bytes.
    pub sample_bytes: u64,
    /// The sizes.
    pub sizes: Vec<AdvisedSize>,
}

/// Notes on their way, and the models.
pub(crate) struct Advising {
    /// Keys whose bits are below this are noted. 0: none.
    below: AtomicU32,
    pending: Mutex<Vec<Sample>>,
    /// What is known is of another store: its keys are gone, or its memory has another size.
    stale: AtomicBool,
    /// `None`: no sample is kept.
    state: Mutex<Option<State>>,
}

struct State {
    advisor: Advisor,
    max_memory: u64,
    /// When the counting began; moves on whenever the advisor forgets by half.
    since_us: u64,
    halvings: u32,
    /// The store's reads when they were counted last.
    reads: u64,
    second_us: u64,
    notes_in_second: usize,
    notes: Vec<Sample>,
}

impl State {
    fn new(policy: TierPolicy, max_memory: u64, now_us: u64, reads: u64) -> State {
        let own = ADVISED_SIZES.iter().position(|&factor| factor == OWN);
        State {
            advisor: Advisor::new(policy, &sizes_of(max_memory), own, ADVISED_KEYS_MAX),
            max_memory,
            since_us: now_us,
            halvings: 0,
            reads,
            second_us: now_us,
            notes_in_second: 0,
            notes: Vec::new(),
        }
    }

    /// Tells the advisor of all reads since the last time, sampled or not.
    fn count_reads(&mut self, reads: u64) {
        // Fewer than before: the counters were reset.
        self.advisor.count_reads(reads.checked_sub(self.reads).unwrap_or(reads));
        self.reads = reads;
    }
}

impl Advising {
    /// Nothing seen yet.
    pub(crate) fn new(policy: TierPolicy, max_memory: u64, now_us: u64, wanted: bool) -> Advising {
        let state = wanted.then(|| State::new(policy, max_memory, now_us, 0));
        Advising {
            below: AtomicU32::new(state.as_ref().map_or(0, |state| state.advisor.below())),
            pending: Mutex::default(),
            stale: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Whether a sample is kept.
    pub(crate) fn is_on(&self) -> bool {
        self.below.load(Ordering::Relaxed) > 0
    }

    /// The keys are others, or the memory is: what was seen says nothing any more.
    pub(crate) fn forget(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// DRAM that it takes at most.
    pub(crate) fn memory_bytes(&self) -> u64 {
        if self.is_on() { ADVISED_BYTES_MAX } else { 0 }
    }

    fn push(&self, sample: Sample) {
        if let Some(mut pending) = self.pending.try_lock()
            && pending.len() < ADVISED_NOTES_MAX
        {
            pending.push(sample);
        }
    }
}

impl Inner {
    /// Whether the key with this hash belongs to the sample.
    #[inline]
    pub(crate) fn is_sampled(&self, hash: u64) -> bool {
        ((hash << self.base_bits >> (64 - SAMPLED_BITS)) as u32) < self.advising.below.load(Ordering::Relaxed)
    }

    /// What the sample calls a key: the bits of its hash up to those that choose it.
    fn sample_id(&self, hash: u64) -> u64 {
        hash >> (64 - SAMPLED_BITS - self.base_bits)
    }

    /// Notes a request for a key of the sample: where its value was; what is there now is looked up.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(&self, shard: &Shard, key: &Key<'_>, hash: u64, found: Tier, access: Access) {
        let (bytes, is_there) = match shard.sight(key, hash) {
            Sight::Hot(_, slot, _) => (bytes_of(shard, slot), true),
            Sight::Unknown => (0, true),
            Sight::Absent => (0, false),
        };
        let asked = match (found, access) {
            (_, Access::Peek) => return,
            _ if !is_there => Asked::Gone,
            (Tier::Miss, _) | (_, Access::Overwrite) => Asked::Write,
            (Tier::Hot, _) => Asked::Read { hot: true },
            (Tier::Cold, _) => Asked::Read { hot: false },
        };
        self.advising.push(Sample { id: self.sample_id(hash), bytes, asked });
    }

    /// Notes a read of a key of the sample that was found hot in this slot, and still is there.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_hot(&self, shard: &Shard, hash: u64, slot: Slot) {
        let bytes = bytes_of(shard, slot);
        self.advising.push(Sample { id: self.sample_id(hash), bytes, asked: Asked::Read { hot: true } });
    }

    /// Counts the node of a collection that a command has read, and notes it if it belongs to the sample.
    #[inline]
    pub(crate) fn note_node(&self, shard: &mut Shard, node: &Met) {
        shard.counts.nodes += 1;
        if self.is_sampled(node.hash) {
            let slot = shard.sight_node(&node.key, node.hash).map(|(_, slot, _)| slot);
            let bytes = slot.map_or(0, |slot| bytes_of(shard, slot));
            let asked = Asked::Read { hot: node.hot.is_some() };
            self.advising.push(Sample { id: self.sample_id(node.hash), bytes, asked });
        }
    }

    /// Reads of values and nodes so far.
    fn reads(&self) -> u64 {
        let counts = self.shards.iter().map(|shard| shard.lock().counts);
        counts.map(|counts| counts.hot_hits + counts.cold_hits + counts.nodes).sum()
    }

    /// Takes the notes into account, at most so many; true: there may be more.
    pub(crate) fn digest_notes(&self, notes_max: usize) -> bool {
        let advising = &self.advising;
        let (now_us, max_memory) = (self.clock.monotonic_us(), self.max_memory.load(Ordering::Relaxed));
        let mut state = advising.state.lock();
        let Some(state) = &mut *state else { return false };
        if advising.stale.swap(false, Ordering::AcqRel) || state.max_memory != max_memory {
            advising.pending.lock().clear();
            *state = State::new(self.options.tier_policy, max_memory, now_us, self.reads());
        }
        if state.notes.is_empty() {
            std::mem::swap(&mut state.notes, &mut *advising.pending.lock());
            // In the order in which they came.
            state.notes.reverse();
        }
        let from = state.notes.len().saturating_sub(notes_max);
        state.notes_in_second += state.notes.len() - from;
        for sample in state.notes.drain(from..).rev() {
            state.advisor.record(&sample);
        }
        if now_us.saturating_sub(state.second_us) >= 1_000_000 {
            let reads = self.reads();
            state.count_reads(reads);
            (state.second_us, state.notes_in_second) = (now_us, 0);
        } else if state.notes_in_second > ADVISED_NOTES_PER_SECOND_MAX {
            state.advisor.shrink();
            state.notes_in_second = 0;
        }
        if state.advisor.halvings() != state.halvings {
            state.halvings = state.advisor.halvings();
            state.since_us += now_us.saturating_sub(state.since_us) / 2;
        }
        advising.below.store(state.advisor.below(), Ordering::Relaxed);
        !state.notes.is_empty()
    }
}

impl Engine {
    /// What these sizes of `max_memory` would do to the requests of late; without any, those that are kept. `None`: nothing was
    /// read yet, or the option `advise` is off.
    pub fn advise(&self, sizes: &[u64]) -> Option<Advice> {
        let inner = &*self.inner;
        while inner.digest_notes(ADVISED_NOTES_MAX) {}
        let stats = self.stats();
        let reads = inner.reads();
        let mut state = inner.advising.state.lock();
        let state = state.as_mut()?;
        state.count_reads(reads);
        let advisor = &state.advisor;
        let shares = advisor.hot_shares()?;
        let elapsed_us = inner.clock.monotonic_us().saturating_sub(state.since_us).max(1);
        let reads_per_second = advisor.reads() / (elapsed_us as f64 / 1e6);
        // What is not the arena's stays as it is, and so does the part of the arena that lies between values.
        let others = stats.max_memory.saturating_sub(stats.arena_limit_bytes);
        let filled = match stats.arena_bytes {
            0 => 1.0,
            bytes => (stats.hot_bytes as f64 / bytes as f64).clamp(0.5, 1.0),
        };
        let size = |max_memory: u64| {
            let arena_bytes = (max_memory.saturating_sub(others) as f64 * filled) as u64;
            let hot_share = advisor.hot_share_at(&shares, arena_bytes);
            AdvisedSize { max_memory, hot_share, cold_reads_per_second: reads_per_second * (1.0 - hot_share) }
        };
        let kept = sizes_of(stats.max_memory);
        Some(Advice {
            max_memory: stats.max_memory,
            reads_per_second,
            sampled_keys: advisor.keys() as u64,
            sample_rate: advisor.rate(),
            sampled_reads: advisor.sampled_reads(),
            sample_bytes: advisor.memory_bytes() as u64,
            sizes: if sizes.is_empty() { &kept } else { sizes }.iter().map(|&bytes| size(bytes)).collect(),
        })
    }
}
