//! All commands, joined, sorted and checked when the program is compiled; and found by name in a few steps.
//!
//! Promises: names are unique, the arity reaches the keys, every row has a summary and a body that fits its access. Lookup is
//! one hash and one comparison for nearly every name. Never allocates after start.

use std::sync::LazyLock;

use super::FAMILIES;
use super::row::{Body, Flag, Keys, Row, RowAccess};

/// A command's number: its place in [`ALL`]. Containers stand before their subcommands.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, PartialOrd, Ord)]
pub struct CommandId(u16);

impl CommandId {
    /// As an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The command with this number.
    pub fn command(self) -> &'static Command {
        &ALL[self.index()]
    }
}

/// A row with its number and full name.
pub struct Command {
    /// The row.
    pub row: &'static Row,
    /// `get`, `client|list`.
    pub full_name: String,
    /// Numbers of the subcommands.
    pub subcommands: std::ops::Range<u16>,
    /// Whether it is a container's second word.
    pub is_subcommand: bool,
}

const COUNT: usize = {
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

/// Top-level rows by name.
static SORTED: [&Row; COUNT] = {
    let mut rows = [&FAMILIES[0][0]; COUNT];
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut at = 0;
        while at < FAMILIES[family].len() {
            let row = &FAMILIES[family][at];
            check(row, 0);
            let mut place = count;
            while place > 0 && less(row.name, rows[place - 1].name) {
                rows[place] = rows[place - 1];
                place -= 1;
            }
            rows[place] = row;
            count += 1;
            at += 1;
        }
        family += 1;
    }
    let mut at = 1;
    while at < COUNT {
        assert!(less(rows[at - 1].name, rows[at].name), "two commands have one name");
        at += 1;
    }
    rows
};

/// Refuses a row that contradicts itself. `depth`: 1 for subcommands.
const fn check(row: &Row, depth: u16) {
    assert!(!row.name.is_empty(), "a command has a name");
    let name = row.name.as_bytes();
    let mut at = 0;
    while at < name.len() {
        assert!(!name[at].is_ascii_uppercase(), "names are written in small letters");
        at += 1;
    }
    assert!(!row.summary.is_empty(), "a command has a summary");
    assert!(row.arity != 0, "a command has an arity");
    let words_min = row.arity.unsigned_abs();
    assert!(words_min > depth, "the arity counts the name");
    match row.keys {
        Keys::None => assert!(matches!(row.access, RowAccess::Keyless), "without keys there is no access"),
        Keys::Range { first, last, step } => {
            assert!(!matches!(row.access, RowAccess::Keyless), "keys are accessed");
            assert!(first > depth && first < words_min, "the arity reaches the first key");
            assert!(last < 0 || (last as u16 >= first && (last as u16) < words_min), "the arity reaches the last key");
            assert!(step > 0, "keys have a distance");
        }
        Keys::Count { at, first } => {
            assert!(!matches!(row.access, RowAccess::Keyless), "keys are accessed");
            assert!(at < words_min && first > at, "the arity reaches the number of keys");
        }
        Keys::Function { .. } => {}
    }
    if matches!(row.body, Body::Session(_)) && !matches!(row.keys, Keys::None) {
        // Such a body resolves its keys itself; the row still says where they are.
        assert!(row.subcommands.is_empty(), "a container has no keys");
    }
    assert!(!(row.flags.has(Flag::Write) && row.flags.has(Flag::ReadOnly)), "a command writes or does not");
    let mut at = 0;
    while at < row.subcommands.len() {
        check(&row.subcommands[at], depth + 1);
        let mut other = 0;
        while other < at {
            assert!(!same(row.subcommands[at].name, row.subcommands[other].name), "two subcommands have one name");
            other += 1;
        }
        at += 1;
    }
}

