//! Whose record lies at a place? Asked for many places at once, so that each segment is looked at once.
//!
//! The index knows some 35 bits of a hash, and a replayed record may replace only its own key's slot. A few places of a segment
//! are proven by their records, many by its footer.
//!
//! Promises: all 96 bits and the seq, from bytes whose checksum holds. Never: an answer for a place that it cannot read.

use crate::error::Result;
use crate::hash::KeyHash;
use crate::log::record::{Record, Seq, padded};
use crate::place::{Place, read_range};
use crate::tier::parallel::in_parallel;
use crate::tier::scan_log::SegmentScan;
use thermocline_io::Disk;

/// Places of one segment from which on its footer is read instead of the records.
const RECORDS_MAX: usize = 48;

/// A place that a slot names, and the class of the read that holds its record.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
pub(crate) struct Question {
    pub(crate) place: u64,
    pub(crate) class: u8,
}

/// What lies there.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) hash: [u32; 3],
    pub(crate) bytes: u32,
    pub(crate) seq: Seq,
}

impl Proof {
    pub(crate) fn new(hash: KeyHash, bytes: u32, seq: Seq) -> Proof {
        Proof { hash: words_of(hash), bytes: padded(bytes as usize) as u32, seq }
    }
}

/// The 96 bits that footers know.
pub(crate) fn words_of(hash: KeyHash) -> [u32; 3] {
    [(hash.0 >> 96) as u32, (hash.0 >> 64) as u32, (hash.0 >> 32) as u32]
}

/// The proofs of places, in their order.
pub(crate) struct Proofs(Vec<(u64, Proof)>);

impl Proofs {
    /// What was found at a place.
    pub(crate) fn get(&self, place: u64) -> Option<Proof> {
        let at = self.0.binary_search_by_key(&place, |p| p.0).ok()?;
        Some(self.0[at].1)
    }

    /// Answers all questions that can be answered.
    pub(crate) fn find(
        disk: &dyn Disk,
        scans: &[SegmentScan<'_>],
        segment_bytes: u32,
        threads: usize,
        mut questions: Vec<Question>,
    ) -> Result<Proofs> {
        questions.sort_unstable();
        questions.dedup_by_key(|q| q.place);
        let segment_of = |q: &Question| Place::from_bits(q.place).split(segment_bytes).0;
        let groups: Vec<&[Question]> = questions.chunk_by(|a, b| segment_of(a) == segment_of(b)).collect();
        let found = in_parallel(threads, groups.len(), Vec::new, |found, number| {
            let group = groups[number];
            let segment = segment_of(&group[0]);
            match scans.iter().find(|s| s.segment == segment) {
                Some(scan) => prove(disk, scan, group, found),
                None => Ok(()),
            }
        })?;
        let mut all = found.concat();
        all.sort_unstable_by_key(|p| p.0);
        Ok(Proofs(all))
    }
}

fn prove(disk: &dyn Disk, scan: &SegmentScan<'_>, group: &[Question], found: &mut Vec<(u64, Proof)>) -> Result<()> {
    let offset_of = |q: &Question| Place::from_bits(q.place).split(scan.segment_bytes).1;
    if group.len() > RECORDS_MAX
        && let Some(footer) = scan.footer(disk)?
    {
        let mut entries = footer.entries.iter().peekable();
        for question in group {
            let offset = offset_of(question);
            while entries.next_if(|e| e.offset < offset).is_some() {}
            if let Some(entry) = entries.next_if(|e| e.offset == offset) {
                found.push((question.place, Proof::new(entry.hash, entry.bytes, entry.seq)));
            }
        }
        return Ok(());
    }
    let mut unread = Vec::new();
    for question in group {
        let offset = offset_of(question);
        let (from, bytes) = read_range(offset, question.class, 1, scan.segment_bytes);
        let mut window = vec![0; bytes as usize];
        let read = scan.read(disk, from, &mut window)?;
        let record = window
            .get((offset - from) as usize..read)
            .and_then(|record| Record::decode(scan.address().at(offset), record).ok());
        match record {
            Some(record) => {
                let entry = scan.found(offset, &record).entry;
                found.push((question.place, Proof::new(entry.hash, entry.bytes, entry.seq)));
            }
            None => unread.push(*question),
        }
    }
    // A damaged value: whose it was its footer may know.
    if let (false, Some(footer)) = (unread.is_empty(), scan.footer(disk)?) {
        for question in unread {
            let offset = offset_of(&question);
            if let Ok(at) = footer.entries.binary_search_by_key(&offset, |e| e.offset) {
                let entry = &footer.entries[at];
                found.push((question.place, Proof::new(entry.hash, entry.bytes, entry.seq)));
            }
        }
    }
    Ok(())
}
