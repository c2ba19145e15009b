//! Drives a workload over many connections from one thread: readiness from the kernel, a fixed number of requests in flight
//! per connection, answers in order.
//!
//! Promises: never more than `pipeline` requests and about 1 MiB of unsent bytes per connection; a lost connection or
//! nonsense on the wire ends the run with an error; a stop request lets the requests in flight finish for a few seconds.
//! Never looks into values: that is the workload's part.

use crate::clock::Clock;
use crate::control::{Control, Target};
use crate::tally::Tally;
use crate::wire::{self, Tier};
use anyhow::{Context as _, Result, bail};
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thermocline_resp::Value;

const INPUT_BYTES: usize = 64 << 10;
const UNSENT_BYTES_MAX: usize = 1 << 20;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const DRAIN_NS_MAX: u64 = 5_000_000_000;

/// What a workload wants to do on a connection.
pub enum Next<T> {
    /// A command was appended; this is handed back with its answer.
    Send(T),
    /// Nothing now: an answer (on any connection) must come first.
    Wait,
    /// Nothing ever again on this connection.
    Finished,
}

/// An answer and how it came.
pub struct Answer {
    /// The answer itself.
    pub value: Value,
    /// Where the server found the value, when it tells.
    pub tier: Option<Tier>,
    /// From queueing the request to reading the answer.
    pub latency_ns: u64,
    /// Moment of the run.
    pub now_ns: u64,
}

/// What is sent, and what is made of the answers.
pub trait Workload {
    /// Remembers a request in flight.
    type Ticket;
    /// Appends the next command of a connection.
    fn next(&mut self, lane: usize, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Self::Ticket>>;
    /// Takes the answer to a command.
    fn answered(&mut self, lane: usize, ticket: Self::Ticket, answer: Answer, tally: &mut Tally);
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
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Everything was sent and answered.
    pub complete: bool,
    /// The server tells tiers.
    pub tiers: bool,
}

/// Runs a workload to its end, or until `stop`; `tick` is called about ten times a second.
pub fn run<W: Workload>(
    target: &Target,
    drive: Drive,
    workload: &mut W,
    tally: &mut Tally,
    stop: &AtomicBool,
    clock: Clock,
    tick: &mut dyn FnMut(&Tally),
) -> Result<Ending> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(drive.connections.max(64));
    let mut tiers = drive.tiers;
    let mut lanes = Vec::with_capacity(drive.connections);
    for index in 0..drive.connections {
        let mut control = Control::connect(target)?;
        if tiers && !control.split_tiers()? {
            tiers = false;
        }
        let stream = control.into_stream();
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        lanes.push(Lane::new(index, stream));
    }
    let mut next_tick_ns = 0;
    let mut stopped_at_ns = None;
    for lane in &mut lanes {
        lane.fill(workload, drive.pipeline, clock.nanoseconds(), tally)?;
    }
    loop {
        let now_ns = clock.nanoseconds();
        if stopped_at_ns.is_none() && stop.load(Ordering::Relaxed) {
            stopped_at_ns = Some(now_ns);
        }
        let idle = lanes.iter().all(|lane| lane.in_flight.is_empty());
        let finished = lanes.iter().all(|lane| lane.finished);
        if idle && (finished || stopped_at_ns.is_some()) {
            return Ok(Ending { complete: finished, tiers });
        }
        if stopped_at_ns.is_some_and(|at| now_ns - at > DRAIN_NS_MAX) {
            return Ok(Ending { complete: false, tiers });
        }
        if idle {
            bail!("every connection waits for another: the workload is stuck");
        }
        if now_ns >= next_tick_ns {
            tick(tally);
            next_tick_ns = now_ns + POLL_INTERVAL.as_nanos() as u64;
        }
        match poll.poll(&mut events, Some(POLL_INTERVAL)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        let pipeline = if stopped_at_ns.is_some() { 0 } else { drive.pipeline };
        for event in &events {
            let lane = &mut lanes[event.token().0];
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                lane.receive(workload, pipeline, clock, tally)?;
            } else {
                lane.flush()?;
            }
        }
        // A connection with nothing in flight has no event to wake it: another's answer may have freed its next request.
        for lane in lanes.iter_mut().filter(|lane| lane.in_flight.is_empty()) {
            lane.fill(workload, pipeline, clock.nanoseconds(), tally)?;
        }
    }
}

struct Lane<T> {
    index: usize,
    stream: mio::net::TcpStream,
    input: Vec<u8>,
    received: usize,
    output: Vec<u8>,
    sent: usize,
    in_flight: VecDeque<(T, u64)>,
    finished: bool,
}

impl<T> Lane<T> {
    fn new(index: usize, stream: mio::net::TcpStream) -> Self {
        Self {
            index,
            stream,
            input: vec![0; INPUT_BYTES],
            received: 0,
            output: Vec::with_capacity(INPUT_BYTES),
            sent: 0,
            in_flight: VecDeque::new(),
            finished: false,
        }
    }

    /// Queues requests up to the pipeline's depth and sends what the socket takes.
    fn fill<W: Workload<Ticket = T>>(
        &mut self,
        workload: &mut W,
        pipeline: usize,
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<()> {
        while !self.finished && self.in_flight.len() < pipeline && self.output.len() - self.sent < UNSENT_BYTES_MAX {
            match workload.next(self.index, &mut self.output, tally)? {
                Next::Send(ticket) => self.in_flight.push_back((ticket, now_ns)),
                Next::Wait => break,
                Next::Finished => self.finished = true,
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the connection was lost while sending"),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads until the socket is empty, hands answers out, and refills after each piece.
    fn receive<W: Workload<Ticket = T>>(
        &mut self,
        workload: &mut W,
        pipeline: usize,
        clock: Clock,
        tally: &mut Tally,
    ) -> Result<()> {
        loop {
            if self.received == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            match self.stream.read(&mut self.input[self.received..]) {
                Ok(0) => bail!("the server closed a connection with {} requests in flight", self.in_flight.len()),
                Ok(bytes) => self.received += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.flush(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("the connection was lost while reading"),
            }
            // A read that does not fill the buffer has emptied the socket; the next byte is a new event.
            let emptied = self.received < self.input.len();
            let now_ns = clock.nanoseconds();
            self.hand_out(workload, now_ns, tally)?;
            self.fill(workload, pipeline, now_ns, tally)?;
            if emptied {
                return Ok(());
            }
        }
    }

    fn hand_out<W: Workload<Ticket = T>>(&mut self, workload: &mut W, now_ns: u64, tally: &mut Tally) -> Result<()> {
        let mut start = 0;
        while start < self.received {
            let Some((value, length)) = thermocline_resp::decode(&self.input[start..self.received])? else {
                break;
            };
            start += length;
            if matches!(value, Value::Push(_)) {
                continue;
            }
            let Some((ticket, queued_ns)) = self.in_flight.pop_front() else {
                bail!("an answer to nothing: {value:?}");
            };
            let (value, tier) = wire::split_tier(value);
            let answer = Answer { value, tier, latency_ns: now_ns.saturating_sub(queued_ns), now_ns };
            workload.answered(self.index, ticket, answer, tally);
        }
        self.input.copy_within(start..self.received, 0);
        self.received -= start;
        Ok(())
    }
}
