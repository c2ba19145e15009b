//! LZF, the compression of strings in RDB: a small decoder and a small encoder of our own.
//!
//! A run of commands, each either bytes as they are or a copy of earlier output:
//!
//! ```text
//!   000LLLLL <L + 1 bytes>                      the bytes themselves, 1 to 32 of them
//!   LLLooooo oooooooo                           L = 1..6: copy L + 2 bytes from o + 1 bytes back
//!   111ooooo LLLLLLLL oooooooo                  copy L + 9 bytes from o + 1 bytes back
//! ```
//!
//! A copy may overlap its own output: `02 61 62 63  E0 0A 02` is "abc", then 19 bytes from three back: "abcabcabc...".
//!
//! Why our own: the crate that RDB readers use is marked as deprecated by its author; it and the youngest one both
//! allocate what the file claims, or want it allocated. The format is these three lines.
//!
//! Promises: what was encoded is decoded; damaged bytes are an error; the decoder's output never grows beyond the claimed
//! length, and a claim that these bytes cannot reach (three bytes make at most 264) is refused before anything is
//! allocated. The encoder's work is one look-up per byte.
//! Never: looks for the best match; it takes the last one, as Redis does.

/// The furthest that a copy reaches back.
const DISTANCE_MAX: usize = 1 << 13;
/// The longest copy, the shortest that pays, the longest literal.
const COPY_BYTES_MAX: usize = 7 + 255 + 2;
const COPY_BYTES_MIN: usize = 3;
const LITERAL_BYTES_MAX: usize = 32;
/// The three bytes of the longest copy make 264: no input makes more per byte.
const BYTES_PER_BYTE_MAX: u64 = COPY_BYTES_MAX as u64 / 3;

const TABLE_BITS: u32 = 13;

/// Whether `packed_bytes` of input could decode to `bytes` at all.
pub(crate) fn is_possible(packed_bytes: u64, bytes: u64) -> bool {
    bytes <= packed_bytes.saturating_mul(BYTES_PER_BYTE_MAX)
}

/// Decodes all of `packed` behind what `into` holds. It must be exactly `bytes` long.
pub(crate) fn decode(packed: &[u8], bytes: usize, into: &mut Vec<u8>) -> Result<(), &'static str> {
    const ENDS_EARLY: &str = "they end inside a command";
    if !is_possible(packed.len() as u64, bytes as u64) {
        return Err("they are too few for the length they claim");
    }
    let start = into.len();
    into.reserve(bytes);
    let mut rest = packed;
    while let [control, after @ ..] = rest {
        let control = usize::from(*control);
        let made = into.len() - start;
        if control < LITERAL_BYTES_MAX {
            let (literal, after) = after.split_at_checked(control + 1).ok_or(ENDS_EARLY)?;
            if made + literal.len() > bytes {
                return Err("they are more than the length they claim");
            }
            into.extend_from_slice(literal);
            rest = after;
            continue;
        }
        let (length, low, after) = match (control >> 5, after) {
            (7, [more, low, after @ ..]) => (7 + usize::from(*more) + 2, *low, after),
            (short, [low, after @ ..]) if short < 7 => (short + 2, *low, after),
            _ => return Err(ENDS_EARLY),
        };
        let distance = ((control & 0x1F) << 8 | usize::from(low)) + 1;
        if distance > made {
            return Err("a copy begins before the first byte");
        }
        if made + length > bytes {
            return Err("they are more than the length they claim");
        }
        copy_back(into, distance, length);
        rest = after;
    }
    if into.len() - start == bytes { Ok(()) } else { Err("they are fewer than the length they claim") }
}

/// Appends `length` bytes from `distance` back, which may reach into what is being appended.
fn copy_back(into: &mut Vec<u8>, distance: usize, length: usize) {
    let from = into.len() - distance;
    let mut left = length;
    // Each round doubles what can be copied at once.
    while left > 0 {
        let now = left.min(into.len() - from);
        into.extend_from_within(from..from + now);
        left -= now;
    }
}

/// An encoder with its table of last places, kept from string to string.
pub(crate) struct Encoder {
    /// For a hash of three bytes: where they were last seen, plus `base`. Below `base`: in an earlier string.
    table: Vec<u32>,
    base: u32,
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder { table: Vec::new(), base: 1 }
    }

    /// Encodes `plain` into `into`, which is emptied first. False, with rubbish in `into`, if that would take more than
    /// `bytes_max` bytes, or if `plain` is too long for the format's users (2^31).
    pub(crate) fn encode(&mut self, plain: &[u8], bytes_max: usize, into: &mut Vec<u8>) -> bool {
        into.clear();
        let Some(next_base) = u32::try_from(plain.len()).ok().filter(|length| *length < 1 << 31) else {
            return false;
        };
        if self.table.is_empty() || self.base.checked_add(next_base).is_none() {
            self.table.clear();
            self.table.resize(1 << TABLE_BITS, 0);
            self.base = 1;
        }
        let mut at = 0;
        let mut literal_from = 0;
        while at + COPY_BYTES_MIN <= plain.len() {
            let place = &mut self.table[hash(&plain[at..at + COPY_BYTES_MIN])];
            let seen = std::mem::replace(place, self.base + at as u32);
            let Some(from) = seen.checked_sub(self.base).map(|from| from as usize) else {
                at += 1;
                continue;
            };
            let distance = at - from;
            if distance > DISTANCE_MAX || plain[from..from + COPY_BYTES_MIN] != plain[at..at + COPY_BYTES_MIN] {
                at += 1;
                continue;
            }
            let limit = (plain.len() - at).min(COPY_BYTES_MAX);
            let same = plain[from..].iter().zip(&plain[at..at + limit]).take_while(|(a, b)| a == b).count();
            put_literals(&plain[literal_from..at], into);
            put_copy(distance, same, into);
            if into.len() > bytes_max {
                break;
            }
            // The last place inside the copy is remembered too: runs are found again from their end.
            at += same;
            literal_from = at;
            if at + 1 < plain.len() && same > COPY_BYTES_MIN {
                self.table[hash(&plain[at - 2..at + 1])] = self.base + at as u32 - 2;
            }
        }
        self.base += next_base;
        if into.len() > bytes_max || into.len() + plain.len() - literal_from.min(plain.len()) > bytes_max {
            return false;
        }
        put_literals(&plain[literal_from..], into);
        into.len() <= bytes_max
    }
}

