//! One key's word in the index. No key, no value: where they are, and what the policy remembers.
//!
//! ```text
//!  63        49 48                              9 8      5 4  3 2   1 0
//!  | hash 15   | place 40                        | class 4| heat| st |t|
//!                                                                     '-- has a time to live
//!  hash   upper 15 of the 23 stored bits (the lower 8 are the tag in the bucket)
//!  place  hot: bits of an arena handle; cold: address on the SSD in 16-byte units
//!  class  how much one read of the SSD copy takes
//!  heat   2 bits that survive demotion
//!  st     0 empty, 1 hot, 2 cold
//! ```
//! The word 0 is the empty slot. Never stored to disk but in checkpoints of the index, which carry a version.

/// What a slot says about its key's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    /// No key.
    Empty = 0,
    /// The value is in the arena.
    Hot = 1,
    /// The value is on the SSD only.
    Cold = 2,
}

/// The word.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Slot(u64);

const TTL: Field = Field { shift: 0, bits: 1 };
const STATE: Field = Field { shift: 1, bits: 2 };
const HEAT: Field = Field { shift: 3, bits: 2 };
const CLASS: Field = Field { shift: 5, bits: 4 };
const PLACE: Field = Field { shift: 9, bits: 40 };
const HASH: Field = Field { shift: 49, bits: 15 };

const _: () = {
    assert!(size_of::<Slot>() == 8);
    assert!(STATE.shift == TTL.shift + TTL.bits && HEAT.shift == STATE.shift + STATE.bits);
    assert!(CLASS.shift == HEAT.shift + HEAT.bits && PLACE.shift == CLASS.shift + CLASS.bits);
    assert!(HASH.shift == PLACE.shift + PLACE.bits && HASH.shift + HASH.bits == 64);
};

/// Where a field lies in the word.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    #[inline]
    const fn get(self, word: u64) -> u64 {
        word >> self.shift & self.mask()
    }

    #[inline]
    fn set(self, word: u64, value: u64) -> u64 {
        assert!(value <= self.mask(), "the value {value} does not fit in {} bits", self.bits);
        word & !(self.mask() << self.shift) | value << self.shift
    }
}

impl Slot {
    /// No key.
    pub const EMPTY: Slot = Slot(0);

    /// A slot for a value in this state at this place; class, heat and time to live are 0.
    pub fn new(state: State, place: u64) -> Slot {
        Slot::EMPTY.with_state(state).with_place(place)
    }

    /// The slot of a value in the arena (40, 4, 1 and 2 bits, else a panic).
    #[inline]
    pub fn hot(place: u64, class: u8, has_ttl: bool, heat: u8) -> Slot {
        assert!(place <= PLACE.mask() && u64::from(class) <= CLASS.mask() && u64::from(heat) <= HEAT.mask());
        let state = (State::Hot as u64) << STATE.shift;
        let small = u64::from(class) << CLASS.shift | u64::from(heat) << HEAT.shift | u64::from(has_ttl) << TTL.shift;
        Slot(place << PLACE.shift | small | state)
    }

    /// The word as stored.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The slot of a stored word; `None` when no slot has these bits.
    #[inline]
    pub fn from_bits(bits: u64) -> Option<Slot> {
        ((STATE.get(bits) < 3) & ((STATE.get(bits) > 0) | (bits == 0))).then_some(Slot(bits))
    }

    /// Arena handle or SSD address, 40 bits.
    #[inline]
    pub const fn place(self) -> u64 {
        PLACE.get(self.0)
    }

    /// Size class of the SSD copy, 4 bits.
    #[inline]
    pub const fn class(self) -> u8 {
        CLASS.get(self.0) as u8
    }

    /// What the policy remembers, 2 bits.
    #[inline]
    pub const fn heat(self) -> u8 {
        HEAT.get(self.0) as u8
    }

    /// Where the value is.
    #[inline]
    pub const fn state(self) -> State {
        match STATE.get(self.0) {
            0 => State::Empty,
            1 => State::Hot,
            _ => State::Cold,
        }
    }

    /// Whether the key has a time to live.
    #[inline]
    pub const fn has_ttl(self) -> bool {
        TTL.get(self.0) == 1
    }

    /// With another place (40 bits, else a panic).
    #[inline]
    pub fn with_place(self, place: u64) -> Slot {
        Slot(PLACE.set(self.0, place))
    }

    /// With another class (4 bits, else a panic).
    #[inline]
    pub fn with_class(self, class: u8) -> Slot {
        Slot(CLASS.set(self.0, u64::from(class)))
    }

    /// With another heat (2 bits, else a panic).
    #[inline]
    pub fn with_heat(self, heat: u8) -> Slot {
        Slot(HEAT.set(self.0, u64::from(heat)))
    }

    /// With another state.
    #[inline]
    pub fn with_state(self, state: State) -> Slot {
        Slot(STATE.set(self.0, state as u64))
    }

    /// With or without a time to live.
    #[inline]
    pub fn with_ttl(self, has_ttl: bool) -> Slot {
        Slot(TTL.set(self.0, u64::from(has_ttl)))
    }

    /// A slot that is in no index yet carries a number in its hash bits (15 bits, else a panic).
    #[inline]
    pub fn with_mark(self, mark: u32) -> Slot {
        self.with_hash(mark)
    }

    /// The number of [`Slot::with_mark`].
    #[inline]
    pub const fn mark(self) -> u32 {
        self.hash()
    }

    /// The 15 hash bits.
    #[inline]
    pub(super) const fn hash(self) -> u32 {
        HASH.get(self.0) as u32
    }

    #[inline]
    pub(super) fn with_hash(self, hash: u32) -> Slot {
        Slot(HASH.set(self.0, u64::from(hash)))
    }

    /// Itself or the empty slot, without a branch.
    #[inline]
    pub(super) const fn only_if(self, condition: bool) -> Slot {
        Slot(self.0 & (condition as u64).wrapping_neg())
    }

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        STATE.get(self.0) == 0
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Slot")
            .field("hash", &format_args!("{:#06x}", self.hash()))
            .field("place", &format_args!("{:#x}", self.place()))
            .field("class", &self.class())
            .field("heat", &self.heat())
            .field("state", &self.state())
            .field("has_ttl", &self.has_ttl())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let full = Slot::new(State::Cold, (1 << 40) - 1).with_class(15).with_heat(3).with_ttl(true).with_hash(0x7fff);
        let changed = full.with_place(5).with_heat(0);
        assert_eq!((changed.place(), changed.heat()), (5, 0));
        assert_eq!(
            (changed.class(), changed.state(), changed.has_ttl(), changed.hash()),
            (15, State::Cold, true, 0x7fff)
        );
        let changed = full.with_class(0).with_ttl(false).with_state(State::Hot).with_hash(0);
        assert_eq!((changed.place(), changed.heat()), ((1 << 40) - 1, 3));
        assert_eq!((changed.class(), changed.state(), changed.has_ttl(), changed.hash()), (0, State::Hot, false, 0));
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_place_beyond_forty_bits_is_refused() {
        let _slot = Slot::new(State::Hot, 1 << 40);
    }

    #[test]
    fn words_that_are_no_slot_are_refused() {
        assert_eq!(Slot::from_bits(6), None, "state 3");
        assert_eq!(Slot::from_bits(1 << 60), None, "empty, but with a hash");
        let slot = Slot::new(State::Hot, 77);
        assert_eq!(Slot::from_bits(slot.bits()), Some(slot));
        assert_eq!(Slot::from_bits(0), Some(Slot::EMPTY));
    }
}
