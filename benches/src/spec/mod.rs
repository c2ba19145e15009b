//! Workloads by name: how many keys, how large, how popular, and what is done to them. No protocol, no clock.
//!
//! [`named`] gives a workload, its fields are plain and may be changed, [`Steps`] walks it. [`table`] shows all of them with
//! their sources.

mod catalogue;
mod meta;
mod mix;
mod names;
mod popularity;
mod quantiles;
mod random;
mod sessions;
mod share_curve;
mod sizes;
mod steps;
mod zipf;

pub use mix::Mix;
pub use names::{UnknownWorkload, all, named};
pub(crate) use popularity::Picker;
pub use popularity::Popularity;
pub use quantiles::Quantiles;
pub(crate) use random::Random;
pub use share_curve::ShareCurve;
pub use sizes::{SizeError, ValueSizes, parse_bytes};
pub use steps::{Operation, Step, Steps};

use crate::value::KeyId;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A workload: everything that decides its steps, but not where they go.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name on the command line, its parameter included.
    pub name: Cow<'static, str>,
    /// Where its parameters come from: a paper, a tool, a trace.
    pub source: &'static str,
    /// Keys that are loaded before it runs.
    pub keys: u64,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub sizes: ValueSizes,
    /// Which keys are asked for.
    pub popularity: Popularity,
    /// What is done.
    pub mix: Mix,
    /// How scans go.
    pub scans: Scans,
    /// Time to live of every key, in seconds.
    pub ttl_s: Option<u32>,
    /// Times to live that differ from key to key, in seconds; `ttl_s` wins.
    pub ttls: Option<&'static Quantiles>,
}

/// How scans go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scans {
    /// Fewest keys of a scan.
    pub shortest: u32,
    /// Most keys of a scan; lengths are uniform between the two.
    pub longest: u32,
    /// A scan begins where the last one ended, instead of at a key by popularity.
    pub sweep: bool,
}

impl Spec {
    /// Time to live of this key, always the same.
    pub fn ttl_of(&self, key: KeyId) -> Option<u32> {
        // Spread once more: a key's TTL must not follow from its size.
        let share = |key: KeyId| random::unit(KeyId(key.spread()).spread());
        self.ttl_s.or_else(|| self.ttls.map(|quantiles| quantiles.at(share(key)).max(1)))
    }

    /// Bytes of all loaded values together, by their mean.
    pub fn value_bytes(&self) -> f64 {
        self.sizes.mean() * self.keys as f64
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All workloads as text for people: two lines each.
pub fn table() -> String {
    let mut text = String::new();
    for spec in all() {
        let ttl = match (spec.ttl_s, spec.ttls) {
            (Some(seconds), _) => format!("; TTL {seconds} s"),
            (None, Some(quantiles)) => format!("; TTL median {} s, to {} s", quantiles.at(0.5), quantiles.at(1.0)),
            (None, None) => String::new(),
        };
        let Spec { name, source, keys, key_bytes, sizes, popularity, mix, .. } = &spec;
        let _ = writeln!(text, "{name:<28}{mix}; {popularity}{ttl}");
        let _ = writeln!(text, "{:<28}{keys} keys of {key_bytes} B, values {sizes}. {source}", "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_workload_with_its_source() {
        let table = table();
        for spec in all() {
            assert!(table.contains(&*spec.name) && table.contains(spec.source), "{spec}");
        }
    }
}
