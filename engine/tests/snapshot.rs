//! Snapshots: what is read is the store as it was at the moment, whatever was written, moved and reused meanwhile, in every mode and
//! in any number of parts.

mod store;
#[path = "store/strings.rs"]
mod strings;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use store::{Store, options};
use thermocline::snapshot::Snapshot;
use thermocline::{Access, Changes, Collection, Durability, Engine, Error, Expiry, Kind, Options, block_on};
use thermocline_io::{FaultDisk, Faults};
use thermocline_value::{Fault, HashEntry, hash};

type Model = BTreeMap<String, Vec<u8>>;

const KEYS: u32 = 400;
/// The hash that grows to a tree: its fields are in the model as `tree/field`.
const TREE: &str = "tree";

impl Store {
    /// Sets a field of the tree.
    fn set_field(&mut self, field: &str, value: &[u8]) {
        let engine = self.engine.clone();
        let space = engine.space(0);
        let near = (space, TREE.as_bytes());
        let change = async {
            let mut changes = Changes::new(1);
            let keys = [(engine.key(space, TREE.as_bytes()), Access::Write)];
            engine
                .run(&keys, &mut changes, |views, changes| {
                    let mut collection = match &views[0] {
                        Some(view) => Collection::of(&engine, view, near),
                        None => Collection::new(&engine, Kind::Hash, thermocline_value::empty_record(Kind::Hash), near),
                    };
                    let set =
                        hash::set(&mut collection, &HashEntry { field: field.as_bytes(), value, expiry_ms: None });
                    match set.map(|_| ()).and_then(|()| collection.stage(changes, 0, Expiry::Keep)) {
                        Err(Fault::Missing(_)) => changes.want_nodes(),
                        done => done.unwrap(),
                    }
                })
                .await
        };
        self.finish(change).unwrap();
    }

    /// Gives a key another name. A tree's nodes stay where they are.
    fn rename(&mut self, from: &str, to: &str) {
        let engine = self.engine.clone();
        let space = engine.space(0);
        let [from, to] = [from, to].map(|name| engine.key(space, name.as_bytes()));
        let rename = async {
            let mut changes = Changes::new(2);
            let keys = [(from, Access::Write), (to, Access::Overwrite)];
            engine
                .run(&keys, &mut changes, |views, changes| {
                    let source = views[0].as_ref().expect("it is there");
                    changes.put_with(1, source.kind, Expiry::Clear, |into| into.extend_from_slice(source.value));
                    changes.remove(0);
                })
                .await
        };
        self.finish(rename).unwrap();
    }

    /// Sets and removes keys and fields, and keeps the model beside it.
    fn work(&mut self, steps: usize, model: &mut Model, random: &mut SmallRng) {
        for _ in 0..steps {
            let name = format!("key {}", random.random_range(0..KEYS));
            let value = vec![random.random_range(b'a'..=b'z'); random.random_range(1..700)];
            match random.random_range(0..12) {
                0 | 1 => {
                    self.change(&name, None).unwrap();
                    model.remove(&name);
                }
                2..=4 => {
                    let field = format!("field {}", random.random_range(0..KEYS));
                    self.set_field(&field, &value[..value.len() / 4]);
                    model.insert(format!("{TREE}/{field}"), value[..value.len() / 4].to_vec());
                }
                _ => {
                    // Some are kept in extents.
                    let value = if random.random_ratio(1, 100) { vec![value[0]; 60_000] } else { value };
                    self.change(&name, Some(&value)).unwrap();
                    model.insert(name, value);
                }
            }
        }
    }

    fn begin(&mut self) -> thermocline::Result<Snapshot> {
        let engine = self.engine.clone();
        self.finish(engine.begin_snapshot())
    }
}

/// Room for what is written while a snapshot keeps its segments, and for its reader: 4 MiB are left of the memory.
fn roomy(durability: Durability) -> Options {
    Options { max_disk: 24 << 20, max_memory: 15 << 20, ..options(durability) }
}

fn disk(seed: u64) -> FaultDisk {
    FaultDisk::new(64 << 20, seed, Faults::default())
}

/// What a snapshot holds; `meanwhile` is called between any two steps.
fn read(snapshot: &Snapshot, meanwhile: &mut dyn FnMut()) -> thermocline::Result<Model> {
    let mut model = Model::new();
    snapshot.read(|part| {
        let engine = part.engine.clone();
        let space = engine.space(0);
        let mut cursor = 0;
        loop {
            let mut met = Vec::new();
            let see = |key: &[u8], view: &thermocline::View<'_>| {
                if !part.is_elsewhere(space, key, view.value) {
                    met.push(String::from_utf8(key.to_vec()).unwrap());
                }
            };
            cursor = block_on(engine.scan_around(space, cursor, 16, see, |_, error| Err(error)))?;
            for name in met {
                for (name, value) in value_of(&engine, &name)? {
                    assert!(model.insert(name, value).is_none(), "a key is read twice");
                }
                meanwhile();
            }
            if cursor == 0 {
                return Ok::<(), Error>(());
            }
        }
    })?;
    Ok(model)
}

