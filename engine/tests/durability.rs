//! The mode changes while the store runs, and the power goes at every moment of it.

mod store;

use std::collections::BTreeMap;
use std::pin::pin;

use store::Store;
use thermocline::{Access, Changes, Durability, Expiry, Kind};
use thermocline_io::{FaultDisk, Faults};

const MODES: [Durability; 4] = [Durability::None, Durability::No, Durability::EverySecond, Durability::Always];
const KEYS: u8 = 40;
const TURNS_AT_FIRST: usize = 200;

/// What somebody did.
#[derive(Copy, Clone, Debug)]
enum Step {
    Set(u8, u8),
    Remove(u8),
    Demote(u8),
    FlushDatabase,
}

/// What database 0 holds: the version of each key.
type Holding = BTreeMap<u8, u8>;

/// A history with all that an unlogged time can hide: overwrites, removals, a flushed database, values on the SSD only.
fn history() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..KEYS).map(|key| Step::Set(key, 0)).collect();
    steps.push(Step::FlushDatabase);
    steps.extend((0..KEYS).map(|key| Step::Set(key, 1)));
    steps.extend((0..KEYS).step_by(3).map(Step::Demote));
    steps.extend((0..KEYS).step_by(2).map(|key| Step::Set(key, 2)));
    steps.extend((0..KEYS).step_by(5).map(Step::Remove));
    steps
}

/// The states that a history goes through.
fn states(steps: &[Step]) -> Vec<Holding> {
    let mut holding = Holding::new();
    let mut states = vec![holding.clone()];
    for step in steps {
        match *step {
            Step::Set(key, version) => drop(holding.insert(key, version)),
            Step::Remove(key) => drop(holding.remove(&key)),
            Step::Demote(_) => {}
            Step::FlushDatabase => holding.clear(),
        }
        states.push(holding.clone());
    }
    states
}

fn open(disk: &FaultDisk, durability: Durability) -> Store {
    let mut store = Store::open(disk, store::options(durability));
    // The first segments are made: a demotion does not wait for one.
    (0..TURNS_AT_FIRST).for_each(|_| store.turn());
    store
}

impl Store {
    fn switch(&mut self, durability: Durability) {
        let engine = self.engine.clone();
        self.finish(engine.set_durability(durability)).unwrap();
        assert_eq!(engine.durability(), durability);
    }

    fn perform(&mut self, step: Step) {
        let engine = self.engine.clone();
        let space = engine.space(0);
        match step {
            Step::Set(key, version) => {
                let value = [&[version][..], &[key; 300]].concat();
                let set = async {
                    let keys = [(engine.key(space, std::slice::from_ref(&key)), Access::Overwrite)];
                    let mut changes = Changes::new(1);
                    engine.run(&keys, &mut changes, |_, c| c.put(0, Kind::String, &value, Expiry::Clear)).await
                };
                self.finish(set).unwrap();
            }
            Step::Remove(key) => {
                let remove = async {
                    let keys = [(engine.key(space, std::slice::from_ref(&key)), Access::Overwrite)];
                    engine.run(&keys, &mut Changes::new(1), |_, c| c.remove(0)).await
                };
                self.finish(remove).unwrap();
            }
            Step::Demote(key) => {
                self.finish(engine.demote(&engine.key(space, std::slice::from_ref(&key)))).unwrap();
            }
            Step::FlushDatabase => {
                self.finish(engine.flush_database(0)).unwrap();
            }
        }
    }

    fn holding(&mut self) -> Holding {
        let mut holding = Holding::new();
        for key in 0..KEYS {
            let engine = self.engine.clone();
            let read = async {
                let keys = [(engine.key(engine.space(0), std::slice::from_ref(&key)), Access::Read)];
                engine.run(&keys, &mut Changes::new(1), |views, _| views[0].map(|view| view.value.to_vec())).await
            };
            if let Some(value) = self.finish(read).unwrap().0 {
                assert_eq!(value[1..], [key; 300]);
                holding.insert(key, value[0]);
            }
        }
        assert_eq!(self.engine.length(self.engine.space(0)), holding.len() as u64);
        self.engine.check().unwrap();
        holding
    }
}

/// Performs the history in `from`, asks for `to`, and cuts the power after so many turns. Whether the switch had ended,
/// whether a log was being begun, and what the next start finds.
fn cut_after(turns: usize, from: Durability, to: Durability, steps: &[Step]) -> (bool, bool, Holding) {
    let disk = FaultDisk::new(64 << 20, turns as u64, Faults::default());
    let mut store = open(&disk, from);
    steps.iter().for_each(|step| store.perform(*step));
    if from == Durability::Always {
        let (engine, seq) = (store.engine.clone(), store.engine.written_seq());
        store.finish(engine.durable(seq)).unwrap();
    }
    let ended = {
        let engine = store.engine.clone();
        let mut switch = pin!(engine.set_durability(to));
        let mut ended = store.poll(switch.as_mut()).is_some();
        for _ in 0..turns {
            if ended {
                break;
            }
            store.turn();
            ended = store.poll(switch.as_mut()).is_some();
        }
        ended
    };
    let entering = store.engine.is_entering_log();
    drop(store);
    disk.power_cut();
    (ended, entering, open(&disk, to).holding())
}

