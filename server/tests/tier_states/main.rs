//! Every command of the table in every state that its key can be in: the answers, and what is there afterwards, are those of a
//! key that is simply in memory (or simply missing).
//!
//! The table decides what is tested: a new row that touches keys or databases fails here until it has an example. Each example
//! also runs between MULTI and EXEC.
//!
//! Promises: strings of one record and strings kept in extents, collections of one record and collections of many nodes, all of
//! them in the state. Never: a state that depends on chance or time.

mod content;
mod examples;
mod world;

use std::collections::BTreeSet;

use content::Content;
use examples::EXAMPLES;
use thermocline::{Access, Changes, Durability};
use thermocline_server::command::row::{Body, Flag, Keys};
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
fn prepare(world: &mut World, client: &mut Client, state: State, content: &Content) {
    world.ask(client, &["FLUSHALL"]);
    world.rest();
    world.ask(client, &content.other());
    let demote = |world: &mut World, client: &mut Client, name: &str| {
        assert_eq!(world.ask(client, &["TIER", "DEMOTE", name]), b":1\r\n", "{name} goes to the disk");
    };
    if state.is_there() || matches!(state, ExpiredHot | ExpiredCold) {
        world.ask(client, &content.words());
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
            world.ask(client, &["PEXPIRE", "K", "50"]);
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
            for command in [&["EXISTS", name][..], &["TYPE", name], &["DEBUG", "DIGEST-VALUE", name], &[time, name]] {
                image.extend(world.ask(client, command));
            }
        }
        image.extend(world.ask(client, &["DBSIZE"]));
    }
    world.ask(client, &["SELECT", "0"]);
    image
}

/// Does it pick elements at random?
fn is_random(name: &str) -> bool {
    ["RANDMEMBER", "RANDFIELD", "SPOP"].iter().any(|end| name.ends_with(end))
}

/// Answers whose parts come in the order of hashes.
fn in_order(words: &[&str], answer: Vec<u8>) -> Vec<u8> {
    let by_hash = ["KEYS", "SCAN", "HGETALL", "HKEYS", "HVALS", "SMEMBERS", "SINTER", "SDIFF", "SUNION"];
    if !by_hash.contains(&words[0]) && !is_random(words[0]) {
        return answer;
    }
    let mut lines: Vec<&[u8]> = answer.split(|byte| *byte == b'\n').collect();
    lines.sort();
    lines.join(&b'\n')
}

/// Answers that tell where a value lies, or that are chance; and DBSIZE, which counts an expired key until somebody looks.
fn may_differ(words: &[&str], state: State) -> bool {
    let counts_expired = words[0] == "DBSIZE" && matches!(state, ExpiredHot | ExpiredCold);
    // A few at random; and how far a scan of a collection comes depends on what is in memory.
    let is_few = is_random(words[0]) && words.last() != Some(&"100000");
    let is_part = words[0] != "SCAN" && words[0].ends_with("SCAN");
    // Elements in the order of their hashes, of which that world keeps four bits.
    let by_hash = state == FalseMatches && (words[0] == "DUMP" || words.contains(&"nosort"));
    counts_expired || is_few || is_part || by_hash || matches!(words[0], "TIER" | "MEMORY" | "RANDOMKEY")
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
fn seen(world: &mut World, state: State, compared: State, content: &Content, words: &[&str]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let row = row_of(words).command().row;
    for in_transaction in [false, true] {
        // Where there is nothing it waits, and time stands still.
        let waits = row.flags.has(Flag::Blocking) && !state.is_there();
        if if in_transaction { row.at_once } else { waits } {
            continue;
        }
        let mut client = world.client();
        prepare(world, &mut client, state, content);
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
            let is_error = answer.starts_with(b"-") && !answer.starts_with(b"-WRONGTYPE");
            assert!(!is_error, "{words:?}: {}", answer.escape_ascii());
            answer.clear();
        }
        all.push(in_order(words, answer));
        all.push(image(world, &mut client, words));
    }
    all
}

fn compare_all(content: &Content) {
    let mut plain = World::new(Durability::None, 64);
    let examples: Vec<Vec<&str>> = EXAMPLES
        .iter()
        .map(|example| example.split(' ').collect::<Vec<_>>())
        .filter(|words| content.is_asked(row_of(words).command().row))
        .collect();
    for state in STATES {
        let mut world = state.world();
        for words in &examples {
            let expected = seen(&mut plain, if state.is_there() { HotDirty } else { Missing }, state, content, words);
            let got = seen(&mut world, state, state, content, words);
            let shown = |all: &[Vec<u8>]| all.iter().map(|part| part.escape_ascii().to_string()).collect::<Vec<_>>();
            let (mut expected, mut got) = (shown(&expected), shown(&got));
            for text in expected.iter_mut().chain(&mut got) {
                text.truncate(600);
            }
            assert_eq!(got, expected, "{}, {state:?}, {content:?}", words.join(" "));
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
    compare_all(&Content::String("12".to_owned()));
}

#[test]
fn a_value_in_extents_answers_alike_in_every_state() {
    compare_all(&Content::String("x".repeat(40_000)));
}

#[test]
fn a_hash_answers_alike_in_every_state() {
    [Content::Hash(0), Content::Hash(400)].iter().for_each(compare_all);
}

#[test]
fn a_list_answers_alike_in_every_state() {
    [Content::List(0), Content::List(1500)].iter().for_each(compare_all);
}

#[test]
fn a_set_answers_alike_in_every_state() {
    [Content::Set(0), Content::Set(400)].iter().for_each(compare_all);
}

#[test]
fn a_sorted_set_answers_alike_in_every_state() {
    [Content::SortedSet(0), Content::SortedSet(400)].iter().for_each(compare_all);
}
