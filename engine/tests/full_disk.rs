//! A disk that takes no further segment: growing writes are refused, soon, whatever they wait for.
//!
//! The story: a value in extents logs an intent first, and that record waited for room in the log without asking whether the disk
//! takes anything at all. On a full file system such a SET, and everybody who waited for its key, was answered when somebody made room:
//! 57 seconds later.

mod store;

use store::Store;
use thermocline::options::ROOM_WAIT_US_MAX;
use thermocline::{Access, Changes, Durability, Error, Expiry, Kind};
use thermocline_io::{FaultDisk, Faults};

/// Room for a dozen segments of 64 KiB; the store wants 128.
const DISK_BYTES: u64 = 1 << 20;
/// More than a record takes, so it goes to extents.
const LARGE_BYTES: usize = 50_000;
/// More than the disk and DRAM (4 MiB) hold together.
const WRITES_MAX: u16 = 30_000;
/// A turn of the driver is 100 us of the clock.
const TURN_US: u64 = 100;

impl Store {
    fn set(&mut self, key: u16, bytes: usize) -> Result<u64, Error> {
        let (engine, name, value) = (self.engine.clone(), key.to_be_bytes(), vec![7; bytes]);
        let set = async {
            let keys = [(engine.key(engine.space(0), &name), Access::Overwrite)];
            engine.run(&keys, &mut Changes::new(1), |_, c| c.put(0, Kind::String, &value, Expiry::Clear)).await
        };
        self.finish(set).map(|(_, done)| done.wait_seq)
    }

    /// Sets new keys until one is refused.
    fn fill(&mut self) -> (u16, Error) {
        for key in 0..WRITES_MAX {
            if let Err(error) = self.set(key, 900) {
                return (key, error);
            }
        }
        panic!("the disk must be full after {WRITES_MAX} keys");
    }
}

#[test]
fn every_growing_write_is_refused_within_the_longest_wait() {
    for durability in [Durability::None, Durability::No, Durability::EverySecond, Durability::Always] {
        let disk = FaultDisk::new(DISK_BYTES, 7, Faults::default());
        let mut store = Store::open(&disk, store::options(durability));
        let (keys, error) = store.fill();
        assert!(matches!(error, Error::Misconfigured { .. }), "{durability:?}: {error:?}");
        assert!(u64::from(keys) * 900 > DISK_BYTES / 4, "{durability:?}: only {keys} keys");
        for bytes in [900, LARGE_BYTES] {
            let (began_us, waits) = (store.engine.monotonic_us(), store.engine.stats().write_waits);
            let answer = store.set(keys, bytes);
            let waited_us = store.engine.monotonic_us() - began_us;
            assert!(matches!(answer, Err(Error::Misconfigured { .. })), "{durability:?}, {bytes} bytes: {answer:?}");
            assert!(waited_us <= ROOM_WAIT_US_MAX + 100 * TURN_US, "{durability:?}, {bytes} bytes: {waited_us} us");
            let waits = store.engine.stats().write_waits - waits;
            assert!(waits <= 100, "{durability:?}, {bytes} bytes: {waits} waits");
        }
        store.engine.check().unwrap();
    }
}
