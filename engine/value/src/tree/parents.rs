//! What a changed child means for its parents: new counts, new children, lost children, up to the top.
//!
//! ```text
//!   a leaf splits       parent: child L holds 9, new child R behind it holds 8          (two edits)
//!                       if the parent is too large now: it is split too, both halves are put
//!   a leaf is empty     parent: child L is gone; if that was its last: the parent is gone too
//!   two leaves merge    parent: child L holds 17, child R is gone
//! ```
//! Counts alone are set in place, level by level, without a copy.
//!
//! Promises: called only when every inner node of the path was read; from here on nothing can fail. A node that nobody
//! else needs (a neighbour to merge with) is used if it is there.
//! Never: touches a leaf.

use super::Tree;
use super::key::Key;
use super::limits::{INNER_BYTES_FIT, INNER_BYTES_LOW, INNER_BYTES_MAX, INNER_CHILDREN_MIN};
use super::nodes::{NodeId, Nodes};
use super::path::{Path, inner};
use crate::packed::inner::{Child, Inner, LEVEL_MAX, write};
use crate::packed::node_edit::{Edit, NodeEdit};
use crate::packed::root::TreeTop;

/// An edit of a parent that owns its separator: it outlives the payload that the separator came from.
#[derive(Clone, Debug)]
pub(crate) enum ParentEdit {
    Count { place: usize, child: NodeId, count: u64 },
    Insert { place: usize, child: NodeId, count: u64, prefix: u64, tail: Vec<u8> },
    Remove { place: usize },
}

impl ParentEdit {
    pub(crate) fn insert(place: usize, child: &Child<'_>) -> ParentEdit {
        let Key { prefix, tail } = child.separator;
        ParentEdit::Insert { place, child: child.id, count: child.count, prefix, tail: tail.to_vec() }
    }

    fn edit(&self) -> NodeEdit<'_> {
        NodeEdit(match self {
            &ParentEdit::Count { place, child, count } => Edit::ChildCount { place, child, count },
            ParentEdit::Insert { place, child, count, prefix, tail } => {
                let separator = Key { prefix: *prefix, tail };
                Edit::InsertChild { place: *place, child: Child { id: *child, count: *count, separator } }
            }
            &ParentEdit::Remove { place } => Edit::RemoveChild { place },
        })
    }

    /// The child that this edit leaves in the parent.
    fn child(&self) -> Option<Child<'_>> {
        match *self {
            ParentEdit::Count { child, count, .. } => Some(Child { id: child, count, separator: Key::default() }),
            ParentEdit::Insert { child, count, prefix, ref tail, .. } => {
                Some(Child { id: child, count, separator: Key { prefix, tail } })
            }
            ParentEdit::Remove { .. } => None,
        }
    }
}

impl Tree {
    /// The leaf of this path holds `count` elements now: all parents get their new counts.
    pub(crate) fn recount<N: Nodes + ?Sized>(&self, nodes: &mut N, path: &Path, count: u64) {
        let (mut child, mut more) = (path.leaf, None);
        for step in path.steps().iter().rev() {
            let Ok(parent) = inner(nodes, step.node) else { return };
            let old = parent.count(step.place);
            // What has changed in the leaf has changed in all that are above it.
            let more = *more.get_or_insert(count.wrapping_sub(old));
            let count = old.wrapping_add(more);
            nodes.edit(step.node, &NodeEdit(Edit::ChildCount { place: step.place, child, count }));
            child = step.node;
        }
    }

