//! The few questions that a comparison asks a server: are you there, who are you, how many keys do you hold.
//!
//! Every wait has an end. Never used while a round is measured.

use super::target::Protocol;
use crate::control::{Control, Target};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use thermocline_resp::Value;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const LINES_MAX: usize = 1_000;
const ANSWER_BYTES_MAX: u64 = 1 << 20;

fn target(port: u16) -> Target {
    Target { host: "127.0.0.1".to_owned(), port, password: None, database: 0 }
}

/// Its name and version; an error while it is not ready.
pub fn version(protocol: Protocol, port: u16) -> Result<String> {
    match protocol {
        Protocol::Redis => {
            let info = info(port)?;
            let number = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let servers = ["thermocline", "valkey", "redis"];
            let told = servers.iter().find_map(|server| Some((server, number(&format!("{server}_version"))?)));
            Ok(told.map_or_else(|| "unknown".to_owned(), |(server, number)| format!("{server} {}", number.trim())))
        }
        Protocol::Memcached => {
            let lines = memcached(port, "version")?;
            let number = lines.first().and_then(|line| line.strip_prefix("VERSION "));
            Ok(number.map_or_else(|| "unknown".to_owned(), |number| format!("memcached {number}")))
        }
    }
}

/// Keys held now.
pub fn keys(protocol: Protocol, port: u16) -> Result<u64> {
    match protocol {
        Protocol::Redis => match Control::connect(&target(port))?.call(&["DBSIZE"])? {
            Value::Integer(keys) => Ok(keys.max(0) as u64),
            other => bail!("DBSIZE answered {other:?}"),
        },
        Protocol::Memcached => {
            let lines = memcached(port, "stats")?;
            let keys = lines.iter().find_map(|line| line.strip_prefix("STAT curr_items ")?.parse().ok());
            keys.context("stats without curr_items")
        }
    }
}

fn info(port: u16) -> Result<String> {
    match Control::connect(&target(port))?.call(&["INFO", "server"])? {
        Value::Bulk(text) | Value::Verbatim { text, .. } => Ok(String::from_utf8_lossy(&text).into_owned()),
        other => bail!("INFO answered {other:?}"),
    }
}

/// Sends one line, reads lines up to `END` or the only one.
fn memcached(port: u16, question: &str) -> Result<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&target(port).address()?, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(format!("{question}\r\n").as_bytes())?;
    let mut lines = Vec::new();
    for line in BufReader::new(stream.take(ANSWER_BYTES_MAX)).lines().take(LINES_MAX) {
        let line = line.with_context(|| format!("no answer to {question}"))?;
        let last = !line.starts_with("STAT ");
        lines.push(line);
        if last {
            return Ok(lines);
        }
    }
    bail!("the answer to {question} does not end")
}
