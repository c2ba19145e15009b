//! Places: where a value lies on the SSD, in 16-byte units over all segments (40 bits: 16 TiB), and the size classes that say
//! how much one read must take.
//!
//! ```text
//!  place = segment x (segment bytes / 16) + offset / 16
//!  class   0 1 2 3 4 5 6 7  8  9 10 11 12 13  14  15
//!  sectors 1 2 3 4 5 6 8 10 13 17 24 33 65 129 257 514      (512 bytes each)
//! ```
//! Promises: one read of `class` sectors from the sector of the place holds the whole record. Never: place 0 for a value (a
//! chunk header lies there), so 0 means "none".

use crate::options::{PLACE_UNIT_BYTES, RECORD_BYTES_MAX};

/// Sectors that a class reads.
pub const CLASS_SECTORS: [u32; 16] = [1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 24, 33, 65, 129, 257, 514];
/// Bytes of a sector.
pub const SECTOR_BYTES: u32 = 512;
const _: () =
    assert!(CLASS_SECTORS[15] as u64 * SECTOR_BYTES as u64 >= RECORD_BYTES_MAX + 2 * SECTOR_BYTES as u64 - 16);

/// Where a value lies.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash, PartialOrd, Ord)]
pub struct Place(u64);

impl Place {
    /// No place: the value is in DRAM only.
    pub const NONE: Place = Place(0);

    /// A place from its 40 bits.
    pub fn from_bits(bits: u64) -> Place {
        Place(bits)
    }

    /// Its 40 bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Is there a copy on the SSD (or on its way)?
    pub fn is_some(self) -> bool {
        self.0 != 0
    }

    /// The place of an offset in a segment.
    pub fn new(segment: u32, offset: u32, segment_bytes: u32) -> Place {
        Place(u64::from(segment) * u64::from(segment_bytes / PLACE_UNIT_BYTES) + u64::from(offset / PLACE_UNIT_BYTES))
    }

    /// Segment and byte offset.
    pub fn split(self, segment_bytes: u32) -> (u32, u32) {
        let units = u64::from(segment_bytes / PLACE_UNIT_BYTES);
        ((self.0 / units) as u32, (self.0 % units) as u32 * PLACE_UNIT_BYTES)
    }
}

/// Splits many places without a division each.
#[derive(Copy, Clone, Debug)]
pub struct Splitter {
    units: u64,
    /// 2^64 / units, rounded up: exact for places of 40 bits, because place x units stays far below 2^64.
    reciprocal: u64,
}

impl Splitter {
    /// For segments of this size (more than one unit).
    pub fn new(segment_bytes: u32) -> Splitter {
        let units = u64::from(segment_bytes / PLACE_UNIT_BYTES);
        assert!(units > 1, "a segment has more than one place");
        Splitter { units, reciprocal: u64::MAX / units + 1 }
    }

    /// Segment and byte offset.
    #[inline]
    pub fn split(self, place: Place) -> (u32, u32) {
        let segment = ((u128::from(place.0) * u128::from(self.reciprocal)) >> 64) as u64;
        (segment as u32, (place.0 - segment * self.units) as u32 * PLACE_UNIT_BYTES)
    }
}

/// The class whose read holds `bytes` at `offset`.
pub fn class_of(offset: u32, bytes: u32) -> u8 {
    let sectors = (offset % SECTOR_BYTES + bytes).div_ceil(SECTOR_BYTES);
    CLASS_SECTORS.iter().position(|&s| s >= sectors).unwrap_or(15) as u8
}

/// The byte range of the segment that one read takes: (from, bytes).
pub fn read_range(offset: u32, class: u8, align: u32, segment_bytes: u32) -> (u32, u32) {
    let align = align.max(1);
    let sector = offset / SECTOR_BYTES * SECTOR_BYTES;
    let end = (sector + CLASS_SECTORS[usize::from(class)] * SECTOR_BYTES).min(segment_bytes);
    let from = sector / align * align;
    (from, (end - from).next_multiple_of(align).min(segment_bytes - from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_holds_the_whole_record() {
        for offset in (64..20_000).step_by(16) {
            for bytes in [48u32, 400, 464, 512, 3000, 8300, 65_536, 262_144] {
                let (from, length) = read_range(offset, class_of(offset, bytes), 512, 32 << 20);
                assert!(from <= offset && offset + bytes <= from + length);
            }
        }
    }

    #[test]
    fn a_splitter_splits_like_a_division() {
        for segment_bytes in [32 << 10, 64 << 10, 3 << 16, 7 << 16, 511 << 16, 32 << 20] {
            let splitter = Splitter::new(segment_bytes);
            let segments = (1u64 << 40) / u64::from(segment_bytes / PLACE_UNIT_BYTES);
            for segment in (0..segments).step_by(segments as usize / 1000).chain([segments - 1]) {
                for offset in [0, PLACE_UNIT_BYTES, segment_bytes / 2, segment_bytes - PLACE_UNIT_BYTES] {
                    let place = Place::new(segment as u32, offset, segment_bytes);
                    assert_eq!(splitter.split(place), (segment as u32, offset));
                    assert_eq!(splitter.split(place), place.split(segment_bytes));
                }
            }
        }
    }

    #[test]
    fn a_place_splits_into_what_made_it() {
        assert_eq!(Place::new(77, 65_520, 65_536).split(65_536), (77, 65_520));
    }
}
