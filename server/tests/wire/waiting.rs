//! Clients that wait for a key: who is served, in which order, by what, and what ends the wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Connection, Server};
use thermocline_resp::Value;

const OK: &str = "+OK\r\n";
const QUEUED: &str = "+QUEUED\r\n";
const TIME_OVER: &str = "*-1\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

/// Returns when so many clients wait.
fn until_waiting(watcher: &mut Connection, count: usize) {
    while waiting(watcher) != count {}
}

/// How many clients wait.
fn waiting(watcher: &mut Connection) -> usize {
    number_in(&watcher.text(&["INFO", "clients"]), "blocked_clients:")
}

/// The number behind a name in INFO.
fn number_in(text: &str, name: &str) -> usize {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the field is there");
    line.trim().parse().expect("a number")
}

/// A client that waits, and was the last to come.
fn waiter(server: &Server, watcher: &mut Connection, line: &str) -> Connection {
    let before = waiting(watcher);
    let mut client = server.connect();
    client.send(format!("{line}\r\n").as_bytes());
    until_waiting(watcher, before + 1);
    client
}

fn pair(key: &str, element: &str) -> String {
    format!("*2\r\n${}\r\n{key}\r\n${}\r\n{element}\r\n", key.len(), element.len())
}

#[test]
fn who_waits_longer_is_served_first_whatever_worker_he_is_on() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for round in 0..40 {
        // Idle connections in between bring the waiting ones onto other workers.
        let idle: Vec<Connection> = (0..round % 3).map(|_| server.connect()).collect();
        let mut first = waiter(&server, &mut client, "BLPOP k 0");
        let mut second = waiter(&server, &mut client, "BRPOP k 0");
        let mut third = waiter(&server, &mut client, "BLPOP other k 0");
        client.ask("RPUSH k a", ":1\r\n");
        first.expect(&pair("k", "a"));
        // One command that pushes two serves two, when it is done as a whole.
        client.send(b"RPUSH k b c d\r\nLLEN k\r\nINFO clients\r\n");
        client.expect(":3\r\n:1\r\n");
        let Value::Bulk(info) = client.answer() else { panic!("no text") };
        assert_eq!(number_in(&String::from_utf8_lossy(&info), "blocked_clients:"), 0);
        second.expect(&pair("k", "d"));
        third.expect(&pair("k", "b"));
        client.ask("LPOP k", "$1\r\nc\r\n");
        client.ask("EXISTS k", ":0\r\n");
        drop(idle);
    }
}

#[test]
fn fifty_waiting_clients_get_the_elements_of_one_push_in_order() {
    const COUNT: usize = 50;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut waiters: Vec<Connection> = (0..COUNT).map(|_| waiter(&server, &mut client, "BLPOP k 0")).collect();
    let words: Vec<String> = (0..COUNT + 2).map(|number| number.to_string()).collect();
    let words: Vec<&str> = ["RPUSH", "k"].into_iter().chain(words.iter().map(String::as_str)).collect();
    assert_eq!(client.text(&words), (COUNT + 2).to_string());
    assert_eq!(client.text(&["LLEN", "k"]), "2");
    for (number, waiter) in waiters.iter_mut().enumerate() {
        waiter.expect(&pair("k", &number.to_string()));
    }
}

