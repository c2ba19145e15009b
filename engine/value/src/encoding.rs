//! The encoding that OBJECT ENCODING names for a string: told from its bytes, since nothing is stored about it.
//!
//! Promises: integers are `int`, strings of up to 44 bytes `embstr`, longer ones `raw`, as for a value freshly SET in Redis.
//! Never: remembers a string's history. (Redis calls a value `raw` once it was appended to, however short it is.)

use crate::integer::parse_integer;

/// Longest string that is called `embstr`.
pub const EMBEDDED_BYTES_MAX: u64 = 44;

/// How Redis would keep a string.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum StringEncoding {
    /// A number.
    Integer,
    /// Short: in one cell with its header.
    Embedded,
    /// Long: on its own.
    Raw,
}

impl StringEncoding {
    /// The encoding of a string with these bytes and this length (the bytes of a long string need not be at hand).
    pub fn of(bytes: &[u8], length: u64) -> StringEncoding {
        if length > EMBEDDED_BYTES_MAX {
            StringEncoding::Raw
        } else if parse_integer(bytes).is_some() {
            StringEncoding::Integer
        } else {
            StringEncoding::Embedded
        }
    }

    /// The name OBJECT ENCODING answers.
    pub const fn name(self) -> &'static str {
        match self {
            StringEncoding::Integer => "int",
            StringEncoding::Embedded => "embstr",
            StringEncoding::Raw => "raw",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_from_the_bytes() {
        let name = |bytes: &[u8]| StringEncoding::of(bytes, bytes.len() as u64).name();
        assert_eq!(name(b"-9223372036854775808"), "int");
        assert_eq!(name(b"9223372036854775808"), "embstr");
        assert_eq!(name(b"012"), "embstr");
        assert_eq!(name(b""), "embstr");
        assert_eq!(name(&[b'x'; 44]), "embstr");
        assert_eq!(name(&[b'x'; 45]), "raw");
        assert_eq!(StringEncoding::of(b"", 1 << 20).name(), "raw", "the bytes of a long string need not be there");
    }
}
