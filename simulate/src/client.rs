//! Clients: each performs one command, checks what it saw against the ledger, enters its effect, and waits for durability.
//!
//! Promises: the check and the entry happen in the poll in which the engine committed. Never: an answer that is not checked.

use crate::act::{Place, Seen, Shown};
use crate::audit::Refusal;
use crate::command::{Command, Part, name, number};
use crate::elements::Trouble;
use crate::ledger::{Delta, Effect, Ledger, Number};
use crate::model::{Draft, believed};
use crate::salvage::{damages, excuses};
use crate::watching::Watch;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use thermocline::{Access, Attempt, Changes, Done, Durability, Engine, Error, GroupEnd, Key, Overlay, SpaceId, View};
use thermocline_io::FaultDisk;
use thermocline_value::Fault;

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
    /// Each answer is compared with the watermark: where large trees are what matters (a group that puts an absent key and removes it
    /// again is an effect without a record).
    pub asks_watermark: bool,
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
        let expected =
            matches!(error, Error::OutOfMemory | Error::Closed | Error::TooLarge { .. } | Error::GroupTooLarge { .. });
        if !expected && !self.lenient.get() && !self.excuses(error) {
            self.fail(format!("command {writer} failed: {error}"));
        }
    }

    /// Is it the disk's doing that a key could not be read?
    pub fn excuses_read(&self, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::Error(error) => self.excuses(error),
            Refusal::Trouble(Trouble::Fault(_)) => self.damaging.as_ref().is_some_and(|(disk, _)| damages(disk) > 0),
            Refusal::Trouble(Trouble::Wrong(_)) => false,
        }
    }

    /// What a command met in a collection.
    pub fn trouble(&self, writer: u64, trouble: &Trouble) {
        match trouble {
            Trouble::Fault(fault) if self.damaging.as_ref().is_some_and(|(disk, _)| damages(disk) > 0) => {
                self.refused.set(self.refused.get() + 1);
                self.say(|| format!("  #{writer} met damage: {fault}"));
            }
            other => self.fail(format!("command {writer} met {other:?}")),
        }
    }

    /// Damaged records met so far, on a disk that damages.
    fn corrupt_records(&self, engine: &Engine) -> u64 {
        self.damaging.as_ref().map_or(0, |_| engine.stats().corrupt_records)
    }

    /// Is this error the disk's doing?
    pub fn excuses(&self, error: &Error) -> bool {
        self.damaging.as_ref().is_some_and(|(disk, segment_bytes)| excuses(disk, *segment_bytes, error))
    }
}

