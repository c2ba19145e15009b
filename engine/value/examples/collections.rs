//! What collections cost: DRAM per element, and nanoseconds per operation, over nodes in a plain vector.
//!
//!     cargo run --release -p thermocline-value --example collections [ELEMENTS]      (default 1000000)
//!
//! `payload` is what this crate makes. `cells` adds what the engine spends on each node: a cell of the next size class
//! (x 1.125) with 26 bytes of header and key, and 10.6 bytes of index. The time of an operation holds no index look-up:
//! a node is found by its number.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::Instant;
use thermocline_value::{
    Census, CollectionId, HashEntry, Kind, NodeEdit, NodeId, Nodes, ScoredMember, hash, list, set, sorted_set, verify,
};

const NODE_HEADER_BYTES: usize = 26;
const NODE_INDEX_BYTES: f64 = 10.6;

struct Table {
    nodes: Vec<Vec<u8>>,
    edits: u64,
    put_bytes: u64,
}

impl Table {
    fn new(empty: &[u8]) -> Table {
        Table { nodes: vec![empty.to_vec()], edits: 0, put_bytes: 0 }
    }

    /// Bytes of cells and index.
    fn dram(&self) -> f64 {
        let nodes = self.nodes.iter().filter(|payload| !payload.is_empty());
        nodes.map(|payload| cell_bytes(payload.len() + NODE_HEADER_BYTES) as f64 + NODE_INDEX_BYTES).sum()
    }
}

fn cell_bytes(bytes: usize) -> usize {
    let mut class = 16;
    while class < bytes {
        class = (class * 9 / 8).next_multiple_of(8).max(class + 8);
    }
    class
}

impl Nodes for Table {
    fn get(&self, node: NodeId) -> Option<&[u8]> {
        self.nodes.get(node.number() as usize).map(|payload| &payload[..])
    }
    fn hash(&self, field: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64(field)
    }
    fn collection(&mut self) -> CollectionId {
        CollectionId(1)
    }
    fn allocate(&mut self) -> NodeId {
        self.nodes.push(Vec::new());
        NodeId::new(self.nodes.len() as u64 - 1)
    }
    fn put(&mut self, node: NodeId, payload: &[u8]) {
        self.put_bytes += payload.len() as u64;
        let place = &mut self.nodes[node.number() as usize];
        place.clear();
        place.extend_from_slice(payload);
    }
    fn edit(&mut self, node: NodeId, edit: &NodeEdit<'_>) {
        if !edit.is_count() {
            self.edits += 1;
        }
        edit.apply(&mut self.nodes[node.number() as usize]).expect("an edit that was planned");
    }
    fn free(&mut self, node: NodeId) {
        self.nodes[node.number() as usize] = Vec::new();
    }
}

/// Numbers below `count`, each once, in no order.
fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    let bits = 64 - (count - 1).leading_zeros();
    let mask = (1u64 << bits) - 1;
    // Each step can be undone, so no two numbers become one.
    let mixed = (0..=mask).map(move |n| {
        (0..3).fold(n, |n, _| {
            let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & mask;
            n ^ n >> (bits / 2 + 1)
        })
    });
    mixed.filter(move |&n| n < count)
}

fn timed(what: &str, times: u64, run: impl FnOnce() -> u64) {
    let start = Instant::now();
    let answer = run();
    let spent = start.elapsed().as_nanos() as f64 / times as f64;
    println!("    {what:<34} {spent:>8.0} ns      ({answer})");
}

fn report(name: &str, table: &Table, kind: Kind, own_bytes: f64) {
    let Census { elements, nodes, leaves, bytes, levels } = verify(table, kind).expect("a whole collection");
    let each = |bytes: f64| bytes / elements.max(1) as f64;
    println!(
        "{name}: {elements} elements of {own_bytes} B: payload {:.1}, cells {:.1} B/element; {nodes} nodes, {:.0} B and {:.1} elements per leaf, {levels} levels",
        each(bytes as f64),
        each(table.dram()),
        bytes as f64 / leaves.max(1) as f64,
        elements as f64 / leaves.max(1) as f64,
    );
    println!("    written: {} edits, {:.1} B of whole nodes per element", table.edits, each(table.put_bytes as f64));
}

