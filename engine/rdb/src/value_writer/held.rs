//! Strings held back until it is known how they are written: one buffer, not one allocation each.
//!
//! Promises: strings come back in the order they were pushed. Never: bounds itself; its users do, by
//! [`Held::bytes`].

#[derive(Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Held {
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Memory held, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }
}
