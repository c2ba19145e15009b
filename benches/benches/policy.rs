//! The policy alone: accesses of a zipf row over more objects than fit, each miss evicting until its object fits. No index, no
//! arena: what is measured is the queues and the table that stands for the objects.
//!
//!     cargo bench -p thermocline-bench --bench policy

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thermocline::TierPolicy;
use thermocline::policy::{Entry, Ghost, Look, Objects, S3Fifo};
use thermocline_bench::value::KeyId;

const OBJECTS: u64 = 200_000;
const OBJECT_BYTES: usize = 400;
const CAPACITY_BYTES: usize = OBJECTS as usize / 10 * OBJECT_BYTES;
const STEPS: u64 = 1_000;
const HEAT_MAX: u8 = 3;

#[derive(Clone, Copy, Default)]
struct Object {
    hot: bool,
    main: bool,
    heat: u8,
    ghost: u8,
}

/// Objects by number.
struct Table(Vec<Object>);

impl Objects for Table {
    fn look(&mut self, entry: Entry) -> Option<Look> {
        let object = self.0[entry.0 as usize];
        object.hot.then_some(Look { bytes: OBJECT_BYTES, heat: object.heat, main: object.main })
    }

    fn set_heat(&mut self, entry: Entry, heat: u8) {
        self.0[entry.0 as usize].heat = heat;
    }

    fn set_main(&mut self, entry: Entry) {
        self.0[entry.0 as usize].main = true;
    }
}

/// A cache of 10 % of the objects.
struct Cache {
    policy: S3Fifo,
    ghosts: Ghost,
    table: Table,
    hits: u64,
    accesses: u64,
}

impl Cache {
    fn new(policy: TierPolicy) -> Self {
        let table = Table(vec![Object::default(); OBJECTS as usize]);
        Self { policy: S3Fifo::new(policy), ghosts: Ghost::default(), table, hits: 0, accesses: 0 }
    }

    fn access(&mut self, number: u64) {
        self.accesses += 1;
        let object = &mut self.table.0[number as usize];
        if object.hot {
            object.heat = (object.heat + 1).min(HEAT_MAX);
            self.hits += 1;
            return;
        }
        while self.policy.bytes() + OBJECT_BYTES > CAPACITY_BYTES {
            self.evict();
        }
        let main = self.policy.goes_to_main(self.ghosts.remembers(self.table.0[number as usize].ghost));
        self.table.0[number as usize] = Object { hot: true, main, heat: 0, ghost: 0 };
        self.policy.insert(Entry(number), OBJECT_BYTES, main);
    }

    fn evict(&mut self) {
        let Some(victim) = self.policy.victim(&mut self.table) else { return };
        let object = &mut self.table.0[victim.entry.0 as usize];
        self.policy.removed(OBJECT_BYTES, object.main);
        object.hot = false;
        if victim.from_small {
            object.ghost = self.ghosts.mark(OBJECT_BYTES, CAPACITY_BYTES).0;
        }
    }
}

/// A skewed number below [`OBJECTS`]: the cube of a uniform one.
fn skewed(step: u64) -> u64 {
    let uniform = (KeyId(step).spread() >> 11) as f64 / (1_u64 << 53) as f64;
    ((uniform * uniform * uniform) * OBJECTS as f64) as u64
}

fn access(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy/access with evictions");
    group.throughput(Throughput::Elements(STEPS));
    for (name, policy) in [("S3-FIFO", TierPolicy::S3Fifo), ("LRU", TierPolicy::Lru)] {
        let mut cache = Cache::new(policy);
        let mut step = 0;
        group.bench_function(BenchmarkId::new("skewed", name), |bencher| {
            bencher.iter(|| {
                for _ in 0..STEPS {
                    step += 1;
                    cache.access(skewed(step));
                }
                black_box(cache.hits)
            });
        });
        assert!(cache.hits > 0 && cache.hits < cache.accesses, "hits {} of {}", cache.hits, cache.accesses);
    }
    group.finish();
}

fn victim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy/victim of objects never asked for");
    group.throughput(Throughput::Elements(STEPS));
    let mut cache = Cache::new(TierPolicy::S3Fifo);
    let mut next = 0;
    group.bench_function(BenchmarkId::from_parameter("S3-FIFO"), |bencher| {
        bencher.iter(|| {
            for _ in 0..STEPS {
                next = (next + 1) % OBJECTS;
                cache.access(next);
            }
            black_box(cache.policy.objects())
        });
    });
    group.finish();
}

criterion_group!(benches, access, victim);
criterion_main!(benches);
