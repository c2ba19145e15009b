//! `thermocline inspect` and `verify` on real directories: whole, damaged in every part, torn, in use, foreign, empty.
#![expect(clippy::disallowed_methods, reason = "damages data files by hand")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;
use thermocline::log::chunk::ChunkHeader;
use thermocline::log::footer::{self, TRAILER_BYTES};
use thermocline::log::map::Map;
use thermocline::log::record::Address;
use thermocline::log::superblock::{self, Superblock};
use thermocline::log::walk::{Step, Walk};
use thermocline::{Access, BackendChoice, Changes, Durability, Engine, Expiry, Key, Kind, Options, block_on};
use thermocline_io::lock_directory;

const SEGMENT_BYTES: u32 = 64 << 10;

/// Several sealed segments: 600 keys in two databases, a third of them written twice, some with a TTL, 40 removed. Written in
/// groups of eight, so that a chunk has several records.
fn fill(engine: &Engine) {
    let names: Vec<String> = (0..600).map(|n| format!("key{n}")).collect();
    let values: Vec<Vec<u8>> = (0..800u32).map(|n| n.to_le_bytes().repeat(100)).collect();
    for group in (0..800).step_by(8) {
        let key = |n: usize| engine.key(engine.space(u32::from(n % 4 == 3)), names[n % 600].as_bytes());
        change(engine, &std::array::from_fn(|i| key(group + i)), |i, changes| {
            let n = group + i;
            let expiry = if n % 10 == 0 { Expiry::At(u64::MAX >> 8) } else { Expiry::Clear };
            changes.put(i, Kind::String, &values[n], expiry);
        });
    }
    for group in (0..40).step_by(8) {
        let key = |n: usize| engine.key(engine.space(0), names[n * 4].as_bytes());
        change(engine, &std::array::from_fn(|i| key(group + i)), |i, changes| changes.remove(i));
    }
}

fn change<'v>(engine: &Engine, keys: &[Key<'_>; 8], decide: impl Fn(usize, &mut Changes<'v>)) {
    let keys = keys.map(|key| (key, Access::Overwrite));
    let mut changes = Changes::new(8);
    let run = engine.run(&keys, &mut changes, |_, changes| (0..8).for_each(|i| decide(i, changes)));
    let (_, done) = block_on(run).unwrap();
    block_on(engine.durable(done.wait_seq)).unwrap();
}

fn open(path: &Path) -> (Engine, std::thread::JoinHandle<()>) {
    let options = Options {
        max_memory: 64 << 20,
        max_disk: 64 * u64::from(SEGMENT_BYTES),
        segment_bytes: Some(u64::from(SEGMENT_BYTES)),
        durability: Durability::Always,
        ..Options::default()
    };
    let attempt = || Engine::open_directory(path, options.clone(), BackendChoice::Auto);
    let engine = patiently(attempt, |opened| matches!(opened, Err(thermocline::Error::InUse { .. }))).unwrap();
    let io = engine.spawn_driver().unwrap();
    (engine, io)
}

fn closed_store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (engine, io) = open(folder.path());
    fill(&engine);
    block_on(engine.close()).unwrap();
    io.join().unwrap();
    folder
}

/// The files as a kill -9 would leave them: copied while the engine has them open and everything is durable.
fn killed_store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (engine, io) = open(folder.path());
    fill(&engine);
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|e| e.file_name() != "LOCK") {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    block_on(engine.close()).unwrap();
    io.join().unwrap();
    copy
}

