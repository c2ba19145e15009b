//! Random damage to the data files of a stopped store, one at a time: bits, zeros, noise, swapped blocks, a short file, no file, a
//! block as it was one life before.
//!
//! Each damage meets three fresh copies: a start with `tier-recovery salvage`, one with `strict`, and `thermocline verify` (where
//! the tool is built; `cargo test --workspace` builds it).
//! THERMOCLINE_DAMAGES says how many (default 40), THERMOCLINE_DAMAGE_SEED with which number the damages begin,
//! THERMOCLINE_DAMAGE_KEEP=DIR keeps the directories of damages that broke a promise.
//!
//! Promises checked: a wrong value is never served; a key that is missing or older than it was is explained by the start's own
//! report; what is refused says CORRUPT; salvage always starts, and what was refused or lost can be set again and stays;
//! strict either names file, offset and reason or serves everything; verify names what salvage had to report.

use std::path::{Path, PathBuf};
use std::process::Command;

use thermocline_resp::Value;

use crate::oracle::{Held, State};
use crate::process::{Connection, Server, say, shown};
use crate::stores::{DIRECTIVES, Store, copy};
use crate::value::FIELDS_FROM;
use crate::value::{key, stamp, value};
use crate::wound::{Random, Wound, draw, strike};
use crate::writer::{KEYS, hash};

#[path = "../crash/oracle.rs"]
#[expect(dead_code, reason = "the cuts are for crashes")]
mod oracle;
#[path = "../promises/process.rs"]
#[expect(dead_code, reason = "each test folder uses a part of it")]
mod process;
mod stores;
#[path = "../crash/value.rs"]
mod value;
mod wound;
#[path = "../crash/writer.rs"]
#[expect(dead_code, reason = "a writer that nobody kills")]
mod writer;

const DAMAGES: u64 = 40;
const PIPELINE: usize = 16;
/// Words of a failed damage that are shown.
const WORDS_MAX: usize = 1500;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How the keys are, compared with what they held.
#[derive(Clone, Debug, Default)]
struct Health {
    right: usize,
    /// They answer `-CORRUPT`.
    refused: Vec<usize>,
    missing: Vec<usize>,
    /// They hold what they held before, or what was deleted.
    older: Vec<usize>,
    /// Anything else.
    wrong: Vec<String>,
}

impl Health {
    fn of(connection: &mut Connection, states: &[State]) -> Health {
        let mut health = Health::default();
        for first in (0..KEYS).step_by(PIPELINE) {
            let numbers = first..KEYS.min(first + PIPELINE);
            for number in numbers.clone() {
                match number < FIELDS_FROM {
                    true => connection.push(&["GET", &key(0, number)]),
                    false => connection.push(&["HGET", &hash(0), &key(0, number)]),
                }
                connection.push(&["PEXPIRETIME", &key(0, number)]);
            }
            connection.flush().expect("the server takes it");
            for number in numbers {
                let value = connection.answer().expect("an answer");
                let expiry = connection.answer().expect("an answer");
                health.add(number, states[number], value, expiry);
            }
        }
        health
    }

    fn add(&mut self, number: usize, state: State, value: Value, expiry: Value) {
        let name = key(0, number);
        match (value, expiry, state) {
            (Value::Null, _, None) => self.right += 1,
            (Value::Null, _, Some(_)) => self.missing.push(number),
            (Value::Bulk(bytes), Value::Integer(at_ms), state) => match stamp(&name, &bytes) {
                Ok(stamp) => {
                    let held = Some(Held { stamp, expires_at_ms: (at_ms > 0).then_some(at_ms as u64) });
                    if held == state { self.right += 1 } else { self.older.push(number) }
                }
                Err(words) => self.wrong.push(words),
            },
            (Value::Error(text), _, _) if text.starts_with(b"CORRUPT ") => self.refused.push(number),
            (value, expiry, _) => self.wrong.push(format!("{name} answers {} and {expiry:?}", shown(&value))),
        }
    }

    fn is_whole(&self) -> bool {
        self.right == KEYS
    }

    /// Keys that are not what they were.
    fn harmed(&self) -> Vec<usize> {
        [&*self.refused, &*self.missing, &*self.older].concat()
    }
}

/// What the campaign saw.
#[derive(Debug, Default)]
struct Seen {
    damages: u64,
    harmless: u64,
    /// Harmless, and yet the start or verify had something to say.
    noticed: u64,
    reported: u64,
    refused_keys: usize,
    lost_keys: usize,
    older_keys: usize,
    wrong: u64,
    mute: u64,
    strict_refusals: u64,
    unstartable: u64,
    verified: u64,
}

