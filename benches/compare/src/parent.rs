//! Runs the engines one after another, each phase in a child process of its own, and gathers what they tell.
//!
//! Promises: no child outlives this process's wish; between load and read the files leave the page cache; the data is removed.

use crate::cgroup::Cgroup;
use crate::engines::EngineName;
use crate::harness;
use crate::phase::Message;
use crate::report::{EngineReport, EnginesReport, SCHEMA};
use crate::settings::{Arguments, PhaseName, Plan};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::fs::Advice;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use thermocline_bench::clock::unix_seconds;
use thermocline_bench::record::Machine;

const PATIENCE: Duration = Duration::from_millis(200);
/// Code, stacks and the caller's own tables: what a limited process may use beyond the DRAM of its engine.
const ALLOWANCE_BYTES: u64 = 64 << 20;

/// Runs the comparison.
pub fn run(arguments: &Arguments, stop: &AtomicBool) -> Result<EnginesReport> {
    let plan = arguments.plan();
    let mut report = EnginesReport {
        schema: SCHEMA,
        tool: format!("compare-engines {}", env!("CARGO_PKG_VERSION")),
        command: std::env::args().collect(),
        started_unix_s: unix_seconds(),
        machine: Machine::here(),
        harness_cpu_us_per_operation: harness::cpu_us_per_operation(&plan),
        plan,
        complete: false,
        rounds: Vec::new(),
    };
    let directory = Directory::make(&arguments.dir)?;
    for round in 0..arguments.rounds {
        let mut engines = arguments.engines();
        if round % 2 == 1 {
            engines.reverse();
        }
        let mut reports = Vec::new();
        for engine in engines {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            reports.push(one(engine, &report.plan, &directory.0, stop)?);
        }
        report.rounds.push(reports);
    }
    report.complete = !stop.load(Ordering::Relaxed);
    Ok(report)
}

/// One engine, from an empty folder to the last scene.
fn one(engine: EngineName, plan: &Plan, directory: &Path, stop: &AtomicBool) -> Result<EngineReport> {
    let mut report = EngineReport::new(engine);
    let data = directory.join(engine.name());
    std::fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
    for phase in [PhaseName::Load, PhaseName::Read] {
        if stop.load(Ordering::Relaxed) || report.failure.is_some() {
            break;
        }
        if let Err(error) = run_phase(engine, phase, plan, &data, stop, &mut report) {
            report.failure = Some(format!("{error:#}"));
        }
        if phase == PhaseName::Load {
            report.disk_bytes = leave_page_cache(&data)?;
        }
    }
    std::fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
    Ok(report)
}

fn run_phase(
    engine: EngineName,
    phase: PhaseName,
    plan: &Plan,
    data: &Path,
    stop: &AtomicBool,
    report: &mut EngineReport,
) -> Result<()> {
    let phase_name = phase.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let mut command = Command::new(std::env::current_exe()?);
    // The arguments of this process decide the child's plan; the data's folder is made absolute on the way.
    command.args(std::env::args_os().skip(1)).args(["--child", engine.name(), "--phase", &phase_name]);
    // A load reads nothing that the page cache would make cheap, and its dirty pages would end the process at the limit.
    let is_limited = engine.uses_page_cache() && phase == PhaseName::Read;
    let cgroup = is_limited.then(|| Cgroup::make(&phase_name, plan.dram_bytes + ALLOWANCE_BYTES));
    let limited = match &cgroup {
        None => None,
        Some(Ok(cgroup)) => {
            command.arg("--cgroup").arg(cgroup.path());
            let limit = crate::cgroup::limit(cgroup.path()).unwrap_or(0);
            Some(format!("memory cgroup of {limit} bytes, page cache included"))
        }
        Some(Err(error)) => Some(format!("page cache NOT limited, so its reads are too cheap: {error:#}")),
    };
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting the child process")?;
    let bar = bar();
    let ended = listen(child, stop, |message| match message {
        Message::Opened { version, settings, seconds } => {
            report.version = version;
            report.settings = settings;
            report.settings.extend(limited.clone());
            report.open_seconds = (phase == PhaseName::Read).then_some(seconds);
        }
        Message::Began { scene, steps } => {
            bar.set_length(steps);
            bar.set_position(0);
            bar.set_prefix(format!("{} {scene} ({})", engine.name(), data.display()));
        }
        Message::Progress(done) => bar.set_position(done),
        Message::Scene(scene) => report.scenes.push(*scene),
    });
    bar.finish_and_clear();
    ended
}

/// Hears a child until it ends. When this process is asked to stop, so is the child, once.
fn listen(mut child: Child, stop: &AtomicBool, mut hear: impl FnMut(Message)) -> Result<()> {
    let output = child.stdout.take().context("the child has no output")?;
    let (send, lines) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let mut told = false;
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => hear(serde_json::from_str(&line).with_context(|| format!("a line of the child: {line:?}"))?),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::Relaxed) && !told {
            told = true;
            if let Some(process) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
                // It may have ended meanwhile.
                let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            }
        }
    }
    let status = child.wait().context("waiting for the child")?;
    let _ = reader.join();
    match (status.success(), status.signal()) {
        (true, _) => Ok(()),
        (false, Some(9)) => bail!("its process was killed (by the limit of its memory cgroup, if it had one)"),
        (false, _) => bail!("its process ended with {status}"),
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(5));
    let template = "{prefix} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
    bar
}

/// Writes the files out and drops them from the page cache; returns what they take on the SSD.
#[expect(clippy::disallowed_methods, reason = "other engines' files, which no disk of ours holds")]
fn leave_page_cache(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            bytes += leave_page_cache(&entry.path())?;
        } else if metadata.is_file() {
            let file = std::fs::File::open(entry.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
            bytes += metadata.blocks() * 512;
        }
    }
    Ok(bytes)
}

/// The folder of all data: made here, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn make(path: &Path) -> Result<Self> {
        if path.exists() {
            bail!("{} exists already: name another folder with --dir, it is removed at the end", path.display());
        }
        std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn a_folder_with_data_is_refused_and_ours_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Directory::make(folder.path()).is_err());
        let path = folder.path().join("data");
        let directory = Directory::make(&path).unwrap();
        std::fs::create_dir(path.join("fjall")).unwrap();
        assert!(path.exists());
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn files_leave_the_page_cache_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        let mut file = tempfile::NamedTempFile::new_in(folder.path().join("inner")).unwrap();
        let text = vec![b'x'; 100_000];
        file.write_all(&text).unwrap();
        assert!(leave_page_cache(folder.path()).unwrap() >= 100_000);
        let mut after = vec![0; text.len()];
        file.as_file().read_exact_at(&mut after, 0).unwrap();
        assert_eq!(after, text);
    }
}
