//! Hashes over the wire: what each command answers in both protocols, its edges and refusals, and the lives of fields.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Connection, Server};
use thermocline_resp::Value;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("no string: {other:?}"),
    }
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        other => panic!("no array: {other:?}"),
    }
}

/// A flat array of fields and values.
fn pairs(value: Value) -> BTreeMap<String, String> {
    array(value).chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

#[test]
fn fields_are_set_read_and_removed() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSET h a 1 b 2 a 3", ":2\r\n");
    connection.ask("HSET h a 4 c 5", ":1\r\n");
    connection.ask("HMSET h d 6", "+OK\r\n");
    connection.ask("HGET h a", "$1\r\n4\r\n");
    connection.ask("HGET h nope", "$-1\r\n");
    connection.ask("HGET missing a", "$-1\r\n");
    connection.ask("HMGET h a nope b a", "*4\r\n$1\r\n4\r\n$-1\r\n$1\r\n2\r\n$1\r\n4\r\n");
    connection.ask("HMGET missing a b", "*2\r\n$-1\r\n$-1\r\n");
    connection.ask("HLEN h", ":4\r\n");
    connection.ask("HLEN missing", ":0\r\n");
    connection.ask("HEXISTS h a", ":1\r\n");
    connection.ask("HEXISTS h nope", ":0\r\n");
    connection.ask("HEXISTS missing a", ":0\r\n");
    connection.ask("HSTRLEN h a", ":1\r\n");
    connection.ask("HSTRLEN h nope", ":0\r\n");
    connection.ask("HSTRLEN missing a", ":0\r\n");
    connection.ask("HKEYS h", "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n");
    connection.ask("HVALS h", "*4\r\n$1\r\n4\r\n$1\r\n2\r\n$1\r\n5\r\n$1\r\n6\r\n");
    connection.ask(
        "HGETALL h",
        "*8\r\n$1\r\na\r\n$1\r\n4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n5\r\n$1\r\nd\r\n$1\r\n6\r\n",
    );
    connection.ask("HSETNX h a x", ":0\r\n");
    connection.ask("HSETNX h e x", ":1\r\n");
    connection.ask("HDEL h a a nope", ":1\r\n");
    connection.ask("HDEL missing a", ":0\r\n");
    connection.ask("TYPE h", "+hash\r\n");
    connection.ask("HDEL h b c d e", ":4\r\n");
    connection.ask("EXISTS h", ":0\r\n");
}

#[test]
fn empty_fields_and_values_and_any_bytes_are_kept() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    assert_eq!(connection.call(&["HSET", "", "", ""]), Value::Integer(1));
    assert_eq!(connection.call(&["HSET", "", "\r\n\0", "\u{7f}\0"]), Value::Integer(1));
    assert_eq!(connection.call(&["HGET", "", ""]), bulk(""));
    assert_eq!(connection.call(&["HGET", "", "\r\n\0"]), bulk("\u{7f}\0"));
    assert_eq!(connection.call(&["HSTRLEN", "", ""]), Value::Integer(0));
}

