//! What all types have in common: payloads, copies, encodings, sorting, digests. Collections are made by RESTORE, so that these
//! promises stand by themselves.

use crate::support::{Connection, Server};
use thermocline_port::Port;
use thermocline_rdb::payload::{Encoder, Payload, decode, encode};
use thermocline_rdb::{HashField, Options, ScoredMember, Settings, Value as Content, Version};
use thermocline_resp::Value;

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn list<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Content {
    Content::List(items.into_iter().map(|item| item.as_ref().to_vec()).collect())
}

fn set<T: AsRef<[u8]>>(members: impl IntoIterator<Item = T>) -> Content {
    Content::Set(members.into_iter().map(|member| member.as_ref().to_vec()).collect())
}

fn hash<T: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (T, T)>) -> Content {
    let field = |(field, value): (T, T)| HashField {
        field: field.as_ref().to_vec(),
        value: value.as_ref().to_vec(),
        expires_at_ms: None,
    };
    Content::Hash(pairs.into_iter().map(field).collect())
}

fn sorted_set<T: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (T, f64)>) -> Content {
    let member = |(member, score): (T, f64)| ScoredMember { member: member.as_ref().to_vec(), score };
    Content::SortedSet(pairs.into_iter().map(member).collect())
}

/// The same content in an order that says nothing.
fn sorted(content: Content) -> Content {
    match content {
        Content::Set(mut members) => {
            members.sort();
            Content::Set(members)
        }
        Content::Hash(mut fields) => {
            fields.sort_by(|one, other| one.field.cmp(&other.field));
            Content::Hash(fields)
        }
        Content::SortedSet(mut members) => {
            members.sort_by(|one, other| one.member.cmp(&other.member));
            Content::SortedSet(members)
        }
        other => other,
    }
}

fn call(connection: &mut Connection, words: &[&[u8]]) -> Value {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    connection.send(&request);
    connection.answer()
}

fn payload_of(content: &Content) -> Vec<u8> {
    let expires = matches!(content, Content::Hash(fields) if fields.iter().any(|field| field.expires_at_ms.is_some()));
    let version = if expires { Version::REDIS_7_4 } else { Version::REDIS_7_2 };
    encode(content, version, &Settings::default()).expect("a value that can be written")
}

/// Makes a key of this content, in place of what is there.
fn make(connection: &mut Connection, key: &str, content: &Content) {
    let answer = call(connection, &[b"RESTORE", key.as_bytes(), b"0", &payload_of(content), b"REPLACE"]);
    assert_eq!(answer, Value::Simple(bytes("OK")), "{key}");
}

fn dump(connection: &mut Connection, key: &str) -> Vec<u8> {
    match connection.call(&["DUMP", key]) {
        Value::Bulk(payload) => payload,
        other => panic!("{key}: no payload but {other:?}"),
    }
}

/// What a key holds, in an order that says nothing.
fn content(connection: &mut Connection, key: &str) -> Content {
    sorted(decode(&dump(connection, key), &Options::default()).expect("a payload that can be read"))
}

/// One of each type: small ones, and ones that lie in many nodes.
fn contents(entries: usize) -> Vec<(&'static str, Content)> {
    let text = |number: usize| format!("{number}:{}", "x".repeat(number * 7 % 90));
    let numbers = 0..entries;
    vec![
        ("list", list(numbers.clone().map(text))),
        ("set", set(numbers.clone().map(text))),
        ("hash", hash(numbers.clone().map(|number| (format!("field {number}"), text(number))))),
        ("zset", sorted_set(numbers.map(|number| (text(number), number as f64 / 2.0)))),
    ]
}

fn strings(answer: Value) -> Vec<String> {
    let Value::Array(items) = answer else { panic!("no array: {answer:?}") };
    let text = |item: Value| match item {
        Value::Bulk(text) => String::from_utf8(text).expect("text"),
        Value::Null => "(nil)".to_owned(),
        other => panic!("no string: {other:?}"),
    };
    items.into_iter().map(text).collect()
}

/// The answer to a command whose words have no blanks inside, as one line.
fn line(connection: &mut Connection, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    match connection.call(&words) {
        answer @ Value::Array(_) => strings(answer).join(" "),
        Value::Integer(number) => number.to_string(),
        Value::Bulk(text) | Value::Simple(text) | Value::Error(text) => String::from_utf8(text).expect("text"),
        Value::Null => "(nil)".to_owned(),
        other => panic!("{command}: {other:?}"),
    }
}

