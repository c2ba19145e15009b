//! A sorted set, written: a listpack in order of score and member, or a table in the order given.
//!
//! A table keeps every bit of a score, a listpack all but the sign of zero; both as in Redis. A table is loaded fastest
//! when it is given from the highest score down.
//!
//! Promises: Redis's thresholds. Never: holds more than [`HELD_BYTES_MAX`] and one member; writes a score that is no
//! number.

use super::Promise;
use super::held::Held;
use crate::error::{Error, Reason};
use crate::number::{ScoreText, score_text};
use crate::options::HELD_BYTES_MAX;
use crate::packed::listpack::{self, Builder};
use crate::value_type::ValueType;
use crate::writer::{Head, Sink};
use std::io::Write;

/// Writes a sorted set's members, in any order.
#[must_use = "a value that is not ended spoils the file"]
pub struct SortedSetWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
    head: Option<Head<'w>>,
    promise: Promise,
    held: Held,
    scores: Vec<f64>,
    in_table: bool,
    listpack: bool,
}

impl<'w, W: Write> SortedSetWriter<'w, W> {
    pub(super) fn new(sink: &'w mut Sink<W>, head: Option<Head<'w>>, members: u64) -> SortedSetWriter<'w, W> {
        let listpack = members <= sink.settings.thresholds.sorted_set_listpack_entries_max;
        let promise = Promise::new(members);
        SortedSetWriter { sink, head, promise, held: Held::default(), scores: Vec::new(), in_table: false, listpack }
    }

    /// The next member.
    pub fn member(&mut self, member: &[u8], score: f64) -> Result<(), Error> {
        self.promise.count(self.sink)?;
        if score.is_nan() {
            return Err(self.sink.error(Reason::BadScore(self.promise.found)));
        }
        if self.in_table {
            return self.row(member, score);
        }
        self.held.push(member);
        self.scores.push(score);
        let bytes_max = self.sink.settings.thresholds.sorted_set_listpack_bytes_max;
        self.listpack &= member.len() <= bytes_max && listpack::can_hold(member.len());
        if self.listpack && self.held.bytes() <= HELD_BYTES_MAX {
            return Ok(());
        }
        self.in_table = true;
        self.sink.begin_value(self.head.as_ref(), ValueType::SortedSet2)?;
        self.sink.length(self.promise.claimed)?;
        let held = std::mem::take(&mut self.held);
        let scores = std::mem::take(&mut self.scores);
        held.iter().zip(scores).try_for_each(|(member, score)| self.row(member, score))
    }

    fn row(&mut self, member: &[u8], score: f64) -> Result<(), Error> {
        self.sink.string(member)?;
        self.sink.bytes(&score.to_le_bytes())
    }

    /// The sorted set is complete.
    pub fn end(self) -> Result<(), Error> {
        self.promise.check(self.sink)?;
        if self.in_table {
            self.sink.finish_value();
            return Ok(());
        }
        // In a listpack both zeros are one.
        let key = |index: usize| (self.scores[index] + 0.0, self.held.get(index));
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| {
            let ((score_a, member_a), (score_b, member_b)) = (key(a), key(b));
            score_a.total_cmp(&score_b).then_with(|| member_a.cmp(member_b))
        });
        let mut builder = Builder::new();
        for index in order {
            builder.push(self.held.get(index));
            match score_text(self.scores[index]) {
                ScoreText::Integer(integer) => builder.push_integer(integer),
                ScoreText::Text { bytes, length } => builder.push_bytes(&bytes[..length]),
            }
        }
        self.sink.begin_value(self.head.as_ref(), ValueType::SortedSetListpack)?;
        self.sink.string(&builder.end())?;
        self.sink.finish_value();
        Ok(())
    }
}
