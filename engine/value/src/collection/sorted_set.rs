//! Sorted sets: members in the order of (score, member), each found by its hash too.
//!
//! Small: one run in that order, with tags for look-ups by member. Large: two trees, one by (score, member), one by hash
//! of the member. Everything by score, by member ("lex") or by rank is a rank first: [`rank_of`] says how many elements lie
//! before a [`Bound`], and ranges are walks between two ranks. So ZCOUNT is two descents, however many it counts.
//!
//! Promises: both trees change in one operation or not at all. An element that moves is put in its new place before it
//! leaves the old one: what was present stays present.
//! Never: holds a NaN: the caller refuses it first.

use super::{Body, Fits, body, edit_run, fields, fits, put_root, remove_from_run, touch_ranks as touch};
use crate::packed::root::Root;
use crate::packed::run::{self, EMPTY_TAGGED, Run, tag_of};
use crate::packed::score::sortable;
use crate::tree::insert::entries;
use crate::tree::key::Key;
use crate::tree::limits::leaf_bytes_max;
use crate::tree::nodes::{At, Fault, Missing, NodeId, Nodes};
use crate::tree::shape::{ScoredMember, Shape};
use crate::tree::{Left, Path, Seek, Tree};
use std::ops::Range;

/// The payload of a sorted set without members, to begin with.
pub const EMPTY: &[u8] = EMPTY_TAGGED;

/// A place between two elements of the order.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Bound<'m> {
    /// Before everything with this score.
    BeforeScore(f64),
    /// Behind everything with this score.
    AfterScore(f64),
    /// Before this member among those with the score.
    Before(f64, &'m [u8]),
    /// Behind this member among those with the score.
    After(f64, &'m [u8]),
}

impl<'m> Bound<'m> {
    /// The key, and whether what is equal to it lies before the bound.
    fn key(&self) -> (Key<'m>, bool) {
        match *self {
            Bound::BeforeScore(score) => (Key { prefix: sortable(score), tail: &[] }, false),
            // The number behind an infinity's is a NaN's, which no element has.
            Bound::AfterScore(score) => (Key { prefix: sortable(score) + 1, tail: &[] }, false),
            Bound::Before(score, member) => (Key { prefix: sortable(score), tail: member }, false),
            Bound::After(score, member) => (Key { prefix: sortable(score), tail: member }, true),
        }
    }
}

/// The first position of an ordered run whose key is not below `key` (with `after`: above it).
fn position(run: &Run<'_>, key: &Key<'_>, after: bool, node: NodeId) -> Result<usize, Fault> {
    let before = |element| {
        let ScoredMember { score, member } = ScoredMember::decode(element)?;
        let other = Key { prefix: sortable(score), tail: member };
        Ok(other < *key || (after && other == *key))
    };
    run.partition(before).at(node)
}

/// Where an element with this key stands in the first tree, or would stand.
fn find_ordered<N: Nodes + ?Sized>(nodes: &N, tree: &Tree, key: Key<'_>) -> Result<(Path, usize), Fault> {
    let path = tree.descend(nodes, Seek::Key(key))?;
    let position = position(&path.run(nodes)?, &key, false, path.leaf)?;
    Ok((path, position))
}

fn second(root: &Root) -> Result<Tree, Fault> {
    let damage = Fault::Corrupt(NodeId::ROOT, crate::CodecError::BadField);
    root.second.map(|top| Tree { shape: Shape::Scores, top }).ok_or(damage)
}

/// A member's score.
pub fn score<N: Nodes + ?Sized>(nodes: &N, member: &[u8]) -> Result<Option<f64>, Fault> {
    let hash = nodes.hash(member);
    let found = match body(nodes)? {
        Body::Run(run) => fields::find_in_run(&run, Shape::Scores, member, hash, NodeId::ROOT)?,
        Body::Tree(root) => second(&root)?.find(nodes, member, hash)?.element,
    };
    found.map(|(_, element)| decode(element).map(|scored| scored.score)).transpose()
}

/// How many elements lie before a bound.
pub fn rank_of<N: Nodes + ?Sized>(nodes: &N, bound: &Bound<'_>) -> Result<u64, Fault> {
    let (key, after) = bound.key();
    match body(nodes)? {
        Body::Run(run) => position(&run, &key, after, NodeId::ROOT).map(|position| position as u64),
        Body::Tree(root) => {
            let path = root.first(Shape::SortedSet).descend(nodes, Seek::Key(key))?;
            let position = position(&path.run(nodes)?, &key, after, path.leaf)?;
            Ok(path.before(nodes)? + position as u64)
        }
    }
}

/// A member's rank and score, lowest first.
pub fn rank<N: Nodes + ?Sized>(nodes: &N, member: &[u8]) -> Result<Option<(u64, f64)>, Fault> {
    let Some(score) = score(nodes, member)? else { return Ok(None) };
    Ok(Some((rank_of(nodes, &Bound::Before(score, member))?, score)))
}

/// The element of a rank.
pub fn at<N: Nodes + ?Sized>(nodes: &N, rank: u64) -> Result<Option<ScoredMember<'_>>, Fault> {
    super::at(nodes, Shape::SortedSet, rank)?.map(decode).transpose()
}