#[track_caller]
fn check(connection: &mut Connection, scene: &[(&str, &str)]) {
    for (command, answer) in scene {
        assert_eq!(line(connection, command), *answer, "{command}");
    }
}

fn every_type_is_carried(entries: usize) {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (kind, before) in contents(entries) {
        make(&mut connection, kind, &before);
        assert_eq!(line(&mut connection, &format!("TYPE {kind}")), kind);
        assert_eq!(content(&mut connection, kind), sorted(before), "{kind}");
        let digest = strings_of_digests(&mut connection, &[kind]);
        let payload = dump(&mut connection, kind);
        assert_eq!(call(&mut connection, &[b"RESTORE", b"again", b"0", &payload]), Value::Simple(bytes("OK")));
        assert_eq!(strings_of_digests(&mut connection, &["again"]), digest, "{kind}");
        assert_eq!(line(&mut connection, "DEL again"), "1");
    }
}

fn strings_of_digests(connection: &mut Connection, keys: &[&str]) -> Vec<String> {
    let words: Vec<&str> = ["DEBUG", "DIGEST-VALUE"].into_iter().chain(keys.iter().copied()).collect();
    let Value::Array(digests) = connection.call(&words) else { panic!("an array") };
    let text = |digest: Value| match digest {
        Value::Simple(text) => String::from_utf8(text).expect("digits"),
        other => panic!("{other:?}"),
    };
    digests.into_iter().map(text).collect()
}

#[test]
fn what_dump_gives_restore_takes() {
    every_type_is_carried(20);
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for text in ["", "5", "-123456", "hello", &"z".repeat(5000)] {
        assert_eq!(connection.text(&["SET", "s", text]), "OK");
        assert_eq!(content(&mut connection, "s"), Content::String(bytes(text)));
        make(&mut connection, "t", &Content::String(bytes(text)));
        assert_eq!(connection.text(&["GET", "t"]), text);
    }
    assert_eq!(connection.call(&["DUMP", "nothing"]), Value::Null);
}

#[test]
fn what_dump_gives_of_large_collections_restore_takes() {
    every_type_is_carried(4000);
}

#[test]
fn restore_refuses_in_the_words_of_redis_and_changes_nothing() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let payload = payload_of(&list(["a", "b"]));
    let mut ask = |key: &str, words: &[&str], payload: &[u8]| {
        let mut all: Vec<&[u8]> = vec![b"RESTORE", key.as_bytes(), words[0].as_bytes(), payload];
        all.extend(words[1..].iter().map(|word| word.as_bytes()));
        match call(&mut connection, &all) {
            Value::Simple(text) | Value::Error(text) => String::from_utf8(text).expect("text"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask("k", &["0"], &payload), "OK");
    assert_eq!(ask("k", &["-1"], b"bad"), "BUSYKEY Target key name already exists.");
    for (words, answer) in [
        (&["-1", "REPLACE"][..], "ERR Invalid TTL value, must be >= 0"),
        (&["x", "REPLACE"], "ERR value is not an integer or out of range"),
        (&["0", "REPLAC"], "ERR syntax error"),
        (&["0", "IDLETIME"], "ERR syntax error"),
        (&["0", "IDLETIME", "-1"], "ERR Invalid IDLETIME value, must be >= 0"),
        (&["0", "IDLETIME", "1", "FREQ", "1"], "ERR syntax error"),
        (&["0", "FREQ", "1", "IDLETIME", "1"], "ERR syntax error"),
        (&["0", "FREQ", "256"], "ERR Invalid FREQ value, must be >= 0 and <= 255"),
        (&["0", "FREQ", "x"], "ERR value is not an integer or out of range"),
        (&["0", "REPLACE", "IDLETIME", "1000", "ABSTTL"], "OK"),
        (&["0", "replace", "freq", "255"], "OK"),
    ] {
        assert_eq!(ask("k", words, &payload), answer, "{words:?}");
    }
    let foot = "ERR DUMP payload version or checksum are wrong";
    for cut in 0..payload.len() {
        assert_eq!(ask("k", &["0", "REPLACE"], &payload[..cut]), foot, "cut at {cut}");
    }
    let mut newer = payload.clone();
    let version_at = newer.len() - 10;
    newer[version_at] = 200;
    assert_eq!(ask("k", &["0", "REPLACE"], &newer), foot);
    assert_eq!(content(&mut connection, "k"), list(["a", "b"]));
    // A right foot under wrong bytes: a set that holds a member twice, and a hash that holds a field twice.
    for twice in [set(["a", "b", "a"]), hash([("f", "1"), ("f", "2")]), sorted_set([("m", 1.0), ("m", 2.0)])] {
        let answer = call(&mut connection, &[b"RESTORE", b"k", b"0", &payload_of(&twice), b"REPLACE"]);
        assert_eq!(answer, Value::Error(bytes("ERR Bad data format")), "{twice:?}");
    }
    assert_eq!(content(&mut connection, "k"), list(["a", "b"]));
}

#[test]
fn restore_sets_times_to_live() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let payload = payload_of(&set(["a"]));
    let mut restore = |words: &[&[u8]]| {
        let mut all: Vec<&[u8]> = vec![b"RESTORE", b"k"];
        all.extend([words[0], &payload]);
        all.extend(&words[1..]);
        let ok = call(&mut connection, &all);
        assert_eq!(ok, Value::Simple(bytes("OK")));
        let left: i64 = connection.text(&["PTTL", "k"]).parse().expect("a number");
        (left, connection.text(&["PEXPIRETIME", "k"]))
    };
    assert_eq!(restore(&[b"0"]).0, -1);
    let (left, _) = restore(&[b"100000", b"REPLACE"]);
    assert!((90_000..=100_000).contains(&left), "{left}");
    assert_eq!(restore(&[b"4102444800000", b"REPLACE", b"ABSTTL"]).1, "4102444800000");
    assert_eq!(restore(&[b"9223372036854775807", b"REPLACE", b"ABSTTL"]).1, "9223372036854775807");
    assert_eq!(restore(&[b"1", b"REPLACE", b"ABSTTL"]).0, -2, "what is over is not there, nor what it replaces");
    assert_eq!(restore(&[b"1", b"ABSTTL"]).0, -2);
}

