//! Fills a server with every kind of value in every size that matters: around thresholds, long, numeric, compressible.

use crate::server::{Answer, Server};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

const SIZES: [usize; 12] = [1, 2, 5, 31, 127, 128, 129, 130, 511, 512, 513, 1500];

fn text(chance: &mut SmallRng) -> Vec<u8> {
    match chance.random_range(0..12) {
        0 => chance.random::<i64>().to_string().into_bytes(),
        1 => chance.random::<i32>().to_string().into_bytes(),
        2 => chance.random::<i16>().to_string().into_bytes(),
        3 => chance.random_range(-300i64..300).to_string().into_bytes(),
        4 => (1i64 << 23)
            .wrapping_mul(chance.random_range(-2..3))
            .wrapping_add(chance.random_range(-2..3))
            .to_string()
            .into_bytes(),
        5 => vec![b'r'; chance.random_range(15..64)],
        6 => b"abcab".repeat(chance.random_range(1..12)),
        _ => {
            let mut bytes = vec![0; chance.random_range(1..24)];
            chance.fill_bytes(&mut bytes);
            bytes
        }
    }
}

fn long(chance: &mut SmallRng) -> Vec<u8> {
    let length = [65, 300, 4000, 4100, 8190, 9000, 16_378, 20_000, 70_000][chance.random_range(0..9)];
    if chance.random() {
        let mut bytes = vec![0; length];
        chance.fill_bytes(&mut bytes);
        bytes
    } else {
        b"long and regular ".iter().copied().cycle().take(length).collect()
    }
}

fn score(chance: &mut SmallRng) -> String {
    match chance.random_range(0..8) {
        0 => "inf".to_owned(),
        1 => "-inf".to_owned(),
        2 => chance.random::<i64>().to_string(),
        3 => (f64::from(chance.random_range(-1000i32..1000)) / 8.0).to_string(),
        4 => format!("{:e}", chance.random::<f64>() * 1e250),
        5 => format!("{:e}", chance.random::<f64>() * 1e-250),
        6 => chance.random::<f64>().to_string(),
        _ => chance.random_range(-5000i32..5000).to_string(),
    }
}

