//! A measured distribution, as its quantiles: `(share of keys, value)`, both rising. Between two points values grow
//! geometrically (sizes and times spread over orders of magnitude), below the first point all are the first value.
//!
//! Where the mean is known too, one number bends all pieces alike until the mean is met: a tail from 224 kB at 99.9 % to
//! 2.6 MB at 100 % may be nearly flat or nearly a straight line, and its few values decide the mean. The points stay.

/// Pieces of a curve are summed at so many places.
const PLACES: u32 = 128;
/// Halvings of the search for the bend.
const HALVINGS: u32 = 24;
/// Bends to search in: 1 is geometric, more is flatter first and steeper at the end.
const BENDS: (f64, f64) = (0.05, 20.0);

/// Quantiles of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    points: Vec<(f64, f64)>,
    bend: f64,
    mean: f64,
}

impl Quantiles {
    /// From points that rise in both coordinates and end at share 1; `None` for others.
    pub fn new(points: Vec<(f64, f64)>) -> Option<Self> {
        let rising = points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let (first, last) = (points.first()?, points.last()?);
        let within = first.0 > 0.0 && first.1 >= 1.0 && last.0 == 1.0 && last.1 <= f64::from(u32::MAX);
        let mean = mean(&points, 1.0);
        (rising && within).then_some(Self { points, bend: 1.0, mean })
    }

    /// The same, bent until the mean is this one (or as near as it goes).
    pub fn with_mean(points: Vec<(f64, f64)>, wanted: f64) -> Option<Self> {
        let (mut low, mut high) = BENDS;
        let straight = Self::new(points)?;
        for _ in 0..HALVINGS {
            let middle = (low * high).sqrt();
            if mean(&straight.points, middle) > wanted { low = middle } else { high = middle }
        }
        let bend = (low * high).sqrt();
        Some(Self { mean: mean(&straight.points, bend), bend, points: straight.points })
    }

    /// The points.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The value at a share of 0 to 1.
    pub fn at(&self, share: f64) -> u32 {
        let above = self.points.partition_point(|point| point.0 < share).min(self.points.len() - 1);
        let high = self.points[above];
        let below = above.checked_sub(1).map_or((0.0, high.1), |below| self.points[below]);
        between(below, high, ((share - below.0) / (high.0 - below.0)).clamp(0.0, 1.0), self.bend).round() as u32
    }

    /// Mean of all values.
    pub fn mean(&self) -> f64 {
        self.mean
    }
}

fn between(low: (f64, f64), high: (f64, f64), along: f64, bend: f64) -> f64 {
    if low.1 == high.1 { high.1 } else { low.1 * (high.1 / low.1).powf(along.powf(bend)) }
}

fn mean(points: &[(f64, f64)], bend: f64) -> f64 {
    let Some(&first) = points.first() else { return 0.0 };
    let pieces = points.windows(2).map(|pair| {
        let place = |n: u32| (f64::from(n) + 0.5) / f64::from(PLACES);
        let sum: f64 = (0..PLACES).map(|n| between(pair[0], pair[1], place(n), bend)).sum();
        (pair[1].0 - pair[0].0) * sum / f64::from(PLACES)
    });
    first.0 * first.1 + pieces.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_the_table_gives_its_value() {
        let quantiles = Quantiles::new(vec![(0.1, 10.0), (0.5, 10.0), (0.9, 1_000.0), (1.0, 1e6)]).unwrap();
        for &(share, value) in quantiles.points() {
            assert_eq!(quantiles.at(share), value as u32);
        }
        assert_eq!(quantiles.at(0.0), 10);
        assert_eq!(quantiles.at(0.3), 10);
        assert_eq!(quantiles.at(0.7), 100, "half way from 10 to 1,000, geometrically");
    }

    #[test]
    fn the_mean_is_that_of_the_drawn_values() {
        let quantiles = Quantiles::new(vec![(0.2, 31.0), (0.5, 400.0), (1.0, 9_000.0)]).unwrap();
        let drawn = (0..100_000).map(|n| f64::from(quantiles.at((f64::from(n) + 0.5) / 1e5))).sum::<f64>() / 1e5;
        assert!((drawn / quantiles.mean() - 1.0).abs() < 0.001, "{drawn} {}", quantiles.mean());
    }

    #[test]
    fn a_known_mean_is_met_and_the_points_stay() {
        let points = vec![(0.2, 31.0), (0.9, 4_000.0), (1.0, 900_000.0)];
        let geometric = Quantiles::new(points.clone()).unwrap().mean();
        for wanted in [geometric * 0.5, geometric, geometric * 1.5] {
            let quantiles = Quantiles::with_mean(points.clone(), wanted).unwrap();
            let drawn = (0..200_000).map(|n| f64::from(quantiles.at((f64::from(n) + 0.5) / 2e5))).sum::<f64>() / 2e5;
            assert!((drawn / wanted - 1.0).abs() < 0.01, "{drawn} {wanted}");
            assert!(points.iter().all(|point| quantiles.at(point.0) == point.1 as u32));
        }
    }

    #[test]
    fn a_table_that_falls_or_does_not_end_is_refused() {
        for bad in [vec![], vec![(0.5, 2.0)], vec![(0.5, 3.0), (1.0, 2.0)], vec![(0.5, 1.0), (0.5, 2.0), (1.0, 3.0)]] {
            assert_eq!(Quantiles::new(bad), None);
        }
    }
}