#[test]
fn resp3_has_maps_pairs_and_one_null() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.call(&["HELLO", "3"]);
    connection.ask("HGETALL missing", "%0\r\n");
    connection.ask("HKEYS missing", "*0\r\n");
    connection.ask("HVALS missing", "*0\r\n");
    connection.ask("HGET missing a", "_\r\n");
    connection.ask("HRANDFIELD missing", "_\r\n");
    connection.ask("HRANDFIELD missing 3", "*0\r\n");
    connection.ask("HSET h a 1", ":1\r\n");
    connection.ask("HGETALL h", "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
    connection.ask("HKEYS h", "*1\r\n$1\r\na\r\n");
    connection.ask("HMGET h a b", "*2\r\n$1\r\n1\r\n_\r\n");
    connection.ask("HRANDFIELD h 1 WITHVALUES", "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    connection.ask("HRANDFIELD h -2 withvalues", "*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    connection.ask("HSCAN h 0", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    connection.ask("HGETEX h FIELDS 2 a b", "*2\r\n$1\r\n1\r\n_\r\n");
    connection.ask("HGETDEL h FIELDS 2 a a", "*2\r\n$1\r\n1\r\n_\r\n");
    connection.ask("HGETALL h", "%0\r\n");
}

#[test]
fn another_type_is_refused_and_left_as_it_is() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("SET s text", "+OK\r\n");
    for command in [
        "HDEL s a",
        "HEXISTS s a",
        "HGET s a",
        "HGETALL s",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HKEYS s",
        "HLEN s",
        "HMGET s a",
        "HMSET s a 1",
        "HRANDFIELD s",
        "HRANDFIELD s 0",
        "HSCAN s 0 nonsense",
        "HSET s a 1",
        "HSETNX s a 1",
        "HSTRLEN s a",
        "HVALS s",
        "HEXPIRE s nonsense FIELDS 1 a",
        "HPERSIST s FIELDS nonsense a",
        "HTTL s nonsense 1 a",
        "HGETEX s nonsense 1 a",
        "HGETDEL s nonsense 1 a",
        "HSETEX s FIELDS 1 a 1",
    ] {
        connection.ask(command, WRONG_TYPE);
    }
    connection.ask("HSET h a 1", ":1\r\n");
    connection.ask("GET h", WRONG_TYPE);
    connection.ask("GET s", "$4\r\ntext\r\n");
}

#[test]
fn numbers_that_are_none_are_refused_before_the_key_is_looked_at() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("SET s text", "+OK\r\n");
    connection.ask("HINCRBY s a x", NOT_INTEGER);
    connection.ask("HINCRBYFLOAT s a x", "-ERR value is not a valid float\r\n");
    connection.ask("HINCRBYFLOAT s a inf", "-ERR value is NaN or Infinity\r\n");
    connection.ask("HRANDFIELD s x", NOT_INTEGER);
    connection.ask("HRANDFIELD s 1 x", SYNTAX);
    connection.ask("HRANDFIELD s 1 withvalues x", SYNTAX);
    connection.ask(
        "HRANDFIELD s -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
    );
    connection.ask("HRANDFIELD s -4611686018427387904 withvalues", "-ERR value is out of range\r\n");
    connection.ask("HRANDFIELD s 4611686018427387904 withvalues", "-ERR value is out of range\r\n");
    connection.ask("HSCAN s x", "-ERR invalid cursor\r\n");
    connection.ask("HSETEX s FIELDS 0 a 1", "-ERR invalid number of fields\r\n");
    connection.ask("HSET s a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n");
    connection.ask("HMSET s a 1 b", "-ERR wrong number of arguments for 'hmset' command\r\n");
}

#[test]
fn counting_never_wraps_and_refusals_change_nothing() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HINCRBY h n 5", ":5\r\n");
    connection.ask("HINCRBY h n -7", ":-2\r\n");
    connection.ask("HGET h n", "$2\r\n-2\r\n");
    connection.ask("HSET h big 9223372036854775807 text abc float 1.5", ":3\r\n");
    connection.ask("HINCRBY h big 1", "-ERR increment or decrement would overflow\r\n");
    connection.ask("HINCRBY h text 1", "-ERR hash value is not an integer\r\n");
    connection.ask("HINCRBY h float 1", "-ERR hash value is not an integer\r\n");
    connection.ask("HINCRBYFLOAT h float 0.1", "$3\r\n1.6\r\n");
    connection.ask("HINCRBYFLOAT h new 3.0e3", "$4\r\n3000\r\n");
    connection.ask("HINCRBYFLOAT h text 1", "-ERR hash value is not a float\r\n");
    connection.ask("HSET h endless inf", ":1\r\n");
    connection.ask("HINCRBYFLOAT h endless 1", "-ERR increment would produce NaN or Infinity\r\n");
    connection.ask("HINCRBYFLOAT missing n nan", "-ERR value is not a valid float\r\n");
    connection.ask("EXISTS missing", ":0\r\n");
    connection.ask("HMGET h big text float", "*3\r\n$19\r\n9223372036854775807\r\n$3\r\nabc\r\n$3\r\n1.6\r\n");
}

