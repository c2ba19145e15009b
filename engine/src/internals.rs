//! Rooms that only the micro-benchmarks may enter (feature `internals`).
//!
//! Never: a promise to anybody else; what is here changes without notice.

pub use crate::index::{Index, Slot, SlotRef, Spare, State};
