//! CRC-64 as Redis has it (Jones's polynomial): over a file up to its checksum, over a payload up to its own.
//!
//! Promises: the sum of "123456789" is `E9C6D914C4B8D9CA`, as Redis's.
//! Never: its own tables; the `crc` crate has them.

use crc::{CRC_64_REDIS, Crc, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

pub(crate) struct Digest(crc::Digest<'static, u64, Table<16>>);

impl Digest {
    pub(crate) fn new() -> Digest {
        Digest(CRC.digest())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.clone().finalize()
    }
}

/// The sum of these bytes.
pub(crate) fn of(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_one_of_redis() {
        assert_eq!(of(b"123456789"), 0xE9C6_D914_C4B8_D9CA);
        let mut digest = Digest::new();
        digest.update(b"1234");
        digest.update(b"56789");
        assert_eq!(digest.sum(), of(b"123456789"));
    }
}
