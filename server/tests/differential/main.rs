//! The same random commands to Redis and to this server; every answer must be the same, byte for byte.
//!
//! Promises: covers the string, bitmap, hash and keyspace families and transactions in RESP2 and RESP3, with keys that are pushed to the SSD now
//! and then behind the commands' back. The seed is printed; `THERMOCLINE_DIFFERENTIAL_SEED=n` starts at that one (default 1),
//! `THERMOCLINE_DIFFERENTIAL_RUNS=n` runs so many.
//! Without a redis-server on this machine it says so, and only the answers in `recorded.txt` are compared.
//!
//! What may differ, and how it is compared instead:
//! - times to live: within two seconds, as the two clocks are read at different moments;
//! - KEYS and SCAN: the same keys in any order; RANDOMKEY: one of the keys that are there;
//! - members of sets: the same in any order; SPOP and SRANDMEMBER: as many, and each a member (what was popped is then made the
//!   same again); SSCAN: asked of Redis only where it is refused, of our own server for all members once;
//! - HGETALL, HKEYS, HVALS: in any order; HSCAN meets all that HGETALL answers; HRANDFIELD: as many fields;
//! - SORT: asked again where Redis refuses good numbers (it does not clear `errno` before it reads them);
//! - OBJECT ENCODING of a collection that was larger once: Redis remembers that;
//! - OBJECT ENCODING and REFCOUNT of a string: asked only of values freshly SET (Redis remembers that a value was changed in place);
//! - OBJECT IDLETIME: asked only of missing keys, and of one just written;
//! - the last line of OBJECT HELP, which 7.2 words anew;
//! - COPY with two DB options, of which only the last is looked at: not generated;
//! - a wrong option of BITCOUNT or BITPOS on a missing key, on a key of another type or behind crossed ends: refused since Redis 7.2.

mod generator;
mod generic;
mod hash;
mod list;
mod servers;
mod set;
mod sorted_sets;
mod transactions;
mod waiting;

use generator::{Compare, DATABASES_USED, Generator, Words};
use servers::{Client, Server, shown, shown_words};

const COMMANDS_PER_RUN: usize = 10_000;
const RUNS: u64 = 3;
/// Small, so that its refusals are met; values near it are kept in extents.
const BULK_BYTES_MAX: &str = "1mb";

/// The strings of an answer that is an array of strings, sorted.
fn sorted_strings(answer: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = answer;
    let count = take_number(&mut rest);
    let mut strings = Vec::with_capacity(count);
    for _ in 0..count {
        let length = take_number(&mut rest);
        strings.push(rest[..length].to_vec());
        rest = &rest[length + 2..];
    }
    strings.sort();
    strings
}

/// The number in the line at the front, behind its mark.
fn take_number(rest: &mut &[u8]) -> usize {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line end");
    let number = std::str::from_utf8(&rest[1..end]).expect("digits").parse().expect("a number");
    *rest = &rest[end + 2..];
    number
}

