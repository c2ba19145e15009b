//! A hot object in its cell.
//!
//! ```text
//!  0        5      6
//!  | place 5 | flags | space varint | key length varint | value length varint | [expiry u64] | key | payload |
//!  place  of this very version on the SSD, 16-byte units; 0 = the SSD has no copy (dirty)
//!  flags  bits 0..5 kind, 32 has expiry, 64 has deltas (the place is that of an older version: delta.rs), 128 in the main queue
//! ```
//! A 16-byte key with a 100-byte value: 6 + 1 + 1 + 1 = 9 bytes of header.
//!
//! Promises: what was written is read back. Never: bytes that reach the disk (this layout may change with any version).

use crate::change::{Kind, SpaceId};
use crate::place::Place;

const FLAG_EXPIRY: u8 = 32;
const FLAG_DELTAS: u8 = 64;
const FLAG_MAIN: u8 = 128;
const KIND_MASK: u8 = 31;
const PLACE_MASK: u64 = (1 << 40) - 1;

/// What a cell holds.
#[derive(Copy, Clone, Debug)]
pub struct Cell<'c> {
    /// Where this version lies on the SSD.
    pub place: Place,
    /// Kind of the value.
    pub kind: Kind,
    /// In the policy's main queue.
    pub main: bool,
    /// The version at `place` is older: what has changed since is in deltas.
    pub deltas: bool,
    /// Space of the key.
    pub space: SpaceId,
    /// Expiry in Unix milliseconds.
    pub expiry: Option<u64>,
    /// The key.
    pub key: &'c [u8],
    /// The payload.
    pub payload: &'c [u8],
}

#[inline]
fn varint_bytes(value: u64) -> usize {
    if value < 128 { 1 } else { (64 - value.leading_zeros() as usize).div_ceil(7) }
}

#[inline]
fn put_varint(into: &mut [u8], at: &mut usize, mut value: u64) {
    while value >= 128 {
        into[*at] = value as u8 | 128;
        *at += 1;
        value >>= 7;
    }
    into[*at] = value as u8;
    *at += 1;
}

#[inline]
fn get_varint(from: &[u8], at: &mut usize) -> u64 {
    let first = from[*at];
    *at += 1;
    if first < 128 {
        return u64::from(first);
    }
    let (mut value, mut shift) = (u64::from(first & 127), 7);
    loop {
        let byte = from[*at];
        *at += 1;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return value;
        }
        shift += 7;
    }
}

/// Bytes a cell needs.
#[inline]
pub fn cell_bytes(space: SpaceId, key: usize, payload: usize, expiry: bool) -> usize {
    6 + varint_bytes(u64::from(space.0))
        + varint_bytes(key as u64)
        + varint_bytes(payload as u64)
        + if expiry { 8 } else { 0 }
        + key
        + payload
}

/// What a commit must know of an object that it replaces.
#[derive(Copy, Clone, Debug)]
pub struct Outline {
    /// Where this version lies on the SSD.
    pub place: Place,
    /// Kind of the value.
    pub kind: Kind,
    /// Expiry in Unix milliseconds.
    pub expiry: Option<u64>,
    /// Length of the payload.
    pub payload_bytes: usize,
}

impl Cell<'_> {
    /// Its outline.
    #[inline]
    pub fn outline(&self) -> Outline {
        Outline { place: self.place, kind: self.kind, expiry: self.expiry, payload_bytes: self.payload.len() }
    }
}

/// Writes an object into its cell.
#[inline]
pub fn write(into: &mut [u8], cell: &Cell<'_>) {
    into[..5].copy_from_slice(&cell.place.bits().to_le_bytes()[..5]);
    into[5] =
        cell.kind as u8 | if cell.expiry.is_some() { FLAG_EXPIRY } else { 0 } | if cell.main { FLAG_MAIN } else { 0 };
    into[5] |= if cell.deltas { FLAG_DELTAS } else { 0 };
    let mut at = 6;
    put_varint(into, &mut at, u64::from(cell.space.0));
    put_varint(into, &mut at, cell.key.len() as u64);
    put_varint(into, &mut at, cell.payload.len() as u64);
    if let Some(expiry) = cell.expiry {
        into[at..at + 8].copy_from_slice(&expiry.to_le_bytes());
        at += 8;
    }
    into[at..at + cell.key.len()].copy_from_slice(cell.key);
    at += cell.key.len();
    into[at..at + cell.payload.len()].copy_from_slice(cell.payload);
}

/// Reads an object.
#[inline(always)]
pub fn read(from: &[u8]) -> Cell<'_> {
    let flags = from[5];
    let (mut at, space, key_bytes, payload_bytes) = match *from {
        // Nearly every cell: a space, a key and a value with short numbers.
        [_, _, _, _, _, _, space @ ..128, key @ ..128, value @ ..128, ..] => {
            (9, u32::from(space), usize::from(key), usize::from(value))
        }
        [_, _, _, _, _, _, space @ ..128, key @ ..128, low, high @ ..128, ..] => {
            (10, u32::from(space), usize::from(key), usize::from(low & 127) | usize::from(high) << 7)
        }
        _ => long_numbers(from),
    };
    let expiry = if flags & FLAG_EXPIRY != 0 {
        at += 8;
        Some(crate::log::record::u64_at(from, at - 8))
    } else {
        None
    };
    let (key, rest) = from[at..].split_at(key_bytes);
    Cell {
        place: place(from),
        kind: Kind::from_number(flags & KIND_MASK).expect("a cell in use has a kind"),
        main: flags & FLAG_MAIN != 0,
        deltas: flags & FLAG_DELTAS != 0,
        space: SpaceId(space),
        expiry,
        key,
        payload: &rest[..payload_bytes],
    }
}

