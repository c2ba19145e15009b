//! A writer: one connection that changes its own keys at random, in pipelines, and notes what it was told.
//!
//! Some of the keys are fields of one hash for each writer, so that most changes of it are deltas and some split or free nodes.
//! Keys that expire soon are only ever replaced or removed, so that what a command does never depends on when it arrives.
//! Promises: every answer is checked (a read against what was written, a count against what was there). Never: ends before its
//! connection does.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thermocline_resp::Value;

use crate::oracle::{Change, Held, State};
use crate::process::{Connection, now, shown};
use crate::value::{FIELDS_FROM, key, mixed, stamp, value};

/// Keys of a writer.
pub const KEYS: usize = 6000;
/// Commands sent together at most.
const PIPELINE_MAX: usize = 16;
/// Keys of one MSET at most.
const GROUP_MAX: u64 = 8;
/// A key that expires soon does so after this many milliseconds at most.
pub const SOON_MS_MAX: u64 = 800;
/// What expires later than this expires after the test.
const LATE_MS: u64 = 24 * 3600 * 1000;

/// Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "the test's own clock")]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// The hash of a writer.
pub fn hash(writer: usize) -> String {
    format!("w{writer}:hash")
}

/// What an answer must be.
enum Expected {
    Okay,
    Number(i64),
    AnyNumber,
    Value(usize, State),
    /// EXEC: so many commands, the last of which removed this many keys.
    Executed(usize, i64),
}

/// A writer and its oracle's notes.
pub struct Writer {
    number: usize,
    random: u64,
    stamps: u64,
    states: Vec<State>,
    /// What it did since the last crash.
    pub changes: Vec<Change>,
}

impl Writer {
    pub fn new(number: usize) -> Writer {
        Writer { number, random: number as u64 + 1, stamps: 0, states: vec![None; KEYS], changes: Vec::new() }
    }

    /// Begins again from what survived.
    pub fn restart(&mut self, states: Vec<State>) {
        self.states = states;
        self.changes.clear();
    }

    /// Changes keys until the connection ends or so many pipelines are answered, at full speed or with rests.
    pub fn run(&mut self, mut connection: Connection, rest: Duration, pipelines_max: u64) {
        for _ in 0..pipelines_max {
            if self.pipeline(&mut connection).is_err() {
                return;
            }
            std::thread::sleep(rest);
        }
    }

    /// What its keys hold if everything was done.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// Reads what all its keys hold.
    pub fn read(&self, connection: &mut Connection) -> Result<Vec<State>, String> {
        let mut states = Vec::new();
        for first in (0..KEYS).step_by(PIPELINE_MAX) {
            let keys: Vec<String> = (first..KEYS.min(first + PIPELINE_MAX)).map(|at| key(self.number, at)).collect();
            for (at, name) in (first..).zip(&keys) {
                match at < FIELDS_FROM {
                    true => connection.push(&["GET", name]),
                    false => connection.push(&["HGET", &hash(self.number), name]),
                }
                connection.push(&["PEXPIRETIME", name]);
            }
            connection.flush().expect("the server takes it");
            for name in &keys {
                let got = connection.answer().expect("the server answers");
                let expiry = connection.answer().expect("the server answers");
                states.push(match (got, expiry) {
                    // A field has no time of its own here, and its name is no key.
                    (Value::Bulk(bytes), Value::Integer(-2)) => {
                        Some(Held { stamp: stamp(name, &bytes)?, expires_at_ms: None })
                    }
                    (Value::Bulk(bytes), Value::Integer(at_ms)) => {
                        Some(Held { stamp: stamp(name, &bytes)?, expires_at_ms: (at_ms > 0).then_some(at_ms as u64) })
                    }
                    (Value::Null, Value::Integer(-2)) => None,
                    (other, expiry) => return Err(format!("{name} answers {} and {expiry:?}", shown(&other))),
                });
            }
        }
        connection.push(&["HLEN", &hash(self.number)]);
        connection.flush().expect("the server takes it");
        let length = connection.answer().expect("the server answers");
        let fields = states[FIELDS_FROM..].iter().flatten().count() as i64;
        if length != Value::Integer(fields) {
            return Err(format!("{} has {fields} fields and counts {}", hash(self.number), shown(&length)));
        }
        Ok(states)
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random = mixed(self.random);
        self.random % below
    }

