//! Drives a workload over many connections from one thread: readiness from the kernel, a bounded number of requests in
//! flight per connection, answers in order. A closed loop sends when an answer has come, an open loop when a request is due.
//!
//! Promises: never more than `pipeline` requests and about 1 MiB of unsent bytes per connection; a lost connection, nonsense
//! on the wire or a server that is silent for too long ends the run with an error; a stop request lets the requests in flight
//! finish for a few seconds. Never looks into values: that is the workload's part.

mod alarm;
mod lane;

use crate::clock::Clock;
use crate::control::{Control, Target};
use crate::report::{LoopReport, WorkloadReport};
use crate::tally::Tally;
use crate::wire::{Reply, Tier};
use alarm::Alarm;
use anyhow::{Result, bail};
use lane::{Counts, Filled, Lane, Received};
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const DRAIN_NS_MAX: u64 = 5_000_000_000;
const ALARM: Token = Token(usize::MAX - 1);

/// What a workload wants to do on a connection.
pub enum Next<T> {
    /// A command was appended.
    Send {
        /// Handed back with its answer.
        ticket: T,
        /// The moment of the run when it should be sent: its latency counts from here.
        due_ns: u64,
        /// It reads so many keys at once.
        keys: Option<u32>,
    },
    /// Nothing is due before this moment, on any connection.
    Later(u64),
    /// Nothing now: an answer (on any connection) must come first.
    Wait,
    /// Nothing ever again on this connection.
    Finished,
}

impl<T> Next<T> {
    /// A request for one key.
    pub fn send(ticket: T, due_ns: u64) -> Self {
        Self::Send { ticket, due_ns, keys: None }
    }
}

/// An answer and how it came.
pub struct Answer<'a> {
    /// The answer itself.
    pub reply: Reply<'a>,
    /// Where the server found the value, when it tells.
    pub tier: Option<Tier>,
    /// From the moment when the request should be sent to reading the answer.
    pub latency_ns: u64,
    /// Moment of the run.
    pub now_ns: u64,
}

/// What is sent, and what is made of the answers.
pub trait Workload {
    /// Remembers a request in flight.
    type Ticket;
    /// Appends the next command of a connection.
    fn next(&mut self, lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Self::Ticket>>;
    /// Takes the answer to a command.
    fn answered(&mut self, lane: usize, ticket: Self::Ticket, answer: Answer<'_>, tally: &mut Tally);
    /// What it is, for the report.
    fn describe(&self) -> WorkloadReport;
    /// How its timetable was kept, now that the pass has ended.
    fn pacing(&self, _ended_ns: u64) -> LoopReport {
        LoopReport::default()
    }
}

/// How a workload is driven.
#[derive(Debug, Clone, Copy)]
pub struct Drive {
    /// Number of connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub pipeline: usize,
    /// Ask for tiers (RESP3).
    pub tiers: bool,
    /// A connection that owes an answer and is silent for so long ends the run.
    pub timeout: Duration,
}

/// Connections that are ready.
pub struct Client<T> {
    poll: Poll,
    alarm: Alarm,
    drive: Drive,
    lanes: Vec<Lane<T>>,
    /// The server tells tiers.
    pub tiers: bool,
    in_flight: usize,
    finished: usize,
    /// Connections that are neither finished nor owed an answer: no event will wake them.
    idle: usize,
    next_due_ns: Option<u64>,
    /// The lane that is asked first when a request is due.
    first: usize,
}

impl<T> Client<T> {
    /// Opens all connections.
    pub fn connect(target: &Target, drive: Drive) -> Result<Self> {
        let protocol = target.speech.protocol();
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let mut tiers = drive.tiers;
        let mut lanes = Vec::with_capacity(drive.connections);
        for index in 0..drive.connections {
            let mut control = Control::connect(target)?;
            tiers = tiers && protocol.ask_for_tiers(&mut control)?;
            let stream = control.into_stream();
            stream.set_nonblocking(true)?;
            let mut lane = Lane::new(index, mio::net::TcpStream::from_std(stream), protocol);
            poll.registry().register(lane.stream(), Token(index), Interest::READABLE | Interest::WRITABLE)?;
            lanes.push(lane);
        }
        let idle = lanes.len();
        Ok(Self { poll, alarm, drive, lanes, tiers, in_flight: 0, finished: 0, idle, next_due_ns: None, first: 0 })
    }

    /// Runs a workload to its end (true), or until `stop` (false); `tick` is called about ten times a second.
    pub fn run<W: Workload<Ticket = T>>(
        &mut self,
        workload: &mut W,
        tally: &mut Tally,
        stop: &AtomicBool,
        clock: Clock,
        tick: &mut dyn FnMut(&mut Tally, u64),
    ) -> Result<bool> {
        let mut events = Events::with_capacity(self.lanes.len().max(64));
        let mut next_tick_ns = 0;
        let mut stopped_at_ns = None;
        let mut pipeline = self.drive.pipeline;
        self.offer(workload, pipeline, clock.nanoseconds(), tally)?;
        loop {
            let now_ns = clock.nanoseconds();
            if stopped_at_ns.is_none() && stop.load(Ordering::Relaxed) {
                (stopped_at_ns, pipeline) = (Some(now_ns), 0);
            }
            let finished = self.finished == self.lanes.len();
            if self.in_flight == 0 && (finished || stopped_at_ns.is_some()) {
                return Ok(finished);
            }
            if stopped_at_ns.is_some_and(|at| now_ns - at > DRAIN_NS_MAX) {
                return Ok(false);
            }
            if self.in_flight == 0 && self.next_due_ns.is_none() {
                bail!("every connection waits for another: the workload is stuck");
            }
            if now_ns >= next_tick_ns {
                tick(tally, now_ns);
                self.watch(now_ns)?;
                next_tick_ns = now_ns + POLL_INTERVAL.as_nanos() as u64;
            }
            let mut timeout = POLL_INTERVAL;
            match self.next_due_ns {
                Some(due_ns) if due_ns <= now_ns => timeout = Duration::ZERO,
                Some(due_ns) => self.alarm.set(due_ns, now_ns)?,
                None => {}
            }
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let index = event.token().0;
                if event.token() == ALARM {
                    self.alarm.rung();
                } else if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.receive(index, workload, pipeline, clock, tally)?;
                } else {
                    self.lanes[index].flush()?;
                }
            }
            self.offer(workload, pipeline, clock.nanoseconds(), tally)?;
        }
    }

