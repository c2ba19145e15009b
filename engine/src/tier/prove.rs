//! Whose record lies at a place? Asked for many places at once, so that each segment is looked at once.
//!
//! The index knows some 35 bits of a hash, and a replayed record may replace only its own key's slot. A few places of a segment
//! are proven by their records, more by its footer, and many in a segment that has none by all its records in order: one long read
//! takes less time than many short ones.
//!
//! Promises: all 96 bits and the seq, from bytes whose checksum holds. Never: an answer for a place that it cannot read.

use crate::error::Result;
use crate::hash::KeyHash;
use crate::log::record::{Record, Seq, padded};
use crate::place::{Place, read_range};
use crate::tier::parallel::in_parallel;
use crate::tier::scan_log::{Met, SegmentScan};
use crate::tier::window::Window;
use parking_lot::Mutex;
use thermocline_io::Disk;

/// Places of one segment from which on its footer is read instead of the records.
const RECORDS_MAX: usize = 16;
/// What a long read brings in the time of a short one.
const BYTES_PER_READ: usize = 64 << 10;

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

/// Proofs per entry of the table that leads to them.
const PROOFS_PER_START: usize = 8;

/// The proofs of places, in their order, and where those of each range of places begin: a binary search over all of them would
/// miss the cache a dozen times.
pub(crate) struct Proofs {
    proofs: Vec<(u64, Proof)>,
    starts: Vec<u32>,
    places: u64,
}

impl Proofs {
    /// Of proofs in the order of their places.
    fn new(proofs: Vec<(u64, Proof)>) -> Proofs {
        let places = proofs.last().map_or(1, |p| p.0 + 1);
        let ranges = proofs.len() / PROOFS_PER_START + 1;
        let mut starts = Vec::with_capacity(ranges + 1);
        for (at, proof) in proofs.iter().enumerate() {
            while starts.len() <= range_of(proof.0, places, ranges) {
                starts.push(at as u32);
            }
        }
        starts.resize(ranges + 1, proofs.len() as u32);
        Proofs { proofs, starts, places }
    }

    /// What was found at a place.
    pub(crate) fn get(&self, place: u64) -> Option<Proof> {
        if place >= self.places {
            return None;
        }
        let range = range_of(place, self.places, self.starts.len() - 1);
        let near = &self.proofs[self.starts[range] as usize..self.starts[range + 1] as usize];
        near.iter().find(|p| p.0 == place).map(|p| p.1)
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
        let found: Vec<Mutex<Vec<(u64, Proof)>>> = groups.iter().map(|_| Mutex::default()).collect();
        in_parallel(threads, groups.len(), Window::default, |window, number| {
            let group = groups[number];
            let segment = segment_of(&group[0]);
            if let Some(scan) = scans.iter().find(|s| s.segment == segment) {
                *found[number].lock() = prove(disk, scan, group, window)?;
            }
            Ok(())
        })?;
        let mut proofs = Vec::with_capacity(questions.len());
        found.into_iter().for_each(|found| proofs.append(&mut found.into_inner()));
        Ok(Proofs::new(proofs))
    }
}

fn range_of(place: u64, places: u64, ranges: usize) -> usize {
    (u128::from(place) * ranges as u128 / u128::from(places)) as usize
}

/// Proofs of places of one segment, in their order.
fn prove(
    disk: &dyn Disk,
    scan: &SegmentScan<'_>,
    group: &[Question],
    window: &mut Window,
) -> Result<Vec<(u64, Proof)>> {
    let offset_of = |question: &Question| Place::from_bits(question.place).split(scan.segment_bytes).1;
    let mut found = Vec::with_capacity(group.len());
    let by_footer = |found: &mut Vec<(u64, Proof)>, group: &[Question], window: &mut Window| -> Result<bool> {
        let Some(footer) = scan.footer(disk, window)? else { return Ok(false) };
        let mut questions = group.iter();
        footer.find_all(group.iter().map(offset_of), |entry| {
            if let (Some(question), Some((hash, bytes, seq))) = (questions.next(), entry) {
                found.push((question.place, Proof::new(hash, bytes, seq)));
            }
        });
        Ok(true)
    };
    if group.len() > RECORDS_MAX && by_footer(&mut found, group, window)? {
        return Ok(found);
    }
    if group.len() > RECORDS_MAX.max(scan.used as usize / BYTES_PER_READ) {
        let mut ahead = group;
        scan.walk(disk, 0, scan.used, |met| {
            let Met::Record(met) = met else { return };
            ahead = &ahead[ahead.partition_point(|question| offset_of(question) < met.entry.offset)..];
            if let Some((question, others)) = ahead.split_first()
                && offset_of(question) == met.entry.offset
            {
                found.push((question.place, Proof::new(met.entry.hash, met.entry.bytes, met.entry.seq)));
                ahead = others;
            }
        })?;
    }
    let is_found =
        |found: &[(u64, Proof)], question: &Question| found.binary_search_by_key(&question.place, |p| p.0).is_ok();
    let rest: Vec<Question> = group.iter().filter(|question| !is_found(&found, question)).copied().collect();
    let mut unread = Vec::new();
    for question in rest {
        let offset = offset_of(&question);
        let (from, bytes) = read_range(offset, question.class, 1, scan.segment_bytes);
        let read = scan.read_blocks(disk, from..from + bytes, window)?;
        let record = read.get((offset - from) as usize..);
        match record.and_then(|record| Record::decode(scan.address().at(offset), record).ok()) {
            Some(record) => {
                let entry = scan.found(offset, &record).entry;
                found.push((question.place, Proof::new(entry.hash, entry.bytes, entry.seq)));
            }
            None => unread.push(question),
        }
    }
    // A damaged value: whose it was its footer may know.
    if !unread.is_empty() {
        by_footer(&mut found, &unread, window)?;
    }
    found.sort_by_key(|p| p.0);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_found_at_its_place_and_nowhere_else() {
        for count in [0u64, 1, 7, 1000] {
            let place = |n: u64| n * n * 37 + 5;
            let proof = |n| Proof { hash: [n as u32; 3], bytes: 16, seq: n };
            let proofs = Proofs::new((0..count).map(|n| (place(n), proof(n))).collect());
            for n in 0..count {
                assert_eq!(proofs.get(place(n)).map(|p| p.seq), Some(n), "{n} of {count}");
                assert!(proofs.get(place(n) + 1).is_none());
            }
            assert!(proofs.get(place(count)).is_none() && proofs.get(0).is_none());
        }
    }
}
