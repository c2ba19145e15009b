//! The body of one value: the state between two elements, whatever the layout.
//!
//! ```text
//!   type of value                        what stands behind the key                              state
//!   String                               string                                                  Single
//!   List, Set, Hash, SortedSet(2), ...   count, rows                                             Rows
//!   ...Listpack, ...Ziplist, intset ...  string with packed elements                             Packed
//!   ListQuicklist(2)                     count, nodes: string with packed elements               Nodes + Packed
//!   Stream..., Module2                   see stream.rs, module.rs                                Stream, Module
//! ```
//!
//! Promises: elements are handed over one by one; besides the duplicates' memory ([`Duplicates`]) a body holds one packed
//! string or two plain ones. What is met is checked before it is handed over; after an error the body is at its end.
//! Never: reads behind its value.

use crate::error::{Error, Reason};
use crate::module::ModuleWalk;
use crate::number::{INTEGER_BYTES_MAX, parse_score, put_digits};
use crate::options::{Duplicates, FIELD_TIME_MS_MAX};
use crate::packed::{Cursor, Flaw, Form, Piece};
use crate::source::Source;
use crate::stream::StreamWalk;
use crate::twice::Seen;
use crate::value::Element;
use crate::value_type::{Kind, VERSION_VALKEY, ValueType};
use std::io::BufRead;
use std::ops::Range;

/// Scratch above this is given back after a value.
const KEPT_BYTES: usize = 1 << 20;

pub(crate) struct Body {
    value_type: ValueType,
    state: State,
    /// Elements met.
    count: u64,
    /// The string with packed elements, and its place in the file.
    blob: Vec<u8>,
    blob_offset: u64,
    /// Where the two parts of the present element are.
    parts: [Part; 2],
    strings: [Vec<u8>; 2],
    digits: [[u8; INTEGER_BYTES_MAX]; 2],
    seen: Option<Seen>,
    /// An error was met: nobody knows where the value ends.
    failed: bool,
    /// For streams, modules and whoever wants the bytes as they are: what the last call of `next_raw` gave.
    raw: Vec<u8>,
}

enum State {
    Done,
    /// Nothing was read behind the key.
    New {
        version: u16,
    },
    Single,
    Rows {
        left: u64,
        row: Row,
    },
    Packed {
        cursor: Cursor,
        row: Row,
        nodes: Option<Nodes>,
    },
    Nodes(Nodes),
    Stream(StreamWalk),
    Module(ModuleWalk),
}

/// What one element is made of.
#[derive(Copy, Clone)]
enum Row {
    Item,
    Field,
    /// A number in front: 0, or the time less this, plus one.
    FieldAfter {
        earliest_ms: u64,
    },
    /// A time of eight bytes behind; -1 for none.
    FieldThenTime,
    /// In a listpack: a time behind; 0 for none.
    FieldTriple,
    ScoreText,
    ScoreBits,
}

/// The nodes of a quicklist that are left.
#[derive(Copy, Clone)]
struct Nodes {
    left: u64,
    /// Whether a number in front says what the node is; if not, it is a ziplist.
    tagged: bool,
}

const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;

#[derive(Clone)]
enum Part {
    /// In `strings`.
    String,
    /// In `blob`.
    Blob(Range<usize>),
    /// In `digits`, from here.
    Digits(usize),
}

/// An element whose bytes are where `parts` says.
enum Met {
    String,
    Item,
    Field { expires_at_ms: Option<u64> },
    Scored { score: f64 },
    Raw,
}

impl Body {
    pub(crate) fn new(duplicates: Duplicates) -> Body {
        Body {
            value_type: ValueType::String,
            state: State::Done,
            count: 0,
            blob: Vec::new(),
            blob_offset: 0,
            parts: [Part::String, Part::String],
            strings: [Vec::new(), Vec::new()],
            digits: [[0; INTEGER_BYTES_MAX]; 2],
            seen: (duplicates == Duplicates::Refuse).then(Seen::new),
            failed: false,
            raw: Vec::new(),
        }
    }

