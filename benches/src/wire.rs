//! Commands as bytes, straight into the output buffer, and what this client wants to know of an answer.
//!
//! A value is generated where it is sent: no copy between. Never parses: that is `thermocline-resp`.

use crate::value::{self, KeyId};
use std::io::Write as _;
use thermocline_resp::Value;

/// Where the server found a value, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In DRAM.
    Hot,
    /// On the SSD.
    Cold,
    /// Nowhere.
    Miss,
}

/// Makes the text of keys: a prefix and the number, filled with zeros to a length.
#[derive(Debug, Clone)]
pub struct KeyText {
    prefix: String,
    key_bytes: u32,
}

impl KeyText {
    /// Keys of at least `key_bytes` bytes (more when the number needs them).
    pub fn new(prefix: &str, key_bytes: u32) -> Self {
        Self { prefix: prefix.to_owned(), key_bytes }
    }

    /// Bytes of this key's text; `key_bytes` of the request goes before the default.
    pub fn length(&self, key: KeyId, key_bytes: Option<u32>) -> usize {
        let wanted = key_bytes.unwrap_or(self.key_bytes) as usize;
        let digits = key.0.checked_ilog10().unwrap_or(0) as usize + 1;
        wanted.max(self.prefix.len() + digits)
    }

    fn append(&self, out: &mut Vec<u8>, key: KeyId, key_bytes: Option<u32>) {
        let length = self.length(key, key_bytes);
        header(out, b'$', length as u64);
        out.extend_from_slice(self.prefix.as_bytes());
        let start = out.len();
        out.resize(start + length - self.prefix.len(), b'0');
        let mut rest = key.0;
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// `GET key`.
pub fn get(out: &mut Vec<u8>, text: &KeyText, key: KeyId, key_bytes: Option<u32>) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
    text.append(out, key, key_bytes);
}

/// The facts of a value to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewValue {
    /// Version that the value will carry.
    pub version: u32,
    /// Its length in bytes.
    pub length: u32,
    /// Time to live, if any.
    pub ttl_s: Option<u32>,
}

/// `SET key value [EX seconds]`.
pub fn set(out: &mut Vec<u8>, text: &KeyText, key: KeyId, key_bytes: Option<u32>, new: NewValue) {
    let arguments = if new.ttl_s.is_some() { 5 } else { 3 };
    header(out, b'*', arguments);
    out.extend_from_slice(b"$3\r\nSET\r\n");
    text.append(out, key, key_bytes);
    header(out, b'$', u64::from(new.length));
    value::fill(out, key, new.version, new.length);
    out.extend_from_slice(b"\r\n");
    if let Some(seconds) = new.ttl_s {
        let digits = seconds.checked_ilog10().unwrap_or(0) + 1;
        write!(out, "$2\r\nEX\r\n${digits}\r\n{seconds}\r\n").expect("a Vec takes every write");
    }
}

/// Any command from its arguments.
pub fn command(out: &mut Vec<u8>, arguments: &[&str]) {
    header(out, b'*', arguments.len() as u64);
    for argument in arguments {
        header(out, b'$', argument.len() as u64);
        out.extend_from_slice(argument.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn header(out: &mut Vec<u8>, mark: u8, number: u64) {
    out.push(mark);
    thermocline_resp::write_integer(out, number as i64);
    out.extend_from_slice(b"\r\n");
}

/// Takes the tier attribute off an answer.
pub fn split_tier(answer: Value) -> (Value, Option<Tier>) {
    let Value::Attribute { attributes, value } = answer else {
        return (answer, None);
    };
    let tier = attributes.iter().find(|(name, _)| text(name) == Some(b"tier"));
    let tier = tier.and_then(|(_, value)| match text(value)? {
        b"hot" => Some(Tier::Hot),
        b"cold" => Some(Tier::Cold),
        b"miss" => Some(Tier::Miss),
        _ => None,
    });
    (*value, tier)
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Simple(text) | Value::Bulk(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_bytes_of_the_protocol() {
        let text = KeyText::new("key:", 16);
        let mut out = Vec::new();
        get(&mut out, &text, KeyId(42), None);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n");
        out.clear();
        get(&mut out, &text, KeyId(123_456), Some(3));
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$10\r\nkey:123456\r\n");
        out.clear();
        set(&mut out, &text, KeyId(1), None, NewValue { version: 1, length: 0, ttl_s: Some(60) });
        assert_eq!(out, b"*5\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$0\r\n\r\n$2\r\nEX\r\n$2\r\n60\r\n");
    }

    #[test]
    fn the_tier_is_taken_from_the_attribute() {
        let bytes = b"|2\r\n+tier\r\n$4\r\ncold\r\n+read_us\r\n:85\r\n$2\r\nhi\r\n";
        let (answer, _) = thermocline_resp::decode(bytes).unwrap().unwrap();
        assert_eq!(split_tier(answer), (Value::Bulk(b"hi".to_vec()), Some(Tier::Cold)));
        assert_eq!(split_tier(Value::Null), (Value::Null, None));
    }
}
