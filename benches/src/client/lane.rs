//! One connection: requests out, answers in, in order.
//!
//! At most `pipeline` requests and about 1 MiB of unsent bytes wait here. The input buffer grows to the largest answer.

use super::{Answer, Next, Workload};
use crate::tally::Tally;
use crate::wire::Protocol;
use anyhow::{Context as _, Result, bail};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};

const BUFFER_BYTES: usize = 64 << 10;
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// The largest value (512 MiB) a few times over: an answer to a read of many keys.
const ANSWER_BYTES_MAX: usize = 2 << 30;

struct InFlight<T> {
    ticket: T,
    /// Latency counts from here.
    due_ns: u64,
    keys: Option<u32>,
}

/// Why a lane stopped to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// Its pipeline is full, or the socket is.
    Full,
    /// Nothing is due before this moment.
    Later(u64),
    /// Another answer must come first.
    Waits,
    /// Nothing will ever be sent here again.
    Finished,
}

/// A lane's part in the sums of the client.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Requests without an answer.
    pub in_flight: usize,
    /// Nothing will ever be sent here again.
    pub finished: usize,
    /// Neither finished nor owed an answer.
    pub idle: usize,
}

/// A connection.
pub struct Lane<T> {
    index: usize,
    stream: mio::net::TcpStream,
    protocol: &'static dyn Protocol,
    input: Vec<u8>,
    received: usize,
    output: Vec<u8>,
    sent: usize,
    in_flight: VecDeque<InFlight<T>>,
    /// Nothing will ever be sent here again.
    pub finished: bool,
    /// When the server last gave a sign on this connection, or had nothing to answer.
    heard_ns: u64,
}

impl<T> Lane<T> {
    /// A connection whose handshake is done.
    pub fn new(index: usize, stream: mio::net::TcpStream, protocol: &'static dyn Protocol) -> Self {
        Self {
            index,
            stream,
            protocol,
            input: vec![0; BUFFER_BYTES],
            received: 0,
            output: Vec::with_capacity(BUFFER_BYTES),
            sent: 0,
            in_flight: VecDeque::new(),
            finished: false,
            heard_ns: 0,
        }
    }

    /// The socket, to be registered.
    pub fn stream(&mut self) -> &mut mio::net::TcpStream {
        &mut self.stream
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What the client sums up over its lanes.
    pub fn counts(&self) -> Counts {
        let idle = usize::from(!self.finished && self.in_flight.is_empty());
        Counts { in_flight: self.in_flight.len(), finished: usize::from(self.finished), idle }
    }

    /// How long the server has owed an answer here without a sign.
    pub fn silent_ns(&self, now_ns: u64) -> u64 {
        if self.in_flight.is_empty() { 0 } else { now_ns.saturating_sub(self.heard_ns) }
    }

    /// Queues requests up to the pipeline's depth and sends what the socket takes.
    pub fn fill<W: Workload<Ticket = T>>(
        &mut self,
        workload: &mut W,
        pipeline: usize,
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<Filled> {
        if self.in_flight.is_empty() {
            self.heard_ns = now_ns;
        }
        let mut filled = if self.finished { Filled::Finished } else { Filled::Full };
        while !self.finished && self.in_flight.len() < pipeline && self.output.len() - self.sent < UNSENT_BYTES_MAX {
            filled = match workload.next(self.index, now_ns, &mut self.output, tally)? {
                Next::Send { ticket, due_ns, keys } => {
                    self.in_flight.push_back(InFlight { ticket, due_ns, keys });
                    filled
                }
                Next::Later(due_ns) => {
                    filled = Filled::Later(due_ns);
                    break;
                }
                Next::Wait => {
                    filled = Filled::Waits;
                    break;
                }
                Next::Finished => {
                    self.finished = true;
                    Filled::Finished
                }
            };
        }
        self.flush()?;
        Ok(filled)
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> Result<()> {
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

    /// Reads what has come; true when the socket is empty, else there is more to read.
    pub fn read(&mut self, now_ns: impl FnOnce() -> u64) -> Result<Received> {
        if self.received == self.input.len() {
            if self.input.len() >= ANSWER_BYTES_MAX {
                bail!("an answer is longer than {ANSWER_BYTES_MAX} bytes");
            }
            self.input.resize(self.input.len() * 2, 0);
        }
        loop {
            match self.stream.read(&mut self.input[self.received..]) {
                Ok(0) => bail!("the server closed a connection with {} requests in flight", self.in_flight.len()),
                Ok(bytes) => self.received += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("the connection was lost while reading"),
            }
            let now_ns = now_ns();
            self.heard_ns = now_ns;
            // A read that does not fill the buffer has emptied the socket; the next byte is a new event.
            return Ok(Received::Some { now_ns, emptied: self.received < self.input.len() });
        }
    }

    /// Hands the answers that have come whole to the workload.
    pub fn hand_out<W: Workload<Ticket = T>>(
        &mut self,
        workload: &mut W,
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut start = 0;
        while start < self.received {
            let input = &self.input[start..self.received];
            let parsed = match self.in_flight.front() {
                Some(InFlight { keys: Some(count), .. }) => self.protocol.parse_many(input, *count)?,
                _ => self.protocol.parse(input)?,
            };
            let Some(parsed) = parsed else { break };
            let Some(InFlight { ticket, due_ns, .. }) = self.in_flight.pop_front() else {
                bail!("an answer to nothing: {:?}", String::from_utf8_lossy(&input[..input.len().min(60)]));
            };
            let latency_ns = now_ns.saturating_sub(due_ns);
            let answer = Answer { reply: parsed.reply, tier: parsed.tier, latency_ns, now_ns };
            workload.answered(self.index, ticket, answer, tally);
            start += parsed.length;
        }
        self.input.copy_within(start..self.received, 0);
        self.received -= start;
        Ok(())
    }
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The socket was empty.
    Nothing,
    /// Bytes.
    Some {
        /// When.
        now_ns: u64,
        /// There are no more for now.
        emptied: bool,
    },
}
