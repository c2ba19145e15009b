//! The promises of the index, against a model: a multimap from what is stored of a hash to places.

use super::export::{BadSegment, Part};
use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Inserts, refilling as the engine does; answers how many refills it took.
fn put(index: &mut Index, spare: &mut Spare, hash: u64, place: u64) -> (SlotRef, usize) {
    for refills in 0..100 {
        match index.insert(hash, Slot::new(State::Cold, place), spare) {
            Ok(at) => return (at, refills),
            Err(needs) => {
                assert!(needs.bytes > 0);
                spare.refill();
            }
        }
    }
    panic!("refilling does not help");
}

fn place_of(index: &Index, hash: u64, place: u64) -> Option<SlotRef> {
    index.find(hash, |_, slot| slot.place() == place).map(|(at, _)| at)
}

fn known(index: &Index, hash: u64) -> u64 {
    let bits = index.base_bits + STORED_BITS;
    hash >> (64 - bits) << (64 - bits)
}

#[test]
fn a_key_costs_at_most_twelve_bytes_while_a_million_come() {
    for base_bits in [4, 10] {
        let (mut index, mut spare) = (Index::new(0, base_bits), Spare::default());
        let mut random = SmallRng::seed_from_u64(7);
        let (mut sum, mut worst, mut samples, mut refills) = (0.0, 0.0_f64, 0, 0);
        for place in 0..1_000_000_u64 {
            refills += put(&mut index, &mut spare, random.random(), place).1;
            assert!(spare.bytes() < 64 << 10, "the stock is small: {} bytes", spare.bytes());
            // From 100 keys per base segment on: before, the segments are too small to be full.
            if place % 1_000 == 0 && place >= 100 << base_bits {
                let each = index.bytes() as f64 / (place + 1) as f64;
                (sum, worst, samples) = (sum + each, worst.max(each), samples + 1);
            }
        }
        let mean = sum / f64::from(samples);
        println!(
            "2^{base_bits} base segments, 1 M keys: mean {mean:.2} B/key, worst {worst:.2}, at the end {:.2}; {refills} refills",
            index.bytes() as f64 / 1e6,
        );
        assert!(mean <= 11.0 && worst <= 12.0, "mean {mean:.2} worst {worst:.2}");
        let mut random = SmallRng::seed_from_u64(7);
        for place in 0..1_000_000 {
            assert!(place_of(&index, random.random(), place).is_some(), "key {place} is lost");
        }
        let absent = (0..1_000_000).filter(|_| index.find(random.random(), |_, _| true).is_some()).count();
        assert!(absent <= 3 * ((1_000_000 * 1_000_000) >> (base_bits + STORED_BITS)) + 20, "{absent} false matches");
    }
}

#[test]
fn the_accounted_bytes_are_what_is_there() {
    let (mut index, mut spare) = (Index::new(0, 2), Spare::default());
    let mut random = SmallRng::seed_from_u64(1);
    let fresh = index.bytes();
    let hashes: Vec<u64> = (0..20_000).map(|place| if place % 9 == 0 { 5 << 60 } else { random.random() }).collect();
    for (place, &hash) in hashes.iter().enumerate() {
        put(&mut index, &mut spare, hash, place as u64);
    }
    let counted = index.bases.iter().map(held).sum::<u64>() + fresh;
    assert_eq!(index.bytes(), counted);
    for (place, &hash) in hashes.iter().enumerate() {
        index.remove(place_of(&index, hash, place as u64).unwrap());
    }
    assert_eq!(index.len(), 0);
    assert_eq!(index.bytes(), index.bases.iter().map(held).sum::<u64>() + fresh);
}

#[test]
fn what_many_removals_left_shrinks() {
    let (mut index, mut spare) = (Index::new(0, 4), Spare::default());
    let mut random = SmallRng::seed_from_u64(21);
    let hashes: Vec<u64> = (0..100_000).map(|_| random.random()).collect();
    for (place, &hash) in (0..).zip(&hashes) {
        put(&mut index, &mut spare, hash, place);
    }
    for (place, &hash) in (0..).zip(&hashes).filter(|(place, _)| place % 5 != 0) {
        index.remove(place_of(&index, hash, place).unwrap());
    }
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        cursor = match index.shrink_segment(from, &mut spare) {
            Ok(next) => next,
            Err(_) => {
                spare.refill();
                Some(from)
            }
        };
    }
    assert!(index.bytes() < 20_000 * 13, "{:.1} B/key", index.bytes() as f64 / 20_000.0);
    for (place, &hash) in (0..).zip(&hashes).filter(|(place, _)| place % 5 == 0) {
        assert!(place_of(&index, hash, place).is_some());
    }
}

