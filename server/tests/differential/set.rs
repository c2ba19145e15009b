//! Random commands on sets, and how answers are compared that have no order, or are left to chance.
//!
//! Promises: keys are shared with the other families, so that wrong types are met; sets are mostly small, now and then large
//! enough to become trees.

use crate::generator::{Compare, Generator, Words};
use crate::servers::{Client, shown};
use crate::{sorted_strings, take_number};

const NAMES: &[&str] = &[
    "SADD",
    "SADD",
    "SADD",
    "SADD",
    "SCARD",
    "SDIFF",
    "SDIFFSTORE",
    "SINTER",
    "SINTERCARD",
    "SINTERSTORE",
    "SISMEMBER",
    "SMEMBERS",
    "SMISMEMBER",
    "SMOVE",
    "SPOP",
    "SRANDMEMBER",
    "SREM",
    "SREM",
    "SSCAN",
    "SUNION",
    "SUNIONSTORE",
];

fn pick<'t>(generator: &mut Generator, texts: &[&'t str]) -> &'t str {
    texts[generator.below(texts.len() as u64) as usize]
}

/// A member: one of few, so that the same ones are met again.
fn member(generator: &mut Generator) -> Vec<u8> {
    match generator.below(20) {
        0 => pick(generator, &["", "01", "-0", "1.0", "\0\r\n", "9223372036854775807", "9223372036854775808"]).into(),
        1 => vec![b'L'; 600 + generator.below(4) as usize],
        2..8 => generator.below(12).to_string().into(),
        _ => format!("m{}", generator.below(12)).into(),
    }
}

fn some_members(generator: &mut Generator, words: &mut Words) {
    if generator.one_in(30) {
        // Enough for a tree.
        let (first, count) = (generator.below(400), 100 + generator.below(500));
        words.extend((first..first + count).map(|number| format!("one of many members {number:05}").into_bytes()));
    }
    words.extend((0..=generator.below(4)).map(|_| member(generator)));
}

fn some_keys(generator: &mut Generator, words: &mut Words) {
    words.extend((0..=generator.below(3)).map(|_| generator.key()));
}

/// The next command on sets, and how its answers compare.
pub fn command(generator: &mut Generator, compare: &mut Compare) -> Words {
    let name = pick(generator, NAMES);
    let mut words: Words = vec![name.into()];
    match name {
        "SADD" | "SREM" | "SMISMEMBER" => {
            words.push(generator.key());
            some_members(generator, &mut words);
        }
        "SISMEMBER" => words.extend([generator.key(), member(generator)]),
        "SMOVE" => words.extend([generator.key(), generator.key(), member(generator)]),
        "SINTERCARD" => {
            let mut keys = Words::new();
            some_keys(generator, &mut keys);
            words.push(match generator.below(8) {
                0 => pick(generator, &["0", "-1", "x", "5", "9223372036854775807"]).into(),
                _ => keys.len().to_string().into(),
            });
            words.extend(keys);
            for _ in 0..generator.below(3) / 2 {
                words.push(pick(generator, &["LIMIT", "limit", "LIMIT", "bogus"]).into());
                words.push(pick(generator, &["0", "1", "3", "300", "-1", "x", "9223372036854775807"]).into());
            }
        }
        "SDIFF" | "SINTER" | "SUNION" => {
            *compare = Compare::AnyOrder;
            some_keys(generator, &mut words);
        }
        "SDIFFSTORE" | "SINTERSTORE" | "SUNIONSTORE" => {
            words.push(generator.key());
            some_keys(generator, &mut words);
        }
        "SMEMBERS" => {
            *compare = Compare::AnyOrder;
            words.push(generator.key());
        }
        "SPOP" | "SRANDMEMBER" => {
            *compare = Compare::Picks;
            words.push(generator.key());
            if !generator.one_in(3) {
                words.push(match generator.below(6) {
                    0 => pick(generator, &["0", "x", "9223372036854775807", "-9223372036854775808", ""]).into(),
                    1 => format!("-{}", generator.below(40)).into(),
                    2 => generator.below(400).to_string().into(),
                    _ => generator.below(6).to_string().into(),
                });
            }
        }
        "SSCAN" => {
            words.push(generator.key());
            let refused = ["x", "0 bogus", "0 COUNT 0", "0 COUNT x", "0 MATCH", "0 TYPE set", "0 COUNT 1 bogus 1"];
            words.extend(pick(generator, &refused).split(' ').map(Into::into));
        }
        _ => words.push(generator.key()),
    }
    words
}

/// Sets, or arrays in their place, of the same members.
pub fn same_members(expected: &[u8], answer: &[u8]) -> bool {
    let is_list = |bytes: &[u8]| matches!(bytes.first(), Some(b'*' | b'~')) && bytes.get(1) != Some(&b'-');
    is_list(expected)
        && is_list(answer)
        && expected[0] == answer[0]
        && sorted_strings(expected) == sorted_strings(answer)
}

/// The members of an answer to SPOP or SRANDMEMBER: of an array, a set, or a single string. `None`: an error, or nothing.
fn picks(answer: &[u8]) -> Option<Vec<Vec<u8>>> {
    match answer.first() {
        Some(b'*' | b'~') => Some(sorted_strings(answer)),
        Some(b'$') if !answer.starts_with(b"$-1") => {
            let mut rest = answer;
            let length = take_number(&mut rest);
            Some(vec![rest[..length].to_vec()])
        }
        _ => None,
    }
}

/// As many picks in the same form, each a member, none twice unless the count is negative. What Redis popped is put back there, and
/// what we popped is taken out.
pub fn same_picks(redis: &mut Client, words: &[Vec<u8>], expected: &[u8], answer: &[u8]) -> bool {
    let (Some(theirs), Some(ours)) = (picks(expected), picks(answer)) else { return false };
    let key = words[1].clone();
    let pops = words[0] == b"SPOP";
    if pops && !theirs.is_empty() {
        redis.ask(&[vec![b"SADD".to_vec(), key.clone()], theirs.clone()].concat());
    }
    let members = sorted_strings(&redis.ask(&[b"SMEMBERS".to_vec(), key.clone()]));
    let may_repeat = words.get(2).is_some_and(|count| count.starts_with(b"-"));
    let are_members = ours.iter().all(|pick| members.binary_search(pick).is_ok());
    let are_different = ours.is_sorted_by(|one, next| one < next);
    if pops && !ours.is_empty() {
        redis.ask(&[vec![b"SREM".to_vec(), key], ours.clone()].concat());
    }
    expected[0] == answer[0] && theirs.len() == ours.len() && are_members && (are_different || may_repeat)
}

/// A whole SSCAN answers every member of a set once.
pub fn assert_scan_is_whole(ours: &mut Client, key: &[u8], seed: u64) {
    let answer = ours.ask(&[b"SMEMBERS".to_vec(), key.to_vec()]);
    if answer.starts_with(b"-WRONGTYPE") {
        return;
    }
    let mut cursor = b"0".to_vec();
    let mut found = Vec::new();
    loop {
        let answer = ours.ask(&[b"SSCAN".to_vec(), key.to_vec(), cursor, b"COUNT".to_vec(), b"30".to_vec()]);
        let mut rest = answer.strip_prefix(b"*2\r\n").expect("two parts");
        let length = take_number(&mut rest);
        cursor = rest[..length].to_vec();
        found.extend(sorted_strings(&rest[length + 2..]));
        if cursor == b"0" {
            break;
        }
    }
    found.sort();
    assert_eq!(found, sorted_strings(&answer), "seed {seed}: SSCAN of {} misses or repeats members", shown(key));
}
