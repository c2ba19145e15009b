//! A random order of 0..n that needs no memory: a four-round Feistel network over the bits of n - 1, walked again while the
//! result is not below n (fewer than two steps on average). Its two sides may differ by a bit: each round changes one side by
//! a hash of the other, which can always be undone.
//!
//! Promises: a bijection for every n and seed; the same seed gives the same order. Not for secrets.

use crate::value::KeyId;

/// Odd, with its bits well mixed: the multiplier of the rounds' hash, whose high bits are taken.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A fixed random order of the numbers below `length`.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    length: u64,
    left_bits: u32,
    right_bits: u32,
    rounds: [u64; 4],
}

impl Permutation {
    /// The order that this seed gives.
    pub fn new(length: u64, seed: u64) -> Self {
        let bits = (u64::BITS - length.saturating_sub(1).leading_zeros()).max(2);
        let first = KeyId(seed).spread();
        let rounds = [0, 1, 2, 3].map(|round| KeyId(first ^ round).spread());
        Self { length, left_bits: bits / 2, right_bits: bits - bits / 2, rounds }
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
        let (mut left, mut right) = (number >> self.right_bits, number & ((1 << self.right_bits) - 1));
        for round in self.rounds.as_chunks::<2>().0 {
            left ^= hash(right ^ round[0]) >> (u64::BITS - self.left_bits);
            right ^= hash(left ^ round[1]) >> (u64::BITS - self.right_bits);
        }
        (left << self.right_bits) | right
    }
}

/// Every high bit depends on all bits: the first product brings the low ones up, the fold and the second the high ones down.
fn hash(number: u64) -> u64 {
    let product = number.wrapping_mul(MULTIPLIER);
    (product ^ (product >> 32)).wrapping_mul(MULTIPLIER)
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
