//! Putting an element into a leaf, or in place of another: an edit if it fits, else the leaf is cut.
//!
//! A leaf is cut where half of its bytes are, by order (by hash: sorted first). An element that is larger than a leaf
//! gets one of its own, so up to three leaves come out of one. Who pushes at an end of the tree leaves full leaves behind:
//! the new element begins a new leaf, and the old one is not written.
//!
//! Promises: the path is present and whole, or nothing changes.
//! Never: makes a leaf of several elements larger than its maximum.

use super::key::Key;
use super::limits::leaf_bytes_max;
use super::nodes::{At, Fault, Nodes};
use super::parents::ParentEdit;
use super::path::Path;
use super::shape::Shape;
use super::{Seek, Tree};
use crate::packed::node_edit::{Edit, NodeEdit};
use crate::packed::run::{Run, run_bytes, stored_bytes, write};
use std::ops::Range;

/// An element and its tag, as a run takes them.
pub(crate) type Entry<'e> = (u8, &'e [u8]);

impl Tree {
    /// Puts an element before the one at `position` of the path's leaf.
    pub(crate) fn insert<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        path: &Path,
        position: usize,
        entry: Entry<'_>,
    ) -> Result<(), Fault> {
        let run = path.run(nodes)?;
        let count = run.len() + 1;
        let bytes = run_bytes(run.element_bytes() + stored_bytes(entry.1.len()), count, run.is_tagged());
        if bytes <= leaf_bytes_max(self.shape) {
            nodes.edit(path.leaf, &NodeEdit(Edit::Insert { position, tag: entry.0, element: entry.1 }));
            self.recount(nodes, path, count as u64);
            return Ok(());
        }
        self.cut(nodes, path, position, 0, entry)
    }

    /// Replaces the element at `position` of the path's leaf by one with the same key.
    pub(crate) fn replace<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        path: &Path,
        position: usize,
        element: &[u8],
    ) -> Result<(), Fault> {
        let run = path.run(nodes)?;
        let old = run.get(position).at(path.leaf)?;
        let elements = run.element_bytes() - stored_bytes(old.len()) + stored_bytes(element.len());
        if run.len() == 1 || run_bytes(elements, run.len(), run.is_tagged()) <= leaf_bytes_max(self.shape) {
            nodes.edit(path.leaf, &NodeEdit(Edit::Replace { position, element }));
            return Ok(());
        }
        let tag = run.tag(position);
        self.cut(nodes, path, position, 1, (tag, element))
    }

    /// Cuts the path's leaf, with an element put at `position` in place of `removed` ones.
    fn cut<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        path: &Path,
        position: usize,
        removed: usize,
        entry: Entry<'_>,
    ) -> Result<(), Fault> {
        let run = path.run(nodes)?;
        let mut entries = entries(&run).at(path.leaf)?;
        let count = entries.len();
        entries.splice(position..position + removed, [entry]);
        sort(self.shape, &mut entries, nodes).at(path.leaf)?;
        // By order, an element at an end of the tree is cut off alone.
        let at_end = removed == 0 && !self.shape.is_hashed();
        let forced = match position {
            _ if at_end && path.last && position == count => Some(count),
            0 if at_end && path.first => Some(1),
            _ => None,
        };
        let parts = parts(&entries, run.is_tagged(), leaf_bytes_max(self.shape), forced);
        // The leaf keeps its id for its first part. A list may as well keep it for the old part, which is then not written.
        let kept = if self.shape == Shape::List && forced == Some(1) { 1 } else { 0 };
        let mut written = Vec::with_capacity(parts.len());
        for part in &parts {
            let mut payload = Vec::with_capacity(leaf_bytes_max(self.shape));
            write(entries[part.clone()].iter().copied(), run.is_tagged(), &mut payload);
            let separator = separator(self.shape, &entries, part.start, nodes).at(path.leaf)?;
            let unchanged = nodes.get(path.leaf).is_some_and(|old| old == payload);
            written.push((part.len() as u64, payload, (separator.prefix, separator.tail.to_vec()), unchanged));
        }
        let place = path.steps().last().map_or(0, |step| step.place);
        let mut edits = Vec::with_capacity(written.len());
        for (index, (count, payload, (prefix, tail), unchanged)) in written.into_iter().enumerate() {
            let place = place + index;
            if index == kept {
                if !unchanged {
                    nodes.put(path.leaf, &payload);
                }
                edits.push(ParentEdit::Count { place, child: path.leaf, count });
            } else {
                let id = nodes.allocate();
                nodes.put(id, &payload);
                edits.push(ParentEdit::Insert { place, child: id, count, prefix, tail });
            }
        }
        self.change_parents(nodes, path, edits);
        Ok(())
    }

    /// Puts an element where its key belongs; the caller knows that the key is not there.
    pub(crate) fn insert_by_rank<N: Nodes + ?Sized>(
        &mut self,
        nodes: &mut N,
        rank: u64,
        entry: Entry<'_>,
    ) -> Result<(), Fault> {
        let path = self.descend(nodes, Seek::Gap(rank))?;
        let position = path.run(nodes)?.len().min(usize::try_from(path.position).unwrap_or(usize::MAX));
        self.insert(nodes, &path, position, entry)
    }
}

