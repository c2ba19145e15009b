//! The inner node of a counted tree: for each child its id, how many elements are below it, and where its keys begin.
//!
//! ```text
//!   0        2          4              +6n         +w*n           +8n               +4n
//!   +--------+----------+--------------+-----------+--------------+-----------------+------------+
//!   | header | n (u16)  | ids n x 6 B  | counts n  | prefixes n   | tail ends n x 4 | tail bytes |
//!   +--------+----------+--------------+-----------+--------------+-----------------+------------+
//!   header    bit 15 = 1, bit 14 = 0, bit 8 = keyed, bit 9 = has tails, bits 0..8 = level (1: the children are leaves)
//!   counts    w = 2 bytes each at level 1, 4 at level 2, 6 above
//!   prefixes  only if keyed: the first eight bytes of the child's separator, as a little-endian number
//!   tails     only if keyed and some separator needs one: the rest of the separators, and where each ends
//! ```
//!
//! Child i holds the keys from separator i on, up to separator i+1. The first separator is not looked at: what is smaller
//! than the second belongs to the first child. Arrays of one width, because then the right child is a binary search
//! over neighbours, and the count of everything before a child a plain sum.
//! 4 KiB hold 255 leaves of a hash (16 B each), 510 of a list (8 B each).
//!
//! Promises: a parent holds ids and counts, never places: a child may move without its parent. Foreign bytes give an
//! error, never a panic.
//! Never: reads a child.

use super::{IS_ROOT, NOT_A_RUN, header, resize_gap};
use crate::codec::CodecError;
use crate::tree::key::Key;
use crate::tree::nodes::NodeId;
use std::ops::{Range, RangeInclusive};

const KEYED: u16 = 1 << 8;
const TAILS: u16 = 1 << 9;
const LEVEL: u16 = 0xFF;
const HEADER: usize = 4;
const ID: usize = 6;
const PREFIX: usize = 8;
const TAIL_END: usize = 4;
const _: () = assert!((KEYED | TAILS | LEVEL) & (NOT_A_RUN | IS_ROOT) == 0);

/// No tree is higher: see `INNER_CHILDREN_MIN`.
pub(crate) const LEVEL_MAX: u8 = 15;
/// Most children of one node.
pub(crate) const CHILDREN_MAX: usize = u16::MAX as usize;

/// Bytes of a count at this level.
#[inline]
const fn count_width(level: u8) -> usize {
    match level {
        0 | 1 => 2,
        2 => 4,
        _ => 6,
    }
}

/// What a parent knows of a child.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Child<'k> {
    pub(crate) id: NodeId,
    pub(crate) count: u64,
    pub(crate) separator: Key<'k>,
}

/// Where the arrays of a node lie.
#[derive(Copy, Clone, Debug)]
struct Layout {
    children: usize,
    level: u8,
    keyed: bool,
    tails: bool,
}

impl Layout {
    const fn counts(&self) -> usize {
        HEADER + ID * self.children
    }
    const fn prefixes(&self) -> usize {
        self.counts() + count_width(self.level) * self.children
    }
    const fn tail_ends(&self) -> usize {
        self.prefixes() + if self.keyed { PREFIX * self.children } else { 0 }
    }
    const fn tail_bytes(&self) -> usize {
        self.tail_ends() + if self.tails { TAIL_END * self.children } else { 0 }
    }
    fn header(&self) -> u16 {
        NOT_A_RUN | u16::from(self.level) | if self.keyed { KEYED } else { 0 } | if self.tails { TAILS } else { 0 }
    }
}

