//! Keys on their way, as the tool needs it beside what `thermocline-transfer` has: lines of JSON, a running server, which keys.
//!
//! Promises: as there, streams; memory is bounded by the largest string and a batch of elements. Never: a key with a part of its
//! elements left out without an error.

pub mod filter;
pub mod json_lines;
pub mod redis;

use crate::print;
use anyhow::{Result, bail};
use filter::Filter;
use thermocline::Engine;
use thermocline_transfer::{Choice, Counts};

/// `3 keys (1 with a time to live, 5 elements, 1.2 KiB)`.
pub fn words(counts: &Counts) -> String {
    format!(
        "{} ({} with a time to live, {}, {})",
        print::count(counts.keys, "key"),
        counts.expiring,
        print::count(counts.elements, "element"),
        print::bytes(counts.bytes)
    )
}

/// Databases that a filter means, of those a store has.
///
/// # Errors
/// One is asked for that is not there.
pub fn databases(engine: &Engine, filter: &Filter) -> Result<Vec<u32>> {
    let count = engine.databases();
    if let Some(absent) = filter.databases.iter().find(|&&database| database >= count) {
        bail!("there is no database {absent}: the store has {count}");
    }
    Ok((0..count).filter(|&database| filter.has_database(database)).collect())
}
