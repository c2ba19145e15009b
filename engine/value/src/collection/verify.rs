//! Looking at a whole collection: is every promise of its structure kept?
//!
//! For tests, DEBUG and the offline verifier. Costs a look at every node.
//!
//! Promises: every node is looked at once; what is wrong is a [`Fault::Corrupt`] with the node that is wrong. Foreign
//! nodes that name each other in a circle end at the height of the tree.
//! Never: repairs.

use super::{Body, body};
use crate::kind::Kind;
use crate::packed::run::{Run, tag_of};
use crate::tree::Tree;
use crate::tree::key::Key;
use crate::tree::limits::{INNER_BYTES_MAX, INNER_CHILDREN_MIN, RUN_BYTES_MAX, leaf_bytes_max};
use crate::tree::nodes::{At, Fault, NodeId, Nodes, present};
use crate::tree::path::level;
use crate::tree::shape::{ScoredMember, Shape};
use crate::{CodecError, Root};

/// What a whole collection is made of.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Census {
    /// Elements, each once.
    pub elements: u64,
    /// Nodes of its trees, its own record not counted.
    pub nodes: u64,
    /// Of these, the leaves.
    pub leaves: u64,
    /// Payload bytes of its own record and all nodes.
    pub bytes: u64,
    /// Inner levels of its highest tree.
    pub levels: u8,
}

/// Looks at every node of a collection of this kind (one that a client's key can have, and no string or stream).
pub fn verify<N: Nodes + ?Sized>(nodes: &N, kind: Kind) -> Result<Census, Fault> {
    let root_bytes = present(nodes, NodeId::ROOT)?.len();
    let mut census = Census { bytes: root_bytes as u64, ..Census::default() };
    let shape = match kind {
        Kind::List => Shape::List,
        Kind::Hash => Shape::Hash,
        Kind::Set => Shape::Set,
        Kind::SortedSet => Shape::SortedSet,
        _ => return Err(damage(NodeId::ROOT)),
    };
    match body(nodes)? {
        Body::Run(run) => {
            require(root_bytes <= RUN_BYTES_MAX && run.is_tagged() == shape.is_keyed(), NodeId::ROOT)?;
            // The run of a sorted set is in order, and has the tags of its members.
            verify_run(nodes, shape, &run, NodeId::ROOT, Key::default(), None)?;
            census.elements = run.len() as u64;
        }
        Body::Tree(root) => {
            require(root.second.is_some() == (kind == Kind::SortedSet), NodeId::ROOT)?;
            census.elements = verify_tree(nodes, &root.first(shape), &mut census)?;
            if let Some(top) = root.second {
                let elements = verify_tree(nodes, &Tree { shape: Shape::Scores, top }, &mut census)?;
                require(elements == census.elements, NodeId::ROOT)?;
                verify_pairs(nodes, &root)?;
            }
        }
    }
    Ok(census)
}

fn damage(node: NodeId) -> Fault {
    Fault::Corrupt(node, CodecError::BadField)
}

fn require(kept: bool, node: NodeId) -> Result<(), Fault> {
    if kept { Ok(()) } else { Err(damage(node)) }
}

/// Every element of the first tree is in the second, with the same score.
fn verify_pairs<N: Nodes + ?Sized>(nodes: &N, root: &Root) -> Result<(), Fault> {
    for element in root.first(Shape::SortedSet).walk(nodes, 0, false)? {
        let scored = ScoredMember::decode(element?).at(NodeId::ROOT)?;
        require(super::sorted_set::score(nodes, scored.member)? == Some(scored.score), NodeId::ROOT)?;
    }
    Ok(())
}

fn verify_tree<N: Nodes + ?Sized>(nodes: &N, tree: &Tree, census: &mut Census) -> Result<u64, Fault> {
    census.levels = census.levels.max(tree.top.levels);
    let count = verify_node(nodes, tree.shape, tree.top.node, tree.top.levels, Key::default(), None, census)?;
    require(count > 0, tree.top.node)?;
    Ok(count)
}

fn verify_node<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    node: NodeId,
    levels: u8,
    from: Key<'_>,
    to: Option<Key<'_>>,
    census: &mut Census,
) -> Result<u64, Fault> {
    let payload = present(nodes, node)?;
    census.nodes += 1;
    census.bytes += payload.len() as u64;
    if levels == 0 {
        census.leaves += 1;
        let run = Run::open(payload).at(node)?;
        require(run.is_tagged() == shape.is_hashed(), node)?;
        require(payload.len() <= leaf_bytes_max(shape) || run.len() == 1, node)?;
        verify_run(nodes, shape, &run, node, from, to)?;
        return Ok(run.len() as u64);
    }
    let inner = level(nodes, node, levels)?;
    require(inner.is_keyed() == shape.is_keyed(), node)?;
    require(payload.len() <= INNER_BYTES_MAX || inner.len() < 2 * INNER_CHILDREN_MIN, node)?;
    let mut total = 0u64;
    let mut begin = from;
    for place in 0..inner.len() {
        let end = if place + 1 < inner.len() { Some(inner.separator(place + 1)) } else { to };
        let rising = end.is_none_or(|end| begin < end && to.is_none_or(|to| end <= to));
        require(rising || !shape.is_keyed(), node)?;
        let count = verify_node(nodes, shape, inner.id(place), levels - 1, begin, end, census)?;
        require(count > 0 && count == inner.count(place), node)?;
        total = total.checked_add(count).ok_or(damage(node))?;
        begin = end.unwrap_or_default();
    }
    Ok(total)
}

/// The elements of a run lie between two keys, are in order where there is one, each once, with the right tags.
fn verify_run<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    run: &Run<'_>,
    node: NodeId,
    from: Key<'_>,
    to: Option<Key<'_>>,
) -> Result<(), Fault> {
    run.check().at(node)?;
    if shape == Shape::List {
        return Ok(());
    }
    let mut keys = Vec::with_capacity(run.len());
    for (position, element) in run.iter().enumerate() {
        let element = element.at(node)?;
        let key = shape.key(element, nodes).at(node)?;
        require(from <= key && to.is_none_or(|to| key < to), node)?;
        let field = shape.field(element).at(node)?;
        require(!run.is_tagged() || run.tag(position) == tag_of(nodes.hash(field)), node)?;
        keys.push(key);
    }
    if shape.is_hashed() {
        keys.sort_unstable();
    }
    require(keys.windows(2).all(|pair| pair[0] < pair[1]), node)
}
