//! The heap against a model: a map from handle to contents. What is promised: cells never overlap, contents stay, a handle of
//! another heap is refused, empty spans come back, the limit of the region holds, a sparse span can be emptied.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use thermocline_memory::{Handle, Heap, Region, UNIT_BYTES};

const LIMIT_BYTES: u64 = 4 << 20;

#[derive(Clone, Debug)]
enum Step {
    Put { heap: usize, bytes: usize },
    Free { choice: usize },
    Rewrite { choice: usize },
    Move,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![6 => 1_usize..300, 3 => 300_usize..9_000, 1 => 9_000_usize..330_000];
    let step = prop_oneof![
        6 => (0_usize..2, bytes).prop_map(|(heap, bytes)| Step::Put { heap, bytes }),
        5 => any::<usize>().prop_map(|choice| Step::Free { choice }),
        1 => any::<usize>().prop_map(|choice| Step::Rewrite { choice }),
        1 => Just(Step::Move),
    ];
    prop::collection::vec(step, 1..600)
}

struct World {
    region: Arc<Region>,
    heaps: Vec<Heap>,
    /// (heap, handle) -> (asked bytes, the byte all of it is filled with)
    model: HashMap<(usize, Handle), (usize, u8)>,
    order: Vec<(usize, Handle)>,
    stamp: u8,
}

impl World {
    fn new() -> World {
        let region = Region::new(LIMIT_BYTES * 2).unwrap();
        region.set_limit_bytes(LIMIT_BYTES);
        let heaps = (0..2).map(|heap_id| Heap::new(Arc::clone(&region), heap_id)).collect();
        World { region, heaps, model: HashMap::new(), order: Vec::new(), stamp: 0 }
    }

    fn alloc(&mut self, heap: usize, bytes: usize) -> Option<Handle> {
        if let Some(cell) = self.heaps[heap].alloc(bytes) {
            return Some(cell);
        }
        let span = self.region.take(Heap::wants(bytes))?;
        self.heaps[heap].donate(bytes, span);
        let cell = self.heaps[heap].alloc(bytes);
        assert!(cell.is_some(), "a donated span has room");
        cell
    }

    fn put(&mut self, heap: usize, bytes: usize) {
        let Some(cell) = self.alloc(heap, bytes) else { return };
        assert_eq!(self.heaps[heap].bytes(cell).len(), Heap::class_bytes(bytes));
        self.stamp = self.stamp.wrapping_add(1);
        self.heaps[heap].bytes_mut(cell).fill(self.stamp);
        let before = self.model.insert((heap, cell), (bytes, self.stamp));
        assert_eq!(before, None, "a cell in use was handed out");
        self.order.push((heap, cell));
    }

    fn free(&mut self, choice: usize) {
        if self.order.is_empty() {
            return;
        }
        let (heap, cell) = self.order.swap_remove(choice % self.order.len());
        self.check_one(heap, cell);
        self.model.remove(&(heap, cell));
        if let Some(span) = self.heaps[heap].free(cell) {
            self.region.give(span);
        }
    }

    /// Empties the sparsest span of each heap, as the engine's mover does.
    fn move_sparse(&mut self) {
        for heap in 0..self.heaps.len() {
            let Some(sparse) = self.heaps[heap].sparsest() else { continue };
            let cells: Vec<Handle> = self.heaps[heap].cells_of(sparse.span).collect();
            assert_eq!(cells.len(), sparse.live as usize);
            let owned = self.heaps[heap].owned_bytes();
            let mut gone = None;
            for cell in cells {
                let (bytes, stamp) = self.model.remove(&(heap, cell)).unwrap();
                let contents = self.heaps[heap].bytes(cell).to_vec();
                let moved = self.heaps[heap].alloc(bytes).expect("its class has 1.25 spans of room");
                self.heaps[heap].bytes_mut(moved).copy_from_slice(&contents);
                assert!(gone.is_none());
                gone = self.heaps[heap].free(cell);
                self.model.insert((heap, moved), (bytes, stamp));
                let at = self.order.iter().position(|&known| known == (heap, cell)).unwrap();
                self.order[at] = (heap, moved);
            }
            let span = gone.expect("an emptied span comes back");
            assert_eq!(self.heaps[heap].owned_bytes(), owned - span.len_bytes() as u64);
        }
    }

    fn check_one(&self, heap: usize, cell: Handle) {
        let (_, stamp) = self.model[&(heap, cell)];
        assert!(self.heaps[heap].bytes(cell).iter().all(|&byte| byte == stamp), "another cell wrote here");
    }

    fn check(&self) {
        for &(heap, cell) in &self.order {
            self.check_one(heap, cell);
        }
        for (at, heap) in self.heaps.iter().enumerate() {
            let cells = self.model.iter().filter(|((owner, _), _)| *owner == at);
            let used: usize = cells.map(|(_, (bytes, _))| Heap::class_bytes(*bytes)).sum();
            assert_eq!(heap.used_bytes(), used as u64);
        }
        let owned: u64 = self.heaps.iter().map(Heap::owned_bytes).sum();
        assert_eq!(owned, self.region.used_bytes());
        assert!(owned <= LIMIT_BYTES);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn cells_never_overlap_and_keep_their_contents(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Put { heap, bytes } => world.put(heap, bytes),
                Step::Free { choice } => world.free(choice),
                Step::Move => world.move_sparse(),
                Step::Rewrite { choice } if !world.order.is_empty() => {
                    let (heap, cell) = world.order[choice % world.order.len()];
                    world.stamp = world.stamp.wrapping_add(1);
                    world.heaps[heap].bytes_mut(cell).fill(world.stamp);
                    let stamp = world.stamp;
                    world.model.get_mut(&(heap, cell)).unwrap().1 = stamp;
                }
                Step::Rewrite { .. } => {}
            }
        }
        world.check();
        while !world.order.is_empty() {
            world.free(0);
        }
        for heap in &mut world.heaps {
            prop_assert_eq!(heap.used_bytes(), 0);
            prop_assert!(heap.owned_bytes() <= 16 * UNIT_BYTES as u64, "256 KiB of empty spans at most");
            while let Some(span) = heap.release_empty() {
                world.region.give(span);
            }
        }
        prop_assert_eq!(world.region.used_bytes(), 0);
    }
}

