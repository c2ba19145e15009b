//! Real threads, little memory, GC and demotion at work: what each client was told must fit one order of all operations.
//!
//! Single keys are registers by themselves. A pair of keys is one register, too: it is only written whole (MSET, or SETs between
//! MULTI and EXEC) and read whole (MGET, or GETs between MULTI and EXEC), so half of a group is a value that never was.
//! Optimistic transactions (WATCH, GET, MULTI, SET, EXEC) count as a swap when they ran and as nothing when they did not.
//!
//! Promises: the same number of operations each time; the order of threads is chance, and every order must be right.

mod checker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use checker::{Act, Operation, check};
use thermocline::{Durability, Engine, Options, SystemClock, block_on};
use thermocline_resp::{Limits, Value, decode};
use thermocline_server::config::{Given, Settings};
use thermocline_server::dispatch::{Batch, Dispatcher, FillBounds, Stretch};
use thermocline_server::server::{About, Server};
use thermocline_server::session::Session;

const CLIENTS: usize = 4;
const OPERATIONS: usize = 6_000;
/// Registers that everybody fights for, and others that fill the memory.
const CONTENDED: u64 = 24;
const REGISTERS: u64 = 3_000;
/// Every third register is a pair.
const PAIRS_EVERY: u64 = 3;
const MEMORY_BYTES: u64 = 4 << 20;
const DISK_BYTES: u64 = 32 << 20;

/// A client on its own thread.
struct Client<'s> {
    server: &'s Server,
    session: Session,
    number: usize,
    random: u64,
    clock: &'s AtomicU64,
    written: u64,
    history: Vec<(u64, Operation)>,
}

impl Client<'_> {
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Sends a pipeline and reads its answers.
    fn ask(&mut self, commands: &[Vec<String>]) -> Vec<Value> {
        let mut input = Vec::new();
        for words in commands {
            input.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                input.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
            }
        }
        let engine = self.server.engine();
        let mut output = Vec::new();
        let mut batch = Batch::default();
        let bounds = FillBounds { limits: Limits::default(), space: Some((engine, engine.space(0))) };
        batch.fill(&mut input, 0, &bounds);
        let dispatcher = Dispatcher::new(self.server, self.number);
        let mut from = 0;
        while from < batch.len() {
            from = block_on(dispatcher.execute(&mut self.session, &input, &batch, Stretch::at(from), &mut output));
        }
        let mut answers = Vec::new();
        let mut rest = &output[..];
        while let Some((value, length)) = decode(rest).expect("answers") {
            answers.push(value);
            rest = &rest[length..];
        }
        assert_eq!(answers.len(), commands.len());
        for answer in &answers {
            assert!(!matches!(answer, Value::Error(_)), "{commands:?}: {answer:?}");
        }
        answers
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// One operation on a register, noted with its time.
    fn operate(&mut self) {
        let register = if self.draw(3) > 0 { self.draw(CONTENDED) } else { self.draw(REGISTERS) };
        let names = names(register);
        self.written += 1;
        let new = self.number as u64 * 1_000_000 + self.written;
        let text = value(new, register);
        let kind = self.draw(10);
        let began = self.now();
        let act = match kind {
            0..3 => self.write(&names, &text, kind == 0).then_some(Act::Write(Some(new))),
            3..6 => Some(Act::Read(self.read(&names, kind == 3))),
            6 => {
                let mut words = vec!["DEL".to_owned()];
                words.extend(names.iter().cloned());
                self.ask(&[words]);
                Some(Act::Write(None))
            }
            7 => {
                let mut words = vec!["TIER".to_owned(), "DEMOTE".to_owned()];
                words.extend(names.iter().cloned());
                self.ask(&[words]);
                None
            }
            _ => {
                let mut watch = vec!["WATCH".to_owned()];
                watch.extend(names.iter().cloned());
                self.ask(&[watch]);
                let held = self.read(&names, false);
                self.write(&names, &text, true).then_some(Act::Swap(held, Some(new)))
            }
        };
        let ended = self.now();
        if let Some(act) = act {
            self.history.push((register, Operation { began, ended, act }));
        }
    }

    /// False: a watched key had changed.
    fn write(&mut self, names: &[String], text: &str, in_transaction: bool) -> bool {
        if !in_transaction {
            let mut words = vec!["MSET".to_owned()];
            words.extend(names.iter().flat_map(|name| [name.clone(), text.to_owned()]));
            self.ask(&[words]);
            return true;
        }
        let sets = names.iter().map(|name| vec!["SET".to_owned(), name.clone(), text.to_owned()]);
        self.transaction(sets.collect()).is_some()
    }

    fn read(&mut self, names: &[String], in_transaction: bool) -> Option<u64> {
        let answers = if in_transaction {
            self.transaction(names.iter().map(|name| vec!["GET".to_owned(), name.clone()]).collect())
                .expect("nothing is watched")
        } else {
            let mut words = vec!["MGET".to_owned()];
            words.extend(names.iter().cloned());
            match self.ask(&[words]).remove(0) {
                Value::Array(answers) => answers,
                other => panic!("{other:?}"),
            }
        };
        let stamps: Vec<Option<u64>> = answers.iter().map(stamp).collect();
        assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "half of a group: {names:?} hold {stamps:?}");
        stamps[0]
    }

    fn transaction(&mut self, commands: Vec<Vec<String>>) -> Option<Vec<Value>> {
        let mut all = vec![vec!["MULTI".to_owned()]];
        all.extend(commands);
        all.push(vec!["EXEC".to_owned()]);
        match self.ask(&all).pop() {
            Some(Value::Array(answers)) => Some(answers),
            Some(Value::Null) => None,
            other => panic!("{other:?}"),
        }
    }
}

