//! Random commands of the hash family, wrong ones among them, and how answers without an order are compared.
//!
//! Promises: only what Redis 7.0 has. Most hashes are small; now and then one gets hundreds of fields.

use super::generator::{Compare, Generator, Words};
use super::{Pair, shown, take_number};

fn of(generator: &mut Generator, texts: &[&str]) -> Vec<u8> {
    texts[generator.below(texts.len() as u64) as usize].into()
}

fn field(generator: &mut Generator) -> Vec<u8> {
    match generator.below(8) {
        0 => of(generator, &["", "\r\n\0", "f*", "a longer name of a field than most others have"]),
        1 => format!("field:{}", generator.below(400)).into(),
        _ => format!("f{}", generator.below(12)).into(),
    }
}

fn number(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(3) {
        return of(
            generator,
            &[
                "0",
                "-1",
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775808",
                "01",
                "",
                "1.5",
                "abc",
                "-0",
            ],
        );
    }
    (generator.below(2000) as i64 - 1000).to_string().into()
}

fn float(generator: &mut Generator) -> Vec<u8> {
    match generator.below(4) {
        0 => of(generator, &["inf", "-inf", "nan", "1e-400", "0x1p3", "3.0e3", ".5", "5.", "1e5000", "-0", " 1", "1 "]),
        1 => number(generator),
        _ => format!("{}.{}", generator.below(200_000) as i64 - 100_000, generator.below(100_000)).into(),
    }
}

fn value(generator: &mut Generator) -> Vec<u8> {
    match generator.below(8) {
        0..=2 => number(generator),
        3 => float(generator),
        4 => vec![b'v'; generator.below(100) as usize],
        5 if generator.one_in(20) => vec![b'w'; generator.below(6000) as usize],
        _ => (0..generator.below(20)).map(|number| b'a' + number as u8).collect(),
    }
}

/// The next command on a hash.
pub fn command(generator: &mut Generator, compare: &mut Compare) -> Words {
    let name = of(
        generator,
        &[
            "HSET",
            "HSET",
            "HSET",
            "HMSET",
            "HSETNX",
            "HDEL",
            "HDEL",
            "HGET",
            "HMGET",
            "HGETALL",
            "HKEYS",
            "HVALS",
            "HLEN",
            "HEXISTS",
            "HSTRLEN",
            "HINCRBY",
            "HINCRBYFLOAT",
            "HRANDFIELD",
            "HSCAN",
        ],
    );
    let mut words: Words = vec![name.clone(), generator.key()];
    match name.as_slice() {
        b"HSET" | b"HMSET" => push_pairs(generator, &mut words),
        b"HSETNX" => words.extend([field(generator), value(generator)]),
        b"HDEL" if generator.one_in(10) => words.extend((0..400).map(|number| format!("field:{number}").into_bytes())),
        b"HDEL" | b"HMGET" => words.extend((0..=generator.below(4)).map(|_| field(generator))),
        b"HGET" | b"HEXISTS" | b"HSTRLEN" => words.push(field(generator)),
        b"HGETALL" => *compare = Compare::PairsInAnyOrder,
        b"HKEYS" | b"HVALS" => *compare = Compare::AnyOrder,
        b"HINCRBY" => words.extend([field(generator), number(generator)]),
        b"HINCRBYFLOAT" => words.extend([field(generator), float(generator)]),
        b"HRANDFIELD" => *compare = push_pick(generator, &mut words),
        // Cursors have nothing in common: only refusals, and hashes that are not there.
        b"HSCAN" => {
            words.push(of(generator, &["abc", "-", "1x", "0"]));
            words.extend([of(generator, &["COUNT", "TYPE", "bogus"]), of(generator, &["0", "x"])]);
        }
        _ => {}
    }
    words
}

fn push_pairs(generator: &mut Generator, words: &mut Words) {
    if generator.one_in(40) {
        // A tree, here.
        for number in 0..generator.below(400) {
            words.extend([format!("field:{number}").into_bytes(), value(generator)]);
        }
    }
    for _ in 0..=generator.below(4) {
        words.extend([field(generator), value(generator)]);
    }
}

/// Chance chooses otherwise on each side: what is compared is how many there are, and all of them where all are asked for.
fn push_pick(generator: &mut Generator, words: &mut Words) -> Compare {
    // A large negative count is answered at any length: none, lest a command that lost its last word becomes one.
    let count = of(generator, &["", "0", "1", "2", "-1", "-30", "100000", "x", "-9223372036854775808"]);
    if count.is_empty() {
        return Compare::Head;
    }
    let is_all = count == b"100000";
    words.push(count);
    let with_values = generator.one_in(2);
    if with_values {
        words.push(of(generator, &["WITHVALUES", "withvalues", "bogus"]));
    }
    match (is_all, with_values) {
        (true, true) => Compare::PairsInAnyOrder,
        (true, false) => Compare::AnyOrder,
        _ => Compare::Head,
    }
}

/// Whether both are refusals of the same words, or answers of the same kind and length.
pub fn same_head(expected: &[u8], answer: &[u8]) -> bool {
    let line = |answer: &[u8]| answer.split(|byte| *byte == b'\r').next().unwrap_or_default().to_vec();
    match expected.first() {
        Some(b'$') => answer.starts_with(b"$") && expected.starts_with(b"$-1") == answer.starts_with(b"$-1"),
        _ => line(expected) == line(answer),
    }
}

/// Whether both hold the same pairs: a flat array, a map, or an array of pairs.
pub fn same_pairs(expected: &[u8], answer: &[u8]) -> bool {
    same_head(expected, answer) && !expected.starts_with(b"-") && sorted_pairs(expected) == sorted_pairs(answer)
}

fn sorted_pairs(answer: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = answer;
    take_number(&mut rest);
    let mut strings = Vec::new();
    while !rest.is_empty() {
        let is_string = rest.starts_with(b"$");
        let length = take_number(&mut rest);
        if is_string {
            strings.push(&rest[..length]);
            rest = &rest[length + 2..];
        }
    }
    let mut pairs: Vec<Vec<u8>> = strings.chunks(2).map(|pair| pair.join(&b"\0=\0"[..])).collect();
    pairs.sort();
    pairs
}

/// The whole of a hash, and that HSCAN meets each field once.
pub fn same_contents(pair: &mut Pair, key: &[u8]) {
    pair.same(&[b"HLEN".to_vec(), key.to_vec()], Compare::Bytes);
    let all = pair.same(&[b"HGETALL".to_vec(), key.to_vec()], Compare::PairsInAnyOrder);
    if !all.starts_with(b"-") {
        assert_eq!(scanned(pair, key), sorted_pairs(&all), "HSCAN of {}", shown(key));
    }
}

fn scanned(pair: &mut Pair, key: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = b"0".to_vec();
    let mut found = Vec::new();
    loop {
        let answer = pair.ours.ask(&[b"HSCAN".to_vec(), key.to_vec(), cursor, b"COUNT".to_vec(), b"20".to_vec()]);
        let mut rest = answer.strip_prefix(b"*2\r\n").expect("two parts");
        let length = take_number(&mut rest);
        cursor = rest[..length].to_vec();
        found.extend(sorted_pairs(&rest[length + 2..]));
        if cursor == b"0" {
            found.sort();
            return found;
        }
    }
}
