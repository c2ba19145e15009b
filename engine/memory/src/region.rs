//! The mapping: address space reserved once, handed out in runs of 16-KiB units.
//!
//! ```text
//!  base                                                        base + reserve
//!  | unit 0 | unit 1 | unit 2 | ...                            |
//!  '---- Span (2 units) ------'                                  place table: one u32 per unit, written by the heap that
//!                                                                owns the span, a hint that the heap itself checks
//! ```
//! Promises: a unit is in at most one [`Span`]; units in spans never exceed the limit when taken; pages of returned units go
//! back to the system at once, but for [`KEPT_UNITS_MAX`] that wait for the next taker.
//! Never: moves, zeroes on request, or calls the system while its lock is held on the common path.
//! Address space costs nothing (MAP_NORESERVE), so reserve about twice the limit: then runs of any length are found although
//! the free units are scattered.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use parking_lot::Mutex;

use crate::runs::{Run, Runs};

/// Bytes of one unit, the grain in which the region deals.
pub const UNIT_BYTES: usize = 16 * 1024;
/// The reservation is a multiple of this (the size of a huge page).
const RESERVE_STEP_BYTES: u64 = 2 * 1024 * 1024;
/// 16 TiB: a handle counts 16-byte steps in 40 bits.
const RESERVE_BYTES_MAX: u64 = 1 << 44;
/// Units that keep their pages after they were given back (1 MiB in all).
const KEPT_UNITS_MAX: u32 = 64;

/// The mapping and its free units. Shared by all heaps.
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
    free: Mutex<Free>,
    limit_bytes: AtomicU64,
    used_bytes: AtomicU64,
    /// Unit -> 1 + index of the span descriptor in the heap that owns it; 0 at first.
    places: Box<[AtomicU32]>,
}

#[derive(Debug)]
struct Free {
    runs: Runs,
    /// Runs whose pages are still there.
    kept: Vec<Run>,
    kept_units: u32,
    used_units: u32,
}

impl Region {
    /// Reserves address space, rounded up to a multiple of 2 MiB. No page is touched. The limit starts at the reservation.
    pub fn new(reserve_bytes: u64) -> io::Result<Arc<Region>> {
        let bytes = reserve_bytes.max(1).checked_next_multiple_of(RESERVE_STEP_BYTES).unwrap_or(u64::MAX);
        if bytes > RESERVE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot reserve {reserve_bytes} bytes of address space: the most is {RESERVE_BYTES_MAX}"),
            ));
        }
        let length = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let map = MmapRaw::from(MmapOptions::new().len(length).no_reserve_swap().map_anon()?);
        let units = u32::try_from(length / UNIT_BYTES).expect("16 TiB are 2^30 units");
        Ok(Arc::new(Region {
            map,
            free: Mutex::new(Free {
                runs: Runs::new(units),
                kept: Vec::with_capacity(KEPT_UNITS_MAX as usize),
                kept_units: 0,
                used_units: 0,
            }),
            limit_bytes: AtomicU64::new(bytes),
            used_bytes: AtomicU64::new(0),
            places: zeroed_places(units as usize),
        }))
    }

    /// A run of `units` consecutive units. `None` when the limit forbids it or no run is that long. The bytes are what the
    /// last owner left, or zero.
    pub fn take(self: &Arc<Self>, units: u32) -> Option<Span> {
        assert!(units > 0, "a span has at least one unit");
        let run = {
            let mut free = self.free.lock();
            let used_units = free.used_units.checked_add(units)?;
            if bytes_of(used_units) > self.limit_bytes.load(Ordering::Relaxed) {
                return None;
            }
            let run = match free.kept.iter().position(|run| run.units == units) {
                Some(at) => {
                    free.kept_units -= units;
                    free.kept.swap_remove(at)
                }
                None => match free.runs.take(units) {
                    Some(run) => run,
                    None => {
                        self.release_kept(&mut free);
                        free.runs.take(units)?
                    }
                },
            };
            free.used_units = used_units;
            self.used_bytes.store(bytes_of(used_units), Ordering::Relaxed);
            run
        };
        // SAFETY: the run lies inside the mapping (`runs` was built from its length), so the address is in bounds of one
        // allocation and not null.
        let start = unsafe { NonNull::new_unchecked(self.map.as_mut_ptr().add(run.first as usize * UNIT_BYTES)) };
        Some(Span { start, first: run.first, units: run.units, region: Arc::clone(self) })
    }

    /// Takes a span back; the same as dropping it. Calls the system, so do it outside any latch.
    pub fn give(&self, span: Span) {
        assert!(std::ptr::eq(self, &*span.region), "a span goes back to its own region");
        drop(span);
    }

    /// How many bytes may be out in spans.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Changes the limit. Below what is used it takes nothing away: `take` refuses until enough came back.
    pub fn set_limit_bytes(&self, limit_bytes: u64) {
        self.limit_bytes.store(limit_bytes, Ordering::Relaxed);
    }

    /// Bytes out in spans, those that heaps hold empty included.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of address space.
    pub fn reserved_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// The address of a byte offset, for a prefetch only: it may lie outside the mapping.
    pub(crate) fn address_hint(&self, offset: u64) -> *const u8 {
        self.map.as_ptr().wrapping_add(offset as usize)
    }

    /// What the owner of this unit wrote last. A hint: anybody may have written it, the reader checks.
    #[inline]
    pub(crate) fn place_of(&self, unit: u64) -> Option<u32> {
        self.places.get(usize::try_from(unit).ok()?)?.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Notes under which index the owner of `span` keeps it.
    pub(crate) fn set_place(&self, span: &Span, place: u32) {
        for unit in &self.places[span.first as usize..(span.first + span.units) as usize] {
            unit.store(place + 1, Ordering::Relaxed);
        }
    }

    fn put(&self, run: Run) {
        let keeps = {
            let mut free = self.free.lock();
            let keeps = free.kept_units + run.units <= KEPT_UNITS_MAX;
            if keeps {
                free.kept.push(run);
                free.kept_units += run.units;
                self.count_back(&mut free, run);
            }
            keeps
        };
        if !keeps {
            // The pages go before the units are free: afterwards they are somebody else's.
            self.release_pages(run);
            let mut free = self.free.lock();
            free.runs.put(run);
            self.count_back(&mut free, run);
        }
    }

    fn count_back(&self, free: &mut Free, run: Run) {
        free.used_units -= run.units;
        self.used_bytes.store(bytes_of(free.used_units), Ordering::Relaxed);
    }

    /// Address space is short: the kept runs join the free ones.
    fn release_kept(&self, free: &mut Free) {
        for run in std::mem::take(&mut free.kept) {
            self.release_pages(run);
            free.runs.put(run);
        }
        free.kept_units = 0;
    }

    fn release_pages(&self, run: Run) {
        let (offset, length) = (run.first as usize * UNIT_BYTES, run.units as usize * UNIT_BYTES);
        // SAFETY: MADV_DONTNEED turns the pages of this range to zeroes. The range is inside the mapping and belongs to no
        // span (its span is being dropped, or it is kept), so no reference to its bytes exists.
        let released = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
        // It fails only for locked pages; then they stay resident and are used again. Nothing is lost.
        debug_assert!(released.is_ok(), "madvise: {released:?}");
    }
}

