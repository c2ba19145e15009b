//! `run`: a workload by name against a server, loaded before if asked.

use crate::cli::RunArguments;
use crate::run::{ExitCode, Outcome, Pass, drive, outcome, pass};
use crate::spec::{self, Spec};
use crate::wire::Speech;
use crate::workload::Versions;
use crate::workload::load::{KeyRange, LOADED_VERSION, Load};
use crate::workload::named::{Named, NamedOptions};
use crate::workload::schedule::Schedule;
use anyhow::{Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to measure when nothing is said.
const DURATION: Duration = Duration::from_secs(30);

/// By its protocol.
const MEMCACHED_KEY_BYTES_MAX: u32 = 250;

/// Requests in flight on each connection while loading.
const LOAD_PIPELINE: usize = 32;

/// Runs it.
pub fn run(arguments: &RunArguments, stop: &AtomicBool) -> Result<Outcome> {
    if arguments.list {
        print!("{}", spec::table());
        return Ok(Outcome { results: None, exit_code: ExitCode::Good });
    }
    let spec = wanted(arguments)?;
    let server = &arguments.server;
    let speaker = server.speaker(spec.key_bytes);
    let mut reports = Vec::new();
    let mut versions = Versions::new(spec.keys, LOADED_VERSION);
    if arguments.load {
        let range = KeyRange { keys: spec.keys, speaker: speaker.clone(), sizes: spec.sizes, order: None };
        let mut load = Load::new(range, |key| spec.ttl_of(key), Schedule::closed());
        let drive = drive(server, arguments.connections, LOAD_PIPELINE, false);
        let report =
            pass(Pass { total: Some(spec.keys), ..Pass::of("load", server.target(), drive) }, &mut load, stop)?;
        let loaded = report.complete && !stop.load(Ordering::Relaxed);
        if report.errors.is_empty() {
            versions = Versions::loaded(spec.keys, LOADED_VERSION);
        }
        reports.push(report);
        if !loaded {
            return Ok(outcome(reports, false));
        }
    }
    let measured = arguments.duration.or(arguments.requests.is_none().then_some(DURATION));
    let ends = measured.map_or(Duration::from_nanos(u64::MAX), |measured| arguments.warmup + measured);
    let options = NamedOptions {
        spec,
        seed: arguments.seed,
        speaker,
        steps: arguments.requests.unwrap_or(u64::MAX),
        ends_ns: u64::try_from(ends.as_nanos()).unwrap_or(u64::MAX),
    };
    let schedule = Schedule::new(arguments.pace, arguments.seed);
    let mut workload = Named::new(options, versions, schedule, arguments.connections);
    let drive = drive(server, arguments.connections, arguments.pipeline, true);
    let plan = Pass { total: arguments.requests, warmup: arguments.warmup, ..Pass::of("run", server.target(), drive) };
    reports.push(pass(plan, &mut workload, stop)?);
    Ok(outcome(reports, false))
}

/// The workload by its name, with what the command line changes.
pub(crate) fn wanted(arguments: &RunArguments) -> Result<Spec> {
    let mut spec = spec::named(arguments.workload.as_deref().unwrap_or_default())?;
    spec.keys = arguments.keys.unwrap_or(spec.keys);
    spec.sizes = arguments.value_size.unwrap_or(spec.sizes);
    spec.ttl_s = arguments.ttl.or(spec.ttl_s);
    spec.mix = arguments.reads.map_or(spec.mix, |share| spec.mix.with_read_share(share));
    let key_bytes = arguments.server.key_size.unwrap_or(spec.key_bytes);
    if arguments.server.protocol == Speech::Memcached && key_bytes > MEMCACHED_KEY_BYTES_MAX {
        bail!("memcached's keys have at most {MEMCACHED_KEY_BYTES_MAX} bytes, not {key_bytes}: give --key-size");
    }
    Ok(spec)
}