#[test]
fn fields_that_expire_travel_with_their_times() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let field = |name: &str, expires_at_ms| HashField { field: bytes(name), value: bytes("v"), expires_at_ms };
    let later = Some(4_102_444_800_000);
    make(&mut connection, "h", &Content::Hash(vec![field("a", None), field("b", later), field("c", Some(1000))]));
    assert_eq!(content(&mut connection, "h"), Content::Hash(vec![field("a", None), field("b", later)]));
    let payload = dump(&mut connection, "h");
    assert_eq!(payload[payload.len() - 10], 12, "such a hash needs version 12");
    make(&mut connection, "h", &Content::Hash(vec![field("a", None)]));
    let payload = dump(&mut connection, "h");
    assert_eq!(payload[payload.len() - 10], 11);
    make(&mut connection, "h", &Content::Hash(vec![field("c", Some(1000))]));
    assert_eq!(connection.call(&["EXISTS", "h"]), Value::Integer(0), "a hash of nothing is no key");
}

#[test]
fn a_small_payload_does_not_become_much() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    // Each string of 20,000,000 bytes is a few hundred thousand in the payload; 64 MiB of memory take neither one nor all.
    let huge = payload_of(&Content::String(vec![b'z'; 20_000_000]));
    assert!(huge.len() < 400_000);
    let answer = call(&mut connection, &[b"RESTORE", b"k", b"0", &huge]);
    assert!(matches!(answer, Value::Error(_)), "{answer:?}");
    let many = payload_of(&list((0..40).map(|_| vec![b'z'; 1_000_000])));
    let answer = call(&mut connection, &[b"RESTORE", b"k", b"0", &many]);
    assert!(matches!(&answer, Value::Error(text) if text.starts_with(b"OOM")), "{answer:?}");
    assert_eq!(connection.call(&["EXISTS", "k"]), Value::Integer(0));
}

