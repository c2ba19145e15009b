//! Restarts on real files: from a checkpoint that was written beside commands, from directories of older formats, and warm.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thermocline::log::superblock;
use thermocline::{Access, Changes, Durability, Engine, Expiry, Kind, Options, Stats, SystemClock, Tier, block_on};
use thermocline_io::{BackendChoice, open_directory};

fn options() -> Options {
    Options {
        max_memory: 64 << 20,
        max_disk: 64 << 20,
        durability: Durability::Always,
        map_gap_bytes: 64 << 10,
        checkpoint_gap_bytes: 256 << 10,
        tiny: true,
        ..Options::default()
    }
}

fn open(path: &Path) -> Engine {
    let disk = open_directory(path, BackendChoice::Auto).unwrap();
    Engine::open(disk, options(), Arc::new(SystemClock::new())).unwrap()
}

fn set(engine: &Engine, number: u32, value: &[u8]) {
    let name = number.to_be_bytes();
    let key = engine.key(engine.space(0), &name);
    let (_, done) = block_on(engine.run(&[(key, Access::Overwrite)], &mut Changes::new(1), |_, changes| {
        changes.put(0, Kind::String, value, Expiry::Clear);
    }))
    .unwrap();
    if number.is_multiple_of(500) {
        block_on(engine.durable(done.wait_seq)).unwrap();
    }
}

fn get(engine: &Engine, number: u32) -> (Option<Vec<u8>>, Tier) {
    let name = number.to_be_bytes();
    let key = engine.key(engine.space(0), &name);
    let (value, done) = block_on(
        engine.run(&[(key, Access::Read)], &mut Changes::new(1), |views, _| views[0].map(|v| v.value.to_vec())),
    )
    .unwrap();
    (value, done.tier)
}

/// The background gets there; how long that takes is the machine's business.
fn until(engine: &Engine, mut done: impl FnMut(&Stats) -> bool) {
    while !done(&engine.stats()) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A copy of a store's files as a killed process leaves them. A copy takes a while, so nothing may be written meanwhile.
fn leave(engine: &Engine, from: &Path) -> tempfile::TempDir {
    let mut written = 0;
    until(engine, |stats| {
        std::thread::sleep(Duration::from_millis(300));
        let due = stats.map_age_log_bytes >= options().map_gap_bytes
            || stats.checkpoint_age_log_bytes >= options().checkpoint_gap_bytes;
        !due && std::mem::replace(&mut written, stats.device_bytes_written) == stats.device_bytes_written
    });
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn a_checkpoint_written_beside_commands_serves_and_what_came_after_it_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    for number in 0..=4000 {
        set(&engine, number, &[1; 300]);
    }
    until(&engine, |stats| stats.checkpoints_written > 0 && stats.maps_written > 1);
    for number in (0..=4000).step_by(2) {
        set(&engine, number, &[2; 200]);
    }
    let left = leave(&engine, folder.path());
    let again = open(left.path());
    assert!(again.recovery().checkpoint && !again.recovery().checkpoint_refused, "{:?}", again.recovery());
    again.check().unwrap();
    let again_io = again.spawn_driver().unwrap();
    for number in 0..=4000 {
        let want = if number % 2 == 0 { vec![2; 200] } else { vec![1; 300] };
        assert_eq!(get(&again, number).0, Some(want), "{number}");
    }
    for (engine, io) in [(engine, io), (again, again_io)] {
        block_on(engine.close()).unwrap();
        io.join().unwrap();
    }
}

#[test]
fn the_hot_set_comes_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    for number in 0..=2000 {
        set(&engine, number, &[3; 300]);
    }
    until(&engine, |_| engine.stats().warm_up_entries == 0);
    block_on(engine.close()).unwrap();
    io.join().unwrap();
    drop(engine);
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    until(&engine, |stats| stats.warm_up_entries > 0 && stats.warm_up_done == stats.warm_up_entries);
    assert_eq!(engine.stats().warm_up_promoted, 2001);
    engine.check().unwrap();
    assert_eq!(get(&engine, 77), (Some(vec![3; 300]), Tier::Hot));
    block_on(engine.close()).unwrap();
    io.join().unwrap();
}

#[test]
fn directories_of_older_formats_open_after_a_crash() {
    (1..superblock::FORMAT).for_each(a_directory_opens_after_a_crash);
}

fn a_directory_opens_after_a_crash(format: u32) {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    for number in 0..=3000 {
        set(&engine, number % 1500, &number.to_be_bytes());
    }
    until(&engine, |stats| stats.maps_written > 0);
    set(&engine, 500, b"last");
    let left = leave(&engine, folder.path());
    for name in superblock::FILES {
        let path = left.path().join(name);
        #[expect(clippy::disallowed_methods, reason = "the format is turned back by hand")]
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8..12].copy_from_slice(&format.to_le_bytes());
        let used = 64 + 4 * u32::from_le_bytes(bytes[52..56].try_into().unwrap()) as usize;
        let cuts = u32::from_le_bytes(bytes[56..60].try_into().unwrap()) as usize;
        let crc = crc32fast::hash(&bytes[4..used + 12 * cuts]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        #[expect(clippy::disallowed_methods, reason = "the format is turned back by hand")]
        std::fs::write(&path, bytes).unwrap();
    }
    let again = open(left.path());
    again.check().unwrap();
    assert_eq!(again.length(again.space(0)), 1500);
    let again_io = again.spawn_driver().unwrap();
    assert_eq!(get(&again, 500).0.as_deref(), Some(&b"last"[..]));
    assert_eq!(get(&again, 1499).0, Some(2999u32.to_be_bytes().to_vec()));
    for (engine, io) in [(engine, io), (again, again_io)] {
        block_on(engine.close()).unwrap();
        io.join().unwrap();
    }
}
