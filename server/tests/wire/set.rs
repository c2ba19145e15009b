//! Sets over the wire: shapes and refusals as measured on Redis, small sets (one run) and large ones (trees).

use std::collections::BTreeSet;

use crate::support::{Connection, Server};
use thermocline_resp::Value;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
/// Members of a large set: enough for a tree of three levels.
const MANY: usize = 6_000;

type Members = BTreeSet<String>;

/// Asks each line and reads exactly the answer behind the arrow. `~` begins the answer that RESP2 gives as an array.
fn scene(protocol: &str, lines: &[(&str, &str)]) {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.call(&["HELLO", protocol]);
    for (line, answer) in lines {
        let answer = match (protocol, *answer) {
            ("2", "_\r\n") => "$-1\r\n".to_owned(),
            ("2", answer) => answer.replace('~', "*"),
            (_, answer) => answer.to_owned(),
        };
        client.send(format!("{line}\r\n").as_bytes());
        println!("RESP{protocol}: {line}");
        client.expect(&answer);
    }
}

fn in_both_protocols(lines: &[(&str, &str)]) {
    scene("2", lines);
    scene("3", lines);
}

/// The strings of an answer, in its order.
fn strings(value: Value) -> Vec<String> {
    match value {
        Value::Array(values) | Value::Set(values) => values
            .into_iter()
            .map(|value| match value {
                Value::Bulk(text) => String::from_utf8(text).expect("text"),
                other => panic!("no string: {other:?}"),
            })
            .collect(),
        other => panic!("no list: {other:?}"),
    }
}

/// The members that a command answers, each once.
fn members(client: &mut Connection, words: &[&str]) -> Members {
    let answered = strings(client.call(words));
    let different: Members = answered.iter().cloned().collect();
    assert_eq!(answered.len(), different.len(), "{words:?} answers a member twice");
    different
}

fn number(client: &mut Connection, words: &[&str]) -> i64 {
    match client.call(words) {
        Value::Integer(number) => number,
        Value::Error(text) => panic!("{}: {}", words[0], String::from_utf8_lossy(&text)),
        other => panic!("{}: {other:?}", words[0]),
    }
}

/// A command with many members behind it, some hundreds at a time; the sum of what it answers.
fn each(client: &mut Connection, name: &str, key: &str, members: &Members) -> i64 {
    let all: Vec<&str> = members.iter().map(String::as_str).collect();
    all.chunks(500).map(|some| number(client, &[&[name, key], some].concat())).sum()
}

/// Members of 12 to 100 bytes with these numbers.
fn numbered(numbers: impl Iterator<Item = usize>) -> Members {
    numbers.map(|number| format!("member:{number:05}{}", "x".repeat(number * 7 % 89))).collect()
}

