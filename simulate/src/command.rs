//! Commands: what a client asks for, drawn from the seed, and what it means for the ledger.
//!
//! Promises: values say which command wrote them, so no two are equal. Never: a command whose meaning depends on time other
//! than through expiry.

use crate::ledger::Number;
use crate::plan::Plan;
use crate::random::Random;
use std::rc::Rc;
use thermocline::{Access, Expiry};

/// What happens to one key of a command.
#[derive(Clone, Debug)]
pub enum Act {
    /// It is only looked at.
    Look,
    /// It gets a value.
    Put(Rc<[u8]>, Expiry),
    /// It goes.
    Remove,
    /// If it is there, its expiry changes.
    Expire(Expiry),
    /// Bytes are appended unless it is longer than this already; its expiry stays.
    Append(Rc<[u8]>, u64),
    /// It gets value and expiry of the key at this position, if that is there; else nothing happens.
    CopyOf(usize),
    /// It goes if the key at position 0 is there (it always is this key itself).
    Leave,
}

/// One key of a command.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which key.
    pub key: Number,
    /// How it is accessed.
    pub access: Access,
    /// What happens to it.
    pub act: Act,
}

/// A command.
#[derive(Clone, Debug)]
pub enum Command {
    /// One group over keys of a database. `quick`: by the hot road first, if it has one key.
    Keys {
        /// Which database.
        database: u32,
        /// Its keys.
        parts: Vec<Part>,
        /// By `try_run` first.
        quick: bool,
    },
    /// FLUSHDB.
    Flush(u32),
    /// SWAPDB of the two databases.
    Swap,
    /// A whole SCAN.
    Scan(u32, usize),
    /// Demote a key by hand.
    Demote(u32, Number),
    /// Promote a key by hand.
    Promote(u32, Number),
}

/// Kinds of commands, for their shares.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Set,
    SetLarge,
    Get,
    Remove,
    Append,
    Expire,
    Many,
    Rename,
    Flush,
    Swap,
    Scan,
    Demote,
    Promote,
    GetMany,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 14] = [
        Kind::Set,
        Kind::SetLarge,
        Kind::Get,
        Kind::Remove,
        Kind::Append,
        Kind::Expire,
        Kind::Many,
        Kind::Rename,
        Kind::Flush,
        Kind::Swap,
        Kind::Scan,
        Kind::Demote,
        Kind::Promote,
        Kind::GetMany,
    ];
    /// Their ordinary shares.
    pub const WEIGHTS: [u64; 14] = [300, 8, 120, 60, 60, 60, 80, 30, 3, 3, 10, 120, 40, 30];
}

/// The bytes of a key.
pub fn name(key: Number) -> Vec<u8> {
    let mut name = format!("k{key:02}").into_bytes();
    if key % 5 == 4 {
        name.resize(20 + usize::from(key) * 9, b'.');
    }
    name
}

/// The number of a key's name.
pub fn number(name: &[u8]) -> Option<Number> {
    std::str::from_utf8(name.get(1..3)?).ok()?.parse().ok()
}

/// A value that says who wrote it.
pub fn value(key: Number, writer: u64, bytes: usize) -> Rc<[u8]> {
    let mut value = format!("{key}:{writer}:{bytes};").into_bytes();
    let mut filler = Random::new(writer);
    while value.len() < bytes {
        value.extend_from_slice(&filler.word().to_le_bytes());
    }
    value.into()
}

/// Draws a command. `writer` is unique per command, `now_ms` the time.
pub fn draw(random: &mut Random, plan: &Plan, writer: u64, now_ms: u64) -> Command {
    let total: u64 = plan.weights.iter().sum();
    let mut at = random.below(total);
    let mut kind = Kind::Set;
    for (n, &weight) in plan.weights.iter().enumerate() {
        if at < weight {
            kind = Kind::ALL[n];
            break;
        }
        at -= weight;
    }
    let database = u32::from(random.chance(150));
    let key = random.below(plan.keys) as Number;
    let quick = random.chance(500);
    let one = |access, act| Command::Keys { database, parts: vec![Part { key, access, act }], quick };
    match kind {
        Kind::Set => {
            let access = random.pick(&[Access::Overwrite, Access::Overwrite, Access::Write]);
            let act = put(random, plan, key, writer, now_ms);
            one(access, act)
        }
        Kind::SetLarge => {
            let key = random.below(2) as Number;
            let bytes = plan.segment_bytes / 4 + random.below(plan.segment_bytes * 3 / 4);
            let act = Act::Put(value(key, writer, bytes as usize), expiry(random, now_ms));
            Command::Keys { database, parts: vec![Part { key, access: Access::Overwrite, act }], quick }
        }
        Kind::Get => {
            let access = random.pick(&[Access::Read, Access::Read, Access::Peek]);
            one(access, Act::Look)
        }
        Kind::Remove => one(Access::Overwrite, Act::Remove),
        Kind::Append => {
            let bytes = random.below(plan.value_bytes_max / 4 + 1) as usize;
            let longest = if random.chance(100) { plan.segment_bytes } else { 2 * plan.value_bytes_max };
            one(Access::Write, Act::Append(value(key, writer, bytes), longest))
        }
        Kind::Expire => {
            let expiry = if random.chance(300) { Expiry::Clear } else { Expiry::At(soon(random, now_ms)) };
            one(Access::Peek, Act::Expire(expiry))
        }
        Kind::Many | Kind::GetMany => {
            let mut parts: Vec<Part> = Vec::new();
            for _ in 0..2 + random.below(4) {
                let key = random.below(plan.keys) as Number;
                if parts.iter().any(|p| p.key == key) {
                    continue;
                }
                let (access, act) = match (kind, random.below(8)) {
                    (Kind::GetMany, _) => (Access::Read, Act::Look),
                    (_, 0) => (Access::Read, Act::Look),
                    (_, 1 | 2) => (Access::Overwrite, Act::Remove),
                    (_, 3) => (Access::Peek, Act::Expire(expiry(random, now_ms))),
                    _ => (Access::Overwrite, put(random, plan, key, writer, now_ms)),
                };
                parts.push(Part { key, access, act });
            }
            Command::Keys { database, parts, quick }
        }
        Kind::Rename => {
            let to = ((u64::from(key) + 1 + random.below(plan.keys - 1)) % plan.keys) as Number;
            let parts = vec![
                Part { key, access: Access::Write, act: Act::Leave },
                Part { key: to, access: Access::Overwrite, act: Act::CopyOf(0) },
            ];
            Command::Keys { database, parts, quick }
        }
        Kind::Flush => Command::Flush(database),
        Kind::Swap => Command::Swap,
        Kind::Scan => Command::Scan(database, 1 + random.below(10) as usize),
        Kind::Demote => Command::Demote(database, key),
        Kind::Promote => Command::Promote(database, key),
    }
}

fn put(random: &mut Random, plan: &Plan, key: Number, writer: u64, now_ms: u64) -> Act {
    let bytes = random.below(plan.value_bytes_max + 1) as usize;
    Act::Put(value(key, writer, bytes), expiry(random, now_ms))
}

fn expiry(random: &mut Random, now_ms: u64) -> Expiry {
    match random.below(10) {
        0..6 => Expiry::Clear,
        6 | 7 => Expiry::Keep,
        _ => Expiry::At(soon(random, now_ms)),
    }
}

fn soon(random: &mut Random, now_ms: u64) -> u64 {
    now_ms + random.pick(&[0, 5, 50, 500, 5_000, 1 << 40])
}
