//! The advisor of the server (`thermocline::policy::Advisor`), asked about one size: what it says from a sample, beside what the
//! policy does over everything.
//!
//! It answers for the whole replay, at its end: requests before `--warmup` count too, and bytes are taken to hit as requests do.

use super::cache::{Cache, Counts};
use super::input::{Key, Request};
use thermocline::policy::{Advisor, Asked, Sample};
use thermocline::{TierPolicy, options};

/// The advisor, and which keys have had a request.
pub struct Sampled {
    advisor: Advisor,
}

impl Sampled {
    /// Nothing seen yet.
    pub fn new(capacity_bytes: u64) -> Self {
        Self { advisor: Advisor::new(TierPolicy::S3Fifo, &[capacity_bytes], None, options::ADVISED_KEYS_MAX) }
    }
}

/// What a hash is to a store's key: spread over all bits, never the same for two keys.
fn spread(Key(key): Key) -> u64 {
    let mixed = (u64::from(key) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32)
}

impl Cache for Sampled {
    fn request(&mut self, _place: usize, request: Request) -> bool {
        let asked = if request.write { Asked::Write } else { Asked::Read { hot: false } };
        self.advisor.count_reads(u64::from(!request.write));
        self.advisor.record(&Sample { id: spread(request.key), bytes: request.bytes, asked });
        false
    }

    fn finish(&self, counts: Counts) -> Counts {
        let share = self.advisor.hot_shares().map_or(0.0, |shares| shares[0]);
        let of = |whole: u64| (share * whole as f64).round() as u64;
        Counts { hits: of(counts.gets), hit_bytes: of(counts.get_bytes), ..counts }
    }
}
