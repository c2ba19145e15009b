//! A server with a directory of its own, and values that can be rebuilt.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use thermocline_resp::Value;

use crate::process::{Connection, Server, resident_bytes_max};

/// Commands sent together.
pub const PIPELINE: usize = 64;
const SAMPLE: Duration = Duration::from_millis(10);

/// A server and its directory.
pub struct Store {
    pub server: Server,
    pub data: PathBuf,
    _directory: TempDir,
}

impl Store {
    /// Starts a server on a fresh directory.
    pub fn start(directives: &[&str]) -> Store {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        Store { server: Server::start(&data, directives), data, _directory: directory }
    }

    /// kill -9, and the next start.
    pub fn restart(&mut self, directives: &[&str]) {
        self.server.kill();
        self.server = Server::start(&self.data, directives);
    }

    /// Does something while the server's memory is measured, and says how much it was at most.
    pub fn measured<T>(&self, max_memory_bytes: u64, work: impl FnOnce() -> T) -> T {
        let (ended, most) = (AtomicBool::new(false), AtomicU64::new(0));
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    most.fetch_max(self.server.resident_bytes(), Ordering::Relaxed);
                    std::thread::sleep(SAMPLE);
                }
            });
            // Ends the measuring also when the work panics.
            let _end = Ending(&ended);
            work()
        });
        let (most, allowed) = (most.into_inner(), resident_bytes_max(max_memory_bytes));
        println!("resident: {} MiB at most, {} MiB allowed", most >> 20, allowed >> 20);
        assert!(most <= allowed, "{most} bytes were resident, {allowed} are promised");
        result
    }
}

struct Ending<'e>(&'e AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Bytes that follow from a seed and do not compress.
pub fn filler(seed: u64, length: usize) -> Vec<u8> {
    let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// SET of `key:0` to `key:count-1`, each to the filler of its number and `salt`.
pub fn load(connection: &mut Connection, key: &str, count: usize, length: usize, salt: u64) {
    for first in (0..count).step_by(PIPELINE) {
        let last = count.min(first + PIPELINE);
        for number in first..last {
            let bytes = filler(number as u64 + salt, length);
            connection.push(&[b"SET", format!("{key}:{number}").as_bytes(), &bytes]);
        }
        connection.flush().expect("the server takes it");
        for _ in first..last {
            assert_eq!(connection.answer().expect("an answer"), okay());
        }
    }
}

/// GET of what `load` set: calls back with each number and answer.
pub fn read(connection: &mut Connection, key: &str, count: usize, mut each: impl FnMut(usize, Value)) {
    for first in (0..count).step_by(PIPELINE) {
        let last = count.min(first + PIPELINE);
        (first..last).for_each(|number| connection.push(&["GET", &format!("{key}:{number}")]));
        connection.flush().expect("the server takes it");
        (first..last).for_each(|number| each(number, connection.answer().expect("an answer")));
    }
}

/// TIER DEMOTE of all of them.
pub fn demote(connection: &mut Connection, key: &str, count: usize) {
    for first in (0..count).step_by(PIPELINE) {
        let mut words = vec!["TIER".to_owned(), "DEMOTE".to_owned()];
        words.extend((first..count.min(first + PIPELINE)).map(|number| format!("{key}:{number}")));
        assert_eq!(connection.number(&words) as usize, words.len() - 2);
    }
}

/// `+OK`
pub fn okay() -> Value {
    Value::Simple(b"OK".to_vec())
}

/// An error's text.
pub fn refusal(value: Value) -> String {
    match value {
        Value::Error(text) => String::from_utf8(text).expect("text"),
        other => panic!("no error: {}", crate::process::shown(&other)),
    }
}
