//! The client of a round: this tool itself as a child process on its own core, so that its CPU is its own.
//!
//! Promises: an interrupt is handed on and waited for; a child that outlives the wait is killed, also by a panic.

use super::cores::{self, Cores};
use super::process;
use super::scene::Pass;
use super::server::Server;
use crate::clock::Clock;
use crate::procfs::{self, ProcessSample};
use crate::record::{Record, Results};
use crate::report::Report;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// A server that closed a connection has so long to end, if that was why.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Resident memory is read once in so many looks.
const LOOKS_PER_SAMPLE: u32 = 10;
/// A client that was interrupted has so long to end.
const END_SECONDS_MAX: f64 = 15.0;
/// What is shown of the words of a client that failed.
const WORDS_SHOWN: usize = 2_000;

/// How clients are started.
pub struct Client<'a> {
    /// This tool.
    pub program: PathBuf,
    /// Its cores.
    pub cores: Option<&'a Cores>,
    /// Asked to end.
    pub stop: &'a AtomicBool,
}

/// What a client saw, and what the server used meanwhile.
pub struct Driven {
    /// Its report (of the last pass).
    pub report: Report,
    /// The server before.
    pub before: ProcessSample,
    /// The server after.
    pub after: ProcessSample,
    /// Highest resident memory of the samples.
    pub rss_max_bytes: u64,
    /// Cores that neither the server nor the client used, but somebody: above 0 the machine was shared.
    pub others_cores: Option<f64>,
}

impl Client<'_> {
    /// Runs a pass against a server, with this seed of its keys; `None` when it was interrupted.
    pub fn drive(&self, server: &mut Server, pass: &Pass, seed: u64) -> Result<Option<Driven>> {
        let folder = tempfile::tempdir()?;
        let (out, errors) = (folder.path().join("record"), folder.path().join("errors"));
        let mut command = Command::new(&self.program);
        command.args(&pass.words).arg("--out").arg(&out);
        if pass.takes_seed() {
            command.args(["--seed", &seed.to_string()]);
        }
        command.args(["--port", &server.port.to_string(), "--protocol", &server.speech.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(create(&errors)?).process_group(0);
        let before = server.sample().with_context(|| format!("{} has no /proc entry", server.name))?;
        let (clock, busy_before) = (Clock::start(), process::machine_busy_seconds());
        let mut child = Guarded(cores::spawn(&mut command, self.cores).context("cannot start the client")?);
        let mut rss_max_bytes = before.rss_bytes;
        let mut after = before;
        let mut looks = 0;
        let mut interrupted: Option<Clock> = None;
        let status = loop {
            if let Some(status) = child.0.try_wait()? {
                break status;
            }
            if interrupted.is_none() && self.stop.load(Ordering::Relaxed) {
                child.interrupt();
                interrupted = Some(Clock::start());
            }
            if interrupted.is_some_and(|since| since.seconds() > END_SECONDS_MAX) {
                return Ok(None);
            }
            if looks % LOOKS_PER_SAMPLE == 0
                && let Some(sample) = server.sample()
            {
                rss_max_bytes = rss_max_bytes.max(sample.rss_bytes);
                after = sample;
            }
            looks += 1;
            std::thread::sleep(LOOK_INTERVAL);
        };
        let busy = process::machine_busy_seconds().zip(busy_before).map(|(after, before)| after - before);
        let seconds = clock.seconds();
        // A server that is gone has used at least what it had used at the last look.
        after = server.sample().unwrap_or(after);
        if interrupted.is_some() {
            return Ok(None);
        }
        let Some(text) = procfs::read(&out.to_string_lossy()) else {
            server.check_alive()?;
            let words = procfs::read(&errors.to_string_lossy()).unwrap_or_default();
            let words: String = words.trim().chars().take(WORDS_SHOWN).collect();
            bail!("{:?} against {} gave no result ({status}): {words}", pass.text, server.name);
        };
        let record: Record = serde_json::from_str(&text).context("the client's result")?;
        let Results::Passes(mut passes) = record.results else { bail!("{:?} gives no passes", pass.text) };
        let mut report = passes.pop().context("a client without a pass")?;
        if report.failure.is_some() {
            // A server that dies closes its connections first.
            std::thread::sleep(LAST_WORDS);
        }
        if let Err(death) = server.check_alive() {
            // What the client saw until then counts, wrong values above all.
            report.failure = Some(format!("{death:#}"));
        }
        let client_seconds = report.client_cpu_us_per_operation.unwrap_or(0.0) * report.operations as f64 / 1e6;
        let known = client_seconds + (after.cpu_seconds - before.cpu_seconds);
        // A shorter pass is a few ticks of the kernel's clock.
        let others_cores = busy.filter(|_| seconds >= 1.0).map(|busy| ((busy - known) / seconds.max(1e-9)).max(0.0));
        let rss_max_bytes = rss_max_bytes.max(after.rss_bytes);
        Ok(Some(Driven { report, before, after, rss_max_bytes, others_cores }))
    }
}

/// A child that does not outlive its round.
struct Guarded(Child);

impl Guarded {
    fn interrupt(&self) {
        if let Some(process) = Pid::from_raw(self.0.id() as i32) {
            // It may have ended just now.
            let _ = kill_process(process, Signal::INT);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the client's words, nothing of the engine's")]
fn create(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    std::fs::File::create(path)
}
