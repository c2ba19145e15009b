//! The cells of one shard: spans cut into cells of one size each.
//!
//! ```text
//!  Handle (40 bits) = bytes from the start of the region / 16
//!     |  unit = handle / 1024
//!     v
//!  region's place table[unit] -> descriptor in this heap -> is the handle inside? on a cell border? -> the bytes
//! ```
//! The table is only a hint. The descriptor owns its [`Span`], and what is checked against it is safe whatever bits the handle
//! has: a foreign handle fails the range check and panics.
//! Promises: `alloc` and `free` cost O(1) (at most 8 words are searched) and never call the region or the system.
//! Never: moves a cell. The engine does, one at a time, with [`Heap::sparsest`].

use std::sync::Arc;

use crate::class::{CELLS_MAX, CLASS_COUNT, CLASSES, Class, class_of, whole_units};
use crate::prefetch::prefetch_address;
use crate::region::{Region, Span, UNIT_BYTES};

/// Empty spans a heap keeps for itself, in units over all classes (256 KiB).
const EMPTY_UNITS_MAX: u32 = 16;
/// Spans of a class that the search for a sparse one looks at.
const SPARSE_SAMPLE_MAX: usize = 64;
const UNIT_STEPS: u64 = (UNIT_BYTES / 16) as u64;
/// Class of a span with a single cell of whole units.
const WHOLE: u8 = u8::MAX;

/// A 40-bit handle of a cell: opaque, copyable, stored in slots.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Handle(u64);

impl Handle {
    /// The bits to store; less than 2^40.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The handle with these bits. Any bits are safe: a heap refuses what it does not own.
    pub fn from_bits(bits: u64) -> Handle {
        assert!(bits < 1 << 40, "a handle has 40 bits");
        Handle(bits)
    }
}

/// Which span of a heap.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SpanId(u32);

/// A span worth emptying.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sparse {
    /// The span, for [`Heap::cells_of`].
    pub span: SpanId,
    /// Bytes of each of its cells.
    pub cell_bytes: usize,
    /// Cells in use.
    pub live: u32,
    /// Cells in all.
    pub cells: u32,
}

/// One span and which of its cells are in use.
#[derive(Debug)]
struct Cells {
    span: Span,
    /// Bytes of a cell / 16.
    steps: u32,
    /// ceil(2^32 / steps): divides by multiplying.
    reciprocal: u32,
    cells: u16,
    live: u16,
    class: u8,
    /// It was offered to be emptied, and nothing moved: its cells are pinned. Until one changes, another span is offered.
    stuck: bool,
    /// Where it stands in its class's list `open`; unused while it is full, empty or draining.
    position: u32,
    /// Bit i of word i / 64: cell i is in use. Bits past `cells` are always set.
    used: [u64; CELLS_MAX / 64],
}

#[derive(Debug, Default)]
struct ClassSpans {
    /// Spans with cells both free and in use.
    open: Vec<u32>,
    /// One span without cells in use.
    empty: Option<u32>,
    /// Free cells in `open`.
    free: u32,
}

/// Cells of one shard.
#[derive(Debug)]
pub struct Heap {
    region: Arc<Region>,
    heap_id: u32,
    spans: Vec<Option<Cells>>,
    vacant: Vec<u32>,
    classes: Box<[ClassSpans]>,
    /// Donated spans of whole units, not used yet.
    whole: Vec<u32>,
    /// The span that is being emptied: nothing is put into it unless its class has no other room.
    draining: Option<u32>,
    /// Its cells in use when it was offered last.
    draining_live: u16,
    empty_units: u32,
    owned_bytes: u64,
    used_bytes: u64,
}

impl Heap {
    /// A heap without spans. `heap_id` is for messages only.
    pub fn new(region: Arc<Region>, heap_id: u32) -> Heap {
        Heap {
            region,
            heap_id,
            spans: Vec::new(),
            vacant: Vec::new(),
            classes: (0..CLASS_COUNT).map(|_| ClassSpans::default()).collect(),
            whole: Vec::new(),
            draining: None,
            draining_live: 0,
            empty_units: 0,
            owned_bytes: 0,
            used_bytes: 0,
        }
    }

