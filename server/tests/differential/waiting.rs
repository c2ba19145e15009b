//! Several clients of each server that wait for lists, and are called at random: who is served must be the same, and with what.
//!
//! Promises: the order of all commands is the same on both servers. After each command both are asked who waits, so that nothing
//! depends on which answer comes first.
//! Left out, because Redis before 7.2 does not look at all keys again: clients that wait at several keys while one of those is
//! made something else than a list, or several are pushed to at once.

use crate::generator::{Generator, Words};
use crate::servers::{Client, Server, shown, shown_words};

const COMMANDS: usize = 3_000;
const CLIENTS: usize = 6;
/// Lists; one at which only those stand that stand at another one, too; and one that is mostly no list.
const LISTS: &[&str] = &["a", "b", "c", "d"];
const SECOND: &str = "second";
const OTHER: &str = "text";

/// A connection to each server that hear the same.
struct Both {
    redis: Client,
    ours: Client,
    ids: [String; 2],
    /// What it waits in.
    waits_in: Option<Words>,
}

fn words(text: &str) -> Words {
    text.split(' ').map(Into::into).collect()
}

fn key(generator: &mut Generator) -> &'static str {
    LISTS[generator.below(LISTS.len() as u64) as usize]
}

fn end(generator: &mut Generator) -> &'static str {
    if generator.one_in(2) { "LEFT" } else { "RIGHT" }
}

/// A command that may wait.
fn waiting_command(generator: &mut Generator) -> Words {
    let (key, target) = (key(generator), self::key(generator));
    words(&match generator.below(8) {
        0 | 1 => format!("BLPOP {key} 0"),
        2 => format!("BRPOP {key} 0"),
        3 => format!("BLMPOP 0 1 {key} {} COUNT {}", end(generator), 1 + generator.below(3)),
        4 => format!("BRPOPLPUSH {key} {target} 0"),
        5 if generator.one_in(4) => format!("BLMOVE {key} {OTHER} LEFT LEFT 0"),
        6 => format!("BLPOP {key} {SECOND} 0"),
        _ => format!("BLMOVE {key} {target} {} {} 0", end(generator), end(generator)),
    })
}

/// Commands that change lists, one after the other; several are a transaction.
fn changing_commands(generator: &mut Generator, number: &mut usize) -> Vec<Words> {
    let count = if generator.one_in(4) { 1 + generator.below(3) } else { 1 };
    let main = key(generator);
    (0..count)
        .map(|_| {
            let (key, other) = (if count > 1 { main } else { key(generator) }, key(generator));
            *number += 1;
            words(&match generator.below(12) {
                0..=2 => format!("RPUSH {key} {number}"),
                3 => format!("LPUSH {key} {number}"),
                4 => format!("RPUSH {key} {number} {number}+ {number}++"),
                5 => format!("LPUSH {key} {number} {number}+"),
                6 if count == 1 => format!("LMOVE {key} {other} {} {}", end(generator), end(generator)),
                7 if count == 1 => format!("RENAME {key} {other}"),
                8 if count == 1 => format!("COPY {key} {other} REPLACE"),
                9 => format!("LPOP {key} 2"),
                10 if count == 1 && generator.one_in(2) => format!("RPUSH {SECOND} {number} {number}+"),
                10 => format!("DEL {key}"),
                11 if count == 1 && generator.one_in(10) => "FLUSHALL".to_owned(),
                _ => format!("RPUSHX {key} {number}"),
            })
        })
        .collect()
}

/// Numbers of the clients that wait, as a server says.
fn waiting(client: &mut Client, all: &[Both], server: usize) -> Vec<usize> {
    let list = client.ask(&words("CLIENT LIST"));
    let list = String::from_utf8_lossy(&list).into_owned();
    let waits = |id: &str| {
        let line = list.lines().find(|line| line.split(' ').any(|field| field.ends_with(&format!("id={id}"))));
        line.is_some_and(|line| line.contains(" flags=b "))
    };
    (0..all.len()).filter(|number| waits(&all[*number].ids[server])).collect()
}

/// Notes an answer, and a difference if there is one.
fn same(asked: &mut Vec<String>, differs: &mut Vec<String>, what: String, expected: Vec<u8>, answer: Vec<u8>) {
    asked.push(format!("{what}: {}", shown(&answer)));
    if expected != answer {
        differs.push(format!("{what}: redis {}, ours {}", shown(&expected), shown(&answer)));
    }
}

