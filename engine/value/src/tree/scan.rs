//! HSCAN, SSCAN, ZSCAN: cursors that are hashes.
//!
//! ```text
//!   leaves by hash:   [0 .. 40)  [40 .. 7A)  [7A .. )
//!   SCAN 0    answers leaf one (and more until COUNT are found), cursor 40
//!   SCAN 40   finds the leaf that holds 40 - whatever was split or merged since - and leaves out what hashes below it
//! ```
//!
//! A cursor says: everything that hashes below me was answered. So an element that stays is answered exactly once, whatever
//! happens around it, and nothing is remembered between two calls. Elements of one hash come in one call.
//!
//! Promises: complete under changes; at least one leaf per call, so it ends.
//! Never: sorts a leaf, keeps a cursor.

use super::key::Key;
use super::nodes::{At, Fault, Nodes};
use super::path::inner;
use super::{Path, Seek, Tree};

impl Tree {
    /// Shows every element of the leaves from `cursor` on to `visit`, whole leaves until at least `count` were shown,
    /// and answers the cursor to go on with; 0 at the end. If a leaf is missing, what was shown until then is not
    /// repeated: the cursor before it is answered; only a missing first leaf is a fault.
    pub(crate) fn scan<'n, N: Nodes + ?Sized>(
        &self,
        nodes: &'n N,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&'n [u8]),
    ) -> Result<u64, Fault> {
        let mut path = self.descend(nodes, Seek::Key(Key { prefix: cursor, tail: &[] }))?;
        let mut begin = cursor;
        let mut shown = 0;
        let mut waiting: Vec<&'n [u8]> = Vec::new();
        loop {
            // The leaves up to the next boundary between two hashes go together.
            let mut boundary = None;
            let collected = (|| {
                loop {
                    let run = path.run(nodes)?;
                    for element in run.iter() {
                        let element = element.at(path.leaf)?;
                        let key = self.shape.key(element, nodes).at(path.leaf)?;
                        if key.prefix >= begin {
                            waiting.push(element);
                        }
                    }
                    let next = end_of(&path, nodes)?;
                    if next.is_none_or(|next| next.tail.is_empty()) {
                        boundary = next.map(|next| next.prefix);
                        return Ok(());
                    }
                    path.advance(nodes, false)?;
                }
            })();
            match collected {
                Ok(()) => {}
                Err(Fault::Missing(_)) if begin != cursor => return Ok(begin),
                Err(fault) => return Err(fault),
            }
            shown += waiting.len();
            waiting.drain(..).for_each(&mut visit);
            let Some(next) = boundary else { return Ok(0) };
            begin = next;
            if shown >= count {
                return Ok(begin);
            }
            match path.advance(nodes, false) {
                Ok(_) => {}
                Err(Fault::Missing(_)) => return Ok(begin),
                Err(fault) => return Err(fault),
            }
        }
    }
}

/// Where the keys of the next leaf begin, or `None` after the last.
fn end_of<'n, N: Nodes + ?Sized>(path: &Path, nodes: &'n N) -> Result<Option<Key<'n>>, Fault> {
    for step in path.steps().iter().rev() {
        let inner = inner(nodes, step.node)?;
        if step.place + 1 < inner.len() {
            return Ok(Some(inner.separator(step.place + 1)));
        }
    }
    Ok(None)
}
