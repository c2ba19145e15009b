//! One command again and again, on elements that are chosen uniformly or by Zipf's law; every answer is checked against what
//! was filled in.
//!
//! Promises: a rank, a range or a value that the contents do not give is a wrong value; an element that is not there is a
//! loss. Keeps nothing per element: what is checked follows from the numbers alone.

use super::action::Action;
use super::element::{self, PUSHED, Spelling, number};
use crate::client::{Answer, Next, Workload};
use crate::report::WorkloadReport;
use crate::spec::{Picker, Popularity, Random};
use crate::tally::Tally;
use crate::value::{self, Expected, KeyId, Wrong};
use crate::wire::{Reply, bulk};
use crate::workload::{check, refused};
use anyhow::Result;

/// Members of a ZRANGE.
const RANGE_MEMBERS: u64 = 10;
/// Elements of an LRANGE.
const RANGE_ELEMENTS: u64 = 100;

/// What is done.
pub struct StepsPlan {
    /// The command.
    pub action: Action,
    /// How keys and elements are spelt.
    pub spelling: Spelling,
    /// Number of keys.
    pub keys: u64,
    /// Elements that each was filled with.
    pub elements: u64,
    /// Which elements are asked for.
    pub popularity: Popularity,
    /// Decides the steps.
    pub seed: u64,
    /// Steps at most.
    pub requests: u64,
    /// No step begins behind this moment of the run.
    pub ends_ns: u64,
}

/// A request in flight.
pub struct StepTicket {
    key: u64,
    /// The element, or the first one of a range.
    element: u64,
}

/// The steps, under way.
pub struct Steps {
    plan: StepsPlan,
    random: Random,
    picker: Picker,
    taken: u64,
    /// The last range that was expected: a large key is asked for the same one again and again.
    expected: Option<(u64, u64, Vec<u8>)>,
    parameters: WorkloadReport,
}

impl Steps {
    /// Begins.
    pub fn new(plan: StepsPlan, parameters: WorkloadReport) -> Self {
        let (random, picker) = (Random::new(plan.seed), Picker::new(plan.popularity, plan.elements));
        Self { plan, random, picker, taken: 0, expected: None, parameters }
    }

    /// Elements of a range of this command.
    fn range(&self) -> u64 {
        let most = if self.plan.action == Action::Lrange { RANGE_ELEMENTS } else { RANGE_MEMBERS };
        most.min(self.plan.elements)
    }

    fn choose(&mut self) -> StepTicket {
        let (step, StepsPlan { action, keys, elements, .. }) = (self.taken, &self.plan);
        let key = if action.takes_turns() { step % keys } else { self.random.below(*keys) };
        let element = match action {
            Action::Sadd => elements + step / keys,
            Action::Lpush => PUSHED + step,
            Action::Lrange => 0,
            Action::Zrange | Action::ZrangeByScore => {
                self.picker.key(&mut self.random, *elements).min(elements - self.range())
            }
            _ => self.picker.key(&mut self.random, *elements),
        };
        StepTicket { key, element }
    }

    fn append(&mut self, out: &mut Vec<u8>, ticket: &StepTicket, tally: &mut Tally) {
        let last = ticket.element + self.range() - 1;
        let (StepsPlan { action, spelling, elements, .. }, StepTicket { key, element }) = (&self.plan, ticket);
        let mut begin = |words| spelling.begin(out, words, action.word(), *key);
        match action {
            Action::Hset => {
                begin(4);
                spelling.member(out, *element);
                // From the seed: a run that writes what another has just written changes nothing, and costs the server less.
                let version = KeyId(self.plan.seed).spread().wrapping_add(self.taken) as u32;
                spelling.value(out, *key, *element, version);
                tally.value_bytes_sent += u64::from(spelling.value_bytes);
            }
            Action::Zadd => {
                begin(4);
                number(out, self.random.below(*elements));
                spelling.member(out, *element);
            }
            Action::Lpush => {
                begin(3);
                spelling.first_value(out, *key, *element);
                tally.value_bytes_sent += u64::from(spelling.value_bytes);
            }
            Action::Lpop | Action::Rpop => begin(2),
            Action::Lindex => {
                begin(3);
                number(out, *element);
            }
            Action::Lrange => {
                begin(4);
                number(out, 0);
                number(out, RANGE_ELEMENTS - 1);
            }
            Action::Zrange => {
                begin(4);
                number(out, *element);
                number(out, last);
            }
            Action::ZrangeByScore => {
                begin(5);
                number(out, *element);
                number(out, last);
                bulk(out, b"BYSCORE");
            }
            _ => {
                begin(3);
                spelling.member(out, *element);
            }
        }
    }