/// Gives a member a score. True if the member is new.
pub fn set<N: Nodes + ?Sized>(nodes: &mut N, entry: &ScoredMember<'_>) -> Result<bool, Fault> {
    assert!(!entry.score.is_nan(), "a score that is not a number");
    match body(nodes)? {
        Body::Run(_) => set_in_run(nodes, entry),
        Body::Tree(root) => set_in_trees(nodes, root, entry),
    }
}

fn set_in_run<N: Nodes + ?Sized>(nodes: &mut N, entry: &ScoredMember<'_>) -> Result<bool, Fault> {
    let hash = nodes.hash(entry.member);
    let Body::Run(run) = body(nodes)? else { return Ok(false) };
    let element = entry.encode();
    let old = fields::find_in_run(&run, Shape::Scores, entry.member, hash, NodeId::ROOT)?;
    if let Some((_, old)) = old
        && old == element
    {
        return Ok(false);
    }
    let key = Key { prefix: sortable(entry.score), tail: entry.member };
    let to = position(&run, &key, false, NodeId::ROOT)?;
    let new = old.is_none();
    let tagged = (tag_of(hash), &element[..]);
    match old.map(|(from, _)| from) {
        // In order before and after: the element stays where it is.
        Some(from) if to == from || to == from + 1 => match fits(&run, from, true, tagged)? {
            Fits::Edit => edit_run(nodes, from, true, tagged),
            Fits::Grows(_) => grow(nodes, from, to, true, tagged)?,
        },
        Some(from) => {
            // A moved element is as large as before, give or take its score: the run grows only if it is at its limit.
            match fits(&run, to, false, tagged)? {
                Fits::Edit => {
                    edit_run(nodes, to, false, tagged);
                    remove_from_run(nodes, if to <= from { from + 1 } else { from }, 1);
                }
                Fits::Grows(_) => grow(nodes, from, to, true, tagged)?,
            }
        }
        None => match fits(&run, to, false, tagged)? {
            Fits::Edit => edit_run(nodes, to, false, tagged),
            Fits::Grows(_) => grow(nodes, to, to, false, tagged)?,
        },
    }
    Ok(new)
}

/// Makes two trees of the root's run, with an element put at `to` and, if it `moves`, taken from `from`.
fn grow<N: Nodes + ?Sized>(
    nodes: &mut N,
    from: usize,
    to: usize,
    moves: bool,
    entry: (u8, &[u8]),
) -> Result<(), Fault> {
    let Body::Run(run) = body(nodes)? else { return Ok(()) };
    let old = entries(&run).at(NodeId::ROOT)?;
    let mut changed = Vec::with_capacity(old.len() + 1);
    for (position, &(tag, element)) in old.iter().enumerate() {
        if position == to {
            changed.push((entry.0, entry.1.to_vec()));
        }
        if !(moves && position == from) {
            changed.push((tag, element.to_vec()));
        }
    }
    if to == old.len() {
        changed.push((entry.0, entry.1.to_vec()));
    }
    let plain = changed.iter().map(|(_, element)| (0, &element[..])).collect();
    let tagged = changed.iter().map(|(tag, element)| (*tag, &element[..])).collect();
    let collection = nodes.collection();
    let first = Tree::build(nodes, Shape::SortedSet, plain).at(NodeId::ROOT)?;
    let second = Tree::build(nodes, Shape::Scores, tagged).at(NodeId::ROOT)?;
    put_root(nodes, None, &Root { collection, tree: first.top, second: Some(second.top), expiries: false });
    Ok(())
}