#[test]
fn random_fields_are_distinct_or_repeated_as_asked() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HRANDFIELD missing", "$-1\r\n");
    connection.ask("HRANDFIELD missing 5 WITHVALUES", "*0\r\n");
    connection.ask("HSET h a 1 b 2 c 3 d 4", ":4\r\n");
    connection.ask("HRANDFIELD h 0", "*0\r\n");
    let all = ["a", "b", "c", "d"];
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let field = connection.text(&["HRANDFIELD", "h"]);
        assert!(all.contains(&field.as_str()));
        seen.insert(field);
        let mut two: Vec<String> = array(connection.call(&["HRANDFIELD", "h", "2"])).iter().map(text).collect();
        two.dedup();
        assert_eq!(two.len(), 2);
    }
    assert_eq!(seen.len(), 4, "in a hundred picks each field comes");
    assert_eq!(array(connection.call(&["HRANDFIELD", "h", "-50"])).len(), 50);
    assert_eq!(pairs(connection.call(&["HRANDFIELD", "h", "9", "WITHVALUES"])).len(), 4);
    for (field, value) in pairs(connection.call(&["HRANDFIELD", "h", "-20", "WITHVALUES"])) {
        assert_eq!(connection.text(&["HGET", "h", &field]), value);
    }
}

#[test]
fn more_random_fields_than_an_answer_may_hold_are_refused() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSET h a_longer_field 1", ":1\r\n");
    // The last one is refused while it is written: of empty fields as many would fit into an eighth of 64 MB.
    for count in ["-9223372036854775807", "-2000000", "-1300000"] {
        let answer = connection.text(&["HRANDFIELD", "h", count]);
        assert!(answer.starts_with("OOM "), "{answer}");
    }
    let answer = connection.text(&["HRANDFIELD", "h", "-4611686018427387903", "WITHVALUES"]);
    assert!(answer.starts_with("OOM "), "{answer}");
    assert_eq!(array(connection.call(&["HRANDFIELD", "h", "-1000"])).len(), 1000);
}

#[test]
fn a_small_hash_is_scanned_at_once_and_options_of_a_missing_one_are_not_read() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSCAN missing 0 nonsense", "*2\r\n$1\r\n0\r\n*0\r\n");
    connection.ask("HSET h a 1 ab 2 b 3", ":3\r\n");
    connection
        .ask("HSCAN h 0 COUNT 1 MATCH a*", "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nab\r\n$1\r\n2\r\n");
    connection.ask("HSCAN h 0 NOVALUES", "*2\r\n$1\r\n0\r\n*3\r\n$1\r\na\r\n$2\r\nab\r\n$1\r\nb\r\n");
    connection.ask(
        "HSCAN h 0 COUNT 9223372036854775807 match *",
        "*2\r\n$1\r\n0\r\n*6\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nab\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n3\r\n",
    );
    connection.ask("HSCAN h 0 COUNT", SYNTAX);
    connection.ask("HSCAN h 0 COUNT 0", SYNTAX);
    connection.ask("HSCAN h 0 COUNT x", NOT_INTEGER);
    connection.ask("HSCAN h 0 TYPE hash", SYNTAX);
    connection.ask("HSCAN h 0 novalues more", SYNTAX);
}

#[test]
fn the_time_to_live_of_the_key_stays_until_the_key_goes() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSET h a 1", ":1\r\n");
    connection.ask("PEXPIREAT h 4102444800000", ":1\r\n");
    for command in ["HSET h b 2", "HINCRBY h n 1", "HDEL h b", "HEXPIRE h 100 FIELDS 1 n", "HSETEX h EX 5 FIELDS 1 x y"]
    {
        connection.call(&command.split(' ').collect::<Vec<_>>());
        connection.ask("PEXPIRETIME h", ":4102444800000\r\n");
    }
    connection.ask("HDEL h a n x", ":3\r\n");
    connection.ask("HSET h a 1", ":1\r\n");
    connection.ask("TTL h", ":-1\r\n");
}

