//! One benchmark from its command line to its reports and exit code.

use crate::cli::{Command, LoadArguments, Order, ReplayArguments, TargetArguments};
use crate::client::{self, Drive, Workload};
use crate::clock::Clock;
use crate::observe::Observer;
use crate::permutation::Permutation;
use crate::procfs;
use crate::progress::Progress;
use crate::record::Results;
use crate::report::{Circumstances, Report};
use crate::tally::Tally;
use crate::trace::TraceReader;
use crate::wire::KeyText;
use crate::workload::load::{KeyRange, Load};
use crate::workload::read_back::ReadBack;
use crate::workload::replay::{Replay, ReplayOptions};
use anyhow::{Context as _, Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a process tells its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// All is well, or it was interrupted and all was well until then.
    Good = 0,
    /// Errors, a lost connection, or keys that should be there and are not.
    Errors = 1,
    /// A value with a wrong byte.
    WrongValue = 3,
}

/// What a subcommand gives and what it means.
pub struct Outcome {
    /// The results; `None` when the subcommand has written them elsewhere.
    pub results: Option<Results>,
    /// The verdict.
    pub exit_code: ExitCode,
}

/// Runs what was asked for; `stop` ends it early.
pub fn run(command: &Command, stop: &AtomicBool) -> Result<Outcome> {
    match command {
        Command::Load(arguments) => load(arguments, stop),
        Command::Replay(arguments) => replay(arguments, stop),
        Command::Engine(arguments) => crate::embedded::run(arguments, stop),
        Command::Device(arguments) => crate::device::run(arguments, stop),
        Command::HitRatio(arguments) => crate::hitratio::run(arguments, stop),
        Command::Compare(arguments) => crate::compare::run(arguments, stop),
        Command::Report(arguments) => crate::page::run(arguments, stop),
        Command::Demo(arguments) => crate::demo::run(arguments, stop),
    }
}

fn load(arguments: &LoadArguments, stop: &AtomicBool) -> Result<Outcome> {
    let keys = arguments.key_count();
    let random = |seed| Some(Permutation::new(keys, seed));
    let range = KeyRange {
        keys,
        text: KeyText::new(&arguments.server.prefix, arguments.server.key_size),
        sizes: arguments.value_size,
        order: if arguments.order == Order::Random { random(arguments.seed) } else { None },
    };
    let mut reports = Vec::new();
    if !arguments.verify_only {
        // The tier of a SET says nothing, so it is not asked for.
        let drive = Drive { connections: arguments.connections, pipeline: arguments.pipeline, tiers: false };
        let mut workload = Load::new(range.clone(), arguments.ttl);
        reports.push(pass("load", &arguments.server, drive, &mut workload, Some(keys), stop)?);
    }
    let going_on = reports.iter().all(|report| report.complete) && !stop.load(Ordering::Relaxed);
    if (arguments.verify || arguments.verify_only) && going_on {
        let pipeline = arguments.verify_pipeline.unwrap_or(arguments.pipeline);
        let drive = Drive { connections: arguments.connections, pipeline, tiers: !arguments.server.no_tiers };
        // Another order than the load's, or the cold reads would come as they were written.
        let mut workload = ReadBack::new(KeyRange { order: random(arguments.seed.wrapping_add(1)), ..range });
        reports.push(pass("verify", &arguments.server, drive, &mut workload, Some(keys), stop)?);
    }
    let losses = arguments.ttl.is_none() && reports.iter().any(|report| report.lost > 0);
    Ok(outcome(reports, losses))
}

fn replay(arguments: &ReplayArguments, stop: &AtomicBool) -> Result<Outcome> {
    let open = || TraceReader::open(&arguments.trace).with_context(|| arguments.trace.display().to_string());
    if let Some(first) = open()?.next().transpose()?
        && first.value_bytes.or(arguments.value_size.map(|sizes| sizes.of(first.key))).is_none()
    {
        bail!("{} has no value sizes: give --value-size", arguments.trace.display());
    }
    let trace = open()?;
    let options = ReplayOptions {
        requests: arguments.requests,
        text: KeyText::new(&arguments.server.prefix, arguments.server.key_size),
        sizes: arguments.value_size,
        ttl_s: arguments.ttl,
    };
    let drive =
        Drive { connections: arguments.connections, pipeline: arguments.pipeline, tiers: !arguments.server.no_tiers };
    let mut workload = Replay::new(trace, arguments.connections, options);
    let report = pass("replay", &arguments.server, drive, &mut workload, arguments.requests, stop)?;
    Ok(outcome(vec![report], false))
}

fn pass<W: Workload>(
    name: &'static str,
    server: &TargetArguments,
    drive: Drive,
    workload: &mut W,
    total: Option<u64>,
    stop: &AtomicBool,
) -> Result<Report> {
    let target = server.target();
    let observer = Observer::start(&target)?;
    let progress = Progress::start(name, total);
    let mut tally = Tally::default();
    let cpu_before = procfs::thread_cpu_seconds();
    let clock = Clock::start();
    let mut show = |tally: &Tally| progress.show(tally);
    let ending = client::run(&target, drive, workload, &mut tally, stop, clock, &mut show);
    let seconds = clock.seconds();
    let client_cpu_seconds = procfs::thread_cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
    drop(progress);
    let circumstances = Circumstances {
        name,
        server: format!("{}:{}", target.host, target.port),
        connections: drive.connections,
        pipeline: drive.pipeline,
        seconds,
        complete: ending.as_ref().is_ok_and(|ending| ending.complete),
        tiers: ending.as_ref().is_ok_and(|ending| ending.tiers),
        failure: ending.err().map(|error| format!("{error:#}")),
        client_cpu_seconds,
        ..Circumstances::default()
    };
    Ok(Report::new(circumstances, tally, observer.finish()))
}

/// What passes mean for the one who started them.
pub fn outcome(reports: Vec<Report>, losses: bool) -> Outcome {
    let any = |question: fn(&Report) -> bool| reports.iter().any(question);
    let exit_code = if any(|report| report.wrong > 0) {
        ExitCode::WrongValue
    } else if losses || any(|report| report.failure.is_some() || !report.errors.is_empty()) {
        ExitCode::Errors
    } else {
        ExitCode::Good
    };
    Outcome { results: Some(Results::Passes(reports)), exit_code }
}