fn set_in_trees<N: Nodes + ?Sized>(nodes: &mut N, root: Root, entry: &ScoredMember<'_>) -> Result<bool, Fault> {
    let hash = nodes.hash(entry.member);
    let (mut first, mut second) = (root.first(Shape::SortedSet), second(&root)?);
    // Read only: the member, its old place, its new place.
    let found = second.find(nodes, entry.member, hash)?;
    let old = found.element.map(|(_, element)| decode(element)).transpose()?.map(|old| old.score);
    let (second_path, second_length) = (found.path, found.run.len());
    let second_position = found.element.map(|(position, _)| position);
    if old == Some(entry.score) {
        return Ok(false);
    }
    let key = Key { prefix: sortable(entry.score), tail: entry.member };
    let (new_path, new_position) = find_ordered(nodes, &first, key)?;
    let old_key = old.map(|old| Key { prefix: sortable(old), tail: entry.member });
    let element = entry.encode();
    let old_place = old_key.map(|old_key| find_old(nodes, &first, old_key)).transpose()?;
    // From here on everything is there: nothing can fail.
    let moved = match &old_place {
        Some((old_path, old_position)) => {
            let neighbour = new_position == *old_position || new_position == old_position + 1;
            if old_path.leaf == new_path.leaf && neighbour {
                first.replace(nodes, &new_path, *old_position, &element)?;
                true
            } else {
                first.relocate(nodes, (&new_path, new_position), (old_path, *old_position), &element)?
            }
        }
        None => false,
    };
    if !moved {
        first.insert(nodes, &new_path, new_position, (0, &element))?;
        if let Some(old_key) = old_key {
            let (path, position) = find_old(nodes, &first, old_key)?;
            first.remove(nodes, &path, position, 1)?;
        }
    }
    match second_position {
        Some(position) => second.replace(nodes, &second_path, position, &element)?,
        None => second.insert(nodes, &second_path, second_length, (tag_of(hash), &element))?,
    }
    put_root(nodes, Some(&root), &Root { tree: first.top, second: Some(second.top), ..root });
    Ok(old.is_none())
}

/// Where an element stands that the second tree knows of.
fn find_old<N: Nodes + ?Sized>(nodes: &N, tree: &Tree, key: Key<'_>) -> Result<(Path, usize), Fault> {
    let (path, position) = find_ordered(nodes, tree, key)?;
    let run = path.run(nodes)?;
    let there =
        position < run.len() && Shape::SortedSet.key(run.get(position).at(path.leaf)?, nodes).at(path.leaf)? == key;
    if there { Ok((path, position)) } else { Err(Fault::Corrupt(path.leaf, crate::CodecError::BadField)) }
}

/// Removes a member and answers the score it had.
pub fn remove<N: Nodes + ?Sized>(nodes: &mut N, member: &[u8]) -> Result<Option<f64>, Fault> {
    let hash = nodes.hash(member);
    match body(nodes)? {
        Body::Run(run) => {
            let found = fields::find_in_run(&run, Shape::Scores, member, hash, NodeId::ROOT)?;
            let Some((position, element)) = found else { return Ok(None) };
            let score = decode(element)?.score;
            remove_from_run(nodes, position, 1);
            Ok(Some(score))
        }
        Body::Tree(root) => {
            let (mut first, mut second) = (root.first(Shape::SortedSet), second(&root)?);
            let found = second.find(nodes, member, hash)?;
            let Some((second_position, element)) = found.element else { return Ok(None) };
            let score = decode(element)?.score;
            let (path, position) = find_old(nodes, &first, Key { prefix: sortable(score), tail: member })?;
            // Both are there: nothing can fail.
            let second_path = found.path;
            let left = first.remove(nodes, &path, position, 1)?;
            second.remove(nodes, &second_path, second_position, 1)?;
            match left {
                Left::Nothing => nodes.put(NodeId::ROOT, EMPTY),
                Left::Some => settle(nodes, &root, &first, &second),
            }
            Ok(Some(score))
        }
    }
}

/// After a removal: puts the root if it is another one, or one run in place of two trees of one leaf each.
fn settle<N: Nodes + ?Sized>(nodes: &mut N, old: &Root, first: &Tree, second: &Tree) {
    if first.top.levels == 0
        && second.top.levels == 0
        && let Some(payload) = small(nodes, first)
    {
        nodes.put(NodeId::ROOT, &payload);
        nodes.free(first.top.node);
        nodes.free(second.top.node);
        return;
    }
    put_root(nodes, Some(old), &Root { tree: first.top, second: Some(second.top), ..*old });
}

