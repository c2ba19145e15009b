//! Memory that a device may read and write: owned, aligned to 4096 bytes, always initialized.
//!
//! A `Buffer` promises that its bytes stay at one address from `new` to drop, wherever the `Buffer` itself is moved. It never
//! grows and never hands out bytes beyond its length.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The address and the capacity of every buffer are multiples of this.
pub const BUFFER_ALIGN: usize = 4096;

/// From this capacity on a buffer is a mapping of its own: large blocks that come and go would leave holes in the heap which
/// small ones fill and keep (measured: 107 MiB of RSS beyond what was in use after a bulk load).
const MAPPED_BYTES_MIN: usize = 32 << 10;

/// Owned bytes, aligned to 4096, zeroed at birth.
pub struct Buffer {
    start: NonNull<u8>,
    length: usize,
    capacity: usize,
}

// SAFETY: a `Buffer` is the only owner of its bytes, as a `Vec<u8>` is; nothing about them is tied to a thread.
unsafe impl Send for Buffer {}
// SAFETY: through `&Buffer` the bytes can only be read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A zeroed buffer of this length. The capacity is the length rounded up to 4096, and at least 4096.
    pub fn new(bytes: usize) -> Buffer {
        let capacity = capacity_for(bytes);
        let layout = layout(capacity);
        if capacity >= MAPPED_BYTES_MIN {
            return Buffer { start: map(capacity), length: bytes, capacity };
        }
        // SAFETY: the layout's size is at least BUFFER_ALIGN, so not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Buffer { start, length: bytes, capacity }
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether its length is zero.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Sets the length, at most the capacity. Bytes between the two keep what was last written there.
    pub fn set_len(&mut self, bytes: usize) {
        assert!(bytes <= self.capacity, "a buffer of {} bytes cannot hold {bytes}", self.capacity);
        self.length = bytes;
    }

    /// The largest length it can take.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where the bytes are. For the ring, which must not hold a reference while the kernel writes.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

/// What `Buffer::new` rounds a length to.
pub(crate) fn capacity_for(bytes: usize) -> usize {
    bytes.max(1).checked_next_multiple_of(BUFFER_ALIGN).expect("a buffer's size fits the address space")
}

/// Anonymous zeroed memory of its own.
fn map(capacity: usize) -> NonNull<u8> {
    // SAFETY: a fresh private anonymous mapping touches no memory that anybody has.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            capacity,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
        _ => handle_alloc_error(layout(capacity)),
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, BUFFER_ALIGN).expect("a buffer's size fits the address space")
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.capacity >= MAPPED_BYTES_MIN {
            // SAFETY: `start` came from `map` with this very capacity, and is unmapped once, here.
            let result = unsafe { libc::munmap(self.start.as_ptr().cast(), self.capacity) };
            assert_eq!(result, 0, "a mapping of our own can be unmapped");
            return;
        }
        // SAFETY: `start` came from `alloc_zeroed` with this very layout, and is freed once, here.
        unsafe { dealloc(self.start.as_ptr(), layout(self.capacity)) }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `capacity` bytes were allocated and initialized, `length <= capacity`, and `&self` keeps writers away.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.length, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zeroed_and_aligned() {
        for bytes in [0, 1, 4095, 4096, 4097, 1 << 20] {
            let buffer = Buffer::new(bytes);
            assert_eq!(buffer.len(), bytes);
            assert_eq!(buffer.start().as_ptr() as usize % BUFFER_ALIGN, 0);
            assert_eq!(buffer.capacity() % BUFFER_ALIGN, 0);
            assert!(buffer.capacity() >= bytes.max(1));
            assert!(buffer.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn the_length_moves_within_the_capacity() {
        let mut buffer = Buffer::new(10);
        buffer.set_len(4096);
        buffer[4095] = 7;
        buffer.set_len(3);
        assert_eq!(buffer.len(), 3);
        buffer.set_len(4096);
        assert_eq!(buffer[4095], 7);
    }

    #[test]
    #[should_panic(expected = "cannot hold")]
    fn the_length_never_passes_the_capacity() {
        Buffer::new(10).set_len(4097);
    }
}
