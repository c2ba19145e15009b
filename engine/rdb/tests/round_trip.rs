//! What was written is read: every kind of value, every version, around the thresholds, through small buffers.

use proptest::prelude::*;
use std::io::{BufReader, Read};
use thermocline_rdb::{
    About, Checksum, Duplicates, Element, HashField, Item, Kind, Options, Reader, Reason, ScoredMember, Settings,
    Thresholds, Value, ValueType, Version, Writer, payload,
};

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..12),
        2 => prop::collection::vec(0u8..3, 0..200),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => (-70_000i64..70_000).prop_map(|n| n.to_string().into_bytes()),
        1 => (60usize..70).prop_map(|length| vec![b'v'; length]),
    ]
}

fn distinct() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        prop::collection::btree_set(text(), 1..12),
        prop::collection::btree_set(any::<i64>().prop_map(|n| n.to_string().into_bytes()), 1..12),
        prop::collection::btree_set((0i64..40).prop_map(|n| n.to_string().into_bytes()), 1..12),
    ]
    .prop_map(|set| set.into_iter().collect())
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("a number", |score| !score.is_nan()),
        (-100i32..100).prop_map(f64::from),
        (-100i32..100).prop_map(|n| f64::from(n) / 8.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

fn hash(expiring: bool) -> impl Strategy<Value = Value> {
    let time = move || if expiring { prop::option::of(0..1u64 << 47).boxed() } else { Just(None).boxed() };
    distinct().prop_flat_map(move |fields| {
        let count = fields.len();
        (Just(fields), prop::collection::vec((text(), time()), count)).prop_map(|(fields, rest)| {
            let field = |(field, (value, expires_at_ms))| HashField { field, value, expires_at_ms };
            Value::Hash(fields.into_iter().zip(rest).map(field).collect())
        })
    })
}

fn value(expiring: bool) -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        prop::collection::vec(text(), 1..30).prop_map(Value::List),
        distinct().prop_map(Value::Set),
        hash(expiring),
        (distinct(), prop::collection::vec(score(), 12)).prop_map(|(members, scores)| {
            let scored = |(member, score)| ScoredMember { member, score };
            Value::SortedSet(members.into_iter().zip(scores).map(scored).collect())
        }),
    ]
}

/// Thresholds so low that small values stand on both sides.
fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), 0u64..12, 1usize..80, 0u64..12, prop_oneof![-5i32..0, 0i32..6]).prop_map(
        |(compress, entries, bytes, integers, list_listpack_size)| Settings {
            compress,
            thresholds: Thresholds {
                hash_listpack_entries_max: entries,
                hash_listpack_bytes_max: bytes,
                set_intset_entries_max: integers,
                set_listpack_entries_max: entries,
                set_listpack_bytes_max: bytes,
                sorted_set_listpack_entries_max: entries,
                sorted_set_listpack_bytes_max: bytes,
                list_listpack_size,
            },
        },
    )
}

/// In one order, and with the zero that a listpack keeps: what two equal values have in common.
fn normal(value: &Value) -> Value {
    let mut value = value.clone();
    match &mut value {
        Value::Set(members) => members.sort(),
        Value::Hash(fields) => fields.sort_by(|a, b| a.field.cmp(&b.field)),
        Value::SortedSet(members) => {
            members.sort_by(|a, b| a.member.cmp(&b.member));
            members.iter_mut().for_each(|one| one.score += 0.0);
        }
        _ => {}
    }
    value
}