/// What the start warned of: the lines without their time.
fn warnings(words: &str) -> Vec<String> {
    let lines = words.lines().filter_map(|line| line.split_once(" WARN ").or_else(|| line.split_once("ERROR ")));
    lines.map(|(_, said)| said.trim().to_owned()).collect()
}

/// `thermocline verify`, which lies beside the server.
fn verify(directory: &Path) -> Option<(bool, String)> {
    let tool = Path::new(env!("CARGO_BIN_EXE_thermocline-server")).with_file_name("thermocline");
    let output = Command::new(tool).arg("verify").arg(directory).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// A trial's copies and what its store says without any damage.
struct Trial<'t> {
    root: &'t Path,
    store: &'t Store,
    usual: &'t [String],
    wound: Wound,
    seed: u64,
}

impl Trial<'_> {
    fn damaged(&self, name: &str) -> PathBuf {
        let directory = self.root.join(name);
        copy(&self.store.directory, &directory);
        strike(&self.wound, self.store, &directory, &mut Random(self.seed));
        directory
    }

    /// Runs it. The words say which promise was broken.
    fn run(&self, seen: &mut Seen) -> Result<(), String> {
        seen.damages += 1;
        let directory = self.damaged("verify");
        let verified = verify(&directory);
        seen.verified += u64::from(verified.is_some());
        let (health, warnings) = self.salvage(seen)?;
        let (harmed, named) = (!health.is_whole(), !warnings.is_empty());
        match harmed {
            true => seen.reported += 1,
            false => seen.harmless += 1,
        }
        seen.refused_keys += health.refused.len();
        seen.lost_keys += health.missing.len();
        seen.older_keys += health.older.len();
        self.strict(seen)?;
        if let Some((clean, said)) = verified {
            seen.noticed += u64::from(!harmed && (named || !clean));
            if harmed && (clean || !said.contains(&self.wound.file)) {
                return Err(format!("verify does not name it: {said}"));
            }
        }
        Ok(())
    }

    fn salvage(&self, seen: &mut Seen) -> Result<(Health, Vec<String>), String> {
        let directory = self.damaged("salvage");
        let mut server = Server::start_or_refusal(&directory, &DIRECTIVES).map_err(|words| {
            seen.unstartable += 1;
            format!("salvage does not start: {words}")
        })?;
        let mut said = warnings(&server.words());
        said.retain(|line| !self.usual.contains(line));
        let mut connection = server.connect();
        let health = Health::of(&mut connection, &self.store.states);
        if !health.wrong.is_empty() {
            seen.wrong += 1;
            return Err(format!("wrong bytes: {:?}", health.wrong));
        }
        let silent = [&*health.missing, &*health.older].concat();
        if !silent.is_empty() && said.is_empty() {
            seen.wrong += u64::from(!health.older.is_empty());
            seen.mute += 1;
            return Err(format!(
                "{} keys are missing and {} older than they were, without a word: {:?}",
                health.missing.len(),
                health.older.len(),
                &silent[..silent.len().min(PIPELINE)]
            ));
        }
        self.cure(&mut server, connection, &health)?;
        Ok((health, said))
    }

    /// What was refused or lost is set again, and is there after the next kill.
    fn cure(&self, server: &mut Server, mut connection: Connection, health: &Health) -> Result<(), String> {
        let mut states = self.store.states.clone();
        let harmed = health.harmed();
        if harmed.is_empty() {
            return Ok(());
        }
        let (harmed, fields): (Vec<usize>, Vec<usize>) = harmed.into_iter().partition(|number| *number < FIELDS_FROM);
        if !fields.is_empty() {
            // A collection with a damaged part is made anew.
            connection.call(&["DEL", &hash(0)]);
            for number in (FIELDS_FROM..KEYS).filter(|number| self.store.states[*number].is_some()) {
                let name = key(0, number);
                let stamp = u64::from(u32::MAX) + number as u64;
                let answer = connection.call(&[b"HSET", hash(0).as_bytes(), name.as_bytes(), &value(&name, stamp)]);
                if answer != Value::Integer(1) {
                    return Err(format!("HSET of {name} answers {}", shown(&answer)));
                }
                states[number] = Some(Held { stamp, expires_at_ms: None });
            }
        }
        for &number in &harmed {
            let name = key(0, number);
            let stamp = u64::from(u32::MAX) + number as u64;
            let answer = connection.call(&[b"SET", name.as_bytes(), &value(&name, stamp)]);
            if answer != Value::Simple(b"OK".to_vec()) {
                return Err(format!("SET of {name} answers {}", shown(&answer)));
            }
            states[number] = Some(Held { stamp, expires_at_ms: None });
        }
        server.kill();
        let directory = self.root.join("salvage");
        let server = Server::start_or_refusal(&directory, &DIRECTIVES)
            .map_err(|words| format!("the start after the one that salvaged is refused: {words}"))?;
        let after = Health::of(&mut server.connect(), &states);
        if after.is_whole() { Ok(()) } else { Err(format!("the cure does not last: {after:?}")) }
    }

    fn strict(&self, seen: &mut Seen) -> Result<(), String> {
        let directory = self.damaged("strict");
        let strict = [&DIRECTIVES[..], &["--tier-recovery", "strict"]].concat();
        match Server::start_or_refusal(&directory, &strict) {
            Err(words) => {
                seen.strict_refusals += 1;
                let named = ["segment-", "map-", "superblock-", "checkpoint-"].iter().any(|name| words.contains(name));
                if named && words.contains(" at ") || words.contains("offset") {
                    Ok(())
                } else {
                    Err(format!("strict refuses without file, offset and reason: {words}"))
                }
            }
            Ok(server) => {
                let health = Health::of(&mut server.connect(), &self.store.states);
                if health.wrong.is_empty() && health.missing.is_empty() && health.older.is_empty() {
                    Ok(())
                } else {
                    Err(format!("strict serves in spite of the damage: {health:?}"))
                }
            }
        }
    }
}

