//! `device`: what the disk itself can do, through the same I/O room that the engine uses.
//!
//! Promises: the scratch files are written once in full before anything is read, and are gone at the end, also after an error
//! or the first signal; every block that is read is checked against its stamp; with `--fio` the two take turns, and who goes
//! first changes each round. Never touches another file of the folder.

mod block;
mod case;
mod drive;
mod fio;
mod pattern;
mod report;
mod scratch;

pub use case::Test;
pub use report::{DeviceReport, DeviceRow};

use crate::cli::OutputArguments;
use crate::progress::Progress;
use crate::record::Results;
use crate::run::{ExitCode, Outcome};
use crate::workload::parse_bytes;
use anyhow::{Context as _, Result, bail};
use case::Case;
use clap::Args;
use drive::Measured;
use fio::{Fio, FioMeasured};
use report::Best;
use scratch::Scratch;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use thermocline_io::{BackendChoice, QUEUE_DEPTH_MAX};

const FILE_BYTES_MIN: u64 = 16 << 20;
const BLOCK_BYTES_MIN: u64 = 512;
const BLOCK_BYTES_MAX: u64 = 1 << 20;

/// `device`.
///
/// Examples:
///   thermocline-bench device /var/lib/thermocline
///   thermocline-bench device /mnt/nvme --depths 1,32,128 --tests random-read --fio
///   thermocline-bench device /mnt/nvme --backend pool --seconds 1 --rounds 1 --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct DeviceArguments {
    /// Folder on the device; a folder `thermocline-device` with two scratch files is made in it and removed.
    pub folder: PathBuf,
    /// Bytes that are read from; the file for the writes takes a quarter more.
    #[arg(long, default_value = "4g", value_parser = parse_bytes)]
    pub file_size: u64,
    /// Queue depths of the random reads.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64,128,256", value_parser = depth)]
    pub depths: Vec<u32>,
    /// Bytes of a random read: a power of two.
    #[arg(long, default_value = "4k", value_parser = block_bytes)]
    pub block: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub seconds: f64,
    /// Measurements of each row; the best one counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// What to measure. Sequential writes write as much as the device takes.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "random-read,sequential-write,flush")]
    pub tests: Vec<Test>,
    /// `auto`, `uring` or `pool`.
    #[arg(long, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,
    /// At most so many new requests are handed to the kernel in one call; fio hands over each by itself.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batch: u32,
    /// Check every byte that is read, not only the first 32 of each block.
    #[arg(long)]
    pub verify: bool,
    /// Run fio with the same job in turn.
    #[arg(long)]
    pub fio: bool,
    /// Seed of contents and offsets.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Measures.
pub fn run(arguments: &DeviceArguments, stop: &AtomicBool) -> Result<Outcome> {
    if arguments.file_size < FILE_BYTES_MIN {
        bail!("--file-size {}: at least 16m are needed", arguments.file_size);
    }
    let cases = Case::all(&arguments.tests, &arguments.depths, arguments.block);
    let fio_version = if arguments.fio { Some(fio::version()?) } else { None };
    let scratch = Scratch::make(&arguments.folder, arguments.file_size, arguments.backend)?;
    let read_align = scratch.disk.geometry().read_align;
    if !arguments.block.is_multiple_of(read_align) {
        bail!("--block {}: this file system reads multiples of {read_align} only", arguments.block);
    }
    let job = job_path(arguments);
    let fio = Fio::write(&job, &scratch, &cases, arguments.seconds)
        .with_context(|| format!("cannot write the fio job {}", job.display()))?;
    let mut report = DeviceReport {
        place: scratch.place.clone(),
        backend: scratch.backend(),
        file_bytes: scratch.read_bytes,
        seconds: arguments.seconds,
        batch: arguments.batch,
        rounds: arguments.rounds,
        direct: scratch.disk.geometry().direct,
        fio_job: job.display().to_string(),
        fio_version,
        ..DeviceReport::default()
    };
    let filled = scratch.fill(arguments.block, arguments.seed, stop).context("filling the scratch files")?;
    if filled {
        measure_all(arguments, &scratch, &fio, &cases, &mut report, stop)?;
    }
    report.complete = filled && !stop.load(Ordering::Relaxed);
    let exit_code = if report.wrong > 0 { ExitCode::WrongValue } else { ExitCode::Good };
    Ok(Outcome { results: Some(Results::Device(report)), exit_code })
}