/// Six bytes as a number.
#[inline]
fn number(bytes: &[u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = *bytes;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// An inner node, read where it lies.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Inner<'b> {
    payload: &'b [u8],
    layout: Layout,
}

impl<'b> Inner<'b> {
    /// Looks at the header and the sizes.
    #[inline]
    pub(crate) fn open(payload: &'b [u8]) -> Result<Inner<'b>, CodecError> {
        let header = header(payload).ok_or(CodecError::Truncated)?;
        let children = payload.get(2..4).ok_or(CodecError::Truncated)?;
        let layout = Layout {
            children: usize::from(u16::from_le_bytes([children[0], children[1]])),
            level: (header & LEVEL) as u8,
            keyed: header & KEYED != 0,
            tails: header & TAILS != 0,
        };
        let known = header == layout.header() && (layout.keyed || !layout.tails);
        if !known || layout.children == 0 || layout.level == 0 || layout.level > LEVEL_MAX {
            return Err(CodecError::BadField);
        }
        let tails = match payload.len().checked_sub(layout.tail_bytes()) {
            None => return Err(CodecError::Truncated),
            Some(tails) => tails,
        };
        let inner = Inner { payload, layout };
        let expected = if layout.tails { inner.tail_end(layout.children - 1) } else { 0 };
        if tails == expected { Ok(inner) } else { Err(CodecError::BadField) }
    }

    pub(crate) fn len(&self) -> usize {
        self.layout.children
    }

    pub(crate) fn level(&self) -> u8 {
        self.layout.level
    }

    pub(crate) fn is_keyed(&self) -> bool {
        self.layout.keyed
    }

    pub(crate) fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// The id of a child. `place` lies below `len()`, here and below.
    #[inline]
    pub(crate) fn id(&self, place: usize) -> NodeId {
        NodeId::new(number(&self.payload[HEADER..self.layout.counts()].as_chunks::<ID>().0[place]))
    }

    #[inline]
    fn counts(&self) -> &'b [u8] {
        &self.payload[self.layout.counts()..self.layout.prefixes()]
    }

    /// How many elements are below a child.
    #[inline]
    pub(crate) fn count(&self, place: usize) -> u64 {
        match self.layout.level {
            1 => u64::from(u16::from_le_bytes(self.counts().as_chunks::<2>().0[place])),
            2 => u64::from(u32::from_le_bytes(self.counts().as_chunks::<4>().0[place])),
            _ => number(&self.counts().as_chunks::<6>().0[place]),
        }
    }

    /// How many elements are below the children before `place`.
    #[inline]
    pub(crate) fn before(&self, place: usize) -> u64 {
        // Foreign counts may be anything: the sums wrap rather than panic.
        match self.layout.level {
            1 => self.counts().as_chunks::<2>().0[..place].iter().map(|c| u64::from(u16::from_le_bytes(*c))).sum(),
            2 => self.counts().as_chunks::<4>().0[..place].iter().map(|c| u64::from(u32::from_le_bytes(*c))).sum(),
            _ => self.counts().as_chunks::<6>().0[..place].iter().map(number).fold(0, u64::wrapping_add),
        }
    }

    /// How many elements are below this node.
    pub(crate) fn total(&self) -> u64 {
        self.before(self.layout.children)
    }

    /// The child that holds the element of this rank, and the rank inside it. A rank past the end belongs to the last
    /// child. With `left`, a rank between two children belongs to the end of the left one.
    #[inline]
    pub(crate) fn at_rank(&self, rank: u64, left: bool) -> (usize, u64) {
        let last = self.layout.children - 1;
        if rank == u64::MAX {
            return (last, rank);
        }
        match self.layout.level {
            1 => at_rank(self.counts().as_chunks::<2>().0, |c| u64::from(u16::from_le_bytes(*c)), rank, left),
            2 => at_rank(self.counts().as_chunks::<4>().0, |c| u64::from(u32::from_le_bytes(*c)), rank, left),
            _ => at_rank(self.counts().as_chunks::<6>().0, number, rank, left),
        }
    }

    fn tail_end(&self, place: usize) -> usize {
        let at = self.layout.tail_ends() + TAIL_END * place;
        let Some(end) = self.payload[at..].first_chunk::<TAIL_END>() else { return 0 };
        u32::from_le_bytes(*end) as usize
    }

    fn tail(&self, place: usize) -> &'b [u8] {
        if !self.layout.tails {
            return &[];
        }
        let start = if place == 0 { 0 } else { self.tail_end(place - 1) };
        self.payload[self.layout.tail_bytes()..].get(start..self.tail_end(place)).unwrap_or(&[])
    }

    #[inline]
    fn prefixes(&self) -> &'b [[u8; PREFIX]] {
        self.payload[self.layout.prefixes()..self.layout.tail_ends()].as_chunks::<PREFIX>().0
    }

    /// Where the keys of a child begin; empty in a node without keys.
    pub(crate) fn separator(&self, place: usize) -> Key<'b> {
        let prefix = self.prefixes().get(place).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Key { prefix, tail: self.tail(place) }
    }

    /// The child whose keys include this one. `range` is what the parents know of the prefixes here; it serves as a guess
    /// where to look, and may be wrong.
    ///
    /// Hashes are spread evenly, so the guess is mostly a few children off: one or two cache lines are read instead of the
    /// five that halving needs. From the guess the search doubles its steps and then halves, so the worst case is twice
    /// that of halving alone.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>, range: &RangeInclusive<u64>) -> usize {
        // What is stored for the first child may lie above its keys, even above the second separator: it is left out.
        let prefixes = self.prefixes().get(1..).unwrap_or(&[]);
        let after = after(prefixes, key.prefix, range);
        if !self.layout.tails {
            return after;
        }
        // Of the separators with this very prefix, those with a greater tail lie behind the key.
        let (mut low, mut high) =
            (prefixes[..after].partition_point(|bytes| u64::from_le_bytes(*bytes) < key.prefix), after);
        while low < high {
            let middle = (low + high) / 2;
            if self.tail(middle + 1) <= key.tail { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(crate) fn child(&self, place: usize) -> Child<'b> {
        Child { id: self.id(place), count: self.count(place), separator: self.separator(place) }
    }

    /// Walks the children. Not an iterator over a borrowed `self`: an `Inner` is a few words and copied.
    pub(crate) fn children(self) -> impl Iterator<Item = Child<'b>> + Clone {
        (0..self.len()).map(move |place| self.child(place))
    }
}

