//! Running a command's body over its keys: look, prove, lock, run, commit.
//!
//! One attempt takes the latches of all its keys (in order), looks each key up, and either runs the body and commits what it
//! decided in the same hold, or says what is missing: a cold record, a cell, index memory, room in the log. What is missing is
//! brought without any latch, and the attempt is made again. After two rounds of cold reads the key locks are taken first, so
//! that nobody can change the keys any more and the third round must succeed.
//!
//! Promises: a body sees all its keys at one moment; its changes are one group, whole or absent; seq order = slot order for
//! every key. Never: waits under a latch.

use crate::Key;
use crate::change::{Access, Changes, Done, Kind, Tier, View};
use crate::collection::{NodesOf, tree_of};
use crate::commit::{Item, Missing, commit};
use crate::engine::{Engine, Inner};
use crate::error::{Error, Result};
use crate::keylock::KeyLocks;
use crate::large::Assembled;
use crate::log::NoRoom;
use crate::nodes::{Asked, NodesNeeded, Source};
use crate::options::{Durability, NODE_ROUNDS_MAX, READ_SHARE_MAX, ROUNDS_MAX, ROUNDS_UNLOCKED_MAX};
use crate::place::{CLASS_SECTORS, SECTOR_BYTES};
use crate::planted::{self, Bug};
use crate::queue::Asks;
use crate::serve::{AtDoor, Summons};
use crate::shard::{Found, Shard};
use crate::short::Short;
use crate::space::SpacePlan;
use crate::tier::fetch::{Flight, Known, Landing};
use crate::watch::Watcher;
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_memory::Span;

/// One try on the hot road.
pub enum Attempt<R> {
    /// It ran.
    Ready(R, Done),
    /// Something is missing; [`Engine::finish`] brings it.
    Later(Later),
    /// It was refused.
    Refused(Error),
}

/// Why a command has not run yet.
pub struct Later {
    need: Need,
}

/// What is missing.
pub(crate) enum Need {
    /// Cold records.
    Cold(SmallVec<[Arc<Flight>; 2]>),
    /// Somebody holds a key.
    Held(u64),
    /// The key of this hash is kept for a command that waited for it.
    Kept(u128, u64),
    /// Cells: (shard, bytes) each.
    Cells(SmallVec<[(usize, usize); 2]>),
    /// Room in the log.
    Log(u64),
    /// Both tiers are full.
    Full,
    /// The value of this key lies in extents that must be read.
    Assemble(usize),
    /// The new value of this key must be written as extents.
    Extend(usize),
    /// Nodes of collections.
    Nodes(NodesNeeded),
    /// To look again at a collection whose database was flushed meanwhile: it is on its way out.
    Flushed,
}

pub(crate) enum Outcome<R> {
    Ready(R, Done),
    Need(Need),
    Refused(Error),
    Stopped(Stop),
}

/// How a group ends.
pub enum GroupEnd<R> {
    /// It ran.
    Ran(R, Done),
    /// A watched key has changed: nothing was done.
    Watched,
    /// Databases were flushed or swapped since the plan was made: nothing was done, plan again.
    Moved,
}

/// Why a group does not run.
#[derive(Copy, Clone)]
pub(crate) enum Stop {
    Watched,
    Moved,
}

/// What a group says beyond its keys.
#[derive(Copy, Clone, Default)]
pub(crate) struct Scope<'s> {
    /// The databases, as its keys were found and as it will leave them.
    pub(crate) plan: Option<&'s SpacePlan>,
    /// Keys that must not have changed.
    pub(crate) watcher: Option<&'s Watcher>,
    /// It may wait for its keys.
    pub(crate) asks: Option<Asks<'s>>,
}

/// Held latches, in the order of the shards.
pub(crate) type Guards<'g> = SmallVec<[(usize, MutexGuard<'g, Shard>); 2]>;