/// All elements of a run with their tags.
pub(crate) fn entries<'b>(run: &Run<'b>) -> Result<Vec<Entry<'b>>, crate::CodecError> {
    let mut entries = Vec::with_capacity(run.len() + 1);
    for (position, element) in run.iter().enumerate() {
        entries.push((run.tag(position), element?));
    }
    Ok(entries)
}

/// Brings entries into the order in which leaves follow each other.
pub(crate) fn sort<N: Nodes + ?Sized>(
    shape: Shape,
    entries: &mut Vec<Entry<'_>>,
    nodes: &N,
) -> Result<(), crate::CodecError> {
    if shape.is_hashed() {
        let mut keyed = Vec::with_capacity(entries.len());
        for &entry in entries.iter() {
            keyed.push((shape.key(entry.1, nodes)?, entry));
        }
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        entries.clear();
        entries.extend(keyed.into_iter().map(|(_, entry)| entry));
    }
    Ok(())
}

/// Where the part that begins at `start` begins, among keys.
pub(crate) fn separator<'e, N: Nodes + ?Sized>(
    shape: Shape,
    entries: &[Entry<'e>],
    start: usize,
    nodes: &N,
) -> Result<Key<'e>, crate::CodecError> {
    if start == 0 || !shape.is_keyed() {
        return Ok(Key::default());
    }
    Ok(Key::separator(&shape.key(entries[start - 1].1, nodes)?, &shape.key(entries[start].1, nodes)?))
}

/// Cuts entries into parts that fit a leaf, or hold a single element. `forced` is a place to cut first.
fn parts(entries: &[Entry<'_>], tagged: bool, bytes_max: usize, forced: Option<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::with_capacity(4);
    let whole = 0..entries.len();
    match forced {
        Some(at) => {
            halve(entries, tagged, bytes_max, whole.start..at, &mut parts);
            halve(entries, tagged, bytes_max, at..whole.end, &mut parts);
        }
        None => halve(entries, tagged, bytes_max, whole, &mut parts),
    }
    parts
}

fn halve(entries: &[Entry<'_>], tagged: bool, bytes_max: usize, range: Range<usize>, parts: &mut Vec<Range<usize>>) {
    if range.is_empty() {
        return;
    }
    let bytes = |range: Range<usize>| entries[range].iter().map(|(_, element)| stored_bytes(element.len())).sum();
    let total: usize = bytes(range.clone());
    if range.len() == 1 || run_bytes(total, range.len(), tagged) <= bytes_max {
        parts.push(range);
        return;
    }
    let mut at = range.start;
    let mut left = 0;
    while at + 1 < range.end {
        let next = stored_bytes(entries[at].1.len());
        // The element over the middle goes to the side on which less of it lies.
        if left > 0 && left + next / 2 > total / 2 {
            break;
        }
        left += next;
        at += 1;
    }
    halve(entries, tagged, bytes_max, range.start..at, parts);
    halve(entries, tagged, bytes_max, at..range.end, parts);
}
