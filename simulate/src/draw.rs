//! Draws commands from the seed.
//!
//! Promises: what may be live at one time stays in the share of the store that the plan allows. Never: looks at the store.

use crate::command::{Act, Command, Kind, Part, value};
use crate::ledger::Number;
use crate::plan::Plan;
use crate::random::Random;
use crate::value::{Edit, Edits, Element, KINDS, LONG_MEMBERS};
use thermocline::{Access, Expiry};

/// Keys of which one is the home of a collection.
pub const KEYS_PER_HOME: u64 = 3;
/// Keys that are not where they belong, of a thousand: a string on a collection's key and the other way round.
const ASTRAY: u64 = 60;
/// Of two databases the second is used so often, of a thousand.
const SECOND_DATABASE: u64 = 150;
/// Longest pause between WATCH and EXEC, in polls.
const PAUSE_MAX: u64 = 8;
/// Of so many members that there may be one may be a long one.
const LONG_SHARE: u64 = 4;
/// Bits of a stamp below the number of the command that wrote it.
const STAMP_BITS: u32 = 10;

/// Draws a command. `writer` is unique per command, `now_ms` the time.
pub fn draw(random: &mut Random, plan: &Plan, writer: u64, now_ms: u64) -> Command {
    let kind = kind_of(random, plan);
    let database = u32::from(random.chance(SECOND_DATABASE));
    let key = match kind {
        Kind::Elements | Kind::LookOne | Kind::LookWhole => home(random, plan),
        Kind::Set | Kind::Append => elsewhere(random, plan),
        _ => random.below(plan.keys) as Number,
    };
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
        Kind::Append => one(Access::Write, append(random, plan, key, writer)),
        Kind::Expire => {
            let expiry = if random.chance(300) { Expiry::Clear } else { Expiry::At(soon(random, now_ms)) };
            one(Access::Peek, Act::Expire(expiry))
        }
        Kind::Many | Kind::GetMany => {
            let mut parts: Vec<Part> = Vec::new();
            for _ in 0..2 + random.below(4) {
                let key = elsewhere(random, plan);
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
            let mut parts = Vec::new();
            rename(random, plan, key, &mut parts);
            Command::Keys { database, parts, quick }
        }
        Kind::Flush => Command::Flush(database),
        Kind::Swap => Command::Swap,
        Kind::Scan => Command::Scan(database, 1 + random.below(10) as usize),
        Kind::Demote => Command::Demote(database, key),
        Kind::Promote => Command::Promote(database, key),
        Kind::Elements => {
            let act = elements(random, plan, key, writer);
            one(Access::Write, act)
        }
        Kind::LookOne => {
            let act = Act::LookOne(number(random, plan));
            one(Access::Read, act)
        }
        Kind::LookWhole => one(Access::Read, Act::LookWhole),
        Kind::Group => Command::Group { database, parts: group(random, plan, writer, now_ms), watched: None },
        Kind::Watch => {
            let parts = group(random, plan, writer, now_ms);
            let key = random.pick(&[key, parts[0].key]);
            Command::Group { database, parts, watched: Some((key, random.below(PAUSE_MAX) as u32)) }
        }
    }
}

fn kind_of(random: &mut Random, plan: &Plan) -> Kind {
    let total: u64 = plan.weights.iter().sum();
    let mut at = random.below(total);
    for (n, &weight) in plan.weights.iter().enumerate() {
        if at < weight {
            return Kind::ALL[n];
        }
        at -= weight;
    }
    Kind::Set
}

/// A key that mostly holds a collection.
fn home(random: &mut Random, plan: &Plan) -> Number {
    let key = random.below(plan.keys);
    let home = key - key % KEYS_PER_HOME;
    (if random.chance(ASTRAY) { key } else { home }) as Number
}

/// A key that mostly holds a string.
fn elsewhere(random: &mut Random, plan: &Plan) -> Number {
    let key = random.below(plan.keys);
    let at_home = plan.has_collections() && key.is_multiple_of(KEYS_PER_HOME);
    (if at_home && !random.chance(ASTRAY) { (key + 1) % plan.keys } else { key }) as Number
}