/// A lock that we have given back may live on for a moment: the child of another test's thread has a copy of its descriptor
/// between fork and exec. So "in use" is asked again a few times.
fn patiently<T>(attempt: impl Fn() -> T, in_use: impl Fn(&T) -> bool) -> T {
    for _ in 0..20 {
        let answer = attempt();
        if !in_use(&answer) {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    attempt()
}

fn run(command: &str, path: &Path, more: &[&str]) -> (i32, String, String) {
    let attempt =
        || Command::new(env!("CARGO_BIN_EXE_thermocline")).arg(command).arg(path).args(more).output().unwrap();
    let in_use = |output: &Output| String::from_utf8_lossy(&output.stderr).contains("in use by process");
    let Output { status, stdout, stderr } = patiently(attempt, in_use);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn verify(path: &Path) -> (i32, serde_json::Value) {
    let (code, out, error) = run("verify", path, &["--json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}")))
}

/// A record of the present life of a segment: (offset, bytes, live, bytes to the end of its chunk's records).
struct Known {
    segment: u32,
    chunks: Vec<(u32, ChunkHeader)>,
    records: Vec<(u32, u32, bool)>,
}

/// The first segment with a footer, live and dead values, and more than one chunk.
fn sealed(path: &Path) -> Known {
    let block = newest_superblock(path);
    let map = newest_map(path, block.store);
    for id in 0..64 {
        let Ok(bytes) = fs::read(path.join(format!("segment-{id:06}"))) else { continue };
        if bytes[bytes.len() - 60..bytes.len() - 56] != *b"TCFT" {
            continue;
        }
        let known = known(id, &bytes, &block, &map);
        if known.chunks.len() > 1 && known.records.iter().any(|r| r.2) && known.records.iter().any(|r| !r.2) {
            return known;
        }
    }
    panic!("no sealed segment has live and dead values");
}

fn known(segment: u32, bytes: &[u8], block: &Superblock, map: &Map) -> Known {
    let entry = map.segments.iter().find(|s| s.segment == segment);
    let address = Address { store: block.store, segment, epoch: 1, offset: 0 };
    let mut walk = Walk::new(address, None, 0, SEGMENT_BYTES);
    let mut known = Known { segment, chunks: Vec::new(), records: Vec::new() };
    loop {
        match walk.step(bytes, 0) {
            Step::Chunk { offset, header } => known.chunks.push((offset, header)),
            Step::Record { offset, record } => {
                let live = record.kind.is_value() && entry.is_some_and(|e| e.live(offset));
                known.records.push((offset, record.bytes() as u32, live));
            }
            Step::End | Step::More { .. } => return known,
            _ => {}
        }
    }
}

fn newest_superblock(path: &Path) -> Superblock {
    let read = |name: &str| Superblock::decode(&fs::read(path.join(name)).unwrap()).unwrap();
    [read("superblock-0"), read("superblock-1")].into_iter().flatten().max_by_key(|b| b.generation).unwrap()
}

fn newest_map(path: &Path, store: u32) -> Map {
    let read = |name: &str| fs::read(path.join(name)).ok().and_then(|bytes| Map::decode(store, &bytes));
    [read("map-0"), read("map-1")].into_iter().flatten().max_by_key(|m| m.generation).unwrap_or_default()
}

/// Flips a byte, verifies, and flips it back. Answers the exit code and the damages in this file.
fn flipped(path: &Path, file: &str, offset: u64) -> (i32, Vec<serde_json::Value>) {
    let flip = || {
        let mut bytes = fs::read(path.join(file)).unwrap();
        bytes[offset as usize] ^= 0x40;
        fs::write(path.join(file), bytes).unwrap();
    };
    flip();
    let (code, report) = verify(path);
    flip();
    let damages = report["damages"].as_array().unwrap().iter().filter(|d| d["file"] == file).cloned().collect();
    (code, damages)
}

#[test]
fn a_closed_store_is_clean() {
    let folder = closed_store();
    let (code, report) = verify(folder.path());
    assert_eq!((code, &report["result"]), (0, &"clean".into()), "{report:#}");
    assert!(report["checked"]["records"].as_u64().unwrap() >= 840, "{report:#}");
    assert_eq!(report["checked"]["live_records"], 560, "{report:#}");
    assert!(report["checked"]["footers"].as_u64().unwrap() >= 3, "{report:#}");
    assert_eq!(report["checked"]["checkpoints"], 1);
    let (code, words, errors) = run("verify", folder.path(), &[]);
    assert!(code == 0 && words.ends_with("clean\n") && errors.is_empty(), "{words}{errors}");
}

#[test]
fn a_killed_store_is_clean_too() {
    let folder = killed_store();
    let (code, report) = verify(folder.path());
    assert_eq!((code, &report["clean_shutdown"]), (0, &false.into()), "{report:#}");
    assert!(report["checked"]["records"].as_u64().unwrap() >= 840, "{report:#}");
}

#[test]
fn a_store_that_was_opened_again_and_reused_its_segments_is_clean() {
    let folder = closed_store();
    for _ in 0..2 {
        let (engine, io) = open(folder.path());
        for _ in 0..12 {
            fill(&engine); // 12 x 420 KB through 4 MiB: segments are reused
        }
        let names: [String; 8] = std::array::from_fn(|i| format!("last{i}"));
        change(&engine, &std::array::from_fn(|i| engine.key(engine.space(0), names[i].as_bytes())), |i, changes| {
            changes.put(i, Kind::String, b"in a reused segment, before blocks of its earlier life", Expiry::Clear);
        });
        block_on(engine.close()).unwrap();
        io.join().unwrap();
        drop(engine); // and with it the lock
        let (code, report) = verify(folder.path());
        assert_eq!(code, 0, "{report:#}");
    }
    let (_, report) = verify(folder.path());
    assert!(report["ordinary"]["stale_chunks"].as_u64().unwrap() > 0, "no segment was reused: {report:#}");
}

/// `appendonly no` after a crash: a store with a new id begins in the old one's files, whose blocks and footers stay.
#[test]
fn what_an_earlier_store_left_in_the_segments_is_no_damage() {
    let folder = closed_store();
    let old = newest_superblock(folder.path());
    for (copy, name) in superblock::FILES.iter().enumerate() {
        let new = Superblock { store: old.store ^ 6, generation: 10 + copy as u64, clean: false, ..old.clone() };
        fs::write(folder.path().join(name), new.encode()).unwrap();
    }
    for name in ["map-0", "map-1", "checkpoint-0", "checkpoint-1"] {
        let _ = fs::remove_file(folder.path().join(name)); // the second ones may not exist yet
    }
    let (code, report) = verify(folder.path());
    assert_eq!(
        (code, &report["checked"]["records"], &report["damages_total"]),
        (0, &0.into(), &0.into()),
        "{report:#}"
    );
}

#[test]
fn one_flipped_byte_is_found_and_named() {
    let folder = closed_store();
    let path = folder.path();
    let block = newest_superblock(path);
    let known = sealed(path);
    let segment = format!("segment-{:06}", known.segment);
    let live = *known.records.iter().find(|r| r.2).unwrap();
    let dead = *known.records.iter().find(|r| !r.2).unwrap();
    let newest = newest_map(path, block.store).generation % 2;
    let map = format!("map-{newest}");
    let map_alone = !path.join(format!("map-{}", 1 - newest)).exists();
    let checkpoint = map.replace("map", "checkpoint");
    let end = u64::from(SEGMENT_BYTES);
    // (part, file, offset of the byte, damage named at, loses data)
    let cases = [
        ("live record", segment.as_str(), u64::from(live.0 + live.1 - 1), u64::from(live.0), true),
        ("live record's length", &segment, u64::from(live.0 + 5), u64::from(live.0), true),
        ("dead record", &segment, u64::from(dead.0 + dead.1 - 1), u64::from(dead.0), false),
        ("second chunk's header", &segment, u64::from(known.chunks[1].0 + 20), u64::from(known.chunks[1].0), false),
        ("first chunk's magic", &segment, 5, 0, false),
        ("footer's entry", &segment, end - 64 - 400, end - 64, false),
        ("footer's magic", &segment, end - 59, end - 64, false),
        ("footer's epoch", &segment, end - 56, end - 64, false),
        ("footer's store", &segment, end - 20, end - 64, false),
        ("map's header", &map, 20, 0, map_alone),
        ("map's body", &map, 200, 0, map_alone),
        ("checkpoint's header", &checkpoint, 30, 0, false),
        ("checkpoint's body", &checkpoint, 5000, 4096, false),
        ("superblock 0", "superblock-0", 60, 0, false),
        ("superblock 1", "superblock-1", 20, 0, false),
    ];
    for (part, file, at, offset, loses_data) in cases {
        let (code, damages) = flipped(path, file, at);
        assert_eq!(code, 1, "{part}");
        let named = damages.iter().find(|d| d["offset"] == offset);
        assert!(named.is_some_and(|d| d["loses_data"] == loses_data), "{part}: {damages:#?}");
    }
    assert_eq!(verify(path).0, 0, "all was flipped back");
}

#[test]
fn a_bad_record_does_not_take_its_readable_neighbours_with_it() {
    let folder = closed_store();
    let known = sealed(folder.path());
    let (n, live) = known.records.iter().enumerate().find(|(n, r)| r.2 && known.records[n + 1].2).unwrap();
    assert!(known.records[n + 1].0 == (live.0 + live.1).next_multiple_of(16), "neighbours in one chunk");
    let (_, damages) = flipped(folder.path(), &format!("segment-{:06}", known.segment), u64::from(live.0 + 30));
    assert_eq!(damages.len(), 1, "{damages:#?}");
    assert!(damages[0]["what"].as_str().unwrap().contains("(1 live in it)"), "{damages:#?}");
}

#[test]
fn every_byte_of_a_sealed_segment_that_means_something_is_guarded() {
    let folder = closed_store();
    let known = sealed(folder.path());
    let name = format!("segment-{:06}", known.segment);
    let bytes = fs::read(folder.path().join(&name)).unwrap();
    let (_, footer_bytes) = footer::peek(&bytes[bytes.len() - TRAILER_BYTES..]).unwrap();
    let mut meant = 0;
    for at in (0..SEGMENT_BYTES).step_by(199) {
        let in_header = known.chunks.iter().any(|&(offset, _)| (offset..offset + 64).contains(&at));
        let in_record = known.records.iter().any(|&(offset, bytes, _)| (offset..offset + bytes).contains(&at));
        let means = in_header || in_record || at as usize >= bytes.len() - footer_bytes;
        meant += u32::from(means);
        let (code, damages) = flipped(folder.path(), &name, u64::from(at));
        assert_eq!((code, damages.is_empty()), (i32::from(means), !means), "byte {at}: {damages:#?}");
    }
    assert!(meant > 250, "only {meant} bytes were in records, headers or the footer");
}

/// The foreground chunks of a store, in the order of the stream: (last seq, segment, offset).
fn stream(path: &Path) -> Vec<(u64, u32, u32)> {
    let block = newest_superblock(path);
    let map = newest_map(path, block.store);
    let mut all = Vec::new();
    for id in 0..64 {
        let Ok(bytes) = fs::read(path.join(format!("segment-{id:06}"))) else { continue };
        let chunks = known(id, &bytes, &block, &map).chunks.into_iter().filter(|c| c.1.stream == 0);
        all.extend(chunks.map(|(offset, header)| (header.last_seq, id, offset)));
    }
    all.sort();
    all
}

/// A chunk whose first sector never reached the device.
fn tear(path: &Path, (_, id, offset): (u64, u32, u32)) {
    let name = path.join(format!("segment-{id:06}"));
    let mut bytes = fs::read(&name).unwrap();
    bytes[offset as usize..offset as usize + 512].fill(0);
    fs::write(&name, bytes).unwrap();
}

#[test]
fn a_torn_tail_is_no_damage_and_a_hole_that_was_durable_is() {
    let folder = killed_store();
    let chunks = stream(folder.path());
    tear(folder.path(), *chunks.last().unwrap());
    let (code, report) = verify(folder.path());
    assert_eq!(code, 0, "nobody vouched for the last chunk: {report:#}");
    let middle = chunks[chunks.len() / 2];
    tear(folder.path(), middle);
    let (code, report) = verify(folder.path());
    assert_eq!((code, &report["damages"][0]["file"]), (1, &format!("segment-{:06}", middle.1).into()), "{report:#}");
    assert_eq!(
        (&report["damages"][0]["offset"], &report["damages_total"]),
        (&middle.2.into(), &1.into()),
        "{report:#}"
    );
}

#[test]
fn a_missing_end_of_a_segment_is_found_by_the_next_segments_chunks() {
    let folder = killed_store();
    let chunks = stream(folder.path());
    let (n, last) = chunks.iter().enumerate().find(|&(n, c)| n > 20 && chunks[n + 1].1 != c.1).unwrap();
    tear(folder.path(), *last);
    // Without a footer only the order of the stream can tell.
    let name = folder.path().join(format!("segment-{:06}", last.1));
    let mut bytes = fs::read(&name).unwrap();
    let end = bytes.len();
    bytes[end - TRAILER_BYTES..].fill(0);
    fs::write(&name, bytes).unwrap();
    let (code, report) = verify(folder.path());
    assert_eq!((code, &report["damages_total"]), (1, &1.into()), "{report:#}");
    let what = report["damages"][0]["what"].as_str().unwrap();
    assert!(what.contains(&format!("seqs {} to {}", chunks[n - 1].0 + 1, last.0)), "{what}");
}

#[test]
fn what_a_recovery_has_cut_is_no_damage_ever_after() {
    let folder = killed_store();
    let chunks = stream(folder.path());
    // As if the last two flushes were in flight together and only the second arrived: it cannot vouch for the first.
    let [.., before, first, (_, id, offset)] = chunks[..] else { panic!("too few chunks") };
    let name = folder.path().join(format!("segment-{id:06}"));
    let mut bytes = fs::read(&name).unwrap();
    let address = Address { store: newest_superblock(folder.path()).store, segment: id, epoch: 0, offset };
    let header = ChunkHeader::decode(address, &bytes[offset as usize..]).unwrap();
    ChunkHeader { watermark: before.0, ..header }.encode(address, &mut bytes[offset as usize..]);
    fs::write(&name, bytes).unwrap();
    tear(folder.path(), first);
    let (code, report) = verify(folder.path());
    assert_eq!(code, 0, "{report:#}");
    assert!(report["ordinary"]["void_bytes"].as_u64().unwrap() > u64::from(header.used), "{report:#}");
    assert!(report["notes"][0].as_str().unwrap().contains(&format!("after seq {}", before.0)), "{report:#}");
    for _ in 0..2 {
        let (engine, io) = open(folder.path());
        fill(&engine);
        block_on(engine.close()).unwrap();
        io.join().unwrap();
        drop(engine);
        let (code, report) = verify(folder.path());
        assert_eq!(code, 0, "{report:#}");
    }
}

#[test]
fn a_segment_that_is_gone_or_cut_short_is_named() {
    let folder = closed_store();
    let name = format!("segment-{:06}", sealed(folder.path()).segment);
    let path = folder.path().join(&name);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..20_000]).unwrap();
    let (code, report) = verify(folder.path());
    assert!(code == 1 && report["damages"][0]["what"].as_str().unwrap().contains("cut short"), "{report:#}");
    fs::remove_file(&path).unwrap();
    let (code, report) = verify(folder.path());
    assert!(code == 1 && report["damages"][0]["what"].as_str().unwrap().contains("missing"), "{report:#}");
    assert_eq!(report["damages"][0]["file"], name.as_str());
}

