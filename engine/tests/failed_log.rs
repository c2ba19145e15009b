//! What holds while the log cannot be written.
//!
//! Reads go on. The story: under `always` a read waits for whatever its shard has written, and while the log has failed that wait ends in an
//! error. One unflushed write in each of a few shards was enough to refuse three reads of four, and the server closed the connection of
//! each. Since then, while the log has failed, a key is served whose own version is on the device with the whole of its group;
//! only what a crash would take is refused.
//!
//! A shutdown does not call itself clean. The story (seed 65701 of the errors profile): a change of mode could not be written and so
//! failed the log, and a failed log closes no chunk. What GC had copied into an open one was in no list of what a map must wait for:
//! the shutdown went on, its map named the copies, its mark said that all was there, and they were gone.

mod store;

use store::{STEPS_MAX, Store};
use thermocline::{Access, Changes, Durability, Error, Expiry, Kind};
use thermocline_io::{FaultDisk, Faults};

/// So many that each shard has some of each kind.
const KEYS: u8 = 200;

impl Store {
    /// Sets a key to a version; the seq that its answer waits for.
    fn set(&mut self, key: u8, version: u8) -> u64 {
        let (engine, value) = (self.engine.clone(), [version; 100]);
        let set = async {
            let keys = [(engine.key(engine.space(0), std::slice::from_ref(&key)), Access::Overwrite)];
            engine.run(&keys, &mut Changes::new(1), |_, c| c.put(0, Kind::String, &value, Expiry::Clear)).await
        };
        self.finish(set).unwrap().1.wait_seq
    }

    /// The version that a key holds, and the seq that the answer waits for.
    fn get(&mut self, key: u8) -> Result<(Option<u8>, u64), Error> {
        let engine = self.engine.clone();
        let get = async {
            let keys = [(engine.key(engine.space(0), std::slice::from_ref(&key)), Access::Read)];
            engine.run(&keys, &mut Changes::new(1), |views, _| views[0].map(|view| view.value[0])).await
        };
        self.finish(get).map(|(version, done)| (version, done.wait_seq))
    }
}

#[test]
fn what_is_on_the_device_is_read_while_the_log_cannot_be_written_and_what_is_not_is_refused_until_it_is() {
    let mut store = Store::open(&FaultDisk::new(16 << 20, 7, Faults::default()), store::options(Durability::Always));
    for key in 0..KEYS {
        let seq = store.set(key, 1);
        let engine = store.engine.clone();
        store.finish(engine.durable(seq)).unwrap();
    }
    store.disk.set_faults(Faults { write_error: 1.0, ..Faults::default() });
    let changed: Vec<u8> = (0..KEYS).step_by(4).collect();
    let last = changed.iter().map(|&key| store.set(key, 2)).max().unwrap();
    let engine = store.engine.clone();
    let failed = store.finish(engine.durable(last));
    assert!(matches!(failed, Err(Error::Misconfigured { .. })), "{failed:?}");
    for key in 0..KEYS {
        match store.get(key) {
            Ok(answer) if !changed.contains(&key) => assert_eq!(answer, (Some(1), 0), "{key}"),
            Err(Error::Misconfigured { .. }) if changed.contains(&key) => {}
            other => panic!("key {key}: {other:?}"),
        }
    }
    // Nobody can say of a key that is not there whether its removal is on the device.
    let absent = store.get(KEYS);
    assert!(matches!(absent, Err(Error::Misconfigured { .. })), "{absent:?}");

    store.disk.set_faults(Faults::default());
    for _ in 0..STEPS_MAX {
        store.turn();
        if engine.refuses_writes(true).is_none() && engine.is_durable(last) {
            break;
        }
    }
    for key in 0..KEYS {
        let version = if changed.contains(&key) { 2 } else { 1 };
        assert_eq!(store.get(key).unwrap().0, Some(version), "{key}");
    }
}

/// Keys that are set once: GC moves them again and again.
const STILL: u8 = 40;
/// Bytes of each value.
const VALUE_BYTES: usize = 3000;

impl Store {
    fn put(&mut self, key: u8, version: u8) {
        let (engine, value) = (self.engine.clone(), [version; VALUE_BYTES]);
        let put = async {
            let keys = [(engine.key(engine.space(0), std::slice::from_ref(&key)), Access::Overwrite)];
            let (_, done) =
                engine.run(&keys, &mut Changes::new(1), |_, c| c.put(0, Kind::String, &value, Expiry::Clear)).await?;
            engine.durable(done.wait_seq).await
        };
        self.finish(put).unwrap();
    }
}

#[test]
fn a_shutdown_with_a_failed_log_never_calls_itself_clean_without_what_gc_has_copied() {
    let (mut refused, mut copied) = (0, 0);
    for turns in 0..12 {
        let disk = FaultDisk::new(32 << 20, turns, Faults::default());
        let mut store = Store::open(&disk, store::options(Durability::Always));
        let mut versions = [0u8; KEYS as usize];
        for number in 0u32.. {
            // Few stay as they are, among many that die: each segment holds some that GC must move.
            let key = if number.is_multiple_of(60) && number / 60 < u32::from(STILL) {
                (number / 60) as u8
            } else {
                STILL + (number % u32::from(KEYS - STILL)) as u8
            };
            let version = versions[usize::from(key)].wrapping_add(1);
            versions[usize::from(key)] = version;
            store.put(key, version);
            if store.engine.stats().gc_bytes_copied > 20_000 * (turns + 1) {
                break;
            }
        }
        copied += store.engine.stats().gc_bytes_copied;
        store.disk.set_faults(Faults { no_space: 1.0, ..Faults::default() });
        let engine = store.engine.clone();
        let switched = store.finish(engine.set_durability(Durability::None));
        assert!(switched.is_err(), "a disk that takes nothing takes no superblock");
        store.disk.set_faults(Faults::default());
        refused += u64::from(store.finish(engine.close()).is_err());
        drop((engine, store));
        disk.kill();

        let mut store = Store::open(&disk, store::options(Durability::Always));
        assert_eq!(store.engine.recovery().lost_records, 0, "{:?}", store.engine.recovery().notes);
        for key in 0..KEYS {
            let want = Some(versions[usize::from(key)]).filter(|&version| version > 0);
            assert_eq!(store.get(key).unwrap().0, want, "key {key} after {turns}");
        }
        store.engine.check().unwrap();
    }
    assert!(copied > 0 && refused > 0, "{copied} bytes copied, {refused} shutdowns refused");
}