fn put(random: &mut Random, plan: &Plan, key: Number, writer: u64, now_ms: u64) -> Act {
    let bytes = random.below(plan.value_bytes_max + 1) as usize;
    Act::Put(value(key, writer, bytes), expiry(random, now_ms))
}

fn append(random: &mut Random, plan: &Plan, key: Number, writer: u64) -> Act {
    let bytes = random.below(plan.value_bytes_max / 4 + 1) as usize;
    let longest = if random.chance(100) { plan.segment_bytes } else { 2 * plan.value_bytes_max };
    Act::Append(value(key, writer, bytes), longest)
}

fn rename(random: &mut Random, plan: &Plan, key: Number, parts: &mut Vec<Part>) {
    let to = ((u64::from(key) + 1 + random.below(plan.keys - 1)) % plan.keys) as Number;
    let at = parts.len();
    parts.push(Part { key: to, access: Access::Overwrite, act: Act::CopyOf(at + 1) });
    parts.push(Part { key, access: Access::Write, act: Act::Leave });
}

/// The parts of a transaction. Its keys are few, so that one part often meets what another did.
fn group(random: &mut Random, plan: &Plan, writer: u64, now_ms: u64) -> Vec<Part> {
    let keys = [home(random, plan), elsewhere(random, plan), random.below(plan.keys) as Number];
    let mut parts = Vec::new();
    for _ in 0..2 + random.below(4) {
        let key = random.pick(&keys);
        let (access, act) = match random.below(12) {
            0..5 if plan.has_collections() => {
                let key = keys[0];
                let act = elements(random, plan, key, writer);
                parts.push(Part { key, access: Access::Write, act });
                continue;
            }
            0..=6 => (Access::Overwrite, put(random, plan, keys[1], writer, now_ms)),
            7 => (Access::Read, Act::LookOne(number(random, plan))),
            8 => (Access::Read, Act::LookWhole),
            9 => (Access::Overwrite, Act::Remove),
            10 => (Access::Peek, Act::Expire(expiry(random, now_ms))),
            _ => {
                rename(random, plan, key, &mut parts);
                continue;
            }
        };
        let key = if matches!(act, Act::Put(..)) { keys[1] } else { key };
        parts.push(Part { key, access, act });
    }
    parts
}

/// The number of an element.
fn number(random: &mut Random, plan: &Plan) -> u16 {
    match plan.long_members && random.chance(300) {
        true => LONG_MEMBERS + random.below(plan.elements_max / LONG_SHARE) as u16,
        false => random.below(plan.elements_max) as u16,
    }
}

/// A few changes of elements, some of them, or so many that a run becomes a tree and a tree a run.
fn elements(random: &mut Random, plan: &Plan, key: Number, writer: u64) -> Act {
    let kind = KINDS[((u64::from(key) / KEYS_PER_HOME + plan.first_kind) % 4) as usize];
    let mut stamp = (writer as u32) << STAMP_BITS;
    let mut next = |number| {
        stamp += 1;
        Element { number, stamp }
    };
    let most = plan.elements_max;
    let mut edits = Vec::new();
    match random.below(16) {
        of @ 0..13 => {
            let few = if of < 10 { 1 + random.below(4) } else { 1 + random.below(most / 4) };
            let growing = random.pick(&[3, 6, 8]);
            for _ in 0..few {
                let number = number(random, plan);
                edits.push(match random.below(10) {
                    9 => Edit::Replace(next(number)),
                    chance if chance < growing => Edit::Put(next(number)),
                    _ => Edit::Remove(number),
                });
            }
        }
        of => {
            // Neighbours. (Of a list: at one place.)
            let many = 1 + random.below(most);
            let from = number(random, plan);
            let numbers =
                (0..many as u16).map(|n| from - from % LONG_MEMBERS + (from + n) % LONG_MEMBERS % most as u16);
            let is_list = kind == thermocline::Kind::List;
            for number in numbers {
                let number = if is_list { from } else { number };
                edits.push(if of == 15 { Edit::Remove(number) } else { Edit::Put(next(number)) });
            }
        }
    }
    Act::Elements(Edits { kind, all: edits.into(), most })
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
