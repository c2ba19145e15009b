//! The peer: redis-server on the same keys, started from its RDB file and from its AOF.
//!
//! Promises: what it has of its own accord (the AOF's RDB preamble) stays as it is.

use super::process::Program;
use super::report::RestartScene;
use super::scenes::{End, Stage, keys};
use crate::clock::Clock;
use anyhow::{Result, bail};
use std::path::Path;
use std::time::Duration;
use thermocline_resp::Value;

/// What a key takes in its memory beside its value; its files take less.
const OVERHEAD_BYTES: u64 = 100;
/// A rewrite of the AOF that is under way has so long to end.
const REWRITE_SECONDS_MAX: f64 = 300.0;
/// So has SAVE.
const SAVE_TIMEOUT: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Both files.
pub fn play(stage: &mut Stage<'_>, path: &Path) -> Result<()> {
    let (count, value_bytes) = (stage.arguments.keys, stage.arguments.value_size);
    let bytes = 2 * count * (u64::from(value_bytes) + OVERHEAD_BYTES);
    for (name, file, words) in [
        ("rdb", "its RDB file", ["--appendonly", "no", "--save", ""]),
        ("aof", "its AOF", ["--appendonly", "yes", "--save", ""]),
    ] {
        let at = stage.folder(name, bytes)?;
        let program = Program { path: path.to_path_buf(), words: words.map(str::to_owned).to_vec() };
        let process = stage.load(&program, at, count, value_bytes)?;
        stage.say("writing the file");
        if name == "rdb" {
            // By itself it writes none: no save points.
            let mut control = process.control()?;
            control.wait_for(SAVE_TIMEOUT)?;
            control.expect_ok(&["SAVE"])?;
        } else {
            let clock = Clock::start();
            while process.info(&["persistence"])?.number("aof_rewrite_in_progress") != Some(0) {
                if clock.seconds() > REWRITE_SECONDS_MAX {
                    bail!("a rewrite of the AOF has not ended after {REWRITE_SECONDS_MAX} s");
                }
                std::thread::sleep(LOOK_INTERVAL);
            }
        }
        let version = match process.control()?.call(&["INFO", "server"])? {
            Value::Bulk(text) | Value::Verbatim { text, .. } => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let number =
                    |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(|v| v.trim().to_owned()));
                number("valkey_version:").or_else(|| number("redis_version:"))
            }
            _ => None,
        };
        let program_name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{program_name} {}: {file}", version.unwrap_or_default());
        let end_s = Some(process.end()?);
        let scene = RestartScene { name, keys: count, end_s, ..RestartScene::default() };
        stage.starts(&program, at, &keys(count), scene, End::Clean)?;
        // Its files are large: the next one needs the room.
        if !stage.arguments.keep {
            stage.folders.pop();
        }
    }
    Ok(())
}