    /// Changes the parents of a leaf, from the lowest up, as `edits` of the lowest say. True if the tree is empty then.
    pub(crate) fn change_parents<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        path: &Path,
        mut edits: Vec<ParentEdit>,
    ) -> bool {
        let steps = path.steps();
        let keyed = self.shape.is_keyed();
        for (depth, step) in steps.iter().enumerate().rev() {
            let Some(payload) = nodes.get(step.node) else { return false };
            let removes = edits.iter().any(|edit| matches!(edit, ParentEdit::Remove { .. }));
            // Where this node stands in its own parent; at the top nobody asks.
            let place = if depth == 0 { 0 } else { steps[depth - 1].place };
            let level = self.top.levels - depth as u8;
            if removes && edits.len() == 1 && Inner::open(payload).is_ok_and(|inner| inner.len() == 1) {
                nodes.free(step.node);
                edits = vec![ParentEdit::Remove { place }];
                continue;
            }
            let mut changed = payload.to_vec();
            for edit in &edits {
                let applied = edit.edit().apply(&mut changed);
                debug_assert_eq!(applied, Ok(()), "an edit of a node that was read");
            }
            let Ok(inner) = Inner::open(&changed) else { return false };
            let total = inner.total();
            if inner.bytes() > INNER_BYTES_MAX && inner.len() >= INNER_CHILDREN_MIN {
                edits = split(nodes, step.node, place, &inner, path.last, keyed);
                continue;
            }
            if removes && inner.bytes() < INNER_BYTES_LOW && depth > 0 {
                let parent = steps[depth - 1].node;
                if let Some(merged) = merge(nodes, parent, place, level, keyed, &changed) {
                    edits = merged;
                    continue;
                }
            }
            for edit in &edits {
                nodes.edit(step.node, &edit.edit());
            }
            edits = vec![ParentEdit::Count { place, child: step.node, count: total }];
        }
        self.change_top(nodes, &edits)
    }

    /// What is left of the edits would change the parent of the top: it grows one, or loses levels.
    fn change_top<N: Nodes + ?Sized>(&mut self, nodes: &mut N, edits: &[ParentEdit]) -> bool {
        match edits {
            [ParentEdit::Remove { .. }] => return true,
            [ParentEdit::Count { .. }] | [] => {}
            grown => {
                assert!(self.top.levels < LEVEL_MAX, "a tree of more than {LEVEL_MAX} levels");
                let mut payload = Vec::new();
                let children = grown.iter().filter_map(ParentEdit::child);
                write(self.top.levels + 1, self.shape.is_keyed(), children, &mut payload);
                let node = nodes.allocate();
                nodes.put(node, &payload);
                self.top = TreeTop { node, levels: self.top.levels + 1 };
                return false;
            }
        }
        // A top with a single child has nothing to decide.
        while self.top.levels > 0 {
            let Ok(top) = inner(nodes, self.top.node) else { break };
            if top.len() > 1 || top.level() != self.top.levels {
                break;
            }
            let child = top.id(0);
            nodes.free(self.top.node);
            self.top = TreeTop { node: child, levels: self.top.levels - 1 };
        }
        false
    }
}

/// Cuts a node in two and puts both halves.
fn split<N: Nodes + ?Sized>(
    nodes: &mut N,
    node: NodeId,
    place: usize,
    whole: &Inner<'_>,
    last: bool,
    keyed: bool,
) -> Vec<ParentEdit> {
    // A tree that grows at its end leaves full nodes behind.
    let cut = if last { whole.len() - INNER_CHILDREN_MIN / 2 } else { half(whole) };
    let mut payload = Vec::with_capacity(whole.bytes());
    write(whole.level(), keyed, whole.children().take(cut), &mut payload);
    nodes.put(node, &payload);
    payload.clear();
    write(whole.level(), keyed, whole.children().skip(cut), &mut payload);
    let right = nodes.allocate();
    nodes.put(right, &payload);
    let before = whole.before(cut);
    let child = Child { id: right, count: whole.total() - before, separator: whole.separator(cut) };
    vec![ParentEdit::Count { place, child: node, count: before }, ParentEdit::insert(place + 1, &child)]
}

/// The child before which half of the bytes stand, with two children on each side at least.
fn half(whole: &Inner<'_>) -> usize {
    let tails: usize = whole.children().map(|child| child.separator.tail.len()).sum();
    let each = (whole.bytes() - tails) / whole.len();
    let mut left = 0;
    let mut cut = 0;
    for child in whole.children() {
        if left >= whole.bytes() / 2 {
            break;
        }
        left += each + child.separator.tail.len();
        cut += 1;
    }
    cut.clamp(INNER_CHILDREN_MIN / 2, whole.len() - INNER_CHILDREN_MIN / 2)
}

/// Merges a node that has become small with a neighbour, if one is in memory and the two are small enough.
fn merge<N: Nodes + ?Sized>(
    nodes: &mut N,
    parent: NodeId,
    place: usize,
    level: u8,
    keyed: bool,
    changed: &[u8],
) -> Option<Vec<ParentEdit>> {
    let parent = inner(nodes, parent).ok()?;
    let neighbours = [Some(place + 1).filter(|&right| right < parent.len()), place.checked_sub(1)];
    for neighbour in neighbours.into_iter().flatten() {
        let Some(other) = nodes.get(parent.id(neighbour)).and_then(|payload| Inner::open(payload).ok()) else {
            continue;
        };
        if other.level() != level || other.is_keyed() != keyed || other.bytes() + changed.len() > INNER_BYTES_FIT {
            continue;
        }
        let changed = Inner::open(changed).ok()?;
        let (left, right, at) = if neighbour > place { (changed, other, place) } else { (other, changed, neighbour) };
        // The keys of the right node begin where the parent says, which may be below its first separator.
        let begin = parent.separator(at + 1);
        let first = right.children().take(1).map(|child| Child { separator: begin, ..child });
        let children = left.children().chain(first).chain(right.children().skip(1));
        let mut payload = Vec::new();
        write(level, keyed, children, &mut payload);
        if payload.len() > INNER_BYTES_MAX {
            continue;
        }
        let total = left.total().wrapping_add(right.total());
        let (left, right) = (parent.id(at), parent.id(at + 1));
        nodes.put(left, &payload);
        nodes.free(right);
        let count = ParentEdit::Count { place: at, child: left, count: total };
        return Some(vec![count, ParentEdit::Remove { place: at + 1 }]);
    }
    None
}
