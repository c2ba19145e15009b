//! Where bytes come from: a buffered input that knows its place, sums what it took, and can keep a copy.
//!
//! Lengths as they stand in the file; `x` are bits of the number, high ones first:
//!
//! ```text
//!   00xxxxxx                        below 64                  05                    5
//!   01xxxxxx xxxxxxxx               below 16,384              41 2C                 300
//!   10000000 + 4 bytes, high first                            80 00 01 00 00        65,536
//!   10000001 + 8 bytes, high first                            81 ...
//!   11eeeeee                        no length: a string in the encoding e
//! ```
//!
//! A string is a length and as many bytes, or an encoding:
//!
//! ```text
//!   C0 xx          text of a signed 8-bit number              C0 FF                 "-1"
//!   C1 xx xx       ... of 16 bits, low byte first             C1 39 30              "12345"
//!   C2 xx xx xx xx ... of 32 bits, low byte first
//!   C3 <packed bytes: a length> <bytes: a length> <LZF>       see lzf.rs
//! ```
//!
//! Promises: memory grows by bytes that arrived, not by lengths that were claimed; each byte is summed once; an error
//! says the byte where the reader stands.
//! Never: reads on behind what was asked for, as far as the caller can tell ([`Source::into_inner`]).

use crate::error::{Error, Reason};
use crate::number::{INTEGER_BYTES_MAX, put_digits};
use crate::{checksum, lzf};
use std::io::BufRead;

/// Room made for a string before its bytes arrive.
const TRUSTED_BYTES: u64 = 64 << 10;

pub(crate) const LENGTH_14_BITS: u8 = 0x40;
pub(crate) const LENGTH_32_BITS: u8 = 0x80;
pub(crate) const LENGTH_64_BITS: u8 = 0x81;
pub(crate) const STRING_8_BITS: u8 = 0xC0;
pub(crate) const STRING_16_BITS: u8 = 0xC1;
pub(crate) const STRING_32_BITS: u8 = 0xC2;
pub(crate) const STRING_LZF: u8 = 0xC3;

pub(crate) struct Source<B> {
    input: B,
    /// Bytes of the input's buffer that were taken, but not yet summed nor given back to the input.
    taken: usize,
    /// Bytes before the input's buffer.
    offset: u64,
    digest: Option<checksum::Digest>,
    /// A copy of what is taken, while somebody wants one.
    copy: Option<Vec<u8>>,
    packed: Vec<u8>,
    string_bytes_max: u64,
}

impl<B: BufRead> Source<B> {
    pub(crate) fn new(input: B, string_bytes_max: u64, summed: bool) -> Source<B> {
        let digest = summed.then(checksum::Digest::new);
        Source { input, taken: 0, offset: 0, digest, copy: None, packed: Vec::new(), string_bytes_max }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset + self.taken as u64
    }

    pub(crate) fn error(&self, reason: Reason) -> Error {
        Error::new(self.offset(), reason)
    }

    /// The checksum of everything taken so far.
    pub(crate) fn checksum(&mut self) -> Result<u64, Error> {
        self.give_back()?;
        Ok(self.digest.as_ref().map_or(0, checksum::Digest::sum))
    }

    /// The input, right behind the last byte taken.
    pub(crate) fn into_inner(mut self) -> Result<B, Error> {
        self.give_back()?;
        Ok(self.input)
    }

    /// Begins to keep a copy of what is taken.
    pub(crate) fn keep_copy(&mut self) {
        self.copy.get_or_insert_with(Vec::new).clear();
    }

    /// The copy of what was taken since it was last emptied.
    pub(crate) fn copy(&mut self) -> Option<&mut Vec<u8>> {
        self.copy.as_mut()
    }

    pub(crate) fn drop_copy(&mut self) {
        self.copy = None;
    }

    fn give_back(&mut self) -> Result<(), Error> {
        if self.taken > 0 {
            let offset = self.offset;
            let buffer = fill(&mut self.input, offset)?;
            let taken = &buffer[..self.taken];
            if let Some(digest) = &mut self.digest {
                digest.update(taken);
            }
            self.input.consume(self.taken);
            self.offset += self.taken as u64;
            self.taken = 0;
        }
        Ok(())
    }

