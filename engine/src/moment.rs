//! A moment of the store: the log up to one seq, kept where it is while the store goes on.
//!
//! ```text
//!  all streams sealed at seq S | what S needs durable | superblock and map read | segments pinned ... unpinned
//! ```
//! A sealed segment never changes until it is reused under another epoch, and a pinned one is not reused. So what is kept is what a
//! power cut at S would have left: a backup copies it, a snapshot reads it.
//!
//! Promises: everything acknowledged before is in it and nothing newer, groups whole. Never: stops writers; before they would wait
//! for segments that are kept here, the moment is given up.

use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::log::{map, segment::SegmentState, superblock};
use crate::options::{BACKUP_ROOM_SEGMENTS, BLOCK_BYTES, META_PIECE_BYTES};
use crate::tier::maps::Turn;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::{Buffer, Operation};

/// What a moment is kept for: one of each at a time.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Purpose {
    Backup,
    Snapshot,
}

impl Purpose {
    /// All, by number.
    const ALL: [Purpose; 2] = [Purpose::Backup, Purpose::Snapshot];

    fn words(self) -> &'static str {
        match self {
            Purpose::Backup => "backup",
            Purpose::Snapshot => "snapshot",
        }
    }

    fn refused(self, words: String) -> Error {
        match self {
            Purpose::Backup => Error::Backup { words },
            Purpose::Snapshot => Error::Snapshot { words },
        }
    }

    fn log_is_short(self) -> String {
        let what = self.words();
        format!(
            "the {what} was given up: the log is short of segments, and the {what} kept some that it could reuse; \
             let it write faster, or to less, or raise maxdisk"
        )
    }
}

/// What all moments keep.
#[derive(Default)]
pub(crate) struct Moments([Mutex<Pins>; 2]);

impl Moments {
    fn of(&self, purpose: Purpose) -> &Mutex<Pins> {
        &self.0[purpose as usize]
    }
}

/// The segments that one moment keeps where they are.
#[derive(Default)]
struct Pins {
    running: bool,
    /// The log was short of segments and took them back.
    given_up: bool,
    segments: Vec<u32>,
}

#[derive(Copy, Clone)]
pub(crate) struct Pinned {
    pub(crate) segment: u32,
    pub(crate) epoch: u32,
    pub(crate) max_seq: u64,
}

/// A moment. Its segments are kept until it is dropped.
pub(crate) struct Moment {
    pub(crate) inner: Arc<Inner>,
    purpose: Purpose,
    /// Everything up to here is in it.
    pub(crate) seq: u64,
    pub(crate) created_ms: u64,
    /// The superblock and the map: names and bytes.
    pub(crate) small: Vec<(&'static str, Vec<u8>)>,
    pub(crate) pinned: Vec<Pinned>,
}

impl Inner {
    /// Fixes a moment. Waits until it is durable.
    pub(crate) async fn fix_moment(self: &Arc<Self>, purpose: Purpose) -> Result<Moment> {
        // No map is written and nothing becomes free by one between the last map and the pins.
        let _turn = Turn::take(self, |inner| &inner.map_busy).await;
        if self.frozen.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        let moments = self.moments.of(purpose);
        {
            let mut pins = moments.lock();
            if pins.running {
                return Err(purpose.refused(format!("a {} is being made; wait until it has ended", purpose.words())));
            }
            *pins = Pins { running: true, ..Pins::default() };
        }
        let created_ms = self.clock.now_ms();
        let generation = self.superblock.lock().generation;
        let mut moment =
            Moment { inner: self.clone(), purpose, seq: 0, created_ms, small: Vec::new(), pinned: Vec::new() };
        let sealed = self.log.seal_all(|segment, meta| {
            meta.pins.fetch_add(1, Ordering::AcqRel);
            moments.lock().segments.push(segment);
            let max_seq = meta.max_seq.load(Ordering::Acquire);
            moment.pinned.push(Pinned { segment, epoch: meta.epoch(), max_seq });
        });
        let Some(seq) = sealed else {
            let reason = self.log.failure().unwrap_or_else(|| "the store is being closed".into());
            return Err(Error::Misconfigured { reason });
        };
        moment.seq = seq;
        self.wait_for_causes().await?;
        for name in superblock::FILES.into_iter().chain(map::FILES) {
            if let Some(bytes) = self.read_small(name).await? {
                self.pinned_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                moment.small.push((name, bytes));
            }
        }
        if self.superblock.lock().generation != generation {
            let words = "the log was healed, or appendonly was set, at this very moment; begin again";
            return Err(purpose.refused(words.into()));
        }
        Ok(moment)
    }

