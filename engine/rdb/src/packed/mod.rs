//! Packed values: several elements in the bytes of one string. Five forms, one cursor.
//!
//! Promises: each element is checked when it is reached and nothing outside the bytes is touched; at the end the form's own
//! count and end mark must agree with what was met; work is one pass.
//! Never: allocates; an element is a range of the bytes, or an integer.

pub(crate) mod intset;
pub(crate) mod listpack;
mod ziplist;
mod zipmap;

use std::fmt;
use std::ops::Range;

/// The number of elements of a listpack or ziplist that has too many to say.
const COUNT_UNKNOWN: u16 = u16::MAX;
/// The last byte of a listpack or ziplist.
const END: u8 = 0xFF;

/// Which rules packed bytes follow.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Form {
    /// One element, as it is: a node of a quicklist for a long element.
    Plain,
    /// Since Redis 5 (streams) and 7.0 (everything else).
    Listpack,
    /// Before Redis 7.0.
    Ziplist,
    /// Sorted integers.
    Intset,
    /// Hashes before Redis 2.6.
    Zipmap,
}

impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Form::Plain => "plain node",
            Form::Listpack => "listpack",
            Form::Ziplist => "ziplist",
            Form::Intset => "intset",
            Form::Zipmap => "zipmap",
        })
    }
}

/// One element of a packed value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Piece {
    Bytes(Range<usize>),
    Integer(i64),
}

/// A broken rule, and the byte where.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Flaw {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

/// A place between two elements of packed bytes that lie elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    form: Form,
    at: usize,
    /// Bytes of the element before, which a ziplist repeats.
    previous: usize,
    found: u64,
    claimed: Option<u64>,
    done: bool,
}

impl Cursor {
    /// In front of the first element; the head is checked.
    pub(crate) fn new(form: Form, bytes: &[u8]) -> Result<Cursor, Flaw> {
        let (at, claimed) = match form {
            Form::Plain => (0, None),
            Form::Listpack => listpack::head(bytes)?,
            Form::Ziplist => ziplist::head(bytes)?,
            Form::Intset => intset::head(bytes)?,
            Form::Zipmap => zipmap::head(bytes)?,
        };
        Ok(Cursor { form, at, previous: 0, found: 0, claimed, done: false })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Where the cursor stands, for an error.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next element of the same `bytes` that the cursor was made for; `None` at the end, and from then on.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Option<Piece>, Flaw> {
        if self.done {
            return Ok(None);
        }
        let step = match self.form {
            Form::Plain => (self.found == 0).then_some((Piece::Bytes(0..bytes.len()), bytes.len())),
            Form::Listpack => listpack::step(bytes, self.at)?,
            Form::Ziplist => ziplist::step(bytes, self.at, self.previous)?,
            Form::Intset => intset::step(bytes, self.at)?,
            // A zipmap counts pairs.
            Form::Zipmap => zipmap::step(bytes, self.at, self.found % 2 == 1)?,
        };
        let Some((piece, after)) = step else {
            self.done = true;
            let found = if self.form == Form::Zipmap { self.found / 2 } else { self.found };
            if self.claimed.is_some_and(|claimed| claimed != found) {
                return Err(Flaw { at: self.at, what: "the count in its head is not the number of its elements" });
            }
            return Ok(None);
        };
        self.previous = after - self.at;
        self.at = after;
        self.found += 1;
        Ok(Some(piece))
    }
}

/// The bytes `at..at + N`, or the flaw that they are not there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Flaw> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Flaw { at, what: "it ends inside an element" })
}

/// A listpack or a ziplist: its own length in front, the number of its elements (unless they are very many) at `count_at`, an end
/// mark. Answers where the elements begin, and how many there are.
fn framed(bytes: &[u8], head_bytes: usize, count_at: usize) -> Result<(usize, Option<u64>), Flaw> {
    if bytes.len() < head_bytes + 1 {
        return Err(Flaw { at: 0, what: "it is shorter than its head and end" });
    }
    if u32::from_le_bytes(array(bytes, 0)?) as usize != bytes.len() {
        return Err(Flaw { at: 0, what: "the length in its head is not its length" });
    }
    if bytes.last() != Some(&END) {
        return Err(Flaw { at: bytes.len() - 1, what: "its last byte is not the end mark" });
    }
    let count = u16::from_le_bytes(array(bytes, count_at)?);
    Ok((head_bytes, (count != COUNT_UNKNOWN).then_some(u64::from(count))))
}

/// The range of `length` bytes at `at`, all before `end`.
fn range(at: usize, length: usize, end: usize) -> Result<Range<usize>, Flaw> {
    match at.checked_add(length) {
        Some(after) if after <= end => Ok(at..after),
        _ => Err(Flaw { at, what: "an element reaches behind the end" }),
    }
}

/// A three-byte signed integer.
fn integer_of_24_bits([low, middle, high]: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
}

#[cfg(test)]
pub(crate) fn texts_of(form: Form, bytes: &[u8]) -> Result<Vec<String>, Flaw> {
    let mut cursor = Cursor::new(form, bytes)?;
    let mut texts = Vec::new();
    while let Some(piece) = cursor.next(bytes)? {
        texts.push(match piece {
            Piece::Bytes(range) => bytes[range].escape_ascii().to_string(),
            Piece::Integer(integer) => integer.to_string(),
        });
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_are_elements_or_a_flaw(mut bytes: Vec<u8>, count in 0u16..5, form in 0..5) {
            let form = [Form::Plain, Form::Listpack, Form::Ziplist, Form::Intset, Form::Zipmap][form as usize];
            let length = bytes.len() as u32;
            // A right head, so that the elements are reached.
            if form == Form::Listpack && length >= 6 {
                bytes[..4].copy_from_slice(&length.to_le_bytes());
                bytes[4..6].copy_from_slice(&count.to_le_bytes());
            }
            if form == Form::Ziplist && length >= 10 {
                bytes[..4].copy_from_slice(&length.to_le_bytes());
                bytes[8..10].copy_from_slice(&count.to_le_bytes());
            }
            if let Some(last) = bytes.last_mut() {
                *last = 0xFF;
            }
            if let Ok(texts) = texts_of(form, &bytes) {
                prop_assert!(texts.len() <= bytes.len().max(1));
            }
        }
    }
}
