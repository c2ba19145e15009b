//! The engines that this build can compare, by name.

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "foyer")]
mod foyer;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod thermocline;

use crate::phase::{self, Child};
use crate::settings::Plan;
use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// The embedded engine of this repository.
    Thermocline,
    /// rocksdb, values in its tables.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    /// rocksdb, values in blob files.
    #[cfg(feature = "rocksdb")]
    Blobdb,
    /// foyer, a hybrid cache.
    #[cfg(feature = "foyer")]
    Foyer,
    /// fjall, an LSM tree.
    #[cfg(feature = "fjall")]
    Fjall,
}

impl EngineName {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thermocline => "thermocline",
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => "rocksdb",
            #[cfg(feature = "rocksdb")]
            Self::Blobdb => "blobdb",
            #[cfg(feature = "foyer")]
            Self::Foyer => "foyer",
            #[cfg(feature = "fjall")]
            Self::Fjall => "fjall",
        }
    }

    /// The version that is linked.
    pub fn version(self) -> String {
        match self {
            Self::Thermocline => locked("thermocline"),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb | Self::Blobdb => format!("{} by the rocksdb crate {}", library(), locked("rocksdb")),
            #[cfg(feature = "foyer")]
            Self::Foyer => locked("foyer"),
            #[cfg(feature = "fjall")]
            Self::Fjall => locked("fjall"),
        }
    }

    /// Does it read and write through the page cache, so that a cgroup must count that?
    pub fn uses_page_cache(self) -> bool {
        match self {
            #[cfg(feature = "fjall")]
            Self::Fjall => true,
            _ => false,
        }
    }

    /// May it forget what it was given, or show an older version?
    pub fn is_cache(self) -> bool {
        match self {
            #[cfg(feature = "foyer")]
            Self::Foyer => true,
            _ => false,
        }
    }

    /// Runs a phase of this engine in this process.
    pub fn run(self, plan: &Plan, child: &Child<'_>) -> Result<()> {
        match self {
            Self::Thermocline => phase::run(plan, child, self::thermocline::Thermocline::open),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => phase::run(plan, child, |directory, plan| {
                self::rocksdb::Rocks::open(directory, plan, self::rocksdb::Values::InTables)
            }),
            #[cfg(feature = "rocksdb")]
            Self::Blobdb => phase::run(plan, child, |directory, plan| {
                self::rocksdb::Rocks::open(directory, plan, self::rocksdb::Values::InBlobs)
            }),
            #[cfg(feature = "foyer")]
            Self::Foyer => phase::run(plan, child, self::foyer::Hybrid::open),
            #[cfg(feature = "fjall")]
            Self::Fjall => phase::run(plan, child, self::fjall::Tree::open),
        }
    }
}

/// The version of a crate by the lock file of this build.
fn locked(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let head = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split(&head).nth(1).and_then(|rest| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}

/// The file name of the librocksdb that is loaded: its version ends it.
#[cfg(feature = "rocksdb")]
fn library() -> String {
    let maps = thermocline_bench::procfs::read("/proc/self/maps").unwrap_or_default();
    let path = maps.split_whitespace().find(|word| word.contains("librocksdb"));
    path.and_then(|path| path.rsplit('/').next()).unwrap_or("librocksdb, linked statically").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_a_version() {
        for engine in EngineName::value_variants() {
            assert!(!engine.version().contains("unknown"), "{}: {}", engine.name(), engine.version());
        }
    }
}
