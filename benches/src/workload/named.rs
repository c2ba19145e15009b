//! Runs the steps of a workload by name: reads, writes, scans and deletions over a key space that any connection may touch.
//!
//! Any step goes to whichever connection has room, as a real client would do it; which versions a read may then see is kept
//! in [`Versions`]. A step that needs two requests (read-modify-write, a miss that is filled in) sends the second on the same
//! connection as soon as the first is answered; in an open loop that one is due then.
//!
//! Bounded: by `Versions` (4 bytes per key) and by what is in flight.

use super::schedule::Schedule;
use super::{Speaker, Versions, accepted, refused};
use crate::client::{Answer, Next, Workload};
use crate::report::{LoopReport, WorkloadReport};
use crate::spec::{Operation, Spec, Steps};
use crate::tally::{Kind, Tally};
use crate::value::KeyId;
use crate::wire::{NewValue, Reply};
use anyhow::Result;
use std::collections::VecDeque;

use super::versions::{Seen, Write};

/// What a run needs to know beside its steps.
pub struct NamedOptions {
    /// The workload.
    pub spec: Spec,
    /// Decides the steps.
    pub seed: u64,
    /// The keys' text, and the language.
    pub speaker: Speaker,
    /// Steps at most.
    pub steps: u64,
    /// No step begins behind this moment of the run.
    pub ends_ns: u64,
}

/// A request in flight.
pub struct Ticket(Sent);

enum Sent {
    Read {
        key: KeyId,
        seen: Seen,
        then: Then,
    },
    Write {
        key: KeyId,
        write: Write,
    },
    Delete {
        key: KeyId,
        write: Write,
    },
    /// What each key must be is in the lane's queue.
    Scan {
        first: KeyId,
        count: u32,
    },
}

/// What follows a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Write,
    /// A write, if there was no value.
    Fill,
}

#[derive(Default)]
struct Lane {
    /// Keys to be written because of an answer.
    follow_ups: VecDeque<KeyId>,
    /// Reads in flight that may add one.
    may_follow: usize,
    /// The keys of the scans in flight, in order.
    scanned: VecDeque<Seen>,
}

/// A workload by name, under way.
pub struct Named {
    steps: Steps,
    steps_left: u64,
    versions: Versions,
    schedule: Schedule,
    lanes: Vec<Lane>,
    options: NamedOptions,
}

impl Named {
    /// Begins; `versions` is what is known of the keys.
    pub fn new(options: NamedOptions, versions: Versions, schedule: Schedule, lanes: usize) -> Self {
        Self {
            steps: Steps::new(&options.spec, options.seed),
            steps_left: options.steps,
            versions,
            schedule,
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            options,
        }
    }

    fn set(&mut self, key: KeyId, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Sent> {
        let write = self.versions.write(key)?;
        let NamedOptions { speaker, spec, .. } = &self.options;
        let new = NewValue { version: write.version, length: spec.sizes.of(key), ttl_s: spec.ttl_of(key) };
        speaker.set(out, speaker.text.key(key), new, tally);
        Ok(Sent::Write { key, write })
    }

    fn get(&mut self, lane: usize, key: KeyId, then: Then, out: &mut Vec<u8>) -> Sent {
        let speaker = &self.options.speaker;
        speaker.protocol.get(out, speaker.text.key(key));
        self.lanes[lane].may_follow += usize::from(then != Then::Nothing);
        Sent::Read { key, seen: self.versions.read(key), then }
    }

    fn scan(&mut self, lane: usize, first: KeyId, count: u32, out: &mut Vec<u8>) -> Sent {
        let speaker = &self.options.speaker;
        speaker.protocol.get_many(out, speaker.text.key(first), count);
        let seen = (0..u64::from(count)).map(|step| self.versions.read(KeyId(first.0 + step)));
        self.lanes[lane].scanned.extend(seen);
        Sent::Scan { first, count }
    }

    /// One value or none, of a read or of a scan.
    fn check(&mut self, key: KeyId, seen: Seen, reply: Reply<'_>, command: &str, tally: &mut Tally) {
        match reply {
            Reply::Value(found) => self.versions.found(key, seen, found, self.options.spec.sizes.of(key), tally),
            Reply::Missing => self.versions.missing(key, seen, tally),
            other => refused(other, command, tally),
        }
    }

    fn check_scan(&mut self, lane: usize, first: KeyId, count: u32, reply: Reply<'_>, tally: &mut Tally) {
        let seen: Vec<Seen> = self.lanes[lane].scanned.drain(..count as usize).collect();
        let Reply::Many(mut answers) = reply else {
            return refused(reply, "MGET", tally);
        };
        for (step, seen) in (0u64..).zip(seen) {
            match self.options.speaker.protocol.parse(answers) {
                Ok(Some(parsed)) => {
                    answers = &answers[parsed.length..];
                    self.check(KeyId(first.0 + step), seen, parsed.reply, "MGET", tally);
                }
                _ => return tally.error(&format!("UNEXPECTED answer to MGET: {step} values instead of {count}")),
            }
        }
        if !answers.is_empty() {
            tally.error(&format!("UNEXPECTED answer to MGET: more than {count} values"));
        }
    }
}

impl Workload for Named {
    type Ticket = Ticket;

