//! The structures beside simple models: std's maps and deques.

mod hash;
mod list;
mod memory;
mod set;
mod several;
mod sorted_set;
