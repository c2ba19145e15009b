//! Which hot object leaves DRAM next: pure decisions over opaque entries, replayable without a disk.
//!
//! Promises: no clock, no I/O, no index; the caller answers for the objects through [`Objects`]. Never: waits.

mod advisor;
mod model;
mod s3fifo;

pub use advisor::{Advisor, Asked, BELOW_ALL, SAMPLED_BITS, Sample};
pub use model::Model;
pub use s3fifo::{Ghost, S3Fifo};

/// An object as the policy's queues name it (the shard packs handle and tag into it).
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash)]
pub struct Entry(pub u64);

/// What the policy must know of an object when it meets it.
#[derive(Copy, Clone, Debug)]
pub struct Look {
    /// Its size in bytes.
    pub bytes: usize,
    /// Its access counter, 0 to 3.
    pub heat: u8,
    /// It is in the main queue: an entry of it in the small one is stale, left behind by an earlier object in the same cell.
    pub main: bool,
}

/// The objects behind the entries.
pub trait Objects {
    /// The object of an entry, or `None` if it is gone (a stale entry).
    fn look(&mut self, entry: Entry) -> Option<Look>;
    /// Its counter changes.
    fn set_heat(&mut self, entry: Entry, heat: u8);
    /// It moves from the small to the main queue.
    fn set_main(&mut self, entry: Entry);
}

/// A decision.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Victim {
    /// Who leaves.
    pub entry: Entry,
    /// It leaves from the small queue: it becomes a ghost.
    pub from_small: bool,
}
