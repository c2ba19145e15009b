//! `CONFIG SET appendonly` and `appendfsync` while the server runs: what was set under one mode, then kill -9.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Commands, Connection, RedisResult};

use crate::support::Server;

const KEYS: u64 = 3000;

fn connect(server: &Server) -> RedisResult<Connection> {
    redis::Client::open(format!("redis://127.0.0.1:{}", server.port))?.get_connection()
}

fn config(connection: &mut Connection, pairs: &[(&str, &str)]) -> RedisResult<()> {
    let mut command = redis::cmd("CONFIG");
    command.arg("SET");
    for (name, value) in pairs {
        command.arg(name).arg(value);
    }
    command.query(connection)
}

/// appendonly, appendfsync by CONFIG GET, and aof_enabled by INFO.
fn modes(connection: &mut Connection) -> RedisResult<(String, String, String)> {
    let (_, appendonly): (String, String) = redis::cmd("CONFIG").arg("GET").arg("appendonly").query(connection)?;
    let (_, appendfsync): (String, String) = redis::cmd("CONFIG").arg("GET").arg("appendfsync").query(connection)?;
    let info: String = redis::cmd("INFO").arg("persistence").query(connection)?;
    let enabled = info.lines().find_map(|line| line.strip_prefix("aof_enabled:")).expect("INFO has it");
    assert!(info.contains("aof_rewrite_in_progress:0"), "{info}");
    Ok((appendonly, appendfsync, enabled.trim_end().to_owned()))
}

/// Sets keys, removes every third, flushes another database.
fn fill(connection: &mut Connection) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    for key in 0..KEYS {
        pipe.set(format!("key:{key}"), format!("value {key}")).ignore();
    }
    for key in (0..KEYS).step_by(3) {
        pipe.del(format!("key:{key}")).ignore();
    }
    pipe.cmd("SELECT").arg(1).ignore().set("gone", 1).ignore().cmd("FLUSHDB").ignore().cmd("SELECT").arg(0).ignore();
    pipe.query(connection)
}

fn check(connection: &mut Connection) -> RedisResult<()> {
    for key in 0..KEYS {
        let value: Option<String> = connection.get(format!("key:{key}"))?;
        let expected = (key % 3 != 0).then(|| format!("value {key}"));
        assert_eq!(value, expected, "key {key}");
    }
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(connection)?, KEYS - KEYS.div_ceil(3));
    redis::cmd("SELECT").arg(1).query::<()>(connection)?;
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(connection)?, 0);
    redis::cmd("SELECT").arg(0).query(connection)
}

fn killed(mut server: Server, directives: &[&str]) -> Server {
    server.signal("KILL");
    server.wait();
    let server = server.again_unasked(directives);
    server.wait_until_loaded();
    server
}

#[test]
fn what_was_set_without_a_log_is_there_after_one_was_begun_and_the_server_killed() -> RedisResult<()> {
    for appendfsync in ["always", "everysec", "no"] {
        let server = Server::start(&["--appendonly", "no"]);
        let mut connection = connect(&server)?;
        fill(&mut connection)?;
        assert_eq!(modes(&mut connection)?, ("no".into(), "everysec".into(), "0".into()));
        config(&mut connection, &[("appendonly", "yes"), ("appendfsync", appendfsync)])?;
        assert_eq!(modes(&mut connection)?, ("yes".into(), appendfsync.into(), "1".into()));
        let server = killed(server, &["--appendfsync", appendfsync]);
        check(&mut connect(&server)?)?;
    }
    Ok(())
}

#[test]
fn what_was_set_every_second_is_flushed_when_always_is_asked_for() -> RedisResult<()> {
    let server = Server::start(&["--appendfsync", "no"]);
    let mut connection = connect(&server)?;
    fill(&mut connection)?;
    config(&mut connection, &[("appendfsync", "everysec")])?;
    connection.set::<_, _, ()>("more", 1)?;
    config(&mut connection, &[("appendfsync", "always")])?;
    connection.del::<_, ()>("more")?;
    assert_eq!(modes(&mut connection)?, ("yes".into(), "always".into(), "1".into()));
    let server = killed(server, &[]);
    check(&mut connect(&server)?)
}

#[test]
fn a_store_that_left_its_log_starts_empty_after_a_kill_and_whole_after_a_clean_end() -> RedisResult<()> {
    let server = Server::start(&["--appendfsync", "always"]);
    let mut connection = connect(&server)?;
    fill(&mut connection)?;
    config(&mut connection, &[("appendonly", "no")])?;
    assert_eq!(modes(&mut connection)?, ("no".into(), "always".into(), "0".into()));
    connection.set::<_, _, ()>("later", 1)?;
    let mut server = killed(server, &["--appendonly", "no"]);
    let mut connection = connect(&server)?;
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection)?, 0);
    fill(&mut connection)?;
    config(&mut connection, &[("appendonly", "yes")])?;
    config(&mut connection, &[("appendonly", "no")])?;
    server.signal("TERM");
    server.wait();
    let server = server.again_unasked(&["--appendonly", "no"]);
    server.wait_until_loaded();
    check(&mut connect(&server)?)
}

#[test]
fn a_writer_beside_the_switch_loses_nothing_that_was_acknowledged_under_always() -> RedisResult<()> {
    let server = Server::start(&["--appendonly", "no"]);
    let acknowledged = AtomicU64::new(0);
    let wait_for = |more: u64| {
        let goal = acknowledged.load(Ordering::Acquire) + more;
        while acknowledged.load(Ordering::Acquire) < goal {
            std::thread::sleep(Duration::from_millis(1));
        }
        acknowledged.load(Ordering::Acquire)
    };
    let (asked, before, after) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = connect(&server).expect("it serves");
            // Until the server is killed.
            for number in 0.. {
                if connection.set::<_, _, ()>(format!("n:{number}"), number).is_err() {
                    return;
                }
                acknowledged.store(number + 1, Ordering::Release);
            }
        });
        let mut connection = connect(&server).expect("it serves");
        let mut asked = 0;
        for mode in ["yes", "no", "yes"] {
            asked = wait_for(300);
            config(&mut connection, &[("appendonly", mode), ("appendfsync", "always")]).expect("it switches");
        }
        let before = wait_for(1); // what is sent from here on is sent under always
        let after = wait_for(300);
        server.signal("KILL");
        (asked, before, after)
    });
    let server = killed(server, &["--appendfsync", "always"]);
    let mut connection = connect(&server)?;
    // What was there when the log was asked for is in it.
    for number in (0..asked).chain(before..after) {
        assert_eq!(connection.get::<_, Option<u64>>(format!("n:{number}"))?, Some(number));
    }
    Ok(())
}

#[test]
fn pairs_of_one_config_set_are_set_all_or_none() -> RedisResult<()> {
    let server = Server::start(&[]);
    let mut connection = connect(&server)?;
    assert!(config(&mut connection, &[("appendonly", "no"), ("maxmemory", "1mb")]).is_err());
    assert!(config(&mut connection, &[("appendonly", "no"), ("appendfsync", "sometimes")]).is_err());
    assert_eq!(modes(&mut connection)?, ("yes".into(), "everysec".into(), "1".into()));
    // While nothing is logged the pace is remembered.
    config(&mut connection, &[("appendonly", "no")])?;
    config(&mut connection, &[("appendfsync", "always")])?;
    assert_eq!(modes(&mut connection)?, ("no".into(), "always".into(), "0".into()));
    config(&mut connection, &[("appendonly", "yes")])?;
    assert_eq!(modes(&mut connection)?, ("yes".into(), "always".into(), "1".into()));
    Ok(())
}
