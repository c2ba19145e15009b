//! Replays a trace as cache-aside: `GET`; on a miss `SET`. Requests of one key keep their order: a key belongs to one
//! connection, and while a request of it is in flight (a miss's SET included) the next one of that key waits.
//!
//! With one connection and one request in flight the server sees exactly the trace. With more, the order of different keys
//! may differ by what is in flight; each key's own history never does, so every read is checked against the one version
//! that it must be.
//!
//! Bounded: read ahead for other connections is limited; per key 8 bytes are kept.

use super::{ValueSizes, accepted, refused};
use crate::client::{Answer, Next, Workload};
use crate::tally::{Kind, Tally};
use crate::trace::{Operation, Request, TraceReader};
use crate::value::{self, Expected, KeyId};
use crate::wire::{self, KeyText, NewValue};
use anyhow::{Context as _, Result};
use std::collections::VecDeque;
use thermocline_resp::Value;

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

#[derive(Default)]
struct Lane {
    queue: VecDeque<Request>,
    fill_ins: VecDeque<Request>,
    busy: Vec<KeyId>,
}

/// A trace on its way.
pub struct Replay {
    trace: std::iter::Take<TraceReader>,
    lanes: Vec<Lane>,
    queued: usize,
    known: Vec<Known>,
    text: KeyText,
    sizes: Option<ValueSizes>,
    ttl_s: Option<u32>,
}

/// How a trace is turned into requests.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Requests to replay at most.
    pub requests: Option<u64>,
    /// The keys' text.
    pub text: KeyText,
    /// Sizes of values where the trace has none.
    pub sizes: Option<ValueSizes>,
    /// Time to live where the trace has none.
    pub ttl_s: Option<u32>,
}

impl Replay {
    /// Begins at the trace's first request.
    pub fn new(trace: TraceReader, connections: usize, options: ReplayOptions) -> Self {
        let requests = options.requests.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self {
            trace: trace.take(requests),
            lanes: (0..connections).map(|_| Lane::default()).collect(),
            queued: 0,
            known: Vec::new(),
            text: options.text,
            sizes: options.sizes,
            ttl_s: options.ttl_s,
        }
    }

    /// Different keys that this run has written.
    pub fn keys_written(&self) -> u64 {
        self.known.iter().filter(|known| known.version > 0).count() as u64
    }

    /// Moves the trace forward until this connection has a request; false at its end or when too much is queued.
    fn read_ahead(&mut self, lane: usize) -> Result<Option<Request>> {
        while self.lanes[lane].queue.is_empty() && self.queued < READ_AHEAD_MAX {
            let Some(request) = self.trace.next() else {
                break;
            };
            let request = request?;
            let key = request.key.0 as usize;
            if self.known.len() <= key {
                self.known.resize(key + 1, Known::default());
            }
            let owner = (request.key.spread() % self.lanes.len() as u64) as usize;
            self.lanes[owner].queue.push_back(request);
            self.queued += 1;
        }
        Ok(self.lanes[lane].queue.front().copied())
    }

    fn send_set(&mut self, request: Request, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Ticket> {
        let length = match (request.value_bytes, self.sizes) {
            (Some(length), _) => length,
            (None, Some(sizes)) => sizes.of(request.key),
            (None, None) => {
                return Err(anyhow::anyhow!("give --value-size")).context("this trace has no value sizes");
            }
        };
        let known = &mut self.known[request.key.0 as usize];
        known.version += 1;
        let ttl_s = request.ttl_s.or(self.ttl_s);
        let new = NewValue { version: known.version, length, ttl_s };
        known.length = length;
        wire::set(out, &self.text, request.key, request.key_bytes, new);
        tally.value_bytes_sent += u64::from(length);
        tally.key_bytes_sent += self.text.length(request.key, request.key_bytes) as u64;
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

    fn next(&mut self, lane: usize, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Ticket>> {
        if let Some(request) = self.lanes[lane].fill_ins.pop_front() {
            return Ok(Next::Send(self.send_set(request, out, tally)?));
        }
        let Some(request) = self.read_ahead(lane)? else {
            let pending = !self.lanes[lane].busy.is_empty() || self.queued > 0;
            return Ok(if pending { Next::Wait } else { Next::Finished });
        };
        if self.lanes[lane].busy.contains(&request.key) {
            return Ok(Next::Wait);
        }
        self.lanes[lane].queue.pop_front();
        self.queued -= 1;
        self.lanes[lane].busy.push(request.key);
        if request.operation == Operation::Set {
            return Ok(Next::Send(self.send_set(request, out, tally)?));
        }
        wire::get(out, &self.text, request.key, request.key_bytes);
        Ok(Next::Send(Ticket { request, sent: Operation::Get }))
    }

    fn answered(&mut self, lane: usize, ticket: Ticket, answer: Answer, tally: &mut Tally) {
        let key = ticket.request.key;
        if ticket.sent == Operation::Set {
            tally.answered(Kind::Set, answer.tier, answer.latency_ns, answer.now_ns);
            if !accepted(&answer.value, tally) {
                self.known[key.0 as usize].length = LENGTH_UNKNOWN;
            }
        } else {
            tally.answered(Kind::Get, answer.tier, answer.latency_ns, answer.now_ns);
            match &answer.value {
                Value::Bulk(found) => {
                    tally.found += 1;
                    self.check(key, found, tally);
                }
                Value::Null => {
                    tally.missed += 1;
                    tally.lost += u64::from(self.known[key.0 as usize].version > 0);
                    tally.fill_ins += 1;
                    self.lanes[lane].fill_ins.push_back(ticket.request);
                    return; // the key stays busy until its SET is answered
                }
                other => refused(other, tally),
            }
        }
        let busy = &mut self.lanes[lane].busy;
        let at = busy.iter().position(|other| *other == key).expect("a key in flight is busy");
        busy.swap_remove(at);
    }
}
