//! Replaying changes of keys: a batch at a time, all of its questions first, then its changes, shard by shard.
//!
//! A replayed record may replace only its own key's slot, and the index knows some 35 bits of a hash. So the places of all slots
//! that might be its are proven (tier/prove.rs) before anything is changed.
//!
//! ```text
//!  changes of a shard, by hash      7 7 7 | 9 | 12 12 | ...       a run: one hash and space, in the order of the log
//!  questions of each run            a b   | -   | c     | ...       its slots in the index as they are before the batch
//! ```
//! Worked example: key 7 was set three times. Its run asks once, for the slots a and b; a is proven to be another key's. The first
//! change takes b's slot, and what it puts there is known to the second (`own`), so only the third's record stays live.
//!
//! Promises: a key's changes happen in the order of the log. Never: reads under the lock of a shard.

use crate::SpaceId;
use crate::error::Result;
use crate::hash::KeyHash;
use crate::index::{Slot, SlotRef};
use crate::log::footer::Entry;
use crate::log::record::{Seq, padded};
use crate::log::segment::Segment;
use crate::place::{Place, Splitter, class_of};
use crate::shard::Shard;
use crate::tier::parallel::in_parallel;
use crate::tier::prove::{self, Proof, Question, words_of};
use crate::tier::rebuild::Builder;
use crate::tier::recover::ShardSeed;
use crate::tier::scan_log::SegmentScan;
use parking_lot::Mutex;
use thermocline_memory::prefetch_read;

/// How far ahead of a run its bucket and its change are asked for: sorted, the way to the bucket is in the cache, it itself is not.
const PREFETCH_AHEAD: usize = 12;

/// A key's new state, from the log.
#[derive(Copy, Clone)]
pub(crate) struct Change {
    hash: [u32; 3],
    segment: u32,
    offset: u32,
    bytes: u32,
    space: u32,
    /// A value; else the key is gone.
    value: bool,
    has_expiry: bool,
    expiry: u64,
    seq: Seq,
}

impl Change {
    /// What a record in this segment changes.
    pub(crate) fn new(segment: u32, entry: &Entry) -> Change {
        Change {
            hash: words_of(entry.hash),
            segment,
            offset: entry.offset,
            bytes: entry.bytes,
            space: entry.space.0,
            value: entry.kind.is_value(),
            has_expiry: entry.expiry.is_some(),
            expiry: entry.expiry.unwrap_or(0),
            seq: entry.seq,
        }
    }

    /// The key is gone, whatever came last.
    pub(crate) fn removal(space: SpaceId, hash: [u32; 3]) -> Change {
        Change {
            hash,
            segment: 0,
            offset: 0,
            bytes: 0,
            space: space.0,
            value: false,
            has_expiry: false,
            expiry: 0,
            seq: Seq::MAX,
        }
    }

    fn key_hash(&self) -> KeyHash {
        let [first, second, third] = self.hash.map(u128::from);
        KeyHash(first << 96 | second << 64 | third << 32)
    }
}

/// A change's place in its shard.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd)]
struct Turn {
    hash: u64,
    space: u32,
    /// Number in the batch.
    at: u32,
}

/// One shard's part of a batch.
#[derive(Default)]
struct Part {
    turns: Vec<Turn>,
    questions: Vec<Question>,
    /// Where the questions of each run end.
    ends: Vec<u32>,
}

impl Part {
    fn runs(&self) -> impl Iterator<Item = &[Turn]> {
        self.turns.chunk_by(|one, next| (one.hash, one.space) == (next.hash, next.space))
    }
}

/// Places that the changes of one run have named, with their proofs.
type Own = Vec<(u64, Proof)>;

/// What becomes of a place's live bit.
#[derive(Copy, Clone)]
enum Mark {
    Named { offset: u32, bytes: u32, expiry: Option<u64> },
    Unnamed { offset: u32, bytes: u32 },
}

