//! Reading segments for recovery: what the map covers, and what lies beyond it, from footers where they hold.
//!
//! | a segment | what is read of it |
//! |---|---|
//! | wholly covered by the map, something live | nothing (its footer, if the base needs it) |
//! | with a footer younger than the map | footer, and the first chunk header for its link to the stream |
//! | whose first block is empty, or of the map's epoch | that block: nothing that counts can lie behind it |
//! | open when the store was left | all of it |
//!
//! The third row: a chunk behind a missing first one was never vouched for, so it is void, unless blocks have rotted. Recovery
//! looks for that: if the stream has a hole that something later proves to be damage, it reads all blocks after all.
//!
//! A block that the disk refuses to read is damage like any other: it comes back as zeros, which no checksum accepts, and is
//! noted.
//!
//! Promises: only records whose checksums, or whose footer's, hold are handed out. Never: keeps more than chunk headers in memory.

use crate::error::Result;
use crate::hash::{Hasher, KeyHash};
use crate::log::chunk::ChunkHeader;
use crate::log::footer::{self, Entry, Stored};
use crate::log::map::MapSegment;
use crate::log::record::{Address, FLAG_LAST, Record, RecordKind, Seq};
use crate::log::walk::{Step, Walk};
use crate::options::BLOCK_BYTES;
use crate::tier::window::{Window, blocks};
use parking_lot::Mutex;
use thermocline_io::{Disk, FileId};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// How much of the log is read.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Depth {
    /// Nothing: the shutdown was clean, the map says everything.
    Map,
    /// Footers, and what has none.
    Footers,
    /// Every block that the map does not speak of.
    Blocks,
}

/// A record found in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) segment: u32,
    pub(crate) entry: Entry,
    /// Payload of a record that is not a value.
    pub(crate) fact: Vec<u8>,
    /// Losses in the stream before it.
    pub(crate) losses: u32,
}

/// What a walk through a segment meets.
pub(crate) enum Met {
    /// A record whose checksum holds.
    Record(Found),
    /// One that does not, and whose value it seems to be: naming it makes its key answer `-CORRUPT`, never an older version.
    Bad(u32, Option<Found>),
}

/// A sealed segment that its footer tells of.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sealed {
    /// Of the first record beyond the map.
    pub(crate) offset: u32,
    /// The stream's seq before it.
    pub(crate) prev_seq: Seq,
    /// Its last seq.
    pub(crate) last_seq: Seq,
    /// A footer is written when everything before it in its stream is durable.
    pub(crate) watermark: Seq,
    /// The grain that keeps its values apart.
    pub(crate) grain_shift: u8,
}

/// What is known of one segment.
pub(crate) struct SegmentScan<'m> {
    pub(crate) segment: u32,
    pub(crate) epoch: u32,
    /// Bytes that the map speaks of (0 if the segment was reused since).
    pub(crate) covered: u32,
    pub(crate) used: u32,
    pub(crate) stream: u8,
    pub(crate) max_seq: Seq,
    pub(crate) chunks: Vec<(u32, ChunkHeader)>,
    pub(crate) sealed: Option<Sealed>,
    /// There may be void blocks that nobody has looked at.
    pub(crate) skipped: bool,
    pub(crate) map: &'m MapSegment,
    pub(crate) file: FileId,
    pub(crate) store: u32,
    pub(crate) segment_bytes: u32,
    /// Spaces that the map knows are below it: a space of bytes that do not hold must be one of them.
    pub(crate) spaces_end: u32,
    /// Values that the map calls live and that were not found, and where they may have been.
    pub(crate) missing: u32,
    /// The first record that the map calls live and that names its key only by bytes that do not hold.
    pub(crate) doubtful: Option<u32>,
    unreadable: Mutex<Option<Unreadable>>,
    hasher: Hasher,
}

/// What the disk refused to read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) offset: u32,
    pub(crate) words: String,
}

