//! Reads commands out of a connection's bytes: multibulk (`*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`) and inline (`ECHO hi\r\n`).
//!
//! Promises: arguments are *places* in the caller's buffer; a command that arrives in pieces is continued where it stopped, so
//! a large value costs one look per piece and not one scan. Error texts are Redis's own. Never takes memory by a claimed length.
//!
//! ```text
//!  *2\r\n $4\r\n ECHO \r\n $2\r\n hi \r\n
//!               ^^^^             ^^          two spans: (8, 4) and (18, 2)
//! ```

use std::fmt;

/// Longest line (a count, a length, an inline command) before its end must have been seen.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Before AUTH: how many arguments a command may have.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
/// Before AUTH: how long one argument may be.
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// Where one argument lies in the buffer that was parsed.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub length: u32,
}

impl Span {
    /// The argument's bytes.
    pub fn of<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        &buffer[self.start as usize..self.start as usize + self.length as usize]
    }
}

/// What a client may send.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// Longest argument (`proto-max-bulk-len`).
    pub bulk_bytes_max: u64,
    /// Most arguments of one command.
    pub arguments_max: usize,
    /// False until the client has shown its password: then small commands only.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bulk_bytes_max: 512 * 1024 * 1024, arguments_max: 1024 * 1024, authenticated: true }
    }
}

/// What one call of [`Parser::parse`] found.
#[derive(Debug, Eq, PartialEq)]
pub enum Parsed {
    /// A command; its spans were appended.
    Complete {
        /// Bytes that belong to it.
        consumed: usize,
    },
    /// Nothing to execute (`*0`, an empty line), but bytes were used up.
    Nothing {
        /// Bytes to skip.
        consumed: usize,
    },
    /// More bytes are needed; call again with the same bytes and more behind them.
    Incomplete {
        /// At least so many are missing. Claimed by the client: a hint, not a size to allocate.
        missing: usize,
    },
    /// Answer this once, then close.
    Error(ProtocolError),
}

/// Why the bytes are no command. `Display` gives the words behind `-ERR Protocol error: `.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ProtocolError {
    /// The number behind `*`.
    InvalidMultibulkLength,
    /// Too many arguments before AUTH.
    UnauthenticatedMultibulkLength,
    /// The number behind `$`.
    InvalidBulkLength,
    /// Too long an argument before AUTH.
    UnauthenticatedBulkLength,
    /// Something else where `$` must stand.
    ExpectedDollar(u8),
    /// A `*` line without end.
    TooBigMultibulkCount,
    /// A `$` line without end.
    TooBigBulkCount,
    /// An inline command without end.
    TooBigInline,
    /// A quote that does not close, or text glued to its close.
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::TooBigMultibulkCount => "too big mbulk count string",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::ExpectedDollar(got) => return write!(formatter, "expected '$', got '{}'", *got as char),
        })
    }
}

impl std::error::Error for ProtocolError {}

/// Where a half-arrived command stands. All positions count from the command's first byte.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments still to come, once the `*` line was read.
    remaining: usize,
    /// True when the `*` line was read.
    inside: bool,
    /// The next unread byte.
    position: usize,
    /// No line end before this byte.
    scanned: usize,
    /// Length of the argument whose bytes are awaited.
    bulk: Option<usize>,
    /// Spans read so far.
    partial: Vec<Span>,
}