fn collections_are_renamed_copied_and_moved(entries: usize) {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (kind, before) in contents(entries) {
        make(&mut connection, kind, &before);
        let before = sorted(before);
        check(
            &mut connection,
            &[
                (&format!("PEXPIREAT {kind} 4102444800000"), "1"),
                (&format!("TIER DEMOTE {kind}"), "1"),
                (&format!("RENAME {kind} renamed"), "OK"),
                (&format!("EXISTS {kind}"), "0"),
                ("PEXPIRETIME renamed", "4102444800000"),
                ("SET other x", "OK"),
                ("RENAMENX renamed other", "0"),
                (&format!("RENAMENX renamed {kind}"), "1"),
                ("EXISTS renamed", "0"),
                (&format!("COPY {kind} other"), "0"),
                (&format!("COPY {kind} other REPLACE"), "1"),
                ("TYPE other", kind),
                ("PEXPIRETIME other", "4102444800000"),
                (&format!("COPY {kind} there DB 3"), "1"),
            ],
        );
        assert_eq!(content(&mut connection, kind), before, "{kind} is as it was");
        assert_eq!(content(&mut connection, "other"), before, "the copy of {kind}");
        // The copy is another one: the first goes, the second stays.
        check(&mut connection, &[(&format!("DEL {kind}"), "1"), ("MOVE other 3", "1"), ("EXISTS other", "0")]);
        check(&mut connection, &[("SELECT 3", "OK"), ("PEXPIRETIME other", "4102444800000")]);
        assert_eq!(content(&mut connection, "other"), before, "what was moved of {kind}");
        assert_eq!(content(&mut connection, "there"), before, "the copy of {kind} in another database");
        check(&mut connection, &[("FLUSHDB", "OK"), ("SELECT 0", "OK"), ("FLUSHDB", "OK")]);
    }
}

#[test]
fn small_collections_are_renamed_copied_and_moved() {
    collections_are_renamed_copied_and_moved(20);
}

#[test]
fn large_collections_are_renamed_copied_and_moved() {
    collections_are_renamed_copied_and_moved(4000);
}

#[test]
fn a_transaction_reads_what_it_has_renamed_copied_and_restored() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (kind, before) in contents(2000) {
        make(&mut connection, "k", &before);
        let payload = dump(&mut connection, "k");
        assert_eq!(line(&mut connection, "MULTI"), "OK");
        for command in ["RENAME k l", "COPY l m", "COPY m n DB 1", "DUMP m", "DEL m"] {
            assert_eq!(line(&mut connection, command), "QUEUED");
        }
        let queued = call(&mut connection, &[b"RESTORE", b"r", b"0", &payload, b"REPLACE"]);
        assert_eq!(queued, Value::Simple(bytes("QUEUED")));
        for command in ["RENAME r k", "DUMP k", "SELECT 1", "DUMP n", "DEL n", "SELECT 0"] {
            assert_eq!(line(&mut connection, command), "QUEUED");
        }
        let Value::Array(answers) = connection.call(&["EXEC"]) else { panic!("{kind}: no array") };
        for at in [3, 7, 9] {
            let Value::Bulk(payload) = &answers[at] else { panic!("{kind}: {:?}", answers[at]) };
            let read = decode(payload, &Options::default()).expect("a payload");
            assert_eq!(sorted(read), sorted(before.clone()), "{kind}, answer {at}");
        }
        for key in ["k", "l"] {
            assert_eq!(content(&mut connection, key), sorted(before.clone()), "{key} of {kind}");
        }
        check(&mut connection, &[("EXISTS m r", "0"), ("DEL k l", "2")]);
    }
}

#[test]
fn scan_and_type_know_every_type() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (kind, content) in contents(3) {
        make(&mut connection, &format!("the {kind}"), &content);
    }
    connection.call(&["SET", "the string", "x"]);
    for kind in ["list", "set", "hash", "zset", "string"] {
        assert_eq!(connection.text(&["TYPE", &format!("the {kind}")]), kind);
        let Value::Array(mut parts) = connection.call(&["SCAN", "0", "COUNT", "100", "TYPE", kind]) else {
            panic!("an array")
        };
        assert_eq!(strings(parts.pop().expect("keys")), [format!("the {kind}")]);
    }
    let Value::Array(mut parts) = connection.call(&["SCAN", "0", "COUNT", "100", "TYPE", "bogus"]) else {
        panic!("an array")
    };
    assert_eq!(strings(parts.pop().expect("keys")), Vec::<String>::new());
}

