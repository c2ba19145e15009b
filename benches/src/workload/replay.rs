//! Replays a trace as cache-aside: `GET`; on a miss `SET`. Requests of one key keep their order: a key belongs to one
//! connection, and while a request of it is in flight (a miss's SET included) the next one of that key waits.
//!
//! With one connection and one request in flight the server sees exactly the trace. With more, the order of different keys
//! may differ by what is in flight; each key's own history never does, so every read is checked against the one version
//! that it must be.
//!
//! In an open loop a request is due by the timetable, or at the trace's own moment; it is never read from the trace before.
//!
//! Bounded: read ahead for other connections is limited; per key 8 bytes are kept.

use super::schedule::Schedule;
use super::{Speaker, ValueSizes, accepted, refused};
use crate::client::{Answer, Next, Workload};
use crate::report::{LoopReport, WorkloadReport};
use crate::tally::{Kind, Tally};
use crate::trace::{Operation, Request, TraceReader};
use crate::value::{self, Expected, KeyId};
use crate::wire::{Key, NewValue, Reply};
use anyhow::{Context as _, Result};
use std::collections::VecDeque;

/// Requests read ahead because their connection was busy, over all connections.
const READ_AHEAD_MAX: usize = 1 << 16;

/// What is known of a key: 0 is "never written by this run".
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    version: u32,
    length: u32,
}

/// The length of a key whose last write was answered with an error: it may hold this version or an older one.
const LENGTH_UNKNOWN: u32 = u32::MAX;

/// A request in flight.
pub struct Ticket {
    request: Request,
    sent: Operation,
}

/// A request and the moment when it should be sent.
#[derive(Debug, Clone, Copy)]
struct Due {
    request: Request,
    due_ns: u64,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Due>,
    fill_ins: VecDeque<Request>,
    busy: Vec<KeyId>,
}

/// A trace on its way.
pub struct Replay {
    trace: std::iter::Peekable<std::iter::Take<TraceReader>>,
    schedule: Schedule,
    speed: Option<f64>,
    lanes: Vec<Lane>,
    queued: usize,
    /// The trace has no more requests.
    ended: bool,
    known: Vec<Known>,
    options: ReplayOptions,
}

/// What the trace has for a connection.
enum Ahead {
    Request(Due),
    Later(u64),
    Nothing,
}

/// How a trace is turned into requests.
#[derive(Clone)]
pub struct ReplayOptions {
    /// Name of the trace.
    pub name: String,
    /// Requests to replay at most.
    pub requests: Option<u64>,
    /// The keys' text, and the language.
    pub speaker: Speaker,
    /// Sizes of values where the trace has none.
    pub sizes: Option<ValueSizes>,
    /// Time to live where the trace has none.
    pub ttl_s: Option<u32>,
    /// Open loop by the trace's own times, so many times as fast.
    pub speed: Option<f64>,
}

impl Replay {
    /// Begins at the trace's first request.
    pub fn new(trace: TraceReader, connections: usize, options: ReplayOptions, schedule: Schedule) -> Self {
        let requests = options.requests.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self {
            trace: trace.take(requests).peekable(),
            schedule: if options.speed.is_some() { Schedule::given() } else { schedule },
            speed: options.speed,
            lanes: (0..connections).map(|_| Lane::default()).collect(),
            queued: 0,
            ended: false,
            known: Vec::new(),
            options,
        }
    }

    /// Different keys that this run has written.
    pub fn keys_written(&self) -> u64 {
        self.known.iter().filter(|known| known.version > 0).count() as u64
    }

    /// Moves the trace forward until this connection has a request that is due.
    fn read_ahead(&mut self, lane: usize, now_ns: u64) -> Result<Ahead> {
        while self.lanes[lane].queue.is_empty() && self.queued < READ_AHEAD_MAX {
            if let (Some(speed), Some(Ok(request))) = (self.speed, self.trace.peek()) {
                self.schedule.at((request.time_s.unwrap_or(0.0) / speed * 1e9) as u64);
            }
            if self.trace.peek().is_some() && self.schedule.due_ns(now_ns) > now_ns {
                return Ok(Ahead::Later(self.schedule.due_ns(now_ns)));
            }
            let Some(request) = self.trace.next() else {
                self.ended = true;
                break;
            };
            let request = request?;
            let key = request.key.0 as usize;
            if self.known.len() <= key {
                self.known.resize(key + 1, Known::default());
            }
            let owner = (request.key.spread() % self.lanes.len() as u64) as usize;
            let due_ns = self.schedule.take(now_ns);
            self.lanes[owner].queue.push_back(Due { request, due_ns });
            self.queued += 1;
        }
        Ok(self.lanes[lane].queue.front().map_or(Ahead::Nothing, |due| Ahead::Request(*due)))
    }

