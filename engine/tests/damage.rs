//! Damage between two lives of a store: what the start makes of it, and what it says.
//!
//! Promises: an unreadable block, a lost map and a rotten record are served around and told. Never: a wrong value, a miss without
//! a word, a refusal to start (but with `tier-recovery strict`).

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use thermocline::options::RecoveryMode;
use thermocline::{Access, Changes, Driver, Durability, Engine, Error, Expiry, Kind, ManualClock, Options};
use thermocline_io::{Disk, FaultDisk, Faults};

const KEYS: u32 = 60;
const VALUE_BYTES: usize = 300;
const STEPS_MAX: u32 = 100_000;

fn options(recovery: RecoveryMode) -> Options {
    Options {
        max_memory: 1 << 20,
        max_disk: 32 * (64 << 10),
        workers: 1,
        durability: Durability::Always,
        segment_bytes: Some(64 << 10),
        recovery,
        seed: 7,
        tiny: true,
        ..Options::default()
    }
}

/// One life of a store on the simulated disk.
struct Life {
    engine: Engine,
    driver: Driver,
    disk: FaultDisk,
}

impl Life {
    fn open(disk: &FaultDisk) -> Life {
        let engine = try_open(disk, RecoveryMode::Salvage).unwrap();
        let driver = engine.driver().unwrap();
        Life { engine, driver, disk: disk.clone() }
    }

    fn finish<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        self.driver.enter();
        for _ in 0..STEPS_MAX {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            self.driver.turn();
            self.disk.step();
        }
        panic!("it never ends");
    }

    fn set(&mut self, number: u32) {
        let engine = self.engine.clone();
        let (name, value) = (number.to_be_bytes(), value(number));
        let key = engine.key(engine.space(0), &name);
        let (_, done) = self
            .finish(engine.run(&[(key, Access::Overwrite)], &mut Changes::new(1), |_, changes| {
                changes.put(0, Kind::String, &value, Expiry::Clear);
            }))
            .unwrap();
        self.finish(engine.durable(done.wait_seq)).unwrap();
    }

    fn fill(&mut self) {
        (0..KEYS).for_each(|number| self.set(number));
    }

    fn get(&mut self, number: u32) -> Result<Option<Vec<u8>>, Error> {
        let engine = self.engine.clone();
        let name = number.to_be_bytes();
        let key = engine.key(engine.space(0), &name);
        let body = |views: &[Option<thermocline::View<'_>>], _: &mut Changes<'_>| views[0].map(|v| v.value.to_vec());
        self.finish(engine.run(&[(key, Access::Read)], &mut Changes::new(1), body)).map(|(value, _)| value)
    }

    /// Reads all keys: (missing, refused). A value is right, or the test fails.
    fn read_all(&mut self) -> (u64, u64) {
        let (mut missing, mut refused) = (0, 0);
        for number in 0..KEYS {
            match self.get(number) {
                Ok(Some(read)) => assert_eq!(read, value(number), "{number}"),
                Ok(None) => missing += 1,
                Err(Error::Corrupt { .. } | Error::Io { .. }) => refused += 1,
                Err(error) => panic!("{number}: {error}"),
            }
        }
        (missing, refused)
    }

    fn scan(&mut self) -> Result<usize, Error> {
        let engine = self.engine.clone();
        let (mut cursor, mut found) = (0, 0);
        loop {
            cursor = self.finish(engine.scan(engine.space(0), cursor, 7, |_, _| found += 1))?;
            if cursor == 0 {
                return Ok(found);
            }
        }
    }

    fn kill(self) {
        self.disk.kill();
    }

    fn close(mut self) {
        let engine = self.engine.clone();
        self.finish(engine.close()).unwrap();
    }
}

fn try_open(disk: &FaultDisk, recovery: RecoveryMode) -> Result<Engine, Error> {
    Engine::open(Arc::new(disk.clone()), options(recovery), Arc::new(ManualClock::at_ms(1_000_000)))
}

