//! Collections: lists, hashes, sets and sorted sets, each a run while small and a tree (a sorted set: two) when large.
//!
//! The collection's own record ([`NodeId::ROOT`]) holds either the run or a [`Root`]. A run that would pass 4 KiB becomes a
//! tree at once (it is a few KiB); a tree that has shrunk to one leaf becomes a run again, at an eighth of that size.
//!
//! Every function takes the nodes first and answers a [`Fault`] before it has changed anything if a node is missing.
//! `touch_*` functions name all missing nodes of a round, so that they can be brought together.
//!
//! Promises: a change reports itself through [`Nodes`] and touches one leaf, the counts above it, and what a split or
//! merge takes with it. A collection that has become empty is an empty run: the caller removes the key.
//! Never: judges an expiry (no clock), refuses a size, knows a command.

mod fields;
pub mod hash;
pub mod list;
pub mod set;
pub mod sorted_set;
mod verify;

pub use verify::{Census, verify};

use crate::codec::CodecError;
use crate::kind::Kind;
use crate::packed::inner::Inner;
use crate::packed::node_edit::{Edit, NodeEdit};
use crate::packed::root::Root;
use crate::packed::run::{Run, run_bytes, stored_bytes};
use crate::tree::insert::{Entry, entries};
use crate::tree::limits::{RUN_BYTES_MAX, leaf_bytes_max};
use crate::tree::nodes::{At, Fault, Missing, NodeId, Nodes, present};
use crate::tree::shape::{HashEntry, Shape};
use crate::tree::{Tree, Walk};
use std::ops::Range;

/// What the collection's own record holds.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Body<'n> {
    Run(Run<'n>),
    Tree(Root),
}

/// Looks at the collection's own record.
#[inline]
pub(crate) fn body<N: Nodes + ?Sized>(nodes: &N) -> Result<Body<'_>, Fault> {
    let payload = present(nodes, NodeId::ROOT)?;
    if Root::is_root(payload) {
        Root::decode(payload).map(Body::Tree).at(NodeId::ROOT)
    } else {
        Run::open(payload).map(Body::Run).at(NodeId::ROOT)
    }
}

impl Root {
    /// The tree of the elements.
    #[inline]
    pub(crate) fn first(&self, shape: Shape) -> Tree {
        Tree { shape, top: self.tree }
    }
}

/// What the record of an empty collection of this kind begins as.
pub fn empty_record(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::List => list::EMPTY,
        Kind::Set => set::EMPTY,
        Kind::SortedSet => sorted_set::EMPTY,
        _ => hash::EMPTY,
    }
}

/// How many elements a collection has, of whatever type. Reads the root, and of a tree the top node.
pub fn length<N: Nodes + ?Sized>(nodes: &N) -> Result<u64, Fault> {
    match body(nodes)? {
        Body::Run(run) => Ok(run.len() as u64),
        // The length does not depend on the shape.
        Body::Tree(root) => root.first(Shape::List).length(nodes),
    }
}

/// The children of an inner node.
///
/// # Errors
/// The payload is not one of an inner node.
pub fn children(payload: &[u8]) -> Result<Vec<NodeId>, CodecError> {
    Ok(Inner::open(payload)?.children().map(|child| child.id).collect())
}

/// Puts a root, if it is another one.
pub(crate) fn put_root<N: Nodes + ?Sized>(nodes: &mut N, old: Option<&Root>, new: &Root) {
    if old != Some(new) {
        let mut payload = Vec::with_capacity(24);
        new.encode(&mut payload);
        nodes.put(NodeId::ROOT, &payload);
    }
}

/// A run of the root with `added` put at `position` in place of `removed` elements.
pub(crate) enum Fits<'n> {
    /// The run stays a run: this edit is all.
    Edit,
    /// It would be too large: these are its elements, changed, for a tree.
    Grows(Vec<Entry<'n>>),
}

/// Whether an element still fits the root's run.
pub(crate) fn fits<'n>(run: &Run<'n>, position: usize, replaces: bool, entry: Entry<'n>) -> Result<Fits<'n>, Fault> {
    let old = if replaces { stored_bytes(run.get(position).at(NodeId::ROOT)?.len()) } else { 0 };
    let elements = run.element_bytes() - old + stored_bytes(entry.1.len());
    let count = run.len() + usize::from(!replaces);
    if run_bytes(elements, count, run.is_tagged()) <= RUN_BYTES_MAX {
        return Ok(Fits::Edit);
    }
    let mut changed = entries(run).at(NodeId::ROOT)?;
    changed.splice(position..position + usize::from(replaces), [entry]);
    Ok(Fits::Grows(changed))
}

