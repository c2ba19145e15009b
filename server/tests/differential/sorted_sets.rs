//! Random commands of the sorted-set family.
//!
//! Promises: answers do not depend on what Redis leaves open. Scores are sums of quarters, which Redis 7.0 and 7.2 print alike,
//! and never -0, of which Redis remembers the sign in large sorted sets only; keys that are asked for members in a range have one
//! score; nothing that is stored is doubled without end.
//! Left out, because Redis 7.0 has it not: ZRANK WITHSCORE. Picks of ZRANDMEMBER are random, and ZSCAN has orders of its own:
//! of both only what is decided is asked.

use crate::generator::{Compare, Generator, Words};

/// Members of a large sorted set: enough that both servers keep it in another form than a small one.
const LARGE_LEAST: u64 = 130;
const LARGE_MOST: u64 = 400;

/// The next command of the family, and how its answers compare.
pub fn command(generator: &mut Generator, compare: &mut Compare) -> Words {
    generator.sorted_set_command(compare)
}

/// A key of the family.
pub fn key(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(3) { generator.level_key() } else { generator.sorted_key() }
}

impl Generator {
    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len() as u64) as usize]
    }

    fn push(&mut self, words: &mut Words, texts: &[&str]) {
        let text = self.pick(texts);
        words.push(text.into());
    }

    /// Mostly keys that no other family touches.
    fn sorted_key(&mut self) -> Vec<u8> {
        if self.one_in(5) { self.key() } else { self.pick(&["z:1", "z:2", "z:3", "z:4"]).into() }
    }

    /// A key whose members all have the score 0, if it is a sorted set.
    fn level_key(&mut self) -> Vec<u8> {
        self.pick(&["level:1", "level:2"]).into()
    }

    fn member(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => self.pick(&["", "M", "m\r\n", "\0", "m1"]).into(),
            1 => format!("a long member {:080}", self.below(40)).into(),
            _ => format!("m{}", self.below(40)).into(),
        }
    }

    fn score(&mut self) -> Vec<u8> {
        match self.below(16) {
            0 => self.pick(&["inf", "-inf", "+Infinity", "0x1p3", "3.0", ".5", "-1e2"]).into(),
            1 => self.pick(&["x", "", " 1", "1 ", "nan", "1e400", "1e-400", "0x", "1,5"]).into(),
            _ => {
                let quarters = self.below(400) as i64 - 200;
                format!("{}", quarters as f64 / 4.0).into()
            }
        }
    }

    fn score_end(&mut self) -> Vec<u8> {
        match self.below(10) {
            0 => self.pick(&["-inf", "(-inf", "+inf", "(inf", "", "(", " 1", "-1e999"]).into(),
            1 => self.pick(&["x", "nan", "((1", "[1", "1 "]).into(),
            2..=4 => [b"(".to_vec(), self.below(100).to_string().into()].concat(),
            _ => (self.below(100) as i64 - 50).to_string().into(),
        }
    }

    fn member_end(&mut self) -> Vec<u8> {
        match self.below(10) {
            0 | 1 => b"-".to_vec(),
            2 | 3 => b"+".to_vec(),
            4 => self.pick(&["", "m1", "-1", "[", "("]).into(),
            _ => [self.pick(&["[", "("]).into(), self.member()].concat(),
        }
    }

    fn rank(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => self
                .pick(&["x", "", "1.5", "9223372036854775807", "-9223372036854775808", "9223372036854775808"])
                .into(),
            1 | 2 => (self.below(800) as i64 - 400).to_string().into(),
            _ => (self.below(20) as i64 - 10).to_string().into(),
        }
    }

    fn sorted_set_command(&mut self, compare: &mut Compare) -> Words {
        match self.below(10) {
            0..=2 => self.score_command(),
            3 => self.looking_command(compare),
            4 | 5 => self.part_command(),
            6 => self.level_command(),
            7 => self.taking_command(),
            8 => self.joining_command(),
            _ => self.picking_command(compare),
        }
    }

    fn score_command(&mut self) -> Words {
        if self.one_in(4) {
            return vec![b"ZINCRBY".to_vec(), self.sorted_key(), self.score(), self.member()];
        }
        let mut words = vec![b"ZADD".to_vec(), self.sorted_key()];
        if self.one_in(20) {
            for _ in 0..LARGE_LEAST + self.below(LARGE_MOST - LARGE_LEAST) {
                words.push((self.below(400) as i64 - 200).to_string().into());
                words.push(format!("one of many {}", self.below(2000)).into());
            }
            return words;
        }
        if self.one_in(2) {
            for _ in 0..self.below(3) {
                self.push(&mut words, &["NX", "xx", "GT", "LT", "CH", "incr", "INCR"]);
            }
        }
        for _ in 0..=self.below(5) {
            words.extend([self.score(), self.member()]);
        }
        words
    }

    fn looking_command(&mut self, compare: &mut Compare) -> Words {
        let name = self.pick(&["ZSCORE", "ZMSCORE", "ZRANK", "ZREVRANK", "ZCARD", "ZCOUNT"]);
        let mut words = vec![name.into(), self.sorted_key()];
        match name {
            "ZCARD" => {}
            "ZCOUNT" => words.extend([self.score_end(), self.score_end()]),
            "ZMSCORE" => words.extend((0..=self.below(3)).map(|_| self.member())),
            _ => words.push(self.member()),
        }
        if name.ends_with("RANK") {
            // A word too many is an option since 7.2; not for transactions, where it would not be queued.
            *compare = Compare::AnyOrder;
        }
        words
    }

    fn part_command(&mut self) -> Words {
        let name = self.pick(&["ZRANGE", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZRANGESTORE"]);
        let mut words: Words = vec![name.into()];
        if name == "ZRANGESTORE" {
            words.push(self.sorted_key());
        }
        words.push(self.sorted_key());
        let by_score = name.ends_with("SCORE") || (!name.starts_with("ZREV") && self.one_in(2));
        words.extend((0..2).map(|_| if by_score { self.score_end() } else { self.rank() }));
        if by_score && !name.ends_with("SCORE") {
            words.push(b"BYSCORE".to_vec());
        }
        for _ in 0..self.below(3) {
            self.push(&mut words, &["WITHSCORES", "withscores", "REV", "bogus", "LIMIT"]);
            if words.ends_with(&[b"LIMIT".to_vec()]) && !self.one_in(8) {
                words.extend([self.rank(), self.rank()]);
            }
        }
        words
    }

    /// By members, on keys where all scores are the same.
    fn level_command(&mut self) -> Words {
        let name = self.pick(&[
            "ZADD",
            "ZADD",
            "ZADD",
            "ZLEXCOUNT",
            "ZRANGEBYLEX",
            "ZREVRANGEBYLEX",
            "ZRANGE",
            "ZRANGE",
            "ZRANGESTORE",
            "ZREMRANGEBYLEX",
            "SET",
            "DEL",
        ]);
        let mut words = vec![name.into(), self.level_key()];
        match name {
            "ZADD" => {
                let many = if self.one_in(10) { LARGE_LEAST } else { 4 };
                for _ in 0..=self.below(many) {
                    words.push(b"0".to_vec());
                    words.push(if many > 4 { format!("m{}", self.below(2000)).into() } else { self.member() });
                }
            }
            "SET" => words.push(b"text".to_vec()),
            "DEL" => {}
            "ZRANGESTORE" => words.extend([self.level_key(), self.member_end(), self.member_end(), b"BYLEX".to_vec()]),
            _ => words.extend([self.member_end(), self.member_end()]),
        }
        if name == "ZRANGE" {
            words.push(b"BYLEX".to_vec());
        }
        if matches!(name, "ZRANGE" | "ZRANGEBYLEX" | "ZREVRANGEBYLEX") {
            for _ in 0..self.below(3) {
                self.push(&mut words, &["REV", "LIMIT", "LIMIT", "WITHSCORES"]);
                if words.ends_with(&[b"LIMIT".to_vec()]) {
                    words.extend([self.rank(), self.rank()]);
                }
            }
        }
        words
    }

    fn taking_command(&mut self) -> Words {
        let name = self.pick(&["ZREM", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZPOPMIN", "ZPOPMAX", "ZMPOP"]);
        let mut words: Words = vec![name.into()];
        match name {
            "ZREM" => {
                words.push(self.sorted_key());
                words.extend((0..=self.below(4)).map(|_| self.member()));
            }
            "ZREMRANGEBYRANK" => words.extend([self.sorted_key(), self.rank(), self.rank()]),
            "ZREMRANGEBYSCORE" => words.extend([self.sorted_key(), self.score_end(), self.score_end()]),
            "ZMPOP" => {
                self.push_counted_keys(&mut words);
                self.push(&mut words, &["MIN", "max", "MAX", "bogus"]);
                if self.one_in(2) {
                    words.extend([b"COUNT".to_vec(), self.rank()]);
                }
            }
            _ => {
                words.push(self.sorted_key());
                if self.one_in(2) {
                    words.push(self.rank());
                }
            }
        }
        words
    }

    /// One to three keys behind their number, which is seldom wrong.
    fn push_counted_keys(&mut self, words: &mut Words) {
        let keys = 1 + self.below(3);
        if self.one_in(15) {
            self.push(words, &["0", "-1", "x", "9", "9223372036854775807", ""]);
        } else {
            words.push(keys.to_string().into());
        }
        words.extend((0..keys).map(|_| self.sorted_key()));
    }

    fn joining_command(&mut self) -> Words {
        let name = self.pick(&["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]);
        let mut words: Words = vec![name.into()];
        let stores = name.ends_with("STORE");
        if stores {
            words.push(self.sorted_key());
        }
        let before = words.len();
        self.push_counted_keys(&mut words);
        let keys = words.len() - before - 1;
        for _ in 0..self.below(3) {
            let option = self.pick(&["WEIGHTS", "AGGREGATE", "WITHSCORES", "LIMIT", "bogus"]);
            if option == "bogus" && !self.one_in(4) {
                continue;
            }
            words.push(option.into());
            match option {
                "WEIGHTS" => {
                    for _ in 0..keys {
                        // What is multiplied by -1 or 0 may be a -0.
                        let weights = if stores { ["1", "2", "inf", "x"] } else { ["-1", "0", "0.5", "-inf"] };
                        self.push(&mut words, &weights);
                    }
                }
                "AGGREGATE" => self.push(&mut words, &["SUM", "min", "MAX", "bogus"]),
                "LIMIT" => words.push(self.rank()),
                _ => {}
            }
        }
        words
    }

    fn picking_command(&mut self, compare: &mut Compare) -> Words {
        let name = self.pick(&["ZRANDMEMBER", "ZSCAN"]);
        let mut words = vec![name.into(), self.sorted_key()];
        if name == "ZSCAN" {
            self.push(&mut words, &["x", " 1", "1x", "99999999999999999999"]);
            return words;
        }
        *compare = Compare::AnyOrder;
        self.push(&mut words, &["1000000", "9223372036854775807", "0", "x", "", "-9223372036854775808"]);
        if self.one_in(6) {
            self.push(&mut words, &["WITHSCORE", "bogus"]);
        }
        words
    }
}
