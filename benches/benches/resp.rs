//! The protocol without sockets: pipelines of commands parsed into argument places, and answers written.
//!
//!     cargo bench -p thermocline-bench --bench resp

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thermocline_resp::{Limits, Parsed, Parser, Protocol, Reply};

const PIPELINE: u64 = 32;

/// `count` commands as a client sends them.
fn pipeline(count: u64, command: impl Fn(u64) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..count {
        let arguments = command(number);
        bytes.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
        for argument in arguments {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(&argument);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

fn key(number: u64) -> Vec<u8> {
    format!("key:{number:012}").into_bytes()
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resp/parse, pipeline of 32");
    group.throughput(Throughput::Elements(PIPELINE));
    let pipelines = [
        ("PING", pipeline(PIPELINE, |_| vec![b"PING".to_vec()])),
        ("PING inline", b"PING\r\n".repeat(PIPELINE as usize)),
        ("GET", pipeline(PIPELINE, |n| vec![b"GET".to_vec(), key(n)])),
        ("SET 64", pipeline(PIPELINE, |n| vec![b"SET".to_vec(), key(n), vec![b'v'; 64]])),
        ("SET 1024", pipeline(PIPELINE, |n| vec![b"SET".to_vec(), key(n), vec![b'v'; 1024]])),
        ("MGET of 16", pipeline(PIPELINE, |n| [vec![b"MGET".to_vec()], (n..n + 16).map(key).collect()].concat())),
    ];
    for (name, mut bytes) in pipelines {
        let (mut parser, mut spans, limits) = (Parser::new(), Vec::new(), Limits::default());
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                spans.clear();
                let (mut at, mut commands) = (0, 0);
                while at < bytes.len() {
                    match parser.parse(&mut bytes, at, &limits, &mut spans) {
                        Parsed::Complete { consumed } => at += consumed,
                        other => panic!("a whole command at {at} is {other:?}"),
                    }
                    commands += 1;
                }
                assert_eq!(commands, PIPELINE);
                black_box(spans.len())
            });
        });
    }
    group.finish();
}

fn reply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resp/reply, pipeline of 32");
    group.throughput(Throughput::Elements(PIPELINE));
    let mut output = Vec::new();
    let mut bench = |name: &str, write: &dyn Fn(&mut Reply<'_>)| {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                output.clear();
                let mut reply = Reply::new(&mut output, Protocol::Two);
                (0..PIPELINE).for_each(|_| write(&mut reply));
                black_box(output.len())
            });
        });
    };
    let value = vec![b'v'; 1024];
    bench("OK", &|reply| reply.ok());
    bench("integer", &|reply| reply.integer(black_box(1_234_567)));
    bench("bulk 64", &|reply| reply.bulk(black_box(&value[..64])));
    bench("bulk 1024", &|reply| reply.bulk(black_box(&value)));
    bench("null", &|reply| reply.null());
    group.finish();
}

criterion_group!(benches, parse, reply);
criterion_main!(benches);
