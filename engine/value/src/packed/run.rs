//! The packed run: elements one after the other in one payload, found by position or by a one-byte tag.
//!
//! ```text
//!   0        2                    t                  e
//!   +--------+--------------------+------------------+----------------------------------+
//!   | header | (n-1)/8 slots, u16 | n tags, 1 B each | n elements: varint length, bytes |
//!   +--------+--------------------+------------------+----------------------------------+
//!   header   bit 15 = 0, bit 14 = the run has tags, bits 0..14 = n
//!   slot k   where element 8(k+1) begins, counted from the first element
//!   tag      the low byte of the hash of the element's field; absent in runs that are only found by position or order
//!
//!   the set {"foo", "x"} with hashes ..41 and ..7A:   02 40  41 7A  03 66 6F 6F  01 78
//! ```
//!
//! So an element costs its bytes, one length byte (two from 128 B on), a tag where there is one, and a quarter of a byte.
//! A look-up by field compares eight tags at a time and walks at most seven lengths; one by position walks at most seven.
//! What an element's bytes mean is the collection's business (`element.rs`); integers stay text: a seven-digit number
//! would save three bytes of about twenty and cost every reader a conversion. Scores are packed, see `score.rs`.
//!
//! Slots and tags stand in front: with the header they share the first cache line or two, so a look-up in a leaf that no
//! cache holds waits twice, not three times. An append moves the elements by a byte for it, which is cheaper.
//!
//! Promises: an element is a slice of the payload; look-ups and walks allocate nothing; edits change the bytes in place;
//! a slot or a length that lies gives an error or wrong bytes of this payload, never a panic. An edit looks at what it
//! needs and not at all elements: in a payload that is damaged in spite of its checksum it may do more damage.
//! Never: orders elements. Position is whatever the writer chose.

use super::{NOT_A_RUN, header, resize_gap};
use crate::codec::{CodecError, put_varint, take_varint, varint_bytes};

/// Most elements in one run.
pub(crate) const RUN_COUNT_MAX: usize = (1 << 14) - 1;
/// Most bytes of elements that slots can reach; a run that needs no slot may be larger.
const SLOT_REACH: usize = u16::MAX as usize;
const TAGGED: u16 = 1 << 14;
const COUNT: u16 = TAGGED - 1;
const HEADER: usize = 2;
const STRIDE: usize = 8;
const _: () = assert!(COUNT as usize == RUN_COUNT_MAX && TAGGED & NOT_A_RUN == 0);

/// An empty run without tags.
pub(crate) const EMPTY: &[u8] = &0u16.to_le_bytes();
/// An empty run with tags.
pub(crate) const EMPTY_TAGGED: &[u8] = &TAGGED.to_le_bytes();

/// The tag of a field with this hash.
#[inline]
pub(crate) const fn tag_of(hash: u64) -> u8 {
    hash as u8
}

const fn slots(count: usize) -> usize {
    count.saturating_sub(1) / STRIDE
}

/// How large a run is whose elements, lengths included, take `elements` bytes.
pub(crate) const fn run_bytes(elements: usize, count: usize, tagged: bool) -> usize {
    HEADER + elements + if tagged { count } else { 0 } + 2 * slots(count)
}

/// What one element takes, its length included, its tag and slot not.
pub(crate) const fn stored_bytes(element: usize) -> usize {
    varint_bytes(element as u64) + element
}

/// Where the element at `at` begins and ends.
#[inline]
fn element_at(bytes: &[u8], at: usize) -> Result<(usize, usize), CodecError> {
    let first = *bytes.get(at).ok_or(CodecError::Truncated)?;
    let (start, length) = if first < 0x80 {
        (at + 1, usize::from(first))
    } else {
        let mut rest = bytes.get(at..).ok_or(CodecError::Truncated)?;
        let before = rest.len();
        let length = take_varint(&mut rest)?;
        (at + before - rest.len(), usize::try_from(length).map_err(|_| CodecError::Truncated)?)
    };
    match start.checked_add(length) {
        Some(end) if end <= bytes.len() => Ok((start, end)),
        _ => Err(CodecError::Truncated),
    }
}

