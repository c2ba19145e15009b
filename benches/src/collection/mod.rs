//! `collection`: hashes, sets, sorted sets and lists - filled, and one command on their elements, again and again.
//!
//! Promises: every answer is checked against what was filled in (see `element.rs` for what belongs where); what is random
//! follows from the seed. Only RESP: other languages have no collections.

mod action;
mod element;
mod fill;
mod scan;
mod steps;

pub use action::{Action, Shape};

use crate::cli::{TargetArguments, connections, duration, pipeline};
use crate::report::WorkloadReport;
use crate::run::{Outcome, Pass, drive, outcome, pass};
use crate::spec::Popularity;
use crate::value::HEADER_BYTES;
use crate::wire::Speech;
use anyhow::{Result, bail};
use clap::Args;
use element::{ELEMENTS_MAX, KEYS_MAX, Spelling};
use fill::{Fill, FillPlan};
use scan::Scan;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use steps::{Steps, StepsPlan};

/// Bytes of a key where the command line says nothing.
const KEY_BYTES: u32 = 16;
/// How long to measure when nothing is said.
const DURATION: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  thermocline-bench collection fill-hash --elements 1000000 -P 32
  thermocline-bench collection hget --elements 1000000 --popularity zipf:0.99 -c 50 --duration 10s
  thermocline-bench collection fill-list --keys 100000 --elements 10 -P 32
  thermocline-bench collection lpop --keys 100000 --elements 10 -P 32 --requests 900000

Give a command the --keys, --elements and --value-size that were filled in. Small values of --elements with many --keys are
many small collections, the other way round it is one large one. Exit code 3: a wrong value, rank or range.";

/// `collection`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CollectionArguments {
    /// What to do.
    #[arg(value_enum)]
    pub action: Action,
    /// The server.
    #[command(flatten)]
    pub server: TargetArguments,
    /// Number of collections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    pub keys: u64,
    /// Elements of each: fields and members have 16 bytes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=ELEMENTS_MAX / 2))]
    pub elements: u64,
    /// Fill goes on from this element: what is there stays.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=ELEMENTS_MAX / 2))]
    pub from: u64,
    /// Bytes of the value of a field and of an element of a list.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(HEADER_BYTES as i64..=65_536))]
    pub value_size: u32,
    /// Which elements are asked for: uniform, or zipf:0.99.
    #[arg(long, default_value = "uniform", value_parser = popularity)]
    pub popularity: Popularity,
    /// Connections.
    #[arg(short, long, default_value_t = 50, value_parser = connections)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(short = 'P', long, default_value_t = 1, value_parser = pipeline)]
    pub pipeline: usize,
    /// How long to measure: 30s, 500ms, 2m. Default: 10 s, or as long as --requests takes. Fill and hscan end by themselves.
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Requests at most.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Seed of the steps.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `uniform` or `zipf:0.99`.
fn popularity(text: &str) -> Result<Popularity, String> {
    let wrong = || format!("{text:?} is neither uniform nor zipf:0.99");
    if text == "uniform" {
        return Ok(Popularity::Uniform);
    }
    let theta: f64 = text.strip_prefix("zipf:").ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    if (0.0..=10.0).contains(&theta) { Ok(Popularity::Zipf { theta }) } else { Err(wrong()) }
}

/// Runs it.
pub fn run(arguments: &CollectionArguments, stop: &AtomicBool) -> Result<Outcome> {
    let CollectionArguments { action, keys, elements, seed, .. } = *arguments;
    let server = &arguments.server;
    if server.protocol != Speech::Resp {
        bail!("only servers that speak Redis have collections");
    }
    let spelling = Spelling::new(server.speaker(KEY_BYTES).text, arguments.value_size);
    let parameters = arguments.describe();
    let drive = drive(server, arguments.connections, arguments.pipeline, false);
    let plan = |total| Pass { total, ..Pass::of("collection", server.target(), drive) };
    let report = if let Some(shape) = action.fills() {
        let filled = FillPlan { shape, word: action.word(), spelling, keys, from: arguments.from, elements, seed };
        pass(plan(None), &mut Fill::new(filled, arguments.connections, parameters), stop)?
    } else if action == Action::Hscan {
        pass(plan(None), &mut Scan::new(spelling, (keys, elements), arguments.connections, parameters), stop)?
    } else {
        let measured = arguments.duration.or(arguments.requests.is_none().then_some(DURATION));
        let steps = StepsPlan {
            action,
            spelling,
            keys,
            elements,
            popularity: arguments.popularity,
            seed,
            requests: arguments.requests.unwrap_or(u64::MAX),
            ends_ns: measured.map_or(u64::MAX, |measured| measured.as_nanos() as u64),
        };
        pass(plan(arguments.requests), &mut Steps::new(steps, parameters), stop)?
    };
    let losses = report.lost > 0;
    Ok(outcome(vec![report], losses))
}

impl CollectionArguments {
    fn describe(&self) -> WorkloadReport {
        let parameters = [
            ("keys", self.keys.to_string()),
            ("elements", self.elements.to_string()),
            ("values", self.value_size.to_string()),
            ("popularity", self.popularity.to_string()),
            ("seed", self.seed.to_string()),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value)).into();
        WorkloadReport { name: self.action.word().to_owned(), source: None, parameters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_popularity_is_read_as_people_write_it() {
        assert_eq!(popularity("uniform"), Ok(Popularity::Uniform));
        assert_eq!(popularity("zipf:0.99"), Ok(Popularity::Zipf { theta: 0.99 }));
        for bad in ["zipf", "zipf:x", "zipf:-1", "zipf:NaN", "latest"] {
            assert!(popularity(bad).is_err(), "{bad}");
        }
    }
}
