//! The catalogue: every workload that has a name, with the source of its parameters.
//!
//! Where a source leaves something open (most often the number of keys) the value is ours, and the source says so.

use super::meta;
use super::mix::Mix;
use super::popularity::Popularity;
use super::quantiles::Quantiles;
use super::sizes::ValueSizes;
use super::{Scans, Spec};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Keys where the source leaves them open.
const KEYS: u64 = 1_000_000;

/// Powers of two from 64 KiB to 4 MiB.
const BLOCK_BYTES: &[u32] = &[1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22];

/// Mean value size of each of the 53 Twitter clusters that have one, in bytes, as quantiles over the clusters.
static TWITTER_SIZES: LazyLock<Quantiles> = LazyLock::new(|| {
    quantiles(&[
        (0.05, 8),
        (0.1, 28),
        (0.25, 85),
        (0.5, 224),
        (0.75, 1_030),
        (0.9, 4_703),
        (0.95, 10_658),
        (1.0, 67_485),
    ])
});

/// Their common TTLs in seconds (a cluster with several counts each by its share), as quantiles over the clusters.
static TWITTER_TTLS: LazyLock<Quantiles> = LazyLock::new(|| {
    quantiles(&[
        (0.1, 60),
        (0.2, 300),
        (0.3, 900),
        (0.4, 7_200),
        (0.5, 25_560),
        (0.6, 39_600),
        (0.7, 86_400),
        (0.8, 345_600),
        (0.9, 1_296_000),
        (0.95, 2_592_000),
        (1.0, 8_000_640),
    ])
});

fn quantiles(points: &[(f64, u32)]) -> Quantiles {
    let points = points.iter().map(|&(share, value)| (share, f64::from(value)));
    Quantiles::new(points.collect()).expect("constants that rise")
}

/// All workloads, in the order in which they are shown.
pub(super) fn catalogue() -> Vec<Spec> {
    let mut all = ycsb();
    all.extend(tools());
    all.extend(shapes());
    all.extend(meta::WORKLOADS.iter().map(|workload| Spec {
        name: Cow::Borrowed(&workload.name),
        source: "Meta, facebook/CacheLib cachebench test_configs (Apache-2.0): keys, shares, sizes; 32 B keys are ours",
        keys: workload.keys,
        key_bytes: 32,
        sizes: ValueSizes::Quantiles(&workload.sizes),
        popularity: Popularity::Curve(&workload.curve),
        mix: workload.mix,
        ..base()
    }));
    all.extend(others());
    all
}

fn base() -> Spec {
    Spec {
        name: Cow::Borrowed(""),
        source: "ours",
        keys: KEYS,
        key_bytes: 16,
        sizes: ValueSizes::Fixed(400),
        popularity: Popularity::Uniform,
        mix: Mix::reads(1.0),
        scans: Scans { shortest: 1, longest: 100, sweep: false },
        ttl_s: None,
        ttls: None,
    }
}

fn ycsb() -> Vec<Spec> {
    let zipf = Popularity::Zipf { theta: 0.99 };
    let latest = Popularity::Latest { theta: 0.99 };
    let row = |name: &'static str, popularity, mix| Spec {
        name: Cow::Borrowed(name),
        source: "YCSB, Cooper et al., SoCC 2010: 10 fields x 100 B as one value; 1 M keys are ours",
        key_bytes: 23,
        sizes: ValueSizes::Fixed(1_000),
        popularity,
        mix,
        ..base()
    };
    let rest = Mix::default();
    vec![
        row("ycsb-a", zipf, Mix::reads(0.5)),
        row("ycsb-b", zipf, Mix::reads(0.95)),
        row("ycsb-c", zipf, Mix::reads(1.0)),
        row("ycsb-d", latest, Mix { read: 0.95, insert: 0.05, ..rest }),
        row("ycsb-e", zipf, Mix { scan: 0.95, insert: 0.05, ..rest }),
        row("ycsb-f", zipf, Mix { read: 0.5, read_modify_write: 0.5, ..rest }),
    ]
}

fn tools() -> Vec<Spec> {
    let redis = |name: &'static str, reads| Spec {
        name: Cow::Borrowed(name),
        source: "redis-benchmark defaults: -d 3, key:%012d; -r 1000000 is ours (the tool's default is one key)",
        sizes: ValueSizes::Fixed(3),
        mix: Mix::reads(reads),
        ..base()
    };
    vec![
        Spec {
            name: Cow::Borrowed("memtier"),
            source: "memtier_benchmark defaults: --ratio 1:10 -d 32 --key-maximum 10000000, random keys",
            keys: 10_000_000,
            sizes: ValueSizes::Fixed(32),
            mix: Mix { update: 1.0, read: 10.0, ..Mix::default() },
            ..base()
        },
        redis("redis-benchmark-get", 1.0),
        redis("redis-benchmark-set", 0.0),
    ]
}

