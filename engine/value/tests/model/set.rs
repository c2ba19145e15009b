//! Sets beside a `BTreeSet`; and the freeing of a whole tree, in steps.

use super::memory::Memory;
use proptest::prelude::*;
use std::collections::BTreeSet;
use thermocline_value::{Kind, NodeId, Nodes, Root, children, set};

fn member(number: u32) -> Vec<u8> {
    format!("member:{number}").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_set_is_a_set(
        hash_bits in prop_oneof![Just(64u32), Just(3)],
        steps in proptest::collection::vec((0u32..600, 0u8..8, any::<u64>()), 1..1500),
    ) {
        let mut nodes = Memory::new(set::EMPTY, hash_bits);
        let mut model = BTreeSet::new();
        for (index, &(number, kind, seed)) in steps.iter().enumerate() {
            let member = member(number);
            match kind {
                // First the set mostly grows, then it mostly shrinks.
                _ if seed % 29 == 0 => nodes.lose(seed, 5),
                0..=4 if (kind < 3) == (index < steps.len() / 2) => {
                    let new = nodes.resolved(|n, missing| set::touch_member(n, &member, missing), |n| set::add(n, &member));
                    prop_assert_eq!(new, model.insert(member));
                }
                0..=6 => {
                    let gone = nodes.retried(|n| set::remove(n, &member));
                    prop_assert_eq!(gone, model.remove(&member));
                }
                _ => {
                    let found = nodes.retried(|n| set::contains(n, &member));
                    prop_assert_eq!(found, model.contains(&member));
                }
            }
            nodes.check_report()?;
            if index % 32 == 0 || index + 1 == steps.len() {
                nodes.check(Kind::Set, model.len())?;
            }
        }
        let all: BTreeSet<Vec<u8>> = nodes.retried(|n| {
            let mut all = BTreeSet::new();
            let mut walk = set::walk(n, 0)?;
            while let Some(member) = walk.next().transpose()? {
                assert!(all.insert(member.to_vec()));
            }
            Ok(all)
        });
        prop_assert_eq!(all, model);
    }
}

#[test]
fn the_nodes_of_a_huge_set_are_found_from_its_root() {
    let mut nodes = Memory::new(set::EMPTY, 64);
    for number in 0..6000 {
        set::add(&mut nodes, &member(number)).unwrap();
    }
    let census = nodes.check(Kind::Set, 6000).unwrap();
    assert!(census.leaves > 100 && census.levels > 0);
    let root = Root::decode(nodes.get(NodeId::ROOT).unwrap()).unwrap();
    let mut level = vec![root.tree.node];
    let mut found = level.len() as u64;
    for _ in 0..root.tree.levels {
        level = level.iter().flat_map(|node| children(nodes.get(*node).unwrap()).unwrap()).collect();
        found += level.len() as u64;
    }
    assert_eq!((found, level.len() as u64), (census.nodes, census.leaves));
    assert!(children(nodes.get(level[0]).unwrap()).is_err(), "a leaf has none");
}

#[test]
fn a_scan_of_absent_leaves_goes_as_far_as_was_asked_for() {
    const MEMBERS: u32 = 2000;
    let mut nodes = Memory::new(set::EMPTY, 64);
    for number in 0..MEMBERS {
        set::add(&mut nodes, &member(number)).unwrap();
    }
    for count in [1, 10, 300] {
        let (mut cursor, mut seen) = (0, BTreeSet::new());
        loop {
            nodes.lose(cursor, 8);
            let before = seen.len();
            let next = nodes.resolved(
                |n, missing| set::touch_scan(n, cursor, count, missing),
                |n| set::scan(n, cursor, count as usize, |member| assert!(seen.insert(member.to_vec()))),
            );
            assert!(next == 0 || (seen.len() - before) as u64 >= count);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), MEMBERS as usize);
    }
}