#[test]
fn nobody_overtakes_a_client_that_waits() {
    const ROUNDS: usize = 300;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut waiters: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    // These take whatever they can get, without waiting for it.
    let takers: Vec<_> = (0..2)
        .map(|_| {
            let (mut taker, is_over) = (server.connect(), is_over.clone());
            std::thread::spawn(move || {
                let mut taken = 0;
                while !is_over.load(Ordering::Relaxed) {
                    taken += usize::from(taker.call(&["LPOP", "k"]) != Value::Null);
                    taken += usize::from(taker.call(&["LLEN", "k"]) != Value::Integer(0));
                    taken += usize::from(taker.call(&["LMOVE", "k", "m", "LEFT", "LEFT"]) != Value::Null);
                }
                taken
            })
        })
        .collect();
    for round in 0..ROUNDS {
        let waiter = &mut waiters[round % 3];
        waiter.send(b"BLPOP k 0\r\n");
        until_waiting(&mut client, 1);
        client.ask("RPUSH k x", ":1\r\n");
        waiter.expect(&pair("k", "x"));
    }
    is_over.store(true, Ordering::Relaxed);
    let taken: usize = takers.into_iter().map(|taker| taker.join().expect("it ends")).sum();
    assert_eq!(taken, 0);
}

#[test]
fn an_element_goes_down_a_chain_of_moves_before_whoever_pushed_it_looks() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for _ in 0..20 {
        let mut last = waiter(&server, &mut client, "BRPOPLPUSH c d 0");
        let mut first = waiter(&server, &mut client, "BLMOVE a b RIGHT LEFT 0");
        let mut middle = waiter(&server, &mut client, "BLMOVE b c LEFT RIGHT 0");
        client.send(b"RPUSH a x\r\nEXISTS a b c\r\nLRANGE d 0 -1\r\nDEL d\r\n");
        client.expect(":1\r\n:0\r\n*1\r\n$1\r\nx\r\n:1\r\n");
        for client in [&mut first, &mut middle, &mut last] {
            client.expect("$1\r\nx\r\n");
        }
    }
    // In a ring it comes to rest where it began.
    let mut there = waiter(&server, &mut client, "BLMOVE a b LEFT LEFT 0");
    let mut back = waiter(&server, &mut client, "BLMOVE b a LEFT LEFT 0");
    client.send(b"RPUSH a x\r\nLRANGE a 0 -1\r\nEXISTS b\r\n");
    client.expect(":1\r\n*1\r\n$1\r\nx\r\n:0\r\n");
    there.expect("$1\r\nx\r\n");
    back.expect("$1\r\nx\r\n");
    client.ask("DEL a", ":1\r\n");
    // A list moved onto itself has one more client waiting for it.
    let mut turning = waiter(&server, &mut client, "BLMOVE a a LEFT RIGHT 0");
    let mut taking = waiter(&server, &mut client, "BLPOP a 0");
    client.send(b"RPUSH a x y\r\nLRANGE a 0 -1\r\nDEL a\r\n");
    client.expect(":2\r\n*1\r\n$1\r\nx\r\n:1\r\n");
    turning.expect("$1\r\nx\r\n");
    taking.expect(&pair("a", "y"));
}

#[test]
fn what_follows_from_one_command_follows_in_the_order_of_a_single_thread() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for _ in 0..20 {
        // All that waits at the pushed lists comes before what waits at the list that those move to.
        let mut last = waiter(&server, &mut client, "BLPOP c 0");
        let mut first = waiter(&server, &mut client, "BLMOVE a c LEFT LEFT 0");
        let mut second = waiter(&server, &mut client, "BLMOVE a c LEFT LEFT 0");
        let mut third = waiter(&server, &mut client, "BLMOVE b c LEFT LEFT 0");
        client.ask("MULTI", OK);
        client.ask("RPUSH b 3", QUEUED);
        client.ask("RPUSH a 1 2", QUEUED);
        client.send(b"EXEC\r\nLRANGE c 0 -1\r\nDEL c\r\n");
        client.expect("*2\r\n:1\r\n:2\r\n*2\r\n$1\r\n1\r\n$1\r\n3\r\n:1\r\n");
        third.expect("$1\r\n3\r\n");
        first.expect("$1\r\n1\r\n");
        second.expect("$1\r\n2\r\n");
        last.expect(&pair("c", "2"));
    }
}

