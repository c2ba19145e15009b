//! Random commands on lists.
//!
//! Promises: keys are shared with the other families, so that wrong types are met; lists are mostly small, now and then large
//! enough to become trees; those that wait do so for a millisecond at most.

use crate::generator::{Generator, Words};

const NAMES: &[&str] = &[
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "LINDEX",
    "LINSERT",
    "LINSERT",
    "LLEN",
    "LMOVE",
    "LMOVE",
    "LMPOP",
    "LPOP",
    "LPOS",
    "LPOS",
    "LPUSH",
    "LPUSH",
    "LPUSHX",
    "LRANGE",
    "LREM",
    "LSET",
    "LTRIM",
    "RPOP",
    "RPOPLPUSH",
    "RPUSH",
    "RPUSH",
    "RPUSH",
    "RPUSHX",
];

fn pick<'t>(generator: &mut Generator, texts: &[&'t str]) -> &'t str {
    texts[generator.below(texts.len() as u64) as usize]
}

/// An element: one of few, so that the same ones are met again.
fn element(generator: &mut Generator) -> Vec<u8> {
    match generator.below(24) {
        0 => pick(generator, &["", "01", "-0", "\0\r\n", "9223372036854775807", "-9223372036854775808"]).into(),
        1 => vec![b'L'; 2_000 + generator.below(3_000) as usize],
        2..12 => generator.below(6).to_string().into(),
        _ => format!("element {}", generator.below(6)).into(),
    }
}

fn some_elements(generator: &mut Generator, words: &mut Words) {
    if generator.one_in(30) {
        // Enough for a tree.
        let (first, count) = (generator.below(40), 100 + generator.below(500));
        words.extend(
            (first..first + count).map(|number| format!("one of many elements {:03}", number % 60).into_bytes()),
        );
    }
    words.extend((0..=generator.below(4)).map(|_| element(generator)));
}

fn index(generator: &mut Generator) -> Vec<u8> {
    match generator.below(12) {
        0 => pick(generator, &["x", "", "9223372036854775807", "-9223372036854775808", "1.5", "-0"]).into(),
        1 => (generator.below(1_400) as i64 - 700).to_string().into(),
        _ => (generator.below(16) as i64 - 8).to_string().into(),
    }
}

fn count(generator: &mut Generator) -> Vec<u8> {
    match generator.below(8) {
        0 => pick(generator, &["0", "-1", "x", "9223372036854775807", "9223372036854775808", ""]).into(),
        1 => generator.below(400).to_string().into(),
        _ => generator.below(5).to_string().into(),
    }
}

fn end(generator: &mut Generator) -> Vec<u8> {
    pick(generator, &["LEFT", "RIGHT", "left", "right", "LEFT", "RIGHT", "LEFT", "RIGHT", "UP"]).into()
}

/// A time that is over soon, or none. Redis before 7.2 has other words for times that are too long.
fn time(generator: &mut Generator) -> Vec<u8> {
    pick(generator, &["0.001", "0.001", "1e-3", "0.0001", "0x1p-11", "-1", "x", "", "nan"]).into()
}

/// Several keys, with their number in front.
fn counted_keys(generator: &mut Generator, words: &mut Words) {
    let keys: Words = (0..=generator.below(3)).map(|_| generator.key()).collect();
    words.push(match generator.below(10) {
        0 => pick(generator, &["0", "-1", "x", "5", "9223372036854775807"]).into(),
        _ => keys.len().to_string().into(),
    });
    words.extend(keys);
    words.push(end(generator));
    for _ in 0..generator.below(3) / 2 {
        words.extend([pick(generator, &["COUNT", "count", "COUNT", "bogus"]).into(), count(generator)]);
    }
}

/// The next command on lists.
pub fn command(generator: &mut Generator) -> Words {
    let name = pick(generator, NAMES);
    let mut words: Words = vec![name.into()];
    match name {
        "LPUSH" | "RPUSH" | "LPUSHX" | "RPUSHX" => {
            words.push(generator.key());
            some_elements(generator, &mut words);
        }
        "LPOP" | "RPOP" => {
            words.push(generator.key());
            if generator.one_in(2) {
                words.push(count(generator));
            }
        }
        "LINDEX" => words.extend([generator.key(), index(generator)]),
        "LRANGE" | "LTRIM" => {
            words.push(generator.key());
            // Most of a list is kept mostly.
            match generator.below(3) {
                0 => words.extend([index(generator), index(generator)]),
                1 => words.extend([b"1".to_vec(), b"-1".to_vec()]),
                _ => words.extend([generator.below(4).to_string().into(), b"-2".to_vec()]),
            }
        }
        "LSET" => words.extend([generator.key(), index(generator), element(generator)]),
        "LREM" => words.extend([generator.key(), index(generator), element(generator)]),
        "LINSERT" => {
            let side = pick(generator, &["BEFORE", "AFTER", "before", "after", "beside"]);
            words.extend([generator.key(), side.into(), element(generator), element(generator)]);
        }
        "LPOS" => {
            words.extend([generator.key(), element(generator)]);
            for _ in 0..generator.below(4) {
                let option = pick(generator, &["RANK", "COUNT", "MAXLEN", "rank", "count", "bogus"]);
                // The smallest rank is refused since 7.2.
                let number = Some(index(generator)).filter(|number| number != b"-9223372036854775808");
                words.extend([option.into(), number.unwrap_or_else(|| b"0".to_vec())]);
            }
        }
        "LMOVE" | "BLMOVE" => words.extend([generator.key(), generator.key(), end(generator), end(generator)]),
        "RPOPLPUSH" | "BRPOPLPUSH" => words.extend([generator.key(), generator.key()]),
        "LMPOP" => counted_keys(generator, &mut words),
        "BLMPOP" => {
            words.push(time(generator));
            counted_keys(generator, &mut words);
        }
        "BLPOP" | "BRPOP" => words.extend((0..=generator.below(3)).map(|_| generator.key())),
        _ => words.push(generator.key()),
    }
    if matches!(name, "BLPOP" | "BRPOP" | "BLMOVE" | "BRPOPLPUSH") {
        words.push(time(generator));
    }
    words
}
