//! Blocks of a file in memory that is used again and again: a start reads gigabytes, and fresh memory costs a page fault per 4 KiB.
//!
//! Promises: aligned as direct I/O wants it, so that nothing is copied. Never: smaller again, so one lives no longer than a step.

use crate::options::BLOCK_BYTES;
use std::ops::Range;
use thermocline_io::Buffer;

/// What it grows by.
const STEP_BYTES: usize = 256 << 10;

/// The memory.
pub(crate) struct Window {
    buffer: Buffer,
    /// Bytes of the last footer that was read in it: the next one has about as many.
    pub(crate) footer_bytes: u32,
}

impl Default for Window {
    fn default() -> Self {
        Window { buffer: Buffer::new(BLOCK_BYTES as usize), footer_bytes: BLOCK_BYTES }
    }
}

impl Window {
    /// Room for so many bytes; what is in it is whatever was there before.
    pub(crate) fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.capacity() < bytes {
            self.buffer = Buffer::new(bytes.next_multiple_of(STEP_BYTES));
        }
        self.buffer.set_len(bytes);
        &mut self.buffer
    }

    /// What was read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Keeps only the first bytes: the file ended there.
    pub(crate) fn cut(&mut self, bytes: usize) {
        self.buffer.set_len(bytes);
    }
}

/// The whole blocks in which a range of a segment lies.
pub(crate) fn blocks(range: Range<u32>, segment_bytes: u32) -> Range<u32> {
    range.start / BLOCK_BYTES * BLOCK_BYTES..range.end.next_multiple_of(BLOCK_BYTES).min(segment_bytes)
}
