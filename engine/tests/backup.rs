//! Backups: what is put back is the store as it was at the moment of the backup, whatever was written, moved and reused meanwhile.

mod store;
#[path = "store/strings.rs"]
mod strings;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use store::{Store, options};
use thermocline::backup::{self, Listing, Manifest};
use thermocline::{Access, Changes, Durability, Options};
use thermocline_io::{Disk, FaultDisk, Faults};

type Model = BTreeMap<String, Vec<u8>>;

impl Store {
    fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        let engine = self.engine.clone();
        let key = engine.key(engine.space(0), name.as_bytes());
        let get = async {
            let mut changes = Changes::new(1);
            engine.run(&[(key, Access::Read)], &mut changes, |views, _| views[0].map(|view| view.value.to_vec())).await
        };
        self.finish(get).unwrap().0
    }

    /// Sets and removes keys, and keeps the model beside it.
    fn work(&mut self, steps: usize, model: &mut Model, random: &mut SmallRng) {
        for _ in 0..steps {
            let name = format!("key {}", random.random_range(0..KEYS));
            if random.random_ratio(1, 6) {
                self.change(&name, None).unwrap();
                model.remove(&name);
            } else {
                // Some are kept in extents.
                let bytes = if random.random_ratio(1, 150) { 60_000 } else { random.random_range(1..700) };
                let value = vec![random.random_range(b'a'..=b'z'); bytes];
                self.change(&name, Some(&value)).unwrap();
                model.insert(name, value);
            }
        }
    }

    fn begin(&mut self) -> thermocline::Result<backup::BackupSource> {
        let engine = self.engine.clone();
        self.finish(engine.begin_backup())
    }
}

const KEYS: u32 = 400;

/// Room for what is written while a backup keeps what it has not yet copied.
fn roomy(durability: Durability) -> Options {
    Options { max_disk: 24 << 20, ..options(durability) }
}

fn disk(seed: u64) -> FaultDisk {
    FaultDisk::new(64 << 20, seed, Faults::default())
}

/// What a restored backup holds.
fn restored(folder: &FaultDisk, name: &str, options: Options) -> Model {
    let into = disk(99);
    let manifest = Manifest::read(folder, name).unwrap();
    manifest.check(folder, &mut |_| true).unwrap();
    manifest.restore(folder, &into, &mut |_| true).unwrap();
    let mut store = Store::open(&into, options);
    assert_eq!(store.engine.recovery().lost_records, 0, "nothing is missing");
    let names = (0..KEYS).map(|number| format!("key {number}"));
    let model: Model = names.filter_map(|name| store.get(&name).map(|value| (name, value))).collect();
    assert_eq!(store.engine.length(store.engine.space(0)), model.len() as u64, "no other key is there");
    model
}

#[test]
fn a_backup_is_the_store_at_its_moment_whatever_is_written_meanwhile() {
    let mut reused = 0;
    for (seed, durability) in
        (0..12).zip([Durability::Always, Durability::EverySecond, Durability::No].into_iter().cycle())
    {
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut store, folder) = (Store::open(&disk(seed), roomy(durability)), disk(seed + 100));
        let mut model = Model::new();
        store.work(12_000, &mut model, &mut random);
        let mut moments = Vec::new();
        for number in 0..3 {
            let moment = model.clone();
            let source = store.begin().unwrap();
            let before = store.engine.stats().gc_segments_freed;
            // A writer and the garbage collector go on between any two pieces.
            let meanwhile = &mut |_| {
                store.work(12, &mut model, &mut random);
                true
            };
            let name = format!("backup-{number}");
            source.copy(&folder, &name, meanwhile).unwrap();
            reused += store.engine.stats().gc_segments_freed - before;
            moments.push((name, moment));
            store.work(300, &mut model, &mut random);
        }
        for (name, moment) in moments {
            assert!(restored(&folder, &name, roomy(durability)) == moment, "{name} is not the store at its moment");
        }
    }
    assert!(reused > 0, "no segment was reused while a backup was made: the test shows nothing");
}