/// How many prefixes are not above `prefix`.
#[inline]
fn after(prefixes: &[[u8; PREFIX]], prefix: u64, range: &RangeInclusive<u64>) -> usize {
    let count = prefixes.len();
    let not_above = |bytes: &[u8; PREFIX]| u64::from_le_bytes(*bytes) <= prefix;
    let (low, high) = (*range.start(), *range.end());
    let share = prefix.saturating_sub(low) as f64 / (high.saturating_sub(low)).max(1) as f64;
    let guess = ((share * count as f64) as usize).min(count.saturating_sub(1));
    let (mut low, mut high) = (0, count);
    let mut step = 4;
    if prefixes.get(guess).is_some_and(not_above) {
        low = guess + 1;
        while low + step < high {
            if !not_above(&prefixes[low + step]) {
                high = low + step;
                break;
            }
            low += step + 1;
            step *= 2;
        }
    } else {
        high = guess;
        while low + step < high {
            if not_above(&prefixes[high - step]) {
                low = high - step + 1;
                break;
            }
            high -= step;
            step *= 2;
        }
    }
    low + prefixes[low..high].partition_point(not_above)
}

/// [`Inner::at_rank`] over counts of one width.
#[inline]
fn at_rank<const W: usize>(counts: &[[u8; W]], count: impl Fn(&[u8; W]) -> u64, rank: u64, left: bool) -> (usize, u64) {
    // Sixteen counts at a time: the sum of a block needs no branch.
    let last = counts.len() - 1;
    let (mut rest, mut place) = (rank, 0);
    while place + 16 <= last {
        let block = counts[place..place + 16].iter().fold(0u64, |sum, bytes| sum.wrapping_add(count(bytes)));
        if rest <= block {
            break;
        }
        rest -= block;
        place += 16;
    }
    while place < last {
        let count = count(&counts[place]);
        if rest < count || (left && rest == count) {
            break;
        }
        rest -= count;
        place += 1;
    }
    (place, rest)
}

