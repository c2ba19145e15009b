//! One benchmark from its command line to its reports and exit code.

use crate::cli::{Command, LoadArguments, Order, ReplayArguments, TargetArguments};
use crate::client::{Client, Drive, Workload};
use crate::clock::Clock;
use crate::control::Target;
use crate::observe::Observer;
use crate::permutation::Permutation;
use crate::procfs;
use crate::progress::Progress;
use crate::record::Results;
use crate::report::{Circumstances, Report};
use crate::tally::Tally;
use crate::trace::TraceReader;
use crate::workload::load::{KeyRange, Load};
use crate::workload::read_back::ReadBack;
use crate::workload::replay::{Replay, ReplayOptions};
use crate::workload::schedule::Schedule;
use anyhow::{Context as _, Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes of a key where neither the command line nor a workload says it.
const KEY_BYTES: u32 = 16;

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
        Command::Run(arguments) => crate::named::run(arguments, stop),
        Command::Replay(arguments) => replay(arguments, stop),
        Command::Collection(arguments) => crate::collection::run(arguments, stop),
        Command::Engine(arguments) => crate::embedded::run(arguments, stop),
        Command::Device(arguments) => crate::device::run(arguments, stop),
        Command::HitRatio(arguments) => crate::hitratio::run(arguments, stop),
        Command::Compare(arguments) => crate::compare::run(arguments, stop),
        Command::Restart(arguments) => crate::restart::run(arguments, stop),
        Command::Report(arguments) => crate::page::run(arguments, stop),
        Command::Demo(arguments) => crate::demo::run(arguments, stop),
    }
}

fn load(arguments: &LoadArguments, stop: &AtomicBool) -> Result<Outcome> {
    let server = &arguments.server;
    let keys = arguments.key_count();
    let random = |seed| Some(Permutation::new(keys, seed));
    let range = KeyRange {
        keys,
        speaker: server.speaker(KEY_BYTES),
        sizes: arguments.value_size,
        order: if arguments.order == Order::Random { random(arguments.seed) } else { None },
    };
    let mut reports = Vec::new();
    if !arguments.verify_only {
        let drive = drive(server, arguments.connections, arguments.pipeline, false);
        let schedule = Schedule::new(arguments.pace, arguments.seed);
        let mut workload = Load::new(range.clone(), |_| arguments.ttl, schedule);
        reports.push(pass(
            Pass { total: Some(keys), ..Pass::of("load", server.target(), drive) },
            &mut workload,
            stop,
        )?);
    }
    let going_on = reports.iter().all(|report| report.complete) && !stop.load(Ordering::Relaxed);
    if (arguments.verify || arguments.verify_only) && going_on {
        let pipeline = arguments.verify_pipeline.unwrap_or(arguments.pipeline);
        let drive = drive(server, arguments.connections, pipeline, true);
        // Another order than the load's, or the cold reads would come as they were written.
        let mut workload = ReadBack::new(KeyRange { order: random(arguments.seed.wrapping_add(1)), ..range });
        reports.push(pass(
            Pass { total: Some(keys), ..Pass::of("verify", server.target(), drive) },
            &mut workload,
            stop,
        )?);
    }
    let losses = arguments.ttl.is_none() && reports.iter().any(|report| report.lost > 0);
    Ok(outcome(reports, losses))
}

fn replay(arguments: &ReplayArguments, stop: &AtomicBool) -> Result<Outcome> {
    let server = &arguments.server;
    let open = || TraceReader::open(&arguments.trace).with_context(|| arguments.trace.display().to_string());
    if let Some(first) = open()?.next().transpose()? {
        if first.value_bytes.or(arguments.value_size.map(|sizes| sizes.of(first.key))).is_none() {
            bail!("{} has no value sizes: give --value-size", arguments.trace.display());
        }
        if arguments.speed.is_some() && first.time_s.is_none() {
            bail!("{} has no times: --speed needs them, --rate does not", arguments.trace.display());
        }
    }
    let options = ReplayOptions {
        name: arguments.trace.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        requests: arguments.requests,
        speaker: server.speaker(KEY_BYTES),
        sizes: arguments.value_size,
        ttl_s: arguments.ttl,
        speed: arguments.speed,
    };
    let drive = drive(server, arguments.connections, arguments.pipeline, true);
    let schedule = Schedule::new(arguments.pace, 1);
    let mut workload = Replay::new(open()?, arguments.connections, options, schedule);
    let pass_of_trace = Pass { total: arguments.requests, ..Pass::of("replay", server.target(), drive) };
    let report = pass(pass_of_trace, &mut workload, stop)?;
    Ok(outcome(vec![report], false))
}

/// The tier of a write says nothing, so a pass without reads does not ask for it.
pub(crate) fn drive(server: &TargetArguments, connections: usize, pipeline: usize, reads: bool) -> Drive {
    Drive { connections, pipeline, tiers: reads && !server.no_tiers, timeout: server.timeout }
}

/// How a pass is run, beside its workload.
pub(crate) struct Pass<'a> {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) drive: Drive,
    /// Steps, for the progress bar.
    pub(crate) total: Option<u64>,
    /// What comes before this is not measured.
    pub(crate) warmup: Duration,
    /// Who is shown the tally ten times a second, instead of a progress bar.
    pub(crate) watch: Option<&'a dyn Fn(&Tally)>,
}

impl<'a> Pass<'a> {
    pub(crate) fn of(name: &'static str, target: Target, drive: Drive) -> Self {
        Self { name, target, drive, total: None, warmup: Duration::ZERO, watch: None }
    }
}

pub(crate) fn pass<W: Workload>(plan: Pass<'_>, workload: &mut W, stop: &AtomicBool) -> Result<Report> {
    let Pass { name, target, drive, total, warmup, watch } = plan;
    let observer = Observer::start(&target)?;
    let mut client = Client::connect(&target, drive)?;
    let progress = watch.is_none().then(|| Progress::start(name, total));
    let mut tally = Tally::default();
    let warmup_ns = warmup.as_nanos() as u64;
    let mut measured_from_ns = 0;
    let mut cpu_before = procfs::thread_cpu_seconds();
    let clock = Clock::start();
    let mut tick = |tally: &mut Tally, now_ns: u64| {
        match (&progress, watch) {
            (Some(progress), _) => progress.show(tally),
            (None, Some(watch)) => watch(tally),
            (None, None) => {}
        }
        if measured_from_ns == 0 && warmup_ns > 0 && now_ns >= warmup_ns {
            tally.restart(now_ns);
            observer.restart();
            cpu_before = procfs::thread_cpu_seconds();
            measured_from_ns = now_ns;
        }
    };
    let ending = client.run(workload, &mut tally, stop, clock, &mut tick);
    let ended_ns = clock.nanoseconds();
    let client_cpu_seconds = procfs::thread_cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
    drop(progress);
    let circumstances = Circumstances {
        name,
        workload: workload.describe(),
        pacing: workload.pacing(ended_ns),
        server: format!("{}:{}", target.host, target.port),
        protocol: target.speech.to_string(),
        connections: drive.connections,
        pipeline: drive.pipeline,
        warmup_s: measured_from_ns as f64 / 1e9,
        seconds: (ended_ns - measured_from_ns) as f64 / 1e9,
        complete: *ending.as_ref().unwrap_or(&false),
        tiers: client.tiers,
        failure: ending.err().map(|error| format!("{error:#}")),
        client_cpu_seconds,
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