/// Bytes of memory that the server takes.
fn resident(client: &mut Connection) -> u64 {
    let info = client.text(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory_rss:")).expect("the line");
    line.trim().parse().expect("a number")
}

/// A whole SSCAN.
fn scanned(client: &mut Connection, key: &str, options: &[&str], mut between: impl FnMut(usize)) -> Vec<String> {
    let mut cursor = "0".to_owned();
    let mut found = Vec::new();
    for call in 0.. {
        let Value::Array(mut parts) = client.call(&[&["SSCAN", key, &cursor], options].concat()) else {
            panic!("an array")
        };
        found.extend(strings(parts.pop().expect("members")));
        let Some(Value::Bulk(next)) = parts.pop() else { panic!("a cursor") };
        cursor = String::from_utf8(next).expect("digits");
        if cursor == "0" {
            break;
        }
        between(call);
    }
    found
}

#[test]
fn every_command_answers_in_the_shape_of_redis() {
    in_both_protocols(&[
        ("SADD s a", ":1\r\n"),
        ("SADD s a b c b", ":2\r\n"),
        ("TYPE s", "+set\r\n"),
        ("SCARD s", ":3\r\n"),
        ("SCARD none", ":0\r\n"),
        ("SISMEMBER s a", ":1\r\n"),
        ("SISMEMBER s z", ":0\r\n"),
        ("SISMEMBER none a", ":0\r\n"),
        ("SMISMEMBER s a z a", "*3\r\n:1\r\n:0\r\n:1\r\n"),
        ("SMISMEMBER none a z", "*2\r\n:0\r\n:0\r\n"),
        ("SREM s c z c", ":1\r\n"),
        ("SREM none z", ":0\r\n"),
        ("SADD one 1", ":1\r\n"),
        ("SMEMBERS one", "~1\r\n$1\r\n1\r\n"),
        ("SMEMBERS none", "~0\r\n"),
        ("SINTER one", "~1\r\n$1\r\n1\r\n"),
        ("SINTER one one", "~1\r\n$1\r\n1\r\n"),
        ("SINTER one none", "~0\r\n"),
        ("SINTER one s", "~0\r\n"),
        ("SUNION none", "~0\r\n"),
        ("SUNION none one one", "~1\r\n$1\r\n1\r\n"),
        ("SDIFF one", "~1\r\n$1\r\n1\r\n"),
        ("SDIFF one one", "~0\r\n"),
        ("SDIFF none one", "~0\r\n"),
        ("SDIFF one none s", "~1\r\n$1\r\n1\r\n"),
        ("SINTERCARD 1 one", ":1\r\n"),
        ("SINTERCARD 2 one none", ":0\r\n"),
        ("SINTERCARD 2 s s", ":2\r\n"),
        ("SINTERCARD 2 s s LIMIT 1", ":1\r\n"),
        ("SINTERCARD 2 s s LIMIT 0", ":2\r\n"),
        ("SINTERCARD 1 s LIMIT 1 limit 2", ":2\r\n"),
        ("SRANDMEMBER none", "_\r\n"),
        ("SRANDMEMBER none 3", "*0\r\n"),
        ("SRANDMEMBER none -3", "*0\r\n"),
        ("SRANDMEMBER s 0", "*0\r\n"),
        ("SRANDMEMBER one", "$1\r\n1\r\n"),
        ("SRANDMEMBER one 1", "*1\r\n$1\r\n1\r\n"),
        ("SRANDMEMBER one 9223372036854775807", "*1\r\n$1\r\n1\r\n"),
        ("SRANDMEMBER one -3", "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n"),
        ("SSCAN one 0", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\n1\r\n"),
        ("SSCAN none 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("SSCAN one 0 MATCH 1 COUNT 100", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\n1\r\n"),
        ("SSCAN one 0 match 2 MATCH * count 1", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\n1\r\n"),
        ("SSCAN one 0 MATCH 2", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("SSCAN one 0 COUNT 9223372036854775807", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\n1\r\n"),
        ("SPOP none", "_\r\n"),
        ("SPOP none 1", "~0\r\n"),
        ("SPOP one 0", "~0\r\n"),
        ("SPOP one 1", "~1\r\n$1\r\n1\r\n"),
        ("EXISTS one", ":0\r\n"),
        ("SADD one 1", ":1\r\n"),
        ("SPOP one", "$1\r\n1\r\n"),
        ("EXISTS one", ":0\r\n"),
        ("SADD one 1", ":1\r\n"),
        ("SPOP one 9223372036854775807", "~1\r\n$1\r\n1\r\n"),
        ("EXISTS one", ":0\r\n"),
        ("SADD t \"\"", ":1\r\n"),
        ("SMEMBERS t", "~1\r\n$0\r\n\r\n"),
    ]);
}

#[test]
fn what_is_refused_is_refused_in_the_words_and_the_order_of_redis() {
    let between = "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n";
    let positive = "-ERR value is out of range, must be positive\r\n";
    let integer = "-ERR value is not an integer or out of range\r\n";
    let no_keys = "-ERR numkeys should be greater than 0\r\n";
    let too_many = "-ERR Number of keys can't be greater than number of args\r\n";
    let limit = "-ERR LIMIT can't be negative\r\n";
    let cursor = "-ERR invalid cursor\r\n";
    let nothing = "*2\r\n$1\r\n0\r\n*0\r\n";
    in_both_protocols(&[
        ("SET str x", "+OK\r\n"),
        ("SADD s 1", ":1\r\n"),
        ("SADD str a", WRONG_TYPE),
        ("SREM str a", WRONG_TYPE),
        ("SCARD str", WRONG_TYPE),
        ("SMEMBERS str", WRONG_TYPE),
        ("SISMEMBER str a", WRONG_TYPE),
        ("SMISMEMBER str a", WRONG_TYPE),
        ("SMOVE none str a", ":0\r\n"),
        ("SMOVE str none a", WRONG_TYPE),
        ("SMOVE s str z", WRONG_TYPE),
        ("SPOP str", WRONG_TYPE),
        ("SPOP str 0", WRONG_TYPE),
        ("SPOP str abc", positive),
        ("SPOP s -1", positive),
        ("SPOP s 9223372036854775808", positive),
        ("SPOP s abc 2", SYNTAX),
        ("SRANDMEMBER str", WRONG_TYPE),
        ("SRANDMEMBER str 0", WRONG_TYPE),
        ("SRANDMEMBER str abc", integer),
        ("SRANDMEMBER str -9223372036854775808", between),
        ("SRANDMEMBER s 1 2", SYNTAX),
        ("SRANDMEMBER s x 2", SYNTAX),
        ("SINTER none str", WRONG_TYPE),
        ("SUNION none str", WRONG_TYPE),
        ("SDIFF none str", WRONG_TYPE),
        ("SINTERSTORE str none str", WRONG_TYPE),
        ("SUNIONSTORE s s str", WRONG_TYPE),
        ("SDIFFSTORE s none str", WRONG_TYPE),
        ("GET str", "$1\r\nx\r\n"),
        ("SCARD s", ":1\r\n"),
        ("SINTERCARD 0 s", no_keys),
        ("SINTERCARD -1 str LIMIT -1", no_keys),
        ("SINTERCARD abc s", no_keys),
        ("SINTERCARD 2 s", too_many),
        ("SINTERCARD 9223372036854775807 s", too_many),
        ("SINTERCARD 1 s LIMIT", SYNTAX),
        ("SINTERCARD 1 s bogus 1", SYNTAX),
        ("SINTERCARD 2 s s extra", SYNTAX),
        ("SINTERCARD 1 str LIMIT -1", limit),
        ("SINTERCARD 1 s LIMIT abc", limit),
        ("SINTERCARD 2 none str", WRONG_TYPE),
        ("SSCAN str abc", cursor),
        ("SSCAN s 18446744073709551616", cursor),
        ("SSCAN str 0 bogus", WRONG_TYPE),
        ("SSCAN none 0 COUNT 0", nothing),
        ("SSCAN s 0 COUNT 0", SYNTAX),
        ("SSCAN s 0 COUNT -1", SYNTAX),
        ("SSCAN s 0 COUNT abc", integer),
        ("SSCAN s 0 COUNT", SYNTAX),
        ("SSCAN s 0 TYPE set", SYNTAX),
        ("SADD s", "-ERR wrong number of arguments for 'sadd' command\r\n"),
        ("SMOVE s t", "-ERR wrong number of arguments for 'smove' command\r\n"),
        ("SDIFFSTORE s", "-ERR wrong number of arguments for 'sdiffstore' command\r\n"),
    ]);
}

#[test]
fn a_member_moves_from_set_to_set_and_an_empty_one_goes() {
    in_both_protocols(&[
        ("SADD s a b", ":2\r\n"),
        ("SMOVE s s a", ":1\r\n"),
        ("SMOVE s s z", ":0\r\n"),
        ("SMOVE s t z", ":0\r\n"),
        ("EXISTS t", ":0\r\n"),
        ("EXPIRE s 1000", ":1\r\n"),
        ("SMOVE s t a", ":1\r\n"),
        ("TTL s", ":1000\r\n"),
        ("TTL t", ":-1\r\n"),
        ("SADD s a", ":1\r\n"),
        ("SMOVE s t a", ":1\r\n"),
        ("SCARD t", ":1\r\n"),
        ("SMOVE s t b", ":1\r\n"),
        ("EXISTS s", ":0\r\n"),
        ("SMISMEMBER t a b", "*2\r\n:1\r\n:1\r\n"),
        ("COMMAND GETKEYS SMOVE s t a", "*2\r\n$1\r\ns\r\n$1\r\nt\r\n"),
        ("COMMAND GETKEYS SINTERCARD 2 s t LIMIT 1", "*2\r\n$1\r\ns\r\n$1\r\nt\r\n"),
        ("COMMAND GETKEYS SUNIONSTORE d s t", "*3\r\n$1\r\nd\r\n$1\r\ns\r\n$1\r\nt\r\n"),
    ]);
}

#[test]
fn a_stored_result_replaces_whatever_was_there_and_an_empty_one_removes_it() {
    in_both_protocols(&[
        ("SADD a 1 2", ":2\r\n"),
        ("SADD b 2", ":1\r\n"),
        ("SET str x EX 1000", "+OK\r\n"),
        ("SINTERSTORE str a b", ":1\r\n"),
        ("TYPE str", "+set\r\n"),
        ("TTL str", ":-1\r\n"),
        ("SMEMBERS str", "~1\r\n$1\r\n2\r\n"),
        ("EXPIRE a 1000", ":1\r\n"),
        ("SUNIONSTORE a a", ":2\r\n"),
        ("TTL a", ":-1\r\n"),
        ("SDIFFSTORE a a b", ":1\r\n"),
        ("SMEMBERS a", "~1\r\n$1\r\n1\r\n"),
        ("SUNIONSTORE b a b", ":2\r\n"),
        ("SCARD b", ":2\r\n"),
        ("SINTERSTORE b a none", ":0\r\n"),
        ("EXISTS b", ":0\r\n"),
        ("SDIFFSTORE a a a", ":0\r\n"),
        ("EXISTS a", ":0\r\n"),
        ("SET str x", "+OK\r\n"),
        ("SUNIONSTORE str none", ":0\r\n"),
        ("EXISTS str", ":0\r\n"),
        ("SUNIONSTORE none none", ":0\r\n"),
    ]);
}

#[test]
fn a_set_of_any_size_holds_what_was_added_and_not_what_was_removed() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for count in [1, 20, 60, 200, MANY] {
        let all = numbered(0..count);
        assert_eq!(each(&mut client, "SADD", "s", &all), count as i64);
        assert_eq!(each(&mut client, "SADD", "s", &all), 0);
        assert_eq!(number(&mut client, &["SCARD", "s"]), count as i64);
        assert_eq!(members(&mut client, &["SMEMBERS", "s"]), all);
        client.call(&["TIER", "DEMOTE", "s"]);
        let gone = numbered((0..count).filter(|number| number % 3 == 0));
        let absent = numbered(MANY..MANY + 50);
        let asked: Vec<&String> = gone.iter().chain(&absent).collect();
        for some in asked.chunks(300) {
            let words: Vec<&str> =
                ["SMISMEMBER", "s"].into_iter().chain(some.iter().map(|text| text.as_str())).collect();
            let expected = some.iter().map(|text| Value::Integer(i64::from(gone.contains(*text)))).collect();
            assert_eq!(client.call(&words), Value::Array(expected));
        }
        assert_eq!(each(&mut client, "SREM", "s", &gone), gone.len() as i64);
        assert_eq!(each(&mut client, "SREM", "s", &gone), 0);
        let left: Members = all.difference(&gone).cloned().collect();
        assert_eq!(members(&mut client, &["SMEMBERS", "s"]), left);
        let some = gone.first().expect("member 0");
        assert_eq!(number(&mut client, &["SISMEMBER", "s", some]), 0);
        assert_eq!(each(&mut client, "SREM", "s", &left), left.len() as i64);
        assert_eq!(number(&mut client, &["EXISTS", "s"]), 0);
    }
}

#[test]
fn set_algebra_is_right_whatever_the_sizes() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    // Runs and trees, disjoint ones, contained ones; as the first and as the last of three: every road through SDIFF.
    let sets = [
        numbered(0..10),
        numbered((0..MANY).step_by(600)),
        numbered((0..MANY).filter(|number| number % 2 == 0)),
        numbered(0..MANY),
        numbered(MANY..MANY + 300),
        numbered((0..MANY).step_by(7)),
    ];
    for (at, set) in sets.iter().enumerate() {
        each(&mut client, "SADD", &at.to_string(), set);
    }
    for first in 0..sets.len() {
        for second in 0..sets.len() {
            for third in [0, 3, 4] {
                let keys = [first, second, third].map(|at| at.to_string());
                let [a, b, c] = [first, second, third].map(|at| &sets[at]);
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let both: Members = a.intersection(b).cloned().collect();
                let inter: Members = both.intersection(c).cloned().collect();
                let union: Members = a.iter().chain(b).chain(c).cloned().collect();
                let diff: Members = a.iter().filter(|text| !b.contains(*text) && !c.contains(*text)).cloned().collect();
                for (name, expected) in [("SINTER", &inter), ("SUNION", &union), ("SDIFF", &diff)] {
                    assert!(members(&mut client, &[&[name], &keys[..]].concat()) == *expected, "{name} {keys:?}");
                    if third == 3 {
                        let store = format!("{name}STORE");
                        let count = number(&mut client, &[&[&store, "d"], &keys[..]].concat());
                        assert_eq!(count, expected.len() as i64, "{store} {keys:?}");
                        assert!(members(&mut client, &["SMEMBERS", "d"]) == *expected, "{store} {keys:?}");
                    }
                }
                let words = [&["SINTERCARD", "3"], &keys[..]].concat();
                assert_eq!(number(&mut client, &words), inter.len() as i64);
                let words = [&words[..], &["LIMIT", "5"]].concat();
                assert_eq!(number(&mut client, &words), inter.len().min(5) as i64);
            }
        }
    }
}

#[test]
fn a_stored_result_may_be_one_of_its_own_sources_when_it_is_large() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let (low, high) = (numbered(0..MANY), numbered(MANY / 2..MANY + MANY / 2));
    each(&mut client, "SADD", "low", &low);
    each(&mut client, "SADD", "high", &high);
    assert_eq!(number(&mut client, &["SINTERSTORE", "low", "low", "high"]), (MANY / 2) as i64);
    assert_eq!(members(&mut client, &["SMEMBERS", "low"]), numbered(MANY / 2..MANY));
    assert_eq!(number(&mut client, &["SDIFFSTORE", "high", "high", "low"]), (MANY / 2) as i64);
    assert_eq!(members(&mut client, &["SMEMBERS", "high"]), numbered(MANY..MANY + MANY / 2));
    assert_eq!(number(&mut client, &["SUNIONSTORE", "low", "high", "low"]), MANY as i64);
    assert_eq!(members(&mut client, &["SMEMBERS", "low"]), numbered(MANY / 2..MANY + MANY / 2));
    assert_eq!(number(&mut client, &["SINTERSTORE", "low", "low", "none"]), 0);
    assert_eq!(number(&mut client, &["EXISTS", "low"]), 0);
}

#[test]
fn random_members_are_different_for_a_positive_count_and_drawn_anew_for_a_negative_one() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for count in [8, MANY] {
        let all = numbered(0..count);
        client.call(&["DEL", "s"]);
        each(&mut client, "SADD", "s", &all);
        for wanted in [1, 2, count / 5, count / 2, count - 1, count, count * 2] {
            let shown = members(&mut client, &["SRANDMEMBER", "s", &wanted.to_string()]);
            assert_eq!(shown.len(), wanted.min(count));
            assert!(shown.is_subset(&all));
            let drawn = strings(client.call(&["SRANDMEMBER", "s", &format!("-{wanted}")]));
            assert_eq!(drawn.len(), wanted);
            assert!(drawn.iter().all(|text| all.contains(text)));
        }
        let drawn: Members = strings(client.call(&["SRANDMEMBER", "s", "-20000"])).into_iter().collect();
        assert!(drawn.len() * 10 > count * 9, "{} of {count} members come in 20,000 draws", drawn.len());
        assert_eq!(number(&mut client, &["SCARD", "s"]), count as i64);
    }
}

#[test]
fn every_member_has_the_same_chance() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let all = numbered(0..10);
    let mut hits = std::collections::BTreeMap::new();
    for _ in 0..200 {
        each(&mut client, "SADD", "s", &all);
        for _ in 0..10 {
            *hits.entry(client.text(&["SRANDMEMBER", "s"])).or_insert(0) += 1;
        }
        *hits.entry(client.text(&["SPOP", "s"])).or_insert(0) += 1;
    }
    // 2,200 draws from ten: 220 each, within five standard deviations (14.1).
    assert_eq!(hits.len(), 10);
    assert!(hits.values().all(|hits| (150..290).contains(hits)), "{hits:?}");
}

