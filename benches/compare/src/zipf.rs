//! Zipf by the method of Gray et al. ("Quickly generating billion-record synthetic databases", SIGMOD 1994), as in YCSB.

/// Ranks 0 (the most popular) to n - 1.
#[derive(Debug, Clone)]
pub struct Zipf {
    count: f64,
    theta: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// `theta` lies between 0 and 1.
    pub fn new(count: u64, theta: f64) -> Self {
        let zeta = |n: u64| (1..=n).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
        let whole = zeta(count);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta(2) / whole);
        Self { count: count as f64, theta, alpha: 1.0 / (1.0 - theta), zeta: whole, eta }
    }

    /// The rank of a number in 0..1.
    pub fn rank(&self, uniform: f64) -> u64 {
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.theta) {
            return 1;
        }
        let rank = self.count * (self.eta * uniform - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popular_ranks_come_as_often_as_the_law_says() {
        let zipf = Zipf::new(10_000, 0.99);
        let draws = 200_000;
        let mut counts = vec![0_u64; 10_000];
        for draw in 0..draws {
            counts[zipf.rank((draw as f64 + 0.5) / draws as f64) as usize] += 1;
        }
        let share = |ranks: std::ops::Range<usize>| counts[ranks].iter().sum::<u64>() as f64 / draws as f64;
        let law = |ranks: std::ops::Range<usize>| {
            let part = |r: std::ops::Range<usize>| r.map(|rank| (rank as f64 + 1.0).powf(-0.99)).sum::<f64>();
            part(ranks) / part(0..10_000)
        };
        for ranks in [0..1, 0..2, 0..100, 0..1_000, 0..10_000] {
            let (found, wanted) = (share(ranks.clone()), law(ranks.clone()));
            assert!((found - wanted).abs() < 0.02, "{ranks:?}: {found} instead of {wanted}");
        }
    }

    #[test]
    fn the_edges_are_ranks() {
        let zipf = Zipf::new(1_000, 0.5);
        assert_eq!(zipf.rank(0.0), 0);
        assert!(zipf.rank(1.0 - 1e-16) < 1_000);
    }
}
