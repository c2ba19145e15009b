//! `engine` the engine itself, embedded in this process: no network, no server.

use crate::cli::OutputArguments;
use crate::run::Outcome;
use anyhow::{Result, bail};
use clap::Args;
use std::sync::atomic::AtomicBool;

/// `engine`.
#[derive(Debug, Args)]
pub struct EngineArguments {
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Runs it.
pub fn run(_arguments: &EngineArguments, _stop: &AtomicBool) -> Result<Outcome> {
    bail!("embedded is not built yet")
}