    /// All of a small file; `None`: it is not there.
    pub(crate) async fn read_small(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let about = |error: &io::Error| Error::io(format!("reading {name}"), error);
        let disk = &self.log.disk;
        let file = match disk.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(about(&error)),
        };
        let bytes = disk.length(file).map_err(|error| about(&error))? as usize;
        let mut out = Vec::with_capacity(bytes);
        while out.len() < bytes {
            let piece = (bytes - out.len()).min(META_PIECE_BYTES);
            let mut buffer = Buffer::new(piece.next_multiple_of(BLOCK_BYTES as usize));
            buffer.set_len(piece.next_multiple_of(BLOCK_BYTES as usize));
            let completion = self.request(file, Operation::Read { offset: out.len() as u64, buffer }).await;
            completion.result.map_err(|error| about(&error))?;
            let Operation::Read { buffer, .. } = completion.operation else { break };
            out.extend_from_slice(&buffer[..piece]);
        }
        Ok(Some(out))
    }

    /// Before writers wait for segments that are kept for a backup or a snapshot, it is given up.
    pub(crate) fn take_back_kept(&self) {
        let (ready, absent) = self.log.free_segments();
        if ready + absent > self.log.growth_reserve(0) + BACKUP_ROOM_SEGMENTS {
            return;
        }
        for purpose in Purpose::ALL {
            let mut pins = self.moments.of(purpose).lock();
            if pins.segments.iter().any(|&segment| self.log.segments[segment as usize].state() == SegmentState::Victim)
            {
                pins.given_up = true;
                tracing::warn!(segments = pins.segments.len(), "{}", purpose.log_is_short());
                self.unpin_all(&mut pins);
            }
        }
    }

    fn unpin_all(&self, pins: &mut Pins) {
        for segment in pins.segments.drain(..) {
            self.log.segments[segment as usize].pins.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Moment {
    pub(crate) fn small_bytes(&self) -> u64 {
        self.small.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Is the segment what it was? One that became free in the moment of the pins was dead under the map that goes with it.
    pub(crate) fn is_kept(&self, pinned: &Pinned) -> bool {
        let meta = &self.inner.log.segments[pinned.segment as usize];
        meta.state().is_ended() && meta.epoch() == pinned.epoch
    }

    /// The log has not taken its segments back.
    pub(crate) fn still_pinned(&self) -> Result<()> {
        match self.inner.moments.of(self.purpose).lock().given_up {
            true => Err(self.purpose.refused(self.purpose.log_is_short())),
            false => Ok(()),
        }
    }

    /// A segment is not needed any more.
    pub(crate) fn unpin(&self, segment: u32) {
        let mut pins = self.inner.moments.of(self.purpose).lock();
        if let Some(at) = pins.segments.iter().position(|&pinned| pinned == segment) {
            pins.segments.swap_remove(at);
            self.inner.log.segments[segment as usize].pins.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.inner.pinned_bytes.fetch_sub(self.small_bytes(), Ordering::Relaxed);
        let mut pins = self.inner.moments.of(self.purpose).lock();
        self.inner.unpin_all(&mut pins);
        pins.running = false;
    }
}
