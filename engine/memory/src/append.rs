//! A byte buffer that many writers fill at once, each its own range.
//!
//! ```text
//!  0            claimed by A      by B      by C     claimed()          capacity
//!  |=================|.............|=========|..........|                    |
//!    filled by A        B still      C done
//!                       copies                 filled() = A + C: less than claimed(), so not all is readable yet
//! ```
//! Under its own lock the caller gives out ranges one after the other and claims each; the copying happens outside the lock.
//! Promises: two [`Fill`]s never overlap (the cursor moves once over each byte); a byte is readable only after its fill ended;
//! the buffer begins at a multiple of 4096, as O_DIRECT wants it.
//! Never: grows, waits, allocates after `new`, or gives a range twice before `reset`.

use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use crate::sync::{AtomicUsize, Ordering};

/// The buffer.
#[derive(Debug)]
pub struct AppendBuffer {
    map: MmapRaw,
    /// Bytes `0..claimed` were given out.
    claimed: AtomicUsize,
    /// Sum of the lengths of the fills that ended.
    filled: AtomicUsize,
    /// Bytes `0..readable` are known to be filled.
    readable: AtomicUsize,
}

impl AppendBuffer {
    /// A buffer of `capacity` bytes, zero at first.
    pub fn new(capacity: usize) -> io::Result<Arc<AppendBuffer>> {
        Ok(Arc::new(AppendBuffer {
            map: MmapRaw::from(MmapOptions::new().len(capacity.max(1)).map_anon()?),
            claimed: AtomicUsize::new(0),
            filled: AtomicUsize::new(0),
            readable: AtomicUsize::new(0),
        }))
    }

    /// Bytes in all.
    pub fn capacity(&self) -> usize {
        self.map.len()
    }

    /// Takes `range` to fill it. Ranges come one after the other without gaps, so the caller decides their order under a lock;
    /// anything else is a bug and panics.
    pub fn claim(self: &Arc<Self>, range: Range<usize>) -> Fill {
        assert!(range.start <= range.end && range.end <= self.capacity(), "the range {range:?} is outside the buffer");
        let claimed = self.claimed.compare_exchange(range.start, range.end, Ordering::AcqRel, Ordering::Acquire);
        assert!(claimed.is_ok(), "the range {range:?} was claimed, but the cursor stands at {claimed:?}");
        Fill { buffer: Arc::clone(self), range }
    }

    /// How far the ranges were given out.
    pub fn claimed(&self) -> usize {
        self.claimed.load(Ordering::Acquire)
    }

    /// Bytes whose fill ended. Equal to `claimed()`: all of them are readable.
    pub fn filled(&self) -> usize {
        self.filled.load(Ordering::Acquire)
    }

    /// The bytes of `range`, when it is known that all of them are filled. `None` may also mean that a fill before or behind it
    /// is still going on: ask again.
    pub fn read(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.readable.load(Ordering::Acquire).max(self.settle()) {
            return None;
        }
        // SAFETY: `range.end` is at most a value of `settle`: bytes below it were claimed, and the fills of all of them ended
        // before (their release of `filled` is seen by our acquire). Nobody can claim them again while `&self` lives, for
        // `reset` takes `&mut self`; so they do not change. The map holds initialised bytes and lives as long as `self`.
        Some(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(range.start), range.len()) })
    }

    /// Makes the buffer as new, but for its contents. Only possible when no fill and no reader is left.
    pub fn reset(&mut self) {
        for cursor in [&self.claimed, &self.filled, &self.readable] {
            cursor.store(0, Ordering::Relaxed);
        }
    }

    /// How far all is filled, if nobody fills just now. Reads `filled` first: it was at most `claimed` then, and `claimed` only
    /// grows; so when both are equal, nothing was missing at the moment `filled` was read.
    fn settle(&self) -> usize {
        let filled = self.filled();
        if filled != self.claimed() {
            return 0;
        }
        self.readable.fetch_max(filled, Ordering::AcqRel);
        filled
    }
}

/// A range of the buffer, to be filled by its owner. Dropping it says that the bytes are there.
#[derive(Debug)]
pub struct Fill {
    buffer: Arc<AppendBuffer>,
    range: Range<usize>,
}

impl Fill {
    /// Where in the buffer.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl Deref for Fill {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as in `deref_mut`; `&self` allows other shared references only.
        unsafe { std::slice::from_raw_parts(self.buffer.map.as_ptr().add(self.range.start), self.range.len()) }
    }
}

impl DerefMut for Fill {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range is inside the map (checked in `claim`). The cursor passed over it once, for this fill, so no other
        // fill has any of it; readers get it only after this fill was dropped; `&mut self` is the only way here.
        unsafe { std::slice::from_raw_parts_mut(self.buffer.map.as_mut_ptr().add(self.range.start), self.range.len()) }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.buffer.filled.fetch_add(self.range.len(), Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable_after_all_fills_ended_and_not_before() {
        let buffer = AppendBuffer::new(8192).unwrap();
        let mut first = buffer.claim(0..4);
        let mut second = buffer.claim(4..10);
        second.copy_from_slice(b"second");
        drop(second);
        assert_eq!(buffer.read(4..10), None, "the first is not there yet");
        first.copy_from_slice(b"frst");
        drop(first);
        assert_eq!(buffer.read(0..10), Some(&b"frstsecond"[..]));
        assert_eq!(buffer.read(0..11), None);
        let _third = buffer.claim(10..20);
        assert_eq!(buffer.read(0..10), Some(&b"frstsecond"[..]), "once readable, always readable");
        assert_eq!((buffer.claimed(), buffer.filled()), (20, 10));
    }

    #[test]
    #[should_panic(expected = "cursor stands at")]
    fn a_range_cannot_be_claimed_twice() {
        let buffer = AppendBuffer::new(100).unwrap();
        let _held = buffer.claim(0..10);
        let _twice = buffer.claim(5..10);
    }

    #[test]
    #[should_panic(expected = "outside the buffer")]
    fn a_range_outside_is_refused() {
        let buffer = AppendBuffer::new(4096).unwrap();
        let _fill = buffer.claim(0..4097);
    }

    #[test]
    fn the_buffer_is_aligned_for_direct_io() {
        let buffer = AppendBuffer::new(12_288).unwrap();
        drop(buffer.claim(0..12_288));
        assert_eq!(buffer.read(0..1).unwrap().as_ptr() as usize % 4096, 0);
    }

    #[test]
    fn a_reset_buffer_starts_over() {
        let mut buffer = AppendBuffer::new(10).unwrap();
        buffer.claim(0..3).copy_from_slice(b"old");
        Arc::get_mut(&mut buffer).unwrap().reset();
        buffer.claim(0..2).copy_from_slice(b"ok");
        assert_eq!(buffer.read(0..3), None);
        assert_eq!(buffer.read(0..2), Some(&b"ok"[..]));
    }
}
