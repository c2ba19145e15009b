//! Nodes with deltas never stand in the way of GC.
//!
//! The story: before each map, which is what makes victims of GC free again, the nodes with deltas are appended whole, and they may use
//! the last segment. Growth then filled the segment that was opened for them, so each map took one more, and after a power cut, whose
//! replay brings back all nodes with deltas at once, the log was wedged: no free segment, GC with nowhere to copy to, a quarter of the
//! disk live. Now the log keeps the room that they take, and growth has no part of it.

mod store;

use store::Store;
use thermocline::{Access, Changes, Collection, Durability, Expiry, Kind, Options};
use thermocline_io::{FaultDisk, Faults};
use thermocline_value::{Fault, HashEntry, hash};

const HASHES: u64 = 8;
const FIELDS: u64 = 1500;

fn options() -> Options {
    // DRAM for so many deltas that to append their nodes takes more segments than any reserve.
    Options { max_memory: 256 << 20, max_disk: 5 << 20, map_gap_bytes: 1 << 30, ..store::options(Durability::Always) }
}

fn set(store: &mut Store, number: u64, fields: &[u64], stamp: u64) {
    let engine = store.engine.clone();
    let (space, name) = (engine.space(0), format!("hash-{number}").into_bytes());
    let run = async {
        let keys = [(engine.key(space, &name), Access::Write)];
        let mut changes = Changes::new(1);
        engine
            .run(&keys, &mut changes, |views, changes| {
                let mut collection = match &views[0] {
                    Some(view) => Collection::of(&engine, view, (space, &name)),
                    None => Collection::new(&engine, Kind::Hash, hash::EMPTY, (space, &name)),
                };
                let value = format!("{stamp:0>90}").into_bytes();
                let set = fields.iter().try_for_each(|field| {
                    let field = format!("field-{field}").into_bytes();
                    hash::set(&mut collection, &HashEntry { field: &field, value: &value, expiry_ms: None }).map(drop)
                });
                let done = set.and_then(|()| collection.stage(changes, 0, Expiry::Keep));
                if let Err(Fault::Missing(_)) = done {
                    changes.want_nodes();
                }
                done
            })
            .await
    };
    let (done, written) = store.finish(run).unwrap();
    done.unwrap();
    let engine = store.engine.clone();
    store.finish(engine.durable(written.wait_seq)).unwrap();
}

#[test]
fn small_changes_everywhere_leave_gc_its_room_through_power_cuts() {
    let disk = FaultDisk::new(32 << 20, 3, Faults::default());
    let mut store = Store::open(&disk, options());
    let all: Vec<u64> = (0..FIELDS).collect();
    for number in 0..HASHES {
        all.chunks(50).for_each(|fields| set(&mut store, number, fields, 0));
    }
    let mut field = 0;
    for life in 0..4 {
        for stamp in 0..6_000 {
            field = (field + 379) % FIELDS;
            set(&mut store, stamp % HASHES, &[field, (field + 700) % FIELDS], stamp);
        }
        assert!(store.engine.stats().delta_nodes > 0, "life {life}: {:?}", store.engine.stats());
        store.engine.check().unwrap();
        store.disk.power_cut();
        drop(store);
        store = Store::open(&disk, options());
    }
}