#[test]
fn an_expired_field_is_never_seen() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSET h a 1 b 2", ":2\r\n");
    connection.ask("HPEXPIRE h 40 FIELDS 1 a", "*1\r\n:1\r\n");
    connection.ask("HGET h a", "$1\r\n1\r\n");
    std::thread::sleep(Duration::from_millis(60));
    connection.ask("HGET h a", "$-1\r\n");
    connection.ask("HMGET h a b", "*2\r\n$-1\r\n$1\r\n2\r\n");
    connection.ask("HEXISTS h a", ":0\r\n");
    connection.ask("HSTRLEN h a", ":0\r\n");
    connection.ask("HLEN h", ":1\r\n");
    connection.ask("HKEYS h", "*1\r\n$1\r\nb\r\n");
    connection.ask("HVALS h", "*1\r\n$1\r\n2\r\n");
    connection.ask("HGETALL h", "*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
    connection.ask("HSCAN h 0", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
    connection.ask("HTTL h FIELDS 1 a", "*1\r\n:-2\r\n");
    connection.ask("HRANDFIELD h 5", "*1\r\n$1\r\nb\r\n");
    for _ in 0..30 {
        connection.ask("HRANDFIELD h", "$1\r\nb\r\n");
        connection.ask("HRANDFIELD h -2", "*2\r\n$1\r\nb\r\n$1\r\nb\r\n");
        connection.ask("HRANDFIELD h 1", "*1\r\n$1\r\nb\r\n");
    }
    connection.ask("HEXPIRE h 100 FIELDS 1 a", "*1\r\n:-2\r\n");
    connection.ask("HDEL h a", ":0\r\n");
    connection.ask("HSET h a 3", ":1\r\n");
    connection.ask("HTTL h FIELDS 1 a", "*1\r\n:-1\r\n");
}

#[test]
fn a_write_takes_an_expired_field_for_a_missing_one() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (command, answer) in [
        ("HSET h a 9", ":1\r\n"),
        ("HSETNX h a 9", ":1\r\n"),
        ("HINCRBY h a 9", ":9\r\n"),
        ("HINCRBYFLOAT h a 9", "$1\r\n9\r\n"),
        ("HSETEX h FNX FIELDS 1 a 9", ":1\r\n"),
        ("HSETEX h KEEPTTL FIELDS 1 a 9", ":1\r\n"),
    ] {
        connection.ask("HSETEX h PX 30 FIELDS 1 a 7", ":1\r\n");
        connection.ask("HSET h b 1", if command == "HSET h a 9" { ":1\r\n" } else { ":0\r\n" });
        std::thread::sleep(Duration::from_millis(50));
        connection.ask(command, answer);
        connection.ask("HMGET h a b", "*2\r\n$1\r\n9\r\n$1\r\n1\r\n");
        connection.ask("HTTL h FIELDS 1 a", "*1\r\n:-1\r\n");
    }
    connection.ask("HSETEX h PX 30 FIELDS 1 a 7", ":1\r\n");
    std::thread::sleep(Duration::from_millis(50));
    connection.ask("HSETEX h FXX FIELDS 2 b 2 a 7", ":0\r\n");
    connection.ask("HGETALL h", "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
}

#[test]
fn with_the_last_field_that_lives_the_key_goes() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for command in ["HDEL h b", "HGETDEL h FIELDS 1 b", "HPEXPIREAT h 1 FIELDS 1 b", "HGETEX h PXAT 1 FIELDS 1 b"] {
        connection.ask("HSETEX h PX 30 FIELDS 1 a 1", ":1\r\n");
        connection.ask("HSET h b 2", ":1\r\n");
        std::thread::sleep(Duration::from_millis(50));
        connection.ask("EXISTS h", ":1\r\n");
        connection.call(&command.split(' ').collect::<Vec<_>>());
        connection.ask("EXISTS h", ":0\r\n");
    }
}

