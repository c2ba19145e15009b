//! Moving values between the tiers: fetch (cold reads), room (demotion), compact (GC), liveness maps, recovery, expiry.
//!
//! Promises: a value is always readable in exactly one way while it moves. Never: a publish over a slot that changed.

pub mod base;
pub mod checkpoint;
pub mod compact;
pub mod deltas;
pub mod expire;
pub mod fetch;
pub mod harden;
pub mod heal;
pub mod hot_set;
pub mod maps;
pub mod parallel;
pub mod progress;
pub mod prove;
pub mod rebuild;
pub mod recover;
pub mod reload;
pub(crate) mod replay;
pub mod room;
pub mod scan_log;
pub mod strict;
pub mod survey;
pub mod sweep;
pub mod tail;
pub mod tell;
pub mod torn;
pub(crate) mod window;