fn value_of(engine: &Engine, name: &str) -> thermocline::Result<Vec<(String, Vec<u8>)>> {
    let space = engine.space(0);
    let mut changes = Changes::new(1);
    let keys = [(engine.key(space, name.as_bytes()), Access::Read)];
    let (found, _) = block_on(engine.run(&keys, &mut changes, |views, changes| {
        let view = views[0].as_ref().expect("what was scanned is there");
        if view.kind == Kind::String {
            return Some(vec![(name.to_owned(), view.value.to_vec())]);
        }
        let collection = Collection::of(engine, view, (space, name.as_bytes()));
        let named = |entry: HashEntry<'_>| {
            let field = String::from_utf8(entry.field.to_vec()).unwrap();
            (format!("{name}/{field}"), entry.value.to_vec())
        };
        let walked = hash::walk(&collection, 0).and_then(|walk| walk.map(|entry| entry.map(named)).collect());
        match walked {
            Err(Fault::Missing(_)) => {
                changes.want_nodes();
                None
            }
            walked => Some(walked.unwrap()),
        }
    }))?;
    Ok(found.expect("all nodes are at hand in the end"))
}

#[test]
fn a_snapshot_is_the_store_at_its_moment_whatever_is_written_meanwhile() {
    let modes = [Durability::Always, Durability::EverySecond, Durability::No, Durability::None];
    let mut reused = 0;
    for (seed, durability) in (0..8).zip(modes.into_iter().cycle()) {
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let mut store = Store::open(&disk(seed), roomy(durability));
        let mut model = Model::new();
        store.work(9_000, &mut model, &mut random);
        for bits in 0..3 {
            let moment = model.clone();
            let snapshot = store.begin().unwrap().in_parts(bits);
            assert_eq!(store.engine.durability(), durability, "the promise is what it was");
            let before = store.engine.stats().gc_segments_freed;
            // A writer and the garbage collector go on between any two keys.
            let found = read(&snapshot, &mut || store.work(12, &mut model, &mut random)).unwrap();
            reused += store.engine.stats().gc_segments_freed - before;
            assert!(found == moment, "the snapshot is not the store at its moment");
            // And once more: it is still there.
            assert!(read(&snapshot, &mut || ()).unwrap() == moment);
            store.work(300, &mut model, &mut random);
        }
    }
    assert!(reused > 0, "no segment was reused while a snapshot was read: the test shows nothing");
}

/// In each of these parts are keys whose trees lie in another one.
#[test]
fn large_collections_that_were_renamed_are_read_once_and_whole() {
    let mut store = Store::open(&disk(1), roomy(Durability::EverySecond));
    let mut model = Model::new();
    for number in 0..12 {
        for field in 0..150 {
            let (field, value) =
                (format!("field {field}"), format!("{number} {field} of some length that makes a tree"));
            store.set_field(&field, value.as_bytes());
            model.insert(format!("renamed {number}/{field}"), value.into_bytes());
        }
        store.rename(TREE, &format!("renamed {number}"));
    }
    store.change("string", Some(b"between them")).unwrap();
    model.insert("string".into(), b"between them".to_vec());
    for bits in [0, 1, 3, 8] {
        let snapshot = store.begin().unwrap().in_parts(bits);
        assert!(read(&snapshot, &mut || ()).unwrap() == model, "{bits} bits");
    }
}

#[test]
fn expiry_is_judged_at_the_moment() {
    let mut store = Store::open(&disk(1), options(Durability::EverySecond));
    let engine = store.engine.clone();
    let soon_ms = engine.now_ms() + 1_000;
    let put = async {
        let mut changes = Changes::new(1);
        let keys = [(engine.key(engine.space(0), b"key"), Access::Overwrite)];
        engine.run(&keys, &mut changes, |_, c| c.put(0, Kind::String, b"v", Expiry::At(soon_ms))).await
    };
    store.finish(put).unwrap();
    let snapshot = store.begin().unwrap();
    store.clock.advance_us(5_000_000);
    assert_eq!(read(&snapshot, &mut || ()).unwrap().len(), 1, "it was there");
    drop(snapshot);
    let snapshot = store.begin().unwrap();
    assert_eq!(read(&snapshot, &mut || ()).unwrap().len(), 0, "it had expired");
}

#[test]
fn one_at_a_time_and_a_backup_beside_it() {
    let mut store = Store::open(&disk(1), options(Durability::EverySecond));
    store.change("key", Some(b"value")).unwrap();
    let snapshot = store.begin().unwrap();
    let second = store.begin().map(|_| ()).unwrap_err();
    assert!(second.to_string().contains("a snapshot is being made"), "{second}");
    let engine = store.engine.clone();
    store.finish(engine.begin_backup()).map(drop).unwrap();
    drop(snapshot);
    store.begin().map(drop).unwrap();
}

#[test]
fn a_log_that_needs_its_segments_gets_them_and_the_snapshot_is_given_up() {
    let small = Options { max_disk: 2 << 20, ..options(Durability::EverySecond) };
    let mut store = Store::open(&disk(1), small);
    let mut random = SmallRng::seed_from_u64(7);
    let value = vec![b'v'; 500];
    for number in 0..3_000 {
        store.change(&format!("key {}", number % KEYS), Some(&value)).unwrap();
    }
    let snapshot = store.begin().unwrap();
    // What is replaced from now on may not be reused, and writers come near the log's end. None is refused.
    for _ in 0..3_000 {
        let name = format!("key {}", random.random_range(0..KEYS));
        store.change(&name, Some(&value)).unwrap();
    }
    let given_up = read(&snapshot, &mut || ()).unwrap_err();
    assert!(given_up.to_string().contains("short of segments"), "{given_up}");
    drop(snapshot);
    for number in 0..5_000 {
        store.change(&format!("key {}", number % KEYS), Some(&value)).unwrap();
    }
}
