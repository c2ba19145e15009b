//! Writes answers, in the protocol the client speaks.
//!
//! Promises: each call appends one well-formed piece; an error's text can never carry a line end into the stream. What RESP2
//! has no word for is written as Redis writes it there (a map as a flat array, a double as text). Never reads, never waits.

/// What the client speaks.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Protocol {
    /// RESP2: what every client starts with.
    #[default]
    Two,
    /// RESP3: after `HELLO 3`.
    Three,
}

impl Protocol {
    /// 2 or 3, as HELLO says it.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Two => 2,
            Protocol::Three => 3,
        }
    }
}

/// A writer of answers over a connection's output.
#[derive(Debug)]
pub struct Reply<'o> {
    output: &'o mut Vec<u8>,
    protocol: Protocol,
}

impl<'o> Reply<'o> {
    /// Appends to `output`.
    pub fn new(output: &'o mut Vec<u8>, protocol: Protocol) -> Self {
        Reply { output, protocol }
    }

    /// What the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Speaks another protocol from here on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// How many bytes the output holds; with [`Reply::truncate`] an answer can be taken back.
    pub fn position(&self) -> usize {
        self.output.len()
    }

    /// Takes back everything behind `position`.
    pub fn truncate(&mut self, position: usize) {
        self.output.truncate(position);
    }

    /// The same writer for a shorter time.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { output: self.output, protocol: self.protocol }
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.output.extend_from_slice(b"+OK\r\n");
    }

    /// A status, such as `+PONG`. The text is ours and has no line end.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.output.push(b'+');
        self.output.extend_from_slice(text.as_bytes());
        self.end();
    }

    /// An error: code, blank, words (`ERR syntax error`). Line ends inside become blanks.
    pub fn error(&mut self, text: &[u8]) {
        self.output.push(b'-');
        self.output.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.end();
    }

    /// `:7`
    pub fn integer(&mut self, value: i64) {
        if let 0..=9 = value {
            self.output.extend_from_slice(&[b':', b'0' + value as u8, b'\r', b'\n']);
        } else {
            self.header(b':', value);
        }
    }

    /// A string of bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.output.reserve(bytes.len() + 32);
        // Short lengths are written as one piece of a known size.
        let digit = |number: usize| b'0' + (number % 10) as u8;
        match bytes.len() {
            length @ 0..10 => self.output.extend_from_slice(&[b'$', digit(length), b'\r', b'\n']),
            length @ 10..100 => {
                self.output.extend_from_slice(&[b'$', digit(length / 10), digit(length), b'\r', b'\n']);
            }
            length @ 100..1000 => {
                let [hundreds, tens] = [length / 100, length / 10].map(digit);
                self.output.extend_from_slice(&[b'$', hundreds, tens, digit(length), b'\r', b'\n']);
            }
            length => self.header(b'$', length as i64),
        }
        self.output.extend_from_slice(bytes);
        self.end();
    }

    /// A number as a string of bytes.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut digits = [0; 20];
        let text = digits_of(value, &mut digits);
        self.bulk(text);
    }

    /// No value: `$-1`, or `_`.
    #[inline]
    pub fn null(&mut self) {
        self.output.extend_from_slice(match self.protocol {
            Protocol::Two => b"$-1\r\n",
            Protocol::Three => b"_\r\n",
        });
    }

    /// No array: `*-1`, or `_`.
    pub fn null_array(&mut self) {
        self.output.extend_from_slice(match self.protocol {
            Protocol::Two => b"*-1\r\n",
            Protocol::Three => b"_\r\n",
        });
    }

    /// The head of an array; `length` answers follow.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length as i64);
    }

    /// The head of a map; `pairs` times key and value follow.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Two => self.header(b'*', pairs as i64 * 2),
            Protocol::Three => self.header(b'%', pairs as i64),
        }
    }

    /// The head of a set.
    pub fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Two => self.header(b'*', length as i64),
            Protocol::Three => self.header(b'~', length as i64),
        }
    }

    /// The head of a message nobody asked for (an array in RESP2).
    pub fn push(&mut self, length: usize) {
        match self.protocol {
            Protocol::Two => self.header(b'*', length as i64),
            Protocol::Three => self.header(b'>', length as i64),
        }
    }

    /// The head of an attribute map, which stands before the answer it describes. RESP2 cannot say it: false, nothing written.
    pub fn attribute(&mut self, pairs: usize) -> bool {
        if self.protocol == Protocol::Two {
            return false;
        }
        self.header(b'|', pairs as i64);
        true
    }

    /// A double; text in RESP2.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        crate::write_double(&mut text, value);
        match self.protocol {
            Protocol::Two => self.bulk(&text),
            Protocol::Three => {
                self.output.push(b',');
                self.output.extend_from_slice(&text);
                self.end();
            }
        }
    }

    /// True or false; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        self.output.extend_from_slice(match (self.protocol, value) {
            (Protocol::Two, true) => b":1\r\n",
            (Protocol::Two, false) => b":0\r\n",
            (Protocol::Three, true) => b"#t\r\n",
            (Protocol::Three, false) => b"#f\r\n",
        });
    }

    /// Text with its format (`txt`, `mkd`); a plain bulk in RESP2.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Two => self.bulk(text),
            Protocol::Three => {
                self.header(b'=', text.len() as i64 + 4);
                self.output.extend_from_slice(format);
                self.output.push(b':');
                self.output.extend_from_slice(text);
                self.end();
            }
        }
    }

    /// A number of any length, in digits; text in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        debug_assert!(digits.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()));
        match self.protocol {
            Protocol::Two => self.bulk(digits.as_bytes()),
            Protocol::Three => {
                self.output.push(b'(');
                self.output.extend_from_slice(digits.as_bytes());
                self.end();
            }
        }
    }

    /// A finished answer, written elsewhere in this protocol.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    fn header(&mut self, mark: u8, number: i64) {
        self.output.push(mark);
        write_integer(self.output, number);
        self.end();
    }

    #[inline]
    fn end(&mut self) {
        self.output.extend_from_slice(b"\r\n");
    }
}