fn value(number: u32) -> Vec<u8> {
    vec![number as u8; VALUE_BYTES]
}

fn new_disk() -> FaultDisk {
    FaultDisk::new(64 << 20, 1, Faults::default())
}

/// The sector at this offset goes bad.
fn spoil(disk: &FaultDisk, name: &str, offset: u64) {
    let file = disk.open(name).unwrap();
    disk.set_faults(Faults { latent_sector: 1.0, ..Faults::default() });
    disk.read_at(file, offset, &mut [0; 512]).unwrap_err();
    disk.set_faults(Faults::default());
}

/// Refused to start: one bad sector in the first block of a segment, `reading segment-000002 at 0: Input/output error`. Now what
/// cannot be read is damage like any other.
#[test]
fn a_bad_sector_is_damage_and_no_refusal_to_start() {
    let disk = new_disk();
    let mut life = Life::open(&disk);
    life.fill();
    life.kill();
    spoil(&disk, "segment-000000", 100);

    let words = try_open(&disk, RecoveryMode::Strict).err().expect("strict refuses").to_string();
    assert!(words.contains("segment-000000") && words.contains("offset 0") && words.contains("error"), "{words}");

    let mut life = Life::open(&disk);
    let report = life.engine.recovery().clone();
    assert_eq!(report.quarantined, [0]);
    assert!(report.notes.iter().any(|note| note.contains("segment-000000") && note.contains("offset 0")), "{report:?}");
    life.engine.check().unwrap();
    let (missing, refused) = life.read_all();
    assert!(missing + refused > 0 && missing + refused < u64::from(KEYS), "{missing} missing, {refused} refused");
    assert!(missing <= report.lost_records, "{missing} keys are missing, told of {}", report.lost_records);
    life.fill();
    assert_eq!(life.read_all(), (0, 0));
}

/// Lost without a word: everything since the map before, when the last write of a shutdown's map was lost and the superblock
/// called the shutdown clean. Now the clean mark counts only with its map; else the log is read.
#[test]
fn a_clean_mark_counts_only_with_its_map() {
    let disk = new_disk();
    let mut life = Life::open(&disk);
    life.fill();
    life.close();
    let mut life = Life::open(&disk);
    assert!(life.engine.recovery().clean);
    assert_eq!(life.read_all(), (0, 0));
    life.close();
    for name in ["map-0", "map-1"] {
        if let Ok(file) = disk.open(name) {
            disk.write_at(file, 0, &[0; 4096]).unwrap();
        }
    }
    let mut life = Life::open(&disk);
    let report = life.engine.recovery().clone();
    assert!(!report.clean && report.notes.iter().any(|note| note.contains("map")), "{report:?}");
    assert_eq!(life.read_all(), (0, 0));
}

/// A silent miss: SCAN left out the keys of damaged records, as if they were not there. Whose they were nobody can say, so it
/// answers an error that names the place.
#[test]
fn a_scan_never_leaves_out_a_damaged_record_quietly() {
    let disk = new_disk();
    let mut life = Life::open(&disk);
    life.fill();
    let engine = life.engine.clone();
    let name = 7u32.to_be_bytes();
    let key = engine.key(engine.space(0), &name);
    assert!(life.finish(engine.demote(&key)).unwrap());
    let place = life.finish(engine.locate(&key)).unwrap().expect("it is there");
    let segment = place.segment.expect("it is cold");
    assert_eq!(life.scan().unwrap(), KEYS as usize);
    // SCAN and the look may have brought it back.
    assert!(life.finish(engine.demote(&key)).unwrap());
    disk.corrupt(&format!("segment-{segment:06}"), u64::from(place.offset) + 100, 4).unwrap();
    match life.scan() {
        Err(Error::Corrupt { segment: told, offset }) => assert_eq!((told, offset), (segment, place.offset)),
        other => panic!("{other:?}"),
    }
    life.set(7);
    assert_eq!(life.scan().unwrap(), KEYS as usize);
    assert_eq!(life.read_all(), (0, 0));
}