    fn pipeline(&mut self, connection: &mut Connection) -> io::Result<()> {
        let mut expected = Vec::new();
        for _ in 0..=self.draw(PIPELINE_MAX as u64) {
            expected.push(self.command(connection));
        }
        connection.flush()?;
        for (change, expected) in expected {
            if let Expected::Executed(commands, _) = expected {
                self.check(&connection.answer()?, Expected::Okay);
                for _ in 0..commands {
                    let queued = connection.answer()?;
                    assert_eq!(queued, Value::Simple(b"QUEUED".to_vec()), "writer {}", self.number);
                }
            }
            let answer = connection.answer()?;
            self.check(&answer, expected);
            if let Some(change) = change {
                self.changes[change].acknowledged = Some(now());
            }
        }
        Ok(())
    }

    fn check(&self, answer: &Value, expected: Expected) {
        let right = match (&expected, answer) {
            (Expected::Okay, Value::Simple(text)) => text == b"OK",
            (Expected::Number(number), Value::Integer(got)) => got == number,
            (Expected::Executed(commands, removed), Value::Array(answers)) => {
                answers.len() == *commands && answers.last() == Some(&Value::Integer(*removed))
            }
            (Expected::AnyNumber, Value::Integer(_)) | (Expected::Value(_, None), Value::Null) => true,
            (Expected::Value(at, Some(held)), Value::Bulk(bytes)) => {
                stamp(&key(self.number, *at), bytes) == Ok(held.stamp)
            }
            _ => false,
        };
        let wanted = match expected {
            Expected::Okay => "OK".to_owned(),
            Expected::Number(number) => number.to_string(),
            Expected::AnyNumber => "a number".to_owned(),
            Expected::Executed(commands, removed) => format!("{commands} answers, the last {removed}"),
            Expected::Value(at, state) => format!("{} with {state:?}", key(self.number, at)),
        };
        assert!(right, "writer {} wants {wanted} and gets {}", self.number, shown(answer));
    }

    /// Adds a random command; the change it makes, if any, and the answer it must get.
    fn command(&mut self, connection: &mut Connection) -> (Option<usize>, Expected) {
        let at = self.draw(KEYS as u64) as usize;
        if at >= FIELDS_FROM {
            return self.field_command(connection, at);
        }
        let name = key(self.number, at);
        let fleeting = self.fleeting(at);
        match self.draw(100) {
            0..10 => {
                let expected =
                    if fleeting { Expected::AnyNumber } else { Expected::Number(self.states[at].is_some().into()) };
                connection.push(&["DEL", &name]);
                (Some(self.change(vec![(at, None)])), expected)
            }
            10..25 => {
                let first = self.draw(FIELDS_FROM as u64 - GROUP_MAX) as usize;
                let group: Vec<usize> = (first..first + 1 + self.draw(GROUP_MAX) as usize).collect();
                let states = group.into_iter().map(|at| (at, self.next(None))).collect();
                self.mset(connection, &states);
                (Some(self.change(states)), Expected::Okay)
            }
            25..32 => {
                let first = self.draw(FIELDS_FROM as u64 - GROUP_MAX) as usize;
                let group: Vec<usize> = (first..first + 2 + self.draw(GROUP_MAX - 2) as usize).collect();
                let mut states: Vec<(usize, State)> = group.into_iter().map(|at| (at, self.next(None))).collect();
                let commands = self.transaction(connection, &states);
                // The last key was set and removed: none of it may ever be seen.
                states.last_mut().expect("two keys or more").1 = None;
                (Some(self.change(states)), Expected::Executed(commands, 1))
            }
            32..39 if !fleeting => {
                let expires_at_ms = unix_ms() + LATE_MS;
                connection.push(&["PEXPIREAT", &name, &expires_at_ms.to_string()]);
                let held = self.states[at].map(|held| Held { expires_at_ms: Some(expires_at_ms), ..held });
                (Some(self.change(vec![(at, held)])), Expected::Number(held.is_some().into()))
            }
            39..50 if !fleeting => {
                connection.push(&["GET", &name]);
                (None, Expected::Value(at, self.states[at]))
            }
            chance => {
                let expires_at_ms = match chance % 8 {
                    0 => Some(unix_ms() + 100 + self.draw(SOON_MS_MAX - 100)),
                    1 => Some(unix_ms() + LATE_MS),
                    _ => None,
                };
                let state = self.next(expires_at_ms);
                self.set(connection, &name, state.expect("a value"));
                (Some(self.change(vec![(at, state)])), Expected::Okay)
            }
        }
    }

