//! A list, written: as a quicklist's nodes while that fits what may be held back, else as plain strings.
//!
//! Why not always nodes: their number stands in front, and a list that comes element by element does not know it. A
//! server makes its own nodes of a plain list while loading, so only the form in the file differs.
//!
//! Promises: nodes are of the size that `list-max-listpack-size` says; a longer element is a node of its own.
//! Never: holds more than [`HELD_BYTES_MAX`] and one element.

use super::Promise;
use super::held::Held;
use crate::error::Error;
use crate::options::HELD_BYTES_MAX;
use crate::packed::listpack::{self, Builder};
use crate::value_type::ValueType;
use crate::writer::{Head, Sink};
use std::io::Write;

const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;
/// Bytes of a node that is bounded by its elements.
const COUNTED_NODE_BYTES_MAX: usize = 8 << 10;

/// Writes a list's elements from head to tail.
#[must_use = "a value that is not ended spoils the file"]
pub struct ListWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
    head: Option<Head<'w>>,
    promise: Promise,
    /// `None` once the list goes out as plain strings.
    held: Option<Held>,
}

impl<'w, W: Write> ListWriter<'w, W> {
    pub(super) fn new(sink: &'w mut Sink<W>, head: Option<Head<'w>>, elements: u64) -> ListWriter<'w, W> {
        ListWriter { sink, head, promise: Promise::new(elements), held: Some(Held::default()) }
    }

    /// The next element.
    pub fn element(&mut self, element: &[u8]) -> Result<(), Error> {
        self.promise.count(self.sink)?;
        let Some(held) = &mut self.held else {
            return self.sink.string(element);
        };
        held.push(element);
        if held.bytes() <= HELD_BYTES_MAX {
            return Ok(());
        }
        let held = self.held.take().unwrap_or_default();
        self.sink.begin_value(self.head.as_ref(), ValueType::List)?;
        self.sink.length(self.promise.claimed)?;
        held.iter().try_for_each(|element| self.sink.string(element))
    }

    /// The list is complete.
    pub fn end(self) -> Result<(), Error> {
        self.promise.check(self.sink)?;
        if let Some(held) = &self.held {
            let nodes = nodes(held, self.sink.settings.thresholds.list_listpack_size);
            self.sink.begin_value(self.head.as_ref(), ValueType::ListQuicklist2)?;
            self.sink.length(nodes.len() as u64)?;
            for node in &nodes {
                match node {
                    Node::Plain(index) => {
                        self.sink.length(NODE_PLAIN)?;
                        self.sink.string(held.get(*index))?;
                    }
                    Node::Packed(listpack) => {
                        self.sink.length(NODE_PACKED)?;
                        self.sink.string(listpack)?;
                    }
                }
            }
        }
        self.sink.finish_value();
        Ok(())
    }
}

enum Node {
    Plain(usize),
    Packed(Vec<u8>),
}

fn nodes(held: &Held, listpack_size: i32) -> Vec<Node> {
    let (node_bytes_max, node_elements_max) = match listpack_size {
        1.. => (COUNTED_NODE_BYTES_MAX, listpack_size as usize),
        0 => (COUNTED_NODE_BYTES_MAX, 1),
        size => (4096 << (-1 - size.max(-5)), usize::MAX),
    };
    let mut nodes = Vec::new();
    let mut builder = Builder::new();
    let mut elements = 0;
    for (index, element) in held.iter().enumerate() {
        let bytes = listpack::element_bytes_max(element.len());
        let alone = bytes > node_bytes_max || !listpack::can_hold(element.len());
        let full = builder.bytes_so_far() + bytes > node_bytes_max || elements >= node_elements_max;
        if (alone || full) && !builder.is_empty() {
            nodes.push(Node::Packed(builder.end()));
            elements = 0;
        }
        if alone {
            nodes.push(Node::Plain(index));
        } else {
            builder.push(element);
            elements += 1;
        }
    }
    if !builder.is_empty() {
        nodes.push(Node::Packed(builder.end()));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(elements: &[usize], listpack_size: i32) -> String {
        let mut held = Held::default();
        for &length in elements {
            held.push(&vec![b'x'; length]);
        }
        let shape = |node: &Node| match node {
            Node::Plain(index) => format!("plain {index}"),
            Node::Packed(listpack) => format!("{} packed", u16::from_le_bytes([listpack[4], listpack[5]])),
        };
        nodes(&held, listpack_size).iter().map(shape).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn nodes_follow_the_setting() {
        assert_eq!(shape(&[3, 3, 3], -2), "3 packed");
        assert_eq!(shape(&[3, 3, 3, 3, 3], 2), "2 packed, 2 packed, 1 packed");
        assert_eq!(shape(&[3, 3], 0), "1 packed, 1 packed");
        assert_eq!(shape(&[3, 9000, 3], -2), "1 packed, plain 1, 1 packed");
        assert_eq!(shape(&[3, 9000, 3], -3), "3 packed");
        assert_eq!(shape(&[4000, 4000, 4000], -2), "2 packed, 1 packed");
        assert_eq!(shape(&[4000; 17], -9), "16 packed, 1 packed");
        // A size whose length backwards servers disagree on.
        assert_eq!(shape(&[3, 16_378, 16_379], -5), "1 packed, plain 1, 1 packed");
    }
}
