//! Which key comes next. Ranks (0 is the most popular) are scattered over the key space by a fixed bijection, so that popular
//! keys are neighbours neither in the order of loading nor on the disk. The scatter does not depend on the seed: every
//! caller of a workload has the same popular keys.

use super::random::Random;
use super::share_curve::ShareCurve;
use super::zipf::Zipf;
use crate::permutation::Permutation;
use std::fmt;

/// Seed of the scatter.
const SCATTER_SEED: u64 = 0x7468_6572_6d6f;

/// How popular the keys are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Popularity {
    /// All the same.
    Uniform,
    /// Zipf's law, scattered over the key space.
    Zipf {
        /// Its exponent.
        theta: f64,
    },
    /// Zipf's law over age: the newest key is the most popular.
    Latest {
        /// Its exponent.
        theta: f64,
    },
    /// A hot part of the keys takes most of the operations; within it, and outside, all are the same.
    Hotspot {
        /// Part of the keys that is hot.
        hot_keys: f64,
        /// Part of the operations that go there.
        hot_operations: f64,
    },
    /// A hotspot that moves: after this many steps it has moved on by its own width.
    Shifting {
        /// Part of the keys that is hot.
        hot_keys: f64,
        /// Part of the operations that go there.
        hot_operations: f64,
        /// Steps in which it moves by its own width.
        steps: u64,
    },
    /// 0, 1, 2, ... and from the start again.
    Sequential,
    /// A measured curve, scattered over the key space.
    Curve(&'static ShareCurve),
    /// Sessions that read a growing prefix again and again and then stop; see `sessions.rs`. They decide the operations too.
    Sessions,
}

impl fmt::Display for Popularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: f64| (part * 1e4).round() / 100.0;
        match *self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf { theta } => write!(f, "zipf {theta}"),
            Self::Latest { theta } => write!(f, "latest, zipf {theta}"),
            Self::Hotspot { hot_keys, hot_operations } => {
                write!(f, "{} % of the keys take {} %", percent(hot_keys), percent(hot_operations))
            }
            Self::Shifting { hot_keys, hot_operations, steps } => {
                let (keys, operations) = (percent(hot_keys), percent(hot_operations));
                write!(f, "{keys} % of the keys take {operations} %, others every {steps} steps")
            }
            Self::Sequential => f.write_str("sequential"),
            Self::Curve(curve) => {
                let at = |part: f64| curve.points().iter().find(|point| point.0 == part).map_or(0.0, |point| point.1);
                write!(f, "hottest 1 % of the keys take {} %", percent(at(0.01)))
            }
            Self::Sessions => f.write_str("sessions with growing prefixes"),
        }
    }
}

/// Draws keys.
#[derive(Debug, Clone)]
pub(crate) struct Picker {
    keys: u64,
    scatter: Permutation,
    draw: Draw,
}

#[derive(Debug, Clone)]
enum Draw {
    Uniform,
    Zipf(Zipf),
    Latest(Zipf),
    Hot { hot: u64, operations: f64, steps: Option<u64>, step: u64 },
    Sequential { next: u64 },
    Curve(&'static ShareCurve),
}

impl Picker {
    /// Draws from keys 0..`keys`, at least one.
    pub(crate) fn new(popularity: Popularity, keys: u64) -> Self {
        let hot = |part: f64| ((part * keys as f64).round() as u64).clamp(1, keys);
        let draw = match popularity {
            Popularity::Uniform | Popularity::Sessions => Draw::Uniform,
            Popularity::Zipf { theta } => Draw::Zipf(Zipf::new(keys, theta)),
            Popularity::Latest { theta } => Draw::Latest(Zipf::new(keys, theta)),
            Popularity::Hotspot { hot_keys, hot_operations } => {
                Draw::Hot { hot: hot(hot_keys), operations: hot_operations, steps: None, step: 0 }
            }
            Popularity::Shifting { hot_keys, hot_operations, steps } => {
                Draw::Hot { hot: hot(hot_keys), operations: hot_operations, steps: Some(steps.max(1)), step: 0 }
            }
            Popularity::Sequential => Draw::Sequential { next: 0 },
            Popularity::Curve(curve) => Draw::Curve(curve),
        };
        Self { keys, scatter: Permutation::new(keys, SCATTER_SEED), draw }
    }