#[test]
fn a_second_backup_copies_what_is_new_and_an_old_one_goes_without_it() {
    let (mut store, folder) = (Store::open(&disk(1), options(Durability::EverySecond)), disk(2));
    let (mut model, mut random) = (Model::new(), SmallRng::seed_from_u64(7));
    store.work(2_000, &mut model, &mut random);
    let (_, whole) = store.begin().unwrap().copy(&folder, "first", &mut |_| true).unwrap();
    assert_eq!(whole.bytes_copied, whole.bytes_all);
    store.work(20, &mut model, &mut random);
    let (_, second) = store.begin().unwrap().copy(&folder, "second", &mut |_| true).unwrap();
    assert!(second.bytes_copied * 2 < second.bytes_all, "{second:?}");
    assert_eq!(second.bytes, second.bytes_all);

    let taken = store.begin().unwrap().copy(&folder, "second", &mut |_| true).unwrap_err();
    assert!(taken.to_string().contains("there is a backup second"), "{taken}");

    let files_before = folder.list().unwrap().len();
    assert_eq!(backup::prune(&folder, 1).unwrap(), ["first"]);
    assert!(folder.list().unwrap().len() < files_before);
    assert!(restored(&folder, "second", options(Durability::EverySecond)) == model);
    let names: Vec<String> = Listing::read(&folder).unwrap().backups.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["second"]);
}

/// A start knows the last seq of the map and not that of each segment: named by it, a backup after each restart was whole.
#[test]
fn after_a_restart_a_backup_copies_what_is_new_too() {
    let (data, folder) = (disk(1), disk(2));
    let (mut model, mut random) = (Model::new(), SmallRng::seed_from_u64(7));
    for (life, name) in ["first", "second"].into_iter().enumerate() {
        let mut store = Store::open(&data, options(Durability::EverySecond));
        store.work([2_000, 20][life], &mut model, &mut random);
        let (_, progress) = store.begin().unwrap().copy(&folder, name, &mut |_| true).unwrap();
        assert_eq!(life == 1, progress.bytes_copied * 2 < progress.bytes_all, "{name}: {progress:?}");
        let engine = store.engine.clone();
        store.finish(engine.close()).unwrap();
    }
    assert!(restored(&folder, "second", options(Durability::EverySecond)) == model);
}

/// It goes on with the seqs of the store that it is a copy of: its segments have the same numbers and epochs, and their footers tell of
/// keys and lengths only.
#[test]
fn a_restored_store_does_not_take_the_other_ones_segments_for_its_own() {
    let (data, copy, folder) = (disk(1), disk(3), disk(2));
    let settings = || options(Durability::EverySecond);
    let mut store = Store::open(&data, settings());
    store.change("key 1", Some(b"at the moment")).unwrap();
    let (manifest, _) = store.begin().unwrap().copy(&folder, "first", &mut |_| true).unwrap();
    manifest.restore(&folder, &copy, &mut |_| true).unwrap();
    // A crash: both have had as many lives then.
    drop(store);
    let (mut store, mut other) = (Store::open(&data, settings()), Store::open(&copy, settings()));
    for (store, name, value) in [(&mut store, "second", b"one way"), (&mut other, "third", b"another")] {
        store.change("key 2", Some(value)).unwrap();
        store.begin().unwrap().copy(&folder, name, &mut |_| true).unwrap();
    }
    let objects = |name| Manifest::read(&folder, name).unwrap().files.into_iter().map(|file| file.object);
    let shared: Vec<String> =
        objects("third").filter(|object| objects("second").any(|other| other == *object)).collect();
    assert!(shared.is_empty(), "{shared:?}");
    for (name, value) in [("second", b"one way"), ("third", b"another")] {
        assert_eq!(restored(&folder, name, settings())["key 2"], value, "{name}");
    }
}

#[test]
fn a_damaged_or_half_backup_is_never_restored_in_silence() {
    let (mut store, folder) = (Store::open(&disk(1), options(Durability::EverySecond)), disk(2));
    let (mut model, mut random) = (Model::new(), SmallRng::seed_from_u64(7));
    store.work(2_000, &mut model, &mut random);
    let interrupted =
        store.begin().unwrap().copy(&folder, "half", &mut |progress| progress.bytes < 200_000).unwrap_err();
    assert!(interrupted.to_string().starts_with("interrupted"), "{interrupted}");
    assert!(Listing::read(&folder).unwrap().backups.is_empty());
    let (manifest, _) = store.begin().unwrap().copy(&folder, "whole", &mut |_| true).unwrap();

    let object = &manifest.files[0].object;
    let file = folder.open(object).unwrap();
    let mut byte = [0];
    folder.read_at(file, 5_000, &mut byte).unwrap();
    folder.write_at(file, 5_000, &[byte[0] ^ 1]).unwrap();
    let into = disk(3);
    for error in [
        manifest.check(&folder, &mut |_| true).unwrap_err(),
        manifest.restore(&folder, &into, &mut |_| true).map(|_| ()).unwrap_err(),
    ] {
        assert!(error.to_string().contains(object), "{error}");
    }
    let there: Vec<String> = into.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(!there.iter().any(|name| name.starts_with("superblock")), "what is left is no data directory: {there:?}");
    let full = manifest.restore(&folder, &into, &mut |_| true).unwrap_err();
    assert!(full.to_string().contains("choose an empty one"), "{full}");
}