fn about() -> impl Strategy<Value = About> {
    (prop::option::of(0..i64::MAX as u64), prop::option::of(any::<u64>()), prop::option::of(any::<u8>()))
        .prop_map(|(expires_at_ms, idle_seconds, frequency)| About { expires_at_ms, idle_seconds, frequency })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_payload_comes_back(
        (version, value) in (10u8..=12).prop_flat_map(|version| (Just(version), value(version == 12))),
        settings in settings(),
    ) {
        let version = Version::from_number(version).unwrap();
        let bytes = payload::encode(&value, version, &settings).unwrap();
        let value_type = ValueType::from_byte(bytes[0]).unwrap();
        prop_assert!(value_type.version_min() <= version.number(), "{value_type} in version {}", version.number());
        let decoded = payload::decode(&bytes, &Options::default()).unwrap();
        prop_assert_eq!(normal(&decoded), normal(&value));
        // And its bytes can be copied without being understood.
        let mut open = payload::Payload::open(&bytes, &Options::default()).unwrap();
        let mut raw = Vec::new();
        while let Some(more) = open.value().next_raw().unwrap() {
            raw.extend_from_slice(more);
        }
        open.end().unwrap();
        prop_assert_eq!(&raw, &bytes[1..bytes.len() - 10]);
    }

    #[test]
    fn a_file_comes_back_through_any_buffer(
        keys in prop::collection::vec((text(), about(), value(true), any::<bool>()), 0..8),
        settings in settings(),
        capacity in 1usize..100,
    ) {
        let mut writer = Writer::new(Vec::new(), Version::REDIS_7_4, settings.clone()).unwrap();
        writer.aux(b"redis-ver", b"7.4.0").unwrap();
        writer.function(b"#!lua name=f").unwrap();
        writer.module_aux(b"\x81\0\0\0\0\0\0\0\x01\x02\x02\x05\x03abc\x00").unwrap();
        writer.database(3).unwrap();
        writer.resize(keys.len() as u64, 1 << 40).unwrap();
        for (key, about, value, _) in &keys {
            writer.key(key, *about).unwrap().value(value).unwrap();
        }
        prop_assert_eq!(writer.offset() > 0, true);
        let file = writer.end().unwrap();

        let input = BufReader::with_capacity(capacity, &file[..]);
        let mut reader = Reader::with_buffered(input, Options::default()).unwrap();
        let mut copy = Writer::new(Vec::new(), Version::REDIS_7_4, settings).unwrap();
        let mut expected = keys.iter();
        let mut marks = Vec::new();
        while let Some(item) = reader.next().unwrap() {
            match item {
                Item::Aux { name, value } => {
                    marks.push("aux");
                    prop_assert_eq!((name, value), (&b"redis-ver"[..], &b"7.4.0"[..]));
                    copy.aux(name, value).unwrap();
                }
                Item::Function(source) => {
                    marks.push("function");
                    copy.function(source).unwrap();
                }
                Item::ModuleAux(raw) => {
                    marks.push("module");
                    copy.module_aux(raw).unwrap();
                }
                Item::Database(number) => copy.database(number).unwrap(),
                Item::Resize { keys, expiring } => copy.resize(keys, expiring).unwrap(),
                Item::Slot { .. } => prop_assert!(false, "no slot was written"),
                Item::Key(entry) => {
                    let (key, about, value, _) = expected.next().unwrap();
                    prop_assert_eq!((entry.key, entry.about), (&key[..], *about));
                    prop_assert_eq!(entry.value.kind(), value.kind());
                    copy.copy(entry.key, entry.about, entry.value).unwrap();
                }
            }
        }
        prop_assert_eq!(marks, ["aux", "function", "module"]);
        prop_assert!(expected.next().is_none());
        prop_assert_eq!(reader.checksum(), Some(Checksum::Verified));
        prop_assert_eq!(reader.offset(), file.len() as u64);
        prop_assert!(copy.end().unwrap() == file, "a copy is the file itself");

        // Read again, some values not at all, some only in part.
        let mut reader = Reader::new(&file[..], Options::default()).unwrap();
        let mut expected = keys.iter();
        while let Some(item) = reader.next().unwrap() {
            if let Item::Key(mut entry) = item {
                let (_, _, value, whole) = expected.next().unwrap();
                if *whole {
                    prop_assert_eq!(normal(&entry.value.into_value().unwrap()), normal(value));
                } else {
                    entry.value.next_element().unwrap();
                }
            }
        }
    }
}

fn numbered(count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| format!("element:{number}").into_bytes())
}

/// The type of value that a payload begins with.
fn type_of(value: &Value, version: Version) -> ValueType {
    let bytes = payload::encode(value, version, &Settings::default()).unwrap();
    ValueType::from_byte(bytes[0]).unwrap()
}

