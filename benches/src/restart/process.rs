//! A server that is started, asked for one value, ended, and started again on the same folder.
//!
//! Promises: the process does not outlive this value; the time of a start ends with the first value that is served, byte by byte
//! the right one.

use crate::clock::Clock;
use crate::control::{Control, Target};
use crate::observe::Info;
use crate::procfs;
use crate::value::{self, Expected, KeyId};
use crate::wire::{KeyText, Speech};
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use thermocline_port::Port;
use thermocline_resp::Value;

/// Between two questions whether it serves.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Between two looks whether it has ended.
const END_INTERVAL: Duration = Duration::from_millis(5);
/// A start that takes longer is given up.
const SERVED_SECONDS_MAX: f64 = 600.0;
/// So is an end.
const END_SECONDS_MAX: f64 = 300.0;
const LINES_SHOWN: usize = 5;

/// A folder of a server: made new, removed when it is dropped.
pub struct Folder {
    made: TempDir,
}

impl Folder {
    /// A new folder with a name of its own.
    pub fn make(parent: &Path, name: &str) -> Result<Self> {
        let made = tempfile::Builder::new().prefix(&format!("thermocline-restart-{name}-")).tempdir_in(parent);
        let made = made.with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        std::fs::create_dir(made.path().join("data"))?;
        Ok(Self { made })
    }

    /// The server's.
    pub fn data(&self) -> PathBuf {
        self.made.path().join("data")
    }

    /// Removes files of the server by their names, if they are there.
    pub fn remove(&self, names: &[&str]) -> Result<()> {
        for name in names {
            match std::fs::remove_file(self.data().join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {name}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Leaves it where it is.
    pub fn keep(self) -> PathBuf {
        self.made.keep()
    }

    fn output(&self) -> PathBuf {
        self.made.path().join("output")
    }
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Its words, beside port, address and folder.
    pub words: Vec<String>,
}

/// The keys of a store, as `load` made them.
#[derive(Debug, Clone)]
pub struct Keys {
    /// How many.
    pub count: u64,
    /// How they are spelt.
    pub text: KeyText,
}

/// A running server.
pub struct Process {
    child: Child,
    /// Its port on the loopback.
    pub port: Port,
    output: PathBuf,
}

/// What was seen of a start.
pub struct Served {
    /// From the start of the process to the first value.
    pub seconds: f64,
    /// The value was not there.
    pub lost: bool,
    /// It had a wrong byte: in words.
    pub wrong: Option<String>,
}

impl Process {
    /// Starts a server on a folder.
    pub fn start(program: &Program, folder: &Folder) -> Result<Self> {
        let port = Port::reserve()?;
        let output = output_file(&folder.output())?;
        let child = Command::new(&program.path)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(folder.data())
            .args(&program.words)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for this tool: it ends the server itself.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        Ok(Self { child, port, output: folder.output() })
    }

    /// Starts it and waits for the first value; `keys` of which one is asked for, none for an empty store.
    pub fn serve(program: &Program, folder: &Folder, keys: Option<&Keys>, stop: &AtomicBool) -> Result<(Self, Served)> {
        let clock = Clock::start();
        let mut process = Self::start(program, folder)?;
        let asked = KeyId(keys.map_or(0, |keys| keys.count / 2));
        let mut name = Vec::new();
        if let Some(keys) = keys {
            keys.text.key(asked).append(&mut name);
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        let question = if keys.is_some() { vec!["GET", name.as_str()] } else { vec!["PING"] };
        let mut control = None;
        loop {
            let answer = match &mut control {
                None => match Control::connect(&Target::local(process.port.number(), Speech::Resp)) {
                    Ok(connected) => {
                        control = Some(connected);
                        continue;
                    }
                    Err(_) => None,
                },
                Some(connected) => connected.call(&question).ok(),
            };
            let seconds = clock.seconds();
            match answer {
                Some(Value::Error(words)) if words.starts_with(b"LOADING") => {}
                Some(Value::Error(words)) => bail!("GET: {}", String::from_utf8_lossy(&words)),
                Some(Value::Bulk(bytes)) => {
                    let wrong = value::verify(&bytes, asked, Expected::AnyVersion).err();
                    let wrong = wrong.map(|wrong| format!("{name}: {wrong}"));
                    return Ok((process, Served { seconds, lost: false, wrong }));
                }
                Some(_) => return Ok((process, Served { seconds, lost: keys.is_some(), wrong: None })),
                // A connection that was refused or ended: a new one.
                None => control = None,
            }
            process.check_alive()?;
            if stop.load(Ordering::Relaxed) {
                bail!("interrupted while the server was starting");
            }
            if seconds > SERVED_SECONDS_MAX {
                bail!("the server does not serve after {SERVED_SECONDS_MAX} s: {}", process.last_words());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// An error with its last words if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended ({status}): {}", self.last_words()),
            None => Ok(()),
        }
    }

    /// A connection to ask questions on.
    pub fn control(&self) -> Result<Control> {
        Control::connect(&Target::local(self.port.number(), Speech::Resp))
    }

    /// INFO, all of it that is asked for.
    pub fn info(&self, sections: &[&str]) -> Result<Info> {
        let mut control = self.control()?;
        let mut info = Info::default();
        for section in sections {
            if let Value::Bulk(text) | Value::Verbatim { text, .. } = control.call(&["INFO", section])? {
                info.extend(Info::parse(&String::from_utf8_lossy(&text)));
            }
        }
        Ok(info)
    }

    /// Keys that it has.
    pub fn keys(&self) -> Result<u64> {
        match self.control()?.call(&["DBSIZE"])? {
            Value::Integer(keys) => Ok(keys.max(0) as u64),
            other => bail!("DBSIZE answered {other:?}"),
        }
    }

    /// Highest resident memory so far.
    pub fn rss_peak_bytes(&self) -> Option<u64> {
        procfs::sample(self.child.id()).map(|sample| sample.rss_peak_bytes)
    }

    /// SIGTERM; the seconds until it is gone.
    pub fn end(mut self) -> Result<f64> {
        let clock = Clock::start();
        self.signal(Signal::TERM);
        while clock.seconds() < END_SECONDS_MAX {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the server ended badly ({status}): {}", self.last_words());
                }
                return Ok(clock.seconds());
            }
            std::thread::sleep(END_INTERVAL);
        }
        bail!("the server has not ended {END_SECONDS_MAX} s after SIGTERM: {}", self.last_words())
    }

    /// kill -9.
    pub fn kill(self) {
        drop(self);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = Pid::from_raw(self.child.id() as i32) {
            // It may have ended just now.
            let _ = kill_process(process, signal);
        }
    }

    fn last_words(&self) -> String {
        let text = procfs::read(&self.output.to_string_lossy()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("; ");
        if shown.is_empty() { "it said nothing".to_owned() } else { shown }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the output of a server, nothing of the engine's")]
fn output_file(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::create(path)
}