#[test]
fn a_field_keeps_its_expiry_while_it_is_counted_and_loses_it_when_it_is_set() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let moment = |connection: &mut Connection, answer: &str| {
        connection.ask("HPEXPIRETIME h FIELDS 1 n", &format!("*1\r\n:{answer}\r\n"));
    };
    connection.ask("HSET h n 1 m 2", ":2\r\n");
    connection.ask("HPEXPIREAT h 4102444800123 FIELDS 1 n", "*1\r\n:1\r\n");
    connection.ask("HINCRBY h n 1", ":2\r\n");
    connection.ask("HINCRBYFLOAT h n 1.5", "$3\r\n3.5\r\n");
    moment(&mut connection, "4102444800123");
    connection.ask("HSETNX h n 1", ":0\r\n");
    connection.ask("HSETEX h KEEPTTL FIELDS 1 n 5", ":1\r\n");
    moment(&mut connection, "4102444800123");
    connection.ask("HEXPIRETIME h FIELDS 1 n", "*1\r\n:4102444801\r\n");
    connection.ask("HSET h n 5", ":0\r\n");
    moment(&mut connection, "-1");
    connection.ask("HEXPIREAT h 4102444800 FIELDS 1 n", "*1\r\n:1\r\n");
    connection.ask("HSETEX h FIELDS 1 n 5", ":1\r\n");
    moment(&mut connection, "-1");
    connection.ask("HEXPIREAT h 4102444800 FIELDS 1 n", "*1\r\n:1\r\n");
    connection.ask("HPERSIST h FIELDS 3 n m x", "*3\r\n:1\r\n:-1\r\n:-2\r\n");
    moment(&mut connection, "-1");
    connection.ask("HPERSIST missing FIELDS 2 n m", "*2\r\n:-2\r\n:-2\r\n");
}

#[test]
fn expiries_are_set_under_the_conditions_of_redis() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSET h a 1 b 2", ":2\r\n");
    for (command, answer) in [
        ("HEXPIRE h 100 FIELDS 3 a a x", "*3\r\n:1\r\n:1\r\n:-2\r\n"),
        ("HEXPIRE h 100 NX FIELDS 2 a b", "*2\r\n:0\r\n:1\r\n"),
        ("HPERSIST h FIELDS 1 b", "*1\r\n:1\r\n"),
        ("HEXPIRE h 100 XX FIELDS 2 a b", "*2\r\n:1\r\n:0\r\n"),
        ("HEXPIRE h 50 gt FIELDS 2 a b", "*2\r\n:0\r\n:0\r\n"),
        ("HEXPIRE h 200 GT FIELDS 2 a b", "*2\r\n:1\r\n:0\r\n"),
        ("HEXPIRE h 300 LT FIELDS 1 a", "*1\r\n:0\r\n"),
        ("HEXPIRE h 150 lt FIELDS 2 a b", "*2\r\n:1\r\n:1\r\n"),
        ("HTTL h FIELDS 3 a b x", "*3\r\n:150\r\n:150\r\n:-2\r\n"),
        ("HEXPIRE h 0 GT FIELDS 1 a", "*1\r\n:0\r\n"),
        ("HEXPIRE h 0 FIELDS 2 a a", "*2\r\n:2\r\n:-2\r\n"),
        ("HPEXPIREAT h 1 FIELDS 1 b", "*1\r\n:2\r\n"),
        ("EXISTS h", ":0\r\n"),
        ("HEXPIRE h 100 FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n"),
        ("HTTL h FIELDS 1 a", "*1\r\n:-2\r\n"),
    ] {
        connection.ask(command, answer);
    }
}

