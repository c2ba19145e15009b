//! The optimum, which knows the future (Belady 1966): when room is needed, the value whose next GET is farthest away leaves,
//! and a value that would be the next to leave is not brought in at all.
//!
//! Exact where all values have one size: no policy of any kind does better. With sizes the best choice is a knapsack that
//! nobody can compute for a long trace; farthest-first stays a good yardstick, not a bound.

use super::cache::Cache;
use super::input::Request;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// A key's state.
#[derive(Debug, Clone, Copy, Default)]
struct Object {
    /// Place of its next use; `None` while it is outside.
    inside: Option<u32>,
    bytes: u32,
}

/// The future and what is inside now.
pub struct Belady {
    capacity_bytes: u64,
    used_bytes: u64,
    next_uses: Arc<Vec<u32>>,
    objects: Vec<Object>,
    /// Next use and key, the farthest first; entries of the past are skipped.
    farthest: BinaryHeap<(u32, u32)>,
}

impl Belady {
    /// An empty box; `next_uses` is [`super::input::Requests::next_uses`].
    pub fn new(capacity_bytes: u64, next_uses: Arc<Vec<u32>>) -> Self {
        Self { capacity_bytes, used_bytes: 0, next_uses, objects: Vec::new(), farthest: BinaryHeap::new() }
    }
}

impl Cache for Belady {
    fn request(&mut self, place: usize, request: Request) -> bool {
        let (key, next) = (request.key.0, self.next_uses[place]);
        if self.objects.len() <= key as usize {
            self.objects.resize(key as usize + 1, Object::default());
        }
        let before = self.objects[key as usize];
        if before.inside.is_some() {
            self.used_bytes -= u64::from(before.bytes);
        }
        self.objects[key as usize] = Object { inside: Some(next), bytes: request.bytes };
        self.used_bytes += u64::from(request.bytes);
        self.farthest.push((next, key));
        while self.used_bytes > self.capacity_bytes {
            let (next, key) = self.farthest.pop().expect("what is inside has an entry");
            let object = &mut self.objects[key as usize];
            if object.inside == Some(next) {
                object.inside = None;
                self.used_bytes -= u64::from(object.bytes);
            }
        }
        before.inside.is_some()
    }
}
