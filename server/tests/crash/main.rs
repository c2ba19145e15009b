//! kill -9 of the real server under load, again and again; an oracle outside decides what must be there.
//!
//! THERMOCLINE_KILLS says how many (default 6 for each mode). Promises checked: those of campaign.rs; `always` loses nothing
//! acknowledged, `everysec` at most 2 s.

use crate::campaign::{Campaign, Seen};
use crate::process::now;

mod campaign;
mod oracle;
#[path = "../promises/process.rs"]
#[expect(dead_code, reason = "each test folder uses a part of it")]
mod process;
mod value;
#[expect(dead_code, reason = "each test folder uses a part of it")]
mod writer;

const KILLS: u64 = 6;
/// So many changes are more than the disk holds. A machine that is too busy for them tests less.
const ENOUGH_TO_WRAP: usize = 45_000;

fn kills() -> u64 {
    std::env::var("THERMOCLINE_KILLS").map_or(KILLS, |text| text.parse().expect("THERMOCLINE_KILLS is a number"))
}

fn kill_loop(appendfsync: &'static str) -> Seen {
    let directory = tempfile::tempdir().expect("a directory");
    let campaign = Campaign { name: "kill -9", data: directory.path().join("data"), appendfsync, rounds: kills() };
    campaign.run(|server| {
        let killed = now();
        server.kill();
        killed
    })
}

#[test]
fn always_loses_nothing_that_was_acknowledged() {
    let seen = kill_loop("always");
    assert!(seen.acknowledged > 0 && seen.lost == 0 && seen.lost_max.is_zero());
}

#[test]
fn everysec_loses_two_seconds_at_most_and_keeps_a_prefix() {
    let seen = kill_loop("everysec");
    assert!(seen.acknowledged > 0);
    if seen.acknowledged >= ENOUGH_TO_WRAP {
        assert!(seen.cold_hits > 0 && seen.segments_compacted > 0, "it must be larger than memory and wrap: {seen:?}");
    }
}
