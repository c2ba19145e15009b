//! The digest by which clients compare strings without sending them: XXH3 of 64 bits, seed 0, as Redis 8.4 has it.
//!
//! Promises: the same bytes have the same digest for ever, on every machine; it is spelled in sixteen hexadecimal digits.
//! Never: protects against somebody who looks for two strings of one digest.

/// Digits of a digest.
const DIGITS: usize = 16;

/// The digest of these bytes.
pub fn digest(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The digest that these sixteen digits spell.
pub fn parse_digest(text: &[u8]) -> Option<u64> {
    if text.len() != DIGITS || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_the_authors_of_xxh3_print() {
        assert_eq!(digest(b""), 0x2D06_8005_38D3_94C2);
        assert_eq!(parse_digest(b"2d06800538D394c2"), Some(digest(b"")));
    }

    #[test]
    fn only_sixteen_digits_are_a_digest() {
        for text in
            ["", "2d06800538d394c", "2d06800538d394c22", "+d06800538d394c2", "2d06800538d394g2", " d06800538d394c2"]
        {
            assert_eq!(parse_digest(text.as_bytes()), None, "{text:?}");
        }
    }
}
