//! Values larger than what memory has to spare: in and out within the budget, and there again after a kill.

use thermocline_resp::Value;

use crate::store::{Store, filler, okay};

fn in_and_out(max_memory: &str, max_memory_bytes: u64, max_disk: &str, length: usize) {
    let directives = ["--maxmemory", max_memory, "--maxdisk", max_disk, "--appendfsync", "always"];
    let mut store = Store::start(&directives);
    let (first, second) = (filler(1, length), filler(2, length - 12345));
    let is_there = |store: &Store, expected: &[u8]| {
        let mut connection = store.server.connect();
        assert_eq!(connection.number(&["STRLEN", "large"]) as usize, expected.len());
        let Value::Bulk(bytes) = connection.call(&["GET", "large"]) else { panic!("no value") };
        assert!(bytes == expected, "{} bytes came back changed", bytes.len());
        let middle = expected.len() / 2;
        let range = connection.call(&["GETRANGE", "large", &middle.to_string(), &(middle + 99).to_string()]);
        assert_eq!(range, Value::Bulk(expected[middle..middle + 100].to_vec()));
    };
    store.measured(max_memory_bytes, || {
        let mut connection = store.server.connect();
        for value in [&first, &second] {
            assert_eq!(connection.call(&[b"SET", b"large".as_slice(), value]), okay());
            is_there(&store, value);
        }
    });
    store.restart(&directives);
    store.measured(max_memory_bytes, || {
        is_there(&store, &second);
        assert_eq!(store.server.connect().number(&["DEL", "large"]), 1);
    });
    store.restart(&directives);
    assert_eq!(store.server.connect().number(&["DBSIZE"]), 0);
}

#[test]
fn a_hundred_megabytes_go_in_and_out_within_half_a_gigabyte() {
    in_and_out("512mb", 512 << 20, "1gb", 100_000_000);
}

#[test]
fn eight_megabytes_go_in_and_out_within_the_smallest_budget() {
    in_and_out("64mb", 64 << 20, "256mb", 8_000_000);
}