/// Performs a command.
pub async fn perform(engine: Engine, shared: Rc<Shared>, command: Command, writer: u64) {
    shared.say(|| format!("  #{writer} {}", brief(&command)));
    let outcome = match &command {
        Command::Keys { database, parts, quick } => keys(&engine, &shared, *database, parts, *quick, writer).await,
        Command::Group { database, parts, watched } => {
            group(&engine, &shared, *database, parts, *watched, writer).await
        }
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
    let mut changes = Changes::new(keys.len());
    let corrupt_before = shared.corrupt_records(engine);
    let body = |views: &[Option<View<'_>>], changes: &mut Changes<'_>| {
        let acted = parts.iter().enumerate().map(|(at, part)| {
            let from = part.act.copied().and_then(|from| views[from]);
            Place { engine, near: (space, &names[at]), at }.act(part, views[at], from, changes)
        });
        settle(acted.collect(), changes)
    };
    let (seen, done) = match &keys[..] {
        [(key, access)] if quick => match engine.try_run(key, *access, &mut changes, body) {
            Attempt::Ready(seen, done) => (seen, done),
            Attempt::Later(later) => engine.finish(later, key, *access, &mut changes, body).await?,
            Attempt::Refused(error) => return Err(error),
        },
        _ => engine.run(&keys, &mut changes, body).await?,
    };
    // Still in the poll of the commit: nobody was in between.
    let met_damage = shared.corrupt_records(engine) > corrupt_before;
    let Some(needs) = enter(engine, shared, space, parts, seen, met_damage, &done, writer) else { return Ok(()) };
    acknowledge(engine, shared, done.wait_seq, needs).await
}

/// All parts in order over one layer, as a server runs a transaction.
async fn group(
    engine: &Engine,
    shared: &Shared,
    database: u32,
    parts: &[Part],
    watched: Option<(Number, u32)>,
    writer: u64,
) -> Result<(), Error> {
    let watch = match watched {
        Some((key, pause)) => Some(Watch::begin(engine, shared, database, key, pause).await?),
        None => None,
    };
    let mut numbers: Vec<Number> = parts.iter().map(|part| part.key).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let place_of = |key: Number| numbers.binary_search(&key).unwrap_or(0);
    let names: Vec<Vec<u8>> = numbers.iter().map(|key| name(*key)).collect();
    let access_of = |key: Number| {
        let unread = parts.iter().filter(|part| part.key == key).all(|part| part.access == Access::Overwrite);
        if unread { Access::Overwrite } else { Access::Write }
    };
    loop {
        let plan = engine.plan_spaces();
        let space = plan.space(database);
        let keys: Vec<(Key<'_>, Access)> =
            numbers.iter().zip(&names).map(|(&key, name)| (engine.key(space, name), access_of(key))).collect();
        let mut changes = Changes::new(keys.len());
        let corrupt_before = shared.corrupt_records(engine);
        let body =
            |views: &[Option<View<'_>>], changes: &mut Changes<'_>| {
                let mut overlay = Overlay::new(views, keys.iter().map(|_| space), engine.now_ms());
                let mut acted = Vec::with_capacity(parts.len());
                for part in parts {
                    let at = place_of(part.key);
                    let mut step = vec![at];
                    step.extend(part.act.copied().map(|from| place_of(parts[from].key)));
                    let place = Place { engine, near: (space, &names[at]), at: 0 };
                    acted.push(overlay.step(&step, |views, changes| {
                        place.act(part, views[0], views.get(1).copied().flatten(), changes)
                    }));
                }
                overlay.finish(changes, |_| true);
                settle(acted.into_iter().collect(), changes)
            };
        let end = engine.run_group(&keys, &plan, watch.as_ref().map(Watch::watcher), &mut changes, body).await?;
        let (seen, done) = match end {
            GroupEnd::Ran(seen, done) => (seen, done),
            GroupEnd::Moved => continue,
            GroupEnd::Watched => {
                shared.say(|| format!("  #{writer} finds its key changed"));
                watch.iter().for_each(|watch| watch.judge(engine, shared, writer, false));
                return Ok(());
            }
        };
        watch.iter().for_each(|watch| watch.judge(engine, shared, writer, true));
        let met_damage = shared.corrupt_records(engine) > corrupt_before;
        let Some(needs) = enter(engine, shared, space, parts, seen, met_damage, &done, writer) else { return Ok(()) };
        return acknowledge(engine, shared, done.wait_seq, needs).await;
    }
}

/// What the parts saw, or why not all could; then nothing is changed, or nodes are to be brought.
fn settle(acted: Result<Vec<Option<Seen>>, Trouble>, changes: &mut Changes<'_>) -> Result<Vec<Option<Seen>>, Trouble> {
    match &acted {
        Err(Trouble::Fault(Fault::Missing(_))) => changes.want_nodes(),
        Err(_) => changes.refuse(),
        Ok(_) => {}
    }
    acted
}

/// Checks what was seen, and enters what was changed. Returns how many effects must survive once it is acknowledged; `None`: the
/// command met damage.
#[expect(clippy::too_many_arguments, reason = "one moment has all of it")]
fn enter(
    engine: &Engine,
    shared: &Shared,
    space: SpaceId,
    parts: &[Part],
    seen: Result<Vec<Option<Seen>>, Trouble>,
    met_damage: bool,
    done: &Done,
    writer: u64,
) -> Option<usize> {
    let (seq, _) = engine.log_position();
    let now_ms = engine.now_ms();
    let seen = match seen {
        Ok(seen) => seen,
        Err(trouble) => {
            shared.trouble(writer, &trouble);
            return None;
        }
    };
    let mut ledger = shared.ledger.borrow_mut();
    let names = ledger.names(space);
    let (mut replaced, mut met) = (BTreeSet::new(), BTreeSet::new());
    // What a later part of a group sees of a key is what an earlier one has made of it.
    for (part, seen) in parts.iter().zip(&seen).filter(|(part, _)| names && met.insert(part.key)) {
        // Who overwrites a key replaces a damaged record, whatever it was.
        let is_unread = || parts.iter().filter(|of| of.key == part.key).all(|of| of.access == Access::Overwrite);
        if met_damage && seen.is_none() && is_unread() {
            replaced.insert(part.key);
        } else if let Some(seen) = seen.as_ref().filter(|_| ledger.now.is_foggy(space, part.key)) {
            let keys = ledger.now.spaces.entry(space.0).or_default();
            let entry = believed(seen, keys.get(&part.key));
            keys.insert(part.key, entry);
        }
    }
    let mut draft = Draft::new(&ledger, space, replaced, now_ms);
    for (at, (part, seen)) in parts.iter().zip(&seen).enumerate() {
        if let Some(words) = draft.difference(part, seen.as_ref()).filter(|_| names) {
            shared.fail(format!("command {writer}, key {} of space {}: {words}", part.key, space.0));
        }
        draft.act(parts, at);
    }
    let deltas = draft.into_deltas();
    let changed = !deltas.is_empty();
    let writing = parts.iter().filter(|part| part.act.writes()).map(|part| part.key);
    ledger.enter(Effect { seq, deltas }, space, writing);
    let position = ledger.effects.len();
    shared.say(|| format!("  #{writer} committed: effect {position} seq {seq} wait {}", done.wait_seq));
    let seen_at = |(part, seen): (&Part, &Option<Seen>)| match seen {
        Some(Seen { shown: Shown::Kind(_), .. }) => ledger.outline_depends_on(space, part.key),
        _ => ledger.depends_on(space, part.key),
    };
    if !names {
        return Some(0); // its database was flushed meanwhile: nothing of it is seen any more
    }
    Some(if changed { position } else { parts.iter().zip(&seen).map(seen_at).max().unwrap_or(0) })
}

/// Waits as a server would before it replies; then the effects must survive.
async fn acknowledge(engine: &Engine, shared: &Shared, wait_seq: u64, needs: usize) -> Result<(), Error> {
    if engine.durability() == Durability::Always {
        engine.durable(wait_seq).await?;
        let seq = shared.ledger.borrow().seq_of(needs);
        let (_, watermark) = engine.log_position();
        // What a damaged key was believed to be may be an effect without a record.
        let is_sound = shared.damaging.as_ref().is_none_or(|(disk, _)| damages(disk) == 0);
        if shared.asks_watermark && watermark < seq && is_sound && !shared.lenient.get() {
            shared.fail(format!("an answer left when {watermark} was durable, but it shows what was done at {seq}"));
        }
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
        let effect = Effect { seq: engine.log_position().0, deltas: vec![Delta::Databases(databases)] };
        ledger.enter(effect, SpaceId(0), std::iter::empty());
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
            .filter_map(|d| d.key().filter(|(of, _)| *of == space).map(|(_, key)| key))
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

fn brief(command: &Command) -> String {
    let (mut words, parts) = match command {
        Command::Keys { database, parts, quick } => {
            (format!("db {database}{}:", if *quick { " quick" } else { "" }), parts)
        }
        Command::Group { database, parts, watched } => (format!("db {database} group, watches {watched:?}:"), parts),
        other => return format!("{other:?}"),
    };
    for part in parts {
        words += &format!(" [key {} {:?} {}]", part.key, part.access, part.act.brief());
    }
    words
}
