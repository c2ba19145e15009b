//! What every policy is to the replay: a box that is told each request and answers whether the value was in DRAM.
//!
//! Cache-aside over a store that never loses: a GET that misses brings the value in, a SET writes it in. Capacity is in
//! bytes of values; a value larger than the whole box stays outside.

use super::belady::Belady;
use super::input::{Key, Request, Requests};
use super::queue::{Order, Queue};
use super::sampled::Sampled;
use crate::permutation::Permutation;
use clap::ValueEnum;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use thermocline::TierPolicy;
use thermocline::policy::Model;

/// Requests between two looks at the stop flag.
const STEPS_PER_LOOK: usize = 1 << 13;

/// A policy with a capacity.
pub trait Cache {
    /// The request at this place of the replay. True: its value was in DRAM.
    fn request(&mut self, place: usize, request: Request) -> bool;

    /// What there is to say at the end, where not every request could be answered.
    fn finish(&self, counts: Counts) -> Counts {
        counts
    }
}

impl Cache for Model {
    fn request(&mut self, _place: usize, request: Request) -> bool {
        Model::request(self, request.key.0, request.bytes)
    }
}

/// The policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyName {
    /// Least recently used, exact.
    Lru,
    /// First in, first out.
    Fifo,
    /// The engine's own code, as `tier-policy s3fifo` runs it.
    S3fifo,
    /// The engine's own code, as `tier-policy lru` runs it: LRU approximated by a second chance.
    SecondChance,
    /// `s3fifo` as the server's TIER ADVISE estimates it, from a sample of the keys.
    Advisor,
    /// The optimum, which knows the future: the value that is needed last leaves.
    Belady,
}

impl PolicyName {
    /// As on the command line.
    pub fn text(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Fifo => "fifo",
            Self::S3fifo => "s3fifo",
            Self::SecondChance => "second-chance",
            Self::Advisor => "advisor",
            Self::Belady => "belady",
        }
    }

    /// An empty box.
    pub fn cache(self, capacity_bytes: u64, next_uses: &Arc<Vec<u32>>) -> Box<dyn Cache> {
        match self {
            Self::Lru => Box::new(Queue::new(Order::Used, capacity_bytes)),
            Self::Fifo => Box::new(Queue::new(Order::Written, capacity_bytes)),
            Self::S3fifo => Box::new(Model::new(TierPolicy::S3Fifo, capacity_bytes)),
            Self::SecondChance => Box::new(Model::new(TierPolicy::Lru, capacity_bytes)),
            Self::Advisor => Box::new(Sampled::new(capacity_bytes)),
            Self::Belady => Box::new(Belady::new(capacity_bytes, Arc::clone(next_uses))),
        }
    }
}

/// Several boxes, each with its share of the keys and of the capacity, as the shards of an engine.
pub struct Shards {
    boxes: Vec<Box<dyn Cache>>,
    spread: Permutation,
}

impl Shards {
    /// `count` boxes for keys below `keys`.
    pub fn new(count: u32, keys: u64, mut one: impl FnMut() -> Box<dyn Cache>) -> Self {
        Self { boxes: (0..count).map(|_| one()).collect(), spread: Permutation::new(keys.max(1), 0) }
    }
}

impl Cache for Shards {
    fn request(&mut self, place: usize, request: Request) -> bool {
        let (number, count) = (self.spread.at(request.key.0.into()), self.boxes.len() as u64);
        let key = Key((number / count) as u32);
        self.boxes[(number % count) as usize].request(place, Request { key, ..request })
    }
}

/// What a replay counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// GETs.
    pub gets: u64,
    /// GETs that found their value in DRAM.
    pub hits: u64,
    /// Bytes of all GETs.
    pub get_bytes: u64,
    /// Bytes of those that hit.
    pub hit_bytes: u64,
}

/// Replays everything; counts from request `warmup` on. `None`: it was stopped.
pub fn replay(
    cache: &mut dyn Cache,
    requests: &Requests,
    warmup: usize,
    stop: &AtomicBool,
    done: &AtomicU64,
) -> Option<Counts> {
    let mut counts = Counts::default();
    for place in 0..requests.len() {
        if place % STEPS_PER_LOOK == STEPS_PER_LOOK - 1 {
            done.fetch_add(STEPS_PER_LOOK as u64, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                return None;
            }
        }
        let request = requests.at(place);
        let hit = cache.request(place, request);
        if !request.write && place >= warmup {
            let bytes = u64::from(request.bytes);
            counts.gets += 1;
            counts.get_bytes += bytes;
            counts.hits += u64::from(hit);
            counts.hit_bytes += if hit { bytes } else { 0 };
        }
    }
    Some(cache.finish(counts))
}