/// A run, read where it lies.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Run<'b> {
    /// The elements with their lengths, nothing else.
    elements: &'b [u8],
    /// One tag for each element, or nothing.
    tags: &'b [u8],
    slots: &'b [u8],
    count: usize,
    tagged: bool,
}

impl<'b> Run<'b> {
    /// Looks at the header and the sizes; elements are looked at when they are met.
    #[inline]
    pub(crate) fn open(payload: &'b [u8]) -> Result<Run<'b>, CodecError> {
        let header = header(payload).ok_or(CodecError::Truncated)?;
        if header & NOT_A_RUN != 0 {
            return Err(CodecError::BadField);
        }
        let count = usize::from(header & COUNT);
        let tagged = header & TAGGED != 0;
        let slot_bytes = 2 * slots(count);
        let tag_bytes = if tagged { count } else { 0 };
        // Each element has a length byte at least.
        if payload.len() < HEADER + count + tag_bytes + slot_bytes {
            return Err(CodecError::Truncated);
        }
        let (slots, rest) = payload[HEADER..].split_at(slot_bytes);
        let (tags, elements) = rest.split_at(tag_bytes);
        Ok(Run { elements, tags, slots, count, tagged })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_tagged(&self) -> bool {
        self.tagged
    }

    /// Bytes of all elements with their lengths.
    pub(crate) fn element_bytes(&self) -> usize {
        self.elements.len()
    }

    /// Bytes of the payload.
    pub(crate) fn bytes(&self) -> usize {
        run_bytes(self.elements.len(), self.count, self.tagged)
    }

    /// The tag of an element; 0 in a run without tags.
    pub(crate) fn tag(&self, position: usize) -> u8 {
        self.tags.get(position).copied().unwrap_or(0)
    }

    /// Where an element begins, counted from the first; for `len()`, where the elements end.
    #[inline]
    fn start(&self, position: usize) -> Result<usize, CodecError> {
        if position >= self.count {
            return if position == self.count { Ok(self.elements.len()) } else { Err(CodecError::BadField) };
        }
        let mut at = match position / STRIDE {
            0 => 0,
            group => {
                let slot = self.slots.get(2 * group - 2..2 * group).ok_or(CodecError::Truncated)?;
                usize::from(u16::from_le_bytes([slot[0], slot[1]]))
            }
        };
        for _ in 0..position % STRIDE {
            at = element_at(self.elements, at)?.1;
        }
        Ok(at)
    }

    /// The element at a position.
    #[inline]
    pub(crate) fn get(&self, position: usize) -> Result<&'b [u8], CodecError> {
        if position >= self.count {
            return Err(CodecError::BadField);
        }
        let (start, end) = element_at(self.elements, self.start(position)?)?;
        Ok(&self.elements[start..end])
    }

    /// The first element with this tag that `is` accepts, and its position. A run without tags has every tag.
    #[inline]
    pub(crate) fn find(
        &self,
        tag: u8,
        mut is: impl FnMut(&'b [u8]) -> Result<bool, CodecError>,
    ) -> Result<Option<(usize, &'b [u8])>, CodecError> {
        if !self.tagged {
            for (position, element) in self.iter().enumerate() {
                let element = element?;
                if is(element)? {
                    return Ok(Some((position, element)));
                }
            }
            return Ok(None);
        }
        let (words, rest) = self.tags.as_chunks::<8>();
        let pattern = u64::from(tag) * 0x0101_0101_0101_0101;
        for (index, word) in words.iter().enumerate() {
            let difference = u64::from_le_bytes(*word) ^ pattern;
            // A byte that is zero gets its top bit; one above a zero byte may get it too, and is looked at in vain.
            let mut hits = difference.wrapping_sub(0x0101_0101_0101_0101) & !difference & 0x8080_8080_8080_8080;
            while hits != 0 {
                let position = 8 * index + hits.trailing_zeros() as usize / 8;
                let element = self.get(position)?;
                if self.tags[position] == tag && is(element)? {
                    return Ok(Some((position, element)));
                }
                hits &= hits - 1;
            }
        }
        for (index, &other) in rest.iter().enumerate() {
            if other == tag {
                let position = 8 * words.len() + index;
                let element = self.get(position)?;
                if is(element)? {
                    return Ok(Some((position, element)));
                }
            }
        }
        Ok(None)
    }

    /// How many elements stand before the first that is not `before`, in a run that is in order: halves over the slots,
    /// then walks at most eight.
    #[inline]
    pub(crate) fn partition(
        &self,
        mut before: impl FnMut(&'b [u8]) -> Result<bool, CodecError>,
    ) -> Result<usize, CodecError> {
        let (mut low, mut high) = (0, slots(self.count));
        while low < high {
            let middle = (low + high).div_ceil(2);
            let (start, end) = element_at(self.elements, self.start(middle * STRIDE)?)?;
            if before(&self.elements[start..end])? { low = middle } else { high = middle - 1 }
        }
        let mut position = low * STRIDE;
        let mut at = self.start(position)?;
        let stop = self.count.min(position + STRIDE);
        while position < stop {
            let (start, end) = element_at(self.elements, at)?;
            if !before(&self.elements[start..end])? {
                break;
            }
            at = end;
            position += 1;
        }
        Ok(position)
    }

    /// Walks all elements. After the first error it ends.
    pub(crate) fn iter(&self) -> Elements<'b> {
        Elements { elements: self.elements, at: 0, left: self.count }
    }

    /// Walks from a position on; from a position past the end, over nothing.
    pub(crate) fn iter_from(&self, position: usize) -> Elements<'b> {
        match self.start(position.min(self.count)) {
            Ok(at) => Elements { elements: self.elements, at, left: self.count - position.min(self.count) },
            // The walk meets the same error and ends with it.
            Err(_) => Elements { elements: self.elements, at: self.elements.len(), left: 1 },
        }
    }

    /// True if the elements fill their place exactly and every slot points where it should: what every writer of this code leaves.
    pub(crate) fn check(&self) -> Result<(), CodecError> {
        let mut at = 0;
        for position in 0..self.count {
            if position % STRIDE == 0 && self.start(position)? != at {
                return Err(CodecError::BadField);
            }
            at = element_at(self.elements, at)?.1;
        }
        if at == self.elements.len() { Ok(()) } else { Err(CodecError::BadField) }
    }
}

/// The walk of [`Run::iter`].
#[derive(Clone, Debug)]
pub(crate) struct Elements<'b> {
    elements: &'b [u8],
    at: usize,
    left: usize,
}