#[test]
fn two_rings_of_moves_turned_at_once_do_not_stop_each_other() {
    const ROUNDS: usize = 200;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let (mut one, mut other) = (server.connect(), server.connect());
    let (mut left, mut right) = (server.connect(), server.connect());
    for _ in 0..ROUNDS {
        one.send(b"BLMOVE a b LEFT LEFT 0\r\n");
        other.send(b"BLMOVE b a LEFT LEFT 0\r\n");
        until_waiting(&mut client, 2);
        left.send(b"RPUSH a x\r\n");
        right.send(b"RPUSH b y\r\n");
        left.answer();
        right.answer();
        one.answer();
        other.answer();
        let lengths = ["a", "b"].map(|key| client.text(&["LLEN", key]));
        let elements: usize = lengths.iter().map(|length| length.parse::<usize>().expect("a number")).sum();
        assert_eq!(elements, 2, "{lengths:?}");
        client.call(&["DEL", "a", "b"]);
    }
}

#[test]
fn a_client_at_several_keys_takes_one_element_and_leaves_all_of_them() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut both = waiter(&server, &mut client, "BLPOP a b a 0");
    let mut second = waiter(&server, &mut client, "BLPOP b 0");
    assert_eq!(number_in(&client.text(&["INFO", "clients"]), "total_blocking_keys:"), 2);
    client.ask("MULTI", OK);
    client.ask("RPUSH b 1", QUEUED);
    client.ask("RPUSH a 2", QUEUED);
    client.ask("EXEC", "*2\r\n:1\r\n:1\r\n");
    client.ask("EXISTS a b", ":0\r\n");
    // The first of its keys that has something, as Redis 7.2 looks: not the one that was pushed to first.
    both.expect(&pair("a", "2"));
    second.expect(&pair("b", "1"));
    assert_eq!(number_in(&client.text(&["INFO", "clients"]), "total_blocking_keys:"), 0);
    client.ask("RPUSH a x", ":1\r\n");
    client.ask("LPOP a", "$1\r\nx\r\n");
    let mut many = waiter(&server, &mut client, "BLMPOP 0 3 a b c RIGHT COUNT 2");
    client.ask("RPUSH b 1 2 3", ":3\r\n");
    many.expect("*2\r\n$1\r\nb\r\n*2\r\n$1\r\n3\r\n$1\r\n2\r\n");
    client.ask("LPOP b", "$1\r\n1\r\n");
}

#[test]
fn what_a_transaction_takes_back_calls_nobody_and_inside_one_nobody_waits() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut first = waiter(&server, &mut client, "BLPOP k 0");
    for steps in [&["RPUSH k a", "LPOP k"][..], &["RPUSH k a", "DEL k"], &["RPUSH k a", "RENAME k m", "DEL m"]] {
        client.ask("MULTI", OK);
        steps.iter().for_each(|step| client.ask(step, QUEUED));
        client.send(b"EXEC\r\n");
        client.answer();
        assert_eq!(waiting(&mut client), 1, "{steps:?}");
    }
    let mut second = waiter(&server, &mut client, "BLPOP k 0");
    client.ask("MULTI", OK);
    client.ask("RPUSH k a b c", QUEUED);
    client.ask("LPOP k", QUEUED);
    client.ask("LLEN k", QUEUED);
    client.ask("EXEC", "*3\r\n:3\r\n$1\r\na\r\n:2\r\n");
    first.expect(&pair("k", "b"));
    second.expect(&pair("k", "c"));
    for (protocol, nothing, no_array) in [("2", "$-1\r\n", "*-1\r\n"), ("3", "_\r\n", "_\r\n")] {
        client.call(&["HELLO", protocol]);
        client.ask("MULTI", OK);
        let asked = [
            "BLPOP k 0",
            "BRPOP k 0",
            "BLMPOP 0 1 k LEFT",
            "BLMOVE k m LEFT LEFT 0",
            "BRPOPLPUSH k m 0",
            "BLPOP k -1",
            "RPUSH k x",
            "BLPOP k 0",
        ];
        asked.iter().for_each(|line| client.ask(line, QUEUED));
        client.ask(
            "EXEC",
            &format!(
                "*8\r\n{no_array}{no_array}{no_array}{nothing}{nothing}-ERR timeout is negative\r\n:1\r\n{}",
                pair("k", "x")
            ),
        );
    }
}

