//! Reading the store as it was at one moment, while it goes on: what an RDB file is written from.
//!
//! ```text
//!  begin   (where nothing is logged: the log is on, what is dirty is appended) | a map | the moment: streams sealed at S, segments
//!          pinned | (the log is off again)                                                                      (moment.rs)
//!  read    part after part: a second engine over the pinned segments, with an index of this part's keys only, recovered by the
//!          ordinary recovery; whoever reads it walks its keys as those of any store                                (part.rs)
//! ```
//! Why a second engine: what a power cut at S would have left is what recovery is made for, so there is no second reader of records,
//! deltas, trees and extents, and no writer ever asks whether a snapshot is being read (decision 0015). Why in parts: an index of all
//! keys beside the one that serves would take as much memory again; a part takes what
//! [`SNAPSHOT_SHARE_MAX`] allows, and each part reads the footers once more.
//!
//! Promises: the same bytes whatever happens meanwhile; memory is charged before it is taken; expiry is judged at the moment. Never:
//! writes to the disk, stops a writer, or holds back segments that writers would wait for: it is given up instead.

use crate::block_on::DrivenHere;
use crate::change::SpaceId;
use crate::clock::ManualClock;
use crate::collection::tree_of;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::log::segment_name;
use crate::log::superblock::{self, Superblock};
use crate::moment::{Moment, Pinned, Purpose};
use crate::options::{
    Durability, EvictionPolicy, Options, SEGMENTS_MIN, SNAPSHOT_BYTES_MIN, SNAPSHOT_MOVED_SHARE, SNAPSHOT_SHADOW_BYTES,
    SNAPSHOT_SHARE_MAX,
};
use crate::part::{Name, PART_BITS_MAX, Part};
use crate::tier::maps::{Held, Turn};
use crate::tier::progress::RecoveryProgress;
use crate::tier::prove::words_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::{Disk, FileId, ShadowDisk};

/// A moment of the store that can be read. Its segments are kept until it is dropped.
pub struct Snapshot {
    moment: Moment,
    /// The pinned segments that count: number, epoch, file.
    kept: Vec<(Pinned, FileId)>,
    /// Keys of each database, and how many of them expire, about.
    keys: Vec<(u64, u64)>,
    /// There are 2^bits parts.
    bits: u32,
    /// Bytes for the store of one part, and beside it.
    memory: u64,
    beside: u64,
}

/// Keys of a snapshot that are read together.
pub struct SnapshotPart<'s> {
    /// A store with these keys, and perhaps some that [`SnapshotPart::is_elsewhere`] knows.
    pub engine: Engine,
    snapshot: &'s Snapshot,
    number: u32,
    /// Keys whose trees lie in other parts.
    moved: Vec<(u32, Name)>,
    _driver: DrivenHere,
    _memory: Held<'s>,
}

fn refused(words: impl Into<String>) -> Error {
    Error::Snapshot { words: words.into() }
}

impl Engine {
    /// Fixes a moment for a snapshot: all that has been acknowledged is in it, and nothing newer. One at a time. On a worker.
    ///
    /// # Errors
    /// [`Error::Snapshot`] while another one is there, [`Error::Misconfigured`] while the log cannot be written,
    /// [`Error::OutOfMemory`] if nothing is logged and the log has no room for what is dirty, [`Error::Closed`] at the end.
    pub async fn begin_snapshot(&self) -> Result<Snapshot> {
        let inner = &self.inner;
        let _switch = Turn::take(inner, |inner| &inner.switch.busy).await; // the mode stays what it is
        if inner.closing.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if let Some(reason) = inner.log.failure() {
            return Err(Error::Misconfigured { reason });
        }
        let _logging = inner.log_for_a_moment().await?;
        // Little lies behind this map, and each part replays it.
        inner.write_map(false).await?;
        let keys = (0..self.databases()).map(|n| self.space(n)).map(|s| (self.length(s), self.expiring(s))).collect();
        let mut moment = inner.fix_moment(Purpose::Snapshot).await?;
        for (name, bytes) in moment.small.iter_mut().filter(|(name, _)| superblock::FILES.contains(name)) {
            // To the next start nothing is logged, if that is promised; to a reader everything is.
            if let Some(block) = Superblock::decode(bytes)? {
                *bytes = Superblock { mode: 1, clean: false, ..block }.encode();
            } else {
                tracing::warn!(name, "a copy of the superblock does not hold; the other one is read");
            }
        }
        Ok(Snapshot::new(moment, keys))
    }
}

impl Snapshot {
    fn new(moment: Moment, keys: Vec<(u64, u64)>) -> Snapshot {
        let inner = &moment.inner;
        let kept = moment
            .pinned
            .iter()
            .filter(|pinned| moment.is_kept(pinned))
            .filter_map(|pinned| Some((*pinned, inner.log.segments[pinned.segment as usize].file()?)))
            .collect();
        let memory = (inner.max_memory.load(Ordering::Relaxed) / SNAPSHOT_SHARE_MAX).max(SNAPSHOT_BYTES_MIN);
        let index = inner.index_bytes();
        let bits = (0..PART_BITS_MAX).find(|&bits| index >> bits <= memory / 2).unwrap_or(PART_BITS_MAX);
        // Live bits are in no part: each has all of them; the map is read, decoded, and kept by the moment.
        let beside = inner.live_bits_bytes() + 3 * moment.small_bytes() + SNAPSHOT_SHADOW_BYTES;
        Snapshot { kept, keys, bits, memory, beside, moment }
    }

