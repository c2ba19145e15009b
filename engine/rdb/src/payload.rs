//! Payloads of DUMP and RESTORE: one value without its key.
//!
//! ```text
//!   +---------------+---------------------+----------------------+-----------------------------------+
//!   | type of value | the value, as in a  | version, 2 bytes,    | CRC-64 of everything before,      |
//!   | 1 byte        | file behind the key | low byte first       | 8 bytes, low byte first           |
//!   +---------------+---------------------+----------------------+-----------------------------------+
//! ```
//!
//! `SET k 5`, `DUMP k` in Redis 7.0: `00 C0 05  0A 00  <8 bytes>`.
//!
//! Promises: checks in Redis's order: length, version, checksum, then the value with everything that
//! `sanitize-dump-payload yes` asks for, and that nothing follows it.
//! Never: allocates more than the payload's strings come to, each at most [`Options::string_bytes_max`].

use crate::body::Body;
use crate::checksum;
use crate::error::{Error, Reason};
use crate::options::{Options, Settings};
use crate::reader::ValueReader;
use crate::source::Source;
use crate::value::Value;
use crate::value_type::{ValueType, Version};
use crate::value_writer::ValueWriter;
use crate::writer::Sink;

/// Version and checksum.
const FOOT_BYTES: usize = 2 + 8;

/// A payload whose version and checksum are right.
pub struct Payload<'a> {
    source: Source<&'a [u8]>,
    body: Body,
}

impl<'a> Payload<'a> {
    /// Checks length, version and checksum.
    pub fn open(bytes: &'a [u8], options: &Options) -> Result<Payload<'a>, Error> {
        let end = bytes.len() as u64;
        let foot = bytes.split_last_chunk::<FOOT_BYTES>().filter(|(rest, _)| !rest.is_empty());
        let (rest, &[low, high, stored @ ..]) = foot.ok_or(Error::new(end, Reason::Truncated))?;
        let version = u16::from_le_bytes([low, high]);
        if !options.accepts(version) {
            let reason = Reason::Version { found: version, newest: options.version_max };
            return Err(Error::new(end - FOOT_BYTES as u64, reason));
        }
        let stored = u64::from_le_bytes(stored);
        let computed = checksum::of(&bytes[..bytes.len() - 8]);
        if stored != computed {
            return Err(Error::new(end - 8, Reason::Checksum { stored, computed }));
        }
        let mut source = Source::new(rest, options.string_bytes_max, false);
        let byte = source.byte()?;
        let value_type = ValueType::from_byte(byte).ok_or(Error::new(0, Reason::UnknownType(byte)))?;
        let mut body = Body::new(options.duplicates);
        body.take_up(value_type, version);
        Ok(Payload { source, body })
    }

    /// The value, to be read element by element.
    pub fn value(&mut self) -> ValueReader<'_, &'a [u8]> {
        ValueReader::new(&mut self.source, &mut self.body)
    }

    /// Whether everything was read and was right: the last check.
    pub fn end(mut self) -> Result<(), Error> {
        if self.body.has_failed() {
            return Err(self.source.error(Reason::Stopped));
        }
        while self.body.next(&mut self.source)?.is_some() {}
        if self.source.is_at_end()? {
            return Ok(());
        }
        let offset = self.source.offset();
        let rest = self.source.into_inner()?.len() as u64;
        Err(Error::new(offset, Reason::TrailingBytes(rest)))
    }
}

/// The value in a payload, every rule checked.
pub fn decode(bytes: &[u8], options: &Options) -> Result<Value, Error> {
    let mut payload = Payload::open(bytes, options)?;
    let value = payload.value().into_value()?;
    payload.end()?;
    Ok(value)
}

/// The payload of a value.
pub fn encode(value: &Value, version: Version, settings: &Settings) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new(version, settings.clone());
    encoder.value().value(value)?;
    encoder.end()
}

/// Makes a payload of elements that come one by one.
pub struct Encoder {
    sink: Sink<Vec<u8>>,
}

impl Encoder {
    /// An empty payload.
    pub fn new(version: Version, settings: Settings) -> Encoder {
        Encoder { sink: Sink::new(Vec::new(), version, settings) }
    }