/// What one attempt stands on.
pub(crate) struct Ground<'r> {
    pub(crate) keys: &'r [(Key<'r>, Access)],
    /// Records read so far.
    pub(crate) known: &'r Known,
    pub(crate) large: &'r Assembled,
    /// Shards of nodes that are not the keys'.
    pub(crate) shards: &'r [usize],
    /// Who holds key locks; 0: nobody.
    pub(crate) owner: u64,
    /// A part of a collection of a flushed database was missed: it is as if it were not there.
    pub(crate) flushed: bool,
    pub(crate) scope: Scope<'r>,
}

impl Inner {
    /// One attempt over all keys.
    pub(crate) fn attempt<'a, R>(
        &self,
        ground: &Ground<'_>,
        changes: &mut Changes<'a>,
        body: &mut dyn FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Outcome<R> {
        let mut spans: Vec<Span> = Vec::new();
        let mut summons = Summons::default();
        let outcome = self.attempt_latched(ground, changes, body, &mut spans, &mut summons);
        for span in spans {
            self.region.give(span);
        }
        summons.send(self);
        self.pump_if_ripe();
        outcome
    }

    /// A chunk that became full leaves at once; in `always` whoever waits for durability asks, so that groups form.
    #[inline]
    pub(crate) fn pump_if_ripe(&self) {
        if self.log.is_ripe() && self.log.mode.log() != Durability::Always {
            self.pump(false);
        }
    }

    /// What the answer of a command must wait for that saw a shard at `seen` and wrote `written`. Asked in the hold of its
    /// commit (`log/mode.rs` says why).
    #[inline]
    pub(crate) fn wait_seq(&self, seen: u64, written: u64) -> u64 {
        if self.log.mode.promised() != Durability::Always {
            return 0;
        }
        let seen = if planted::is(Bug::ReadsDoNotWait) { 0 } else { seen };
        let wait_seq = seen.max(written);
        if wait_seq <= self.log.watermark() { 0 } else { wait_seq }
    }