    /// The same for a field of the writer's hash.
    fn field_command(&mut self, connection: &mut Connection, at: usize) -> (Option<usize>, Expected) {
        let (name, hash) = (key(self.number, at), hash(self.number));
        match self.draw(500) {
            0 => {
                let there = self.states[FIELDS_FROM..].iter().any(Option::is_some);
                connection.push(&["DEL", &hash]);
                let gone = (FIELDS_FROM..KEYS).filter(|at| self.states[*at].is_some()).map(|at| (at, None)).collect();
                (Some(self.change(gone)), Expected::Number(there.into()))
            }
            1..60 => {
                let expected = Expected::Number(self.states[at].is_some().into());
                connection.push(&["HDEL", &hash, &name]);
                (Some(self.change(vec![(at, None)])), expected)
            }
            60..120 => {
                connection.push(&["HGET", &hash, &name]);
                (None, Expected::Value(at, self.states[at]))
            }
            _ => {
                let first = at.min(KEYS - GROUP_MAX as usize);
                let group: Vec<usize> = (first..first + 1 + self.draw(GROUP_MAX) as usize).collect();
                let new = group.iter().filter(|at| self.states[**at].is_none()).count();
                let states: Vec<(usize, State)> = group.into_iter().map(|at| (at, self.next(None))).collect();
                let mut words = vec![b"HSET".to_vec(), hash.into_bytes()];
                for &(at, state) in &states {
                    let name = key(self.number, at);
                    words.push(name.clone().into_bytes());
                    words.push(value(&name, state.expect("a value").stamp));
                }
                connection.push(&words);
                (Some(self.change(states)), Expected::Number(new as i64))
            }
        }
    }

    fn fleeting(&self, at: usize) -> bool {
        let expiry = self.states[at].and_then(|held| held.expires_at_ms);
        expiry.is_some_and(|at_ms| at_ms < unix_ms() + LATE_MS / 2)
    }

    fn next(&mut self, expires_at_ms: Option<u64>) -> State {
        self.stamps += 1;
        Some(Held { stamp: self.stamps, expires_at_ms })
    }

    fn change(&mut self, states: Vec<(usize, State)>) -> usize {
        for &(at, state) in &states {
            self.states[at] = state;
        }
        self.changes.push(Change { states, sent: now(), acknowledged: None });
        self.changes.len() - 1
    }

    fn set(&self, connection: &mut Connection, name: &str, held: Held) {
        let bytes = value(name, held.stamp);
        match held.expires_at_ms.map(|at_ms| at_ms.to_string()) {
            None => connection.push(&[b"SET", name.as_bytes(), &bytes]),
            Some(at_ms) => connection.push(&[b"SET", name.as_bytes(), &bytes, b"PXAT", at_ms.as_bytes()]),
        }
    }

    /// SET of all keys and DEL of the last, between MULTI and EXEC. Returns how many commands were queued.
    fn transaction(&self, connection: &mut Connection, states: &[(usize, State)]) -> usize {
        connection.push(&["MULTI"]);
        for &(at, state) in states {
            self.set(connection, &key(self.number, at), state.expect("a value"));
        }
        let (last, _) = states.last().expect("two keys or more");
        connection.push(&["DEL", &key(self.number, *last)]);
        connection.push(&["EXEC"]);
        states.len() + 1
    }

    fn mset(&self, connection: &mut Connection, states: &Vec<(usize, State)>) {
        let mut words = vec![b"MSET".to_vec()];
        for &(at, state) in states {
            let name = key(self.number, at);
            words.push(name.clone().into_bytes());
            words.push(value(&name, state.expect("a value").stamp));
        }
        connection.push(&words);
    }
}
