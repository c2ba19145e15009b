//! Chance for SPOP and SRANDMEMBER: ranks, drawn from a seed.
//!
//! Promises: one seed gives one choice, so that a body that is called again chooses the same members. Every rank has the same
//! chance, every subset too. Never: asks a clock or the system for chance.

/// SplitMix64.
#[derive(Copy, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// Begins with a command's seed. The seeds of commands that follow each other are one step of SplitMix64 apart: taken as they
    /// are, the second draw of one would be the first of the next.
    pub(super) fn new(seed: u64) -> Chance {
        Chance(scramble(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

fn scramble(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Up to one in so many, ranks are drawn one by one; above that, all are gone through.
const SPARSE: u64 = 4;

/// `count` different ranks below `length`, in ascending order. `count` is at most `length`.
pub(super) fn distinct(count: u64, length: u64, mut chance: Chance) -> Vec<u64> {
    let mut ranks = Vec::new();
    if count > length / SPARSE {
        let mut left = count;
        for rank in 0..length {
            if chance.below(length - rank) < left {
                ranks.push(rank);
                left -= 1;
            }
        }
        return ranks;
    }
    // Few of many: what was drawn twice is drawn anew, at most a quarter each time.
    while (ranks.len() as u64) < count {
        for _ in ranks.len() as u64..count {
            ranks.push(chance.below(length));
        }
        ranks.sort_unstable();
        ranks.dedup();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_different_ranks_are_drawn_as_were_asked_for() {
        for length in [1, 2, 3, 10, 100, 1000] {
            for count in [0, 1, length / 5, length / 4, length / 2, length - 1, length] {
                let ranks = distinct(count, length, Chance::new(count * 7919 + length));
                assert_eq!(ranks.len() as u64, count, "of {length}");
                assert!(ranks.is_sorted_by(|one, next| one < next), "{ranks:?}");
                assert!(ranks.last().is_none_or(|last| *last < length));
            }
        }
    }

    #[test]
    fn every_rank_has_the_same_chance_few_or_many() {
        const LENGTH: u64 = 20;
        const DRAWS: u64 = 20_000;
        for count in [1, 5, 6, 19] {
            let mut hits = [0u64; LENGTH as usize];
            for seed in 0..DRAWS {
                // As the session steps its seeds.
                let chance = Chance::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                distinct(count, LENGTH, chance).iter().for_each(|rank| hits[*rank as usize] += 1);
            }
            let expected = DRAWS * count / LENGTH;
            // Five standard deviations of a binomial count.
            let allowed = 5.0 * ((DRAWS * count * (LENGTH - count)) as f64 / (LENGTH * LENGTH) as f64).sqrt();
            for (rank, hits) in hits.iter().enumerate() {
                assert!(
                    (hits.abs_diff(expected) as f64) <= allowed,
                    "rank {rank}: {hits} of {expected}, {count} drawn"
                );
            }
        }
    }

    #[test]
    fn the_choices_of_commands_that_follow_each_other_do_not_overlap() {
        let draws = |command: u64| {
            let mut chance = Chance::new(command.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            [(); 8].map(|()| chance.below(1 << 40))
        };
        let (first, second) = (draws(1), draws(2));
        assert!(first.iter().all(|draw| !second.contains(draw)), "{first:?} {second:?}");
        assert_eq!(draws(1), first);
    }
}