/// Appends a node with these children. `count` must say how many they are.
pub(crate) fn write<'k>(level: u8, keyed: bool, children: impl Iterator<Item = Child<'k>> + Clone, into: &mut Vec<u8>) {
    let count = children.clone().count();
    assert!(count > 0 && count <= CHILDREN_MAX, "an inner node of {count} children");
    let tails = keyed && children.clone().any(|child| !child.separator.tail.is_empty());
    let layout = Layout { children: count, level, keyed, tails };
    into.extend_from_slice(&layout.header().to_le_bytes());
    into.extend_from_slice(&(count as u16).to_le_bytes());
    for child in children.clone() {
        into.extend_from_slice(&child.id.number().to_le_bytes()[..ID]);
    }
    for child in children.clone() {
        into.extend_from_slice(&child.count.to_le_bytes()[..count_width(level)]);
    }
    if keyed {
        for child in children.clone() {
            into.extend_from_slice(&child.separator.prefix.to_le_bytes());
        }
    }
    if tails {
        let mut end = 0;
        for child in children.clone() {
            end += child.separator.tail.len();
            into.extend_from_slice(&(end as u32).to_le_bytes());
        }
        for child in children {
            into.extend_from_slice(child.separator.tail);
        }
    }
}

/// Where the count of a child stands, to take this one. Nowhere (an empty range) if the child is not here (any more).
#[inline]
pub(crate) fn find_count(payload: &[u8], place: usize, id: NodeId, count: u64) -> Result<Range<usize>, CodecError> {
    let inner = Inner::open(payload)?;
    let width = count_width(inner.layout.level);
    if width < 8 && count >> (8 * width) != 0 {
        return Err(CodecError::BadField);
    }
    let here = place < inner.len() && inner.id(place) == id;
    let place = if here { Some(place) } else { (0..inner.len()).find(|&place| inner.id(place) == id) };
    Ok(place.map_or(0..0, |place| {
        let at = inner.layout.counts() + width * place;
        at..at + width
    }))
}

/// Sets the count of a child. A child that is not here (any more) is no error and changes nothing: its new parent has
/// the count already.
pub(crate) fn set_count(payload: &mut [u8], place: usize, id: NodeId, count: u64) -> Result<(), CodecError> {
    let at = find_count(payload, place, id, count)?;
    let bytes = at.len();
    payload[at].copy_from_slice(&count.to_le_bytes()[..bytes]);
    Ok(())
}

/// Puts a child at `place`; those from there on move by one.
pub(crate) fn insert_child(payload: &mut Vec<u8>, place: usize, child: &Child<'_>) -> Result<(), CodecError> {
    let inner = Inner::open(payload)?;
    let mut layout = inner.layout;
    let width = count_width(layout.level);
    let fits = place <= layout.children && layout.children < CHILDREN_MAX && child.count >> (8 * width) == 0;
    if !fits || child.id == NodeId::ROOT || (!layout.keyed && child.separator != Key::default()) {
        return Err(CodecError::BadField);
    }
    if layout.keyed && !layout.tails && !child.separator.tail.is_empty() {
        payload.resize(payload.len() + TAIL_END * layout.children, 0);
        layout.tails = true;
    }
    // From the back to the front, so that offsets hold.
    if layout.tails {
        let bytes = Inner { payload, layout };
        let start = if place == 0 { 0 } else { bytes.tail_end(place - 1) };
        let tail = child.separator.tail;
        let at = layout.tail_bytes() + start;
        if at > payload.len() || u32::try_from(payload.len() + tail.len()).is_err() {
            return Err(CodecError::BadField);
        }
        resize_gap(payload, at, 0, tail.len());
        payload[at..at + tail.len()].copy_from_slice(tail);
        let at = layout.tail_ends() + TAIL_END * place;
        for end in payload[at..layout.tail_bytes()].as_chunks_mut::<TAIL_END>().0 {
            *end = u32::from_le_bytes(*end).wrapping_add(tail.len() as u32).to_le_bytes();
        }
        put_array(payload, at, &((start + tail.len()) as u32).to_le_bytes());
    }
    if layout.keyed {
        put_array(payload, layout.prefixes() + PREFIX * place, &child.separator.prefix.to_le_bytes());
    }
    put_array(payload, layout.counts() + width * place, &child.count.to_le_bytes()[..width]);
    put_array(payload, HEADER + ID * place, &child.id.number().to_le_bytes()[..ID]);
    layout.children += 1;
    put_header(payload, &layout);
    Ok(())
}

