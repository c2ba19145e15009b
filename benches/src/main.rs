//! `thermocline-bench`: reads the command line, runs, prints the report, and ends with a code that a script can use.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::Parser as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use thermocline_bench::cli::Cli;
use thermocline_bench::record::Record;
use thermocline_bench::{clock, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(&cli) {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("thermocline-bench: {error:#}");
            ExitCode::from(run::ExitCode::Errors as u8)
        }
    }
}

fn start(cli: &Cli) -> anyhow::Result<run::ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // The first signal asks for an end with a report, the second ends at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let started_unix_s = clock::unix_seconds();
    let outcome = run::run(&cli.command, &stop)?;
    let Some(results) = outcome.results else {
        return Ok(outcome.exit_code);
    };
    let output = cli.command.output();
    let record = Record::new(results, started_unix_s);
    let json = serde_json::to_string(&record)?;
    if let Some(path) = &output.out {
        write(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if output.json {
        println!("{json}");
    } else {
        print!("{}", record.results);
    }
    Ok(outcome.exit_code)
}

#[expect(clippy::disallowed_methods, reason = "a result's file, nothing of the engine's")]
fn write(path: &Path, json: &str) -> std::io::Result<()> {
    std::fs::write(path, json)
}