#[test]
fn words_of_the_expiry_commands_are_refused_in_the_words_of_redis() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HSET h a 1", ":1\r\n");
    let no_fields = "-ERR Mandatory argument FIELDS is missing or not at the right position\r\n";
    let other_count = "-ERR The `numfields` parameter must match the number of arguments\r\n";
    let bad_count = "-ERR Parameter `numFields` should be greater than 0\r\n";
    let bad_field_count = "-ERR Number of fields must be a positive integer\r\n";
    for (command, answer) in [
        ("HEXPIRE h x FIELDS 1 a", NOT_INTEGER),
        ("HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0\r\n"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command\r\n"),
        ("HPEXPIRE h 70368744177663 FIELDS 1 a", "-ERR invalid expire time in 'hpexpire' command\r\n"),
        ("HEXPIREAT h 70368744178 FIELDS 1 a", "-ERR invalid expire time in 'hexpireat' command\r\n"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command\r\n"),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1\r\n:1\r\n"),
        ("HEXPIRE h 1 NX XX FIELDS 1 a", no_fields),
        ("HEXPIRE h 1 FIELD 1 a", no_fields),
        ("HEXPIRE h 1 FIELDS 0 a", bad_count),
        ("HEXPIRE h 1 FIELDS x a", bad_count),
        ("HEXPIRE h 1 FIELDS 2 a", other_count),
        ("HEXPIRE h 1 FIELDS 9223372036854775807 a", other_count),
        ("HEXPIRE h 1 FIELDS 1 a b", other_count),
        ("HEXPIRE h 1 NX FIELDS 1", other_count),
        ("HTTL h FIELD 1 a", no_fields),
        ("HTTL h FIELDS 0 a", bad_field_count),
        ("HPERSIST h FIELDS -1 a", bad_field_count),
        ("HPTTL h FIELDS 1 a b", other_count),
        ("HGETDEL h FIELDS x a", bad_field_count),
        ("HGETDEL h FIELDS 3 a b", other_count),
        ("HGETDEL h FIELD 1 a", no_fields),
        ("HGETEX h EX 10 PERSIST FIELDS 1 a", no_fields),
        ("HGETEX h EX x FIELDS 1 a", NOT_INTEGER),
        ("HGETEX h EX -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0\r\n"),
        ("HGETEX h EX 10 FIELDS", bad_field_count),
        ("HGETEX h PERSIST FIELDS 0 a", bad_field_count),
        ("HGETEX h KEEPTTL FIELDS 1 a", no_fields),
        ("HGETEX h FIELDS 2 a", other_count),
        ("HEXPIRE h 1 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command\r\n"),
    ] {
        connection.ask(command, answer);
    }
    connection.ask("HGETALL h", "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
}

#[test]
fn hgetex_and_hgetdel_answer_what_was_there() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HGETEX missing EX 10 FIELDS 2 a b", "*2\r\n$-1\r\n$-1\r\n");
    connection.ask("HGETDEL missing FIELDS 1 a", "*1\r\n$-1\r\n");
    connection.ask("HSET h a 1 b 2 c 3", ":3\r\n");
    connection.ask("HGETEX h EX 100 FIELDS 2 a x", "*2\r\n$1\r\n1\r\n$-1\r\n");
    connection.ask("HTTL h FIELDS 2 a b", "*2\r\n:100\r\n:-1\r\n");
    connection.ask("HGETEX h FIELDS 1 a", "*1\r\n$1\r\n1\r\n");
    connection.ask("HTTL h FIELDS 1 a", "*1\r\n:100\r\n");
    connection.ask("HGETEX h PERSIST FIELDS 1 a", "*1\r\n$1\r\n1\r\n");
    connection.ask("HTTL h FIELDS 1 a", "*1\r\n:-1\r\n");
    connection.ask("HGETEX h PXAT 4102444800123 FIELDS 1 a", "*1\r\n$1\r\n1\r\n");
    connection.ask("HPEXPIRETIME h FIELDS 1 a", "*1\r\n:4102444800123\r\n");
    connection.ask("HGETEX h EX 0 FIELDS 2 a a", "*2\r\n$1\r\n1\r\n$-1\r\n");
    connection.ask("HGETDEL h FIELDS 3 b b x", "*3\r\n$1\r\n2\r\n$-1\r\n$-1\r\n");
    connection.ask("HGETDEL h FIELDS 1 c", "*1\r\n$1\r\n3\r\n");
    connection.ask("EXISTS h", ":0\r\n");
}