    /// Where the value goes; exactly one is written.
    pub fn value(&mut self) -> ValueWriter<'_, Vec<u8>> {
        ValueWriter::new(&mut self.sink, None)
    }

    /// The payload, with version and checksum.
    pub fn end(mut self) -> Result<Vec<u8>, Error> {
        let version = u16::from(self.sink.version.number());
        self.sink.refuse_unfinished()?;
        self.sink.bytes(&version.to_le_bytes())?;
        self.sink.end_with_checksum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(mut bytes: Vec<u8>, version: u16) -> Vec<u8> {
        bytes.extend_from_slice(&version.to_le_bytes());
        let sum = checksum::of(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn reason(bytes: &[u8]) -> Reason {
        decode(bytes, &Options::default()).unwrap_err().reason
    }

    #[test]
    fn a_payload_is_what_redis_makes_of_it() {
        let five = Value::String(b"5".to_vec());
        let payload = encode(&five, Version::REDIS_7_0, &Settings::default()).unwrap();
        assert_eq!(payload[..5], *b"\x00\xC0\x05\x0A\x00");
        assert_eq!(payload, sealed(b"\x00\xC0\x05".to_vec(), 10));
        assert_eq!(decode(&payload, &Options::default()).unwrap(), five);
    }

    #[test]
    fn the_foot_is_checked_first() {
        for length in 0..=FOOT_BYTES {
            assert!(matches!(reason(&vec![0; length]), Reason::Truncated));
        }
        let newer = sealed(b"\x00\x01a".to_vec(), 13);
        assert!(matches!(reason(&newer), Reason::Version { found: 13, newest: 12 }));
        let mut damaged = sealed(b"\x00\x01a".to_vec(), 11);
        damaged[2] ^= 1;
        assert!(matches!(reason(&damaged), Reason::Checksum { .. }));
        let options = Options { version_max: 11, ..Options::default() };
        let error = decode(&sealed(b"\x00\x01a".to_vec(), 12), &options).unwrap_err();
        assert!(matches!(error.reason, Reason::Version { found: 12, newest: 11 }), "{error}");
        let valkey = sealed(b"\x00\x01a".to_vec(), 80);
        assert_eq!(decode(&valkey, &Options::default()).unwrap(), Value::String(b"a".to_vec()));
    }

    #[test]
    fn what_sanitising_refuses_is_refused() {
        let refused = |body: &[u8]| reason(&sealed(body.to_vec(), 11));
        assert!(matches!(refused(b"\x00\x01ab"), Reason::TrailingBytes(1)));
        assert!(matches!(refused(b"\x00\x02a"), Reason::Truncated));
        assert!(matches!(refused(b"\x02\x00"), Reason::Empty));
        assert!(matches!(refused(b"\x0A\x0B\x0B\0\0\0\x0A\0\0\0\0\0\xFF"), Reason::Empty));
        assert!(matches!(refused(b"\x12\x00"), Reason::Empty));
        assert!(matches!(refused(b"\x12\x01\x02\x07\x07\0\0\0\0\0\xFF"), Reason::Empty));
        assert!(matches!(refused(b"\x12\x01\x03\x01a"), Reason::Packed { .. }));
        assert!(matches!(refused(b"\x02\x02\x01a\x01a"), Reason::Duplicate(2)));
        assert!(matches!(refused(b"\x04\x02\x01a\x01x\x01a\x01y"), Reason::Duplicate(2)));
        assert!(matches!(refused(b"\x02\x02\x01a"), Reason::Truncated));
        let not_a_number = [&b"\x05\x01\x01a"[..], &f64::NAN.to_le_bytes()].concat();
        assert!(matches!(refused(&not_a_number), Reason::BadScore(1)));
        assert!(matches!(refused(b"\x03\x01\x01a\xFD"), Reason::BadScore(1)));
        assert!(matches!(refused(b"\x03\x01\x01a\x03nan"), Reason::BadScore(1)));
        // A listpack of a member and a text that is no score; of a field without its value; of a field twice.
        assert!(matches!(refused(b"\x11\x0D\x0D\0\0\0\x02\0\x81a\x02\x81b\x02\xFF"), Reason::BadScore(1)));
        assert!(matches!(refused(b"\x10\x0A\x0A\0\0\0\x01\0\x81a\x02\xFF"), Reason::Packed { .. }));
        assert!(matches!(
            refused(b"\x10\x11\x11\0\0\0\x04\0\x81a\x02\x01\x01\x81a\x02\x02\x01\xFF"),
            Reason::Duplicate(2)
        ));
        assert!(matches!(refused(b"\x06\x01"), Reason::PreRelease(_)));
        assert!(matches!(refused(b"\x08"), Reason::UnknownType(8)));
        assert!(matches!(refused(b"\xFF"), Reason::UnknownType(0xFF)));
    }

    #[test]
    fn an_error_says_where() {
        // The listpack begins at byte 1; inside it, the length backwards of the first element is at byte 7.
        let error =
            decode(&sealed(b"\x14\x09\x09\0\0\0\x01\0\x05\x02\xFF".to_vec(), 11), &Options::default()).unwrap_err();
        assert_eq!((error.offset, error.inside), (1, Some(7)));
        let text = error.to_string();
        assert!(text.contains("listpack") && text.contains("byte 1, byte 7"), "{text}");
    }

    #[test]
    fn old_scores_are_read() {
        let bytes = sealed(b"\x03\x03\x01a\x03-.5\x01b\xFE\x01c\xFF".to_vec(), 6);
        let Value::SortedSet(members) = decode(&bytes, &Options::default()).unwrap() else { panic!("a sorted set") };
        let scores: Vec<f64> = members.iter().map(|member| member.score).collect();
        assert_eq!(scores, [-0.5, f64::INFINITY, f64::NEG_INFINITY]);
    }
}