/// The only leaf of the first tree as a run with tags, if it is small and whole.
fn small<N: Nodes + ?Sized>(nodes: &N, tree: &Tree) -> Option<Vec<u8>> {
    let run =
        Run::open(nodes.get(tree.top.node)?).ok().filter(|run| run.bytes() <= leaf_bytes_max(Shape::SortedSet))?;
    let mut tagged = entries(&run).ok()?;
    for (tag, element) in &mut tagged {
        *tag = tag_of(nodes.hash(ScoredMember::decode(element).ok()?.member));
    }
    let mut payload = Vec::with_capacity(leaf_bytes_max(Shape::SortedSet) + tagged.len());
    run::write(tagged.iter().copied(), true, &mut payload);
    Some(payload)
}

/// Shows the members from `cursor` (0 to begin) on to `visit`, at least `count` of them if there are, and answers the
/// cursor to go on with; 0 at the end. A member that stays is shown exactly once, even if its score changes.
pub fn scan<'n, N: Nodes + ?Sized>(
    nodes: &'n N,
    cursor: u64,
    count: usize,
    mut visit: impl FnMut(ScoredMember<'n>),
) -> Result<u64, Fault> {
    let mut damage = None;
    let visit = |element| match decode(element) {
        Ok(scored) => visit(scored),
        Err(fault) => damage = Some(fault),
    };
    let next = match body(nodes)? {
        Body::Run(_) => fields::scan(nodes, Shape::Scores, cursor, count, visit)?,
        Body::Tree(root) => second(&root)?.scan(nodes, cursor, count, visit)?,
    };
    damage.map_or(Ok(next), Err)
}

/// Notes what it takes to [`scan`] about `count` members from a cursor on. Without it, a scan ends where memory does.
pub fn touch_scan<N: Nodes + ?Sized>(nodes: &N, cursor: u64, count: u64, missing: &mut Missing) -> Result<(), Fault> {
    match missing.note(body(nodes))? {
        Some(Body::Tree(root)) => second(&root)?.touch_scan(nodes, cursor, count, missing),
        _ => Ok(()),
    }
}

/// Notes what it takes to know a member's score, to remove it, or to give it the score `new`.
pub fn touch_member<N: Nodes + ?Sized>(
    nodes: &N,
    member: &[u8],
    new: Option<f64>,
    missing: &mut Missing,
) -> Result<(), Fault> {
    let Some(Body::Tree(root)) = missing.note(body(nodes))? else { return Ok(()) };
    let first = root.first(Shape::SortedSet);
    let old = missing.note(second(&root)?.find(nodes, member, nodes.hash(member)))?;
    let old = match old.and_then(|found| found.element) {
        Some((_, element)) => Some(decode(element)?.score),
        None => None,
    };
    for score in [old, new].into_iter().flatten() {
        first.touch(nodes, Seek::Key(Key { prefix: sortable(score), tail: member }), missing)?;
    }
    Ok(())
}

/// Notes what it takes to know a member's score and nothing else.
pub fn touch_score<N: Nodes + ?Sized>(nodes: &N, member: &[u8], missing: &mut Missing) -> Result<(), Fault> {
    let Some(Body::Tree(root)) = missing.note(body(nodes))? else { return Ok(()) };
    let key = Key { prefix: nodes.hash(member), tail: member };
    second(&root)?.touch(nodes, Seek::Key(key), missing)
}

/// Notes what it takes to know how many elements lie before a bound.
pub fn touch_bound<N: Nodes + ?Sized>(nodes: &N, bound: &Bound<'_>, missing: &mut Missing) -> Result<(), Fault> {
    let Some(Body::Tree(root)) = missing.note(body(nodes))? else { return Ok(()) };
    root.first(Shape::SortedSet).touch(nodes, Seek::Key(bound.key().0), missing)
}

/// Notes what it takes to walk over these ranks.
pub fn touch_ranks<N: Nodes + ?Sized>(nodes: &N, ranks: Range<u64>, missing: &mut Missing) -> Result<(), Fault> {
    touch(nodes, Shape::SortedSet, ranks, true, missing)
}

/// Walks the elements from a rank on, to the highest or, backward, to the lowest.
pub fn walk<N: Nodes + ?Sized>(
    nodes: &N,
    rank: u64,
    backward: bool,
) -> Result<impl Iterator<Item = Result<ScoredMember<'_>, Fault>>, Fault> {
    Ok(super::walk(nodes, Shape::SortedSet, rank, backward)?.map(|element| element.and_then(decode)))
}

// An element that does not decode is damage of the node that holds it; which one is not known here any more.
#[inline]
fn decode(element: &[u8]) -> Result<ScoredMember<'_>, Fault> {
    ScoredMember::decode(element).at(NodeId::ROOT)
}