    /// The elements of a range as they must come, byte by byte.
    fn check_range(&mut self, ticket: &StepTicket, found: &[u8], tally: &mut Tally) {
        let (key, first) = (ticket.key, ticket.element);
        let known = self.expected.as_ref().is_some_and(|(of, from, _)| (*of, *from) == (key, first));
        if !known {
            let mut bytes = self.expected.take().map_or_else(Vec::new, |(_, _, bytes)| bytes);
            bytes.clear();
            for element in first..first + self.range() {
                match self.plan.action {
                    Action::Lrange => self.plan.spelling.first_value(&mut bytes, key, element),
                    _ => self.plan.spelling.member(&mut bytes, element),
                }
            }
            self.expected = Some((key, first, bytes));
        }
        tally.found += 1;
        if self.expected.as_ref().is_none_or(|(_, _, bytes)| bytes != found) {
            tally.wrong_value(element::owner(key, first), Wrong::Elements);
        }
    }
}

/// An element that was taken from an end: any value of this key.
fn check_taken(key: u64, value: &[u8], tally: &mut Tally) {
    tally.found += 1;
    let owner = value.first_chunk().map_or(element::owner(key, 0), |bytes| KeyId(u64::from_le_bytes(*bytes)));
    let wrong = match value::verify(value, owner, Expected::AnyVersion) {
        Err(wrong) => wrong,
        Ok(_) if element::key_of(owner) != key => Wrong::OtherKey(owner.0),
        Ok(_) => return,
    };
    tally.wrong_value(element::owner(key, 0), wrong);
}

impl Workload for Steps {
    type Ticket = StepTicket;

    fn next(&mut self, _lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<StepTicket>> {
        if self.taken >= self.plan.requests || now_ns >= self.plan.ends_ns {
            return Ok(Next::Finished);
        }
        let ticket = self.choose();
        self.append(out, &ticket, tally);
        self.taken += 1;
        Ok(Next::send(ticket, now_ns))
    }

    fn answered(&mut self, _lane: usize, ticket: StepTicket, answer: Answer<'_>, tally: &mut Tally) {
        let action = self.plan.action;
        tally.answered(action.kind(), None, answer.latency_ns, answer.now_ns);
        let owner = element::owner(ticket.key, ticket.element);
        match (action, answer.reply) {
            (Action::Hget | Action::Lindex, reply @ (Reply::Value(_) | Reply::Missing)) => {
                check(owner, Expected::AnyVersion, reply, tally);
            }
            (Action::Sadd, Reply::Count(new)) => tally.elements_added += new.max(0) as u64,
            (Action::Lpush, Reply::Count(_)) => tally.elements_added += 1,
            (Action::Hset | Action::Zadd, Reply::Count(0)) => {}
            // It was filled in, and the server takes it for new.
            (Action::Hset | Action::Zadd, Reply::Count(_)) => tally.lost += 1,
            (Action::Sismember, Reply::Count(1)) => tally.found += 1,
            (Action::Sismember, Reply::Count(0)) | (Action::Zrank, Reply::Missing) => {
                tally.missed += 1;
                tally.lost += 1;
            }
            (Action::Zrank, Reply::Count(found)) => {
                tally.found += 1;
                if found != ticket.element as i64 {
                    tally.wrong_value(owner, Wrong::Rank { expected: ticket.element as i64, found });
                }
            }
            (Action::Zrange | Action::ZrangeByScore | Action::Lrange, Reply::Many(found)) => {
                self.check_range(&ticket, found, tally);
            }
            (Action::Lpop | Action::Rpop, Reply::Value(value)) => check_taken(ticket.key, value, tally),
            // The list is empty: it was popped more often than it was filled.
            (Action::Lpop | Action::Rpop, Reply::Missing) => tally.missed += 1,
            (_, other) => refused(other, action.word(), tally),
        }
    }

    fn describe(&self) -> WorkloadReport {
        self.parameters.clone()
    }
}
