//! The client's own work per value: filling and verifying, and a step of a random order. A slow client must not be taken for
//! a slow server.
//!
//!     cargo bench -p thermocline-bench --bench value

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thermocline_bench::permutation::Permutation;
use thermocline_bench::value::{Expected, KeyId, fill, verify};

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("value");
    for length in [64_u32, 400, 4_096] {
        let mut value = Vec::new();
        group.throughput(Throughput::Bytes(length.into()));
        group.bench_function(BenchmarkId::new("fill", length), |bencher| {
            bencher.iter(|| {
                value.clear();
                fill(&mut value, black_box(KeyId(7)), 1, length);
                value.len()
            });
        });
        group.bench_function(BenchmarkId::new("verify", length), |bencher| {
            let expected = Expected::Exactly { version: 1, length };
            bencher.iter(|| verify(black_box(&value), KeyId(7), expected).expect("it was filled here"));
        });
    }
    group.finish();
}

fn order(criterion: &mut Criterion) {
    let order = Permutation::new(2_000_000, 1);
    let mut index = 0;
    criterion.bench_function("permutation/at", |bencher| {
        bencher.iter(|| {
            index = (index + 1) % 2_000_000;
            order.at(black_box(index))
        });
    });
}

criterion_group!(benches, values, order);
criterion_main!(benches);
