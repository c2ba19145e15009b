//! The offline tool `thermocline`: what an operator asks of a data directory whose server is stopped.
//!
//! One operation per file; each gathers a report first and then prints it, for people or as JSON.
//!
//! Promises: refuses a directory in use; exit code 0 for "all well", 1 for damage or an error in words, 2 for wrong usage.
//! Never: changes a data file, except `load` in the directory it is told to, and `backup`, which opens the store as a start does; `compact`,
//! `repair` and `restore` write a new one. All others only read: the lock file is all they touch.
#![forbid(unsafe_code)]

mod backup;
mod compact;
mod directory;
mod dump;
mod inspect;
mod load;
mod manual;
mod owner;
mod print;
mod progress;
mod repair;
mod segment;
mod size;
mod stats;
mod store;
mod transfer;
mod verify;

use clap::{Args, CommandFactory, Parser, Subcommand};
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
    /// Write the keys of a directory to an RDB file (loads in a Redis) or as lines of JSON.
    #[command(
        after_help = "Examples:\n  thermocline dump ./data -o dump.rdb && redis-server --dbfilename dump.rdb\n  \
                            thermocline dump ./data -o users.jsonl --pattern 'user:*' --type hash --db 0\n  \
                            thermocline dump ./data -o - --format jsonl | jq -r .key\n  \
                            thermocline dump ./data -o old.rdb --rdb-version 10     # for Redis 7.0"
    )]
    Dump(dump::DumpArgs),
    /// Put keys into a directory: from an RDB file, lines of JSON, or a running Redis.
    #[command(after_help = "Examples:\n  thermocline load ./data dump.rdb\n  \
                            thermocline load ./data --from localhost:6379\n  \
                            thermocline load ./data --from 10.0.0.5:6379 --password-file ~/.redis-password\n  \
                            zcat users.jsonl.gz | thermocline load ./data - --format jsonl --merge")]
    Load(load::LoadArgs),
    /// Show what is in a directory: segments, garbage, kinds, sizes, times to live, keys per database; with `--keys` also prefixes and the largest keys.
    #[command(
        after_help = "Examples:\n  thermocline inspect ./data\n  thermocline inspect --limit 1000 /var/lib/thermocline\n  \
                            thermocline inspect --keys --html report.html ./data\n  \
                            thermocline inspect --json ./data | jq '.databases'"
    )]
    Inspect(inspect::InspectArgs),
    /// Rewrite a directory so that hardly anything in it is dead; expired keys are left behind.
    ///
    /// The live keys are copied to a directory beside it, which then takes its place: until then nothing is changed. It may be
    /// interrupted at any point; the same command goes on where it was. Needs room for the live bytes.
    #[command(
        after_help = "Examples:\n  thermocline compact ./data\n  thermocline compact ./data --live 50        # only if less than 50 % is live\n  \
                            thermocline compact ./data --pace 50mb --memory 512mb\n  \
                            thermocline compact /mnt/data --into /mnt/other/data"
    )]
    Compact(compact::CompactArgs),
    /// Save what can be read of a damaged directory into a fresh one, and list what cannot.
    ///
    /// A key is kept only if its value checks out to the last byte; the damaged directory stays as it is.
    #[command(after_help = "Examples:\n  thermocline repair ./data --into ./data-repaired\n  \
                            thermocline repair ./data --into ./data-repaired --json | jq '.losses[]'\n  \
                            thermocline repair ./data --into ./new && mv ./data ./damaged && mv ./new ./data\n\n\
                            Exit codes: 0 nothing is lost, 1 something is lost or an error, 2 wrong usage.")]
    Repair(repair::RepairArgs),
    /// Copy the store in a directory into a folder of backups; what the folder has already is not copied again.
    ///
    /// The server must be stopped: one that runs makes its backups itself (TIER BACKUP, `backup-schedule`), into the same kind of
    /// folder.
    #[command(
        after_help = "Examples:\n  thermocline backup ./data /mnt/backups\n  thermocline backup ./data /mnt/backups --name before-upgrade\n  \
                            thermocline backup ./data /mnt/backups --keep 7"
    )]
    Backup(backup::BackupArgs),
    /// List the backups of a folder; with `--check` read them and compare the checksums.
    #[command(
        after_help = "Examples:\n  thermocline backups /mnt/backups\n  thermocline backups --check /mnt/backups\n  \
                            thermocline backups --json /mnt/backups | jq -r '.backups[-1].name'\n\n\
                            Exit codes: 0 all well, 1 a backup is damaged or an error, 2 wrong usage."
    )]
    Backups(backup::ListArgs),
    /// Make a data directory of a backup, every checksum compared.
    #[command(after_help = "Examples:\n  thermocline restore /mnt/backups ./data-restored\n  \
                            thermocline restore /mnt/backups ./data-restored --name before-upgrade")]
    Restore(backup::RestoreArgs),
    /// Check every checksum, footer, map and checkpoint; name file and offset of each damage.
    ///
    /// A torn tail, records beyond a cut and blocks of a segment's earlier life are no damage: a crash leaves them, recovery
    /// knows them. They are counted.
    #[command(
        after_help = "Examples:\n  thermocline verify ./data\n  thermocline verify --fast ./data\n  thermocline verify --limit 10 ./data\n  \
                            thermocline verify --json ./data | jq '.damages[] | select(.loses_data)'\n  \
                            thermocline verify ./data && thermocline-server --dir ./data"
    )]
    Verify(verify::VerifyArgs),
    /// Tell the numbers that a server would tell right after its start.
    #[command(
        after_help = "Examples:\n  thermocline stats ./data\n  thermocline stats --json ./data | jq '.engine.disk_live'"
    )]
    Stats(stats::StatsArgs),
    /// Print the completions of a shell.
    #[command(after_help = "Examples:\n  thermocline completions bash > /etc/bash_completion.d/thermocline\n  \
                            thermocline completions zsh > /usr/local/share/zsh/site-functions/_thermocline\n  \
                            thermocline completions fish > ~/.config/fish/completions/thermocline.fish")]
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write one per operation.
    #[command(
        after_help = "Examples:\n  thermocline man | man -l -\n  thermocline man --into /usr/local/share/man/man1"
    )]
    Man(manual::ManArgs),
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
        Command::Dump(args) => dump::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Backups(args) => backup::list(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("thermocline: {error:#}");
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_operation_shows_an_example() {
        for operation in super::Cli::command().get_subcommands() {
            let help = operation.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = operation.get_name();
            assert!(help.contains(&format!("thermocline {name}")), "{name} has no example");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
