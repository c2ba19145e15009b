//! The world of one seed: lives of a store on a lying disk, one step at a time.
//!
//! Promises: every choice comes from the seed; a run ends with the first thing that is wrong, in words. Never: time or order
//! from the machine.

use crate::audit::{Holding, Refusal, count_all, find_prefix, read_all};
use crate::client::{Shared, perform};
use crate::draw::draw;
use crate::executor::Task;
use crate::fuse::Fuse;
use crate::ledger::{Keys, Ledger, Number, State};
use crate::plan::{Plan, Profile, Settings};
use crate::random::Random;
use crate::salvage::{self, Ever};
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

/// What a run did.
#[derive(Copy, Clone, Debug, Default)]
pub struct Report {
    /// Commands finished.
    pub commands: u64,
    /// Commands refused.
    pub refused: u64,
    /// Crashes.
    pub crashes: u64,
    /// Clean shutdowns.
    pub closes: u64,
    /// Segments that GC freed.
    pub segments_freed: u64,
    /// Cold reads.
    pub cold_reads: u64,
    /// Checkpoints written beside commands.
    pub checkpoints: u64,
    /// Starts that used one.
    pub checkpoints_used: u64,
    /// Values that a hot-set list brought back.
    pub warmed: u64,
    /// Changes of the mode in the middle of a life.
    pub switches: u64,
}

/// How a life ended.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum End {
    Crash { closing: bool },
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

struct World {
    random: Random,
    plan: Plan,
    settings: Settings,
    disk: FaultDisk,
    fuse: Fuse,
    clock: Arc<ManualClock>,
    writer: u64,
    report: Report,
    ever: Ever,
}

struct Life {
    // Dropped first: they hold the engine.
    clients: Vec<Option<Task<'static, ()>>>,
    drivers: Vec<Driver>,
    background: Background,
    switches: Switches,
    engine: Engine,
    shared: Rc<Shared>,
}

