//! Times, counted so that a percentile can be told: four buckets to a doubling, so it is at most a quarter too high.
//!
//! ```text
//!   us      0 1 2 3 | 4 5 6 7 | 8-9 10-11 12-13 14-15 | 16-19 20-23 24-27 28-31 | 32-39 ..
//!   bucket  0 1 2 3 | 4 5 6 7 | 8   9     10    11    | 12    13    14    15    | 16    ..
//! ```
//! Promises: counting is one atomic addition; 2 KiB. Never: a time forgotten because it was too long.

use std::sync::atomic::{AtomicU64, Ordering};

const BUCKETS: usize = 4 * 63;

/// Counts of times.
pub struct Latency([AtomicU64; BUCKETS]);

impl Default for Latency {
    fn default() -> Self {
        Latency([const { AtomicU64::new(0) }; BUCKETS])
    }
}

fn bucket(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let octave = us.ilog2();
    4 * (octave as usize - 1) + (us >> (octave - 2)) as usize % 4
}

/// The longest time of a bucket.
fn longest(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (octave, quarter) = (bucket / 4 + 1, bucket % 4);
    (((4 + quarter as u128 + 1) << (octave - 2)) - 1) as u64
}

impl Latency {
    /// Counts a time.
    pub fn note(&self, us: u64) {
        self.0[bucket(us)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The time that so many percent did not exceed; 0 if none was counted.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.count() * percent).div_ceil(100);
        let mut seen = 0;
        let reached = self.0.iter().position(|count| {
            seen += count.load(Ordering::Relaxed);
            seen >= wanted && seen > 0
        });
        reached.map_or(0, longest)
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bucket_whose_end_is_at_most_a_quarter_above_it() {
        let mut last = 0;
        for shift in 0..64 {
            for us in
                [1u64 << shift, (1u64 << shift) | (1u64 << shift) >> 1, (1u64 << shift) - 1, u64::MAX >> (63 - shift)]
            {
                let end = longest(bucket(us));
                assert!(end >= us && end - us <= us / 4, "{us}: {end}");
                last = last.max(bucket(us));
            }
        }
        assert_eq!(last, BUCKETS - 1);
        assert!((1..BUCKETS).all(|n| longest(n) > longest(n - 1) && bucket(longest(n)) == n));
    }

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let latency = Latency::default();
        assert_eq!((latency.percentile(50), latency.count()), (0, 0));
        (1..=100).for_each(|us| latency.note(us * 1000));
        for percent in [1, 50, 99, 100] {
            let told = latency.percentile(percent);
            assert!(told >= percent * 1000 && told <= percent * 1250, "{percent} %: {told}");
        }
        latency.reset();
        assert_eq!(latency.count(), 0);
    }
}
