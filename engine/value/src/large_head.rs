//! The head of a large string: what the key's own record holds when the bytes live in extents.
//!
//! ```text
//!   offset  0               8           12                  20
//!           +---------------+-----------+-------------------+
//!           | length u64    | extent u32| id u64            |   little-endian, 20 bytes, no padding
//!           +---------------+-----------+-------------------+
//! ```
//!
//! `length` is the string's length in bytes; `extent` the bytes of every extent but the last; `id` the seq of the
//! string's creation, which never comes again, so an extent's key (id, number) never names two strings.
//! Extent number n holds the bytes from n * extent on.
//! Example: 600 KiB in extents of 256 KiB is three extents: 0 and 1 whole, 2 with 88 KiB.
//!
//! Promises: the head is read back as written; a head that cannot be true (an extent of 0 bytes, wrong size) is refused.
//! Never: reads or finds an extent.

use crate::codec::CodecError;
use std::ops::Range;

/// Bytes of an encoded [`LargeHead`].
pub const LARGE_HEAD_BYTES: usize = 20;

const LENGTH: Range<usize> = 0..8;
const EXTENT_BYTES: Range<usize> = 8..12;
const ID: Range<usize> = 12..20;
const _: () = assert!(ID.end == LARGE_HEAD_BYTES && LENGTH.end == EXTENT_BYTES.start && EXTENT_BYTES.end == ID.start);

/// The payload of a [`Kind::LargeString`](crate::Kind::LargeString) record.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct LargeHead {
    /// Length of the whole string in bytes.
    pub length: u64,
    /// Bytes in every extent but the last. Never 0.
    pub extent_bytes: u32,
    /// The string's id: the seq of its creation.
    pub id: u64,
}

impl LargeHead {
    /// The twenty bytes of the drawing.
    pub fn encode(&self) -> [u8; LARGE_HEAD_BYTES] {
        assert!(self.extent_bytes > 0, "a large string needs extents of at least one byte");
        let mut bytes = [0; LARGE_HEAD_BYTES];
        bytes[LENGTH].copy_from_slice(&self.length.to_le_bytes());
        bytes[EXTENT_BYTES].copy_from_slice(&self.extent_bytes.to_le_bytes());
        bytes[ID].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }

    /// Reads a head back. The payload must be exactly one head.
    pub fn decode(payload: &[u8]) -> Result<LargeHead, CodecError> {
        let bytes: &[u8; LARGE_HEAD_BYTES] = payload
            .try_into()
            .map_err(|_| if payload.len() < LARGE_HEAD_BYTES { CodecError::Truncated } else { CodecError::BadField })?;
        let mut length = [0; 8];
        length.copy_from_slice(&bytes[LENGTH]);
        let mut extent_bytes = [0; 4];
        extent_bytes.copy_from_slice(&bytes[EXTENT_BYTES]);
        let mut id = [0; 8];
        id.copy_from_slice(&bytes[ID]);
        let head = LargeHead {
            length: u64::from_le_bytes(length),
            extent_bytes: u32::from_le_bytes(extent_bytes),
            id: u64::from_le_bytes(id),
        };
        if head.extent_bytes == 0 { Err(CodecError::BadField) } else { Ok(head) }
    }

    /// How many extents hold the string.
    pub const fn extents(&self) -> u64 {
        self.length.div_ceil(self.extent_bytes as u64)
    }

    /// How many bytes extent `number` holds; 0 for a number past the end.
    pub const fn extent_length(&self, number: u64) -> u32 {
        let Some(start) = number.checked_mul(self.extent_bytes as u64) else {
            return 0;
        };
        let left = self.length.saturating_sub(start);
        if left < self.extent_bytes as u64 { left as u32 } else { self.extent_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let head = LargeHead { length: 0x0102, extent_bytes: 0x0304, id: 0x0506 };
        let bytes = [2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 6, 5, 0, 0, 0, 0, 0, 0];
        assert_eq!(head.encode(), bytes);
    }

    #[test]
    fn six_hundred_kibibytes_are_three_extents() {
        let head = LargeHead { length: 600 << 10, extent_bytes: 256 << 10, id: 1 };
        assert_eq!(head.extents(), 3);
        assert_eq!((0..4).map(|n| head.extent_length(n) >> 10).collect::<Vec<_>>(), [256, 256, 88, 0]);
    }

    #[test]
    fn a_head_that_cannot_be_true_is_refused() {
        assert_eq!(LargeHead::decode(&[0; LARGE_HEAD_BYTES]), Err(CodecError::BadField));
        assert_eq!(LargeHead::decode(&[1; LARGE_HEAD_BYTES - 1]), Err(CodecError::Truncated));
        assert_eq!(LargeHead::decode(&[1; LARGE_HEAD_BYTES + 1]), Err(CodecError::BadField));
    }

    proptest! {
        #[test]
        fn a_head_is_read_back(length in any::<u64>(), extent_bytes in 1u32.., id in any::<u64>()) {
            let head = LargeHead { length, extent_bytes, id };
            prop_assert_eq!(LargeHead::decode(&head.encode()), Ok(head));
        }

        #[test]
        fn the_extents_hold_the_whole_string(length in 0u64..1 << 20, extent_bytes in 512u32..1 << 16) {
            let head = LargeHead { length, extent_bytes, id: 1 };
            let held: u64 = (0..head.extents() + 2).map(|n| u64::from(head.extent_length(n))).sum();
            prop_assert_eq!(held, length);
        }
    }
}
