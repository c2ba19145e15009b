//! Keys out of a store, in the order of SCAN: small values come with the scan's own read, large ones in parts.
//!
//! Promises: no element is shown twice or left out; expired keys and fields are not shown; nothing is shown while a latch of the
//! store is held. What is damaged is an error, or, if the caller salvages, one entry in its list. Never: changes the store.

use crate::{Choice, Counts, Elements, Head, Owned, Sink};
use anyhow::{Context, Result};
use thermocline::{Access, Changes, Collection, Engine, Error, Kind, SpaceId, Tier, View, block_on};
use thermocline_exchange::{self as exchange, Walk, Way};
use thermocline_rdb::Element;
use thermocline_value::{Fault, NodeId, Root};

/// Keys asked of the store at once: as many as one round of reads brings.
const STEP_KEYS: usize = 64;
/// Elements brought at once, at first and at most.
const STEP_ELEMENTS: std::ops::RangeInclusive<u64> = 64..=4096;
/// While a step brings less, the next one is twice as long.
const STEP_BYTES: usize = 256 << 10;

/// A key, or a record whose key nobody knows, that could not be read.
#[derive(Debug)]
pub struct Lost {
    /// Its database.
    pub database: u32,
    /// Its name, if it is known.
    pub key: Option<Vec<u8>>,
    /// Segment and offset of its record, if the name is not known.
    pub place: Option<(u32, u32)>,
    /// Why.
    pub why: String,
}

/// Is a key left out, by its space, its name and its record's payload?
pub type LeavesOut<'w> = &'w mut dyn FnMut(SpaceId, &[u8], &[u8]) -> bool;

/// A walk through a store.
pub struct FromStore<'w> {
    /// The store.
    pub engine: &'w Engine,
    /// Which keys.
    pub choice: &'w dyn Choice,
    /// Told of keys that cannot be read; without it the first of them ends the walk.
    pub salvage: Option<&'w mut dyn FnMut(Lost)>,
    /// Asked for each key that is chosen; `None`: none is left out.
    pub leaves_out: Option<LeavesOut<'w>>,
    /// Called between two steps with the database, the cursor behind the step and the keys looked at; an error ends the walk.
    pub step: &'w mut dyn FnMut(u32, u64, u64) -> Result<()>,
}

/// A key met by the scan, with its value if that came along.
struct Met {
    head: Head,
    value: Option<Vec<u8>>,
}

impl FromStore<'_> {
    /// Brings all keys from this database and cursor on to `sink`.
    ///
    /// # Errors
    /// A key cannot be read (and nobody salvages), or the sink takes it not.
    pub fn run(&mut self, from: (u32, u64), sink: &mut dyn Sink) -> Result<()> {
        for database in from.0..self.engine.databases() {
            if !self.choice.has_database(database) {
                continue;
            }
            let space = self.engine.space(database);
            let mut cursor = if database == from.0 { from.1 } else { 0 };
            loop {
                let (next, looked, met) = self.scan(database, space, cursor)?;
                for one in met {
                    self.bring(space, &one, sink)?;
                }
                sink.flush()?;
                (self.step)(database, next, looked)?;
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    fn scan(&mut self, database: u32, space: SpaceId, cursor: u64) -> Result<(u64, u64, Vec<Met>)> {
        let (mut met, mut looked) = (Vec::new(), 0);
        let (choice, salvage) = (self.choice, &mut self.salvage);
        let leaves_out = &mut self.leaves_out;
        let see = |key: &[u8], view: &View<'_>| {
            looked += 1;
            if !choice.passes(database, key, view.kind)
                || leaves_out.as_mut().is_some_and(|leaves_out| leaves_out(space, key, view.value))
            {
                return;
            }
            let head = Head { database, key: key.to_vec(), kind: view.kind, expires_at_ms: view.expires_at_ms };
            met.push(Met { head, value: is_whole(view).then(|| view.value.to_vec()) });
        };
        let damaged = |place, error: Error| match salvage {
            Some(salvage) => {
                salvage(Lost { database, key: None, place: Some(place), why: error.to_string() });
                Ok(())
            }
            None => Err(error),
        };
        let next = block_on(self.engine.scan_around(space, cursor, STEP_KEYS, see, damaged))
            .context("a key cannot be read (`thermocline repair` saves what can be)")?;
        Ok((next, looked, met))
    }

    fn bring(&mut self, space: SpaceId, met: &Met, sink: &mut dyn Sink) -> Result<()> {
        let Met { head, value } = met;
        if head.kind != Kind::String && !exchange::is_collection(head.kind) {
            let words = format!("'{}' is a {}, which is not carried yet", head.key.escape_ascii(), head.kind.name());
            return self.lose(head, None, anyhow::anyhow!(words));
        }
        let mut value = Value { engine: self.engine, space, head, whole: value.as_deref(), failed: false };
        match sink.take(head, &mut value) {
            Err(error) if value.failed => self.lose(head, None, error),
            taken => taken,
        }
    }

    fn lose(&mut self, head: &Head, place: Option<(u32, u32)>, error: anyhow::Error) -> Result<()> {
        let Some(salvage) = &mut self.salvage else {
            let key = head.key.escape_ascii();
            return Err(error.context(format!(
                "key '{key}' of db{} cannot be read (`thermocline repair` saves what can be)",
                head.database
            )));
        };
        salvage(Lost { database: head.database, key: Some(head.key.clone()), place, why: format!("{error:#}") });
        Ok(())
    }
}

/// The view of a scan has the whole value: neither a string in extents nor a tree.
fn is_whole(view: &View<'_>) -> bool {
    match view.kind {
        Kind::String => view.value.len() as u64 == view.length,
        _ => !Root::is_root(view.value),
    }
}

/// One value of the store.
struct Value<'v> {
    engine: &'v Engine,
    space: SpaceId,
    head: &'v Head,
    whole: Option<&'v [u8]>,
    /// The value cannot be read.
    failed: bool,
}

