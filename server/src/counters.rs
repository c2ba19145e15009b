//! What was done how often: for INFO and the metrics page.
//!
//! Promises: each worker has its own cells and writes them plainly (load, add, store: no locked instruction); a reader sums
//! them. A reset may lose the counts of that very moment. Errors are counted by code under a lock, for they are rare.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::command::table::{ALL, CommandId};

/// Most different error codes that are counted apart; scripts can invent them.
const ERROR_CODES_MAX: usize = 128;

/// A number that one thread writes and others read.
#[derive(Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds. Only its own worker calls this.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What is known of one command.
#[derive(Default)]
pub struct CommandCells {
    /// Executions.
    pub calls: Cell,
    /// Time they took, in microseconds.
    pub microseconds: Cell,
    /// Refused before execution.
    pub rejected: Cell,
    /// Executed with an error as answer.
    pub failed: Cell,
}

/// One worker's cells.
pub struct WorkerCells {
    commands: Vec<CommandCells>,
    /// Bytes received.
    pub input_bytes: Cell,
    /// Bytes sent.
    pub output_bytes: Cell,
}

impl WorkerCells {
    /// A command's cells.
    pub fn of(&self, command: CommandId) -> &CommandCells {
        &self.commands[command.index()]
    }
}

/// All workers' cells.
pub struct Counters {
    workers: Vec<WorkerCells>,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// Sums for one command.
#[derive(Copy, Clone, Debug, Default)]
pub struct CommandSums {
    /// Executions.
    pub calls: u64,
    /// Microseconds.
    pub microseconds: u64,
    /// Refused.
    pub rejected: u64,
    /// Failed.
    pub failed: u64,
}

impl Counters {
    /// Cells for `workers` workers.
    pub fn new(workers: usize) -> Counters {
        let cells = || WorkerCells {
            commands: ALL.iter().map(|_| CommandCells::default()).collect(),
            input_bytes: Cell::default(),
            output_bytes: Cell::default(),
        };
        Counters { workers: (0..workers).map(|_| cells()).collect(), errors: Mutex::default() }
    }

    /// One worker's cells.
    pub fn worker(&self, worker: usize) -> &WorkerCells {
        &self.workers[worker]
    }

    /// Counts an answer that is an error, by the code it begins with.
    pub fn note_error(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let code = String::from_utf8_lossy(&code[..code.len().min(32)]);
        let mut errors = self.errors();
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.into_owned(), 1);
        }
    }

    /// Error codes and how often each was answered.
    pub fn error_counts(&self) -> Vec<(String, u64)> {
        self.errors().iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// Sums for one command.
    pub fn sums(&self, command: CommandId) -> CommandSums {
        self.workers.iter().map(|worker| worker.of(command)).fold(CommandSums::default(), |sums, cells| CommandSums {
            calls: sums.calls + cells.calls.get(),
            microseconds: sums.microseconds + cells.microseconds.get(),
            rejected: sums.rejected + cells.rejected.get(),
            failed: sums.failed + cells.failed.get(),
        })
    }

    /// Bytes received and sent.
    pub fn network_bytes(&self) -> (u64, u64) {
        self.workers.iter().fold((0, 0), |(input, output), worker| {
            (input + worker.input_bytes.get(), output + worker.output_bytes.get())
        })
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for worker in &self.workers {
            worker.input_bytes.reset();
            worker.output_bytes.reset();
            for cells in &worker.commands {
                for cell in [&cells.calls, &cells.microseconds, &cells.rejected, &cells.failed] {
                    cell.reset();
                }
            }
        }
        self.errors().clear();
    }

    fn errors(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
