//! What another size of DRAM would do: the policy's model over a sample of the keys, for several sizes at once.
//!
//! A key belongs to the sample if some of its hash's bits are below a limit (spatial sampling: SHARDS, Waldspurger et al., "Efficient
//! MRC construction with SHARDS", FAST 2015). When the sample grows beyond its bound the limit is lowered and the keys above it
//! leave, so the sample has a fixed size however many keys there are. The policy is no stack algorithm, so there are no reuse
//! distances to be had of it: instead each size has a small copy of the policy that sees the sample only, with its capacity cut
//! down by the same rate (Waldspurger et al., "Cache modeling and optimization using miniature simulations", ATC 2017). Of the
//! SHARDS paper is also the correction for hot keys that are in the sample by chance, or missing in it: the requests that the
//! sample has too few or too many of are taken for requests of the hottest keys, which every size serves.
//!
//! Promises: memory is bounded by the number of sampled keys; the same requests give the same answers. Never: a clock, a lock.

use super::Model;
use crate::options::TierPolicy;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Bits of an id that decide whether it belongs to the sample: the low ones.
pub const SAMPLED_BITS: u32 = 23;
/// Everything belongs to the sample.
pub const BELOW_ALL: u32 = 1 << SAMPLED_BITS;
/// Sampled reads after which what was counted weighs half: the advice is about what is asked for now.
const HALF_LIFE_READS: u64 = 1 << 20;

/// What was done to a key.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its value was asked for, and was in DRAM or not.
    Read {
        /// It was.
        hot: bool,
    },
    /// It was written, unseen.
    Write,
    /// It is gone.
    Gone,
}

/// A request for a key of the sample.
#[derive(Copy, Clone, Debug)]
pub struct Sample {
    /// The key: bits of its hash.
    pub id: u64,
    /// What its value takes in the arena. 0: nobody knows; as before.
    pub bytes: u32,
    /// What was done.
    pub asked: Asked,
}

/// Several sizes and the sample.
pub struct Advisor {
    below: u32,
    samples_max: usize,
    sizes: Vec<Size>,
    /// Which of the sizes is the store's own.
    own: Option<usize>,
    keys: HashMap<u64, Known, BuildHasherDefault<DefaultHasher>>,
    free: Vec<u32>,
    /// Reads that the sampled ones stand for.
    reads: f64,
    /// Reads that there were.
    true_reads: f64,
    sampled_reads: u64,
    halvings: u32,
}

#[derive(Copy, Clone)]
struct Known {
    number: u32,
    bytes: u32,
}

struct Size {
    capacity_bytes: u64,
    model: Model,
    hits: f64,
}

impl Advisor {
    /// Nothing seen yet. `own`: which of the capacities is that of the store now, if it is among them.
    pub fn new(policy: TierPolicy, capacities_bytes: &[u64], own: Option<usize>, samples_max: usize) -> Advisor {
        let size = |&capacity_bytes: &u64| {
            let mut model = Model::new(policy, capacity_bytes);
            model.reserve(samples_max);
            Size { capacity_bytes, model, hits: 0.0 }
        };
        Advisor {
            below: BELOW_ALL,
            samples_max: samples_max.max(4),
            sizes: capacities_bytes.iter().map(size).collect(),
            own,
            keys: HashMap::default(),
            free: Vec::new(),
            reads: 0.0,
            true_reads: 0.0,
            sampled_reads: 0,
            halvings: 0,
        }
    }

    /// Ids whose low [`SAMPLED_BITS`] are below this belong to the sample.
    pub fn below(&self) -> u32 {
        self.below
    }

    /// Which part of the keys is in the sample.
    pub fn rate(&self) -> f64 {
        f64::from(self.below) / f64::from(BELOW_ALL)
    }

    /// How many keys are in the sample.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Reads that the answers rest on: those of the sample, since they were forgotten by half last.
    pub fn sampled_reads(&self) -> u64 {
        self.sampled_reads
    }

    /// All reads since then, as far as they were counted.
    pub fn reads(&self) -> f64 {
        self.true_reads.max(self.reads)
    }

    /// How often what was counted was cut by half: whoever counts beside this does the same.
    pub fn halvings(&self) -> u32 {
        self.halvings
    }