/// Reads what nearly every command looks like: all there, fewer than ten words, none of a thousand bytes. Answers its length; or
/// nothing, and then some spans too many may have been appended, and [`Parser::parse`] looks more closely. The bounds are within
/// all [`Limits`], those before AUTH included.
///
/// A head such as `$16\r\n` is looked at as one number of eight bytes, the last of which may be the word's.
#[inline]
pub fn usual(buffer: &[u8], at: usize, spans: &mut Vec<Span>) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes(*b"$\0\r\n\0\0\0\0");
    const TENS: u64 = u64::from_le_bytes(*b"$\0\0\r\n\0\0\0");
    const HUNDREDS: u64 = u64::from_le_bytes(*b"$\0\0\0\r\n\0\0");
    let [b'*', words @ b'1'..=b'9', b'\r', b'\n', ..] = *buffer.get(at..)? else { return None };
    let mut position = at + 4;
    for _ in b'0'..words {
        let head = u64::from_le_bytes(*buffer.get(position..)?.first_chunk()?);
        let digit = |at: u32| ((head >> (8 * at)) as u8).wrapping_sub(b'0');
        let (first, second, third) = (digit(1), digit(2), digit(3));
        let (bytes, length) = if head & 0xff_ff00_00ff == TENS && first.max(second) <= 9 && first > 0 {
            (5, usize::from(first) * 10 + usize::from(second))
        } else if head & 0xffff_00ff == ONES && first <= 9 {
            (4, usize::from(first))
        } else if head & 0xffff_0000_00ff == HUNDREDS && first.max(second).max(third) <= 9 && first > 0 {
            (6, usize::from(first) * 100 + usize::from(second) * 10 + usize::from(third))
        } else {
            return None;
        };
        let start = position + bytes;
        position = start + length + 2;
        if position > buffer.len() {
            return None;
        }
        spans.push(Span { start: start as u32, length: length as u32 });
    }
    Some(position - at)
}

/// One step inside a multibulk: finished, or stopped for this reason.
enum Stop {
    Need(usize),
    Error(ProtocolError),
}

impl Parser {
    /// A parser at a command's start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether [`usual`] may be asked for the next command: none has arrived in part.
    #[inline]
    pub fn is_at_start(&self) -> bool {
        self.position == 0 && self.scanned == 0
    }

    /// Reads the command that starts at `buffer[at]`. Spans of a complete command are appended to `spans`; otherwise `spans`
    /// is left as it was. Escapes of an inline command are undone in place (they only ever get shorter).
    pub fn parse(&mut self, buffer: &mut [u8], at: usize, limits: &Limits, spans: &mut Vec<Span>) -> Parsed {
        assert!(buffer.len() <= u32::MAX as usize, "a read buffer is below 4 GiB");
        let Some(first) = buffer.get(at) else { return Parsed::Incomplete { missing: 1 } };
        if *first != b'*' {
            return self.parse_inline(buffer, at, spans);
        }
        let before = spans.len();
        if self.inside {
            let shift = at as u32;
            spans.extend(self.partial.drain(..).map(|span| Span { start: span.start + shift, ..span }));
        }
        match self.multibulk(&buffer[at..], at as u32, limits, spans) {
            Ok(0) => {
                let consumed = self.position;
                self.reset();
                spans.truncate(before);
                Parsed::Nothing { consumed }
            }
            Ok(_) => {
                let consumed = self.position;
                self.reset();
                Parsed::Complete { consumed }
            }
            Err(Stop::Need(missing)) => {
                let shift = at as u32;
                self.partial.extend(spans.drain(before..).map(|span| Span { start: span.start - shift, ..span }));
                Parsed::Incomplete { missing }
            }
            Err(Stop::Error(error)) => {
                spans.truncate(before);
                self.reset();
                Parsed::Error(error)
            }
        }
    }