fn held(node: &Node) -> u64 {
    match node {
        Node::Empty => 0,
        Node::Leaf(segment) => segment.bytes(),
        Node::Branch(children) => size_of::<[Node; 2]>() as u64 + children.iter().map(held).sum::<u64>(),
    }
}

#[test]
fn equal_bits_never_cause_growth() {
    let (mut index, mut spare) = (Index::new(0, 4), Spare::default());
    for place in 0..5_000 {
        put(&mut index, &mut spare, 0xabcd_ef01_2345_6789, place);
    }
    assert!(index.bytes() < 5_000 * 36, "only a list: {} bytes", index.bytes());
    let mut places = HashSet::new();
    index.find(0xabcd_ef01_2345_6789, |_, slot| !places.insert(slot.place()));
    assert_eq!(places.len(), 5_000);
    let segments =
        index.bases.iter().filter_map(Node::segment).map(|segment| segment.bucket_count()).collect::<Vec<_>>();
    assert_eq!(segments, [1], "one bucket, never grown");
}

#[test]
fn a_flood_of_few_hashes_does_not_grow_the_segment_of_the_others() {
    let (mut index, mut spare) = (Index::new(0, 0), Spare::default());
    let mut random = SmallRng::seed_from_u64(3);
    let flood: Vec<u64> = (0..16).map(|_| random.random()).collect();
    for place in 0..8_000 {
        put(&mut index, &mut spare, flood[place as usize % 16], place);
    }
    let buckets = index.bases[0].segment().expect("sixteen different hashes never split a segment").bucket_count();
    assert!(buckets <= 16, "{buckets} buckets for 16 different hashes");
    for place in 0..8_000 {
        assert!(place_of(&index, flood[place as usize % 16], place).is_some());
    }
}

#[test]
fn keys_with_a_long_common_prefix_split_until_they_differ() {
    let (mut index, mut spare) = (Index::new(2, 6), Spare::default());
    // The first 6 + 12 bits are the same; 11 stored bits are left: 2048 values, 5,000 keys.
    let mut random = SmallRng::seed_from_u64(5);
    let hashes: Vec<u64> = (0..5_000).map(|_| 0xd_eadc << 44 | random.random::<u64>() >> 18).collect();
    for (place, &hash) in hashes.iter().enumerate() {
        put(&mut index, &mut spare, hash, place as u64);
    }
    for (place, &hash) in hashes.iter().enumerate() {
        assert!(place_of(&index, hash, place as u64).is_some());
    }
    assert!(index.bytes() < 5_000 * 24);
}

#[test]
#[should_panic(expected = "another shard")]
fn a_hash_of_another_shard_is_refused() {
    let (mut index, mut spare) = (Index::new(4, 8), Spare::default());
    put(&mut index, &mut spare, 0x1000_0000_0000_0000, 1);
    put(&mut index, &mut spare, 0x2000_0000_0000_0000, 2);
}

#[test]
fn set_changes_all_but_the_hash() {
    let (mut index, mut spare) = (Index::new(0, 3), Spare::default());
    let (at, _) = put(&mut index, &mut spare, 0x1234_5678_9abc_def0, 1);
    index.set(at, Slot::new(State::Hot, 99).with_heat(3).with_ttl(true));
    let found = index.find(0x1234_5678_9abc_def0, |_, _| true).unwrap().1;
    assert_eq!((found.place(), found.heat(), found.state(), found.has_ttl()), (99, 3, State::Hot, true));
    assert_eq!(index.known_bits(at), (known(&index, 0x1234_5678_9abc_def0), 26));
}

/// How hashes look in a test: whole, or cut so that most keys share all their bits.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    FirstFour,
    FourStored,
}

