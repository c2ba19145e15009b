//! What the world says of a store: after a recovery, while it lives, and of what it hides.
//!
//! Promises: the store is a prefix of the ledger, with all that was acknowledged; what no key names is swept in the end. Never: a
//! loss that the disk's damage does not excuse.

use crate::audit::{Holding, Refusal, count_all, find_prefix, read_all};
use crate::ledger::{Keys, Ledger, Number, State};
use crate::plan::Profile;
use crate::salvage;
use crate::switch::Left;
use crate::world::{End, Life, World};
use thermocline::{Durability, Engine};

/// Rounds of the world between two looks at what is hidden.
const ROUNDS_PER_LOOK: u32 = 50;
/// Looks after which what is hidden stays hidden for ever.
const LOOKS_MAX: u32 = 100;

impl World {
    /// Compares the store with what the last life left. Returns what it holds.
    pub(crate) fn audit(
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
        let now_ms = engine.now_ms();
        self.report.trees += holding.nodes.iter().filter(|&&nodes| nodes > 0).count() as u64;
        self.report.tree_nodes += holding.nodes.iter().sum::<u64>();
        self.report.told += u64::from(!holding.refused.is_empty());
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
            ledger.returns = self.power_cut;
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
        Ok(state_of(&engine, holding, &believed, now_ms))
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

    /// The store as it is now is the ledger after all effects.
    pub(crate) fn compare_live(&mut self, life: &mut Life) -> Result<(), String> {
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

    /// In the end the hidden spaces hold the nodes of the trees that are there, and nothing else.
    pub(crate) fn settle_hidden(&mut self, life: &mut Life) -> Result<(), String> {
        if life.shared.wrong.borrow().is_some() {
            return Ok(());
        }
        let engine = life.engine.clone();
        let plan = self.plan.clone();
        let shared = life.shared.clone();
        let hidden = |database: usize| engine.length(engine.space(database as u32).twin());
        let mut words = String::new();
        for _ in 0..LOOKS_MAX {
            // What lies in damage, or below a node that was once misread, is not swept: asked each time, because the disk goes on.
            let misread = self.disk.injected().misdirect_read > 0;
            if self.settings.profile == Profile::Errors || misread || salvage::damages(&self.disk) > 0 {
                return Ok(());
            }
            // Time passes: what has expired meanwhile is not there any more.
            let holding = self
                .finish(life, true, read_all(&engine, &plan, |refusal| shared.excuses_read(refusal)))?
                .map_err(|e| format!("a read before a look at what is hidden: {e}"))?;
            if !holding.refused.is_empty() {
                return Ok(());
            }
            // The parts of large strings are hidden, too: how many, only the engine knows.
            let is_small = |keys: &Keys| {
                keys.values().all(|entry| entry.value.bytes().is_none_or(|b| b.len() as u64 <= plan.segment_bytes / 5))
            };
            let left = |database: &usize| hidden(*database) != holding.nodes[*database];
            let known = (0..holding.keys.len()).filter(|&database| is_small(&holding.keys[database]));
            let Some(database) = known.into_iter().find(left) else { return Ok(()) };
            words = format!(
                "HIDDEN: database {database} has {} nodes in the end, its trees have {}",
                hidden(database),
                holding.nodes[database]
            );
            for _ in 0..ROUNDS_PER_LOOK {
                self.round(life);
            }
        }
        self.say(|| format!("{:?}\n{}", engine.stats(), engine.describe_segments()));
        Err(words)
    }
}

/// What the store holds. A key that answers an error is still believed to be what it was, and of one that is lost that is kept in mind.
fn state_of(engine: &Engine, holding: Holding, believed: &State, now_ms: u64) -> State {
    let mut state = State::default();
    for (database, mut keys) in holding.keys.into_iter().enumerate() {
        let space = engine.space(database as u32);
        for (_, key) in holding.refused.range((database, 0)..=(database, Number::MAX)) {
            let was = believed.spaces.get(&space.0).and_then(|keys| keys.get(key));
            keys.extend(was.map(|entry| (*key, entry.clone())));
            state.fog.insert((space.0, *key));
        }
        for key in (0..=Number::MAX).filter(|key| !believed.is_foggy(space, *key)) {
            let (have, want) = (keys.get(&key), believed.get(space, key, now_ms));
            let before =
                || believed.lost.get(&(space.0, key)).filter(|_| !believed.was(space, key, have, now_ms)).cloned();
            let lost = if have == want { before() } else { Some(want.cloned()) };
            state.lost.extend(lost.map(|lost| ((space.0, key), lost)));
        }
        state.databases.push(space);
        state.spaces.insert(space.0, keys);
    }
    state
}
