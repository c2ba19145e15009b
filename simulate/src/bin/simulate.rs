//! Runs a campaign of seeds and says what failed.
//!
//! Promises: exit code 1 and the seed if anything was wrong. Never: a file.
#![forbid(unsafe_code)]

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use thermocline::planted::Bug;
use thermocline_simulate::{Campaign, Profile, Settings, seeds_until_found};

#[derive(Copy, Clone, ValueEnum)]
enum ProfileName {
    /// No media faults: nothing acknowledged may be lost.
    Crash,
    /// Rot, lost and misdirected writes: nothing wrong may be served.
    Media,
    /// EIO, ENOSPC, a failing sync.
    Errors,
}

/// Runs the whole engine under seeds, through crashes, and checks what survives.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Faults of the disk.
    #[arg(long, value_enum, default_value = "crash")]
    profile: ProfileName,
    /// Bits kept of the index hash.
    #[arg(long, default_value_t = 64)]
    hash_bits: u32,
    /// A bug to plant in the engine.
    #[arg(long, value_parser = bug)]
    bug: Option<Bug>,
    /// Plant each bug and say how many seeds it needs until it is found; at most --seeds each.
    #[arg(long)]
    bugs: bool,
    /// Large collections above all, renamed often, over all shards.
    #[arg(long)]
    trees: bool,
    /// Print the steps (for one seed).
    #[arg(long)]
    trace: bool,
    /// Go on after so many failures.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn bug(name: &str) -> Result<Bug, String> {
    let names = || Bug::ALL.iter().map(|b| b.0).collect::<Vec<_>>().join(", ");
    Bug::ALL.iter().find(|b| b.0 == name).map(|b| b.1).ok_or_else(|| format!("the bugs are: {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    thermocline_simulate::campaign::catch_panics();
    let profile = match arguments.profile {
        ProfileName::Crash => Profile::Crash,
        ProfileName::Media => Profile::Media,
        ProfileName::Errors => Profile::Errors,
    };
    let Arguments { hash_bits, bug, trees, trace, .. } = arguments;
    let settings = Settings { profile, hash_bits, bug, trees, trace };
    if arguments.bugs {
        return all_bugs(&arguments, settings);
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} seeds  {per_sec}  {elapsed}  {msg}");
    let bar = ProgressBar::new(arguments.seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let threads = if arguments.trace { 1 } else { arguments.threads };
    let (start, seeds, failures_max) = (arguments.start, arguments.seeds, arguments.failures);
    let tally = Campaign { start, seeds, settings, threads, failures_max }.run(|done| bar.set_position(done));
    let seconds = bar.elapsed().as_secs_f64();
    bar.finish_and_clear();
    println!(
        "{} seeds in {seconds:.1} s ({:.0} per s), {} failed; {:?}",
        tally.seeds,
        tally.seeds as f64 / seconds.max(0.001),
        tally.failures.len(),
        tally.report
    );
    for failure in &tally.failures {
        println!("seed {} FAILED: {}", failure.seed, failure.words);
    }
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all_bugs(arguments: &Arguments, settings: Settings) -> ExitCode {
    let mut missed = 0;
    for (name, bug) in Bug::ALL {
        match seeds_until_found(bug, settings, arguments.start, arguments.seeds, arguments.threads) {
            Some((seeds, failure)) => {
                let words: String = failure.words.chars().take(110).collect();
                println!("{name:30} found after {seeds} seeds: {words}");
            }
            None => {
                missed += 1;
                println!("{name:30} NOT FOUND in {} seeds", arguments.seeds);
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
