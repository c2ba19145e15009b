//! Elements: how a member is spelt, which value belongs to a field or a place, and commands made of them.
//!
//! ```text
//! field and member   m:00000000000042                 16 bytes: the number of the element
//! value              value::fill(key << 40 | number)  says of which key and element it is
//! ```
//!
//! Promises: two elements never share a value, so that an element at a wrong place is seen. Never checks an answer.

use crate::value::{self, KeyId};
use crate::wire::{Key, KeyText, bulk, header};
use crate::workload::load::LOADED_VERSION;

/// Bits of a value's owner that number the element.
const ELEMENT_BITS: u32 = 40;
/// Elements of a key: half of the numbers, the rest are for what is pushed.
pub const ELEMENTS_MAX: u64 = 1 << (ELEMENT_BITS - 1);
/// Elements that are pushed are numbered from here.
pub const PUSHED: u64 = ELEMENTS_MAX;
/// Keys whose number fits beside that of an element.
pub const KEYS_MAX: u64 = 1 << (u64::BITS - ELEMENT_BITS);
/// Bytes of a field or member.
pub const MEMBER_BYTES: u32 = 16;

/// The owner of the value of this element.
pub fn owner(key: u64, element: u64) -> KeyId {
    KeyId((key << ELEMENT_BITS) | element)
}

/// The key whose element has this owner.
pub fn key_of(owner: KeyId) -> u64 {
    owner.0 >> ELEMENT_BITS
}

/// How keys and members are spelt and how long values are.
#[derive(Debug, Clone)]
pub struct Spelling {
    /// The keys.
    pub keys: KeyText,
    /// Fields and members.
    pub members: KeyText,
    /// Bytes of a value.
    pub value_bytes: u32,
}

impl Spelling {
    /// These keys, members and values.
    pub fn new(keys: KeyText, value_bytes: u32) -> Self {
        Self { keys, members: KeyText::new("m:", MEMBER_BYTES), value_bytes }
    }

    /// Begins a command of so many words, itself and its key included.
    pub fn begin(&self, out: &mut Vec<u8>, words: u64, command: &str, key: u64) {
        header(out, b'*', words);
        bulk(out, command.as_bytes());
        key_word(out, self.keys.key(KeyId(key)));
    }

    /// A field or member.
    pub fn member(&self, out: &mut Vec<u8>, element: u64) {
        key_word(out, self.members.key(KeyId(element)));
    }

    /// A value in this version.
    pub fn value(&self, out: &mut Vec<u8>, key: u64, element: u64, version: u32) {
        header(out, b'$', u64::from(self.value_bytes));
        value::fill(out, owner(key, element), version, self.value_bytes);
        out.extend_from_slice(b"\r\n");
    }

    /// A value as it is filled in.
    pub fn first_value(&self, out: &mut Vec<u8>, key: u64, element: u64) {
        self.value(out, key, element, LOADED_VERSION);
    }

    /// Which element this field or member is; `None` when it is none of ours.
    pub fn element(&self, member: &[u8]) -> Option<u64> {
        let element = std::str::from_utf8(member).ok()?.strip_prefix("m:")?.parse().ok()?;
        let mut text = Vec::with_capacity(member.len());
        self.members.key(KeyId(element)).append(&mut text);
        (text == member).then_some(element)
    }
}

/// A number as a word.
pub fn number(out: &mut Vec<u8>, number: u64) {
    let digits = number.checked_ilog10().unwrap_or(0) + 1;
    header(out, b'$', u64::from(digits));
    thermocline_resp::write_integer(out, number as i64);
    out.extend_from_slice(b"\r\n");
}

fn key_word(out: &mut Vec<u8>, key: Key<'_>) {
    header(out, b'$', key.length() as u64);
    key.append(out);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_back_as_its_number_and_nothing_else_is() {
        let spelling = Spelling::new(KeyText::new("key:", 16), 50);
        let mut out = Vec::new();
        spelling.member(&mut out, 42);
        assert_eq!(out, b"$16\r\nm:00000000000042\r\n");
        assert_eq!(spelling.element(b"m:00000000000042"), Some(42));
        for other in [&b"m:42"[..], b"m:0000000000004x", b"n:00000000000042", b"m:+0000000000042", b"\xff"] {
            assert_eq!(spelling.element(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn commands_are_the_bytes_of_the_protocol() {
        let spelling = Spelling::new(KeyText::new("key:", 5), 24);
        let mut out = Vec::new();
        spelling.begin(&mut out, 4, "LRANGE", 7);
        number(&mut out, 0);
        number(&mut out, 99);
        assert_eq!(out, b"*4\r\n$6\r\nLRANGE\r\n$5\r\nkey:7\r\n$1\r\n0\r\n$2\r\n99\r\n");
    }

    #[test]
    fn no_two_elements_share_an_owner() {
        assert_ne!(owner(0, PUSHED), owner(1, 0));
        assert_eq!(key_of(owner(KEYS_MAX - 1, ELEMENTS_MAX - 1)), KEYS_MAX - 1);
    }
}
