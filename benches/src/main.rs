//! `thermocline-bench`: reads the command line, runs, prints the report, and ends with a code that a script can use.
#![forbid(unsafe_code)]

use clap::Parser as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use thermocline_bench::cli::Cli;
use thermocline_bench::run;

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
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first signal asks for an end with a report, the second ends at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let outcome = run::run(&cli.command, &stop)?;
    for report in &outcome.reports {
        if run::wants_json(&cli.command) {
            println!("{}", serde_json::to_string(report)?);
        } else {
            print!("{report}");
        }
    }
    Ok(outcome.exit_code)
}