fn names(folder: &dyn Disk) -> Vec<String> {
    folder.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

/// They stayed for ever: each interrupted backup cost the folder what it had copied, and no `backup-keep` gave it back.
#[test]
fn what_an_interrupted_backup_left_goes_with_the_next_one() {
    let (mut store, folder) = (Store::open(&disk(1), options(Durability::EverySecond)), disk(2));
    let (mut model, mut random) = (Model::new(), SmallRng::seed_from_u64(7));
    store.work(2_000, &mut model, &mut random);
    store.begin().unwrap().copy(&folder, "half", &mut |progress| progress.bytes < 200_000).unwrap_err();
    assert!(names(&folder).iter().any(|name| name.starts_with("half.")), "{:?}", names(&folder));
    folder.create("notes.txt", 4096).unwrap();
    store.work(2_000, &mut model, &mut random);
    let (manifest, _) = store.begin().unwrap().copy(&folder, "whole", &mut |_| true).unwrap();
    let mut expected: Vec<String> = manifest.files.into_iter().map(|file| file.object).collect();
    expected.extend(["notes.txt".to_owned(), "whole.backup".to_owned()]);
    let mut there = names(&folder);
    expected.sort();
    there.sort();
    assert_eq!(there, expected);
    assert!(restored(&folder, "whole", options(Durability::EverySecond)) == model);
}

/// One manifest that was not understood made a folder useless: no backup in it, no list, no restore, no next backup.
#[test]
fn a_manifest_that_is_not_understood_hides_no_other_and_nothing_is_removed_beside_it() {
    let (mut store, folder) = (Store::open(&disk(1), options(Durability::EverySecond)), disk(2));
    let (mut model, mut random) = (Model::new(), SmallRng::seed_from_u64(7));
    store.work(500, &mut model, &mut random);
    store.begin().unwrap().copy(&folder, "old", &mut |_| true).unwrap();
    let later = folder.create("later.backup", 4096).unwrap();
    folder.write_at(later, 0, &[b'?'; 4096]).unwrap();
    store.work(500, &mut model, &mut random);
    let taken = store.begin().unwrap().copy(&folder, "later", &mut |_| true).unwrap_err();
    assert!(taken.to_string().contains("there is a backup later"), "{taken}");
    store.begin().unwrap().copy(&folder, "new", &mut |_| true).unwrap();

    let listing = Listing::read(&folder).unwrap();
    let understood: Vec<&str> = listing.backups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(understood, ["old", "new"]);
    assert_eq!((listing.not_understood.len(), listing.not_understood[0].0.as_str()), (1, "later"));
    let before = names(&folder);
    let refused = backup::prune(&folder, 1).unwrap_err().to_string();
    assert!(refused.contains("later.backup") && refused.contains("move it away"), "{refused}");
    assert_eq!(names(&folder), before);
    assert!(restored(&folder, "new", options(Durability::EverySecond)) == model);

    folder.remove("later.backup").unwrap();
    assert_eq!(backup::prune(&folder, 1).unwrap(), ["old"]);
}

#[test]
fn a_log_that_needs_its_segments_gets_them_and_the_backup_is_given_up() {
    let small = Options { max_disk: 2 << 20, ..options(Durability::EverySecond) };
    let (mut store, folder) = (Store::open(&disk(1), small), disk(2));
    let (mut model, mut random) = (Model::new(), SmallRng::seed_from_u64(7));
    let value = vec![b'v'; 500];
    for number in 0..3_000 {
        let name = format!("key {}", number % KEYS);
        store.change(&name, Some(&value)).unwrap();
        model.insert(name, value.clone());
    }
    let source = store.begin().unwrap();
    // What is replaced from now on may not be reused, and writers come near the log's end. None is refused.
    for _ in 0..3_000 {
        let name = format!("key {}", random.random_range(0..KEYS));
        store.change(&name, Some(&value)).unwrap();
    }
    let given_up = source.copy(&folder, "one", &mut |_| true);
    assert!(given_up.unwrap_err().to_string().contains("short of segments"));
    for number in 0..5_000 {
        store.change(&format!("key {}", number % KEYS), Some(&value)).unwrap();
    }
}

#[test]
fn without_a_log_there_is_no_backup() {
    let mut store = Store::open(&disk(1), options(Durability::None));
    let refused = store.begin().map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("appendonly yes"), "{refused}");
}
