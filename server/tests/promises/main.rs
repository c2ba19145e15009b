//! What the README promises, asked of the real server from outside: one file for each promise.
//!
//! Some need root (a file system of their own, another user) and say so in a line when they are skipped.

mod backup;
mod commands;
mod damage;
mod expiry;
mod flush;
mod full_disk;
mod full_store;
mod large;
mod memory;
mod overlap;
mod process;
mod refusals;
mod scan;
mod snapshot;
mod store;