    /// What a cell for `bytes` really takes.
    pub fn class_bytes(bytes: usize) -> usize {
        match class_of(bytes) {
            Some(class) => CLASSES[class].cell_bytes(),
            None => whole_units(bytes) as usize * UNIT_BYTES,
        }
    }

    /// Units of the span to donate so that `alloc(bytes)` succeeds.
    pub fn wants(bytes: usize) -> u32 {
        class_of(bytes).map_or_else(|| whole_units(bytes), |class| u32::from(CLASSES[class].units))
    }

    /// A cell of at least `bytes`, only from spans this heap already owns. Its contents are what was there before.
    pub fn alloc(&mut self, bytes: usize) -> Option<Handle> {
        let at = match class_of(bytes) {
            Some(class) => self.span_with_room(class)?,
            None => {
                let units = whole_units(bytes);
                let position = self.whole.iter().position(|&at| self.cells(at).span.units() == units)?;
                self.whole.swap_remove(position)
            }
        };
        let cells = self.spans[at as usize].as_mut().expect("the lists name spans that exist");
        let cell = cells.take_free();
        let handle = Handle(cells.first_step() + u64::from(cell) * u64::from(cells.steps));
        let (class, full) = (cells.class, cells.live == cells.cells);
        self.used_bytes += cells.cell_bytes();
        if class != WHOLE {
            self.classes[class as usize].free -= 1;
            if full {
                self.close(at);
            }
        }
        Some(handle)
    }