    fn attempt_latched<'a, R>(
        &self,
        ground: &Ground<'_>,
        changes: &mut Changes<'a>,
        body: &mut dyn FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
        spans: &mut Vec<Span>,
        summons: &mut Summons,
    ) -> Outcome<R> {
        let &Ground { keys, known, large, shards, owner, flushed, scope } = ground;
        let hashes: SmallVec<[u64; 2]> = keys.iter().map(|(k, _)| self.hash_of(k)).collect();
        let mut guards = self.latch(&hashes, shards, scope);
        if self.closed.load(Ordering::Acquire) {
            return Outcome::Refused(Error::Closed);
        }
        if let Some(stop) = self.stops(scope) {
            return Outcome::Stopped(stop);
        }
        let guard_of = |guards: &Guards<'_>, hash: u64| {
            let number = self.shard_of(hash);
            guards.iter().position(|g| g.0 == number).unwrap_or(0)
        };
        // Look every key up; collect what must be read.
        let mut flights: SmallVec<[Arc<Flight>; 2]> = SmallVec::new();
        let mut founds: SmallVec<[Found<'_>; 2]> = SmallVec::new();
        let mut read_bytes = 0;
        for (n, ((key, _), &hash)) in keys.iter().zip(&hashes).enumerate() {
            let at = guard_of(&guards, hash);
            let number = guards[at].0;
            let shard = &mut guards[at].1;
            if shard.is_held(key, owner) {
                return Outcome::Need(Need::Held(self.unlocked.ticket()));
            }
            let stands = scope.asks.is_some_and(|asks| asks.stands());
            if !stands && shard.is_kept(key.hash.0, owner) {
                return Outcome::Need(Need::Kept(key.hash.0, self.doors.ticket()));
            }
            if stands && scope.asks.is_some_and(|asks| asks.hides(shard, key.hash.0, n)) {
                founds.push(Found::Absent);
                continue;
            }
            let found = shard.find(key, hash, known, &self.log);
            if let Found::Unknown(slots) = &found {
                for &slot in slots {
                    read_bytes += u64::from(CLASS_SECTORS[usize::from(slot.class())] * SECTOR_BYTES);
                    if read_bytes > self.max_memory.load(Ordering::Relaxed) / READ_SHARE_MAX && keys.len() > 1 {
                        return Outcome::Refused(Error::OutOfMemory);
                    }
                    flights.push(self.flight(shard, number, slot));
                }
            }
            founds.push(found);
        }
        if !flights.is_empty() {
            return Outcome::Need(Need::Cold(flights));
        }
        // Asked only if something expires: most commands need no clock at all.
        let asked = std::cell::OnceCell::new();
        let now_ms = || *asked.get_or_init(|| self.clock.now_ms());
        let mut items: SmallVec<[Item; 2]> = SmallVec::new();
        let mut tier = Tier::Miss;
        let mut asked = Asked::default();
        let (result, mut seen_seq) = {
            let shards = guards.iter().map(|(n, shard)| (*n, &**shard)).collect();
            let source = Source::new(self, shards, known, &mut asked);
            let mut views: SmallVec<[Option<View<'_>>; 2]> = SmallVec::new();
            let mut seen_seq = 0;
            for (n, (((key, access), &hash), found)) in keys.iter().zip(&hashes).zip(founds).enumerate() {
                let at = guard_of(&guards, hash);
                let shard = &guards[at].1;
                seen_seq = seen_seq.max(shard.high_seq);
                let found = found.unless_taken(*access, |slot| items.iter().any(|item| item.is_at(at, slot)));
                let (mut item, mut view) = match self.see(shard, at, n, key, *access, hash, found, large, &now_ms) {
                    Ok(seen) => seen,
                    Err(Seen::Need(need)) => return Outcome::Need(need),
                    Err(Seen::Error(error)) => return Outcome::Refused(error),
                };
                if flushed && item.tree.is_some() && !self.spaces.read().names(key.space) {
                    item.expired = true;
                    view = None;
                }
                if n == 0 {
                    tier = view.as_ref().map_or(Tier::Miss, |v| v.tier);
                }
                if let Some(view) = &mut view {
                    view.nodes = Some(NodesOf { source: &source, space: key.space });
                }
                items.push(item);
                views.push(view);
            }
            changes.clear();
            (body(&views, changes), seen_seq)
        };
        if changes.wants_nodes() {
            return self.wanted(ground, &mut guards, asked);
        }
        // What it saw of a collection stands in the shards of its nodes.
        if !asked.met.is_empty() && !planted::is(Bug::ReadsSkipNodes) {
            seen_seq = guards.iter().map(|(_, shard)| shard.high_seq).max().unwrap_or(seen_seq).max(seen_seq);
        }
        changes.write_counts();
        let nodes = self.changed_nodes(keys, changes);
        let mut with_nodes: SmallVec<[(Key<'_>, Access); 2]> = SmallVec::new();
        if !nodes.is_empty() {
            if let Err(need) = self.node_items(&mut guards, known, &nodes, &mut items) {
                return Outcome::Need(need);
            }
            with_nodes.extend(keys.iter().copied().chain(nodes.iter().map(|node| (node.key(), Access::Overwrite))));
        }
        let all = if nodes.is_empty() { keys } else { with_nodes.as_slice() };
        match commit(self, &mut guards, all, &mut items, changes, large, scope.plan, spans) {
            Ok(seq) => {
                self.after(&mut guards, keys, &items, changes, known);
                let moved = items.iter().any(|item| item.changed);
                self.after_nodes(&mut guards, &asked.met, moved, known);
                if let (true, Some(asks)) = (changes.waits(), scope.asks)
                    && let Err(error) = asks.stand(self, &mut guards, keys)
                {
                    return Outcome::Refused(error);
                }
                let cause = summons.collect(self, &mut guards, keys, scope.asks);
                let wait_seq = self.wait_seq(seen_seq, seq);
                if wait_seq != 0
                    && seq == 0
                    && let Some(reason) = self.log.failure()
                {
                    // Nobody knows when the log is written again. Reads go on where that makes no difference.
                    return match asked.met.is_empty() && items.iter().all(|item| item.is_whole(&self.log)) {
                        true => Outcome::Ready(result, Done { wait_seq: 0, tier, read_us: 0, cause }),
                        false => Outcome::Refused(Error::Misconfigured { reason }),
                    };
                }
                Outcome::Ready(result, Done { wait_seq, tier, read_us: 0, cause })
            }
            Err(Missing::Cells(cells)) => Outcome::Need(Need::Cells(cells)),
            Err(Missing::Log(NoRoom::Failed)) => Outcome::Refused(self.refusal()),
            Err(Missing::Log(_)) => Outcome::Need(Need::Log(self.log.room.ticket())),
            Err(Missing::Full) => Outcome::Need(Need::Full),
            Err(Missing::Extend(key)) => Outcome::Need(Need::Extend(key)),
            Err(Missing::TooLarge(error)) => self.refused(ground, error),
        }
    }

    /// A body could not go on: what it asked for is brought.
    fn wanted<R>(&self, ground: &Ground<'_>, guards: &mut Guards<'_>, asked: Asked) -> Outcome<R> {
        if let Some(damage) = asked.damage {
            return self.refused(ground, damage);
        }
        match self.need_nodes(guards, ground.known, &asked.missed) {
            Ok(needed) if needed.is_empty() => self.refused(ground, Error::NodeMissing),
            Ok(needed) => Outcome::Need(Need::Nodes(needed)),
            Err(error) => Outcome::Refused(error),
        }
    }

    /// A collection that lacks a node is damaged, unless its database was flushed while the command was under way: then the sweeper
    /// is at it.
    fn refused<R>(&self, ground: &Ground<'_>, error: Error) -> Outcome<R> {
        let is_dropped = || {
            let spaces = self.spaces.read();
            ground.keys.iter().any(|(key, _)| !spaces.names(key.space))
        };
        if matches!(error, Error::NodeMissing) && !ground.flushed && is_dropped() {
            return Outcome::Need(Need::Flushed);
        }
        Outcome::Refused(error)
    }

    /// Takes the latches of these hashes and shards, each once, in the order of the shards. Watched keys of a group are latched too, so
    /// that none can change between the look at its mark and the commit; a group that changes the databases takes all.
    fn latch(&self, hashes: &[u64], shards: &[usize], scope: Scope<'_>) -> Guards<'_> {
        let mut numbers: SmallVec<[usize; 2]> = match scope {
            Scope { plan: Some(plan), .. } if plan.is_change() => (0..self.shards.len()).collect(),
            Scope { plan: Some(plan), watcher: Some(watcher), .. } => {
                crate::watch::shards_of(self, hashes.iter().copied().chain(watcher.hashes(plan.before())))
            }
            _ => hashes.iter().map(|&h| self.shard_of(h)).collect(),
        };
        numbers.extend_from_slice(shards);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|n| (n, self.shards[n].lock())).collect()
    }

    /// Asked under the latches.
    fn stops(&self, scope: Scope<'_>) -> Option<Stop> {
        if scope.watcher.is_some_and(Watcher::is_changed) {
            return Some(Stop::Watched);
        }
        scope.plan.filter(|plan| !plan.holds(self)).map(|_| Stop::Moved)
    }

    /// What the body may see of a key, and what the commit must know of it.
    #[expect(clippy::too_many_arguments, reason = "a view is made of all of it")]
    fn see<'v>(
        &self,
        shard: &'v Shard,
        guard: usize,
        number: usize,
        key: &Key<'_>,
        access: Access,
        hash: u64,
        found: Found<'v>,
        large: &'v Assembled,
        now_ms: &impl Fn() -> u64,
    ) -> std::result::Result<(Item, Option<View<'v>>), Seen> {
        let mut item = Item::absent(guard, hash);
        let (kind, payload, expiry, tier, slot) = match found {
            Found::Absent => return Ok((item, None)),
            Found::Unknown(_) => unreachable!("every cold slot was proven in this hold"),
            Found::Corrupt(at, slot) => {
                if access != Access::Overwrite {
                    let (segment, offset) = crate::place::Place::from_bits(slot.place()).split(self.log.segment_bytes);
                    return Err(Seen::Error(Error::Corrupt { segment, offset }));
                }
                item.set_corrupt(at, slot);
                return Ok((item, None));
            }
            Found::Hot(at, slot, handle) => {
                let object = shard.cell(handle);
                item.set_hot(key, at, slot, &object.outline());
                if let Some(dirty) = shard.deltas.get(object.place).filter(|_| object.deltas) {
                    item.set_deltas(dirty);
                }
                (object.kind, object.payload, object.expiry, Tier::Hot, slot)
            }
            Found::Cold(at, slot, record) => {
                let fields = record.record();
                let crate::log::record::RecordKind::Value(kind) = fields.kind else {
                    return Err(Seen::Error(Error::Corrupt {
                        segment: record.address().segment,
                        offset: record.address().offset,
                    }));
                };
                item.set_cold(at, slot, record);
                (kind, fields.payload, fields.expiry, Tier::Cold, slot)
            }
        };
        if kind == Kind::LargeString {
            item.set_large(payload);
        } else if !kind.is_string() {
            item.tree = tree_of(payload);
        }
        if expiry.is_some_and(|e| e <= now_ms()) {
            item.expired = true;
            return Ok((item, None));
        }
        let heat = if tier == Tier::Hot { slot.heat() } else { 0 };
        let mut view =
            View { kind, value: payload, length: payload.len() as u64, expires_at_ms: expiry, tier, heat, nodes: None };
        if let Some(head) = item.large {
            view.kind = Kind::String;
            view.length = head.length;
            view.value = &[];
            if matches!(access, Access::Read | Access::Write) {
                match large.value(key, head.id) {
                    Some(value) => view.value = value,
                    None => return Err(Seen::Need(Need::Assemble(number))),
                }
            }
        }
        Ok((item, Some(view)))
    }

    /// After the commit: heat and promotion of what was read, removal of what had expired.
    fn after(
        &self,
        guards: &mut Guards<'_>,
        keys: &[(Key<'_>, Access)],
        items: &[Item],
        changes: &Changes<'_>,
        known: &Known,
    ) {
        let removed = items.iter().any(|i| i.changed);
        for (n, (key, access)) in keys.iter().enumerate() {
            let item = &items[n];
            let shard = &mut guards[item.guard].1;
            count(shard, item.tier, item.expired, *access);
            let is_read =
                *access != Access::Peek && !item.changed && matches!(changes.get(n), crate::change::Change::None);
            match item.tier {
                Tier::Hot if is_read => {
                    // Nothing was inserted or removed by a command that changes nothing: the place still holds.
                    let there =
                        if changes.is_empty() && !removed { item.place() } else { item.still_there(shard, key) };
                    if let Some((at, slot)) = there {
                        shard.touch(key.space, at, slot);
                    }
                }
                Tier::Cold if is_read && *access != Access::Overwrite && !item.expired => {
                    self.promote_latched(shard, key, item.hash, known);
                }
                _ => {}
            }
            if self.is_sampled(item.hash) {
                let found = if item.expired { Tier::Miss } else { item.tier };
                self.note(shard, key, item.hash, found, *access);
            }
        }
    }

    /// Brings what an attempt needs.
    pub(crate) async fn bring(self: &Arc<Self>, need: Need, run: &mut Run<'_>) -> Result<()> {
        if !matches!((&need, &run.at_door), (Need::Kept(hash, _), Some(at_door)) if at_door.hash() == *hash) {
            run.at_door = None;
        }
        match need {
            Need::Cold(flights) => {
                let began_us = self.clock.monotonic_us();
                let names: HashSet<&[u8]> = run.keys.iter().map(|(k, _)| k.bytes).collect();
                for flight in flights {
                    let record = Landing(flight).await?;
                    if !record.is_corrupt() && !names.contains(record.record().key) {
                        self.counters.false_matches.fetch_add(1, Ordering::Relaxed);
                    }
                    run.known.add(record);
                }
                run.read_us += self.clock.monotonic_us().saturating_sub(began_us);
                run.rounds += 1;
                if run.rounds > ROUNDS_MAX {
                    return Err(Error::Misconfigured {
                        reason: "a key moved again and again while it was read".into(),
                    });
                }
                // Cold values are promoted when the attempt finds a cell for them.
                for (key, access) in run.keys {
                    if *access != Access::Peek && *access != Access::Overwrite {
                        self.prepare_promotion(key, &run.known);
                    }
                }
            }
            Need::Nodes(needed) => self.bring_nodes(needed, run).await?,
            Need::Held(ticket) => self.unlocked.changed(ticket).await,
            Need::Flushed => run.flushed = true,
            Need::Kept(hash, ticket) => {
                // Whoever was let in and finds the key kept again stands in front.
                let at_door = run.at_door.get_or_insert_with(|| AtDoor::take(self, hash));
                at_door.let_in(ticket).await;
            }
            Need::Cells(cells) => {
                let ticket = self.log.room.ticket();
                if !self.make_rooms(&cells) {
                    self.forget_reserved();
                    run.starved += 1;
                    let now_us = self.clock.monotonic_us();
                    let waited_us = now_us.saturating_sub(*run.starved_since_us.get_or_insert(now_us));
                    if let Some(reason) = self.is_waiting_for_the_disk(run.starved, waited_us) {
                        return Err(Error::Misconfigured { reason });
                    }
                    if self.is_stuck(run.starved) {
                        return Err(Error::OutOfMemory);
                    }
                    self.counters.write_waits.fetch_add(1, Ordering::Relaxed);
                    self.pump(self.is_to_flush(run.starved));
                    self.log.room.changed(ticket).await;
                }
            }
            Need::Log(ticket) => self.log_room(ticket).await?,
            Need::Full => self.make_disk_room().await?,
            Need::Assemble(key) => self.assemble(key, run).await?,
            Need::Extend(_) => unreachable!("handled where the staged value is"),
        }
        if run.rounds + run.node_rounds > ROUNDS_UNLOCKED_MAX && run.locks.is_none() && !run.part_of_another {
            run.locks = Some(KeyLocks::take(self, run.keys.iter().map(|(k, _)| *k), run.even_kept).await);
        }
        Ok(())
    }
}

impl Inner {
    /// Reads the nodes that an attempt lacked.
    async fn bring_nodes(self: &Arc<Self>, needed: NodesNeeded, run: &mut Run<'_>) -> Result<()> {
        let began_us = self.clock.monotonic_us();
        run.shards.extend(needed.shards);
        run.shards.sort_unstable();
        run.shards.dedup();
        if needed.forgets {
            run.known.forget_dead(&self.log);
        }
        let is_wanted = |name: &[u8]| needed.cold.iter().any(|node| node.name == name);
        for flight in needed.flights {
            let record = Landing(flight).await?;
            if !record.is_corrupt() && !is_wanted(record.record().key) {
                self.counters.false_matches.fetch_add(1, Ordering::Relaxed);
            }
            run.known.add(record);
        }
        run.read_us += self.clock.monotonic_us().saturating_sub(began_us);
        run.node_rounds += 1;
        if run.node_rounds > NODE_ROUNDS_MAX {
            return Err(Error::Misconfigured { reason: "a collection moved again and again while it was read".into() });
        }
        for node in &needed.cold {
            self.prepare_promotion(&node.key(), &run.known);
        }
        Ok(())
    }
}

/// Counts an access that asked for the value.
#[inline]
pub(crate) fn count(shard: &mut Shard, tier: Tier, expired: bool, access: Access) {
    if matches!(access, Access::Read | Access::Write) {
        let counts = &mut shard.counts;
        *match (tier, expired) {
            (_, true) | (Tier::Miss, _) => &mut counts.misses,
            (Tier::Hot, _) => &mut counts.hot_hits,
            (Tier::Cold, _) => &mut counts.cold_hits,
        } += 1;
    }
}

/// Why a key cannot be seen.
enum Seen {
    Need(Need),
    Error(Error),
}

/// The state of a command between attempts.
pub(crate) struct Run<'k> {
    pub(crate) keys: &'k [(Key<'k>, Access)],
    pub(crate) known: Known,
    pub(crate) large: Assembled,
    pub(crate) locks: Option<KeyLocks>,
    /// Its place at the door of a key that is kept for somebody else.
    at_door: Option<AtDoor>,
    /// No kept key holds it up.
    pub(crate) even_kept: bool,
    /// It reads for a run that may hold the locks of these keys already: it takes none.
    pub(crate) part_of_another: bool,
    pub(crate) rounds: u32,
    /// Rounds that brought nodes.
    node_rounds: u32,
    /// Shards of nodes that are not the keys'.
    shards: SmallVec<[usize; 2]>,
    /// A part of a collection of a flushed database was missed.
    flushed: bool,
    /// Waits for a cell that brought none, and when the first of them began.
    pub(crate) starved: u32,
    pub(crate) starved_since_us: Option<u64>,
    pub(crate) read_us: u64,
}