#[test]
fn a_count_of_draws_takes_no_memory_and_an_answer_that_is_too_large_is_refused() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.ask("SADD s a b c", ":3\r\n");
    let long = "x".repeat(100_000);
    assert_eq!(number(&mut client, &["SADD", "long", &long]), 1);
    let before = resident(&mut client);
    for draws in ["-9223372036854775807", "-2000000", "-1300000"] {
        client.ask(&format!("SRANDMEMBER s {draws}"), OOM);
    }
    client.ask("SRANDMEMBER long -1000", OOM);
    assert_eq!(strings(client.call(&["SRANDMEMBER", "s", "-500000"])).len(), 500_000);
    client.ask("SRANDMEMBER s 9223372036854775807 x", SYNTAX);
    assert_eq!(members(&mut client, &["SRANDMEMBER", "s", "9223372036854775807"]).len(), 3);
    let grown = resident(&mut client).saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes for counts");
}

#[test]
fn what_is_popped_is_gone_and_nothing_else() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for count in [9, MANY] {
        let mut left = numbered(0..count);
        each(&mut client, "SADD", "s", &left);
        client.ask("EXPIRE s 1000", ":1\r\n");
        for wanted in [1, 2, count / 5, count / 3] {
            let popped = members(&mut client, &["SPOP", "s", &wanted.to_string()]);
            assert_eq!(popped.len(), wanted);
            assert!(popped.is_subset(&left));
            left.retain(|text| !popped.contains(text));
            assert_eq!(members(&mut client, &["SMEMBERS", "s"]), left);
        }
        let one = client.text(&["SPOP", "s"]);
        assert!(left.remove(&one));
        assert_eq!(client.text(&["TTL", "s"]), "1000");
        assert_eq!(members(&mut client, &["SPOP", "s", &left.len().to_string()]), left);
        client.ask("EXISTS s", ":0\r\n");
    }
}

