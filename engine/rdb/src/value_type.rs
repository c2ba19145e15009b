//! The numbers of the format: versions, types of values, opcodes.
//!
//! Promises: numbers are those that Redis writes and are never given away again; each type knows since which version it
//! can be read, so that a writer cannot put into a file what its reader does not know.
//! Never: guesses. A number that is not here is an error.

use std::fmt;

/// A version of the format that can be written.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Version(u8);

impl Version {
    /// RDB 10, of Redis 7.0: listpacks, quicklists of the second kind.
    pub const REDIS_7_0: Version = Version(10);
    /// RDB 11, of Redis 7.2: small sets as listpacks, consumers' active times.
    pub const REDIS_7_2: Version = Version(11);
    /// RDB 12, of Redis 7.4: hash fields that expire.
    pub const REDIS_7_4: Version = Version(12);

    /// The version of that number, if it can be written.
    pub fn from_number(number: u8) -> Option<Version> {
        (10..=12).contains(&number).then_some(Version(number))
    }

    /// As it stands in the file.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// The newest version of Redis's that is read.
pub const VERSION_READ_MAX: u16 = 12;
/// The one version of Valkey's own line that is read (magic `VALKEY080`).
pub const VERSION_VALKEY: u16 = 80;

/// What kind of value a key holds.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Kind {
    /// Bytes.
    String,
    /// Bytes in order.
    List,
    /// Distinct bytes.
    Set,
    /// Fields with values, some of which may expire.
    Hash,
    /// Members with scores.
    SortedSet,
    /// A stream; passed through.
    Stream,
    /// A module's value; passed through.
    Module,
}

macro_rules! value_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $kind:ident, since $since:literal;)*) => {
        /// How a value is laid out in the file. The variants' documentation says what stands there.
        #[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
        #[repr(u8)]
        pub enum ValueType {
            $($(#[$doc])* $name = $number,)*
        }

        impl ValueType {
            /// Every type, in the order of their numbers.
            pub const ALL: &'static [ValueType] = &[$(ValueType::$name,)*];

            /// What kind of value it lays out.
            pub fn kind(self) -> Kind {
                match self {
                    $(ValueType::$name => Kind::$kind,)*
                }
            }

            /// The first version whose readers know it.
            pub fn version_min(self) -> u8 {
                match self {
                    $(ValueType::$name => $since,)*
                }
            }
        }
    };
}

value_types! {
    /// One string.
    String = 0, String, since 1;
    /// A count, then strings.
    List = 1, List, since 1;
    /// A count, then strings.
    Set = 2, Set, since 1;
    /// A count, then a string and a score in text each.
    SortedSet = 3, SortedSet, since 1;
    /// A count, then two strings each.
    Hash = 4, Hash, since 1;
    /// A count, then a string and a score of eight bytes each.
    SortedSet2 = 5, SortedSet, since 8;
    /// A module's value of before Redis 4.0: only the module knows where it ends.
    Module = 6, Module, since 8;
    /// A module's identity, then its own opcodes up to an end.
    Module2 = 7, Module, since 8;
    /// A string that is a zipmap.
    HashZipmap = 9, Hash, since 2;
    /// A string that is a ziplist.
    ListZiplist = 10, List, since 2;
    /// A string that is an intset.
    SetIntset = 11, Set, since 2;
    /// A string that is a ziplist of members and scores.
    SortedSetZiplist = 12, SortedSet, since 2;
    /// A string that is a ziplist of fields and values.
    HashZiplist = 13, Hash, since 4;
    /// A count, then strings that are ziplists.
    ListQuicklist = 14, List, since 7;
    /// A stream of Redis 5.
    Stream = 15, Stream, since 9;
    /// A string that is a listpack of fields and values.
    HashListpack = 16, Hash, since 10;
    /// A string that is a listpack of members and scores.
    SortedSetListpack = 17, SortedSet, since 10;
    /// A count, then nodes: 1 and a string that is one element, or 2 and a string that is a listpack.
    ListQuicklist2 = 18, List, since 10;
    /// A stream of Redis 7.0: also the first entry, the largest deleted one and how many were ever added.
    Stream2 = 19, Stream, since 10;
    /// A string that is a listpack.
    SetListpack = 20, Set, since 11;
    /// A stream of Redis 7.2: consumers also have the time of their last success.
    Stream3 = 21, Stream, since 11;
    /// In Redis: a draft of [`ValueType::HashExpiry`] with times in full. In Valkey's version 80 the number means a hash
    /// whose fields are each followed by a time of eight bytes; the reader knows which by the file's version.
    HashExpiryDraft = 22, Hash, since 12;
    /// A draft of [`ValueType::HashListpackExpiry`] without the earliest time.
    HashListpackExpiryDraft = 23, Hash, since 12;
    /// The earliest time of eight bytes, a count, then for each field a number and two strings. The number is 0 for a field
    /// that stays, else its time less the earliest time, plus one.
    HashExpiry = 24, Hash, since 12;
    /// The earliest time of eight bytes, then a string that is a listpack of field, value and time (0: stays).
    HashListpackExpiry = 25, Hash, since 12;
}

impl ValueType {
    /// The type of that number.
    pub fn from_byte(byte: u8) -> Option<ValueType> {
        ValueType::ALL.iter().copied().find(|known| *known as u8 == byte)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

/// What a byte in front of a key can be other than the type of its value.
pub(crate) mod opcode {
    pub(crate) const SLOT: u8 = 244;
    pub(crate) const FUNCTION: u8 = 245;
    pub(crate) const FUNCTION_DRAFT: u8 = 246;
    pub(crate) const MODULE_AUX: u8 = 247;
    pub(crate) const IDLE: u8 = 248;
    pub(crate) const FREQUENCY: u8 = 249;
    pub(crate) const AUX: u8 = 250;
    pub(crate) const RESIZE: u8 = 251;
    pub(crate) const EXPIRES_MS: u8 = 252;
    pub(crate) const EXPIRES_SECONDS: u8 = 253;
    pub(crate) const DATABASE: u8 = 254;
    pub(crate) const END: u8 = 255;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_found_again() {
        for &value_type in ValueType::ALL {
            assert_eq!(ValueType::from_byte(value_type as u8), Some(value_type));
            assert!(value_type.version_min() <= 12);
        }
        let mut numbers: Vec<u8> = ValueType::ALL.iter().map(|one| *one as u8).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), ValueType::ALL.len());
        assert_eq!(ValueType::from_byte(8), None);
        assert_eq!(ValueType::from_byte(26), None);
    }

    #[test]
    fn only_three_versions_are_written() {
        let written: Vec<u8> = (0..=255).filter(|number| Version::from_number(*number).is_some()).collect();
        assert_eq!(written, [10, 11, 12]);
    }
}
