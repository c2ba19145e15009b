//! The elements of the oracle in the engine's collections: their bytes, their changes, and looks at them.
//!
//! Promises: what is read is taken apart byte by byte, so an element that nobody wrote is noticed; a whole look also verifies every
//! node, count, order and rank. Never: waits.

use crate::random::Random;
use crate::value::{Edit, Edits, Element, Elements, LONG_MEMBERS};
use std::io::Write;
use thermocline::{Collection, Kind};
use thermocline_value::{Fault, HashEntry, Missing, ScoredMember, hash, length, list, set, sorted_set, verify};

/// What long members begin with.
const LONG_PREFIX_BYTES: usize = 150;
/// Fields with this many as the rest have a time to live, far away.
const EXPIRING: u32 = 7;

/// What a look at one element finds.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Found {
    /// The element.
    pub element: Element,
    /// Its rank, where the oracle knows one.
    pub rank: Option<u64>,
}

/// Why a look or change did not end well.
#[derive(Debug)]
pub enum Trouble {
    /// A node is missing or damaged.
    Fault(Fault),
    /// What was seen should not be there, in words.
    Wrong(String),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

/// The bytes of a field or member.
pub fn member(number: u16) -> Vec<u8> {
    if number >= LONG_MEMBERS {
        let mut member = vec![b'~'; LONG_PREFIX_BYTES];
        write!(member, "{number:05}").ok();
        return member;
    }
    let mut member = format!("m{number:04}").into_bytes();
    let bytes = match number % 32 {
        31 => 600, // more than a leaf takes
        rest => 5 + usize::from(rest),
    };
    member.resize(bytes, b'.');
    member
}

/// The bytes of a value of a hash, or of an element of a list.
pub fn value(stamp: u32) -> Vec<u8> {
    let mut value = format!("{stamp};").into_bytes();
    let bytes = match stamp % 64 {
        63 => 700,
        rest => rest as usize,
    };
    let mut filler = Random::new(u64::from(stamp));
    while value.len() < bytes {
        value.extend_from_slice(&filler.word().to_le_bytes());
    }
    value
}

fn expiry_of(stamp: u32) -> Option<u64> {
    (stamp % EXPIRING == EXPIRING - 1).then_some((1 << 42) + u64::from(stamp))
}

fn score_of(stamp: u32) -> f64 {
    f64::from(stamp) / 2.0 - 1000.0
}

fn stamp_of(score: f64) -> u32 {
    ((score + 1000.0) * 2.0) as u32
}

fn number_in(bytes: &[u8]) -> Result<u16, Trouble> {
    let digits = if bytes.first() == Some(&b'~') { bytes.get(LONG_PREFIX_BYTES..) } else { bytes.get(1..5) };
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    number.filter(|&number| member(number) == bytes).ok_or_else(|| nobody(bytes))
}

fn stamp_in(bytes: &[u8]) -> Result<u32, Trouble> {
    let digits = bytes.split(|&byte| byte == b';').next();
    let stamp = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    stamp.filter(|&stamp| value(stamp) == bytes).ok_or_else(|| nobody(bytes))
}

fn nobody(bytes: &[u8]) -> Trouble {
    Trouble::Wrong(format!("an element that nobody wrote: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)])))
}

fn field(entry: HashEntry<'_>) -> Result<Element, Trouble> {
    let element = Element { number: number_in(entry.field)?, stamp: stamp_in(entry.value)? };
    if entry.expiry_ms != expiry_of(element.stamp) {
        return Err(Trouble::Wrong(format!("field {} expires at {:?}", element.number, entry.expiry_ms)));
    }
    Ok(element)
}

fn scored(entry: ScoredMember<'_>) -> Result<Element, Trouble> {
    let element = Element { number: number_in(entry.member)?, stamp: stamp_of(entry.score) };
    if score_of(element.stamp) != entry.score {
        return Err(Trouble::Wrong(format!("member {} has the score {}", element.number, entry.score)));
    }
    Ok(element)
}

/// Asks for the nodes that these edits will need, all together.
fn ready(nodes: &Collection<'_>, edits: &Edits) -> Result<(), Fault> {
    let elements = length(nodes)?;
    nodes.ready(|nodes, missing| {
        for edit in &*edits.all {
            touch(nodes, &edits.act(edit, nodes.kind(), elements), missing)?;
        }
        Ok(())
    })
}

fn touch(nodes: &Collection<'_>, edit: &Edit, missing: &mut Missing) -> Result<(), Fault> {
    let name = || member(edit.number());
    let at = u64::from(edit.number());
    match (nodes.kind(), edit) {
        (Kind::Hash, _) => hash::touch_field(nodes, &name(), missing),
        (Kind::Set, _) => set::touch_member(nodes, &name(), missing),
        (Kind::List, Edit::Put(_)) => list::touch_insert(nodes, at, missing),
        (Kind::List, _) => list::touch_ranks(nodes, at..at + 1, missing),
        (_, Edit::Put(element) | Edit::Replace(element)) => {
            let score = score_of(element.of(Kind::SortedSet).stamp);
            sorted_set::touch_member(nodes, &name(), Some(score), missing)
        }
        (_, Edit::Remove(_)) => sorted_set::touch_member(nodes, &name(), None, missing),
    }
}

/// Changes elements.
///
/// # Errors
/// A node is missing or damaged.
pub fn change(nodes: &mut Collection<'_>, edits: &Edits) -> Result<(), Fault> {
    ready(nodes, edits)?;
    for edit in &*edits.all {
        let name = || member(edit.number());
        match (nodes.kind(), edit) {
            (Kind::Hash, Edit::Put(element) | Edit::Replace(element)) => {
                let (value, expiry_ms) = (value(element.stamp), expiry_of(element.stamp));
                hash::set(nodes, &HashEntry { field: &name(), value: &value, expiry_ms })?;
            }
            (Kind::Hash, Edit::Remove(_)) => drop(hash::remove(nodes, &name())?),
            (Kind::Set, Edit::Put(_) | Edit::Replace(_)) => drop(set::add(nodes, &name())?),
            (Kind::Set, Edit::Remove(_)) => drop(set::remove(nodes, &name())?),
            (Kind::List, _) => {
                let edit = edits.act(edit, Kind::List, length(nodes)?);
                change_list(nodes, &edit)?;
            }
            (_, Edit::Put(element) | Edit::Replace(element)) => {
                let score = score_of(element.of(Kind::SortedSet).stamp);
                sorted_set::set(nodes, &ScoredMember { member: &name(), score })?;
            }
            (_, Edit::Remove(_)) => drop(sorted_set::remove(nodes, &name())?),
        }
    }
    Ok(())
}

fn change_list(nodes: &mut Collection<'_>, edit: &Edit) -> Result<(), Fault> {
    let at = u64::from(edit.number());
    match edit {
        Edit::Put(element) => list::insert(nodes, at, &value(element.stamp)),
        Edit::Replace(element) => list::set(nodes, at, &value(element.stamp)).map(drop),
        Edit::Remove(_) => list::remove_some(nodes, at, 1).map(drop),
    }
}

/// Looks at all of a collection: its elements, and whether every node is what it should be. Also says how many nodes it has beside
/// its own record.
///
/// # Errors
/// A node is missing or damaged, or holds what nobody wrote.
pub fn whole(nodes: &Collection<'_>) -> Result<(Elements, u64), Trouble> {
    let elements = length(nodes)?;
    let kind = nodes.kind();
    nodes.ready(|nodes, missing| match kind {
        Kind::Hash => hash::touch_ranks(nodes, 0..elements, missing),
        Kind::List => list::touch_ranks(nodes, 0..elements, missing),
        Kind::Set => set::touch_ranks(nodes, 0..elements, missing),
        _ => sorted_set::touch_ranks(nodes, 0..elements, missing),
    })?;
    let census = verify(nodes, kind)?;
    let mut all = Vec::with_capacity(elements as usize);
    match kind {
        Kind::Hash => {
            for entry in hash::walk(nodes, 0)? {
                all.push(field(entry?)?);
            }
        }
        Kind::List => {
            for entry in list::walk(nodes, 0, false)? {
                all.push(Element { number: 0, stamp: stamp_in(entry?)? });
            }
        }
        Kind::Set => {
            for entry in set::walk(nodes, 0)? {
                all.push(Element { number: number_in(entry?)?, stamp: 0 });
            }
        }
        _ => {
            for entry in sorted_set::walk(nodes, 0, false)? {
                all.push(scored(entry?)?);
            }
            if !all.is_sorted_by_key(|element| (element.stamp, element.number)) {
                return Err(Trouble::Wrong("the order of a sorted set is wrong".to_owned()));
            }
        }
    }
    if census.elements != elements || all.len() as u64 != elements {
        let words = format!("it says {elements} elements, its nodes {}, a walk finds {}", census.elements, all.len());
        return Err(Trouble::Wrong(words));
    }
    if kind != Kind::List {
        all.sort_unstable();
        if all.windows(2).any(|pair| pair[0].number == pair[1].number) {
            return Err(Trouble::Wrong("an element is there twice".to_owned()));
        }
    }
    Ok((Elements { kind, all }, census.nodes))
}

/// Looks at one element.
///
/// # Errors
/// As [`whole`].
pub fn one(nodes: &Collection<'_>, number: u16) -> Result<Option<Found>, Trouble> {
    let name = member(number);
    let found = |element| Found { element, rank: None };
    match nodes.kind() {
        Kind::Hash => Ok(hash::get(nodes, &name)?.map(field).transpose()?.map(found)),
        Kind::List => {
            let at = u64::from(number) % length(nodes)?.max(1);
            let stamp = list::at(nodes, at)?.map(stamp_in).transpose()?;
            Ok(stamp.map(|stamp| found(Element { number: 0, stamp })))
        }
        Kind::Set => Ok(set::contains(nodes, &name)?.then_some(found(Element { number, stamp: 0 }))),
        _ => {
            let Some((rank, score)) = sorted_set::rank(nodes, &name)? else { return Ok(None) };
            let element = scored(ScoredMember { member: &name, score })?;
            let at = sorted_set::at(nodes, rank)?.map(scored).transpose()?;
            if at != Some(element) {
                return Err(Trouble::Wrong(format!("at rank {rank} of member {number} stands {at:?}")));
            }
            Ok(Some(Found { element, rank: Some(rank) }))
        }
    }
}
