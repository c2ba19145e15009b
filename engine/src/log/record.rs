//! A record: the one form in which anything reaches the SSD.
//!
//! ```text
//!  0         4         8               14   15   16        20        24
//!  | crc u32 | len u32 | seq 48 bit    |kind|flag|space u32|keylen   | [expiry u64] | key | payload | zeros to 16
//!  crc    CRC-32 (IEEE) over bytes 4..len, seeded with (store id, segment, epoch, offset): a stale or misdirected block fails
//!  len    header + expiry + key + payload, without the padding; 0 is invalid (zeros end a chunk)
//!  seq    order of the log; a moved record keeps its seq
//!  kind   1..63 a value of that `Kind`; 64.. see `RecordKind`
//!  flags  1 has expiry, 2 first of its group, 4 last of its group, 8 payload compressed
//! ```
//! Little-endian. Records are 16-byte aligned. Header 24 bytes.
//!
//! Promises: what [`decode`] returns was written at exactly this place in this epoch. Never: a record served unchecked.

use crate::change::SpaceId;
use thermocline_value::Kind;

/// Bytes before the expiry or key.
pub const HEADER_BYTES: usize = 24;
/// Alignment of records.
pub const ALIGN_BYTES: usize = 16;
/// The smallest record in a chunk: a header, and something.
pub const RECORD_BYTES_MIN: usize = 32;
const _: () = assert!(HEADER_BYTES == 4 + 4 + 6 + 1 + 1 + 4 + 4);

/// The record carries an expiry.
pub const FLAG_EXPIRY: u8 = 1;
/// First record of its group.
pub const FLAG_FIRST: u8 = 2;
/// Last record of its group.
pub const FLAG_LAST: u8 = 4;
/// Flags this version knows.
pub const FLAGS_KNOWN: u8 = FLAG_EXPIRY | FLAG_FIRST | FLAG_LAST;

/// Sequence number of the log: 48 bits.
pub type Seq = u64;

/// What a record says. Numbers reach the disk: explicit, append-only.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum RecordKind {
    /// A full version of a value (1..=63).
    Value(Kind),
    /// The key is gone (64).
    Tombstone,
    /// The logical-to-space map, whole (65): payload = space id u32 per database.
    Spaces,
    /// Extents of a value not yet committed (66): payload = id u64, extents u32.
    Intent,
    /// The value of that intent is committed (67): payload = id u64.
    Committed,
    /// The extents of a removed value are to be cleared (68): payload = id u64, extents u32.
    Sweep,
    /// They are cleared (69): payload = id u64.
    Swept,
    /// Edits of nodes of one collection (70): payload in delta.rs.
    Delta,
}

impl RecordKind {
    /// The number on disk.
    pub fn number(self) -> u8 {
        match self {
            RecordKind::Value(kind) => kind as u8,
            RecordKind::Tombstone => 64,
            RecordKind::Spaces => 65,
            RecordKind::Intent => 66,
            RecordKind::Committed => 67,
            RecordKind::Sweep => 68,
            RecordKind::Swept => 69,
            RecordKind::Delta => 70,
        }
    }

    /// The kind of a number, if this version knows it.
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            64 => RecordKind::Tombstone,
            65 => RecordKind::Spaces,
            66 => RecordKind::Intent,
            67 => RecordKind::Committed,
            68 => RecordKind::Sweep,
            69 => RecordKind::Swept,
            70 => RecordKind::Delta,
            n => match Kind::from_number(n) {
                Some(kind) => RecordKind::Value(kind),
                None => return None,
            },
        })
    }

    /// May a slot name it?
    pub fn is_value(self) -> bool {
        matches!(self, RecordKind::Value(_))
    }
}

/// Where a record lies, for its checksum.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash)]
pub struct Address {
    /// The store's id (superblock).
    pub store: u32,
    /// Segment number.
    pub segment: u32,
    /// The segment's epoch.
    pub epoch: u32,
    /// Byte offset in the segment.
    pub offset: u32,
}