#[test]
fn encodings_follow_size_and_settings() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let words = |count: usize| (0..count).map(|number| format!("w{number}")).collect::<Vec<_>>();
    let long = |bytes: usize| vec!["x".repeat(bytes)];
    let scored = |members: Vec<String>| sorted_set(members.into_iter().map(|member| (member, 1.0)));
    let pairs = |count: usize| hash(words(count).into_iter().map(|word| (word.clone(), word)));
    for (content, encoding) in [
        (list(words(100)), "listpack"),
        (list(long(8100)), "listpack"),
        (list(long(8200)), "quicklist"),
        (list(words(5000)), "quicklist"),
        (set(numbers(512)), "intset"),
        (set(numbers(513)), "hashtable"),
        (set(words(128)), "listpack"),
        (set(words(129)), "hashtable"),
        (set(long(64)), "listpack"),
        (set(long(65)), "hashtable"),
        (pairs(512), "listpack"),
        (pairs(513), "hashtable"),
        (hash([(long(64)[0].clone(), long(64)[0].clone())]), "listpack"),
        (hash([("f".to_owned(), long(65)[0].clone())]), "hashtable"),
        (scored(words(128)), "listpack"),
        (scored(words(129)), "skiplist"),
        (scored(long(65)), "skiplist"),
    ] {
        make(&mut connection, "k", &content);
        assert_eq!(connection.text(&["OBJECT", "ENCODING", "k"]), encoding, "{:.60}", format!("{content:?}"));
    }
    let expiring = HashField { field: bytes("f"), value: bytes("v"), expires_at_ms: Some(4_102_444_800_000) };
    make(&mut connection, "k", &Content::Hash(vec![expiring]));
    assert_eq!(connection.text(&["OBJECT", "ENCODING", "k"]), "listpackex");
    // The settings are live, under both of their names.
    for (setting, value, content, encoding) in [
        ("list-max-listpack-size", "3", list(words(3)), "listpack"),
        ("list-max-listpack-size", "3", list(words(4)), "quicklist"),
        ("list-max-ziplist-size", "-1", list(long(4000)), "listpack"),
        ("list-max-ziplist-size", "-1", list(long(4100)), "quicklist"),
        ("list-max-listpack-size", "-5", list(long(60_000)), "listpack"),
        ("set-max-intset-entries", "3", set(numbers(4)), "listpack"),
        ("set-max-intset-entries", "3", set(numbers(3)), "intset"),
        ("set-max-listpack-entries", "2", set(words(3)), "hashtable"),
        ("set-max-listpack-value", "1", set(["a", "b"]), "listpack"),
        ("set-max-listpack-value", "1", set(["ab"]), "hashtable"),
        ("hash-max-ziplist-entries", "1", pairs(2), "hashtable"),
        ("hash-max-listpack-entries", "2", pairs(2), "listpack"),
        ("hash-max-ziplist-value", "1", pairs(1), "hashtable"),
        ("zset-max-ziplist-entries", "0", scored(words(1)), "skiplist"),
        ("zset-max-listpack-entries", "1", scored(words(1)), "listpack"),
        ("zset-max-listpack-value", "1", scored(words(1)), "skiplist"),
    ] {
        assert_eq!(connection.text(&["CONFIG", "SET", setting, value]), "OK");
        let Value::Array(pair) = connection.call(&["CONFIG", "GET", setting]) else { panic!("a map") };
        assert_eq!(pair, [Value::Bulk(bytes(setting)), Value::Bulk(bytes(value))]);
        make(&mut connection, "k", &content);
        assert_eq!(connection.text(&["OBJECT", "ENCODING", "k"]), encoding, "{setting} {value}");
        let object = connection.text(&["DEBUG", "OBJECT", "k"]);
        assert!(object.contains(&format!("encoding:{encoding} ")), "{object}");
    }
    assert_eq!(
        connection.text(&["CONFIG", "SET", "set-max-intset-entries", "1k"]),
        "ERR CONFIG SET failed (possibly related to argument 'set-max-intset-entries') - argument couldn't be parsed into an integer"
    );
}

