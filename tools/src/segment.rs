//! One segment's file: which life of it counts, its footer, and a walk over its records. Shared by all operations.
//!
//! Promises: maps one segment at a time; believes only what checks out at its address. Never: says what is damage.

use crate::directory::Directory;
use std::io;
use std::ops::Deref;
use thermocline::log::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use thermocline::log::footer::{self, Footer, TRAILER_BYTES};
use thermocline::log::map::MapSegment;
use thermocline::log::record::Address;
use thermocline::log::segment_name;
use thermocline::log::superblock::Superblock;
use thermocline::log::walk::{Step, Walk};
use thermocline::options::BLOCK_BYTES;
use thermocline_io::MappedFile;

/// Where a footer's trailer names its epoch and store (log/footer.rs draws it).
const EPOCH_AT: usize = 8;
const STORE_AT: usize = 44;

/// A mapped segment.
pub struct SegmentFile<'d> {
    /// Its number.
    pub id: u32,
    /// The life that counts: the highest epoch in its blocks or in the map.
    pub epoch: u32,
    /// Its stream in that life.
    pub stream: u8,
    /// Chunks of that life and of earlier ones.
    pub chunks: u64,
    /// Chunks left over from earlier lives.
    pub stale_chunks: u64,
    /// What the newest map says of this life.
    pub map: Option<&'d MapSegment>,
    bytes: MappedFile<'d>,
    store: u32,
    segment_bytes: u32,
}

