//! Amounts of bytes as people write them: `64mb`, `1gb`, as in redis.conf.
//!
//! Promises: `1k` is 1000 and `1kb` is 1024. Never: a fraction.

/// For clap: bytes meant by a text.
///
/// # Errors
/// In words: it is no amount.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: Option<u64> = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" => Some(1000),
        "kb" => Some(1 << 10),
        "m" => Some(1_000_000),
        "mb" => Some(1 << 20),
        "g" => Some(1_000_000_000),
        "gb" => Some(1 << 30),
        "t" => Some(1_000_000_000_000),
        "tb" => Some(1 << 40),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| format!("'{text}' is no amount of bytes (64mb, 1gb, ...)"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn amounts_are_read_as_in_redis_conf() {
        assert_eq!(
            [parse("10"), parse("1k"), parse("1KB"), parse("2gb")].map(Result::unwrap),
            [10, 1000, 1024, 2 << 30]
        );
        for wrong in ["", "mb", "1.5gb", "1 mb", "99999999tb", "-1"] {
            parse(wrong).unwrap_err();
        }
    }
}
