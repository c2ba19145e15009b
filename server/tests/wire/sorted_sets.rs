//! Sorted sets over the wire: shapes in both protocols, edges, refusals, small ones and large ones.

use crate::support::{Connection, Server};
use thermocline_resp::Value;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

/// An array of these strings, in RESP2.
fn strings(strings: &[&str]) -> String {
    let texts: String = strings.iter().map(|text| format!("${}\r\n{text}\r\n", text.len())).collect();
    format!("*{}\r\n{texts}", strings.len())
}

fn start() -> (Server, Connection) {
    let server = Server::start(&[]);
    let connection = server.connect();
    (server, connection)
}

fn has(connection: &mut Connection, line: &str, expected: &[&str]) {
    connection.ask(line, &strings(expected));
}

/// The bulk strings of an array.
fn texts(value: Value) -> Vec<String> {
    let Value::Array(items) = value else { panic!("no array: {value:?}") };
    items
        .into_iter()
        .map(|item| match item {
            Value::Bulk(text) => String::from_utf8(text).expect("text"),
            other => panic!("no string: {other:?}"),
        })
        .collect()
}

#[test]
fn scores_are_given_as_the_options_say() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2 b 2 b", ":2\r\n");
    c.ask("ZADD z CH 1 a 3 b 4 c", ":2\r\n");
    c.ask("ZADD z nx 9 a 9 d", ":1\r\n");
    c.ask("ZADD z XX CH 8 a 8 e", ":1\r\n");
    c.ask("ZADD z GT CH 7 a 10 b 1 f", ":2\r\n");
    c.ask("ZADD z LT CH 9 a 9 b", ":1\r\n");
    has(&mut c, "ZRANGE z 0 -1 WITHSCORES", &["f", "1", "c", "4", "a", "8", "b", "9", "d", "9"]);
    c.ask("ZADD z INCR 2 a", "$2\r\n10\r\n");
    c.ask("ZADD z NX INCR 2 a", "$-1\r\n");
    c.ask("ZADD z GT INCR -2 a", "$-1\r\n");
    c.ask("ZADD z LT INCR -2 a", "$1\r\n8\r\n");
    c.ask("ZADD z XX INCR 2 missing", "$-1\r\n");
    c.ask("ZADD z CH INCR 2 new", "$1\r\n2\r\n");
    c.ask("ZINCRBY z 0.5 new", "$3\r\n2.5\r\n");
    c.ask("ZINCRBY fresh 3 a", "$1\r\n3\r\n");
    c.ask("ZADD none XX 1 a", ":0\r\n");
    c.ask("EXISTS none", ":0\r\n");
}

#[test]
fn options_that_contradict_each_other_are_refused_before_anything_changes() {
    let (_server, mut c) = start();
    c.ask("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible\r\n");
    for options in ["NX GT", "NX LT", "GT LT"] {
        c.ask(
            &format!("ZADD z {options} 1 a"),
            "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n",
        );
    }
    c.ask("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair\r\n");
    c.ask("ZADD z NX XX 1 a b", SYNTAX);
    c.ask("ZADD z NX XX", SYNTAX);
    c.ask("ZINCRBY z NX a", SYNTAX);
    c.ask("ZADD z 1", "-ERR wrong number of arguments for 'zadd' command\r\n");
    c.ask("ZADD z 1 a x b", "-ERR value is not a valid float\r\n");
    c.ask("EXISTS z", ":0\r\n");
}

#[test]
fn scores_are_read_and_printed_as_in_redis_7_2() {
    let (_server, mut c) = start();
    for (text, printed) in [
        ("3.0", "3"),
        (".5", "0.5"),
        ("0.1", "0.1"),
        ("-0", "0"),
        ("0x1p3", "8"),
        ("1e17", "100000000000000000"),
        ("1e19", "1e+19"),
        ("-1.5e-9", "-1.5e-9"),
        ("+Infinity", "inf"),
        ("-INF", "-inf"),
        ("1e-320", "1e-320"),
        ("123456.789", "123456.789"),
    ] {
        c.ask(&format!("ZADD z {text} m"), if text == "3.0" { ":1\r\n" } else { ":0\r\n" });
        c.ask("ZSCORE z m", &format!("${}\r\n{printed}\r\n", printed.len()));
    }
    for text in ["x", "\"\"", "\" 1\"", "\"1 \"", "nan", "1e400", "1e-400", "0x", "1,5"] {
        c.ask(&format!("ZADD z {text} m"), "-ERR value is not a valid float\r\n");
        c.ask(&format!("ZINCRBY z {text} m"), "-ERR value is not a valid float\r\n");
    }
}

#[test]
fn a_sum_that_is_no_number_is_refused_and_the_score_stays() {
    let (_server, mut c) = start();
    c.ask("ZADD z inf a", ":1\r\n");
    c.ask("ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)\r\n");
    c.ask("ZADD z INCR -inf a", "-ERR resulting score is not a number (NaN)\r\n");
    c.ask("ZSCORE z a", "$3\r\ninf\r\n");
}

