//! Commands of several elements: what was touched before the first change stays present to the last.

use super::memory::{Memory, mix};
use proptest::prelude::*;
use thermocline_value::{Fault, HashEntry, Kind, Missing, ScoredMember, hash, list, sorted_set};

fn name(number: u64) -> Vec<u8> {
    format!("name:{number}").into_bytes()
}

/// Brings what `touch` notes until it notes nothing.
fn resolve(nodes: &mut Memory, touch: impl Fn(&Memory, &mut Missing) -> Result<(), Fault>) {
    nodes.resolved(touch, |_| Ok(()));
}

fn picked(seed: u64, many: u64, of: u64) -> Vec<u64> {
    let mut picked: Vec<u64> = (0..many).map(|n| mix(seed ^ n << 20) % of).collect();
    picked.sort_unstable();
    picked.dedup();
    picked
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn fields_that_were_looked_up_can_be_removed(hash_bits in prop_oneof![Just(64u32), Just(3)], count in 1u64..900, many in 1u64..300, seed in any::<u64>()) {
        let mut nodes = Memory::new(hash::EMPTY, hash_bits);
        for number in 0..count {
            hash::set(&mut nodes, &HashEntry { field: &name(number), value: b"value", expiry_ms: None }).unwrap();
        }
        nodes.lose(seed, 6);
        // Some of them do not exist.
        let fields = picked(seed, many, count + count / 4);
        resolve(&mut nodes, |n, missing| fields.iter().try_for_each(|&field| hash::touch_field(n, &name(field), missing)));
        let existing: Vec<u64> = fields.into_iter().filter(|&field| hash::get(&nodes, &name(field)).unwrap().is_some()).collect();
        for &field in &existing {
            prop_assert_eq!(hash::remove(&mut nodes, &name(field)), Ok(true));
        }
        nodes.check_report()?;
        nodes.check(Kind::Hash, count as usize - existing.len())?;
    }

    #[test]
    fn members_that_were_touched_get_their_scores(count in 1u64..700, many in 1u64..300, seed in any::<u64>(), scores in 1u64..50) {
        let mut nodes = Memory::new(sorted_set::EMPTY, 64);
        for number in 0..count {
            let score = (mix(number) % scores) as f64;
            sorted_set::set(&mut nodes, &ScoredMember { score, member: &name(number) }).unwrap();
        }
        nodes.lose(seed, 6);
        let members = picked(seed, many, count * 2);
        let score = |member: u64| (mix(member ^ seed) % scores) as f64;
        resolve(&mut nodes, |n, missing| {
            members.iter().try_for_each(|&member| sorted_set::touch_member(n, &name(member), Some(score(member)), missing))
        });
        let mut new = 0;
        for &member in &members {
            let entry = ScoredMember { score: score(member), member: &name(member) };
            // A member that moves can free the leaf that it leaves, and what belonged to that now belongs to one that may be absent.
            new += usize::from(nodes.retried(|n| sorted_set::set(n, &entry)));
        }
        nodes.check_report()?;
        nodes.check(Kind::SortedSet, count as usize + new)?;
        for &member in &members {
            let found = nodes.retried(|n| sorted_set::score(n, &name(member)));
            prop_assert_eq!(found, Some(score(member)));
        }
    }

    #[test]
    fn a_trim_that_was_touched_runs_through(count in 1u64..3000, start in 0u64..3000, kept in 0u64..500, seed in any::<u64>()) {
        let mut nodes = Memory::new(list::EMPTY, 64);
        for number in 0..count {
            list::insert(&mut nodes, u64::MAX, &name(number)).unwrap();
        }
        nodes.lose(seed, 7);
        let start = start.min(count);
        let end = (start + kept).min(count);
        resolve(&mut nodes, |n, missing| {
            list::touch_remove(n, 0..start, missing)?;
            list::touch_remove(n, end..count, missing)
        });
        for (index, mut gone) in [(end, count - end), (0, start)] {
            while gone > 0 {
                let removed = list::remove_some(&mut nodes, index, gone).unwrap();
                prop_assert!(removed > 0);
                gone -= removed;
            }
        }
        nodes.check_report()?;
        nodes.check(Kind::List, (end - start) as usize)?;
        let left = nodes.retried(|n| list::walk(n, 0, false)?.map(|element| Ok(element?.to_vec())).collect::<Result<Vec<_>, _>>());
        prop_assert_eq!(left, (start..end).map(name).collect::<Vec<_>>());
    }
}
