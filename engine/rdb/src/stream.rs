//! A stream, passed through: walked and checked, not taken apart.
//!
//! ```text
//!   nodes: a count, then for each  string of 16 bytes (the node's first id, high byte first), string with a listpack
//!   entries in all, last id                                                             (an id: two lengths, ms and number)
//!   since Stream2: first id, largest deleted id, entries ever added
//!   groups: a count, then for each
//!     string (its name), last id; since Stream2: entries read
//!     pending: a count, then for each  16 bytes of id, 8 bytes of time, times delivered (a length)
//!     consumers: a count, then for each
//!       string (its name), 8 bytes of time seen; since Stream3: 8 bytes of time active
//!       pending: a count, then for each 16 bytes of id
//!
//!   a node's listpack: entries, deleted ones, fields, each field's name, 0        the master entry
//!     then for each entry: flags, ms and number after the node's first id,
//!       flags 2 not set: fields, then name and value of each;  set: the values of the master's fields
//!       elements of this entry before this one
//! ```
//!
//! Promises: ids rise, counts agree, each pending id of a group is with exactly one consumer, names are there once.
//! Memory: one node or one group's pending ids. Never: changes a byte.

use crate::error::{Error, Reason};
use crate::packed::{Cursor, Flaw, Form, Piece};
use crate::source::Source;
use crate::value_type::ValueType;
use std::collections::HashSet;
use std::io::BufRead;

type Id = [u8; 16];

const ENTRY_DELETED: i64 = 1;
const ENTRY_SAME_FIELDS: i64 = 2;

pub(crate) struct StreamWalk {
    value_type: ValueType,
    state: State,
    entries: u64,
    last_node: Option<Id>,
    groups: HashSet<Vec<u8>>,
    string: Vec<u8>,
}

enum State {
    Begin,
    Nodes { left: u64 },
    Groups { left: u64 },
}

impl StreamWalk {
    pub(crate) fn new(value_type: ValueType) -> StreamWalk {
        StreamWalk {
            value_type,
            state: State::Begin,
            entries: 0,
            last_node: None,
            groups: HashSet::new(),
            string: Vec::new(),
        }
    }

    /// Takes a node, a group, or what is between; false at the end.
    pub(crate) fn step<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<bool, Error> {
        match self.state {
            State::Begin => {
                let left = source.length()?;
                self.state = State::Nodes { left };
            }
            State::Nodes { left: 0 } => {
                self.totals(source)?;
                let left = source.length()?;
                self.state = State::Groups { left };
            }
            State::Nodes { left } => {
                self.node(source)?;
                self.state = State::Nodes { left: left - 1 };
            }
            State::Groups { left: 0 } => return Ok(false),
            State::Groups { left } => {
                self.group(source)?;
                self.state = State::Groups { left: left - 1 };
            }
        }
        Ok(true)
    }

    fn node<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<(), Error> {
        source.string(&mut self.string)?;
        let Some(id) = self.string.first_chunk::<16>().copied().filter(|_| self.string.len() == 16) else {
            return Err(source.error(Reason::Stream("a node's id has not 16 bytes")));
        };
        if self.last_node.is_some_and(|last| last >= id) {
            return Err(source.error(Reason::Stream("the ids of nodes do not rise")));
        }
        self.last_node = Some(id);
        let offset = source.offset();
        source.string(&mut self.string)?;
        let entries = node_entries(&self.string).map_err(|flaw| Error {
            offset,
            inside: Some(flaw.at as u64),
            reason: Reason::Packed { form: Form::Listpack, what: flaw.what },
        })?;
        self.entries = self.entries.saturating_add(entries);
        Ok(())
    }

    fn totals<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<(), Error> {
        let claimed = source.length()?;
        let found = self.entries;
        if claimed != found {
            return Err(source.error(Reason::Count { claimed, found }));
        }
        let numbers = if self.value_type == ValueType::Stream { 2 } else { 2 + 2 + 2 + 1 };
        for _ in 0..numbers {
            source.length()?;
        }
        Ok(())
    }

    fn group<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<(), Error> {
        source.string(&mut self.string)?;
        if !self.groups.insert(self.string.clone()) {
            return Err(source.error(Reason::Stream("a group is there a second time")));
        }
        let numbers = if self.value_type == ValueType::Stream { 2 } else { 3 };
        for _ in 0..numbers {
            source.length()?;
        }
        let mut pending: HashSet<Id> = HashSet::new();
        for _ in 0..source.length()? {
            if !pending.insert(source.array()?) {
                return Err(source.error(Reason::Stream("an entry is pending twice in one group")));
            }
            source.array::<8>()?;
            source.length()?;
        }
        let mut consumers: HashSet<Vec<u8>> = HashSet::new();
        for _ in 0..source.length()? {
            source.string(&mut self.string)?;
            if !consumers.insert(self.string.clone()) {
                return Err(source.error(Reason::Stream("a consumer is there a second time")));
            }
            source.array::<8>()?;
            if self.value_type == ValueType::Stream3 {
                source.array::<8>()?;
            }
            for _ in 0..source.length()? {
                if !pending.remove(&source.array()?) {
                    return Err(source.error(Reason::Stream("a consumer's entry is not pending in its group")));
                }
            }
        }
        if pending.is_empty() {
            Ok(())
        } else {
            Err(source.error(Reason::Stream("a pending entry is with no consumer")))
        }
    }
}