/// Where the key of a cell with long numbers begins, and the numbers: space, bytes of key and payload.
#[cold]
#[inline(never)]
fn long_numbers(from: &[u8]) -> (usize, u32, usize, usize) {
    let mut at = 6;
    let space = get_varint(from, &mut at) as u32;
    let key_bytes = get_varint(from, &mut at) as usize;
    let payload_bytes = get_varint(from, &mut at) as usize;
    (at, space, key_bytes, payload_bytes)
}

/// The payload of a node with this name, if this is its cell: the short way of [`read`] for a key whose length is known and that
/// never expires.
#[inline]
pub fn node_payload<'c, const N: usize>(from: &'c [u8], name: &[u8; N]) -> Option<&'c [u8]> {
    const { assert!(N < 128) };
    let (at, payload_bytes) = match *from {
        [_, _, _, _, _, flags, (..128), key, value @ ..128, ..] if key == N as u8 && flags & FLAG_EXPIRY == 0 => {
            (9, usize::from(value))
        }
        [_, _, _, _, _, flags, (..128), key, low, high @ ..128, ..] if key == N as u8 && flags & FLAG_EXPIRY == 0 => {
            (10, usize::from(low & 127) | usize::from(high) << 7)
        }
        _ => {
            let cell = read(from);
            return (cell.key == name).then_some(cell.payload);
        }
    };
    let rest = from.get(at..at + N + payload_bytes)?;
    let (key, payload) = rest.split_first_chunk::<N>()?;
    (key == name).then_some(payload)
}

/// The place in a cell.
#[inline]
pub fn place(from: &[u8]) -> Place {
    let word = from.first_chunk().expect("a cell has a head");
    Place::from_bits(u64::from_le_bytes(*word) & PLACE_MASK)
}

/// Changes the place in a cell.
pub fn set_place(into: &mut [u8], place: Place) {
    into[..5].copy_from_slice(&place.bits().to_le_bytes()[..5]);
}

/// Changes the place in a cell, and whether the version there is an older one.
pub fn set_version(into: &mut [u8], place: Place, deltas: bool) {
    set_place(into, place);
    into[5] = into[5] & !FLAG_DELTAS | if deltas { FLAG_DELTAS } else { 0 };
}

/// The payload in a cell, to change where it lies.
pub fn payload_mut(into: &mut [u8]) -> &mut [u8] {
    let cell = read(into);
    let at = cell.payload.as_ptr().addr() - into.as_ptr().addr();
    let bytes = cell.payload.len();
    &mut into[at..at + bytes]
}

/// The place in a cell is that of its very version again.
pub fn clear_deltas(into: &mut [u8]) {
    into[5] &= !FLAG_DELTAS;
}

/// Whether a cell's object is in the main queue.
#[inline]
pub fn is_main(from: &[u8]) -> bool {
    from[5] & FLAG_MAIN != 0
}

/// Moves a cell's object to the main queue.
pub fn set_main(into: &mut [u8]) {
    into[5] |= FLAG_MAIN;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_comes_back_as_it_was() {
        for (key, payload, expiry) in [(16usize, 100usize, None), (200, 0, Some(77)), (3, 70_000, Some(u64::MAX))] {
            let (key, payload) = (vec![7; key], vec![9; payload]);
            let cell = Cell {
                place: Place::from_bits(0xAB_CDEF_0123),
                kind: Kind::String,
                main: expiry.is_some(),
                deltas: payload.is_empty(),
                space: SpaceId(300),
                expiry,
                key: &key,
                payload: &payload,
            };
            let bytes = cell_bytes(cell.space, key.len(), payload.len(), expiry.is_some());
            let mut into = vec![0; bytes];
            write(&mut into, &cell);
            let back = read(&into);
            assert_eq!(
                (back.place, back.main, back.space, back.expiry),
                (cell.place, cell.main, cell.space, cell.expiry)
            );
            assert_eq!((back.key, back.payload), (cell.key, cell.payload));
        }
    }

    #[test]
    fn both_ways_to_read_a_node_agree() {
        for (space, payload, expiry) in
            [(1, 5usize, None), (1, 300, None), (1, 20_000, None), (300, 5, None), (1, 5, Some(7))]
        {
            let payload = vec![9; payload];
            let key = *b"fourteen bytes";
            let cell = Cell {
                place: Place::NONE,
                kind: Kind::HashNode,
                main: false,
                deltas: false,
                space: SpaceId(space),
                expiry,
                key: &key,
                payload: &payload,
            };
            let mut into = vec![0; cell_bytes(cell.space, key.len(), payload.len(), expiry.is_some()) + 30];
            write(&mut into, &cell);
            assert_eq!(node_payload(&into, &key), Some(&payload[..]));
            assert_eq!(node_payload(&into, b"other fourteen"), None);
            assert_eq!(payload_mut(&mut into), payload);
        }
    }

    #[test]
    fn a_small_object_has_nine_bytes_of_header() {
        assert_eq!(cell_bytes(SpaceId(0), 16, 100, false), 16 + 100 + 9);
    }
}
