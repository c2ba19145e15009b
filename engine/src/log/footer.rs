//! The footer of a sealed segment: what is in it, without reading it. It ends at the segment's end.
//!
//! ```text
//!  entries: 28 bytes each, in order of offset
//!    | hash 96 bit (12) | offset u32 | len u32 | seq - min seq u32 | kind u8 | flags u8 | space index u16 |
//!  expiries: u64 for each entry with the expiry flag, in order
//!  spaces:   u32 each
//!  trailer (last 64 bytes of the segment):
//!    | crc u32 | "TCFT" | epoch u32 | count u32 | min seq u64 | max seq u64 | expiries u32 | spaces u32 | stream u8 .. | store u32 | 0 |
//!  crc   over entries, expiries, spaces and the trailer's bytes 4..64, seeded with the address of the trailer
//! ```
//! Kept once: a footer that fails its checksum is rebuilt from the records themselves (docs/decisions/0002).
//!
//! Promises: written only when every chunk of its segment is durable. Never: believed for another epoch.

use super::record::{Address, FLAG_EXPIRY, RecordKind, Seq, u32_at, u64_at};
use crate::change::SpaceId;
use crate::hash::KeyHash;

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 28;
/// Bytes of the trailer.
pub const TRAILER_BYTES: usize = 64;
const MAGIC: [u8; 4] = *b"TCFT";
const _: () = assert!(ENTRY_BYTES == 12 + 4 + 4 + 4 + 1 + 1 + 2);

/// One record as a footer knows it.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Entry {
    /// Hash of the key.
    pub hash: KeyHash,
    /// Byte offset in the segment.
    pub offset: u32,
    /// Bytes without padding.
    pub bytes: u32,
    /// Order in the log.
    pub seq: Seq,
    /// What it says.
    pub kind: RecordKind,
    /// Group and expiry flags.
    pub flags: u8,
    /// Space of the key.
    pub space: SpaceId,
    /// Expiry in Unix milliseconds.
    pub expiry: Option<u64>,
}

/// Entries of one block of a builder: blocks of one size, because a vector that doubles leaves holes in the heap.
const ENTRIES_PER_BLOCK: usize = 1024;

/// Collects the entries of an open segment and writes the footer.
#[derive(Default)]
pub struct FooterBuilder {
    blocks: Vec<Vec<u8>>,
    count: usize,
    expiries: Vec<u8>,
    spaces: Vec<SpaceId>,
    min_seq: Seq,
    max_seq: Seq,
}

impl FooterBuilder {
    /// Bytes the footer would take with one more entry.
    pub fn bytes_with_one_more(&self) -> usize {
        self.count * ENTRY_BYTES + ENTRY_BYTES + self.expiries.len() + 8 + 4 * (self.spaces.len() + 1) + TRAILER_BYTES
    }

    /// Bytes the footer takes.
    pub fn bytes(&self) -> usize {
        self.count * ENTRY_BYTES + self.expiries.len() + 4 * self.spaces.len() + TRAILER_BYTES
    }

    /// Entries so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// No entries yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Can this entry be added (its seq within 32 bits of the others, its space among 65,536)?
    pub fn fits(&self, seq: Seq, space: SpaceId) -> bool {
        let span = self.max_seq.max(seq) - self.min_seq.min(seq);
        self.is_empty()
            || (span < u64::from(u32::MAX)
                && (self.spaces.len() < usize::from(u16::MAX) || self.spaces.contains(&space)))
    }

    /// The entries with an expiry in one block; `before` of them are in earlier blocks. `None`: there is no such block.
    pub fn expiring(&self, block: usize, before: usize) -> Option<Vec<Entry>> {
        let entries = self.blocks.get(block)?.chunks_exact(ENTRY_BYTES).filter(|e| e[25] & FLAG_EXPIRY != 0);
        let expiries = self.expiries[before * 8..].chunks_exact(8);
        let decoded = entries.zip(expiries).filter_map(|(from, expiry)| {
            let mut hash = [0; 12];
            hash.copy_from_slice(&from[..12]);
            Some(Entry {
                hash: KeyHash::from_footer(hash),
                offset: u32_at(from, 12),
                bytes: u32_at(from, 16),
                seq: self.min_seq + u64::from(u32_at(from, 20)),
                kind: RecordKind::from_number(from[24])?,
                flags: from[25],
                space: self.spaces[usize::from(u16::from_le_bytes([from[26], from[27]]))],
                expiry: Some(u64_at(expiry, 0)),
            })
        });
        Some(decoded.collect())
    }