/// Puts an element into the root's run, which becomes a tree of this shape if it must. Not for sorted sets. A run does not
/// note whether a field of a hash has an expiry; when it becomes a tree, it is looked for once.
pub(crate) fn put_in_run<N: Nodes + ?Sized>(
    nodes: &mut N,
    shape: Shape,
    position: usize,
    replaces: bool,
    entry: Entry<'_>,
) -> Result<(), Fault> {
    let run = Run::open(present(nodes, NodeId::ROOT)?).at(NodeId::ROOT)?;
    match fits(&run, position, replaces, entry)? {
        Fits::Edit => {
            edit_run(nodes, position, replaces, entry);
        }
        Fits::Grows(changed) => {
            // The entries borrow the run, which the new nodes replace: they move out first.
            let expiries = shape == Shape::Hash && any_expiry(&changed)?;
            let owned: Vec<(u8, Vec<u8>)> = changed.iter().map(|(tag, element)| (*tag, element.to_vec())).collect();
            let entries = owned.iter().map(|(tag, element)| (*tag, &element[..])).collect();
            let collection = nodes.collection();
            let tree = Tree::build(nodes, shape, entries).at(NodeId::ROOT)?;
            put_root(nodes, None, &Root { collection, tree: tree.top, second: None, expiries });
        }
    }
    Ok(())
}

fn any_expiry(elements: &[Entry<'_>]) -> Result<bool, Fault> {
    for (_, element) in elements {
        if HashEntry::decode(element).at(NodeId::ROOT)?.expiry_ms.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Edits the root's run, which was looked at.
pub(crate) fn edit_run<N: Nodes + ?Sized>(nodes: &mut N, position: usize, replaces: bool, (tag, element): Entry<'_>) {
    let edit = if replaces { Edit::Replace { position, element } } else { Edit::Insert { position, tag, element } };
    nodes.edit(NodeId::ROOT, &NodeEdit(edit));
}

/// Removes elements from the root's run.
pub(crate) fn remove_from_run<N: Nodes + ?Sized>(nodes: &mut N, position: usize, count: usize) {
    nodes.edit(NodeId::ROOT, &NodeEdit(Edit::Remove { position, count }));
}

/// After a removal: puts the root if it is another one, or the only leaf in its place. Not for sorted sets.
pub(crate) fn settle<N: Nodes + ?Sized>(nodes: &mut N, old: &Root, tree: &Tree) {
    if tree.top.levels == 0
        && let Some(leaf) = nodes.get(tree.top.node).filter(|leaf| leaf.len() <= leaf_bytes_max(tree.shape))
    {
        let payload = leaf.to_vec();
        nodes.put(NodeId::ROOT, &payload);
        nodes.free(tree.top.node);
        return;
    }
    put_root(nodes, Some(old), &Root { tree: tree.top, ..*old });
}

/// Walks a collection from a rank on.
pub(crate) fn walk<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    rank: u64,
    backward: bool,
) -> Result<Walk<'_, N>, Fault> {
    match body(nodes)? {
        Body::Run(run) => Ok(Walk::of_run(nodes, run, rank, backward)),
        Body::Tree(root) => root.first(shape).walk(nodes, rank, backward),
    }
}

/// The element of a rank, if there is one.
pub(crate) fn at<N: Nodes + ?Sized>(nodes: &N, shape: Shape, rank: u64) -> Result<Option<&[u8]>, Fault> {
    let (run, leaf, position) = match body(nodes)? {
        Body::Run(run) => (run, NodeId::ROOT, rank),
        Body::Tree(root) => {
            let path = root.first(shape).descend(nodes, crate::tree::Seek::Rank(rank))?;
            (path.run(nodes)?, path.leaf, path.position)
        }
    };
    match usize::try_from(position) {
        Ok(position) if position < run.len() => run.get(position).map(Some).at(leaf),
        _ => Ok(None),
    }
}

/// Notes what it takes to read the elements of these ranks.
pub(crate) fn touch_ranks<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    ranks: Range<u64>,
    whole_leaves: bool,
    missing: &mut Missing,
) -> Result<(), Fault> {
    match missing.note(body(nodes))? {
        Some(Body::Tree(root)) => root.first(shape).touch_ranks(nodes, ranks, whole_leaves, missing),
        _ => Ok(()),
    }
}