#[test]
fn sort_puts_elements_in_order() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    make(&mut connection, "l", &list(["3", "1", "20", "-5", "1.5"]));
    make(&mut connection, "s", &set(["b", "a", "c"]));
    make(&mut connection, "z", &sorted_set([("c", 1.0), ("a", 2.0), ("b", 3.0)]));
    check(
        &mut connection,
        &[
            ("SORT l", "-5 1 1.5 3 20"),
            ("SORT l DESC", "20 3 1.5 1 -5"),
            ("SORT l DESC ASC", "-5 1 1.5 3 20"),
            ("SORT l ALPHA", "-5 1 1.5 20 3"),
            ("SORT l LIMIT 1 2", "1 1.5"),
            ("SORT l LIMIT -10 2", "-5 1"),
            ("SORT l LIMIT 3 -1", "3 20"),
            ("SORT l LIMIT 9 2", ""),
            ("SORT l LIMIT 0 0", ""),
            ("SORT l BY nosort", "3 1 20 -5 1.5"),
            ("SORT l BY nosort DESC", "1.5 -5 20 1 3"),
            ("SORT l BY nosort DESC LIMIT 1 2", "-5 20"),
            ("SORT l BY nosort LIMIT 1 2", "1 20"),
            ("SORT s ALPHA", "a b c"),
            ("SORT s", "ERR One or more scores can't be converted into double"),
            ("SORT z ALPHA DESC", "c b a"),
            ("SORT z BY nosort", "c a b"),
            ("SORT z BY nosort DESC LIMIT 0 2", "b a"),
            ("SORT nothing", ""),
            ("SORT_RO l", "-5 1 1.5 3 20"),
            ("SORT_RO l STORE x", "ERR syntax error"),
            ("SORT l LIMIT 1", "ERR syntax error"),
            ("SORT l LIMIT a 1", "ERR value is not an integer or out of range"),
            ("SORT l bogus", "ERR syntax error"),
            ("SORT l GET", "ERR syntax error"),
            ("SET k v", "OK"),
            ("SORT k bogus", "ERR syntax error"),
            ("SORT k", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ],
    );
}

#[test]
fn sort_reads_the_keys_that_its_patterns_name() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    make(&mut connection, "ids", &list(["1", "2", "3", "4"]));
    make(&mut connection, "o_1", &hash([("price", "30"), ("name", "one")]));
    make(&mut connection, "o_2", &hash([("price", "10"), ("name", "two")]));
    make(&mut connection, "o_3", &hash([("price", "20")]));
    make(&mut connection, "w_9", &list(["no string"]));
    for (key, value) in [("w_1", "2"), ("w_2", "3"), ("w_3", "1"), ("t_1_x", "b"), ("t_2_x", "a"), ("t_3_x", "")] {
        connection.call(&["SET", key, value]);
    }
    check(
        &mut connection,
        &[
            // A missing weight is 0.
            ("SORT ids BY w_*", "4 3 1 2"),
            ("SORT ids BY w_* DESC LIMIT 0 2", "2 1"),
            ("SORT ids BY t_*_x ALPHA", "4 3 2 1"),
            ("SORT ids BY t_*_x ALPHA DESC", "1 2 3 4"),
            ("SORT ids BY o_*->price", "4 2 3 1"),
            ("SORT ids BY w_* GET #", "4 3 1 2"),
            ("SORT ids BY w_* GET # GET w_* GET o_*->name", "4 (nil) (nil) 3 1 (nil) 1 2 one 2 3 two"),
            ("SORT ids BY nosort GET o_*->name LIMIT 0 2", "one two"),
            ("SORT ids GET o_* LIMIT 0 1", "(nil)"),
            ("SORT ids GET w_ LIMIT 0 1", "(nil)"),
            ("SORT ids GET o_*-> LIMIT 0 1", "(nil)"),
            ("SORT ids BY t_*_x", "ERR One or more scores can't be converted into double"),
            ("SORT_RO ids BY w_* GET w_*", "(nil) 1 2 3"),
        ],
    );
    // A key of another type has no value; neither has a hash without that field.
    make(&mut connection, "ids", &list(["9", "1"]));
    check(&mut connection, &[("SORT ids BY w_* GET w_*", "(nil) 2"), ("SORT ids GET w_*->f", "(nil) (nil)")]);
    // The protocols have different words for nothing.
    connection.ask("SORT ids GET none_*", "*2\r\n$-1\r\n$-1\r\n");
    connection.call(&["HELLO", "3"]);
    connection.ask("SORT ids GET none_*", "*2\r\n_\r\n_\r\n");
}