/// Zero pages straight from the system: 4 bytes per unit, but only those that are written take memory.
fn zeroed_places(units: usize) -> Box<[AtomicU32]> {
    let zeros: *mut [u32] = Box::into_raw(vec![0_u32; units].into_boxed_slice());
    // SAFETY: the pointer comes from `Box::into_raw` just above, and `AtomicU32` has the size, alignment and valid bits of `u32`.
    unsafe { Box::from_raw(zeros as *mut [AtomicU32]) }
}

fn bytes_of(units: u32) -> u64 {
    u64::from(units) * UNIT_BYTES as u64
}

/// A run of units with one owner. Not `Clone`; goes back to its region when dropped or given.
#[derive(Debug)]
pub struct Span {
    start: NonNull<u8>,
    first: u32,
    units: u32,
    region: Arc<Region>,
}

// SAFETY: a span is the only owner of its bytes, like a `Box<[u8]>`; the pointer follows the token to another thread.
unsafe impl Send for Span {}
// SAFETY: through `&Span` the bytes can only be read; writing needs `&mut Span`.
unsafe impl Sync for Span {}

impl Span {
    /// How many units.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// How many bytes.
    pub fn len_bytes(&self) -> usize {
        self.units as usize * UNIT_BYTES
    }

    /// Where it lies in the region, in bytes from its start.
    pub(crate) fn offset_bytes(&self) -> u64 {
        bytes_of(self.first)
    }

    pub(crate) fn is_from(&self, region: &Arc<Region>) -> bool {
        Arc::ptr_eq(&self.region, region)
    }

    /// Its bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start .. start + len_bytes` lies in the mapping, which lives as long as `region`. The pages are anonymous,
        // so every byte is initialised. No other span has these units, and a writer needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len_bytes()) }
    }

    /// Its bytes, to write.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len_bytes()) }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.region.put(Run { first: self.first, units: self.units });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_beyond_the_limit_is_refused() {
        let region = Region::new(1 << 26).unwrap();
        region.set_limit_bytes(3 * UNIT_BYTES as u64);
        let span = region.take(2).unwrap();
        assert!(region.take(2).is_none());
        let one = region.take(1).unwrap();
        region.set_limit_bytes(UNIT_BYTES as u64);
        region.give(one);
        assert!(region.take(1).is_none(), "two units are out and the limit is one");
        region.give(span);
        assert_eq!(region.used_bytes(), 0);
        assert!(region.take(1).is_some());
    }

    #[test]
    fn a_dropped_span_goes_back() {
        let region = Region::new(1).unwrap();
        drop(region.take(128).unwrap());
        assert_eq!(region.used_bytes(), 0);
        assert!(region.take(128).is_some(), "2 MiB are 128 units, all free again");
    }

    #[test]
    fn scattered_kept_runs_join_when_a_long_run_is_wanted() {
        let region = Region::new(1).unwrap();
        let spans: Vec<Span> = (0..128).map(|_| region.take(1).unwrap()).collect();
        drop(spans);
        assert!(region.take(128).is_some());
    }

    #[test]
    fn pages_beyond_the_kept_ones_are_zero_again() {
        let region = Region::new(1 << 26).unwrap();
        let mut span = region.take(KEPT_UNITS_MAX + 1).unwrap();
        span.bytes_mut().fill(7);
        region.give(span);
        let span = region.take(KEPT_UNITS_MAX + 1).unwrap();
        assert!(span.bytes().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_reservation_beyond_forty_bits_is_an_error() {
        assert_eq!(Region::new(RESERVE_BYTES_MAX + 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