    /// The number of arguments, or why not yet.
    fn multibulk(&mut self, input: &[u8], shift: u32, limits: &Limits, spans: &mut Vec<Span>) -> Result<usize, Stop> {
        if !self.inside {
            let count = self.number(input, ProtocolError::TooBigMultibulkCount)?;
            let Some(count) = count.filter(|count| *count <= limits.arguments_max as i64) else {
                return Err(Stop::Error(ProtocolError::InvalidMultibulkLength));
            };
            if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
                return Err(Stop::Error(ProtocolError::UnauthenticatedMultibulkLength));
            }
            if count <= 0 {
                return Ok(0);
            }
            self.inside = true;
            self.remaining = count as usize;
        }
        let mut read = 0;
        while self.remaining > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => {
                    match input.get(self.position) {
                        None => return Err(Stop::Need(1)),
                        Some(b'$') => {}
                        Some(other) => return Err(Stop::Error(ProtocolError::ExpectedDollar(*other))),
                    }
                    let number = self.number(input, ProtocolError::TooBigBulkCount)?;
                    let Some(length) = number.filter(|number| *number >= 0 && *number as u64 <= limits.bulk_bytes_max)
                    else {
                        return Err(Stop::Error(ProtocolError::InvalidBulkLength));
                    };
                    if length > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
                        return Err(Stop::Error(ProtocolError::UnauthenticatedBulkLength));
                    }
                    length as usize
                }
            };
            let arrived = input.len() - self.position;
            if arrived < length + 2 {
                self.bulk = Some(length);
                return Err(Stop::Need(length + 2 - arrived));
            }
            spans.push(Span { start: shift + self.position as u32, length: length as u32 });
            self.position += length + 2;
            self.bulk = None;
            self.remaining -= 1;
            read += 1;
        }
        Ok(read.max(1))
    }

    /// Reads the line at `position` (a mark byte, then digits) and steps over it. `None`: the digits are no number.
    fn number(&mut self, input: &[u8], too_big: ProtocolError) -> Result<Option<i64>, Stop> {
        let line = &input[self.position..];
        // The usual line is one or two digits: looked at before any search.
        match line {
            [_, digit @ b'0'..=b'9', b'\r', b'\n', ..] => {
                self.position += 4;
                return Ok(Some(i64::from(digit - b'0')));
            }
            [_, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
                self.position += 5;
                return Ok(Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')));
            }
            _ => {}
        }
        let skip = self.scanned.saturating_sub(self.position).min(line.len());
        let Some(end) = line[skip..].iter().position(|byte| *byte == b'\r').map(|found| found + skip) else {
            if line.len() > LINE_BYTES_MAX {
                return Err(Stop::Error(too_big));
            }
            self.scanned = input.len();
            return Err(Stop::Need(1));
        };
        if end + 2 > line.len() {
            return Err(Stop::Need(1));
        }
        self.position += end + 2;
        Ok(integer(&line[1..end]))
    }

    fn parse_inline(&mut self, buffer: &mut [u8], at: usize, spans: &mut Vec<Span>) -> Parsed {
        let input = &buffer[at..];
        let skip = self.scanned.min(input.len());
        let Some(end) = input[skip..].iter().position(|byte| *byte == b'\n').map(|found| found + skip) else {
            if input.len() > LINE_BYTES_MAX {
                self.reset();
                return Parsed::Error(ProtocolError::TooBigInline);
            }
            self.scanned = input.len();
            return Parsed::Incomplete { missing: 1 };
        };
        self.reset();
        let consumed = end + 1;
        let line_end = if end > 0 && input[end - 1] == b'\r' { end - 1 } else { end };
        let before = spans.len();
        if !crate::inline::split(&mut buffer[at..at + line_end], at as u32, spans) {
            spans.truncate(before);
            return Parsed::Error(ProtocolError::UnbalancedQuotes);
        }
        if spans.len() == before { Parsed::Nothing { consumed } } else { Parsed::Complete { consumed } }
    }

    fn reset(&mut self) {
        self.remaining = 0;
        self.inside = false;
        self.position = 0;
        self.scanned = 0;
        self.bulk = None;
        self.partial.clear();
        // A command of a million arguments must not leave its memory behind.
        if self.partial.capacity() > 1024 {
            self.partial = Vec::new();
        }
    }
}