fn integer(answer: &[u8]) -> Option<i64> {
    let text = answer.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Both servers, asked the same.
struct Pair {
    redis: Client,
    ours: Client,
    /// What was asked, for the report.
    asked: Vec<String>,
    seed: u64,
}

impl Pair {
    fn same(&mut self, words: &[Vec<u8>], compare: Compare) -> Vec<u8> {
        self.asked.push(shown_words(words));
        let expected = as_since_7_2(words, self.redis.ask(words));
        let answer = self.ours.ask(words);
        let is_encoding =
            words[0] == b"OBJECT" && words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"ENCODING"));
        let alike = expected == answer
            || is_encoding && was_larger_once(&expected, &answer)
            || match compare {
                Compare::Bytes => false,
                Compare::PairsInAnyOrder => hash::same_pairs(&expected, &answer),
                Compare::Head => hash::same_head(&expected, &answer),
                Compare::Sorted => generic::same_when_asked_again(&mut self.redis, words, &expected, &answer),
                Compare::SecondsAbout => about(&expected, &answer, 2),
                Compare::MillisecondsAbout => about(&expected, &answer, 2_000),
                Compare::MayRefuse => {
                    let exists = [b"EXISTS".to_vec(), words[1].clone()];
                    let crossed = words[0] == b"BITCOUNT" && expected == b":0\r\n";
                    let looked_first = expected.starts_with(b"-WRONGTYPE");
                    answer.starts_with(b"-ERR") && (crossed || looked_first || self.redis.ask(&exists) == b":0\r\n")
                }
                Compare::AnyOrder => {
                    expected.starts_with(b"*")
                        && answer.starts_with(b"*")
                        && sorted_strings(&expected) == sorted_strings(&answer)
                        || set::same_members(&expected, &answer)
                }
                Compare::Picks => set::same_picks(&mut self.redis, words, &expected, &answer),
            };
        if !alike {
            const SHOWN_COMMANDS: usize = 12;
            let from = self.asked.len().saturating_sub(SHOWN_COMMANDS);
            let all = [b"KEYS".to_vec(), b"*".to_vec()];
            let keys = [self.redis.ask(&all), self.ours.ask(&all)].map(|answer| sorted_strings(&answer));
            for key in keys[0].iter().chain(&keys[1]).filter(|key| keys.iter().any(|keys| !keys.contains(key))) {
                let key = key.escape_ascii().to_string();
                println!("one of them does not have {key}; what was asked of it:");
                self.asked.iter().filter(|asked| asked.contains(&key)).for_each(|asked| println!("  {asked:.300}"));
            }
            panic!(
                "seed {}, command {}:\n  {}\nredis: {}\nours:  {}",
                self.seed,
                self.asked.len(),
                self.asked[from..].join("\n  "),
                shown_around(&expected, &answer),
                shown_around(&answer, &expected)
            );
        }
        answer
    }

    fn same_text(&mut self, text: &str, compare: Compare) -> Vec<u8> {
        let words: Words = text.split(' ').map(Into::into).collect();
        self.same(&words, compare)
    }

    /// Every key of every used database: value, time to live, and that SCAN meets it.
    fn same_contents(&mut self) {
        for database in 0..DATABASES_USED {
            self.same_text(&format!("SELECT {database}"), Compare::Bytes);
            let keys = sorted_strings(&self.same_text("KEYS *", Compare::AnyOrder));
            self.same_text("DBSIZE", Compare::Bytes);
            assert_eq!(scanned(&mut self.ours), keys, "seed {}: SCAN misses or repeats keys", self.seed);
            let random = self.ours.ask(&[b"RANDOMKEY".to_vec()]);
            let is_there = keys.iter().any(|key| random.ends_with(&[key, &b"\r\n"[..]].concat()));
            assert_eq!(is_there, !keys.is_empty(), "seed {}: RANDOMKEY gave {}", self.seed, shown(&random));
            for key in keys {
                self.same(&[b"GET".to_vec(), key.clone()], Compare::Bytes);
                self.same(&[b"TYPE".to_vec(), key.clone()], Compare::Bytes);
                self.same(&[b"SMEMBERS".to_vec(), key.clone()], Compare::AnyOrder);
                set::assert_scan_is_whole(&mut self.ours, &key, self.seed);
                hash::same_contents(self, &key);
                self.same(&[b"LRANGE".to_vec(), key.clone(), b"0".to_vec(), b"-1".to_vec()], Compare::Bytes);
                self.same(&[b"PTTL".to_vec(), key], Compare::MillisecondsAbout);
            }
        }
        self.same_text("SELECT 0", Compare::Bytes);
    }
}

/// Redis keeps a collection in the form for large ones when it has shrunk; here the form follows from what is there. (And 7.0 does
/// not know the small form of a list or of a set of strings.)
fn was_larger_once(expected: &[u8], answer: &[u8]) -> bool {
    let is =
        |answer: &[u8], names: &[&str]| names.iter().any(|name| answer.ends_with(format!("\r\n{name}\r\n").as_bytes()));
    is(expected, &["skiplist", "quicklist"]) && is(answer, &["listpack"])
        || is(expected, &["hashtable"]) && is(answer, &["listpack", "intset"])
}

/// Redis 7.0's answer in the words of 7.2.
fn as_since_7_2(words: &[Vec<u8>], answer: Vec<u8>) -> Vec<u8> {
    match answer.strip_suffix(b"+    Prints this help.\r\n") {
        Some(rest) if words[0] == b"OBJECT" => [rest, b"+    Print this help.\r\n"].concat(),
        // The fourth word is an option since 7.2.
        _ if [&b"ZRANK"[..], b"ZREVRANK"].contains(&&words[0][..]) && words.len() == 4 => {
            b"-ERR syntax error\r\n".to_vec()
        }
        _ => answer,
    }
}

/// `bytes` from a little before the place where the other answer differs.
fn shown_around(bytes: &[u8], other: &[u8]) -> String {
    const SHOWN_BEFORE: usize = 40;
    let alike = bytes.iter().zip(other).take_while(|(left, right)| left == right).count();
    format!("{} from byte {alike}: {}", bytes.len(), shown(&bytes[alike.saturating_sub(SHOWN_BEFORE)..]))
}

fn about(expected: &[u8], answer: &[u8], tolerance: i64) -> bool {
    match (integer(expected), integer(answer)) {
        (Some(expected), Some(answer)) if expected >= 0 && answer >= 0 => expected.abs_diff(answer) <= tolerance as u64,
        _ => false,
    }
}

