//! Thermocline: a storage engine that keeps hot values in DRAM and lets colder ones spill to a log on an SSD.
//!
//! Promises and an example: README.md beside Cargo.toml, shown below and run as a test. Never: a command, a user or a socket.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod options;
pub mod policy;

mod advise;
mod arena;
pub mod backup;
mod block_on;
mod change;
mod check;
mod clock;
mod collection;
mod commit;
mod date;
mod delta;
mod driver;
mod engine;
mod error;
mod hash;
mod index;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod keylock;
mod lane;
mod large;
pub mod log;
mod moment;
mod nodes;
mod open_directory;
mod overlay;
mod part;
mod place;
pub mod planted;
mod queue;
mod run;
mod serve;
mod shard;
mod short;
mod shutdown;
pub mod snapshot;
mod space;
mod stats;
mod switch;
mod tier;
mod wait;
mod watch;

pub use advise::{Advice, AdvisedSize};
pub use block_on::block_on;
pub use change::{Access, Changes, Done, Expiry, Key, Kind, SpaceId, Tier, View};
pub use clock::{Clock, ManualClock, SystemClock};
pub use collection::{Collection, NodesOf};
pub use date::utc;
pub use driver::{Background, Driver, Turn};
pub use engine::Engine;
pub use error::{Error, Result};
pub use hash::{Hasher, KeyHash};
pub use large::LongString;
pub use open_directory::make_directory;
pub use options::{Durability, EvictionPolicy, Options, RecoveryMode, TierPolicy};
pub use overlay::Overlay;
pub use queue::Waiter;
pub use run::{Attempt, GroupEnd, Later};
pub use space::{Location, SpacePlan};
pub use stats::{CloseReport, RecoveryReport, RecoverySteps, Stats};
pub use thermocline_io::BackendChoice;
pub use tier::progress::RecoveryProgress;
pub use tier::recover::is_store_file;
pub use watch::Watcher;