    pub(crate) fn value_type(&self) -> ValueType {
        self.value_type
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether an error left the value without a known end.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes up a value of this type, whose bytes come next; none is read yet.
    pub(crate) fn take_up(&mut self, value_type: ValueType, version: u16) {
        self.value_type = value_type;
        self.count = 0;
        self.failed = false;
        self.state = State::New { version };
        if let Some(seen) = &mut self.seen {
            seen.clear();
        }
        for scratch in self.strings.iter_mut().chain([&mut self.blob, &mut self.raw]) {
            if scratch.capacity() > KEPT_BYTES {
                *scratch = Vec::new();
            }
        }
    }

    /// Reads up to the first element. A value that is handed over as it stands is copied from here on.
    fn begin<B: BufRead>(&mut self, version: u16, raw: bool, source: &mut Source<B>) -> Result<State, Error> {
        use ValueType as T;
        let value_type = self.value_type;
        if raw || matches!(value_type.kind(), Kind::Stream | Kind::Module) {
            source.keep_copy();
        } else {
            source.drop_copy();
        }
        Ok(match value_type {
            T::String => State::Single,
            T::List | T::Set => State::Rows { left: source.length()?, row: Row::Item },
            T::Hash => State::Rows { left: source.length()?, row: Row::Field },
            T::SortedSet => State::Rows { left: source.length()?, row: Row::ScoreText },
            T::SortedSet2 => State::Rows { left: source.length()?, row: Row::ScoreBits },
            T::HashExpiryDraft if version == VERSION_VALKEY => {
                State::Rows { left: source.length()?, row: Row::FieldThenTime }
            }
            // A draft's times are whole: as if the earliest were at 1 ms.
            T::HashExpiryDraft => State::Rows { left: source.length()?, row: Row::FieldAfter { earliest_ms: 1 } },
            T::HashExpiry => {
                let earliest_ms = u64::from_le_bytes(source.array()?);
                State::Rows { left: source.length()?, row: Row::FieldAfter { earliest_ms } }
            }
            T::HashListpackExpiry => {
                source.array::<8>()?;
                self.packed(Form::Listpack, Row::FieldTriple, None, source)?
            }
            T::HashListpackExpiryDraft => self.packed(Form::Listpack, Row::FieldTriple, None, source)?,
            T::HashZipmap => self.packed(Form::Zipmap, Row::Field, None, source)?,
            T::ListZiplist => self.packed(Form::Ziplist, Row::Item, None, source)?,
            T::SetIntset => self.packed(Form::Intset, Row::Item, None, source)?,
            T::SetListpack => self.packed(Form::Listpack, Row::Item, None, source)?,
            T::HashZiplist => self.packed(Form::Ziplist, Row::Field, None, source)?,
            T::HashListpack => self.packed(Form::Listpack, Row::Field, None, source)?,
            T::SortedSetZiplist => self.packed(Form::Ziplist, Row::ScoreText, None, source)?,
            T::SortedSetListpack => self.packed(Form::Listpack, Row::ScoreText, None, source)?,
            T::ListQuicklist => State::Nodes(Nodes { left: source.length()?, tagged: false }),
            T::ListQuicklist2 => State::Nodes(Nodes { left: source.length()?, tagged: true }),
            T::Stream | T::Stream2 | T::Stream3 => State::Stream(StreamWalk::new(value_type)),
            T::Module2 => State::Module(ModuleWalk::new()),
            T::Module => return Err(source.error(Reason::PreRelease("a module's value"))),
        })
    }

    /// Begins the value if that was not done.
    fn open<B: BufRead>(&mut self, raw: bool, source: &mut Source<B>) -> Result<(), Error> {
        if let State::New { version } = self.state {
            self.state = State::Done;
            let begun = self.begin(version, raw, source);
            self.failed = begun.is_err();
            self.state = begun?;
        }
        Ok(())
    }

    /// Elements in all, where the layout says so in front.
    pub(crate) fn count_ahead<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<Option<u64>, Error> {
        self.open(false, source)?;
        Ok(match &self.state {
            State::Rows { left, .. } => Some(self.count + left),
            _ => None,
        })
    }

    /// The next element; `None` at the end.
    pub(crate) fn next<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<Option<Element<'_>>, Error> {
        self.open(false, source)?;
        // A stream or a module's value is handed over as it stands.
        if matches!(self.state, State::Stream(_) | State::Module(_)) {
            return Ok(self.next_raw(source)?.map(Element::Raw));
        }
        let met = self.advance(source)?;
        Ok(met.map(|met| self.element(met)))
    }

    /// The next bytes of the value as they stand in the file, checked; `None` at the end. An error if elements
    /// were asked for before.
    pub(crate) fn next_raw<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<Option<&[u8]>, Error> {
        const PIECE_BYTES: usize = 64 << 10;
        self.open(true, source)?;
        self.raw.clear();
        if source.copy().is_none() {
            return if self.is_done() { Ok(None) } else { Err(source.error(Reason::Begun)) };
        }
        loop {
            let more = self.advance(source)?.is_some();
            // A packed string goes on only when its last element was checked.
            let between = !matches!(self.state, State::Packed { .. });
            let copied = source.copy().map_or(0, |copy| copy.len());
            if !more || (between && copied >= PIECE_BYTES) {
                if let Some(copy) = source.copy() {
                    std::mem::swap(copy, &mut self.raw);
                    copy.clear();
                }
                if !more {
                    source.drop_copy();
                }
                return Ok((!self.raw.is_empty()).then_some(&self.raw));
            }
        }
    }