#[test]
fn members_are_listed_by_score_and_then_by_name() {
    let (_server, mut c) = start();
    c.ask("ZADD z 2 c 1 b 2 a 1 B 3 d", ":5\r\n");
    has(&mut c, "ZRANGE z 0 -1", &["B", "b", "a", "c", "d"]);
    has(&mut c, "ZREVRANGE z 0 1 WITHSCORES", &["d", "3", "c", "2"]);
    has(&mut c, "ZRANGE z 1 2 REV", &["c", "a"]);
    has(&mut c, "ZRANGE z -2 -1", &["c", "d"]);
    has(&mut c, "ZRANGE z -100 0", &["B"]);
    has(&mut c, "ZRANGE z 0 -100", &[]);
    has(&mut c, "ZRANGE z 5 9", &[]);
    has(&mut c, "ZRANGE z 3 2", &[]);
    has(&mut c, "ZREVRANGE z 3 -1", &["b", "B"]);
    has(&mut c, "ZRANGE missing 0 -1", &[]);
    has(&mut c, "ZRANGE z 0 0 LIMIT 7 -1", &["B"]);
    c.ask(
        "ZRANGE z 0 -1 LIMIT 0 1",
        "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX\r\n",
    );
    c.ask("ZRANGE z x 1", "-ERR value is not an integer or out of range\r\n");
    for line in [
        "ZRANGE z 0 1 BYSCORE BYLEX",
        "ZRANGE z 0 1 LIMIT 0",
        "ZREVRANGE z 0 1 REV",
        "ZRANGE z 0 1 WITHSCORE",
        "ZRANGE z 0 1 REV REV",
    ] {
        c.ask(line, SYNTAX);
    }
}

#[test]
fn a_part_is_named_by_scores() {
    let (_server, mut c) = start();
    c.ask("ZADD z -inf low 1 a 2 b 3 c +inf high", ":5\r\n");
    has(&mut c, "ZRANGEBYSCORE z 1 3", &["a", "b", "c"]);
    has(&mut c, "ZRANGEBYSCORE z (1 (3", &["b"]);
    has(&mut c, "ZRANGEBYSCORE z -inf +inf", &["low", "a", "b", "c", "high"]);
    has(&mut c, "ZRANGEBYSCORE z (-inf (inf WITHSCORES", &["a", "1", "b", "2", "c", "3"]);
    has(&mut c, "ZREVRANGEBYSCORE z 3 1 LIMIT 1 1", &["b"]);
    has(&mut c, "ZRANGE z 3 1 BYSCORE REV LIMIT 0 2 WITHSCORES", &["c", "3", "b", "2"]);
    has(&mut c, "ZRANGE z 1 3 BYSCORE REV", &[]);
    has(&mut c, "ZRANGE z 1 3 BYSCORE LIMIT 1 -1", &["b", "c"]);
    has(&mut c, "ZRANGE z 1 3 BYSCORE LIMIT -1 2", &[]);
    has(&mut c, "ZRANGE z 1 3 BYSCORE LIMIT 0 0", &[]);
    has(&mut c, "ZRANGEBYSCORE z (2 (2", &[]);
    has(&mut c, "ZRANGEBYSCORE z \"\" 2", &["a", "b"]);
    c.ask("ZCOUNT z (1 +inf", ":3\r\n");
    c.ask("ZCOUNT z 3 1", ":0\r\n");
    c.ask("ZCOUNT z (inf inf", ":0\r\n");
    c.ask("ZCOUNT missing 0 1", ":0\r\n");
    for line in ["ZCOUNT z x 1", "ZCOUNT z 1 nan", "ZRANGE z - + BYSCORE", "ZREMRANGEBYSCORE z [1 2"] {
        c.ask(line, "-ERR min or max is not a float\r\n");
    }
    c.ask("ZRANGEBYSCORE z 1 2 LIMIT a 1", "-ERR value is not an integer or out of range\r\n");
    c.ask("ZRANGEBYSCORE z 1 2 REV", SYNTAX);
}

