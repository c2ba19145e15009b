//! Reading segments for recovery: what the map covers, what lies beyond it, and the order of the foreground stream.
//!
//! Promises: an epoch is learnt from all blocks of a segment; only records whose checksums hold are handed out; the first hole
//! ends the stream unless a later block proves that it was durable once (then it is damage). Never: keeps more than the
//! headers of chunks in memory.

use crate::error::{Error, Result};
use crate::hash::{Hasher, KeyHash};
use crate::log::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use crate::log::footer::{self, Entry};
use crate::log::map::MapSegment;
use crate::log::record::{Address, Record, RecordKind, Seq};
use crate::log::superblock::Cut;
use crate::log::walk::{Step, Walk};
use crate::options::BLOCK_BYTES;
use thermocline_io::{Disk, FileId};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// A record found in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) segment: u32,
    pub(crate) entry: Entry,
    /// Payload of a record that is not a value.
    pub(crate) fact: Vec<u8>,
}

/// What a walk through a segment meets.
enum Met {
    /// A record whose checksum holds.
    Record(Found),
    /// One that does not, and whose value it seems to be: naming it makes its key answer `-CORRUPT`, never an older version.
    Bad(u32, Option<Found>),
}

/// A chunk of the foreground stream beyond the map.
#[derive(Copy, Clone, Debug)]
struct ChunkAt {
    segment: u32,
    offset: u32,
    header: ChunkHeader,
}

/// What is known of one segment.
pub(crate) struct SegmentScan {
    pub(crate) segment: u32,
    pub(crate) epoch: u32,
    /// Bytes that the map speaks of (0 if the segment was reused since).
    pub(crate) covered: u32,
    pub(crate) used: u32,
    pub(crate) stream: u8,
    pub(crate) max_seq: Seq,
    file: FileId,
    store: u32,
    segment_bytes: u32,
    map: MapSegment,
    chunks: Vec<(u32, ChunkHeader)>,
    hasher: Hasher,
}

impl SegmentScan {
    /// Finds the epoch and the chunks of a segment. A segment that is wholly covered by the map and has live bits is not read.
    pub(crate) fn open(
        disk: &dyn Disk,
        store: u32,
        segment: u32,
        file: FileId,
        segment_bytes: u32,
        map: &MapSegment,
        hasher: Hasher,
    ) -> Result<Self> {
        let mut scan = SegmentScan {
            segment,
            epoch: map.epoch,
            covered: map.covered,
            used: segment_bytes,
            stream: 0,
            max_seq: 0,
            file,
            store,
            segment_bytes,
            map: map.clone(),
            chunks: Vec::new(),
            hasher,
        };
        if map.covered >= segment_bytes && !map.none_live() {
            return Ok(scan);
        }
        let mut headers = Vec::new();
        let mut window = vec![0; WINDOW_BYTES.min(segment_bytes as usize)];
        for base in (0..segment_bytes).step_by(window.len()) {
            let read = scan.read(disk, base, &mut window)?;
            for at in (0..read).step_by(BLOCK_BYTES as usize) {
                let address = Address { store, segment, epoch: 0, offset: base + at as u32 };
                if let Some(header) = ChunkHeader::decode(address, &window[at..read]) {
                    headers.push((base + at as u32, header));
                }
            }
        }
        let epoch = headers.iter().map(|h| h.1.epoch).max().unwrap_or(map.epoch).max(map.epoch);
        if epoch != map.epoch {
            scan.covered = 0; // reused since the map: all of it is beyond
        }
        headers.retain(|h| h.1.epoch == epoch);
        scan.epoch = epoch;
        scan.used = headers.last().map_or(0, |(at, h)| at + h.bytes);
        scan.stream = headers.first().map_or(0, |h| h.1.stream);
        scan.max_seq = headers.iter().map(|h| h.1.last_seq).max().unwrap_or(0);
        scan.chunks = headers;
        Ok(scan)
    }

    fn read(&self, disk: &dyn Disk, from: u32, into: &mut [u8]) -> Result<usize> {
        let want = into.len().min((self.segment_bytes - from) as usize);
        disk.read_at(self.file, u64::from(from), &mut into[..want])
            .map_err(|e| Error::io(format!("reading {} at {from}", crate::log::segment_name(self.segment)), &e))
    }

    /// Anything of the present epoch in it?
    pub(crate) fn has_records(&self) -> bool {
        !self.chunks.is_empty() || (self.covered > 0 && !self.map.none_live())
    }

    /// Anything that the map does not speak of?
    pub(crate) fn has_beyond(&self) -> bool {
        self.chunks.iter().any(|(at, h)| at + h.used > self.covered)
    }

    /// Does the map speak of all of it and call nothing live?
    pub(crate) fn is_dead_by_map(&self) -> bool {
        self.covered >= self.segment_bytes && self.map.none_live()
    }