#[test]
fn the_list_is_bounded_and_the_count_is_not() {
    let folder = closed_store();
    for name in ["superblock-0", "superblock-1"] {
        fs::write(folder.path().join(name), [7; 4096]).unwrap();
    }
    let (code, out, _) = run("verify", folder.path(), &["--json", "--limit", "1"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, report["damages"].as_array().unwrap().len(), &report["damages_total"]), (1, 1, &2.into()));
}

#[test]
fn what_is_not_a_closed_store_of_ours_is_refused_in_words_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) = run("verify", folder.path(), &[]);
    assert!(code == 1 && error.contains("is empty"), "{error}");
    fs::write(folder.path().join("holiday.jpg"), b"x").unwrap();
    let (code, _, error) = run("inspect", folder.path(), &[]);
    assert!(code == 1 && error.contains("holiday.jpg"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was put into it");
    let (code, _, error) = run("verify", &folder.path().join("nowhere"), &[]);
    assert!(code == 1 && error.contains("not a directory"), "{error}");

    let store = closed_store();
    let lock = lock_directory(store.path()).unwrap();
    for command in ["verify", "inspect"] {
        let (code, _, error) = run(command, store.path(), &[]);
        assert!(code == 1 && error.contains("in use by process"), "{error}");
    }
    drop(lock);
    let mut newer = newest_superblock(store.path()).encode();
    newer[8] = 99;
    let used = 64 + 4 * newest_superblock(store.path()).spaces.len() + 12 * newest_superblock(store.path()).cuts.len();
    let crc = crc32fast::hash(&newer[4..used]);
    newer[..4].copy_from_slice(&crc.to_le_bytes());
    fs::write(store.path().join("superblock-0"), newer).unwrap();
    let (code, _, error) = run("verify", store.path(), &[]);
    assert!(code == 1 && error.contains("format 99"), "{error}");
}

#[test]
fn wrong_usage_is_exit_code_two() {
    assert_eq!(run("verify", Path::new("."), &["--nonsense"]).0, 2);
    assert_eq!(run("ponder", Path::new("."), &[]).0, 2);
}

#[test]
fn the_fast_check_sees_damaged_ends_and_copies_and_does_not_read_records() {
    let folder = closed_store();
    let path = folder.path();
    let known = sealed(path);
    let segment = format!("segment-{:06}", known.segment);
    let fast = |file: &str, offset: u64| {
        let flip = || {
            let mut bytes = fs::read(path.join(file)).unwrap();
            bytes[offset as usize] ^= 0x40;
            fs::write(path.join(file), bytes).unwrap();
        };
        flip();
        let (code, out, error) = run("verify", path, &["--fast", "--json"]);
        flip();
        let report: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
        (code, report["damages_total"].as_u64().unwrap())
    };
    let end = u64::from(SEGMENT_BYTES);
    let live = known.records.iter().find(|record| record.2).unwrap();
    for (part, file, at, damages) in [
        ("footer's entry", segment.as_str(), end - 64 - 400, 1),
        ("footer's magic", &segment, end - 59, 1),
        ("first block", &segment, 5, 1),
        ("superblock", "superblock-0", 60, 1),
        ("record", &segment, u64::from(live.0 + live.1 - 1), 0),
    ] {
        assert_eq!(fast(file, at), (i32::from(damages > 0), damages), "{part}");
    }
    let (code, out, _) = run("verify", path, &["--fast", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["result"]), (0, &"clean".into()), "{report:#}");
    for folder in [killed_store(), closed_store()] {
        let (code, words, error) = run("verify", folder.path(), &["--fast"]);
        assert!(code == 0 && words.contains("were counted in the footers"), "{words}{error}");
    }
}

#[test]
fn stats_are_those_of_a_start_and_change_nothing() {
    for folder in [closed_store(), killed_store()] {
        let files = || -> Vec<(std::ffi::OsString, Vec<u8>)> {
            let entries = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|e| e.file_name() != "LOCK");
            entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
        };
        let before = files();
        let (code, out, error) = run("stats", folder.path(), &["--json", "--memory", "64mb"]);
        assert_eq!(code, 0, "{error}");
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["databases"][0]["keys"], &report["databases"][1]["keys"]), (&410.into(), &150.into()));
        assert_eq!(report["engine"]["keys"], 560, "{report:#}");
        assert!(files() == before, "stats has changed the directory");
        let (code, words, _) = run("stats", folder.path(), &["--memory", "64mb"]);
        assert!(code == 0 && words.contains("db1") && words.contains("disk_live"), "{words}");
    }
}