#[test]
fn a_part_is_named_by_members_of_one_score() {
    let (_server, mut c) = start();
    c.ask("ZADD z 5 a 5 b 5 bb 5 c 5 \"\"", ":5\r\n");
    has(&mut c, "ZRANGEBYLEX z - +", &["", "a", "b", "bb", "c"]);
    has(&mut c, "ZRANGEBYLEX z [b (c", &["b", "bb"]);
    has(&mut c, "ZRANGEBYLEX z (b +", &["bb", "c"]);
    has(&mut c, "ZREVRANGEBYLEX z [c (a LIMIT 1 1", &["bb"]);
    has(&mut c, "ZRANGE z + (b BYLEX REV", &["c", "bb"]);
    has(&mut c, "ZRANGEBYLEX z + -", &[]);
    has(&mut c, "ZRANGEBYLEX missing - +", &[]);
    c.ask("ZLEXCOUNT z - [b", ":3\r\n");
    c.ask("ZLEXCOUNT z ( [b", ":2\r\n");
    c.ask("ZREMRANGEBYLEX z [a [b", ":2\r\n");
    has(&mut c, "ZRANGE z 0 -1", &["", "bb", "c"]);
    for line in ["ZLEXCOUNT z a +", "ZLEXCOUNT z - \"\"", "ZRANGEBYLEX z -a +", "ZREMRANGEBYLEX z - c"] {
        c.ask(line, "-ERR min or max not valid string range item\r\n");
    }
    c.ask("ZRANGEBYLEX z - + WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n");
}

#[test]
fn a_member_has_a_rank_from_either_end() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2 b 3.5 c", ":3\r\n");
    c.ask("ZRANK z c", ":2\r\n");
    c.ask("ZREVRANK z c", ":0\r\n");
    c.ask("ZRANK z x", "$-1\r\n");
    c.ask("ZRANK missing x", "$-1\r\n");
    c.ask("ZRANK z c WITHSCORE", "*2\r\n:2\r\n$3\r\n3.5\r\n");
    c.ask("ZRANK z x withscore", "*-1\r\n");
    c.ask("ZREVRANK missing x WITHSCORE", "*-1\r\n");
    c.ask("ZRANK z c WITHSCORES", SYNTAX);
    c.ask("ZREVRANK z c WITHSCORE x", "-ERR wrong number of arguments for 'zrevrank' command\r\n");
    c.ask("ZMSCORE z a x c", "*3\r\n$1\r\n1\r\n$-1\r\n$3\r\n3.5\r\n");
    c.ask("ZMSCORE missing a", "*1\r\n$-1\r\n");
    c.ask("ZSCORE z x", "$-1\r\n");
    c.ask("ZCARD z", ":3\r\n");
    c.ask("ZCARD missing", ":0\r\n");
}

#[test]
fn what_is_emptied_is_gone_and_what_is_left_keeps_its_time_to_live() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6\r\n");
    c.ask("EXPIRE z 1000", ":1\r\n");
    c.ask("ZREM z a a x", ":1\r\n");
    c.ask("ZREMRANGEBYRANK z -1 -1", ":1\r\n");
    c.ask("ZREMRANGEBYSCORE z (2 3", ":1\r\n");
    c.ask("ZADD z 9 g", ":1\r\n");
    c.ask("ZINCRBY z 1 g", "$2\r\n10\r\n");
    has(&mut c, "ZPOPMAX z", &["g", "10"]);
    has(&mut c, "ZRANGE z 0 -1", &["b", "d", "e"]);
    let left: i64 = c.text(&["TTL", "z"]).parse().expect("a number");
    assert!((990..=1000).contains(&left), "{left} seconds left");
    c.ask("ZREMRANGEBYRANK z 0 -1", ":3\r\n");
    c.ask("EXISTS z", ":0\r\n");
    c.ask("ZADD z 1 a", ":1\r\n");
    c.ask("TTL z", ":-1\r\n");
    c.ask("ZREM z a", ":1\r\n");
    c.ask("EXISTS z", ":0\r\n");
    c.ask("ZREM z a", ":0\r\n");
    c.ask("ZREMRANGEBYRANK z 0 1", ":0\r\n");
    c.ask("ZREMRANGEBYRANK z x 1", "-ERR value is not an integer or out of range\r\n");
}

#[test]
fn the_lowest_and_the_highest_are_popped() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2 b 3 c 4 d", ":4\r\n");
    has(&mut c, "ZPOPMIN z", &["a", "1"]);
    has(&mut c, "ZPOPMAX z 2", &["d", "4", "c", "3"]);
    has(&mut c, "ZPOPMIN z 0", &[]);
    has(&mut c, "ZPOPMIN z 9223372036854775807", &["b", "2"]);
    c.ask("EXISTS z", ":0\r\n");
    has(&mut c, "ZPOPMIN z", &[]);
    for count in ["-1", "x", "9223372036854775808"] {
        c.ask(&format!("ZPOPMAX z {count}"), "-ERR value is out of range, must be positive\r\n");
    }
    c.ask("ZPOPMIN z 1 2", SYNTAX);
}

