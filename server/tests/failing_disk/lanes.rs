//! Clients of a server whose disk goes bad: each writes its own keys one by one, and one reads what nobody changes.
//!
//! Promises: a key holds what was last acknowledged, or what a refusal after that left open (a write that was in flight when the
//! disk failed is refused and its connection closed: it may come about later); what was slowest and how refusals were worded is
//! noted for each phase.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use thermocline_resp::Value;

use crate::process::{Connection, now, shown};
use crate::value::{key, mixed, stamp, value};

/// The lane that is loaded before anything happens, and only read.
pub const LOADED: usize = 99;
const PIPELINE: usize = 32;
/// After a refusal a client waits a little.
const PAUSE: Duration = Duration::from_millis(5);
/// One write in so many goes to a key that is there already.
const OVERWRITES: u64 = 4;

/// What happened in one phase.
#[derive(Default, Debug)]
pub struct Phase {
    pub acknowledged: u64,
    pub slowest: Duration,
    pub reads: u64,
    pub slowest_read: Duration,
    /// Reads that were answered with an error.
    pub reads_refused: u64,
    /// Connections that the server closed.
    pub closed: u64,
    pub refusals: BTreeMap<String, u64>,
}

/// What all clients share: the phase they are in, and what they saw in each.
pub struct Scene {
    phases: [Mutex<Phase>; 3],
    now: AtomicUsize,
    /// When the phase began.
    since: Mutex<Instant>,
    /// How long after the cure each writer's first new write was acknowledged, in microseconds; the latest counts.
    cured_us: AtomicU64,
    cured: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

/// Phases.
pub const HEALTHY: usize = 0;
pub const BAD: usize = 1;
pub const CURED: usize = 2;
const ENDED: usize = 3;

impl Scene {
    pub fn new() -> Scene {
        Scene {
            phases: Default::default(),
            now: AtomicUsize::new(HEALTHY),
            since: Mutex::new(now()),
            cured_us: AtomicU64::new(0),
            cured: AtomicUsize::new(0),
            wrong: Mutex::default(),
        }
    }

    pub fn enter(&self, phase: usize) {
        *self.since.lock().expect("nobody panics with it") = now();
        self.now.store(phase, Ordering::SeqCst);
    }

    pub fn end(&self) {
        self.now.store(ENDED, Ordering::SeqCst);
    }

    /// Has one of so many writers not had a write acknowledged since the cure?
    pub fn is_waiting(&self, writers: usize) -> bool {
        self.cured.load(Ordering::SeqCst) < writers
    }

    /// When the last writer's first new write was acknowledged, counted from the cure.
    pub fn cured(&self) -> Option<Duration> {
        let writers = self.cured.load(Ordering::SeqCst);
        (writers > 0).then(|| Duration::from_micros(self.cured_us.load(Ordering::SeqCst)))
    }

    fn phase(&self) -> Option<usize> {
        Some(self.now.load(Ordering::SeqCst)).filter(|&phase| phase < ENDED)
    }

    fn note(&self, phase: usize, note: impl FnOnce(&mut Phase)) {
        note(&mut self.phases[phase].lock().expect("nobody panics with it"));
    }

    fn is_wrong(&self, words: String) {
        self.wrong.lock().expect("nobody panics with it").push(words);
    }

    pub fn into_phases(self) -> ([Phase; 3], Vec<String>) {
        let open = |phase: Mutex<Phase>| phase.into_inner().expect("nobody panics with it");
        (self.phases.map(open), self.wrong.into_inner().expect("nobody panics with it"))
    }
}

/// A writer.
pub struct Lane {
    number: usize,
    random: u64,
    /// The stamp that each key was last acknowledged with, and the stamps that were refused since.
    stamps: Vec<(u64, Vec<u64>)>,
    keys_max: usize,
    next: u64,
    cured: bool,
}

impl Lane {
    /// A lane of at most so many keys.
    pub fn new(number: usize, keys_max: usize) -> Lane {
        Lane { number, random: number as u64 + 1, stamps: Vec::new(), keys_max, next: 0, cured: false }
    }

