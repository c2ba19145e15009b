//! Sorted sets beside a sorted `Vec`, and a `BTreeMap` of scores.

use super::memory::Memory;
use proptest::prelude::*;
use std::collections::BTreeMap;
use thermocline_value::sorted_set::{self, Bound};
use thermocline_value::{Kind, ScoredMember};

#[derive(Clone, Debug)]
enum Step {
    Set(u16, f64),
    Remove(u16),
    Lose(u64, u64),
    Scan(usize),
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3i32..3).prop_map(f64::from),
        4 => (-500i32..500).prop_map(|n| f64::from(n) / 4.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => any::<f64>().prop_filter("a number", |score| !score.is_nan()),
    ]
}

fn steps(members: u16) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        9 => (0..members, score()).prop_map(|(member, score)| Step::Set(member, score)),
        5 => (0..members).prop_map(Step::Remove),
        1 => (any::<u64>(), 0u64..9).prop_map(|(seed, share)| Step::Lose(seed, share)),
        1 => (1usize..20).prop_map(Step::Scan),
    ];
    proptest::collection::vec(step, 1..800)
}

fn name(member: u16) -> Vec<u8> {
    let mut name = match member % 17 {
        0 => vec![b'p'; 90],
        1 => vec![b'q'; 600],
        _ => Vec::new(),
    };
    name.extend_from_slice(format!("member:{member}").as_bytes());
    name
}

fn order(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(f64, Vec<u8>)> {
    let mut order: Vec<(f64, Vec<u8>)> = model.iter().map(|(member, &score)| (score, member.clone())).collect();
    order.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap().then_with(|| a.1.cmp(&b.1)));
    order
}

fn run(steps: &[Step], hash_bits: u32) -> Result<(), TestCaseError> {
    let mut nodes = Memory::new(sorted_set::EMPTY, hash_bits);
    let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    let mut cursor = 0;
    let mut staying: Vec<Vec<u8>> = Vec::new();
    let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        match *step {
            Step::Set(member, score) => {
                let member = name(member);
                let entry = ScoredMember { score, member: &member };
                let new = if index % 2 == 0 {
                    nodes.resolved(
                        |n, missing| sorted_set::touch_member(n, &member, Some(score), missing),
                        |n| sorted_set::set(n, &entry),
                    )
                } else {
                    nodes.retried(|n| sorted_set::set(n, &entry))
                };
                prop_assert_eq!(new, model.insert(member, score).is_none());
            }
            Step::Remove(member) => {
                let member = name(member);
                let gone = if index % 2 == 0 {
                    nodes.resolved(
                        |n, missing| sorted_set::touch_member(n, &member, None, missing),
                        |n| sorted_set::remove(n, &member),
                    )
                } else {
                    nodes.retried(|n| sorted_set::remove(n, &member))
                };
                prop_assert_eq!(gone, model.remove(&member));
                staying.retain(|other| *other != member);
            }
            Step::Lose(seed, share) => nodes.lose(seed, share),
            Step::Scan(count) => {
                if cursor == 0 {
                    staying = model.keys().cloned().collect();
                    seen.clear();
                }
                let mut shown = Vec::new();
                cursor = nodes.retried(|n| {
                    shown.clear();
                    let mut here = Vec::new();
                    let next =
                        sorted_set::scan(n, cursor, count, |entry| here.push((entry.member.to_vec(), entry.score)))?;
                    shown = here;
                    Ok(next)
                });
                for (member, score) in shown {
                    prop_assert_eq!(model.get(&member), Some(&score));
                    *seen.entry(member).or_default() += 1;
                }
                if cursor == 0 {
                    for member in &staying {
                        prop_assert_eq!(seen.get(member), Some(&1), "a member that stays is seen once");
                    }
                }
            }
        }
        nodes.check_report()?;
        if index % 16 == 0 || index + 1 == steps.len() {
            nodes.check(Kind::SortedSet, model.len())?;
        }
    }
    let order = order(&model);
    nodes.lose(1, 5);
    for (rank, (score, member)) in order.iter().enumerate() {
        let found = nodes.retried(|n| sorted_set::rank(n, member));
        prop_assert_eq!(found, Some((rank as u64, *score)));
        let found =
            nodes.retried(|n| Ok(sorted_set::at(n, rank as u64)?.map(|entry| (entry.score, entry.member.to_vec()))));
        prop_assert_eq!(found, Some((*score, member.clone())));
    }
    prop_assert_eq!(nodes.retried(|n| sorted_set::rank(n, b"no member")), None);
    // Bounds: every score there is, and those beside it.
    for bound in [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 0.1, 1.0, 100.0, f64::INFINITY]
        .iter()
        .chain(order.iter().map(|(score, _)| score))
    {
        for member in [&b""[..], b"member:3", b"pppp", b"z"] {
            for case in [
                Bound::BeforeScore(*bound),
                Bound::AfterScore(*bound),
                Bound::Before(*bound, member),
                Bound::After(*bound, member),
            ] {
                let before = order.partition_point(|(score, other)| match case {
                    Bound::BeforeScore(bound) => *score < bound,
                    Bound::AfterScore(bound) => *score <= bound,
                    Bound::Before(bound, member) => *score < bound || (*score == bound && &other[..] < member),
                    Bound::After(bound, member) => *score < bound || (*score == bound && &other[..] <= member),
                });
                let rank = nodes.resolved(
                    |n, missing| sorted_set::touch_bound(n, &case, missing),
                    |n| sorted_set::rank_of(n, &case),
                );
                prop_assert_eq!(rank, before as u64, "{:?}", case);
            }
        }
    }
    for (from, backward) in [(0, false), (order.len() / 3, false), (order.len() / 2, true), (order.len(), true)] {
        nodes.lose(from as u64, 5);
        let range = if backward { 0..from as u64 + 1 } else { from as u64..u64::MAX };
        let walked = nodes.resolved(
            |n, missing| sorted_set::touch_ranks(n, range.clone(), missing),
            |n| {
                let mut walk = sorted_set::walk(n, from as u64, backward)?;
                let mut walked = Vec::new();
                while let Some(entry) = walk.next().transpose()? {
                    walked.push((entry.score, entry.member.to_vec()));
                }
                Ok(walked)
            },
        );
        let expected: Vec<_> =
            if backward { order.iter().take(from + 1).rev().cloned().collect() } else { order[from..].to_vec() };
        prop_assert_eq!(walked, expected);
    }
    for (_, member) in &order {
        prop_assert!(nodes.retried(|n| sorted_set::remove(n, member)).is_some());
    }
    nodes.check_report()?;
    nodes.check(Kind::SortedSet, 0)?;
    prop_assert_eq!(nodes.nodes(), 0, "an empty sorted set has no nodes");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 5, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_sorted_set_is_sorted(steps in steps(400)) {
        run(&steps, 64)?;
    }

    #[test]
    fn a_sorted_set_of_eight_hash_values_is_sorted(steps in steps(300)) {
        run(&steps, 3)?;
    }
}
