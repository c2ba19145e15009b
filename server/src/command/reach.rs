//! Keys that no word names: a body learns their names from the values of others (`SORT mylist BY weight_*`).
//!
//! ```text
//!  over the keys of the words     other("weight_7")? not known: noted, and all others too -> CommandError::Keys
//!  over these and what was noted  other("weight_7") is a view                             -> the answer
//! ```
//! Promises: what the last call sees is of one moment, named and unnamed keys alike: if a value has changed meanwhile and names
//! other keys, they are looked up too. The memory of the names is bounded. Never: reads a key.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use thermocline::{Engine, Error};

use super::row::{Body, Row};

/// The names of one command take at most this part of `maxmemory`.
const NAMES_SHARE_MAX: u64 = 8;
/// What a name takes beside its bytes, in the tables here and on the road to the store.
const NAME_OVERHEAD_BYTES: u64 = 256;
/// How often a body may be called again for more keys. SORT needs two rounds: for BY, and for GET of what comes first.
pub const REACHES_MAX: usize = 16;

/// The keys that one command has asked for.
#[derive(Debug)]
pub struct Reach {
    /// Each known name and its number.
    known: HashMap<Vec<u8>, usize>,
    wanted: RefCell<HashSet<Vec<u8>>>,
    bytes: Cell<u64>,
    bytes_max: u64,
}

impl Reach {
    /// For a command that may ask for keys; `None` for all others.
    pub fn of(row: &Row, engine: &Engine) -> Option<Reach> {
        matches!(row.body, Body::Reach(_)).then(|| Reach::new(engine.max_memory() / NAMES_SHARE_MAX))
    }

    fn new(bytes_max: u64) -> Reach {
        Reach { known: HashMap::new(), wanted: RefCell::default(), bytes: Cell::new(0), bytes_max }
    }

    /// The known names, in the order of their numbers.
    pub fn names(&self) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> = vec![&[]; self.known.len()];
        for (name, place) in &self.known {
            names[*place] = name;
        }
        names
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of a name. `None`: it is not known, and noted.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        let place = self.known.get(name).copied();
        if place.is_none() {
            self.want(name);
        }
        place
    }

    fn want(&self, name: &[u8]) {
        // Beyond the bound nothing is noted any more: `learn` refuses.
        let mut wanted = self.wanted.borrow_mut();
        if self.bytes.get() <= self.bytes_max && !wanted.contains(name) {
            self.bytes.set(self.bytes.get() + name.len() as u64 + NAME_OVERHEAD_BYTES);
            wanted.insert(name.to_vec());
        }
    }

    /// What was noted is known from now on: the caller looks it up.
    ///
    /// # Errors
    /// The names take too much memory.
    pub fn learn(&mut self) -> Result<(), Error> {
        if self.bytes.get() > self.bytes_max {
            return Err(Error::OutOfMemory);
        }
        for name in self.wanted.take() {
            let place = self.known.len();
            self.known.insert(name, place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_asked_for_has_a_number_after_the_round() {
        let mut reach = Reach::new(1 << 20);
        assert_eq!((reach.place(b"a"), reach.place(b"b"), reach.place(b"a")), (None, None, None));
        reach.learn().expect("two names are few");
        let names: Vec<Vec<u8>> = reach.names().into_iter().map(<[u8]>::to_vec).collect();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(reach.place(name), Some(place));
        }
        assert_eq!(names.len(), 2);
        assert_eq!(reach.place(b"c"), None);
        reach.learn().expect("three names are few");
        assert_eq!((reach.place(&names[0]), reach.place(b"c")), (Some(0), Some(2)));
    }

    #[test]
    fn names_beyond_the_bound_are_neither_kept_nor_accepted() {
        let mut reach = Reach::new(NAME_OVERHEAD_BYTES * 10);
        for number in 0..1000 {
            reach.place(format!("{number}").as_bytes());
        }
        assert!(reach.wanted.borrow().len() <= 11);
        assert!(matches!(reach.learn(), Err(Error::OutOfMemory)));
    }
}
