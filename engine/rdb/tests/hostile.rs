//! Foreign bytes: cut, changed, invented, with a right checksum so that everything behind it is reached. They give an
//! answer or an error, and what is accepted can be written and read again.

mod ziplist;

use crc::{CRC_64_REDIS, Crc};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use thermocline_rdb::{About, Item, Options, Reader, Reason, Settings, Value, ValueType, Version, Writer, payload};
use ziplist::ziplist;

const SUM: Crc<u64> = Crc::<u64>::new(&CRC_64_REDIS);

fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [body, &version.to_le_bytes()].concat();
    let sum = SUM.checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// A listpack of short elements given as head and bytes.
fn listpack(elements: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    for element in elements {
        bytes.extend_from_slice(element);
        bytes.push(element.len() as u8);
    }
    bytes.push(0xFF);
    bytes[0] = bytes.len() as u8;
    bytes[4] = elements.len() as u8;
    bytes
}

/// One body, type byte included, of every layout there is.
fn bodies() -> Vec<Vec<u8>> {
    let time = 1_900_000_000_000u64.to_le_bytes();
    let packed = |value_type: u8, head: &[u8], blob: &[u8]| [&[value_type], head, &[blob.len() as u8], blob].concat();
    let pair = listpack(&[b"\x0C", b"\x82ab"]);
    let old_pair = ziplist(&[b"\xF4", b"\x02ab"]);
    let triples = listpack(&[b"\x81a", b"\x01", b"\x05", b"\x81b", b"\x01", b"\x00"]);
    let node = listpack(&[
        b"\x01", b"\x00", b"\x01", b"\x81f", b"\x00", // one entry, none deleted, one field, its name
        b"\x02", b"\x00", b"\x00", b"\x81v", b"\x04", // the entry: the same fields
    ]);
    let stream = |value_type: u8, totals: &[u8], group: &[u8], consumer: &[u8]| {
        let id = [7u8; 16];
        let nodes = [&[value_type, 1, 16], &id[..], &[node.len() as u8], &node, &[1, 5, 0], totals].concat();
        let group = [&b"\x01\x01g\x05\x00"[..], group, &[1], &id, &time, &[1]].concat();
        let consumer = [&b"\x01\x01c"[..], &time, consumer, &[1], &id].concat();
        [nodes, group, consumer].concat()
    };
    vec![
        b"\x00\x03abc".to_vec(),
        b"\x00\xC1\x39\x30".to_vec(),
        b"\x00\xC3\x04\x04\x00a\x20\x00".to_vec(),
        b"\x01\x02\x01a\xC0\x01".to_vec(),
        b"\x02\x02\x01a\xC0\x01".to_vec(),
        b"\x03\x02\x01a\x031.5\x01b\xFE".to_vec(),
        b"\x04\x02\x01a\x01x\x01b\x01y".to_vec(),
        [&b"\x05\x01\x01a"[..], &1.5f64.to_le_bytes()].concat(),
        b"\x07\x81\0\0\0\0\0\0\0\x01\x01\x05\x02\x07\x03abcd\x04abcdefgh\x05\x02ab\x00".to_vec(),
        packed(9, b"", b"\x01\x01a\x02\x01bc\xEE\xFF"),
        packed(10, b"", &old_pair),
        packed(11, b"", b"\x02\0\0\0\x03\0\0\0\xFF\xFF\x02\0\x03\0"),
        packed(12, b"", &ziplist(&[b"\x02ab", b"\xF4"])),
        packed(13, b"", &old_pair),
        packed(14, b"\x01", &old_pair),
        stream(15, b"", b"", b""),
        packed(16, b"", &pair),
        packed(17, b"", &listpack(&[b"\x82ab", b"\x0C"])),
        [packed(18, b"\x02\x02", &pair), b"\x01\x05plain".to_vec()].concat(),
        stream(19, b"\x05\0\0\0\x01", b"\x01", b""),
        packed(20, b"", &pair),
        stream(21, b"\x05\0\0\0\x01", b"\x01", &time),
        b"\x16\x02\x00\x01a\x01x\x05\x01b\x01y".to_vec(),
        packed(23, b"", &triples),
        [&b"\x18"[..], &time, b"\x02\x00\x01a\x01x\x05\x01b\x01y"].concat(),
        packed(25, &time, &triples),
    ]
}