/// A decimal i64 without plus, spaces or leading zeros, as Redis reads lengths.
fn integer(digits: &[u8]) -> Option<i64> {
    let (negative, magnitude) = match digits {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match magnitude {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if magnitude.len() <= 19 => {}
        _ => return None,
    }
    let mut value: i64 = 0;
    for digit in magnitude {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], limits: &Limits) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let mut buffer = bytes.to_vec();
        let mut parser = Parser::new();
        let mut commands = Vec::new();
        let mut at = 0;
        loop {
            let mut spans = Vec::new();
            let short = usual(&buffer, at, &mut spans);
            let short = short.map(|consumed| (consumed, std::mem::take(&mut spans)));
            spans.clear();
            let parsed = parser.parse(&mut buffer, at, limits, &mut spans);
            if let Some((consumed, short)) = short {
                assert_eq!((&parsed, &spans), (&Parsed::Complete { consumed }, &short));
            }
            match parsed {
                Parsed::Complete { consumed } => {
                    commands.push(spans.iter().map(|span| span.of(&buffer).to_vec()).collect());
                    at += consumed;
                }
                Parsed::Nothing { consumed } => at += consumed,
                Parsed::Incomplete { .. } => return (commands, None),
                Parsed::Error(error) => return (commands, Some(error)),
            }
        }
    }

    fn words(text: &[&str]) -> Vec<Vec<u8>> {
        text.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_multibulk_command_gives_its_arguments() {
        let (commands, error) = all(b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n", &Limits::default());
        assert_eq!((commands, error), (vec![words(&["ECHO", "hi"])], None));
    }

    #[test]
    fn empty_counts_and_lines_are_skipped() {
        let (commands, error) = all(b"*0\r\n*-10\r\n\r\n*1\r\n$4\r\nPING\r\n", &Limits::default());
        assert_eq!((commands, error), (vec![words(&["PING"])], None));
    }

    #[test]
    fn errors_have_the_words_of_redis() {
        let said = |bytes: &[u8]| all(bytes, &Limits::default()).1.expect("an error").to_string();
        assert_eq!(said(b"*x\r\n"), "invalid multibulk length");
        assert_eq!(said(b"*1048577\r\n"), "invalid multibulk length");
        assert_eq!(said(b"*20000000000000000000\r\n"), "invalid multibulk length");
        assert_eq!(said(b"*1\r\nfoo\r\n"), "expected '$', got 'f'");
        assert_eq!(said(b"*1\r\n$-1\r\n"), "invalid bulk length");
        assert_eq!(said(b"*1\r\n$536870913\r\n"), "invalid bulk length");
        assert_eq!(said(b"SET \"a\r\n"), "unbalanced quotes in request");
        assert_eq!(said(&[b'a'; 65 * 1024]), "too big inline request");
        assert_eq!(said(&[b'*'; 65 * 1024 + 2]), "too big mbulk count string");
        assert_eq!(said(&[b"*1\r\n$".as_slice(), &[b'1'; 65 * 1024]].concat()), "too big bulk count string");
    }

    #[test]
    fn before_auth_only_small_commands_are_read() {
        let limits = Limits { authenticated: false, ..Limits::default() };
        let said = |bytes: &[u8]| all(bytes, &limits).1.map(|error| error.to_string());
        assert_eq!(said(b"*11\r\n").as_deref(), Some("unauthenticated multibulk length"));
        assert_eq!(said(b"*1\r\n$16385\r\n").as_deref(), Some("unauthenticated bulk length"));
        assert_eq!(said(b"*10\r\n$16384\r\n"), None);
    }

    #[test]
    fn a_large_value_is_not_scanned_again_for_each_piece() {
        let mut parser = Parser::new();
        let mut spans = Vec::new();
        let mut buffer = b"*2\r\n$4\r\nECHO\r\n$1000000\r\n".to_vec();
        let limits = Limits::default();
        assert_eq!(parser.parse(&mut buffer, 0, &limits, &mut spans), Parsed::Incomplete { missing: 1_000_002 });
        buffer.extend_from_slice(&[b'v'; 1_000_002]);
        let length = buffer.len();
        assert_eq!(parser.parse(&mut buffer, 0, &limits, &mut spans), Parsed::Complete { consumed: length });
        assert_eq!(spans[1], Span { start: 24, length: 1_000_000 });
    }
}
