//! Lists: every command that does not wait, its answers in both protocols, its edges and its refusals.

use crate::support::{Connection, Server};
use thermocline_resp::Value;

/// Asks each line and reads exactly the answer behind the arrow.
fn scene(connection: &mut Connection, lines: &[(&str, &str)]) {
    for (line, answer) in lines {
        connection.ask(line, answer);
    }
}

const OK: &str = "+OK\r\n";
const NOTHING: &str = "$-1\r\n";
const NO_ARRAY: &str = "*-1\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const NOT_POSITIVE: &str = "-ERR value is out of range, must be positive\r\n";

/// An array of these strings.
fn array(words: &[&str]) -> String {
    let strings: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{strings}", words.len())
}

#[test]
fn elements_are_pushed_one_after_the_other_and_only_onto_lists() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("RPUSHX l a", ":0\r\n"),
            ("LPUSHX l a", ":0\r\n"),
            ("EXISTS l", ":0\r\n"),
            ("RPUSH l a b", ":2\r\n"),
            ("LPUSH l x y z", ":5\r\n"),
            ("RPUSHX l c d", ":7\r\n"),
            ("LPUSHX l w", ":8\r\n"),
            ("LRANGE l 0 -1", &array(&["w", "z", "y", "x", "a", "b", "c", "d"])),
            ("LLEN l", ":8\r\n"),
            ("LLEN nokey", ":0\r\n"),
            ("TYPE l", "+list\r\n"),
            ("SET s 1", OK),
            ("RPUSH s a", WRONG_TYPE),
            ("LPUSHX s a", WRONG_TYPE),
            ("LLEN s", WRONG_TYPE),
            ("GET l", WRONG_TYPE),
            ("RPUSH l", "-ERR wrong number of arguments for 'rpush' command\r\n"),
        ],
    );
}

#[test]
fn a_list_without_elements_is_no_key_and_the_time_to_live_stays_until_then() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("RPUSH l a b c d e", ":5\r\n"),
            ("EXPIRE l 1000", ":1\r\n"),
            ("LPUSH l z", ":6\r\n"),
            ("LPOP l", "$1\r\nz\r\n"),
            ("LSET l 0 A", OK),
            ("LREM l 1 b", ":1\r\n"),
            ("LTRIM l 0 2", OK),
            ("LINSERT l BEFORE A 0", ":4\r\n"),
            ("LMOVE l l LEFT RIGHT", "$1\r\n0\r\n"),
            ("TTL l", ":1000\r\n"),
            ("LPOP l 100", &array(&["A", "c", "d", "0"])),
            ("EXISTS l", ":0\r\n"),
            ("RPUSH l a", ":1\r\n"),
            ("TTL l", ":-1\r\n"),
            ("LREM l 0 a", ":1\r\n"),
            ("EXISTS l", ":0\r\n"),
            ("RPUSH l a", ":1\r\n"),
            ("LTRIM l 5 10", OK),
            ("EXISTS l", ":0\r\n"),
            ("RPUSH l a", ":1\r\n"),
            ("EXPIRE l 1000", ":1\r\n"),
            ("RPOPLPUSH l m", "$1\r\na\r\n"),
            ("EXISTS l", ":0\r\n"),
            ("TTL m", ":-1\r\n"),
            ("LMPOP 1 m RIGHT", "*2\r\n$1\r\nm\r\n*1\r\n$1\r\na\r\n"),
            ("DBSIZE", ":0\r\n"),
        ],
    );
}

