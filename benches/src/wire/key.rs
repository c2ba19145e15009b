//! The text of keys: a prefix and the key's number, filled with zeros to a length.

use crate::value::KeyId;

/// Makes the text of keys.
#[derive(Debug, Clone)]
pub struct KeyText {
    prefix_bytes: usize,
    /// Key 0 in full length.
    zero: Vec<u8>,
    /// Numbers below this fit into the zeros of `zero`.
    fits_below: u64,
}

/// One key, and how long its text is to be when its request says so.
#[derive(Debug, Clone, Copy)]
pub struct Key<'t> {
    /// How its text is made.
    pub text: &'t KeyText,
    /// Its number.
    pub id: KeyId,
    /// Bytes of its text, before the text's own default.
    pub bytes: Option<u32>,
}

impl KeyText {
    /// Keys of at least `key_bytes` bytes (more when the number needs them).
    pub fn new(prefix: &str, key_bytes: u32) -> Self {
        let mut zero = prefix.as_bytes().to_vec();
        zero.resize((key_bytes as usize).max(prefix.len() + 1), b'0');
        let digits = u32::try_from(zero.len() - prefix.len()).unwrap_or(u32::MAX);
        Self { prefix_bytes: prefix.len(), zero, fits_below: 10u64.checked_pow(digits).unwrap_or(u64::MAX) }
    }

    /// A key of the usual length.
    pub fn key(&self, id: KeyId) -> Key<'_> {
        Key { text: self, id, bytes: None }
    }
}

impl Key<'_> {
    /// Bytes of its text.
    pub fn length(&self) -> usize {
        if self.bytes.is_none() && self.id.0 < self.text.fits_below {
            return self.text.zero.len();
        }
        let wanted = self.bytes.map_or(self.text.zero.len(), |bytes| bytes as usize);
        let digits = self.id.0.checked_ilog10().unwrap_or(0) as usize + 1;
        wanted.max(self.text.prefix_bytes + digits)
    }

    /// Appends its text.
    pub fn append(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = self.length();
        let zero = &self.text.zero;
        out.extend_from_slice(&zero[..zero.len().min(length)]);
        out.resize(start + length, b'0');
        let mut rest = self.id.0;
        for digit in out[start + self.text.prefix_bytes..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: Key<'_>) -> String {
        let mut out = b"before".to_vec();
        key.append(&mut out);
        assert_eq!(out.len(), 6 + key.length());
        String::from_utf8(out.split_off(6)).unwrap()
    }

    #[test]
    fn a_number_is_filled_to_the_length_and_never_cut() {
        let keys = KeyText::new("key:", 16);
        assert_eq!(text(keys.key(KeyId(0))), "key:000000000000");
        assert_eq!(text(keys.key(KeyId(42))), "key:000000000042");
        assert_eq!(text(keys.key(KeyId(999_999_999_999))), "key:999999999999");
        assert_eq!(text(keys.key(KeyId(1_000_000_000_000))), "key:1000000000000");
        assert_eq!(text(Key { bytes: Some(3), ..keys.key(KeyId(123_456)) }), "key:123456");
        assert_eq!(text(Key { bytes: Some(20), ..keys.key(KeyId(7)) }), "key:0000000000000007");
        assert_eq!(text(KeyText::new("", 1).key(KeyId(u64::MAX))), u64::MAX.to_string());
    }
}