#[test]
fn a_scan_answers_each_member_that_stays_once_while_others_come_and_go() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut other = server.connect();
    for count in ["1", "10", "1000"] {
        client.call(&["DEL", "s"]);
        let stay = numbered(0..MANY / 2);
        let go = numbered(MANY / 2..MANY);
        each(&mut client, "SADD", "s", &stay);
        each(&mut client, "SADD", "s", &go);
        let words: Vec<&String> = go.iter().collect();
        let steps: Vec<&[&String]> = words.chunks(100).collect();
        let mut seen = scanned(&mut client, "s", &["COUNT", count], |call| {
            if let Some(step) = steps.get(call) {
                let gone: Vec<&str> = ["SREM", "s"].into_iter().chain(step.iter().map(|text| text.as_str())).collect();
                number(&mut other, &gone);
                number(&mut other, &["SADD", "s", &format!("new:{call}"), &format!("newer:{call}")]);
            }
        });
        seen.retain(|text| stay.contains(text));
        assert_eq!(seen.len(), stay.len(), "COUNT {count}");
        assert_eq!(seen.into_iter().collect::<Members>(), stay);
    }
    let matched = scanned(&mut client, "s", &["MATCH", "member:0001*", "COUNT", "500"], |_| {});
    assert_eq!(matched.into_iter().collect::<Members>(), numbered(10..20));
}