impl Address {
    /// A checksum started with the address.
    pub fn crc(self) -> crc32fast::Hasher {
        let mut seed = [0; 16];
        seed[..4].copy_from_slice(&self.store.to_le_bytes());
        seed[4..8].copy_from_slice(&self.segment.to_le_bytes());
        seed[8..12].copy_from_slice(&self.epoch.to_le_bytes());
        seed[12..].copy_from_slice(&self.offset.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&seed);
        crc
    }

    /// The same segment at another offset.
    pub fn at(self, offset: u32) -> Self {
        Address { offset, ..self }
    }
}

/// What is to be written.
#[derive(Copy, Clone, Debug)]
pub struct Record<'r> {
    /// What it says.
    pub kind: RecordKind,
    /// Order in the log.
    pub seq: Seq,
    /// [`FLAG_FIRST`] and [`FLAG_LAST`]; the expiry flag is set from `expiry`.
    pub group: u8,
    /// Space of the key.
    pub space: SpaceId,
    /// Expiry in Unix milliseconds.
    pub expiry: Option<u64>,
    /// The key.
    pub key: &'r [u8],
    /// The payload.
    pub payload: &'r [u8],
}

/// Bytes of a record without padding.
pub fn record_bytes(key: usize, payload: usize, expiry: bool) -> usize {
    HEADER_BYTES + if expiry { 8 } else { 0 } + key + payload
}

/// Bytes a record takes in a chunk.
pub fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN_BYTES)
}

impl<'r> Record<'r> {
    /// Bytes without padding.
    pub fn bytes(&self) -> usize {
        record_bytes(self.key.len(), self.payload.len(), self.expiry.is_some())
    }

    /// Writes the record at the start of `into`, whose tail up to the padding is zeroed.
    pub fn encode(&self, address: Address, into: &mut [u8]) {
        let bytes = self.bytes();
        let flags = self.group | if self.expiry.is_some() { FLAG_EXPIRY } else { 0 };
        into[4..8].copy_from_slice(&(bytes as u32).to_le_bytes());
        into[8..14].copy_from_slice(&self.seq.to_le_bytes()[..6]);
        into[14] = self.kind.number();
        into[15] = flags;
        into[16..20].copy_from_slice(&self.space.0.to_le_bytes());
        into[20..24].copy_from_slice(&(self.key.len() as u32).to_le_bytes());
        let mut at = HEADER_BYTES;
        if let Some(expiry) = self.expiry {
            into[at..at + 8].copy_from_slice(&expiry.to_le_bytes());
            at += 8;
        }
        into[at..at + self.key.len()].copy_from_slice(self.key);
        at += self.key.len();
        into[at..at + self.payload.len()].copy_from_slice(self.payload);
        into[bytes..padded(bytes)].fill(0);
        let mut crc = address.crc();
        crc.update(&into[4..bytes]);
        into[..4].copy_from_slice(&crc.finalize().to_le_bytes());
    }

