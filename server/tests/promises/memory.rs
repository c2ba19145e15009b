//! Memory is bounded whatever comes, and nothing is lost while there is room.

use thermocline_resp::Value;

use crate::store::{Store, filler, load, read};

const VALUE_BYTES: usize = 400;

#[test]
fn two_hundred_megabytes_fit_into_sixty_four_and_all_of_it_is_there() {
    let keys = (200 << 20) / VALUE_BYTES;
    let store = Store::start(&["--maxmemory", "64mb", "--maxdisk", "512mb"]);
    store.measured(64 << 20, || {
        let mut connection = store.server.connect();
        load(&mut connection, "key", keys, VALUE_BYTES, 0);
        assert_eq!(connection.number(&["DBSIZE"]) as usize, keys);
        let (cold, evictions) = (connection.info("cold_bytes"), connection.info("evictions"));
        assert!(cold > 100 << 20 && evictions == 0, "{cold} bytes are cold, {evictions} keys were evicted");
        read(&mut connection, "key", keys, |number, value| {
            assert_eq!(value, Value::Bulk(filler(number as u64, VALUE_BYTES)), "key:{number}");
        });
    });
}