impl Cut {
    fn apply(self, hash: u64) -> u64 {
        match self {
            // All in one shard of two bits.
            Cut::Whole => hash >> 2,
            Cut::FirstFour => hash >> 2 & 0xf << 60,
            Cut::FourStored => hash & 0xf << 54,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Remove(usize),
    Change(usize),
    ScanSome(usize),
}

fn steps() -> impl Strategy<Value = (Cut, Vec<Step>)> {
    let step = prop_oneof![
        8 => any::<u64>().prop_map(Step::Insert),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::Change),
        1 => (1_usize..40).prop_map(Step::ScanSome),
    ];
    let cut = prop_oneof![Just(Cut::Whole), Just(Cut::FirstFour), Just(Cut::FourStored)];
    (cut, prop::collection::vec(step, 1..3_000))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_scans_miss_nothing_that_stays((cut, steps) in steps()) {
        let (mut index, mut spare) = (Index::new(2, 2), Spare::default());
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        let mut next_place = 0;
        // The keys that were there when the running scan began and still are; what it has seen.
        let (mut cursor, mut stayed, mut seen) = (0, HashSet::new(), HashSet::new());
        for step in steps {
            match step {
                Step::Insert(hash) => {
                    put(&mut index, &mut spare, cut.apply(hash), next_place);
                    model.insert(next_place, cut.apply(hash));
                    next_place += 1;
                }
                Step::Remove(choice) if !model.is_empty() => {
                    let (&place, &hash) = model.iter().nth(choice % model.len()).unwrap();
                    let at = place_of(&index, hash, place).expect("lost");
                    prop_assert_eq!(index.remove(at).place(), place);
                    model.remove(&place);
                    stayed.remove(&place);
                }
                Step::Change(choice) if !model.is_empty() => {
                    let (&place, &hash) = model.iter().nth(choice % model.len()).unwrap();
                    let at = place_of(&index, hash, place).expect("lost");
                    index.set(at, index.get(at).with_heat(2));
                }
                Step::ScanSome(at_least) => {
                    if cursor == 0 {
                        stayed = model.keys().copied().collect();
                        seen.clear();
                    }
                    let mut count = 0;
                    let next = index.scan(cursor, at_least, |at, slot, prefix, bits| {
                        count += 1;
                        assert!(seen.insert(slot.place()), "visited twice");
                        assert_eq!(prefix, known(&index, model[&slot.place()]));
                        assert_eq!((prefix, bits), index.known_bits(at));
                        assert_eq!(index.get(at), slot);
                        assert!(prefix >= cursor);
                    });
                    prop_assert!(count >= at_least || next.is_none());
                    if next.is_none() {
                        prop_assert!(stayed.is_subset(&seen));
                    }
                    prop_assert!(next.is_none_or(|next| next > cursor));
                    cursor = next.unwrap_or(0);
                }
                Step::Remove(_) | Step::Change(_) => {}
            }
            prop_assert_eq!(index.len(), model.len() as u64);
        }
        let mut all = HashMap::new();
        index.for_each(|at, slot, prefix, _| {
            assert_eq!(index.get(at), slot);
            assert!(all.insert(slot.place(), prefix).is_none());
        });
        prop_assert_eq!(all.len(), model.len());
        for (place, &hash) in &model {
            prop_assert_eq!(all[place], known(&index, hash));
            let mut candidates = 0;
            index.find(hash, |_, _| { candidates += 1; false });
            let expected = model.values().filter(|&&other| known(&index, other) == known(&index, hash)).count();
            prop_assert_eq!(candidates, expected);
            if !matches!(cut, Cut::Whole) && *place > 50 {
                break;
            }
        }
    }
}

fn filled(keys: u64) -> (Index, Vec<u64>) {
    let (mut index, mut spare) = (Index::new(1, 3), Spare::default());
    let mut random = SmallRng::seed_from_u64(9);
    let hashes: Vec<u64> =
        (0..keys).map(|place| 1 << 63 | if place % 50 == 0 { 77 << 40 } else { random.random::<u64>() }).collect();
    for (place, &hash) in (0..).zip(&hashes) {
        put(&mut index, &mut spare, hash, place);
    }
    (index, hashes)
}

fn import(index: &mut Index, words: &[u64], keep: impl FnMut(Slot) -> bool) -> Result<usize, BadSegment> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (part, used) = Part::parse(index.base_bits, &bytes, |_| (), keep)?;
    index.attach(part).map(|()| used / 8)
}

