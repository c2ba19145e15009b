//! Zipf's law: rank k is drawn in proportion to 1 / k^theta, for any theta >= 0 and any number of ranks.
//!
//! Rejection-inversion (W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
//! distributions", ACM TOMACS 6(3), 1996): the area under the curve x^-theta is inverted in closed form and rounded to a
//! rank; the few draws that fall into the corner between curve and step are drawn again. Exact, O(1) memory, and nothing to
//! sum up beforehand - YCSB's own generator needs the sum over all ranks and cannot do theta >= 1.

use super::random::Random;

/// An exponent this near to 1 is taken for 1: over 2^40 ranks the shares differ by less than 0.003 %.
const THETA_TOLERANCE: f64 = 1e-6;
/// From this rank on a draw is almost always certain.
const FAR: f64 = 32.0;

/// Draws ranks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zipf {
    ranks: f64,
    theta: f64,
    /// 1 / (1 - theta); 0 where theta is 1.
    inverse: f64,
    /// Area up to the left edge of rank 1, where rank 1's whole step is counted.
    area_first: f64,
    /// Area up to the right edge of the last rank.
    area_last: f64,
    /// A draw this close below its rank needs no second look, for any rank and for those from [`FAR`] on: the distance grows
    /// with the rank.
    certain: f64,
    certain_far: f64,
}

impl Zipf {
    /// Ranks 0..`ranks`, at least one.
    pub(super) fn new(ranks: u64, theta: f64) -> Self {
        let inverse = if (1.0 - theta).abs() < THETA_TOLERANCE { 0.0 } else { 1.0 / (1.0 - theta) };
        let (area_first, area_last, certain, certain_far) = (0.0, 0.0, 0.0, 0.0);
        let ranks = ranks.max(1) as f64;
        let mut zipf = Self { ranks, theta, inverse, area_first, area_last, certain, certain_far };
        zipf.area_first = zipf.area(1.5) - 1.0;
        zipf.area_last = zipf.area(zipf.ranks + 0.5);
        let certain = |rank: f64| rank - zipf.area_inverse(zipf.area(rank + 0.5) - zipf.height(rank));
        (zipf.certain, zipf.certain_far) = (certain(2.0), certain(FAR));
        zipf
    }

    /// A rank; 0 is the most popular.
    pub(super) fn rank(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.area_last + random.unit() * (self.area_first - self.area_last);
            let place = self.area_inverse(area);
            // Through i64: the processor has that conversion, `floor` and u64 are calls on plain x86-64.
            let rank = ((place + 0.5) as i64 as f64).clamp(1.0, self.ranks);
            let certain = if rank >= FAR { self.certain_far } else { self.certain };
            if rank - place <= certain || area >= self.area(rank + 0.5) - self.height(rank) {
                return rank as i64 as u64 - 1;
            }
        }
    }

    /// The curve: x^-theta.
    fn height(&self, x: f64) -> f64 {
        (-self.theta * x.ln()).exp()
    }

    /// Its integral from 1: (x^(1-theta) - 1) / (1 - theta), and ln x where theta is 1.
    fn area(&self, x: f64) -> f64 {
        if self.inverse == 0.0 { x.ln() } else { (((1.0 - self.theta) * x.ln()).exp() - 1.0) * self.inverse }
    }

    fn area_inverse(&self, area: f64) -> f64 {
        if self.inverse == 0.0 {
            return area.exp();
        }
        (1.0 + area * (1.0 - self.theta)).max(f64::MIN_POSITIVE).powf(self.inverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's chi-square of `draws` draws against the exact shares, per degree of freedom (1 is perfect chance).
    fn distance(ranks: u64, theta: f64, draws: u32) -> f64 {
        let (zipf, mut random) = (Zipf::new(ranks, theta), Random::new(42));
        let mut seen = vec![0u32; ranks as usize];
        for _ in 0..draws {
            seen[zipf.rank(&mut random) as usize] += 1;
        }
        let weight = |rank: usize| ((rank + 1) as f64).powf(-theta);
        let total: f64 = (0..seen.len()).map(weight).sum();
        // Ranks too rare to be judged alone are judged together.
        let (mut sum, mut cells, mut wanted, mut found) = (0.0, 0u32, 0.0, 0.0);
        for (rank, &count) in seen.iter().enumerate() {
            wanted += weight(rank) / total * f64::from(draws);
            found += f64::from(count);
            if wanted >= 20.0 || rank + 1 == seen.len() {
                sum += (found - wanted).powi(2) / wanted.max(1.0);
                (cells, wanted, found) = (cells + 1, 0.0, 0.0);
            }
        }
        sum / f64::from(cells.max(2) - 1)
    }

    #[test]
    fn shares_follow_the_law_exactly_for_any_theta() {
        for theta in [0.0, 0.5, 0.8, 0.99, 1.0, 1.2, 2.0] {
            for ranks in [2, 10, 1_000] {
                let distance = distance(ranks, theta, 300_000);
                let bound = if ranks < 100 { 6.0 } else { 1.3 };
                assert!(distance < bound, "theta {theta}, {ranks} ranks: {distance}");
            }
        }
    }

    #[test]
    fn another_law_is_told_apart() {
        // The same measure must not accept theta 0.9 for 0.99: compare shares of rank 0.
        let (zipf, mut random) = (Zipf::new(1_000, 0.9), Random::new(42));
        let hits = (0..100_000).filter(|_| zipf.rank(&mut random) == 0).count() as f64;
        let total: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-0.99)).sum();
        assert!((hits / 100_000.0 * total - 1.0).abs() > 0.1);
    }

    #[test]
    fn huge_and_tiny_numbers_of_ranks_work() {
        let mut random = Random::new(3);
        assert_eq!(Zipf::new(1, 0.99).rank(&mut random), 0);
        for theta in [0.0, 0.99, 1.0, 1.5] {
            let zipf = Zipf::new(1 << 40, theta);
            assert!((0..10_000).all(|_| zipf.rank(&mut random) < 1 << 40), "theta {theta}");
        }
    }
}