#[test]
fn whatever_makes_the_key_calls_and_only_with_the_right_type() {
    let server = Server::start(&[]);
    let (mut client, mut watcher) = (server.connect(), server.connect());
    for lines in [
        &["LPUSH k x"][..],
        &["RPUSH from x", "RENAME from k"],
        &["RPUSH from x", "RENAMENX from k"],
        &["RPUSH from x", "COPY from k"],
        &["SET k text", "RPUSH from x", "COPY from k REPLACE"],
        &["RPUSH from x", "LMOVE from k LEFT LEFT"],
        &["RPUSH from x", "RPOPLPUSH from k"],
        &["SELECT 1", "RPUSH k x", "MOVE k 0", "SELECT 0"],
        &["SELECT 1", "RPUSH k x", "SWAPDB 0 1", "SELECT 0"],
        &["SELECT 1", "RPUSH k x", "MULTI", "SWAPDB 0 1", "EXEC", "SELECT 0"],
        &["SELECT 1", "RPUSH k x", "TIER DEMOTE k", "SWAPDB 1 0", "SELECT 0"],
        &["MULTI", "SELECT 1", "RPUSH k x", "SELECT 0", "FLUSHDB", "SWAPDB 0 1", "EXEC"],
        &["SET k text", "DEL k", "RPUSH k x"],
        &["SET k text", "FLUSHALL", "RPUSH k x"],
        &["FLUSHDB", "RPUSH k x"],
        &["SWAPDB 0 5", "RPUSH k x"],
    ] {
        let mut waiter = waiter(&server, &mut client, "BLPOP first k last 0");
        for (number, line) in lines.iter().enumerate() {
            client.command(&line.split(' ').collect::<Vec<_>>());
            client.answer();
            let is_last = number + 1 == lines.len() || lines[number + 1..] == ["SELECT 0"];
            assert!(is_last || waiting(&mut watcher) == 1, "{lines:?} at {line}");
        }
        waiter.expect(&pair("k", "x"));
        client.ask("FLUSHALL", OK);
    }
    let mut waiter = waiter(&server, &mut client, "BLPOP k 0");
    client.ask("SELECT 1", OK);
    client.ask("RPUSH k elsewhere", ":1\r\n");
    client.ask("SWAPDB 2 3", OK);
    client.ask("SELECT 0", OK);
    assert_eq!(waiting(&mut client), 1);
    client.ask("RPUSH k here", ":1\r\n");
    waiter.expect(&pair("k", "here"));
}

#[test]
fn a_target_of_another_type_is_refused_when_its_time_comes_and_the_next_one_is_served() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut first = waiter(&server, &mut client, "BRPOPLPUSH k target 0");
    let mut second = waiter(&server, &mut client, "BLPOP k 0");
    client.ask("SET target text", OK);
    client.ask("RPUSH k x", ":1\r\n");
    client.ask("EXISTS k", ":0\r\n");
    first.expect(WRONG_TYPE);
    second.expect(&pair("k", "x"));
    client.ask("BLPOP target 0", WRONG_TYPE);
    client.ask("BLPOP missing target 0", WRONG_TYPE);
    client.ask("BLMOVE target k LEFT LEFT 0", WRONG_TYPE);
    client.ask("BLMPOP 0 1 target LEFT", WRONG_TYPE);
    // What it waits for makes it look at all of its keys again.
    let mut both = waiter(&server, &mut client, "BLPOP a b 0");
    client.ask("SET a text", OK);
    client.ask("RPUSH b x", ":1\r\n");
    both.expect(WRONG_TYPE);
    client.ask("LPOP b", "$1\r\nx\r\n");
}

