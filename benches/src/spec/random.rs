//! Random numbers from a seed: SplitMix64. Fast, the same on every machine, never for secrets.

use crate::value::KeyId;

/// The increment of SplitMix64: 2^64 divided by the golden ratio.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A row of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The row of this seed. The seed is spread first, or neighbouring seeds would give the same row, shifted.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: KeyId(seed).spread() }
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        KeyId(self.state).spread()
    }

    /// Uniform in 0 <= x < 1.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Uniform in 0..n (a multiplication instead of a division; uneven by less than n / 2^64).
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
}

/// 64 random bits as a number in 0 <= x < 1.
pub(super) fn unit(bits: u64) -> f64 {
    // Through i64, which the processor converts by itself.
    (bits >> 11) as i64 as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_seeds_share_nothing() {
        let row = |seed| (0..1_000).scan(Random::new(seed), |random, _| Some(random.bits())).collect::<Vec<_>>();
        let (first, second) = (row(1), row(2));
        assert_eq!(first, row(1));
        assert!(!second.iter().any(|bits| first.contains(bits)));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_every_one() {
        let mut random = Random::new(7);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10) as usize] += 1;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!(seen.iter().all(|&count| (850..1_150).contains(&count)), "{seen:?}");
    }
}