#[test]
fn the_first_key_that_exists_is_popped_from() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2 b 3 c", ":3\r\n");
    c.ask("ZMPOP 2 missing z MIN", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    c.ask("ZMPOP 1 z MAX COUNT 5", "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
    c.ask("ZMPOP 2 missing z MIN", "*-1\r\n");
    c.ask("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0\r\n");
    c.ask("ZMPOP x z MIN", "-ERR numkeys should be greater than 0\r\n");
    c.ask("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0\r\n");
    c.ask("ZMPOP 1 z MIN COUNT x", "-ERR count should be greater than 0\r\n");
    for line in [
        "ZMPOP 2 z MIN",
        "ZMPOP 9223372036854775807 z MIN",
        "ZMPOP 1 z MIDDLE",
        "ZMPOP 1 z MIN COUNT",
        "ZMPOP 1 z MIN COUNT 1 COUNT 1",
        "ZMPOP 1 z MIN SOME 1",
    ] {
        c.ask(line, SYNTAX);
    }
    c.ask("SET s v", "+OK\r\n");
    c.ask("ZMPOP 2 missing s MIN", WRONG_TYPE);
}

#[test]
fn resp3_has_doubles_pairs_and_one_null() {
    let (_server, mut c) = start();
    c.call(&["HELLO", "3"]);
    c.ask("ZADD z 1 a 2.5 b 3 c", ":3\r\n");
    c.ask("ZSCORE z b", ",2.5\r\n");
    c.ask("ZSCORE z x", "_\r\n");
    c.ask("ZMSCORE z a x", "*2\r\n,1\r\n_\r\n");
    c.ask("ZINCRBY z 1 a", ",2\r\n");
    c.ask("ZADD z INCR -1 a", ",1\r\n");
    c.ask("ZADD z NX INCR -1 a", "_\r\n");
    c.ask("ZRANGE z 0 1 WITHSCORES", "*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n");
    c.ask("ZRANGE z 0 0", "*1\r\n$1\r\na\r\n");
    c.ask(
        "ZUNION 1 z WITHSCORES WEIGHTS 2",
        "*3\r\n*2\r\n$1\r\na\r\n,2\r\n*2\r\n$1\r\nb\r\n,5\r\n*2\r\n$1\r\nc\r\n,6\r\n",
    );
    c.ask("ZRANK z b WITHSCORE", "*2\r\n:1\r\n,2.5\r\n");
    c.ask("ZRANK z x", "_\r\n");
    c.ask("ZRANK z x WITHSCORE", "_\r\n");
    c.ask("ZRANDMEMBER missing", "_\r\n");
    c.ask("ZSCAN z 0 MATCH b", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$3\r\n2.5\r\n");
    c.ask("ZPOPMIN z", "*2\r\n$1\r\na\r\n,1\r\n");
    c.ask("ZPOPMIN z 1", "*1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n");
    c.ask("ZRANDMEMBER z 5 WITHSCORES", "*1\r\n*2\r\n$1\r\nc\r\n,3\r\n");
    c.ask("ZMPOP 1 z MIN", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nc\r\n,3\r\n");
    c.ask("ZMPOP 1 z MIN", "_\r\n");
    c.ask("ZPOPMIN z", "*0\r\n");
}

#[test]
fn several_sorted_sets_are_joined() {
    let (_server, mut c) = start();
    c.ask("ZADD x 1 a 2 b 3 c", ":3\r\n");
    c.ask("ZADD y 10 b 20 c 30 d", ":3\r\n");
    has(&mut c, "ZUNION 2 x y WITHSCORES", &["a", "1", "b", "12", "c", "23", "d", "30"]);
    has(&mut c, "ZUNION 2 x missing", &["a", "b", "c"]);
    has(&mut c, "ZUNION 2 x x WITHSCORES AGGREGATE sum", &["a", "2", "b", "4", "c", "6"]);
    has(&mut c, "ZINTER 2 x y WITHSCORES WEIGHTS 2 0.5 AGGREGATE MAX", &["b", "5", "c", "10"]);
    has(&mut c, "ZINTER 2 x y AGGREGATE MIN WITHSCORES", &["b", "2", "c", "3"]);
    has(&mut c, "ZINTER 2 x missing", &[]);
    has(&mut c, "ZDIFF 2 x y WITHSCORES", &["a", "1"]);
    has(&mut c, "ZDIFF 3 x missing x", &[]);
    has(&mut c, "ZDIFF 2 missing x", &[]);
    c.ask("ZINTERCARD 2 x y", ":2\r\n");
    c.ask("ZINTERCARD 2 x y LIMIT 1", ":1\r\n");
    c.ask("ZINTERCARD 2 x y LIMIT 0", ":2\r\n");
    c.ask("ZINTERCARD 2 x y LIMIT -1", "-ERR LIMIT can't be negative\r\n");
    c.ask("ZUNION 2 x y WEIGHTS 1 x", "-ERR weight value is not a float\r\n");
    c.ask("ZUNION x y", "-ERR value is not an integer or out of range\r\n");
    for (name, start) in [
        ("zunion", ""),
        ("zinter", ""),
        ("zdiff", ""),
        ("zintercard", ""),
        ("zunionstore", "d "),
        ("zinterstore", "d "),
        ("zdiffstore", "d "),
    ] {
        let refusal = format!("-ERR at least 1 input key is needed for '{name}' command\r\n");
        c.ask(&format!("{name} {start}0 x"), &refusal);
        c.ask(&format!("{name} {start}-1 x"), &refusal);
        c.ask(&format!("{name} {start}3 x y"), SYNTAX);
        c.ask(&format!("{name} {start}9223372036854775807 x y"), SYNTAX);
        c.ask(&format!("{name} {start}1 x NONSENSE"), SYNTAX);
    }
    for line in [
        "ZUNION 2 x y WEIGHTS 1",
        "ZUNION 2 x y AGGREGATE",
        "ZUNION 2 x y AGGREGATE mean",
        "ZDIFF 2 x y WEIGHTS 1 1",
        "ZINTERCARD 2 x y WITHSCORES",
        "ZUNIONSTORE d 2 x y WITHSCORES",
    ] {
        c.ask(line, SYNTAX);
    }
}

#[test]
fn infinities_never_join_to_what_is_no_number() {
    let (_server, mut c) = start();
    c.ask("ZADD up inf a", ":1\r\n");
    c.ask("ZADD down -inf a", ":1\r\n");
    c.ask("ZADD one 1 a", ":1\r\n");
    has(&mut c, "ZUNION 2 up down WITHSCORES", &["a", "0"]);
    has(&mut c, "ZUNION 1 up WEIGHTS 0 WITHSCORES", &["a", "0"]);
    has(&mut c, "ZINTER 2 one up WEIGHTS 1 0 AGGREGATE MAX WITHSCORES", &["a", "1"]);
    c.ask("ZUNIONSTORE stored 2 up down", ":1\r\n");
    c.ask("ZINCRBY stored 1 a", "$1\r\n1\r\n");
}

#[test]
fn plain_sets_take_part_with_scores_of_one() {
    let (_server, mut c) = start();
    c.ask("SADD s a b x", ":3\r\n");
    c.ask("ZADD z 5 a 6 b 7 c", ":3\r\n");
    has(&mut c, "ZUNION 2 z s WITHSCORES", &["x", "1", "a", "6", "b", "7", "c", "7"]);
    has(&mut c, "ZINTER 2 s z WEIGHTS 10 1 WITHSCORES", &["a", "15", "b", "16"]);
    has(&mut c, "ZDIFF 2 z s WITHSCORES", &["c", "7"]);
    has(&mut c, "ZDIFF 2 s z WITHSCORES", &["x", "1"]);
    c.ask("ZINTERCARD 2 z s", ":2\r\n");
    c.ask("ZUNIONSTORE s 1 s", ":3\r\n");
    c.ask("TYPE s", "+zset\r\n");
}

#[test]
fn what_is_stored_replaces_whatever_was_there() {
    let (_server, mut c) = start();
    c.ask("ZADD x 1 a 2 b", ":2\r\n");
    c.ask("ZADD y 5 b 6 c", ":2\r\n");
    for (line, answer, left) in [
        ("ZUNIONSTORE d 2 x y", ":3\r\n", ["a", "1", "c", "6", "b", "7"].as_slice()),
        ("ZINTERSTORE d 2 x y WEIGHTS 1 2", ":1\r\n", &["b", "12"]),
        ("ZDIFFSTORE d 2 x y", ":1\r\n", &["a", "1"]),
        ("ZRANGESTORE d y 0 0", ":1\r\n", &["b", "5"]),
        ("ZRANGESTORE d y (5 +inf BYSCORE LIMIT 0 5", ":1\r\n", &["c", "6"]),
        ("ZRANGESTORE d y 0 0 REV", ":1\r\n", &["c", "6"]),
    ] {
        c.ask("SET d old EX 1000", "+OK\r\n");
        c.ask(line, answer);
        has(&mut c, "ZRANGE d 0 -1 WITHSCORES", left);
        c.ask("TTL d", ":-1\r\n");
    }
    for line in [
        "ZINTERSTORE d 2 x missing",
        "ZDIFFSTORE d 2 x x",
        "ZUNIONSTORE d 1 missing",
        "ZRANGESTORE d x 5 9",
        "ZRANGESTORE d missing 0 1",
    ] {
        c.ask("SET d old", "+OK\r\n");
        c.ask(line, ":0\r\n");
        c.ask("EXISTS d", ":0\r\n");
    }
    // A source may be the destination too.
    c.ask("ZUNIONSTORE x 2 x y", ":3\r\n");
    has(&mut c, "ZRANGE x 0 -1 WITHSCORES", &["a", "1", "c", "6", "b", "7"]);
    c.ask("ZRANGESTORE x x 0 0", ":1\r\n");
    has(&mut c, "ZRANGE x 0 -1", &["a"]);
    c.ask("ZRANGESTORE d x 0 0 WITHSCORES", SYNTAX);
}

#[test]
fn picks_are_members_and_all_come_up() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2 b 3 c", ":3\r\n");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        seen.insert(c.text(&["ZRANDMEMBER", "z"]));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    let mut pairs = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut pair = texts(c.call(&["ZRANDMEMBER", "z", "2"]));
        pair.sort();
        assert_ne!(pair[0], pair[1]);
        pairs.insert(pair);
    }
    assert_eq!(pairs.len(), 3);
    let all = texts(c.call(&["ZRANDMEMBER", "z", "9223372036854775807"]));
    assert_eq!(all.len(), 3);
    let repeated = texts(c.call(&["ZRANDMEMBER", "z", "-50", "WITHSCORES"]));
    assert_eq!(repeated.len(), 100);
    assert!(repeated.chunks(2).all(|pair| matches!([&*pair[0], &*pair[1]], ["a", "1"] | ["b", "2"] | ["c", "3"])));
    has(&mut c, "ZRANDMEMBER z 0", &[]);
    has(&mut c, "ZRANDMEMBER missing -5", &[]);
    c.ask("ZRANDMEMBER missing", "$-1\r\n");
    c.ask("ZRANDMEMBER z x", "-ERR value is not an integer or out of range\r\n");
    c.ask("ZRANDMEMBER z 1 WITHSCORE", SYNTAX);
    c.ask("ZRANDMEMBER z 1 WITHSCORES x", SYNTAX);
    c.ask("ZRANDMEMBER z 4611686018427387904 WITHSCORES", "-ERR value is out of range\r\n");
    c.ask(
        "ZRANDMEMBER z -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
    );
}

#[test]
fn a_claim_of_many_picks_takes_no_memory() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a", ":1\r\n");
    for count in ["-9223372036854775807", "-1099511627776", "-100000000"] {
        let answer = c.text(&["ZRANDMEMBER", "z", count]);
        assert!(answer.starts_with("OOM "), "{answer}");
    }
    c.ask("ZRANDMEMBER z -2", "*2\r\n$1\r\na\r\n$1\r\na\r\n");
}

