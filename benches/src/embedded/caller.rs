//! One caller: takes a step, does it, checks what came, and takes the next.
//!
//! Values are copied out of the store and checked outside of it, as any user of the engine would do it.

use super::book::{Book, Pass};
use super::executor::Turns;
use super::target::{Found, Named, Target};
use crate::spec::{Operation, Step};
use crate::tally::Kind;
use crate::value::{self, KeyId};
use crate::workload::load::LOADED_VERSION;
use crate::workload::versions::{Seen, Write};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a step has become when it was written into the book.
enum Begun {
    /// A write; without an entry in the book it is the load's.
    Set(KeyId, Option<Write>),
    Delete(KeyId, Write),
    Get(KeyId, Seen, Then),
    Scan(KeyId, Vec<Seen>),
}

/// What follows a read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Write,
    Fill,
}

/// Memory of a caller, used again for each step.
#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    value: Vec<u8>,
    found: Found,
}

/// Works until the pass is over or stopped.
pub async fn work<T: Target>(target: &T, pass: &Pass, turns: &Turns, stop: &AtomicBool) {
    let mut scratch = Scratch::default();
    while !stop.load(Ordering::Relaxed) {
        let Some((begun, now_ns)) = pass.next(begin) else { return };
        match begun {
            Begun::Set(key, write) => set(target, pass, key, write, now_ns, &mut scratch).await,
            Begun::Delete(key, write) => delete(target, pass, key, write, now_ns, &mut scratch).await,
            Begun::Scan(first, seen) => scan(target, pass, first, &seen, now_ns, &mut scratch).await,
            Begun::Get(key, seen, then) => {
                if get(target, pass, key, seen, then, now_ns, &mut scratch).await {
                    let now_ns = pass.clock.nanoseconds();
                    let write = pass.book(|book| book.versions.write(key));
                    match write {
                        Ok(write) => set(target, pass, key, Some(write), now_ns, &mut scratch).await,
                        Err(error) => pass.book(|book| book.failure = Some(format!("{error:#}"))),
                    }
                }
            }
        }
        turns.done_one().await;
    }
}

fn begin(book: &mut Book, step: Step) -> Result<Begun> {
    let key = step.key;
    Ok(match step.operation {
        Operation::Insert if book.is_load() => Begun::Set(key, None),
        Operation::Insert | Operation::Update => Begun::Set(key, Some(book.versions.write(key)?)),
        Operation::Delete => Begun::Delete(key, book.versions.delete(key)?),
        Operation::Read => Begun::Get(key, book.versions.read(key), Then::Nothing),
        Operation::ReadThrough => Begun::Get(key, book.versions.read(key), Then::Fill),
        Operation::ReadModifyWrite => Begun::Get(key, book.versions.read(key), Then::Write),
        Operation::Scan { count } => {
            let keys = (0..u64::from(count)).map(|step| KeyId(key.0 + step));
            Begun::Scan(key, keys.map(|key| book.versions.read(key)).collect())
        }
    })
}

async fn set<T: Target>(
    target: &T,
    pass: &Pass,
    key: KeyId,
    write: Option<Write>,
    began_ns: u64,
    scratch: &mut Scratch,
) {
    let Scratch { key: text, value, .. } = scratch;
    text.clear();
    pass.text.key(key).append(text);
    value.clear();
    value::fill(value, key, write.map_or(LOADED_VERSION, |write| write.version), pass.spec.sizes.of(key));
    let answer = target.set(Named { id: key, text }, value, pass.spec.ttl_of(key)).await;
    let now_ns = pass.clock.nanoseconds();
    pass.book(|book| {
        book.tally.answered(Kind::Set, None, now_ns - began_ns, now_ns);
        book.tally.value_bytes_sent += value.len() as u64;
        book.tally.key_bytes_sent += text.len() as u64;
        if let Some(write) = write {
            book.versions.written(key, write, answer.is_ok());
        }
        if let Err(error) = answer {
            book.tally.error(&error);
        }
    });
}

async fn delete<T: Target>(target: &T, pass: &Pass, key: KeyId, write: Write, began_ns: u64, scratch: &mut Scratch) {
    scratch.key.clear();
    pass.text.key(key).append(&mut scratch.key);
    let answer = target.delete(Named { id: key, text: &scratch.key }).await;
    let now_ns = pass.clock.nanoseconds();
    pass.book(|book| {
        book.tally.answered(Kind::Delete, None, now_ns - began_ns, now_ns);
        book.versions.written(key, write, answer.is_ok());
        if let Err(error) = answer {
            book.tally.error(&error);
        }
    });
}

