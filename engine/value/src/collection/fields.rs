//! What hashes and sets share: elements found by the hash of a field, in a run or in a tree.
//!
//! Promises: finding allocates nothing.
//! Never: knows what an element holds beside its field.

use super::{Body, body, put_in_run, put_root, remove_from_run, settle};
use crate::packed::run::{Run, tag_of};
use crate::tree::key::Key;
use crate::tree::nodes::{At, Fault, Missing, NodeId, Nodes};
use crate::tree::shape::Shape;
use crate::tree::{Path, Seek, Tree};

/// Where an element stands, or would stand.
pub(crate) struct Found<'n> {
    pub(crate) path: Path,
    pub(crate) run: Run<'n>,
    pub(crate) element: Option<(usize, &'n [u8])>,
}

/// The element of a field in a run.
#[inline]
pub(crate) fn find_in_run<'n>(
    run: &Run<'n>,
    shape: Shape,
    field: &[u8],
    hash: u64,
    node: NodeId,
) -> Result<Option<(usize, &'n [u8])>, Fault> {
    run.find(tag_of(hash), |element| Ok(shape.field(element)? == field)).at(node)
}

impl Tree {
    /// Finds the element of a field in a tree by hash.
    #[inline]
    pub(crate) fn find<'n, N: Nodes + ?Sized>(
        &self,
        nodes: &'n N,
        field: &[u8],
        hash: u64,
    ) -> Result<Found<'n>, Fault> {
        let path = self.descend(nodes, Seek::Key(Key { prefix: hash, tail: field }))?;
        let run = path.run(nodes)?;
        let element = find_in_run(&run, self.shape, field, hash, path.leaf)?;
        Ok(Found { path, run, element })
    }

    /// Puts an element in a tree by hash, in place of the one with its field if there is one, which is shown to `see`. True if
    /// it is new.
    pub(crate) fn put<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        field: &[u8],
        hash: u64,
        element: &[u8],
        see: impl FnOnce(&[u8]),
    ) -> Result<bool, Fault> {
        let Found { path, run, element: old } = self.find(nodes, field, hash)?;
        if let Some((_, old)) = old {
            see(old);
        }
        match old {
            Some((_, old)) if old == element => Ok(false),
            Some((position, _)) => self.replace(nodes, &path, position, element).map(|()| false),
            None => {
                let position = run.len();
                self.insert(nodes, &path, position, (tag_of(hash), element)).map(|()| true)
            }
        }
    }
}

/// The element of a field.
#[inline]
pub(crate) fn find<'n, N: Nodes + ?Sized>(nodes: &'n N, shape: Shape, field: &[u8]) -> Result<Option<&'n [u8]>, Fault> {
    let hash = nodes.hash(field);
    let found = match body(nodes)? {
        Body::Run(run) => find_in_run(&run, shape, field, hash, NodeId::ROOT)?,
        Body::Tree(root) => root.first(shape).find(nodes, field, hash)?.element,
    };
    Ok(found.map(|(_, element)| element))
}

/// Puts an element in place of the one with its field, if there is one, which is shown to `see`. True if it is new.
pub(crate) fn put<N: Nodes + ?Sized>(
    nodes: &mut N,
    shape: Shape,
    field: &[u8],
    element: &[u8],
    expires: bool,
    see: impl FnOnce(&[u8]),
) -> Result<bool, Fault> {
    let hash = nodes.hash(field);
    match body(nodes)? {
        Body::Run(run) => {
            let old = find_in_run(&run, shape, field, hash, NodeId::ROOT)?;
            if let Some((_, old)) = old {
                see(old);
            }
            if old.is_some_and(|(_, old)| old == element) {
                return Ok(false);
            }
            let position = old.map_or(run.len(), |(position, _)| position);
            let new = old.is_none();
            put_in_run(nodes, shape, position, !new, (tag_of(hash), element))?;
            Ok(new)
        }
        Body::Tree(root) => {
            let mut tree = root.first(shape);
            let new = tree.put(nodes, field, hash, element, see)?;
            let changed = crate::Root { tree: tree.top, expiries: root.expiries | expires, ..root };
            put_root(nodes, Some(&root), &changed);
            Ok(new)
        }
    }
}

/// Removes the element of a field. True if there was one.
pub(crate) fn remove<N: Nodes + ?Sized>(
    nodes: &mut N,
    shape: Shape,
    field: &[u8],
    empty: &[u8],
) -> Result<bool, Fault> {
    let hash = nodes.hash(field);
    match body(nodes)? {
        Body::Run(run) => {
            let Some((position, _)) = find_in_run(&run, shape, field, hash, NodeId::ROOT)? else { return Ok(false) };
            remove_from_run(nodes, position, 1);
        }
        Body::Tree(root) => {
            let mut tree = root.first(shape);
            let Found { path, element, .. } = tree.find(nodes, field, hash)?;
            let Some((position, _)) = element else { return Ok(false) };
            match tree.remove(nodes, &path, position, 1)? {
                crate::tree::Left::Nothing => nodes.put(NodeId::ROOT, empty),
                crate::tree::Left::Some => settle(nodes, &root, &tree),
            }
        }
    }
    Ok(true)
}

/// Notes what it takes to find, put or remove a field.
pub(crate) fn touch<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    field: &[u8],
    missing: &mut Missing,
) -> Result<(), Fault> {
    match missing.note(body(nodes))? {
        Some(Body::Tree(root)) => {
            let key = Key { prefix: nodes.hash(field), tail: field };
            root.first(shape).touch(nodes, Seek::Key(key), missing)
        }
        _ => Ok(()),
    }
}

/// Notes what it takes to scan about `count` elements from a cursor on.
pub(crate) fn touch_scan<N: Nodes + ?Sized>(
    nodes: &N,
    shape: Shape,
    cursor: u64,
    count: u64,
    missing: &mut Missing,
) -> Result<(), Fault> {
    match missing.note(body(nodes))? {
        Some(Body::Tree(root)) => root.first(shape).touch_scan(nodes, cursor, count, missing),
        _ => Ok(()),
    }
}

/// Shows elements from a cursor on; see [`Tree::scan`]. A run is shown whole.
pub(crate) fn scan<'n, N: Nodes + ?Sized>(
    nodes: &'n N,
    shape: Shape,
    cursor: u64,
    count: usize,
    mut visit: impl FnMut(&'n [u8]),
) -> Result<u64, Fault> {
    match body(nodes)? {
        Body::Run(run) => {
            for element in run.iter() {
                let element = element.at(NodeId::ROOT)?;
                // The cursor of a tree that has become a run meanwhile still counts.
                if cursor == 0 || shape.key(element, nodes).at(NodeId::ROOT)?.prefix >= cursor {
                    visit(element);
                }
            }
            Ok(0)
        }
        Body::Tree(root) => root.first(shape).scan(nodes, cursor, count, visit),
    }
}
