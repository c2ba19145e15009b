//! Changes of the mode in the middle of a life, and what a crash may leave at any moment of them.
//!
//! All choices come from a stream of its own: a life without a switch runs as it would if there were none.
//!
//! Promises: the oracle's knowledge (`Left`, the ledger's floor) changes in the poll in which a switch ends. Never: judges.

use crate::executor::Task;
use crate::ledger::Ledger;
use crate::random::Random;
use thermocline::{Durability, Engine, Error};

/// Lives with switches, of 1,000.
const SWITCHING_LIVES: u64 = 300;
/// Switches begun per 1,000 steps.
const BEGUN: u64 = 4;
/// Polls of a running one per 1,000 steps.
const POLLED: u64 = 300;

/// What a crash leaves now.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Left {
    /// A prefix of what happened.
    Prefix,
    /// Nothing.
    Nothing,
    /// One or the other: a switch is on its way, or has failed.
    Either,
}

/// A switch on its way.
struct Running {
    task: Task<'static, Result<(), Error>>,
    from: Durability,
    to: Durability,
    /// Effects when it was asked for.
    effects: usize,
}

/// The switches of one life.
pub struct Switches {
    random: Random,
    running: Option<Running>,
    left: Left,
    /// A switch has failed: the files may say what the store does not.
    failed: bool,
    is_switching: bool,
    trace: bool,
    /// Switches that ended well.
    pub done: u64,
}

fn settled(durability: Durability) -> Left {
    if durability.logs() { Left::Prefix } else { Left::Nothing }
}

impl Switches {
    /// The switches of a life that begins in this mode.
    pub fn new(seed: u64, durability: Durability, trace: bool) -> Switches {
        let mut random = Random::new(seed);
        let is_switching = random.chance(SWITCHING_LIVES);
        Switches { random, running: None, left: settled(durability), failed: false, is_switching, trace, done: 0 }
    }

    /// What a crash leaves now.
    pub fn left(&self) -> Left {
        self.left
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// One step: perhaps begins a switch (if there may be `more`), perhaps goes on with one. Returns what is wrong.
    pub fn step(&mut self, engine: &Engine, ledger: &mut Ledger, more: bool, lenient: bool) -> Result<(), String> {
        if !self.is_switching {
            return Ok(());
        }
        if self.running.is_none() && more && self.random.chance(BEGUN) {
            self.begin(engine, ledger);
        }
        if self.running.is_some() && self.random.chance(POLLED) { self.go_on(ledger, lenient) } else { Ok(()) }
    }

    fn begin(&mut self, engine: &Engine, ledger: &Ledger) {
        let from = engine.durability();
        let modes = [Durability::Always, Durability::EverySecond, Durability::No, Durability::None];
        let to = self.random.pick(&modes);
        if from.logs() != to.logs() {
            self.left = Left::Either;
        }
        if self.trace {
            println!("  switch from {from:?} to {to:?} begins");
        }
        let engine = engine.clone();
        let task = Task::new(async move { engine.set_durability(to).await });
        self.running = Some(Running { task, from, to, effects: ledger.effects.len() });
    }

    /// Goes on with a running one.
    pub fn go_on(&mut self, ledger: &mut Ledger, lenient: bool) -> Result<(), String> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let Some(result) = running.task.poll() else { return Ok(()) };
        let Running { from, to, effects, .. } = *running;
        self.running = None;
        if self.trace {
            println!("  switch from {from:?} to {to:?}: {result:?}");
        }
        match result {
            Ok(()) => {
                self.done += 1;
                if !from.logs() && to.logs() {
                    // Begun without a log, and now everything until then is in it.
                    ledger.acknowledge(effects);
                    self.failed = false;
                }
                if !to.logs() {
                    self.failed = false;
                }
                self.left = if self.failed { Left::Either } else { settled(to) };
            }
            Err(error) => {
                self.failed |= from.logs() != to.logs();
                self.left = if self.failed { Left::Either } else { settled(from) };
                if !lenient && !matches!(error, Error::OutOfMemory | Error::Closed) {
                    return Err(format!("the switch from {from:?} to {to:?} failed: {error}"));
                }
            }
        }
        Ok(())
    }
}
