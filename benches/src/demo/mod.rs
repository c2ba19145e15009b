//! `demo` a small server under more data than memory, live in the terminal.

use crate::cli::OutputArguments;
use crate::run::Outcome;
use anyhow::{Result, bail};
use clap::Args;
use std::sync::atomic::AtomicBool;

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Runs it.
pub fn run(_arguments: &DemoArguments, _stop: &AtomicBool) -> Result<Outcome> {
    bail!("demo is not built yet")
}
