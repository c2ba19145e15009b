//! What holds for hashes, lists, sets and sorted sets alike, small (one run in the key's own record) and large (trees of many
//! records): the life of the key, transactions, WATCH. Refusals of wrong types are in `wrong_types.rs`.

use crate::support::{Connection, Server};
use thermocline_resp::Value;

/// Elements of a small collection and of a large one.
const SIZES: [usize; 2] = [5, 10_000];
const LARGE: usize = SIZES[1];
/// Elements that one command adds.
const ADDED_TOGETHER: usize = 500;
/// A moment in the next century, in milliseconds.
const FAR: &str = "4102444800123";

type Words = Vec<String>;

/// One type, as these tests use it.
struct Type {
    /// As TYPE says it.
    name: &'static str,
    length: &'static str,
    /// The words behind the key that add these elements, with the command in front.
    add: fn(std::ops::Range<usize>) -> (&'static str, Words),
    /// Changes something of an element that is there.
    change: fn(usize) -> (&'static str, Words),
    /// A command that changes nothing, and says so.
    change_nothing: fn(usize) -> (&'static str, Words),
    remove: fn(usize) -> (&'static str, Words),
    look: fn(usize) -> (&'static str, Words),
    /// What `look` answers when the element is not there.
    absent: fn(&Value) -> bool,
    /// Commands that remove the last elements of a collection of so many, each in its own way.
    empty: fn(usize) -> Vec<(&'static str, Words)>,
}

fn element(number: usize) -> String {
    format!("element:{number:05}{}", "y".repeat(number % 40))
}

fn words<const N: usize>(words: [&str; N]) -> Words {
    words.map(str::to_owned).to_vec()
}

fn each(numbers: std::ops::Range<usize>, of: impl Fn(usize) -> Words) -> Words {
    numbers.flat_map(of).collect()
}

const TYPES: [Type; 4] = [
    Type {
        name: "hash",
        length: "HLEN",
        add: |numbers| ("HSET", each(numbers, |number| vec![element(number), format!("value:{number}")])),
        change: |number| ("HSET", vec![element(number), format!("other:{number}")]),
        change_nothing: |number| ("HSETNX", vec![element(number), "nothing".to_owned()]),
        remove: |number| ("HDEL", vec![element(number)]),
        look: |number| ("HGET", vec![element(number)]),
        absent: |value| *value == Value::Null,
        empty: |count| vec![("HDEL", each(0..count, |number| vec![element(number)]))],
    },
    Type {
        name: "list",
        length: "LLEN",
        add: |numbers| ("RPUSH", each(numbers, |number| vec![element(number)])),
        change: |number| ("LINSERT", vec!["BEFORE".to_owned(), element(number), "between".to_owned()]),
        change_nothing: |_| ("LREM", words(["0", "nowhere"])),
        remove: |number| ("LREM", vec!["1".to_owned(), element(number)]),
        look: |number| ("LPOS", vec![element(number)]),
        absent: |value| *value == Value::Null,
        empty: |count| {
            let all = count.to_string();
            vec![("LPOP", words([&all])), ("RPOP", words([&all])), ("LTRIM", words(["1", "0"]))]
        },
    },
    Type {
        name: "set",
        length: "SCARD",
        add: |numbers| ("SADD", each(numbers, |number| vec![element(number)])),
        change: |number| ("SADD", vec![format!("beside:{number}")]),
        change_nothing: |number| ("SADD", vec![element(number)]),
        remove: |number| ("SREM", vec![element(number)]),
        look: |number| ("SISMEMBER", vec![element(number)]),
        absent: |value| *value == Value::Integer(0),
        empty: |count| {
            vec![("SREM", each(0..count, |number| vec![element(number)])), ("SPOP", words([&count.to_string()]))]
        },
    },
    Type {
        name: "zset",
        length: "ZCARD",
        add: |numbers| ("ZADD", each(numbers, |number| vec![number.to_string(), element(number)])),
        change: |number| ("ZADD", vec![(number * 2 + 1).to_string(), element(number)]),
        change_nothing: |number| ("ZADD", vec!["NX".to_owned(), "-5".to_owned(), element(number)]),
        remove: |number| ("ZREM", vec![element(number)]),
        look: |number| ("ZSCORE", vec![element(number)]),
        absent: |value| *value == Value::Null,
        empty: |count| {
            vec![
                ("ZREM", each(0..count, |number| vec![element(number)])),
                ("ZREMRANGEBYRANK", words(["0", "-1"])),
                ("ZREMRANGEBYSCORE", words(["-inf", "+inf"])),
                ("ZPOPMIN", words([&count.to_string()])),
            ]
        },
    },
];

/// A client that stops at the first error.
struct Client(Connection);

impl Client {
    fn ask(&mut self, words: &[&str]) -> Value {
        let answer = self.0.call(words);
        if let Value::Error(text) = &answer {
            panic!("{:?}: {}", &words[..words.len().min(5)], String::from_utf8_lossy(text));
        }
        answer
    }

    fn on(&mut self, key: &str, (name, behind): (&str, Words)) -> Value {
        let words: Vec<&str> = [name, key].into_iter().chain(behind.iter().map(String::as_str)).collect();
        self.ask(&words)
    }

    fn number(&mut self, words: &[&str]) -> i64 {
        match self.ask(words) {
            Value::Integer(number) => number,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn text(&mut self, words: &[&str]) -> String {
        self.0.text(words)
    }

    /// A new collection of `count` elements.
    fn fill(&mut self, kind: &Type, key: &str, count: usize) {
        self.ask(&["DEL", key]);
        for first in (0..count).step_by(ADDED_TOGETHER) {
            self.on(key, (kind.add)(first..count.min(first + ADDED_TOGETHER)));
        }
        assert_eq!(self.number(&[kind.length, key]), count as i64, "{}", kind.name);
    }

    fn has(&mut self, kind: &Type, key: &str, number: usize) -> bool {
        let found = self.on(key, (kind.look)(number));
        !(kind.absent)(&found)
    }

    fn assert_gone(&mut self, key: &str) {
        assert_eq!(self.number(&["EXISTS", key]), 0, "{key}");
        assert_eq!(self.text(&["TYPE", key]), "none");
        assert_eq!(self.number(&["TTL", key]), -2);
    }

    /// All of its elements are there, and no other.
    fn assert_whole(&mut self, kind: &Type, key: &str, count: usize) {
        assert_eq!(self.text(&["TYPE", key]), kind.name);
        assert_eq!(self.number(&["EXISTS", key]), 1);
        assert_eq!(self.number(&[kind.length, key]), count as i64);
        let step = if kind.name == "list" { count / 5 } else { count / 50 };
        for number in (0..count).step_by(step.max(1)) {
            assert!(self.has(kind, key, number), "{} {number} of {count}", kind.name);
        }
        assert!(!self.has(kind, key, count), "{} {count}", kind.name);
    }
}

/// Runs a test for each type and both sizes, on a server of its own.
fn for_each_type_and_size(test: impl Fn(&mut Client, &Type, usize)) {
    let server = Server::start(&[]);
    let mut client = Client(server.connect());
    for kind in &TYPES {
        for size in SIZES {
            println!("{} of {size} elements", kind.name);
            test(&mut client, kind, size);
            client.ask(&["FLUSHALL"]);
        }
    }
}

#[test]
fn a_collection_without_elements_is_no_key() {
    for_each_type_and_size(|client, kind, size| {
        for (name, behind) in (kind.empty)(size) {
            client.fill(kind, "k", size);
            client.ask(&["EXPIRE", "k", "1000"]);
            client.on("k", (name, behind));
            client.assert_gone("k");
            assert_eq!(client.number(&["DBSIZE"]), 0, "{name} leaves something behind");
            // The name is free for another type, and for the same one from the beginning.
            client.ask(&["SET", "k", "text"]);
            client.fill(kind, "k", 3);
            client.assert_whole(kind, "k", 3);
            assert_eq!(client.number(&["TTL", "k"]), -1);
        }
        client.fill(kind, "k", 1);
        client.on("k", (kind.remove)(0));
        client.assert_gone("k");
    });
}

#[test]
fn a_collection_shrinks_to_nothing_element_by_element() {
    for_each_type_and_size(|client, kind, size| {
        // LREM looks for its element from the front: there it is.
        client.fill(kind, "k", size);
        for number in 0..size {
            client.on("k", (kind.remove)(number));
        }
        client.assert_gone("k");
    });
}

#[test]
fn a_time_to_live_stays_whatever_happens_to_the_elements() {
    for_each_type_and_size(|client, kind, size| {
        client.fill(kind, "k", size);
        client.ask(&["PEXPIREAT", "k", FAR]);
        let same = |client: &mut Client, what: &str| {
            assert_eq!(client.text(&["PEXPIRETIME", "k"]), FAR, "{} after {what}", kind.name);
        };
        client.on("k", (kind.change)(1));
        same(client, "a change");
        client.on("k", (kind.change_nothing)(1));
        same(client, "no change");
        for first in (size..size + 2_000).step_by(ADDED_TOGETHER) {
            client.on("k", (kind.add)(first..first + ADDED_TOGETHER));
        }
        same(client, "2,000 more elements");
        for number in 2..size.min(1_000) {
            client.on("k", (kind.remove)(number));
        }
        same(client, "many removals");
    });
}

#[test]
fn a_key_lives_and_dies_as_one_whatever_it_holds() {
    for_each_type_and_size(|client, kind, size| {
        client.fill(kind, "k", size);
        client.assert_whole(kind, "k", size);
        for remove in ["DEL", "UNLINK"] {
            client.fill(kind, "k", size);
            assert_eq!(client.number(&[remove, "k", "none", "k"]), 1);
            client.assert_gone("k");
            assert_eq!(client.number(&["DBSIZE"]), 0);
            client.fill(kind, "k", 2);
            client.assert_whole(kind, "k", 2);
        }
        client.fill(kind, "k", size);
        assert_eq!(client.number(&["TTL", "k"]), -1);
        assert_eq!(client.number(&["PERSIST", "k"]), 0);
        assert_eq!(client.number(&["EXPIRE", "k", "1000"]), 1);
        assert!((999..=1000).contains(&client.number(&["TTL", "k"])));
        assert_eq!(client.number(&["PERSIST", "k"]), 1);
        assert_eq!(client.number(&["TTL", "k"]), -1);
        client.assert_whole(kind, "k", size);
        assert_eq!(client.number(&["PEXPIRE", "k", "30"]), 1);
        std::thread::sleep(std::time::Duration::from_millis(60));
        client.assert_gone("k");
        client.fill(kind, "k", 3);
        client.assert_whole(kind, "k", 3);
        assert_eq!(client.number(&["EXPIRE", "k", "-1"]), 1);
        client.assert_gone("k");
        // A string takes its place, and it a string's.
        client.fill(kind, "k", size);
        client.ask(&["SET", "k", "text"]);
        assert_eq!(client.text(&["GET", "k"]), "text");
        client.fill(kind, "k", size);
        client.assert_whole(kind, "k", size);
    });
}

#[test]
fn a_renamed_collection_is_whole_and_goes_on_living_under_its_new_name() {
    let server = Server::start(&[]);
    let mut client = Client(server.connect());
    for kind in &TYPES {
        for size in SIZES {
            for target in &TYPES {
                for target_size in SIZES {
                    client.fill(target, "to", target_size);
                    client.fill(kind, "from", size);
                    assert_eq!(client.number(&["RENAMENX", "from", "to"]), 0);
                    client.ask(&["PEXPIREAT", "from", FAR]);
                    client.ask(&["RENAME", "from", "to"]);
                    client.assert_gone("from");
                    assert_eq!(client.text(&["PEXPIRETIME", "to"]), FAR);
                    client.assert_whole(kind, "to", size);
                    client.on("to", (kind.remove)(1));
                    assert!(!client.has(kind, "to", 1));
                    client.on("to", (kind.add)(size..size + 1));
                    assert!(client.has(kind, "to", size));
                    // What comes under the old name has nothing to do with it.
                    client.fill(kind, "from", size);
                    client.ask(&["DEL", "from"]);
                    assert_eq!(client.number(&[kind.length, "to"]), size as i64);
                    client.ask(&["RENAME", "to", "to"]);
                    assert_eq!(client.number(&[kind.length, "to"]), size as i64);
                }
            }
        }
    }
}

#[test]
fn the_parts_of_large_collections_are_never_seen_as_keys() {
    let server = Server::start(&[]);
    let mut client = Client(server.connect());
    for kind in &TYPES {
        client.fill(kind, kind.name, LARGE);
    }
    assert_eq!(client.number(&["DBSIZE"]), 4);
    let Value::Array(mut keys) = client.ask(&["KEYS", "*"]) else { panic!("an array") };
    let Value::Array(mut scanned) = client.ask(&["SCAN", "0", "COUNT", "100000"]) else { panic!("an array") };
    assert_eq!(scanned.remove(0), Value::Bulk(b"0".to_vec()));
    let Some(Value::Array(mut scanned)) = scanned.pop() else { panic!("an array") };
    let name = |value: &Value| format!("{value:?}");
    keys.sort_by_key(name);
    scanned.sort_by_key(name);
    let mut expected: Vec<Value> = TYPES.iter().map(|kind| Value::Bulk(kind.name.into())).collect();
    expected.sort_by_key(name);
    assert_eq!(keys, expected);
    assert_eq!(scanned, expected);
    for _ in 0..50 {
        let key = client.text(&["RANDOMKEY"]);
        assert!(TYPES.iter().any(|kind| kind.name == key), "{key:?}");
    }
}

#[test]
fn collections_go_with_their_database() {
    for_each_type_and_size(|client, kind, size| {
        client.fill(kind, "k", size);
        client.ask(&["SWAPDB", "0", "3"]);
        client.assert_gone("k");
        client.fill(kind, "k", 3);
        client.ask(&["SELECT", "3"]);
        client.assert_whole(kind, "k", size);
        client.on("k", (kind.remove)(0));
        client.ask(&["FLUSHDB"]);
        client.assert_gone("k");
        client.fill(kind, "k", size);
        client.assert_whole(kind, "k", size);
        client.ask(&["SELECT", "0"]);
        client.assert_whole(kind, "k", 3);
    });
}

/// Runs these commands between MULTI and EXEC; their answers.
fn transaction(client: &mut Client, key: &str, commands: Vec<(&str, Words)>) -> Vec<Value> {
    client.ask(&["MULTI"]);
    let count = commands.len();
    for command in commands {
        assert_eq!(client.on(key, command), Value::Simple(b"QUEUED".to_vec()));
    }
    match client.ask(&["EXEC"]) {
        Value::Array(answers) => {
            assert_eq!(answers.len(), count);
            let wrong = answers.iter().find(|answer| matches!(answer, Value::Error(_)));
            assert!(wrong.is_none(), "{wrong:?}");
            answers
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_later_command_of_a_transaction_sees_what_an_earlier_one_did_to_a_collection() {
    for_each_type_and_size(|client, kind, size| {
        client.fill(kind, "k", size);
        let length = || (kind.length, Words::new());
        let new = size..size + 1;
        let answers = transaction(
            client,
            "k",
            vec![
                length(),
                (kind.look)(size),
                (kind.add)(new),
                (kind.look)(size),
                length(),
                (kind.remove)(0),
                (kind.look)(0),
                length(),
                (kind.remove)(size),
                (kind.look)(size),
                length(),
                ("TYPE", Words::new()),
            ],
        );
        let lengths = [0, 4, 7, 10].map(|at| answers[at].clone());
        let size_now = size as i64;
        assert_eq!(lengths, [size_now, size_now + 1, size_now, size_now - 1].map(Value::Integer));
        let absent = [1, 3, 6, 9].map(|at| (kind.absent)(&answers[at]));
        assert_eq!(absent, [true, false, true, true]);
        assert_eq!(answers[11], Value::Simple(kind.name.into()));
        // What EXEC answered is what lies in the store.
        assert_eq!(client.number(&[kind.length, "k"]), size_now - 1);
        assert!(!client.has(kind, "k", 0) && client.has(kind, "k", 1) && !client.has(kind, "k", size));
    });
}

#[test]
fn a_transaction_makes_empties_replaces_and_renames_collections() {
    for_each_type_and_size(|client, kind, size| {
        let length = || (kind.length, Words::new());
        let integer = |number: usize| Value::Integer(number as i64);
        // From nothing to a tree, and read in the same transaction.
        let answers =
            transaction(client, "new", vec![(kind.add)(0..1_000), length(), (kind.look)(999), (kind.look)(1_000)]);
        assert_eq!(answers[1], integer(1_000));
        assert!(!(kind.absent)(&answers[2]) && (kind.absent)(&answers[3]));
        client.assert_whole(kind, "new", 1_000);
        // Removed, made again, small.
        client.fill(kind, "k", size);
        let again = vec![("DEL", Words::new()), length(), (kind.add)(0..3), length(), (kind.look)(3), (kind.look)(2)];
        let answers = transaction(client, "k", again);
        assert_eq!([&answers[1], &answers[3]], [&integer(0), &integer(3)]);
        assert!((kind.absent)(&answers[4]) && !(kind.absent)(&answers[5]));
        client.assert_whole(kind, "k", 3);
        // Emptied by its own commands: gone at once, for the commands behind too.
        for (name, behind) in (kind.empty)(size) {
            client.fill(kind, "k", size);
            let empty = vec![(name, behind), ("EXISTS", Words::new()), length(), ("SETNX", words(["text"]))];
            let answers = transaction(client, "k", empty);
            assert_eq!(answers[1..], [integer(0), integer(0), integer(1)], "{name}");
            assert_eq!(client.text(&["TYPE", "k"]), "string");
        }
        // Renamed and changed under its new name.
        client.fill(kind, "k", size);
        client.ask(&["MULTI"]);
        client.on("k", (kind.add)(size..size + 1));
        client.ask(&["RENAME", "k", "moved"]);
        client.on("moved", (kind.look)(size));
        client.on("moved", (kind.remove)(0));
        client.on("moved", length());
        client.on("k", length());
        let Value::Array(answers) = client.ask(&["EXEC"]) else { panic!("an array") };
        assert!(!(kind.absent)(&answers[2]), "{answers:?}");
        assert_eq!(answers[4..], [integer(size), integer(0)]);
        assert_eq!(client.number(&[kind.length, "moved"]), size as i64);
        assert!(!client.has(kind, "moved", 0) && client.has(kind, "moved", size));
        client.assert_gone("k");
    });
}

#[test]
fn an_error_in_a_transaction_leaves_a_collection_as_the_other_commands_made_it() {
    for_each_type_and_size(|client, kind, size| {
        client.fill(kind, "k", size);
        client.ask(&["MULTI"]);
        client.on("k", (kind.add)(size..size + 1));
        client.ask(&["INCR", "k"]);
        client.on("k", (kind.remove)(0));
        let Value::Array(answers) = client.ask(&["EXEC"]) else { panic!("an array") };
        assert!(matches!(&answers[1], Value::Error(text) if text.starts_with(b"WRONGTYPE ")), "{answers:?}");
        assert_eq!(client.number(&[kind.length, "k"]), size as i64);
        assert!(!client.has(kind, "k", 0) && client.has(kind, "k", size));
        client.ask(&["MULTI"]);
        client.on("k", (kind.remove)(1));
        client.ask(&["DISCARD"]);
        assert!(client.has(kind, "k", 1));
    });
}

#[test]
fn a_watched_collection_has_changed_when_an_element_has() {
    let server = Server::start(&[]);
    let mut client = Client(server.connect());
    let mut other = Client(server.connect());
    for kind in &TYPES {
        for size in SIZES {
            other.fill(kind, "k", size);
            let mut watched = |change: &mut dyn FnMut(&mut Client)| {
                client.ask(&["WATCH", "k"]);
                change(&mut other);
                client.ask(&["MULTI"]);
                client.ask(&["PING"]);
                client.ask(&["EXEC"]) == Value::Null
            };
            let what = format!("{} of {size}", kind.name);
            // A tree's own record names its top node: none of these touches it.
            for number in [0, size / 2, size - 1] {
                assert!(watched(&mut |other| drop(other.on("k", (kind.change)(number)))), "{what}: a change");
            }
            assert!(watched(&mut |other| drop(other.on("k", (kind.add)(size..size + 1)))), "{what}: one more");
            assert!(watched(&mut |other| drop(other.on("k", (kind.remove)(size)))), "{what}: one less");
            let unchanged = watched(&mut |other| {
                other.on("k", (kind.change_nothing)(1));
                other.on("k", (kind.remove)(size + 7));
                other.on("k", (kind.look)(1));
                other.ask(&[kind.length, "k"]);
                other.ask(&["TIER", "DEMOTE", "k"]);
                other.on("k", (kind.look)(2));
            });
            assert!(!unchanged, "{what}: nothing has changed");
            let in_group = watched(&mut |other| drop(transaction(other, "k", vec![(kind.remove)(1), (kind.look)(1)])));
            assert!(in_group, "{what}: a change by a transaction");
            assert!(watched(&mut |other| drop(other.ask(&["EXPIRE", "k", "1000"]))), "{what}: a time to live");
            assert!(watched(&mut |other| drop(other.ask(&["RENAME", "k", "else"]))), "{what}: another name");
            assert!(watched(&mut |other| drop(other.ask(&["RENAME", "else", "k"]))), "{what}: its own name again");
            assert!(watched(&mut |other| drop(other.ask(&["DEL", "k"]))), "{what}: the end");
            assert!(!watched(&mut |other| drop(other.ask(&["DEL", "k"]))), "{what}: it was gone");
        }
    }
}

#[test]
fn large_collections_of_every_type_survive_a_restart() {
    let server = Server::start(&[]);
    let mut client = Client(server.connect());
    for kind in &TYPES {
        for size in SIZES {
            let key = format!("{}:{size}", kind.name);
            client.fill(kind, &key, size);
            client.on(&key, (kind.remove)(0));
            client.on(&key, (kind.add)(0..1));
        }
    }
    client.ask(&["WAITAOF", "1", "0", "0"]);
    let server = server.again_unasked(&[]);
    server.wait_until_loaded();
    let mut client = Client(server.connect());
    for kind in &TYPES {
        for size in SIZES {
            let key = format!("{}:{size}", kind.name);
            client.assert_whole(kind, &key, size);
            for (name, behind) in (kind.empty)(size).into_iter().take(1) {
                client.on(&key, (name, behind));
            }
            client.assert_gone(&key);
        }
    }
}