#[test]
fn times_end_and_are_refused_as_redis_refuses_them() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    #[expect(clippy::disallowed_methods, reason = "the time of the machine is what the server waits for")]
    let begin = Instant::now();
    for line in [
        "BLPOP k 0.03",
        "BRPOP k m 0.03",
        "BLMOVE k m LEFT LEFT 0.03",
        "BRPOPLPUSH k m 0.03",
        "BLMPOP 0.03 2 k m LEFT",
        "BLPOP k 0.0001",
        "BLPOP k 0x1p-6",
    ] {
        client.ask(line, TIME_OVER);
    }
    let lasted = begin.elapsed();
    assert!(lasted >= Duration::from_millis(150) && lasted < Duration::from_secs(10), "{lasted:?}");
    client.call(&["HELLO", "3"]);
    client.ask("BLPOP k 0.01", "_\r\n");
    client.call(&["HELLO", "2"]);
    client.ask("SET s text", OK);
    client.ask("RPUSH l x", ":1\r\n");
    let no_float = "-ERR timeout is not a float or out of range\r\n";
    let negative = "-ERR timeout is negative\r\n";
    let too_long = "-ERR timeout is out of range\r\n";
    for (time, refusal) in [
        ("x", no_float),
        ("nan", no_float),
        ("1s", no_float),
        ("-1", negative),
        ("-inf", negative),
        ("inf", too_long),
        ("1e300", too_long),
    ] {
        client.ask(&format!("BLPOP l {time}"), refusal);
        client.ask(&format!("BRPOP s {time}"), refusal);
        client.ask(&format!("BLMOVE l m LEFT LEFT {time}"), refusal);
        client.ask(&format!("BRPOPLPUSH l m {time}"), refusal);
        client.ask(&format!("BLMPOP {time} 1 l LEFT"), refusal);
    }
    client.ask("BLMOVE l m UP LEFT x", "-ERR syntax error\r\n");
    client.ask("BLMPOP x 1 l UP", "-ERR syntax error\r\n");
    client.ask("BLMPOP x 0 l LEFT", "-ERR numkeys should be greater than 0\r\n");
    client.ask("BLMPOP 0 1 l LEFT COUNT 0", "-ERR count should be greater than 0\r\n");
    client.ask("BLPOP l", "-ERR wrong number of arguments for 'blpop' command\r\n");
    // What is there is taken at once, and who waits for ever does not.
    client.ask("BLPOP k l 0", &pair("l", "x"));
    let mut waiter = waiter(&server, &mut client, "BLPOP k -0.00001");
    client.ask("RPUSH k x", ":1\r\n");
    waiter.expect(&pair("k", "x"));
}

#[test]
fn a_waiting_client_is_sent_on_with_its_time_over_or_an_error() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let unblocked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
    let mut waiting_client = server.connect();
    let id = waiting_client.text(&["CLIENT", "ID"]);
    client.ask(&format!("CLIENT UNBLOCK {id}"), ":0\r\n");
    for (line, over) in [("BLPOP k 0", TIME_OVER), ("BLMOVE k m LEFT LEFT 0", TIME_OVER), ("WAIT 1 0", ":0\r\n")] {
        for (reason, answer) in [("", over), (" TIMEOUT", over), (" error", unblocked)] {
            waiting_client.send(format!("{line}\r\n").as_bytes());
            until_waiting(&mut client, 1);
            client.ask(&format!("CLIENT UNBLOCK {id}{reason}"), ":1\r\n");
            waiting_client.expect(answer);
            until_waiting(&mut client, 0);
        }
    }
    // Its place is free, and it is as good as any other client.
    client.ask("RPUSH k x", ":1\r\n");
    client.ask("LLEN k", ":1\r\n");
    waiting_client.ask("BLPOP k 0", &pair("k", "x"));
    client.ask("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range\r\n");
    client.ask("CLIENT UNBLOCK -1", ":0\r\n");
    client.ask("CLIENT UNBLOCK 1 bogus", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
    client.ask("CLIENT UNBLOCK", "-ERR wrong number of arguments for 'client|unblock' command\r\n");
    client.ask(
        "CLIENT UNBLOCK 1 ERROR x",
        "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.\r\n",
    );
}

