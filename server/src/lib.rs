//! The Redis-speaking process around the Thermocline store.
//!
//! ```text
//!  net ──bytes──> dispatch ──row──> command ──changes──> thermocline (the store)
//!   └─ clients, counters, config, metrics: what all of them share through `server`
//! ```
//! Promises: a client need not know where a value lies. Never: bytes of the log, or a second list of commands.
#![forbid(unsafe_code)]

pub mod backup;
pub mod clients;
pub mod command;
pub mod config;
pub mod counters;
pub mod dispatch;
pub mod load;
pub mod metrics;
pub mod net;
pub mod notify;
pub mod run;
pub mod server;
pub mod session;
pub mod snapshot;
pub mod transaction;