impl<'k> Run<'k> {
    pub(crate) fn new(keys: &'k [(Key<'k>, Access)]) -> Self {
        Run {
            keys,
            known: Known::default(),
            large: Assembled::default(),
            locks: None,
            at_door: None,
            even_kept: false,
            part_of_another: false,
            rounds: 0,
            node_rounds: 0,
            shards: SmallVec::new(),
            flushed: false,
            starved: 0,
            starved_since_us: None,
            read_us: 0,
        }
    }

    pub(crate) fn owner(&self) -> u64 {
        self.locks.as_ref().map_or(0, KeyLocks::owner)
    }
}

impl Engine {
    /// The hot road for one key: never waits. The body may be called again if the command is finished later: it must start
    /// its answer anew on each call.
    #[inline]
    pub fn try_run<'a, R>(
        &self,
        key: &Key<'_>,
        access: Access,
        changes: &mut Changes<'a>,
        mut body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Attempt<R> {
        for _ in 0..2 {
            match self.inner.attempt_short(key, access, changes, &mut body) {
                Ok((result, done)) => return Attempt::Ready(result, done),
                Err(Short::NoCell(shard, bytes)) if self.inner.make_rooms(&[(shard, bytes)]) => {}
                Err(_) => break,
            }
        }
        self.try_general(key, access, changes, &mut body)
    }

