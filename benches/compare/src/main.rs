//! `compare-engines`: one workload over the embedded engine, rocksdb, foyer and fjall.
#![forbid(unsafe_code)]

mod caller;
mod cgroup;
mod engines;
mod harness;
mod parent;
mod phase;
mod report;
mod settings;
mod store;
mod versions;
mod workload;
mod zipf;

use crate::settings::{Arguments, PhaseName};
use anyhow::{Context as _, Result};
use clap::Parser as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use thermocline_bench::run;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("compare-engines: {error:#}");
            ExitCode::from(run::ExitCode::Errors as u8)
        }
    }
}

fn start(arguments: &Arguments) -> Result<run::ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let is_child = arguments.child.is_some();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first signal asks for an end with a report, the second ends at once; a child hears a terminal's signal and its
        // parent's, and ends when it is ready.
        if !is_child {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    if let (Some(engine), Some(phase)) = (arguments.child, arguments.phase) {
        return child(arguments, engine, phase, stop);
    }
    let report = parent::run(arguments, &stop)?;
    let json = serde_json::to_string(&report)?;
    if let Some(path) = &arguments.output.out {
        write(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.output.json {
        println!("{json}");
    } else {
        print!("{report}");
    }
    Ok(report.exit_code())
}

fn child(
    arguments: &Arguments,
    engine: engines::EngineName,
    phase: PhaseName,
    stop: Arc<AtomicBool>,
) -> Result<run::ExitCode> {
    if let Some(cgroup) = &arguments.cgroup {
        cgroup::enter(cgroup)?;
    }
    let directory = arguments.dir.join(engine.name());
    engine.run(&arguments.plan(), &phase::Child { engine, phase, directory: &directory, stop })?;
    Ok(run::ExitCode::Good)
}

#[expect(clippy::disallowed_methods, reason = "a result's file, nothing of the engine's")]
fn write(path: &Path, json: &str) -> std::io::Result<()> {
    std::fs::write(path, json)
}
