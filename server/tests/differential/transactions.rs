//! Two connections to each server, MULTI and WATCH at random between ordinary commands: every answer must be the same.
//!
//! Promises: the order of the commands of both connections is the same on both servers, so that what EXEC answers is decided.
//! Left out, because a value or a time of day makes the answers differ: commands that are not compared byte for byte, SET with
//! times (Redis keeps what was set into the past until someone looks), OBJECT, and orders of keys.

use crate::generator::{Compare, Generator, Words};
use crate::servers::{Client, Server, shown, shown_words};

const COMMANDS: usize = 6_000;
const CLIENTS: usize = 2;

/// A pair of connections, one to each server, that hear the same.
struct Both {
    redis: Client,
    ours: Client,
}

/// What was seen, to know that the test tests.
#[derive(Debug, Default)]
struct Seen {
    executed: usize,
    watched: usize,
    aborted: usize,
}

fn words(text: &str) -> Words {
    text.split(' ').map(Into::into).collect()
}

fn next(generator: &mut Generator) -> Words {
    match generator.below(24) {
        0 | 1 => words("MULTI"),
        2 | 3 => words("EXEC"),
        4 => words("DISCARD"),
        5 => words("UNWATCH"),
        6..=9 => {
            let mut watch = vec![b"WATCH".to_vec(), generator.key()];
            if generator.one_in(2) {
                watch.push(generator.key());
            }
            watch
        }
        10 if generator.one_in(4) => words("RESET"),
        11 if generator.one_in(4) => words("SET a"),
        12 => words("DBSIZE"),
        _ => loop {
            let (words, compare) = generator.next();
            let timed = words[0] == b"SET" && words.len() > 4;
            // What looks at the server is answered behind the keys.
            let looks = matches!(&words[0][..], b"OBJECT" | b"SCAN" | b"DEBUG");
            if compare == Compare::Bytes && !timed && !looks {
                return words;
            }
        },
    }
}

/// The same commands to both servers.
pub fn run(redis: &Server, ours: &Server, protocol: u64, seed: u64) {
    let mut generator = Generator::new(seed);
    let mut clients: Vec<Both> = (0..CLIENTS).map(|_| Both { redis: redis.connect(), ours: ours.connect() }).collect();
    let mut helper = ours.connect();
    for Both { redis, ours } in &mut clients {
        for client in [redis, ours] {
            client.ask_one(&[b"HELLO".to_vec(), protocol.to_string().into()]);
            client.ask_one(&words("FLUSHALL"));
        }
    }
    let mut asked: Vec<String> = Vec::new();
    let mut seen = Seen::default();
    for _ in 0..COMMANDS {
        let at = generator.below(CLIENTS as u64) as usize;
        let command = next(&mut generator);
        let Both { redis, ours } = &mut clients[at];
        asked.push(format!("{at}: {}", shown_words(&command)));
        let expected = redis.ask_one(&command);
        let answer = ours.ask_one(&command);
        if expected != answer {
            const SHOWN_COMMANDS: usize = 60;
            let from = asked.len().saturating_sub(SHOWN_COMMANDS);
            panic!(
                "seed {seed}, RESP{protocol}, command {}:\n  {}\nredis: {}\nours:  {}",
                asked.len(),
                asked[from..].join("\n  "),
                shown(&expected),
                shown(&answer)
            );
        }
        if command[0] == b"RESET" {
            for client in [redis, ours] {
                client.ask_one(&[b"HELLO".to_vec(), protocol.to_string().into()]);
            }
        }
        if command[0] == b"EXEC" {
            seen.executed += usize::from(answer.starts_with(b"*") && answer != b"*-1\r\n");
            seen.watched += usize::from(answer == b"*-1\r\n" || answer == b"_\r\n");
            seen.aborted += usize::from(answer.starts_with(b"-EXECABORT"));
        }
        if generator.one_in(6) {
            let key = generator.key();
            helper.ask_one(&[b"TIER".to_vec(), b"DEMOTE".to_vec(), key]);
        }
    }
    println!("transactions, seed {seed}, RESP{protocol}: {seen:?}");
    assert!(seen.executed > 20 && seen.watched > 5 && seen.aborted > 5, "{seen:?}");
}
