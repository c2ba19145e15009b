//! Walks the bytes of a segment: chunk by chunk, record by record, from any window of it.
//!
//! One parser for recovery, GC and the offline tool. Sans-I/O: the caller brings windows of bytes.
//!
//! Promises: only records whose checksum holds at their address are reported; what is not understood is reported as bad with
//! its offset. Never: reads beyond the window (it asks for more).

use super::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use super::record::{ALIGN_BYTES, Address, Bad, Record, Seq, padded, peek_bytes};
use crate::options::BLOCK_BYTES;

/// What a walk meets.
#[derive(Debug)]
pub enum Step<'w> {
    /// A chunk begins.
    Chunk {
        /// Its offset in the segment.
        offset: u32,
        /// Its header.
        header: ChunkHeader,
    },
    /// A record of the current chunk.
    Record {
        /// Its offset in the segment.
        offset: u32,
        /// The record.
        record: Record<'w>,
    },
    /// A record of the current chunk does not decode; the walk goes on at the next record whose checksum holds (its address is
    /// part of it, so a false hit is impossible), or behind the chunk.
    BadRecord {
        /// Its offset in the segment.
        offset: u32,
        /// Why.
        bad: Bad,
        /// What the bytes claim to be, if their length fits to where the next record begins. Unproven: good for telling whose
        /// value is lost, never for serving it.
        suspect: Option<Record<'w>>,
    },
    /// No chunk of this epoch at this block; the walk goes on at the next block.
    NoChunk {
        /// Offset of the block.
        offset: u32,
        /// The block is all zeros.
        zero: bool,
    },
    /// The window ends before the next item: bring one that starts at `from` and has at least `bytes`.
    More {
        /// Offset in the segment.
        from: u32,
        /// Bytes needed from there.
        bytes: u32,
    },
    /// The end.
    End,
}

/// State of a walk through one segment.
#[derive(Copy, Clone, Debug)]
pub struct Walk {
    address: Address,
    /// Only chunks of this epoch count; `None` = any (to find the epoch).
    epoch: Option<u32>,
    end: u32,
    at: u32,
    chunk: Option<OpenChunk>,
}

/// The chunk that is being walked.
#[derive(Copy, Clone, Debug)]
struct OpenChunk {
    records_end: u32,
    chunk_end: u32,
    last_seq: Seq,
}

impl Walk {
    /// A walk from block offset `from` to `end` (where the footer or the segment ends).
    pub fn new(address: Address, epoch: Option<u32>, from: u32, end: u32) -> Self {
        Walk { address, epoch, end, at: from, chunk: None }
    }

    /// The next item in `window`, whose first byte is at segment offset `base`.
    pub fn step<'w>(&mut self, window: &'w [u8], base: u32) -> Step<'w> {
        loop {
            let Some(OpenChunk { records_end, chunk_end, last_seq }) = self.chunk else {
                return self.block(window, base);
            };
            if self.at >= records_end {
                self.at = chunk_end;
                self.chunk = None;
                continue;
            }
            let Some(from) = slice(window, base, self.at) else {
                return Step::More { from: self.at, bytes: (records_end - self.at).min(CHUNK_HEADER_BYTES as u32) };
            };
            let here = Address { epoch: self.epoch_of_chunk(), ..self.address }.at(self.at);
            let offset = self.at;
            return match Record::decode(here, &from[..from.len().min((records_end - offset) as usize)]) {
                Ok(record) => {
                    self.at += padded(record.bytes()) as u32;
                    Step::Record { offset, record }
                }
                Err(Bad::Short { bytes }) if offset as usize + bytes <= records_end as usize => {
                    Step::More { from: offset, bytes: bytes as u32 }
                }
                Err(bad) => {
                    let rest = (records_end - offset) as usize;
                    let Some(from) = from.get(..rest) else {
                        return Step::More { from: offset, bytes: rest as u32 };
                    };
                    let next = next_record(here, from, last_seq);
                    let suspect = suspect(from, next.unwrap_or(rest));
                    match next {
                        Some(skip) => self.at = offset + skip as u32,
                        None => {
                            self.at = chunk_end;
                            self.chunk = None;
                        }
                    }
                    Step::BadRecord { offset, bad, suspect }
                }
            };
        }
    }

    fn epoch_of_chunk(&self) -> u32 {
        self.address.epoch
    }

    fn block<'w>(&mut self, window: &'w [u8], base: u32) -> Step<'w> {
        if self.at + BLOCK_BYTES > self.end {
            return Step::End;
        }
        let from = match slice(window, base, self.at) {
            Some(from) if from.len() >= CHUNK_HEADER_BYTES => from,
            _ => return Step::More { from: self.at, bytes: BLOCK_BYTES },
        };
        let offset = self.at;
        match ChunkHeader::decode(self.address.at(offset), from) {
            Some(header) if self.epoch.is_none_or(|e| e == header.epoch) && fits(&header, offset, self.end) => {
                self.address.epoch = header.epoch;
                self.at = offset + CHUNK_HEADER_BYTES as u32;
                self.chunk = Some(OpenChunk {
                    records_end: offset + header.used,
                    chunk_end: offset + header.bytes,
                    last_seq: header.last_seq,
                });
                Step::Chunk { offset, header }
            }
            _ => {
                self.at += BLOCK_BYTES;
                let zero = from[..from.len().min(BLOCK_BYTES as usize)].iter().all(|&b| b == 0);
                Step::NoChunk { offset, zero }
            }
        }
    }

    /// Skips the rest of the current chunk.
    pub fn skip_chunk(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.at = chunk.chunk_end;
        }
    }

    /// The offset where the walk stands.
    pub fn at(&self) -> u32 {
        self.at
    }
}

/// How far behind the start of `from` (a bad record at `here`) the next record lies.
fn next_record(here: Address, from: &[u8], last_seq: Seq) -> Option<usize> {
    (ALIGN_BYTES..from.len()).step_by(ALIGN_BYTES).find(|&skip| {
        let rest = &from[skip..];
        peek_bytes(rest).is_ok_and(|bytes| bytes <= rest.len())
            && Record::peek_seq(rest) <= last_seq
            && Record::decode(here.at(here.offset + skip as u32), rest).is_ok()
    })
}

/// The unproven record at the start of `from`, if it ends where the next one begins.
fn suspect(from: &[u8], next: usize) -> Option<Record<'_>> {
    let bytes = peek_bytes(from).ok()?;
    if padded(bytes) != next {
        return None;
    }
    Record::unproven(&from[..bytes])
}

fn fits(header: &ChunkHeader, offset: u32, end: u32) -> bool {
    header.used as usize >= CHUNK_HEADER_BYTES
        && header.used <= header.bytes
        && header.bytes.is_multiple_of(BLOCK_BYTES)
        && u64::from(offset) + u64::from(header.bytes) <= u64::from(end)
}

fn slice(window: &[u8], base: u32, at: u32) -> Option<&[u8]> {
    let from = at.checked_sub(base)? as usize;
    (from < window.len()).then(|| &window[from..])
}