    /// Anything live that the map speaks of?
    pub(crate) fn any_covered_live(&self) -> bool {
        self.covered > 0 && self.epoch == self.map.epoch && !self.map.none_live()
    }

    fn address(&self) -> Address {
        Address { store: self.store, segment: self.segment, epoch: self.epoch, offset: 0 }
    }

    /// The records that the map calls live: from the footer, or from the records themselves.
    pub(crate) fn covered_live(&mut self, disk: &dyn Disk) -> Result<Vec<Entry>> {
        if let Some((stream, entries)) = self.footer(disk)? {
            self.stream = stream;
            self.max_seq = entries.iter().map(|e| e.seq).max().unwrap_or(0);
            return Ok(entries.into_iter().filter(|e| e.kind.is_value() && self.map.live(e.offset)).collect());
        }
        let mut out = Vec::new();
        self.walk(disk, 0, self.covered, |met| {
            let (Met::Record(found) | Met::Bad(_, Some(found))) = met else { return };
            if found.entry.kind.is_value() && self.map.live(found.entry.offset) {
                out.push(found.entry);
            }
        })?;
        Ok(out)
    }

    /// The footer, if it is there and of this epoch.
    fn footer(&self, disk: &dyn Disk) -> Result<Option<(u8, Vec<Entry>)>> {
        let mut trailer = [0; footer::TRAILER_BYTES];
        self.read(disk, self.segment_bytes - footer::TRAILER_BYTES as u32, &mut trailer)?;
        let Some((epoch, bytes)) = footer::peek(&trailer) else { return Ok(None) };
        if epoch != self.epoch || bytes > self.segment_bytes as usize {
            return Ok(None);
        }
        let mut whole = vec![0; bytes];
        self.read(disk, self.segment_bytes - bytes as u32, &mut whole)?;
        let end = Address { offset: self.segment_bytes, ..self.address() };
        Ok(footer::decode(end, &whole).map(|(_, footer)| (footer.stream, footer.entries)))
    }

    /// All valid records beyond what the map covers.
    pub(crate) fn beyond(&self, disk: &dyn Disk) -> Result<Vec<Found>> {
        let mut out = Vec::new();
        self.walk(disk, 0, self.used, |met| match met {
            Met::Record(found) if found.entry.offset >= self.covered => out.push(found),
            _ => {}
        })?;
        Ok(out)
    }