impl<'m> SegmentScan<'m> {
    /// Finds out what is in a segment.
    #[expect(clippy::too_many_arguments, reason = "a segment is named by all of it")]
    pub(crate) fn open(
        disk: &dyn Disk,
        store: u32,
        segment: u32,
        file: FileId,
        segment_bytes: u32,
        map: &'m MapSegment,
        hasher: Hasher,
        depth: Depth,
        window: &mut Window,
    ) -> Result<Self> {
        let mut scan = SegmentScan {
            segment,
            epoch: map.epoch,
            covered: map.covered,
            used: segment_bytes,
            stream: map.stream,
            max_seq: 0,
            chunks: Vec::new(),
            sealed: None,
            skipped: false,
            map,
            file,
            store,
            segment_bytes,
            spaces_end: 0,
            missing: 0,
            doubtful: None,
            unreadable: Mutex::default(),
            hasher,
        };
        if depth == Depth::Map || map.covered >= segment_bytes && !map.none_live() {
            return Ok(scan);
        }
        if depth == Depth::Blocks || !scan.open_by_footer(disk, window)? && !scan.open_by_first_block(disk)? {
            scan.open_by_blocks(disk, window)?;
        }
        Ok(scan)
    }

    /// Is there a footer that tells of what the map does not?
    fn open_by_footer(&mut self, disk: &dyn Disk, window: &mut Window) -> Result<bool> {
        let (map_epoch, covered, segment_bytes) = (self.map.epoch, self.covered, self.segment_bytes);
        let tells = |epoch: u32| epoch > map_epoch || epoch == map_epoch && covered < segment_bytes;
        window.footer_bytes = BLOCK_BYTES; // most segments have none that tells of anything
        let Some(footer) = self.any_footer(disk, window, tells)? else { return Ok(false) };
        let reused = footer.epoch > map_epoch;
        let covered = if reused { 0 } else { covered };
        let beyond = || footer.entries().filter(|e| e.offset >= covered);
        let Some(first) = beyond().next() else { return Ok(false) };
        let mut sealed = Sealed {
            offset: first.offset,
            prev_seq: first.seq.saturating_sub(1),
            last_seq: 0,
            watermark: beyond().filter(|e| e.flags & FLAG_LAST != 0).map(|e| e.seq).max().unwrap_or(0),
            grain_shift: footer::grain_shift(footer.entries(), segment_bytes),
        };
        if footer.stream == 0 {
            let in_order = footer.entries().zip(footer.entries().skip(1)).all(|(one, next)| next.seq == one.seq + 1);
            match self.header_at(disk, 0)? {
                Some(header) if in_order && header.epoch == footer.epoch => {
                    if reused {
                        sealed.prev_seq = header.prev_seq;
                    }
                }
                _ => return Ok(false),
            }
        }
        sealed.last_seq = footer.entries().map(|e| e.seq).max().unwrap_or(0);
        (self.epoch, self.covered, self.stream) = (footer.epoch, covered, footer.stream);
        self.max_seq = sealed.last_seq;
        self.sealed = Some(sealed);
        Ok(true)
    }

    /// Is the first block what the map knows, or empty? Then nothing that counts has been written since.
    fn open_by_first_block(&mut self, disk: &dyn Disk) -> Result<bool> {
        if self.covered > 0 && self.covered < self.segment_bytes {
            return Ok(false);
        }
        let mut block = [0; BLOCK_BYTES as usize];
        let read = self.read(disk, 0, &mut block)?;
        let known = match self.header_at(disk, 0)? {
            Some(header) => header.epoch < self.map.epoch + u32::from(self.covered > 0),
            None => block[..read].iter().all(|&b| b == 0) && self.unreadable().is_none(),
        };
        if known {
            // Void blocks of the next epoch may be there: it is never used again.
            self.epoch = self.map.epoch + 1;
            self.used = 0;
            self.skipped = true;
        }
        Ok(known)
    }