fn name(buffer: &mut Vec<u8>, number: u64) -> &[u8] {
    use std::io::Write;
    buffer.clear();
    write!(buffer, "element:{number:08}").expect("a vector takes all");
    buffer
}

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of elements"));
    let mut buffer = Vec::new();

    for (title, length) in [("hash of 10", 10), ("hash", count)] {
        let mut table = Table::new(hash::EMPTY);
        println!("{title}");
        timed("HSET new", length, || {
            shuffled(length)
                .filter(|&n| {
                    let entry =
                        HashEntry { field: name(&mut buffer, n), value: b"a value of 22 B, here.", expiry_ms: None };
                    hash::set(&mut table, &entry).expect("present")
                })
                .count() as u64
        });
        let times = count.min(1_000_000);
        timed("HSET, another value", times, || {
            (0..times)
                .filter(|n| {
                    let field = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length;
                    let value = if n % 2 == 0 { b"another one of 22 B..." } else { b"a value of 22 B, here." };
                    let entry = HashEntry { field: name(&mut buffer, field), value, expiry_ms: None };
                    hash::set(&mut table, &entry).expect("present")
                })
                .count() as u64
        });
        timed("HGET", times, || {
            (0..times)
                .filter(|n| {
                    let field = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length;
                    black_box(hash::get(&table, name(&mut buffer, field)).expect("present")).is_some()
                })
                .count() as u64
        });
        timed("the name alone", times, || {
            (0..times).map(|n| name(&mut buffer, n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length).len() as u64).sum()
        });
        timed("HGETALL, per field", length, || hash::walk(&table, 0).expect("present").count() as u64);
        report(title, &table, Kind::Hash, 38.0);
    }

    let mut table = Table::new(set::EMPTY);
    println!("set");
    timed("SADD new", count, || {
        shuffled(count).filter(|&n| set::add(&mut table, name(&mut buffer, n)).expect("present")).count() as u64
    });
    timed("SISMEMBER", count, || {
        (0..count)
            .filter(|n| {
                let member = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (2 * count);
                set::contains(&table, name(&mut buffer, member)).expect("present")
            })
            .count() as u64
    });
    timed("SRANDMEMBER", count, || {
        (0..count)
            .filter(|n| {
                let rank = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % count;
                black_box(set::at(&table, rank).expect("present")).is_some()
            })
            .count() as u64
    });
    report("set", &table, Kind::Set, 16.0);

    for (title, length) in [("sorted set of 10", 10), ("sorted set", count)] {
        let mut table = Table::new(sorted_set::EMPTY);
        println!("{title}");
        timed("ZADD new", length, || {
            shuffled(length)
                .filter(|&n| {
                    let score = (n.wrapping_mul(0xC2B2_AE3D_27D4_EB4F) >> 40) as f64;
                    sorted_set::set(&mut table, &ScoredMember { score, member: name(&mut buffer, n) }).expect("present")
                })
                .count() as u64
        });
        let times = count.min(1_000_000);
        timed("ZADD, another score", times, || {
            (0..times)
                .filter(|n| {
                    let member = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length;
                    let score = (n.wrapping_mul(0xA076_1D64_78BD_642F) >> 40) as f64;
                    sorted_set::set(&mut table, &ScoredMember { score, member: name(&mut buffer, member) })
                        .expect("present")
                })
                .count() as u64
        });
        timed("ZSCORE", times, || {
            (0..times)
                .filter(|n| {
                    let member = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length;
                    black_box(sorted_set::score(&table, name(&mut buffer, member)).expect("present")).is_some()
                })
                .count() as u64
        });
        timed("ZRANK", times, || {
            (0..times)
                .map(|n| {
                    let member = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length;
                    sorted_set::rank(&table, name(&mut buffer, member)).expect("present").map_or(0, |(rank, _)| rank)
                })
                .fold(0, u64::wrapping_add)
        });
        timed("ZRANGE of 10 by rank", times, || {
            (0..times)
                .map(|n| {
                    let rank = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length;
                    sorted_set::walk(&table, rank, false).expect("present").take(10).count() as u64
                })
                .sum()
        });
        report(title, &table, Kind::SortedSet, 16.0);
    }

    let mut table = Table::new(list::EMPTY);
    println!("list");
    timed("RPUSH", count, || {
        for n in 0..count {
            list::insert(&mut table, u64::MAX, name(&mut buffer, n)).expect("present");
        }
        count
    });
    timed("LINDEX", count, || {
        (0..count)
            .filter(|n| {
                let index = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % count;
                black_box(list::at(&table, index).expect("present")).is_some()
            })
            .count() as u64
    });
    timed("LRANGE, per element", count, || list::walk(&table, 0, false).expect("present").count() as u64);
    report("list", &table, Kind::List, 16.0);
    timed("LPOP, RPUSH", count, || {
        (0..count)
            .filter(|&n| {
                let popped = list::at(&table, 0).expect("present").is_some();
                list::remove_some(&mut table, 0, 1).expect("present");
                list::insert(&mut table, u64::MAX, name(&mut buffer, n)).expect("present");
                popped
            })
            .count() as u64
    });
}