    fn walk(&self, disk: &dyn Disk, from: u32, to: u32, mut visit: impl FnMut(Met)) -> Result<()> {
        let mut walk = Walk::new(self.address(), Some(self.epoch), from, self.segment_bytes);
        let mut window: Vec<u8> = Vec::new();
        let mut base = 0;
        loop {
            match walk.step(&window, base) {
                Step::Record { offset, record } => {
                    if offset >= to {
                        return Ok(());
                    }
                    visit(Met::Record(self.found(offset, &record)));
                }
                Step::BadRecord { offset, .. } if offset >= to => return Ok(()),
                Step::BadRecord { offset, suspect, .. } => {
                    visit(Met::Bad(offset, suspect.map(|record| self.found(offset, &record))));
                }
                Step::More { from, bytes } => {
                    let start = from / BLOCK_BYTES * BLOCK_BYTES;
                    // No more than is asked for: the foreground is read chunk by chunk.
                    let ahead = to.saturating_sub(start).next_multiple_of(BLOCK_BYTES).min(WINDOW_BYTES as u32);
                    let want = ((from - start) + bytes).max(ahead).min(self.segment_bytes - start);
                    window.resize(want as usize, 0);
                    let read = self.read(disk, start, &mut window)?;
                    window.truncate(read);
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

    fn found(&self, offset: u32, record: &Record<'_>) -> Found {
        let is_fact = !matches!(record.kind, RecordKind::Value(_) | RecordKind::Tombstone);
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
        }
    }
}

/// The foreground stream beyond the map.
#[derive(Default)]
pub(crate) struct Tail {
    chunks: Vec<ChunkAt>,
    pub(crate) highest_seq: Seq,
    /// Chunks that count and that nothing written later vouches for: visible, perhaps not durable.
    unvouched: Vec<ChunkAt>,
}

/// A place where bytes that were durable once do not hold.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// How the stream ended.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) damage: Vec<Damage>,
    pub(crate) void_bytes: u64,
    void: Vec<(u32, u32)>, // (segment, first void offset)
}

impl Outcome {
    /// Everything from here on in this segment is void.
    pub(crate) fn cut_at(&mut self, segment: u32, offset: u32) {
        match self.void.iter_mut().find(|v| v.0 == segment) {
            Some(v) => v.1 = v.1.min(offset),
            None => self.void.push((segment, offset)),
        }
    }

    /// The cuts.
    pub(crate) fn cuts(&self, scans: &[SegmentScan]) -> Vec<Cut> {
        self.void
            .iter()
            .filter_map(|&(segment, length)| {
                let scan = scans.iter().find(|s| s.segment == segment)?;
                Some(Cut { segment, epoch: scan.epoch, length })
            })
            .collect()
    }
}

impl Tail {
    /// Adds a segment's chunks.
    pub(crate) fn collect(&mut self, scan: &SegmentScan) {
        for &(offset, header) in &scan.chunks {
            self.highest_seq = self.highest_seq.max(header.last_seq);
            if header.stream == 0 && offset + header.used > scan.covered {
                self.chunks.push(ChunkAt { segment: scan.segment, offset, header });
            }
        }
    }

    /// Hands out the records in order until the first hole.
    pub(crate) fn walk(
        &mut self,
        disk: &dyn Disk,
        scans: &[SegmentScan],
        last_seq: Seq,
        cuts: &[Cut],
        mut visit: impl FnMut(Found),
    ) -> Result<Outcome> {
        self.chunks.sort_by_key(|c| (c.header.prev_seq, c.header.last_seq));
        let mut outcome = Outcome::default();
        let mut last = last_seq;
        let mut broken = false;
        for (n, chunk) in self.chunks.iter().enumerate() {
            let Some(scan) = scans.iter().find(|s| s.segment == chunk.segment) else { continue };
            let cut =
                cuts.iter().find(|c| c.segment == scan.segment && c.epoch == scan.epoch).map_or(u32::MAX, |c| c.length);
            if chunk.offset + CHUNK_HEADER_BYTES as u32 >= cut {
                continue; // void since an earlier recovery
            }
            if !broken && chunk.header.prev_seq > last {
                // A hole. Was it durable once?
                let proof = self.chunks[n..].iter().any(|c| c.header.watermark > last);
                if proof {
                    outcome.damage.push(Damage { segment: chunk.segment, offset: chunk.offset });
                } else {
                    broken = true;
                }
            }
            if broken {
                outcome.cut_at(chunk.segment, chunk.offset.max(scan.covered));
                outcome.void_bytes += u64::from(chunk.header.used);
                continue;
            }
            // Up to here the log was durable when something later was written: a bad record below it is damage, not a torn tail.
            let vouched = self.chunks[n + 1..].iter().map(|c| c.header.watermark).max().unwrap_or(0);
            if vouched < chunk.header.last_seq {
                self.unvouched.push(*chunk);
            }
            let mut reached = chunk.header.prev_seq;
            let mut end = chunk.offset;
            let mut hole = None;
            let mut damage = Vec::new();
            scan.walk(disk, chunk.offset, chunk.offset + chunk.header.bytes, |met| {
                let found = match met {
                    _ if hole.is_some() => return,
                    Met::Record(found) => found,
                    Met::Bad(offset, _) if offset >= cut || offset < scan.covered => return,
                    Met::Bad(offset, _) if vouched <= last => {
                        hole = Some(offset);
                        return;
                    }
                    Met::Bad(offset, suspect) => {
                        damage.push(Damage { segment: chunk.segment, offset });
                        match suspect {
                            Some(found) => found,
                            None => return,
                        }
                    }
                };
                if found.entry.offset >= cut {
                    return;
                }
                reached = found.entry.seq;
                end = found.entry.offset + crate::log::record::padded(found.entry.bytes as usize) as u32;
                if found.entry.offset >= scan.covered && found.entry.seq > last {
                    last = found.entry.seq;
                    visit(found);
                }
            })?;
            outcome.damage.append(&mut damage);
            if hole.is_none() && reached < chunk.header.last_seq && end < cut {
                if vouched > last {
                    outcome.damage.push(Damage { segment: chunk.segment, offset: end });
                    last = last.max(chunk.header.last_seq);
                } else {
                    hole = Some(end);
                }
            }
            if let Some(at) = hole {
                broken = true;
                outcome.cut_at(chunk.segment, at.max(scan.covered));
                outcome.void_bytes += u64::from((chunk.offset + chunk.header.used).saturating_sub(at));
            }
        }
        Ok(outcome)
    }

    /// Writes what nothing vouches for once more where it is, and syncs it. An earlier life may have died after a failed sync:
    /// the page cache shows what the device has lost, and a sync that only succeeds now would say nothing about it.
    pub(crate) fn harden(&self, disk: &dyn Disk, scans: &[SegmentScan]) -> Result<()> {
        for chunk in &self.unvouched {
            let Some(scan) = scans.iter().find(|s| s.segment == chunk.segment) else { continue };
            let mut bytes = vec![0; chunk.header.bytes as usize];
            let read = scan.read(disk, chunk.offset, &mut bytes)?;
            let name = crate::log::segment_name(chunk.segment);
            disk.write_at(scan.file, u64::from(chunk.offset), &bytes[..read])
                .and_then(|()| disk.sync(scan.file))
                .map_err(|e| Error::io(format!("writing the tail of {name} again"), &e))?;
        }
        Ok(())
    }
}
