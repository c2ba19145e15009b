//! Size classes: how large a cell is, and how long the spans are that it is cut from.
//!
//! | cells | step | span |
//! |---|---|---|
//! | 32 B .. 1 KiB | 16 B, then at most x1.125 | 1 unit |
//! | .. 64 KiB | at most x1.0625 | the length with the least waste at its end, short ones preferred |
//! | more | whole units | one cell |
//!
//! All sizes are multiples of 16. The table is made by the compiler; the tests hold it to the promises above.

use crate::region::UNIT_BYTES;

/// The smallest cell.
pub const CELL_BYTES_MIN: usize = 32;
/// The largest cell that shares a span.
pub(crate) const SHARED_BYTES_MAX: usize = 64 * 1024;
/// The live bits of a span are this many.
pub(crate) const CELLS_MAX: usize = 512;
/// The longest shared span, in units.
const SHARED_UNITS_MAX: usize = 16;
/// What one more unit must save, in 1/1024 of the span, to be worth it: longer spans stay half empty in small heaps.
const UNIT_COST: usize = 6;

/// Sizes of one class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Class {
    /// Bytes of a cell / 16.
    pub(crate) steps: u16,
    /// Units of a span.
    pub(crate) units: u8,
    /// Cells in a span.
    pub(crate) cells: u16,
}

impl Class {
    pub(crate) const fn cell_bytes(self) -> usize {
        self.steps as usize * 16
    }
}

/// Number of shared classes.
pub(crate) const CLASS_COUNT: usize = count_classes();
/// The shared classes, by size.
pub(crate) static CLASSES: [Class; CLASS_COUNT] = make_classes();
/// Bytes / 16, rounded up -> class.
static CLASS_OF_STEPS: [u8; SHARED_BYTES_MAX / 16 + 1] = make_lookup();

const fn next_size(bytes: usize) -> usize {
    let step = if bytes < 1024 { bytes / 8 } else { bytes / 16 };
    let step = step / 16 * 16;
    let next = bytes + if step < 16 { 16 } else { step };
    if next > SHARED_BYTES_MAX { SHARED_BYTES_MAX } else { next }
}

const fn count_classes() -> usize {
    let (mut count, mut bytes) = (1, CELL_BYTES_MIN);
    while bytes < SHARED_BYTES_MAX {
        bytes = next_size(bytes);
        count += 1;
    }
    count
}

const fn make_class(bytes: usize) -> Class {
    let (mut best_units, mut best_cost, mut units) = (0, usize::MAX, 1);
    while units <= SHARED_UNITS_MAX {
        let span = units * UNIT_BYTES;
        let cells = span / bytes;
        if cells > 0 && cells <= CELLS_MAX {
            let cost = (span - cells * bytes) * 1024 / span + units * UNIT_COST;
            if cost < best_cost {
                (best_units, best_cost) = (units, cost);
            }
        }
        units += 1;
    }
    Class { steps: (bytes / 16) as u16, units: best_units as u8, cells: (best_units * UNIT_BYTES / bytes) as u16 }
}

const fn make_classes() -> [Class; CLASS_COUNT] {
    let mut classes = [Class { steps: 0, units: 0, cells: 0 }; CLASS_COUNT];
    let (mut at, mut bytes) = (0, CELL_BYTES_MIN);
    while at < CLASS_COUNT {
        classes[at] = make_class(bytes);
        bytes = next_size(bytes);
        at += 1;
    }
    classes
}

const fn make_lookup() -> [u8; SHARED_BYTES_MAX / 16 + 1] {
    let classes = make_classes();
    let mut lookup = [0; SHARED_BYTES_MAX / 16 + 1];
    let (mut steps, mut class) = (0, 0);
    while steps < lookup.len() {
        if steps > classes[class].steps as usize {
            class += 1;
        }
        lookup[steps] = class as u8;
        steps += 1;
    }
    lookup
}

/// The class of a cell for `bytes`; `None` when it takes whole units.
#[inline]
pub(crate) fn class_of(bytes: usize) -> Option<usize> {
    CLASS_OF_STEPS.get(bytes.div_ceil(16)).map(|&class| class as usize)
}

/// Units of a cell that shares its span with nobody.
pub(crate) fn whole_units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).expect("a cell is smaller than the region")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_and_no_smaller_one() {
        for bytes in 0..=SHARED_BYTES_MAX {
            let class = class_of(bytes).unwrap();
            assert!(CLASSES[class].cell_bytes() >= bytes);
            assert!(class == 0 || CLASSES[class - 1].cell_bytes() < bytes);
        }
        assert_eq!(class_of(SHARED_BYTES_MAX + 1), None);
    }

    #[test]
    fn steps_between_classes_are_small() {
        for pair in CLASSES.windows(2) {
            let (small, large) = (pair[0].cell_bytes(), pair[1].cell_bytes());
            let limit = if small < 1024 { (small / 8).max(16) } else { small / 16 };
            assert!(large > small && large - small <= limit, "{small} -> {large}");
        }
    }

    #[test]
    fn spans_waste_little_at_their_end() {
        let mut total = 0.0;
        for class in &CLASSES {
            let span = class.units as usize * UNIT_BYTES;
            let waste = (span - class.cells as usize * class.cell_bytes()) as f64 / span as f64;
            total += waste;
            assert!(waste <= 0.07, "{class:?} wastes {waste:.3}");
            assert!(class.cell_bytes() > 2048 || (waste <= 0.03 && class.units <= 4), "{class:?} wastes {waste:.3}");
        }
        assert!(total / CLASS_COUNT as f64 <= 0.02, "mean waste {:.3}", total / CLASS_COUNT as f64);
    }
}