    /// Adds a record. The seqs are rebased when the footer is written.
    pub fn push(&mut self, entry: &Entry) {
        if self.is_empty() {
            self.min_seq = entry.seq;
            self.max_seq = entry.seq;
        }
        if entry.seq < self.min_seq {
            let shift = (self.min_seq - entry.seq) as u32;
            for entry in self.blocks.iter_mut().flat_map(|b| b.chunks_exact_mut(ENTRY_BYTES)) {
                let delta = u32_at(entry, 20) + shift;
                entry[20..24].copy_from_slice(&delta.to_le_bytes());
            }
            self.min_seq = entry.seq;
        }
        self.max_seq = self.max_seq.max(entry.seq);
        let space = match self.spaces.iter().position(|&s| s == entry.space) {
            Some(index) => index,
            None => {
                self.spaces.push(entry.space);
                self.spaces.len() - 1
            }
        };
        if self.count.is_multiple_of(ENTRIES_PER_BLOCK) {
            self.blocks.push(Vec::with_capacity(ENTRIES_PER_BLOCK * ENTRY_BYTES));
        }
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..12].copy_from_slice(&entry.hash.footer());
        bytes[12..16].copy_from_slice(&entry.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&entry.bytes.to_le_bytes());
        bytes[20..24].copy_from_slice(&((entry.seq - self.min_seq) as u32).to_le_bytes());
        bytes[24] = entry.kind.number();
        bytes[25] = entry.flags | if entry.expiry.is_some() { FLAG_EXPIRY } else { 0 };
        bytes[26..].copy_from_slice(&(space as u16).to_le_bytes());
        if let Some(block) = self.blocks.last_mut() {
            block.extend_from_slice(&bytes);
        }
        self.count += 1;
        if let Some(expiry) = entry.expiry {
            self.expiries.extend_from_slice(&expiry.to_le_bytes());
        }
    }

    /// The footer's bytes; they go to the end of the segment. `end` is the address of the segment's end.
    pub fn encode(&self, end: Address, stream: u8) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes());
        self.blocks.iter().for_each(|b| out.extend_from_slice(b));
        out.extend_from_slice(&self.expiries);
        for space in &self.spaces {
            out.extend_from_slice(&space.0.to_le_bytes());
        }
        let at = out.len();
        out.resize(at + TRAILER_BYTES, 0);
        let trailer = &mut out[at..];
        trailer[4..8].copy_from_slice(&MAGIC);
        trailer[8..12].copy_from_slice(&end.epoch.to_le_bytes());
        trailer[12..16].copy_from_slice(&(self.len() as u32).to_le_bytes());
        trailer[16..24].copy_from_slice(&self.min_seq.to_le_bytes());
        trailer[24..32].copy_from_slice(&self.max_seq.to_le_bytes());
        trailer[32..36].copy_from_slice(&((self.expiries.len() / 8) as u32).to_le_bytes());
        trailer[36..40].copy_from_slice(&(self.spaces.len() as u32).to_le_bytes());
        trailer[40] = stream;
        trailer[44..48].copy_from_slice(&end.store.to_le_bytes());
        let mut crc = end.at(end.offset - TRAILER_BYTES as u32).crc();
        crc.update(&out[..at]);
        crc.update(&out[at + 4..]);
        let crc = crc.finalize();
        out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// log2 of the grain that keeps the values of a segment apart: the largest power of two that is no larger than any.
pub fn grain_shift(entries: impl Iterator<Item = Entry>, segment_bytes: u32) -> u8 {
    let values = entries.filter(|e| e.kind.is_value());
    let smallest = values.map(|e| super::record::padded(e.bytes as usize) as u32).min().unwrap_or(segment_bytes);
    smallest.clamp(super::record::ALIGN_BYTES as u32, segment_bytes).ilog2() as u8
}

/// A decoded footer.
#[derive(Clone, Debug, Default)]
pub struct Footer {
    /// Its records in order of offset.
    pub entries: Vec<Entry>,
    /// The stream of the segment.
    pub stream: u8,
}

