//! A measured popularity: which share of the accesses goes to the hottest part of the keys, as a few points of the
//! cumulative curve: `(0.01, 0.72)` says that the hottest 1 % of the keys take 72 % of the accesses.
//!
//! Between two points the share grows with the logarithm of the part (as zipf's law with theta 1 does), so every point of the
//! table is met exactly. Within the hottest part rank r is drawn in proportion to ln(1 + 1/r): the table does not say more.

use super::random::Random;

/// Points of the curve, rising in both coordinates; the last is (1, 1).
#[derive(Debug, Clone, PartialEq)]
pub struct ShareCurve {
    points: Vec<(f64, f64)>,
}

impl ShareCurve {
    /// From points below (1, 1); `None` if they do not rise.
    pub fn new(mut points: Vec<(f64, f64)>) -> Option<Self> {
        points.push((1.0, 1.0));
        let rising = points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        (rising && points[0].0 > 0.0 && points[0].1 > 0.0).then_some(Self { points })
    }

    /// The points, (1, 1) included.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// A rank below `keys`; 0 is the most popular.
    pub(super) fn rank(&self, keys: u64, random: &mut Random) -> u64 {
        let share = random.unit();
        let keys_real = keys as f64;
        let at = self.points.partition_point(|point| point.1 <= share).min(self.points.len() - 1);
        let (part_high, share_high) = self.points[at];
        let rank = match at.checked_sub(1) {
            None => (share / share_high * (part_high * keys_real + 1.0).ln()).exp() - 1.0,
            Some(below) => {
                let (part_low, share_low) = self.points[below];
                let along = (share - share_low) / (share_high - share_low);
                part_low * (along * (part_high / part_low).ln()).exp() * keys_real
            }
        };
        (rank as u64).min(keys - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_of_the_curve_is_met() {
        let curve = ShareCurve::new(vec![(0.001, 0.3), (0.1, 0.5), (0.4, 0.9)]).unwrap();
        let (keys, draws, mut random) = (100_000, 200_000, Random::new(5));
        let ranks: Vec<u64> = (0..draws).map(|_| curve.rank(keys, &mut random)).collect();
        for &(part, share) in curve.points() {
            let within = ranks.iter().filter(|&&rank| (rank as f64) < part * keys as f64).count();
            assert!((within as f64 / f64::from(draws) - share).abs() < 0.005, "part {part}: {within}");
        }
    }

    #[test]
    fn few_keys_are_enough_and_a_falling_curve_is_refused() {
        let curve = ShareCurve::new(vec![(0.001, 0.3), (0.4, 0.9)]).unwrap();
        let mut random = Random::new(5);
        for keys in [1, 2, 10] {
            assert!((0..1_000).all(|_| curve.rank(keys, &mut random) < keys));
        }
        assert_eq!(ShareCurve::new(vec![(0.1, 0.5), (0.2, 0.4)]), None);
    }
}