#[test]
fn every_layout_is_read_and_every_cut_is_an_error() {
    let mut types = Vec::new();
    for body in bodies() {
        types.push(ValueType::from_byte(body[0]).unwrap());
        let value = payload::decode(&sealed(&body, 12), &Options::default())
            .unwrap_or_else(|error| panic!("type {}: {error}", body[0]));
        assert_eq!(value.kind(), ValueType::from_byte(body[0]).unwrap().kind());
        for cut in 1..body.len() {
            let error = payload::decode(&sealed(&body[..cut], 12), &Options::default()).unwrap_err();
            assert!(error.offset <= cut as u64, "type {} cut at {cut}: {error}", body[0]);
        }
    }
    types.dedup();
    let readable: Vec<ValueType> = ValueType::ALL.iter().copied().filter(|one| *one != ValueType::Module).collect();
    assert_eq!(types, readable, "one body of every layout");
}

fn mutate(body: &mut Vec<u8>, chance: &mut SmallRng) {
    for _ in 0..chance.random_range(1..4) {
        let at = chance.random_range(0..body.len());
        match chance.random_range(0..6) {
            0 => body[at] ^= 1 << chance.random_range(0..8),
            1 => body[at] = chance.random(),
            2 => body[at] = [0, 1, 0x3F, 0x7F, 0x80, 0x81, 0xC3, 0xF0, 0xFE, 0xFF][chance.random_range(0..10)],
            3 => body.insert(at, chance.random()),
            4 if body.len() > 1 => drop(body.remove(at)),
            _ => {
                let to = chance.random_range(0..body.len());
                let from = at.min(to)..at.max(to);
                let part = body[from].to_vec();
                body.extend(part);
            }
        }
    }
}

#[test]
fn changed_payloads_give_an_answer_or_an_error_and_answers_can_be_written() {
    let mut chance = SmallRng::seed_from_u64(7);
    let bodies = bodies();
    let (mut answers, mut errors) = (0, 0);
    for round in 0..60_000 {
        let mut body = bodies[round % bodies.len()].clone();
        mutate(&mut body, &mut chance);
        match payload::decode(&sealed(&body, 12), &Options::default()) {
            Err(error) => {
                errors += 1;
                assert!(error.offset <= body.len() as u64, "{error}");
            }
            Ok(value) => {
                answers += 1;
                let again = payload::encode(&value, Version::REDIS_7_4, &Settings::default()).unwrap();
                let back = payload::decode(&again, &Options::default()).unwrap();
                assert_eq!(back.kind(), value.kind());
                assert_eq!(elements(&back), elements(&value));
            }
        }
    }
    assert!(answers > 1000 && errors > 1000, "{answers} answers, {errors} errors");
}

fn elements(value: &Value) -> usize {
    match value {
        Value::String(bytes) => bytes.len(),
        Value::List(elements) | Value::Set(elements) => elements.len(),
        Value::Hash(fields) => fields.len(),
        Value::SortedSet(members) => members.len(),
        Value::Stream(raw) | Value::Module(raw) => raw.bytes().len(),
    }
}

/// Reads all of it, as far as it goes.
fn read(file: &[u8]) -> Result<usize, Reason> {
    let mut reader = Reader::new(file, Options::default()).map_err(|error| error.reason)?;
    let mut items = 0;
    loop {
        match reader.next() {
            Ok(None) => return Ok(items),
            Ok(Some(Item::Key(entry))) if items % 2 == 0 => {
                entry.value.into_value().map_err(|error| error.reason)?;
            }
            Ok(Some(_)) => {}
            Err(error) => return Err(error.reason),
        }
        items += 1;
    }
}

#[test]
fn changed_and_cut_files_give_an_answer_or_an_error() {
    let mut writer = Writer::new(Vec::new(), Version::REDIS_7_4, Settings::default()).unwrap();
    writer.aux(b"redis-ver", b"7.2.4").unwrap();
    writer.database(0).unwrap();
    writer.resize(30, 0).unwrap();
    for (number, body) in bodies().into_iter().enumerate() {
        let value = payload::decode(&sealed(&body, 12), &Options::default()).unwrap();
        let about = About { expires_at_ms: (number % 3 == 0).then_some(5), ..About::default() };
        writer.key(format!("key:{number}").as_bytes(), about).unwrap().value(&value).unwrap();
    }
    let file = writer.end().unwrap();
    assert!(read(&file).unwrap() > 25);
    for cut in 0..file.len() {
        assert!(matches!(read(&file[..cut]), Err(Reason::Truncated | Reason::NotRdb)), "cut at {cut}");
    }
    let mut chance = SmallRng::seed_from_u64(8);
    for _ in 0..20_000 {
        let mut changed = file[..file.len() - 8].to_vec();
        mutate(&mut changed, &mut chance);
        // No checksum, so that only the rules of the format stand in the way.
        changed.extend_from_slice(&[0; 8]);
        drop(read(&changed));
    }
    // One changed byte, and the checksum as it was: never accepted.
    for at in 9..file.len() - 8 {
        let mut changed = file.clone();
        changed[at] ^= 0x20;
        read(&changed).expect_err("a changed byte");
    }
}

