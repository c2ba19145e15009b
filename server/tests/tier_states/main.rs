//! Every command of the table in every state that its key can be in: the answers, and what is there afterwards, are those of a
//! key that is simply in memory (or simply missing).
//!
//! The table decides what is tested: a new row that touches keys or databases fails here until it has an example. Each example
//! also runs between MULTI and EXEC.
//!
//! Promises: values of one record and values kept in extents. Never: a state that depends on chance or time.

mod examples;
mod world;

use std::collections::BTreeSet;

use examples::EXAMPLES;
use thermocline::{Access, Changes, Durability};
use thermocline_server::command::row::{Body, Keys};
use thermocline_server::command::table::{self, CommandId};
use world::{Client, Meanwhile, World};

/// Where the key lies when the command comes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum State {
    /// In memory, and on the disk.
    HotClean,
    /// In memory; its record is on its way to the disk.
    HotUnflushed,
    /// In memory alone.
    HotDirty,
    /// On the disk alone.
    Cold,
    /// Out of memory; its record is still in the log's buffer.
    ColdUnflushed,
    /// On the disk, and somebody is reading it.
    ReadInFlight,
    /// On the disk, among keys whose slots look like its own.
    FalseMatches,
    /// In memory, its time is over.
    ExpiredHot,
    /// On the disk, its time is over.
    ExpiredCold,
    /// Not there, but slots of others look like its own.
    MissingAmongFalseMatches,
    /// Not there.
    Missing,
}

use State::*;

const STATES: [State; 11] = [
    HotClean,
    HotUnflushed,
    HotDirty,
    Cold,
    ColdUnflushed,
    ReadInFlight,
    FalseMatches,
    ExpiredHot,
    ExpiredCold,
    MissingAmongFalseMatches,
    Missing,
];

impl State {
    fn is_there(self) -> bool {
        !matches!(self, ExpiredHot | ExpiredCold | MissingAmongFalseMatches | Missing)
    }

    fn world(self) -> World {
        match self {
            HotDirty => World::new(Durability::None, 64),
            FalseMatches | MissingAmongFalseMatches => World::new(Durability::EverySecond, 4),
            _ => World::new(Durability::EverySecond, 64),
        }
    }
}

/// Keys that share their slots' bits with K when only four are kept.
const CROWD: usize = 40;

/// Empties the world and brings K (and O, if K is there) into the state.
fn prepare(world: &mut World, client: &mut Client, state: State, value: &str) {
    world.ask(client, &["FLUSHALL"]);
    world.rest();
    world.ask(client, &["SET", "O", "other"]);
    let demote = |world: &mut World, client: &mut Client, name: &str| {
        assert_eq!(world.ask(client, &["TIER", "DEMOTE", name]), b":1\r\n", "{name} goes to the disk");
    };
    if state.is_there() {
        world.ask(client, &["SET", "K", value]);
    }
    match state {
        HotClean => world.flush(),
        HotUnflushed | HotDirty | Missing | MissingAmongFalseMatches => {}
        Cold | ReadInFlight | FalseMatches => {
            demote(world, client, "K");
            demote(world, client, "O");
            world.flush();
        }
        ColdUnflushed => {
            demote(world, client, "K");
            demote(world, client, "O");
        }
        ExpiredHot | ExpiredCold => {
            world.ask(client, &["SET", "K", value, "PX", "50"]);
            if state == ExpiredCold {
                demote(world, client, "K");
                world.flush();
            }
            world.clock.advance_us(60_000);
        }
    }
}

/// A crowd in a database that no example touches does not collide with K: it must be in K's own. So it is part of what KEYS and
/// DBSIZE show, in the plain world too.
fn crowd(world: &mut World, client: &mut Client, cold: bool) {
    for number in 0..CROWD {
        let name = format!("crowd{number}");
        world.ask(client, &["SET", &name, "x"]);
        if cold {
            world.ask(client, &["TIER", "DEMOTE", &name]);
        }
    }
}

/// What is there afterwards. The clocks of two worlds differ: a time is looked at as it was given.
fn image(world: &mut World, client: &mut Client, words: &[&str]) -> Vec<u8> {
    let time = if words[0].ends_with("AT") { "PEXPIRETIME" } else { "PTTL" };
    let mut image = Vec::new();
    for database in ["0", "1"] {
        world.ask(client, &["SELECT", database]);
        for name in ["K", "O", "new"] {
            for command in ["EXISTS", "GET", time] {
                image.extend(world.ask(client, &[command, name]));
            }
        }
        image.extend(world.ask(client, &["DBSIZE"]));
    }
    world.ask(client, &["SELECT", "0"]);
    image
}

