//! Deterministic simulation: the whole engine on one thread under a seed, through crashes, with an oracle outside.
//!
//! ```text
//!   seed -> Plan (sizes, mode) -> World: clients, two drivers, background tasks, the lying disk and the clock, one step at a
//!           time in an order that the seed chooses -> crash (power cut, kill) or clean shutdown -> reopen -> audit -> again
//! ```
//! The oracle is a [`ledger`]: each command's effect in the order of the log. After a recovery the store must equal the
//! ledger after *some* number of effects, and that number must not be below what was acknowledged as durable. Where the disk
//! has damaged what it stores, [`salvage`] says what that excuses.
//!
//! Promises: the same seed and build give the same run, step by step. Never: real time, a thread or a file inside a run.
#![forbid(unsafe_code)]

pub mod act;
pub mod audit;
pub mod campaign;
pub mod client;
pub mod command;
pub mod draw;
pub mod elements;
pub mod executor;
pub mod fuse;
pub mod ledger;
pub mod model;
pub mod plan;
pub mod random;
pub mod report;
pub mod salvage;
pub mod switch;
pub mod value;
pub mod verdict;
pub mod watching;
pub mod world;

pub use campaign::{Campaign, Failure, Tally, seeds_until_found};
pub use plan::{Profile, Settings};
pub use world::run_seed;
