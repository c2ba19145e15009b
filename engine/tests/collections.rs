//! Collections in a store that is far smaller than they are: their nodes leave and come back one by one, the power goes, and what
//! is there is what a model says.

mod store;

use std::collections::{BTreeMap, BTreeSet};

use store::Store;
use thermocline::{Access, Changes, Collection, Durability, Expiry, Kind, Options};
use thermocline_io::{FaultDisk, Faults};
use thermocline_value::{Fault, HashEntry, ScoredMember, hash, length, list, set, sorted_set, verify};

const DISK_BYTES: u64 = 64 << 20;

fn open(disk: &FaultDisk, hash_bits: u32) -> Store {
    let options = Options {
        // With a hash of a few bits a look reads what only looks alike, too: cold is then what a restart left cold.
        max_memory: if hash_bits < 64 { 16 << 20 } else { 1 << 20 },
        max_disk: 32 << 20,
        map_gap_bytes: 64 << 10,
        checkpoint_gap_bytes: 256 << 10,
        index_bits_kept: hash_bits,
        ..store::options(Durability::Always)
    };
    Store::open(disk, options)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % end
    }
}

/// What a key should hold.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    SortedSet(BTreeMap<Vec<u8>, i64>),
}

impl Model {
    fn of(kind: Kind) -> Model {
        match kind {
            Kind::Hash => Model::Hash(BTreeMap::new()),
            Kind::List => Model::List(Vec::new()),
            Kind::Set => Model::Set(BTreeSet::new()),
            _ => Model::SortedSet(BTreeMap::new()),
        }
    }

    fn len(&self) -> u64 {
        let len = match self {
            Model::Hash(model) => model.len(),
            Model::List(model) => model.len(),
            Model::Set(model) => model.len(),
            Model::SortedSet(model) => model.len(),
        };
        len as u64
    }

    fn add(&mut self, member: &[u8], number: u64) {
        match self {
            Model::Hash(model) => drop(model.insert(member.to_vec(), value(number))),
            Model::List(model) => {
                let at = (number as usize).min(model.len());
                model.insert(at, value(number));
            }
            Model::Set(model) => drop(model.insert(member.to_vec())),
            Model::SortedSet(model) => drop(model.insert(member.to_vec(), number as i64)),
        }
    }

    fn remove(&mut self, member: &[u8], number: u64) {
        match self {
            Model::Hash(model) => drop(model.remove(member)),
            Model::List(model) => {
                if (number as usize) < model.len() {
                    model.remove(number as usize);
                }
            }
            Model::Set(model) => drop(model.remove(member)),
            Model::SortedSet(model) => drop(model.remove(member)),
        }
    }
}

fn member(number: u64) -> Vec<u8> {
    format!("member-{number}-{}", "m".repeat(number as usize % 90)).into_bytes()
}

fn value(number: u64) -> Vec<u8> {
    format!("{number}:{}", "v".repeat(number as usize % 150)).into_bytes()
}

fn add(nodes: &mut Collection<'_>, member: &[u8], number: u64) -> Result<(), Fault> {
    match nodes.kind() {
        Kind::Hash => drop(hash::set(nodes, &HashEntry { field: member, value: &value(number), expiry_ms: None })?),
        Kind::List => list::insert(nodes, number, &value(number))?,
        Kind::Set => drop(set::add(nodes, member)?),
        _ => drop(sorted_set::set(nodes, &ScoredMember { member, score: number as f64 })?),
    }
    Ok(())
}

fn remove(nodes: &mut Collection<'_>, member: &[u8], number: u64) -> Result<(), Fault> {
    match nodes.kind() {
        Kind::Hash => drop(hash::remove(nodes, member)?),
        Kind::List => drop(list::remove_some(nodes, number, 1)?),
        Kind::Set => drop(set::remove(nodes, member)?),
        _ => drop(sorted_set::remove(nodes, member)?),
    }
    Ok(())
}

