//! The world of one seed: lives of a store on a lying disk, one step at a time.
//!
//! Promises: every choice comes from the seed; a run ends with the first thing that is wrong, in words. Never: time or order
//! from the machine.

use crate::client::{Shared, perform};
use crate::draw::draw;
use crate::executor::Task;
use crate::fuse::Fuse;
use crate::ledger::Ledger;
use crate::plan::{Plan, Profile, Settings};
use crate::random::Random;
use crate::report::Report;
use crate::salvage::Ever;
use crate::switch::{Left, Switches};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use thermocline::{Background, CloseReport, Driver, Durability, Engine, Error, ManualClock};
use thermocline_io::{FaultDisk, Faults};

/// Steps after which something that must end is stuck.
const STUCK_STEPS: u32 = 30_000;
/// Steps after which something waits for time to pass.
const PATIENCE_STEPS: u32 = 1_000;
/// Blocking calls of recovery before the power goes, at most.
const FUSE_CALLS_MAX: u64 = 60;
const DISK_BYTES: u64 = 64 << 20;

/// How a life ended.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum End {
    /// It crashed, perhaps during its shutdown.
    Crash { closing: bool },
    /// Its shutdown was clean.
    Clean,
}

/// Runs a seed.
///
/// # Errors
/// What was wrong.
pub fn run_seed(seed: u64, settings: &Settings) -> Result<Report, String> {
    thermocline::planted::set(settings.bug);
    let mut world = World::new(seed, *settings);
    let result = world.run();
    thermocline::planted::set(None);
    result.map(|()| world.report)
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) plan: Plan,
    pub(crate) settings: Settings,
    pub(crate) disk: FaultDisk,
    pub(crate) fuse: Fuse,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) writer: u64,
    pub(crate) report: Report,
    pub(crate) ever: Ever,
    /// The power has gone since the last start.
    pub(crate) power_cut: bool,
}

pub(crate) struct Life {
    // Dropped first: they hold the engine.
    pub(crate) clients: Vec<Option<Task<'static, ()>>>,
    pub(crate) drivers: Vec<Driver>,
    pub(crate) background: Background,
    pub(crate) switches: Switches,
    pub(crate) engine: Engine,
    pub(crate) shared: Rc<Shared>,
}

