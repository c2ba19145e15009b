//! What commands of one batch took, counted together: the clock is read once for many commands.
//!
//! Promises: no call and no microsecond is lost; commands of one kind that ran between two looks at the clock share the time by
//! their number. Never: memory on the heap.

use crate::command::table::CommandId;
use crate::counters::WorkerCells;
use crate::server::Server;

/// Kinds of commands that are counted apart before the clock must be read.
const KINDS_MAX: usize = 8;

/// Calls since the clock was read last.
pub(super) struct Tally<'s> {
    server: &'s Server,
    cells: &'s WorkerCells,
    kinds: [(CommandId, u32); KINDS_MAX],
    used: usize,
    since_us: u64,
}

impl<'s> Tally<'s> {
    /// Reads the clock.
    pub(super) fn begin(server: &'s Server, cells: &'s WorkerCells) -> Self {
        Tally { server, cells, kinds: [(CommandId::FIRST, 0); KINDS_MAX], used: 0, since_us: server.monotonic_us() }
    }

    /// A command has run.
    #[inline]
    pub(super) fn add(&mut self, command: CommandId) {
        if let Some(kind) = self.kinds[..self.used].iter_mut().find(|kind| kind.0 == command) {
            kind.1 += 1;
        } else {
            self.add_kind(command);
        }
    }

    #[cold]
    fn add_kind(&mut self, command: CommandId) {
        if self.used == KINDS_MAX {
            self.settle();
        }
        self.kinds[self.used] = (command, 1);
        self.used += 1;
    }

    /// What has passed until now is nobody's: a client waited for others.
    pub(super) fn skip(&mut self) {
        self.since_us = self.server.monotonic_us();
    }

    /// Reads the clock and writes into the cells what was counted since.
    pub(super) fn settle(&mut self) {
        if self.used == 0 {
            return;
        }
        let now_us = self.server.monotonic_us();
        let elapsed_us = now_us.saturating_sub(self.since_us);
        self.since_us = now_us;
        let all: u64 = self.kinds[..self.used].iter().map(|kind| u64::from(kind.1)).sum();
        let (mut calls, mut given_us) = (0, 0);
        for (command, count) in &self.kinds[..self.used] {
            calls += u64::from(*count);
            let until_us = elapsed_us * calls / all;
            let cells = self.cells.of(*command);
            cells.calls.add(u64::from(*count));
            cells.microseconds.add(until_us - given_us);
            given_us = until_us;
        }
        self.used = 0;
    }
}