    fn element(&self, met: Met) -> Element<'_> {
        match met {
            Met::String => Element::String(self.part(0)),
            Met::Item => Element::Item(self.part(0)),
            Met::Field { expires_at_ms } => Element::Field { field: self.part(0), value: self.part(1), expires_at_ms },
            Met::Scored { score } => Element::Scored { member: self.part(0), score },
            Met::Raw => Element::Raw(&self.raw),
        }
    }

    fn part(&self, index: usize) -> &[u8] {
        match &self.parts[index] {
            Part::String => &self.strings[index],
            Part::Blob(range) => &self.blob[range.clone()],
            Part::Digits(start) => &self.digits[index][*start..],
        }
    }

    /// One step; whatever is wrong, the body is at its end then.
    fn advance<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<Option<Met>, Error> {
        let state = std::mem::replace(&mut self.state, State::Done);
        let met = self.step(state, source);
        self.failed = matches!(&met, Err(error) if !matches!(error.reason, Reason::Empty));
        let met = met?;
        if let Some(Met::Item | Met::Field { .. } | Met::Scored { .. }) = met {
            self.count += 1;
            if self.value_type.kind() != Kind::List {
                self.refuse_a_duplicate(source)?;
            }
        }
        Ok(met)
    }

    fn refuse_a_duplicate<B: BufRead>(&mut self, source: &Source<B>) -> Result<(), Error> {
        let Some(mut seen) = self.seen.take() else {
            return Ok(());
        };
        let is_new = seen.insert(self.part(0));
        self.seen = Some(seen);
        if is_new {
            return Ok(());
        }
        self.state = State::Done;
        self.failed = true;
        Err(source.error(Reason::Duplicate(self.count)))
    }

    fn step<B: BufRead>(&mut self, state: State, source: &mut Source<B>) -> Result<Option<Met>, Error> {
        match state {
            State::Done => Ok(None),
            // `open` comes first.
            State::New { .. } => Err(source.error(Reason::Begun)),
            State::Single => {
                self.parts[0] = Part::String;
                source.string(&mut self.strings[0])?;
                Ok(Some(Met::String))
            }
            State::Rows { left: 0, .. } | State::Nodes(Nodes { left: 0, .. }) => {
                if self.count == 0 {
                    Err(source.error(Reason::Empty))
                } else {
                    Ok(None)
                }
            }
            State::Rows { left, row } => {
                let met = self.row(row, source)?;
                self.state = State::Rows { left: left - 1, row };
                Ok(Some(met))
            }
            State::Nodes(nodes) => {
                let state = self.node(nodes, source)?;
                self.step(state, source)
            }
            State::Packed { mut cursor, row, nodes } => match self.packed_row(row, &mut cursor)? {
                Some(met) => {
                    self.state = State::Packed { cursor, row, nodes };
                    Ok(Some(met))
                }
                None => self.behind_packed(nodes, source),
            },
            State::Stream(mut walk) => {
                let more = walk.step(source)?;
                self.state = if more { State::Stream(walk) } else { State::Done };
                Ok(more.then_some(Met::Raw))
            }
            State::Module(mut walk) => {
                let more = walk.step(source)?;
                self.state = if more { State::Module(walk) } else { State::Done };
                Ok(more.then_some(Met::Raw))
            }
        }
    }

    /// Behind a packed string: the next node, if it was one of a quicklist. A loop, so that empty nodes by the million do
    /// not nest calls.
    fn behind_packed<B: BufRead>(
        &mut self,
        nodes: Option<Nodes>,
        source: &mut Source<B>,
    ) -> Result<Option<Met>, Error> {
        let mut nodes = nodes;
        while let Some(some) = nodes.filter(|nodes| nodes.left > 0) {
            let State::Packed { mut cursor, row, nodes: rest } = self.node(some, source)? else {
                break;
            };
            if let Some(met) = self.packed_row(row, &mut cursor)? {
                self.state = State::Packed { cursor, row, nodes: rest };
                return Ok(Some(met));
            }
            nodes = rest;
        }
        if self.count == 0 { Err(source.error(Reason::Empty)) } else { Ok(None) }
    }

    /// Reads a quicklist's next node.
    fn node<B: BufRead>(&mut self, nodes: Nodes, source: &mut Source<B>) -> Result<State, Error> {
        let form = if nodes.tagged {
            match source.length()? {
                NODE_PLAIN => Form::Plain,
                NODE_PACKED => Form::Listpack,
                _ => {
                    let what = "a node of a quicklist is neither plain nor packed";
                    return Err(source.error(Reason::Packed { form: Form::Plain, what }));
                }
            }
        } else {
            Form::Ziplist
        };
        self.packed(form, Row::Item, Some(Nodes { left: nodes.left - 1, ..nodes }), source)
    }

    /// Reads a string with packed elements.
    fn packed<B: BufRead>(
        &mut self,
        form: Form,
        row: Row,
        nodes: Option<Nodes>,
        source: &mut Source<B>,
    ) -> Result<State, Error> {
        self.blob_offset = source.offset();
        source.string(&mut self.blob)?;
        let cursor = Cursor::new(form, &self.blob).map_err(|flaw| self.flaw(form, flaw))?;
        Ok(State::Packed { cursor, row, nodes })
    }

    fn flaw(&self, form: Form, flaw: Flaw) -> Error {
        let reason = Reason::Packed { form, what: flaw.what };
        Error { offset: self.blob_offset, inside: Some(flaw.at as u64), reason }
    }

    /// The next element of the packed string; `None` at its end.
    fn packed_row(&mut self, row: Row, cursor: &mut Cursor) -> Result<Option<Met>, Error> {
        let form = cursor.form();
        let Some(first) = cursor.next(&self.blob).map_err(|flaw| self.flaw(form, flaw))? else {
            return Ok(None);
        };
        self.place(0, first);
        if let Row::Item = row {
            return Ok(Some(Met::Item));
        }
        let at = cursor.at();
        let mut other = || match cursor.next(&self.blob) {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => Err(Flaw { at, what: "a field or member stands without its value, score or time" }),
            Err(flaw) => Err(flaw),
        };
        let second = other().map_err(|flaw| self.flaw(form, flaw))?;
        let met = match row {
            Row::ScoreText | Row::ScoreBits => {
                let score = match second {
                    Piece::Integer(integer) => Some(integer as f64),
                    Piece::Bytes(range) => parse_score(&self.blob[range]),
                };
                let reason = Reason::BadScore(self.count + 1);
                let error = Error { offset: self.blob_offset, inside: Some(at as u64), reason };
                Met::Scored { score: score.ok_or(error)? }
            }
            Row::FieldTriple => {
                let time = match other().map_err(|flaw| self.flaw(form, flaw))? {
                    Piece::Integer(time) => u64::try_from(time).ok().filter(|time| *time <= FIELD_TIME_MS_MAX),
                    Piece::Bytes(_) => None,
                };
                let what = "a field's time is no number below 2^48";
                let time = time.ok_or_else(|| self.flaw(form, Flaw { at, what }))?;
                self.place(1, second);
                Met::Field { expires_at_ms: (time != 0).then_some(time) }
            }
            _ => {
                self.place(1, second);
                Met::Field { expires_at_ms: None }
            }
        };
        Ok(Some(met))
    }

    fn place(&mut self, index: usize, piece: Piece) {
        self.parts[index] = match piece {
            Piece::Bytes(range) => Part::Blob(range),
            Piece::Integer(integer) => Part::Digits(put_digits(integer, &mut self.digits[index])),
        };
    }

    /// The next element of a table.
    fn row<B: BufRead>(&mut self, row: Row, source: &mut Source<B>) -> Result<Met, Error> {
        self.parts = [Part::String, Part::String];
        let [first, second] = &mut self.strings;
        let mut expires_at_ms = None;
        if let Row::FieldAfter { earliest_ms } = row {
            let number = source.length()?;
            if number > 0 {
                let time = earliest_ms.saturating_add(number - 1);
                if time > FIELD_TIME_MS_MAX {
                    return Err(source.error(Reason::FieldTime(time)));
                }
                expires_at_ms = Some(time);
            }
        }
        source.string(first)?;
        match row {
            Row::Item => Ok(Met::Item),
            Row::Field | Row::FieldAfter { .. } | Row::FieldTriple => {
                source.string(second)?;
                Ok(Met::Field { expires_at_ms })
            }
            Row::FieldThenTime => {
                source.string(second)?;
                let time = i64::from_le_bytes(source.array()?);
                Ok(Met::Field { expires_at_ms: u64::try_from(time).ok() })
            }
            Row::ScoreBits => {
                let score = f64::from_bits(u64::from_le_bytes(source.array()?));
                self.scored(Some(score).filter(|score| !score.is_nan()), source)
            }
            Row::ScoreText => {
                // A length of one byte; three of its values are no length.
                let score = match source.byte()? {
                    253 => None,
                    254 => Some(f64::INFINITY),
                    255 => Some(f64::NEG_INFINITY),
                    length => {
                        second.clear();
                        for _ in 0..length {
                            second.push(source.byte()?);
                        }
                        parse_score(second)
                    }
                };
                self.scored(score, source)
            }
        }
    }

    fn scored<B: BufRead>(&self, score: Option<f64>, source: &Source<B>) -> Result<Met, Error> {
        let score = score.ok_or_else(|| source.error(Reason::BadScore(self.count + 1)))?;
        Ok(Met::Scored { score })
    }
}
