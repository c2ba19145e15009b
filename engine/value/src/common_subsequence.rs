//! The longest common subsequence of two strings (LCS), with the ranges where it lies.
//!
//! The textbook table needs a number per pair of prefixes. Lengths alone need only two of its rows; and to walk back
//! one bit per pair is enough: "the longer rest is up". So 16,384 x 16,384 bytes cost 32 MiB of bits instead of 1 GiB.
//!
//! ```text
//!          o  h  m  y        lengths, row by row; walking back from the corner:
//!       0  0  0  0  0        equal bytes: take one, go up and left
//!    m  0  0  0  1  1        otherwise up if the row above is longer there, else left
//!    y  0  0  0  1  2        -> "my", at 2..3 of the one and 0..1 of the other
//! ```
//!
//! Promises: among several longest subsequences the one that Redis gives, with the same ranges in the same order (last
//! first); inputs whose Redis table would pass the caller's limit are refused before anything is allocated.
//! Never: recurses. Work is the product of the two lengths, which the limit bounds.

/// Bytes per pair of prefixes in the table that Redis would make; the limit is told in its terms.
const TABLE_CELL_BYTES: u64 = 4;

/// Why there is no answer.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SubsequenceError {
    /// One of the strings has 2^32 - 2 bytes or more.
    TooLong,
    /// The table would pass the limit.
    TableTooLarge,
}

/// One run that both strings share, by inclusive positions.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct SharedRun {
    /// First and last position in the first string.
    pub first: (u32, u32),
    /// First and last position in the second string.
    pub second: (u32, u32),
}

impl SharedRun {
    /// Bytes in the run.
    pub fn length(&self) -> u32 {
        self.first.1 - self.first.0 + 1
    }
}

/// The longest common subsequence and where it lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommonSubsequence {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its runs, the last first.
    pub runs: Vec<SharedRun>,
}

fn check(first: &[u8], second: &[u8], table_bytes_max: u64) -> Result<(), SubsequenceError> {
    let (rows, columns) = (first.len() as u64, second.len() as u64);
    if rows.max(columns) >= u64::from(u32::MAX) - 1 {
        return Err(SubsequenceError::TooLong);
    }
    match ((rows + 1) * (columns + 1)).checked_mul(TABLE_CELL_BYTES) {
        Some(bytes) if bytes <= table_bytes_max => Ok(()),
        _ => Err(SubsequenceError::TableTooLarge),
    }
}

/// Fills the table row by row, keeping one row; `up_is_longer` hears of every pair whose bytes differ and whose
/// longest subsequence lies above it.
fn fill(first: &[u8], second: &[u8], mut up_is_longer: impl FnMut(usize, usize)) -> u32 {
    let mut row = vec![0u32; second.len() + 1];
    for (i, &left) in first.iter().enumerate() {
        let mut diagonal = 0;
        let mut before = 0;
        for (j, &right) in second.iter().enumerate() {
            let above = row[j + 1];
            let here = if left == right {
                diagonal + 1
            } else {
                if above > before {
                    up_is_longer(i, j);
                }
                above.max(before)
            };
            row[j + 1] = here;
            diagonal = above;
            before = here;
        }
    }
    row[second.len()]
}

/// The length of the longest common subsequence.
pub fn common_subsequence_length(first: &[u8], second: &[u8], table_bytes_max: u64) -> Result<u32, SubsequenceError> {
    check(first, second, table_bytes_max)?;
    Ok(fill(first, second, |_, _| {}))
}

