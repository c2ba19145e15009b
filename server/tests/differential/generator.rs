//! Random commands of the string, bitmap, hash and keyspace families, wrong ones among them.
//!
//! Promises: the same seed gives the same commands; no time to live ends, and no value grows, while the test looks.

/// SELECT, MOVE, COPY and SWAPDB use databases below this one.
pub const DATABASES_USED: u64 = 3;

/// A small generator of chance: xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len() as u64) as usize]
    }
}

/// How the two answers to a command are compared.
#[derive(Copy, Clone, Eq, PartialEq)]
pub enum Compare {
    /// Byte for byte.
    Bytes,
    /// Numbers, two seconds apart at most.
    SecondsAbout,
    /// Numbers, two seconds apart at most.
    MillisecondsAbout,
    /// Arrays of the same strings.
    AnyOrder,
    /// Maps, or arrays, of the same pairs.
    PairsInAnyOrder,
    /// The same first line; of strings only whether there is one.
    Head,
    /// Byte for byte, but ours may refuse where Redis before 7.2 answers without looking at the options.
    MayRefuse,
    /// As many members of the set, whichever they are.
    Picks,
    /// Byte for byte, but Redis may refuse numbers once because of an error that was before them.
    Sorted,
}

pub struct Generator {
    chance: Chance,
}

impl Generator {
    /// The same seed gives the same commands.
    pub fn new(seed: u64) -> Generator {
        Generator { chance: Chance(seed * 2 + 1) }
    }

    /// A number below this.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.chance.below(limit)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.chance.one_in(times)
    }
}

pub type Words = Vec<Vec<u8>>;

impl Generator {
    pub fn key(&mut self) -> Vec<u8> {
        let names = ["a", "b", "c", "key:1", "key:2", "key[3]", "", "K\r\n\0", "h*llo", "key:10", "z"];
        self.chance.of(&names).into()
    }

    fn number(&mut self) -> Vec<u8> {
        let edges = [
            "0",
            "1",
            "-1",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "-0",
            "+1",
            "01",
            "",
            " 1",
            "1.5",
            "abc",
            "9223372036854775",
            "9223372036854776",
            "-9223372036854775",
            "10",
            "100",
            "2147483648",
            "1e3",
        ];
        if self.chance.one_in(3) {
            self.chance.of(&edges).into()
        } else {
            (self.chance.below(2000) as i64 - 1000).to_string().into()
        }
    }

    /// An index near the sizes of the values.
    fn index(&mut self) -> Vec<u8> {
        if self.chance.one_in(8) {
            return self.number();
        }
        (self.chance.below(120) as i64 - 60).to_string().into()
    }