    /// A key; `end` is one behind the newest key.
    pub(crate) fn key(&mut self, random: &mut Random, end: u64) -> u64 {
        let rank = match &mut self.draw {
            Draw::Uniform => return random.below(self.keys),
            Draw::Sequential { next } => {
                let key = *next;
                *next = (key + 1) % self.keys;
                return key;
            }
            Draw::Latest(zipf) => return end - 1 - zipf.rank(random),
            Draw::Zipf(zipf) => zipf.rank(random),
            Draw::Curve(curve) => curve.rank(self.keys, random),
            Draw::Hot { hot, operations, steps, step } => {
                let inside = *hot == self.keys || random.unit() < *operations;
                let rank = if inside { random.below(*hot) } else { *hot + random.below(self.keys - *hot) };
                let moved = steps.map_or(0, |steps| {
                    *step += 1;
                    ((u128::from(*step - 1) * u128::from(*hot) / u128::from(steps)) % u128::from(self.keys)) as u64
                });
                (rank + moved) % self.keys
            }
        };
        self.scatter.at(rank)
    }
}

#[cfg(test)]
pub(super) fn scattered(spec: &super::Spec, rank: u64) -> crate::value::KeyId {
    crate::value::KeyId(Permutation::new(spec.keys, SCATTER_SEED).at(rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn share_in(picker: &mut Picker, part: &HashSet<u64>, draws: u32) -> f64 {
        let mut random = Random::new(11);
        let hits = (0..draws).filter(|_| part.contains(&picker.key(&mut random, 1_000))).count();
        hits as f64 / f64::from(draws)
    }

    #[test]
    fn the_hot_part_takes_its_share_and_the_rest_the_rest() {
        let mut picker = Picker::new(Popularity::Hotspot { hot_keys: 0.2, hot_operations: 0.8 }, 1_000);
        let hot: HashSet<u64> = (0..200).map(|rank| picker.scatter.at(rank)).collect();
        let share = share_in(&mut picker, &hot, 100_000);
        assert!((share - 0.8).abs() < 0.005, "{share}");
        let mut all = Picker::new(Popularity::Hotspot { hot_keys: 1.0, hot_operations: 0.1 }, 1_000);
        assert_eq!(share_in(&mut all, &hot, 10_000).round(), 0.0, "all keys are hot: 20 % of them take 20 %");
    }

    #[test]
    fn a_shifting_hot_part_leaves_and_comes_round() {
        let popularity = Popularity::Shifting { hot_keys: 0.1, hot_operations: 1.0, steps: 100_000 };
        let mut picker = Picker::new(popularity, 1_000);
        let first: HashSet<u64> = (0..100).map(|rank| picker.scatter.at(rank)).collect();
        assert!(share_in(&mut picker, &first, 1_000) > 0.97, "it has hardly moved");
        share_in(&mut picker, &first, 99_000);
        assert!(share_in(&mut picker, &first, 1_000) < 0.03, "it has moved by its width");
        share_in(&mut picker, &first, 899_000);
        assert!(share_in(&mut picker, &first, 1_000) > 0.97, "it has been everywhere");
    }

    #[test]
    fn the_newest_key_is_the_most_popular_of_latest() {
        let mut picker = Picker::new(Popularity::Latest { theta: 0.99 }, 1_000);
        let mut random = Random::new(11);
        let count = |key: u64, picker: &mut Picker, random: &mut Random| {
            (0..10_000).filter(|_| picker.key(random, 5_000) == key).count()
        };
        let (newest, older) = (count(4_999, &mut picker, &mut random), count(4_990, &mut picker, &mut random));
        assert!(newest > 5 * older && older > 0, "{newest} {older}");
    }
}
