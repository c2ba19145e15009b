//! The foreground stream beyond the map, in order: sealed segments by their footers, the rest chunk by chunk.
//!
//! Promises: the first hole ends the stream, unless something later proves that what is missing was durable once (then it is
//! damage). Never: hands out what an earlier recovery cut off.

use crate::error::Result;
use crate::log::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use crate::log::footer::{ENTRY_BYTES, Entry, Stored};
use crate::log::map::Map;
use crate::log::record::{Record, Seq, padded};
use crate::log::superblock::{Cut, Superblock};
use crate::tier::scan_log::{Found, Met, SegmentScan, is_fact};
use crate::tier::window::Window;
use thermocline_io::Disk;

/// A run of the stream: a chunk, or what a footer tells of.
#[derive(Copy, Clone, Debug)]
struct Run {
    scan: usize,
    offset: u32,
    bytes: u32,
    used: u32,
    prev_seq: Seq,
    last_seq: Seq,
    watermark: Seq,
    sealed: bool,
}

/// The stream.
#[derive(Default)]
pub(crate) struct Tail {
    runs: Vec<Run>,
    pub(crate) highest_seq: Seq,
    /// The superblock or the map proves that everything up to here was durable.
    durable_seq: Seq,
}

/// Something that was durable once and is not there.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Damage {
    /// Bytes that do not hold.
    Bytes { segment: u32, offset: u32 },
    /// The stream lacks so many seqs before this sound place.
    Hole { seqs: Seq, segment: u32, offset: u32 },
    /// The stream lacks so many seqs at its end.
    End { seqs: Seq },
}

/// How the stream ended.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) damage: Vec<Damage>,
    pub(crate) void_bytes: u64,
    void: Vec<(u32, u32)>, // (segment, first void offset)
    /// Chunks that count and that nothing written later vouches for, visible and perhaps not durable: (scan, offset).
    pub(crate) unvouched: Vec<(usize, u32)>,
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
    pub(crate) fn cuts(&self, scans: &[SegmentScan<'_>]) -> Vec<Cut> {
        self.void
            .iter()
            .filter_map(|&(segment, length)| {
                let scan = scans.iter().find(|s| s.segment == segment)?;
                Some(Cut { segment, epoch: scan.epoch, length })
            })
            .collect()
    }
}

/// Where what counts of a segment ends.
pub(crate) fn cut_of(cuts: &[Cut], scan: &SegmentScan<'_>) -> u32 {
    cuts.iter().find(|c| c.segment == scan.segment && c.epoch == scan.epoch).map_or(u32::MAX, |c| c.length)
}