/// The trailer's claims: (epoch, whole footer bytes), unproven until [`decode`] has checked all of it.
pub fn peek(trailer: &[u8]) -> Option<(u32, usize)> {
    if trailer.len() != TRAILER_BYTES || trailer[4..8] != MAGIC {
        return None;
    }
    let count = u32_at(trailer, 12) as usize;
    let bytes = count.checked_mul(ENTRY_BYTES)?
        + u32_at(trailer, 32) as usize * 8
        + u32_at(trailer, 36) as usize * 4
        + TRAILER_BYTES;
    (bytes <= crate::options::SEGMENT_BYTES_MAX as usize).then_some((u32_at(trailer, 8), bytes))
}

/// The epoch of a whole footer (its last byte is the segment's last) whose checksum holds. `end` carries store and segment; its
/// epoch is ignored.
pub fn check(end: Address, from: &[u8]) -> Option<u32> {
    let at = from.len().checked_sub(TRAILER_BYTES)?;
    let trailer = &from[at..];
    let (epoch, bytes) = peek(trailer)?;
    if bytes != from.len() {
        return None;
    }
    let mut crc = Address { epoch, ..end }.at(end.offset - TRAILER_BYTES as u32).crc();
    crc.update(&from[..at]);
    crc.update(&trailer[4..]);
    (crc.finalize() == u32_at(trailer, 0)).then_some(epoch)
}

/// The numbers that are a kind of record.
static IS_KIND: [bool; 256] = {
    let (mut is_kind, mut number) = ([false; 256], 0);
    while number < is_kind.len() {
        is_kind[number] = RecordKind::from_number(number as u8).is_some();
        number += 1;
    }
    is_kind
};

/// A whole footer whose checksum holds and whose entries make sense, where it was read: nothing is copied.
#[derive(Copy, Clone)]
pub struct Stored<'b> {
    /// The epoch of its segment.
    pub epoch: u32,
    /// The stream of its segment.
    pub stream: u8,
    entries: &'b [[u8; ENTRY_BYTES]],
    expiries: &'b [[u8; 8]],
    spaces: &'b [[u8; 4]],
    min_seq: Seq,
}

