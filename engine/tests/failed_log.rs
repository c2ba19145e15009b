//! Reads go on while the log cannot be written.
//!
//! The story: under `always` a read waits for whatever its shard has written, and while the log has failed that wait ends in an
//! error. One unflushed write in each of a few shards was enough to refuse three reads of four, and the server closed the connection of
//! each. Since then, while the log has failed, a key is served whose own version is on the device with the whole of its group;
//! only what a crash would take is refused.

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