#[test]
fn popping_knows_no_key_from_no_element_and_counts_only_what_is_there() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("LPOP l", NOTHING),
            ("RPOP l 0", NO_ARRAY),
            ("LPOP l 3", NO_ARRAY),
            ("LPOP l -1", NOT_POSITIVE),
            ("LPOP l x", NOT_POSITIVE),
            ("LPOP l 9223372036854775808", NOT_POSITIVE),
            ("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command\r\n"),
            ("SET s 1", OK),
            ("RPOP s -1", NOT_POSITIVE),
            ("RPOP s", WRONG_TYPE),
            ("RPOP s 0", WRONG_TYPE),
            ("RPUSH l a b c d", ":4\r\n"),
            ("LPOP l 0", "*0\r\n"),
            ("RPOP l 2", &array(&["d", "c"])),
            ("LPOP l 9223372036854775807", &array(&["a", "b"])),
            ("HELLO 3 SETNAME x", ""),
        ],
    );
    client.answer();
    scene(&mut client, &[("LPOP l", "_\r\n"), ("LPOP l 1", "_\r\n"), ("LMPOP 1 l LEFT", "_\r\n")]);
    scene(&mut client, &[("LPOS l a", "_\r\n"), ("LINDEX l 0", "_\r\n"), ("LMOVE l m LEFT LEFT", "_\r\n")]);
}

#[test]
fn lmpop_takes_from_the_first_list_that_there_is() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let numkeys = "-ERR numkeys should be greater than 0\r\n";
    let count = "-ERR count should be greater than 0\r\n";
    scene(
        &mut client,
        &[
            ("LMPOP 2 a b LEFT", NO_ARRAY),
            ("RPUSH b 1 2 3 4", ":4\r\n"),
            ("LMPOP 2 a b LEFT", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n1\r\n"),
            ("LMPOP 3 a b b right COUNT 2", "*2\r\n$1\r\nb\r\n*2\r\n$1\r\n4\r\n$1\r\n3\r\n"),
            ("LMPOP 1 b LEFT COUNT 9223372036854775807", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n2\r\n"),
            ("EXISTS b", ":0\r\n"),
            ("LMPOP 0 b LEFT", numkeys),
            ("LMPOP x b LEFT", numkeys),
            ("LMPOP -1 b LEFT", numkeys),
            ("LMPOP 2 b LEFT", SYNTAX),
            ("LMPOP 9223372036854775807 b LEFT", SYNTAX),
            ("LMPOP 1 b UP", SYNTAX),
            ("LMPOP 1 b LEFT COUNT", SYNTAX),
            ("LMPOP 1 b LEFT COUNT 0", count),
            ("LMPOP 1 b LEFT COUNT x bogus", count),
            ("LMPOP 1 b LEFT COUNT 1 COUNT 1", SYNTAX),
            ("LMPOP 1 b LEFT bogus 1", SYNTAX),
            ("LMPOP 1 b", "-ERR wrong number of arguments for 'lmpop' command\r\n"),
            ("SET s 1", OK),
            ("RPUSH b 1", ":1\r\n"),
            ("LMPOP 3 a s b LEFT", WRONG_TYPE),
            ("LMPOP 3 a b s LEFT", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n1\r\n"),
        ],
    );
}

#[test]
fn indexes_count_from_both_ends_and_are_refused_outside() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("LINDEX nokey x", NOTHING),
            ("LSET nokey x v", "-ERR no such key\r\n"),
            ("RPUSH l a b c", ":3\r\n"),
            ("LINDEX l 0", "$1\r\na\r\n"),
            ("LINDEX l -1", "$1\r\nc\r\n"),
            ("LINDEX l 3", NOTHING),
            ("LINDEX l -4", NOTHING),
            ("LINDEX l -9223372036854775808", NOTHING),
            ("LINDEX l x", NOT_INTEGER),
            ("LSET l x v", NOT_INTEGER),
            ("LSET l 3 v", "-ERR index out of range\r\n"),
            ("LSET l -4 v", "-ERR index out of range\r\n"),
            ("LSET l -1 C", OK),
            ("LSET l 1 B", OK),
            ("LRANGE l 0 -1", &array(&["a", "B", "C"])),
            ("LRANGE l -100 100", &array(&["a", "B", "C"])),
            ("LRANGE l 1 1", &array(&["B"])),
            ("LRANGE l 0 -100", "*0\r\n"),
            ("LRANGE l 2 1", "*0\r\n"),
            ("LRANGE l 3 9223372036854775807", "*0\r\n"),
            ("LRANGE l -9223372036854775808 9223372036854775807", &array(&["a", "B", "C"])),
            ("LRANGE nokey x 1", NOT_INTEGER),
            ("LRANGE nokey 0 -1", "*0\r\n"),
            ("SET s 1", OK),
            ("LINDEX s x", WRONG_TYPE),
            ("LSET s x v", WRONG_TYPE),
            ("LRANGE s 0 x", NOT_INTEGER),
            ("LRANGE s 0 1", WRONG_TYPE),
            ("LTRIM s x 1", NOT_INTEGER),
            ("LTRIM s 0 1", WRONG_TYPE),
            ("LTRIM nokey 0 1", OK),
            ("LTRIM l 0 -100", OK),
            ("EXISTS l", ":0\r\n"),
            ("RPUSH l a b c d e", ":5\r\n"),
            ("LTRIM l -4 3", OK),
            ("LRANGE l 0 -1", &array(&["b", "c", "d"])),
            ("LTRIM l -100 100", OK),
            ("LLEN l", ":3\r\n"),
        ],
    );
}

