//! The demo's own server: found, started in a folder of its own on a free port, and gone without a trace at the end.
//!
//! Promises: dropping it kills the process and removes the folder, whatever happened before. Never touches another server.

use crate::control::{Control, Target};
use crate::wire::Speech;
use anyhow::{Context as _, Result, bail};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use thermocline_port::Port;

const NAME: &str = "thermocline-server";
const LOG: &str = "server.log";
const DATA: &str = "data";
const READY_CHECKS: usize = 200;
const READY_INTERVAL: Duration = Duration::from_millis(50);
const LOG_LINES_SHOWN: usize = 5;

/// What it is started with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Its `maxmemory`.
    pub memory_bytes: u64,
    /// Its `maxdisk`.
    pub disk_bytes: u64,
    /// In which folder its own folder is made.
    pub parent: PathBuf,
}

/// A running server with its folder.
pub struct DemoServer {
    child: Child,
    folder: Folder,
    /// Where it listens.
    pub target: Target,
}

/// A folder that is removed with everything in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // At the end of a demo there is nobody to tell; the folder lies among temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The server beside this program, else the first on PATH.
pub fn find() -> Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_path_buf()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(NAME)).find(|program| program.is_file());
    found.with_context(|| format!("no {NAME} beside this program or on PATH: build it, or give --server PATH"))
}

impl DemoServer {
    /// Starts it and waits until it answers.
    pub fn start(plan: &Plan) -> Result<Self> {
        let port = Port::reserve()?;
        let path = plan.parent.join(format!("thermocline-demo-{}-{port}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        let folder = Folder(path);
        let log = create(&folder.0.join(LOG))?;
        let child = Command::new(&plan.program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendfsync", "everysec"])
            .args(["--maxmemory", &plan.memory_bytes.to_string(), "--maxdisk", &plan.disk_bytes.to_string()])
            .arg("--dir")
            .arg(folder.0.join(DATA))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for the demo: it ends the server itself.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", plan.program.display()))?;
        let target = Target::local(port.number(), Speech::Resp);
        let mut server = Self { child, folder, target };
        for _ in 0..READY_CHECKS {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended ({status}): {}", plan.program.display(), server.last_words());
            }
            if Control::connect(&server.target).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(READY_INTERVAL);
        }
        bail!("{} does not answer on port {port}: {}", plan.program.display(), server.last_words())
    }

    /// The end of what it wrote.
    pub fn last_words(&self) -> String {
        let log = self.folder.0.join(LOG);
        let text = log.to_str().and_then(crate::procfs::read).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("; ")
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not end in order. It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the log of a child process, nothing of the engine's")]
fn create(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_words_and_leaves_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let program = parent.path().join("no-server");
        std::os::unix::fs::symlink("/bin/false", &program).unwrap();
        let plan = Plan { program, memory_bytes: 1, disk_bytes: 1, parent: parent.path().to_path_buf() };
        let words = format!("{:#}", DemoServer::start(&plan).err().unwrap());
        assert!(words.contains("no-server ended"), "{words}");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "only the program is left");
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let program = parent.path().join("missing");
        let plan = Plan { program, memory_bytes: 1, disk_bytes: 1, parent: parent.path().to_path_buf() };
        let words = format!("{:#}", DemoServer::start(&plan).err().unwrap());
        assert!(words.contains("cannot start") && words.contains("missing"), "{words}");
    }
}