#[test]
fn random_bytes_give_an_answer_or_an_error() {
    let mut chance = SmallRng::seed_from_u64(9);
    let mut body = Vec::new();
    for _ in 0..60_000 {
        body.resize(chance.random_range(1..60), 0);
        chance.fill_bytes(&mut body);
        body[0] %= 27;
        drop(payload::decode(&sealed(&body, 12), &Options::default()));
        drop(read(&[b"REDIS0012", &body[..]].concat()));
    }
}

#[test]
fn claims_cost_nothing() {
    // Counts and lengths near 2^64 and 2^32, in every place where one can stand.
    let huge = b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
    let large = b"\x80\x1F\xFF\xFF\xFF";
    let mut errors = 0;
    for value_type in 0..26u8 {
        for claim in [&huge[..], &large[..]] {
            for before in [&b""[..], &[0; 8], b"\x01", b"\x01\x02", b"\xC3", b"\xC3\x01"] {
                let body = [&[value_type], before, claim, b"\x01a\x01b"].concat();
                // A number can also be a time, and the rest a value.
                match payload::decode(&sealed(&body, 12), &Options::default()) {
                    Ok(value) => assert_eq!(elements(&value), 1, "{value:?}"),
                    Err(_) => errors += 1,
                }
            }
        }
    }
    assert!(errors > 300, "{errors} errors");
}

#[test]
fn a_small_payload_cannot_become_a_large_value() {
    // 4 MiB of zeros are about 48 KiB of LZF; the limit is looked at before anything is decoded.
    let body = payload::encode(&Value::String(vec![0; 4 << 20]), Version::REDIS_7_2, &Settings::default()).unwrap();
    assert!(body.len() < 50_000);
    let options = Options { string_bytes_max: (4 << 20) - 1, ..Options::default() };
    let error = payload::decode(&body, &options).unwrap_err();
    assert!(matches!(error.reason, Reason::StringTooLong { bytes: 0x40_0000, bytes_max: 0x3F_FFFF }), "{error}");
}

#[test]
fn a_million_empty_nodes_do_not_nest_calls() {
    let mut body = b"\x12\x80\x00\x0F\x42\x40".to_vec();
    for _ in 0..1_000_000 {
        body.extend_from_slice(b"\x02\x07\x07\0\0\0\0\0\xFF");
    }
    let error = payload::decode(&sealed(&body, 12), &Options::default()).unwrap_err();
    assert!(matches!(error.reason, Reason::Empty), "{error}");
}

#[test]
fn an_empty_value_does_not_end_the_file_for_who_wants_to_go_on() {
    let file = b"REDIS0011\xFE\x00\x02\x01e\x00\x00\x01k\x01v\xFF\0\0\0\0\0\0\0\0";
    for read_it in [true, false] {
        let mut reader = Reader::new(&file[..], Options::default()).unwrap();
        let mut keys = Vec::new();
        let mut empty = 0;
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(Item::Key(entry))) => {
                    keys.push(entry.key.to_vec());
                    if read_it && entry.value.into_value().is_err() {
                        empty += 1;
                    }
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    assert!(matches!(error.reason, Reason::Empty), "{error}");
                    empty += 1;
                }
            }
        }
        assert_eq!((keys, empty), (vec![b"e".to_vec(), b"k".to_vec()], 1));
    }
}

#[test]
fn after_any_other_error_the_reader_stops() {
    let file = b"REDIS0011\xFE\x00\x02\x02\x01e\x01a\x01a\x00\x01k\x01v\xFF\0\0\0\0\0\0\0\0";
    let mut reader = Reader::new(&file[..], Options::default()).unwrap();
    assert!(matches!(reader.next(), Ok(Some(Item::Database(0)))));
    assert!(matches!(reader.next(), Ok(Some(Item::Key(_)))));
    for _ in 0..3 {
        let error = reader.next().err().unwrap();
        assert!(matches!(error.reason, Reason::Truncated | Reason::Stopped | Reason::Duplicate(_)), "{error}");
    }
    let other = Reader::new(&b"not an RDB file"[..], Options::default()).err().unwrap();
    assert!(matches!(other.reason, Reason::NotRdb));
    let newer = Reader::new(&b"REDIS0013"[..], Options::default()).err().unwrap();
    assert!(newer.to_string().contains("version 13"), "{newer}");
    let lying = Reader::new(&b"REDIS0080"[..], Options::default()).err().unwrap();
    assert!(matches!(lying.reason, Reason::NotRdb));
}