#[test]
fn sort_with_store_makes_a_list_and_an_empty_one_removes_its_key() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    make(&mut connection, "l", &list(["3", "1", "2"]));
    check(&mut connection, &[("SET to old", "OK"), ("EXPIRE to 1000", "1"), ("SORT l STORE to", "3")]);
    assert_eq!(content(&mut connection, "to"), list(["1", "2", "3"]));
    check(
        &mut connection,
        &[
            ("TTL to", "-1"),
            ("SORT l GET missing_* GET # STORE to", "6"),
            ("SORT l LIMIT 7 1 STORE to", "0"),
            ("EXISTS to", "0"),
            ("SORT l STORE wrong STORE l", "3"),
            ("EXISTS wrong", "0"),
            ("COMMAND GETKEYS SORT l BY x STORE d STORE e", "l e"),
        ],
    );
    assert_eq!(content(&mut connection, "l"), list(["1", "2", "3"]));
    // Stored sets are always in order.
    make(&mut connection, "s", &set(["b", "c", "a"]));
    check(&mut connection, &[("SORT s BY nosort STORE to", "3")]);
    assert_eq!(content(&mut connection, "to"), list(["a", "b", "c"]));
}

#[test]
fn sort_of_thousands_reads_thousands_of_keys_and_stores_a_large_list() {
    const COUNT: usize = 3000;
    let server = Server::start(&[]);
    let mut connection = server.connect();
    make(&mut connection, "ids", &list((0..COUNT).map(|number| format!("{number}"))));
    for number in 0..COUNT {
        connection
            .send(format!("SET w_{number} {}\r\nSET v_{number} value-of-{number}\r\n", COUNT - number).as_bytes());
    }
    for _ in 0..2 * COUNT {
        assert_eq!(connection.answer(), Value::Simple(bytes("OK")));
    }
    connection.call(&["TIER", "DEMOTE", "w_7", "v_7"]);
    let sorted = strings(connection.call(&["SORT", "ids", "BY", "w_*", "GET", "v_*"]));
    let expected: Vec<String> = (0..COUNT).rev().map(|number| format!("value-of-{number}")).collect();
    assert_eq!(sorted, expected);
    assert_eq!(line(&mut connection, "SORT ids BY w_* GET v_* STORE to"), COUNT.to_string());
    assert_eq!(content(&mut connection, "to"), list(expected));
}

#[test]
fn sort_in_a_transaction_sees_what_came_before_it() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    make(&mut connection, "ids", &list(["1", "2"]));
    check(&mut connection, &[("SET w_1 1", "OK"), ("SET w_2 2", "OK"), ("MULTI", "OK")]);
    for command in [
        "SORT ids BY w_* GET n_*",
        "SET w_1 5",
        "SET n_2 two",
        "SORT ids BY w_* GET n_*",
        "SORT ids BY w_* STORE ids",
        "SORT ids BY nosort GET w_*",
        "SORT w_1",
    ] {
        assert_eq!(line(&mut connection, command), "QUEUED");
    }
    connection.ask(
        "EXEC",
        "*7\r\n*2\r\n$-1\r\n$-1\r\n+OK\r\n+OK\r\n*2\r\n$3\r\ntwo\r\n$-1\r\n:2\r\n*2\r\n$1\r\n2\r\n$1\r\n5\r\n\
         -WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    );
    assert_eq!(content(&mut connection, "ids"), list(["2", "1"]));
}

#[test]
fn memory_usage_of_a_large_collection_is_about_what_is_in_it() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (kind, content) in contents(4000) {
        make(&mut connection, kind, &content);
        let payload = dump(&mut connection, kind).len() as i64;
        for samples in ["5", "100", "0"] {
            let Value::Integer(bytes) = connection.call(&["MEMORY", "USAGE", kind, "SAMPLES", samples]) else {
                panic!("a number")
            };
            // Compressed payloads of repeated letters are about half of what is in them.
            assert!((payload / 4..payload * 12).contains(&bytes), "{kind} of {payload} bytes: {bytes}");
        }
    }
    check(
        &mut connection,
        &[
            ("MEMORY USAGE nothing", "(nil)"),
            ("MEMORY USAGE set SAMPLES", "ERR syntax error"),
            ("MEMORY USAGE set SAMPLES x", "ERR value is not an integer or out of range"),
            ("MEMORY USAGE set SAMPLES -1", "ERR syntax error"),
            ("MEMORY USAGE set BOGUS 1", "ERR syntax error"),
        ],
    );
}

#[test]
fn debug_reload_brings_the_log_to_the_device_and_changes_nothing() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.call(&["SET", "k", "v"]);
    let before = connection.text(&["DEBUG", "DIGEST"]);
    check(
        &mut connection,
        &[
            ("DEBUG RELOAD", "OK"),
            ("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "OK"),
            ("DEBUG RELOAD x", "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."),
            ("DEBUG LOADAOF", "OK"),
            ("DEBUG DIGEST", &before),
            ("GET k", "v"),
        ],
    );
}

