//! What clients see when the disk under the server fills up, fails or is slow, and gets well again.
//!
//! Three phases: well, bad, cured. Four clients write, two read; then the server is killed and everything acknowledged is looked for.
//! THERMOCLINE_FAILING_SECONDS says how long the disk is bad (default 2, with `always` alone; when given, with `everysec` too).
//! Prints a table for docs/BENCHMARKS.md. Skipped with a line on stderr where a disk cannot be made (root, loop devices, zram,
//! cgroup v1 blkio).
//!
//! Promises checked: what is refused is refused with MISCONF or OOM; reads are served and right meanwhile, but for keys whose last
//! change is not on the disk; writes work again by themselves; nothing acknowledged is lost, nothing is wrong. Times are shown,
//! not judged.

use std::time::Duration;

use crate::disks::{Broken, Disk, Full, Slow};
use crate::lanes::{BAD, CURED, HEALTHY, LOADED, Lane, Phase, Scene, read};
use crate::process::{Server, now, say};

mod disks;
#[path = "../power_cut/file_system.rs"]
#[expect(dead_code, reason = "nobody cuts its power")]
mod file_system;
mod lanes;
#[path = "../promises/process.rs"]
#[expect(dead_code, reason = "each test folder uses a part of it")]
mod process;
#[path = "../crash/value.rs"]
mod value;

const BAD_SECONDS: u64 = 2;
const WELL: Duration = Duration::from_secs(2);
const WRITERS: usize = 4;
const READERS: usize = 2;
/// Keys of a writer, where the store must not grow for ever.
const KEYS_MAX: usize = 6000;
/// Each client may lose its connection when the disk fails, and once more when it fails while it is healed.
const CLOSED_MAX: u64 = 2 * (WRITERS + READERS) as u64;
/// More than memory holds: some reads go to the disk.
const LOADED_KEYS: usize = 30_000;
/// After the disk is well a write must work within this, and no reply takes longer, the bad time aside.
const PATIENCE: Duration = Duration::from_secs(60);
/// What `everysec` may lose is on the disk after this.
const SETTLED: Duration = Duration::from_secs(3);

fn bad_seconds() -> Option<u64> {
    let text = std::env::var("THERMOCLINE_FAILING_SECONDS").ok()?;
    Some(text.parse().expect("THERMOCLINE_FAILING_SECONDS is a number"))
}

/// Runs one scene. Returns its row of the table.
fn scene(disk: &mut dyn Disk, appendfsync: &str, bad: Duration) -> String {
    let (max_disk, keys_max) = if disk.is_for_growth() { ("1gb", usize::MAX) } else { ("256mb", KEYS_MAX) };
    let directives = ["--maxmemory", "64mb", "--maxdisk", max_disk, "--appendfsync", appendfsync];
    let data = disk.path().join("data");
    let mut server = Server::start(&data, &directives);
    let mut loaded = Lane::new(LOADED, LOADED_KEYS);
    loaded.load(&mut server.connect(), LOADED_KEYS);
    let mut lanes: Vec<Lane> = (0..WRITERS).map(|number| Lane::new(number, keys_max)).collect();
    let scene = Scene::new();
    let connect = || {
        let mut connection = server.connect();
        connection.be_patient(bad + PATIENCE);
        connection
    };
    std::thread::scope(|scope| {
        for lane in &mut lanes {
            let (scene, connect) = (&scene, &connect);
            scope.spawn(move || lane.write(scene, connect));
        }
        for _ in 0..READERS {
            let (scene, connect) = (&scene, &connect);
            scope.spawn(move || read(scene, connect, LOADED_KEYS));
        }
        std::thread::sleep(WELL);
        scene.enter(BAD);
        disk.spoil(server.id()).expect("it could be made");
        std::thread::sleep(bad);
        disk.mend().expect("it was spoilt");
        scene.enter(CURED);
        let began = now();
        while began.elapsed() < WELL || scene.is_waiting(WRITERS) && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        scene.end();
    });
    std::thread::sleep(SETTLED);
    server.kill();
    let server = Server::start(&data, &directives);
    let mut connection = server.connect();
    let cured = scene.cured();
    let (phases, mut wrong) = scene.into_phases();
    let lost: usize = lanes.iter().chain([&loaded]).map(|lane| lane.lost(&mut connection, &mut wrong)).sum();
    drop(server);
    std::fs::remove_dir_all(&data).expect("ours");
    let name = format!("{}, {appendfsync}", disk.name());
    println!("{name}: {phases:?}");
    let row = row(&name, bad, &phases, cured, lost, wrong.len());
    assert!(wrong.is_empty() && lost == 0, "{row}\n{wrong:?}");
    assert!(cured.is_some(), "writes do not work again: {row}");
    let refusals = phases.iter().flat_map(|phase| phase.refusals.keys());
    refusals.for_each(|words| assert!(words.starts_with("MISCONF ") || words.starts_with("OOM "), "{words}"));
    assert!(phases[BAD].reads > phases[BAD].reads_refused, "reads go on: {row}");
    // What is in flight when the disk fails, and nothing that comes later.
    let closed: u64 = phases.iter().map(|phase| phase.closed).sum();
    assert!(closed <= CLOSED_MAX, "{row}");
    row
}

