//! Groups that change keys and databases together: whole or absent after a crash at any moment, and refused whole when a watched
//! key has changed.

mod store;

use std::pin::pin;

use store::Store;
use thermocline::{Access, Changes, Durability, Expiry, GroupEnd, Key, Kind, Overlay, SpacePlan, Watcher};
use thermocline_io::{FaultDisk, Faults};

/// More than one record takes.
const LARGE_BYTES: usize = 50_000;

impl Store {
    fn set(&mut self, database: u32, name: &str, value: &[u8]) {
        let engine = self.engine.clone();
        let key = engine.key(engine.space(database), name.as_bytes());
        let set = async {
            let mut changes = Changes::new(1);
            engine
                .run(&[(key, Access::Overwrite)], &mut changes, |_, c| c.put(0, Kind::String, value, Expiry::Clear))
                .await
        };
        self.finish(set).unwrap();
    }

    fn get(&mut self, database: u32, name: &str) -> Option<Vec<u8>> {
        let engine = self.engine.clone();
        let key = engine.key(engine.space(database), name.as_bytes());
        let get = async {
            let mut changes = Changes::new(1);
            engine.run(&[(key, Access::Read)], &mut changes, |views, _| views[0].map(|view| view.value.to_vec())).await
        };
        self.finish(get).unwrap().0
    }

    fn flush(&mut self) {
        let engine = self.engine.clone();
        let seq = engine.written_seq();
        self.finish(engine.flush_log(seq)).unwrap();
    }