    /// What is at hand, at least one byte.
    fn at_hand(&mut self) -> Result<&[u8], Error> {
        let offset = self.offset();
        if fill(&mut self.input, offset)?.len() <= self.taken {
            self.give_back()?;
        }
        let buffer = &fill(&mut self.input, offset)?[self.taken..];
        if buffer.is_empty() { Err(Error::new(offset, Reason::Truncated)) } else { Ok(buffer) }
    }

    /// Whether not a single byte is left.
    pub(crate) fn is_at_end(&mut self) -> Result<bool, Error> {
        match self.at_hand() {
            Ok(_) => Ok(false),
            Err(Error { reason: Reason::Truncated, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// `bytes` bytes, if the buffer holds them all: the common case, without a loop.
    #[inline]
    fn whole(&mut self, bytes: usize) -> Option<&[u8]> {
        let buffer = self.input.fill_buf().ok()?;
        let whole = buffer.get(self.taken..)?.get(..bytes)?;
        self.taken += bytes;
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(whole);
        }
        Some(whole)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        match self.whole(1) {
            Some(byte) => Ok(byte[0]),
            None => Ok(u8::from_le_bytes(self.array_in_parts()?)),
        }
    }

    #[inline]
    pub(crate) fn array<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Error> {
        match self.whole(BYTES).and_then(|whole| whole.first_chunk()) {
            Some(array) => Ok(*array),
            None => self.array_in_parts(),
        }
    }

    fn array_in_parts<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Error> {
        let mut array = [0; BYTES];
        let mut filled = 0;
        while filled < BYTES {
            let buffer = self.at_hand()?;
            let now = buffer.len().min(BYTES - filled);
            array[filled..filled + now].copy_from_slice(&buffer[..now]);
            self.taken += now;
            filled += now;
        }
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(&array);
        }
        Ok(array)
    }

    /// The next `bytes` bytes, in place of what `into` held.
    fn bytes(&mut self, bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        if bytes <= TRUSTED_BYTES
            && let Some(whole) = self.whole(bytes as usize)
        {
            into.extend_from_slice(whole);
            return Ok(());
        }
        into.reserve(bytes.min(TRUSTED_BYTES) as usize);
        while (into.len() as u64) < bytes {
            let left = bytes - into.len() as u64;
            let buffer = self.at_hand()?;
            let now = (buffer.len() as u64).min(left) as usize;
            into.extend_from_slice(&buffer[..now]);
            self.taken += now;
        }
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(into);
        }
        Ok(())
    }

    /// A length; an encoding in its place is an error.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<u64, Error> {
        let first = self.byte()?;
        self.length_after(first)
    }