impl<'b> Iterator for Elements<'b> {
    type Item = Result<&'b [u8], CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match element_at(self.elements, self.at) {
            Ok((start, end)) => {
                self.at = end;
                Some(Ok(&self.elements[start..end]))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

/// Appends a whole run to `into`: each element with its tag.
pub(crate) fn write<'e>(elements: impl Iterator<Item = (u8, &'e [u8])> + Clone, tagged: bool, into: &mut Vec<u8>) {
    let begin = into.len();
    let count = elements.clone().count();
    assert!(count <= RUN_COUNT_MAX, "a run of {count} elements");
    into.resize(begin + HEADER + 2 * slots(count), 0);
    put_header(&mut into[begin..], count, tagged);
    if tagged {
        into.extend(elements.clone().map(|(tag, _)| tag));
    }
    let first = into.len();
    for (position, (_, element)) in elements.enumerate() {
        if position > 0 && position % STRIDE == 0 {
            let at = into.len() - first;
            debug_assert!(at <= SLOT_REACH, "a run of many elements and {at} bytes");
            let slot = begin + HEADER + 2 * (position / STRIDE - 1);
            into[slot..slot + 2].copy_from_slice(&(at as u16).to_le_bytes());
        }
        put_varint(element.len() as u64, into);
        into.extend_from_slice(element);
    }
}

fn put_header(payload: &mut [u8], count: usize, tagged: bool) {
    let header = count as u16 | if tagged { TAGGED } else { 0 };
    payload[..HEADER].copy_from_slice(&header.to_le_bytes());
}

