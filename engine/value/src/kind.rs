//! What a record is: one number per kind, written to the disk with every record.
//!
//! Promises: a number, once given, keeps its meaning for ever; new kinds take new numbers at the end. Number 0 is no
//! kind at all, so that a zeroed byte is never taken for a value.
//! Never: says anything about how a value is packed; that belongs to the codec and to the structures.

/// The kind of a record. The numbers reach the disk: append, never renumber, never reuse.
#[repr(u8)]
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Kind {
    /// A string whose bytes are the payload.
    String = 1,
    /// The head of a string too large for one record; the payload is a [`LargeHead`](crate::LargeHead).
    LargeString = 2,
    /// One extent of a large string, kept in the hidden space.
    Extent = 3,
    /// A list: its root, or the whole of it while it is small.
    List = 4,
    /// A hash: its root, or the whole of it while it is small.
    Hash = 5,
    /// A set: its root, or the whole of it while it is small.
    Set = 6,
    /// A sorted set: its root, or the whole of it while it is small.
    SortedSet = 7,
    /// A stream: its root, or the whole of it while it is small.
    Stream = 8,
    /// A node of a list's tree.
    ListNode = 9,
    /// A node of a hash's tree.
    HashNode = 10,
    /// A node of a set's tree.
    SetNode = 11,
    /// A node of a sorted set's tree by (score, member).
    SortedSetNode = 12,
    /// A node of a sorted set's second tree, from the member's hash to its score.
    ScoreNode = 13,
    /// A node of a stream's tree.
    StreamNode = 14,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Kind; 14] = [
        Kind::String,
        Kind::LargeString,
        Kind::Extent,
        Kind::List,
        Kind::Hash,
        Kind::Set,
        Kind::SortedSet,
        Kind::Stream,
        Kind::ListNode,
        Kind::HashNode,
        Kind::SetNode,
        Kind::SortedSetNode,
        Kind::ScoreNode,
        Kind::StreamNode,
    ];

    /// The number that goes to the disk.
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, or `None` for a number this version does not know.
    #[inline]
    pub const fn from_number(number: u8) -> Option<Kind> {
        if number == 0 || number as usize > Kind::ALL.len() {
            return None;
        }
        Some(Kind::ALL[number as usize - 1])
    }

    /// The name that TYPE answers; records that no client ever meets have a name for the inspecting tools.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String | Kind::LargeString => "string",
            Kind::Extent => "extent",
            Kind::List => "list",
            Kind::Hash => "hash",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Stream => "stream",
            Kind::ListNode => "list-node",
            Kind::HashNode => "hash-node",
            Kind::SetNode => "set-node",
            Kind::SortedSetNode => "zset-node",
            Kind::ScoreNode => "score-node",
            Kind::StreamNode => "stream-node",
        }
    }

    /// True for the kinds that a key of a client can have; false for the nodes and extents of the hidden space.
    #[inline]
    pub const fn is_value(self) -> bool {
        matches!(
            self,
            Kind::String | Kind::LargeString | Kind::List | Kind::Hash | Kind::Set | Kind::SortedSet | Kind::Stream
        )
    }

    /// True for both ways of keeping a string.
    #[inline]
    pub const fn is_string(self) -> bool {
        matches!(self, Kind::String | Kind::LargeString)
    }
}

// `from_number` indexes ALL by number: the table must say the same as the numbers.
const _: () = {
    let mut place = 0;
    while place < Kind::ALL.len() {
        assert!(Kind::ALL[place].number() as usize == place + 1);
        place += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_on_the_disk_are_frozen() {
        let frozen: [(Kind, u8); 14] = [
            (Kind::String, 1),
            (Kind::LargeString, 2),
            (Kind::Extent, 3),
            (Kind::List, 4),
            (Kind::Hash, 5),
            (Kind::Set, 6),
            (Kind::SortedSet, 7),
            (Kind::Stream, 8),
            (Kind::ListNode, 9),
            (Kind::HashNode, 10),
            (Kind::SetNode, 11),
            (Kind::SortedSetNode, 12),
            (Kind::ScoreNode, 13),
            (Kind::StreamNode, 14),
        ];
        for (kind, number) in frozen {
            assert_eq!(kind.number(), number);
            assert_eq!(Kind::from_number(number), Some(kind));
        }
    }

    #[test]
    fn an_unknown_number_is_no_kind() {
        assert_eq!(Kind::from_number(0), None);
        for number in Kind::ALL.len() as u8 + 1..=u8::MAX {
            assert_eq!(Kind::from_number(number), None);
        }
    }

    #[test]
    fn a_large_string_is_a_string_to_clients() {
        assert_eq!(Kind::LargeString.name(), "string");
        assert!(Kind::LargeString.is_string() && Kind::LargeString.is_value());
        assert!(!Kind::Extent.is_value());
    }
}