#[test]
fn emptying_sparse_spans_gives_memory_back() {
    let mut world = World::new();
    for _ in 0..20_000 {
        world.put(0, 100);
    }
    let full = world.heaps[0].owned_bytes();
    let mut at = 0;
    world.order.sort_by_key(|(_, cell)| cell.bits());
    while at < world.order.len() {
        let (_, cell) = world.order[at];
        if at % 5 == 0 {
            at += 1;
        } else {
            world.model.remove(&(0, cell));
            world.heaps[0].free(cell);
            world.order.remove(at);
        }
        if world.order.len() <= 4_000 {
            break;
        }
    }
    for _ in 0..200 {
        world.move_sparse();
    }
    world.check();
    let heap = &mut world.heaps[0];
    assert!(heap.owned_bytes() < full / 4, "{} of {full} bytes left", heap.owned_bytes());
    assert!(heap.used_bytes() * 10 >= heap.owned_bytes() * 9, "the rest is well filled");
    assert_eq!(heap.sparsest(), None);
}

#[test]
fn a_span_whose_cells_are_pinned_does_not_hide_the_other_sparse_ones() {
    let region = Region::new(1 << 26).unwrap();
    let mut heap = Heap::new(Arc::clone(&region), 0);
    let mut cells = Vec::new();
    for _ in 0..2_000 {
        if heap.alloc(1_000).map(|cell| cells.push(cell)).is_none() {
            heap.donate(1_000, region.take(Heap::wants(1_000)).unwrap());
            cells.push(heap.alloc(1_000).unwrap());
        }
    }
    for cell in cells.iter().enumerate().filter(|(at, _)| at % 4 != 0).map(|(_, cell)| *cell) {
        drop(heap.free(cell));
    }
    // Nobody moves anything: every call offers another span, and then none.
    let mut offered = std::collections::HashSet::new();
    while let Some(sparse) = heap.sparsest() {
        assert!(offered.insert(sparse.span), "offered again although nothing moved");
    }
    assert!(offered.len() >= 32, "{} spans", offered.len());
}

#[test]
fn a_small_budget_does_not_drown_in_half_empty_spans() {
    let region = Region::new(128 << 20).unwrap();
    region.set_limit_bytes(48 << 20);
    let mut heaps: Vec<Heap> = (0..4).map(|heap_id| Heap::new(Arc::clone(&region), heap_id)).collect();
    let mut state = 1_u64;
    'full: loop {
        for heap in &mut heaps {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Log-uniform from 16 bytes to 16 KiB: every class is in use.
            let exponent = 4 + (state >> 60) % 10;
            let bytes = (1_usize << exponent) + (state >> 33) as usize % (1 << exponent);
            if heap.alloc(bytes).is_none() {
                let Some(span) = region.take(Heap::wants(bytes)) else { break 'full };
                heap.donate(bytes, span);
                assert!(heap.alloc(bytes).is_some());
            }
        }
    }
    let (owned, used) =
        heaps.iter().fold((0, 0), |(owned, used), heap| (owned + heap.owned_bytes(), used + heap.used_bytes()));
    println!("4 heaps, 48 MiB, every class: {:.1} % of the owned bytes in use", used as f64 / owned as f64 * 100.0);
    assert!(used * 100 >= owned * 80);
}

#[test]
fn a_heap_dropped_whole_gives_everything_back() {
    let mut world = World::new();
    for bytes in (1..300_000).step_by(9_001) {
        world.put(1, bytes);
    }
    assert!(world.region.used_bytes() > 0);
    world.heaps.clear();
    assert_eq!(world.region.used_bytes(), 0);
}

fn panics(work: impl FnOnce()) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err()
}

#[test]
fn any_handle_bits_are_safe_and_foreign_ones_are_refused() {
    let mut world = World::new();
    world.put(0, 40);
    world.put(0, 200_000);
    world.put(1, 40);
    let own: Vec<u64> = world.order.iter().filter(|(heap, _)| *heap == 0).map(|(_, cell)| cell.bits()).collect();
    let near = (0..40_000_u64).step_by(7).chain(own.iter().flat_map(|&bits| [bits, bits + 1, bits + 3]));
    for bits in near.chain([(1 << 40) - 1, 1 << 39, (LIMIT_BYTES * 2) / 16]) {
        let refused = panics(|| {
            std::hint::black_box(world.heaps[0].bytes(Handle::from_bits(bits))[0]);
        });
        assert_eq!(refused, !own.contains(&bits), "handle {bits:#x}");
        assert_eq!(refused, !world.heaps[0].holds(Handle::from_bits(bits)));
        world.heaps[0].prefetch(Handle::from_bits(bits));
    }
    let foreign = world.order.iter().find(|(heap, _)| *heap == 1).unwrap().1;
    assert!(panics(|| world.heaps[0].bytes_mut(foreign).fill(0)));
    assert!(panics(|| drop(world.heaps[0].free(foreign))));
    world.check();
}

#[test]
fn a_cell_cannot_be_freed_twice() {
    let mut world = World::new();
    world.put(0, 64);
    let (_, cell) = world.order[0];
    world.free(0);
    assert!(panics(|| drop(world.heaps[0].free(cell))));
}