/// Puts `added` elements (at most one) in place of the `removed` ones that begin at `position`.
/// Nothing is changed if it does not fit.
pub(crate) fn splice(
    payload: &mut Vec<u8>,
    position: usize,
    removed: usize,
    added: Option<(u8, &[u8])>,
) -> Result<(), CodecError> {
    let run = Run::open(payload)?;
    let end = position.checked_add(removed).filter(|&end| end <= run.count).ok_or(CodecError::BadField)?;
    let from = run.start(position)?;
    let mut to = from;
    if removed == 1 {
        to = element_at(run.elements, from)?.1;
    } else if removed > 1 {
        to = run.start(end)?;
    }
    if to < from || to > run.elements.len() {
        return Err(CodecError::BadField);
    }
    let (count, tagged, old_elements) = (run.count, run.tagged, run.elements.len());
    let added_bytes = added.map_or(0, |(_, element)| stored_bytes(element.len()));
    let new_count = count - removed + usize::from(added.is_some());
    let new_elements = old_elements - (to - from) + added_bytes;
    if new_count > RUN_COUNT_MAX || (slots(new_count) > 0 && new_elements > SLOT_REACH) {
        return Err(CodecError::BadField);
    }
    // From the back to the front, so that offsets hold: elements, tags, slots.
    let tags_at = HEADER + 2 * slots(count);
    let first = tags_at + if tagged { count } else { 0 };
    resize_gap(payload, first + from, to - from, added_bytes);
    if let Some((_, element)) = added {
        let at = first + from;
        let start = at + added_bytes - element.len();
        put_varint_at(&mut payload[at..start], element.len() as u64);
        payload[start..at + added_bytes].copy_from_slice(element);
    }
    let kept_slots = slots(count).min(slots(new_count));
    if tagged {
        resize_gap(payload, tags_at + position, removed, usize::from(added.is_some()));
        if let Some((tag, _)) = added {
            payload[tags_at + position] = tag;
        }
    }
    if slots(new_count) != slots(count) {
        let at = HEADER + 2 * kept_slots;
        resize_gap(payload, at, 2 * (slots(count) - kept_slots), 2 * (slots(new_count) - kept_slots));
    }
    put_header(payload, new_count, tagged);
    // A slot that is new holds nothing yet, even if what it points to did not move.
    put_slots(payload, new_count, tagged, (position / STRIDE).min(slots(count)));
    Ok(())
}

/// Writes the slots from `group` on anew. An element that lies ends it: the rest stays what it was.
fn put_slots(payload: &mut [u8], count: usize, tagged: bool, group: usize) {
    let (front, rest) = payload.split_at_mut(HEADER + 2 * slots(count));
    let elements = rest.get(if tagged { count } else { 0 }..).unwrap_or(&[]);
    let slots = front[HEADER..].as_chunks_mut::<2>().0;
    let mut at =
        if group == 0 { 0 } else { slots.get(group - 1).map_or(0, |slot| usize::from(u16::from_le_bytes(*slot))) };
    for slot in slots.iter_mut().skip(group) {
        for _ in 0..STRIDE {
            match element_at(elements, at) {
                Ok((_, end)) => at = end,
                Err(_) => return,
            }
        }
        *slot = (at as u16).to_le_bytes();
    }
}