/// Answers whose parts come in the order of hashes.
fn in_order(words: &[&str], answer: Vec<u8>) -> Vec<u8> {
    if !matches!(words[0], "KEYS" | "SCAN") {
        return answer;
    }
    let mut lines: Vec<&[u8]> = answer.split(|byte| *byte == b'\n').collect();
    lines.sort();
    lines.join(&b'\n')
}

/// Answers that tell where a value lies, or that are chance; and DBSIZE, which counts an expired key until somebody looks.
fn may_differ(words: &[&str], state: State) -> bool {
    let counts_expired = words[0] == "DBSIZE" && matches!(state, ExpiredHot | ExpiredCold);
    counts_expired || matches!(words[0], "TIER" | "MEMORY" | "RANDOMKEY")
}

fn row_of(words: &[&str]) -> CommandId {
    let id = table::find(words[0].as_bytes()).unwrap_or_else(|| panic!("{words:?} is no command"));
    match words.get(1) {
        Some(word) if !id.command().subcommands.is_empty() => {
            table::find_subcommand(id, word.as_bytes()).unwrap_or_else(|| panic!("{words:?} is no subcommand"))
        }
        _ => id,
    }
}

/// The answer of the command, alone and in a transaction, and what is there after each. `compared`: the state of the test, of
/// which this may be the plain side.
fn seen(world: &mut World, state: State, compared: State, value: &str, words: &[&str]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let at_once = row_of(words).command().row.at_once;
    for in_transaction in [false, true] {
        if in_transaction && at_once {
            continue;
        }
        let mut client = world.client();
        prepare(world, &mut client, state, value);
        crowd(world, &mut client, matches!(state, FalseMatches | MissingAmongFalseMatches));
        if in_transaction {
            world.ask(&mut client, &["MULTI"]);
            assert_eq!(world.ask(&mut client, words), b"+QUEUED\r\n", "{words:?}");
        }
        let engine = world.server.engine().clone();
        let meanwhile: Option<Meanwhile<'_>> = (state == ReadInFlight).then(|| {
            let read: Meanwhile<'_> = Box::pin(async move {
                let key = engine.key(engine.space(0), b"K");
                let mut changes = Changes::new(1);
                // Its answer does not matter, only that it is under way.
                let _ = engine.run(&[(key, Access::Peek)], &mut changes, |_, _| ()).await;
            });
            read
        });
        let asked = if in_transaction { &["EXEC"] } else { words };
        let mut answer = world.ask_beside(&mut client, asked, meanwhile);
        if in_transaction {
            answer = answer
                .strip_prefix(b"*1\r\n")
                .unwrap_or_else(|| panic!("{words:?} in EXEC answers {}", answer.escape_ascii()))
                .to_vec();
        }
        if may_differ(words, compared) {
            assert!(!answer.starts_with(b"-"), "{words:?}: {}", answer.escape_ascii());
            answer.clear();
        }
        all.push(in_order(words, answer));
        all.push(image(world, &mut client, words));
    }
    all
}

fn compare_all(value: &str) {
    let mut plain = World::new(Durability::None, 64);
    for state in STATES {
        let mut world = state.world();
        for example in EXAMPLES {
            let words: Vec<&str> = example.split(' ').collect();
            let expected = seen(&mut plain, if state.is_there() { HotDirty } else { Missing }, state, value, &words);
            let got = seen(&mut world, state, state, value, &words);
            let shown = |all: &[Vec<u8>]| all.iter().map(|part| part.escape_ascii().to_string()).collect::<Vec<_>>();
            let (mut expected, mut got) = (shown(&expected), shown(&got));
            for text in expected.iter_mut().chain(&mut got) {
                text.truncate(600);
            }
            assert_eq!(got, expected, "{example}, {state:?}");
        }
    }
}

#[test]
fn every_row_that_touches_keys_or_databases_has_an_example() {
    let shown: BTreeSet<CommandId> =
        EXAMPLES.iter().map(|example| row_of(&example.split(' ').collect::<Vec<_>>())).collect();
    for id in table::every() {
        let command = id.command();
        let touches =
            !matches!(command.row.keys, Keys::None) || matches!(command.row.body, Body::Walk(_) | Body::Databases(_));
        assert!(
            !touches || shown.contains(&id),
            "the command '{}' has no example: add a line for it to server/tests/tier_states/examples.rs",
            command.full_name
        );
    }
}

#[test]
fn a_small_value_answers_alike_in_every_state() {
    compare_all("12");
}

#[test]
fn a_value_in_extents_answers_alike_in_every_state() {
    compare_all(&"x".repeat(40_000));
}
