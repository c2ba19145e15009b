//! MULTI, EXEC, DISCARD, WATCH, UNWATCH, WAIT and WAITAOF: every state and its words.

use crate::support::{Connection, Server};
use thermocline_resp::Value;

/// Asks each line and reads exactly the answer behind the arrow.
fn scene(connection: &mut Connection, lines: &[(&str, &str)]) {
    for (line, answer) in lines {
        connection.ask(line, answer);
    }
}

const OK: &str = "+OK\r\n";
const QUEUED: &str = "+QUEUED\r\n";
const ABORT: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";

#[test]
fn a_transaction_runs_whole_and_its_commands_see_each_other() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("MULTI", OK),
            ("EXEC", "*0\r\n"),
            ("SET word abc", OK),
            ("MULTI", OK),
            ("SET a 1", QUEUED),
            ("INCR a", QUEUED),
            ("INCR word", QUEUED),
            ("GET a", QUEUED),
            ("EXEC", "*4\r\n+OK\r\n:2\r\n-ERR value is not an integer or out of range\r\n$1\r\n2\r\n"),
            ("MULTI", OK),
            ("SELECT 3", QUEUED),
            ("SET there 1", QUEUED),
            ("SWAPDB 0 3", QUEUED),
            ("GET a", QUEUED),
            ("DBSIZE", QUEUED),
            ("FLUSHDB", QUEUED),
            ("DBSIZE", QUEUED),
            ("SET b 2", QUEUED),
            ("KEYS *", QUEUED),
            ("RANDOMKEY", QUEUED),
            ("EXEC", "*10\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\n2\r\n:2\r\n+OK\r\n:0\r\n+OK\r\n*1\r\n$1\r\nb\r\n$1\r\nb\r\n"),
            ("GET b", "$1\r\n2\r\n"),
            ("SELECT 0", OK),
            ("GET there", "$1\r\n1\r\n"),
        ],
    );
}

#[test]
fn what_cannot_be_queued_aborts_and_what_is_misplaced_does_not() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    scene(
        &mut client,
        &[
            ("EXEC", "-ERR EXEC without MULTI\r\n"),
            ("DISCARD", "-ERR DISCARD without MULTI\r\n"),
            ("MULTI", OK),
            ("MULTI", "-ERR MULTI calls can not be nested\r\n"),
            ("WATCH a", "-ERR WATCH inside MULTI is not allowed\r\n"),
            ("SET a 1", QUEUED),
            ("EXEC", "*1\r\n+OK\r\n"),
            ("MULTI", OK),
            ("SET a", "-ERR wrong number of arguments for 'set' command\r\n"),
            ("SET a 2", QUEUED),
            ("EXEC", ABORT),
            ("MULTI", OK),
            ("NOPE", "-ERR unknown command 'NOPE', with args beginning with: \r\n"),
            ("EXEC", ABORT),
            ("MULTI", OK),
            ("CLIENT NOPE", "-ERR unknown subcommand 'NOPE'. Try CLIENT HELP.\r\n"),
            ("EXEC", ABORT),
            ("MULTI", OK),
            ("SHUTDOWN", "-ERR Command not allowed inside a transaction\r\n"),
            ("EXEC", ABORT),
            ("MULTI", OK),
            (
                "EXEC now",
                "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n",
            ),
            ("EXEC", "-ERR EXEC without MULTI\r\n"),
            ("MULTI", OK),
            ("SET a 3", QUEUED),
            ("DISCARD", OK),
            ("GET a", "$1\r\n1\r\n"),
            ("MULTI", OK),
            ("SET a 3", QUEUED),
            ("RESET", "+RESET\r\n"),
            ("EXEC", "-ERR EXEC without MULTI\r\n"),
            ("GET a", "$1\r\n1\r\n"),
        ],
    );
}