#[test]
fn a_power_cut_at_any_moment_of_a_switch_leaves_what_one_of_the_modes_promises() {
    let steps = history();
    let states = states(&steps);
    let all = states.last().unwrap();
    for (from, to) in MODES.into_iter().flat_map(|from| MODES.map(|to| (from, to))).filter(|(from, to)| from != to) {
        for turns in 0.. {
            let (ended, entering, holding) = cut_after(turns, from, to, &steps);
            let fail = |words: &str| panic!("{from:?} to {to:?}, cut after {turns} turns: {words}: {holding:?}");
            match (ended, from.logs(), to.logs()) {
                (true, _, false) if !holding.is_empty() => fail("nothing is logged, and something is there"),
                // What was written before it can be lost where less is asked for.
                (true, false, true) if holding != *all => fail("what was done without a log is not in it"),
                (true, true, true) if to as u8 > from as u8 && holding != *all => fail("it was not flushed"),
                (_, true, true) if from == Durability::Always && holding != *all => fail("it was acknowledged"),
                (false, true, false) if from == Durability::Always && !holding.is_empty() && holding != *all => {
                    fail("half of what was acknowledged")
                }
                _ if !states.contains(&holding) => fail("no prefix"),
                _ => {}
            }
            assert_eq!(entering, !ended && !from.logs(), "{from:?} to {to:?}: it shows while a log is begun");
            if ended {
                assert!(turns > 20 || from.logs(), "{from:?} to {to:?}: only {turns} moments");
                break;
            }
            assert!(turns < 2_000, "{from:?} to {to:?} never ends");
        }
    }
}

#[test]
fn a_log_that_was_left_and_begun_again_knows_what_happened_in_between() {
    let disk = FaultDisk::new(64 << 20, 3, Faults::default());
    let mut store = open(&disk, Durability::Always);
    let steps = history();
    steps.iter().for_each(|step| store.perform(*step));
    for round in 0..3 {
        store.switch(Durability::None);
        (0..KEYS).step_by(2).for_each(|key| store.perform(Step::Remove(key)));
        store.perform(Step::Set(1, 10 + round));
        store.switch(MODES[1 + usize::from(round)]);
        store.perform(Step::Set(3, 10 + round));
        let (engine, seq) = (store.engine.clone(), store.engine.written_seq());
        store.finish(engine.flush_log(seq)).unwrap();
        let holding = store.holding();
        assert_eq!((holding[&1], holding[&3], holding.get(&2)), (10 + round, 10 + round, None));
        drop(store);
        disk.power_cut();
        store = open(&disk, Durability::Always);
        assert_eq!(store.holding(), holding, "round {round}");
    }
}

/// A write that was submitted without a flush, and completes when each write is flushed, has not become durable by that.
#[test]
fn a_write_in_flight_counts_as_what_it_was_when_it_was_submitted() {
    for turns in 0..200 {
        let disk = FaultDisk::new(64 << 20, turns, Faults::default());
        let mut store = open(&disk, Durability::EverySecond);
        store.perform(Step::Set(1, 1));
        let seq = store.engine.written_seq();
        // The write leaves, by age; nothing vouches for it.
        store.clock.advance_us(500_000);
        store.driver.enter();
        store.driver.turn();
        let engine = store.engine.clone();
        let durable = {
            let mut switch = pin!(engine.set_durability(Durability::Always));
            let mut ended = store.poll(switch.as_mut()).is_some();
            for _ in 0..turns {
                store.turn();
                ended = ended || store.poll(switch.as_mut()).is_some();
            }
            assert!(!ended || engine.is_durable(seq), "it ends when all is flushed");
            engine.is_durable(seq)
        };
        drop((store, engine));
        disk.power_cut();
        let there = open(&disk, Durability::Always).holding().contains_key(&1);
        assert!(there || !durable, "after {turns} turns it counted as durable, and is lost");
    }
}

/// Stuck, for half a minute: an answer that `always` had promised. Its chunk was still open, or on its way, when `no` was asked for,
/// and `no` syncs every thirty seconds (seed 440347). Now whoever waits for the watermark asks for a flush, whatever the pace.
#[test]
fn an_answer_that_always_promised_is_not_kept_waiting_by_a_slower_mode() {
    for to in [Durability::None, Durability::No, Durability::EverySecond] {
        for turns in 0..20 {
            let disk = FaultDisk::new(64 << 20, turns, Faults::default());
            let mut store = open(&disk, Durability::EverySecond);
            store.perform(Step::Set(0, 1));
            let engine = store.engine.clone();
            store.finish(engine.flush_log(engine.written_seq())).unwrap(); // a sync: `no` is due half a minute from now
            store.switch(Durability::Always);
            store.perform(Step::Set(1, 1));
            store.driver.enter();
            store.driver.turn(); // the first record leaves; the second waits for it in the open chunk
            store.perform(Step::Set(2, 1));
            let mut durable = pin!(engine.durable(engine.written_seq()));
            let waits = store.poll(durable.as_mut()).is_none();
            (0..turns).for_each(|_| store.turn());
            store.switch(to);
            let began_us = engine.monotonic_us();
            if waits {
                store.finish(durable.as_mut()).unwrap();
            }
            let waited_us = engine.monotonic_us() - began_us;
            assert!(waited_us < 100_000, "{to:?} after {turns} turns: {waited_us} us");
        }
    }
}

#[test]
fn nothing_is_switched_when_the_store_is_closed_and_the_mode_survives_a_clean_end() {
    let disk = FaultDisk::new(64 << 20, 3, Faults::default());
    let mut store = open(&disk, Durability::None);
    let steps = history();
    steps.iter().for_each(|step| store.perform(*step));
    store.switch(Durability::EverySecond);
    store.switch(Durability::None);
    let holding = store.holding();
    let engine = store.engine.clone();
    store.finish(engine.close()).unwrap();
    assert!(store.finish(engine.set_durability(Durability::Always)).is_err());
    assert_eq!(engine.durability(), Durability::None);
    drop((store, engine));
    disk.power_cut();
    assert_eq!(open(&disk, Durability::None).holding(), holding);
}
