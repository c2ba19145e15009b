//! Payloads as newer servers made them, kept because no server in CI makes them: hashes whose fields expire.
//!
//! Each is `HSET t a 1 b 2 c x`, then `HPEXPIREAT t 1900000000123 FIELDS 1 b` and `... 1900000000999 FIELDS 1 a`.

use thermocline_rdb::{HashField, Options, Settings, Value, ValueType, Version, payload};

const REDIS_8_0_6_LISTPACK: &str = "197b38d360ba0100002d2d00000009008162020201f47b38d360ba010000098161020101f4e73bd360ba\
     010000098163028178020001ff0c00abe1190e26a28714";
const REDIS_8_0_6_TABLE: &str = "187b38d360ba010000030001630178010162c002436d0161c0010c001554daf6f25bb84a";
const VALKEY_9_1_2: &str =
    "16030161c001e73bd360ba0100000162c0027b38d360ba01000001630178ffffffffffffffff5000927ec910f6d78b6c";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn hashes_whose_fields_expire_are_read_in_all_three_layouts() {
    let field =
        |field: &str, value: &str, expires_at_ms| HashField { field: field.into(), value: value.into(), expires_at_ms };
    let expected =
        [field("a", "1", Some(1_900_000_000_999)), field("b", "2", Some(1_900_000_000_123)), field("c", "x", None)];
    let layouts = [
        (REDIS_8_0_6_LISTPACK, ValueType::HashListpackExpiry),
        (REDIS_8_0_6_TABLE, ValueType::HashExpiry),
        (VALKEY_9_1_2, ValueType::HashExpiryDraft),
    ];
    for (hex, value_type) in layouts {
        let bytes = bytes(hex);
        let mut open = payload::Payload::open(&bytes, &Options::default()).unwrap();
        assert_eq!(open.value().value_type(), value_type);
        let Value::Hash(mut fields) = payload::decode(&bytes, &Options::default()).unwrap() else { panic!("a hash") };
        fields.sort_by(|a, b| a.field.cmp(&b.field));
        assert_eq!(fields, expected, "{value_type}");
    }
}

#[test]
fn a_listpack_with_times_is_written_as_redis_writes_it() {
    let theirs = bytes(REDIS_8_0_6_LISTPACK);
    let value = payload::decode(&theirs, &Options::default()).unwrap();
    let settings = Settings { compress: false, ..Settings::default() };
    assert_eq!(payload::encode(&value, Version::REDIS_7_4, &settings).unwrap(), theirs);
}
