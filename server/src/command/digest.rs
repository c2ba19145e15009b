//! DEBUG DIGEST and DIGEST-VALUE: one number for a value, or for all that the server holds, which does not depend on the order
//! in which it lies.
//!
//! ```text
//!  add(x)   d ^= SHA1(x)             where there is no order: members, pairs, keys of a database
//!  mix(x)   d  = SHA1(d ^ SHA1(x))   what comes one after the other: type, elements of a list, field and value
//!
//!  value    mix(type); list: mix(item) each; set: add(member) each; hash, sorted set: add(digest of mix, mix) each;
//!           add("!!expire!!") if it expires
//!  all      of each database that has keys: mix(its number), then add(digest of mix(key), value) each
//! ```
//! Promises: the same number as Redis 7.2 for the same content, so two servers can be compared. Never: a promise about what it
//! is worth as a hash: SHA-1 is what Redis uses.

use std::fmt;

use sha1::{Digest as _, Sha1};
use thermocline::{Access, Engine, Kind};
use thermocline_rdb::Element;
use thermocline_resp::write_double;

use super::elements::{self, Walk, Way};
use super::look::{Look, look};
use super::reply::CommandError;

const DIGEST_BYTES: usize = 20;
/// Keys asked of the store at once.
const STEP_KEYS: usize = 256;

/// 160 bits, shown as 40 hexadecimal digits.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        self.0.iter_mut().zip(Sha1::digest(bytes)).for_each(|(byte, other)| *byte ^= other);
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Continues with a value.
    fn value(&mut self, seen: &Look<'_>) -> Result<(), CommandError> {
        let view = &seen.view;
        self.mix(&type_number(view.kind).to_be_bytes());
        match &seen.collection {
            None => self.mix(view.value),
            Some(collection) => elements::each(collection, 0..u64::MAX, Way::Forward, |element| {
                self.element(view.kind, &element);
                Ok::<Walk, CommandError>(Walk::On)
            })?,
        }
        if view.expires_at_ms.is_some() {
            self.add(b"!!expire!!");
        }
        Ok(())
    }

    fn element(&mut self, kind: Kind, element: &Element<'_>) {
        let mut pair = Digest::default();
        match *element {
            Element::Item(item) if kind == Kind::List => return self.mix(item),
            Element::Item(member) => return self.add(member),
            Element::Scored { member, score } => {
                let mut text = Vec::new();
                write_double(&mut text, score);
                pair.mix(member);
                pair.mix(&text);
            }
            Element::Field { field, value, expires_at_ms } => {
                pair.mix(field);
                pair.mix(value);
                if expires_at_ms.is_some() {
                    pair.add(b"!!hexpire!!");
                }
            }
            Element::String(_) | Element::Raw(_) => {}
        }
        self.add(&pair.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Redis's number for a type.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
        _ => 0,
    }
}

/// The digest of a key's value; of a missing one it is zero.
pub(super) async fn of_key(engine: &Engine, database: u32, name: &[u8]) -> Result<Digest, CommandError> {
    let digest = look(engine, (database, name), Access::Read, |seen| {
        let mut digest = Digest::default();
        digest.value(seen)?;
        Ok(digest)
    });
    Ok(digest.await?.unwrap_or_default())
}

/// The digest of everything. Keys are read one after the other while others go on: it is of one moment only if nobody writes.
pub(super) async fn of_everything(engine: &Engine) -> Result<Digest, CommandError> {
    let mut whole = Digest::default();
    for database in 0..engine.databases() {
        let mut is_empty = true;
        let mut cursor = 0;
        loop {
            let mut names: Vec<Vec<u8>> = Vec::new();
            let space = engine.space(database);
            cursor = engine.scan(space, cursor, STEP_KEYS, |name, _| names.push(name.to_vec())).await?;
            for name in names {
                let digest = look(engine, (database, &name), Access::Read, |seen| {
                    let mut digest = Digest::default();
                    digest.mix(&name);
                    digest.value(seen)?;
                    Ok(digest)
                });
                let Some(digest) = digest.await? else { continue };
                if std::mem::take(&mut is_empty) {
                    whole.mix(&database.to_be_bytes());
                }
                whole.add(&digest.0);
            }
            if cursor == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_counts_where_elements_are_mixed_and_not_where_they_are_added() {
        let of = |kind, items: [&[u8]; 2]| {
            let mut digest = Digest::default();
            items.iter().for_each(|item| digest.element(kind, &Element::Item(item)));
            digest
        };
        assert_eq!(of(Kind::Set, [b"a", b"b"]), of(Kind::Set, [b"b", b"a"]));
        assert_ne!(of(Kind::List, [b"a", b"b"]), of(Kind::List, [b"b", b"a"]));
        assert_eq!(of(Kind::Set, [b"a", b"a"]), Digest::default(), "added twice is taken away");
    }

    #[test]
    fn a_digest_is_shown_as_redis_shows_it() {
        let mut digest = Digest::default();
        digest.add(b"abc");
        assert_eq!(digest.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