    /// What the short road leaves over: cold keys, held keys, what expires, large values, missing memory.
    #[cold]
    fn try_general<'a, R>(
        &self,
        key: &Key<'_>,
        access: Access,
        changes: &mut Changes<'a>,
        body: &mut dyn FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Attempt<R> {
        let keys = [(*key, access)];
        let (known, large) = (Known::default(), Assembled::default());
        for _ in 0..4 {
            let ground = Ground {
                keys: &keys,
                known: &known,
                large: &large,
                shards: &[],
                owner: 0,
                flushed: false,
                scope: Scope::default(),
            };
            match self.inner.attempt(&ground, changes, body) {
                Outcome::Ready(result, done) => return Attempt::Ready(result, done),
                Outcome::Need(Need::Cells(cells)) if self.inner.make_rooms(&cells) => {}
                Outcome::Need(need) => return Attempt::Later(Later { need }),
                Outcome::Refused(error) => return Attempt::Refused(error),
                Outcome::Stopped(_) => unreachable!("without a scope nothing stops"),
            }
        }
        Attempt::Later(Later { need: Need::Held(self.inner.unlocked.ticket().wrapping_sub(1)) })
    }

    /// Finishes what [`Engine::try_run`] could not: the same key, access and body.
    ///
    /// # Errors
    /// See [`Engine::run`].
    pub async fn finish<'a, R>(
        &self,
        later: Later,
        key: &Key<'_>,
        access: Access,
        changes: &mut Changes<'a>,
        body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<(R, Done)> {
        self.drive_alone(&[(*key, access)], Some(later.need), changes, body).await
    }