    fn float(&mut self) -> Vec<u8> {
        match self.chance.below(4) {
            0 => self
                .chance
                .of(&[
                    "inf", "-inf", "nan", "1e400", "1e-400", "0x1p3", "3.0e3", ".5", "5.", "1e5000", "-0", " 1", "1 ",
                    "5.0e-3",
                ])
                .into(),
            1 => self.number(),
            _ => {
                let whole = self.chance.below(200_000) as i64 - 100_000;
                format!("{whole}.{}", self.chance.below(100_000)).into()
            }
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.chance.below(10) {
            0..=2 => self.number(),
            3 => self.float(),
            4 => (0..self.chance.below(50)).map(|_| self.chance.next() as u8).collect(),
            5 => vec![0xFF; self.chance.below(20) as usize],
            6 if self.chance.one_in(10) => vec![b'L'; 300_000 + self.chance.below(700_000) as usize],
            6 => vec![b'm'; self.chance.below(20_000) as usize],
            _ => {
                let length = self.chance.below(60);
                (0..length).map(|_| b"abcd"[self.chance.below(4) as usize]).collect()
            }
        }
    }

    /// A number of seconds or milliseconds that is far enough from now to stay on its side while the test runs. Two equal ones
    /// would be compared (GT, LT) by the milliseconds between their commands, of which each server has its own: so no two are.
    fn lifetime(&mut self) -> Vec<u8> {
        if self.chance.one_in(3) {
            let base = [1_000_000, 2_000_000, 90_000_000][self.chance.below(3) as usize];
            return (base + self.chance.below(1_000_000) * 40).to_string().into();
        }
        self.chance
            .of(&[
                "0",
                "-1",
                "-1000",
                "abc",
                "9223372036854775807",
                "9223372036854775",
                "9223372036854776",
                "-9223372036854775808",
                "-9223372036854775",
                "-9223372036854776",
                "1.5",
                "",
            ])
            .into()
    }

    fn moment(&mut self, milliseconds: bool) -> Vec<u8> {
        let far =
            ["4102444800", "4102444801", "32503680000", "0", "-5", "x", "9223372036854775807", "9223372036854775"];
        let far_ms = ["4102444800000", "4102444800001", "0", "-5", "x", "9223372036854775807", "1000"];
        if milliseconds { self.chance.of(&far_ms).into() } else { self.chance.of(&far).into() }
    }

    /// Options of SET and GETEX, mostly wrong ones in between.
    fn push_options(&mut self, words: &mut Words) {
        for _ in 0..self.chance.below(4) {
            let option =
                self.chance.of(&["NX", "xx", "GET", "KEEPTTL", "EX", "px", "EXAT", "PXAT", "PERSIST", "bogus", ""]);
            words.push(option.into());
            if matches!(option, "EX" | "px" | "EXAT" | "PXAT") && !self.chance.one_in(12) {
                words.push(match option {
                    "EXAT" => self.moment(false),
                    "PXAT" => self.moment(true),
                    _ => self.lifetime(),
                });
            }
        }
    }

    fn pattern(&mut self) -> Vec<u8> {
        let patterns = [
            "*",
            "key:*",
            "key:?",
            "key\\[3\\]",
            "[a-c]",
            "[^a-c]",
            "h[*]llo",
            "*1*",
            "",
            "k*[",
            "K*",
            "**",
            "[z-a]",
            "\\",
        ];
        self.chance.of(&patterns).into()
    }

    /// The next command, and how its answers compare.
    pub fn next(&mut self) -> (Words, Compare) {
        let mut compare = Compare::Bytes;
        let words = match self.chance.below(16) {
            0..=2 => self.string_command(),
            3..=4 => self.keyspace_command(&mut compare),
            5..=6 => crate::sorted_sets::command(self, &mut compare),
            7..=8 => crate::set::command(self, &mut compare),
            9 => crate::generic::command(self, &mut compare),
            10..=11 => crate::hash::command(self, &mut compare),
            12..=13 => crate::list::command(self),
            _ => self.bitmap_command(&mut compare),
        };
        (self.maybe_spoiled(words), compare)
    }

    /// One command in 50 loses or gains a word, to meet the refusals of the arity.
    fn maybe_spoiled(&mut self, mut words: Words) -> Words {
        match self.chance.below(100) {
            // Without its count, a random pick is one nobody can compare; without ABSTTL, a value may live for a millisecond.
            0 if words.len() > 1
                && !words[0].ends_with(b"RANDMEMBER")
                && words[0] != b"HRANDFIELD"
                && words[0] != b"RESTORE"
                && words[0] != b"SSCAN" =>
            {
                drop(words.pop())
            }
            1 => words.push(b"extra".to_vec()),
            _ => {}
        }
        words
    }

    fn string_command(&mut self) -> Words {
        let name = self.chance.of(&[
            "APPEND",
            "DECR",
            "DECRBY",
            "GET",
            "GETDEL",
            "GETEX",
            "GETRANGE",
            "GETSET",
            "INCR",
            "INCRBY",
            "INCRBYFLOAT",
            "LCS",
            "MGET",
            "MSET",
            "MSETNX",
            "PSETEX",
            "SET",
            "SET",
            "SET",
            "SETEX",
            "SETNX",
            "SETRANGE",
            "STRLEN",
            "SUBSTR",
        ]);
        let mut words: Words = vec![name.into(), self.key()];
        match name {
            "APPEND" | "GETSET" | "SETNX" => words.push(self.value()),
            "DECRBY" | "INCRBY" => words.push(self.number()),
            "INCRBYFLOAT" => words.push(self.float()),
            "GETEX" => self.push_options(&mut words),
            "GETRANGE" | "SUBSTR" => words.extend([self.index(), self.index()]),
            "SETRANGE" => {
                let offset = if self.chance.one_in(20) {
                    self.chance.of(&["1048576", "1048570", "700000", "-1", "99999999999"]).into()
                } else {
                    self.index()
                };
                words.extend([offset, self.value()]);
            }
            "LCS" => {
                words.push(self.key());
                for _ in 0..self.chance.below(4) {
                    let option = self.chance.of(&["IDX", "LEN", "WITHMATCHLEN", "MINMATCHLEN", "bogus"]);
                    words.push(option.into());
                    if option == "MINMATCHLEN" {
                        words.push(self.index());
                    }
                }
            }
            "MGET" => words.extend((0..self.chance.below(4)).map(|_| self.key())),
            "MSET" | "MSETNX" => {
                words.push(self.value());
                for _ in 0..self.chance.below(3) {
                    words.extend([self.key(), self.value()]);
                }
            }
            "SETEX" | "PSETEX" => words.extend([self.lifetime(), self.value()]),
            "SET" => {
                words.push(self.value());
                if self.chance.one_in(2) {
                    self.push_options(&mut words);
                }
            }
            _ => {}
        }
        words
    }

    fn bitmap_command(&mut self, compare: &mut Compare) -> Words {
        let name = self.chance.of(&["SETBIT", "GETBIT", "BITCOUNT", "BITPOS", "BITOP", "BITFIELD", "BITFIELD_RO"]);
        if matches!(name, "BITCOUNT" | "BITPOS") {
            *compare = Compare::MayRefuse;
        }
        let mut words: Words = vec![name.into()];
        match name {
            "SETBIT" => {
                words.extend([self.key(), self.bit_offset(), self.chance.of(&["0", "1", "1", "2", "x"]).into()])
            }
            "GETBIT" => words.extend([self.key(), self.bit_offset()]),
            "BITCOUNT" => {
                words.push(self.key());
                if self.chance.one_in(2) {
                    words.extend([self.index(), self.index()]);
                    self.push_unit(&mut words);
                }
            }
            "BITPOS" => {
                words.extend([self.key(), self.chance.of(&["0", "1", "1", "2"]).into()]);
                for _ in 0..self.chance.below(3) {
                    words.push(self.index());
                }
                if words.len() == 5 {
                    self.push_unit(&mut words);
                }
            }
            "BITOP" => {
                words.extend([self.chance.of(&["AND", "or", "XOR", "NOT", "NAND"]).into(), self.key(), self.key()]);
                words.extend((0..self.chance.below(3)).map(|_| self.key()));
            }
            _ => {
                words.push(self.key());
                for _ in 0..self.chance.below(4) {
                    self.push_field_operation(&mut words);
                }
            }
        }
        words
    }

    fn push_unit(&mut self, words: &mut Words) {
        if self.chance.one_in(2) {
            words.push(self.chance.of(&["BIT", "byte"]).into());
        }
    }

    fn bit_offset(&mut self) -> Vec<u8> {
        match self.chance.below(10) {
            0 => self.chance.of(&["-1", "8388608", "8388607", "4294967296", "abc", "#1", ""]).into(),
            _ => self.chance.below(300).to_string().into(),
        }
    }

    fn push_field_operation(&mut self, words: &mut Words) {
        let operation =
            self.chance.of(&["GET", "SET", "INCRBY", "OVERFLOW", "bogus", "GET", "set", "incrby", "OVERFLOW"]);
        words.push(operation.into());
        if operation == "OVERFLOW" {
            words.push(self.chance.of(&["WRAP", "sat", "FAIL", "FAIL", "bogus"]).into());
            return;
        }
        words.push(
            self.chance.of(&["u8", "i8", "u1", "i1", "i64", "u63", "u64", "i65", "i16", "u7", "x8", "i5"]).into(),
        );
        words.push(match self.chance.below(6) {
            0 => self.chance.of(&["#2", "#0", "#x", "-1", "#-1", "99999999999"]).into(),
            _ => self.chance.below(100).to_string().into(),
        });
        if operation != "GET" {
            words.push(self.number());
        }
    }

    fn keyspace_command(&mut self, compare: &mut Compare) -> Words {
        let name = self.chance.of(&[
            "DEL",
            "UNLINK",
            "EXISTS",
            "TYPE",
            "TTL",
            "PTTL",
            "EXPIRE",
            "PEXPIRE",
            "EXPIREAT",
            "PEXPIREAT",
            "EXPIRETIME",
            "PEXPIRETIME",
            "PERSIST",
            "KEYS",
            "RENAME",
            "RENAMENX",
            "COPY",
            "TOUCH",
            "OBJECT",
            "DBSIZE",
            "FLUSHDB",
            "FLUSHALL",
            "MOVE",
            "SWAPDB",
            "SELECT",
            "SCAN",
        ]);
        let mut words: Words = vec![name.into()];
        match name {
            "DEL" | "UNLINK" | "EXISTS" | "TOUCH" => words.extend((0..=self.chance.below(3)).map(|_| self.key())),
            "TTL" | "PTTL" | "EXPIRETIME" | "PEXPIRETIME" => {
                *compare = if name.starts_with('P') { Compare::MillisecondsAbout } else { Compare::SecondsAbout };
                words.push(self.key());
            }
            "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" => {
                words.push(self.key());
                words.push(match name {
                    "EXPIREAT" => self.moment(false),
                    "PEXPIREAT" => self.moment(true),
                    _ => self.lifetime(),
                });
                for _ in 0..self.chance.below(3) {
                    words.push(self.chance.of(&["NX", "XX", "gt", "LT", "bogus"]).into());
                }
            }
            "KEYS" => {
                *compare = Compare::AnyOrder;
                words.push(self.pattern());
            }
            "RENAME" | "RENAMENX" => words.extend([self.key(), self.key()]),
            "COPY" => {
                words.extend([self.key(), self.key()]);
                for _ in 0..self.chance.below(3) {
                    let option = self.chance.of(&["REPLACE", "DB", "bogus", "replace"]);
                    let is_second = words.iter().any(|word| word == b"DB");
                    if option == "DB" && !is_second {
                        words.extend([option.into(), self.database()]);
                    } else if option != "DB" {
                        words.push(option.into());
                    }
                }
            }
            "OBJECT" => {
                let what = self.chance.of(&["FREQ", "HELP", "bogus"]);
                words.push(what.into());
                if what != "HELP" {
                    words.push(self.key());
                }
            }
            "FLUSHDB" | "FLUSHALL" => match self.chance.below(4) {
                0 => words.push(self.chance.of(&["ASYNC", "sync"]).into()),
                1 => words.push(b"bogus".to_vec()),
                _ if self.chance.one_in(3) => {}
                _ => words.extend([b"SYNC".to_vec(), b"SYNC".to_vec()]),
            },
            "MOVE" => words.extend([self.key(), self.database()]),
            "SWAPDB" => words.extend([self.database(), self.database()]),
            "SELECT" => words.push(self.chance.of(&["0", "1", "2", "0", "16", "-1", "abc"]).into()),
            "SCAN" => words.push(self.chance.of(&["abc", "-", "1x"]).into()),
            "DBSIZE" => {}
            _ => words.push(self.key()),
        }
        words
    }

    fn database(&mut self) -> Vec<u8> {
        if self.chance.one_in(5) {
            return self.chance.of(&["16", "99", "-1", "abc", "2147483648", ""]).into();
        }
        self.chance.below(DATABASES_USED).to_string().into()
    }
}
