//! `run`: a workload by name against a server, loaded before if asked.

use crate::cli::RunArguments;
use crate::report::WorkloadReport;
use crate::run::{Outcome, Pass, drive, outcome, pass};
use crate::spec::{Spec, Steps};
use crate::workload::Versions;
use crate::workload::load::{KeyRange, LOADED_VERSION, Load};
use crate::workload::named::{Named, NamedOptions};
use crate::workload::schedule::Schedule;
use anyhow::{Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to measure when nothing is said.
const DURATION: Duration = Duration::from_secs(30);

/// Requests in flight on each connection while loading.
const LOAD_PIPELINE: usize = 32;

/// Runs it.
pub fn run(arguments: &RunArguments, stop: &AtomicBool) -> Result<Outcome> {
    let spec = spec(arguments)?;
    let server = &arguments.server;
    let speaker = server.speaker(spec.key_bytes);
    let mut reports = Vec::new();
    let mut versions = Versions::new(spec.keys, LOADED_VERSION);
    if arguments.load {
        let range = KeyRange { keys: spec.keys, speaker: speaker.clone(), sizes: spec.sizes, order: None };
        let mut load = Load::new(range, arguments.ttl, Schedule::closed());
        let drive = drive(server, arguments.connections, LOAD_PIPELINE, false);
        reports.push(pass(Pass { total: Some(spec.keys), ..Pass::of("load", server, drive) }, &mut load, stop)?);
        if reports.iter().any(|report| !report.complete) || stop.load(Ordering::Relaxed) {
            return Ok(outcome(reports, false));
        }
        if reports.iter().all(|report| report.errors.is_empty()) {
            versions = Versions::loaded(spec.keys, LOADED_VERSION);
        }
    }
    let endless = arguments.requests.map(|_| Duration::from_nanos(u64::MAX)).unwrap_or(arguments.warmup + DURATION);
    let ends = arguments.duration.map_or(endless, |duration| arguments.warmup + duration);
    let options = NamedOptions {
        speaker,
        sizes: spec.sizes,
        ttl_s: arguments.ttl,
        steps: arguments.requests.unwrap_or(u64::MAX),
        ends_ns: ends.as_nanos() as u64,
        described: describe(&spec, arguments),
    };
    let steps = Steps::new(&spec, arguments.seed);
    let schedule = Schedule::new(arguments.pace, arguments.seed);
    let mut workload = Named::new(steps, spec.keys, versions, schedule, arguments.connections, options);
    let drive = drive(server, arguments.connections, arguments.pipeline, true);
    let plan = Pass { total: arguments.requests, warmup: arguments.warmup, ..Pass::of("run", server, drive) };
    reports.push(pass(plan, &mut workload, stop)?);
    Ok(outcome(reports, false))
}

fn spec(arguments: &RunArguments) -> Result<Spec> {
    let Some(name) = &arguments.workload else { bail!("no workload") };
    let sizes = arguments.value_size.unwrap_or("400".parse().expect("a size"));
    let keys = arguments.keys.unwrap_or(1_000_000);
    let key_bytes = arguments.server.key_size.unwrap_or(16);
    Ok(Spec { name: Box::leak(name.clone().into_boxed_str()), source: "", keys, key_bytes, sizes })
}

/// Everything that decides the requests, in words.
fn describe(spec: &Spec, arguments: &RunArguments) -> WorkloadReport {
    let mut parameters = std::collections::BTreeMap::from([
        ("keys".to_owned(), spec.keys.to_string()),
        ("value bytes (mean)".to_owned(), format!("{:.0}", spec.sizes.mean())),
        ("seed".to_owned(), arguments.seed.to_string()),
    ]);
    if let Some(ttl) = arguments.ttl {
        parameters.insert("ttl s".to_owned(), ttl.to_string());
    }
    WorkloadReport { name: spec.name.to_owned(), source: Some(spec.source.to_owned()), parameters }
}
