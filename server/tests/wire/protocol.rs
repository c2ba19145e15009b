//! What goes over the wire, byte for byte, as measured on Redis.

use crate::support::Server;
use thermocline_resp::Value;

#[test]
fn protocol_errors_are_answered_once_and_the_connection_closes() {
    let server = Server::start(&[]);
    for (bytes, words) in [
        (b"*x\r\n".as_slice(), "invalid multibulk length"),
        (b"*1\r\nfoo\r\n", "expected '$', got 'f'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"set \"a\r\n", "unbalanced quotes in request"),
    ] {
        let mut connection = server.connect();
        connection.send(bytes);
        connection.expect(&format!("-ERR Protocol error: {words}\r\n"));
        connection.expect_end();
    }
}

#[test]
fn answers_before_a_protocol_error_are_still_sent() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.send(b"PING\r\n*x\r\nPING\r\n");
    connection.expect("+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
    connection.expect_end();
}

#[test]
fn empty_commands_are_skipped_and_inline_escapes_are_undone() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.send(b"\r\n*0\r\n*-10\r\n");
    connection.ask("ECHO \"\\x41 b\"", "$3\r\nA b\r\n");
    connection.ask("ECHO 'it\\'s'", "$4\r\nit's\r\n");
}

#[test]
fn http_gets_no_answer_at_all() {
    let server = Server::start(&[]);
    for bytes in [b"GET / HTTP/1.0\r\nHost: example\r\n\r\n".as_slice(), b"POST / HTTP/1.0\r\n\r\n"] {
        let mut connection = server.connect();
        connection.send(bytes);
        connection.expect_end();
    }
}

#[test]
fn unknown_commands_and_wrong_arities_are_refused_in_the_words_of_redis() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("foo bar baz", "-ERR unknown command 'foo', with args beginning with: 'bar' 'baz' \r\n");
    connection.ask("CLIENT nope", "-ERR unknown subcommand 'nope'. Try CLIENT HELP.\r\n");
    connection.ask("CLIENT kill", "-ERR wrong number of arguments for 'client|kill' command\r\n");
    connection.ask("client", "-ERR wrong number of arguments for 'client' command\r\n");
    connection.ask("GET", "-ERR wrong number of arguments for 'get' command\r\n");
    connection.ask("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n");
    connection.ask("SELECT x", "-ERR value is not an integer or out of range\r\n");
    connection.ask("SELECT 16", "-ERR DB index is out of range\r\n");
    connection.ask("SELECT 15", "+OK\r\n");
}

#[test]
fn a_smuggled_line_end_stays_inside_the_error() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.command(&["no\r\n+OK", "x\r\n"]);
    connection.expect("-ERR unknown command 'no  +OK', with args beginning with: 'x  ' \r\n");
    connection.ask("PING", "+PONG\r\n");
}

#[test]
fn hello_switches_the_protocol() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    connection.ask("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n");
    connection.ask("HELLO 2 NOPE", "-ERR Syntax error in HELLO option 'NOPE'\r\n");
    connection.ask("GET missing", "$-1\r\n");
    let Value::Map(pairs) = connection.call(&["HELLO", "3", "SETNAME", "me"]) else { panic!("a map") };
    assert_eq!(pairs.len(), 7);
    connection.ask("GET missing", "_\r\n");
    assert_eq!(connection.text(&["CLIENT", "GETNAME"]), "me");
    connection.ask("RESET", "+RESET\r\n");
    connection.ask("GET missing", "$-1\r\n");
    connection.ask("CLIENT GETNAME", "$-1\r\n");
}

#[test]
fn a_pipeline_cut_anywhere_is_answered_in_order() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let mut bytes = Vec::new();
    let mut answers = String::new();
    for number in 0..200 {
        bytes.extend_from_slice(
            format!("*3\r\n$3\r\nSET\r\n$4\r\n{number:04}\r\n$4\r\n{number:04}\r\nGET {number:04}\r\n").as_bytes(),
        );
        answers.push_str(&format!("+OK\r\n$4\r\n{number:04}\r\n"));
    }
    for piece in bytes.chunks(97) {
        connection.send(piece);
    }
    connection.expect(&answers);
}

#[test]
fn a_large_value_goes_in_and_out() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let value = "v".repeat(3 << 20);
    assert_eq!(connection.text(&["SET", "large", &value]), "OK");
    assert_eq!(connection.text(&["STRLEN", "large"]), value.len().to_string());
    assert!(connection.text(&["GET", "large"]) == value);
}

#[test]
fn replies_can_be_silenced() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.send(b"CLIENT REPLY OFF\r\nPING\r\nGET a\r\nCLIENT REPLY ON\r\n");
    connection.expect("+OK\r\n");
    connection.send(b"CLIENT REPLY SKIP\r\nPING\r\nECHO heard\r\n");
    connection.expect("$5\r\nheard\r\n");
    connection.ask("CLIENT REPLY LOUD", "-ERR syntax error\r\n");
    connection.ask("QUIT", "+OK\r\n");
    connection.expect_end();
}

#[test]
fn a_thousand_claims_of_large_values_take_little_memory() {
    let server = Server::start(&[]);
    let mut watcher = server.connect();
    let resident = |watcher: &mut crate::support::Connection| -> u64 {
        let info = watcher.text(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory_rss:")).expect("the line");
        line.trim().parse().expect("a number")
    };
    let before = resident(&mut watcher);
    let mut crowd = Vec::new();
    for _ in 0..400 {
        let mut connection = server.connect();
        connection.send(b"*2\r\n$4\r\nECHO\r\n$500000000\r\nhalf");
        crowd.push(connection);
        let mut connection = server.connect();
        connection.send(b"*1048576\r\n$1");
        crowd.push(connection);
    }
    watcher.ask("PING", "+PONG\r\n");
    let grown = resident(&mut watcher).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for promises");
}

#[test]
fn unread_answers_are_not_piled_up() {
    let server = Server::start(&[]);
    let mut reader = server.connect();
    let value = "v".repeat(1 << 20);
    assert_eq!(reader.text(&["SET", "a", &value]), "OK");
    // 200 MiB are asked for and not read; the others are served, and memory stays small.
    let mut lazy = server.connect();
    lazy.send(b"GET a\r\n".repeat(200).as_slice());
    std::thread::sleep(std::time::Duration::from_millis(200));
    let info = reader.text(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory_rss:")).expect("the line");
    let resident: u64 = line.trim().parse().expect("a number");
    assert!(resident < 128 << 20, "{resident} bytes resident");
    for _ in 0..200 {
        assert_eq!(lazy.answer(), Value::Bulk(value.clone().into_bytes()));
    }
}
