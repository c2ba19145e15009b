//! The sizes of nodes, all in one place.
//!
//! Leaves are small because a change of one element writes at most its leaf: simulated, a uniform HSET costs 1,750-2,850
//! device bytes with leaves of 4 KiB and 320 with 512 B. Inner nodes are large because they are read often and written
//! seldom. A node splits above its maximum; it is merged below a quarter, and only if what comes out is at most three
//! quarters: between a split and a merge of the same node always lie many changes.
//!
//! In this crate's own tests the nodes are tiny, so that a few hundred elements make a high tree; the same tests run over
//! the real sizes from `tests/`.

#[cfg(not(test))]
const SCALE: usize = 1;
#[cfg(test)]
const SCALE: usize = 8;

/// A run larger than this becomes a tree.
pub(crate) const RUN_BYTES_MAX: usize = 4096 / SCALE;
/// Largest leaf, unless it holds a single element.
pub(crate) const LEAF_BYTES_MAX: usize = 512 / SCALE;
/// A leaf below this looks for a neighbour to be merged with.
pub(crate) const LEAF_BYTES_LOW: usize = LEAF_BYTES_MAX / 4;
/// Largest leaf that comes out of a merge, or of a conversion.
pub(crate) const LEAF_BYTES_FIT: usize = LEAF_BYTES_MAX / 4 * 3;
/// Largest inner node, unless it has fewer than [`INNER_CHILDREN_MIN`] children: separators may be as long as members.
pub(crate) const INNER_BYTES_MAX: usize = 4096 / SCALE / if SCALE > 1 { 4 } else { 1 };
/// An inner node below this looks for a neighbour to be merged with.
pub(crate) const INNER_BYTES_LOW: usize = INNER_BYTES_MAX / 4;
/// Largest inner node that comes out of a merge.
pub(crate) const INNER_BYTES_FIT: usize = INNER_BYTES_MAX / 4 * 3;
/// An inner node of fewer children is not split, however large it is.
pub(crate) const INNER_CHILDREN_MIN: usize = 4;

const _: () = {
    // A conversion's run reaches by slots; a leaf that is a whole small collection goes back into one record.
    assert!(RUN_BYTES_MAX <= u16::MAX as usize && LEAF_BYTES_MAX < RUN_BYTES_MAX);
    assert!(LEAF_BYTES_LOW < LEAF_BYTES_FIT && LEAF_BYTES_FIT < LEAF_BYTES_MAX);
    assert!(INNER_BYTES_LOW < INNER_BYTES_FIT && INNER_BYTES_FIT < INNER_BYTES_MAX);
};