#[test]
fn a_client_that_goes_while_it_waits_takes_nothing_along() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut killed = server.connect();
    let id = killed.text(&["CLIENT", "ID"]);
    killed.send(b"BLPOP k 0\r\n");
    until_waiting(&mut client, 1);
    let list = client.text(&["CLIENT", "LIST", "ID", &id]);
    assert!(list.contains(" flags=b ") && list.contains(" cmd=blpop "), "{list}");
    let gone = waiter(&server, &mut client, "BLPOP k 0");
    // This one has said more than was read of it.
    let talkative = waiter(&server, &mut client, "BLPOP k 0\r\nPING\r\nPING");
    let mut last = waiter(&server, &mut client, "BLPOP k 0");
    client.ask(&format!("CLIENT KILL ID {id}"), ":1\r\n");
    killed.expect_end();
    drop(gone);
    until_waiting(&mut client, 2);
    drop(talkative);
    // Its end is noticed at the latest when it would be served.
    std::thread::sleep(Duration::from_millis(50));
    client.ask("RPUSH k x", ":1\r\n");
    last.expect(&pair("k", "x"));
    client.ask("EXISTS k", ":0\r\n");
    until_waiting(&mut client, 0);
    assert_eq!(number_in(&client.text(&["INFO", "clients"]), "total_blocking_keys:"), 0);
}

#[test]
fn commands_behind_one_that_waits_wait_too_and_a_silent_waiting_client_is_not_closed() {
    let server = Server::start(&["--timeout", "1"]);
    let mut client = server.connect();
    let mut waiter = waiter(&server, &mut client, "SET a 1\r\nBLPOP k 0\r\nGET a\r\nBLPOP k 0\r\nGET a");
    waiter.expect(OK);
    client.ask("SET a 2", OK);
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        client.ask("PING", "+PONG\r\n");
    }
    client.ask("RPUSH k x", ":1\r\n");
    waiter.expect(&format!("{}$1\r\n2\r\n", pair("k", "x")));
    until_waiting(&mut client, 1);
    client.ask("SET a 3", OK);
    client.ask("RPUSH k y", ":1\r\n");
    waiter.expect(&format!("{}$1\r\n3\r\n", pair("k", "y")));
    // The time it waited is no time that the command took.
    let stats = client.text(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_blpop:")).expect("it was called");
    assert!(line.contains("calls=2,"), "{line}");
    assert!(number_in(&line.replace(',', "\n"), "usec=") < 1_000_000, "{line}");
}

#[test]
fn what_a_waiting_client_took_stays_taken_after_a_restart() {
    let server = Server::start(&["--appendfsync", "always"]);
    let mut client = server.connect();
    let mut first = waiter(&server, &mut client, "BLPOP k 0");
    let mut second = waiter(&server, &mut client, "BLMOVE k m LEFT LEFT 0");
    client.ask("RPUSH k a b c", ":3\r\n");
    first.expect(&pair("k", "a"));
    second.expect("$1\r\nb\r\n");
    let server = server.again_unasked(&["--appendfsync", "always"]);
    server.wait_until_loaded();
    let mut client = server.connect();
    client.ask("LRANGE k 0 -1", "*1\r\n$1\r\nc\r\n");
    client.ask("LRANGE m 0 -1", "*1\r\n$1\r\nb\r\n");
}

