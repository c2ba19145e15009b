//! Power cuts under the real server: ext4 and xfs on loop devices, shut down in the middle of writing.
//!
//! The server is stopped first, so it answers nothing that it learnt after the cut; then the file system is shut down without a
//! flush of its log, the process killed, and what reached the device mounted again. What was in the page cache or the journal's
//! buffers is gone. What the file system handed to the loop device counts as durable, flushed or not: devices that forget
//! what was not flushed are the simulation's part.
//!
//! THERMOCLINE_POWER_CUTS says how many for each file system and mode (default 5). Skipped with a line on stderr without root,
//! loop devices, mkfs or xfs_io.
//! Promises checked: those of the kill loop (crash/campaign.rs); `always` loses nothing, `everysec` at most 2 s of a prefix.

use std::time::Instant;

use crate::campaign::Campaign;
use crate::file_system::{FileSystem, run};
use crate::process::{Server, now, say};

#[path = "../crash/campaign.rs"]
mod campaign;
mod file_system;
#[path = "../crash/oracle.rs"]
mod oracle;
#[path = "../promises/process.rs"]
#[expect(dead_code, reason = "each test folder uses a part of it")]
mod process;
#[path = "../crash/value.rs"]
mod value;
#[path = "../crash/writer.rs"]
#[expect(dead_code, reason = "each test folder uses a part of it")]
mod writer;

const CUTS: u64 = 5;
/// The store's 160 MB, a journal, and what xfs wants at least.
const FILE_SYSTEM_BYTES: u64 = 512 << 20;

fn cuts() -> u64 {
    std::env::var("THERMOCLINE_POWER_CUTS")
        .map_or(CUTS, |text| text.parse().expect("THERMOCLINE_POWER_CUTS is a number"))
}

fn cut(system: &FileSystem, server: &mut Server) -> Instant {
    run("kill", &["-STOP", &server.id().to_string()]).expect("it runs");
    let stopped = now();
    system.cut_power().expect("it could be cut when this began");
    server.kill();
    system.restore_power().expect("a journalling file system mounts after a power cut");
    stopped
}

/// Cuts under `always`, then under `everysec`.
fn power_cuts(kind: &'static str) {
    let mounted = FileSystem::mount(kind, FILE_SYSTEM_BYTES).and_then(|system| {
        system.cut_power()?;
        system.restore_power()?;
        Ok(system)
    });
    let system = match mounted {
        Ok(system) => system,
        Err(why) => {
            say(&format!("SKIPPED: power cuts on {kind} need root, a loop device, mkfs.{kind} and xfs_io: {why}"));
            return;
        }
    };
    for appendfsync in ["always", "everysec"] {
        let data = system.path().join(appendfsync);
        let campaign = Campaign { name: &format!("power cut on {kind}"), data, appendfsync, rounds: cuts() };
        let seen = campaign.run(|server| cut(&system, server));
        assert!(seen.acknowledged > 0);
        assert!(appendfsync != "always" || seen.lost == 0, "{seen:?}");
        std::fs::remove_dir_all(&campaign.data).expect("ours, and its server is gone");
    }
}

#[test]
fn power_cuts_on_ext4_lose_nothing_with_always_and_two_seconds_at_most_with_everysec() {
    power_cuts("ext4");
}

#[test]
fn power_cuts_on_xfs_lose_nothing_with_always_and_two_seconds_at_most_with_everysec() {
    power_cuts("xfs");
}