/// Appends a number in decimal.
pub fn write_integer(output: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    output.extend_from_slice(digits_of(value, &mut digits));
}

/// The decimal digits of `value`, from the back of `buffer` (20 bytes hold every i64 with its sign).
fn digits_of(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut output = Vec::new();
        write(&mut Reply::new(&mut output, protocol));
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn each_answer_has_its_form_in_both_protocols() {
        let both = |write: fn(&mut Reply<'_>)| (said(Protocol::Two, write), said(Protocol::Three, write));
        let pair = |two: &str, three: &str| (two.to_owned(), three.to_owned());
        assert_eq!(both(|reply| reply.null()), pair("$-1\r\n", "_\r\n"));
        assert_eq!(both(|reply| reply.null_array()), pair("*-1\r\n", "_\r\n"));
        assert_eq!(both(|reply| reply.map(2)), pair("*4\r\n", "%2\r\n"));
        assert_eq!(both(|reply| reply.set(2)), pair("*2\r\n", "~2\r\n"));
        assert_eq!(both(|reply| reply.double(1.5)), pair("$3\r\n1.5\r\n", ",1.5\r\n"));
        assert_eq!(both(|reply| reply.boolean(true)), pair(":1\r\n", "#t\r\n"));
        assert_eq!(both(|reply| reply.verbatim(b"txt", b"hi")), pair("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"));
        assert_eq!(both(|reply| reply.big_number("12")), pair("$2\r\n12\r\n", "(12\r\n"));
        assert_eq!(both(|reply| reply.push(1)), pair("*1\r\n", ">1\r\n"));
        assert_eq!(
            both(|reply| assert_eq!(reply.attribute(1), reply.protocol() == Protocol::Three)),
            pair("", "|1\r\n")
        );
    }

    #[test]
    fn integers_are_written_to_their_limits() {
        for value in [0, 7, 10, -1, i64::MAX, i64::MIN] {
            assert_eq!(said(Protocol::Two, |reply| reply.integer(value)), format!(":{value}\r\n"));
            let text = value.to_string();
            assert_eq!(
                said(Protocol::Two, |reply| reply.bulk_integer(value)),
                format!("${}\r\n{text}\r\n", text.len())
            );
        }
    }

    #[test]
    fn an_error_text_cannot_smuggle_a_line() {
        assert_eq!(said(Protocol::Two, |reply| reply.error(b"ERR a\r\n+OK")), "-ERR a  +OK\r\n");
    }
}