#[test]
fn elements_are_found_removed_and_inserted_by_what_they_are() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let rank_zero = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list\r\n";
    let beyond = "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n";
    scene(
        &mut client,
        &[
            ("LPOS l a", NOTHING),
            ("LPOS l a COUNT 1", "*0\r\n"),
            ("RPUSH l a b c a b c a", ":7\r\n"),
            ("LPOS l a", ":0\r\n"),
            ("LPOS l zz", NOTHING),
            ("LPOS l a RANK 2", ":3\r\n"),
            ("LPOS l a RANK -1", ":6\r\n"),
            ("LPOS l a RANK 4", NOTHING),
            ("LPOS l a COUNT 0", "*3\r\n:0\r\n:3\r\n:6\r\n"),
            ("LPOS l a COUNT 2 RANK -1", "*2\r\n:6\r\n:3\r\n"),
            ("LPOS l a COUNT 0 RANK 2", "*2\r\n:3\r\n:6\r\n"),
            ("LPOS l a COUNT 0 MAXLEN 4", "*2\r\n:0\r\n:3\r\n"),
            ("LPOS l b MAXLEN 1", NOTHING),
            ("LPOS l b MAXLEN 2 RANK -1", NOTHING),
            ("LPOS l a RANK 2 RANK 1", ":0\r\n"),
            ("LPOS l a RANK 0", rank_zero),
            ("LPOS l a RANK 0 bogus", rank_zero),
            ("LPOS l a RANK -9223372036854775808", beyond),
            ("LPOS l a RANK x", NOT_INTEGER),
            ("LPOS l a COUNT -1", "-ERR COUNT can't be negative\r\n"),
            ("LPOS l a COUNT x", "-ERR COUNT can't be negative\r\n"),
            ("LPOS l a MAXLEN -1", "-ERR MAXLEN can't be negative\r\n"),
            ("LPOS l a bogus 1", SYNTAX),
            ("LPOS l a RANK", SYNTAX),
            ("LREM l 2 a", ":2\r\n"),
            ("LRANGE l 0 -1", &array(&["b", "c", "b", "c", "a"])),
            ("LREM l -1 b", ":1\r\n"),
            ("LRANGE l 0 -1", &array(&["b", "c", "c", "a"])),
            ("LREM l 0 c", ":2\r\n"),
            ("LREM l 0 zz", ":0\r\n"),
            ("LREM l x a", NOT_INTEGER),
            ("LREM nokey x a", NOT_INTEGER),
            ("LREM nokey 1 a", ":0\r\n"),
            ("LINSERT l BEFORE b 1", ":3\r\n"),
            ("LINSERT l after a 2", ":4\r\n"),
            ("LINSERT l AFTER zz 3", ":-1\r\n"),
            ("LINSERT nokey AFTER a 3", ":0\r\n"),
            ("LINSERT l UP a 3", SYNTAX),
            ("LRANGE l 0 -1", &array(&["1", "b", "a", "2"])),
            ("SET s 1", OK),
            ("LPOS s a RANK 0", rank_zero),
            ("LPOS s a", WRONG_TYPE),
            ("LREM s 0 a", WRONG_TYPE),
            ("LINSERT s UP a 3", SYNTAX),
            ("LINSERT s BEFORE a 3", WRONG_TYPE),
        ],
    );
}

