//! `thermocline completions` and `man`: what a packager installs, made from the command line's own description.
//!
//! Promises: they cannot differ from `--help`. Never: installs anything by itself.

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::print;

/// What `completions` takes.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// What `man` takes.
#[derive(Args)]
pub struct ManArgs {
    /// Write a page per operation into this directory, instead of the overview to standard output.
    #[arg(long, value_name = "DIRECTORY")]
    into: Option<PathBuf>,
}

/// Prints the completions of a shell.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "thermocline", &mut script);
    print::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes manual pages.
pub fn man(args: &ManArgs, command: Command) -> Result<ExitCode> {
    match &args.into {
        Some(into) => {
            std::fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
            clap_mangen::generate_to(command, into)
                .with_context(|| format!("writing the pages to {}", into.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            print::text(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
