//! All commands, joined, sorted and checked when the program is compiled; and found by name in a few steps.
//!
//! Promises: names are unique, the arity reaches the keys, every row has a summary and a body that fits its access. Lookup is
//! one hash of three words and one comparison for nearly every name. Never allocates after start.

use std::sync::LazyLock;

use super::FAMILIES;
use super::row::{Body, Flag, Keys, Row, RowAccess};

/// A command's number: its place in [`ALL`]. Containers stand before their subcommands.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, PartialOrd, Ord)]
pub struct CommandId(u16);

impl CommandId {
    /// Some command.
    pub const FIRST: CommandId = CommandId(0);

    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its row.
    #[inline]
    pub fn row(self) -> &'static Row {
        SORTED.get(self.index()).copied().unwrap_or_else(|| self.command().row)
    }

    /// The command with this number.
    pub fn command(self) -> &'static Command {
        &ALL[self.index()]
    }
}

/// A set of commands and subcommands, one bit for each: what a session may use.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct CommandSet([u64; EVERY.div_ceil(64)]);

impl CommandSet {
    /// The commands whose row `belongs`.
    pub fn of(belongs: impl Fn(&Row) -> bool) -> CommandSet {
        let mut set = CommandSet([0; EVERY.div_ceil(64)]);
        for id in every().filter(|id| belongs(id.command().row)) {
            set.0[id.index() / 64] |= 1 << (id.index() % 64);
        }
        set
    }

    /// Whether it is one of them.
    #[inline]
    pub fn has(&self, id: CommandId) -> bool {
        self.0[id.index() / 64] >> (id.index() % 64) & 1 == 1
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

/// Commands and subcommands.
const EVERY: usize = {
    let mut count = COUNT;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut at = 0;
        while at < FAMILIES[family].len() {
            count += FAMILIES[family][at].subcommands.len();
            at += 1;
        }
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
        let mut place = NAMES[at].place();
        while places[place] != EMPTY {
            place = (place + 1) & (PLACES - 1);
        }
        places[place] = at as u16;
        at += 1;
    }
    places
};

/// The names of [`SORTED`], ready to be compared.
static NAMES: [Name; COUNT] = {
    let mut names = [Name::of(b""); COUNT];
    let mut at = 0;
    while at < COUNT {
        names[at] = Name::known(SORTED[at].name.as_bytes());
        at += 1;
    }
    names
};

/// A name as its length and two words of its bytes, in small letters. The words overlap as far as the name is shorter than
/// both: "get" is `g e t` and nothing, "ping" is `ping`, "getrange" twice itself.
///
/// Small letters are made by setting one bit, which also turns some bytes that are no letters into others that are none. So two
/// names are surely the same only if one is known to be of letters, and no longer than the words.
#[derive(Copy, Clone)]
struct Name {
    length: usize,
    front: u64,
    back: u64,
    is_plain: bool,
}

impl Name {
    const BIT: u64 = 0x2020_2020_2020_2020;

    #[inline]
    const fn of(name: &[u8]) -> Name {
        let (front, back) = match name.len() {
            0 => (0, 0),
            length @ 1..4 => (name[0] as u64 | (name[length / 2] as u64) << 8 | (name[length - 1] as u64) << 16, 0),
            4..8 => (four(name.first_chunk()), four(name.last_chunk())),
            _ => (eight(name.first_chunk()), eight(name.last_chunk())),
        };
        Name { length: name.len(), front: front | Self::BIT, back: back | Self::BIT, is_plain: false }
    }

    /// With [`Name::is_plain`] found out.
    const fn known(name: &[u8]) -> Name {
        let mut is_plain = name.len() <= 16;
        let mut at = 0;
        while at < name.len() {
            is_plain &= name[at].is_ascii_alphabetic();
            at += 1;
        }
        Name { is_plain, ..Name::of(name) }
    }

    #[inline]
    const fn place(&self) -> usize {
        let mixed = (self.front ^ self.back.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as usize & (PLACES - 1)
    }

    #[inline]
    const fn looks_like(&self, other: &Name) -> bool {
        self.length == other.length && self.front == other.front && self.back == other.back
    }
}

const fn four(bytes: Option<&[u8; 4]>) -> u64 {
    match bytes {
        Some(bytes) => u32::from_le_bytes(*bytes) as u64,
        None => 0,
    }
}

const fn eight(bytes: Option<&[u8; 8]>) -> u64 {
    match bytes {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => 0,
    }
}

/// The top-level command with this name, whatever the case of its letters.
#[inline(always)]
pub fn find(name: &[u8]) -> Option<CommandId> {
    let wanted = Name::of(name);
    let mut place = wanted.place();
    loop {
        let at = LOOKUP[place];
        if at == EMPTY {
            return None;
        }
        let known = &NAMES[usize::from(at)];
        if known.looks_like(&wanted) && (known.is_plain || is_name(at, name)) {
            return Some(CommandId(at));
        }
        place = (place + 1) & (PLACES - 1);
    }
}

/// Compares whole names: for the few that two words do not tell apart. Not inlined, so that [`find`] needs no frame.
#[cold]
#[inline(never)]
fn is_name(at: u16, name: &[u8]) -> bool {
    SORTED[usize::from(at)].name.as_bytes().eq_ignore_ascii_case(name)
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
            let found = |name: &[u8]| find(name).map(|id| (id, id.row().name));
            assert_eq!(found(name.as_bytes()), Some((id, name)));
            assert_eq!(found(name.to_ascii_uppercase().as_bytes()), Some((id, name)));
            // One bit away from a letter may be none; a name that goes on is another one.
            for at in 0..name.len() {
                for bit in [0x01, 0x40, 0x80] {
                    let mut other = name.as_bytes().to_vec();
                    other[at] ^= bit;
                    let expected = top_level().find(|id| id.command().row.name.as_bytes() == other);
                    assert_eq!(found(&other).map(|(id, _)| id), expected, "{}", other.escape_ascii());
                }
            }
            let longer = format!("{name}x");
            assert_eq!(found(longer.as_bytes()).is_some(), top_level().any(|id| id.command().row.name == longer));
        }
        assert!(find(b"").is_none());
        assert!(find(&[b'g'; 100]).is_none());
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
