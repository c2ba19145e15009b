//! Blocks of a language model's key-value cache. A session begins with one of a few prompts that many sessions share; in
//! every turn it reads all its blocks from the first to the last (the prefix that need not be computed again), then adds a
//! few new ones, and after some turns it stops and its own blocks are never asked for again.
//!
//! So a block's value to a cache depends on what is before it and on whether the session lives: neither popularity nor the
//! order of arrival says much. Block numbers of sessions go round: after the last one the first is written anew.
//!
//! Shape, not measurement: the numbers below are ours. The real trace of a production chat service is in the traces.

use super::random::Random;
use super::steps::{Operation, Step};
use super::zipf::Zipf;
use crate::value::KeyId;
use std::collections::VecDeque;

/// Sessions alive at once.
const SESSIONS: usize = 64;
/// Shared prompts, the first the most popular.
const PROMPTS: u64 = 16;
/// Blocks of a prompt where there are keys enough.
const PROMPT_BLOCKS: u64 = 8;
/// Blocks that a turn adds: 1 to this.
const NEW_BLOCKS_MAX: u64 = 4;
/// A session ends after a turn once in so many.
const TURNS_MEAN: u64 = 6;
/// A session ends at this length at the latest.
const SESSION_BLOCKS_MAX: usize = 64;

/// Steps of all sessions, turn by turn.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    sessions: Vec<Vec<u64>>,
    turn: VecDeque<Step>,
    prompts: Zipf,
    prompt_blocks: u64,
    /// The ring of the sessions' own blocks: `ring_start..keys`.
    ring_start: u64,
    keys: u64,
    next: u64,
}

impl Sessions {
    /// Over keys 0..`keys`, at least one.
    pub(super) fn new(keys: u64) -> Self {
        let prompt_blocks = (keys / 2 / PROMPTS).min(PROMPT_BLOCKS);
        let ring_start = prompt_blocks * PROMPTS;
        Self {
            sessions: vec![Vec::new(); SESSIONS],
            turn: VecDeque::new(),
            prompts: Zipf::new(PROMPTS, 1.0),
            prompt_blocks,
            ring_start,
            keys,
            next: ring_start,
        }
    }

    pub(super) fn step(&mut self, random: &mut Random) -> Step {
        loop {
            if let Some(step) = self.turn.pop_front() {
                return step;
            }
            self.plan_turn(random);
        }
    }

    fn plan_turn(&mut self, random: &mut Random) {
        let at = random.below(SESSIONS as u64) as usize;
        let ends = random.below(TURNS_MEAN) == 0 || self.sessions[at].len() >= SESSION_BLOCKS_MAX;
        if ends || self.sessions[at].is_empty() {
            let first = self.prompts.rank(random) * self.prompt_blocks;
            self.sessions[at] = (first..first + self.prompt_blocks).collect();
        }
        let reads = self.sessions[at].iter().map(|&key| Step { operation: Operation::ReadThrough, key: KeyId(key) });
        self.turn.extend(reads);
        for _ in 0..=random.below(NEW_BLOCKS_MAX) {
            self.sessions[at].push(self.next);
            self.turn.push_back(Step { operation: Operation::Update, key: KeyId(self.next) });
            self.next = if self.next + 1 < self.keys { self.next + 1 } else { self.ring_start };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_written_before_it_is_read_and_prefixes_come_in_order() {
        let (mut sessions, mut random) = (Sessions::new(1 << 20), Random::new(1));
        let mut written = std::collections::HashSet::new();
        let mut reads_of_own = 0;
        for _ in 0..100_000 {
            let step = sessions.step(&mut random);
            match step.operation {
                Operation::Update => assert!(written.insert(step.key), "the ring is large: every block is new"),
                Operation::ReadThrough if step.key.0 >= sessions.ring_start => {
                    assert!(written.contains(&step.key));
                    reads_of_own += 1;
                }
                Operation::ReadThrough => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(reads_of_own > written.len(), "blocks are read more often than written");
    }

    #[test]
    fn a_few_keys_are_enough() {
        for keys in [1, 2, 40, 1_000] {
            let (mut sessions, mut random) = (Sessions::new(keys), Random::new(1));
            assert!((0..10_000).all(|_| sessions.step(&mut random).key.0 < keys), "{keys} keys");
        }
    }
}