    /// The general road: any number of keys, hot or cold; all changes are one group, whole or absent. A key may be given more
    /// than once with the same access: only its first index is changed. The body may be called more than once; only the last
    /// call counts.
    ///
    /// # Errors
    /// Both tiers full, the log cannot be written, a damaged record, a value or group beyond the bounds.
    pub async fn run<'a, R>(
        &self,
        keys: &[(Key<'_>, Access)],
        changes: &mut Changes<'a>,
        body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<(R, Done)> {
        self.drive_alone(keys, None, changes, body).await
    }

    /// The road of transactions: like [`Engine::run`], and the group may also flush and swap databases, as `plan` says, and does
    /// nothing at all if a key of `watcher` has changed. The keys were made with the spaces of `plan`.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub async fn run_group<'a, R>(
        &self,
        keys: &[(Key<'_>, Access)],
        plan: &SpacePlan,
        watcher: Option<&Watcher>,
        changes: &mut Changes<'a>,
        body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<GroupEnd<R>> {
        self.drive(keys, None, changes, body, Scope { plan: Some(plan), watcher, asks: None }).await
    }

    async fn drive_alone<'a, R>(
        &self,
        keys: &[(Key<'_>, Access)],
        first: Option<Need>,
        changes: &mut Changes<'a>,
        body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<(R, Done)> {
        match self.drive(keys, first, changes, body, Scope::default()).await? {
            GroupEnd::Ran(result, done) => Ok((result, done)),
            GroupEnd::Watched | GroupEnd::Moved => unreachable!("without a scope nothing stops"),
        }
    }

    pub(crate) async fn drive<'a, R>(
        &self,
        keys: &[(Key<'_>, Access)],
        first: Option<Need>,
        changes: &mut Changes<'a>,
        mut body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
        scope: Scope<'_>,
    ) -> Result<GroupEnd<R>> {
        let mut run = Run::new(keys);
        run.even_kept = scope.asks.is_some_and(|asks| asks.stands());
        let mut need = first;
        loop {
            match need.take() {
                Some(Need::Extend(key)) => {
                    run.at_door = None;
                    self.inner.extend(key, &mut run, changes).await?;
                }
                Some(need) => self.inner.bring(need, &mut run).await?,
                None => {}
            }
            let ground = Ground {
                keys,
                known: &run.known,
                large: &run.large,
                shards: &run.shards,
                owner: run.owner(),
                flushed: run.flushed,
                scope,
            };
            match self.inner.attempt(&ground, changes, &mut body) {
                Outcome::Ready(result, mut done) => {
                    run.large.committed();
                    done.read_us = run.read_us as u32;
                    return Ok(GroupEnd::Ran(result, done));
                }
                Outcome::Stopped(Stop::Watched) => return Ok(GroupEnd::Watched),
                Outcome::Stopped(Stop::Moved) => return Ok(GroupEnd::Moved),
                Outcome::Need(n) => need = Some(n),
                Outcome::Refused(error) => return Err(error),
            }
        }
    }
}
