//! From settings to the options of the store: defaults that depend on the machine are worked out here.
//!
//! Promises: `maxmemory` is half of the machine's memory (or of the cgroup's) when nobody says otherwise, `maxdisk` what is
//! free less a reserve; what was worked out is written back into the settings, so that CONFIG GET tells the truth.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thermocline::options::{SEGMENT_BYTES_MIN, SEGMENTS_MIN};
use thermocline::{BackendChoice, Durability, EvictionPolicy, Options, RecoveryMode, TierPolicy};

use super::{Given, Settings, memory, place};

/// Free space that is left alone: at least this share, in percent.
const DISK_RESERVE_PERCENT: u64 = 5;
/// And at least so much.
const DISK_RESERVE_BYTES_MIN: u64 = 2 << 30;
/// Less than this is no store: 64 of the smallest segments.
const DISK_BYTES_MIN: u64 = SEGMENTS_MIN * SEGMENT_BYTES_MIN;

/// What a start needs to know.
pub struct Startup {
    /// Options of the store.
    pub options: Options,
    /// Where the data lies.
    pub directory: PathBuf,
    /// How to use the disk.
    pub backend: BackendChoice,
}

impl Startup {
    /// Works out everything, or says in one sentence what is wrong.
    pub fn new(given: &Given, settings: &Settings) -> Result<Startup, String> {
        let directory = PathBuf::from(settings.text("dir"));
        let machine_bytes = memory::machine_bytes();
        let max_memory = match amount(&settings.text("maxmemory"), machine_bytes) {
            0 => machine_bytes / 2,
            bytes => bytes,
        };
        let given_disk = given.value(place("maxdisk").expect("maxdisk stands in the table"));
        let max_disk = match given_disk {
            None => default_disk(&directory)?,
            Some(text) => amount(text, space(&directory)?.whole),
        };
        let index_bits_kept = settings.number("tier-index-bits") as u32;
        if index_bits_kept < 64 && holds_something(&directory) {
            return Err(format!(
                "tier-index-bits is for tests and needs an empty directory, and there are files in {}; leave it out, or choose another `dir`",
                directory.display()
            ));
        }
        let workers = match settings.number("workers") {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers as usize,
        };
        let known = |name: &str, value: u64| (place(name).expect("it stands in the table"), value.to_string());
        settings.replace(&[
            known("maxmemory", max_memory),
            known("maxdisk", max_disk),
            known("workers", workers as u64),
        ]);
        let options = Options {
            max_memory,
            max_disk,
            workers,
            durability: durability(&settings.text("appendonly"), &settings.text("appendfsync")),
            databases: settings.number("databases") as u32,
            eviction: eviction(&settings.text("maxmemory-policy")),
            tier_policy: match settings.text("tier-policy").as_str() {
                "lru" => TierPolicy::Lru,
                _ => TierPolicy::S3Fifo,
            },
            recovery: match settings.text("tier-recovery").as_str() {
                "strict" => RecoveryMode::Strict,
                _ => RecoveryMode::Salvage,
            },
            machine_bytes,
            index_bits_kept,
            advise: settings.is_yes("tier-advise"),
            ..Options::default()
        };
        let backend = match settings.text("io-backend").as_str() {
            "uring" => BackendChoice::Uring,
            "pool" => BackendChoice::Pool,
            _ => BackendChoice::Auto,
        };
        Ok(Startup { options, directory, backend })
    }
}