const HEAD: &str = "| disk, appendfsync | bad for | writes acknowledged before / while bad / after | writes refused | reads served / refused while bad | connections closed | slowest write: before / bad / after | slowest read while bad | writes work again after | lost | wrong |\n|---|---|---|---|---|---|---|---|---|---|---|";

fn row(name: &str, bad: Duration, phases: &[Phase; 3], cured: Option<Duration>, lost: usize, wrong: usize) -> String {
    let [before, while_bad, after] = [&phases[HEALTHY], &phases[BAD], &phases[CURED]];
    let refused: u64 = phases.iter().flat_map(|phase| phase.refusals.values()).sum();
    let closed: u64 = phases.iter().map(|phase| phase.closed).sum();
    let words: std::collections::BTreeSet<String> =
        phases.iter().flat_map(|phase| phase.refusals.keys()).map(|words| format!("`{}`", anywhere(words))).collect();
    let words = words.into_iter().collect::<Vec<_>>().join(", ");
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    format!(
        "| {name} | {} s | {} / {} / {} | {refused} {words} | {} / {} | {closed} | {} / {} / {} | {} | {} | {lost} | {wrong} |",
        bad.as_secs(),
        before.acknowledged,
        while_bad.acknowledged,
        after.acknowledged,
        while_bad.reads,
        while_bad.reads_refused,
        ms(before.slowest),
        ms(while_bad.slowest),
        ms(after.slowest),
        ms(while_bad.slowest_read),
        cured.map_or("never".to_owned(), ms),
    )
}

/// A refusal without the numbers and the path of this run.
fn anywhere(words: &str) -> String {
    let plain: Vec<&str> = words.split(' ').filter(|word| !word.starts_with('/')).collect();
    plain.join(" ").replace(|c: char| c.is_ascii_digit(), "N")
}

type Make = fn() -> Result<Box<dyn Disk>, String>;

#[test]
fn a_disk_that_fails_and_gets_well_again_costs_nothing_that_was_acknowledged() {
    let given = bad_seconds();
    let bad = Duration::from_secs(given.unwrap_or(BAD_SECONDS));
    let modes: &[&str] = if given.is_some() { &["always", "everysec"] } else { &["always"] };
    let makers: [(&str, Make); 3] = [
        ("a full disk", || Ok(Box::new(Full::make()?))),
        ("a disk with EIO", || Ok(Box::new(Broken::make()?))),
        ("a slow disk", || Ok(Box::new(Slow::make()?))),
    ];
    let mut rows = Vec::new();
    for (name, make) in makers {
        match make() {
            Ok(mut disk) => rows.extend(modes.iter().map(|appendfsync| scene(&mut *disk, appendfsync, bad))),
            Err(why) => {
                say(&format!("SKIPPED: {name} needs root, mkfs, a loop device, zram or blkio of cgroup v1: {why}"))
            }
        }
    }
    say(&format!("{HEAD}\n{}", rows.join("\n")));
}