impl World {
    fn new(seed: u64, settings: Settings) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let plan = if settings.trees { plan.leaning_on_trees() } else { plan };
        let disk = FaultDisk::new(DISK_BYTES, random.word(), Faults::default());
        let fuse = Fuse::new(disk.clone());
        let clock = Arc::new(ManualClock::at_ms(1_000_000));
        let (report, ever) = (Report::default(), Ever::default());
        World { random, plan, settings, disk, fuse, clock, writer: 0, report, ever, power_cut: false }
    }

    pub(crate) fn say(&self, words: impl FnOnce() -> String) {
        if self.settings.trace {
            println!("{}", words());
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.say(|| format!("{:?}", self.plan));
        let mut before: Option<(Ledger, Left, End)> = None;
        for life in 0..=self.plan.lives {
            let durability = match self.random.below(10) {
                0..5 => Durability::Always,
                5..8 => Durability::EverySecond,
                8 => Durability::No,
                _ => Durability::None,
            };
            self.say(|| format!("life {life}: {durability:?}"));
            let (engine, interrupted) = self.open(durability)?;
            let recovery = engine.recovery().clone();
            self.say(|| format!("recovered: {recovery:?}; the disk has damaged {:?}", self.disk.wounds()));
            if recovery.checkpoint_refused && self.settings.profile == Profile::Crash {
                return Err("a checkpoint disagrees with the map that serves it".to_owned());
            }
            let mut life_now = self.life(engine, durability);
            let state = self.audit(&mut life_now, before.take(), durability, interrupted)?;
            self.power_cut = false;
            if life == self.plan.lives {
                return self.settle_hidden(&mut life_now);
            }
            *life_now.shared.ledger.borrow_mut() = Ledger::new(state);
            let end = self.live(&mut life_now);
            let wrong = life_now.shared.wrong.borrow_mut().take();
            self.say(|| format!("life {life} ends: {end:?}"));
            let stats = life_now.engine.stats();
            self.say(|| format!("{stats:?}"));
            self.report.commands += life_now.shared.finished.get();
            self.report.refused += life_now.shared.refused.get();
            self.report.segments_freed += stats.gc_segments_freed;
            self.report.cold_reads += stats.cold_reads;
            self.report.checkpoints += stats.checkpoints_written;
            self.report.checkpoints_used += u64::from(recovery.checkpoint);
            self.report.warmed += stats.warm_up_promoted;
            self.report.switches += life_now.switches.done;
            self.report.deltas += stats.delta_records;
            if matches!(end, Ok(End::Crash { .. })) {
                self.report.delta_nodes_crashed += stats.delta_nodes;
            }
            let left = life_now.switches.left();
            if let Some(words) = wrong {
                return Err(words);
            }
            let end = end?;
            let mut ledger = std::mem::take(&mut *life_now.shared.ledger.borrow_mut());
            match end {
                End::Clean => {
                    let all = ledger.effects.len();
                    ledger.acknowledge(all);
                    self.report.closes += 1;
                }
                End::Crash { .. } => {
                    if left == Left::Prefix {
                        ledger.durable_to(stats.watermark);
                    }
                    self.report.crashes += 1;
                }
            }
            self.ever.absorb(&ledger);
            self.crash();
            drop(life_now);
            before = Some((ledger, left, end));
        }
        Ok(())
    }

    /// The power goes, or the process is killed.
    fn crash(&mut self) {
        if self.random.chance(600) {
            self.say(|| "the power goes".to_owned());
            self.power_cut = true;
            self.disk.power_cut();
        } else {
            self.disk.kill();
        }
        self.fuse.mend();
    }

    /// Opens the store, with crashes in the middle of it. Also says whether there was one.
    fn open(&mut self, durability: Durability) -> Result<(Engine, bool), String> {
        self.disk.set_faults(Faults::default());
        let mut interrupted = false;
        loop {
            let tries = self.random.below(4);
            if tries == 0 {
                self.fuse.set(1 + self.random.below(FUSE_CALLS_MAX) as i64);
            }
            let options = self.plan.options(durability, &self.settings, self.random.word());
            let clock = self.clock.clone();
            match Engine::open(Arc::new(self.fuse.clone()), options, clock) {
                Ok(engine) if !self.fuse.blown() => {
                    self.fuse.mend();
                    return Ok((engine, interrupted));
                }
                Ok(_) => {}
                Err(error) if !self.fuse.blown() => return Err(format!("the store does not start: {error}")),
                Err(_) => {}
            }
            self.say(|| "recovery is cut short".to_owned());
            interrupted = true;
            self.crash();
        }
    }

    fn life(&self, engine: Engine, durability: Durability) -> Life {
        let switches = Switches::new(engine.options().seed, durability, self.settings.trace);
        let background = engine.background();
        let drivers = (0..2).map(|_| engine.driver().expect("the lying disk always gives a queue")).collect();
        let shared = Rc::new(Shared {
            ledger: RefCell::default(),
            wrong: RefCell::default(),
            lenient: Cell::new(self.settings.profile == Profile::Errors),
            damaging: (self.settings.profile == Profile::Media).then(|| (self.disk.clone(), self.plan.segment_bytes)),
            trace: self.settings.trace,
            asks_watermark: self.settings.trees,
            refused: Cell::default(),
            finished: Cell::default(),
        });
        debug_assert_eq!(engine.durability(), durability);
        Life { clients: (0..self.plan.clients).map(|_| None).collect(), drivers, background, switches, engine, shared }
    }

    /// Runs one future to its end.
    pub(crate) fn finish<T>(
        &mut self,
        life: &mut Life,
        background: bool,
        future: impl Future<Output = T>,
    ) -> Result<T, String> {
        let mut task = Task::new(future);
        for steps in 0..STUCK_STEPS {
            life.drivers[0].enter();
            if let Some(output) = task.poll() {
                return Ok(output);
            }
            for driver in &mut life.drivers {
                driver.enter();
                driver.turn();
            }
            self.disk.step();
            if background {
                life.background.step();
                if steps > PATIENCE_STEPS {
                    self.clock.advance_us(1_000); // it waits for work that is due later
                }
            }
        }
        Err("STUCK: a read never ends".to_owned())
    }

    /// Lives until a crash or a clean shutdown.
    fn live(&mut self, life: &mut Life) -> Result<End, String> {
        self.disk.set_faults(self.plan.faults(&self.settings));
        for _ in 0..self.plan.steps {
            self.step(life, true);
            self.step_switch(life, true)?;
            if life.shared.wrong.borrow().is_some() || self.random.below(100_000) < self.plan.crash_rate {
                return Ok(End::Crash { closing: false });
            }
            if self.random.chance(5) {
                life.engine.check()?;
            }
        }
        match self.random.below(10) {
            0..4 => Ok(End::Crash { closing: false }),
            4..6 => {
                self.drain(life)?;
                self.compare_live(life)?;
                self.settle_hidden(life)?;
                Ok(End::Crash { closing: false })
            }
            _ => self.close(life),
        }
    }

    /// One step of somebody.
    fn step(&mut self, life: &mut Life, more: bool) {
        match self.random.below(100) {
            0..40 => self.step_client(life, more),
            40..60 => {
                let driver = &mut life.drivers[self.random.below(2) as usize];
                driver.enter();
                driver.turn();
            }
            60..80 => {
                for _ in 0..=self.random.below(3) {
                    self.disk.step();
                }
            }
            80..95 => {
                life.drivers[self.random.below(2) as usize].enter();
                if self.random.chance(400) {
                    life.background.step();
                } else {
                    let task = self.random.below(life.background.tasks() as u64) as usize;
                    let now_us = life.engine.monotonic_us();
                    life.background.step_task(task, now_us);
                }
            }
            _ => {
                let us = self.random.pick(&[10, 300, 2_000, 30_000, 200_000, 600_000]);
                self.clock.advance_us(us);
            }
        }
    }

    fn step_client(&mut self, life: &mut Life, more: bool) {
        let number = self.random.below(life.clients.len() as u64) as usize;
        life.drivers[number % 2].enter();
        let client = &mut life.clients[number];
        if client.is_none() && more {
            self.writer += 1;
            let command = draw(&mut self.random, &self.plan, self.writer, life.engine.now_ms());
            *client = Some(Task::new(perform(life.engine.clone(), life.shared.clone(), command, self.writer)));
        }
        if let Some(task) = client
            && task.poll().is_some()
        {
            *client = None;
        }
    }

    /// One step of a switch, if this life has any.
    fn step_switch(&mut self, life: &mut Life, more: bool) -> Result<(), String> {
        life.drivers[0].enter();
        // The closing of a store may be cut short by a fuse, and a switch with it.
        let lenient = life.shared.lenient.get() || self.fuse.is_set();
        life.switches.step(&life.engine, &mut life.shared.ledger.borrow_mut(), more, lenient)
    }

    /// Lets all clients finish.
    pub(crate) fn drain(&mut self, life: &mut Life) -> Result<(), String> {
        for _ in 0..STUCK_STEPS {
            if life.clients.iter().all(Option::is_none) && life.switches.is_idle()
                || life.shared.wrong.borrow().is_some()
            {
                return Ok(());
            }
            self.round(life);
            let lenient = life.shared.lenient.get();
            life.switches.go_on(&mut life.shared.ledger.borrow_mut(), lenient)?;
        }
        self.say(|| format!("{:?}\n{}", life.engine.stats(), life.engine.describe_segments()));
        Err(format!("STUCK: {} commands never end", life.clients.iter().flatten().count()))
    }

    /// Everybody moves once.
    pub(crate) fn round(&mut self, life: &mut Life) {
        for number in 0..life.clients.len() {
            life.drivers[number % 2].enter();
            if let Some(task) = &mut life.clients[number]
                && task.poll().is_some()
            {
                life.clients[number] = None;
            }
        }
        for driver in &mut life.drivers {
            driver.enter();
            driver.turn();
        }
        while self.disk.step() {}
        life.background.step();
        self.clock.advance_us(1_000);
    }

    /// A clean shutdown, perhaps interrupted.
    fn close(&mut self, life: &mut Life) -> Result<End, String> {
        let engine = life.engine.clone();
        if self.random.chance(300) {
            self.drain(life)?;
        }
        let crash_rate = self.random.pick(&[0, 0, 2_000]);
        if self.random.chance(250) {
            self.fuse.set(1 + self.random.below(20) as i64);
        }
        let mut task: Task<'_, Result<CloseReport, Error>> = Task::new(async move { engine.close().await });
        for _ in 0..STUCK_STEPS {
            if life.shared.wrong.borrow().is_some() || self.random.below(100_000) < crash_rate {
                return Ok(End::Crash { closing: true });
            }
            if self.random.chance(300) {
                life.drivers[0].enter();
                match task.poll() {
                    Some(Ok(report)) => {
                        self.say(|| format!("closed: {report:?} {:?}", life.engine.check()));
                        return Ok(if self.fuse.blown() { End::Crash { closing: true } } else { End::Clean });
                    }
                    Some(Err(error)) => {
                        let expected = self.fuse.blown()
                            || life.shared.lenient.get()
                            || matches!(error, Error::OutOfMemory)
                            || life.shared.excuses(&error);
                        return if expected {
                            Ok(End::Crash { closing: true })
                        } else {
                            Err(format!("close failed: {error}"))
                        };
                    }
                    None => {}
                }
            }
            if self.fuse.blown() {
                return Ok(End::Crash { closing: true });
            }
            life.shared.lenient.set(life.shared.lenient.get() || self.fuse.blown());
            self.step(life, false);
            self.step_switch(life, false)?;
        }
        self.say(|| format!("{:?}\n{}", life.engine.stats(), life.engine.describe_segments()));
        Err("STUCK: close never ends".to_owned())
    }
}