    /// The epoch is the highest of any block.
    fn open_by_blocks(&mut self, disk: &dyn Disk, window: &mut Window) -> Result<()> {
        let mut headers = Vec::new();
        for base in (0..self.segment_bytes).step_by(WINDOW_BYTES) {
            let bytes = self.read_blocks(disk, base..base.saturating_add(WINDOW_BYTES as u32), window)?;
            for at in (0..bytes.len()).step_by(BLOCK_BYTES as usize) {
                let address = Address { store: self.store, segment: self.segment, epoch: 0, offset: base + at as u32 };
                if let Some(header) = ChunkHeader::decode(address, &bytes[at..]) {
                    headers.push((base + at as u32, header));
                }
            }
        }
        let map = self.map;
        let epoch = headers.iter().map(|h| h.1.epoch).max().unwrap_or(map.epoch).max(map.epoch);
        if epoch != map.epoch {
            self.covered = 0; // reused since the map: all of it is beyond
        }
        headers.retain(|h| h.1.epoch == epoch);
        self.epoch = epoch;
        self.used = headers.last().map_or(0, |(at, h)| at + h.bytes);
        self.stream = headers.first().map_or(0, |h| h.1.stream);
        if headers.first().is_some_and(|(at, header)| *at > 0 && header.stream != 0) {
            // What GC wrote behind a first chunk that is not there may be void; what it copied from is there.
            headers.clear();
        }
        self.max_seq = headers.iter().map(|h| h.1.last_seq).max().unwrap_or(0);
        self.chunks = headers;
        Ok(())
    }

    /// Reads; what cannot be read comes back as zeros and is noted.
    pub(crate) fn read(&self, disk: &dyn Disk, from: u32, into: &mut [u8]) -> Result<usize> {
        let want = into.len().min((self.segment_bytes - from) as usize);
        match disk.read_at(self.file, u64::from(from), &mut into[..want]) {
            Ok(read) => Ok(read),
            Err(_) => Ok(self.read_around(disk, from, &mut into[..want])),
        }
    }