#[test]
fn the_thresholds_are_those_of_redis() {
    let new = Version::REDIS_7_2;
    let set = |count: u64| Value::Set(numbered(count).collect());
    let integers = |count: u64| Value::Set((0..count).map(|n| n.to_string().into_bytes()).collect());
    let long = |length: usize| vec![b'x'; length];
    assert_eq!(type_of(&integers(512), new), ValueType::SetIntset);
    assert_eq!(type_of(&integers(513), new), ValueType::Set);
    assert_eq!(type_of(&set(128), new), ValueType::SetListpack);
    assert_eq!(type_of(&set(129), new), ValueType::Set);
    assert_eq!(type_of(&set(1), Version::REDIS_7_0), ValueType::Set);
    assert_eq!(type_of(&Value::Set(vec![long(64)]), new), ValueType::SetListpack);
    assert_eq!(type_of(&Value::Set(vec![long(65)]), new), ValueType::Set);

    let field = |field, value| HashField { field, value, expires_at_ms: None };
    let hash = |count: u64| Value::Hash(numbered(count).map(|name| field(name, b"1".to_vec())).collect());
    assert_eq!(type_of(&hash(512), new), ValueType::HashListpack);
    assert_eq!(type_of(&hash(513), new), ValueType::Hash);
    assert_eq!(type_of(&Value::Hash(vec![field(long(64), long(64))]), new), ValueType::HashListpack);
    assert_eq!(type_of(&Value::Hash(vec![field(long(65), long(1))]), new), ValueType::Hash);
    assert_eq!(type_of(&Value::Hash(vec![field(long(1), long(65))]), new), ValueType::Hash);

    let scored = |member| ScoredMember { member, score: 1.0 };
    let sorted_set = |count: u64| Value::SortedSet(numbered(count).map(scored).collect());
    assert_eq!(type_of(&sorted_set(128), new), ValueType::SortedSetListpack);
    assert_eq!(type_of(&sorted_set(129), new), ValueType::SortedSet2);
    assert_eq!(type_of(&Value::SortedSet(vec![scored(long(65))]), new), ValueType::SortedSet2);

    let list = |count: u64| Value::List(numbered(count).collect());
    assert_eq!(type_of(&list(1), new), ValueType::ListQuicklist2);
    assert_eq!(type_of(&list(10_000), new), ValueType::ListQuicklist2);
    // More than is held back.
    assert_eq!(type_of(&list(100_000), new), ValueType::List);

    let expiring = |value| Value::Hash(vec![HashField { field: long(1), value, expires_at_ms: Some(5) }]);
    assert_eq!(type_of(&expiring(long(64)), Version::REDIS_7_4), ValueType::HashListpackExpiry);
    assert_eq!(type_of(&expiring(long(65)), Version::REDIS_7_4), ValueType::HashExpiry);
    let error = payload::encode(&expiring(long(1)), new, &Settings::default()).unwrap_err();
    assert!(matches!(error.reason, Reason::NeedsVersion { version: 11, .. }), "{error}");
}

#[test]
fn a_broken_promise_is_an_error_and_spoils_the_file() {
    let file = || Writer::new(Vec::new(), Version::REDIS_7_2, Settings::default()).unwrap();
    let mut writer = file();
    let mut set = writer.key(b"k", About::default()).unwrap().set(2).unwrap();
    set.member(b"a").unwrap();
    assert!(matches!(set.end().unwrap_err().reason, Reason::Count { claimed: 2, found: 1 }));

    let mut list = writer.key(b"k", About::default()).unwrap().list(1).unwrap();
    list.element(b"a").unwrap();
    assert!(matches!(list.element(b"b").unwrap_err().reason, Reason::Count { claimed: 1, found: 2 }));
    drop(list);

    // A table's rows are out already when the promise breaks: nothing more can be written.
    let mut hash = writer.key(b"k", About::default()).unwrap().hash(1000).unwrap();
    hash.field(b"f", b"v", None).unwrap();
    drop(hash);
    assert!(matches!(writer.end().unwrap_err().reason, Reason::Unfinished(ValueType::Hash)));

    let mut writer = file();
    assert!(matches!(writer.key(b"k", About::default()).unwrap().hash(0).err().unwrap().reason, Reason::Empty));
    let mut sorted_set = writer.key(b"k", About::default()).unwrap().sorted_set(1).unwrap();
    assert!(matches!(sorted_set.member(b"m", f64::NAN).unwrap_err().reason, Reason::BadScore(1)));
    drop(sorted_set);
    // A key that was given no value leaves nothing behind.
    writer.key(b"k", About::default()).unwrap();
    let file = writer.end().unwrap();
    let mut reader = Reader::new(&file[..], Options::default()).unwrap();
    assert!(reader.next().unwrap().is_none());
}

