//! Which elements of a collection were seen: 16 bytes for each, whatever its length.
//!
//! An element's mark is two keyed hashes of 64 bits side by side; the keys are the process's own, so nobody can send two
//! elements that collide.
//!
//! Promises: memory is bounded by the elements that arrived; work per element is constant.
//! Never: keeps an element.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// Elements whose room is kept for the next collection; emptying it costs a byte for each.
const KEPT_ELEMENTS: usize = 128;

pub(crate) struct Seen {
    marks: HashSet<u128, BuildHasherDefault<LowHalf>>,
    keys: [RandomState; 2],
}

impl Seen {
    pub(crate) fn new() -> Seen {
        Seen { marks: HashSet::default(), keys: [RandomState::new(), RandomState::new()] }
    }

    pub(crate) fn clear(&mut self) {
        self.marks.clear();
        self.marks.shrink_to(KEPT_ELEMENTS);
    }

    /// False if it was there.
    pub(crate) fn insert(&mut self, element: &[u8]) -> bool {
        let [low, high] = self.keys.each_ref().map(|key| {
            let mut hasher = key.build_hasher();
            hasher.write(element);
            hasher.finish()
        });
        self.marks.insert(u128::from(high) << 64 | u128::from(low))
    }
}

/// A mark is a hash already.
#[derive(Default)]
struct LowHalf(u64);

impl Hasher for LowHalf {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, mark: u128) {
        self.0 = mark as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_time_is_noticed() {
        let mut seen = Seen::new();
        for number in 0..10_000u32 {
            assert!(seen.insert(&number.to_le_bytes()));
        }
        for number in 0..10_000u32 {
            assert!(!seen.insert(&number.to_le_bytes()));
        }
        seen.clear();
        assert!(seen.insert(b""));
        assert!(!seen.insert(b""));
    }
}