    /// Gives the heap a span from its region, as long as `wants(bytes)` says, for cells like `alloc(bytes)`.
    pub fn donate(&mut self, bytes: usize, span: Span) {
        assert!(span.is_from(&self.region), "a heap takes spans of its own region only");
        assert_eq!(span.units(), Heap::wants(bytes), "a span for {bytes} bytes has another length");
        let class = class_of(bytes);
        let (steps, cells) = match class {
            Some(class) => (u32::from(CLASSES[class].steps), CLASSES[class].cells),
            None => (span.units() * UNIT_STEPS as u32, 1),
        };
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.spans.push(None);
            u32::try_from(self.spans.len() - 1).expect("a region has fewer spans than 2^30")
        });
        self.region.set_place(&span, at);
        self.owned_bytes += span.len_bytes() as u64;
        self.spans[at as usize] = Some(Cells::new(span, steps, cells, class.map_or(WHOLE, |class| class as u8)));
        match class {
            None => self.whole.push(at),
            Some(class) if self.classes[class].empty.is_none() => self.keep_empty(class, at),
            Some(_) => self.open(at),
        }
    }

    /// Frees a cell. A span that became empty comes back, for the caller to give to the region outside the latch; the heap
    /// keeps at most one empty span per class and 256 KiB of them in all.
    pub fn free(&mut self, cell: Handle) -> Option<Span> {
        let (at, index) = self.locate(cell);
        let cells = self.spans[at as usize].as_mut().expect("located");
        let was_full = cells.live == cells.cells;
        cells.put_free(index);
        let (class, live, units) = (cells.class, cells.live, cells.span.units());
        self.used_bytes -= cells.cell_bytes();
        if class == WHOLE {
            return Some(self.release(at));
        }
        if self.draining == Some(at) {
            return (live == 0).then(|| {
                self.draining = None;
                self.release(at)
            });
        }
        if was_full {
            self.open(at);
        } else {
            self.classes[class as usize].free += 1;
        }
        if live > 0 {
            return None;
        }
        self.close(at);
        if self.classes[class as usize].empty.is_none() && self.empty_units + units <= EMPTY_UNITS_MAX {
            self.keep_empty(class as usize, at);
            return None;
        }
        Some(self.release(at))
    }

    /// The whole cell. Panics on a handle that is not a cell of this heap.
    #[inline(always)]
    pub fn bytes(&self, cell: Handle) -> &[u8] {
        match self.find(cell) {
            Some((_, cells, index)) => &cells.span.bytes()[cells.range(index)],
            None => self.disowns(cell),
        }
    }

    /// The whole cell, to write. Panics on a handle that is not a cell of this heap.
    #[inline]
    pub fn bytes_mut(&mut self, cell: Handle) -> &mut [u8] {
        let (at, index) = self.locate(cell);
        let cells = self.spans[at as usize].as_mut().expect("located");
        let range = cells.range(index);
        &mut cells.span.bytes_mut()[range]
    }

    /// Whether this is a cell in use in this heap.
    #[inline]
    pub fn holds(&self, cell: Handle) -> bool {
        self.find(cell).is_some()
    }

    /// Hints that the head of this cell will be read soon. Any handle is fine.
    #[inline]
    pub fn prefetch(&self, cell: Handle) {
        prefetch_address(self.region.address_hint(cell.0 * 16));
    }

    /// Bytes of the spans this heap has.
    pub fn owned_bytes(&self) -> u64 {
        self.owned_bytes
    }

    /// Bytes of the cells in use.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// A span worth emptying: its class has free cells for 1.25 spans, and few of its own are in use. `alloc` avoids it, and it
    /// is offered again until it is empty; when nothing moved since the last call, another one is offered. To empty it: for
    /// each of [`Heap::cells_of`], `alloc`, copy, `free`.
    pub fn sparsest(&mut self) -> Option<Sparse> {
        if let Some(at) = self.draining.take_if(|at| {
            let draining = self.spans[*at as usize].as_ref().expect("the lists name spans that exist");
            draining.live == self.draining_live
        }) {
            self.spans[at as usize].as_mut().expect("the lists name spans that exist").stuck = true;
            self.open(at);
        }
        if self.draining.is_none() {
            let (_, _, at) = (0..CLASS_COUNT).filter_map(|class| self.sparsest_of(class)).max()?;
            self.close(at);
            self.draining = Some(at);
        }
        let at = self.draining?;
        let cells = self.cells(at);
        let sparse = Sparse {
            span: SpanId(at),
            cell_bytes: cells.cell_bytes() as usize,
            live: u32::from(cells.live),
            cells: u32::from(cells.cells),
        };
        self.draining_live = self.cells(at).live;
        Some(sparse)
    }

    /// The class's free steps, then the free cells of the span, then the span: the largest of all classes is the best.
    fn sparsest_of(&self, class: usize) -> Option<(u64, u16, u32)> {
        let ClassSpans { open, free, .. } = &self.classes[class];
        let Class { cells, steps, .. } = CLASSES[class];
        if u64::from(*free) * 4 < u64::from(cells) * 5 {
            return None;
        }
        let candidates = open.iter().take(SPARSE_SAMPLE_MAX).map(|&at| (self.cells(at), at));
        let best =
            candidates.filter(|(cells, _)| !cells.stuck).map(|(cells, at)| (cells.cells - cells.live, at)).max()?;
        Some((u64::from(*free) * u64::from(steps), best.0, best.1))
    }

    /// The cells of a span that are in use. None when the span is gone.
    pub fn cells_of(&self, span: SpanId) -> impl Iterator<Item = Handle> + '_ {
        let cells = self.spans.get(span.0 as usize).and_then(Option::as_ref);
        cells.into_iter().flat_map(|cells| {
            (0..cells.cells)
                .filter(|&index| cells.is_used(index))
                .map(|index| Handle(cells.first_step() + u64::from(index) * u64::from(cells.steps)))
        })
    }

    /// Takes one of the kept empty spans out, when memory is short. Call until `None`.
    pub fn release_empty(&mut self) -> Option<Span> {
        if let Some(at) = self.whole.pop() {
            return Some(self.release(at));
        }
        let class = self.classes.iter().position(|class| class.empty.is_some())?;
        let at = self.take_empty(class).expect("just seen");
        Some(self.release(at))
    }

    fn cells(&self, at: u32) -> &Cells {
        self.spans[at as usize].as_ref().expect("the lists name spans that exist")
    }

    /// Descriptor and number of a cell in use.
    #[inline]
    fn find(&self, cell: Handle) -> Option<(u32, &Cells, u16)> {
        let at = self.region.place_of(cell.0 / UNIT_STEPS)?;
        let cells = self.spans.get(at as usize)?.as_ref()?;
        Some((at, cells, cells.index_of(cell)?))
    }

    #[inline]
    fn locate(&self, cell: Handle) -> (u32, u16) {
        match self.find(cell) {
            Some((at, _, index)) => (at, index),
            None => self.disowns(cell),
        }
    }

    /// Apart from the roads that find their cell, which so need no frame for it.
    #[cold]
    #[inline(never)]
    fn disowns(&self, cell: Handle) -> ! {
        panic!("heap {} does not own the cell {:#x}", self.heap_id, cell.0)
    }

    fn span_with_room(&mut self, class: usize) -> Option<u32> {
        if let Some(&at) = self.classes[class].open.last() {
            return Some(at);
        }
        let at = match self.take_empty(class) {
            Some(at) => at,
            None => self.draining.take_if(|at| {
                let draining = self.spans[*at as usize].as_ref().expect("the lists name spans that exist");
                draining.class == class as u8 && draining.live < draining.cells
            })?,
        };
        self.open(at);
        Some(at)
    }

    fn keep_empty(&mut self, class: usize, at: u32) {
        self.empty_units += self.cells(at).span.units();
        self.classes[class].empty = Some(at);
    }

    fn take_empty(&mut self, class: usize) -> Option<u32> {
        let at = self.classes[class].empty.take()?;
        self.empty_units -= self.cells(at).span.units();
        Some(at)
    }

    /// Puts a span with room into its class's list.
    fn open(&mut self, at: u32) {
        let cells = self.spans[at as usize].as_mut().expect("the lists name spans that exist");
        let class = &mut self.classes[cells.class as usize];
        cells.position = class.open.len() as u32;
        class.free += u32::from(cells.cells - cells.live);
        class.open.push(at);
    }

    /// Takes a span out of its class's list.
    fn close(&mut self, at: u32) {
        let cells = self.cells(at);
        let (position, free) = (cells.position as usize, u32::from(cells.cells - cells.live));
        let class = &mut self.classes[cells.class as usize];
        class.free -= free;
        assert_eq!(class.open.swap_remove(position), at, "a list of spans is out of step");
        if let Some(&moved) = class.open.get(position) {
            self.spans[moved as usize].as_mut().expect("the lists name spans that exist").position = position as u32;
        }
    }

    fn release(&mut self, at: u32) -> Span {
        let cells = self.spans[at as usize].take().expect("the lists name spans that exist");
        self.vacant.push(at);
        self.owned_bytes -= cells.span.len_bytes() as u64;
        cells.span
    }
}

