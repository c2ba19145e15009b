//! RESP2 and RESP3. Answers that this client never expects (maps, doubles, ...) are left to `thermocline-resp`.

use super::{Key, NewValue, Parsed, Protocol, Reply, Tier, WireError, line, sized};
use crate::control::{Control, Target};
use crate::observe::Info;
use crate::value::{self, KeyId};
use anyhow::Result;
use thermocline_resp::Value;

/// RESP.
pub struct Resp;

/// Elements of one answer.
const ELEMENTS_MAX: i64 = 1 << 20;

/// Answers within answers.
const DEPTH_MAX: u32 = 8;

impl Protocol for Resp {
    fn get(&self, out: &mut Vec<u8>, key: Key<'_>) {
        out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
        append_key(out, key);
    }

    fn set(&self, out: &mut Vec<u8>, key: Key<'_>, new: NewValue) {
        let head: &[u8] = if new.ttl_s.is_some() { b"*5\r\n$3\r\nSET\r\n" } else { b"*3\r\n$3\r\nSET\r\n" };
        out.extend_from_slice(head);
        append_key(out, key);
        header(out, b'$', u64::from(new.length));
        value::fill(out, key.id, new.version, new.length);
        out.extend_from_slice(b"\r\n");
        if let Some(seconds) = new.ttl_s {
            out.extend_from_slice(b"$2\r\nEX\r\n");
            header(out, b'$', u64::from(seconds.checked_ilog10().unwrap_or(0) + 1));
            thermocline_resp::write_integer(out, i64::from(seconds));
            out.extend_from_slice(b"\r\n");
        }
    }

    fn delete(&self, out: &mut Vec<u8>, key: Key<'_>) {
        out.extend_from_slice(b"*2\r\n$3\r\nDEL\r\n");
        append_key(out, key);
    }

    fn get_many(&self, out: &mut Vec<u8>, first: Key<'_>, count: u32) {
        header(out, b'*', u64::from(count) + 1);
        out.extend_from_slice(b"$4\r\nMGET\r\n");
        for step in 0..u64::from(count) {
            append_key(out, Key { id: KeyId(first.id.0 + step), ..first });
        }
    }

    fn parse<'a>(&self, input: &'a [u8]) -> Result<Option<Parsed<'a>>, WireError> {
        let mut at = 0;
        let mut tier = None;
        // Attributes describe the answer behind them; pushes answer nothing.
        loop {
            match input.get(at) {
                None => return Ok(None),
                Some(b'|') => {
                    let Some(found) = attribute(input, at, &mut tier)? else { return Ok(None) };
                    at = found;
                }
                Some(b'>') => {
                    let Some((count, start)) = number(input, at + 1)? else { return Ok(None) };
                    let Some(end) = skip(input, start, count, 1)? else { return Ok(None) };
                    at = end;
                }
                Some(_) => break,
            }
        }
        Ok(element(input, at, 0)?.map(|(reply, length)| Parsed { reply, tier, length }))
    }

    fn parse_many<'a>(&self, input: &'a [u8], _count: u32) -> Result<Option<Parsed<'a>>, WireError> {
        self.parse(input)
    }

    fn greet(&self, control: &mut Control, target: &Target) -> Result<()> {
        if let Some(password) = &target.password {
            control.expect_ok(&["AUTH", password])?;
        }
        control.expect_ok(&["PING"])?;
        if target.database != 0 {
            control.expect_ok(&["SELECT", &target.database.to_string()])?;
        }
        Ok(())
    }

    fn ask_for_tiers(&self, control: &mut Control) -> Result<bool> {
        if matches!(control.call(&["HELLO", "3"])?, Value::Error(_)) {
            return Ok(false);
        }
        Ok(!matches!(control.call(&["CLIENT", "TIERINFO", "ON"])?, Value::Error(_)))
    }

    fn ask(&self, control: &mut Control) -> Result<Info> {
        let mut info = Info::default();
        for question in [&["INFO"][..], &["INFO", "tier"]] {
            if let Value::Bulk(text) | Value::Verbatim { text, .. } = control.call(question)? {
                info.extend(Info::parse(&String::from_utf8_lossy(&text)));
            }
        }
        Ok(info)
    }
}

