//! The arena: hot objects in cells of a shard's heap.
//!
//! Promises: a cell holds exactly the payload that the SSD copy holds, so demotion is a copy and promotion parses nothing.
//! Never: a pointer; a slot's 40-bit handle is the only way in, under the shard's latch.

pub mod cell;