/// Fills two databases; whether the server knows fields that expire (Redis 7.4, Valkey 9).
pub fn fill(server: &mut Server, seed: u64) -> bool {
    let mut chance = SmallRng::seed_from_u64(seed);
    let knows_field_expiry = !matches!(server.ask(&["HPEXPIREAT", "none", "1", "FIELDS", "1", "f"]), Answer::Error(_));
    for database in ["0", "11"] {
        server.run(&["SELECT", database]);
        for (number, size) in SIZES.into_iter().enumerate() {
            let key = |kind: &str| format!("{kind}:{number}").into_bytes();
            let command = |server: &mut Server, name: &str, key: Vec<u8>, words: Vec<Vec<u8>>| {
                let mut all = vec![name.as_bytes().to_vec(), key];
                all.extend(words);
                server.run(&all);
            };
            let of = |count: usize, make: &mut dyn FnMut() -> Vec<Vec<u8>>| -> Vec<Vec<u8>> {
                (0..count).flat_map(|_| make()).collect()
            };
            command(server, "SET", key("string"), vec![text(&mut chance)]);
            command(server, "SET", key("string:long"), vec![long(&mut chance)]);
            command(server, "RPUSH", key("list"), of(size, &mut || vec![text(&mut chance)]));
            let mixed = of(size.min(40), &mut || {
                vec![if chance.random_ratio(1, 8) { long(&mut chance) } else { text(&mut chance) }]
            });
            command(server, "RPUSH", key("list:long"), mixed);
            command(server, "SADD", key("set"), of(size, &mut || vec![text(&mut chance)]));
            command(server, "SADD", key("set:long"), vec![long(&mut chance), text(&mut chance)]);
            let shift = [4, 12, 20, 40][chance.random_range(0..4)];
            let integers = of(size, &mut || vec![(chance.random::<i64>() >> shift).to_string().into_bytes()]);
            command(server, "SADD", key("set:integers"), integers);
            command(server, "HSET", key("hash"), of(size, &mut || vec![text(&mut chance), text(&mut chance)]));
            command(server, "HSET", key("hash:long"), vec![text(&mut chance), long(&mut chance)]);
            let scored = of(size, &mut || vec![score(&mut chance).into_bytes(), text(&mut chance)]);
            command(server, "ZADD", key("sorted"), scored);
            command(server, "ZADD", key("sorted:long"), vec![score(&mut chance).into_bytes(), long(&mut chance)]);
            stream(server, &key("stream"), size.min(200), &mut chance);
            if knows_field_expiry {
                command(
                    server,
                    "HSET",
                    key("hash:expiring"),
                    of(size, &mut || vec![text(&mut chance), text(&mut chance)]),
                );
                let fields = server.run(&[b"HKEYS".to_vec(), key("hash:expiring")]).array();
                for field in fields.into_iter().step_by(3) {
                    let time = chance.random_range(4_000_000_000_000u64..5_000_000_000_000).to_string().into_bytes();
                    let words = [
                        b"HPEXPIREAT".to_vec(),
                        key("hash:expiring"),
                        time,
                        b"FIELDS".to_vec(),
                        b"1".to_vec(),
                        field.bytes(),
                    ];
                    server.run(&words);
                }
            }
            for kind in ["string", "list", "hash"] {
                let time = chance.random_range(4_000_000_000_000u64..5_000_000_000_000).to_string().into_bytes();
                server.run(&[b"PEXPIREAT".to_vec(), key(kind), time]);
            }
        }
    }
    server.run(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"]);
    knows_field_expiry
}

fn stream(server: &mut Server, key: &[u8], entries: usize, chance: &mut SmallRng) {
    let word = |text: &str| text.as_bytes().to_vec();
    for number in 1..=entries {
        let mut words = vec![word("XADD"), key.to_vec(), word(&format!("{}-{number}", 1000 + number / 3))];
        for field in 0..if number % 10 == 0 { 3 } else { 2 } {
            words.extend([word(&format!("field{field}")), text(chance)]);
        }
        server.run(&words);
    }
    for number in (2..entries).step_by(7) {
        server.run(&[word("XDEL"), key.to_vec(), word(&format!("{}-{number}", 1000 + number / 3))]);
    }
    for group in ["first", "second", "idle"] {
        server.run(&[word("XGROUP"), word("CREATE"), key.to_vec(), word(group), word("0")]);
        server.run(&[word("XGROUP"), word("CREATECONSUMER"), key.to_vec(), word(group), word("nobody")]);
    }
    for (group, consumer) in [("first", "a"), ("first", "b"), ("second", "a")] {
        let words = ["XREADGROUP", "GROUP", group, consumer, "COUNT", "9", "STREAMS"].map(word);
        server.run(&[&words[..], &[key.to_vec(), word(">")]].concat());
    }
    server.run(&[word("XACK"), key.to_vec(), word("first"), word("1000-1"), word("1000-2")]);
}

/// One small value of each kind, packed and as a table.
pub fn fill_small(server: &mut Server) {
    for command in [
        "SET string hello",
        "SET string:integer 12345",
        "SET string:compressed aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabaaaaaaaaaaaaaaa",
        "RPUSH list a 1 300 70000 -5 5000000000 abcdefg",
        "SADD set:integers 1 2 -3 400",
        "SADD set a b c 1",
        "HSET hash a 1 b two c 300",
        "ZADD sorted 1 a 2.5 b -inf c 1000000 d",
        "XADD stream 5-1 f v g w",
        "XADD stream 5-2 f x g y",
        "XADD stream 6-1 other z",
        "XDEL stream 5-2",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group consumer COUNT 1 STREAMS stream >",
        "CONFIG SET hash-max-listpack-entries 0",
        "CONFIG SET zset-max-listpack-entries 0",
        "CONFIG SET set-max-intset-entries 0",
        "SADD table:set a b c 1",
        "HSET table:hash a 1 b two c 300",
        "ZADD table:sorted 1 a 2.5 b -inf c 1000000 d",
        "CONFIG SET hash-max-listpack-entries 128",
        "CONFIG SET zset-max-listpack-entries 128",
        "CONFIG SET set-max-intset-entries 128",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        server.run(&words);
    }
}
