//! The other side: reads answers, as a client does. For tests and for the load generator.
//!
//! Promises: both protocols, attributes and pushes included; half an answer is `None`, nonsense is an error, neither panics.
//! Nesting is bounded. Never takes memory by a claimed length.

use std::fmt;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 32;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR ...` (or a RESP3 bulk error)
    Error(Vec<u8>),
    /// `:7`
    Integer(i64),
    /// `$2`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1`, `_`
    Null,
    /// `*2`
    Array(Vec<Value>),
    /// `%1`
    Map(Vec<(Value, Value)>),
    /// `~2`
    Set(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `=6 txt:hi`
    Verbatim {
        /// Three letters.
        format: Vec<u8>,
        /// The text behind the colon.
        text: Vec<u8>,
    },
    /// `(123`
    BigNumber(Vec<u8>),
    /// `>2`
    Push(Vec<Value>),
    /// `|1`, and the answer it describes.
    Attribute {
        /// What is said about the answer.
        attributes: Vec<(Value, Value)>,
        /// The answer.
        value: Box<Value>,
    },
}

/// The bytes are no answer.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct DecodeError {
    /// What was wrong.
    pub reason: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not an answer: {}", self.reason)
    }
}

impl std::error::Error for DecodeError {}

/// Reads the answer at the start of `bytes`: it and its length, `None` while it is incomplete.
pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut cursor = Cursor { bytes, at: 0 };
    Ok(cursor.value(0)?.map(|value| (value, cursor.at)))
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// Ends the function with `None` when the bytes do not suffice yet.
macro_rules! need {
    ($option:expr) => {
        match $option {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

impl<'b> Cursor<'b> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError { reason: "nested too deeply" });
        }
        let line = need!(self.line()?);
        let Some((mark, text)) = line.split_first() else {
            return Err(DecodeError { reason: "an empty line" });
        };
        Ok(Some(match mark {
            b'+' => Value::Simple(text.to_vec()),
            b'-' => Value::Error(text.to_vec()),
            b':' => Value::Integer(number(text)?),
            b'$' => match length(text)? {
                None => Value::Null,
                Some(length) => Value::Bulk(need!(self.body(length)?).to_vec()),
            },
            b'!' => Value::Error(need!(self.body(length(text)?.unwrap_or(0))?).to_vec()),
            b'=' => {
                let body = need!(self.body(length(text)?.unwrap_or(0))?);
                match body {
                    [format @ .., b':'] if format.len() == 3 => {
                        Value::Verbatim { format: format.to_vec(), text: Vec::new() }
                    }
                    [a, b, c, b':', text @ ..] => Value::Verbatim { format: vec![*a, *b, *c], text: text.to_vec() },
                    _ => return Err(DecodeError { reason: "a verbatim text without format" }),
                }
            }
            b'*' => match length(text)? {
                None => Value::Null,
                Some(length) => Value::Array(need!(self.values(length, depth)?)),
            },
            b'~' => Value::Set(need!(self.values(length(text)?.unwrap_or(0), depth)?)),
            b'>' => Value::Push(need!(self.values(length(text)?.unwrap_or(0), depth)?)),
            b'%' => Value::Map(need!(self.pairs(length(text)?.unwrap_or(0), depth)?)),
            b'|' => {
                let attributes = need!(self.pairs(length(text)?.unwrap_or(0), depth)?);
                let value = Box::new(need!(self.value(depth + 1)?));
                Value::Attribute { attributes, value }
            }
            b'_' => Value::Null,
            b'#' => match text {
                b"t" => Value::Boolean(true),
                b"f" => Value::Boolean(false),
                _ => return Err(DecodeError { reason: "a boolean is t or f" }),
            },
            b',' => Value::Double(
                std::str::from_utf8(text)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or(DecodeError { reason: "no double" })?,
            ),
            b'(' => Value::BigNumber(text.to_vec()),
            _ => return Err(DecodeError { reason: "an unknown mark" }),
        }))
    }

    fn line(&mut self) -> Result<Option<&'b [u8]>, DecodeError> {
        let rest = &self.bytes[self.at..];
        let end = need!(rest.iter().position(|byte| *byte == b'\r'));
        match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(DecodeError { reason: "a line end is CR LF" }),
        }
    }

    fn body(&mut self, length: usize) -> Result<Option<&'b [u8]>, DecodeError> {
        let rest = &self.bytes[self.at..];
        let whole = length.checked_add(2).ok_or(DecodeError { reason: "a length beyond memory" })?;
        if rest.len() < whole {
            return Ok(None);
        }
        if &rest[length..whole] != b"\r\n" {
            return Err(DecodeError { reason: "a bulk ends with CR LF" });
        }
        self.at += whole;
        Ok(Some(&rest[..length]))
    }

    fn values(&mut self, length: usize, depth: usize) -> Result<Option<Vec<Value>>, DecodeError> {
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(need!(self.value(depth + 1)?));
        }
        Ok(Some(values))
    }

    fn pairs(&mut self, length: usize, depth: usize) -> Result<Option<Vec<(Value, Value)>>, DecodeError> {
        let mut pairs = Vec::new();
        for _ in 0..length {
            let key = need!(self.value(depth + 1)?);
            pairs.push((key, need!(self.value(depth + 1)?)));
        }
        Ok(Some(pairs))
    }
}

fn number(text: &[u8]) -> Result<i64, DecodeError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(DecodeError { reason: "no integer" })
}

fn length(text: &[u8]) -> Result<Option<usize>, DecodeError> {
    match number(text)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| DecodeError { reason: "a negative length" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_none_at_every_byte() {
        let bytes = b"|1\r\n+tier\r\n+hot\r\n*3\r\n$2\r\nhi\r\n%1\r\n+a\r\n,1.5\r\n~2\r\n#t\r\n_\r\n";
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        let (value, length) = decode(bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        let Value::Attribute { attributes, value } = value else { panic!("an attribute") };
        assert_eq!(attributes, vec![(Value::Simple(b"tier".to_vec()), Value::Simple(b"hot".to_vec()))]);
        assert_eq!(
            *value,
            Value::Array(vec![
                Value::Bulk(b"hi".to_vec()),
                Value::Map(vec![(Value::Simple(b"a".to_vec()), Value::Double(1.5))]),
                Value::Set(vec![Value::Boolean(true), Value::Null]),
            ])
        );
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_stack_overflow() {
        assert!(decode(&b"*1\r\n".repeat(100_000)).is_err());
    }

    #[test]
    fn a_huge_claim_takes_no_memory() {
        assert_eq!(decode(b"*9223372036854775807\r\n"), Ok(None));
        assert_eq!(decode(b"$9223372036854775807\r\n"), Ok(None));
    }
}