impl World {
    fn new(seed: u64, settings: Settings) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let disk = FaultDisk::new(DISK_BYTES, random.word(), Faults::default());
        let fuse = Fuse::new(disk.clone());
        let clock = Arc::new(ManualClock::at_ms(1_000_000));
        World { random, plan, settings, disk, fuse, clock, writer: 0, report: Report::default(), ever: Ever::default() }
    }

    fn say(&self, words: impl FnOnce() -> String) {
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
            if life == self.plan.lives {
                return Ok(());
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
            self.say(|| "the power goes during recovery".to_owned());
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
            refused: Cell::default(),
            finished: Cell::default(),
        });
        debug_assert_eq!(engine.durability(), durability);
        Life { clients: (0..self.plan.clients).map(|_| None).collect(), drivers, background, switches, engine, shared }
    }

    /// Compares the store with what the last life left. Returns what it holds.
    fn audit(
        &mut self,
        life: &mut Life,
        before: Option<(Ledger, Left, End)>,
        durability: Durability,
        interrupted: bool,
    ) -> Result<State, String> {
        life.engine.check().map_err(|words| format!("after recovery: {words}"))?;
        let engine = life.engine.clone();
        let plan = self.plan.clone();
        if let Some(words) = salvage::false_alarm(&self.disk, engine.recovery()) {
            return Err(words);
        }
        let shared = life.shared.clone();
        let excused = |refusal: &Refusal| shared.excuses_read(refusal);
        // Reading writes: what has expired gets a tombstone, perhaps where the damage is.
        let wounded = salvage::a_segment_is_wounded(&self.disk);
        let holding = self
            .finish(life, false, read_all(&engine, &plan, excused))?
            .map_err(|e| format!("a read after recovery: {e}"))?;
        let now_ms = self.engine_now(life);
        let (ledger, left, end) = before.unwrap_or((Ledger::default(), Left::Prefix, End::Clean));
        let empty = holding.keys.iter().all(Keys::is_empty) && holding.refused.is_empty();
        let unlogged = left == Left::Nothing && end != End::Clean;
        let may_be_empty = unlogged || left == Left::Either && end != End::Clean || interrupted && !durability.logs();
        let mut believed = State::default();
        if !(empty && may_be_empty) {
            if unlogged && end == (End::Crash { closing: false }) {
                return Err("a store without a log holds something after a crash".to_owned());
            }
            let mut ledger = ledger;
            if unlogged {
                ledger.floor = ledger.effects.len();
            }
            let count;
            (count, believed) = self.judge(&ledger, &engine, &holding, wounded, now_ms)?;
            self.say(|| format!("the store is what it was after {count} of {} effects", ledger.effects.len()));
        }
        let damaged = salvage::damages(&self.disk) > 0;
        if let Some(words) = self
            .finish(life, false, count_all(&engine, &holding, damaged, |error| shared.excuses(error)))?
            .map_err(|e| format!("a SCAN after recovery: {e}"))?
        {
            return Err(words);
        }
        engine.check().map_err(|words| format!("after the audit: {words}"))?;
        Ok(state_of(&engine, holding, &believed))
    }

    /// How many effects the store holds, and the state after them. `wounded`: the disk has damaged a segment.
    fn judge(
        &self,
        ledger: &Ledger,
        engine: &Engine,
        holding: &Holding,
        wounded: bool,
        now_ms: u64,
    ) -> Result<(usize, State), String> {
        let none = match find_prefix(ledger, holding, now_ms) {
            Ok(count) => return Ok((count, ledger.state_after(count))),
            Err(none) => none,
        };
        if salvage::damages(&self.disk) == 0 {
            return Err(none.words);
        }
        let report = engine.recovery();
        if salvage::tells_damage(report) || report.truncated_bytes > 0 && wounded {
            return salvage::nearest(ledger, engine, holding, &self.ever, now_ms);
        }
        match none.below {
            Some(count) if wounded => Ok((count, ledger.state_after(count))),
            _ => Err(none.words),
        }
    }

    fn engine_now(&self, life: &Life) -> u64 {
        life.engine.now_ms()
    }

    /// Runs one future to its end.
    fn finish<T>(&mut self, life: &mut Life, background: bool, future: impl Future<Output = T>) -> Result<T, String> {
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
    fn drain(&mut self, life: &mut Life) -> Result<(), String> {
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
        self.say(|| format!("{:?}", life.engine.stats()));
        Err(format!("STUCK: {} commands never end", life.clients.iter().flatten().count()))
    }

    /// Everybody moves once.
    fn round(&mut self, life: &mut Life) {
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

    /// The store as it is now is the ledger after all effects.
    fn compare_live(&mut self, life: &mut Life) -> Result<(), String> {
        if self.settings.profile == Profile::Errors || life.shared.wrong.borrow().is_some() {
            return Ok(());
        }
        let (engine, plan, shared) = (life.engine.clone(), self.plan.clone(), life.shared.clone());
        let excused = |refusal: &Refusal| shared.excuses_read(refusal);
        let holding = loop {
            let now_ms = engine.now_ms();
            let holding =
                self.finish(life, true, read_all(&engine, &plan, excused))?.map_err(|e| format!("a live read: {e}"))?;
            if engine.now_ms() == now_ms {
                break holding; // else a key may have expired on the way
            }
        };
        let floor = life.shared.ledger.borrow().floor;
        let all = life.shared.ledger.borrow().effects.len();
        life.shared.ledger.borrow_mut().floor = all;
        let result = find_prefix(&life.shared.ledger.borrow(), &holding, engine.now_ms());
        life.shared.ledger.borrow_mut().floor = floor;
        result.map_err(|none| format!("live: {}", none.words))?;
        engine.check().map_err(|words| format!("live: {words}"))
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

/// What the store holds. A key that answers an error is still believed to be what it was.
fn state_of(engine: &Engine, holding: Holding, believed: &State) -> State {
    let mut state = State::default();
    for (database, mut keys) in holding.keys.into_iter().enumerate() {
        let space = engine.space(database as u32);
        for (_, key) in holding.refused.range((database, 0)..=(database, Number::MAX)) {
            let was = believed.spaces.get(&space.0).and_then(|keys| keys.get(key));
            keys.extend(was.map(|entry| (*key, entry.clone())));
            state.fog.insert((space.0, *key));
        }
        state.databases.push(space);
        state.spaces.insert(space.0, keys);
    }
    state
}