#[test]
fn completions_and_manual_pages_name_every_operation() {
    let tool = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_thermocline")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    tool(&["man", "--into", folder.path().to_str().unwrap()]);
    let [bash, zsh, fish] = ["bash", "zsh", "fish"].map(|shell| tool(&["completions", shell]));
    for name in ["compact", "dump", "inspect", "load", "repair", "stats", "verify"] {
        assert!([&bash, &zsh, &fish].iter().all(|script| script.contains(name)), "{name}");
        let page = fs::read_to_string(folder.path().join(format!("thermocline-{name}.1"))).unwrap();
        assert!(page.contains("Examples:"), "{page}");
    }
    assert!(tool(&["man"]).contains(".TH thermocline"));
}

#[test]
fn inspect_counts_what_is_there() {
    let folder = closed_store();
    let (code, out, error) = run("inspect", folder.path(), &["--json"]);
    assert_eq!(code, 0, "{error}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let keys = |n: usize| report["databases"][n]["keys"].as_u64().unwrap();
    assert_eq!((keys(0), keys(1)), (410, 150), "{report:#}");
    assert_eq!((&report["beyond_map"], &report["store"]["clean_shutdown"]), (&0.into(), &true.into()));
    let kind = |name: &str| report["kinds"].as_array().unwrap().iter().find(|k| k["kind"] == name).cloned().unwrap();
    assert_eq!((&kind("string")["live_records"], &kind("tombstone")["records"]), (&560.into(), &40.into()));
    let count = |rows: &str| report[rows].as_array().unwrap().iter().map(|r| r["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((count("sizes"), count("ttls")), (560, 560));
    let live: u64 = report["segments"].as_array().unwrap().iter().map(|s| s["live_records"].as_u64().unwrap()).sum();
    assert_eq!(live, 560);
    let (code, words, _) = run("inspect", folder.path(), &["--limit", "2"]);
    assert!(
        code == 0 && words.contains("sealed") && words.contains("--limit shows more") && words.contains("db1"),
        "{words}"
    );
}