fn exported(index: &Index) -> Vec<Vec<u64>> {
    let (mut parts, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let mut words = Vec::new();
        cursor = index.export_segment(from, &mut words, Some);
        parts.push(words);
    }
    parts.retain(|words| !words.is_empty());
    parts
}

#[test]
fn an_exported_index_comes_back_without_rehashing() {
    let (index, hashes) = filled(30_000);
    let mut back = Index::new(1, 3);
    let parts = exported(&index);
    assert!(parts.len() > 20);
    for words in parts.iter().rev() {
        assert_eq!(import(&mut back, words, |_| true), Ok(words.len()));
    }
    assert_eq!((back.len(), back.base_bits), (30_000, index.base_bits));
    for (place, &hash) in (0..).zip(&hashes) {
        assert!(place_of(&back, hash, place).is_some());
    }
    let mut spare = Spare::default();
    for (place, &hash) in (30_000..).zip(&hashes) {
        put(&mut back, &mut spare, hash ^ 0x5555_0000, place);
    }
    assert_eq!(back.len(), 60_000);
    assert_eq!(import(&mut back, &parts[0], |_| true), Err(BadSegment::Overlap));
}

#[test]
fn an_export_fits_any_number_of_shards_and_leaves_out_what_is_refused() {
    let (index, hashes) = filled(9_000);
    let mut shards = [Index::new(2, 3), Index::new(2, 3)];
    for words in exported(&index) {
        let shard = &mut shards[(words[0] >> 62 & 1) as usize];
        import(shard, &words, |slot| slot.place() % 3 != 0).unwrap();
    }
    assert_eq!(shards.iter().map(Index::len).sum::<u64>(), 6_000);
    for (place, &hash) in (0..).zip(&hashes) {
        let found = place_of(&shards[(hash >> 62 & 1) as usize], hash, place).is_some();
        assert_eq!(found, place % 3 != 0, "{place}");
    }
}

/// In several lists, into an index that is empty, presized or has keys; with twins, a long common prefix, few bits and all.
#[test]
fn many_slots_at_once_are_there_as_if_they_had_come_one_by_one() {
    let mut random = SmallRng::seed_from_u64(33);
    for (shard_bits, base_bits, presized, mask) in [
        (0, 0, false, u64::MAX),
        (0, 4, true, u64::MAX),
        (2, 5, false, u64::MAX),
        (3, 10, true, u64::MAX),
        (1, 4, false, 0xf << 60),
    ] {
        let (mut index, mut spare) = (Index::new(shard_bits, base_bits), Spare::default());
        let shard = u64::MAX << (64 - shard_bits).min(63) << u32::from(shard_bits == 0);
        let hashes: Vec<u64> = (0..60_000u64)
            .map(|place| match place % 100 {
                0 => 0x1234_5678_9abc_def0,
                1..10 => random.random::<u64>() >> 20,
                _ => random.random::<u64>(),
            })
            .map(|hash| (shard | hash >> shard_bits) & mask)
            .collect();
        if presized {
            index.presize(60_000, hashes[0]);
        }
        let mut scratch = Vec::new();
        let keyed: Vec<(u64, u64)> = hashes.iter().copied().zip(0..).collect();
        for (part, keyed) in keyed.chunks(7_000).enumerate() {
            if part % 3 == 1 {
                keyed.iter().for_each(|&(hash, place)| _ = put(&mut index, &mut spare, hash, place));
                continue;
            }
            // Their hash bits may say anything before.
            let slot = |place: u64| Slot::new(State::Cold, place).with_mark(place as u32 & 0x7fff);
            let mut slots: Vec<(u64, Slot)> = keyed.iter().map(|&(hash, place)| (hash, slot(place))).collect();
            index.insert_many(&mut slots, &mut scratch, &mut spare);
            assert!(slots.is_empty());
        }
        assert_eq!(index.len(), 60_000);
        let fresh = Index::new(shard_bits, base_bits).bytes();
        assert_eq!(index.bytes(), index.bases.iter().map(held).sum::<u64>() + fresh);
        let mut places = HashMap::<u64, HashSet<u64>>::new();
        keyed.iter().for_each(|&(hash, place)| _ = places.entry(known(&index, hash)).or_default().insert(place));
        for (hash, expected) in places {
            let mut met = HashSet::new();
            index.find(hash, |_, slot| !met.insert(slot.place()));
            assert_eq!(met, expected, "{hash:#x}");
        }
    }
}

