//! A client library that people use, against the real server: its handshake, both protocols, pipelines.

use crate::support::Server;
use redis::{Commands, RedisResult};

#[test]
fn the_redis_crate_is_at_home() -> RedisResult<()> {
    let server = Server::start(&["--requirepass", "secret"]);
    for protocol in ["resp2", "resp3"] {
        let client = redis::Client::open(format!("redis://:secret@127.0.0.1:{}/3?protocol={protocol}", server.port))?;
        let mut connection = client.get_connection()?;
        let () = connection.set("key", "value")?;
        let () = connection.set_ex("short", 1, 100)?;
        assert_eq!(connection.get::<_, String>("key")?, "value");
        assert_eq!(connection.get::<_, Option<String>>("missing")?, None);
        assert_eq!(connection.incr::<_, _, i64>("short", 41)?, 42);
        assert!((1..=100).contains(&connection.ttl::<_, i64>("short")?));
        let (first, second): (String, Option<i64>) = redis::pipe().get("key").get("nothing").query(&mut connection)?;
        assert_eq!((first.as_str(), second), ("value", None));
        let mut keys: Vec<String> = connection.scan()?.collect::<RedisResult<_>>()?;
        keys.sort();
        assert_eq!(keys, ["key", "short"]);
        assert_eq!(connection.del::<_, i64>(&["key", "short", "missing"])?, 2);
    }
    Ok(())
}
