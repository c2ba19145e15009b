//! The engine's own policy code (`thermocline::policy`), driven as a shard drives it, without cells and without a disk.
//!
//! What a shard does and this repeats (engine/src/{shard,commit}.rs, engine/src/tier/room.rs): a new value enters the small
//! queue with heat 0; a read of a hot value raises its heat, a write too; a cold value that is read is promoted at once, to
//! the main queue if its slot's mark says that it left the small queue lately; room is made by demoting what the policy
//! names; who leaves the small queue is marked with the ghosts' epoch, and marks of the stale epoch are swept a few slots per
//! demotion; a value that changes its size is a new object in the queues.
//!
//! What this leaves out: cells are rounded up to size classes and hold key and header, index and queues take memory, other
//! shards lend theirs, and a value above 1/64 of the arena is not promoted. The capacity here is that of the values alone.

use super::cache::Cache;
use super::input::Request;
use thermocline::TierPolicy;
use thermocline::policy::{Entry, Ghost, Look, Objects, S3Fifo};

/// Slots that one demotion sweeps, as `Shard::sweep_ghosts`.
const SLOTS_PER_STEP: usize = 48;
/// A counter never passes this.
const HEAT_MAX: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Absent,
    Hot,
    Cold,
}

/// What the index slot and the cell's header hold.
#[derive(Debug, Clone, Copy, Default)]
struct Object {
    bytes: u32,
    /// Grows with every entry into the queues: older entries are stale.
    generation: u32,
    state: State,
    /// The access counter while hot, the ghost's mark while cold.
    heat: u8,
    main: bool,
}

/// All objects by key.
#[derive(Default)]
struct Table(Vec<Object>);

impl Table {
    fn hot(&mut self, entry: Entry) -> Option<&mut Object> {
        let object = &mut self.0[entry.0 as u32 as usize];
        (object.state == State::Hot && u64::from(object.generation) == entry.0 >> 32).then_some(object)
    }
}

impl Objects for Table {
    fn look(&mut self, entry: Entry) -> Option<Look> {
        self.hot(entry).map(|object| Look { bytes: object.bytes as usize, heat: object.heat, main: object.main })
    }

    fn set_heat(&mut self, entry: Entry, heat: u8) {
        if let Some(object) = self.hot(entry) {
            object.heat = heat;
        }
    }

    fn set_main(&mut self, entry: Entry) {
        if let Some(object) = self.hot(entry) {
            object.main = true;
        }
    }
}

/// One shard's policy.
pub struct Tiering {
    capacity_bytes: usize,
    policy: S3Fifo,
    ghost: Ghost,
    sweep: Option<usize>,
    table: Table,
}

impl Tiering {
    /// An empty shard.
    pub fn new(policy: TierPolicy, capacity_bytes: u64) -> Self {
        Self {
            capacity_bytes: usize::try_from(capacity_bytes).unwrap_or(usize::MAX),
            policy: S3Fifo::new(policy),
            ghost: Ghost::default(),
            sweep: None,
            table: Table::default(),
        }
    }

    fn insert(&mut self, key: u32, bytes: u32, was_ghost: bool, heat: u8) {
        while self.policy.bytes() + bytes as usize > self.capacity_bytes {
            self.demote_one();
        }
        let main = self.policy.goes_to_main(was_ghost);
        let object = &mut self.table.0[key as usize];
        let generation = object.generation.wrapping_add(1);
        *object = Object { bytes, generation, state: State::Hot, heat, main };
        self.policy.insert(Entry(u64::from(generation) << 32 | u64::from(key)), bytes as usize, main);
    }

    /// One call of the policy; it may only have taken heat away.
    fn demote_one(&mut self) {
        let Some(victim) = self.policy.victim(&mut self.table) else { return };
        let Some(object) = self.table.hot(victim.entry) else { return };
        let bytes = object.bytes as usize;
        object.state = State::Cold;
        object.heat = 0;
        if victim.from_small {
            let (mark, turned) = self.ghost.mark(bytes, self.capacity_bytes);
            object.heat = mark;
            self.sweep = if turned { Some(0) } else { self.sweep };
        }
        self.policy.removed(bytes, object.main);
        self.sweep_ghosts();
        self.policy.compact(&mut self.table);
    }

    fn sweep_ghosts(&mut self) {
        let Some(from) = self.sweep else { return };
        let (stale, to) = (self.ghost.stale(), (from + SLOTS_PER_STEP).min(self.table.0.len()));
        for object in &mut self.table.0[from..to] {
            if object.state == State::Cold && object.heat == stale {
                object.heat = 0;
            }
        }
        self.sweep = (to < self.table.0.len()).then_some(to);
    }
}

impl Cache for Tiering {
    fn request(&mut self, _place: usize, request: Request) -> bool {
        let key = request.key.0 as usize;
        if self.table.0.len() <= key {
            self.table.0.resize(key + 1, Object::default());
        }
        let fits = request.bytes as usize <= self.capacity_bytes;
        let object = &mut self.table.0[key];
        let warmer = (object.heat + 1).min(HEAT_MAX);
        match object.state {
            State::Hot if object.bytes == request.bytes => object.heat = warmer,
            State::Hot => {
                self.policy.removed(object.bytes as usize, object.main);
                *object = Object { state: State::Absent, ..*object };
                if fits {
                    self.insert(request.key.0, request.bytes, false, warmer);
                }
                return true;
            }
            State::Cold | State::Absent if fits => {
                let was_ghost = object.state == State::Cold && self.ghost.remembers(object.heat);
                self.insert(request.key.0, request.bytes, was_ghost, 0);
                return false;
            }
            State::Cold | State::Absent => return false,
        }
        true
    }
}