/// All keys of a full SCAN, sorted.
fn scanned(client: &mut Client) -> Vec<Vec<u8>> {
    let mut cursor = b"0".to_vec();
    let mut keys = Vec::new();
    loop {
        let answer = client.ask(&[b"SCAN".to_vec(), cursor, b"COUNT".to_vec(), b"3".to_vec()]);
        // *2, the cursor as a string, the keys as an array.
        let rest = answer.strip_prefix(b"*2\r\n").expect("two parts");
        let keys_at = rest.windows(3).position(|part| part == b"\r\n*").expect("an array") + 2;
        cursor = rest[..keys_at].split(|byte| *byte == b'\n').nth(1).unwrap().strip_suffix(b"\r").unwrap().to_vec();
        keys.extend(sorted_strings(&rest[keys_at..]));
        if cursor == b"0" {
            keys.sort();
            return keys;
        }
    }
}

/// The commands of the recording, and a few whose answers depend on the time of day.
fn same_in_known_scenes(pair: &mut Pair) {
    for line in recorded() {
        pair.same_text(line.command, Compare::Bytes);
    }
    for text in ["SET kept v EX 1000000", "SET kept w KEEPTTL", "APPEND kept x", "OBJECT HELP"] {
        pair.same_text(text, Compare::Bytes);
    }
    pair.same_text("TTL kept", Compare::SecondsAbout);
    pair.same_text("OBJECT IDLETIME kept", Compare::SecondsAbout);
    pair.same_text("FLUSHALL", Compare::Bytes);
}

/// A command that Redis was asked, and what it answered in each protocol, escaped.
struct Recorded {
    command: &'static str,
    answers: [&'static str; 2],
}

fn recorded() -> impl Iterator<Item = Recorded> {
    include_str!("recorded.txt").lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut parts = line.split('\t');
        let command = parts.next().unwrap();
        let answer = parts.next().expect("a recorded answer");
        Recorded { command, answers: [answer, parts.next().unwrap_or(answer)] }
    })
}

fn run(redis: &Server, ours: &Server, protocol: u64, seed: u64) {
    let mut pair = Pair { redis: redis.connect(), ours: ours.connect(), asked: Vec::new(), seed };
    let mut generator = Generator::new(seed);
    // The answers to HELLO differ in server and version: read, not compared.
    for client in [&mut pair.redis, &mut pair.ours] {
        client.ask(&[b"HELLO".to_vec(), protocol.to_string().into()]);
    }
    pair.same_text("FLUSHALL", Compare::Bytes);
    same_in_known_scenes(&mut pair);
    for number in 0..COMMANDS_PER_RUN {
        let (words, compare) = generator.next();
        pair.same(&words, compare);
        if words[0] == b"SET" && words.len() > 4 {
            // Redis keeps a value that was set into the past until someone looks.
            pair.same(&[b"EXISTS".to_vec(), words[1].clone()], Compare::Bytes);
        }
        if generator.one_in(8) {
            let key = if generator.one_in(2) { generator.key() } else { sorted_sets::key(&mut generator) };
            pair.ours.ask(&[b"TIER".to_vec(), b"DEMOTE".to_vec(), key]);
        }
        if number % 1_000 == 999 {
            pair.same_contents();
        }
    }
}

fn our_server() -> Server {
    let options = ["--maxmemory", "64mb", "--maxdisk", "1gb", "--proto-max-bulk-len", BULK_BYTES_MAX];
    Server::start(env!("CARGO_BIN_EXE_thermocline-server"), "ours", &options).expect("our own server starts")
}

#[test]
fn the_answers_recorded_from_redis_are_given() {
    let server = our_server();
    for protocol in [2, 3] {
        let mut client = server.connect();
        client.ask(&["HELLO".into(), protocol.to_string().into()]);
        for Recorded { command, answers } in recorded() {
            let words: Words = command.split(' ').map(Into::into).collect();
            let answer = client.ask(&words).escape_ascii().to_string();
            assert_eq!(answer, answers[protocol - 2], "RESP{protocol}: {command}");
        }
    }
}

#[test]
fn every_answer_is_the_answer_of_redis() {
    let Ok(redis) = Server::start(
        "redis-server",
        "redis",
        &["--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--proto-max-bulk-len", BULK_BYTES_MAX],
    ) else {
        println!("skipped: there is no redis-server on this machine to compare with");
        return;
    };
    let ours = our_server();
    let asked = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let first = asked("THERMOCLINE_DIFFERENTIAL_SEED").unwrap_or(1);
    let runs = asked("THERMOCLINE_DIFFERENTIAL_RUNS").unwrap_or(RUNS);
    for seed in first..first + runs {
        for protocol in [2, 3] {
            println!("seed {seed}, RESP{protocol}");
            run(&redis, &ours, protocol, seed);
            transactions::run(&redis, &ours, protocol, seed);
            waiting::run(&redis, &ours, protocol, seed);
        }
    }
}
