//! Records of the log: encoding with its checksum, decoding with its proof, and reading fields that were proven before.
//!
//!     cargo bench -p thermocline-bench --bench record

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thermocline::log::record::{Address, FLAG_FIRST, FLAG_LAST, Record, RecordKind, padded};
use thermocline::{Kind, SpaceId};

const KEY: &[u8] = b"key:000000000042";
const ADDRESS: Address = Address { store: 7, segment: 11, epoch: 13, offset: 4096 };

fn record(payload: &[u8]) -> Record<'_> {
    Record {
        kind: RecordKind::Value(Kind::String),
        seq: 1 << 40,
        group: FLAG_FIRST | FLAG_LAST,
        space: SpaceId(0),
        expiry: None,
        key: KEY,
        payload,
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    for payload_bytes in [64, 400, 4_096, 65_536] {
        let payload = vec![b'v'; payload_bytes];
        let record = record(&payload);
        let mut bytes = vec![0; padded(record.bytes())];
        group.throughput(Throughput::Bytes(record.bytes() as u64));
        group.bench_function(BenchmarkId::new("encode", payload_bytes), |bencher| {
            bencher.iter(|| black_box(&record).encode(ADDRESS, &mut bytes));
        });
        group.bench_function(BenchmarkId::new("decode and prove", payload_bytes), |bencher| {
            bencher.iter(|| Record::decode(ADDRESS, black_box(&bytes)).expect("it was encoded here").payload.len());
        });
        group.bench_function(BenchmarkId::new("parse what was proven", payload_bytes), |bencher| {
            bencher.iter(|| Record::parse(black_box(&bytes)).payload.len());
        });
        let mut damaged = bytes.clone();
        damaged[40] ^= 1;
        assert!(Record::decode(ADDRESS, &damaged).is_err(), "the proof is real");
    }
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