fn measure_all(
    arguments: &DeviceArguments,
    scratch: &Scratch,
    fio: &Fio,
    cases: &[Case],
    report: &mut DeviceReport,
    stop: &AtomicBool,
) -> Result<()> {
    let turns = if arguments.fio { 2 } else { 1 };
    let progress = Progress::start("device", Some(cases.len() as u64 * u64::from(arguments.rounds) * turns));
    let mut done = 0;
    let mut step = |what: &str| {
        progress.step(done, what.to_owned());
        done += 1;
    };
    for case in cases {
        let mut ours: Best<Measured> = Best::default();
        let mut theirs: Best<FioMeasured> = Best::default();
        for round in 0..arguments.rounds {
            let ours_first = round % 2 == 0;
            for our_turn in [ours_first, !ours_first] {
                if stop.load(Ordering::Relaxed) || (!our_turn && !arguments.fio) {
                    continue;
                }
                if our_turn {
                    step(&case.to_string());
                    let seed = arguments.seed.wrapping_add(u64::from(round) << 32);
                    let measured = drive::measure(scratch, *case, arguments, seed, stop)
                        .with_context(|| format!("{case} in {}", scratch.path().display()))?;
                    report.count_wrong(&measured);
                    ours.offer(measured);
                } else {
                    step(&format!("{case}, by fio"));
                    // The signal that ended this run has ended fio too: its answer means nothing then.
                    match fio.measure(case) {
                        Ok(measured) => theirs.offer(measured),
                        Err(_) if stop.load(Ordering::Relaxed) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        report.rows.extend(report::row(case, ours, theirs));
    }
    Ok(())
}

/// Beside the result if there is a file of it, else in the folder that is measured.
fn job_path(arguments: &DeviceArguments) -> PathBuf {
    const NAME: &str = "device.fio";
    arguments.output.out.as_ref().map_or_else(|| arguments.folder.join(NAME), |out| out.with_file_name(NAME))
}

fn depth(text: &str) -> Result<u32, String> {
    let depth: u32 = text.trim().parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (1..=QUEUE_DEPTH_MAX as u32).contains(&depth) {
        Ok(depth)
    } else {
        Err(format!("{depth} is not within 1 and {QUEUE_DEPTH_MAX}"))
    }
}

fn block_bytes(text: &str) -> Result<u32, String> {
    let bytes = parse_bytes(text).map_err(|error| error.to_string())?;
    if bytes.is_power_of_two() && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&bytes) {
        Ok(bytes as u32)
    } else {
        Err(format!("{text} is not a power of two within 512 and 1m"))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if seconds > 0.0 && seconds <= 3600.0 { Ok(seconds) } else { Err(format!("{text} is not within 0 and 3600")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn arguments(more: &[&str]) -> (tempfile::TempDir, DeviceArguments) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let command = [&["bench", "device", path.as_str(), "--file-size", "16m", "--seconds", "0.05"], more].concat();
        let Command::Device(arguments) = Cli::try_parse_from(command).unwrap().command else {
            panic!("device was asked for")
        };
        (folder, arguments)
    }

    fn left_in(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_run_gives_every_row_and_leaves_only_the_job_file() {
        let (folder, arguments) = arguments(&["--depths", "1,8", "--rounds", "2", "--verify"]);
        let outcome = run(&arguments, &AtomicBool::new(false)).unwrap();
        assert_eq!(outcome.exit_code, ExitCode::Good);
        let Some(Results::Device(report)) = outcome.results else { panic!("a device report") };
        assert!(report.complete);
        assert_eq!((report.wrong, report.rows.len()), (0, 2 + 2 + 2));
        for row in &report.rows {
            assert!(row.iops > 0.0, "{row:?}");
            assert_eq!(row.latency.as_ref().unwrap().count, row.requests);
            assert!(row.fio_iops.is_none());
        }
        assert_eq!(left_in(&folder), ["device.fio"]);
    }

    #[test]
    fn a_run_that_is_stopped_gives_the_rows_so_far_and_leaves_nothing_behind() {
        let (folder, arguments) = arguments(&[]);
        let outcome = run(&arguments, &AtomicBool::new(true)).unwrap();
        let Some(Results::Device(report)) = outcome.results else { panic!("a device report") };
        assert!(!report.complete);
        assert!(report.rows.is_empty());
        assert_eq!(left_in(&folder), ["device.fio"]);
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_in_words() {
        let (folder, arguments) = arguments(&[]);
        let arguments = DeviceArguments { file_size: 900 << 40, ..arguments };
        let error = format!("{:#}", run(&arguments, &AtomicBool::new(false)).err().unwrap());
        assert!(error.contains("free") && error.contains("--file-size"), "{error}");
        assert!(left_in(&folder).is_empty());
    }

    #[test]
    fn nonsense_on_the_command_line_is_refused() {
        for bad in [["--depths", "0"], ["--depths", "257"], ["--block", "3000"], ["--seconds", "0"], ["--tests", "x"]] {
            let command = ["bench", "device", "folder", bad[0], bad[1]];
            assert!(Cli::try_parse_from(command).is_err(), "{bad:?}");
        }
    }
}