/// True when a write of the same key must follow.
async fn get<T: Target>(
    target: &T,
    pass: &Pass,
    key: KeyId,
    seen: Seen,
    then: Then,
    began_ns: u64,
    scratch: &mut Scratch,
) -> bool {
    let Scratch { key: text, found, .. } = scratch;
    text.clear();
    pass.text.key(key).append(text);
    found.clear();
    let answer = target.get(&[Named { id: key, text }], found).await;
    let now_ns = pass.clock.nanoseconds();
    let length = pass.spec.sizes.of(key);
    pass.book(|book| {
        let tier = answer.as_ref().ok().copied();
        book.tally.answered(Kind::Get, tier, now_ns - began_ns, now_ns);
        if let Err(error) = answer {
            book.tally.error(&error);
            return false;
        }
        let value = found.values().next().flatten();
        match value {
            Some(value) => book.versions.found(key, seen, value, length, &mut book.tally),
            None => book.versions.missing(key, seen, &mut book.tally),
        }
        let fill = then == Then::Fill && value.is_none();
        book.tally.fill_ins += u64::from(fill);
        fill || then == Then::Write
    })
}

async fn scan<T: Target>(target: &T, pass: &Pass, first: KeyId, seen: &[Seen], began_ns: u64, scratch: &mut Scratch) {
    let Scratch { key: text, found, .. } = scratch;
    text.clear();
    found.clear();
    let keys = || (first.0..).map(KeyId).take(seen.len());
    let mut ends = Vec::with_capacity(seen.len());
    for key in keys() {
        pass.text.key(key).append(text);
        ends.push(text.len());
    }
    let starts = [0].into_iter().chain(ends.iter().copied());
    let named: Vec<_> =
        keys().zip(starts.zip(&ends)).map(|(id, (start, end))| Named { id, text: &text[start..*end] }).collect();
    let answer = target.get(&named, found).await;
    let now_ns = pass.clock.nanoseconds();
    pass.book(|book| {
        book.tally.answered(Kind::Scan, None, now_ns - began_ns, now_ns);
        if let Err(error) = answer {
            return book.tally.error(&error);
        }
        for ((key, seen), value) in keys().zip(seen).zip(found.values()) {
            match value {
                Some(value) => book.versions.found(key, *seen, value, pass.spec.sizes.of(key), &mut book.tally),
                None => book.versions.missing(key, *seen, &mut book.tally),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::array::Array;
    use super::super::book::Source;
    use super::super::executor::{self, Nobody};
    use super::*;
    use crate::spec::{Spec, Steps, named};
    use crate::wire::Tier;
    use crate::workload::Versions;

    /// An array that gives the value of key 3 for key 5.
    struct Mixed(Array);

    impl Target for Mixed {
        async fn get(&self, keys: &[Named<'_>], found: &mut Found) -> Result<Tier, String> {
            let wrong = |key: &Named<'_>| if key.id == KeyId(5) { KeyId(3) } else { key.id };
            let keys: Vec<_> = keys.iter().map(|key| Named { id: wrong(key), text: key.text }).collect();
            self.0.get(&keys, found).await
        }

        async fn set(&self, key: Named<'_>, value: &[u8], ttl_s: Option<u32>) -> Result<(), String> {
            self.0.set(key, value, ttl_s).await
        }

        async fn delete(&self, key: Named<'_>) -> Result<(), String> {
            self.0.delete(key).await
        }
    }

    /// An array that forgets what is set.
    struct Forgetful(Array);

    impl Target for Forgetful {
        async fn get(&self, keys: &[Named<'_>], found: &mut Found) -> Result<Tier, String> {
            self.0.get(keys, found).await
        }

        async fn set(&self, _: Named<'_>, _: &[u8], _: Option<u32>) -> Result<(), String> {
            Ok(())
        }

        async fn delete(&self, _: Named<'_>) -> Result<(), String> {
            Err("NO such thing".to_owned())
        }
    }

    fn spec(name: &str) -> Spec {
        Spec { keys: 100, ..named(name).unwrap() }
    }

    fn run<T: Target>(spec: &Spec, target: &T) -> Book {
        let source = Source::steps(Steps::new(spec, 1), Some(5_000));
        let pass = Pass::begin(spec, Book::new(source, Versions::loaded(spec.keys, LOADED_VERSION)), u64::MAX);
        executor::run(target, &pass, 8, &AtomicBool::new(false), Nobody);
        pass.finish().unwrap()
    }

    #[test]
    fn every_workload_agrees_with_an_array() {
        for name in ["ycsb-a", "ycsb-b", "ycsb-d", "ycsb-e", "ycsb-f", "uniform"] {
            let spec = spec(name);
            let book = run(&spec, &Array::new(&spec));
            assert!(book.complete, "{name}");
            assert_eq!((book.tally.wrong, book.tally.lost, book.tally.error_count()), (0, 0, 0), "{name}");
            assert!(book.tally.operations() >= 5_000, "{name}");
        }
    }

    #[test]
    fn the_value_of_another_key_and_a_lost_update_are_seen() {
        let uniform = spec("uniform");
        let book = run(&uniform, &Mixed(Array::new(&uniform)));
        assert!(book.tally.wrong > 0);
        assert!(book.tally.wrong_shown[0].contains("key 5") && book.tally.wrong_shown[0].contains("key 3"));
        let updates = spec("ycsb-a");
        assert!(run(&updates, &Forgetful(Array::new(&updates))).tally.wrong > 0);
    }
}