    /// DRAM that this takes.
    pub fn memory_bytes(&self) -> usize {
        let models: usize = self.sizes.iter().map(|size| size.model.memory_bytes()).sum();
        // A hash table has about one byte beside each place.
        models + self.keys.capacity() * (size_of::<(u64, Known)>() + 1) * 8 / 7 + self.free.capacity() * 4
    }

    /// So many more reads took place, sampled or not.
    pub fn count_reads(&mut self, reads: u64) {
        self.true_reads += reads as f64;
    }

    /// Takes a request into account, if its key belongs to the sample.
    pub fn record(&mut self, sample: &Sample) {
        if sample.id as u32 & (BELOW_ALL - 1) >= self.below {
            return;
        }
        if sample.asked == Asked::Gone {
            if let Some(known) = self.keys.remove(&sample.id) {
                self.forget(known.number);
            }
            return;
        }
        let known = self.keys.get_mut(&sample.id);
        let is_new = known.is_none();
        let known = match known {
            Some(known) => {
                known.bytes = if sample.bytes == 0 { known.bytes } else { sample.bytes };
                *known
            }
            None if sample.bytes == 0 => return,
            None => {
                if self.keys.len() == self.samples_max {
                    self.shrink();
                    return self.record(sample);
                }
                let number = self.free.pop().unwrap_or(self.keys.len() as u32);
                let known = Known { number, bytes: sample.bytes };
                self.keys.insert(sample.id, known);
                known
            }
        };
        let weight = 1.0 / self.rate();
        for (at, size) in self.sizes.iter_mut().enumerate() {
            let hit = size.model.request(known.number, known.bytes);
            // Of a key that is met for the first time the store itself knows where it was, for its own size and all above.
            let known_hot =
                is_new && sample.asked == Asked::Read { hot: true } && self.own.is_some_and(|own| at >= own);
            if let (Asked::Read { .. }, true) = (sample.asked, hit || known_hot) {
                size.hits += weight;
            }
        }
        if let Asked::Read { .. } = sample.asked {
            self.reads += weight;
            self.sampled_reads += 1;
            if self.sampled_reads >= HALF_LIFE_READS {
                self.halve();
            }
        }
    }

    /// Makes the sample smaller by a quarter.
    pub fn shrink(&mut self) {
        self.below = (self.below - self.below / 4).saturating_sub(1).max(1);
        let below = self.below;
        let mut gone = Vec::new();
        self.keys.retain(|&id, known| {
            let stays = (id as u32 & (BELOW_ALL - 1)) < below;
            if !stays {
                gone.push(known.number);
            }
            stays
        });
        for number in gone {
            self.forget(number);
        }
        let rate = self.rate();
        for size in &mut self.sizes {
            size.model.resize((size.capacity_bytes as f64 * rate) as u64);
        }
    }

    /// For each size the share of the reads that it would have served from DRAM. `None`: there were no reads.
    pub fn hot_shares(&self) -> Option<Vec<f64>> {
        if self.reads == 0.0 {
            return None;
        }
        let reads = if self.true_reads > 0.0 { self.true_reads } else { self.reads };
        let missing = reads - self.reads;
        Some(self.sizes.iter().map(|size| ((size.hits + missing) / reads).clamp(0.0, 1.0)).collect())
    }

    /// The share of a size between those that are kept, by its capacity: along the line between its neighbours over the logarithm
    /// of the size; that of the largest beyond it, and below the smallest its part.
    pub fn hot_share_at(&self, shares: &[f64], capacity_bytes: u64) -> f64 {
        let at = self.sizes.partition_point(|size| size.capacity_bytes < capacity_bytes);
        let Some(high) = self.sizes.get(at) else { return shares[at - 1] };
        let Some(low) = at.checked_sub(1) else {
            return shares[0] * capacity_bytes as f64 / high.capacity_bytes.max(1) as f64;
        };
        let place = |bytes: u64| (bytes.max(1) as f64).ln();
        let (from, to) = (place(self.sizes[low].capacity_bytes), place(high.capacity_bytes));
        let part = (place(capacity_bytes) - from) / (to - from);
        shares[low] + (shares[at] - shares[low]) * part
    }

    fn forget(&mut self, number: u32) {
        for size in &mut self.sizes {
            size.model.forget(number);
        }
        self.free.push(number);
    }