/// The end of a segment.
pub enum FooterState {
    /// None was written in this life.
    Absent,
    /// One should be there, but it does not hold.
    Bad(&'static str),
    /// It holds.
    Whole(Footer),
}

impl<'d> SegmentFile<'d> {
    /// Maps a segment and finds its present life.
    pub fn open(directory: &'d Directory, block: &Superblock, id: u32) -> io::Result<SegmentFile<'d>> {
        let bytes = directory.window(&segment_name(id), 0, block.segment_bytes as usize)?;
        let map = directory.map_of(id);
        let (store, segment_bytes) = (block.store, block.segment_bytes);
        let mut segment =
            SegmentFile { id, epoch: 0, stream: 0, chunks: 0, stale_chunks: 0, map, bytes, store, segment_bytes };
        let headers: Vec<(u32, ChunkHeader)> = (0..segment.bytes.len() as u32)
            .step_by(BLOCK_BYTES as usize)
            .filter_map(|at| Some((at, ChunkHeader::decode(segment.address().at(at), &segment.bytes[at as usize..])?)))
            .collect();
        let epoch = headers.iter().map(|(_, h)| h.epoch).chain(map.map(|m| m.epoch)).max().unwrap_or(0);
        segment.epoch = epoch;
        segment.map = map.filter(|m| m.epoch == epoch);
        let present = || headers.iter().filter(|(_, h)| h.epoch == epoch);
        segment.chunks = present().count() as u64;
        segment.stale_chunks = headers.len() as u64 - segment.chunks;
        segment.stream = present().next().map_or(0, |(_, h)| h.stream);
        Ok(segment)
    }

    /// Maps a segment and looks at its first block only: the life is that of it or of the map, whichever is later. `chunks` is 1 if the
    /// first block is of that life.
    pub fn open_ends(directory: &'d Directory, block: &Superblock, id: u32) -> io::Result<SegmentFile<'d>> {
        let bytes = directory.window(&segment_name(id), 0, block.segment_bytes as usize)?;
        let map = directory.map_of(id);
        let (store, segment_bytes) = (block.store, block.segment_bytes);
        let first = ChunkHeader::decode(Address { store, segment: id, epoch: 0, offset: 0 }, &bytes);
        let epoch = first.iter().map(|first| first.epoch).chain(map.map(|map| map.epoch)).max().unwrap_or(0);
        let first = first.filter(|first| first.epoch == epoch);
        Ok(SegmentFile {
            id,
            epoch,
            stream: first.as_ref().map_or(0, |first| first.stream),
            chunks: u64::from(first.is_some()),
            stale_chunks: 0,
            map: map.filter(|map| map.epoch == epoch),
            bytes,
            store,
            segment_bytes,
        })
    }

    /// The address of its first byte in its present life.
    pub fn address(&self) -> Address {
        Address { store: self.store, segment: self.id, epoch: self.epoch, offset: 0 }
    }

    /// Bytes that the map speaks of.
    pub fn covered(&self) -> u32 {
        self.map.map_or(0, |map| map.covered)
    }

    /// Meets every chunk and record of the present life, in order.
    pub fn walk(&self, mut visit: impl FnMut(Step<'_>)) {
        let mut walk = Walk::new(self.address(), Some(self.epoch), 0, self.bytes.len() as u32);
        loop {
            match walk.step(&self.bytes, 0) {
                Step::End | Step::More { .. } => return, // the window is the whole file: there is no more
                step @ Step::BadRecord { .. } => {
                    // One damage per chunk is enough to name it.
                    walk.skip_chunk();
                    visit(step);
                }
                step => visit(step),
            }
        }
    }

    /// Its footer.
    pub fn footer(&self) -> FooterState {
        if self.bytes.len() < self.segment_bytes as usize {
            return FooterState::Absent;
        }
        let trailer = &self.bytes[self.bytes.len() - TRAILER_BYTES..];
        if trailer.iter().all(|&b| b == 0) {
            return FooterState::Absent;
        }
        let Some((_, bytes)) = footer::peek(trailer).filter(|&(_, bytes)| bytes <= self.bytes.len()) else {
            return FooterState::Bad("the footer's trailer is not one");
        };
        let from = self.bytes.len() - bytes;
        let end = Address { offset: self.bytes.len() as u32, ..self.address() };
        match footer::decode(end, &self.bytes[from..]) {
            Some((epoch, footer)) if epoch == self.epoch => FooterState::Whole(footer),
            Some((epoch, _)) if epoch < self.epoch => FooterState::Absent,
            Some(_) => FooterState::Bad("the footer is of a life that no chunk or map knows"),
            None if self.is_ours(trailer) => FooterState::Bad("the footer's checksum does not hold"),
            // Of an earlier life and partly written over, or of an earlier store - or ours, and its trailer is damaged?
            None => {
                let mut whole = self.bytes[from..].to_vec();
                let trailer = &mut whole[bytes - TRAILER_BYTES..];
                trailer[EPOCH_AT..][..4].copy_from_slice(&self.epoch.to_le_bytes());
                trailer[STORE_AT..][..4].copy_from_slice(&self.store.to_le_bytes());
                match footer::decode(end, &whole) {
                    Some(_) => FooterState::Bad("the footer's trailer is damaged"),
                    None => FooterState::Absent,
                }
            }
        }
    }

    fn is_ours(&self, trailer: &[u8]) -> bool {
        trailer[EPOCH_AT..][..4] == self.epoch.to_le_bytes() && trailer[STORE_AT..][..4] == self.store.to_le_bytes()
    }
}

impl Deref for SegmentFile<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The footer of a segment whose first block is of the same life: what is in the segment without reading it.
pub fn footer_only(directory: &Directory, block: &Superblock, id: u32) -> io::Result<Option<(u32, Footer)>> {
    let name = segment_name(id);
    let segment_bytes = block.segment_bytes;
    let address = Address { store: block.store, segment: id, epoch: 0, offset: 0 };
    let first = ChunkHeader::decode(address, &directory.window(&name, 0, CHUNK_HEADER_BYTES)?);
    let trailer = directory.window(&name, u64::from(segment_bytes) - TRAILER_BYTES as u64, TRAILER_BYTES)?;
    let Some((epoch, bytes)) = footer::peek(&trailer).filter(|&(_, bytes)| bytes <= segment_bytes as usize) else {
        return Ok(None);
    };
    if first.is_none_or(|header| header.epoch != epoch) {
        return Ok(None);
    }
    let whole = directory.window(&name, u64::from(segment_bytes) - bytes as u64, bytes)?;
    Ok(footer::decode(Address { offset: segment_bytes, ..address }, &whole))
}
