//! The order in which the two copies of a small file are written.
//!
//! Generation g goes to file g mod 2 first, and when it is durable there to the other. So one of both is whole at any time: while
//! the first is written the other has g - 1, while the other is written the first has g. And when both are, one damaged copy costs
//! nothing: what relies on g (a reused victim, a chunk behind a cut) is never met with g - 1.
//!
//! A generation whose first copy is durable is spent, whatever becomes of the second: the next one begins with the other file.

/// File names of a pair, the one to be written first in front.
pub(crate) fn in_order(files: [&'static str; 2], generation: u64) -> [&'static str; 2] {
    if generation.is_multiple_of(2) { files } else { [files[1], files[0]] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_generation_begins_where_this_one_ends() {
        for generation in 0..4 {
            let [_, second] = in_order(["a", "b"], generation);
            assert_eq!(in_order(["a", "b"], generation + 1)[0], second);
        }
    }
}
