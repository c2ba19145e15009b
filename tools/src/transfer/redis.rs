//! Keys of a running server: SCAN, then PEXPIRETIME and DUMP of what it named, a batch per round trip.
//!
//! Promises: a key that is there from the first SCAN to the last is brought; one that goes meanwhile is left out; a payload is
//! checked before it is believed. Never: changes the server, or shows its password.

use super::filter::Filter;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use thermocline_exchange::kind_of;
use thermocline_rdb::payload::Payload;
use thermocline_rdb::{Duplicates, Options};
use thermocline_resp::{Value, decode};
use thermocline_transfer::rdb::{FromReader, Passed};
use thermocline_transfer::{Choice, Head, Sink};

/// COUNT of SCAN, and so keys asked for in one round trip.
const STEP_KEYS: &str = "100";
/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 256 << 10;

/// A connection.
pub struct Server {
    stream: TcpStream,
    unread: Vec<u8>,
    address: String,
    /// It tells when a key expires (Redis 7.0), not only how long that is from now.
    tells_times: bool,
}

impl Server {
    /// Connects, and signs in if there is a password.
    ///
    /// # Errors
    /// Nobody listens, or the password is wrong.
    pub fn connect(address: &str, user: Option<&str>, password: Option<&str>) -> Result<Server> {
        let about = || format!("cannot connect to {address}");
        let stream = TcpStream::connect(address).with_context(about)?;
        stream.set_read_timeout(Some(PATIENCE)).with_context(about)?;
        stream.set_write_timeout(Some(PATIENCE)).with_context(about)?;
        stream.set_nodelay(true).with_context(about)?;
        let mut server = Server { stream, unread: Vec::new(), address: address.to_owned(), tells_times: false };
        if let Some(password) = password {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(user.map(str::as_bytes));
            words.push(password.as_bytes());
            server.ask(&words).context("the server does not accept the password")?;
        }
        server.send(&[vec![b"PEXPIRETIME", b""]])?;
        server.tells_times = matches!(server.answer()?, Value::Integer(_));
        Ok(server)
    }