fn read(nodes: &Collection<'_>) -> Result<Model, Fault> {
    let elements = length(nodes)?;
    nodes.ready(|nodes, missing| match nodes.kind() {
        Kind::Hash => hash::touch_ranks(nodes, 0..elements, missing),
        Kind::List => list::touch_ranks(nodes, 0..elements, missing),
        Kind::Set => set::touch_ranks(nodes, 0..elements, missing),
        _ => sorted_set::touch_ranks(nodes, 0..elements, missing),
    })?;
    // Both trees of a sorted set, every node, every count.
    let census = verify(nodes, nodes.kind())?;
    assert_eq!(census.elements, elements);
    Ok(match nodes.kind() {
        Kind::Hash => Model::Hash(
            hash::walk(nodes, 0)?.map(|e| e.map(|e| (e.field.to_vec(), e.value.to_vec()))).collect::<Result<_, _>>()?,
        ),
        Kind::List => {
            Model::List(list::walk(nodes, 0, false)?.map(|e| e.map(<[u8]>::to_vec)).collect::<Result<_, _>>()?)
        }
        Kind::Set => Model::Set(set::walk(nodes, 0)?.map(|e| e.map(<[u8]>::to_vec)).collect::<Result<_, _>>()?),
        _ => Model::SortedSet(
            sorted_set::walk(nodes, 0, false)?
                .map(|e| e.map(|e| (e.member.to_vec(), e.score as i64)))
                .collect::<Result<_, _>>()?,
        ),
    })
}

fn empty(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::List => list::EMPTY,
        Kind::Set => set::EMPTY,
        Kind::SortedSet => sorted_set::EMPTY,
        _ => hash::EMPTY,
    }
}