impl Cells {
    fn new(span: Span, steps: u32, cells: u16, class: u8) -> Cells {
        let mut used = [u64::MAX; CELLS_MAX / 64];
        for cell in 0..cells as usize {
            used[cell / 64] &= !(1 << (cell % 64));
        }
        let reciprocal = u32::try_from((1_u64 << 32).div_ceil(u64::from(steps))).expect("a cell has two steps or more");
        Cells { span, steps, reciprocal, cells, live: 0, class, stuck: false, position: 0, used }
    }

    fn first_step(&self) -> u64 {
        self.span.offset_bytes() / 16
    }

    fn cell_bytes(&self) -> u64 {
        u64::from(self.steps) * 16
    }

    fn is_used(&self, index: u16) -> bool {
        self.used[index as usize / 64] >> (index % 64) & 1 == 1
    }

    /// The number of the cell in use that begins exactly at `cell`.
    #[inline]
    fn index_of(&self, cell: Handle) -> Option<u16> {
        let step = cell.0.checked_sub(self.first_step())?;
        if self.class == WHOLE {
            return (step == 0 && self.live == 1).then_some(0);
        }
        // A shared span has at most 2^14 steps: the product is exact.
        let index = (step.min(1 << 14) * u64::from(self.reciprocal)) >> 32;
        let on_border = index * u64::from(self.steps) == step && index < u64::from(self.cells);
        (on_border && self.is_used(index as u16)).then_some(index as u16)
    }

    #[inline]
    fn range(&self, index: u16) -> std::ops::Range<usize> {
        let bytes = self.steps as usize * 16;
        let start = index as usize * bytes;
        start..start + bytes
    }

    fn take_free(&mut self) -> u16 {
        let word = self.used.iter().position(|&word| word != u64::MAX).expect("an open span has a free cell");
        let bit = self.used[word].trailing_ones();
        self.used[word] |= 1 << bit;
        self.live += 1;
        self.stuck = false;
        (word * 64) as u16 + bit as u16
    }

    fn put_free(&mut self, index: u16) {
        self.used[index as usize / 64] &= !(1 << (index % 64));
        self.live -= 1;
        self.stuck = false;
    }
}
