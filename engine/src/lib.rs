//! Thermocline: a storage engine that keeps hot values in DRAM and lets colder ones spill to a log on an SSD.
//!
//! One log is both the write-ahead log and the SSD tier: demoting a clean value costs no I/O, a restart is warm, and a cold
//! value is one read away. Keys go to the SSD too: a cold key costs about 11 bytes of DRAM, however long it is.
//!
//! ```
//! use std::future::Future;
//! use std::pin::pin;
//! use std::sync::Arc;
//! use std::task::{Context, Poll, Wake, Waker};
//! use thermocline::{Access, Changes, Engine, Expiry, Kind, Options, SystemClock};
//! use thermocline_io::{BackendChoice, open_directory};
//!
//! // Any executor will do; this one parks the thread.
//! struct Unpark(std::thread::Thread);
//! impl Wake for Unpark {
//!     fn wake(self: Arc<Self>) {
//!         self.0.unpark();
//!     }
//! }
//! fn block_on<T>(future: impl Future<Output = T>) -> T {
//!     let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
//!     let mut future = pin!(future);
//!     loop {
//!         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
//!             Poll::Ready(value) => return value,
//!             Poll::Pending => std::thread::park(),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let disk = open_directory(path, BackendChoice::Auto)?;
//! let options = Options { max_memory: 64 << 20, max_disk: 64 << 20, ..Options::default() };
//! let engine = Engine::open(disk, options, Arc::new(SystemClock::new()))?;
//! let io = engine.spawn_driver()?;
//!
//! let space = engine.space(0);
//! let key = engine.key(space, b"greeting");
//! block_on(engine.run(&[(key, Access::Overwrite)], &mut Changes::new(1), |_, changes| {
//!     changes.put(0, Kind::String, b"hello", Expiry::Clear);
//! }))?;
//! assert!(block_on(engine.demote(&key))?); // now it is on the SSD only
//! let (value, done) = block_on(engine.run(&[(key, Access::Read)], &mut Changes::new(1), |views, _| {
//!     views[0].map(|view| view.value.to_vec())
//! }))?;
//! assert_eq!(value.as_deref(), Some(&b"hello"[..]));
//! assert_eq!(done.tier, thermocline::Tier::Cold);
//!
//! block_on(engine.close())?;
//! io.join().map_err(|_| "the driver panicked")?;
//! # Ok(())
//! # }
//! ```
//!
//! Rooms: `index` (slots, no keys), `arena` (cells), `log`, `tier` (movement), `policy` (who leaves). What each of them never
//! does is said in its first lines; the whole in docs/ARCHITECTURE.md.
#![forbid(unsafe_code)]

pub mod options;
pub mod policy;

mod arena;
mod change;
mod check;
mod clock;
mod commit;
mod driver;
mod engine;
mod error;
mod hash;
mod index;
mod keylock;
mod lane;
mod large;
mod open_directory;
pub mod log;
mod place;
pub mod planted;
mod run;
mod shard;
mod shutdown;
mod space;
mod stats;
mod tier;
mod wait;

pub use change::{Access, Changes, Done, Expiry, Key, Kind, SpaceId, Tier, View};
pub use clock::{Clock, ManualClock, SystemClock};
pub use driver::{Background, Driver, Turn};
pub use engine::Engine;
pub use error::{Error, Result};
pub use hash::{Hasher, KeyHash};
pub use options::{Durability, EvictionPolicy, Options, RecoveryMode, TierPolicy};
pub use run::{Attempt, Later};
pub use space::Location;
pub use thermocline_io::BackendChoice;
pub use stats::{CloseReport, RecoveryReport, Stats};