/// One answer at `at`, and where it ends.
fn element(input: &[u8], at: usize, depth: u32) -> Result<Option<(Reply<'_>, usize)>, WireError> {
    let Some(mark) = input.get(at) else { return Ok(None) };
    match mark {
        b'$' => match number(input, at + 1)? {
            None => Ok(None),
            Some((length, start)) if length >= 0 => {
                Ok(sized(input, start, length as usize)?.map(|(value, end)| (Reply::Value(value), end)))
            }
            Some((_, end)) => Ok(Some((Reply::Missing, end))),
        },
        b'+' | b'-' | b'_' => Ok(line(input, at + 1)?.map(|(text, end)| {
            let reply = match mark {
                b'-' => Reply::Refused(text),
                b'_' => Reply::Missing,
                _ if text == b"OK" => Reply::Done,
                _ => Reply::Other(text),
            };
            (reply, end)
        })),
        b':' => Ok(number(input, at + 1)?.map(|(count, end)| (Reply::Count(count), end))),
        b'*' => match number(input, at + 1)? {
            None => Ok(None),
            Some((count, start)) if count >= 0 => {
                Ok(skip(input, start, count, depth + 1)?.map(|end| (Reply::Many(&input[start..end]), end)))
            }
            Some((_, end)) => Ok(Some((Reply::Missing, end))),
        },
        _ => match thermocline_resp::decode(&input[at..]) {
            Ok(Some((_, length))) => Ok(Some((Reply::Other(&input[at..at + length]), at + length))),
            Ok(None) => Ok(None),
            Err(error) => Err(WireError::new(error.reason, &input[at..])),
        },
    }
}

