//! Clients: each performs one command, checks what it saw against the ledger, enters its effect, and waits for durability.
//!
//! Promises: the check and the entry happen in the poll in which the engine committed. Never: an answer that is not checked.

use crate::command::{Act, Command, Part, name, number};
use crate::ledger::{Delta, Effect, Entry, Ledger};
use crate::salvage::excuses;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use thermocline::{Access, Attempt, Changes, Done, Durability, Engine, Error, Expiry, Key, Kind, SpaceId, View};
use thermocline_io::FaultDisk;

/// What clients and the world share in one life.
pub struct Shared {
    /// The oracle.
    pub ledger: RefCell<Ledger>,
    /// The first thing that was wrong.
    pub wrong: RefCell<Option<String>>,
    /// Errors are expected: a disk that refuses, or the power is gone.
    pub lenient: Cell<bool>,
    /// A disk that damages what it stores, and the size of a segment.
    pub damaging: Option<(FaultDisk, u64)>,
    /// Print the steps.
    pub trace: bool,
    /// Commands refused.
    pub refused: Cell<u64>,
    /// Commands finished.
    pub finished: Cell<u64>,
}

impl Shared {
    /// Notes that something is wrong, unless something was before.
    pub fn fail(&self, words: String) {
        self.say(|| format!("WRONG {words}"));
        self.wrong.borrow_mut().get_or_insert(words);
    }

    /// Prints a step.
    pub fn say(&self, words: impl FnOnce() -> String) {
        if self.trace {
            println!("{}", words());
        }
    }

    /// An error that a command got.
    fn refuse(&self, writer: u64, error: &Error) {
        self.refused.set(self.refused.get() + 1);
        self.say(|| format!("  #{writer} refused: {error}"));
        let expected = matches!(error, Error::OutOfMemory | Error::Closed | Error::TooLarge { .. });
        if !expected && !self.lenient.get() && !self.excuses(error) {
            self.fail(format!("command {writer} failed: {error}"));
        }
    }

    /// Is this error the disk's doing?
    pub fn excuses(&self, error: &Error) -> bool {
        self.damaging.as_ref().is_some_and(|(disk, segment_bytes)| excuses(disk, *segment_bytes, error))
    }
}

/// What a body saw of a key.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The value, where the access shows it.
    pub value: Vec<u8>,
    /// Its length.
    pub length: u64,
    /// Its expiry.
    pub expiry: Option<u64>,
}

impl Seen {
    /// From a view.
    pub fn of(view: &View<'_>) -> Seen {
        Seen { value: view.value.to_vec(), length: view.length, expiry: view.expires_at_ms }
    }
}

/// Performs a command.
pub async fn perform(engine: Engine, shared: Rc<Shared>, command: Command, writer: u64) {
    shared.say(|| format!("  #{writer} {}", brief(&command)));
    let outcome = match &command {
        Command::Keys { database, parts, quick } => keys(&engine, &shared, *database, parts, *quick, writer).await,
        Command::Flush(database) => {
            let done = engine.flush_database(*database).await;
            switched(&engine, &shared, done, writer, &format!("FLUSHDB {database}")).await
        }
        Command::Swap => {
            let done = engine.swap_databases(0, 1).await;
            switched(&engine, &shared, done, writer, "SWAPDB 0 1").await
        }
        Command::Scan(database, count) => scan(&engine, &shared, *database, *count, writer).await,
        Command::Demote(database, key) => {
            let name = name(*key);
            engine.demote(&engine.key(engine.space(*database), &name)).await.map(|_| ())
        }
        Command::Promote(database, key) => {
            let name = name(*key);
            engine.promote(&engine.key(engine.space(*database), &name)).await.map(|_| ())
        }
    };
    if let Err(error) = outcome {
        shared.refuse(writer, &error);
    }
    shared.say(|| format!("  #{writer} done"));
    shared.finished.set(shared.finished.get() + 1);
}