/// Changes the collection under a key, whose nodes come as they are asked for.
fn change(store: &mut Store, name: &[u8], kind: Kind, mut body: impl FnMut(&mut Collection<'_>) -> Result<(), Fault>) {
    let engine = store.engine.clone();
    let space = engine.space(0);
    let run = async {
        let keys = [(engine.key(space, name), Access::Write)];
        let mut changes = Changes::new(1);
        engine
            .run(&keys, &mut changes, |views, changes| {
                let mut collection = match &views[0] {
                    Some(view) => Collection::of(&engine, view, (space, name)),
                    None => Collection::new(&engine, kind, empty(kind), (space, name)),
                };
                let done = body(&mut collection).and_then(|()| collection.stage(changes, 0, Expiry::Keep));
                settle(done, changes)
            })
            .await
    };
    let (done, wait) = store.finish(run).unwrap();
    done.unwrap();
    let engine = store.engine.clone();
    store.finish(engine.durable(wait.wait_seq)).unwrap();
}

fn settle<T>(done: Result<T, Fault>, changes: &mut Changes<'_>) -> Result<T, Fault> {
    if let Err(Fault::Missing(_)) = done {
        changes.want_nodes();
    }
    done
}

fn contents(store: &mut Store, name: &[u8], kind: Kind) -> Model {
    let engine = store.engine.clone();
    let space = engine.space(0);
    let run = async {
        let keys = [(engine.key(space, name), Access::Read)];
        let mut changes = Changes::new(1);
        engine
            .run(&keys, &mut changes, |views, changes| match &views[0] {
                Some(view) => {
                    assert_eq!(view.kind, kind);
                    let collection = Collection::of(&engine, view, (space, name));
                    settle(read(&collection), changes)
                }
                None => Ok(Model::of(kind)),
            })
            .await
    };
    store.finish(run).unwrap().0.unwrap()
}

fn remove_key(store: &mut Store, name: &[u8]) {
    let engine = store.engine.clone();
    let run = async {
        let keys = [(engine.key(engine.space(0), name), Access::Overwrite)];
        engine.run(&keys, &mut Changes::new(1), |_, changes| changes.remove(0)).await
    };
    let (_, done) = store.finish(run).unwrap();
    let engine = store.engine.clone();
    store.finish(engine.durable(done.wait_seq)).unwrap();
}

fn rename(store: &mut Store, from: &[u8], to: &[u8]) {
    let engine = store.engine.clone();
    let space = engine.space(0);
    let run = async {
        let keys = [(engine.key(space, from), Access::Write), (engine.key(space, to), Access::Overwrite)];
        engine
            .run(&keys, &mut Changes::new(2), |views, changes| {
                if let Some(view) = &views[0] {
                    changes.put_with(1, view.kind, Expiry::Clear, |into| into.extend_from_slice(view.value));
                    changes.remove(0);
                }
            })
            .await
    };
    let (_, done) = store.finish(run).unwrap();
    let engine = store.engine.clone();
    store.finish(engine.durable(done.wait_seq)).unwrap();
}

/// Values that hidden spaces still hold.
fn hidden(store: &Store) -> u64 {
    store.engine.length(store.engine.space(0).twin())
}

/// Goes through one history. Returns how many nodes had deltas when the power went.
fn history(seed: u64, hash_bits: u32) -> u64 {
    let kinds = [Kind::Hash, Kind::List, Kind::Set, Kind::SortedSet];
    let names: Vec<(Vec<u8>, Kind)> = kinds
        .iter()
        .flat_map(|kind| (0..2).map(move |n| (format!("{}-{n}", kind.name()).into_bytes(), *kind)))
        .collect();
    let mut models: Vec<Model> = names.iter().map(|(_, kind)| Model::of(*kind)).collect();
    let disk = FaultDisk::new(DISK_BYTES, seed, Faults::default());
    let mut store = open(&disk, hash_bits);
    let mut random = Random(seed);
    let mut nodes_met = 0;
    for round in 0..24 {
        for _ in 0..10 {
            let at = random.below(8) as usize;
            let (name, kind) = &names[at];
            match random.below(12) {
                0 => {
                    remove_key(&mut store, name);
                    models[at] = Model::of(*kind);
                }
                1 => {
                    rename(&mut store, name, &names[at ^ 1].0);
                    if models[at].len() > 0 {
                        models[at ^ 1] = std::mem::replace(&mut models[at], Model::of(*kind));
                    }
                }
                adding => {
                    let few = random.below(60) + 1;
                    let numbers: Vec<u64> = (0..few).map(|_| random.below(1500)).collect();
                    change(&mut store, name, *kind, |nodes| {
                        for &number in &numbers {
                            match adding < 9 {
                                true => add(nodes, &member(number), number)?,
                                false => remove(nodes, &member(number), number)?,
                            }
                        }
                        Ok(())
                    });
                    for &number in &numbers {
                        match adding < 9 {
                            true => models[at].add(&member(number), number),
                            false => models[at].remove(&member(number), number),
                        }
                    }
                }
            }
        }
        if round % 6 == 5 {
            nodes_met += store.engine.stats().delta_nodes;
            disk.power_cut();
            drop(store);
            store = open(&disk, hash_bits);
        }
        for (at, (name, kind)) in names.iter().enumerate() {
            let is_right = contents(&mut store, name, *kind) == models[at];
            assert!(is_right, "seed {seed}, round {round}, {}", String::from_utf8_lossy(name));
        }
    }
    assert!(store.engine.stats().cold_reads > 0, "seed {seed}: nothing was ever cold");
    names.iter().for_each(|(name, _)| remove_key(&mut store, name));
    for _ in 0..store::STEPS_MAX {
        if hidden(&store) == 0 {
            return nodes_met;
        }
        store.turn();
    }
    panic!("seed {seed}: {} nodes of removed collections stay", hidden(&store));
}

#[test]
fn collections_larger_than_memory_are_what_a_model_says() {
    let nodes_met: u64 = (0..60).map(|seed| history(seed, 64)).sum();
    assert!(nodes_met > 0, "no crash met a node with deltas");
}

#[test]
fn collections_do_not_depend_on_the_hash() {
    let nodes_met: u64 = (100..110).map(|seed| history(seed, 4)).sum();
    assert!(nodes_met > 0, "no crash met a node with deltas");
}

#[test]
fn an_element_too_large_for_a_record_is_refused_with_nothing_done() {
    let disk = FaultDisk::new(DISK_BYTES, 1, Faults::default());
    let mut store = open(&disk, 64);
    let engine = store.engine.clone();
    let space = engine.space(0);
    let element = vec![b'x'; 60 << 10];
    let run = async {
        let mut changes = Changes::new(1);
        engine
            .run(&[(engine.key(space, b"list"), Access::Write)], &mut changes, |_, changes| {
                let mut list = Collection::new(&engine, Kind::List, list::EMPTY, (space, b"list"));
                let done = list::insert(&mut list, 0, &element).and_then(|()| list.stage(changes, 0, Expiry::Keep));
                settle(done, changes)
            })
            .await
    };
    let refused = store.finish(run).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("an element of a collection"), "{refused}");
    assert_eq!(contents(&mut store, b"list", Kind::List), Model::List(Vec::new()));
}