#[test]
fn hsetex_sets_all_or_none() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let two_lifetimes = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified\r\n";
    let two_conditions = "-ERR Only one of FXX or FNX arguments can be specified\r\n";
    let arity = "-ERR wrong number of arguments for 'hsetex' command\r\n";
    for (command, answer) in [
        ("HSETEX h FXX FIELDS 1 a 1", ":0\r\n"),
        ("HSETEX h PXAT 1 FIELDS 1 a 1", ":1\r\n"),
        ("EXISTS h", ":0\r\n"),
        ("HSETEX h EX 100 FNX FIELDS 2 a 1 b 2", ":1\r\n"),
        ("HTTL h FIELDS 2 a b", "*2\r\n:100\r\n:100\r\n"),
        ("HSETEX h FNX FIELDS 2 c 1 b 2", ":0\r\n"),
        ("HEXISTS h c", ":0\r\n"),
        ("HSETEX h FXX FIELDS 2 b 1 c 2", ":0\r\n"),
        ("HSETEX h fxx keepttl fields 2 b 3 a 4", ":1\r\n"),
        ("HTTL h FIELDS 2 a b", "*2\r\n:100\r\n:100\r\n"),
        ("HMGET h a b", "*2\r\n$1\r\n4\r\n$1\r\n3\r\n"),
        ("HSETEX h EXAT 1 FIELDS 2 a 5 c 6", ":1\r\n"),
        ("HKEYS h", "*1\r\n$1\r\nb\r\n"),
        ("HSETEX h EX 1 KEEPTTL FIELDS 1 a 1", two_lifetimes),
        ("HSETEX h EX 1 EX 1 FIELDS 1 a 1", two_lifetimes),
        ("HSETEX h FXX FNX FIELDS 1 a 1", two_conditions),
        ("HSETEX h EX x FIELDS 1 a 1", NOT_INTEGER),
        ("HSETEX h PX -1 FIELDS 1 a 1", "-ERR invalid expire time, must be >= 0\r\n"),
        ("HSETEX h EX 9223372036854775807 FIELDS 1 a 1", "-ERR invalid expire time in 'hsetex' command\r\n"),
        ("HSETEX h nonsense FIELDS 1 a 1", "-ERR unknown argument: nonsense\r\n"),
        ("HSETEX h FIELDS x a 1", "-ERR invalid number of fields\r\n"),
        ("HSETEX h FIELDS 2147483648 a 1", "-ERR invalid number of fields\r\n"),
        ("HSETEX h FIELDS 2 a 1", arity),
        ("HSETEX h FIELDS 1 a 1 b", arity),
        ("HSETEX h FNX KEEPTTL FIELDS 1", arity),
        ("HSETEX h FNX KEEPTTL FXX EX", two_conditions),
        ("HSETEX h FNX FIELD 1 a EX", "-ERR unknown argument: FIELD\r\n"),
        ("HGET h b", "$1\r\n3\r\n"),
    ] {
        connection.ask(command, answer);
    }
}

/// What the large hashes of these tests hold.
fn value_of(number: usize) -> String {
    format!("{number}:{}", "v".repeat(number % 100))
}

/// Fills a hash with so many fields, a few hundred at a time.
fn fill(connection: &mut Connection, key: &str, count: usize) {
    for first in (0..count).step_by(200) {
        let words: Vec<String> =
            (first..count.min(first + 200)).flat_map(|number| [format!("field{number}"), value_of(number)]).collect();
        let mut command = vec!["HSET", key];
        command.extend(words.iter().map(String::as_str));
        assert_eq!(connection.call(&command), Value::Integer((words.len() / 2) as i64));
    }
}

