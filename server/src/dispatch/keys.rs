//! Which words of a command are keys, as its row says.
//!
//! Promises: keys come in the order in which the body sees their views; a key named twice is found, so that its changes go to
//! one record. Pure.

use std::collections::HashMap;

use thermocline::Access;

use crate::command::Args;
use crate::command::reply::CommandError;
use crate::command::row::{KeyArgument, Keys, Row, RowAccess};

/// Up to so many keys, repeats are found by comparing all pairs.
const PAIRS_COMPARED_MAX: usize = 16;

/// Appends the keys of a command that has passed its arity check.
pub fn collect(row: &Row, args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    let access = access(row, args);
    let argument = |word| KeyArgument { word, access, database: None };
    match row.keys {
        Keys::None => {}
        Keys::Range { first, last, step } => {
            let end = if last < 0 {
                (args.len() as isize + isize::from(last) + 1).max(0) as usize
            } else {
                last as usize + 1
            };
            keys.extend((usize::from(first)..end.min(args.len())).step_by(usize::from(step)).map(argument));
        }
        Keys::Count { at, first } => {
            // A number that is none, or beyond the words, is the body's to refuse: it sees no keys then.
            let first = usize::from(first);
            let count = args.integer(usize::from(at)).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            if count <= args.len().saturating_sub(first) {
                keys.extend((first..first + count).map(argument));
            }
        }
        Keys::Function { find, .. } => find(args, keys)?,
    }
    Ok(())
}

/// What is done to the keys of a row that has one access for all.
pub(super) fn access(row: &Row, args: &Args<'_>) -> Access {
    match row.access {
        RowAccess::Keyless | RowAccess::Peek => Access::Peek,
        RowAccess::Read => Access::Read,
        RowAccess::Write => Access::Write,
        RowAccess::Overwrite => Access::Overwrite,
        RowAccess::Chosen(choose) => choose(args),
    }
}

/// For each key the index of its first place. Empty when no key is named twice.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct KeyPlaces(Vec<usize>);

impl KeyPlaces {
    /// Looks for repeats among (database, key).
    pub fn of(names: &[(u32, &[u8])]) -> KeyPlaces {
        let mut places: Vec<usize> = (0..names.len()).collect();
        if names.len() <= PAIRS_COMPARED_MAX {
            for at in 1..names.len() {
                if let Some(first) = names[..at].iter().position(|name| *name == names[at]) {
                    places[at] = first;
                }
            }
        } else {
            let mut seen = HashMap::with_capacity(names.len());
            for (at, name) in names.iter().enumerate() {
                places[at] = *seen.entry(*name).or_insert(at);
            }
        }
        let repeats = places.iter().enumerate().any(|(at, first)| at != *first);
        KeyPlaces(if repeats { places } else { Vec::new() })
    }

    /// Gives all uses of a key the access that serves each of them.
    pub(super) fn unite(&self, accesses: &mut [Access]) {
        for (at, first) in self.0.iter().copied().enumerate() {
            accesses[first] = stronger(accesses[first], accesses[at]);
        }
        for (at, first) in self.0.iter().copied().enumerate() {
            accesses[at] = accesses[first];
        }
    }

    /// As a slice: empty, or one index for each key.
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }
}

/// The access that serves both uses of one key.
pub(super) fn stronger(left: Access, right: Access) -> Access {
    let needs_value = |access| matches!(access, Access::Read | Access::Write);
    match (left.writes() || right.writes(), needs_value(left) || needs_value(right)) {
        (true, true) => Access::Write,
        (true, false) => Access::Overwrite,
        (false, true) => Access::Read,
        (false, false) => Access::Peek,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_named_twice_has_one_place() {
        let few: Vec<(u32, &[u8])> = vec![(0, b"a"), (0, b"b"), (0, b"a"), (1, b"a")];
        assert_eq!(KeyPlaces::of(&few).as_slice(), [0, 1, 0, 3]);
        assert!(KeyPlaces::of(&few[..2]).as_slice().is_empty());
        let texts: Vec<Vec<u8>> = (0..100).map(|number| format!("k{}", number % 60).into_bytes()).collect();
        let many: Vec<(u32, &[u8])> = texts.iter().map(|text| (0, text.as_slice())).collect();
        let places = KeyPlaces::of(&many);
        assert_eq!((places.as_slice()[59], places.as_slice()[60]), (59, 0));
    }

    #[test]
    fn the_stronger_access_serves_both() {
        assert_eq!(stronger(Access::Read, Access::Overwrite), Access::Write);
        assert_eq!(stronger(Access::Peek, Access::Overwrite), Access::Overwrite);
        assert_eq!(stronger(Access::Peek, Access::Read), Access::Read);
    }
}
