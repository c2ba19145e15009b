//! SET with a comparison, DELIFEQ, MSETEX over the wire.

use crate::support::Server;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

#[test]
fn set_writes_only_over_the_value_it_expects() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (command, answer) in [
        ("SET k new IFEQ old", "$-1\r\n"),
        ("EXISTS k", ":0\r\n"),
        ("SET k one IFNE old", "+OK\r\n"),
        ("SET k two IFEQ old", "$-1\r\n"),
        ("SET k two ifeq one EX 100", "+OK\r\n"),
        ("TTL k", ":100\r\n"),
        ("SET k three IFNE two", "$-1\r\n"),
        ("SET k three IFEQ two GET KEEPTTL", "$3\r\ntwo\r\n"),
        ("TTL k", ":100\r\n"),
        ("SET k four GET IFEQ nope", "$5\r\nthree\r\n"),
        ("GET k", "$5\r\nthree\r\n"),
        ("SET k IFEQ IFEQ three", "+OK\r\n"),
        ("GET k", "$4\r\nIFEQ\r\n"),
        ("SET k v IFEQ", SYNTAX),
        ("SET k v NX IFEQ v", SYNTAX),
        ("SET k v IFEQ v XX", SYNTAX),
        ("SET k v IFEQ v IFNE w", SYNTAX),
        ("HSET h a 1", ":1\r\n"),
        ("SET h v IFEQ v", WRONG_TYPE),
        ("SET h v IFNE v", WRONG_TYPE),
    ] {
        connection.ask(command, answer);
    }
}

#[test]
fn set_compares_by_digest() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.command(&["SET", "k", ""]);
    connection.expect("+OK\r\n");
    // The digest of the empty string.
    connection.ask("SET k v IFDNE 2d06800538d394c2", "$-1\r\n");
    connection.ask("SET k v IFDEQ 2d06800538d394c3", "$-1\r\n");
    connection.ask("SET k v IFDEQ 2D06800538D394C2", "+OK\r\n");
    connection.ask("SET k w IFDNE 2d06800538d394c2", "+OK\r\n");
    connection.ask("SET missing v IFDEQ 2d06800538d394c2", "$-1\r\n");
    connection.ask("SET k v IFDEQ 2d06", "-ERR must be exactly 16 hexadecimal characters\r\n");
}

#[test]
fn delifeq_removes_only_what_it_expects() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let large = "x".repeat(100_000);
    connection.ask("DELIFEQ k v", ":0\r\n");
    connection.ask("SET k v", "+OK\r\n");
    connection.ask("DELIFEQ k w", ":0\r\n");
    connection.ask("DELIFEQ k v", ":1\r\n");
    connection.ask("EXISTS k", ":0\r\n");
    assert_eq!(connection.text(&["SET", "k", &large]), "OK");
    assert_eq!(connection.text(&["DELIFEQ", "k", &large[1..]]), "0");
    assert_eq!(connection.text(&["DELIFEQ", "k", &large]), "1");
    connection.ask("HSET h a 1", ":1\r\n");
    connection.ask("DELIFEQ h a", WRONG_TYPE);
}

#[test]
fn msetex_sets_all_or_none_with_one_time_to_live() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let pairs = "-ERR wrong number of key-value pairs\r\n";
    let count = "-ERR invalid numkeys value\r\n";
    for (command, answer) in [
        ("MSETEX 2 a 1 b 2 EX 100", ":1\r\n"),
        ("MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
        ("TTL b", ":100\r\n"),
        ("MSETEX 2 b 3 c 4 NX", ":0\r\n"),
        ("MSETEX 2 b 3 c 4 XX", ":0\r\n"),
        ("MGET b c", "*2\r\n$1\r\n2\r\n$-1\r\n"),
        ("MSETEX 2 a 5 b 6 KEEPTTL XX", ":1\r\n"),
        ("TTL a", ":100\r\n"),
        ("MSETEX 1 a 7", ":1\r\n"),
        ("TTL a", ":-1\r\n"),
        ("MSETEX 2 c 1 c 2 NX PX 100000", ":1\r\n"),
        ("GET c", "$1\r\n2\r\n"),
        ("MSETEX 2 a 1 b 2 PXAT 1", ":1\r\n"),
        ("EXISTS a b", ":0\r\n"),
        ("MSETEX 0 a 1", count),
        ("MSETEX x a 1", count),
        ("MSETEX 4611686018427387904 a 1", count),
        ("MSETEX 2147483647 a 1", pairs),
        ("MSETEX 2 a 1 b", pairs),
        ("MSETEX 1 a 1 b", SYNTAX),
        ("MSETEX 1 a 1 NX XX", SYNTAX),
        ("MSETEX 1 a 1 EX 5 KEEPTTL", SYNTAX),
        ("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command\r\n"),
        ("MSETEX 1 a 1 EX x", "-ERR value is not an integer or out of range\r\n"),
        ("COMMAND GETKEYS MSETEX 2 a 1 b 2 NX", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("EXISTS a b", ":0\r\n"),
    ] {
        connection.ask(command, answer);
    }
}
