//! Lists: elements by position.
//!
//! Promises: a push or pop touches the leaf at its end; LINDEX, LSET and LINSERT are one descent; elements that go by
//! whole leaves (LTRIM) are not read.
//! Never: searches. LPOS, LREM and LINSERT walk, and then name a position.

use super::{Body, body, put_in_run, put_root, remove_from_run, settle};
use crate::packed::run;
use crate::tree::nodes::{Fault, Missing, NodeId, Nodes};
use crate::tree::shape::Shape;
use crate::tree::{Left, Seek};
use std::ops::Range;

/// The payload of a list without elements, to begin with.
pub const EMPTY: &[u8] = run::EMPTY;

/// The element at an index.
pub fn at<N: Nodes + ?Sized>(nodes: &N, index: u64) -> Result<Option<&[u8]>, Fault> {
    super::at(nodes, Shape::List, index)
}

/// Inserts an element so that it has this index: 0 pushes at the head, the length (or more) at the tail.
pub fn insert<N: Nodes + ?Sized>(nodes: &mut N, index: u64, element: &[u8]) -> Result<(), Fault> {
    match body(nodes)? {
        Body::Run(run) => {
            let position = usize::try_from(index).unwrap_or(usize::MAX).min(run.len());
            put_in_run(nodes, Shape::List, position, false, (0, element))
        }
        Body::Tree(root) => {
            let mut tree = root.first(Shape::List);
            tree.insert_by_rank(nodes, index, (0, element))?;
            put_root(nodes, Some(&root), &crate::Root { tree: tree.top, ..root });
            Ok(())
        }
    }
}

/// Replaces the element at an index. False if there is none.
pub fn set<N: Nodes + ?Sized>(nodes: &mut N, index: u64, element: &[u8]) -> Result<bool, Fault> {
    match body(nodes)? {
        Body::Run(run) => {
            let Some(position) = usize::try_from(index).ok().filter(|&position| position < run.len()) else {
                return Ok(false);
            };
            put_in_run(nodes, Shape::List, position, true, (0, element))?;
        }
        Body::Tree(root) => {
            let mut tree = root.first(Shape::List);
            let path = tree.descend(nodes, Seek::Rank(index))?;
            let length = path.run(nodes)?.len();
            let Some(position) = usize::try_from(path.position).ok().filter(|&position| position < length) else {
                return Ok(false);
            };
            tree.replace(nodes, &path, position, element)?;
            put_root(nodes, Some(&root), &crate::Root { tree: tree.top, ..root });
        }
    }
    Ok(true)
}

/// Removes elements that begin at an index, at most `count`, all of one node, and answers how many: repeat until it is
/// enough, or 0. So LTRIM of a huge list is a number of small operations.
pub fn remove_some<N: Nodes + ?Sized>(nodes: &mut N, index: u64, count: u64) -> Result<u64, Fault> {
    match body(nodes)? {
        Body::Run(run) => {
            let length = run.len() as u64;
            let removed = count.min(length.saturating_sub(index));
            if removed > 0 {
                remove_from_run(nodes, index as usize, removed as usize);
            }
            Ok(removed)
        }
        Body::Tree(root) => {
            let mut tree = root.first(Shape::List);
            let (removed, left) = if count == 0 { (0, Left::Some) } else { tree.remove_by_rank(nodes, index, count)? };
            match left {
                Left::Nothing => nodes.put(NodeId::ROOT, EMPTY),
                Left::Some if removed > 0 => settle(nodes, &root, &tree),
                Left::Some => {}
            }
            Ok(removed)
        }
    }
}

/// Notes what it takes to insert at an index. (To get or set: [`touch_ranks`] of that one.)
pub fn touch_insert<N: Nodes + ?Sized>(nodes: &N, index: u64, missing: &mut Missing) -> Result<(), Fault> {
    match missing.note(body(nodes))? {
        Some(Body::Tree(root)) => root.first(Shape::List).touch(nodes, Seek::Gap(index), missing),
        _ => Ok(()),
    }
}

/// Notes what it takes to walk over these indexes.
pub fn touch_ranks<N: Nodes + ?Sized>(nodes: &N, indexes: Range<u64>, missing: &mut Missing) -> Result<(), Fault> {
    super::touch_ranks(nodes, Shape::List, indexes, true, missing)
}

/// Notes what it takes to remove these indexes unseen: of the leaves only those that the range cuts.
pub fn touch_remove<N: Nodes + ?Sized>(nodes: &N, indexes: Range<u64>, missing: &mut Missing) -> Result<(), Fault> {
    super::touch_ranks(nodes, Shape::List, indexes, false, missing)
}

/// Walks the elements from an index on, to the tail or, backward, to the head.
pub fn walk<N: Nodes + ?Sized>(
    nodes: &N,
    index: u64,
    backward: bool,
) -> Result<impl Iterator<Item = Result<&[u8], Fault>>, Fault> {
    super::walk(nodes, Shape::List, index, backward)
}