const fn less(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

const fn same(left: &str, right: &str) -> bool {
    !less(left, right) && !less(right, left)
}

/// Every command and subcommand, by number.
pub static ALL: LazyLock<Vec<Command>> = LazyLock::new(|| {
    let mut all: Vec<Command> = SORTED
        .iter()
        .map(|row| Command { row, full_name: row.name.to_owned(), subcommands: 0..0, is_subcommand: false })
        .collect();
    for at in 0..SORTED.len() {
        let start = all.len() as u16;
        for row in SORTED[at].subcommands {
            let full_name = format!("{}|{}", SORTED[at].name, row.name);
            all.push(Command { row, full_name, subcommands: 0..0, is_subcommand: true });
        }
        all[at].subcommands = start..all.len() as u16;
    }
    all
});

/// Places of the lookup table: four for each name or more.
const PLACES: usize = (COUNT * 4).next_power_of_two();
/// An empty place.
const EMPTY: u16 = u16::MAX;

/// Open addressing over [`SORTED`].
static LOOKUP: [u16; PLACES] = {
    let mut places = [EMPTY; PLACES];
    let mut at = 0;
    while at < COUNT {
        let mut place = hash(SORTED[at].name.as_bytes()) & (PLACES - 1);
        while places[place] != EMPTY {
            place = (place + 1) & (PLACES - 1);
        }
        places[place] = at as u16;
        at += 1;
    }
    places
};

/// A hash that does not see the case of letters: five bits and a multiplication for each byte.
const fn hash(name: &[u8]) -> usize {
    let mut state = name.len() as u32;
    let mut at = 0;
    while at < name.len() {
        state = (state ^ (name[at] | 0x20) as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (state ^ (state >> 15)) as usize
}

/// The top-level command with this name, whatever the case of its letters.
pub fn find(name: &[u8]) -> Option<CommandId> {
    /// No command's name is longer.
    const NAME_BYTES_MAX: usize = 32;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut place = hash(name) & (PLACES - 1);
    loop {
        match LOOKUP[place] {
            EMPTY => return None,
            at if SORTED[usize::from(at)].name.as_bytes().eq_ignore_ascii_case(name) => return Some(CommandId(at)),
            _ => place = (place + 1) & (PLACES - 1),
        }
    }
}

/// The subcommand of `container` with this name.
pub fn find_subcommand(container: CommandId, name: &[u8]) -> Option<CommandId> {
    let subcommands = container.command().subcommands.clone();
    subcommands.map(CommandId).find(|id| id.command().row.name.as_bytes().eq_ignore_ascii_case(name))
}

/// A command by its full name: `get`, `client|list`.
pub fn find_full(name: &str) -> Option<CommandId> {
    match name.split_once('|') {
        None => find(name.as_bytes()),
        Some((container, subcommand)) => find_subcommand(find(container.as_bytes())?, subcommand.as_bytes()),
    }
}

/// The numbers of all top-level commands.
pub fn top_level() -> impl ExactSizeIterator<Item = CommandId> {
    (0..COUNT as u16).map(CommandId)
}

/// The numbers of all commands and subcommands.
pub fn every() -> impl Iterator<Item = CommandId> {
    (0..ALL.len() as u16).map(CommandId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_else() {
        for id in top_level() {
            let name = id.command().row.name;
            assert_eq!(find(name.as_bytes()), Some(id));
            assert_eq!(find(name.to_ascii_uppercase().as_bytes()), Some(id));
            assert_eq!(find(format!("{name}x").as_bytes()), find_full(&format!("{name}x")));
        }
        assert_eq!(find(b""), None);
        assert_eq!(find(&[b'g'; 100]), None);
    }

    #[test]
    fn subcommands_have_numbers_and_full_names_of_their_own() {
        let id = find_full("client|list").expect("CLIENT LIST exists");
        assert_eq!(id.command().full_name, "client|list");
        assert!(find_full("client|nope").is_none());
    }

    #[test]
    fn a_container_without_a_body_of_its_own_asks_for_a_second_word() {
        for id in top_level().filter(|id| !id.command().row.subcommands.is_empty()) {
            let row = id.command().row;
            assert!(row.arity < 0, "{}", row.name);
        }
    }
}
