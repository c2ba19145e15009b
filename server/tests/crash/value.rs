//! Values that say what they are: each can be rebuilt from its key and its stamp, so a wrong byte anywhere is seen.

use std::fmt::Write;

/// Bytes of most values; one in 16 is ten times, one in 512 five hundred times as long (beyond 256 KiB: extents).
const BYTES_MIN: u64 = 400;

/// The number that SplitMix64 makes of another.
pub fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// From this number on the keys of a writer are fields of its hash: a collection far larger than one record.
pub const FIELDS_FROM: usize = 4500;

/// The key of a writer, or the field of its hash.
pub fn key(writer: usize, number: usize) -> String {
    let letter = if number < FIELDS_FROM { 'k' } else { 'f' };
    format!("w{writer}:{letter}{number}")
}

/// The value that this key has with this stamp.
pub fn value(key: &str, stamp: u64) -> Vec<u8> {
    let mut text = format!("{key}#{stamp}#");
    let seed = mixed(stamp ^ key.len() as u64);
    let length = match seed % 512 {
        // A field is short: a leaf has several.
        chance if key.contains(":f") => 30 + chance,
        0 => BYTES_MIN * 700,
        chance if chance < 32 => BYTES_MIN * 10 + seed % 8192,
        _ => BYTES_MIN + seed % 2048,
    };
    let mut word = seed;
    while (text.len() as u64) < length {
        word = mixed(word);
        let _ = write!(text, "{word:016x}");
    }
    text.into_bytes()
}

/// The stamp of a value, if it is a value of this key to the last byte.
pub fn stamp(key: &str, bytes: &[u8]) -> Result<u64, String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
    let stamp = head.strip_prefix(key).and_then(|rest| rest.strip_prefix('#')?.split('#').next()?.parse().ok());
    let stamp = stamp.ok_or_else(|| format!("{key} holds {} bytes of something else: {head}", bytes.len()))?;
    if value(key, stamp) == bytes { Ok(stamp) } else { Err(format!("{key} with stamp {stamp} has wrong bytes")) }
}