#[test]
fn a_small_sorted_set_is_scanned_in_one_call() {
    let (_server, mut c) = start();
    c.ask("ZADD z 1 a 2.5 b 3 ab", ":3\r\n");
    c.ask("ZSCAN z 0 COUNT 1", &format!("*2\r\n$1\r\n0\r\n{}", strings(&["a", "1", "b", "2.5", "ab", "3"])));
    c.ask("ZSCAN z 0 MATCH a* COUNT 100", &format!("*2\r\n$1\r\n0\r\n{}", strings(&["a", "1", "ab", "3"])));
    c.ask("ZSCAN z 0 NOSCORES", &format!("*2\r\n$1\r\n0\r\n{}", strings(&["a", "b", "ab"])));
    c.ask("ZSCAN missing 0 NONSENSE", "*2\r\n$1\r\n0\r\n*0\r\n");
    c.ask("ZSCAN z x", "-ERR invalid cursor\r\n");
    for line in ["ZSCAN z 0 COUNT 0", "ZSCAN z 0 COUNT", "ZSCAN z 0 NONSENSE", "ZSCAN z 0 TYPE zset"] {
        c.ask(line, SYNTAX);
    }
    c.ask("ZSCAN z 0 COUNT x", "-ERR value is not an integer or out of range\r\n");
}

