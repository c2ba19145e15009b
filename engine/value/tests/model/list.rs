//! Lists beside a `VecDeque`.

use super::memory::Memory;
use proptest::prelude::*;
use std::collections::VecDeque;
use thermocline_value::{Kind, length, list};

#[derive(Clone, Debug)]
enum Step {
    Push(bool, usize, u8),
    Insert(u32, usize),
    Set(u32, usize),
    Remove(u32, u32),
    Pop(bool, u32),
    Lose(u64, u64),
    Walk(u32, bool, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = || prop_oneof![6 => 0usize..12, 2 => 0usize..100, 1 => 0usize..1500];
    let step = prop_oneof![
        6 => (any::<bool>(), bytes(), 1u8..40).prop_map(|(head, bytes, n)| Step::Push(head, bytes, n)),
        6 => (any::<u32>(), bytes()).prop_map(|(index, bytes)| Step::Insert(index, bytes)),
        3 => (any::<u32>(), bytes()).prop_map(|(index, bytes)| Step::Set(index, bytes)),
        3 => (any::<u32>(), prop_oneof![Just(1u32), 0u32..200]).prop_map(|(index, count)| Step::Remove(index, count)),
        3 => (any::<bool>(), 1u32..60).prop_map(|(head, count)| Step::Pop(head, count)),
        1 => (any::<u64>(), 0u64..9).prop_map(|(seed, share)| Step::Lose(seed, share)),
        1 => (any::<u32>(), any::<bool>(), 0usize..100).prop_map(|(index, back, count)| Step::Walk(index, back, count)),
    ];
    proptest::collection::vec(step, 1..250)
}

fn remove(nodes: &mut Memory, index: u64, mut count: u64, seen: bool) -> u64 {
    let mut removed = 0;
    while count > 0 {
        let gone = if seen {
            let range = index..index + count;
            nodes.resolved(
                |n, missing| list::touch_remove(n, range.clone(), missing),
                |n| list::remove_some(n, index, count),
            )
        } else {
            nodes.retried(|n| list::remove_some(n, index, count))
        };
        if gone == 0 {
            break;
        }
        removed += gone;
        count -= gone;
    }
    removed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_a_deque(steps in steps()) {
        let mut nodes = Memory::new(list::EMPTY, 64);
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for (number, step) in steps.iter().enumerate() {
            let element = |bytes: usize| [format!("{number}:").as_bytes(), &vec![b'e'; bytes]].concat();
            match *step {
                Step::Push(head, bytes, count) => {
                    for _ in 0..count {
                        let at = if head { 0 } else { u64::MAX };
                        let element = element(bytes);
                        nodes.resolved(|n, missing| list::touch_insert(n, at, missing), |n| list::insert(n, at, &element));
                        if head { model.push_front(element) } else { model.push_back(element) }
                    }
                }
                Step::Insert(index, bytes) => {
                    let at = index as usize % (model.len() + 1);
                    let element = element(bytes);
                    nodes.retried(|n| list::insert(n, at as u64, &element));
                    model.insert(at, element);
                }
                Step::Set(index, bytes) => {
                    let at = index as usize % (model.len() + 1);
                    let element = element(bytes);
                    let there = nodes.resolved(
                        |n, missing| list::touch_ranks(n, at as u64..at as u64 + 1, missing),
                        |n| list::set(n, at as u64, &element),
                    );
                    prop_assert_eq!(there, at < model.len());
                    if there {
                        model[at] = element;
                    }
                }
                Step::Remove(index, count) => {
                    let at = index as usize % (model.len() + 1);
                    let end = model.len().min(at + count as usize);
                    prop_assert_eq!(remove(&mut nodes, at as u64, u64::from(count), number % 2 == 0), (end - at) as u64);
                    model.drain(at..end);
                }
                Step::Pop(head, count) => {
                    for _ in 0..count.min(model.len() as u32) {
                        let at = if head { 0 } else { model.len() as u64 - 1 };
                        let popped = nodes.resolved(
                            |n, missing| list::touch_ranks(n, at..at + 1, missing),
                            |n| {
                                let popped = list::at(n, at)?.map(<[u8]>::to_vec);
                                assert_eq!(list::remove_some(n, at, 1)?, 1);
                                Ok(popped)
                            },
                        );
                        prop_assert_eq!(popped, if head { model.pop_front() } else { model.pop_back() });
                    }
                }
                Step::Lose(seed, share) => nodes.lose(seed, share),
                Step::Walk(index, back, count) => {
                    let at = index as usize % (model.len() + 1);
                    let walked = nodes.retried(|n| {
                        let mut walk = list::walk(n, at as u64, back)?;
                        let mut walked = Vec::new();
                        while walked.len() < count && let Some(element) = walk.next().transpose()? {
                            walked.push(element.to_vec());
                        }
                        Ok(walked)
                    });
                    let expected: Vec<Vec<u8>> = if back {
                        model.iter().take(at + 1).rev().take(count).cloned().collect()
                    } else {
                        model.iter().skip(at).take(count).cloned().collect()
                    };
                    prop_assert_eq!(walked, expected);
                }
            }
            nodes.check_report()?;
            if number % 8 == 0 || number + 1 == steps.len() {
                nodes.check(Kind::List, model.len())?;
            }
        }
        nodes.lose(3, 6);
        for (index, element) in model.iter().enumerate() {
            let found = nodes.retried(|n| Ok(list::at(n, index as u64)?.map(<[u8]>::to_vec)));
            prop_assert_eq!(found.as_ref(), Some(element));
        }
        let beyond = nodes.retried(|n| Ok(list::at(n, model.len() as u64)?.is_some()));
        prop_assert!(!beyond);
        prop_assert_eq!(remove(&mut nodes, 0, u64::MAX, false), model.len() as u64);
        nodes.check_report()?;
        prop_assert_eq!((nodes.nodes(), length(&nodes).unwrap()), (0, 0));
    }
}

#[test]
fn a_queue_touches_only_its_ends() {
    let mut nodes = Memory::new(list::EMPTY, 64);
    let element = |number: u32| format!("element number {number}").into_bytes();
    for number in 0..5000 {
        list::insert(&mut nodes, u64::MAX, &element(number)).unwrap();
    }
    let census = nodes.check(Kind::List, 5000).unwrap();
    let full = census.bytes as f64 / census.leaves as f64;
    nodes.lose(0, 8);
    for number in 0..1000u32 {
        nodes.retried(|n| list::insert(n, u64::MAX, &element(5000 + number)));
        let head = nodes.retried(|n| {
            let head = list::at(n, 0)?.map(<[u8]>::to_vec);
            list::remove_some(n, 0, 1)?;
            Ok(head)
        });
        assert_eq!(head, Some(element(number)));
    }
    // Each leaf at the head is brought once, and the way to both ends.
    let leaves = 1000.0 * 21.0 / full;
    assert!((nodes.rounds as f64) < leaves * 1.5 + 20.0, "{} nodes brought, {leaves} leaves popped", nodes.rounds);
    nodes.check_report().unwrap();
    nodes.check(Kind::List, 5000).unwrap();
}

#[test]
fn a_trim_of_a_cold_list_reads_no_whole_leaf() {
    let mut nodes = Memory::new(list::EMPTY, 64);
    for number in 0..8000u32 {
        list::insert(&mut nodes, u64::MAX, format!("element number {number}").as_bytes()).unwrap();
    }
    let before = nodes.nodes();
    nodes.lose(0, 8);
    assert_eq!(remove(&mut nodes, 100, 7800, true), 7800);
    assert!(nodes.rounds as usize * 3 < before, "{} of {before} nodes brought", nodes.rounds);
    nodes.check_report().unwrap();
    nodes.check(Kind::List, 200).unwrap();
}
