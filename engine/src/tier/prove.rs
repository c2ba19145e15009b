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
use crate::place::{Place, Splitter, read_range};
use crate::tier::parallel::in_parallel;
use crate::tier::scan_log::{Met, SegmentScan};
use crate::tier::window::Window;
use parking_lot::Mutex;
use thermocline_io::Disk;

/// Places of one segment from which on its footer is read instead of the records.
const RECORDS_MAX: usize = 16;
/// What a long read brings in the time of a short one.
const BYTES_PER_READ: usize = 64 << 10;

/// A place that a slot names, the class of the read that holds its record, and the number of whoever asks.
#[derive(Copy, Clone, Default, Eq, PartialEq, Ord, PartialOrd, Debug)]
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

/// Answers all questions that can be answered, each at the number of its asker (they count from 0, without gaps). There are so many
/// `segments`.
pub(crate) fn answers(
    disk: &dyn Disk,
    scans: &[SegmentScan<'_>],
    segment_bytes: u32,
    segments: usize,
    threads: usize,
    questions: &[Question],
) -> Result<Vec<Option<Proof>>> {
    let mut by_segment = vec![Question::default(); questions.len()];
    let groups = grouped(questions, &mut by_segment, segments, Splitter::new(segment_bytes));
    let found =
        in_parallel(threads, groups.len(), Default::default, |(found, window): &mut (Vec<_>, Window), number| {
            let (segment, group) = &mut *groups[number].lock();
            group.sort_unstable();
            if let Some(scan) = scans.iter().find(|s| s.segment == *segment) {
                found.push((number, prove(disk, scan, group, window)?));
            }
            Ok(())
        })?;
    let mut answers = vec![None; questions.len()];
    for (number, proofs) in found.into_iter().flat_map(|(found, _)| found) {
        let mut proofs = proofs.into_iter().peekable();
        for question in groups[number].lock().1.iter() {
            while proofs.next_if(|(place, _)| *place < question.place).is_some() {}
            answers[question.asker as usize] = proofs.peek().filter(|(place, _)| *place == question.place).map(|p| p.1);
        }
    }
    Ok(answers)
}

type Group<'q> = Mutex<(u32, &'q mut [Question])>;

/// The questions of each segment of which there are any, side by side in `into`, in no order: whoever takes a group sorts it.
fn grouped<'q>(
    questions: &[Question],
    into: &'q mut [Question],
    segments: usize,
    splitter: Splitter,
) -> Vec<Group<'q>> {
    let segment_of = |question: &Question| splitter.split(Place::from_bits(question.place)).0 as usize;
    let mut counts = vec![0; segments];
    // A place in no segment has no answer.
    for question in questions {
        if let Some(count) = counts.get_mut(segment_of(question)) {
            *count += 1;
        }
    }
    let mut ends = Vec::with_capacity(segments);
    let mut next = 0;
    for count in &counts {
        ends.push(next);
        next += count;
    }
    for question in questions {
        if let Some(end) = ends.get_mut(segment_of(question)) {
            into[*end] = *question;
            *end += 1;
        }
    }
    let mut rest = into;
    let mut groups = Vec::new();
    for (segment, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let (group, others) = rest.split_at_mut(count);
        groups.push(Mutex::new((segment as u32, group)));
        rest = others;
    }
    groups
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_in_the_group_of_its_segment_once() {
        let segment_bytes = 64 << 10;
        let question = |segment: u32, at: u32| Question {
            place: Place::new(segment, at * 16, segment_bytes).bits(),
            class: 0,
            asker: segment * 100 + at,
        };
        let asked: Vec<Question> =
            [(3, 9), (0, 1), (3, 2), (7, 5), (0, 8), (3, 2)].map(|(segment, at)| question(segment, at)).to_vec();
        let mut into = vec![Question::default(); asked.len()];
        let groups = grouped(&asked, &mut into, 5, Splitter::new(segment_bytes));
        let groups: Vec<(u32, Vec<Question>)> = groups
            .into_iter()
            .map(Mutex::into_inner)
            .map(|(segment, group)| {
                group.sort_unstable();
                (segment, group.to_vec())
            })
            .collect();
        let zero = vec![question(0, 1), question(0, 8)];
        let three = vec![question(3, 2), question(3, 2), question(3, 9)];
        assert_eq!(groups, [(0, zero), (3, three)], "segment 7 is none of five: its place has no answer");
    }
}