#[test]
fn another_type_is_refused_by_every_command() {
    let (_server, mut c) = start();
    c.ask("SET s v", "+OK\r\n");
    c.ask("ZADD z 1 a", ":1\r\n");
    for line in [
        "ZADD s 1 a",
        "ZADD s XX 1 a",
        "ZINCRBY s 1 a",
        "ZCARD s",
        "ZSCORE s a",
        "ZMSCORE s a",
        "ZRANK s a",
        "ZREVRANK s a",
        "ZCOUNT s 0 1",
        "ZLEXCOUNT s - +",
        "ZRANGE s 0 -1",
        "ZREVRANGE s 0 -1",
        "ZRANGEBYSCORE s 0 1",
        "ZREVRANGEBYSCORE s 1 0",
        "ZRANGEBYLEX s - +",
        "ZREVRANGEBYLEX s + -",
        "ZRANGESTORE d s 0 -1",
        "ZREM s a",
        "ZREMRANGEBYRANK s 0 1",
        "ZREMRANGEBYSCORE s 0 1",
        "ZREMRANGEBYLEX s - +",
        "ZPOPMIN s",
        "ZPOPMAX s 0",
        "ZMPOP 1 s MIN",
        "ZRANDMEMBER s",
        "ZRANDMEMBER s 0",
        "ZSCAN s 0",
        "ZUNION 2 z s NONSENSE",
        "ZINTER 2 missing s",
        "ZDIFF 2 z s",
        "ZINTERCARD 2 missing s",
        "ZUNIONSTORE d 1 s",
        "ZINTERSTORE d 2 z s",
        "ZDIFFSTORE d 2 z s",
    ] {
        c.ask(line, WRONG_TYPE);
    }
    c.ask("GET z", WRONG_TYPE);
    c.ask("GET s", "$1\r\nv\r\n");
}