/// What a store without damage says at its start; it must be whole.
fn usual(root: &Path, store: &Store) -> Vec<String> {
    let directory = root.join("usual");
    copy(&store.directory, &directory);
    if let Some((clean, said)) = verify(&directory) {
        assert!(clean, "{}: verify finds damage where there is none: {said}", store.name);
    }
    let server = Server::start(&directory, &DIRECTIVES);
    let health = Health::of(&mut server.connect(), &store.states);
    assert!(health.is_whole(), "{}, undamaged: {health:?}", store.name);
    let said = warnings(&server.words());
    drop(server);
    clear(root);
    said
}

/// Removes a trial's copies and logs.
fn clear(root: &Path) {
    std::fs::remove_dir_all(root).expect("ours");
    std::fs::create_dir(root).expect("a directory");
}

#[test]
fn damage_is_never_served_and_never_mute() {
    let directory = tempfile::Builder::new().prefix("crash-").tempdir().expect("a directory");
    let stores = stores::make(directory.path());
    let root = directory.path().join("trial");
    std::fs::create_dir(&root).expect("a directory");
    let usuals: Vec<Vec<String>> = stores.iter().map(|store| usual(&root, store)).collect();
    let (first, count) = (number("THERMOCLINE_DAMAGE_SEED", 1), number("THERMOCLINE_DAMAGES", DAMAGES));
    let mut seen = Seen::default();
    let mut broken = Vec::new();
    for seed in first..first + count {
        let mut random = Random(seed);
        let at = random.below(stores.len() as u64) as usize;
        let wound = draw(&stores[at], &mut random);
        let trial = Trial { root: &root, store: &stores[at], usual: &usuals[at], wound, seed };
        if let Err(mut words) = trial.run(&mut seen) {
            words.truncate(words.floor_char_boundary(WORDS_MAX));
            let words = format!("damage {seed}, store {}, {}: {words}", trial.store.name, trial.wound);
            println!("{words}");
            broken.push(words);
            if let Ok(keep) = std::env::var("THERMOCLINE_DAMAGE_KEEP") {
                std::fs::create_dir_all(&keep).expect("a directory");
                copy(&trial.damaged("kept"), &Path::new(&keep).join(format!("damage-{seed}")));
            }
        }
        clear(&root);
    }
    if seen.verified == 0 {
        say("SKIPPED: `thermocline verify` is not built beside the server (cargo build -p thermocline-tools)");
    }
    say(&format!(
        "{} damages: {} harmless, {} reported, {} wrong, {} mute; {seen:?}",
        seen.damages, seen.harmless, seen.reported, seen.wrong, seen.mute
    ));
    assert!(broken.is_empty(), "{} of {count} damages broke a promise:\n{}", broken.len(), broken.join("\n"));
}