/// Writes a varint that is exactly as long as `into`.
fn put_varint_at(into: &mut [u8], mut value: u64) {
    let last = into.len() - 1;
    for byte in &mut into[..last] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    into[last] = value as u8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run_of(elements: &[(u8, Vec<u8>)], tagged: bool) -> Vec<u8> {
        let mut payload = Vec::new();
        write(elements.iter().map(|(tag, element)| (*tag, &element[..])), tagged, &mut payload);
        payload
    }

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let payload = run_of(&[(0x41, b"foo".to_vec()), (0x7A, b"x".to_vec())], true);
        assert_eq!(payload, [0x02, 0x40, 0x41, 0x7A, 3, b'f', b'o', b'o', 1, b'x']);
        assert_eq!(run_of(&[], true), EMPTY_TAGGED);
        assert_eq!(run_of(&[], false), EMPTY);
        let nine: Vec<(u8, Vec<u8>)> = (0..9).map(|n| (n, vec![n; 2])).collect();
        let payload = run_of(&nine, false);
        assert_eq!(payload[2..4], 24u16.to_le_bytes(), "element 8 begins after eight of three bytes");
    }

    #[test]
    fn one_element_may_be_larger_than_slots_reach() {
        let large = vec![7; 100_000];
        let mut payload = EMPTY_TAGGED.to_vec();
        splice(&mut payload, 0, 0, Some((1, &large))).unwrap();
        assert_eq!(Run::open(&payload).unwrap().get(0).unwrap(), large);
        for n in 1..8 {
            splice(&mut payload, n, 0, Some((1, b"small"))).unwrap();
        }
        let before = payload.clone();
        assert_eq!(splice(&mut payload, 8, 0, Some((1, b"small"))), Err(CodecError::BadField));
        assert_eq!(payload, before, "a refused edit leaves the bytes alone");
    }

    proptest! {
        #[test]
        fn edits_in_place_equal_a_run_written_anew(
            tagged in any::<bool>(),
            steps in proptest::collection::vec((any::<u16>(), any::<u8>(), 0usize..12, proptest::option::of(0usize..200)), 1..60),
        ) {
            let mut model: Vec<(u8, Vec<u8>)> = Vec::new();
            let mut payload = run_of(&model, tagged);
            for (place, tag, removed, added) in steps {
                let position = usize::from(place) % (model.len() + 1);
                let removed = removed.saturating_sub(8).min(model.len() - position);
                let element = added.map(|length| vec![tag; length]);
                splice(&mut payload, position, removed, element.as_deref().map(|element| (tag, element))).unwrap();
                model.splice(position..position + removed, element.map(|element| (tag, element)));
                prop_assert_eq!(&payload, &run_of(&model, tagged));
                let run = Run::open(&payload).unwrap();
                run.check().unwrap();
                prop_assert_eq!(run.bytes(), payload.len());
                for (position, (tag, element)) in model.iter().enumerate() {
                    prop_assert_eq!(run.get(position).unwrap(), &element[..]);
                    let first = model.iter().position(|(t, e)| (t == tag || !tagged) && e == element).unwrap();
                    let found = run.find(*tag, |other| Ok(other == &element[..])).unwrap();
                    prop_assert_eq!(found, Some((first, &element[..])));
                }
                let all: Vec<&[u8]> = run.iter().map(Result::unwrap).collect();
                prop_assert_eq!(all, model.iter().map(|(_, element)| &element[..]).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_run_in_order_is_halved(numbers in proptest::collection::vec(0u8..200, 0..100), wanted in 0u8..210) {
            let mut numbers = numbers;
            numbers.sort_unstable();
            let elements: Vec<(u8, Vec<u8>)> = numbers.iter().map(|&n| (0, vec![n; 1 + usize::from(n) % 5])).collect();
            let payload = run_of(&elements, false);
            let found = Run::open(&payload).unwrap().partition(|element| Ok(element[0] < wanted)).unwrap();
            prop_assert_eq!(found, numbers.partition_point(|&n| n < wanted));
        }

        #[test]
        fn foreign_bytes_never_panic(
            mut bytes in proptest::collection::vec(prop_oneof![0u8..20, any::<u8>()], 0..200),
            count in 0u8..40, tagged in any::<bool>(), position in 0usize..50, removed in 0usize..20,
        ) {
            if let Some(first) = bytes.first_chunk_mut::<2>() {
                *first = [count, if tagged { 0x40 } else { 0 }];
            }
            if let Ok(run) = Run::open(&bytes) {
                for position in 0..run.len() + 2 {
                    let _ = run.get(position);
                }
                let _ = run.find(3, |element| Ok(element.is_empty()));
                prop_assert!(run.iter().count() <= run.len());
                let _ = run.check();
                let _ = run.partition(|element| Ok(element.len() < 3));
            }
            let before = bytes.clone();
            if splice(&mut bytes, position, removed, Some((1, b"new"))).is_err() {
                prop_assert_eq!(&bytes, &before);
            }
        }
    }
}
