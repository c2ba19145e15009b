//! The policy without the values: which of the objects that a shard is asked for would be in DRAM, for an arena of any size.
//!
//! `thermocline-bench hitratio` replays traces through it, and the advisor ([`super::Advisor`]) a sample of what a live store is
//! asked for, so that both say the same of the same requests.
//!
//! What a shard does and this repeats (`shard.rs`, `commit.rs`, `tier/room.rs`): a new value enters the small queue with heat 0;
//! a read of a hot value raises its heat, a write too; a cold value that is read is promoted at once, to the main queue if its
//! slot's mark says that it left the small queue lately; room is made by demoting what the policy names; who leaves the small
//! queue is marked with the ghosts' epoch, and marks of the stale epoch are swept a few slots per demotion; a value that changes
//! its size is a new object in the queues.
//!
//! What this leaves out: index and queues take memory, other shards lend theirs, and a value above 1/64 of the arena is not
//! promoted.
//!
//! ```text
//!  object   bytes u32 | generation 24, heat 2, main 1, state 2   8 bytes of DRAM, and 8 in a ring while it is hot
//! ```
//! Promises: bytes are exact; the same requests give the same answers. Never: a clock, randomness, a value.

use super::{Entry, Ghost, Look, Objects, S3Fifo};
use crate::options::TierPolicy;

/// Slots that one demotion sweeps, as `Shard::sweep_ghosts`.
const SLOTS_PER_STEP: usize = 48;
/// A counter never passes this.
const HEAT_MAX: u8 = 3;
/// Calls of the policy that one request may take: some only take heat away. Beyond, the next request goes on.
const DEMOTIONS_MAX: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Hot,
    Cold,
}

/// What the index slot and the cell's header hold.
#[derive(Debug, Clone, Copy, Default)]
struct Object {
    bytes: u32,
    /// Generation (grows with every entry into the queues: older entries are stale), heat (the access counter while hot, the
    /// ghost's mark while cold), main, state.
    word: u32,
}

impl Object {
    fn new(bytes: u32, generation: u32, heat: u8, main: bool, state: State) -> Object {
        let state = match state {
            State::Absent => 0,
            State::Hot => 1,
            State::Cold => 2,
        };
        Object { bytes, word: generation << 8 | u32::from(heat) << 4 | u32::from(main) << 3 | state }
    }

    fn generation(self) -> u32 {
        self.word >> 8
    }

    fn heat(self) -> u8 {
        (self.word >> 4 & 3) as u8
    }

    fn main(self) -> bool {
        self.word >> 3 & 1 == 1
    }

    fn state(self) -> State {
        match self.word & 7 {
            0 => State::Absent,
            1 => State::Hot,
            _ => State::Cold,
        }
    }

    fn set_heat(&mut self, heat: u8) {
        self.word = self.word & !(3 << 4) | u32::from(heat) << 4;
    }
}

/// All objects by number.
#[derive(Default)]
struct Table(Vec<Object>);

impl Table {
    fn hot(&mut self, entry: Entry) -> Option<&mut Object> {
        let object = &mut self.0[entry.0 as u32 as usize];
        (object.state() == State::Hot && u64::from(object.generation()) == entry.0 >> 32).then_some(object)
    }
}

impl Objects for Table {
    fn look(&mut self, entry: Entry) -> Option<Look> {
        self.hot(entry).map(|object| Look { bytes: object.bytes as usize, heat: object.heat(), main: object.main() })
    }

    fn set_heat(&mut self, entry: Entry, heat: u8) {
        if let Some(object) = self.hot(entry) {
            object.set_heat(heat);
        }
    }

    fn set_main(&mut self, entry: Entry) {
        if let Some(object) = self.hot(entry) {
            object.word |= 1 << 3;
        }
    }
}

/// One shard's policy over an arena of so many bytes.
pub struct Model {
    capacity_bytes: usize,
    policy: S3Fifo,
    ghost: Ghost,
    sweep: Option<usize>,
    table: Table,
}

