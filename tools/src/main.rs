//! The offline tool `thermocline`: what an operator asks of a data directory whose server is stopped.
//!
//! One operation per file; each gathers a report first and then prints it, for people or as JSON.
//!
//! Promises: refuses a directory in use; exit code 0 for "all well", 1 for damage or an error in words, 2 for wrong usage.
//! Never: changes a data file (`inspect` and `verify` only read; the lock file is all they touch).
#![forbid(unsafe_code)]

mod directory;
mod inspect;
mod print;
mod progress;
mod segment;
mod verify;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Works on a Thermocline data directory while no server has it open.
#[derive(Parser)]
#[command(
    name = "thermocline",
    version,
    after_help = "Exit codes: 0 all well, 1 damage found or an error, 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what is in a directory: segments, kinds, sizes, times to live, keys per database.
    #[command(
        after_help = "Examples:\n  thermocline inspect ./data\n  thermocline inspect --limit 1000 /var/lib/thermocline\n  \
                            thermocline inspect --json ./data | jq '.databases'"
    )]
    Inspect(Target),
    /// Check every checksum, footer, map and checkpoint; name file and offset of each damage.
    ///
    /// A torn tail, records beyond a cut and blocks of a segment's earlier life are no damage: a crash leaves them, recovery
    /// knows them. They are counted.
    #[command(after_help = "Examples:\n  thermocline verify ./data\n  thermocline verify --limit 10 ./data\n  \
                            thermocline verify --json ./data | jq '.damages[] | select(.loses_data)'\n  \
                            thermocline verify ./data && thermocline-server --dir ./data")]
    Verify(Target),
}

/// What every operation takes.
#[derive(Args)]
struct Target {
    /// The data directory (`dir` of the server).
    directory: PathBuf,
    /// Print JSON to standard output.
    #[arg(long)]
    json: bool,
    /// List at most this many damages or segments; all are counted.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Inspect(target) => inspect::run(&target),
        Command::Verify(target) => verify::run(&target),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("thermocline: {error:#}");
            ExitCode::from(1)
        }
    }
}