#[test]
fn an_element_moves_from_list_to_list_or_within_one() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("SET s 1", OK),
            ("LMOVE nokey s LEFT LEFT", NOTHING),
            ("RPOPLPUSH nokey s", NOTHING),
            ("RPUSH l a b c d", ":4\r\n"),
            ("LMOVE l s LEFT LEFT", WRONG_TYPE),
            ("LMOVE s l LEFT LEFT", WRONG_TYPE),
            ("LMOVE s l UP LEFT", SYNTAX),
            ("LMOVE l m LEFT DOWN", SYNTAX),
            ("LMOVE l m LEFT LEFT", "$1\r\na\r\n"),
            ("LMOVE l m right left", "$1\r\nd\r\n"),
            ("RPOPLPUSH l m", "$1\r\nc\r\n"),
            ("LRANGE m 0 -1", &array(&["c", "d", "a"])),
            ("RPOPLPUSH m m", "$1\r\na\r\n"),
            ("LMOVE m m LEFT LEFT", "$1\r\na\r\n"),
            ("LMOVE m m LEFT RIGHT", "$1\r\na\r\n"),
            ("LRANGE m 0 -1", &array(&["c", "d", "a"])),
            ("RPOPLPUSH l l", "$1\r\nb\r\n"),
            ("LRANGE l 0 -1", &array(&["b"])),
            ("RPOPLPUSH l s", WRONG_TYPE),
            ("LRANGE l 0 -1", &array(&["b"])),
        ],
    );
}

#[test]
fn a_transaction_sees_its_own_lists() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let queued = "+QUEUED\r\n";
    scene(
        &mut client,
        &[
            ("MULTI", OK),
            ("RPUSH l a b c", queued),
            ("LPOP l", queued),
            ("LMOVE l m LEFT LEFT", queued),
            ("LPOP m 5", queued),
            ("LRANGE l 0 -1", queued),
            ("EXISTS m", queued),
            ("EXEC", "*6\r\n:3\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$1\r\nb\r\n*1\r\n$1\r\nc\r\n:0\r\n"),
            ("LRANGE l 0 -1", "*1\r\n$1\r\nc\r\n"),
        ],
    );
}

