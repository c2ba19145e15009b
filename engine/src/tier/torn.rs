//! Trees behind a loss. Where damage has taken records out of the stream, what follows is still replayed: a string is then what
//! it was once. A tree would be a mixture: of a split one half may be lost, and the other, or a parent that counts both, not.
//!
//! ```text
//!  stream    .. leaf A' parent P' | lost: split of A'' into B C, P'' | leaf B' | parent P''' | root R, nodes X Y Z of a new tree
//!  served       A', what P' says  |                                  | no      | no          | yes
//! ```
//! So a node that was changed behind a loss is not served, unless its whole tree was made there: what is left of an older tree is
//! as it was before the loss, and the rest of it is an error. The same goes for a root that was written behind a loss (a key that was
//! renamed, say): nobody knows whether it goes with the nodes that are there, so its topmost node is not served either.
//!
//! Promises: no collection is served that never was. Never: costs anything while nothing is lost.

use crate::SpaceId;
use crate::collection::{NODE_NAME_BYTES, node_name, tree_of};
use crate::delta;
use crate::error::Result;
use crate::log::record::{Record, RecordKind};
use crate::planted::{self, Bug};
use crate::tier::prove::words_of;
use crate::tier::rebuild::Builder;
use crate::tier::scan_log::{Found, SegmentScan};
use std::collections::{BTreeMap, BTreeSet};
use thermocline_value::{CollectionId, NodeId, Root};

/// What is known of trees behind the losses so far.
#[derive(Default)]
pub(crate) struct Torn {
    /// How many losses there were.
    losses: u32,
    /// Trees made since the last of them.
    born: BTreeSet<(SpaceId, u64)>,
    /// Nodes that are not served: space and hash.
    nodes: BTreeSet<(u32, [u32; 3])>,
}

/// The trees of one group.
#[derive(Default)]
struct Trees {
    /// Nodes that have a full version in it, with their payloads.
    full: BTreeMap<(SpaceId, u64, NodeId), Vec<u8>>,
    /// Nodes that are changed.
    changed: Vec<(SpaceId, CollectionId, NodeId)>,
    roots: Vec<(SpaceId, Root)>,
}

impl Trees {
    fn note(&mut self, space: SpaceId, key: &[u8], payload: &[u8]) {
        if space.visible() == space {
            self.roots.extend(tree_of(payload).map(|root| (space.twin(), root)));
            return;
        }
        let Some((collection, node)) = name_of(key) else { return };
        self.changed.push((space, collection, node));
        self.full.insert((space, collection.0, node), payload.to_vec());
    }

    /// Is every node of this tree in the group?
    fn is_whole(&self, space: SpaceId, root: &Root) -> bool {
        [Some(root.tree), root.second].into_iter().flatten().all(|top| {
            let mut level = vec![top.node];
            for height in (0..=top.levels).rev() {
                let mut below = Vec::new();
                for node in level {
                    let Some(payload) = self.full.get(&(space, root.collection.0, node)) else { return false };
                    match thermocline_value::children(payload) {
                        _ if height == 0 => {}
                        Ok(children) => below.extend(children),
                        Err(_) => return false,
                    }
                }
                level = below;
            }
            true
        })
    }
}

/// The node that a key of a hidden space names.
fn name_of(key: &[u8]) -> Option<(CollectionId, NodeId)> {
    let key: &[u8; NODE_NAME_BYTES] = key.try_into().ok()?;
    let (mut collection, mut node) = ([0; 8], [0; 8]);
    collection.copy_from_slice(&key[..8]);
    node[..6].copy_from_slice(&key[8..]);
    Some((CollectionId(u64::from_le_bytes(collection)), NodeId::new(u64::from_le_bytes(node))))
}

impl Builder<'_> {
    /// A group that is about to be replayed.
    pub(crate) fn note_losses(&mut self, scans: &[SegmentScan<'_>], group: &[Found]) -> Result<()> {
        let losses = group.iter().map(|found| found.losses).max().unwrap_or(0);
        if losses == 0 || planted::is(Bug::TornTreesServed) || planted::is(Bug::DeltasUnchained) {
            return Ok(());
        }
        if losses > self.torn.losses {
            self.torn.losses = losses;
            self.torn.born.clear();
        }
        let mut trees = Trees::default();
        for found in group {
            let space = found.entry.space;
            match found.entry.kind {
                RecordKind::Value(kind) if !kind.is_string() => {
                    let Some(scan) = scans.iter().find(|scan| scan.segment == found.segment) else { continue };
                    let mut bytes = vec![0; found.entry.bytes as usize];
                    scan.read(self.disk, found.entry.offset, &mut bytes)?;
                    // One that does not hold is an error for whoever reads it.
                    if let Ok(record) = Record::decode(scan.address().at(found.entry.offset), &bytes) {
                        trees.note(space, record.key, record.payload);
                    }
                }
                RecordKind::Delta => {
                    let entries = delta::entries(&found.fact).unwrap_or_default();
                    trees.changed.extend(entries.iter().map(|entry| (space, entry.collection, entry.node)));
                }
                _ => {}
            }
        }
        let mut tops = Vec::new();
        for (space, root) in &trees.roots {
            if trees.is_whole(*space, root) {
                self.torn.born.insert((*space, root.collection.0));
            }
            let of_root = [Some(root.tree), root.second].into_iter().flatten();
            tops.extend(of_root.map(|top| (*space, root.collection, top.node)));
        }
        for (space, collection, node) in trees.changed.into_iter().chain(tops) {
            if !self.torn.born.contains(&(space, collection.0)) {
                let hash = self.hasher.hash(space, &node_name(collection, node));
                self.torn.nodes.insert((space.0, words_of(hash)));
            }
        }
        Ok(())
    }

    /// Takes the nodes that are not served out of the index. Returns how many there were.
    pub(crate) fn take_out_torn(&mut self, scans: &[SegmentScan<'_>]) -> Result<u64> {
        let nodes = std::mem::take(&mut self.torn.nodes);
        let count = nodes.len() as u64;
        for (space, hash) in nodes {
            self.deltas.forget(SpaceId(space), hash);
            self.remove(SpaceId(space), hash);
        }
        self.apply(scans)?;
        Ok(count)
    }
}