impl Model {
    /// An empty shard.
    pub fn new(policy: TierPolicy, capacity_bytes: u64) -> Model {
        Model {
            capacity_bytes: usize::try_from(capacity_bytes).unwrap_or(usize::MAX),
            policy: S3Fifo::new(policy),
            ghost: Ghost::default(),
            sweep: None,
            table: Table::default(),
        }
    }

    /// Makes room for so many objects and no more.
    pub fn reserve(&mut self, objects: usize) {
        self.table.0.reserve_exact(objects.saturating_sub(self.table.0.len()));
    }

    /// A request for object `number`, whose value has so many bytes (now, if it is written). True: it was in DRAM.
    pub fn request(&mut self, number: u32, bytes: u32) -> bool {
        let key = number as usize;
        if self.table.0.len() <= key {
            self.table.0.resize(key + 1, Object::default());
        }
        let fits = bytes as usize <= self.capacity_bytes;
        let object = &mut self.table.0[key];
        let warmer = (object.heat() + 1).min(HEAT_MAX);
        match object.state() {
            State::Hot if object.bytes == bytes => object.set_heat(warmer),
            State::Hot => {
                self.forget(number);
                if fits {
                    self.insert(number, bytes, false, warmer);
                }
            }
            State::Cold | State::Absent => {
                if fits {
                    let was_ghost = object.state() == State::Cold && self.ghost.remembers(object.heat());
                    self.insert(number, bytes, was_ghost, 0);
                }
                return false;
            }
        }
        true
    }

    /// An object is gone.
    pub fn forget(&mut self, number: u32) {
        let Some(object) = self.table.0.get_mut(number as usize) else { return };
        if object.state() == State::Hot {
            self.policy.removed(object.bytes as usize, object.main());
        }
        *object = Object::new(0, object.generation(), 0, false, State::Absent);
    }

    /// The arena has another size from the next request on; what forgotten objects left in the queues is dropped.
    pub fn resize(&mut self, capacity_bytes: u64) {
        self.capacity_bytes = usize::try_from(capacity_bytes).unwrap_or(usize::MAX);
        self.policy.trim(&mut self.table);
    }

    /// DRAM that this takes.
    pub fn memory_bytes(&self) -> usize {
        self.table.0.capacity() * size_of::<Object>() + self.policy.memory_bytes()
    }

    fn insert(&mut self, number: u32, bytes: u32, was_ghost: bool, heat: u8) {
        for _ in 0..DEMOTIONS_MAX {
            if self.policy.bytes() + bytes as usize <= self.capacity_bytes {
                break;
            }
            self.demote_one();
        }
        let main = self.policy.goes_to_main(was_ghost);
        let object = &mut self.table.0[number as usize];
        let generation = (object.generation() + 1) & 0xff_ffff;
        *object = Object::new(bytes, generation, heat, main, State::Hot);
        self.policy.insert(Entry(u64::from(generation) << 32 | u64::from(number)), bytes as usize, main);
    }

    /// One call of the policy; it may only have taken heat away.
    fn demote_one(&mut self) {
        let Some(victim) = self.policy.victim(&mut self.table) else { return };
        let Some(object) = self.table.hot(victim.entry) else { return };
        let (bytes, main) = (object.bytes, object.main());
        let mut mark = 0;
        if victim.from_small {
            let turned;
            (mark, turned) = self.ghost.mark(bytes as usize, self.capacity_bytes);
            self.sweep = if turned { Some(0) } else { self.sweep };
        }
        *object = Object::new(bytes, object.generation(), mark, false, State::Cold);
        self.policy.removed(bytes as usize, main);
        self.sweep_ghosts();
        self.policy.compact(&mut self.table);
    }

    fn sweep_ghosts(&mut self) {
        let Some(from) = self.sweep else { return };
        let (stale, to) = (self.ghost.stale(), (from + SLOTS_PER_STEP).min(self.table.0.len()));
        for object in &mut self.table.0[from..to] {
            if object.state() == State::Cold && object.heat() == stale {
                object.set_heat(0);
            }
        }
        self.sweep = (to < self.table.0.len()).then_some(to);
    }
}
