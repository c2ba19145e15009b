//! Measures restarts: fills a directory, leaves it in one of several ways, opens it again and says what that took.
//!
//! ```text
//!  restart fill DIR KEYS VALUE_BYTES [MEMORY_MIB] [DISK_MIB]     fills it and dies without a shutdown
//!  restart touch DIR KEYS VALUE_BYTES LOG_MIB [..]                checkpoint, then so much more log, and dies
//!  restart close DIR [..]                                         opens it and shuts it down
//!  restart open DIR [..]                                          opens it, prints figures, dies
//! ```
//! Promises: prints seconds, keys, peak resident memory. Never: cleans up.

use std::error::Error;
use std::path::Path;
use thermocline::{
    Access, BackendChoice, Changes, Clock, Durability, Engine, Expiry, Kind, Options, SystemClock, block_on,
};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| words.get(at).and_then(|w| w.parse::<u64>().ok()).unwrap_or(otherwise);
    let (Some(verb), Some(directory)) = (words.first(), words.get(1)) else {
        return Err("see the head of this file for the arguments".into());
    };
    let sizes = match verb.as_str() {
        "fill" => 4,
        "touch" => 5,
        _ => 2,
    };
    let options = Options {
        max_memory: number(sizes, 512) << 20,
        max_disk: number(sizes + 1, 24 << 10) << 20,
        durability: Durability::EverySecond,
        workers: 2,
        hot_list: !words.contains(&"--cold".to_owned()),
        ..Options::default()
    };
    let clock = SystemClock::new();
    let engine = Engine::open_directory(Path::new(directory), options, BackendChoice::Auto)?;
    let opened_us = clock.monotonic_us();
    let report = engine.recovery().clone();
    println!(
        "opened in {:.3} s (recovery {:.3} s): {} keys, clean {}, checkpoint {}, {} replayed, peak {} MiB",
        opened_us as f64 / 1e6,
        report.us as f64 / 1e6,
        report.keys,
        report.clean,
        report.checkpoint,
        report.replayed,
        peak_mib()?
    );
    for note in &report.notes {
        println!("  {note}");
    }
    match verb.as_str() {
        "fill" => write(&engine, number(2, 1_000_000), number(3, 16), u64::MAX)?,
        "touch" => write(&engine, number(2, 1_000_000), number(3, 16), number(4, 256) << 20)?,
        "close" => {
            let io = engine.spawn_driver()?;
            let closed = block_on(engine.close())?;
            io.join().map_err(|_| "the driver panicked")?;
            println!("closed in {:.3} s, {} keys", closed.us as f64 / 1e6, closed.keys);
            return Ok(());
        }
        "warm" => {
            let _io = engine.spawn_driver()?;
            loop {
                std::thread::sleep(std::time::Duration::from_millis(100));
                let stats = engine.stats();
                let seconds = (clock.monotonic_us() - opened_us) as f64 / 1e6;
                println!(
                    "{seconds:.1} s: {} of {}, {} back",
                    stats.warm_up_done, stats.warm_up_entries, stats.warm_up_promoted
                );
                if stats.warm_up_done >= stats.warm_up_entries || seconds > 60.0 {
                    break;
                }
            }
        }
        _ => {}
    }
    let stats = engine.stats();
    println!(
        "log {} MiB on disk, {} live; maps {} ({} bytes, {} log bytes ago), checkpoints {} ({} bytes, {} log bytes ago), index {} MiB, peak {} MiB",
        stats.disk_used >> 20,
        stats.disk_live >> 20,
        stats.maps_written,
        stats.map_bytes,
        stats.map_age_log_bytes,
        stats.checkpoints_written,
        stats.checkpoint_bytes,
        stats.checkpoint_age_log_bytes,
        stats.index_bytes >> 20,
        peak_mib()?
    );
    std::process::abort()
}

/// Writes each key once, or random ones until the log has grown by so much.
fn write(engine: &Engine, keys: u64, value_bytes: u64, log_bytes: u64) -> Result<(), Box<dyn Error>> {
    let _io = engine.spawn_driver()?;
    let value = vec![b'v'; value_bytes as usize];
    let (mut written, mut random) = (0, 88_172_645_463_325_252u64);
    let space = engine.space(0);
    let mut changes = Changes::new(1);
    let mut wait_seq = 0;
    for number in 0.. {
        let key = if log_bytes == u64::MAX {
            if number == keys {
                break;
            }
            number
        } else {
            if written >= log_bytes {
                break;
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % keys
        };
        let name = format!("key:{key:012}");
        let keyed = [(engine.key(space, name.as_bytes()), Access::Overwrite)];
        let ((), done) = block_on(engine.run(&keyed, &mut changes, |_, changes| {
            changes.put(0, Kind::String, &value, Expiry::Clear);
        }))?;
        wait_seq = done.wait_seq.max(wait_seq);
        written += (40 + value_bytes).next_multiple_of(16);
    }
    block_on(engine.durable(wait_seq))?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    Ok(())
}

fn peak_mib() -> Result<u64, Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "not a file of a store")]
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? >> 10)
}
