//! Random commands that know every type: RESTORE, SORT, copies, encodings, digests.
//!
//! They work on keys of their own, named by type: what Redis answers about those must not depend on how they came to be (an
//! encoding remembers), nor on what its 7.0 prints otherwise (digests of scores that are no halves).
//!
//! Promises: the same seed gives the same commands. Never: asks for an order that Redis does not promise (of a set that is not
//! sorted, of equal texts).

use thermocline_rdb::payload::encode;
use thermocline_rdb::{HashField, ScoredMember, Settings, Value, Version};

use super::generator::{Compare, DATABASES_USED, Generator, Words};
use super::servers::Client;

/// Lists, sets, sets of numbers, hashes, sorted sets, and sorted sets that SORT does not see: it makes Redis's skiplists of them.
const KINDS: [&str; 6] = ["l", "s", "i", "h", "z", "y"];

fn key(generator: &mut Generator, kind: &str) -> Vec<u8> {
    format!("r:{kind}{}", generator.below(3)).into()
}

fn any_kind(generator: &mut Generator) -> &'static str {
    KINDS[generator.below(KINDS.len() as u64) as usize]
}

fn weight(generator: &mut Generator) -> Vec<u8> {
    format!("w:{}", generator.below(20)).into()
}

/// Mostly few, sometimes so many that they lie in nodes.
fn count(generator: &mut Generator) -> u64 {
    match generator.below(12) {
        0 => 100 + generator.below(700),
        1 => 120 + generator.below(20),
        _ => 1 + generator.below(12),
    }
}

/// Mostly a small number; sometimes what is nearly one.
fn item(generator: &mut Generator) -> Vec<u8> {
    match generator.below(60) {
        0 => vec![b'x'; 60 + generator.below(10) as usize],
        1 => {
            let edges = ["inf", "-inf", "nan", "1e400", "1e-400", "0x10", " 5", "5 ", "", "1.5.", "-0", "abc", "1e2"];
            edges[generator.below(edges.len() as u64) as usize].into()
        }
        2..=5 => format!("{}.5", generator.below(30)).into(),
        _ => generator.below(30).to_string().into(),
    }
}

fn content(generator: &mut Generator, kind: &str) -> Value {
    let count = count(generator);
    let wide = count > 12;
    let mut member = |at: u64| match generator.below(30) {
        0 if kind != "i" => format!("{at}{}", "m".repeat(1 + generator.below(70) as usize)).into_bytes(),
        _ if wide => at.to_string().into_bytes(),
        _ => (at * 3 % 17).to_string().into_bytes(),
    };
    match kind {
        "s" | "i" => Value::Set((0..count).map(&mut member).collect()),
        "h" => {
            let fields: Vec<Vec<u8>> = (0..count).map(&mut member).collect();
            let field = |field| HashField { field, value: item(generator), expires_at_ms: None };
            Value::Hash(fields.into_iter().map(field).collect())
        }
        "z" | "y" => {
            let members: Vec<Vec<u8>> = (0..count).map(&mut member).collect();
            let scored = |member| ScoredMember { member, score: generator.below(40) as f64 / 2.0 - 5.0 };
            Value::SortedSet(members.into_iter().map(scored).collect())
        }
        _ => Value::List((0..count).map(|_| item(generator)).collect()),
    }
}

fn restore(generator: &mut Generator) -> Words {
    let kind = any_kind(generator);
    let value = content(generator, kind);
    let mut payload = encode(&value, Version::REDIS_7_0, &Settings::default()).expect("a value of Redis 7.0");
    if generator.one_in(20) {
        let at = generator.below(payload.len() as u64) as usize;
        payload[at] ^= 1;
    }
    let lifetimes = ["0", "0", "0", "0", "90000000000", "4102444800000", "-1", "x", "1"];
    let lifetime = lifetimes[generator.below(lifetimes.len() as u64) as usize];
    let mut words: Words = vec![b"RESTORE".to_vec(), key(generator, kind), lifetime.into(), payload];
    if lifetime == "1" || lifetime == "4102444800000" {
        words.push(b"ABSTTL".to_vec());
    }
    if !generator.one_in(4) {
        words.push(b"REPLACE".to_vec());
    }
    if generator.one_in(20) {
        let options = [&["IDLETIME", "5"][..], &["FREQ", "7"], &["FREQ", "256"], &["IDLETIME", "-1"], &["bogus"]];
        let option = options[generator.below(options.len() as u64) as usize];
        words.extend(option.iter().map(|word| word.as_bytes().to_vec()));
    }
    words
}