impl<'b> Stored<'b> {
    /// The footer in these bytes, the last of which is the segment's last. `end` carries store and segment; its epoch is ignored.
    pub fn read(end: Address, from: &'b [u8]) -> Option<Stored<'b>> {
        let epoch = check(end, from)?;
        let (rest, trailer) = from.split_at(from.len() - TRAILER_BYTES);
        let (entries, rest) = rest.split_at_checked(u32_at(trailer, 12) as usize * ENTRY_BYTES)?;
        let (expiries, spaces) = rest.split_at_checked(u32_at(trailer, 32) as usize * 8)?;
        let stored = Stored {
            epoch,
            stream: trailer[40],
            entries: entries.as_chunks().0,
            expiries: expiries.as_chunks().0,
            spaces: spaces.as_chunks().0,
            min_seq: u64_at(trailer, 16),
        };
        stored.makes_sense().then_some(stored)
    }

    fn makes_sense(&self) -> bool {
        let (mut sound, mut expiring) = (true, 0);
        for entry in self.entries {
            expiring += usize::from(entry[25] & FLAG_EXPIRY);
            sound &= IS_KIND[usize::from(entry[24])] & (usize::from(space_of(entry)) < self.spaces.len());
        }
        sound && expiring <= self.expiries.len()
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// It has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its records in order of offset.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'b> {
        let (mut expiries, spaces, min_seq) = (self.expiries.iter(), self.spaces, self.min_seq);
        self.entries.iter().filter_map(move |from| {
            let expiry = if from[25] & FLAG_EXPIRY != 0 { Some(u64_at(expiries.next()?, 0)) } else { None };
            Some(Entry {
                hash: hash_of(from),
                offset: u32_at(from, 12),
                bytes: u32_at(from, 16),
                seq: min_seq + u64::from(u32_at(from, 20)),
                kind: RecordKind::from_number(from[24])?,
                flags: from[25],
                space: SpaceId(u32_at(&spaces[usize::from(space_of(from))], 0)),
                expiry,
            })
        })
    }

    fn facts(&self, at: usize) -> (KeyHash, u32, Seq) {
        let entry = &self.entries[at];
        (hash_of(entry), u32_at(entry, 16), self.min_seq + u64::from(u32_at(entry, 20)))
    }

    /// Hash, length and seq of the record at an offset: what [`Stored::find_all`] is compared with.
    #[cfg(test)]
    fn find(&self, offset: u32) -> Option<(KeyHash, u32, Seq)> {
        let at = self.entries.binary_search_by_key(&offset, |entry| u32_at(entry, 12)).ok()?;
        Some(self.facts(at))
    }

    /// Hash, length and seq of the records at these offsets, which ascend; `None` where there is none.
    pub fn find_all(&self, offsets: impl Iterator<Item = u32>, mut found: impl FnMut(Option<(KeyHash, u32, Seq)>)) {
        let mut from = 0;
        for offset in offsets {
            // Where they are many the next is near: the step doubles until it is passed.
            let (mut step, mut to) = (1, from);
            while to < self.entries.len() && u32_at(&self.entries[to], 12) < offset {
                from = to;
                to += step;
                step *= 2;
            }
            let near = &self.entries[from..self.entries.len().min(to + 1)];
            match near.binary_search_by_key(&offset, |entry| u32_at(entry, 12)) {
                Ok(at) => {
                    from += at;
                    found(Some(self.facts(from)));
                }
                Err(at) => {
                    from += at;
                    found(None);
                }
            }
        }
    }
}

fn hash_of(entry: &[u8; ENTRY_BYTES]) -> KeyHash {
    let mut hash = [0; 12];
    hash.copy_from_slice(&entry[..12]);
    KeyHash::from_footer(hash)
}

fn space_of(entry: &[u8; ENTRY_BYTES]) -> u16 {
    u16::from_le_bytes([entry[26], entry[27]])
}

/// Decodes a whole footer. `end` as for [`check`].
pub fn decode(end: Address, from: &[u8]) -> Option<(u32, Footer)> {
    let stored = Stored::read(end, from)?;
    Some((stored.epoch, Footer { entries: stored.entries().collect(), stream: stored.stream }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thermocline_value::Kind;

    #[test]
    fn a_footer_comes_back_and_a_flipped_bit_is_seen() {
        let mut builder = FooterBuilder::default();
        let entry = |seq: u64, expiry| Entry {
            hash: KeyHash(u128::from(seq) << 64),
            offset: seq as u32 * 64,
            bytes: 50,
            seq,
            kind: RecordKind::Value(Kind::String),
            flags: if expiry == Some(1) { FLAG_EXPIRY } else { 0 },
            space: SpaceId(seq as u32 % 3),
            expiry,
        };
        let want = [entry(100, None), entry(101, Some(1)), entry(90, None), entry(5000, Some(1))];
        for e in &want {
            builder.push(e);
        }
        let end = Address { store: 1, segment: 2, epoch: 3, offset: 65536 };
        let bytes = builder.encode(end, 1);
        assert_eq!(bytes.len(), builder.bytes());
        let (epoch, back) = decode(end, &bytes).unwrap();
        assert_eq!((epoch, back.stream, back.entries.as_slice()), (3, 1, &want[..]));
        let sorted = [want[2], want[0], want[1], want[3]];
        let mut in_order = FooterBuilder::default();
        sorted.iter().for_each(|e| in_order.push(e));
        let raw = in_order.encode(end, 1);
        let stored = Stored::read(end, &raw).unwrap();
        assert_eq!(stored.entries().collect::<Vec<_>>(), sorted);
        for e in &sorted {
            assert_eq!(stored.find(e.offset), Some((e.hash, e.bytes, e.seq)));
        }
        assert_eq!(stored.find(17), None);
        // Any ascending choice of offsets, there or not, is found as one by one.
        let offsets: Vec<u32> = sorted.iter().flat_map(|e| [e.offset - 16, e.offset]).collect();
        for choice in 0u32..1 << offsets.len() {
            let chosen =
                || offsets.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1).map(|(_, &offset)| offset);
            let mut found = Vec::new();
            stored.find_all(chosen(), |one| found.push(one));
            assert_eq!(found, chosen().map(|offset| stored.find(offset)).collect::<Vec<_>>(), "{choice:b}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(decode(end, &bad).is_none(), "byte {at}");
        }
    }
}
