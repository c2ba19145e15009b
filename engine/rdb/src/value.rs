//! Values in memory, whole: what a payload becomes, and what tests compare.
//!
//! Promises: order is kept as it was met; nothing is looked up or merged.
//! Never: used on the streaming path; there, elements are borrowed one by one.

use crate::value_type::{Kind, ValueType};

/// One element of a value, borrowed from the reader until the next one is asked for.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Element<'a> {
    /// The whole string.
    String(&'a [u8]),
    /// An element of a list, from head to tail, or a member of a set.
    Item(&'a [u8]),
    /// A field of a hash.
    Field {
        /// Its name.
        field: &'a [u8],
        /// Its value.
        value: &'a [u8],
        /// When it goes, in milliseconds since 1970.
        expires_at_ms: Option<u64>,
    },
    /// A member of a sorted set, in any order. The score is a number.
    Scored {
        /// The member.
        member: &'a [u8],
        /// Its score.
        score: f64,
    },
    /// The next bytes of a stream or a module's value as they stand in the file, already checked.
    Raw(&'a [u8]),
}

/// A value of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Bytes.
    String(Vec<u8>),
    /// From head to tail.
    List(Vec<Vec<u8>>),
    /// In any order, each once.
    Set(Vec<Vec<u8>>),
    /// In any order, each once.
    Hash(Vec<HashField>),
    /// In any order, each once.
    SortedSet(Vec<ScoredMember>),
    /// A stream as it stands in a file.
    Stream(Raw),
    /// A module's value as it stands in a file.
    Module(Raw),
}

/// A field of a hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashField {
    /// Its name.
    pub field: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it goes, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

/// A member of a sorted set.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredMember {
    /// The member.
    pub member: Vec<u8>,
    /// Its score, never "not a number".
    pub score: f64,
}

/// The bytes of a value as they stand in a file behind the key, checked by the reader that made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Raw {
    pub(crate) value_type: ValueType,
    pub(crate) bytes: Vec<u8>,
}

impl Raw {
    /// How the bytes are laid out.
    pub fn value_type(&self) -> ValueType {
        self.value_type
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Value {
    /// What kind of value it is.
    pub fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Hash(_) => Kind::Hash,
            Value::SortedSet(_) => Kind::SortedSet,
            Value::Stream(_) => Kind::Stream,
            Value::Module(_) => Kind::Module,
        }
    }

    /// A value of nothing, to be filled by [`Value::push`].
    pub(crate) fn empty(value_type: ValueType) -> Value {
        let raw = || Raw { value_type, bytes: Vec::new() };
        match value_type.kind() {
            Kind::String => Value::String(Vec::new()),
            Kind::List => Value::List(Vec::new()),
            Kind::Set => Value::Set(Vec::new()),
            Kind::Hash => Value::Hash(Vec::new()),
            Kind::SortedSet => Value::SortedSet(Vec::new()),
            Kind::Stream => Value::Stream(raw()),
            Kind::Module => Value::Module(raw()),
        }
    }

    pub(crate) fn push(&mut self, element: Element<'_>) {
        match (self, element) {
            (Value::String(into), Element::String(bytes)) => into.extend_from_slice(bytes),
            (Value::List(into) | Value::Set(into), Element::Item(bytes)) => into.push(bytes.to_vec()),
            (Value::Hash(into), Element::Field { field, value, expires_at_ms }) => {
                into.push(HashField { field: field.to_vec(), value: value.to_vec(), expires_at_ms });
            }
            (Value::SortedSet(into), Element::Scored { member, score }) => {
                into.push(ScoredMember { member: member.to_vec(), score });
            }
            (Value::Stream(into) | Value::Module(into), Element::Raw(bytes)) => into.bytes.extend_from_slice(bytes),
            (value, element) => unreachable!("a {:?} was made for {element:?}", value.kind()),
        }
    }
}
