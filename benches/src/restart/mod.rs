//! `restart`: how long after its end a server serves again, and how hot it is in the first minute.
//!
//! ```text
//!   load -- SIGTERM -> starts          warmed -- SIGTERM -> a minute with the hot-set list, a minute without it
//!        -- 1 GiB of overwrites -- kill -9 -> starts -- 1 GiB more -- kill -9 -> starts -- checkpoint removed -> starts
//!   a set of its own, 512 MiB -- SIGTERM -> starts          redis-server, if asked: an RDB file, an AOF
//! ```
//! A start counts from the process's start to the first answer to a GET, whose every byte is checked. Starts after kill -9 are
//! ended by kill -9 as soon as they serve, so that the next one finds the same log; what each one replayed is told.
//!
//! Promises: servers and folders are this command's own, and gone at the end unless --keep; keys that are missing behind a start
//! end with code 1, a wrong byte with 3. Never touches a file that it has not made.

mod peer;
mod process;
mod report;
mod scenes;

pub use report::{HotMinute, RestartReport, RestartScene, Start, TOLD};

use crate::cli::{OutputArguments, duration};
use crate::demo::find_server;
use crate::record::Results;
use crate::run::{ExitCode, Outcome};
use crate::workload::parse_bytes;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use process::Folder;
use scenes::Stage;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  thermocline-bench restart                                         (20 M keys: about 10 GiB of disk, ten minutes)
  thermocline-bench restart --keys 1000000 --hot-for 10s
  thermocline-bench restart --dir /mnt/nvme --scenes crash,no-checkpoint --rounds 5
  thermocline-bench restart --scenes clean --peer redis-server --out restart.json && thermocline-bench report restart.json

Where the machine is shared, a start waits for a core as well: the server may be a script that gives it a higher priority
(exec chrt -f 1 thermocline-server \"$@\"). On a folder in memory (/dev/shm) nothing waits for a disk.";

/// `restart`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RestartArguments {
    /// The server program (default: thermocline-server beside this program, or on PATH).
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Keys of the large set.
    #[arg(long, default_value_t = KEYS, value_parser = clap::value_parser!(u64).range(100..=1_000_000_000))]
    pub keys: u64,
    /// Bytes of a value of the large set.
    #[arg(long, default_value_t = VALUE_BYTES, value_parser = clap::value_parser!(u32).range(24..=65_536))]
    pub value_size: u32,
    /// DRAM of the server.
    #[arg(long, default_value = "512mb", value_parser = parse_bytes)]
    pub memory: u64,
    /// Log behind the checkpoint when the server is killed; a second scene has twice as much.
    #[arg(long, default_value = "1gb", value_parser = parse_bytes)]
    pub log: u64,
    /// Bytes of the small set, all values together; its server has twice as much DRAM.
    #[arg(long, default_value = "512mb", value_parser = parse_bytes)]
    pub small: u64,
    /// Starts of each scene; the best one counts, all are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "clean,hot-set,crash,no-checkpoint,small")]
    pub scenes: Vec<Wanted>,
    /// The time after a start of which the hot share is measured.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub hot_for: Duration,
    /// GETs per second of that time.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub hot_rate: u32,
    /// A redis-server to load the same keys from its RDB file and its AOF.
    #[arg(long, value_name = "PATH")]
    pub peer: Option<PathBuf>,
    /// Folder in which each server gets a new folder, removed at the end (default: the system's folder for temporary files).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Leave the folders where they are, and say where.
    #[arg(long)]
    pub keep: bool,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

const KEYS: u64 = 20_000_000;
const VALUE_BYTES: u32 = 100;

/// A part that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// After SIGTERM.
    Clean,
    /// The hot share of the first minute, with the hot-set list and without it.
    HotSet,
    /// After kill -9 with a checkpoint, --log bytes behind it, and twice as many.
    Crash,
    /// The same without the checkpoint.
    NoCheckpoint,
    /// After SIGTERM, the small set.
    Small,
}

impl RestartArguments {
    fn wants(&self, wanted: Wanted) -> bool {
        self.scenes.contains(&wanted)
    }

    /// The targets are those of the sizes that they were set for.
    fn has_usual_sizes(&self) -> bool {
        (self.keys, self.value_size, self.memory, self.log, self.small)
            == (KEYS, VALUE_BYTES, 512 << 20, 1 << 30, 512 << 20)
    }
}

/// Measures.
pub fn run(arguments: &RestartArguments, stop: &AtomicBool) -> Result<Outcome> {
    let server = arguments.server.clone().map_or_else(find_server, Ok)?;
    let parent = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let parent = parent.canonicalize().with_context(|| format!("the folder {}", parent.display()))?;
    let mut report = RestartReport {
        keys: arguments.keys,
        value_bytes: arguments.value_size,
        memory_bytes: arguments.memory,
        folder: parent.display().to_string(),
        ..RestartReport::default()
    };
    let mut stage = Stage::new(arguments, server, parent, stop, &mut report);
    let ending = stage.play();
    let kept: Vec<Folder> = stage.into_folders();
    if arguments.keep {
        kept.into_iter().for_each(|folder| eprintln!("thermocline-bench: kept: {}", folder.keep().display()));
    }
    report.complete = ending.is_ok() && !stop.load(Ordering::Relaxed);
    // What failed because of the signal is no failure.
    report.failure = ending.err().filter(|_| !stop.load(Ordering::Relaxed)).map(|error| format!("{error:#}"));
    let exit_code = if report.wrong > 0 {
        ExitCode::WrongValue
    } else if report.lost > 0 || report.failure.is_some() {
        ExitCode::Errors
    } else {
        ExitCode::Good
    };
    Ok(Outcome { results: Some(Results::Restart(report)), exit_code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn arguments(more: &[&str]) -> Result<RestartArguments, clap::Error> {
        match Cli::try_parse_from([&["bench", "restart"], more].concat())?.command {
            Command::Restart(arguments) => Ok(arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn targets_are_told_for_the_sizes_that_they_were_set_for() {
        assert!(arguments(&[]).unwrap().has_usual_sizes());
        assert!(!arguments(&["--keys", "20000"]).unwrap().has_usual_sizes());
        assert!(!arguments(&["--log", "2gb"]).unwrap().has_usual_sizes());
    }

    #[test]
    fn nonsense_on_the_command_line_is_refused() {
        for bad in
            [["--keys", "0"], ["--value-size", "8"], ["--rounds", "0"], ["--scenes", "dance"], ["--hot-rate", "0"]]
        {
            assert!(arguments(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_server_that_does_not_start_is_an_error_with_its_words_and_leaves_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().to_str().unwrap();
        let arguments = arguments(&["--server", "/bin/false", "--dir", dir, "--keys", "1000"]).unwrap();
        let outcome = run(&arguments, &AtomicBool::new(false)).unwrap();
        assert_eq!(outcome.exit_code, ExitCode::Errors);
        let Some(Results::Restart(report)) = outcome.results else { panic!("a restart report") };
        assert!(report.failure.as_ref().is_some_and(|words| words.contains("ended")), "{report:?}");
        assert!(!report.complete && report.scenes.is_empty());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0, "the folder is gone");
    }
}