    fn length_after(&mut self, first: u8) -> Result<u64, Error> {
        match first {
            0..=0x3F => Ok(u64::from(first)),
            LENGTH_14_BITS..=0x7F => Ok(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            LENGTH_32_BITS => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            LENGTH_64_BITS => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(Error::new(self.offset() - 1, Reason::BadLength(first))),
        }
    }

    /// A length that becomes the size of something in memory.
    fn string_length_after(&mut self, first: u8) -> Result<u64, Error> {
        let bytes = self.length_after(first)?;
        let bytes_max = self.string_bytes_max;
        if bytes > bytes_max { Err(self.error(Reason::StringTooLong { bytes, bytes_max })) } else { Ok(bytes) }
    }

    /// A string, in place of what `into` held.
    pub(crate) fn string(&mut self, into: &mut Vec<u8>) -> Result<(), Error> {
        let first = self.byte()?;
        let number = match first {
            STRING_8_BITS => i64::from(self.byte()? as i8),
            STRING_16_BITS => i64::from(i16::from_le_bytes(self.array()?)),
            STRING_32_BITS => i64::from(i32::from_le_bytes(self.array()?)),
            STRING_LZF => return self.compressed(into),
            0xC4.. => return Err(Error::new(self.offset() - 1, Reason::BadString(first))),
            _ => {
                let bytes = self.string_length_after(first)?;
                return self.bytes(bytes, into);
            }
        };
        let mut digits = [0; INTEGER_BYTES_MAX];
        let start = put_digits(number, &mut digits);
        into.clear();
        into.extend_from_slice(&digits[start..]);
        Ok(())
    }

    fn compressed(&mut self, into: &mut Vec<u8>) -> Result<(), Error> {
        let first = self.byte()?;
        let packed_bytes = self.string_length_after(first)?;
        let first = self.byte()?;
        let bytes = self.string_length_after(first)?;
        let offset = self.offset();
        if !lzf::is_possible(packed_bytes, bytes) {
            return Err(Error::new(offset, Reason::Compression("they are too few for the length they claim")));
        }
        let mut packed = std::mem::take(&mut self.packed);
        let read = self.bytes(packed_bytes, &mut packed);
        into.clear();
        let decoded = read.and_then(|()| {
            lzf::decode(&packed, bytes as usize, into).map_err(|what| Error::new(offset, Reason::Compression(what)))
        });
        // A huge string must not leave its room behind for the rest of the file.
        if packed.capacity() as u64 <= TRUSTED_BYTES * 16 {
            self.packed = packed;
        }
        decoded
    }
}

fn fill<B: BufRead>(input: &mut B, offset: u64) -> Result<&[u8], Error> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new(offset, Reason::Io(error))),
        }
    }
    // Asked again because the borrow checker cannot see that a loop returns it; a filled buffer answers at once.
    input.fill_buf().map_err(|error| Error::new(offset, Reason::Io(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string_of(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut source = Source::new(bytes, 1 << 30, false);
        let mut text = Vec::new();
        source.string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn the_drawing_is_right() {
        for (bytes, length) in [
            (&[5][..], 5),
            (&[0x41, 0x2C], 300),
            (&[0x80, 0, 1, 0, 0], 65_536),
            (&[0x81, 0, 0, 0, 1, 0, 0, 0, 0], 1 << 32),
        ] {
            assert_eq!(Source::new(bytes, 0, false).length().unwrap(), length);
        }
        assert_eq!(string_of(b"\x02ab").unwrap(), b"ab");
        assert_eq!(string_of(b"\xC0\xFF").unwrap(), b"-1");
        assert_eq!(string_of(b"\xC1\x39\x30").unwrap(), b"12345");
        assert_eq!(string_of(b"\xC2\x00\x00\x00\x80").unwrap(), b"-2147483648");
        assert_eq!(string_of(b"\xC3\x04\x04\x00a\x20\x00").unwrap(), b"aaaa");
    }

    #[test]
    fn claims_are_not_allocated() {
        // 2^29 bytes claimed, three there.
        let error = string_of(b"\x80\x20\x00\x00\x00abc").unwrap_err();
        assert!(matches!(error.reason, Reason::Truncated), "{error}");
        assert_eq!(error.offset, 8);
        let error = string_of(b"\x81\x00\x00\x00\x01\x00\x00\x00\x00abc").unwrap_err();
        assert!(matches!(error.reason, Reason::StringTooLong { bytes: 0x1_0000_0000, .. }), "{error}");
        let error = string_of(b"\xC3\x04\x80\x20\x00\x00\x00\x00a\x20\x00").unwrap_err();
        assert!(matches!(error.reason, Reason::Compression(_)), "{error}");
    }

    #[test]
    fn undefined_first_bytes_are_errors() {
        assert!(matches!(string_of(b"\xC4").unwrap_err().reason, Reason::BadString(0xC4)));
        assert!(matches!(string_of(b"\x82").unwrap_err().reason, Reason::BadLength(0x82)));
        let error = Source::new(&b"\xC0\x01"[..], 9, false).length().unwrap_err();
        assert!(matches!(error.reason, Reason::BadLength(0xC0)));
        assert_eq!(error.offset, 0);
    }

    #[test]
    fn small_buffers_change_nothing_and_the_rest_stays_in_the_input() {
        let bytes = b"\x03abc\x80\x00\x00\x00\x05hello+rest";
        for capacity in 1..20 {
            let input = std::io::BufReader::with_capacity(capacity, &bytes[..]);
            let mut source = Source::new(input, 100, true);
            let mut text = Vec::new();
            source.string(&mut text).unwrap();
            assert_eq!(text, b"abc");
            source.keep_copy();
            source.string(&mut text).unwrap();
            assert_eq!(text, b"hello");
            assert_eq!(source.copy().unwrap(), b"\x80\x00\x00\x00\x05hello");
            assert_eq!(source.offset(), 14);
            assert_eq!(source.checksum().unwrap(), checksum::of(&bytes[..14]));
            let mut rest = String::new();
            std::io::Read::read_to_string(&mut source.into_inner().unwrap(), &mut rest).unwrap();
            assert_eq!(rest, "+rest");
        }
    }
}
