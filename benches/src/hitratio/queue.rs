//! LRU and FIFO: a doubly linked list through a plain vector, the oldest at its end.

use super::cache::Cache;
use super::input::Request;

/// What makes a value young again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Every request: LRU.
    Used,
    /// Only its coming in: FIFO.
    Written,
}

const NONE: u32 = u32::MAX;

/// A key's place in the list.
#[derive(Debug, Clone, Copy)]
struct Node {
    younger: u32,
    older: u32,
    bytes: u32,
    inside: bool,
}

/// The list.
pub struct Queue {
    order: Order,
    capacity_bytes: u64,
    used_bytes: u64,
    nodes: Vec<Node>,
    youngest: u32,
    oldest: u32,
}

impl Queue {
    /// An empty list.
    pub fn new(order: Order, capacity_bytes: u64) -> Self {
        Self { order, capacity_bytes, used_bytes: 0, nodes: Vec::new(), youngest: NONE, oldest: NONE }
    }

    fn take_out(&mut self, key: u32) {
        let Node { younger, older, bytes, .. } = self.nodes[key as usize];
        match younger {
            NONE => self.youngest = older,
            _ => self.nodes[younger as usize].older = older,
        }
        match older {
            NONE => self.oldest = younger,
            _ => self.nodes[older as usize].younger = younger,
        }
        self.nodes[key as usize].inside = false;
        self.used_bytes -= u64::from(bytes);
    }

    fn put_in(&mut self, key: u32, bytes: u32) {
        self.nodes[key as usize] = Node { younger: NONE, older: self.youngest, bytes, inside: true };
        match self.youngest {
            NONE => self.oldest = key,
            youngest => self.nodes[youngest as usize].younger = key,
        }
        self.youngest = key;
        self.used_bytes += u64::from(bytes);
    }
}

impl Cache for Queue {
    fn request(&mut self, _place: usize, request: Request) -> bool {
        let key = request.key.0;
        if self.nodes.len() <= key as usize {
            self.nodes.resize(key as usize + 1, Node { younger: NONE, older: NONE, bytes: 0, inside: false });
        }
        let Node { inside, bytes, .. } = self.nodes[key as usize];
        let stays = inside && self.order == Order::Written && bytes == request.bytes;
        if stays {
            return true;
        }
        if inside {
            self.take_out(key);
        }
        if u64::from(request.bytes) <= self.capacity_bytes {
            while self.used_bytes + u64::from(request.bytes) > self.capacity_bytes {
                self.take_out(self.oldest);
            }
            self.put_in(key, request.bytes);
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Key;
    use super::*;
    use proptest::prelude::*;

    /// The same, as anybody would write it: a row of (key, bytes), the youngest first.
    fn naive(order: Order, capacity: u64, row: &mut Vec<(u32, u32)>, request: Request) -> bool {
        let found = row.iter().position(|&(key, _)| key == request.key.0);
        if let Some(at) = found {
            if order == Order::Written && row[at].1 == request.bytes {
                return true;
            }
            row.remove(at);
        }
        if u64::from(request.bytes) <= capacity {
            row.insert(0, (request.key.0, request.bytes));
            while row.iter().map(|&(_, bytes)| u64::from(bytes)).sum::<u64>() > capacity {
                row.pop();
            }
        }
        found.is_some()
    }

    proptest! {
        #[test]
        fn the_list_decides_as_the_naive_model(
            requests in proptest::collection::vec((0u32..20, 1u32..10, proptest::bool::ANY), 0..400),
            capacity in 0u64..60,
            lru in proptest::bool::ANY,
        ) {
            let order = if lru { Order::Used } else { Order::Written };
            let (mut queue, mut row) = (Queue::new(order, capacity), Vec::new());
            for (place, (key, bytes, write)) in requests.into_iter().enumerate() {
                let request = Request { key: Key(key), bytes, write };
                prop_assert_eq!(queue.request(place, request), naive(order, capacity, &mut row, request));
                prop_assert!(queue.used_bytes <= capacity);
            }
        }
    }
}
