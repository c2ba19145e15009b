//! The bytes of one simulated file, as one observer sees them.
//!
//! Pages of 4 KiB behind `Arc`s: a page never written costs nothing, and the visible and the durable image of a file share the
//! pages in which they agree. Reads stop at the length; writes within it never fail.

use std::sync::Arc;

pub(super) const PAGE: usize = 4096;

#[derive(Clone, Default)]
pub(super) struct Image {
    length: u64,
    pages: Vec<Option<Arc<[u8; PAGE]>>>,
}

/// The piece of a range that lies in one page: the page, and the ranges in it and in the caller's bytes.
fn pieces(offset: u64, bytes: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let skip = (at % PAGE as u64) as usize;
        let count = (PAGE - skip).min(bytes - done);
        let piece = ((at / PAGE as u64) as usize, skip..skip + count, done..done + count);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl Image {
    pub(super) fn zeros(length: u64) -> Image {
        let mut image = Image::default();
        image.set_length(length);
        image
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn set_length(&mut self, length: u64) {
        self.pages.resize((length.div_ceil(PAGE as u64)) as usize, None);
        let tail = (length % PAGE as u64) as usize;
        if let (true, Some(Some(page))) = (length < self.length && tail > 0, self.pages.last_mut()) {
            Arc::make_mut(page)[tail..].fill(0);
        }
        self.length = length;
    }

    /// Copies what there is at `offset`, and says how much that was.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let bytes = self.length.saturating_sub(offset).min(into.len() as u64) as usize;
        for (page, within, outside) in pieces(offset, bytes) {
            match &self.pages[page] {
                Some(page) => into[outside].copy_from_slice(&page[within]),
                None => into[outside].fill(0),
            }
        }
        bytes
    }

    /// Writes, growing the file if needed.
    pub(super) fn write(&mut self, offset: u64, from: &[u8]) {
        self.reach(offset + from.len() as u64);
        for (page, within, outside) in pieces(offset, from.len()) {
            if within.len() == PAGE {
                let whole = from[outside].try_into().expect("a piece of a page's size");
                self.pages[page] = Some(Arc::new(whole));
            } else {
                self.page(page)[within].copy_from_slice(&from[outside]);
            }
        }
    }

    /// Takes over a range of another image, sharing whole pages.
    pub(super) fn take_over(&mut self, other: &Image, offset: u64, bytes: usize) {
        self.reach(offset + bytes as u64);
        let mut copy = [0; PAGE];
        for (page, within, _) in pieces(offset, bytes) {
            if within.len() == PAGE {
                self.pages[page].clone_from(&other.pages[page]);
            } else {
                let at = page as u64 * PAGE as u64 + within.start as u64;
                other.read(at, &mut copy[..within.len()]);
                let count = within.len();
                self.page(page)[within].copy_from_slice(&copy[..count]);
            }
        }
    }

    /// Flips the bits of `mask` in one byte inside the file.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        if offset < self.length {
            self.page((offset / PAGE as u64) as usize)[(offset % PAGE as u64) as usize] ^= mask;
        }
    }

    fn reach(&mut self, length: u64) {
        if length > self.length {
            self.set_length(length);
        }
    }

    fn page(&mut self, page: usize) -> &mut [u8; PAGE] {
        Arc::make_mut(self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_vector_of_bytes() {
        let mut random = super::super::random::Random::new(7);
        let (mut image, mut model) = (Image::default(), Vec::new());
        for step in 0..2_000u32 {
            let (offset, bytes) = (random.below(20_000) as usize, random.below(9_000) as usize + 1);
            if random.below(10) == 0 {
                model.resize(offset, 0);
                image.set_length(offset as u64);
            } else {
                let from = vec![step as u8; bytes];
                image.write(offset as u64, &from);
                model.resize(model.len().max(offset + bytes), 0);
                model[offset..offset + bytes].copy_from_slice(&from);
            }
            let mut all = vec![1; model.len() + 10];
            assert_eq!(image.read(0, &mut all), model.len());
            assert!(all[..model.len()] == model[..], "step {step}");
        }
    }

    #[test]
    fn a_range_taken_over_is_that_range_alone() {
        let mut from = Image::zeros(3 * PAGE as u64);
        from.write(0, &[1; 3 * PAGE]);
        let mut to = Image::zeros(3 * PAGE as u64);
        to.take_over(&from, 100, 2 * PAGE);
        let mut all = vec![9; 3 * PAGE];
        to.read(0, &mut all);
        assert!(all.iter().enumerate().all(|(at, &byte)| byte == u8::from((100..100 + 2 * PAGE).contains(&at))));
    }
}