    /// SETs of database 0, one group.
    fn group(&mut self, plan: &SpacePlan, watcher: Option<&Watcher>, sets: &[(&str, &[u8])]) -> GroupEnd<()> {
        let engine = self.engine.clone();
        let keys: Vec<(Key<'_>, Access)> =
            sets.iter().map(|(name, _)| (engine.key(plan.space(0), name.as_bytes()), Access::Overwrite)).collect();
        let mut changes = Changes::new(keys.len());
        let group = engine.run_group(&keys, plan, watcher, &mut changes, |views, changes| {
            let mut overlay = Overlay::new(views, keys.iter().map(|(key, _)| key.space), 1_000_000);
            for (number, (_, value)) in sets.iter().enumerate() {
                overlay.step(&[number], |_, changes| changes.put(0, Kind::String, value, Expiry::Clear));
            }
            overlay.finish(changes, |_| true);
        });
        self.finish(group).unwrap()
    }
}

/// What a and b hold in database 0, and d in database 1.
fn held(store: &mut Store) -> [Option<Vec<u8>>; 3] {
    [store.get(0, "a"), store.get(0, "b"), store.get(1, "d")]
}

#[test]
fn a_group_that_flushes_and_swaps_databases_is_whole_or_absent() {
    let (mut absent, mut whole) = (0, 0);
    let large = vec![b'L'; LARGE_BYTES];
    for seed in 0..120 {
        let disk = FaultDisk::new(16 << 20, seed, Faults::default());
        let mut store = Store::open(&disk, store::options(Durability::EverySecond));
        store.set(0, "a", b"old");
        store.set(0, "b", b"old");
        store.set(1, "d", b"old");
        store.flush();
        let before = held(&mut store);
        // FLUSHDB of 0, SETs in it (one of them large), SWAPDB 0 1.
        let mut plan = store.engine.plan_spaces();
        plan.flush(0);
        let fresh = plan.clone();
        plan.swap(0, 1);
        let engine = store.engine.clone();
        let keys = [("a", &b"new"[..]), ("c", &large), ("d", b"new")]
            .map(|(name, value)| (engine.key(fresh.space(0), name.as_bytes()), value));
        let accesses: Vec<(Key<'_>, Access)> = keys.iter().map(|(key, _)| (*key, Access::Overwrite)).collect();
        let mut changes = Changes::new(keys.len());
        let group = engine.run_group(&accesses, &plan, None, &mut changes, |_, changes| {
            for (number, (_, value)) in keys.iter().enumerate() {
                changes.put(number, Kind::String, value, Expiry::Clear);
            }
        });
        assert!(matches!(store.finish(group).unwrap(), GroupEnd::Ran((), _)));
        let after = held(&mut store);
        assert_eq!(after, [None, None, Some(b"new".to_vec())]);
        assert_eq!(store.get(1, "c").as_deref(), Some(&large[..]));
        // A flush begins and is cut somewhere.
        let flush = engine.flush_log(engine.written_seq());
        {
            let mut flush = pin!(flush);
            for _ in 0..seed % 12 {
                if store.poll(flush.as_mut()).is_some() {
                    break;
                }
                store.turn();
            }
        }
        if seed % 2 == 0 {
            disk.power_cut()
        } else {
            disk.kill()
        }
        drop(store);
        let mut store = Store::open(&disk, store::options(Durability::EverySecond));
        let now = held(&mut store);
        if now == after {
            assert_eq!(store.get(1, "c").as_deref(), Some(&large[..]), "seed {seed}");
            whole += 1;
        } else {
            assert_eq!(now, before, "seed {seed}: neither before nor after");
            absent += 1;
        }
        // What the large value left behind is swept, and nothing else.
        for _ in 0..300 {
            store.turn();
        }
        assert_eq!(held(&mut store), now, "seed {seed}");
    }
    assert!(absent > 10 && whole > 10, "both were seen: {absent} absent, {whole} whole");
}

#[test]
fn a_plan_that_others_have_overtaken_does_nothing() {
    let disk = FaultDisk::new(16 << 20, 1, Faults::default());
    let mut store = Store::open(&disk, store::options(Durability::EverySecond));
    store.set(0, "a", b"1");
    let plan = store.engine.plan_spaces();
    let engine = store.engine.clone();
    store.finish(engine.flush_database(0)).unwrap();
    assert!(matches!(store.group(&plan, None, &[("a", b"2")]), GroupEnd::Moved));
    assert_eq!(store.get(0, "a"), None);
    let plan = engine.plan_spaces();
    assert!(matches!(store.group(&plan, None, &[("a", b"2")]), GroupEnd::Ran((), _)));
    assert_eq!(store.get(0, "a"), Some(b"2".to_vec()));
}

#[test]
fn a_watched_key_that_only_moves_has_not_changed() {
    let disk = FaultDisk::new(16 << 20, 2, Faults::default());
    let mut store = Store::open(&disk, store::options(Durability::EverySecond));
    let engine = store.engine.clone();
    let value = vec![b'v'; 600];
    store.set(0, "w", &value);
    let mut watcher = engine.watcher();
    store.finish(watcher.watch(&[(0, b"w"), (0, b"missing")])).unwrap();
    let key = engine.key(engine.space(0), b"w");
    assert!(store.finish(engine.demote(&key)).unwrap());
    // Enough to wrap the log several times: GC must move the record.
    let freed = engine.stats().gc_segments_freed;
    for round in 0..40_000u32 {
        store.set(0, &format!("churn{}", round % 50), &value);
        if engine.stats().gc_segments_freed > freed + 200 {
            break;
        }
    }
    assert!(engine.stats().gc_segments_freed > freed + 200, "GC went round the log");
    assert_eq!(store.get(0, "w"), Some(value.clone()));
    assert!(!watcher.is_changed(), "demotion, promotion and GC change nothing");
    let plan = engine.plan_spaces();
    assert!(matches!(store.group(&plan, Some(&watcher), &[("x", b"1")]), GroupEnd::Ran((), _)));
    store.set(0, "missing", b"1");
    assert!(matches!(store.group(&plan, Some(&watcher), &[("x", b"2")]), GroupEnd::Watched));
    assert_eq!(store.get(0, "x"), Some(b"1".to_vec()));
    watcher.clear();
    assert!(!watcher.is_changed());
    assert_eq!(watcher.bytes(), 0);
}

#[test]
fn a_watch_follows_its_database_through_flush_and_swap() {
    let disk = FaultDisk::new(16 << 20, 3, Faults::default());
    let mut store = Store::open(&disk, store::options(Durability::EverySecond));
    let engine = store.engine.clone();
    let watch = |store: &mut Store, name: &[u8]| {
        let mut watcher = engine.watcher();
        store.finish(watcher.watch(&[(0, name)])).unwrap();
        watcher
    };
    // Missing before and behind a flush: nothing changed; set in the fresh space: changed.
    let watcher = watch(&mut store, b"k");
    store.finish(engine.flush_database(0)).unwrap();
    assert!(!watcher.is_changed());
    store.set(0, "k", b"1");
    assert!(watcher.is_changed());
    // There before the flush: changed.
    let watcher = watch(&mut store, b"k");
    store.finish(engine.flush_all()).unwrap();
    assert!(watcher.is_changed());
    // Missing here, there in the other database, even if it is cold there.
    store.set(1, "k", b"1");
    let key = engine.key(engine.space(1), b"k");
    assert!(store.finish(engine.demote(&key)).unwrap());
    let watcher = watch(&mut store, b"k");
    store.finish(engine.swap_databases(0, 1)).unwrap();
    assert!(watcher.is_changed());
    // Missing in both: the watch goes on in the database that came.
    let watcher = watch(&mut store, b"nowhere");
    store.finish(engine.swap_databases(0, 1)).unwrap();
    assert!(!watcher.is_changed());
    store.set(1, "nowhere", b"1");
    assert!(!watcher.is_changed(), "another database's key");
    store.set(0, "nowhere", b"1");
    assert!(watcher.is_changed());
}

#[test]
fn a_group_beyond_the_log_s_room_is_refused_before_any_change() {
    let disk = FaultDisk::new(16 << 20, 4, Faults::default());
    let mut store = Store::open(&disk, store::options(Durability::EverySecond));
    let engine = store.engine.clone();
    let value = vec![b'v'; 10_000];
    let names: Vec<String> = (0..8).map(|number| format!("k{number}")).collect();
    let keys: Vec<(Key<'_>, Access)> =
        names.iter().map(|name| (engine.key(engine.space(0), name.as_bytes()), Access::Overwrite)).collect();
    let mut changes = Changes::new(keys.len());
    let group = engine.run(&keys, &mut changes, |_, changes| {
        (0..keys.len()).for_each(|key| changes.put(key, Kind::String, &value, Expiry::Clear));
    });
    let refusal = store.finish(group).unwrap_err();
    assert!(matches!(refusal, thermocline::Error::GroupTooLarge { .. }), "{refusal}");
    assert_eq!(engine.length(engine.space(0)), 0);
    for name in &names {
        assert_eq!(store.get(0, name), None);
    }
}
