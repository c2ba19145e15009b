//! Nodes in a map, some of them absent, with a second map that only ever sees what was reported, as bytes.
//!
//! So each operation is judged three ways: what it answers, whether it changed anything although a node was missing, and
//! whether the reported changes, encoded, decoded and applied elsewhere, give the same nodes.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use thermocline_value::{Census, CollectionId, Fault, Kind, Missing, NodeEdit, NodeId, Nodes, verify};

/// A change as it was reported.
#[derive(Clone, Debug)]
enum Change {
    Put(NodeId, Vec<u8>),
    Edit(NodeId, Vec<u8>),
    Free(NodeId),
}

/// The nodes of one collection.
#[derive(Clone, Debug)]
pub struct Memory {
    present: BTreeMap<NodeId, Vec<u8>>,
    absent: BTreeMap<NodeId, Vec<u8>>,
    replica: BTreeMap<NodeId, Vec<u8>>,
    changes: Vec<Change>,
    next: u64,
    hash_bits: u32,
    pub rounds: u64,
}

impl Memory {
    /// An empty collection whose fields hash to this many bits.
    pub fn new(empty: &[u8], hash_bits: u32) -> Memory {
        let root = BTreeMap::from([(NodeId::ROOT, empty.to_vec())]);
        Memory {
            present: root.clone(),
            absent: BTreeMap::new(),
            replica: root,
            changes: Vec::new(),
            next: 1,
            hash_bits,
            rounds: 0,
        }
    }

    /// Takes nodes out of memory: those whose number leaves a remainder below `share` when mixed with `seed`, of 8.
    pub fn lose(&mut self, seed: u64, share: u64) {
        let lost: Vec<NodeId> = self
            .present
            .keys()
            .copied()
            .filter(|&id| id != NodeId::ROOT && mix(id.number() ^ seed) % 8 < share)
            .collect();
        for id in lost {
            let payload = self.present.remove(&id).unwrap();
            self.absent.insert(id, payload);
        }
    }

    /// Brings nodes into memory.
    pub fn bring(&mut self, ids: &[NodeId]) {
        for id in ids {
            let payload = self.absent.remove(id).unwrap_or_else(|| panic!("{id:?} is named missing but is not absent"));
            self.present.insert(*id, payload);
        }
    }

    pub fn bring_all(&mut self) {
        self.present.append(&mut self.absent);
    }

    /// How many nodes there are, the root not counted.
    pub fn nodes(&self) -> usize {
        self.present.len() + self.absent.len() - 1
    }

    /// Asks `touch` what is missing and brings it, until nothing is; then runs the operation, which must not miss anything.
    pub fn resolved<T>(
        &mut self,
        touch: impl Fn(&Memory, &mut Missing) -> Result<(), Fault>,
        run: impl FnOnce(&mut Memory) -> Result<T, Fault>,
    ) -> T {
        let mut missing = Missing::new(4);
        loop {
            missing.clear();
            touch(self, &mut missing).expect("touch");
            if missing.is_empty() {
                break;
            }
            self.rounds += 1;
            let ids = missing.nodes().to_vec();
            assert!(ids.len() <= 4 && ids.iter().collect::<BTreeSet<_>>().len() == ids.len());
            self.bring(&ids);
        }
        run(self).expect("nothing is missing any more")
    }

    /// Runs an operation that may miss nodes: each time it must have changed nothing; then they are brought.
    pub fn retried<T>(&mut self, mut run: impl FnMut(&mut Memory) -> Result<T, Fault>) -> T {
        loop {
            let before = self.changes.len();
            match run(self) {
                Ok(answer) => return answer,
                Err(Fault::Missing(id)) => {
                    assert_eq!(self.changes.len(), before, "an operation that misses a node changes nothing");
                    self.rounds += 1;
                    self.bring(&[id]);
                }
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// The reported changes, as bytes and back, applied to the replica give the same nodes.
    pub fn check_report(&mut self) -> Result<(), TestCaseError> {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Put(id, payload) => {
                    self.replica.insert(id, payload);
                }
                Change::Edit(id, bytes) => {
                    let edit = NodeEdit::decode(&bytes).expect("an encoded edit");
                    edit.apply(self.replica.get_mut(&id).expect("an edit of a node")).expect("an edit that fits");
                }
                Change::Free(id) => {
                    prop_assert!(self.replica.remove(&id).is_some(), "a node is freed once");
                }
            }
        }
        let now: BTreeMap<_, _> = self.present.iter().chain(&self.absent).collect();
        prop_assert_eq!(self.replica.iter().collect::<BTreeMap<_, _>>(), now);
        Ok(())
    }

    /// The structure keeps all of its promises; nothing is lost beside it.
    pub fn check(&self, kind: Kind, elements: usize) -> Result<Census, TestCaseError> {
        let mut whole = self.clone();
        whole.bring_all();
        let census = verify(&whole, kind).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(census.elements, elements as u64);
        prop_assert_eq!(census.nodes, self.nodes() as u64, "every node belongs to the tree");
        Ok(census)
    }
}

/// Spreads bits (the finalizer of MurmurHash3).
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    bits = (bits ^ bits >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    bits ^ bits >> 33
}

impl Nodes for Memory {
    fn get(&self, node: NodeId) -> Option<&[u8]> {
        self.present.get(&node).map(|payload| &payload[..])
    }

    fn hash(&self, field: &[u8]) -> u64 {
        let hash = mix(field.iter().fold(field.len() as u64, |hash, &byte| mix(hash ^ u64::from(byte))));
        // The top bits decide the order, the low ones the tag: a short hash has few of both.
        if self.hash_bits >= 64 { hash } else { (hash >> (64 - self.hash_bits)) * 0x2000_0000_0000_0001 }
    }

    fn collection(&mut self) -> CollectionId {
        CollectionId(7)
    }

    fn allocate(&mut self) -> NodeId {
        self.next += 1;
        NodeId::new(self.next)
    }

    fn put(&mut self, node: NodeId, payload: &[u8]) {
        assert!(!self.absent.contains_key(&node), "a node that is not in memory is not written");
        self.present.insert(node, payload.to_vec());
        self.changes.push(Change::Put(node, payload.to_vec()));
    }

    fn edit(&mut self, node: NodeId, edit: &NodeEdit<'_>) {
        let payload = self.present.get_mut(&node).expect("only a present node is edited");
        edit.apply(payload).expect("an edit that was planned fits");
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        self.changes.push(Change::Edit(node, bytes));
    }

    fn free(&mut self, node: NodeId) {
        let there = self.present.remove(&node).or(self.absent.remove(&node));
        assert!(there.is_some(), "a node is freed once");
        self.changes.push(Change::Free(node));
    }
}