/// The longest common subsequence with its runs.
pub fn common_subsequence(
    first: &[u8],
    second: &[u8],
    table_bytes_max: u64,
) -> Result<CommonSubsequence, SubsequenceError> {
    check(first, second, table_bytes_max)?;
    let columns = second.len();
    let mut up = vec![0u64; (first.len() * columns).div_ceil(64)];
    let length = fill(first, second, |i, j| {
        let pair = i * columns + j;
        up[pair / 64] |= 1 << (pair % 64);
    });

    let mut bytes = Vec::with_capacity(length as usize);
    let mut runs: Vec<SharedRun> = Vec::new();
    let mut contiguous = false;
    let (mut i, mut j) = (first.len(), columns);
    while i > 0 && j > 0 {
        if first[i - 1] == second[j - 1] {
            i -= 1;
            j -= 1;
            bytes.push(first[i]);
            match runs.last_mut() {
                Some(run) if contiguous => {
                    run.first.0 = i as u32;
                    run.second.0 = j as u32;
                }
                _ => runs.push(SharedRun { first: (i as u32, i as u32), second: (j as u32, j as u32) }),
            }
            contiguous = true;
        } else {
            let pair = (i - 1) * columns + j - 1;
            if up[pair / 64] >> (pair % 64) & 1 == 1 {
                i -= 1;
            } else {
                j -= 1;
            }
            contiguous = false;
        }
    }
    bytes.reverse();
    assert_eq!(bytes.len(), length as usize, "the walk back finds as many bytes as the table counted");
    Ok(CommonSubsequence { bytes, runs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 512 << 20;

    #[test]
    fn the_example_of_the_manual() {
        let found = common_subsequence(b"ohmytext", b"mynewtext", LIMIT).unwrap();
        assert_eq!(found.bytes, b"mytext");
        assert_eq!(
            found.runs,
            [SharedRun { first: (4, 7), second: (5, 8) }, SharedRun { first: (2, 3), second: (0, 1) }]
        );
        assert_eq!(found.runs[0].length(), 4);
        assert_eq!(common_subsequence_length(b"ohmytext", b"mynewtext", LIMIT), Ok(6));
    }

    #[test]
    fn an_empty_string_shares_nothing() {
        let found = common_subsequence(b"", b"abc", LIMIT).unwrap();
        assert!(found.bytes.is_empty() && found.runs.is_empty());
    }

    #[test]
    fn a_table_past_the_limit_is_refused_before_it_is_made() {
        let text = vec![0; 1 << 20];
        assert_eq!(common_subsequence(&text, &text, LIMIT), Err(SubsequenceError::TableTooLarge));
        assert_eq!(common_subsequence_length(&text, &text, LIMIT), Err(SubsequenceError::TableTooLarge));
        assert_eq!(common_subsequence_length(b"abc", b"abc", 4 * 4 * 4), Ok(3));
        assert_eq!(common_subsequence_length(b"abc", b"abc", 4 * 4 * 4 - 1), Err(SubsequenceError::TableTooLarge));
    }

    proptest! {
        #[test]
        fn the_runs_are_shared_and_spell_the_bytes(first in "[abc]{0,40}", second in "[abc]{0,40}") {
            let (first, second) = (first.as_bytes(), second.as_bytes());
            let found = common_subsequence(first, second, LIMIT).unwrap();
            prop_assert_eq!(found.bytes.len() as u32, common_subsequence_length(first, second, LIMIT).unwrap());
            let mut spelled = Vec::new();
            for run in found.runs.iter().rev() {
                let a = &first[run.first.0 as usize..=run.first.1 as usize];
                let b = &second[run.second.0 as usize..=run.second.1 as usize];
                prop_assert_eq!(a, b);
                spelled.extend_from_slice(a);
            }
            prop_assert_eq!(spelled, found.bytes);
        }

        #[test]
        fn no_common_subsequence_is_longer(first in "[ab]{0,9}", second in "[ab]{0,9}") {
            let (first, second) = (first.as_bytes(), second.as_bytes());
            let longest = (0u32..1 << first.len())
                .filter(|chosen| {
                    let mut rest = second.iter();
                    (0..first.len()).filter(|place| chosen >> place & 1 == 1).all(|place| rest.any(|byte| *byte == first[place]))
                })
                .map(u32::count_ones)
                .max();
            prop_assert_eq!(common_subsequence_length(first, second, LIMIT).ok(), longest);
        }
    }
}
