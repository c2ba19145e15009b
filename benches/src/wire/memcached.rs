//! Memcached's text commands: `get`, `set`, `delete`, `stats`, `version`.

use super::{Key, NewValue, Parsed, Protocol, Reply, WireError, line, sized};
use crate::control::{Control, Target};
use crate::observe::Info;
use crate::value::{self, KeyId};
use anyhow::{Result, bail};
use thermocline_resp::write_integer;

/// Memcached.
pub struct Memcached;

/// A longer time to live is taken as a date.
const TTL_MAX_S: u32 = 30 * 24 * 3_600;

impl Protocol for Memcached {
    fn get(&self, out: &mut Vec<u8>, key: Key<'_>) {
        out.extend_from_slice(b"get ");
        key.append(out);
        out.extend_from_slice(b"\r\n");
    }

    fn set(&self, out: &mut Vec<u8>, key: Key<'_>, new: NewValue) {
        out.extend_from_slice(b"set ");
        key.append(out);
        out.extend_from_slice(b" 0 ");
        let expiry = match new.ttl_s.unwrap_or(0) {
            seconds if seconds <= TTL_MAX_S => u64::from(seconds),
            seconds => crate::clock::unix_seconds() + u64::from(seconds),
        };
        write_integer(out, expiry as i64);
        out.push(b' ');
        write_integer(out, i64::from(new.length));
        out.extend_from_slice(b"\r\n");
        value::fill(out, key.id, new.version, new.length);
        out.extend_from_slice(b"\r\n");
    }

    fn delete(&self, out: &mut Vec<u8>, key: Key<'_>) {
        out.extend_from_slice(b"delete ");
        key.append(out);
        out.extend_from_slice(b"\r\n");
    }

    // One `get` of many keys leaves out what is missing; its answers would have to be found again by their keys.
    fn get_many(&self, out: &mut Vec<u8>, first: Key<'_>, count: u32) {
        for step in 0..u64::from(count) {
            self.get(out, Key { id: KeyId(first.id.0 + step), ..first });
        }
    }

    fn parse<'a>(&self, input: &'a [u8]) -> Result<Option<Parsed<'a>>, WireError> {
        let Some((head, end)) = line(input, 0)? else { return Ok(None) };
        let whole = |reply| Ok(Some(Parsed { reply, tier: None, length: end }));
        match head {
            b"END" => whole(Reply::Missing),
            b"STORED" => whole(Reply::Done),
            b"DELETED" => whole(Reply::Count(1)),
            b"NOT_FOUND" => whole(Reply::Count(0)),
            _ if head.starts_with(b"VALUE ") => {
                let Some(length) = head.split(|byte| *byte == b' ').nth(3).and_then(decimal) else {
                    return Err(WireError::new("a VALUE without its length", head));
                };
                let Some((value, behind)) = sized(input, end, length)? else { return Ok(None) };
                match line(input, behind)? {
                    None => Ok(None),
                    Some((b"END", length)) => Ok(Some(Parsed { reply: Reply::Value(value), tier: None, length })),
                    Some((other, _)) => Err(WireError::new("no END behind a value", other)),
                }
            }
            _ if [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"].iter().any(|word| head.starts_with(word)) => {
                whole(Reply::Refused(head))
            }
            _ if head.is_ascii() => whole(Reply::Other(head)),
            _ => Err(WireError::new("a line of another language", head)),
        }
    }

    fn parse_many<'a>(&self, input: &'a [u8], count: u32) -> Result<Option<Parsed<'a>>, WireError> {
        let mut at = 0;
        for _ in 0..count {
            match self.parse(&input[at..])? {
                Some(parsed) => at += parsed.length,
                None => return Ok(None),
            }
        }
        Ok(Some(Parsed { reply: Reply::Many(&input[..at]), tier: None, length: at }))
    }

    fn greet(&self, control: &mut Control, target: &Target) -> Result<()> {
        if target.password.is_some() || target.database != 0 {
            bail!("memcached's text protocol has no password and no databases");
        }
        let answer = control.ask_line("version\r\n", &["VERSION", "ERROR"])?;
        if !answer.starts_with("VERSION") {
            bail!("{} did not answer as memcached does: {answer:?}", target.host);
        }
        Ok(())
    }

    fn ask_for_tiers(&self, _control: &mut Control) -> Result<bool> {
        Ok(false)
    }

    fn ask(&self, control: &mut Control) -> Result<Info> {
        Ok(Info::of_memcached(&control.ask_line("stats\r\n", &["END", "ERROR"])?))
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::KeyText;
    use super::*;

    #[test]
    fn commands_are_the_bytes_of_the_protocol() {
        let text = KeyText::new("key:", 8);
        let mut out = Vec::new();
        Memcached.get(&mut out, text.key(KeyId(42)));
        assert_eq!(out, b"get key:0042\r\n");
        out.clear();
        Memcached.set(&mut out, text.key(KeyId(1)), NewValue { version: 1, length: 0, ttl_s: Some(60) });
        assert_eq!(out, b"set key:0001 0 60 0\r\n\r\n");
        out.clear();
        Memcached.delete(&mut out, text.key(KeyId(1)));
        assert_eq!(out, b"delete key:0001\r\n");
        out.clear();
        Memcached.get_many(&mut out, text.key(KeyId(1)), 2);
        assert_eq!(out, b"get key:0001\r\nget key:0002\r\n");
    }

    #[test]
    fn every_answer_is_read_and_every_cut_of_it_waits() {
        let answers: [(&[u8], Reply<'_>); 7] = [
            (b"VALUE key:1 0 2\r\nhi\r\nEND\r\n", Reply::Value(b"hi")),
            (b"VALUE key:1 0 0\r\n\r\nEND\r\n", Reply::Value(b"")),
            (b"END\r\n", Reply::Missing),
            (b"STORED\r\n", Reply::Done),
            (b"DELETED\r\n", Reply::Count(1)),
            (b"NOT_FOUND\r\n", Reply::Count(0)),
            (b"SERVER_ERROR out of memory\r\n", Reply::Refused(b"SERVER_ERROR out of memory")),
        ];
        for (bytes, reply) in answers {
            assert_eq!(Memcached.parse(bytes), Ok(Some(Parsed { reply, tier: None, length: bytes.len() })));
            for cut in 0..bytes.len() {
                assert_eq!(Memcached.parse(&bytes[..cut]), Ok(None));
            }
        }
        let many = b"END\r\nVALUE k 0 1\r\na\r\nEND\r\nSTORED\r\n";
        let parsed = Memcached.parse_many(many, 2).unwrap().unwrap();
        assert_eq!(parsed.length, many.len() - b"STORED\r\n".len());
        assert!(Memcached.parse(b"VALUE k 0\r\n").is_err());
        assert!(Memcached.parse(b"VALUE k 0 1\r\nabc\r\n").is_err());
    }
}
