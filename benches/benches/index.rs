//! The index alone: a lookup of a key that is there and of one that is not, at sizes that fit the cache and that do not; an
//! insert into room that is there; growth from nothing, per key.
//!
//!     cargo bench -p thermocline-bench --bench index

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thermocline::internals::{Index, Slot, Spare, State};
use thermocline_bench::value::KeyId;

const SIZES: [u64; 2] = [10_000, 4_000_000];
const GROWN_KEYS: u64 = 100_000;
const BASE_BITS: u32 = 4;
/// Lookups of one measured step: the loop itself disappears beside them.
const STEPS: u64 = 1_000;

fn hash(key: u64) -> u64 {
    KeyId(key).spread()
}

/// Puts a key in, with memory as the engine brings it: only when the index asks.
fn insert(index: &mut Index, spare: &mut Spare, key: u64) {
    while index.insert(hash(key), Slot::new(State::Hot, key + 1), spare).is_err() {
        spare.refill();
    }
}

fn filled(keys: u64) -> Index {
    let (mut index, mut spare) = (Index::new(0, BASE_BITS), Spare::default());
    (0..keys).for_each(|key| insert(&mut index, &mut spare, key));
    assert_eq!(index.len(), keys);
    index
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index/find");
    group.throughput(Throughput::Elements(STEPS));
    for keys in SIZES {
        let index = filled(keys);
        let mut next = 0;
        group.bench_with_input(BenchmarkId::new("hit", keys), &index, |bencher, index| {
            bencher.iter(|| {
                for _ in 0..STEPS {
                    next = hash(next) % keys;
                    // A slot is the key's if its place is: several slots may match the bits of the hash.
                    let found = index.find(hash(next), |_, slot| slot.place() == next + 1);
                    assert!(black_box(found).is_some(), "every key is there");
                }
            });
        });
        group.bench_with_input(BenchmarkId::new("miss", keys), &index, |bencher, index| {
            bencher.iter(|| {
                for _ in 0..STEPS {
                    next += 1;
                    black_box(index.find(hash(keys + next), |_, _| false));
                }
            });
        });
        group.bench_with_input(BenchmarkId::new("hit, prefetched 16 ahead", keys), &index, |bencher, index| {
            bencher.iter(|| {
                for batch in 0..STEPS / 16 {
                    let first = hash(next + batch) % (keys - 16);
                    (first..first + 16).for_each(|key| index.prefetch(hash(key)));
                    for key in first..first + 16 {
                        black_box(index.find(hash(key), |_, slot| slot.place() == key + 1));
                    }
                }
                next += 1;
            });
        });
    }
    group.finish();
}

fn insert_and_remove(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index/insert and remove");
    group.throughput(Throughput::Elements(STEPS));
    for keys in SIZES {
        let (mut index, mut spare) = (filled(keys), Spare::default());
        spare.refill();
        group.bench_function(BenchmarkId::from_parameter(keys), |bencher| {
            bencher.iter(|| {
                for key in keys..keys + STEPS {
                    insert(&mut index, &mut spare, key);
                }
                for key in keys..keys + STEPS {
                    let found = index.find(hash(key), |_, slot| slot.place() == key + 1);
                    index.remove(found.expect("it was inserted").0);
                }
            });
        });
    }
    group.finish();
}

fn grow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index/grow from nothing");
    group.throughput(Throughput::Elements(GROWN_KEYS));
    group.bench_function(BenchmarkId::from_parameter(GROWN_KEYS), |bencher| {
        bencher.iter_batched(|| (), |()| filled(GROWN_KEYS), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, find, insert_and_remove, grow);
criterion_main!(benches);