    /// Reads the bytes of a range, as far as the file goes, by whole blocks.
    pub(crate) fn read_blocks<'w>(
        &self,
        disk: &dyn Disk,
        range: std::ops::Range<u32>,
        window: &'w mut Window,
    ) -> Result<&'w [u8]> {
        let whole = blocks(range.clone(), self.segment_bytes);
        let read = self.read(disk, whole.start, window.room((whole.end - whole.start) as usize))?;
        window.cut(read);
        let skip = (range.start - whole.start) as usize;
        let end = skip + (range.end.min(whole.end) - range.start) as usize;
        Ok(window.bytes().get(skip..end.min(read)).unwrap_or_default())
    }

    /// Block by block, so that no more is given up than must be.
    fn read_around(&self, disk: &dyn Disk, from: u32, into: &mut [u8]) -> usize {
        let mut done = 0;
        while done < into.len() {
            let at = from + done as u32;
            let end = (done + (BLOCK_BYTES - at % BLOCK_BYTES) as usize).min(into.len());
            match disk.read_at(self.file, u64::from(at), &mut into[done..end]) {
                Ok(read) if read < end - done => return done + read,
                Ok(_) => {}
                Err(error) => {
                    into[done..end].fill(0);
                    self.unreadable.lock().get_or_insert(Unreadable { offset: at, words: error.to_string() });
                }
            }
            done = end;
        }
        done
    }

    /// What the disk refused to read so far, if anything.
    pub(crate) fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable.lock().clone()
    }

    fn header_at(&self, disk: &dyn Disk, offset: u32) -> Result<Option<ChunkHeader>> {
        let mut block = [0; BLOCK_BYTES as usize];
        let read = self.read(disk, offset, &mut block)?;
        Ok(ChunkHeader::decode(Address { epoch: 0, offset, ..self.address() }, &block[..read]))
    }

    /// Anything of the present epoch in it?
    pub(crate) fn has_records(&self) -> bool {
        self.has_beyond() || !self.chunks.is_empty() || self.any_covered_live()
    }

    /// Anything that the map does not speak of?
    pub(crate) fn has_beyond(&self) -> bool {
        self.sealed.is_some() || self.chunks.iter().any(|(at, h)| at + h.used > self.covered)
    }

    /// Does the map speak of all of it and call nothing live?
    pub(crate) fn is_dead_by_map(&self) -> bool {
        self.covered >= self.segment_bytes && self.map.none_live()
    }

    /// Anything live that the map speaks of?
    pub(crate) fn any_covered_live(&self) -> bool {
        self.covered > 0 && !self.map.none_live()
    }

    pub(crate) fn address(&self) -> Address {
        Address { store: self.store, segment: self.segment, epoch: self.epoch, offset: 0 }
    }

    /// The records that the map calls live: from the footer, or from the records themselves.
    pub(crate) fn covered_live(
        &mut self,
        disk: &dyn Disk,
        window: &mut Window,
        mut visit: impl FnMut(&Entry),
    ) -> Result<()> {
        let map = self.map;
        // Counted as they come: what is missing is known at the end.
        let mut found = map.finder();
        if let Some(footer) = self.footer(disk, window)? {
            let mut max_seq = 0;
            for entry in footer.entries() {
                max_seq = max_seq.max(entry.seq);
                if entry.kind.is_value() && map.live(entry.offset) {
                    found.note(entry.offset);
                    visit(&entry);
                }
            }
            let stream = footer.stream;
            (self.stream, self.max_seq, self.missing) = (stream, self.max_seq.max(max_seq), found.missing());
            return Ok(());
        }
        let (mut max_seq, mut doubtful) = (0, None);
        self.walk(disk, 0, self.covered, |met| {
            let (met, at) = match met {
                Met::Record(met) => (met, None),
                Met::Bad(at, Some(met)) => (met, Some(at)),
                Met::Bad(_, None) => return,
            };
            if met.entry.kind.is_value() && map.live(met.entry.offset) {
                doubtful = doubtful.or(at);
                max_seq = max_seq.max(met.entry.seq);
                found.note(met.entry.offset);
                visit(&met.entry);
            }
        })?;
        self.doubtful = doubtful;
        (self.max_seq, self.missing) = (self.max_seq.max(max_seq), found.missing());
        Ok(())
    }

    /// The footer, if it is there and of the present epoch.
    pub(crate) fn footer<'w>(&self, disk: &dyn Disk, window: &'w mut Window) -> Result<Option<Stored<'w>>> {
        self.any_footer(disk, window, |epoch| epoch == self.epoch)
    }

    /// The footer, if it is there and of an epoch that is wanted.
    fn any_footer<'w>(
        &self,
        disk: &dyn Disk,
        window: &'w mut Window,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Option<Stored<'w>>> {
        let end = self.segment_bytes;
        let mut ahead = window.footer_bytes.clamp(BLOCK_BYTES, end);
        if ahead > BLOCK_BYTES && disk.read_at(self.file, u64::from(end - ahead), window.room(ahead as usize)).is_err()
        {
            ahead = BLOCK_BYTES; // what lies before a shorter footer is nobody's business
        }
        let last = match ahead {
            BLOCK_BYTES => self.read_blocks(disk, end - ahead..end, window)?,
            _ => window.bytes(),
        };
        let trailer = last.len().checked_sub(footer::TRAILER_BYTES).map(|at| &last[at..]);
        let Some((epoch, bytes)) = trailer.and_then(footer::peek).filter(|(_, bytes)| *bytes <= end as usize) else {
            return Ok(None);
        };
        if !wanted(epoch) {
            return Ok(None);
        }
        let there = last.len();
        let whole = blocks(end - bytes as u32..end, end);
        window.footer_bytes = whole.end - whole.start;
        if bytes > there {
            self.read_blocks(disk, whole, window)?;
        }
        let read = window.bytes();
        let stored = read.len().checked_sub(bytes).map(|at| &read[at..]);
        Ok(stored.and_then(|stored| Stored::read(self.address().at(end), stored)))
    }

    /// All records beyond what the map covers.
    pub(crate) fn beyond(&self, disk: &dyn Disk, mut visit: impl FnMut(Found)) -> Result<()> {
        if self.sealed.is_some() {
            let mut window = Window::default();
            let footer = self.footer(disk, &mut window)?;
            for entry in footer.iter().flat_map(Stored::entries).filter(|e| e.offset >= self.covered) {
                visit(Found { segment: self.segment, entry, fact: Vec::new(), losses: 0 });
            }
            return Ok(());
        }
        let from = self.chunks.iter().rev().find(|(at, _)| *at <= self.covered).map_or(0, |(at, _)| *at);
        self.walk(disk, from, self.used, |met| match met {
            Met::Record(found) if found.entry.offset >= self.covered => visit(found),
            _ => {}
        })
    }

    /// Walks the chunks of `from..to`.
    pub(crate) fn walk(&self, disk: &dyn Disk, from: u32, to: u32, visit: impl FnMut(Met)) -> Result<()> {
        self.walk_in(disk, from, to, &mut Window::default(), visit)
    }

    /// The same in memory that was used before.
    pub(crate) fn walk_in(
        &self,
        disk: &dyn Disk,
        from: u32,
        to: u32,
        window: &mut Window,
        mut visit: impl FnMut(Met),
    ) -> Result<()> {
        let mut walk = Walk::new(self.address(), Some(self.epoch), from, self.segment_bytes);
        window.cut(0);
        let mut base = 0;
        loop {
            match walk.step(window.bytes(), base) {
                Step::Record { offset, record } => {
                    if offset >= to {
                        return Ok(());
                    }
                    visit(Met::Record(self.found(offset, &record)));
                }
                Step::BadRecord { offset, .. } if offset >= to => return Ok(()),
                Step::BadRecord { offset, suspect, .. } => {
                    let known = suspect.filter(|record| record.space.visible().0 < self.spaces_end);
                    visit(Met::Bad(offset, known.map(|record| self.found(offset, &record))));
                }
                Step::More { from, .. } if from >= to => return Ok(()),
                Step::More { from, bytes } => {
                    let start = from / BLOCK_BYTES * BLOCK_BYTES;
                    // No more than is asked for: the foreground is read chunk by chunk.
                    let ahead = to.saturating_sub(start).next_multiple_of(BLOCK_BYTES).min(WINDOW_BYTES as u32);
                    let want = (from - start).saturating_add(bytes).max(ahead).min(self.segment_bytes - start);
                    let read = self.read_blocks(disk, start..start + want, window)?.len();
                    base = start;
                    if read <= (from - start) as usize {
                        return Ok(());
                    }
                }
                Step::End => return Ok(()),
                Step::Chunk { offset, .. } if offset >= to => return Ok(()),
                _ => {}
            }
        }
    }

    /// The payload of a record that is not a value, which a footer does not have. `None`: it is damaged.
    pub(crate) fn fact(&self, disk: &dyn Disk, entry: &Entry) -> Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; entry.bytes as usize];
        self.read(disk, entry.offset, &mut bytes)?;
        Ok(Record::decode(self.address().at(entry.offset), &bytes).ok().map(|record| record.payload.to_vec()))
    }

    pub(crate) fn found(&self, offset: u32, record: &Record<'_>) -> Found {
        let is_fact = is_fact(record.kind);
        let hash = if is_fact { KeyHash(0) } else { self.hasher.hash(record.space, record.key) };
        Found {
            segment: self.segment,
            entry: Entry {
                hash,
                offset,
                bytes: record.bytes() as u32,
                seq: record.seq,
                kind: record.kind,
                flags: record.group,
                space: record.space,
                expiry: record.expiry,
            },
            fact: if is_fact { record.payload.to_vec() } else { Vec::new() },
            losses: 0,
        }
    }
}

/// Neither a value nor the end of one.
pub(crate) fn is_fact(kind: RecordKind) -> bool {
    !matches!(kind, RecordKind::Value(_) | RecordKind::Tombstone)
}
