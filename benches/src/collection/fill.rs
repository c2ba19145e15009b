//! Fills collections: many elements in one command, each key by one connection, so that lists come in order.
//!
//! Promises: what a key held before is removed first, unless the filling goes on from an earlier one; hashes, sets and sorted
//! sets come in a random order, which follows from the seed. Bounded by what is in flight.

use super::action::Shape;
use super::element::{Spelling, number};
use crate::client::{Answer, Next, Workload};
use crate::permutation::Permutation;
use crate::report::WorkloadReport;
use crate::tally::{Kind, Tally};
use crate::wire::{Reply, bulk, header};
use crate::workload::refused;
use anyhow::Result;

/// Elements of one command.
const BATCH: u64 = 100;

/// What is filled.
pub struct FillPlan {
    /// The type.
    pub shape: Shape,
    /// Its command.
    pub word: &'static str,
    /// How it is spelt.
    pub spelling: Spelling,
    /// Number of keys.
    pub keys: u64,
    /// The first element.
    pub from: u64,
    /// How many from there.
    pub elements: u64,
    /// Decides the order.
    pub seed: u64,
}

/// Where a connection stands.
struct Place {
    key: u64,
    /// Elements of this key that were sent.
    sent: u64,
    emptied: bool,
}

/// A request in flight.
pub enum FillTicket {
    /// The removal of what was there.
    Unlink,
    /// So many elements.
    Elements(u64),
}

/// The filling, under way.
pub struct Fill {
    plan: FillPlan,
    order: Permutation,
    places: Vec<Place>,
    parameters: WorkloadReport,
}

impl Fill {
    /// Begins on so many connections.
    pub fn new(plan: FillPlan, connections: usize, parameters: WorkloadReport) -> Self {
        let place = |lane: usize| Place { key: lane as u64, sent: 0, emptied: plan.from > 0 };
        let places = (0..connections).map(place).collect();
        Self { order: Permutation::new(plan.elements, plan.seed), plan, places, parameters }
    }

    fn append(&self, out: &mut Vec<u8>, key: u64, sent: u64, count: u64) {
        let FillPlan { shape, word, spelling, from, .. } = &self.plan;
        let words_each = if matches!(shape, Shape::Hash | Shape::SortedSet) { 2 } else { 1 };
        spelling.begin(out, 2 + count * words_each, word, key);
        for step in sent..sent + count {
            let element = from + if *shape == Shape::List { step } else { self.order.at(step) };
            match shape {
                Shape::Hash => {
                    spelling.member(out, element);
                    spelling.first_value(out, key, element);
                }
                Shape::Set => spelling.member(out, element),
                Shape::SortedSet => {
                    number(out, element);
                    spelling.member(out, element);
                }
                Shape::List => spelling.first_value(out, key, element),
            }
        }
    }
}

impl Workload for Fill {
    type Ticket = FillTicket;

    fn next(&mut self, lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<FillTicket>> {
        let lanes = self.places.len() as u64;
        let place = &mut self.places[lane];
        if place.sent == self.plan.elements {
            *place = Place { key: place.key + lanes, sent: 0, emptied: self.plan.from > 0 };
        }
        if place.key >= self.plan.keys {
            return Ok(Next::Finished);
        }
        if !place.emptied {
            place.emptied = true;
            header(out, b'*', 2);
            bulk(out, b"UNLINK");
            let key = self.plan.spelling.keys.key(crate::value::KeyId(place.key));
            header(out, b'$', key.length() as u64);
            key.append(out);
            out.extend_from_slice(b"\r\n");
            return Ok(Next::send(FillTicket::Unlink, now_ns));
        }
        let (key, sent) = (place.key, place.sent);
        let count = BATCH.min(self.plan.elements - sent);
        place.sent += count;
        self.append(out, key, sent, count);
        if matches!(self.plan.shape, Shape::Hash | Shape::List) {
            tally.value_bytes_sent += count * u64::from(self.plan.spelling.value_bytes);
        }
        Ok(Next::send(FillTicket::Elements(count), now_ns))
    }

    fn answered(&mut self, _lane: usize, ticket: FillTicket, answer: Answer<'_>, tally: &mut Tally) {
        let kind = if matches!(ticket, FillTicket::Unlink) { Kind::Delete } else { Kind::Set };
        tally.answered(kind, None, answer.latency_ns, answer.now_ns);
        match (ticket, answer.reply) {
            (FillTicket::Unlink, Reply::Count(_)) => {}
            // RPUSH answers how long the list is now, the others how many were new.
            (FillTicket::Elements(count), Reply::Count(_)) if self.plan.shape == Shape::List => {
                tally.elements_added += count;
            }
            (FillTicket::Elements(_), Reply::Count(new)) => tally.elements_added += new.max(0) as u64,
            (_, other) => refused(other, self.plan.word, tally),
        }
    }

    fn describe(&self) -> WorkloadReport {
        self.parameters.clone()
    }
}