#[test]
fn a_transaction_sees_what_its_commands_have_done() {
    let (_server, mut c) = start();
    for (line, answer) in [
        ("MULTI", "+OK\r\n"),
        ("ZADD z 1 a 2 b", "+QUEUED\r\n"),
        ("ZPOPMIN z", "+QUEUED\r\n"),
        ("ZINCRBY z x b", "+QUEUED\r\n"),
        ("ZRANGE z 0 -1 WITHSCORES", "+QUEUED\r\n"),
        ("ZUNIONSTORE z 1 missing", "+QUEUED\r\n"),
        ("EXISTS z", "+QUEUED\r\n"),
    ] {
        c.ask(line, answer);
    }
    c.ask(
        "EXEC",
        "*6\r\n:2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n-ERR value is not a valid float\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n:0\r\n:0\r\n",
    );
}

#[test]
fn keys_are_found_where_they_stand() {
    let (_server, mut c) = start();
    has(&mut c, "COMMAND GETKEYS ZUNIONSTORE d 2 a b WEIGHTS 1 2", &["d", "a", "b"]);
    has(&mut c, "COMMAND GETKEYS ZRANGESTORE d s 0 -1", &["d", "s"]);
    has(&mut c, "COMMAND GETKEYS ZINTERCARD 2 a b LIMIT 3", &["a", "b"]);
    has(&mut c, "COMMAND GETKEYS ZMPOP 1 a MIN", &["a"]);
}

/// Members of a sorted set that is no single record: 5,000 of them, about 60 bytes each.
const LARGE: usize = 5_000;

fn large_member(number: usize) -> String {
    format!("{number:05}{}", "m".repeat(20 + number % 80))
}

