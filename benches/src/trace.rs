//! Reads a request trace: CSV, zstd-compressed when the name ends in `.zst`, one request per line, in order.
//!
//! ```text
//! time_s,key,op,key_size,value_size,ttl_s
//! 0.25,17,get,,512,
//! ```
//! An empty field means that the source does not have it. `key` is a dense number, given by first appearance: the n-th new
//! key is n - 1. That is checked, since everything kept per key is a plain vector.
//!
//! Streams: memory does not depend on the trace's length. Never guesses: a line that does not fit is an error with its number.

use crate::value::KeyId;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use thiserror::Error;

const HEADER: &str = "time_s,key,op,key_size,value_size,ttl_s";
const LINE_BYTES_MAX: u64 = 512;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read the key; a miss is filled in.
    Get,
    /// Write the key.
    Set,
}

/// One line of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// Seconds since the first request.
    pub time_s: Option<f64>,
    /// The key's dense number.
    pub key: KeyId,
    /// Read or write.
    pub operation: Operation,
    /// Length of the key's text.
    pub key_bytes: Option<u32>,
    /// Length of the value.
    pub value_bytes: Option<u32>,
    /// Time to live.
    pub ttl_s: Option<u32>,
}

/// Why a trace cannot be read further.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file, or its compression.
    #[error("the trace cannot be read")]
    Io(#[from] io::Error),
    /// The first line is not the expected header.
    #[error("the trace does not begin with the line {HEADER:?}")]
    Header,
    /// A line that is not a request.
    #[error("trace line {line}: {reason}")]
    Line {
        /// Number of the line; the header is line 1.
        line: u64,
        /// What does not fit.
        reason: String,
    },
}

/// A stream of requests.
pub struct TraceReader {
    input: Box<dyn BufRead>,
    text: String,
    line: u64,
    keys_seen: u64,
}

impl TraceReader {
    /// Opens a trace file and checks its header.
    #[expect(clippy::disallowed_methods, reason = "a trace is an input of the client, not data of the store")]
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = std::fs::File::open(path)?;
        if path.extension().is_some_and(|extension| extension == "zst") {
            Self::from_reader(Box::new(BufReader::new(zstd::stream::read::Decoder::new(file)?)))
        } else {
            Self::from_reader(Box::new(BufReader::new(file)))
        }
    }

    /// Reads a plain CSV trace from anything.
    pub fn from_reader(input: Box<dyn BufRead>) -> Result<Self, TraceError> {
        let mut reader = Self { input, text: String::new(), line: 0, keys_seen: 0 };
        if !reader.next_line()? || reader.text.trim_end() != HEADER {
            return Err(TraceError::Header);
        }
        Ok(reader)
    }

    /// Different keys met so far.
    pub fn keys_seen(&self) -> u64 {
        self.keys_seen
    }

    fn next_line(&mut self) -> Result<bool, TraceError> {
        self.text.clear();
        self.line += 1;
        let bytes = self.input.by_ref().take(LINE_BYTES_MAX).read_line(&mut self.text)?;
        if bytes as u64 == LINE_BYTES_MAX && !self.text.ends_with('\n') {
            return Err(self.wrong(format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(bytes > 0)
    }

    fn parse(&mut self) -> Result<Request, TraceError> {
        let mut fields = self.text.trim_end().split(',');
        let mut field = || fields.next().unwrap_or_default();
        let (time, key, operation) = (field(), field(), field());
        let (key_bytes, value_bytes, ttl) = (field(), field(), field());
        let request = Request {
            time_s: self.optional("time_s", time)?,
            key: KeyId(self.optional("key", key)?.ok_or_else(|| self.wrong("no key".to_owned()))?),
            operation: match operation {
                "get" => Operation::Get,
                "set" => Operation::Set,
                other => return Err(self.wrong(format!("op {other:?} is neither get nor set"))),
            },
            key_bytes: self.optional("key_size", key_bytes)?,
            value_bytes: self.optional("value_size", value_bytes)?,
            ttl_s: self.optional("ttl_s", ttl)?,
        };
        if request.key.0 > self.keys_seen {
            return Err(self.wrong(format!("key {} before key {}", request.key.0, self.keys_seen)));
        }
        self.keys_seen = self.keys_seen.max(request.key.0 + 1);
        Ok(request)
    }

    fn optional<T: std::str::FromStr>(&self, name: &str, text: &str) -> Result<Option<T>, TraceError> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.wrong(format!("{name} {text:?} is not a number")))
    }

    fn wrong(&self, reason: String) -> TraceError {
        TraceError::Line { line: self.line, reason }
    }
}

impl Iterator for TraceReader {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_line() {
            Ok(true) => Some(self.parse()),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Vec<Request>, TraceError> {
        TraceReader::from_reader(Box::new(text.as_bytes()))?.collect()
    }

    #[test]
    fn empty_fields_are_none_and_full_ones_are_read() {
        let requests = read("time_s,key,op,key_size,value_size,ttl_s\n,0,get,,,\n0.5,1,set,20,512,60\n").unwrap();
        assert_eq!(requests[0].time_s, None);
        assert_eq!(requests[0].value_bytes, None);
        let full = Request {
            time_s: Some(0.5),
            key: KeyId(1),
            operation: Operation::Set,
            key_bytes: Some(20),
            value_bytes: Some(512),
            ttl_s: Some(60),
        };
        assert_eq!(requests[1], full);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for bad in [
            "time_s,key,op,key_size,value_size,ttl_s\n,0,get,,,\n,0,del,,,\n",
            "time_s,key,op,key_size,value_size,ttl_s\n,0,get,,,\n,x,get,,,\n",
            "time_s,key,op,key_size,value_size,ttl_s\n,0,get,,,\n,2,get,,,\n",
            "time_s,key,op,key_size,value_size,ttl_s\n,0,get,,,\n,,get,,,\n",
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.starts_with("trace line 3:"), "{error}");
        }
        assert!(matches!(read("key,op\n"), Err(TraceError::Header)));
        assert!(matches!(read(""), Err(TraceError::Header)));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let text = format!("{HEADER}\n,0,get,,,{}", "1".repeat(10_000));
        let mut reader = TraceReader::from_reader(Box::new(io::Cursor::new(text))).unwrap();
        assert!(reader.next().unwrap().is_err());
    }

    #[test]
    fn the_shared_traces_open() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
        let names = ["orm_busy", "web12", "cp_block_io", "cdn_adaptsize", "llm_conversation"];
        for name in names {
            let path = folder.join(format!("{name}.csv.zst"));
            if !path.exists() {
                println!("skipped: no {name}.csv.zst beside the repository");
                continue;
            }
            let reader = TraceReader::open(&path).unwrap();
            let first: Vec<Request> = reader.take(1_000).collect::<Result<_, _>>().unwrap();
            assert_eq!(first.len(), 1_000, "{name}");
            assert_eq!(first[0].key, KeyId(0), "{name}");
        }
    }
}
