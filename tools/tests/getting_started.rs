//! The commands of docs/GETTING-STARTED.md, run as they stand there: the page cannot rot.
//!
//! In `cargo test` the programs are the ones that were built beside this test, and a port of its own is put in: `git`, `cargo`,
//! `thermocline-server` and `redis-cli` are small scripts in front of `PATH`. With `THERMOCLINE_CLEAN_CLONE=1` it is a clone of the last commit, built by the
//! page's own command (ten minutes). Without bash, redis-cli or a server beside the tool it is skipped, in words.
#![expect(clippy::disallowed_methods, reason = "reads a page and prepares scripts")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many the page promises.
const COMMANDS: usize = 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The first block of commands on the page.
fn commands() -> String {
    let page = fs::read_to_string(root().join("docs/GETTING-STARTED.md")).unwrap();
    let (_, rest) = page.split_once("```sh\n").expect("a block of commands");
    rest.split_once("```").expect("its end").0.to_owned()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A program in front of all others of its name.
fn script(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/bash\n{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_page_has_ten_commands() {
    assert_eq!(commands().lines().count(), COMMANDS, "{}", commands());
}

#[test]
fn the_commands_of_the_page_end_with_the_value_out_of_the_backup() {
    let tool = Path::new(env!("CARGO_BIN_EXE_thermocline"));
    let server = tool.with_file_name("thermocline-server");
    let is_clean_clone = std::env::var("THERMOCLINE_CLEAN_CLONE").is_ok_and(|value| value == "1");
    let (Some(redis_cli), Some(_)) = (find("redis-cli"), find("bash")) else {
        eprintln!("SKIPPED: getting_started: redis-cli or bash is not installed");
        return;
    };
    if !is_clean_clone && !server.exists() {
        eprintln!("SKIPPED: getting_started: no {} (cargo build -p thermocline-server)", server.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scripts = folder.path().join("scripts");
    fs::create_dir(&scripts).unwrap();
    let port = thermocline_port::Port::reserve().unwrap();
    // `redis-cli` waits for the server: a machine that is busy may need more than the two seconds of the page.
    let wait = format!(
        "for i in {{1..600}}; do {0} -p {port} PING 2>/dev/null | grep -q PONG && break; sleep 0.1; done",
        redis_cli.display()
    );
    script(&scripts, "redis-cli", &format!("{wait}\nexec {} -p {port} \"$@\"", redis_cli.display()));
    let small = format!("--port {port} --maxmemory 64mb --maxdisk 256mb");
    if is_clean_clone {
        let git = find("git").expect("git");
        // What the page's clone gets once this commit is where its address points.
        script(
            &scripts,
            "git",
            &format!("exec {} clone --quiet --no-local {} thermocline", git.display(), root().display()),
        );
        script(&scripts, "thermocline-server", &format!("exec target/release/thermocline-server \"$@\" {small}"));
    } else {
        script(&scripts, "git", "mkdir thermocline");
        script(&scripts, "cargo", "true");
        script(&scripts, "thermocline", &format!("exec {} \"$@\"", tool.display()));
        script(&scripts, "thermocline-server", &format!("exec {} \"$@\" {small}", server.display()));
    }
    // The page puts the built programs in front; here the scripts stay there.
    let commands =
        commands().replace("PATH=\"$PWD/target/release:$PATH\"", "PATH=\"$SCRIPTS:$PWD/target/release:$PATH\"");
    let text = format!("set -e -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{commands}wait\n");
    let mut bash = Command::new("bash");
    let path = std::env::join_paths(
        std::iter::once(scripts.clone()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    bash.args(["-c", &text]).current_dir(folder.path()).env("PATH", path.unwrap()).env("SCRIPTS", &scripts);
    // Cargo's own words to this test are none of a newcomer's.
    bash.env_remove("CARGO_TARGET_DIR");
    let output = bash.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{error}", output.status);
    for words in ["OK\n", "first\n", "backup_last_status:ok", "clean\n", "first restored to ./demo/data-restored"] {
        assert!(out.contains(words), "no {words:?} in:\n{out}{error}");
    }
    let value = out.lines().rfind(|line| !line.is_empty() && !line.contains("INFO"));
    assert_eq!(value, Some("hello"), "{out}{error}");
}
