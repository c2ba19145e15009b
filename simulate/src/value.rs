//! What a key holds, as the oracle knows it: a string, or the elements of a collection, by number.
//!
//! An element is two numbers from which its bytes follow (`elements.rs`), so a whole collection of some hundred elements is a few
//! kilobytes that compare in one go.
//!
//! | kind | `number` | `stamp` | order |
//! |---|---|---|---|
//! | hash | field | value | by number |
//! | list | 0 | element | as in the list |
//! | set | member | 0 | by number |
//! | sorted set | member | score | by number (ranks: [`Elements::rank`]) |
//!
//! Promises: two collections are equal if, and only if, they hold the same elements. Never: looks into the engine.

use std::rc::Rc;
use thermocline::Kind;

/// Kinds of collections.
pub const KINDS: [Kind; 4] = [Kind::Hash, Kind::List, Kind::Set, Kind::SortedSet];
/// Members from this number on are long and begin alike: their separators make inner nodes that split.
pub const LONG_MEMBERS: u16 = 1 << 12;
/// How many scores the long members share: among those of one score the members decide the order.
const LONG_SCORES: u32 = 3;

/// What a key holds.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Value {
    /// A string.
    Bytes(Rc<[u8]>),
    /// A collection.
    Elements(Rc<Elements>),
}

/// One element.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug, Default)]
pub struct Element {
    /// Which field or member.
    pub number: u16,
    /// Which value or score.
    pub stamp: u32,
}

/// The elements of a collection, each once.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Elements {
    /// Its kind.
    pub kind: Kind,
    /// In the order of the kind.
    pub all: Vec<Element>,
}

/// A change of one element.
#[derive(Copy, Clone, Debug)]
pub enum Edit {
    /// A field or member gets this value or score. A list: it comes in at `number`, counted round and round ([`Edits::act`]).
    Put(Element),
    /// The same; of a list the element at `number` is replaced.
    Replace(Element),
    /// A field or member goes; of a list the element at `number`.
    Remove(u16),
}

/// Changes of elements that one command makes, in order.
#[derive(Clone, Debug)]
pub struct Edits {
    /// What begins where nothing is.
    pub kind: Kind,
    /// The changes.
    pub all: Rc<[Edit]>,
    /// A list of so many elements grows no more.
    pub most: u64,
}

impl Edits {
    /// What an edit does to a collection of this kind and length: where it acts in a list, and whether it still grows.
    pub fn act(&self, edit: &Edit, kind: Kind, length: u64) -> Edit {
        if kind != Kind::List {
            return *edit;
        }
        let at = |end: u64| (u64::from(edit.number()) % end.max(1)) as u16;
        match *edit {
            Edit::Put(element) if length < self.most => Edit::Put(Element { number: at(length + 1), ..element }),
            Edit::Put(element) | Edit::Replace(element) => Edit::Replace(Element { number: at(length), ..element }),
            Edit::Remove(_) => Edit::Remove(at(length)),
        }
    }
}

impl Edit {
    /// Which field, member or position it is about.
    pub fn number(&self) -> u16 {
        match self {
            Edit::Put(element) | Edit::Replace(element) => element.number,
            Edit::Remove(number) => *number,
        }
    }
}

impl Element {
    /// What becomes of it when it is put into a collection of this kind.
    pub fn of(self, kind: Kind) -> Element {
        match kind {
            Kind::List => Element { number: 0, ..self },
            Kind::Set => Element { stamp: 0, ..self },
            Kind::SortedSet if self.number >= LONG_MEMBERS => Element { stamp: self.stamp % LONG_SCORES, ..self },
            // Scores in no order of time.
            Kind::SortedSet => Element { stamp: self.stamp.wrapping_mul(0x9E37_79B1) >> 8, ..self },
            _ => self,
        }
    }
}

impl Elements {
    /// A collection without elements.
    pub fn new(kind: Kind) -> Elements {
        Elements { kind, all: Vec::new() }
    }

    /// Changes them.
    pub fn edit(&mut self, edits: &Edits) {
        for edit in &*edits.all {
            let edit = edits.act(edit, self.kind, self.all.len() as u64);
            if self.kind == Kind::List { self.edit_list(&edit) } else { self.edit_keyed(&edit) }
        }
    }

    fn edit_keyed(&mut self, edit: &Edit) {
        let found = self.all.binary_search_by_key(&edit.number(), |element| element.number);
        match (edit, found) {
            (Edit::Put(element) | Edit::Replace(element), Ok(at)) => self.all[at] = element.of(self.kind),
            (Edit::Put(element) | Edit::Replace(element), Err(at)) => self.all.insert(at, element.of(self.kind)),
            (Edit::Remove(_), Ok(at)) => drop(self.all.remove(at)),
            (Edit::Remove(_), Err(_)) => {}
        }
    }

    fn edit_list(&mut self, edit: &Edit) {
        let at = usize::from(edit.number());
        match edit {
            Edit::Put(element) => self.all.insert(at, element.of(Kind::List)),
            Edit::Replace(element) if at < self.all.len() => self.all[at] = element.of(Kind::List),
            Edit::Remove(_) if at < self.all.len() => drop(self.all.remove(at)),
            Edit::Replace(_) | Edit::Remove(_) => {}
        }
    }

    /// The element that a look at `number` finds: of a list the one at that position, counted round and round.
    pub fn find(&self, number: u16) -> Option<Element> {
        if self.kind == Kind::List {
            return self.all.get(usize::from(number) % self.all.len().max(1)).copied();
        }
        let at = self.all.binary_search_by_key(&number, |element| element.number).ok()?;
        Some(self.all[at])
    }

    /// The place of a member of a sorted set in the order of (score, member). The bytes of members are in the order of their numbers.
    pub fn rank(&self, element: Element) -> u64 {
        let key = |of: &Element| (of.stamp, of.number);
        self.all.iter().filter(|other| key(other) < key(&element)).count() as u64
    }
}

impl Value {
    /// The bytes of a string.
    pub fn bytes(&self) -> Option<&Rc<[u8]>> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Elements(_) => None,
        }
    }

    /// The elements of a collection.
    pub fn elements(&self) -> Option<&Elements> {
        match self {
            Value::Bytes(_) => None,
            Value::Elements(elements) => Some(elements),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.elements().map_or(Kind::String, |elements| elements.kind)
    }

    /// In a few words.
    pub fn head(&self) -> String {
        match self {
            Value::Bytes(bytes) => head(bytes),
            Value::Elements(elements) => elements.head(),
        }
    }
}

impl Elements {
    /// In a few words.
    pub fn head(&self) -> String {
        let few: Vec<String> = self.all.iter().take(4).map(|e| format!("{}:{}", e.number, e.stamp)).collect();
        format!("{} of {} [{} ..]", self.kind.name(), self.all.len(), few.join(" "))
    }
}

/// The first bytes of a string, which say who wrote it.
pub fn head(value: &[u8]) -> String {
    let end = value.iter().position(|&b| b == b';').unwrap_or(value.len().min(24));
    format!("'{}' ({} bytes)", String::from_utf8_lossy(&value[..end]), value.len())
}