    /// Writes until the scene ends.
    pub fn write(&mut self, scene: &Scene, connect: &(dyn Fn() -> Connection + Sync)) {
        let mut connection = connect();
        while let Some(phase) = scene.phase() {
            self.random = mixed(self.random);
            let length = self.stamps.len();
            let overwrites = length == self.keys_max || length > 0 && self.random.is_multiple_of(OVERWRITES);
            let at = if overwrites { (self.random >> 8) as usize % length } else { length };
            if !overwrites {
                self.stamps.push((0, Vec::new()));
            }
            self.next += 1;
            let name = key(self.number, at);
            let sent = now();
            let answer = ask(&mut connection, &[b"SET", name.as_bytes(), &value(&name, self.next)]);
            let (took, next) = (sent.elapsed(), self.next);
            // A reply that came late belongs to the phase in which it was asked for.
            scene.note(phase, |phase| phase.slowest = phase.slowest.max(took));
            match answer {
                Ok(Value::Simple(_)) => {
                    self.stamps[at] = (next, Vec::new());
                    scene.note(phase, |phase| phase.acknowledged += 1);
                    if phase == CURED && !self.cured {
                        self.cured = true;
                        let since = *scene.since.lock().expect("nobody panics with it");
                        scene.cured_us.fetch_max(since.elapsed().as_micros() as u64, Ordering::SeqCst);
                        scene.cured.fetch_add(1, Ordering::SeqCst);
                    }
                }
                Ok(Value::Error(text)) => {
                    self.stamps[at].1.push(next);
                    let words = String::from_utf8_lossy(&text).into_owned();
                    scene.note(phase, |phase| *phase.refusals.entry(words).or_default() += 1);
                    std::thread::sleep(PAUSE);
                }
                Ok(other) => scene.is_wrong(format!("SET of {name} answers {}", shown(&other))),
                Err(_) => {
                    self.stamps[at].1.push(next);
                    scene.note(phase, |phase| phase.closed += 1);
                    connection = connect();
                }
            }
        }
    }

    /// After the end: how many keys are not there as they were acknowledged, and how many are wrong.
    pub fn lost(&self, connection: &mut Connection, wrong: &mut Vec<String>) -> usize {
        let mut lost = 0;
        for first in (0..self.stamps.len()).step_by(PIPELINE) {
            let numbers = first..self.stamps.len().min(first + PIPELINE);
            numbers.clone().for_each(|at| connection.push(&["GET", &key(self.number, at)]));
            connection.flush().expect("the server takes it");
            for at in numbers {
                let name = key(self.number, at);
                let (acknowledged, open) = &self.stamps[at];
                match connection.answer().expect("an answer") {
                    Value::Bulk(bytes) => match stamp(&name, &bytes) {
                        Ok(stamp) => lost += usize::from(stamp != *acknowledged && !open.contains(&stamp)),
                        Err(words) => wrong.push(words),
                    },
                    Value::Null => lost += usize::from(*acknowledged != 0),
                    other => wrong.push(format!("{name} answers {}", shown(&other))),
                }
            }
        }
        lost
    }

    /// Sets its first `count` keys, before the scene.
    pub fn load(&mut self, connection: &mut Connection, count: usize) {
        for first in (0..count).step_by(PIPELINE) {
            let numbers = first..count.min(first + PIPELINE);
            for at in numbers.clone() {
                let name = key(self.number, at);
                connection.push(&[b"SET", name.as_bytes(), &value(&name, 1)]);
            }
            connection.flush().expect("the server takes it");
            for _ in numbers {
                assert_eq!(connection.answer().expect("an answer"), Value::Simple(b"OK".to_vec()));
                self.stamps.push((1, Vec::new()));
            }
        }
    }
}

/// Sends a command and reads its answer, if the server lives and keeps the connection.
fn ask<W: AsRef<[u8]>>(connection: &mut Connection, words: &[W]) -> io::Result<Value> {
    connection.push(words);
    connection.flush()?;
    connection.answer()
}

/// Reads loaded keys at random until the scene ends.
pub fn read(scene: &Scene, connect: &(dyn Fn() -> Connection + Sync), keys: usize) {
    let mut connection = connect();
    let mut random = 7;
    while let Some(phase) = scene.phase() {
        random = mixed(random);
        let name = key(LOADED, random as usize % keys);
        let sent = now();
        let answer = ask(&mut connection, &["GET", &name]);
        let took = sent.elapsed();
        scene.note(phase, |phase| phase.slowest_read = phase.slowest_read.max(took));
        match answer {
            Ok(answer) if answer == Value::Bulk(value(&name, 1)) => scene.note(phase, |phase| phase.reads += 1),
            Ok(Value::Error(text)) if text.starts_with(b"MISCONF ") => {
                scene.note(phase, |phase| phase.reads_refused += 1);
            }
            Ok(answer) => scene.is_wrong(format!("GET of {name} answers {}", shown(&answer))),
            Err(_) => {
                scene.note(phase, |phase| phase.closed += 1);
                connection = connect();
            }
        }
    }
}