    /// The last seq that is in it.
    pub fn seq(&self) -> u64 {
        self.moment.seq
    }

    /// The moment, in Unix milliseconds.
    pub fn created_ms(&self) -> u64 {
        self.moment.created_ms
    }

    /// About how many keys each database has, and how many of them expire.
    pub fn keys(&self) -> &[(u64, u64)] {
        &self.keys
    }

    /// How many parts there are at least.
    pub fn parts(&self) -> u32 {
        1 << self.bits
    }

    /// The same, read in 2^bits parts at least. For tests: how many are needed is known.
    #[must_use]
    pub fn in_parts(self, bits: u32) -> Snapshot {
        Snapshot { bits: self.bits.max(bits.min(PART_BITS_MAX)), ..self }
    }

    /// The log still keeps what has not been read. To be asked now and then: what is read behind a no may be anything.
    ///
    /// # Errors
    /// [`Error::Snapshot`] if the log was short of segments and took them back.
    pub fn still_there(&self) -> Result<()> {
        self.moment.still_pinned()
    }

    /// Reads all keys, part by part. Blocking: on a thread of its own, which drives what it reads with [`crate::block_on`]. May be
    /// done again.
    ///
    /// # Errors
    /// [`Error::Snapshot`] if something is damaged or the log needs its segments, and what `read` says.
    pub fn read<E: From<Error>>(
        &self,
        mut read: impl FnMut(&mut SnapshotPart<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let moved_max = (self.memory / SNAPSHOT_MOVED_SHARE) as usize / size_of::<(u32, Name)>();
        let mut moved = Vec::new();
        for number in 0..self.parts() {
            let mut part = self.open(Part::new(self.bits, number, self.seq()), number)?;
            read(&mut part)?;
            moved.append(&mut part.moved);
            if moved.len() > moved_max {
                let count = moved.len();
                let words = format!(
                    "{count} large collections were renamed and lie apart from their keys, more than {moved_max} are not \
                     read; raise maxmemory"
                );
                return Err(refused(words).into());
            }
        }
        moved.sort_unstable();
        for of_part in moved.chunk_by(|(one, _), (next, _)| one == next) {
            let number = of_part[0].0;
            let names = of_part.iter().map(|(_, name)| *name).collect();
            let part = Part::new(self.bits, number, self.seq()).with_moved(names);
            read(&mut self.open(part, number)?)?;
        }
        Ok(self.still_there()?)
    }

    fn open(&self, part: Part, number: u32) -> Result<SnapshotPart<'_>> {
        self.still_there()?;
        let inner = &self.moment.inner;
        let held = Held::new(inner, self.memory + self.beside);
        let segment_bytes = u64::from(inner.log.segment_bytes);
        let segments = self.kept.iter().filter(|(pinned, _)| self.moment.is_kept(pinned));
        let below = segments.map(|(pinned, file)| (segment_name(pinned.segment), *file, segment_bytes)).collect();
        let bytes_max = 2 * self.moment.small_bytes() + SNAPSHOT_SHADOW_BYTES;
        let disk = ShadowDisk::over(inner.log.disk.clone(), below, bytes_max);
        for (name, bytes) in &self.moment.small {
            let about = |error| Error::io(format!("copying {name} into memory"), &error);
            let file = disk.create(name, bytes.len() as u64).map_err(about)?;
            disk.write_at(file, 0, bytes).map_err(about)?;
        }
        let options = Options {
            max_memory: self.memory,
            max_disk: inner.log.segments.len().max(SEGMENTS_MIN as usize) as u64 * segment_bytes,
            workers: 1,
            durability: Durability::No,
            eviction: EvictionPolicy::NoEviction,
            machine_bytes: 0,
            hot_list: false,
            segment_bytes: Some(segment_bytes),
            shards: None,
            tiny: true,
            ..inner.options.clone()
        };
        let clock = Arc::new(ManualClock::at_ms(self.moment.created_ms));
        let progress = RecoveryProgress::default();
        let engine = Engine::open_part(Arc::new(disk), options, clock, &progress, part)?;
        let report = engine.recovery();
        if report.lost_records > 0 || !report.quarantined.is_empty() {
            self.still_there()?;
            let notes = report.notes.join("; ");
            return Err(refused(format!("the log is damaged, and what is lost would be missing in it: {notes}")));
        }
        engine.set_active_expire(false);
        // Nothing is moved, written or removed: there is no background work, only reads.
        engine.inner.background_taken.store(true, Ordering::Release);
        let driver = engine.driver().map_err(|error| Error::io("opening a lane to the disk for a snapshot", &error))?;
        let _driver = DrivenHere::new(driver);
        Ok(SnapshotPart { engine, snapshot: self, number, moved: Vec::new(), _driver, _memory: held })
    }
}

impl SnapshotPart<'_> {
    /// Is this key shown by another part, which has the nodes of its tree? `payload` is its record's.
    pub fn is_elsewhere(&mut self, space: SpaceId, key: &[u8], payload: &[u8]) -> bool {
        let Some(root) = tree_of(payload) else { return false };
        let of_tree = Part::of_tree(self.snapshot.bits, root.collection);
        if of_tree == self.number {
            return false;
        }
        self.moved.push((of_tree, (space, words_of(self.engine.key(space, key).hash))));
        true
    }

    /// As [`Snapshot::still_there`].
    ///
    /// # Errors
    /// The log has taken its segments back.
    pub fn still_there(&self) -> Result<()> {
        self.snapshot.still_there()
    }
}