    fn send(&mut self, commands: &[Vec<&[u8]>]) -> Result<()> {
        let mut bytes = Vec::new();
        for words in commands {
            write!(bytes, "*{}\r\n", words.len())?;
            for word in words {
                write!(bytes, "${}\r\n", word.len())?;
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.stream.write_all(&bytes).with_context(|| format!("writing to {}", self.address))
    }

    /// The next answer. The bytes of one that is long are not decoded again and again: only when twice as many are there.
    fn answer(&mut self) -> Result<Value> {
        let mut enough = 0;
        loop {
            if self.unread.len() >= enough {
                if let Some((value, bytes)) = decode(&self.unread)? {
                    self.unread.drain(..bytes);
                    return Ok(value);
                }
                enough = self.wanted().unwrap_or(self.unread.len() + 1);
            }
            let from = self.unread.len();
            self.unread.resize(from + READ_BYTES, 0);
            let read = loop {
                match self.stream.read(&mut self.unread[from..]) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.unread.truncate(from + *read.as_ref().unwrap_or(&0));
            if read.with_context(|| format!("reading from {}", self.address))? == 0 {
                bail!("{} closed the connection", self.address);
            }
        }
    }

    /// Bytes of the bulk string that has begun, if one has.
    fn wanted(&self) -> Option<usize> {
        let line = self.unread.strip_prefix(b"$")?;
        let end = line.iter().position(|&byte| byte == b'\r')?;
        let bytes: usize = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
        bytes.checked_add(end + 5)
    }

    /// One command, one answer; an error of the server's is one here.
    fn ask(&mut self, words: &[&[u8]]) -> Result<Value> {
        self.send(&[words.to_vec()])?;
        match self.answer()? {
            Value::Error(text) => bail!("{}: {}", self.address, text.escape_ascii()),
            value => Ok(value),
        }
    }

    /// The databases that hold keys, and how many.
    ///
    /// # Errors
    /// The server does not say.
    pub fn databases(&mut self) -> Result<Vec<(u32, u64)>> {
        let Value::Bulk(text) = self.ask(&[b"INFO", b"keyspace"])? else { bail!("INFO is no text") };
        Ok(keyspace(&String::from_utf8_lossy(&text)))
    }

    /// Brings its keys to `sink`; `step` is told how many keys were named so far.
    ///
    /// # Errors
    /// The server fails or sends what cannot be carried, or the sink takes a key not.
    pub fn bring(
        &mut self,
        databases: &[(u32, u64)],
        (filter, skip, now_ms): (&Filter, bool, &dyn Fn() -> u64),
        sink: &mut dyn Sink,
        step: &mut dyn FnMut(u64),
    ) -> Result<Passed> {
        let (mut passed, mut named) = (Passed::default(), 0);
        for &(database, _) in databases.iter().filter(|(database, _)| filter.has_database(*database)) {
            self.ask(&[b"SELECT", database.to_string().as_bytes()])?;
            let mut cursor = b"0".to_vec();
            loop {
                let (next, names) = self.scan(&cursor, filter)?;
                named += names.len() as u64;
                self.values(database, &names, (filter, skip, now_ms), sink, &mut passed)?;
                step(named);
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(passed)
    }

    fn scan(&mut self, cursor: &[u8], filter: &Filter) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
        let mut words: Vec<&[u8]> = vec![b"SCAN", cursor, b"COUNT", STEP_KEYS.as_bytes()];
        if let Some(pattern) = &filter.pattern {
            words.extend([b"MATCH", pattern.as_bytes()]);
        }
        let Value::Array(parts) = self.ask(&words)? else { bail!("SCAN's answer is no pair") };
        let mut parts = parts.into_iter();
        let (Some(Value::Bulk(next)), Some(Value::Array(names))) = (parts.next(), parts.next()) else {
            bail!("SCAN's answer is no pair of a cursor and names");
        };
        let names = names.into_iter().filter_map(|name| match name {
            Value::Bulk(name) => Some(name),
            _ => None,
        });
        Ok((next, names.collect()))
    }

    fn values(
        &mut self,
        database: u32,
        names: &[Vec<u8>],
        (filter, skip, now_ms): (&Filter, bool, &dyn Fn() -> u64),
        sink: &mut dyn Sink,
        passed: &mut Passed,
    ) -> Result<()> {
        // In a transaction, so that the time is that of the value.
        let time: &[u8] = if self.tells_times { b"PEXPIRETIME" } else { b"PTTL" };
        let commands: Vec<Vec<&[u8]>> = names
            .iter()
            .flat_map(|name| [vec![&b"MULTI"[..]], vec![time, name], vec![&b"DUMP"[..], name], vec![&b"EXEC"[..]]])
            .collect();
        self.send(&commands)?;
        for name in names {
            let mut refused = None;
            for _ in 0..3 {
                if let Value::Error(text) = self.answer()? {
                    refused.get_or_insert(text); // EXEC then says only that there was one
                }
            }
            let answer = self.answer()?;
            if let Some(text) = refused {
                bail!("reading '{}': {}", name.escape_ascii(), text.escape_ascii());
            }
            let Value::Array(mut pair) = answer else { bail!("EXEC's answer is no pair") };
            let (Some(payload), Some(time)) = (pair.pop(), pair.pop()) else { bail!("EXEC's answer is no pair") };
            let shown = name.escape_ascii();
            let expires_at_ms = match time {
                Value::Integer(-1) => None,
                Value::Integer(time) => {
                    let from_ms = if self.tells_times { 0 } else { now_ms() };
                    Some(from_ms.saturating_add(u64::try_from(time).unwrap_or(0)))
                }
                other => bail!("the time to live of '{shown}' is {other:?}"),
            };
            let payload = match payload {
                Value::Bulk(payload) => payload,
                Value::Null => {
                    passed.expired += 1; // or removed meanwhile
                    continue;
                }
                Value::Error(text) => bail!("DUMP of '{shown}': {}", text.escape_ascii()),
                other => bail!("DUMP of '{shown}' is {other:?}"),
            };
            let options = Options { duplicates: Duplicates::LeaveToReceiver, ..Options::default() };
            let mut payload = Payload::open(&payload, &options).with_context(|| format!("DUMP of '{shown}'"))?;
            let value = payload.value();
            let Some(kind) = kind_of(value.kind()) else {
                if !skip {
                    bail!(
                        "key '{shown}' of db{database} is a stream or a module's value, which is not carried yet; --skip-unsupported leaves it out"
                    );
                }
                passed.unsupported += 1;
                continue;
            };
            if !filter.has_kind(kind) {
                passed.filtered += 1;
                continue;
            }
            let head = Head { database, key: name.clone(), kind, expires_at_ms };
            let mut value = FromReader { value, now_ms: now_ms() };
            sink.take(&head, &mut value).with_context(|| format!("key '{shown}' of db{database}"))?;
            payload.end().with_context(|| format!("DUMP of '{shown}'"))?;
        }
        Ok(())
    }
}

/// `db0:keys=5,expires=1,...` of each line.
fn keyspace(text: &str) -> Vec<(u32, u64)> {
    let database = |line: &str| {
        let (number, facts) = line.trim().strip_prefix("db")?.split_once(':')?;
        let keys = facts.split(',').find_map(|fact| fact.strip_prefix("keys="))?;
        Some((number.parse().ok()?, keys.parse().ok()?))
    };
    text.lines().filter_map(database).collect()
}

#[cfg(test)]
mod tests {
    use super::keyspace;

    #[test]
    fn the_databases_with_keys_are_read_from_info() {
        let text = "# Keyspace\r\ndb0:keys=5,expires=1,avg_ttl=0\r\ndb11:keys=70,expires=0\r\nodd\r\n";
        assert_eq!(keyspace(text), [(0, 5), (11, 70)]);
    }
}