    fn send_set(&mut self, request: Request, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Ticket> {
        let length = match (request.value_bytes, self.options.sizes) {
            (Some(length), _) => length,
            (None, Some(sizes)) => sizes.of(request.key),
            (None, None) => {
                return Err(anyhow::anyhow!("give --value-size")).context("this trace has no value sizes");
            }
        };
        let known = &mut self.known[request.key.0 as usize];
        known.version += 1;
        let ttl_s = request.ttl_s.or(self.options.ttl_s);
        let new = NewValue { version: known.version, length, ttl_s };
        known.length = length;
        let speaker = &self.options.speaker;
        speaker.set(out, Key { bytes: request.key_bytes, ..speaker.text.key(request.key) }, new, tally);
        Ok(Ticket { request, sent: Operation::Set })
    }

    fn check(&mut self, key: KeyId, found: &[u8], tally: &mut Tally) {
        let known = &mut self.known[key.0 as usize];
        let certain = known.version > 0 && known.length != LENGTH_UNKNOWN;
        let expected = if certain {
            Expected::Exactly { version: known.version, length: known.length }
        } else {
            Expected::AnyVersion
        };
        match value::verify(found, key, expected) {
            Ok(found) if !certain => {
                tally.preexisting += u64::from(known.version == 0);
                // Not below 1: version 0 means "unknown", and short values carry none.
                *known = Known { version: found.version.max(1), length: found.length };
            }
            Ok(_) => {}
            Err(wrong) => tally.wrong_value(key, wrong),
        }
    }
}

impl Workload for Replay {
    type Ticket = Ticket;

    fn next(&mut self, lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Ticket>> {
        if let Some(request) = self.lanes[lane].fill_ins.pop_front() {
            return Ok(Next::send(self.send_set(request, out, tally)?, now_ns));
        }
        let Due { request, due_ns } = match self.read_ahead(lane, now_ns)? {
            Ahead::Request(due) => due,
            Ahead::Later(due_ns) => return Ok(Next::Later(due_ns)),
            Ahead::Nothing if self.lanes[lane].busy.is_empty() && self.queued == 0 => return Ok(Next::Finished),
            Ahead::Nothing => return Ok(Next::Wait),
        };
        if self.lanes[lane].busy.contains(&request.key) {
            return Ok(Next::Wait);
        }
        self.lanes[lane].queue.pop_front();
        self.queued -= 1;
        self.lanes[lane].busy.push(request.key);
        self.schedule.sent(due_ns, now_ns);
        if request.operation == Operation::Set {
            return Ok(Next::send(self.send_set(request, out, tally)?, due_ns));
        }
        let speaker = &self.options.speaker;
        speaker.protocol.get(out, Key { bytes: request.key_bytes, ..speaker.text.key(request.key) });
        Ok(Next::send(Ticket { request, sent: Operation::Get }, due_ns))
    }

    fn answered(&mut self, lane: usize, ticket: Ticket, answer: Answer<'_>, tally: &mut Tally) {
        let key = ticket.request.key;
        if ticket.sent == Operation::Set {
            tally.answered(Kind::Set, answer.tier, answer.latency_ns, answer.now_ns);
            if !accepted(answer.reply, tally) {
                self.known[key.0 as usize].length = LENGTH_UNKNOWN;
            }
        } else {
            tally.answered(Kind::Get, answer.tier, answer.latency_ns, answer.now_ns);
            match answer.reply {
                Reply::Value(found) => {
                    tally.found += 1;
                    self.check(key, found, tally);
                }
                Reply::Missing => {
                    tally.missed += 1;
                    tally.lost += u64::from(self.known[key.0 as usize].version > 0);
                    tally.fill_ins += 1;
                    self.lanes[lane].fill_ins.push_back(ticket.request);
                    return; // the key stays busy until its SET is answered
                }
                other => refused(other, "GET", tally),
            }
        }
        let busy = &mut self.lanes[lane].busy;
        let at = busy.iter().position(|other| *other == key).expect("a key in flight is busy");
        busy.swap_remove(at);
    }

    fn describe(&self) -> WorkloadReport {
        let mut parameters = std::collections::BTreeMap::new();
        if let Some(requests) = self.options.requests {
            parameters.insert("requests".to_owned(), requests.to_string());
        }
        if let Some(speed) = self.options.speed {
            parameters.insert("speed".to_owned(), speed.to_string());
        }
        WorkloadReport { name: self.options.name.clone(), source: None, parameters }
    }

    fn pacing(&self, ended_ns: u64) -> LoopReport {
        let report = self.schedule.report(ended_ns);
        let unsent_at_end = if self.ended { self.queued as u64 } else { report.unsent_at_end + self.queued as u64 };
        LoopReport { unsent_at_end, ..report }
    }
}