#[test]
fn a_scan_with_a_huge_count_ends_before_its_answer_is_too_large() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let long: Members = (0..50).map(|number| format!("{number:02}{}", "x".repeat(200_000))).collect();
    for member in &long {
        assert_eq!(number(&mut client, &["SADD", "s", member]), 1);
    }
    assert!(client.text(&["SMEMBERS", "s"]).starts_with("OOM "));
    let seen = scanned(&mut client, "s", &["COUNT", "9223372036854775807"], |_| {});
    assert_eq!(seen.len(), long.len());
    assert!(seen.into_iter().collect::<Members>() == long);
}

#[test]
fn every_command_works_on_large_sets_that_lie_on_the_ssd() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let (low, high) = (numbered(0..MANY), numbered(MANY - 100..2 * MANY));
    each(&mut client, "SADD", "low", &low);
    each(&mut client, "SADD", "high", &high);
    let mut cold = |words: &[&str]| {
        client.call(&["TIER", "DEMOTE", "low", "high"]);
        client.call(words)
    };
    let both: Members = low.intersection(&high).cloned().collect();
    let all: Members = low.union(&high).cloned().collect();
    let difference: Members = low.difference(&high).cloned().collect();
    let of = |value: Value| strings(value).into_iter().collect::<Members>();
    assert!(of(cold(&["SMEMBERS", "low"])) == low);
    assert!(of(cold(&["SINTER", "low", "high"])) == both);
    assert!(of(cold(&["SUNION", "low", "high"])) == all);
    assert!(of(cold(&["SDIFF", "low", "high"])) == difference);
    assert!(of(cold(&["SDIFF", "low", "high", "high", "high", "high"])) == difference);
    assert_eq!(cold(&["SINTERCARD", "2", "low", "high"]), Value::Integer(100));
    assert_eq!(cold(&["SINTERCARD", "2", "low", "high", "LIMIT", "7"]), Value::Integer(7));
    assert_eq!(cold(&["SUNIONSTORE", "all", "low", "high"]), Value::Integer(all.len() as i64));
    assert_eq!(cold(&["SCARD", "low"]), Value::Integer(MANY as i64));
    let (one, other) = (low.first().expect("one"), high.last().expect("one"));
    assert_eq!(cold(&["SISMEMBER", "low", one]), Value::Integer(1));
    assert_eq!(cold(&["SMISMEMBER", "low", one, other]), Value::Array(vec![Value::Integer(1), Value::Integer(0)]));
    assert_eq!(cold(&["SADD", "low", one, other]), Value::Integer(1));
    assert_eq!(cold(&["SREM", "low", one, other, one]), Value::Integer(2));
    assert_eq!(cold(&["SMOVE", "high", "low", other]), Value::Integer(1));
    for count in ["1", "50", "2000", "-50", "-20000"] {
        let shown = strings(cold(&["SRANDMEMBER", "low", count]));
        assert_eq!(shown.len().to_string(), count.trim_start_matches('-'));
        assert!(shown.iter().all(|text| low.contains(text) || text == other));
    }
    let Value::Bulk(popped) = cold(&["SPOP", "high"]) else { panic!("a member") };
    let mut left: Members = high.iter().filter(|text| *text != other && text.as_bytes() != popped).cloned().collect();
    for count in [50, 2_000] {
        let gone = of(cold(&["SPOP", "high", &count.to_string()]));
        assert_eq!(gone.len(), count);
        left.retain(|text| !gone.contains(text));
    }
    assert!(of(cold(&["SMEMBERS", "high"])) == left);
    client.call(&["TIER", "DEMOTE", "high"]);
    let seen = scanned(&mut client, "high", &["COUNT", "300"], |_| {});
    assert_eq!(seen.len(), left.len());
    assert!(seen.into_iter().collect::<Members>() == left);
    assert!(members(&mut client, &["SMEMBERS", "all"]) == all);
}

#[test]
fn a_large_set_survives_a_restart() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let all = numbered(0..MANY);
    each(&mut client, "SADD", "s", &all);
    let gone = members(&mut client, &["SPOP", "s", "1000"]);
    client.call(&["WAITAOF", "1", "0", "0"]);
    drop(client);
    let server = server.again_unasked(&[]);
    server.wait_until_loaded();
    let mut client = server.connect();
    let left: Members = all.difference(&gone).cloned().collect();
    assert_eq!(members(&mut client, &["SMEMBERS", "s"]), left);
    assert_eq!(each(&mut client, "SREM", "s", &left), left.len() as i64);
    assert_eq!(number(&mut client, &["EXISTS", "s"]), 0);
}