    fn next(&mut self, lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Ticket>> {
        if let Some(key) = self.lanes[lane].follow_ups.pop_front() {
            return Ok(Next::send(Ticket(self.set(key, out, tally)?), now_ns));
        }
        let due_ns = self.schedule.due_ns(now_ns);
        if self.steps_left == 0 || now_ns >= self.options.ends_ns || due_ns >= self.options.ends_ns {
            return Ok(if self.lanes[lane].may_follow > 0 { Next::Wait } else { Next::Finished });
        }
        if due_ns > now_ns {
            return Ok(Next::Later(due_ns));
        }
        self.schedule.take(now_ns);
        self.schedule.sent(due_ns, now_ns);
        self.steps_left -= 1;
        let step = self.steps.step();
        let key = step.key;
        let sent = match step.operation {
            Operation::Read => self.get(lane, key, Then::Nothing, out),
            Operation::ReadThrough => self.get(lane, key, Then::Fill, out),
            Operation::ReadModifyWrite => self.get(lane, key, Then::Write, out),
            Operation::Update | Operation::Insert => self.set(key, out, tally)?,
            Operation::Delete => {
                let write = self.versions.delete(key)?;
                self.options.speaker.protocol.delete(out, self.options.speaker.text.key(key));
                Sent::Delete { key, write }
            }
            Operation::Scan { count } => {
                let ticket = Ticket(self.scan(lane, key, count, out));
                return Ok(Next::Send { ticket, due_ns, keys: Some(count) });
            }
        };
        Ok(Next::send(Ticket(sent), due_ns))
    }

    fn answered(&mut self, lane: usize, Ticket(sent): Ticket, answer: Answer<'_>, tally: &mut Tally) {
        let Answer { reply, tier, latency_ns, now_ns } = answer;
        match sent {
            Sent::Read { key, seen, then } => {
                tally.answered(Kind::Get, tier, latency_ns, now_ns);
                self.check(key, seen, reply, "GET", tally);
                if then != Then::Nothing {
                    self.lanes[lane].may_follow -= 1;
                    let fill = then == Then::Fill && reply == Reply::Missing;
                    tally.fill_ins += u64::from(fill);
                    if then == Then::Write || fill {
                        self.lanes[lane].follow_ups.push_back(key);
                    }
                }
            }
            Sent::Write { key, write } => {
                tally.answered(Kind::Set, tier, latency_ns, now_ns);
                let accepted = accepted(reply, tally);
                self.versions.written(key, write, accepted);
            }
            Sent::Delete { key, write } => {
                tally.answered(Kind::Delete, tier, latency_ns, now_ns);
                let accepted = matches!(reply, Reply::Count(_));
                if !accepted {
                    refused(reply, "DEL", tally);
                }
                self.versions.written(key, write, accepted);
            }
            Sent::Scan { first, count } => {
                tally.answered(Kind::Scan, tier, latency_ns, now_ns);
                self.check_scan(lane, first, count, reply, tally);
            }
        }
    }

    fn describe(&self) -> WorkloadReport {
        let spec = &self.options.spec;
        let parameters = [
            ("keys", format!("{} of {} B", spec.keys, self.options.speaker.text.key(KeyId(0)).length())),
            ("values", spec.sizes.to_string()),
            ("mix", spec.mix.to_string()),
            ("popularity", spec.popularity.to_string()),
            ("seed", self.options.seed.to_string()),
        ];
        let ttl = match (spec.ttl_s, spec.ttls) {
            (Some(seconds), _) => Some(format!("{seconds} s")),
            (None, Some(_)) => Some("by the workload's distribution".to_owned()),
            (None, None) => None,
        };
        let parameters = parameters.into_iter().chain(ttl.map(|ttl| ("TTL", ttl)));
        WorkloadReport {
            name: spec.name.to_string(),
            source: Some(spec.source.to_owned()),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    fn pacing(&self, ended_ns: u64) -> LoopReport {
        let report = self.schedule.report(ended_ns.min(self.options.ends_ns));
        if self.steps_left == 0 { LoopReport { unsent_at_end: 0, ..report } } else { report }
    }
}
