//! Meta's eight workloads, from the two tables in `data/` (see the README there).
//!
//! Operations: a get of the source is read-through (its cache bench sets on a miss), a lone get is a plain read, a set and a
//! lone set are updates. Their shares are weights there and here: they need not sum to 1.

use super::mix::Mix;
use super::quantiles::Quantiles;
use super::share_curve::ShareCurve;
use std::sync::LazyLock;

const POPULARITY: &str = include_str!("../../data/meta_popularity_share.tsv");
const SIZES: &str = include_str!("../../data/meta_size_quantiles.tsv");

/// Lone sets, which the popularity table has no column for (`loneSetRatio` in config.json; absent for the other seven).
const LONE_SETS: &[(&str, f64)] = &[("meta_kvcache_l2_wc", 0.21)];

/// One of the eight.
pub(super) struct MetaWorkload {
    /// Its name, with hyphens.
    pub name: String,
    /// Number of keys.
    pub keys: u64,
    /// Operations.
    pub mix: Mix,
    /// Popularity.
    pub curve: ShareCurve,
    /// Sizes of values.
    pub sizes: Quantiles,
}

/// All eight.
pub(super) static WORKLOADS: LazyLock<Vec<MetaWorkload>> = LazyLock::new(|| {
    let sizes = rows(SIZES);
    let workload = |row: Row| {
        let get = |name| row.number(name).expect("the table has this column");
        let same = sizes.iter().find(|other| other.name == row.name).expect("both tables have the same workloads");
        let lone_sets = LONE_SETS.iter().find(|(name, _)| *name == row.name).map_or(0.0, |(_, share)| *share);
        MetaWorkload {
            name: row.name.replace('_', "-"),
            keys: get("keys") as u64,
            mix: Mix {
                read_through: get("get_ratio"),
                read: get("lone_get_ratio"),
                update: get("set_ratio") + lone_sets,
                ..Mix::default()
            },
            curve: ShareCurve::new(row.series("hottest_")).expect("shares rise"),
            sizes: Quantiles::with_mean(same.series("q"), same.number("mean_bytes").expect("and this one"))
                .expect("quantiles rise"),
        }
    };
    rows(POPULARITY).into_iter().map(workload).collect()
});

/// A line of a table with its columns' names.
struct Row {
    name: &'static str,
    columns: Vec<(&'static str, f64)>,
}

impl Row {
    fn number(&self, name: &str) -> Option<f64> {
        self.columns.iter().find(|column| column.0 == name).map(|column| column.1)
    }

    /// Columns named by a prefix and a number, as points.
    fn series(&self, prefix: &str) -> Vec<(f64, f64)> {
        let point = |&(name, value): &(&str, f64)| Some((name.strip_prefix(prefix)?.parse().ok()?, value));
        self.columns.iter().filter_map(point).collect()
    }
}

fn rows(table: &'static str) -> Vec<Row> {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').skip(1).collect();
    let row = |line: &'static str| {
        let (name, numbers) = line.split_once('\t').expect("a name and numbers");
        let numbers = numbers.split('\t').map(|text| text.parse().expect("a number"));
        Row { name, columns: header.iter().copied().zip(numbers).collect() }
    };
    lines.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::popularity::scattered;
    use crate::spec::{Operation, Spec, Steps, ValueSizes, named};
    use crate::value::KeyId;
    use std::collections::HashMap;

    #[test]
    fn popularity_reproduces_the_table_within_a_point() {
        assert_eq!(WORKLOADS.len(), 8);
        for workload in &*WORKLOADS {
            let spec = Spec { keys: 100_000, ..named(&workload.name).unwrap() };
            let mut steps = Steps::new(&spec, 1);
            let draws = 200_000;
            let mut counts: HashMap<KeyId, u32> = HashMap::new();
            for _ in 0..draws {
                *counts.entry(steps.step().key).or_default() += 1;
            }
            for &(part, share) in workload.curve.points() {
                let hottest = (part * spec.keys as f64) as u64;
                let within: u32 = (0..hottest).filter_map(|rank| counts.get(&scattered(&spec, rank))).sum();
                let found = f64::from(within) / f64::from(draws);
                assert!((found - share).abs() < 0.01, "{}: hottest {part}: {found} not {share}", workload.name);
            }
        }
    }

    #[test]
    fn sizes_reproduce_the_table() {
        for (workload, row) in WORKLOADS.iter().zip(rows(SIZES)) {
            let spec = named(&workload.name).unwrap();
            let mut sizes: Vec<u32> = (0..100_000).map(|key| spec.sizes.of(KeyId(key))).collect();
            sizes.sort_unstable();
            for (share, bytes) in row.series("q").into_iter().filter(|point| point.0 < 0.99) {
                // The sizes just below and above this share must enclose the table's.
                let at = |share: f64| f64::from(sizes[(share * sizes.len() as f64) as usize]);
                let (low, high) = (at((share - 0.006).max(0.0)), at(share + 0.006));
                assert!((low..=high).contains(&bytes), "{} at {share}: {bytes} not in {low}..{high}", row.name);
            }
            let mean = row.number("mean_bytes").unwrap();
            assert!((spec.sizes.mean() / mean - 1.0).abs() < 0.01, "{}: mean {}", row.name, spec.sizes.mean());
            assert!(matches!(spec.sizes, ValueSizes::Quantiles(_)));
        }
    }

    #[test]
    fn weights_that_do_not_sum_to_one_are_shares() {
        let spec = named("meta-kvcache-l2-wc").unwrap();
        let mut steps = Steps::new(&spec, 1);
        let updates = (0..100_000).filter(|_| steps.step().operation == Operation::Update).count();
        assert!((updates as f64 / 1e5 - 0.21 / 0.81).abs() < 0.01, "{updates}");
    }
}