/// The same commands to both servers.
pub fn run(redis: &Server, ours: &Server, protocol: u64, seed: u64) {
    let mut generator = Generator::new(seed);
    let (mut asks_redis, mut asks_ours) = (redis.connect(), ours.connect());
    asks_redis.ask(&words("FLUSHALL"));
    asks_ours.ask(&words("FLUSHALL"));
    let mut all: Vec<Both> = (0..CLIENTS)
        .map(|_| {
            let (mut redis, mut ours) = (redis.connect(), ours.connect());
            let ids = [&mut redis, &mut ours].map(|client| {
                client.ask(&words(&format!("HELLO {protocol}")));
                let id = client.ask(&words("CLIENT ID"));
                String::from_utf8_lossy(&id).trim_matches([':', '\r', '\n']).to_owned()
            });
            Both { redis, ours, ids, waits_in: None }
        })
        .collect();
    let mut asked: Vec<String> = Vec::new();
    let mut number = 0;
    let (mut served, mut chained) = (0, 0);
    for _ in 0..COMMANDS {
        let at = generator.below(CLIENTS as u64) as usize;
        let mut differs = Vec::new();
        if all[at].waits_in.is_some() {
            if !generator.one_in(12) {
                continue;
            }
            let reason = if generator.one_in(2) { "TIMEOUT" } else { "ERROR" };
            let [expected, answer] = [(&mut asks_redis, 0), (&mut asks_ours, 1)].map(|(client, server)| {
                client.ask(&words(&format!("CLIENT UNBLOCK {} {reason}", all[at].ids[server])))
            });
            same(&mut asked, &mut differs, format!("CLIENT UNBLOCK {at} {reason}"), expected, answer);
        } else if generator.one_in(2) {
            let command = waiting_command(&mut generator);
            let Both { redis, ours, waits_in, .. } = &mut all[at];
            redis.send(&command);
            ours.send(&command);
            asked.push(format!("{at}: {}", shown_words(&command)));
            *waits_in = Some(command);
            for (server, asks) in [&mut asks_redis, &mut asks_ours].into_iter().enumerate() {
                let client =
                    |all: &[Both]| if server == 0 { all[at].redis.has_answered() } else { all[at].ours.has_answered() };
                while !client(&all) && !waiting(asks, &all, server).contains(&at) {}
            }
        } else {
            let commands = changing_commands(&mut generator, &mut number);
            let is_group = commands.len() > 1;
            let commands =
                if is_group { [vec![words("MULTI")], commands, vec![words("EXEC")]].concat() } else { commands };
            for command in commands {
                let Both { redis, ours, .. } = &mut all[at];
                let (expected, answer) = (redis.ask_one(&command), ours.ask_one(&command));
                same(&mut asked, &mut differs, format!("{at}: {}", shown_words(&command)), expected, answer);
            }
        }
        // Whoever was called is served when the one who called has its answer: nobody is waited for.
        let left = waiting(&mut asks_redis, &all, 0);
        let ours_left = waiting(&mut asks_ours, &all, 1);
        if left != ours_left {
            differs.push(format!("waiting with redis: {left:?}, with ours: {ours_left:?}"));
        }
        let mut done = 0;
        for number in (0..CLIENTS).filter(|number| !left.contains(number) && !ours_left.contains(number)) {
            let Both { redis, ours, waits_in, .. } = &mut all[number];
            if let Some(command) = waits_in.take() {
                let (expected, answer) = (redis.hear(&command), ours.hear(&command));
                same(&mut asked, &mut differs, format!("{number} ends {}", shown_words(&command)), expected, answer);
                done += 1;
            }
        }
        served += done;
        chained += usize::from(done > 1);
        for list in LISTS.iter().chain([&SECOND]) {
            let look = words(&format!("LRANGE {list} 0 -1"));
            let (expected, answer) = (asks_redis.ask(&look), asks_ours.ask(&look));
            same(&mut asked, &mut differs, shown_words(&look), expected, answer);
            asked.pop();
        }
        if !differs.is_empty() {
            const SHOWN_COMMANDS: usize = 60;
            let from = asked.len().saturating_sub(SHOWN_COMMANDS);
            panic!("waiting, seed {seed}, RESP{protocol}:\n  {}\n{}", asked[from..].join("\n  "), differs.join("\n"));
        }
        if generator.one_in(8) {
            asks_ours.ask(&words(&format!("TIER DEMOTE {}", key(&mut generator))));
        }
        if generator.one_in(40) {
            for client in [&mut asks_redis, &mut asks_ours] {
                client.ask(&words(&format!("SET {OTHER} text")));
                client.ask(&words("DEL a b"));
            }
        }
    }
    println!("waiting, seed {seed}, RESP{protocol}: {served} served, {chained} times more than one");
    assert!(served > 100 && chained > 20, "{served} served, {chained} times more than one");
}
