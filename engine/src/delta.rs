//! Deltas: what changes little of a node of a collection is logged as its edits, not as the whole node.
//!
//! ```text
//!  payload of a delta record   | collection u64 | entry | entry | ..        in the collection's hidden space, without a key
//!  entry                       | node 6 B | before varint | [crc u32] | bytes varint | edits |
//!  edits                       | bytes varint | edit (thermocline_value::NodeEdit) | ..
//!  before   seq of the node's last delta; 0: there is none since its last full version, and the crc-32 of that follows
//! ```
//! A node with deltas is hot, its cell's place is that of its last full version, and the shard's table of deltas knows it. A
//! delta is dead once a full version of its node was appended behind it: so a node with deltas is appended whole before it is
//! demoted, and all of them are before a map is written that begins behind their deltas (`tier/maps.rs`). A start therefore
//! replays only deltas beyond the map's `B` (`tier/deltas.rs`), and GC need not look at deltas at all.
//!
//! Promises: `before` chains the deltas of a node to each other and to the version that they change, so that damage in the log
//! is noticed and never gives a node that was not there. Never: a delta of a node that is not in the log.

use crate::log::record::Seq;
use crate::place::Place;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use thermocline_value::codec::{CodecError, elements, put_element, put_varint, take_element, take_varint};
use thermocline_value::{CollectionId, NodeEdit, NodeId};

/// Nodes up to this size are logged whole unless they are changed often: their delta and, later, the node would be more.
pub(crate) const NODE_BYTES_LOGGED_WHOLE: usize = 1024;

/// A node whose last changes are deltas.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Dirty {
    /// Its index hash.
    pub(crate) hash: u64,
    /// The twin space.
    pub(crate) space: crate::SpaceId,
    /// Bytes of the record of its last full version.
    pub(crate) base_bytes: u32,
    /// Bytes of the record that it would be now.
    pub(crate) full_bytes: u32,
    /// Seq of its first delta, and of its last.
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
}

/// What the tables of all shards hold together.
#[derive(Default)]
pub(crate) struct DeltaTotals {
    nodes: AtomicUsize,
    flush_bytes: AtomicU64,
}

impl DeltaTotals {
    /// Nodes that have deltas.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.load(Ordering::Acquire)
    }

    /// Bytes of the log that appending all of them whole would take.
    pub(crate) fn flush_bytes(&self) -> u64 {
        self.flush_bytes.load(Ordering::Acquire)
    }
}

/// The nodes of a shard that have deltas, by the place of their last full version.
pub(crate) struct DeltaTable {
    nodes: BTreeMap<Place, Dirty>,
    totals: Arc<DeltaTotals>,
}

impl DeltaTable {
    /// An empty table that counts here, too.
    pub(crate) fn new(totals: Arc<DeltaTotals>) -> DeltaTable {
        DeltaTable { nodes: BTreeMap::new(), totals }
    }

    /// Nodes of this shard.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node whose last full version lies here.
    pub(crate) fn get(&self, place: Place) -> Option<&Dirty> {
        self.nodes.get(&place)
    }

    /// In the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &Dirty)> {
        self.nodes.iter().map(|(place, dirty)| (*place, dirty))
    }

    /// One more delta of a node, its last.
    pub(crate) fn note(&mut self, place: Place, dirty: Dirty) {
        self.totals.flush_bytes.fetch_add(u64::from(dirty.full_bytes), Ordering::AcqRel);
        match self.nodes.get_mut(&place) {
            Some(older) => {
                self.totals.flush_bytes.fetch_sub(u64::from(older.full_bytes), Ordering::AcqRel);
                *older = Dirty { first_seq: older.first_seq, ..dirty };
            }
            None => {
                self.totals.nodes.fetch_add(1, Ordering::AcqRel);
                self.nodes.insert(place, dirty);
            }
        }
    }

    /// The node has no deltas any more.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Dirty> {
        let dirty = self.nodes.remove(&place)?;
        self.totals.nodes.fetch_sub(1, Ordering::AcqRel);
        self.totals.flush_bytes.fetch_sub(u64::from(dirty.full_bytes), Ordering::AcqRel);
        Some(dirty)
    }
}

/// Which version a delta changes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Before {
    /// The one that this delta made.
    Delta(Seq),
    /// The full version with this checksum.
    Full(u32),
}

/// Appends one edit to a list of edits.
pub(crate) fn put_edit(into: &mut Vec<u8>, edit: &NodeEdit<'_>) {
    let at = into.len();
    into.push(0);
    edit.encode(into);
    let bytes = into.len() - at - 1;
    match into.get_mut(at) {
        // Nearly every edit: its length takes one byte.
        Some(length) if bytes < 0x80 => *length = bytes as u8,
        _ => {
            let edit = into.split_off(at + 1);
            into.truncate(at);
            put_element(&edit, into);
        }
    }
}

/// Applies a list of edits.
pub(crate) fn apply(edits: &[u8], payload: &mut Vec<u8>) -> Result<(), CodecError> {
    for edit in elements(edits) {
        NodeEdit::decode(edit?)?.apply(payload)?;
    }
    Ok(())
}

/// A payload with a list of edits applied.
pub(crate) fn applied(edits: &[u8], old: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut payload = Vec::with_capacity(old.len() + edits.len());
    payload.extend_from_slice(old);
    apply(edits, &mut payload)?;
    Ok(payload)
}

/// Appends an entry to a delta record's payload.
pub(crate) fn put_entry(into: &mut Vec<u8>, node: NodeId, before: Before, edits: &[u8]) {
    into.extend_from_slice(&node.number().to_le_bytes()[..6]);
    match before {
        Before::Delta(seq) => put_varint(seq, into),
        Before::Full(crc) => {
            put_varint(0, into);
            into.extend_from_slice(&crc.to_le_bytes());
        }
    }
    put_element(edits, into);
}

/// One entry of a delta record.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry<'p> {
    pub(crate) collection: CollectionId,
    pub(crate) node: NodeId,
    pub(crate) before: Before,
    pub(crate) edits: &'p [u8],
}

/// The entries of a delta record.
pub(crate) fn entries(payload: &[u8]) -> Result<Vec<Entry<'_>>, CodecError> {
    let (id, mut rest) = payload.split_first_chunk::<8>().ok_or(CodecError::Truncated)?;
    let collection = CollectionId(u64::from_le_bytes(*id));
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (node, after) = rest.split_first_chunk::<6>().ok_or(CodecError::Truncated)?;
        rest = after;
        let mut number = [0; 8];
        number[..6].copy_from_slice(node);
        let before = match take_varint(&mut rest)? {
            0 => {
                let (crc, after) = rest.split_first_chunk::<4>().ok_or(CodecError::Truncated)?;
                rest = after;
                Before::Full(u32::from_le_bytes(*crc))
            }
            seq => Before::Delta(seq),
        };
        let edits = take_element(&mut rest)?;
        found.push(Entry { collection, node: NodeId::new(u64::from_le_bytes(number)), before, edits });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_cut_ones_are_errors() {
        let mut payload = 77u64.to_le_bytes().to_vec();
        put_entry(&mut payload, NodeId::new(5), Before::Full(9), b"one");
        put_entry(&mut payload, NodeId::new(1 << 40), Before::Delta(300), b"");
        let found = entries(&payload).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].collection.0, found[0].before, found[0].edits), (77, Before::Full(9), &b"one"[..]));
        assert_eq!((found[1].node.number(), found[1].before), (1 << 40, Before::Delta(300)));
        for end in 9..payload.len() - 1 {
            let cut = entries(&payload[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|found| found.len() < 2), "cut at {end}");
        }
    }
}