fn names(register: u64) -> Vec<String> {
    let count = if register.is_multiple_of(PAIRS_EVERY) { 2 } else { 1 };
    (0..count).map(|part| format!("register:{register}:{part}")).collect()
}

/// A value that says who wrote it, of a size that depends on it.
fn value(stamp: u64, register: u64) -> String {
    let bytes = if register == 1 { 60_000 } else { 300 + stamp % 1_500 };
    format!("{stamp}:{}", "v".repeat(bytes as usize))
}

fn stamp(value: &Value) -> Option<u64> {
    match value {
        Value::Null => None,
        Value::Bulk(bytes) => {
            let end = bytes.iter().position(|byte| *byte == b':').expect("a stamp");
            Some(std::str::from_utf8(&bytes[..end]).expect("digits").parse().expect("a number"))
        }
        other => panic!("no value: {other:?}"),
    }
}

#[test]
fn every_history_fits_one_order() {
    let folder = tempfile::tempdir().expect("a directory");
    let disk = thermocline_io::open_directory(folder.path(), thermocline_io::BackendChoice::Auto).expect("a disk");
    let options = Options {
        max_memory: MEMORY_BYTES,
        max_disk: DISK_BYTES,
        workers: 2,
        durability: Durability::EverySecond,
        segment_bytes: Some(256 << 10),
        tiny: true,
        ..Options::default()
    };
    let engine = Engine::open(disk, options, Arc::new(SystemClock::new())).expect("an empty directory opens");
    let drivers = [engine.spawn_driver().expect("a thread"), engine.spawn_driver().expect("a thread")];
    let about = About {
        run_id: "0".repeat(40),
        started_ms: 0,
        port: 0,
        config_file: None,
        workers: CLIENTS,
        machine_bytes: 0,
        max_memory: MEMORY_BYTES,
        max_disk: DISK_BYTES,
    };
    let settings = Settings::new(&Given::from_command_line(&[]).expect("no words are right words"));
    let server = Server::new(engine.clone(), settings, about);
    let address: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let clock = AtomicU64::new(1);
    let histories: Vec<Vec<(u64, Operation)>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (server, clock) = (&server, &clock);
                scope.spawn(move || {
                    let session = Session::new(server.clients.add(address, address, 0), true);
                    let random = 0x9E37_79B9_7F4A_7C15 ^ (number as u64 + 1);
                    let mut client = Client { server, session, number, random, clock, written: 0, history: Vec::new() };
                    for _ in 0..OPERATIONS {
                        client.operate();
                    }
                    client.history
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("the client ends")).collect()
    });
    let stats = engine.stats();
    println!(
        "{} operations, {} demotions, {} cold reads, {} segments freed",
        histories.iter().map(Vec::len).sum::<usize>(),
        stats.demotions,
        stats.cold_reads,
        stats.gc_segments_freed
    );
    for register in 0..REGISTERS {
        let of_register = |history: &Vec<(u64, Operation)>| {
            history.iter().filter(|(of, _)| *of == register).map(|(_, operation)| *operation).collect()
        };
        let clients: Vec<Vec<Operation>> = histories.iter().map(of_register).collect();
        if let Err(words) = check(&clients, None) {
            panic!("register {register}: {words}");
        }
    }
    assert!(stats.demotions > 0 && stats.cold_reads > 0 && stats.gc_segments_freed > 0, "the disk was used");
    drop(server);
    block_on(engine.close()).expect("it closes");
    for driver in drivers {
        driver.join().expect("the driver ends");
    }
}
