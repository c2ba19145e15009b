//! Sessions: passwords, names, other clients, where values lie.

use crate::support::Server;
use thermocline_resp::Value;

#[test]
fn without_the_password_only_small_commands_and_auth_are_heard() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut connection = server.connect();
    connection.ask("GET a", "-NOAUTH Authentication required.\r\n");
    connection.ask("NOPE", "-ERR unknown command 'NOPE', with args beginning with: \r\n");
    connection.ask("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    connection.ask("AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    connection.ask("AUTH a b c", "-ERR syntax error\r\n");
    connection.send(b"HELLO 3\r\n");
    connection.expect("-NOAUTH HELLO must be called with the client already authenticated");
    let mut connection = server.connect();
    connection.send(b"*11\r\n");
    connection.expect("-ERR Protocol error: unauthenticated multibulk length\r\n");
    connection.expect_end();
    let mut connection = server.connect();
    connection.send(b"*2\r\n$4\r\nECHO\r\n$16385\r\n");
    connection.expect("-ERR Protocol error: unauthenticated bulk length\r\n");
    let mut connection = server.connect();
    // What follows AUTH in one pipeline is already heard as an authenticated client's.
    connection.send(b"AUTH secret\r\nMSET a 1 b 2 c 3 d 4 e 5 f 6\r\nGET f\r\n");
    connection.expect("+OK\r\n+OK\r\n$1\r\n6\r\n");
    connection.ask("RESET", "+RESET\r\n");
    connection.ask("GET a", "-NOAUTH Authentication required.\r\n");
    let Value::Map(_) = connection.call(&["HELLO", "3", "AUTH", "default", "secret"]) else { panic!("a map") };
}

#[test]
fn auth_without_a_password_set_is_explained() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask(
        "AUTH x",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
    );
    connection.ask("AUTH default anything", "+OK\r\n");
}

#[test]
fn clients_see_and_end_each_other() {
    let server = Server::start(&[]);
    let (mut first, mut second) = (server.connect(), server.connect());
    first.ask("CLIENT SETNAME first", "+OK\r\n");
    first.ask("CLIENT SETNAME \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    first.ask("CLIENT SETINFO lib-name mine", "+OK\r\n");
    first.ask("CLIENT SETINFO lib-what mine", "-ERR Unrecognized option 'lib-what'\r\n");
    let id = second.text(&["CLIENT", "ID"]);
    let list = first.text(&["CLIENT", "LIST"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(
        list.contains(" name=first ") && list.contains(" lib-name=mine ") && list.contains(" cmd=client|list "),
        "{list}"
    );
    assert!(first.text(&["CLIENT", "LIST", "ID", &id]).starts_with(&format!("id={id} ")));
    first.ask("CLIENT KILL ID 999", ":0\r\n");
    first.ask("CLIENT KILL 1.2.3.4:5", "-ERR No such client\r\n");
    first.ask("CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n");
    first.ask("CLIENT KILL TYPE what", "-ERR Unknown client type 'what'\r\n");
    first.ask(&format!("CLIENT KILL ID {id}"), ":1\r\n");
    second.expect_end();
    first.ask("CLIENT KILL SKIPME no", ":1\r\n");
    first.expect_end();
}

#[test]
fn a_client_beyond_maxclients_is_told_so() {
    let server = Server::start(&["--maxclients", "1"]);
    // The connection that proved the server up may still be leaving.
    let mut first = server.connect();
    while !first.is_served() {
        first = server.connect();
    }
    let mut second = server.connect();
    second.expect("-ERR max number of clients reached\r\n");
    second.expect_end();
}

#[test]
fn tierinfo_tells_where_a_value_lay() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    assert!(connection.text(&["CLIENT", "TIERINFO", "ON"]).starts_with("ERR CLIENT TIERINFO needs RESP3"));
    connection.call(&["HELLO", "3"]);
    connection.ask("CLIENT TIERINFO ON", "+OK\r\n");
    connection.ask("MSET a 1 b 2 c 3", "|2\r\n+tier\r\n");
    connection.answer();
    connection.answer();
    connection.answer();
    connection.answer();
    assert_eq!(connection.text(&["TIER", "DEMOTE", "a", "b"]), "2");
    // Two cold reads, a hot one and a miss in one pipeline, answered in order.
    connection.send(b"GET a\r\nGET c\r\nGET b\r\nGET missing\r\nECHO end\r\n");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let Value::Attribute { attributes, value } = connection.answer() else { panic!("an attribute") };
        assert_eq!(attributes[0].0, Value::Simple(b"tier".to_vec()));
        assert_eq!(attributes[1].0, Value::Simple(b"read_us".to_vec()));
        seen.push((attributes[0].1.clone(), *value));
    }
    let tier = |name: &str| Value::Simple(name.as_bytes().to_vec());
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    assert_eq!(
        seen,
        [(tier("cold"), bulk("1")), (tier("hot"), bulk("3")), (tier("cold"), bulk("2")), (tier("miss"), Value::Null)]
    );
    assert_eq!(connection.answer(), bulk("end"));
}

#[test]
fn values_are_moved_by_hand_and_found_again() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("SET a value", "+OK\r\n");
    connection.ask("TIER DEMOTE a missing", ":1\r\n");
    connection.call(&["HELLO", "3"]);
    let tier_of = |connection: &mut crate::support::Connection| match connection.call(&["TIER", "KEY", "a"]) {
        Value::Map(pairs) => {
            pairs.into_iter().find(|(name, _)| *name == Value::Bulk(b"tier".to_vec())).map(|(_, value)| value)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(tier_of(&mut connection), Some(Value::Bulk(b"cold".to_vec())));
    connection.ask("TIER PROMOTE a", ":1\r\n");
    assert_eq!(tier_of(&mut connection), Some(Value::Bulk(b"hot".to_vec())));
    connection.ask("TIER KEY missing", "_\r\n");
    connection.ask("GET a", "$5\r\nvalue\r\n");
}