/// What one thread keeps while it changes shards.
struct Hand {
    own: Own,
    /// Live bits of each segment, in the order of the changes. What is replayed lies in few segments, so all threads would wait for
    /// their locks at every record; and the bits of one segment together are in the cache.
    marks: Vec<Vec<Mark>>,
    splitter: Splitter,
}

impl Hand {
    fn new(segments: usize, segment_bytes: u32) -> Hand {
        Hand { own: Own::new(), marks: vec![Vec::new(); segments], splitter: Splitter::new(segment_bytes) }
    }

    /// The value of a slot is live no more.
    fn unname(&mut self, slot: Slot, bytes: u32) {
        let (segment, offset) = self.splitter.split(Place::from_bits(slot.place()));
        self.own.retain(|(place, _)| *place != slot.place());
        self.marks[segment as usize].push(Mark::Unnamed { offset, bytes });
    }

    /// A key's changes are all of one shard, so that the order of its marks is kept although shards are in none.
    fn settle(&mut self, segments: &[Segment]) {
        for (segment, marks) in segments.iter().zip(&mut self.marks).filter(|(_, marks)| !marks.is_empty()) {
            let mut live = segment.live.lock();
            for mark in marks.drain(..) {
                match mark {
                    Mark::Named { offset, bytes, expiry } => live.name(offset, bytes, expiry),
                    Mark::Unnamed { offset, bytes } => live.unname(offset, bytes),
                }
            }
        }
    }
}

/// What was asked for one run, and the answers.
#[derive(Copy, Clone)]
struct Known<'q> {
    questions: &'q [Question],
    answers: &'q [Option<Proof>],
}

impl Known<'_> {
    fn proof_of(self, own: &Own, place: u64) -> Option<Proof> {
        if let Some((_, proof)) = own.iter().find(|(named, _)| *named == place) {
            return Some(*proof);
        }
        self.answers[self.questions.iter().position(|question| question.place() == place)?]
    }
}

