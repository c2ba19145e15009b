//! Values at the edge of what a record, a slot or the memory takes, and records that GC meets after their time.

mod store;

use store::Store;
use thermocline::{Access, Changes, Durability, Error, Expiry, Kind, Options, View};
use thermocline_io::{FaultDisk, Faults};

const DISK_BYTES: u64 = 64 << 20;
/// A quarter of a segment of 64 KiB.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// More than a record takes, so it goes to extents.
const LARGE_BYTES: usize = 40_000;
/// Writes that fill a store of 2 MiB several times.
const WRITES: u32 = 6_000;

impl Store {
    fn put(&mut self, name: &[u8], value: &[u8], expiry: Expiry) {
        let engine = self.engine.clone();
        let put = async {
            let keys = [(engine.key(engine.space(0), name), Access::Overwrite)];
            engine.run(&keys, &mut Changes::new(1), |_, c| c.put(0, Kind::String, value, expiry)).await
        };
        self.finish(put).unwrap();
    }

    fn expire(&mut self, name: &[u8], expiry: Expiry) {
        let engine = self.engine.clone();
        let expire = async {
            let keys = [(engine.key(engine.space(0), name), Access::Peek)];
            engine.run(&keys, &mut Changes::new(1), |_, changes| changes.expire(0, expiry)).await
        };
        self.finish(expire).unwrap();
    }

    fn demote(&mut self, name: &[u8]) {
        let engine = self.engine.clone();
        // It does not wait for a segment.
        while self.finish(engine.demote(&engine.key(engine.space(0), name))).is_err() {
            self.turn();
        }
    }

    fn read(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let engine = self.engine.clone();
        let read = async {
            let keys = [(engine.key(engine.space(0), name), Access::Read)];
            engine.run(&keys, &mut Changes::new(1), |views, _| views[0].map(|view| view.value.to_vec())).await
        };
        self.finish(read).unwrap().0
    }
}

/// The story: a value that just fitted a record got an expiry, which takes 8 bytes more. The record was then larger than the largest, and
/// who read it out of the log's buffer read the largest only: a sound value was reported as damaged.
#[test]
fn a_value_that_just_fits_can_get_an_expiry() {
    let disk = FaultDisk::new(DISK_BYTES, 3, Faults::default());
    let mut store = Store::open(&disk, store::options(Durability::EverySecond));
    for bytes in RECORD_BYTES_MAX - 120..=RECORD_BYTES_MAX {
        let value = vec![bytes as u8; bytes];
        store.put(b"key", &value, Expiry::Clear);
        store.expire(b"key", Expiry::At(1 << 40));
        store.demote(b"key");
        assert!(store.read(b"key") == Some(value), "{bytes} bytes");
    }
    store.engine.check().unwrap();
}

/// The story: without a log GC dropped the head of a string in extents that it met after its time, and said so to nobody: no client saw
/// its parts any more, and their room was not freed until the database was flushed.
#[test]
fn what_gc_meets_after_its_time_leaves_no_parts_behind() {
    for durability in [Durability::None, Durability::No] {
        let disk = FaultDisk::new(DISK_BYTES, 5, Faults::default());
        let mut store = Store::open(&disk, Options { max_disk: 2 << 20, ..store::options(durability) });
        store.engine.set_active_expire(false);
        store.put(b"large", &[7; LARGE_BYTES], Expiry::At(1_000_500));
        store.demote(b"large");
        let hidden = |store: &Store| store.engine.length(store.engine.space(0).twin());
        assert!(hidden(&store) > 1, "{durability:?}");
        store.clock.advance_us(600_000);
        for number in 0..WRITES {
            let name = (number % 20).to_be_bytes();
            store.put(&name, &[number as u8; 900], Expiry::Clear);
            store.demote(&name);
        }
        assert!(store.engine.stats().gc_segments_freed > 0, "{durability:?}");
        store.engine.set_active_expire(true);
        for _ in 0..200 {
            store.clock.advance_us(50_000);
            (0..50).for_each(|_| store.turn());
        }
        assert_eq!((store.engine.length(store.engine.space(0)), hidden(&store)), (20, 0), "{durability:?}");
        store.engine.check().unwrap();
    }
}

