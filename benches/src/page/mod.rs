//! `report`: results as a page that a browser opens, and as plots.
//!
//! Promises: one file without a script and without the network; every text from a result is escaped; losses, errors, wrong
//! values and partial runs stand at the top; each figure carries the command that made it, the machine, the date, the versions.
//! Never measures and never changes a result.

mod bars;
mod canvas;
mod compare;
mod device;
mod figure;
mod hitratio;
mod html;
mod lines;
mod palette;
mod passes;
mod plots;
mod read;
mod restart;
mod section;
#[cfg(test)]
mod tests;
mod units;

use crate::cli::OutputArguments;
use crate::record::{Record, Results};
use crate::run::{ExitCode, Outcome};
use anyhow::{Context as _, Result};
use clap::Args;
use section::Section;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
pub use units::Unit;

const EXAMPLES: &str = "Examples:
  thermocline-bench run --workload ycsb-b --out b.json
  thermocline-bench report b.json --html b.html
  thermocline-bench report compare.json device.json --plots docs/plots --png";

/// `report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArguments {
    /// Results, as --json or --out gave them.
    #[arg(required = true, value_name = "RESULT.json")]
    pub results: Vec<PathBuf>,
    /// The page. Without --html and --plots it is report.html.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also write each plot as an SVG file into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// And as a PNG file.
    #[arg(long, requires = "plots")]
    pub png: bool,
    /// Heading of the page.
    #[arg(long, default_value = "Thermocline benchmark report")]
    pub title: String,
    /// Nothing is measured here, so there is no result to write.
    #[arg(skip)]
    pub output: OutputArguments,
}

/// Reads the results, writes the page and the plots, and names the files on standard output.
pub fn run(arguments: &ReportArguments, stop: &AtomicBool) -> Result<Outcome> {
    let mut sections = Vec::new();
    for path in &arguments.results {
        sections.extend(read::records(path)?.iter().map(section_of));
        if stop.load(Ordering::Relaxed) {
            // Half a page would be taken for a whole one.
            return Ok(Outcome { results: None, exit_code: ExitCode::Errors });
        }
    }
    let html = arguments.html.clone().or_else(|| arguments.plots.is_none().then(|| PathBuf::from("report.html")));
    let mut files = Vec::new();
    if let Some(path) = html {
        write(&path, &html::page(&arguments.title, &sections)?)?;
        files.push(path);
    }
    if let Some(folder) = &arguments.plots {
        files.extend(plots::write(folder, arguments.png, &sections)?);
    }
    for file in files {
        println!("{}", file.display());
    }
    Ok(Outcome { results: None, exit_code: ExitCode::Good })
}

#[expect(clippy::disallowed_methods, reason = "a page of results, nothing of the engine's")]
fn write(path: &PathBuf, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A record as a section, with where it comes from.
fn section_of(record: &Record) -> Section {
    let (title, mut section) = match &record.results {
        Results::Passes(passes) => (passes_title(passes), passes::section(passes)),
        Results::Device(report) => (format!("Device: {}", report.place), device::section(report)),
        Results::HitRatio(report) => (format!("Hit ratio: {}", report.trace), hitratio::section(report)),
        Results::Compare(report) => {
            let names: Vec<&str> = report.targets.iter().map(|target| target.name.as_str()).collect();
            (names.join(" beside "), compare::section(report))
        }
        Results::Restart(report) => ("Starts".to_owned(), restart::section(report)),
    };
    section.title = title;
    let machine = &record.machine;
    let memory = Unit::Bytes.text(machine.memory_bytes as f64);
    let machine = format!("{}, {} cores, {memory} RAM, Linux {}", machine.cpu, machine.cores, machine.kernel);
    section.facts.extend([
        ("machine".to_owned(), machine),
        ("date".to_owned(), format!("{} UTC", thermocline::utc(record.started_unix_s))),
        ("tool".to_owned(), record.tool.clone()),
    ]);
    section.commands.insert(0, command_line(&record.command));
    section
}

fn passes_title(passes: &[crate::report::Report]) -> String {
    let names: Vec<String> = passes.iter().map(passes::title).collect();
    let server = passes.first().map_or("", |pass| pass.server.as_str());
    format!("{} on {server}", names.join(", "))
}

/// The command as one would type it; the program by its name alone, for its folder says nothing.
fn command_line(command: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    let quoted = command.iter().enumerate().map(|(index, word)| {
        let word = if index == 0 { word.rsplit('/').next().unwrap_or(word) } else { word };
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
