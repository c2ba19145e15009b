//! `report` results as a page that a browser opens, and as plots.

use crate::cli::OutputArguments;
use crate::run::Outcome;
use anyhow::{Result, bail};
use clap::Args;
use std::sync::atomic::AtomicBool;

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Runs it.
pub fn run(_arguments: &ReportArguments, _stop: &AtomicBool) -> Result<Outcome> {
    bail!("page is not built yet")
}