impl Builder<'_> {
    /// Applies the changes that wait.
    pub(crate) fn apply(&mut self, scans: &[SegmentScan<'_>]) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut parts: Vec<Part> = (0..self.seeds.len()).map(|_| Part::default()).collect();
        for (at, change) in self.batch.iter().enumerate() {
            let hash = self.hasher.index(change.key_hash());
            parts[self.shard_of(hash)].turns.push(Turn { hash, space: change.space, at: at as u32 });
        }
        let parts: Vec<Mutex<Part>> = parts.into_iter().map(Mutex::new).collect();
        let none = || ();
        in_parallel(self.threads, parts.len(), none, |(), number| {
            self.ask(number, &mut parts[number].lock());
            Ok(())
        })?;
        let mut parts: Vec<Part> = parts.into_iter().map(Mutex::into_inner).collect();
        let mut questions = Vec::with_capacity(parts.iter().map(|part| part.questions.len()).sum());
        let mut firsts = Vec::with_capacity(parts.len());
        for part in &mut parts {
            let first = questions.len();
            firsts.push(first);
            questions.extend(part.questions.iter().map(|question| question.asked_by(first)));
        }
        let segments = self.segments.len();
        let answers = prove::answers(self.disk, scans, self.segment_bytes, segments, self.threads, &questions)?;
        let hand = || Hand::new(self.segments.len(), self.segment_bytes);
        in_parallel(self.threads, parts.len(), hand, |hand, number| {
            let part = &parts[number];
            let answers = &answers[firsts[number]..];
            self.change_all(number, part, answers, hand);
            hand.settle(self.segments);
            Ok(())
        })?;
        self.batch.clear();
        Ok(())
    }

    /// Sorts a shard's changes and asks what the slots name that may be meant.
    fn ask(&self, number: usize, part: &mut Part) {
        // Neighbours in the index together; a key's changes stay in their order.
        part.turns.sort_unstable();
        let seed = self.seeds[number].lock();
        let (mut questions, mut ends, mut met) = (Vec::new(), Vec::new(), 0);
        for run in part.runs() {
            let Turn { hash, space, .. } = run[0];
            met += run.len();
            self.prefetch(&seed, part.turns.get(met + PREFETCH_AHEAD));
            if let Some(space) = seed.spaces.iter().find(|s| s.id.0 == space) {
                space.index.find(hash, |_, slot| {
                    questions.push(Question::new(slot, questions.len()));
                    false
                });
            }
            ends.push(questions.len() as u32);
        }
        (part.questions, part.ends) = (questions, ends);
    }

    fn change_all(&self, number: usize, part: &Part, answers: &[Option<Proof>], hand: &mut Hand) {
        let mut seed = self.seeds[number].lock();
        let (mut first, mut met) = (0, 0);
        for (run, &end) in part.runs().zip(&part.ends) {
            let asked = first..end as usize;
            let known = Known { questions: &part.questions[asked.clone()], answers: &answers[asked] };
            hand.own.clear();
            for turn in run {
                met += 1;
                if let Some(later) = part.turns.get(met + PREFETCH_AHEAD) {
                    prefetch_read(&self.batch[later.at as usize]);
                }
                self.prefetch(&seed, part.turns.get(met + PREFETCH_AHEAD));
                self.change(&mut seed, turn.hash, &self.batch[turn.at as usize], hand, known);
            }
            first = end as usize;
        }
    }

    fn prefetch(&self, seed: &ShardSeed, later: Option<&Turn>) {
        if let Some(later) = later
            && let Some(space) = seed.spaces.iter().find(|s| s.id.0 == later.space)
        {
            space.index.prefetch(later.hash);
        }
    }

    fn change(&self, seed: &mut ShardSeed, hash: u64, change: &Change, hand: &mut Hand, known: Known<'_>) {
        let ShardSeed { spaces, spare } = seed;
        let space = ShardSeed::space_of(spaces, SpaceId(change.space), self.shard_bits, self.base_bits);
        let mut proof = None;
        let found: Option<(SlotRef, Slot)> = space.index.find(hash, |_, slot| {
            proof = known.proof_of(&hand.own, slot.place()).filter(|p| p.hash == change.hash);
            proof.is_some()
        });
        if !change.value {
            if let (Some((at, old)), Some(proof)) = (found, proof) {
                hand.unname(old, proof.bytes);
                space.index.remove(at);
                space.expiring -= u64::from(old.has_ttl());
            }
            return;
        }
        let bytes = padded(change.bytes as usize) as u32;
        let place = Place::new(change.segment, change.offset, self.segment_bytes);
        let slot = Shard::cold_slot(place, class_of(change.offset, bytes), change.has_expiry, 0);
        match (found, proof) {
            (Some((_, old)), _) if old.place() == place.bits() => return,
            // Of two copies of one version GC's newer one counts: a checkpoint that was written meanwhile knows that one.
            (Some(_), Some(proof)) if proof.seq > change.seq => return,
            (Some((at, old)), Some(proof)) => {
                hand.unname(old, proof.bytes);
                match (old.has_ttl(), slot.has_ttl()) {
                    (false, true) => space.expiring += 1,
                    (true, false) => space.expiring -= 1,
                    _ => {}
                }
                space.index.set(at, old.with_place(slot.place()).with_class(slot.class()).with_ttl(slot.has_ttl()));
            }
            _ => {
                while space.index.insert(hash, slot, spare).is_err() {
                    spare.refill();
                }
                space.expiring += u64::from(slot.has_ttl());
            }
        }
        hand.own.push((place.bits(), Proof { hash: change.hash, bytes, seq: change.seq }));
        let expiry = change.has_expiry.then_some(change.expiry);
        hand.marks[change.segment as usize].push(Mark::Named { offset: change.offset, bytes, expiry });
    }
}