    /// Reads the record at the start of `from` and checks that it was written at this address.
    pub fn decode(address: Address, from: &'r [u8]) -> Result<Record<'r>, Bad> {
        let bytes = peek_bytes(from)?;
        if bytes > from.len() {
            return Err(Bad::Short { bytes });
        }
        let mut crc = address.crc();
        crc.update(&from[4..bytes]);
        if crc.finalize() != u32_at(from, 0) && !crate::planted::is(crate::planted::Bug::SkipCrc) {
            return Err(Bad::Checksum);
        }
        Self::fields(&from[..bytes])
    }

    /// Reads a record that [`Record::decode`] has accepted before.
    pub fn parse(from: &'r [u8]) -> Record<'r> {
        Self::fields(from).expect("the record was checked when it arrived")
    }

    /// Reads the fields of bytes whose checksum does not hold, if they make sense. For reports only.
    pub fn unproven(from: &'r [u8]) -> Option<Record<'r>> {
        Self::fields(from).ok()
    }

    /// The seq that bytes of at least a header claim.
    pub fn peek_seq(from: &[u8]) -> Seq {
        seq_of(from)
    }

    fn fields(from: &'r [u8]) -> Result<Record<'r>, Bad> {
        let bytes = from.len();
        let kind = RecordKind::from_number(from[14]).ok_or(Bad::Unknown)?;
        let flags = from[15];
        if flags & !FLAGS_KNOWN != 0 {
            return Err(Bad::Unknown);
        }
        let key_bytes = u32_at(from, 20) as usize;
        let mut at = HEADER_BYTES;
        let expiry = (flags & FLAG_EXPIRY != 0).then(|| {
            at += 8;
            from.get(HEADER_BYTES..HEADER_BYTES + 8).map(u64_of)
        });
        let expiry = match expiry {
            Some(None) => return Err(Bad::Length),
            Some(some) => some,
            None => None,
        };
        let key_end = at.checked_add(key_bytes).filter(|&end| end <= bytes).ok_or(Bad::Length)?;
        Ok(Record {
            kind,
            seq: seq_of(from),
            group: flags & (FLAG_FIRST | FLAG_LAST),
            space: SpaceId(u32_at(from, 16)),
            expiry,
            key: &from[at..key_end],
            payload: &from[key_end..bytes],
        })
    }
}

/// Why bytes are not a record.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Bad {
    /// Zeros: nothing was written here.
    Nothing,
    /// The length cannot be.
    Length,
    /// More bytes are needed than were given.
    Short {
        /// Whole length of the record.
        bytes: usize,
    },
    /// The checksum does not match the bytes and the address.
    Checksum,
    /// A kind or flag of a newer version.
    Unknown,
}

/// The length a record claims.
pub fn peek_bytes(from: &[u8]) -> Result<usize, Bad> {
    if from.len() < HEADER_BYTES {
        return Err(Bad::Short { bytes: HEADER_BYTES });
    }
    match u32_at(from, 4) as usize {
        0 => Err(Bad::Nothing),
        n if n < HEADER_BYTES || n > crate::options::SEGMENT_BYTES_MAX as usize => Err(Bad::Length),
        n => Ok(n),
    }
}

fn seq_of(from: &[u8]) -> Seq {
    let mut wide = [0; 8];
    wide[..6].copy_from_slice(&from[8..14]);
    u64::from_le_bytes(wide)
}

/// A little-endian u32 at `at`; the caller has checked the length.
pub(crate) fn u32_at(from: &[u8], at: usize) -> u32 {
    let mut wide = [0; 4];
    wide.copy_from_slice(&from[at..at + 4]);
    u32::from_le_bytes(wide)
}

/// A little-endian u64 at `at`; the caller has checked the length.
pub(crate) fn u64_at(from: &[u8], at: usize) -> u64 {
    u64_of(&from[at..at + 8])
}

fn u64_of(from: &[u8]) -> u64 {
    let mut wide = [0; 8];
    wide.copy_from_slice(from);
    u64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Address = Address { store: 9, segment: 3, epoch: 7, offset: 4096 };

    fn encoded() -> Vec<u8> {
        let record = Record {
            kind: RecordKind::Value(Kind::String),
            seq: 77,
            group: FLAG_FIRST | FLAG_LAST,
            space: SpaceId(2),
            expiry: Some(5),
            key: b"key",
            payload: b"payload",
        };
        let mut bytes = vec![1; padded(record.bytes())];
        record.encode(HERE, &mut bytes);
        bytes
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let bytes = encoded();
        let back = Record::decode(HERE, &bytes).unwrap();
        assert_eq!(
            (back.seq, back.space, back.expiry, back.key, back.payload),
            (77, SpaceId(2), Some(5), &b"key"[..], &b"payload"[..])
        );
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let good = encoded();
        let bytes = Record::decode(HERE, &good).unwrap().bytes();
        for bit in 0..bytes * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(HERE, &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_address_is_not_believed() {
        let bytes = encoded();
        assert_eq!(Record::decode(HERE.at(8192), &bytes).unwrap_err(), Bad::Checksum);
        assert_eq!(Record::decode(Address { epoch: 8, ..HERE }, &bytes).unwrap_err(), Bad::Checksum);
        assert_eq!(Record::decode(Address { store: 8, ..HERE }, &bytes).unwrap_err(), Bad::Checksum);
    }
}
