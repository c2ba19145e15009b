//! Runs the tool and looks at how it ended.
//!
//! Promises: a directory whose lock a child of another test still has a copy of is asked again. Never: a shell.

use std::process::{Command, Output};
use std::time::Duration;

/// The tool with this operation.
pub fn tool(operation: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thermocline"));
    command.arg(operation);
    command
}

/// Runs it: exit code, standard output, standard error. A lock that was given back may live on for a moment: the child of another test's thread has a copy of its descriptor between
/// fork and exec.
pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    for round in 0.. {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        if !error.contains("in use by process") || round == 20 {
            return (status.code(), String::from_utf8(stdout).unwrap(), error);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    unreachable!("the last round answers")
}

/// Runs what must go well; its standard output.
pub fn works(command: &mut Command) -> String {
    let (code, out, error) = run(command);
    assert_eq!(code, Some(0), "{command:?}: {out}{error}");
    out
}

/// The same, with JSON for output.
pub fn json(command: &mut Command) -> serde_json::Value {
    let out = works(command);
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}"))
}

/// Runs what must fail with words; they.
pub fn fails(command: &mut Command) -> String {
    let (code, out, error) = run(command);
    assert_eq!(code, Some(1), "{command:?}: {out}{error}");
    error
}
