//! Buffers for reuse, so that a read does not pay for zeroing a fresh one.
//!
//! Keeps at most `kept_bytes_max` of idle buffers, by capacity. A taken buffer has the asked length; its bytes are whatever
//! was there before (a fresh one's are zeros). When the pool is full of sizes nobody takes, a given buffer pushes the largest
//! of them out. It never waits and never refuses: what it does not have is allocated.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::Buffer;
use crate::buffer::capacity_for;

/// Reuses buffers; the bytes it keeps are bounded. Shared by reference among threads.
pub struct BufferPool {
    kept_bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    by_capacity: BTreeMap<usize, Vec<Buffer>>,
}

impl BufferPool {
    /// A pool that keeps at most this many bytes of idle buffers.
    pub fn new(kept_bytes_max: usize) -> Self {
        BufferPool { kept_bytes_max, kept: Mutex::default() }
    }

    /// A buffer of this length: a kept one of up to twice the needed capacity, or a fresh one.
    pub fn take(&self, bytes: usize) -> Buffer {
        let needed = capacity_for(bytes);
        let found = self.kept.lock().take(needed, needed.saturating_mul(2));
        match found {
            Some(mut buffer) => {
                buffer.set_len(bytes);
                buffer
            }
            None => Buffer::new(bytes),
        }
    }

    /// Gives a buffer back: kept if there is room or room can be made, else freed.
    pub fn give(&self, buffer: Buffer) {
        let capacity = buffer.capacity();
        if capacity > self.kept_bytes_max {
            return;
        }
        let mut kept = self.kept.lock();
        while kept.bytes + capacity > self.kept_bytes_max {
            let Some(other) = kept.by_capacity.keys().rev().copied().find(|&other| other != capacity) else {
                return;
            };
            kept.take(other, other);
        }
        kept.bytes += capacity;
        kept.by_capacity.entry(capacity).or_default().push(buffer);
    }

    /// The bytes of idle buffers kept now.
    pub fn kept_bytes(&self) -> usize {
        self.kept.lock().bytes
    }
}

impl Kept {
    fn take(&mut self, capacity_min: usize, capacity_max: usize) -> Option<Buffer> {
        let (&capacity, buffers) = self.by_capacity.range_mut(capacity_min..=capacity_max).next()?;
        let buffer = buffers.pop().expect("a kept list is never empty");
        if buffers.is_empty() {
            self.by_capacity.remove(&capacity);
        }
        self.bytes -= capacity;
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_buffer_is_taken_again() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(5000);
        buffer[0] = 9;
        pool.give(buffer);
        assert_eq!(pool.kept_bytes(), 8192);
        let again = pool.take(4097);
        assert_eq!((again.len(), again[0]), (4097, 9));
        assert_eq!(pool.kept_bytes(), 0);
    }

    #[test]
    fn kept_bytes_never_pass_the_bound() {
        let pool = BufferPool::new(10_000);
        for bytes in [4096, 4096, 4096, 8192, 16384] {
            pool.give(Buffer::new(bytes));
            assert!(pool.kept_bytes() <= 10_000);
        }
    }

    #[test]
    fn sizes_nobody_takes_make_room() {
        let pool = BufferPool::new(16384);
        (0..4).for_each(|_| pool.give(Buffer::new(4096)));
        pool.give(Buffer::new(8192));
        assert_eq!(pool.take(8192).capacity(), 8192);
        assert_eq!(pool.kept_bytes(), 8192);
    }

    #[test]
    fn a_small_request_does_not_take_a_large_buffer() {
        let pool = BufferPool::new(1 << 20);
        pool.give(Buffer::new(64 << 10));
        assert_eq!(pool.take(4096).capacity(), 4096);
        assert_eq!(pool.kept_bytes(), 64 << 10);
    }
}
