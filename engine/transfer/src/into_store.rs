//! Keys into a store: strings some together in a group, a collection in groups of bounded size.
//!
//! To replace a cold key its record must be read, which proves whose it is. The keys of one group are read together, so a group of
//! many strings takes about as long as one.
//!
//! Promises: what the key held before is replaced; a value that cannot be read to its end leaves no key behind. Never: a group
//! that the log of a small directory cannot take.

use crate::{Elements, Head, Owned, Sink};
use anyhow::{Context, Result, anyhow, bail};
use thermocline::{Access, Changes, Collection, Engine, Expiry, Kind, block_on};
use thermocline_exchange as exchange;
use thermocline_rdb::Element;
use thermocline_value::Fault;

/// Strings of one group.
const STRINGS_MAX: usize = 64;
/// Elements of one group.
const GROUP_ELEMENTS_MAX: usize = 512;
/// Bytes of one group, unless one element has more.
const GROUP_BYTES_MAX: usize = 32 << 10;

/// A store that takes keys.
pub struct IntoStore<'s> {
    engine: &'s Engine,
    /// Strings that go into the next group.
    strings: Vec<(Head, Vec<u8>)>,
    bytes: usize,
}

impl<'s> IntoStore<'s> {
    /// Into this store.
    pub fn new(engine: &'s Engine) -> IntoStore<'s> {
        IntoStore { engine, strings: Vec::new(), bytes: 0 }
    }
}

impl Sink for IntoStore<'_> {
    fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()> {
        if head.database >= self.engine.databases() {
            let count = self.engine.databases();
            bail!("there is no database {}: the store has {count}; --databases makes room in a new one", head.database);
        }
        if self.strings.iter().any(|(held, _)| held.database == head.database && held.key == head.key) {
            self.flush()?; // what comes later replaces what came before
        }
        if head.kind == Kind::String {
            return elements.each(&mut |element| match element {
                Element::String(bytes) | Element::Item(bytes) => self.hold(head, bytes),
                _ => bail!("a string is bytes"),
            });
        }
        let mut group = Group { engine: self.engine, head, elements: Vec::new(), bytes: 0, begun: false, gone: false };
        let taken = elements.each(&mut |element| group.add(&element)).and_then(|()| group.flush());
        if taken.is_err() && group.begun {
            self.remove(head)?;
        }
        taken
    }

    fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let strings = std::mem::take(&mut self.strings);
        self.put(&strings)
    }
}

impl IntoStore<'_> {
    fn hold(&mut self, head: &Head, bytes: &[u8]) -> Result<()> {
        if self.strings.len() == STRINGS_MAX || self.bytes + bytes.len() > GROUP_BYTES_MAX {
            self.flush()?;
        }
        self.bytes += head.key.len() + bytes.len();
        self.strings.push((head.clone(), bytes.to_vec()));
        Ok(())
    }

    /// Puts strings in one group. One that is larger than a group may be comes alone.
    fn put(&self, strings: &[(Head, Vec<u8>)]) -> Result<()> {
        if strings.is_empty() {
            return Ok(());
        }
        let key = |head| {
            let Head { database, key, .. }: &Head = head;
            (self.engine.key(self.engine.space(*database), key), Access::Overwrite)
        };
        let keys: Vec<_> = strings.iter().map(|(head, _)| key(head)).collect();
        let mut changes = Changes::new(keys.len());
        let put = self.engine.run(&keys, &mut changes, |_, changes| {
            for (number, (head, bytes)) in strings.iter().enumerate() {
                changes.put(number, Kind::String, bytes, expiry(head));
            }
        });
        let (first, _) = &strings[0];
        block_on(put).with_context(|| match strings.len() {
            1 => format!("key '{}' of db{}", first.key.escape_ascii(), first.database),
            count => format!("{count} keys from '{}' of db{} on", first.key.escape_ascii(), first.database),
        })?;
        Ok(())
    }

    fn remove(&self, head: &Head) -> Result<()> {
        let keys = [(self.engine.key(self.engine.space(head.database), &head.key), Access::Overwrite)];
        block_on(self.engine.run(&keys, &mut Changes::new(1), |_, changes| changes.remove(0)))?;
        Ok(())
    }
}

fn expiry(head: &Head) -> Expiry {
    head.expires_at_ms.map_or(Expiry::Clear, Expiry::At)
}

/// Elements of one collection on their way.
struct Group<'g> {
    engine: &'g Engine,
    head: &'g Head,
    elements: Vec<Owned>,
    bytes: usize,
    /// The key is there with the elements of earlier groups.
    begun: bool,
    /// It has expired meanwhile.
    gone: bool,
}

/// What a group's body said.
enum Staged {
    Done,
    Gone,
    Twice(usize),
    Fault(Fault),
}

impl Group<'_> {
    fn add(&mut self, element: &Element<'_>) -> Result<()> {
        self.bytes += exchange::element_bytes(element);
        self.elements.push(Owned::of(element).ok_or_else(|| anyhow!("an element that is not of a collection"))?);
        if self.elements.len() < GROUP_ELEMENTS_MAX && self.bytes < GROUP_BYTES_MAX {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let elements = std::mem::take(&mut self.elements);
        self.bytes = 0;
        if elements.is_empty() || self.gone {
            return Ok(());
        }
        let (engine, head, begun) = (self.engine, self.head, self.begun);
        let space = engine.space(head.database);
        let keys = [(engine.key(space, &head.key), if begun { Access::Write } else { Access::Overwrite })];
        let near = (space, &head.key[..]);
        let mut changes = Changes::new(1);
        let run = engine.run(&keys, &mut changes, |views, changes| {
            let mut collection = match &views[0] {
                _ if !begun => Collection::new(engine, head.kind, thermocline_value::empty_record(head.kind), near),
                Some(view) if view.kind == head.kind => Collection::of(engine, view, near),
                _ => return Staged::Gone,
            };
            let mut stage = || {
                for (number, element) in elements.iter().enumerate() {
                    if !exchange::add(&mut collection, element.element())? {
                        return Ok(Some(number));
                    }
                }
                Ok(None)
            };
            match stage() {
                Ok(Some(number)) => return Staged::Twice(number),
                Err(fault) => return fail(fault, changes),
                Ok(None) => {}
            }
            let expiry = if begun { Expiry::Keep } else { expiry(head) };
            match collection.stage(changes, 0, expiry) {
                Ok(()) => Staged::Done,
                Err(fault) => fail(fault, changes),
            }
        });
        match block_on(run)?.0 {
            Staged::Done => self.begun = true,
            Staged::Gone => self.gone = true,
            Staged::Twice(number) => {
                let element = elements[number].element();
                bail!("an element of {} bytes is there twice", exchange::element_bytes(&element));
            }
            Staged::Fault(fault) => bail!("the collection could not be built: {fault}"),
        }
        Ok(())
    }
}

fn fail(fault: Fault, changes: &mut Changes<'_>) -> Staged {
    if matches!(fault, Fault::Missing(_)) {
        changes.want_nodes();
    }
    Staged::Fault(fault)
}