/// Removes the child at `place`; those behind it move by one. The last child cannot be removed: the node goes then.
pub(crate) fn remove_child(payload: &mut Vec<u8>, place: usize) -> Result<(), CodecError> {
    let inner = Inner::open(payload)?;
    let mut layout = inner.layout;
    let width = count_width(layout.level);
    if place >= layout.children || layout.children == 1 {
        return Err(CodecError::BadField);
    }
    if layout.tails {
        let start = if place == 0 { 0 } else { inner.tail_end(place - 1) };
        let length = inner.tail_end(place).checked_sub(start).ok_or(CodecError::BadField)?;
        let at = layout.tail_bytes() + start;
        if at + length > payload.len() {
            return Err(CodecError::BadField);
        }
        resize_gap(payload, at, length, 0);
        let at = layout.tail_ends() + TAIL_END * place;
        for end in payload[at..layout.tail_bytes()].as_chunks_mut::<TAIL_END>().0 {
            *end = u32::from_le_bytes(*end).wrapping_sub(length as u32).to_le_bytes();
        }
        resize_gap(payload, at, TAIL_END, 0);
    }
    if layout.keyed {
        resize_gap(payload, layout.prefixes() + PREFIX * place, PREFIX, 0);
    }
    resize_gap(payload, layout.counts() + width * place, width, 0);
    resize_gap(payload, HEADER + ID * place, ID, 0);
    layout.children -= 1;
    if layout.tails && payload.len() == layout.tail_bytes() {
        // No tail is left: without their ends the node is the same bytes as one written anew.
        layout.tails = false;
        payload.truncate(layout.tail_ends());
    }
    put_header(payload, &layout);
    Ok(())
}

