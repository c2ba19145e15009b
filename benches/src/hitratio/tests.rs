//! The policies against each other and against the figures of the real traces.

use super::*;
use clap::{CommandFactory as _, Parser};
use proptest::prelude::*;
use std::path::PathBuf;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: HitRatioArguments,
}

fn arguments(line: &[&str]) -> HitRatioArguments {
    Line::try_parse_from([&["bench"], line].concat()).unwrap().arguments
}

const ALL: [PolicyName; 5] =
    [PolicyName::Lru, PolicyName::Fifo, PolicyName::S3fifo, PolicyName::SecondChance, PolicyName::Belady];

fn counts(policy: PolicyName, requests: &Requests, capacity: u64) -> Counts {
    let mut cache = policy.cache(capacity, &Arc::new(requests.next_uses()));
    replay(cache.as_mut(), requests, 0, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap()
}

/// Rows from key numbers, renumbered by first appearance.
fn rows(keys: &[u32], bytes: impl Fn(u32) -> u32) -> Requests {
    let (mut rows, mut seen) = (Requests::default(), Vec::new());
    for &key in keys {
        let number = seen.iter().position(|&other| other == key).unwrap_or_else(|| {
            seen.push(key);
            seen.len() - 1
        });
        assert!(rows.push(Key(number as u32), bytes(key), false));
    }
    rows
}

proptest! {
    #[test]
    fn nobody_beats_the_one_who_knows_the_future(
        keys in proptest::collection::vec(0u32..30, 1..500), capacity in 1u64..25,
    ) {
        let requests = rows(&keys, |_| 1);
        let best = counts(PolicyName::Belady, &requests, capacity).hits;
        for policy in ALL {
            let hits = counts(policy, &requests, capacity).hits;
            prop_assert!(hits <= best, "{policy:?}: {hits} of {best}");
        }
    }

    #[test]
    fn every_policy_hits_all_but_the_first_where_all_fits_and_nothing_where_nothing_fits(
        keys in proptest::collection::vec(0u32..30, 1..300),
    ) {
        let requests = rows(&keys, |key| key + 1);
        for policy in ALL {
            let counts_all = counts(policy, &requests, requests.distinct_bytes());
            prop_assert_eq!(counts_all.hits, keys.len() as u64 - requests.key_count(), "{:?}", policy);
            prop_assert_eq!(counts(policy, &requests, 0).hits, 0, "{:?}", policy);
        }
    }
}

#[test]
fn one_hit_wonders_do_not_push_out_what_s3fifo_has_seen_twice() {
    // Ten keys asked for again and again between scans of a hundred new ones: LRU loses them, S3-FIFO keeps them.
    let mut keys = Vec::new();
    for round in 0..50 {
        keys.extend((0..30).map(|n| n % 10));
        keys.extend((0..100).map(|n| 1_000 + round * 100 + n));
    }
    let requests = rows(&keys, |_| 1);
    let (s3fifo, lru) = (counts(PolicyName::S3fifo, &requests, 50).hits, counts(PolicyName::Lru, &requests, 50).hits);
    assert!(s3fifo >= lru + 49 * 9, "{s3fifo} against {lru}");
}

#[test]
fn shards_split_the_keys_and_give_nearly_the_same() {
    let requests = Requests::from_workload(&spec::named("zipf").unwrap(), 1, 100_000, &AtomicBool::new(false)).unwrap();
    let at = |shards: &str| {
        let arguments = arguments(&["zipf", "--sizes", "10%", "--policies", "lru", "--shards", shards]);
        curve(&arguments, "zipf".into(), &requests, &AtomicBool::new(false)).rows[0].hit_ratio
    };
    let (one, many) = (at("1"), at("16"));
    assert!(one != many && (one - many).abs() < 0.005, "{one} {many}");
}

#[test]
fn a_stopped_replay_reports_what_it_had() {
    let requests = Requests::from_workload(&spec::named("zipf").unwrap(), 1, 50_000, &AtomicBool::new(false)).unwrap();
    let report = curve(&arguments(&["zipf"]), "zipf".into(), &requests, &AtomicBool::new(true));
    assert!(!report.complete && report.rows.is_empty(), "{report}");
    let whole = curve(&arguments(&["zipf"]), "zipf".into(), &requests, &AtomicBool::new(false));
    assert!(whole.complete && whole.rows.len() == 18, "{whole}");
}

#[test]
fn the_command_line_is_consistent() {
    Line::command().debug_assert();
    let sizes = arguments(&["a.csv", "--sizes", "0.5%,64mb"]).sizes;
    assert_eq!(sizes, [Capacity::Share(0.005), Capacity::Bytes(64 << 20)]);
    assert_eq!(sizes[0].bytes(10_000), 50);
    for bad in [&["a.csv", "--sizes", "101%"][..], &["a.csv", "--sizes", "x"], &[], &["a.csv", "--shards", "0"]] {
        assert!(Line::try_parse_from([&["bench"], bad].concat()).is_err(), "{bad:?}");
    }
    let error = run(&arguments(&["no-such-thing"]), &AtomicBool::new(false)).err().unwrap();
    assert!(format!("{error:#}").contains("no workload is called"), "{error:#}");
    assert_eq!((name_of("x/web12.csv.zst"), name_of("zipf:0.8")), ("web12".to_owned(), "zipf:0.8".to_owned()));
}

/// Where a real trace lies, if it is there.
fn trace(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../shared/traces/{name}.csv.zst"));
    if !path.exists() {
        println!("skipped: no {name}.csv.zst beside the repository");
    }
    path.exists().then_some(path)
}

/// The advisor's estimate beside the policy over all requests, in points of the hit ratio.
fn off_by(name: &str, requests: &Requests) -> f64 {
    let words = ["x", "--policies", "s3fifo,advisor", "--sizes", "1%,5%,10%,20%,40%"];
    let report = curve(&arguments(&words), name.into(), requests, &AtomicBool::new(false));
    println!("{report}");
    let off = report.rows.chunks(2).map(|pair| 100.0 * (pair[0].hit_ratio - pair[1].hit_ratio).abs());
    off.fold(0.0, f64::max)
}

#[test]
fn the_advisor_is_within_two_points_of_the_policy_over_everything() {
    let stop = AtomicBool::new(false);
    for workload in ["zipf:0.99", "zipf:0.7", "twitter"] {
        let requests = Requests::from_workload(&spec::named(workload).unwrap(), 1, 400_000, &stop).unwrap();
        let off = off_by(workload, &requests);
        assert!(off < 2.0, "{workload}: {off} points");
    }
    for name in ["web12", "cdn_adaptsize", "llm_conversation", "cp_block_io"] {
        let Some(path) = trace(name) else { continue };
        let requests = Requests::from_trace(&path, u64::MAX, ValueSizes::from_str("1000").unwrap(), &stop).unwrap();
        let off = off_by(name, &requests);
        assert!(off < 2.0, "{name}: {off} points");
    }
}

#[test]
fn the_real_traces_give_the_figures_of_the_design() {
    // Trace, requests, then LRU, S3-FIFO and the optimum at 10 % of the distinct bytes.
    let columns = [
        ("web12", u64::MAX, [0.685, 0.723, 0.800]),
        ("cdn_adaptsize", u64::MAX, [0.342, 0.374, 0.450]),
        ("llm_conversation", u64::MAX, [0.278, 0.246, 0.366]),
        ("orm_busy", 1_000_000, [0.858, 0.869, 0.913]),
    ];
    for (name, requests, wanted) in columns {
        let Some(path) = trace(name) else { continue };
        let arguments = arguments(&[name, "--sizes", "10%"]);
        let stop = AtomicBool::new(false);
        let requests = Requests::from_trace(&path, requests, arguments.value_size, &stop).unwrap();
        let report = curve(&arguments, name.into(), &requests, &stop);
        for (row, wanted) in report.rows.iter().zip(wanted) {
            assert!((row.hit_ratio - wanted).abs() < 0.005, "{name} {}: {} not {wanted}", row.policy, row.hit_ratio);
        }
        assert_eq!(report.rows.len(), 3);
    }
}