fn hash(three: &[u8]) -> usize {
    let word = u32::from(three[0]) | u32::from(three[1]) << 8 | u32::from(three[2]) << 16;
    (word.wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS)) as usize
}

fn put_literals(bytes: &[u8], into: &mut Vec<u8>) {
    for run in bytes.chunks(LITERAL_BYTES_MAX) {
        into.push(run.len() as u8 - 1);
        into.extend_from_slice(run);
    }
}

fn put_copy(distance: usize, length: usize, into: &mut Vec<u8>) {
    let back = distance - 1;
    let length = length - 2;
    if length < 7 {
        into.push((length << 5 | back >> 8) as u8);
    } else {
        into.push((7 << 5 | back >> 8) as u8);
        into.push((length - 7) as u8);
    }
    into.push(back as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngCore, SeedableRng};

    fn decoded(packed: &[u8], bytes: usize) -> Result<Vec<u8>, &'static str> {
        let mut plain = Vec::new();
        decode(packed, bytes, &mut plain)?;
        Ok(plain)
    }

    #[test]
    fn the_drawing_is_right() {
        let repeated = b"abc".repeat(8);
        assert_eq!(decoded(b"\x02abc\xE0\x0A\x02", 22).unwrap(), repeated[..22]);
        assert_eq!(decoded(b"\x00a\x20\x00", 4).unwrap(), b"aaaa");
    }

    #[test]
    fn damage_is_an_error() {
        for (packed, bytes) in [
            (&b"\x02ab"[..], 3),         // ends inside a literal
            (b"\x00a\x20", 4),           // ends inside a copy
            (b"\x00a\xE0\x00", 10),      // ends inside a long copy
            (b"\x00a\x20\x01", 4),       // reaches before the first byte
            (b"\x20\x00", 3),            // nothing to copy
            (b"\x00a\x20\x00", 3),       // more than claimed
            (b"\x00a\x20\x00", 5),       // fewer than claimed
            (b"\x02abc", 2),             // a literal beyond the claim
            (b"", 1),                    // nothing
            (b"\x00a\x20\x00", 1 << 40), // a claim that cannot be
        ] {
            decoded(packed, bytes).expect_err(&packed.escape_ascii().to_string());
        }
        assert_eq!(decoded(b"", 0).unwrap(), b"");
    }

    #[test]
    fn repetition_becomes_small_and_noise_does_not_grow() {
        let mut encoder = Encoder::new();
        let mut packed = Vec::new();
        assert!(encoder.encode(&[7; 100_000], 99_996, &mut packed));
        assert!(packed.len() < 1300, "{} bytes", packed.len());
        assert_eq!(decoded(&packed, 100_000).unwrap(), [7; 100_000]);
        let mut noise = [0; 4000];
        SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
        assert!(!encoder.encode(&noise, noise.len() - 4, &mut packed));
        assert!(packed.len() <= noise.len() + 300);
    }

    #[test]
    fn a_table_of_earlier_strings_is_not_believed() {
        let mut encoder = Encoder::new();
        let mut packed = Vec::new();
        for round in 0..50u8 {
            let plain: Vec<u8> = (0..300).map(|n| (n % 7) as u8 + round).collect();
            assert!(encoder.encode(&plain, plain.len(), &mut packed));
            assert_eq!(decoded(&packed, plain.len()).unwrap(), plain);
        }
        // The places run out of 32 bits: the table is begun anew.
        encoder.base = u32::MAX - 100;
        assert!(encoder.encode(&[1; 300], 300, &mut packed));
        assert_eq!(decoded(&packed, 300).unwrap(), [1; 300]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            plains in prop::collection::vec(prop::collection::vec(0u8..4, 0..2000), 1..4),
        ) {
            let mut encoder = Encoder::new();
            let mut packed = Vec::new();
            for plain in plains {
                if encoder.encode(&plain, plain.len() + 100, &mut packed) {
                    prop_assert_eq!(decoded(&packed, plain.len()).unwrap(), plain);
                }
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(packed: Vec<u8>, bytes in 0usize..5000) {
            if let Ok(plain) = decoded(&packed, bytes) {
                prop_assert_eq!(plain.len(), bytes);
            }
        }
    }
}