/// How many entries that are not deleted a node's listpack holds.
fn node_entries(bytes: &[u8]) -> Result<u64, Flaw> {
    let mut cursor = Cursor::new(Form::Listpack, bytes)?;
    let mut walk = NodeWalk { cursor: &mut cursor, bytes };
    let (claimed, claimed_deleted) = (walk.integer()?, walk.integer()?);
    let fields = walk.count()?;
    walk.skip(fields)?;
    if walk.integer()? != 0 {
        return Err(walk.flaw("the master entry does not end with 0"));
    }
    let (mut present, mut deleted) = (0i64, 0i64);
    while let Some(flags) = walk.next()? {
        let Piece::Integer(flags) = flags else {
            return Err(walk.flaw("an entry's flags are no number"));
        };
        walk.integer()?;
        walk.integer()?;
        let elements = if flags & ENTRY_SAME_FIELDS != 0 {
            walk.skip(fields)?;
            fields.saturating_add(3)
        } else {
            let own = walk.count()?;
            walk.skip(own.saturating_mul(2))?;
            own.saturating_mul(2).saturating_add(4)
        };
        if walk.count()? != elements {
            return Err(walk.flaw("an entry does not end with the number of its elements"));
        }
        if flags & ENTRY_DELETED != 0 {
            deleted += 1;
        } else {
            present += 1;
        }
    }
    if (present, deleted) != (claimed, claimed_deleted) {
        return Err(walk.flaw("the master entry does not count the entries"));
    }
    Ok(present as u64)
}

struct NodeWalk<'a> {
    cursor: &'a mut Cursor,
    bytes: &'a [u8],
}

impl NodeWalk<'_> {
    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { at: self.cursor.at(), what }
    }

    fn next(&mut self) -> Result<Option<Piece>, Flaw> {
        self.cursor.next(self.bytes)
    }

    fn integer(&mut self) -> Result<i64, Flaw> {
        match self.next()? {
            Some(Piece::Integer(integer)) => Ok(integer),
            Some(Piece::Bytes(_)) => Err(self.flaw("text stands where a number is needed")),
            None => Err(self.flaw("the node ends inside an entry")),
        }
    }

    fn count(&mut self) -> Result<u64, Flaw> {
        let integer = self.integer()?;
        u64::try_from(integer).map_err(|_| self.flaw("a count is below zero"))
    }

    /// Each step takes an element that is there, so a claim ends with the bytes.
    fn skip(&mut self, elements: u64) -> Result<(), Flaw> {
        for _ in 0..elements {
            if self.next()?.is_none() {
                return Err(self.flaw("the node ends inside an entry"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::listpack::Builder;

    fn node(elements: &[&str]) -> Vec<u8> {
        let mut builder = Builder::new();
        for element in elements {
            builder.push(element.as_bytes());
        }
        builder.end()
    }

    #[test]
    fn the_drawing_is_right() {
        let two =
            node(&["1", "1", "2", "a", "b", "0", "2", "0", "0", "x", "y", "5", "1", "0", "1", "1", "c", "z", "6"]);
        assert_eq!(node_entries(&two).unwrap(), 1);
        assert_eq!(node_entries(&node(&["0", "0", "0", "0"])).unwrap(), 0);
    }

    #[test]
    fn damage_is_a_flaw() {
        for elements in [
            &["1", "0", "1", "a", "0"][..],
            &["1", "0", "9223372036854775807", "a", "0"],
            &["1", "0", "-1", "a", "0"],
            &["1", "0", "1", "a", "1", "2", "0", "0", "x", "4"],
            &["1", "0", "1", "a", "0", "2", "0", "0", "x", "5"],
            &["1", "0", "1", "a", "0", "f", "0", "0", "x", "4"],
            &["0", "0", "1", "a", "0", "2", "0", "0", "x", "4"],
            &["1", "0", "1", "a", "0", "3", "0", "0", "x", "4"],
            &["1", "0", "1", "a", "0", "0", "0", "0", "9223372036854775807", "x", "4"],
        ] {
            node_entries(&node(elements)).expect_err(&elements.join(" "));
        }
    }
}