fn shapes() -> Vec<Spec> {
    let row = |name: &'static str, popularity, mix| Spec { name: Cow::Borrowed(name), popularity, mix, ..base() };
    let sweeps = Mix { read: 0.99, scan: 0.01, ..Mix::default() };
    vec![
        row("uniform", Popularity::Uniform, Mix::reads(0.95)),
        row("zipf", Popularity::Zipf { theta: 0.99 }, Mix::reads(0.95)),
        row("hotspot", Popularity::Hotspot { hot_keys: 0.2, hot_operations: 0.8 }, Mix::reads(0.95)),
        row(
            "shifting",
            Popularity::Shifting { hot_keys: 0.1, hot_operations: 0.9, steps: 1_000_000 },
            Mix::reads(0.95),
        ),
        Spec {
            scans: Scans { shortest: 100, longest: 100, sweep: true },
            ..row("scan-mix", Popularity::Zipf { theta: 0.99 }, sweeps)
        },
        row("load-sequential", Popularity::Sequential, Mix::reads(0.0)),
    ]
}

fn others() -> Vec<Spec> {
    vec![
        Spec {
            name: Cow::Borrowed("twitter"),
            source: "Twitter's median cluster, Yang et al., OSDI 2020 (twitter/cache-trace stat/2020Mar.md); 1 M keys are ours",
            key_bytes: 36,
            sizes: ValueSizes::Fixed(224),
            popularity: Popularity::Zipf { theta: 1.21 },
            mix: Mix { read_through: 0.86, update: 0.14, ..Mix::default() },
            ttl_s: Some(8 * 3_600),
            ..base()
        },
        Spec {
            name: Cow::Borrowed("twitter-clusters"),
            source: "the same table: quantiles of value size and TTL over 53 clusters; keys, zipf and reads as the median",
            key_bytes: 36,
            sizes: ValueSizes::Quantiles(&TWITTER_SIZES),
            popularity: Popularity::Zipf { theta: 1.21 },
            mix: Mix { read_through: 0.86, update: 0.14, ..Mix::default() },
            ttls: Some(&TWITTER_TTLS),
            ..base()
        },
        Spec {
            name: Cow::Borrowed("elasticache-tiering"),
            source: "Amazon ElastiCache user guide, data tiering: 500 B, up to 20 % of the data is hot; the rest is ours",
            sizes: ValueSizes::Fixed(500),
            popularity: Popularity::Hotspot { hot_keys: 0.2, hot_operations: 0.8 },
            mix: Mix::reads(0.8),
            ..base()
        },
        Spec {
            name: Cow::Borrowed("kvcache-blocks"),
            source: "ours, after LLM serving with prefix caching: sessions re-read a growing prefix, then stop",
            keys: 4_096,
            key_bytes: 32,
            sizes: ValueSizes::Choices(BLOCK_BYTES),
            popularity: Popularity::Sessions,
            mix: Mix { read_through: 0.88, update: 0.12, ..Mix::default() },
            ..base()
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::named;
    use crate::value::KeyId;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_every_workload_has_a_source() {
        let all = catalogue();
        let names: HashSet<&str> = all.iter().map(|spec| &*spec.name).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(all.len(), 6 + 3 + 6 + 8 + 4);
        assert!(all.iter().all(|spec| !spec.source.is_empty() && spec.keys > 0));
    }

    #[test]
    fn a_clusters_ttl_follows_from_the_key_and_an_override_wins() {
        let spec = named("twitter-clusters").unwrap();
        let mut ttls: Vec<u32> = (0..10_001).map(|key| spec.ttl_of(KeyId(key)).unwrap()).collect();
        assert_eq!(spec.ttl_of(KeyId(5)), spec.ttl_of(KeyId(5)));
        ttls.sort_unstable();
        assert!((20_000..32_000).contains(&ttls[5_000]), "median {}", ttls[5_000]);
        assert_eq!(Spec { ttl_s: Some(7), ..spec }.ttl_of(KeyId(5)), Some(7));
        assert_eq!(named("twitter").unwrap().ttl_of(KeyId(5)), Some(28_800));
    }
}