fn put_array(payload: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    resize_gap(payload, at, 0, bytes.len());
    payload[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_header(payload: &mut [u8], layout: &Layout) {
    payload[..2].copy_from_slice(&layout.header().to_le_bytes());
    payload[2..4].copy_from_slice(&(layout.children as u16).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    struct Owned {
        id: u64,
        count: u64,
        prefix: u64,
        tail: Vec<u8>,
    }

    impl Owned {
        fn child(&self) -> Child<'_> {
            let separator = Key { prefix: self.prefix, tail: &self.tail };
            Child { id: NodeId::new(self.id), count: self.count, separator }
        }
    }

    fn node(level: u8, keyed: bool, children: &[Owned]) -> Vec<u8> {
        let mut payload = Vec::new();
        write(level, keyed, children.iter().map(Owned::child), &mut payload);
        payload
    }

    fn children(keyed: bool, tail_bytes: usize) -> impl Strategy<Value = Vec<Owned>> {
        let tail = proptest::collection::vec(any::<u8>(), 0..=tail_bytes);
        let one = (1u64..1 << 48, 0u64..1000, 0u64..6, tail).prop_map(move |(id, count, prefix, tail)| Owned {
            id,
            count,
            prefix: if keyed { prefix } else { 0 },
            tail: if keyed { tail } else { Vec::new() },
        });
        proptest::collection::vec(one, 1..60).prop_map(|mut children| {
            children.sort_by(|a, b| (a.prefix, &a.tail).cmp(&(b.prefix, &b.tail)));
            children
        })
    }

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let two = [
            Owned { id: 5, count: 7, prefix: 0, tail: vec![] },
            Owned { id: 6, count: 8, prefix: 9, tail: b"t".to_vec() },
        ];
        let payload = node(1, true, &two);
        let drawn = [
            &[0x01, 0x83, 2, 0][..],
            &[5, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0],
            &[7, 0, 8, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 1, 0, 0, 0],
            b"t",
        ];
        assert_eq!(payload, drawn.concat());
    }

    proptest! {
        #[test]
        fn a_child_is_found_by_key_and_by_rank(children in children(true, 2), level in 1u8..4, prefix in 0u64..7, tail in proptest::collection::vec(any::<u8>(), 0..3)) {
            let payload = node(level, true, &children);
            let inner = Inner::open(&payload).unwrap();
            prop_assert_eq!(inner.children().collect::<Vec<_>>(), children.iter().map(Owned::child).collect::<Vec<_>>());
            let key = Key { prefix, tail: &tail };
            let expected = children.iter().rposition(|child| child.child().separator <= key).unwrap_or(0);
            // What is stored for the first child does not count, even if it is out of order.
            let mut first = children.clone();
            first[0].prefix = 9;
            let other = node(level, true, &first);
            prop_assert_eq!(Inner::open(&other).unwrap().find(&key, &(0..=u64::MAX)), expected);
            for range in [0..=u64::MAX, 0..=6, 3..=3, prefix..=prefix, RangeInclusive::new(6, 2)] {
                prop_assert_eq!(inner.find(&key, &range), expected);
            }
            let total: u64 = children.iter().map(|child| child.count).sum();
            prop_assert_eq!(inner.total(), total);
            for rank in (0..=total).step_by(7).chain([total]) {
                for left in [false, true] {
                    let (place, rest) = inner.at_rank(rank, left);
                    prop_assert_eq!(inner.before(place) + rest, rank);
                    let last = place + 1 == children.len();
                    prop_assert!(last || rest < inner.count(place) || (left && rest == inner.count(place)));
                    if left && place > 0 {
                        prop_assert!(rest > 0, "a rank between two children belongs to the left one");
                    }
                }
            }
        }

        #[test]
        fn edits_in_place_equal_a_node_written_anew(
            keyed in any::<bool>(), level in 1u8..4,
            (start, more) in (children(true, 1), children(true, 1)),
            places in proptest::collection::vec((any::<u16>(), any::<bool>()), 1..60),
        ) {
            let plain = |child: &Owned| if keyed { child.clone() } else { Owned { prefix: 0, tail: vec![], ..*child } };
            let mut model: Vec<Owned> = start.iter().map(plain).collect();
            let mut payload = node(level, keyed, &model);
            for ((place, remove), new) in places.into_iter().zip(more.iter().map(plain).cycle()) {
                let place = usize::from(place);
                if remove && model.len() > 1 {
                    let place = place % model.len();
                    model.remove(place);
                    remove_child(&mut payload, place).unwrap();
                } else {
                    let place = place % (model.len() + 1);
                    insert_child(&mut payload, place, &new.child()).unwrap();
                    model.insert(place, new);
                }
                let place = place % model.len();
                model[place].count += 1;
                set_count(&mut payload, place, NodeId::new(model[place].id), model[place].count).unwrap();
                prop_assert_eq!(&payload, &node(level, keyed, &model));
            }
        }

        #[test]
        fn foreign_bytes_never_panic(
            mut bytes in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..300),
            children in 0u8..20, level in 0u8..20, flags in 0u8..4, place in 0usize..30,
        ) {
            if let Some(first) = bytes.first_chunk_mut::<4>() {
                *first = [level, 0x80 | flags, children, 0];
            }
            if let Ok(inner) = Inner::open(&bytes) {
                let _ = inner.find(&Key { prefix: 2, tail: b"x" }, &(0..=u64::MAX));
                let _ = inner.at_rank(77, true);
                let _ = inner.total();
                prop_assert_eq!(inner.children().count(), inner.len());
            }
            let separator = Key { prefix: 1, tail: b"tail" };
            let _ = insert_child(&mut bytes.clone(), place, &Child { id: NodeId::new(4), count: 1, separator });
            let _ = remove_child(&mut bytes.clone(), place);
            let _ = set_count(&mut bytes, place, NodeId::new(1), 2);
        }
    }
}