#[test]
fn what_the_table_says_about_lists_is_what_clients_expect() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut keys_of = |line: &str| {
        let words: Vec<&str> = ["COMMAND", "GETKEYS"].into_iter().chain(line.split(' ')).collect();
        match client.call(&words) {
            Value::Array(keys) => keys
                .into_iter()
                .map(|key| match key {
                    Value::Bulk(key) => String::from_utf8(key).expect("text"),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<String>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(keys_of("LMOVE a b LEFT LEFT"), ["a", "b"]);
    assert_eq!(keys_of("BLPOP a b c 0"), ["a", "b", "c"]);
    assert_eq!(keys_of("BLMPOP 0 2 a b LEFT"), ["a", "b"]);
    assert_eq!(keys_of("LMPOP 2 a b LEFT COUNT 3"), ["a", "b"]);
    assert_eq!(keys_of("BRPOPLPUSH a b 0"), ["a", "b"]);
}

/// Elements of a large list: some short, some of a hundred bytes.
fn element(number: usize) -> String {
    if number.is_multiple_of(3) { format!("e{number}") } else { format!("{number:0100}") }
}

fn strings(value: Value) -> Vec<String> {
    match value {
        Value::Array(elements) => elements
            .into_iter()
            .map(|element| match element {
                Value::Bulk(text) => String::from_utf8(text).expect("text"),
                other => panic!("{other:?}"),
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_list_is_what_a_vector_would_be() {
    const COUNT: usize = 6_000;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut model: std::collections::VecDeque<String> = (0..COUNT).map(element).collect();
    for part in model.make_contiguous().chunks(500) {
        let words: Vec<&str> = ["RPUSH", "l"].into_iter().chain(part.iter().map(String::as_str)).collect();
        client.call(&words);
    }
    let check = |client: &mut Connection, model: &std::collections::VecDeque<String>, what: &str| {
        assert_eq!(client.text(&["LLEN", "l"]), model.len().to_string(), "{what}");
        let all: Vec<String> = (0..model.len())
            .step_by(1000)
            .flat_map(|from| strings(client.call(&["LRANGE", "l", &from.to_string(), &(from + 999).to_string()])))
            .collect();
        assert_eq!(all, Vec::from(model.clone()), "{what}");
    };
    check(&mut client, &model, "pushed");
    for index in [0, 1, 777, COUNT - 1] {
        assert_eq!(client.text(&["LINDEX", "l", &index.to_string()]), model[index]);
        let value = format!("set {index}");
        client.call(&["LSET", "l", &format!("-{}", COUNT - index), &value]);
        model[index] = value;
    }
    assert_eq!(client.text(&["LPOS", "l", &element(5_000)]), "5000");
    assert_eq!(client.text(&["LINSERT", "l", "BEFORE", &element(5_000), "inserted"]), (COUNT + 1).to_string());
    model.insert(5_000, "inserted".into());
    check(&mut client, &model, "changed");
    assert_eq!(strings(client.call(&["LPOP", "l", "700"])), model.drain(..700).collect::<Vec<_>>());
    let mut popped: Vec<String> = model.drain(model.len() - 800..).collect();
    popped.reverse();
    assert_eq!(strings(client.call(&["RPOP", "l", "800"])), popped);
    check(&mut client, &model, "popped");
    for number in 0..300 {
        client.call(&["LPUSH", "l", "again", &number.to_string()]);
        model.push_front("again".into());
        model.push_front(number.to_string());
    }
    assert_eq!(client.text(&["LREM", "l", "-200", "again"]), "200");
    assert_eq!(client.text(&["LREM", "l", "0", "again"]), "100");
    model.retain(|element| element != "again");
    check(&mut client, &model, "removed");
    client.call(&["LTRIM", "l", "250", "-1500"]);
    model.truncate(model.len() - 1499);
    model.drain(..250);
    check(&mut client, &model, "trimmed");
    assert_eq!(client.text(&["LMOVE", "l", "m", "RIGHT", "LEFT"]), model.pop_back().expect("there are some"));
    while !model.is_empty() {
        let count = model.len().min(900);
        assert_eq!(
            strings(client.call(&["LPOP", "l", "900"])),
            model.drain(..count).collect::<Vec<_>>(),
            "the rest goes in order"
        );
    }
    client.ask("EXISTS l m", ":1\r\n");
}

#[test]
fn a_list_of_a_thousand_elements_survives_a_restart() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let elements: Vec<String> = (0..1000).map(element).collect();
    let words: Vec<&str> = ["RPUSH", "l"].into_iter().chain(elements.iter().map(String::as_str)).collect();
    client.call(&words);
    client.ask("RPUSH small a b c", ":3\r\n");
    client.ask("LPOP small", "$1\r\na\r\n");
    client.ask("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
    let server = server.again_unasked(&[]);
    server.wait_until_loaded();
    let mut client = server.connect();
    client.ask("LRANGE small 0 -1", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
    assert_eq!(strings(client.call(&["LRANGE", "l", "0", "-1"])), elements);
}
