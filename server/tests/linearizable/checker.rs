//! Is a recorded history of one register linearizable? (Wing and Gong, with the states that were seen left out.)
//!
//! ```text
//!  client 0   [--- SET 1 ---]        [- GET 1 -]        each client has one operation at a time,
//!  client 1        [------- GET 1 -------]              so how far each has come is a whole state of the search
//! ```
//! An operation may come next if no other that still waits had ended before it began.
//!
//! Promises: finds an order if there is one. Never: guesses.

use std::collections::HashSet;

/// What was asked of a register, and what was seen.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// It holds this from then on.
    Write(Option<u64>),
    /// It held this.
    Read(Option<u64>),
    /// It held the first and holds the second from then on.
    Swap(Option<u64>, Option<u64>),
}

/// One operation: when it began and ended, by a common counter.
#[derive(Copy, Clone, Debug)]
pub struct Operation {
    pub began: u64,
    pub ended: u64,
    pub act: Act,
}

/// Checks the operations of each client, each list in order. `before`: what the register held at first.
///
/// # Errors
/// Says how far an order was found.
pub fn check(clients: &[Vec<Operation>], before: Option<u64>) -> Result<(), String> {
    let all: usize = clients.iter().map(Vec::len).sum();
    let mut seen: HashSet<(Vec<u32>, Option<u64>)> = HashSet::new();
    let mut open = vec![(vec![0u32; clients.len()], before)];
    let (mut furthest, mut at_furthest) = (0, open[0].clone());
    while let Some((positions, value)) = open.pop() {
        if !seen.insert((positions.clone(), value)) {
            continue;
        }
        let done: usize = positions.iter().map(|&position| position as usize).sum();
        if done == all {
            return Ok(());
        }
        if done > furthest {
            (furthest, at_furthest) = (done, (positions.clone(), value));
        }
        let next = |client: usize| clients[client].get(positions[client] as usize);
        let first_end = (0..clients.len()).filter_map(next).map(|operation| operation.ended).min().unwrap_or(u64::MAX);
        for client in 0..clients.len() {
            let Some(operation) = next(client).filter(|operation| operation.began < first_end) else { continue };
            let after = match operation.act {
                Act::Write(new) => new,
                Act::Read(held) if held == value => value,
                Act::Swap(held, new) if held == value => new,
                Act::Read(_) | Act::Swap(..) => continue,
            };
            let mut positions = positions.clone();
            positions[client] += 1;
            open.push((positions, after));
        }
    }
    let (positions, value) = at_furthest;
    let next: Vec<_> =
        positions.iter().zip(clients).filter_map(|(position, list)| list.get(*position as usize)).collect();
    Err(format!(
        "an order for {furthest} of {all} operations; then it holds {value:?}, and none of {next:?} may follow"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(began: u64, ended: u64, act: Act) -> Operation {
        Operation { began, ended, act }
    }

    #[test]
    fn overlapping_operations_may_come_in_either_order() {
        let writer = vec![operation(0, 10, Act::Write(Some(1)))];
        for held in [None, Some(1)] {
            assert!(check(&[writer.clone(), vec![operation(5, 6, Act::Read(held))]], None).is_ok());
        }
    }

    #[test]
    fn a_stale_read_a_lost_write_and_a_value_from_nowhere_are_refused() {
        let writer = vec![operation(0, 1, Act::Write(Some(1))), operation(2, 3, Act::Write(Some(2)))];
        for held in [None, Some(1), Some(3)] {
            assert!(check(&[writer.clone(), vec![operation(4, 5, Act::Read(held))]], None).is_err());
        }
        let back = vec![operation(0, 9, Act::Read(Some(2))), operation(10, 11, Act::Read(Some(1)))];
        assert!(check(&[writer.clone(), back], None).is_err());
        assert!(check(&[writer, vec![operation(4, 5, Act::Swap(Some(1), None))]], None).is_err());
    }
}