/// Fills `key`: member n has the score n / 4, so four share each score.
fn fill(c: &mut Connection, key: &str) {
    for start in (0..LARGE).step_by(500) {
        let mut words = vec!["ZADD".to_owned(), key.to_owned()];
        // Not in order: 7 has no common divisor with 500.
        for number in (0..500).map(|number| start + number * 7 % 500) {
            words.extend([(number / 4).to_string(), large_member(number)]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(c.call(&words), Value::Integer(500));
    }
}

fn expected(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(large_member).collect()
}

#[test]
fn a_large_sorted_set_answers_as_a_small_one() {
    let (_server, mut c) = start();
    fill(&mut c, "z");
    c.ask("ZCARD z", &format!(":{LARGE}\r\n"));
    assert_eq!(texts(c.call(&["ZRANGE", "z", "0", "-1"])), expected(0..LARGE));
    assert_eq!(texts(c.call(&["ZREVRANGE", "z", "10", "20"])), expected((LARGE - 21..LARGE - 10).rev()));
    assert_eq!(texts(c.call(&["ZRANGEBYSCORE", "z", "(9", "19", "LIMIT", "5", "30"])), expected(45..75));
    assert_eq!(
        texts(c.call(&["ZRANGE", "z", "19", "(9", "BYSCORE", "REV", "LIMIT", "5", "30"])),
        expected((45..75).rev())
    );
    c.ask("ZCOUNT z 100 (200", ":400\r\n");
    for number in (0..LARGE).step_by(97) {
        let member = large_member(number);
        c.ask(&format!("ZRANK z {member}"), &format!(":{number}\r\n"));
        c.ask(&format!("ZREVRANK z {member}"), &format!(":{}\r\n", LARGE - 1 - number));
        assert_eq!(c.text(&["ZSCORE", "z", &member]), (number / 4).to_string());
    }
    let member = large_member(0);
    c.ask(&format!("ZADD z CH 100.5 {member}"), ":1\r\n");
    c.ask(&format!("ZRANK z {member}"), ":403\r\n");
    c.ask(&format!("ZADD z CH INCR -100.5 {member}"), "$1\r\n0\r\n");
    c.ask(&format!("ZRANK z {member}"), ":0\r\n");
    assert_eq!(texts(c.call(&["ZPOPMIN", "z", "100"])).len(), 200);
    c.ask("ZREMRANGEBYRANK z -100 -1", ":100\r\n");
    c.ask("ZREMRANGEBYSCORE z 500 (600", ":400\r\n");
    assert_eq!(texts(c.call(&["ZRANGE", "z", "0", "-1"])), expected((100..2000).chain(2400..LARGE - 100)));
    let picks = texts(c.call(&["ZRANDMEMBER", "z", "1000"]));
    assert_eq!(picks.iter().collect::<std::collections::BTreeSet<_>>().len(), 1000);
    c.ask("ZREMRANGEBYSCORE z -inf +inf", ":4400\r\n");
    c.ask("EXISTS z", ":0\r\n");
}

#[test]
fn a_large_sorted_set_is_scanned_completely_while_it_changes() {
    let (_server, mut c) = start();
    fill(&mut c, "z");
    let mut cursor = "0".to_owned();
    let mut seen = Vec::new();
    let mut calls = 0;
    loop {
        let Value::Array(parts) = c.call(&["ZSCAN", "z", &cursor, "COUNT", "50"]) else { panic!("an array") };
        let [Value::Bulk(next), members] = &parts[..] else { panic!("{parts:?}") };
        seen.extend(texts(members.clone()).chunks(2).map(|pair| pair[0].clone()));
        cursor = String::from_utf8(next.clone()).expect("digits");
        calls += 1;
        if cursor == "0" {
            break;
        }
        // Others come and go, scores change: what stays is met exactly once.
        c.ask(&format!("ZADD z {calls} other{calls}"), ":1\r\n");
        c.ask(&format!("ZINCRBY z 1000 {}", large_member(calls)), &format!("$4\r\n{}\r\n", calls / 4 + 1000));
        if calls > 1 {
            c.ask(&format!("ZREM z other{}", calls - 1), ":1\r\n");
        }
    }
    assert!(calls > 20, "{calls} calls");
    seen.retain(|member| !member.starts_with("other"));
    seen.sort();
    assert_eq!(seen, expected(0..LARGE));
}

#[test]
fn large_sorted_sets_are_joined_and_stored() {
    let (_server, mut c) = start();
    fill(&mut c, "z");
    c.ask("ZRANGESTORE half z 0 2499", ":2500\r\n");
    c.ask("ZUNIONSTORE both 2 z half", &format!(":{LARGE}\r\n"));
    c.ask("ZCOUNT both -inf (1000", ":3500\r\n");
    c.ask("ZINTERSTORE common 2 z half WEIGHTS 0 1", ":2500\r\n");
    assert_eq!(texts(c.call(&["ZRANGE", "common", "0", "-1"])), expected(0..2500));
    c.ask("ZDIFFSTORE rest 2 z half", ":2500\r\n");
    assert_eq!(texts(c.call(&["ZRANGE", "rest", "0", "-1"])), expected(2500..LARGE));
    c.ask("ZINTERCARD 2 rest half", ":0\r\n");
    c.ask("ZINTERCARD 2 z half LIMIT 2000", ":2000\r\n");
    assert_eq!(texts(c.call(&["ZDIFF", "2", "z", "rest"])), expected(0..2500));
}

#[test]
fn a_large_sorted_set_on_the_ssd_is_read_and_changed_like_one_in_memory() {
    let (_server, mut c) = start();
    fill(&mut c, "z");
    let mut left: Vec<usize> = (0..LARGE).collect();
    for round in 0..4 {
        let demote = |c: &mut Connection| c.call(&["TIER", "DEMOTE", "z"]);
        demote(&mut c);
        // A few of all parts of it, so that each command meets nodes that are not in memory.
        let some: Vec<usize> = left.iter().copied().skip(round * 3).step_by(61).collect();
        let members: Vec<String> = some.iter().map(|number| large_member(*number)).collect();
        let mut words = vec!["ZMSCORE", "z"];
        words.extend(members.iter().map(String::as_str));
        let scores: Vec<String> = some.iter().map(|number| (number / 4).to_string()).collect();
        assert_eq!(texts(c.call(&words)), scores);
        demote(&mut c);
        assert_eq!(texts(c.call(&["ZRANDMEMBER", "z", "-300"])).len(), 300);
        demote(&mut c);
        words[0] = "ZREM";
        assert_eq!(c.call(&words), Value::Integer(some.len() as i64));
        left.retain(|number| !some.contains(number));
        demote(&mut c);
        let lowest = texts(c.call(&["ZPOPMIN", "z", "40"]));
        assert_eq!(lowest.chunks(2).map(|pair| pair[0].clone()).collect::<Vec<_>>(), expected(left.drain(..40)));
        demote(&mut c);
        // Back in, at another place and at its own again.
        let moved = large_member(left[17]);
        c.ask(&format!("ZINCRBY z 5000 {moved}"), &format!("$4\r\n{}\r\n", left[17] / 4 + 5000));
        c.ask(&format!("ZREVRANK z {moved}"), ":0\r\n");
        demote(&mut c);
        c.ask(&format!("ZADD z CH {} {moved}", left[17] / 4), ":1\r\n");
        demote(&mut c);
        assert_eq!(texts(c.call(&["ZRANGE", "z", "0", "-1"])), expected(left.iter().copied()));
        demote(&mut c);
        c.ask("ZRANGESTORE copy z 0 -1", &format!(":{}\r\n", left.len()));
        c.call(&["TIER", "DEMOTE", "copy"]);
        demote(&mut c);
        c.ask("ZINTERCARD 2 z copy", &format!(":{}\r\n", left.len()));
    }
}