/// The story: two keys of one group, neither of them there, looked like a third whose record is damaged. Each was to replace its slot; when
/// the first had done so the second did not find it any more, and the server panicked. Now the first has the slot, the others get their own.
#[test]
fn keys_that_all_look_like_a_damaged_one_are_stored_together() {
    let disk = FaultDisk::new(DISK_BYTES, 9, Faults::default());
    let mut store = Store::open(&disk, Options { index_bits_kept: 0, ..store::options(Durability::Always) });
    store.put(b"damaged", &[1; 900], Expiry::Clear);
    store.demote(b"damaged");
    (0..1000).for_each(|_| store.turn());
    let engine = store.engine.clone();
    let space = engine.space(0);
    let location = store.finish(engine.locate(&engine.key(space, b"damaged"))).unwrap().unwrap();
    let name = format!("segment-{:06}", location.segment.unwrap());
    disk.corrupt(&name, u64::from(location.offset) + 100, 1).unwrap();

    let names: Vec<[u8; 1]> = (0..20).map(|number| [number]).collect();
    let put_all = async {
        let keys: Vec<_> = names.iter().map(|name| (engine.key(space, name), Access::Overwrite)).collect();
        let mut changes = Changes::new(keys.len());
        engine
            .run(&keys, &mut changes, |_, changes| {
                names.iter().enumerate().for_each(|(at, name)| changes.put(at, Kind::String, name, Expiry::Clear));
            })
            .await
    };
    store.finish(put_all).unwrap();
    for name in &names {
        assert_eq!(store.read(name).as_deref(), Some(&name[..]));
    }
    assert_eq!(store.engine.length(space), names.len() as u64);
    store.engine.check().unwrap();
}

/// The story: a group that needs more memory than there is waited for the log's buffers to be flushed before it was refused, and with
/// `appendfsync no` nobody flushed them for half a minute. Now whoever waits long asks for a flush.
#[test]
fn what_finds_no_memory_is_refused_soon_in_every_mode() {
    for durability in [Durability::None, Durability::No, Durability::EverySecond, Durability::Always] {
        let disk = FaultDisk::new(DISK_BYTES, 11, Faults::default());
        let mut store = Store::open(&disk, Options { max_memory: 1 << 20, ..store::options(durability) });
        // The first flush is due at once, and the second when the mode says so.
        for value in [0, 1] {
            store.put(b"before", &[value; 900], Expiry::Clear);
            (0..20_000 * u32::from(1 - value)).for_each(|_| store.turn());
        }
        let engine = store.engine.clone();
        let space = engine.space(0);
        let names: Vec<[u8; 1]> = (0..100).map(|number| [number]).collect();
        let put_all = async {
            let keys: Vec<_> = names.iter().map(|name| (engine.key(space, name), Access::Overwrite)).collect();
            let mut changes = Changes::new(keys.len());
            let body = |_: &[Option<View<'_>>], changes: &mut Changes<'_>| {
                (0..keys.len())
                    .for_each(|at| changes.put(at, Kind::String, &[2; RECORD_BYTES_MAX - 200], Expiry::Clear));
            };
            engine.run(&keys, &mut changes, body).await
        };
        let began_us = engine.monotonic_us();
        assert!(matches!(store.finish(put_all), Err(Error::OutOfMemory)), "{durability:?}");
        let waited_us = engine.monotonic_us() - began_us;
        assert!(waited_us < 3_000_000, "{durability:?}: {waited_us} us");
        assert_eq!(store.read(b"before").as_deref(), Some(&[1; 900][..]));
        engine.check().unwrap();
    }
}