/// A real Redis, if this machine has one.
struct Redis {
    process: std::process::Child,
    port: Port,
    _directory: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        // What has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Redis {
    fn start() -> Option<Redis> {
        let directory = tempfile::tempdir().expect("a directory");
        let port = Port::reserve().expect("a port");
        let process = std::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
            .arg("--dir")
            .arg(directory.path())
            .stdout(std::process::Stdio::null())
            .spawn();
        process.ok().map(|process| Redis { process, port, _directory: directory })
    }

    fn connect(&self) -> Connection {
        crate::support::connect(&self.port)
    }
}

/// The same bytes under the foot of Redis 7.0, which is what this machine has: a payload of ours of the layouts it knows.
fn as_of_7_0(payload: &[u8]) -> Vec<u8> {
    let mut reader = Payload::open(payload, &Options::default()).expect("a payload of ours");
    let mut value = reader.value();
    let mut encoder = Encoder::new(Version::REDIS_7_0, Settings::default());
    let mut writer = encoder.value().raw(value.value_type()).expect("a layout that Redis 7.0 knows");
    while let Some(bytes) = value.next_raw().expect("a payload of ours") {
        writer.bytes(bytes).expect("memory takes all");
    }
    writer.end().expect("memory takes all");
    encoder.end().expect("memory takes all")
}

fn redis_and_this_server_agree(entries: usize) {
    let Some(redis) = Redis::start() else {
        println!("skipped: there is no redis-server on this machine to exchange payloads with");
        return;
    };
    let server = Server::start(&[]);
    let (mut theirs, mut ours) = (redis.connect(), server.connect());
    // Redis 7.0 does not know sets as listpacks.
    assert_eq!(ours.text(&["CONFIG", "SET", "set-max-listpack-entries", "0"]), "OK");
    let mut all = contents(entries);
    all.push(("intset", set((0..entries).map(|number| (number * 12_345).to_string()))));
    all.push(("number", Content::String(bytes("-70000"))));
    all.push(("text", Content::String("compressible ".repeat(entries).into_bytes())));
    let mut keys = Vec::new();
    for (kind, content) in &all {
        let (from_us, from_them) = (format!("{kind}:from us"), format!("{kind}:from them"));
        make(&mut ours, &from_us, content);
        let payload = as_of_7_0(&dump(&mut ours, &from_us));
        let answer = call(&mut theirs, &[b"RESTORE", from_us.as_bytes(), b"0", &payload]);
        assert_eq!(answer, Value::Simple(bytes("OK")), "{kind}");
        let old = encode(content, Version::REDIS_7_0, &Settings::default()).expect("a value of 7.0");
        let answer = call(&mut theirs, &[b"RESTORE", from_them.as_bytes(), b"4102444800000", &old, b"ABSTTL"]);
        assert_eq!(answer, Value::Simple(bytes("OK")), "{kind}");
        let payload = dump(&mut theirs, &from_them);
        let answer = call(&mut ours, &[b"RESTORE", from_them.as_bytes(), b"4102444800000", &payload, b"ABSTTL"]);
        assert_eq!(answer, Value::Simple(bytes("OK")), "{kind}");
        keys.extend([from_us, from_them]);
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).chain(["nothing"]).collect();
    let digests = strings_of_digests(&mut ours, &keys);
    assert_eq!(digests, strings_of_digests(&mut theirs, &keys));
    assert_eq!(digests.last().map(String::as_str), Some("0000000000000000000000000000000000000000"));
    for (number, digest) in digests.iter().enumerate() {
        assert!(!digests[..number].contains(digest), "{} has the digest of another key", keys[number]);
    }
    for connection in [&mut ours, &mut theirs] {
        check(connection, &[("SELECT 9", "OK"), ("SET k v", "OK")]);
    }
    assert_eq!(ours.text(&["DEBUG", "DIGEST"]), theirs.text(&["DEBUG", "DIGEST"]));
}

#[test]
fn payloads_and_digests_are_those_of_redis() {
    redis_and_this_server_agree(30);
}

#[test]
fn payloads_and_digests_of_large_collections_are_those_of_redis() {
    redis_and_this_server_agree(3000);
}