/// Behind so many answers.
fn skip(input: &[u8], mut at: usize, count: i64, depth: u32) -> Result<Option<usize>, WireError> {
    if count > ELEMENTS_MAX || depth > DEPTH_MAX {
        return Err(WireError::new("an answer of too many elements", &input[at..]));
    }
    for _ in 0..count {
        match element(input, at, depth)? {
            Some((_, end)) => at = end,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Behind the attribute at `at`; its tier is kept.
fn attribute(input: &[u8], at: usize, tier: &mut Option<Tier>) -> Result<Option<usize>, WireError> {
    let Some((pairs, mut at)) = number(input, at + 1)? else { return Ok(None) };
    if pairs > ELEMENTS_MAX {
        return Err(WireError::new("an attribute of too many elements", &input[at..]));
    }
    for _ in 0..pairs {
        let Some((name, value_at)) = element(input, at, 1)? else { return Ok(None) };
        let Some((value, end)) = element(input, value_at, 1)? else { return Ok(None) };
        if let (Reply::Other(b"tier") | Reply::Value(b"tier"), Reply::Other(value) | Reply::Value(value)) =
            (name, value)
        {
            *tier = tier_named(value);
        }
        at = end;
    }
    Ok(Some(at))
}

fn tier_named(name: &[u8]) -> Option<Tier> {
    match name {
        b"hot" => Some(Tier::Hot),
        b"cold" => Some(Tier::Cold),
        b"miss" => Some(Tier::Miss),
        _ => None,
    }
}

/// The number of the line at `at`, and where the next line begins.
fn number(input: &[u8], at: usize) -> Result<Option<(i64, usize)>, WireError> {
    let mut number = 0i64;
    let (start, negative) = if input.get(at) == Some(&b'-') { (at + 1, true) } else { (at, false) };
    for (place, byte) in input.iter().enumerate().skip(start) {
        match byte {
            b'0'..=b'9' if number < i64::MAX / 10 - 9 => number = number * 10 + i64::from(byte - b'0'),
            b'\r' if place > start => {
                return match input.get(place + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some((if negative { -number } else { number }, place + 2))),
                    Some(_) => Err(WireError::new("a line without its end", &input[at..])),
                };
            }
            _ => return Err(WireError::new("no number where one should be", &input[at..])),
        }
    }
    Ok(None)
}

fn append_key(out: &mut Vec<u8>, key: Key<'_>) {
    header(out, b'$', key.length() as u64);
    key.append(out);
    out.extend_from_slice(b"\r\n");
}

/// The line that begins an answer or a command, or a word of it.
pub(crate) fn header(out: &mut Vec<u8>, mark: u8, number: u64) {
    out.push(mark);
    thermocline_resp::write_integer(out, number as i64);
    out.extend_from_slice(b"\r\n");
}

/// One word of a command.
pub(crate) fn bulk(out: &mut Vec<u8>, word: &[u8]) {
    header(out, b'$', word.len() as u64);
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// Any command from its arguments.
pub fn command(out: &mut Vec<u8>, arguments: &[&str]) {
    header(out, b'*', arguments.len() as u64);
    for argument in arguments {
        bulk(out, argument.as_bytes());
    }
}

/// Takes the attribute off an answer that was decoded whole: its tier, if it tells one.
pub fn split_tier(answer: Value) -> (Value, Option<Tier>) {
    let Value::Attribute { attributes, value } = answer else {
        return (answer, None);
    };
    let text = |value: &Value| match value {
        Value::Simple(text) | Value::Bulk(text) => text.clone(),
        _ => Vec::new(),
    };
    let tier = attributes.iter().find(|(name, _)| text(name) == b"tier");
    (*value, tier.and_then(|(_, value)| tier_named(&text(value))))
}

#[cfg(test)]
mod tests {
    use super::super::KeyText;
    use super::*;
    use proptest::prelude::*;

    fn parse(input: &[u8]) -> Result<Option<Parsed<'_>>, WireError> {
        Resp.parse(input)
    }

    #[test]
    fn commands_are_the_bytes_of_the_protocol() {
        let text = KeyText::new("key:", 16);
        let mut out = Vec::new();
        Resp.get(&mut out, text.key(KeyId(42)));
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n");
        out.clear();
        Resp.set(&mut out, text.key(KeyId(1)), NewValue { version: 1, length: 0, ttl_s: Some(60) });
        assert_eq!(out, b"*5\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$0\r\n\r\n$2\r\nEX\r\n$2\r\n60\r\n");
        out.clear();
        Resp.delete(&mut out, text.key(KeyId(7)));
        assert_eq!(out, b"*2\r\n$3\r\nDEL\r\n$16\r\nkey:000000000007\r\n");
        out.clear();
        Resp.get_many(&mut out, text.key(KeyId(9)), 2);
        assert_eq!(out, b"*3\r\n$4\r\nMGET\r\n$16\r\nkey:000000000009\r\n$16\r\nkey:000000000010\r\n");
    }

    #[test]
    fn every_answer_is_read_and_every_cut_of_it_waits() {
        let cold = b"|2\r\n+tier\r\n$4\r\ncold\r\n+read_us\r\n:85\r\n$2\r\nhi\r\n";
        let answers: [(&[u8], Reply<'_>, Option<Tier>); 12] = [
            (b"$2\r\nhi\r\n", Reply::Value(b"hi"), None),
            (b"$0\r\n\r\n", Reply::Value(b""), None),
            (b"$-1\r\n", Reply::Missing, None),
            (b"_\r\n", Reply::Missing, None),
            (b"+OK\r\n", Reply::Done, None),
            (b"+QUEUED\r\n", Reply::Other(b"QUEUED"), None),
            (b":1\r\n", Reply::Count(1), None),
            (b"-OOM no\r\n", Reply::Refused(b"OOM no"), None),
            (cold, Reply::Value(b"hi"), Some(Tier::Cold)),
            (b"|1\r\n+tier\r\n+miss\r\n_\r\n", Reply::Missing, Some(Tier::Miss)),
            (b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n", Reply::Done, None),
            (b"*2\r\n$1\r\na\r\n$-1\r\n", Reply::Many(b"$1\r\na\r\n$-1\r\n"), None),
        ];
        for (bytes, reply, tier) in answers {
            assert_eq!(parse(bytes), Ok(Some(Parsed { reply, tier, length: bytes.len() })));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{:?} cut at {cut}", String::from_utf8_lossy(bytes));
            }
        }
    }

    #[test]
    fn nonsense_is_an_error_that_shows_what_came() {
        for bytes in [&b"HTTP/1.1 400 Bad\r\n"[..], b"$x\r\n", b"$2\r\nhi!!", b"$99999999999999999999\r\n", b"+a\rb"] {
            let error = parse(bytes).unwrap_err().to_string();
            assert!(error.contains("does not speak the protocol"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_the_careful_decoder_agrees(bytes in proptest::collection::vec(
            prop_oneof![Just(b'$'), Just(b'*'), Just(b'+'), Just(b'-'), Just(b':'), Just(b'|'), Just(b'_'), Just(b'\r'),
                Just(b'\n'), Just(b'1'), Just(b'2'), Just(b'0'), any::<u8>()], 0..40)) {
            if let Ok(Some(parsed)) = parse(&bytes) {
                prop_assert!(parsed.length <= bytes.len());
            }
        }

        #[test]
        fn values_and_their_lengths_agree_with_the_careful_decoder(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Vec::new();
            header(&mut bytes, b'$', value.len() as u64);
            bytes.extend_from_slice(&value);
            bytes.extend_from_slice(b"\r\n+OK\r\n");
            let (decoded, length) = thermocline_resp::decode(&bytes).unwrap().unwrap();
            prop_assert_eq!(decoded, Value::Bulk(value.clone()));
            prop_assert_eq!(parse(&bytes), Ok(Some(Parsed { reply: Reply::Value(&value), tier: None, length })));
        }
    }
}