fn sort(generator: &mut Generator) -> Words {
    let kinds = ["l", "l", "l", "z", "i", "s", "h"];
    let kind = kinds[generator.below(kinds.len() as u64) as usize];
    let read_only = generator.one_in(4);
    let mut words: Words = vec![if read_only { b"SORT_RO".to_vec() } else { b"SORT".to_vec() }, key(generator, kind)];
    let push = |words: &mut Words, text: &str| words.extend(text.split(' ').map(|word| word.as_bytes().to_vec()));
    let may_stay_unsorted = !matches!(kind, "s" | "i");
    match generator.below(6) {
        0 => push(&mut words, "BY w:*"),
        1 => push(&mut words, "BY w:*->f"),
        2 if may_stay_unsorted => push(&mut words, "BY nosort"),
        3 => push(&mut words, "ALPHA"),
        _ => {}
    }
    for _ in 0..generator.below(4) {
        match generator.below(12) {
            0..=2 => push(&mut words, "DESC"),
            3 => push(&mut words, "asc"),
            4..=6 => {
                let limit = format!("LIMIT {} {}", generator.below(12) as i64 - 2, generator.below(12) as i64 - 2);
                push(&mut words, &limit);
            }
            7 => push(&mut words, "GET #"),
            8 => push(&mut words, "GET w:*"),
            9 => push(&mut words, "GET w:*->f"),
            10 => push(&mut words, ["GET w:1", "GET r:*", "LIMIT 1", "bogus"][generator.below(4) as usize]),
            _ => {
                words.push(b"STORE".to_vec());
                words.push(key(generator, "l"));
            }
        }
    }
    words
}

/// Redis 7.0 takes any number for one that is out of range if `errno` says so since an earlier command.
pub fn same_when_asked_again(redis: &mut Client, words: &[Vec<u8>], expected: &[u8], answer: &[u8]) -> bool {
    if !expected.starts_with(b"-ERR One or more scores") {
        return false;
    }
    // Reading a number of bytes clears it. The value is the default.
    let clear = ["CONFIG", "SET", "hash-max-listpack-value", "64"].map(|word| word.as_bytes().to_vec());
    redis.ask(&clear);
    redis.ask(words) == answer
}

/// The next command, and how its answers compare.
pub fn command(generator: &mut Generator, compare: &mut Compare) -> Words {
    let words = |words: &[&str]| -> Words { words.iter().map(|word| word.as_bytes().to_vec()).collect() };
    match generator.below(12) {
        0..=2 => restore(generator),
        3..=6 => {
            *compare = Compare::Sorted;
            sort(generator)
        }
        7 => {
            let hash =
                Value::Hash(vec![HashField { field: b"f".to_vec(), value: item(generator), expires_at_ms: None }]);
            let payload = encode(&hash, Version::REDIS_7_0, &Settings::default()).expect("a value of Redis 7.0");
            match generator.below(3) {
                0 => vec![b"RESTORE".to_vec(), weight(generator), b"0".to_vec(), payload, b"REPLACE".to_vec()],
                1 => vec![b"DEL".to_vec(), weight(generator)],
                _ => vec![b"SET".to_vec(), weight(generator), item(generator)],
            }
        }
        8 => {
            let kind = any_kind(generator);
            let (from, to) = (key(generator, kind), key(generator, kind));
            let database = generator.below(DATABASES_USED).to_string();
            match generator.below(6) {
                0 => vec![b"RENAME".to_vec(), from, to],
                1 => vec![b"RENAMENX".to_vec(), from, to],
                2 => vec![b"MOVE".to_vec(), from, database.into()],
                3 => vec![b"COPY".to_vec(), from, to, b"DB".to_vec(), database.into()],
                _ => vec![b"COPY".to_vec(), from, to, b"REPLACE".to_vec()],
            }
        }
        9 => {
            let kind = ["h", "y", "i"][generator.below(3) as usize];
            let mut words = words(&["OBJECT", "ENCODING"]);
            words.push(key(generator, kind));
            words
        }
        10 => {
            let mut words = words(&["DEBUG", "DIGEST-VALUE"]);
            for _ in 0..=generator.below(3) {
                let kind = any_kind(generator);
                words.push(key(generator, kind));
            }
            words
        }
        _ => {
            let kind = any_kind(generator);
            let name = ["TYPE", "DEL", "EXISTS", "PERSIST"][generator.below(4) as usize];
            vec![name.into(), key(generator, kind)]
        }
    }
}