/// A table of a million fields, made as it is read.
struct Endless {
    left: u64,
    row: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.row.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.at = 0;
            self.row = [&b"\x08"[..], format!("{:08}", self.left).as_bytes(), b"\x03val"].concat();
        }
        let now = into.len().min(self.row.len() - self.at);
        into[..now].copy_from_slice(&self.row[self.at..self.at + now]);
        self.at += now;
        Ok(now)
    }
}

#[test]
fn a_collection_that_is_never_whole_in_memory_is_read_and_written() {
    const FIELDS: u32 = 300_000;
    let head = [&b"REDIS0011\xFE\x00\x04\x01h\x80"[..], &FIELDS.to_be_bytes()].concat();
    let input =
        head.chain(Endless { left: u64::from(FIELDS), row: Vec::new(), at: 0 }).chain(&b"\xFF\0\0\0\0\0\0\0\0"[..]);
    let options = Options { duplicates: Duplicates::LeaveToReceiver, ..Options::default() };
    let mut reader = Reader::new(input, options).unwrap();
    let mut writer = Writer::new(std::io::sink(), Version::REDIS_7_2, Settings::default()).unwrap();
    let mut fields = 0;
    while let Some(item) = reader.next().unwrap() {
        let Item::Key(mut entry) = item else { continue };
        let count = entry.value.count_ahead().unwrap().unwrap();
        assert_eq!((entry.value.kind(), count), (Kind::Hash, u64::from(FIELDS)));
        let mut hash = writer.key(entry.key, entry.about).unwrap().hash(count).unwrap();
        while let Some(element) = entry.value.next_element().unwrap() {
            let Element::Field { field, value, expires_at_ms } = element else { panic!("{element:?}") };
            hash.field(field, value, expires_at_ms).unwrap();
            fields += 1;
        }
        hash.end().unwrap();
    }
    writer.end().unwrap();
    assert_eq!(fields, FIELDS);
    assert_eq!(reader.checksum(), Some(Checksum::Absent));
}

#[test]
fn what_stands_behind_a_file_stays_in_the_input() {
    let writer = Writer::new(Vec::new(), Version::REDIS_7_2, Settings::default()).unwrap();
    let mut bytes = writer.end().unwrap();
    bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut reader = Reader::new(&bytes[..], Options::default()).unwrap();
    assert!(reader.next().unwrap().is_none());
    let mut rest = String::new();
    reader.into_inner().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "*1\r\n$4\r\nPING\r\n");
}

#[test]
fn times_of_all_ages_are_read() {
    let file = b"REDIS0003\xFD\x10\x27\0\0\x00\x01a\x01x\xFC\x05\0\0\0\0\0\0\0\xF8\x07\x00\x01b\x01y\xFC\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xF9\x09\x00\x01c\x01z\xFF";
    let mut reader = Reader::new(&file[..], Options::default()).unwrap();
    let mut met = Vec::new();
    while let Some(Item::Key(entry)) = reader.next().unwrap() {
        met.push((entry.key.to_vec(), entry.about));
    }
    let about = |expires_at_ms, idle_seconds, frequency| About { expires_at_ms, idle_seconds, frequency };
    let expected = [
        (b"a".to_vec(), about(Some(10_000_000), None, None)),
        (b"b".to_vec(), about(Some(5), Some(7), None)),
        (b"c".to_vec(), about(Some(0), None, Some(9))),
    ];
    assert_eq!(met, expected);
    assert_eq!(reader.checksum(), Some(Checksum::Absent));
}
