//! Sizes of values: fixed, a range, a measured distribution, or a choice. And sizes as people write them: `4g`, `400`,
//! `100-1000`, all units powers of 1,024.
//!
//! A key's size is always the same: it follows from the key's number alone.

use super::quantiles::Quantiles;
use super::random::unit;
use crate::value::KeyId;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Largest value that is sent (Redis's own limit).
const VALUE_BYTES_MAX: u64 = 512 << 20;

/// A size that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not {wanted}")]
pub struct SizeError {
    text: String,
    wanted: &'static str,
}

/// Reads `123`, `8k`, `64mb`, `4GiB`.
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    let error = || SizeError { text: text.to_owned(), wanted: "a size such as 400, 8k, 64mb or 4g" };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| error())?;
    let shift = match text[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(error()),
    };
    number.checked_mul(1 << shift).ok_or_else(error)
}

/// How large the values are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueSizes {
    /// All the same.
    Fixed(u32),
    /// Uniform between two sizes, both included.
    Range {
        /// The smallest.
        smallest: u32,
        /// The largest.
        largest: u32,
    },
    /// A measured distribution.
    Quantiles(&'static Quantiles),
    /// One of these, each as often.
    Choices(&'static [u32]),
}

impl ValueSizes {
    /// The size of this key's value.
    pub fn of(self, key: KeyId) -> u32 {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Range { smallest, largest } => {
                let choices = u64::from(largest - smallest) + 1;
                smallest + (key.spread() % choices) as u32
            }
            Self::Quantiles(quantiles) => quantiles.at(unit(key.spread())).min(VALUE_BYTES_MAX as u32),
            Self::Choices(choices) => choices[(key.spread() % choices.len() as u64) as usize],
        }
    }

    /// Mean over all keys.
    pub fn mean(self) -> f64 {
        match self {
            Self::Fixed(bytes) => f64::from(bytes),
            Self::Range { smallest, largest } => f64::from(smallest).midpoint(f64::from(largest)),
            Self::Quantiles(quantiles) => quantiles.mean(),
            Self::Choices(choices) => choices.iter().map(|&bytes| f64::from(bytes)).sum::<f64>() / choices.len() as f64,
        }
    }
}

impl FromStr for ValueSizes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let (smallest, largest) = match text.split_once('-') {
            Some((smallest, largest)) => (parse_bytes(smallest)?, parse_bytes(largest)?),
            None => (parse_bytes(text)?, parse_bytes(text)?),
        };
        if smallest > largest || largest > VALUE_BYTES_MAX {
            return Err(SizeError {
                text: text.to_owned(),
                wanted: "a value size up to 512m, or a range such as 100-1000",
            });
        }
        let (smallest, largest) = (smallest as u32, largest as u32);
        Ok(if smallest == largest { Self::Fixed(smallest) } else { Self::Range { smallest, largest } })
    }
}

impl fmt::Display for ValueSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => write!(f, "{bytes} B"),
            Self::Range { smallest, largest } => write!(f, "{smallest}-{largest} B"),
            Self::Quantiles(quantiles) => {
                let (median, largest) = (quantiles.at(0.5), quantiles.at(1.0));
                write!(f, "median {median} B, mean {:.0} B, largest {largest} B", quantiles.mean())
            }
            Self::Choices(choices) => {
                let most = choices.iter().max().copied().unwrap_or(0);
                write!(f, "one of {} sizes up to {most} B", choices.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("400"), Ok(400));
        assert_eq!(parse_bytes("8k"), Ok(8_192));
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        for bad in ["", "k", "4x", "-1", "99999999999999t"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_gives_every_key_its_own_size_within_it() {
        let sizes: ValueSizes = "100-1k".parse().unwrap();
        let mut sum = 0.0;
        for key in (0..10_000).map(KeyId) {
            let size = sizes.of(key);
            assert!((100..=1_024).contains(&size));
            assert_eq!(size, sizes.of(key));
            sum += f64::from(size);
        }
        assert!((sum / 10_000.0 - sizes.mean()).abs() < 15.0);
        assert_eq!("400".parse::<ValueSizes>().unwrap().of(KeyId(9)), 400);
        assert!("9-1".parse::<ValueSizes>().is_err());
        assert!("1g".parse::<ValueSizes>().is_err());
    }

    #[test]
    fn choices_come_equally_often() {
        let sizes = ValueSizes::Choices(&[10, 20, 40]);
        for choice in [10, 20, 40] {
            let count = (0..9_000).filter(|&key| sizes.of(KeyId(key)) == choice).count();
            assert!((2_800..3_200).contains(&count), "{choice}: {count}");
        }
        assert!((sizes.mean() - 70.0 / 3.0).abs() < 1e-9);
    }
}