impl Value<'_> {
    fn show(&self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> std::result::Result<(), Trouble> {
        match (self.head.kind, self.whole) {
            (Kind::String, Some(bytes)) => see(Element::String(bytes)).map_err(Trouble::Sink),
            (Kind::String, None) => {
                let bytes = self.look(|view, _| Ok(view.value.to_vec()))?;
                see(Element::String(&bytes)).map_err(Trouble::Sink)
            }
            (kind, Some(value)) => {
                let length = value.len() as u64;
                let view = View { kind, value, length, expires_at_ms: None, tier: Tier::Cold, heat: 0, nodes: None };
                let collection = Collection::of(self.engine, &view, (self.space, &self.head.key));
                let now_ms = self.engine.now_ms();
                exchange::each(&collection, 0..u64::MAX, Way::Forward, |element| {
                    if lives(&element, now_ms) {
                        see(element).map_err(Trouble::Sink)?;
                    }
                    Ok(Walk::On)
                })
            }
            (_, None) => self.show_in_parts(see),
        }
    }

    fn show_in_parts(&self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> std::result::Result<(), Trouble> {
        let (now_ms, mut from, mut step) = (self.engine.now_ms(), 0, *STEP_ELEMENTS.start());
        loop {
            let (length, part) = self.look(|_, collection| {
                let collection = collection.ok_or(Fault::Missing(NodeId::ROOT))?;
                let mut part = Vec::new();
                exchange::each(collection, from..from + step, Way::Forward, |element| {
                    part.extend(Owned::of(&element));
                    Ok::<Walk, Fault>(Walk::On)
                })?;
                Ok((thermocline_value::length(collection)?, part))
            })?;
            let mut bytes = 0;
            for element in &part {
                let element = element.element();
                bytes += exchange::element_bytes(&element);
                if lives(&element, now_ms) {
                    see(element).map_err(Trouble::Sink)?;
                }
            }
            from += step;
            if from >= length {
                return Ok(());
            }
            step = if bytes < STEP_BYTES { step * 2 } else { step / 2 }
                .clamp(*STEP_ELEMENTS.start(), *STEP_ELEMENTS.end());
        }
    }

    /// How many elements a tree has none of which ever expires: its root tells.
    fn told_length(&mut self) -> Result<Option<u64>> {
        if self.whole.is_some() || self.head.kind == Kind::String {
            return Ok(None);
        }
        let told = self.look(|view, collection| {
            let collection = collection.ok_or(Fault::Missing(NodeId::ROOT))?;
            let root = Root::decode(view.value).map_err(|error| Fault::Corrupt(NodeId::ROOT, error))?;
            Ok(if root.expiries { None } else { Some(thermocline_value::length(collection)?) })
        });
        match told {
            Ok(length) => Ok(length),
            Err(Trouble::Gone) => Ok(Some(0)),
            Err(Trouble::Sink(error)) => Err(error),
            Err(Trouble::Value(error)) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    /// Runs `see` over the value as a command would.
    fn look<T>(
        &self,
        see: impl Fn(&View<'_>, Option<&Collection<'_>>) -> std::result::Result<T, Fault>,
    ) -> std::result::Result<T, Trouble> {
        let keys = [(self.engine.key(self.space, &self.head.key), Access::Read)];
        let mut changes = Changes::new(1);
        let run = self.engine.run(&keys, &mut changes, |views, changes| {
            let Some(view) = &views[0] else { return None };
            let near = (self.space, &self.head.key[..]);
            let collection = exchange::is_collection(view.kind).then(|| Collection::of(self.engine, view, near));
            let seen = see(view, collection.as_ref());
            if matches!(seen, Err(Fault::Missing(_))) {
                changes.want_nodes();
            }
            Some(seen)
        });
        let (seen, _) = block_on(run).map_err(|error| Trouble::Value(error.into()))?;
        match seen {
            Some(Ok(seen)) => Ok(seen),
            Some(Err(fault)) => Err(Trouble::Value(fault.into())),
            None => Err(Trouble::Gone),
        }
    }
}

/// A field of a hash that has expired is not there.
fn lives(element: &Element<'_>, now_ms: u64) -> bool {
    !matches!(element, Element::Field { expires_at_ms: Some(at_ms), .. } if *at_ms <= now_ms)
}

/// Why a value was not shown to its end.
enum Trouble {
    /// It cannot be read.
    Value(anyhow::Error),
    /// It has expired meanwhile.
    Gone,
    /// Whoever takes it does not.
    Sink(anyhow::Error),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Value(fault.into())
    }
}

impl Elements for Value<'_> {
    fn each(&mut self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        match self.show(see) {
            Ok(()) | Err(Trouble::Gone) => Ok(()),
            Err(Trouble::Sink(error)) => Err(error),
            Err(Trouble::Value(error)) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    fn pieces(&mut self, see: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<bool> {
        if self.head.kind != Kind::String || self.whole.is_some() {
            return Ok(false);
        }
        let key = self.engine.key(self.space, &self.head.key);
        let string = block_on(self.engine.long_string(key)).inspect_err(|_| self.failed = true)?;
        let Some(string) = string else { return Ok(false) };
        for number in 0..string.extents() {
            let extent = block_on(self.engine.extent(&string, number)).inspect_err(|_| self.failed = true)?;
            see(string.length(), &extent)?;
        }
        Ok(true)
    }

    fn survey(&mut self) -> Result<Option<(u64, Option<u64>)>> {
        if let Some(length) = self.told_length()? {
            return Ok(Some((length, None)));
        }
        let (mut count, mut earliest_ms) = (0, None);
        self.each(&mut |element| {
            count += 1;
            if let Element::Field { expires_at_ms, .. } = element {
                earliest_ms = earliest_ms.into_iter().chain(expires_at_ms).min();
            }
            Ok(())
        })?;
        Ok(Some((count, earliest_ms)))
    }
}

/// A sink that counts what goes through it.
pub struct Counting<'s> {
    /// Where it goes.
    pub sink: &'s mut dyn Sink,
    /// What went.
    pub counts: Counts,
}

impl Sink for Counting<'_> {
    fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()> {
        let mut tally = Tally { elements, counts: Counts::default() };
        self.sink.take(head, &mut tally)?;
        if tally.counts.elements > 0 {
            self.counts.key(head);
            self.counts.elements += tally.counts.elements;
            self.counts.bytes += tally.counts.bytes;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.sink.flush()
    }
}

struct Tally<'e> {
    elements: &'e mut dyn Elements,
    counts: Counts,
}

impl Elements for Tally<'_> {
    fn each(&mut self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        let counts = &mut self.counts;
        self.elements.each(&mut |element| {
            counts.element(&element);
            see(element)
        })
    }

    fn pieces(&mut self, see: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<bool> {
        let counts = &mut self.counts;
        self.elements.pieces(&mut |length, piece| {
            counts.elements = 1;
            counts.bytes += piece.len() as u64;
            see(length, piece)
        })
    }

    fn survey(&mut self) -> Result<Option<(u64, Option<u64>)>> {
        self.elements.survey()
    }
}