const MANY: usize = 5000;

#[test]
fn a_large_hash_answers_like_a_small_one() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    fill(&mut connection, "h", MANY);
    let expected: BTreeMap<String, String> =
        (0..MANY).map(|number| (format!("field{number}"), value_of(number))).collect();
    connection.ask("HLEN h", &format!(":{MANY}\r\n"));
    assert_eq!(pairs(connection.call(&["HGETALL", "h"])), expected);
    assert_eq!(array(connection.call(&["HKEYS", "h"])).len(), MANY);
    assert_eq!(array(connection.call(&["HVALS", "h"])).len(), MANY);
    assert_eq!(connection.text(&["HGET", "h", "field4321"]), value_of(4321));
    assert_eq!(
        array(connection.call(&["HMGET", "h", "field1", "nope", "field4999"])),
        [bulk(&value_of(1)), Value::Null, bulk(&value_of(4999))]
    );
    let picked = pairs(connection.call(&["HRANDFIELD", "h", "700", "WITHVALUES"]));
    assert!(picked.len() == 700 && picked.iter().all(|(field, value)| expected.get(field) == Some(value)));
    assert_eq!(array(connection.call(&["HRANDFIELD", "h", "-7000"])).len(), 7000);
    let mut cursor = "0".to_owned();
    let mut scanned = Vec::new();
    loop {
        let answer = array(connection.call(&["HSCAN", "h", &cursor, "COUNT", "70"]));
        scanned.extend(array(answer[1].clone()).chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))));
        cursor = text(&answer[0]);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(scanned.len(), MANY, "each field once");
    assert_eq!(scanned.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn a_large_hash_is_changed_field_by_field_until_nothing_is_left() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    fill(&mut connection, "h", MANY);
    assert_eq!(connection.call(&["HINCRBY", "h", "count", "7"]), Value::Integer(7));
    assert_eq!(connection.call(&["HSET", "h", "field7", "other"]), Value::Integer(0));
    assert_eq!(connection.text(&["HGET", "h", "field7"]), "other");
    assert_eq!(
        connection.call(&["HEXPIRE", "h", "100", "FIELDS", "1", "field9"]),
        Value::Array(vec![Value::Integer(1)])
    );
    assert_eq!(connection.call(&["HDEL", "h", "count", "count"]), Value::Integer(1));
    let names: Vec<String> = (0..MANY).map(|number| format!("field{number}")).collect();
    for names in names.chunks(300) {
        let mut command = vec!["HDEL", "h"];
        command.extend(names.iter().map(String::as_str));
        assert_eq!(connection.call(&command), Value::Integer(names.len() as i64));
    }
    connection.ask("EXISTS h", ":0\r\n");
}

#[test]
fn expired_fields_of_a_large_hash_are_not_shown_and_the_key_goes_with_the_last_other_one() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    fill(&mut connection, "h", 600);
    let names: Vec<String> = (1..600).map(|number| format!("field{number}")).collect();
    let mut command = vec!["HPEXPIRE", "h", "200", "FIELDS", "599"];
    command.extend(names.iter().map(String::as_str));
    assert_eq!(array(connection.call(&command)).len(), 599);
    std::thread::sleep(Duration::from_millis(250));
    connection.ask("HGETALL h", "*2\r\n$6\r\nfield0\r\n$2\r\n0:\r\n");
    connection.ask("HRANDFIELD h", "$6\r\nfield0\r\n");
    connection.ask("HRANDFIELD h 3", "*1\r\n$6\r\nfield0\r\n");
    connection.ask("HRANDFIELD h -2", "*2\r\n$6\r\nfield0\r\n$6\r\nfield0\r\n");
    connection.ask("HDEL h field0", ":1\r\n");
    connection.ask("EXISTS h", ":0\r\n");
}
