//! Packed bytes: what the payload of a collection's record looks like, be it the whole of a small collection or one node.
//!
//! Every payload begins with two bytes, little-endian, that say what follows:
//!
//! ```text
//!   bit      15 14 13 ............ 0
//!             0  t |    count      |    a run of `count` elements; t = it carries tags        run.rs
//!             1  0 |  flags | level|    an inner node of a tree                               inner.rs
//!             1  1 |  flags        |    the root of a collection that is a tree               root.rs
//! ```
//!
//! Promises: the same bytes in DRAM and on the SSD; foreign bytes give an error, never a panic.
//! Never: knows an order of elements (that is the tree's) or a command.

pub(crate) mod inner;
pub(crate) mod node_edit;
pub(crate) mod root;
pub(crate) mod run;
pub(crate) mod score;

/// Set in the first two bytes of everything that is not a run.
pub(crate) const NOT_A_RUN: u16 = 1 << 15;
/// Beside [`NOT_A_RUN`]: the root of a tree.
pub(crate) const IS_ROOT: u16 = 1 << 14;

/// The first two bytes as a number.
#[inline]
pub(crate) fn header(payload: &[u8]) -> Option<u16> {
    payload.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
}

/// Makes room for `added` bytes at `at`, in place of the `removed` bytes that stand there. What the room holds is not
/// specified. The caller knows that `at + removed` lies inside.
#[inline]
pub(crate) fn resize_gap(bytes: &mut Vec<u8>, at: usize, removed: usize, added: usize) {
    let old = bytes.len();
    if added > removed {
        bytes.resize(old + (added - removed), 0);
    }
    bytes.copy_within(at + removed..old, at + added);
    bytes.truncate(old + added - removed);
}
