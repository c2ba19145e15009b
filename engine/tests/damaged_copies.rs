//! One damaged copy of a superblock or a map costs nothing.
//!
//! The story: each generation was written to one file only, in turn, and what relied on it did not wait for a second copy. With
//! the newest superblock damaged, the clean mark of the shutdown before it was believed, and everything written since was skipped
//! without a word. With the newest map damaged, an older one called versions live that had been deleted: the tombstones' segments
//! had been reused by right of the newer one. Since then both files hold a generation before anything relies on it.

use std::path::Path;
use std::sync::Arc;
use thermocline::log::{map, superblock};
use thermocline::{Access, Changes, Durability, Engine, Expiry, Kind, Options, SystemClock, block_on};
use thermocline_io::{BackendChoice, open_directory};

const KEYS: u32 = 2000;
/// Several times what the disk holds.
const ROUNDS: u32 = 12;
/// Changes that are not waited for one by one.
const GROUP: u32 = 250;

fn options() -> Options {
    Options { max_memory: 64 << 20, max_disk: 4 << 20, durability: Durability::Always, ..Options::default() }
}

fn open(path: &Path) -> Engine {
    let disk = open_directory(path, BackendChoice::Auto).unwrap();
    Engine::open(disk, options(), Arc::new(SystemClock::new())).unwrap()
}

/// What a key holds after some round: every third round takes it away.
fn content(number: u32, round: u32) -> Option<Vec<u8>> {
    let turn = number.wrapping_mul(0x9E37_79B9) >> 16;
    (!(turn + round).is_multiple_of(3)).then(|| [number.to_le_bytes(), round.to_le_bytes()].concat().repeat(80))
}

fn write(engine: &Engine, numbers: std::ops::Range<u32>, round: u32) {
    for number in numbers {
        let name = number.to_be_bytes();
        let key = engine.key(engine.space(0), &name);
        let value = content(number, round);
        let (_, done) = block_on(engine.run(&[(key, Access::Overwrite)], &mut Changes::new(1), |_, changes| {
            match &value {
                Some(value) => changes.put(0, Kind::String, value, Expiry::Clear),
                None => changes.remove(0),
            };
        }))
        .unwrap();
        if number % GROUP == GROUP - 1 {
            block_on(engine.durable(done.wait_seq)).unwrap();
        }
    }
}

fn is_whole(engine: &Engine, rounds: &[u32], words: &str) {
    for (number, &round) in (0..KEYS).zip(rounds) {
        let name = number.to_be_bytes();
        let key = engine.key(engine.space(0), &name);
        let (value, _) =
            block_on(engine.run(&[(key, Access::Read)], &mut Changes::new(1), |views, _| {
                views[0].map(|view| view.value.to_vec())
            }))
            .unwrap();
        assert_eq!(value, content(number, round), "key {number}, {words}");
    }
}

/// What a kill leaves, with noise in one of its files. The files stand still: nothing is asked of the store meanwhile, and its
/// background has had its time.
fn damaged(from: &Path, name: &str) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    let path = to.path().join(name);
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len() as usize);
    #[expect(clippy::disallowed_methods, reason = "a file is damaged by hand")]
    std::fs::write(&path, vec![0xA5; bytes]).unwrap();
    to
}

/// Until the background has nothing more to write.
fn rest(engine: &Engine) {
    let mut written = 0;
    while std::mem::replace(&mut written, engine.stats().device_bytes_written) != written {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn close(engine: Engine, io: std::thread::JoinHandle<()>) {
    block_on(engine.close()).unwrap();
    io.join().unwrap();
}

/// Opens the store as it is left now, with each of these files damaged.
fn is_whole_without_any_of(names: &[&str], folder: &Path, rounds: &[u32]) {
    let left: Vec<_> = names.iter().map(|name| (name, damaged(folder, name))).collect();
    for (name, left) in left {
        let engine = open(left.path());
        let io = engine.spawn_driver().unwrap();
        is_whole(&engine, rounds, &format!("with a damaged {name}"));
        engine.check().unwrap();
        close(engine, io);
    }
}

#[test]
fn a_clean_mark_of_an_earlier_life_does_not_count_when_the_newest_superblock_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut rounds = vec![0; KEYS as usize];
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    write(&engine, 0..KEYS, 0);
    close(engine, io);
    // Too little for a map.
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    write(&engine, 0..GROUP, 1);
    rounds[..GROUP as usize].fill(1);
    rest(&engine);
    is_whole_without_any_of(&superblock::FILES, folder.path(), &rounds);
    close(engine, io);
}

#[test]
fn what_was_deleted_does_not_come_back_when_the_newest_map_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let io = engine.spawn_driver().unwrap();
    for round in 0..ROUNDS {
        write(&engine, 0..KEYS, round);
        rest(&engine);
        is_whole_without_any_of(&map::FILES, folder.path(), &[round; KEYS as usize]);
    }
    close(engine, io);
}