impl Tail {
    /// The stream in these segments.
    ///
    /// The start of the life that wrote `block` ended the stream at its `durable_seq`: what earlier lives had written behind that is
    /// void. Where a segment's first block was not there that start did not see the rest of it, and made no cut.
    pub(crate) fn of(scans: &[SegmentScan<'_>], block: &Superblock, map: &Map) -> Tail {
        let durable_seq = map.durable_seq.max(block.durable_seq);
        let mut tail = Tail { highest_seq: durable_seq, durable_seq, ..Tail::default() };
        for (number, scan) in scans.iter().enumerate() {
            tail.highest_seq = tail.highest_seq.max(scan.max_seq);
            if scan.stream != 0 {
                continue;
            }
            let void_from = match u64::from(scan.epoch) < block.generation && block.durable_seq > 0 {
                true => block.durable_seq,
                false => Seq::MAX,
            };
            if let Some(sealed) = scan.sealed {
                tail.runs.push(Run {
                    scan: number,
                    offset: sealed.offset,
                    bytes: 0,
                    used: 0,
                    prev_seq: sealed.prev_seq,
                    last_seq: sealed.last_seq,
                    watermark: sealed.watermark,
                    sealed: true,
                });
            }
            let counts = |at: u32, h: &ChunkHeader| at + h.used > scan.covered && h.prev_seq < void_from;
            for &(offset, header) in scan.chunks.iter().filter(|(at, h)| counts(*at, h)) {
                tail.runs.push(Run {
                    scan: number,
                    offset,
                    bytes: header.bytes,
                    used: header.used,
                    prev_seq: header.prev_seq,
                    last_seq: header.last_seq,
                    watermark: header.watermark,
                    sealed: false,
                });
            }
        }
        tail.runs.sort_by_key(|run| (run.prev_seq, run.last_seq));
        tail
    }

    /// Records at most, and the bytes that tell of them.
    pub(crate) fn size(&self) -> (usize, u64) {
        let records = |run: &Run| run.last_seq.saturating_sub(run.prev_seq);
        let bytes = |run: &Run| if run.sealed { records(run) * ENTRY_BYTES as u64 } else { u64::from(run.used) };
        (self.runs.iter().map(records).sum::<u64>() as usize, self.runs.iter().map(bytes).sum())
    }

    /// For each run, the highest watermark of those behind it, and of the map.
    fn vouchers(&self) -> Vec<Seq> {
        let mut highest = self.durable_seq;
        let mut vouchers = Vec::with_capacity(self.runs.len());
        for run in self.runs.iter().rev() {
            vouchers.push(highest);
            highest = highest.max(run.watermark);
        }
        vouchers.reverse();
        vouchers
    }

    /// Is there a hole that something later proves to be damage? By the links of the runs alone.
    pub(crate) fn has_damage(&self, scans: &[SegmentScan<'_>], last_seq: Seq, cuts: &[Cut]) -> bool {
        let mut last = last_seq;
        for (run, vouched) in self.runs.iter().zip(self.vouchers()) {
            if run.offset + CHUNK_HEADER_BYTES as u32 >= cut_of(cuts, &scans[run.scan]) {
                continue;
            }
            if run.prev_seq > last {
                return vouched.max(run.watermark) > last;
            }
            last = last.max(run.last_seq);
        }
        last < self.durable_seq
    }

    /// Hands out the records in order until the first hole.
    pub(crate) fn walk(
        &self,
        disk: &dyn Disk,
        scans: &[SegmentScan<'_>],
        last_seq: Seq,
        cuts: &[Cut],
        mut visit: impl FnMut(Found) -> Result<()>,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut last = last_seq;
        let mut broken = false;
        let mut window = Window::default();
        for (run, vouched) in self.runs.iter().zip(self.vouchers()) {
            let scan = &scans[run.scan];
            let cut = cut_of(cuts, scan);
            if run.offset + CHUNK_HEADER_BYTES as u32 >= cut {
                continue; // void since an earlier recovery
            }
            if !broken && run.last_seq <= last {
                continue; // a copy of what was met elsewhere, or void: the stream has gone past it
            }
            if !broken && run.prev_seq > last {
                // A hole. Was it durable once?
                if vouched.max(run.watermark) > last {
                    let seqs = run.prev_seq - last;
                    outcome.damage.push(Damage::Hole { seqs, segment: scan.segment, offset: run.offset });
                    last = run.prev_seq;
                } else {
                    broken = true;
                }
            }
            if broken {
                outcome.cut_at(scan.segment, run.offset.max(scan.covered));
                outcome.void_bytes += u64::from(run.used);
                continue;
            }
            if run.sealed {
                last = sealed(disk, scan, cut, last, &mut window, &mut outcome, &mut visit)?;
                continue;
            }
            if vouched < run.last_seq {
                outcome.unvouched.push((run.scan, run.offset));
            }
            // Up to here the log was durable when something later was written: a bad record below it is damage, not a torn tail.
            let mut reached = run.prev_seq;
            let mut end = run.offset;
            let mut hole = None;
            let mut damage = Vec::new();
            let mut failed = Ok(());
            scan.walk_in(disk, run.offset, run.offset + run.bytes, &mut window, |met| {
                let mut found = match met {
                    _ if hole.is_some() || failed.is_err() => return,
                    Met::Record(found) => found,
                    Met::Bad(offset, _) if offset >= cut || offset < scan.covered => return,
                    Met::Bad(offset, _) if vouched <= last => {
                        hole = Some(offset);
                        return;
                    }
                    Met::Bad(offset, suspect) => {
                        damage.push(Damage::Bytes { segment: scan.segment, offset });
                        match suspect.filter(|found| !is_fact(found.entry.kind)) {
                            // Its own seq proves nothing either: within a chunk they follow each other.
                            Some(mut found) => {
                                found.entry.seq = (reached + 1).min(run.last_seq);
                                found
                            }
                            None => return,
                        }
                    }
                };
                if found.entry.offset >= cut {
                    return;
                }
                reached = found.entry.seq;
                end = found.entry.offset + padded(found.entry.bytes as usize) as u32;
                if found.entry.offset >= scan.covered && found.entry.seq > last {
                    last = found.entry.seq;
                    found.losses = (outcome.damage.len() + damage.len()) as u32;
                    failed = visit(found);
                }
            })?;
            failed?;
            outcome.damage.append(&mut damage);
            if hole.is_none() && reached < run.last_seq && end < cut {
                if vouched > last {
                    outcome.damage.push(Damage::Bytes { segment: scan.segment, offset: end });
                    last = last.max(run.last_seq);
                } else {
                    hole = Some(end);
                }
            }
            if let Some(at) = hole {
                broken = true;
                outcome.cut_at(scan.segment, at.max(scan.covered));
                outcome.void_bytes += u64::from((run.offset + run.used).saturating_sub(at));
            }
        }
        if last < self.durable_seq {
            outcome.damage.push(Damage::End { seqs: self.durable_seq - last });
        }
        Ok(outcome)
    }
}

/// The records that a footer does not tell all of: deltas, most of them, and then there are many. One read for all of those.
struct Facts {
    from: u32,
    bytes: Vec<u8>,
}

impl Facts {
    /// So few are read one by one.
    const FEW: usize = 8;

    fn read(disk: &dyn Disk, scan: &SegmentScan<'_>, all: impl Iterator<Item = Entry>) -> Result<Facts> {
        let of_facts: Vec<Entry> = all.filter(|entry| is_fact(entry.kind)).collect();
        let mut facts = Facts { from: 0, bytes: Vec::new() };
        if let [first, .., last] = &of_facts[..]
            && of_facts.len() > Facts::FEW
        {
            facts.from = first.offset;
            facts.bytes.resize((last.offset + last.bytes - first.offset) as usize, 0);
            let read = scan.read(disk, facts.from, &mut facts.bytes)?;
            facts.bytes.truncate(read);
        }
        Ok(facts)
    }

    /// The payload of one. `None`: it is damaged.
    fn get(&self, disk: &dyn Disk, scan: &SegmentScan<'_>, entry: &Entry) -> Result<Option<Vec<u8>>> {
        if self.bytes.is_empty() {
            return scan.fact(disk, entry);
        }
        let at = (entry.offset - self.from) as usize;
        let record = self.bytes.get(at..at + entry.bytes as usize);
        let decoded = record.and_then(|bytes| Record::decode(scan.address().at(entry.offset), bytes).ok());
        Ok(decoded.map(|record| record.payload.to_vec()))
    }
}

/// What a footer tells of. Returns the last seq.
fn sealed(
    disk: &dyn Disk,
    scan: &SegmentScan<'_>,
    cut: u32,
    mut last: Seq,
    window: &mut Window,
    outcome: &mut Outcome,
    visit: &mut impl FnMut(Found) -> Result<()>,
) -> Result<Seq> {
    let footer = scan.footer(disk, window)?;
    let beyond = || footer.iter().flat_map(Stored::entries).filter(|entry| entry.offset >= scan.covered);
    let facts = Facts::read(disk, scan, beyond())?;
    for entry in beyond() {
        if entry.seq <= last || entry.offset >= cut {
            continue;
        }
        let mut found = Found { segment: scan.segment, entry, fact: Vec::new(), losses: 0 };
        last = found.entry.seq;
        if is_fact(found.entry.kind) {
            match facts.get(disk, scan, &found.entry)? {
                Some(fact) => found.fact = fact,
                None => {
                    let offset = found.entry.offset;
                    outcome.damage.push(Damage::Bytes { segment: scan.segment, offset });
                    continue; // a fact without its payload says nothing
                }
            }
        }
        found.losses = outcome.damage.len() as u32;
        visit(found)?;
    }
    Ok(last)
}
