//! What an operation will need: the plan step. Goes down as far as nodes are there and notes those that are not.
//!
//! One call notes what can be brought at once; the caller brings it, asks again, and a level deeper comes to light, until
//! nothing is missing. A warm tree costs one descent.
//!
//! Promises: changes nothing; notes at most what the caller's list takes.
//! Never: notes a node that the operation does not need.

use super::key::Key;
use super::nodes::{At, Fault, Missing, NodeId, Nodes, present};
use super::path::level;
use super::{Seek, Tree};
use crate::CodecError;
use crate::packed::run::Run;
use std::ops::Range;

impl Tree {
    /// What it takes to find, put or remove one element.
    pub(crate) fn touch<N: Nodes + ?Sized>(
        &self,
        nodes: &N,
        seek: Seek<'_>,
        missing: &mut Missing,
    ) -> Result<(), Fault> {
        let found = self.descend(nodes, seek).and_then(|path| path.run(nodes).map(|_| ()));
        missing.note(found).map(|_| ())
    }

    /// What it takes to walk over these ranks. Without `whole_leaves`, only leaves that the range cuts are noted: what it
    /// takes to remove them by rank.
    pub(crate) fn touch_ranks<N: Nodes + ?Sized>(
        &self,
        nodes: &N,
        ranks: Range<u64>,
        whole_leaves: bool,
        missing: &mut Missing,
    ) -> Result<(), Fault> {
        touch_below(nodes, self.top.node, self.top.levels, ranks, whole_leaves, missing)
    }

    /// What it takes to scan about `count` elements from a cursor on.
    pub(crate) fn touch_scan<N: Nodes + ?Sized>(
        &self,
        nodes: &N,
        cursor: u64,
        count: u64,
        missing: &mut Missing,
    ) -> Result<(), Fault> {
        let found = self.descend(nodes, Seek::Key(Key { prefix: cursor, tail: &[] }));
        let Some(path) = missing.note(found)? else { return Ok(()) };
        let before = path.before(nodes)?;
        self.touch_ranks(nodes, before..before.saturating_add(count), true, missing)
    }
}

fn touch_below<N: Nodes + ?Sized>(
    nodes: &N,
    node: NodeId,
    levels: u8,
    ranks: Range<u64>,
    whole_leaves: bool,
    missing: &mut Missing,
) -> Result<(), Fault> {
    if levels == 0 {
        let run = present(nodes, node).and_then(|payload| Run::open(payload).at(node));
        return missing.note(run).map(|_| ());
    }
    let Some(inner) = missing.note(level(nodes, node, levels))? else { return Ok(()) };
    let (first, rest) = inner.at_rank(ranks.start, false);
    let mut begin = ranks.start - rest.min(ranks.start);
    for place in first..inner.len() {
        if begin >= ranks.end || missing.is_full() {
            break;
        }
        let count = inner.count(place);
        let end = begin.checked_add(count).ok_or(Fault::Corrupt(node, CodecError::BadField))?;
        let whole = ranks.start <= begin && end <= ranks.end;
        if levels > 1 || whole_leaves || !whole {
            let below = ranks.start.saturating_sub(begin)..ranks.end.min(end) - begin;
            touch_below(nodes, inner.id(place), levels - 1, below, whole_leaves, missing)?;
        }
        begin = end;
    }
    Ok(())
}