#[test]
fn a_watched_key_that_changed_answers_nothing_in_both_protocols() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    for (protocol, nothing) in [("2", "*-1\r\n"), ("3", "_\r\n")] {
        let mut client = server.connect();
        client.call(&["HELLO", protocol]);
        let mut watched = |change: &[&str], outcome: &str| {
            client.ask("WATCH a b", OK);
            for line in change {
                other.command(&line.split(' ').collect::<Vec<_>>());
                other.answer();
            }
            client.ask("MULTI", OK);
            client.ask("PING", QUEUED);
            client.ask("EXEC", outcome);
        };
        let ran = "*1\r\n+PONG\r\n";
        watched(&["FLUSHALL"], ran);
        watched(&["SET a 1"], nothing);
        watched(&["SET a 1"], nothing);
        watched(&["GET a", "TIER DEMOTE a", "EXISTS b", "DEL b", "PERSIST a", "SETNX a 2"], ran);
        watched(&["EXPIRE a 100"], nothing);
        watched(&["RENAME a b"], nothing);
        watched(&["FLUSHDB"], nothing);
        watched(&["FLUSHDB"], ran);
        watched(&["FLUSHDB", "SET b 1"], nothing);
        watched(&["SWAPDB 0 5"], nothing);
        watched(&["SWAPDB 0 5"], nothing);
        watched(&["SWAPDB 6 5"], ran);
        watched(&["MULTI", "SET a 5", "DEL a", "EXEC"], nothing);
        client.ask("WATCH a", OK);
        other.ask("SET a 9", OK);
        client.ask("UNWATCH", OK);
        client.ask("MULTI", OK);
        client.ask("EXEC", "*0\r\n");
        client.ask("WATCH a", OK);
        client.ask("SET a 10", OK);
        client.ask("MULTI", OK);
        client.ask("EXEC", nothing);
        other.ask("DEL a b", ":2\r\n");
    }
}

#[test]
fn a_key_that_expires_while_watched_counts_and_one_that_had_expired_does_not() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    let pause = || std::thread::sleep(std::time::Duration::from_millis(60));
    for active in ["0", "1"] {
        client.ask(&format!("DEBUG SET-ACTIVE-EXPIRE {active}"), OK);
        client.ask("SET a 1 PX 40", OK);
        client.ask("WATCH a", OK);
        pause();
        client.ask("MULTI", OK);
        client.ask("EXEC", "*-1\r\n");
    }
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0", OK);
    client.ask("SET a 1 PX 40", OK);
    pause();
    client.ask("WATCH a", OK);
    other.ask("GET a", "$-1\r\n");
    client.ask("MULTI", OK);
    client.ask("EXEC", "*0\r\n");
    client.ask("SET a 1 PX 40", OK);
    pause();
    client.ask("WATCH a", OK);
    other.ask("SET a 1", OK);
    client.ask("MULTI", OK);
    client.ask("EXEC", "*-1\r\n");
}

#[test]
fn many_keys_are_watched_and_their_memory_is_bounded() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    let names: Vec<String> = (0..50_000).map(|number| format!("k{number}")).collect();
    let mut words = vec!["WATCH"];
    words.extend(names.iter().map(String::as_str));
    assert_eq!(client.call(&words), Value::Simple(b"OK".to_vec()));
    assert_eq!(client.call(&words), Value::Simple(b"OK".to_vec()), "watching twice is watching once");
    other.ask("SET k49999 1", OK);
    client.ask("MULTI", OK);
    client.ask("EXEC", "*-1\r\n");
    let long = "x".repeat(20_000_000);
    let oom = Value::Error(b"OOM command not allowed when used memory > 'maxmemory'.".to_vec());
    assert_eq!(client.call(&["WATCH", &long]), oom);
    client.ask("MULTI", OK);
    assert_eq!(client.call(&["SET", "a", &long]), oom);
    client.ask("EXEC", ABORT);
}

