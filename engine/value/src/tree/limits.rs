//! The sizes of nodes, all in one place.
//!
//! Leaves are small because a change of one element writes at most its leaf: simulated, a uniform HSET costs 1,750-2,850
//! device bytes with leaves of 4 KiB and 320 with 512 B. Inner nodes are large because they are read often and written
//! seldom. A list's leaves are larger: it grows and shrinks at its ends, where a leaf is filled or emptied element by element
//! whatever its size, and what is spent on each node (an index slot, a header, a key) is shared by more elements: with 512 B
//! an element of 16 B cost 21 B of DRAM, more than Redis's list. The price: LSET in a cold list writes 2 KiB.
//! A node splits above its maximum; it is merged below a quarter, and only if what comes out is at most three
//! quarters: between a split and a merge of the same node always lie many changes.
//!
//! In this crate's own tests the nodes are tiny, so that a few hundred elements make a high tree; the same tests run over
//! the real sizes from `tests/`.

use super::shape::Shape;

#[cfg(not(test))]
const SCALE: usize = 1;
#[cfg(test)]
const SCALE: usize = 8;

/// A run larger than this becomes a tree.
pub(crate) const RUN_BYTES_MAX: usize = 4096 / SCALE;
/// Largest leaf, unless it holds a single element.
pub(crate) const fn leaf_bytes_max(shape: Shape) -> usize {
    match shape {
        Shape::List => 2048 / SCALE,
        _ => 512 / SCALE,
    }
}
/// A leaf below this looks for a neighbour to be merged with.
pub(crate) const fn leaf_bytes_low(shape: Shape) -> usize {
    leaf_bytes_max(shape) / 4
}
/// Largest leaf that comes out of a merge, or of a conversion.
pub(crate) const fn leaf_bytes_fit(shape: Shape) -> usize {
    leaf_bytes_max(shape) / 4 * 3
}
/// Largest inner node, unless it has fewer than [`INNER_CHILDREN_MIN`] children: separators may be as long as members.
pub(crate) const INNER_BYTES_MAX: usize = 4096 / SCALE / if SCALE > 1 { 4 } else { 1 };
/// An inner node below this looks for a neighbour to be merged with.
pub(crate) const INNER_BYTES_LOW: usize = INNER_BYTES_MAX / 4;
/// Largest inner node that comes out of a merge.
pub(crate) const INNER_BYTES_FIT: usize = INNER_BYTES_MAX / 4 * 3;
/// An inner node of fewer children is not split, however large it is. So even members that share kilobytes give a tree of
/// four children per node: fifteen levels are a thousand million leaves.
pub(crate) const INNER_CHILDREN_MIN: usize = 8;

const _: () = {
    // A conversion's run reaches by slots; a leaf that is a whole small collection goes back into one record.
    assert!(RUN_BYTES_MAX <= u16::MAX as usize && leaf_bytes_max(Shape::List) <= RUN_BYTES_MAX / 2);
    assert!(INNER_BYTES_LOW < INNER_BYTES_FIT && INNER_BYTES_FIT < INNER_BYTES_MAX);
};