#[test]
fn a_presized_index_holds_its_keys_and_gives_back_what_is_left_over() {
    let (mut plain, hashes) = filled(40_000);
    let (mut presized, mut spare) = (Index::new(1, 3), Spare::default());
    presized.presize(40_000, 1 << 63);
    assert!(presized.is_empty());
    for (place, &hash) in (0..).zip(&hashes) {
        put(&mut presized, &mut spare, hash, place);
    }
    presized.drop_empty();
    for (place, &hash) in (0..).zip(&hashes) {
        assert!(place_of(&presized, hash, place).is_some());
    }
    assert!(presized.bytes() < plain.bytes() * 12 / 10, "{} against {}", presized.bytes(), plain.bytes());
    let counted = |index: &Index| exported(index).iter().map(|w| w.len() as u64 * 8).sum::<u64>();
    assert!(counted(&presized) <= presized.bytes());
    let mut empty = Index::new(1, 3);
    let bytes = empty.bytes();
    empty.presize(40_000, 1 << 63);
    empty.drop_empty();
    assert_eq!(empty.bytes(), bytes, "nothing is left of a presized index without keys");
    plain.presize(1 << 20, 1 << 63);
    assert_eq!(plain.len(), 40_000, "an index with keys is left as it is");
}

#[test]
fn an_index_that_lies_is_not_imported() {
    let (index, _) = filled(3_000);
    let parts = exported(&index);
    let words = parts.iter().max_by_key(|words| words.len()).unwrap();
    let mut empty = Index::new(1, 3);
    assert_eq!(import(&mut empty, &words[..words.len() - 1], |_| true), Err(BadSegment::Short));
    assert_eq!(import(&mut empty, &[], |_| true), Err(BadSegment::Short));
    assert_eq!(import(&mut Index::new(1, 4), words, |_| true), Err(BadSegment::OtherShape));
    let mut random = SmallRng::seed_from_u64(11);
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut bad = words.clone();
        bad[random.random_range(0..words.len())] ^= 1 << random.random_range(0..64);
        let mut target = Index::new(1, 3);
        match import(&mut target, &bad, |_| true) {
            // A flipped place or heat cannot be seen here; but every key must be findable.
            Ok(_) => target.for_each(|at, _, prefix, _| {
                assert!(target.find(prefix, |other, _| other == at).is_some());
            }),
            Err(_) => {
                refused += 1;
                assert_eq!(target.len(), 0);
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn an_export_with_inserts_between_covers_every_key_that_was_there() {
    let (mut index, hashes) = filled(5_000);
    let (mut back, mut spare, mut cursor, mut place) = (Index::new(1, 3), Spare::default(), Some(0), 1_000_000);
    let mut random = SmallRng::seed_from_u64(13);
    while let Some(from) = cursor {
        let mut words = Vec::new();
        cursor = index.export_segment(from, &mut words, Some);
        if !words.is_empty() {
            import(&mut back, &words, |_| true).unwrap();
        }
        for _ in 0..500 {
            put(&mut index, &mut spare, 1 << 63 | random.random::<u64>(), place);
            place += 1;
        }
    }
    for (place, &hash) in (0..).zip(&hashes) {
        assert!(place_of(&back, hash, place).is_some());
    }
}

#[test]
fn a_scan_in_small_steps_stays_near_what_was_asked() {
    let (index, _) = filled(20_000);
    let (mut cursor, mut total, mut most) = (Some(0), 0, 0);
    while let Some(from) = cursor {
        let mut count = 0;
        cursor = index.scan(from, 10, |_, _, _, _| count += 1);
        total += count;
        // The flood of 400 equal hashes comes in one call.
        most = most.max(if count >= 400 { 0 } else { count });
    }
    assert_eq!(total, 20_000);
    assert!(most <= 20, "{most} keys in one call");
}

#[test]
fn an_empty_index_scans_to_its_end_at_once() {
    let index = Index::new(3, 12);
    assert_eq!(index.scan(0, 10, |_, _, _, _| panic!("nothing is here")), None);
    assert!(index.find(1 << 50, |_, _| true).is_none());
    index.prefetch(u64::MAX);
    assert_eq!(index.export_segment(0, &mut Vec::new(), Some), None);
}