    fn halve(&mut self) {
        self.reads /= 2.0;
        self.true_reads /= 2.0;
        self.sampled_reads /= 2;
        self.halvings += 1;
        for size in &mut self.sizes {
            size.hits /= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ADVISED_BYTES_MAX, ADVISED_KEYS_MAX, ADVISED_SIZES};

    fn read(id: u64) -> Sample {
        Sample { id, bytes: 100, asked: Asked::Read { hot: false } }
    }

    #[test]
    fn the_sample_keeps_its_bound_and_its_numbers_are_used_again() {
        let mut advisor = Advisor::new(TierPolicy::S3Fifo, &[1 << 20, 1 << 22], None, 64);
        for id in 0..10_000u64 {
            advisor.record(&read(id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20));
            assert!(advisor.keys() <= 64);
        }
        assert!(advisor.keys() > 32 && advisor.rate() < 0.01, "{} keys at {}", advisor.keys(), advisor.rate());
        assert!(advisor.keys.values().all(|known| known.number < 64));
    }

    #[test]
    fn all_sizes_of_a_full_sample_take_less_than_a_mebibyte() {
        let sizes: Vec<u64> = ADVISED_SIZES.iter().map(|factor| (factor * f64::from(256 << 20)) as u64).collect();
        let mut advisor = Advisor::new(TierPolicy::S3Fifo, &sizes, None, ADVISED_KEYS_MAX);
        let mut bytes_max = 0;
        for step in 0..1_000_000u64 {
            // A third of the requests is for one key in sixteen, of 2 M keys of 400 bytes: 800 MB.
            let key = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 43 & if step % 3 == 0 { 0x1_ffff } else { 0x1f_ffff };
            let id = (key + 1).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20;
            advisor.record(&Sample { bytes: 400, ..read(id) });
            if step % 1000 == 0 {
                bytes_max = bytes_max.max(advisor.memory_bytes());
            }
        }
        assert!(
            advisor.keys() > ADVISED_KEYS_MAX / 2 && (bytes_max as u64) < ADVISED_BYTES_MAX,
            "{} keys, {bytes_max} bytes",
            advisor.keys()
        );
    }

    #[test]
    fn what_is_gone_is_read_anew_when_it_comes_back() {
        let mut advisor = Advisor::new(TierPolicy::S3Fifo, &[1 << 20], None, 64);
        advisor.record(&Sample { asked: Asked::Write, ..read(7) });
        advisor.record(&read(7));
        assert_eq!(advisor.hot_shares(), Some(vec![1.0]));
        advisor.record(&Sample { asked: Asked::Gone, ..read(7) });
        advisor.record(&read(7));
        assert_eq!(advisor.hot_shares(), Some(vec![0.5]));
    }

    #[test]
    fn the_first_read_of_a_key_is_where_the_store_says_it_was() {
        let mut advisor = Advisor::new(TierPolicy::S3Fifo, &[1_000, 2_000, 4_000], Some(1), 64);
        advisor.record(&Sample { asked: Asked::Read { hot: true }, ..read(1) });
        assert_eq!(advisor.hot_shares(), Some(vec![0.0, 1.0, 1.0]));
        advisor.record(&read(2));
        assert_eq!(advisor.hot_shares(), Some(vec![0.0, 0.5, 0.5]));
    }

    #[test]
    fn reads_that_the_sample_lacks_are_of_hot_keys() {
        let mut advisor = Advisor::new(TierPolicy::S3Fifo, &[1_000], None, 64);
        advisor.record(&read(1));
        advisor.count_reads(4);
        assert_eq!(advisor.hot_shares(), Some(vec![0.75]));
    }

    #[test]
    fn between_two_sizes_the_share_lies_between_theirs() {
        let advisor = Advisor::new(TierPolicy::S3Fifo, &[1 << 10, 1 << 12], None, 64);
        let share = |bytes| advisor.hot_share_at(&[0.2, 0.6], bytes);
        assert_eq!((share(1 << 10), share(1 << 12), share(1 << 20)), (0.2, 0.6, 0.6));
        assert_eq!((share(0), share(1 << 9)), (0.0, 0.1), "the curve begins at nothing");
        assert!((share(1 << 11) - 0.4).abs() < 1e-9);
    }
}