async fn keys(
    engine: &Engine,
    shared: &Shared,
    database: u32,
    parts: &[Part],
    quick: bool,
    writer: u64,
) -> Result<(), Error> {
    let space = engine.space(database);
    let names: Vec<Vec<u8>> = parts.iter().map(|p| name(p.key)).collect();
    let keys: Vec<(Key<'_>, Access)> =
        parts.iter().zip(&names).map(|(p, name)| (engine.key(space, name), p.access)).collect();
    let corrupt_records = || shared.damaging.as_ref().map_or(0, |_| engine.stats().corrupt_records);
    let corrupt_before = corrupt_records();
    let mut changes = Changes::new(keys.len());
    let body = |views: &[Option<View<'_>>], changes: &mut Changes<'_>| {
        stage(parts, views, changes);
        views.iter().map(|v| v.as_ref().map(Seen::of)).collect::<Vec<_>>()
    };
    let (seen, done): (Vec<Option<Seen>>, Done) = match &keys[..] {
        [(key, access)] if quick => match engine.try_run(key, *access, &mut changes, body) {
            Attempt::Ready(seen, done) => (seen, done),
            Attempt::Later(later) => engine.finish(later, key, *access, &mut changes, body).await?,
            Attempt::Refused(error) => return Err(error),
        },
        _ => engine.run(&keys, &mut changes, body).await?,
    };
    // Still in the poll of the commit: nobody was in between.
    let (seq, _) = engine.log_position();
    let now_ms = engine.now_ms();
    let met_damage = corrupt_records() > corrupt_before;
    let needs = {
        let mut ledger = shared.ledger.borrow_mut();
        let mut replaced = Vec::new();
        if ledger.names(space) {
            for (part, seen) in parts.iter().zip(&seen) {
                // Who overwrites a key replaces a damaged record, whatever it was.
                if met_damage && part.access == Access::Overwrite && seen.is_none() {
                    replaced.push(part.key);
                    continue;
                }
                if ledger.now.is_foggy(space, part.key) {
                    if let Some(seen) = seen {
                        // Its value stays unknown, its expiry is.
                        let entry = Entry { value: seen.value.as_slice().into(), expiry: seen.expiry };
                        ledger.now.spaces.entry(space.0).or_default().insert(part.key, entry);
                    }
                    continue;
                }
                if let Some(words) = difference(part, seen.as_ref(), ledger.now.get(space, part.key, now_ms)) {
                    shared.fail(format!("command {writer}, key {} of space {}: {words}", part.key, space.0));
                }
            }
        }
        let deltas = deltas(&ledger, space, parts, &replaced, now_ms);
        let changed = !deltas.is_empty();
        ledger.enter(Effect { seq, deltas });
        let position = ledger.effects.len();
        shared.say(|| format!("  #{writer} committed: effect {position} seq {seq} wait {}", done.wait_seq));
        if changed { position } else { parts.iter().map(|p| ledger.depends_on(space, p.key)).max().unwrap_or(0) }
    };
    acknowledge(engine, shared, done.wait_seq, needs).await
}

/// Waits as a server would before it replies; then the effects must survive.
async fn acknowledge(engine: &Engine, shared: &Shared, wait_seq: u64, needs: usize) -> Result<(), Error> {
    if engine.durability() == Durability::Always {
        engine.durable(wait_seq).await?;
        shared.ledger.borrow_mut().acknowledge(needs);
    }
    Ok(())
}

async fn switched(
    engine: &Engine,
    shared: &Shared,
    done: Result<Done, Error>,
    writer: u64,
    what: &str,
) -> Result<(), Error> {
    let done = done?;
    let needs = {
        let databases = (0..engine.databases()).map(|n| engine.space(n)).collect();
        let mut ledger = shared.ledger.borrow_mut();
        ledger.enter(Effect { seq: engine.log_position().0, deltas: vec![Delta::Databases(databases)] });
        ledger.effects.len()
    };
    shared.say(|| format!("  #{writer} {what} committed: effect {needs}"));
    acknowledge(engine, shared, done.wait_seq, needs).await
}

async fn scan(engine: &Engine, shared: &Shared, database: u32, count: usize, writer: u64) -> Result<(), Error> {
    let space = engine.space(database);
    let (from, before, began_ms) = {
        let ledger = shared.ledger.borrow();
        (ledger.effects.len(), ledger.now.spaces.get(&space.0).cloned().unwrap_or_default(), engine.now_ms())
    };
    let mut found: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let mut cursor = 0;
    loop {
        cursor = engine.scan(space, cursor, count, |key, _| *found.entry(key.to_vec()).or_default() += 1).await?;
        if cursor == 0 {
            break;
        }
    }
    let needs = {
        let ledger = shared.ledger.borrow();
        let dropped = ledger.effects[from..].iter().flat_map(|e| &e.deltas).any(|d| matches!(d, Delta::Databases(_)));
        if dropped || !ledger.names(space) {
            return Ok(());
        }
        let ended_ms = engine.now_ms();
        let touched: Vec<u8> = ledger.effects[from..]
            .iter()
            .flat_map(|e| &e.deltas)
            .filter_map(|d| match d {
                Delta::Put(s, key, _) | Delta::Remove(s, key) if *s == space => Some(*key),
                _ => None,
            })
            .collect();
        let known = |key: &u8| !touched.contains(key) && !ledger.now.is_foggy(space, *key);
        for (key, entry) in before.iter().filter(|(key, _)| known(key)) {
            let times = found.get(&name(*key)).copied().unwrap_or(0);
            if entry.visible(ended_ms) && times != 1 {
                shared.fail(format!("SCAN {writer} returned key {key} {times} times, but it was there throughout"));
            }
            if !entry.visible(began_ms) && times > 0 {
                shared.fail(format!("SCAN {writer} returned key {key}, which had expired"));
            }
        }
        for key in found.keys().filter_map(|name| number(name)) {
            if !before.contains_key(&key) && known(&key) {
                shared.fail(format!("SCAN {writer} returned key {key}, which was not there"));
            }
        }
        ledger.effects.len()
    };
    acknowledge(engine, shared, engine.log_position().0, needs).await
}

/// Stages what the parts say, from what the body sees.
fn stage(parts: &[Part], views: &[Option<View<'_>>], changes: &mut Changes<'_>) {
    for (n, part) in parts.iter().enumerate() {
        match &part.act {
            Act::Look => {}
            Act::Put(value, expiry) => {
                changes.put_with(n, Kind::String, *expiry, |into| into.extend_from_slice(value));
            }
            Act::Remove => changes.remove(n),
            Act::Expire(expiry) => {
                if views[n].is_some() {
                    changes.expire(n, *expiry);
                }
            }
            Act::Append(bytes, longest) => {
                let old = views[n].map_or(&[][..], |v| v.value);
                if old.len() as u64 <= *longest {
                    changes.put_with(n, Kind::String, Expiry::Keep, |into| {
                        into.extend_from_slice(old);
                        into.extend_from_slice(bytes);
                    });
                }
            }
            Act::CopyOf(from) => {
                if let Some(view) = &views[*from] {
                    let expiry = view.expires_at_ms.map_or(Expiry::Clear, Expiry::At);
                    changes.put_with(n, Kind::String, expiry, |into| into.extend_from_slice(view.value));
                }
            }
            Act::Leave => {
                if views[n].is_some() {
                    changes.remove(n);
                }
            }
        }
    }
}

/// The same, from what the ledger knows. `replaced`: keys whose damaged records were not seen.
fn deltas(ledger: &Ledger, space: SpaceId, parts: &[Part], replaced: &[u8], now_ms: u64) -> Vec<Delta> {
    let there = |n: usize| {
        let key = parts[n].key;
        ledger.now.get(space, key, now_ms).filter(|_| !replaced.contains(&key))
    };
    let mut out = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let old = there(n);
        let expiry_of = |expiry: &Expiry| match expiry {
            Expiry::Clear => None,
            Expiry::Keep => old.and_then(|e| e.expiry),
            Expiry::At(ms) => Some(*ms),
        };
        let put = |entry| Delta::Put(space, part.key, entry);
        match &part.act {
            Act::Look => {}
            Act::Put(value, expiry) => out.push(put(Entry { value: value.clone(), expiry: expiry_of(expiry) })),
            Act::Remove if replaced.contains(&part.key) || ledger.now.is_foggy(space, part.key) => {
                out.push(Delta::Remove(space, part.key));
            }
            Act::Expire(_) if ledger.now.is_foggy(space, part.key) => {}
            Act::Remove | Act::Leave => out.extend(old.map(|_| Delta::Remove(space, part.key))),
            Act::Expire(expiry) => {
                out.extend(old.map(|e| put(Entry { value: e.value.clone(), expiry: expiry_of(expiry) })));
            }
            Act::Append(bytes, longest) => {
                let before = old.map_or(&[][..], |e| &e.value[..]);
                if before.len() as u64 <= *longest {
                    let value = [before, bytes].concat().into();
                    out.push(put(Entry { value, expiry: old.and_then(|e| e.expiry) }));
                }
            }
            Act::CopyOf(from) => out.extend(there(*from).map(|e| put(e.clone()))),
        }
    }
    out
}

/// What is wrong with what was seen, if anything.
fn difference(part: &Part, seen: Option<&Seen>, want: Option<&Entry>) -> Option<String> {
    match (seen, want) {
        (None, None) => None,
        (Some(seen), Some(want)) => {
            let shown = matches!(part.access, Access::Read | Access::Write) || !seen.value.is_empty();
            if seen.length != want.value.len() as u64 || shown && seen.value[..] != want.value[..] {
                return Some(format!("saw {}, but it is {}", head(&seen.value), head(&want.value)));
            }
            (seen.expiry != want.expiry).then(|| format!("saw expiry {:?}, but it is {:?}", seen.expiry, want.expiry))
        }
        (Some(seen), None) => Some(format!("saw {}, but it is not there", head(&seen.value))),
        (None, Some(want)) => Some(format!("saw nothing, but it is {}", head(&want.value))),
    }
}

/// The first bytes of a value, which say who wrote it.
pub fn head(value: &[u8]) -> String {
    let end = value.iter().position(|&b| b == b';').unwrap_or(value.len().min(24));
    format!("'{}' ({} bytes)", String::from_utf8_lossy(&value[..end]), value.len())
}

fn brief(command: &Command) -> String {
    let Command::Keys { database, parts, quick } = command else { return format!("{command:?}") };
    let mut words = format!("db {database}{}:", if *quick { " quick" } else { "" });
    for part in parts {
        let act = match &part.act {
            Act::Put(value, expiry) => format!("put {} {expiry:?}", head(value)),
            Act::Append(value, _) => format!("append {}", head(value)),
            other => format!("{other:?}"),
        };
        words += &format!(" [key {} {:?} {act}]", part.key, part.access);
    }
    words
}