#[test]
fn what_is_said_about_the_session_inside_a_transaction_holds_behind_it() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    client.call(&["HELLO", "3"]);
    scene(
        &mut client,
        &[
            ("CLIENT SETNAME queueing", OK),
            ("MULTI", OK),
            ("CLIENT SETNAME me", QUEUED),
            ("CLIENT GETNAME", QUEUED),
            ("WAIT 1 0", QUEUED),
            ("TIER DEMOTE a", QUEUED),
        ],
    );
    let list = other.text(&["CLIENT", "LIST"]);
    let line = list.lines().find(|line| line.contains("name=queueing")).expect("it is connected");
    assert!(line.contains(" flags=x ") && line.contains(" multi=4 "), "{line}");
    client.ask("EXEC", "*4\r\n+OK\r\n$2\r\nme\r\n:0\r\n:0\r\n");
    client.ask("CLIENT TIERINFO ON", OK);
    client.ask("SET a 1", "|2\r\n+tier\r\n+miss\r\n+read_us\r\n:0\r\n+OK\r\n");
    client.ask("MULTI", OK);
    client.ask("GET a", QUEUED);
    client.ask("EXEC", "|2\r\n+tier\r\n+hot\r\n+read_us\r\n:0\r\n*1\r\n$1\r\n1\r\n");
    other.send(b"MULTI\r\nSET b 1\r\nCLIENT REPLY OFF\r\nEXEC\r\nGET b\r\nCLIENT REPLY ON\r\nGET b\r\n");
    other.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+OK\r\n$1\r\n1\r\n");
}

#[test]
fn wait_has_no_replicas_and_waitaof_brings_the_log_to_the_device() {
    let server = Server::start(&["--appendfsync", "no"]);
    let (mut client, mut other) = (server.connect(), server.connect());
    scene(
        &mut client,
        &[
            ("WAIT 0 0", ":0\r\n"),
            ("WAIT 1 10", ":0\r\n"),
            ("WAIT x 0", "-ERR value is not an integer or out of range\r\n"),
            ("WAIT 1 x", "-ERR timeout is not an integer or out of range\r\n"),
            ("WAIT 1 -1", "-ERR timeout is negative\r\n"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1\r\n"),
            ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive\r\n"),
            ("SET a 1", OK),
            ("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n"),
            ("WAITAOF 1 1 20", "*2\r\n:1\r\n:0\r\n"),
        ],
    );
    // For ever: others on the same worker are served, and the client can be ended.
    let id = client.text(&["CLIENT", "ID"]);
    client.send(b"WAIT 1 0\r\n");
    while !other.text(&["INFO", "clients"]).contains("blocked_clients:1") {}
    other.ask(&format!("CLIENT KILL ID {id}"), ":1\r\n");
    client.expect_end();
    // Or it hangs up.
    let mut gone = server.connect();
    gone.send(b"WAIT 1 0\r\n");
    while !other.text(&["INFO", "clients"]).contains("blocked_clients:1") {}
    drop(gone);
    while !other.text(&["INFO", "clients"]).contains("blocked_clients:0") {}
    let server = Server::start(&["--appendonly", "no"]);
    let mut client = server.connect();
    client.ask("WAITAOF 0 0 0", "*2\r\n:0\r\n:0\r\n");
    client.ask("WAITAOF 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n");
}

/// A key set and flushed by one transaction: nothing of it stays, but who watched it was told by Redis and not by us (the
/// differential test's seed 17864 found it).
#[test]
fn a_watched_key_that_a_transaction_sets_and_flushes_has_changed() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    for steps in [
        &["SET b 1", "FLUSHALL"][..],
        &["SET b 1", "DEL b", "FLUSHDB"],
        &["FLUSHDB", "SET b 1", "FLUSHDB"],
        &["SET b 1", "SWAPDB 0 1", "FLUSHALL"],
    ] {
        client.ask("WATCH b", OK);
        other.ask("MULTI", OK);
        steps.iter().for_each(|step| other.ask(step, "+QUEUED\r\n"));
        other.send(b"EXEC\r\n");
        other.expect(&format!(
            "*{}\r\n{}",
            steps.len(),
            steps.iter().map(|s| if *s == "DEL b" { ":1\r\n" } else { OK }).collect::<String>()
        ));
        client.ask("MULTI", OK);
        client.ask("PING", "+QUEUED\r\n");
        client.ask("EXEC", "*-1\r\n");
    }
    client.ask("WATCH b", OK);
    other.ask("MULTI", OK);
    other.ask("SET c 1", "+QUEUED\r\n");
    other.ask("FLUSHALL", "+QUEUED\r\n");
    other.ask("EXEC", "*2\r\n+OK\r\n+OK\r\n");
    client.ask("MULTI", OK);
    client.ask("EXEC", "*0\r\n");
}