/// Whether there are files in a directory.
fn holds_something(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// The store's name for a value of `maxmemory-policy`.
pub fn eviction(policy: &str) -> EvictionPolicy {
    match policy {
        "allkeys-lru" => EvictionPolicy::AllKeysLru,
        "allkeys-lfu" => EvictionPolicy::AllKeysLfu,
        "allkeys-random" => EvictionPolicy::AllKeysRandom,
        "volatile-lru" => EvictionPolicy::VolatileLru,
        "volatile-lfu" => EvictionPolicy::VolatileLfu,
        "volatile-random" => EvictionPolicy::VolatileRandom,
        "volatile-ttl" => EvictionPolicy::VolatileTtl,
        _ => EvictionPolicy::NoEviction,
    }
}

/// Bytes meant by an amount or a share of `whole`.
pub fn amount(text: &str, whole: u64) -> u64 {
    match memory::percent(text) {
        Some(percent) => (u128::from(whole) * u128::from(percent) / 100) as u64,
        None => text.parse().unwrap_or(0),
    }
}

/// The store's name for values of `appendonly` and `appendfsync`.
pub fn durability(appendonly: &str, appendfsync: &str) -> Durability {
    match (appendonly, appendfsync) {
        ("yes", "always") => Durability::Always,
        ("yes", "no") => Durability::No,
        ("yes", _) => Durability::EverySecond,
        _ => Durability::None,
    }
}

/// The space of a file system, in bytes.
struct Space {
    whole: u64,
    free: u64,
    /// What the files in the data directory take already.
    ours: u64,
}

fn default_disk(directory: &Path) -> Result<u64, String> {
    let space = space(directory)?;
    let reserve = (space.whole / 100 * DISK_RESERVE_PERCENT).max(DISK_RESERVE_BYTES_MIN);
    // What our own files take is ours to use again.
    match (space.free + space.ours).saturating_sub(reserve) {
        bytes if bytes < DISK_BYTES_MIN => Err(format!(
            "where {} is, {} are free, and {} of them are left alone; make room, choose another dir, or set maxdisk yourself",
            directory.display(),
            memory::human(space.free),
            memory::human(reserve)
        )),
        bytes => Ok(bytes),
    }
}

fn space(directory: &Path) -> Result<Space, String> {
    /// `st_blocks` counts in these, whatever the file system.
    const STAT_BLOCK_BYTES: u64 = 512;
    let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let report = rustix::fs::statvfs(existing).map_err(|error| {
        format!("cannot see how much space {} has: {error}; set maxdisk yourself", existing.display())
    })?;
    let ours = std::fs::read_dir(directory).map_or(0, |entries| {
        let entries = entries.filter_map(Result::ok);
        // The file of the last snapshot is none of the log's.
        let ours = entries.filter(|entry| entry.file_name().to_str().is_some_and(thermocline::is_store_file));
        ours.filter_map(|entry| Some(entry.metadata().ok()?.blocks() * STAT_BLOCK_BYTES)).sum()
    });
    Ok(Space { whole: report.f_blocks * report.f_frsize, free: report.f_bavail * report.f_frsize, ours })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(words: &[&str]) -> (Startup, Settings) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let given = Given::from_command_line(&words).unwrap();
        let settings = Settings::new(&given);
        (Startup::new(&given, &settings).unwrap(), settings)
    }

    #[test]
    fn defaults_follow_the_machine_and_config_get_tells_them() {
        // The disk of a machine that tests may be as good as full.
        let (start, settings) = startup(&["--maxdisk", "1gb"]);
        assert_eq!(start.options.max_memory, memory::machine_bytes() / 2);
        assert_eq!(settings.text("maxmemory"), start.options.max_memory.to_string());
        assert!(start.options.workers >= 1);
        assert_eq!(start.options.durability, Durability::EverySecond);
    }

    /// A full disk was told as "maxdisk is 0 bytes", which nobody had said.
    #[test]
    fn a_file_system_without_room_is_told_as_that() {
        let error = default_disk(Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.contains("are free") && error.contains("set maxdisk yourself"), "{error}");
    }

    #[test]
    fn what_is_given_is_taken() {
        let (start, settings) =
            startup(&["--maxmemory", "10%", "--maxdisk", "1gb", "--appendonly", "no", "--workers", "3"]);
        assert_eq!(start.options.max_memory, (u128::from(memory::machine_bytes()) * 10 / 100) as u64);
        assert_eq!((start.options.max_disk, start.options.workers), (1 << 30, 3));
        assert_eq!(start.options.durability, Durability::None);
        assert_eq!(settings.text("maxdisk"), "1073741824");
    }
}
