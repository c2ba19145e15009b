//! The arena's heap alone: a cell taken and given back, and a full heap whose cells are replaced in random order, as values
//! are.
//!
//!     cargo bench -p thermocline-bench --bench heap

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use thermocline_bench::value::KeyId;
use thermocline_memory::{Handle, Heap, Region};

const REGION_BYTES: u64 = 256 << 20;
const CELLS: u64 = 100_000;
const STEPS: u64 = 1_000;

fn allocate(heap: &mut Heap, region: &Arc<Region>, bytes: usize) -> Handle {
    if let Some(cell) = heap.alloc(bytes) {
        return cell;
    }
    let span = region.take(Heap::wants(bytes)).expect("the region is larger than what lives in it");
    heap.donate(bytes, span);
    heap.alloc(bytes).expect("a span was donated")
}

fn free(heap: &mut Heap, region: &Region, cell: Handle) {
    if let Some(span) = heap.free(cell) {
        region.give(span);
    }
}

fn empty() -> (Arc<Region>, Heap) {
    let region = Region::new(REGION_BYTES).expect("address space is there");
    region.set_limit_bytes(REGION_BYTES);
    let heap = Heap::new(region.clone(), 0);
    (region, heap)
}

fn allocate_and_free(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heap/allocate and free");
    group.throughput(Throughput::Elements(STEPS));
    for bytes in [64, 425, 4_200] {
        let (region, mut heap) = empty();
        group.bench_function(BenchmarkId::new("one after another", bytes), |bencher| {
            bencher.iter(|| {
                for _ in 0..STEPS {
                    let cell = black_box(allocate(&mut heap, &region, bytes));
                    free(&mut heap, &region, cell);
                }
            });
        });
    }
    group.finish();
}

fn replace(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heap/replace in a full heap");
    group.throughput(Throughput::Elements(STEPS));
    for (name, sizes) in [("425", [425, 425]), ("100 to 1000", [100, 1_000])] {
        let (region, mut heap) = empty();
        let size = |number: u64| sizes[0] + (KeyId(number).spread() as usize) % (sizes[1] - sizes[0] + 1);
        let mut cells: Vec<Handle> = (0..CELLS).map(|n| allocate(&mut heap, &region, size(n))).collect();
        let mut number = CELLS;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                for _ in 0..STEPS {
                    number += 1;
                    let at = (KeyId(number).spread() % CELLS) as usize;
                    free(&mut heap, &region, cells[at]);
                    cells[at] = allocate(&mut heap, &region, size(number));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, allocate_and_free, replace);
criterion_main!(benches);
