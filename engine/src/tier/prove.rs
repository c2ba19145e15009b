//! Whose record lies at a place? Asked for many places at once, so that each segment is looked at once.
//!
//! The index knows some 35 bits of a hash, and a replayed record may replace only its own key's slot. A few places of a segment
//! are proven by their records, more by its footer, and many in a segment that has none by all its records in order: one long read
//! takes less time than many short ones.
//!
//! Promises: all 96 bits and the seq, from bytes whose checksum holds. Never: an answer for a place that it cannot read.

use crate::error::Result;
use crate::hash::KeyHash;
use crate::index::Slot;
use crate::log::record::{Record, Seq, padded};
use crate::place::{Place, read_range};
use crate::tier::parallel::in_parallel;
use crate::tier::scan_log::{Met, SegmentScan};
use crate::tier::window::Window;
use thermocline_io::Disk;

/// Places of one segment from which on its footer is read instead of the records.
const RECORDS_MAX: usize = 16;
/// What a long read brings in the time of a short one.
const BYTES_PER_READ: usize = 64 << 10;

/// A place that a slot names, the class of the read that holds its record, and the number of whoever asks.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
pub(crate) struct Question {
    place: u64,
    class: u8,
    asker: u32,
}

impl Question {
    /// What does this slot name? The answer is found at `asker`.
    pub(crate) fn new(slot: Slot, asker: usize) -> Question {
        Question { place: slot.place(), class: slot.class(), asker: asker as u32 }
    }

    /// The same question, asked by somebody so many numbers further on.
    pub(crate) fn asked_by(self, first: usize) -> Question {
        Question { asker: self.asker + first as u32, ..self }
    }

    /// Where it asks.
    pub(crate) fn place(self) -> u64 {
        self.place
    }
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

/// Answers all questions that can be answered, each at the number of its asker (they count from 0, without gaps).
pub(crate) fn answers(
    disk: &dyn Disk,
    scans: &[SegmentScan<'_>],
    segment_bytes: u32,
    threads: usize,
    mut questions: Vec<Question>,
) -> Result<Vec<Option<Proof>>> {
    questions.sort_unstable();
    let segment_of = |question: &Question| Place::from_bits(question.place).split(segment_bytes).0;
    let groups: Vec<&[Question]> = questions.chunk_by(|a, b| segment_of(a) == segment_of(b)).collect();
    let found =
        in_parallel(threads, groups.len(), Default::default, |(found, window): &mut (Vec<_>, Window), number| {
            let segment = segment_of(&groups[number][0]);
            if let Some(scan) = scans.iter().find(|s| s.segment == segment) {
                found.push((number, prove(disk, scan, groups[number], window)?));
            }
            Ok(())
        })?;
    let mut answers = vec![None; questions.len()];
    for (number, proofs) in found.into_iter().flat_map(|(found, _)| found) {
        let mut proofs = proofs.into_iter().peekable();
        for question in groups[number] {
            while proofs.next_if(|(place, _)| *place < question.place).is_some() {}
            answers[question.asker as usize] = proofs.peek().filter(|(place, _)| *place == question.place).map(|p| p.1);
        }
    }
    Ok(answers)
}

/// Proofs of places of one segment, in their order. `asked`: sorted, a place perhaps more than once.
fn prove(
    disk: &dyn Disk,
    scan: &SegmentScan<'_>,
    asked: &[Question],
    window: &mut Window,
) -> Result<Vec<(u64, Proof)>> {
    let once: Vec<Question> = asked.chunk_by(|one, next| one.place == next.place).map(|same| same[0]).collect();
    let group = &once[..];
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
        let decode = |read: &[u8]| {
            let record = Record::decode(scan.address().at(offset), read.get((offset - from) as usize..)?).ok()?;
            let entry = scan.found(offset, &record).entry;
            Some(Proof::new(entry.hash, entry.bytes, entry.seq))
        };
        let mut proof = decode(scan.read_blocks(disk, from..from + bytes, window)?);
        if proof.is_none() {
            // Perhaps a neighbour in its block cannot be read: then it is asked for alone.
            let mut alone = vec![0; bytes as usize];
            let read = scan.read(disk, from, &mut alone)?;
            proof = decode(&alone[..read]);
        }
        match proof {
            Some(proof) => found.push((question.place, proof)),
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