    /// Reads until the socket is empty, hands answers out, and refills after each piece.
    fn receive<W: Workload<Ticket = T>>(
        &mut self,
        index: usize,
        workload: &mut W,
        pipeline: usize,
        clock: Clock,
        tally: &mut Tally,
    ) -> Result<()> {
        loop {
            let lane = &mut self.lanes[index];
            let Received::Some { now_ns, emptied } = lane.read(|| clock.nanoseconds())? else {
                return lane.flush();
            };
            let before = lane.counts();
            let handed_out = lane.hand_out(workload, now_ns, tally);
            self.count(index, before);
            handed_out?;
            self.fill(index, workload, pipeline, now_ns, tally)?;
            if emptied {
                return Ok(());
            }
        }
    }

    fn fill<W: Workload<Ticket = T>>(
        &mut self,
        index: usize,
        workload: &mut W,
        pipeline: usize,
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<Filled> {
        let lane = &mut self.lanes[index];
        let before = lane.counts();
        let filled = lane.fill(workload, pipeline, now_ns, tally);
        self.count(index, before);
        if let Ok(Filled::Later(due_ns)) = filled {
            self.next_due_ns = Some(due_ns);
        }
        filled
    }

    /// Brings the sums up to date with what a lane was before.
    fn count(&mut self, index: usize, before: Counts) {
        let after = self.lanes[index].counts();
        self.in_flight = self.in_flight + after.in_flight - before.in_flight;
        self.finished = self.finished + after.finished - before.finished;
        self.idle = self.idle + after.idle - before.idle;
    }

    /// Offers what is due to the connections that no event will wake: those with nothing in flight, whose next request may
    /// have been freed by another's answer, and when the timetable says so all that have room.
    fn offer<W: Workload<Ticket = T>>(
        &mut self,
        workload: &mut W,
        pipeline: usize,
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<()> {
        let due = self.next_due_ns.is_some_and(|due_ns| due_ns <= now_ns);
        if !due && self.idle == 0 {
            return Ok(());
        }
        self.next_due_ns = None;
        for step in 0..self.lanes.len() {
            let index = (self.first + step) % self.lanes.len();
            let lane = &self.lanes[index];
            if lane.finished || lane.in_flight() >= pipeline || (!due && lane.in_flight() > 0) {
                continue;
            }
            if let Filled::Later(_) = self.fill(index, workload, pipeline, now_ns, tally)? {
                // The one that comes next is due on the next connection.
                self.first = index + 1;
                break;
            }
        }
        Ok(())
    }

    /// A server that owes an answer and gives no sign has stalled.
    fn watch(&self, now_ns: u64) -> Result<()> {
        let silent = self.lanes.iter().find(|lane| lane.silent_ns(now_ns) > self.drive.timeout.as_nanos() as u64);
        if let Some(lane) = silent {
            bail!(
                "the server stalls: no answer for {:?} on a connection with {} requests in flight",
                self.drive.timeout,
                lane.in_flight()
            );
        }
        Ok(())
    }
}