#[test]
fn too_many_names_to_wait_for_are_refused_unless_there_is_something() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let name = "x".repeat(10_000_000);
    let oom = Value::Error(b"OOM command not allowed when used memory > 'maxmemory'.".to_vec());
    assert_eq!(client.call(&["BLPOP", &name, "0"]), oom);
    client.ask("RPUSH k x", ":1\r\n");
    assert_eq!(
        client.call(&["BLPOP", &name, "k", "0"]),
        Value::Array(vec![Value::Bulk(b"k".to_vec()), Value::Bulk(b"x".to_vec())])
    );
    // Many short ones are many places.
    let names: Vec<String> = (0..20_000).map(|number| format!("k{number}")).collect();
    let mut waiter = server.connect();
    let mut words = vec!["BLPOP"];
    words.extend(names.iter().map(String::as_str));
    words.push("0");
    waiter.command(&words);
    until_waiting(&mut client, 1);
    assert_eq!(number_in(&client.text(&["INFO", "clients"]), "total_blocking_keys:"), 20_000);
    client.ask("RPUSH k17171 x", ":1\r\n");
    waiter.expect(&pair("k17171", "x"));
    assert_eq!(number_in(&client.text(&["INFO", "clients"]), "total_blocking_keys:"), 0);
}

#[test]
fn many_producers_and_waiting_consumers_lose_and_repeat_nothing() {
    const PRODUCERS: usize = 4;
    const CONSUMERS: usize = 6;
    const EACH: usize = 1_500;
    const END: &str = "end";
    let server = Server::start(&[]);
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|number| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                let mut got = Vec::new();
                let line: &[&str] = match number % 3 {
                    0 => &["BLPOP", "q0", "q1", "q2", "0"],
                    1 => &["BLMPOP", "0", "3", "q2", "q1", "q0", "LEFT", "COUNT", "3"],
                    _ => &["BRPOP", "q1", "q2", "q0", "0"],
                };
                loop {
                    let Value::Array(mut answer) = client.call(line) else { panic!("no array") };
                    let elements = match answer.pop().expect("two parts") {
                        Value::Array(elements) => elements,
                        one => vec![one],
                    };
                    for element in elements {
                        let Value::Bulk(element) = element else { panic!("{element:?}") };
                        let element = String::from_utf8(element).expect("text");
                        if element == END {
                            return got;
                        }
                        got.push(element);
                    }
                }
            })
        })
        .collect();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    let queue = format!("q{}", number % 3);
                    let element = format!("{producer}:{number}");
                    match number % 4 {
                        0 => drop(client.call(&["LPUSH", &queue, &element])),
                        1 => drop(client.call(&["RPUSH", &queue, &element])),
                        2 => {
                            // Through another list.
                            let other = format!("by{producer}");
                            client.call(&["RPUSH", &other, &element]);
                            client.call(&["LMOVE", &other, &queue, "LEFT", "RIGHT"]);
                        }
                        _ => {
                            client.call(&["MULTI"]);
                            client.call(&["RPUSH", &queue, "taken back", &element]);
                            client.call(&["LPOP", "nokey"]);
                            client.call(&["LREM", &queue, "1", "taken back"]);
                            client.call(&["EXEC"]);
                        }
                    }
                }
            })
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().expect("it ends"));
    let mut client = server.connect();
    until_waiting(&mut client, CONSUMERS);
    // One by one: each consumer that ends takes one.
    for left in (0..CONSUMERS).rev() {
        client.call(&["RPUSH", "q0", END]);
        until_waiting(&mut client, left);
    }
    let mut got: Vec<String> = consumers.into_iter().flat_map(|consumer| consumer.join().expect("it ends")).collect();
    got.sort();
    let mut expected: Vec<String> =
        (0..PRODUCERS).flat_map(|producer| (0..EACH).map(move |number| format!("{producer}:{number}"))).collect();
    expected.sort();
    assert_eq!(got.len(), expected.len());
    assert_eq!(got, expected);
    client.ask("DBSIZE", ":0\r\n");
}
