//! One part of a command inside the engine: what the body sees of its key, and what it stages.
//!
//! Promises: a part that cannot go on has staged nothing. Never: knows the oracle's state.

use crate::command::{Act, Part};
use crate::elements::{self, Found, Trouble};
use crate::value::Elements;
use thermocline::{Access, Changes, Collection, Engine, Expiry, Kind, SpaceId, View};
use thermocline_value::length;

/// What a body saw of a key.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its value, as far as the part looks.
    pub shown: Shown,
    /// Its expiry.
    pub expiry: Option<u64>,
}

/// What is seen of a value.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A string, where the access shows it, and its length.
    Bytes(Vec<u8>, u64),
    /// A collection of this kind.
    Kind(Kind),
    /// And of so many elements.
    Length(Kind, u64),
    /// And one of them.
    One(Kind, u64, Option<Found>),
    /// And all of them.
    Whole(Elements),
}

/// A part's place in its command.
#[derive(Copy, Clone)]
pub struct Place<'p> {
    /// The store.
    pub engine: &'p Engine,
    /// Space and name of the key.
    pub near: (SpaceId, &'p [u8]),
    /// The key's number among those of the body.
    pub at: usize,
}

impl<'p> Place<'p> {
    fn collection(&self, view: &View<'p>) -> Collection<'p> {
        Collection::of(self.engine, view, self.near)
    }

    /// Looks at a key and stages what the part says. `from`: what the key shows that the part copies.
    ///
    /// # Errors
    /// Nodes are missing or damaged, or what is seen is wrong in itself.
    pub fn act(
        &self,
        part: &Part,
        view: Option<View<'p>>,
        from: Option<View<'p>>,
        changes: &mut Changes<'_>,
    ) -> Result<Option<Seen>, Trouble> {
        let seen = view.as_ref().map(|view| self.see(part, view)).transpose()?;
        let at = self.at;
        match &part.act {
            Act::Look | Act::LookWhole | Act::LookOne(_) => {}
            Act::Put(value, expiry) => {
                changes.put_with(at, Kind::String, *expiry, |into| into.extend_from_slice(value));
            }
            Act::Remove => changes.remove(at),
            Act::Expire(expiry) => {
                if view.is_some() {
                    changes.expire(at, *expiry);
                }
            }
            Act::Append(bytes, longest) => {
                let old = view.map_or(&[][..], |view| view.value);
                if view.is_none_or(|view| view.kind.is_string()) && old.len() as u64 <= *longest {
                    changes.put_with(at, Kind::String, Expiry::Keep, |into| {
                        into.extend_from_slice(old);
                        into.extend_from_slice(bytes);
                    });
                }
            }
            Act::CopyOf(_) => {
                if let Some(from) = &from {
                    let expiry = from.expires_at_ms.map_or(Expiry::Clear, Expiry::At);
                    changes.put_with(at, from.kind, expiry, |into| into.extend_from_slice(from.value));
                }
            }
            Act::Leave => {
                if view.is_some() {
                    changes.remove(at);
                }
            }
            Act::Elements(edits) => {
                let mut collection = match &view {
                    Some(view) if view.kind.is_string() => return Ok(seen),
                    Some(view) => self.collection(view),
                    None => {
                        Collection::new(self.engine, edits.kind, thermocline_value::empty_record(edits.kind), self.near)
                    }
                };
                elements::change(&mut collection, edits)?;
                collection.stage(changes, at, Expiry::Keep)?;
            }
        }
        Ok(seen)
    }

    fn see(&self, part: &Part, view: &View<'p>) -> Result<Seen, Trouble> {
        let expiry = view.expires_at_ms;
        if view.kind.is_string() {
            return Ok(Seen { shown: Shown::Bytes(view.value.to_vec(), view.length), expiry });
        }
        let kind = view.kind;
        let shown = match part.act {
            _ if !matches!(part.access, Access::Read | Access::Write) => Shown::Kind(kind),
            Act::LookWhole => Shown::Whole(elements::whole(&self.collection(view))?.0),
            Act::LookOne(number) => {
                let collection = self.collection(view);
                Shown::One(kind, length(&collection)?, elements::one(&collection, number)?)
            }
            Act::Leave => Shown::Kind(kind),
            _ => Shown::Length(kind, length(&self.collection(view))?),
        };
        Ok(Seen { shown, expiry })
    }
}
