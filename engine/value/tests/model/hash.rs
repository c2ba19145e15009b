//! Hashes beside a `BTreeMap`.

use super::memory::Memory;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use thermocline_value::{HashEntry, Kind, hash, length};

#[derive(Clone, Debug)]
enum Step {
    Set(u16, usize, Option<u64>),
    Remove(u16),
    Lose(u64, u64),
    /// Part of a SCAN: how many calls, with which COUNT.
    Scan(usize, usize),
}

fn steps(fields: u16) -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![6 => 0usize..12, 2 => 0usize..100, 1 => 0usize..1500];
    let step = prop_oneof![
        8 => (0..fields, value, proptest::option::weighted(0.2, 1u64..1 << 48)).prop_map(|(f, v, e)| Step::Set(f, v, e)),
        5 => (0..fields).prop_map(Step::Remove),
        1 => (any::<u64>(), 0u64..9).prop_map(|(seed, share)| Step::Lose(seed, share)),
        1 => (1usize..4, 1usize..20).prop_map(|(calls, count)| Step::Scan(calls, count)),
    ];
    proptest::collection::vec(step, 1..800)
}

fn name(field: u16) -> Vec<u8> {
    // Some fields are long, and long fields share their beginning.
    let mut name = if field.is_multiple_of(13) { vec![b'p'; 40] } else { Vec::new() };
    name.extend_from_slice(format!("field:{field}").as_bytes());
    name
}

fn run(steps: &[Step], hash_bits: u32) -> Result<(), TestCaseError> {
    let mut nodes = Memory::new(hash::EMPTY, hash_bits);
    let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)> = BTreeMap::new();
    // The scan under way: what stays since it began must be seen exactly once.
    let mut cursor = 0;
    let mut staying: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Set(field, length, expiry_ms) => {
                let (field, value) = (name(*field), vec![b'v'; *length]);
                let entry = HashEntry { field: &field, value: &value, expiry_ms: *expiry_ms };
                let new = if index % 2 == 0 {
                    nodes.resolved(|n, missing| hash::touch_field(n, &field, missing), |n| hash::set(n, &entry))
                } else {
                    nodes.retried(|n| hash::set(n, &entry))
                };
                prop_assert_eq!(new, model.insert(field, (value, *expiry_ms)).is_none());
            }
            Step::Remove(field) => {
                let field = name(*field);
                let gone = if index % 2 == 0 {
                    nodes.resolved(|n, missing| hash::touch_field(n, &field, missing), |n| hash::remove(n, &field))
                } else {
                    nodes.retried(|n| hash::remove(n, &field))
                };
                prop_assert_eq!(gone, model.remove(&field).is_some());
                staying.remove(&field);
            }
            Step::Lose(seed, share) => nodes.lose(*seed, *share),
            Step::Scan(calls, count) => {
                for _ in 0..*calls {
                    if cursor == 0 {
                        staying = model.keys().cloned().collect();
                        seen.clear();
                    }
                    let mut shown = Vec::new();
                    cursor = nodes.retried(|n| {
                        shown.clear();
                        let mut here = Vec::new();
                        let next = hash::scan(n, cursor, *count, |entry| here.push(entry.field.to_vec()))?;
                        shown = here;
                        Ok(next)
                    });
                    for field in shown {
                        prop_assert!(model.contains_key(&field), "a scan shows what is there");
                        *seen.entry(field).or_default() += 1;
                    }
                    if cursor == 0 {
                        for field in &staying {
                            prop_assert_eq!(seen.get(field), Some(&1), "a field that stays is seen once");
                        }
                    }
                }
            }
        }
        nodes.check_report()?;
        if index % 16 == 0 || index + 1 == steps.len() {
            nodes.check(Kind::Hash, model.len())?;
        }
    }
    nodes.lose(1, 5);
    for field in 0..400 {
        let field = name(field);
        let found = nodes.retried(|n| {
            Ok(hash::get(n, &field)?.map(|entry| (entry.field.to_vec(), (entry.value.to_vec(), entry.expiry_ms))))
        });
        prop_assert_eq!(found, model.get_key_value(&field).map(|(k, v)| (k.clone(), v.clone())));
    }
    nodes.lose(2, 5);
    let all = nodes.resolved(
        |n, missing| hash::touch_ranks(n, 0..u64::MAX, missing),
        |n| {
            let mut walk = hash::walk(n, 0)?;
            let mut all = Vec::new();
            while let Some(entry) = walk.next().transpose()? {
                all.push((entry.field.to_vec(), (entry.value.to_vec(), entry.expiry_ms)));
            }
            assert_eq!(length(n)?, all.len() as u64);
            for (rank, (field, _)) in all.iter().enumerate() {
                assert_eq!(hash::at(n, rank as u64)?.unwrap().field, &field[..]);
            }
            assert_eq!(hash::at(n, all.len() as u64)?, None);
            Ok(all)
        },
    );
    prop_assert_eq!(all.len(), model.len(), "each field once");
    prop_assert_eq!(all.into_iter().collect::<BTreeMap<_, _>>(), model.clone());
    if model.values().any(|(_, expiry)| expiry.is_some()) {
        prop_assert!(hash::may_expire(&nodes).unwrap());
    }
    for field in model.keys() {
        prop_assert!(nodes.retried(|n| hash::remove(n, field)));
    }
    nodes.check_report()?;
    nodes.check(Kind::Hash, 0)?;
    prop_assert_eq!(nodes.nodes(), 0, "an empty hash has no nodes");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_hash_is_a_map(steps in steps(400)) {
        run(&steps, 64)?;
    }

    #[test]
    fn a_hash_of_eight_hash_values_is_a_map(steps in steps(400)) {
        run(&steps, 3)?;
    }
}

#[test]
fn a_small_hash_keeps_the_order_of_its_fields() {
    let mut nodes = Memory::new(hash::EMPTY, 64);
    for field in [&b"z"[..], b"a", b"m", b"a"] {
        hash::set(&mut nodes, &HashEntry { field, value: b"v", expiry_ms: None }).unwrap();
    }
    let mut walk = hash::walk(&nodes, 0).unwrap();
    for field in [&b"z"[..], b"a", b"m"] {
        assert_eq!(walk.next().unwrap().unwrap().field, field);
    }
    assert!(walk.next().is_none());
}
