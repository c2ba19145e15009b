//! A random order of 0..n that needs no memory: a four-round Feistel network over the next even number of bits, walked
//! again while the result is not below n (fewer than four steps on average).
//!
//! Promises: a bijection for every n and seed; the same seed gives the same order. Not for secrets.

use crate::value::KeyId;

/// A fixed random order of the numbers below `length`.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    length: u64,
    half_bits: u32,
    seed: u64,
}

impl Permutation {
    /// The order that this seed gives.
    pub fn new(length: u64, seed: u64) -> Self {
        let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
        Self { length, half_bits: bits.div_ceil(2).max(1), seed }
    }

    /// The number at this index.
    pub fn at(&self, index: u64) -> u64 {
        debug_assert!(index < self.length, "index within the permutation");
        let mut number = self.step(index);
        while number >= self.length {
            number = self.step(number);
        }
        number
    }

    fn step(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..4 {
            let spread = KeyId(right ^ self.seed.rotate_left(round * 16)).spread();
            (left, right) = (right, left ^ (spread & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_exactly_once() {
        for length in [1, 2, 3, 5, 16, 17, 1_000, 4_097] {
            let order = Permutation::new(length, 42);
            let mut seen: Vec<u64> = (0..length).map(|index| order.at(index)).collect();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..length), "length {length}");
        }
    }

    #[test]
    fn the_order_follows_the_seed() {
        let orders: Vec<Vec<u64>> =
            [1, 1, 2].map(|seed| (0..1_000).map(|index| Permutation::new(1_000, seed).at(index)).collect()).into();
        assert_eq!(orders[0], orders[1]);
        assert_ne!(orders[0], orders[2]);
        assert!(!orders[0].iter().copied().eq(0..1_000), "the order is not the sequence itself");
    }
}
