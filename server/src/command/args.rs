//! A command's words: places in the connection's read buffer.
//!
//! Promises: copies nothing. Word 0 is the command's name, word 1 a subcommand's or the first argument.

use thermocline_resp::Span;
use thermocline_value::parse_integer;

use crate::command::reply::CommandError;

/// The words of one command.
#[derive(Copy, Clone)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Words at `spans` of `buffer`.
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        Args { buffer, spans }
    }

    /// How many, the name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Never true for a command that reached a body.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Word `at`; the arity in the row says which must be there.
    pub fn at(&self, at: usize) -> &'a [u8] {
        self.spans[at].of(self.buffer)
    }

    /// Word `at`, if there is one.
    pub fn get(&self, at: usize) -> Option<&'a [u8]> {
        self.spans.get(at).map(|span| span.of(self.buffer))
    }

    /// Words from `start` on.
    pub fn from(&self, start: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let buffer = self.buffer;
        self.spans[start.min(self.spans.len())..].iter().map(move |span| span.of(buffer))
    }

    /// Whether word `at` exists and is `word`, whatever the case of its letters.
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.get(at).is_some_and(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Word `at` as a whole number, by Redis's rules.
    pub fn integer(&self, at: usize) -> Result<i64, CommandError> {
        self.get(at).and_then(parse_integer).ok_or(CommandError::NOT_INTEGER)
    }
}
