//! A server that takes part: started on its cores in a folder of its own, watched, and gone at the end.
//!
//! Promises: it is stopped (SIGTERM, then SIGKILL, its whole process group) and its folder removed when this value is
//! dropped, also by a panic; what it said is shown when it does not start. It is a process group of its own, so that Ctrl-C
//! on the terminal reaches only this tool, which then ends in order.

use super::ask;
use super::cores::{self, Cores};
use super::memory_group::MemoryGroup;
use super::process;
use super::target::{Places, TargetSpec};
use crate::clock::Clock;
use crate::procfs::ProcessSample;
use crate::wire::Speech;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use thermocline_port::Port;

/// A server that is not ready by then is given up.
const READY_SECONDS_MAX: f64 = 60.0;
/// A server that has not ended by then is killed.
const END_SECONDS_MAX: f64 = 10.0;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// A server is at rest when it used at most one clock tick in this time.
const REST_WINDOW: Duration = Duration::from_millis(250);
const REST_CPU_SECONDS: f64 = 0.011;
const REST_SECONDS_MAX: f64 = 30.0;
/// Lines of its output that are shown when it fails.
const LINES_SHOWN: usize = 20;

/// Where and how servers are started.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Cores of the server.
    pub cores: Option<&'a Cores>,
    /// Folder in which each gets a folder.
    pub dir: &'a Path,
    /// `{memory}`.
    pub memory_bytes: Option<u64>,
    /// Limit of its memory group, if it shall have one.
    pub group_bytes: Option<u64>,
}

/// A running server.
pub struct Server {
    /// Its name in the tables.
    pub name: String,
    /// Its port on the loopback.
    pub port: Port,
    /// Its language.
    pub speech: Speech,
    /// By itself.
    pub version: String,
    child: Child,
    /// Removed behind the process (fields are dropped in order).
    group: Option<MemoryGroup>,
    folder: TempDir,
}

impl Server {
    /// Starts a server and waits until it answers; `stop` ends the wait.
    pub fn start(spec: &TargetSpec, surroundings: Surroundings<'_>, stop: &AtomicBool) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("thermocline-compare-")
            .tempdir_in(surroundings.dir)
            .with_context(|| format!("cannot make a folder in {}", surroundings.dir.display()))?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let port = Port::reserve()?;
        let places = Places { port: port.number(), dir: &data, memory_bytes: surroundings.memory_bytes };
        let words = spec.words(places)?;
        let output = output_file(folder.path())?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).process_group(0);
        command.stdout(output.try_clone()?).stderr(output);
        let group = surroundings.group_bytes.map(MemoryGroup::create).transpose()?;
        let child = cores::spawn(&mut command, surroundings.cores)
            .with_context(|| format!("cannot start {}: {}", spec.name, words[0]))?;
        let name = spec.name.clone();
        let mut server = Self { name, port, speech: spec.speech, version: String::new(), child, group, folder };
        if let Some(group) = &server.group {
            group.add(server.child.id())?;
        }
        server.version = server.wait_until_ready(stop)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, stop: &AtomicBool) -> Result<String> {
        let clock = Clock::start();
        loop {
            self.check_alive()?;
            match ask::version(self.port.number(), self.speech) {
                Ok(version) => return Ok(version),
                Err(error) if clock.seconds() > READY_SECONDS_MAX => {
                    return Err(error.context(format!(
                        "{} is not ready after {READY_SECONDS_MAX} s; its output:\n{}",
                        self.name,
                        self.output()
                    )));
                }
                Err(_) => {}
            }
            if stop.load(Ordering::Relaxed) {
                bail!("interrupted while {} was starting", self.name);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// An error with its last words if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} has ended ({status}); its output:\n{}", self.name, self.output()),
            None => Ok(()),
        }
    }

    /// What it costs so far.
    pub fn sample(&self) -> Option<ProcessSample> {
        process::sample_tree(self.child.id())
    }

    /// Keys held now.
    pub fn keys(&self) -> Option<u64> {
        ask::keys(self.port.number(), self.speech).ok()
    }

    /// Waits until it does nothing; false if it does not come to rest.
    pub fn wait_for_rest(&self, stop: &AtomicBool) -> bool {
        let clock = Clock::start();
        while clock.seconds() < REST_SECONDS_MAX && !stop.load(Ordering::Relaxed) {
            let before = self.sample();
            std::thread::sleep(REST_WINDOW);
            match before.zip(self.sample()) {
                Some((before, after)) if after.cpu_seconds - before.cpu_seconds > REST_CPU_SECONDS => {}
                _ => return true,
            }
        }
        false
    }

    /// Its last lines.
    fn output(&self) -> String {
        let text = crate::procfs::read(&self.folder.path().join("output").to_string_lossy()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].iter().map(|line| format!("  | {line}"));
        let shown: Vec<String> = shown.collect();
        if shown.is_empty() { "  (nothing)".to_owned() } else { shown.join("\n") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(group) = Pid::from_raw(self.child.id() as i32) else { return };
        // The group may be gone already: then there is nothing to stop.
        let _ = kill_process_group(group, Signal::TERM);
        let clock = Clock::start();
        while clock.seconds() < END_SECONDS_MAX && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK_INTERVAL);
        }
        // Also when the first process has ended: what it started may have stayed.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the output of a server, nothing of the engine's")]
fn output_file(folder: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::create(folder.join("output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &str) -> Result<Server> {
        let dir = std::env::temp_dir();
        let surroundings = Surroundings { cores: None, dir: &dir, memory_bytes: None, group_bytes: None };
        Server::start(&command.parse()?, surroundings, &AtomicBool::new(false))
    }

    #[test]
    fn a_server_that_dies_on_start_is_reported_with_its_output() {
        let error = start("broken=sh -c 'echo no such port {port}; echo bad luck >&2; exit 7'").err().unwrap();
        let words = format!("{error:#}");
        for expected in ["broken has ended", "exit status: 7", "no such port", "bad luck"] {
            assert!(words.contains(expected), "{expected}: {words}");
        }
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let words = format!("{:#}", start("ghost=/does/not/exist {port}").err().unwrap());
        assert!(words.contains("cannot start ghost: /does/not/exist"), "{words}");
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_server() {
        let dir = std::env::temp_dir();
        let surroundings = Surroundings { cores: None, dir: &dir, memory_bytes: None, group_bytes: None };
        let spec = "mute=sh -c 'sleep 60; : {port}'".parse().unwrap();
        let words = format!("{:#}", Server::start(&spec, surroundings, &AtomicBool::new(true)).err().unwrap());
        assert!(words.contains("interrupted"), "{words}");
    }
}
