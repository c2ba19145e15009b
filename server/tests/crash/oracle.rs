//! What must be there after a crash, decided outside the server.
//!
//! One writer's changes are a list, and what the server serves of them must be the result of a *prefix* of that list: because
//! commands of one connection are logged in order and a crash cuts the log once. So the oracle replays the list over what was
//! there before, and counts the keys that differ from what was read; where the count is 0, the server may have been cut.
//! Example: SET a 1, MSET a 2 b 2, DEL a; read (a missing, b missing) fits only the cut 0; (a 2, b missing) fits none: torn.
//!
//! Promises: a lost acknowledged change, a change without one before it, half of a group and an old value come back are each
//! seen. Never: asks the server.

use std::ops::Range;
use std::time::{Duration, Instant};

/// What a key holds: nothing, or the value with this stamp and expiry.
pub type State = Option<Held>;

/// A value.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// Says which value it is.
    pub stamp: u64,
    /// Unix milliseconds at which it goes.
    pub expires_at_ms: Option<u64>,
}

/// One command that changed something, whole or not at all.
#[derive(Clone, Debug)]
pub struct Change {
    /// The keys and what they hold then.
    pub states: Vec<(usize, State)>,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer came, if it did.
    pub acknowledged: Option<Instant>,
}

/// The cuts that explain what one writer's keys hold now.
pub struct Cuts {
    /// First and last possible length of the surviving prefix (several, where changes change nothing).
    pub range: Range<usize>,
    /// What the keys hold.
    pub states: Vec<State>,
}

/// A state at a moment: an expired value is none.
fn at(state: State, now_ms: u64) -> State {
    state.filter(|held| held.expires_at_ms.is_none_or(|at_ms| at_ms > now_ms))
}

/// Finds the cuts. `base`: what was there before `changes`; `read`: what is there now, at `now_ms`.
///
/// # Errors
/// No prefix explains it: says how near the nearest comes.
pub fn cuts(base: &[State], changes: &[Change], read: Vec<State>, now_ms: u64) -> Result<Cuts, String> {
    let mut model = base.to_vec();
    let differs = |model: &[State], key: usize| at(model[key], now_ms) != read[key];
    let mut different = (0..model.len()).filter(|&key| differs(&model, key)).count();
    let (mut first, mut last, mut nearest) = (None, 0, (different, 0));
    for cut in 0..=changes.len() {
        if different == 0 {
            first.get_or_insert(cut);
            last = cut;
        }
        nearest = nearest.min((different, cut));
        let Some(change) = changes.get(cut) else { break };
        for &(key, state) in &change.states {
            different -= usize::from(differs(&model, key));
            model[key] = state;
            different += usize::from(differs(&model, key));
        }
    }
    match first {
        Some(first) => Ok(Cuts { range: first..last + 1, states: read }),
        None => Err(format!(
            "no prefix of {} changes gives what is there; the nearest ends before change {} and leaves {} keys wrong: {}",
            changes.len(),
            nearest.1,
            nearest.0,
            examples(base, &changes[..nearest.1], &read, now_ms)
        )),
    }
}

/// A few keys that are not as they should be.
fn examples(base: &[State], changes: &[Change], read: &[State], now_ms: u64) -> String {
    let mut model = base.to_vec();
    for &(key, state) in changes.iter().flat_map(|change| &change.states) {
        model[key] = state;
    }
    let wrong = (0..model.len()).filter(|&key| at(model[key], now_ms) != read[key]).take(5);
    wrong.map(|key| format!("\n  key {key} holds {:?} instead of {:?}", read[key], model[key])).collect()
}

/// Acknowledged changes that did not survive.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// How many.
    pub changes: usize,
    /// From the acknowledgement of the first of them to the crash.
    pub time: Duration,
}

/// The longest prefix must reach every change acknowledged this long before the crash; `None`: every change acknowledged.
///
/// # Errors
/// Too much is lost.
pub fn lost(cuts: &Cuts, changes: &[Change], crashed: Instant, allowed: Option<Duration>) -> Result<Lost, String> {
    let survivors = cuts.range.end - 1;
    let gone = changes[survivors..].iter().filter(|change| change.acknowledged.is_some()).count();
    let first = changes[survivors..].iter().find_map(|change| change.acknowledged);
    let time = first.map_or(Duration::ZERO, |acknowledged| crashed.saturating_duration_since(acknowledged));
    match first {
        Some(_) if allowed.is_none_or(|allowed| time > allowed) => {
            Err(format!("{gone} acknowledged changes are lost, the oldest acknowledged {time:?} before the crash"))
        }
        _ => Ok(Lost { changes: gone, time }),
    }
}

/// All writers together are cut once: when a change of one survived, so did all that others had been told of before it was sent.
///
/// # Errors
/// Two writers' survivors contradict each other.
pub fn one_cut(all: &[(&Cuts, &[Change])]) -> Result<(), String> {
    for (one, (cuts, changes)) in all.iter().enumerate() {
        let Some(newest) = cuts.range.start.checked_sub(1) else { continue };
        for (other, (others_cuts, others)) in all.iter().enumerate() {
            let before = others.iter().take_while(|change| {
                change.acknowledged.is_some_and(|acknowledged| acknowledged < changes[newest].sent)
            });
            let told = before.count();
            if others_cuts.range.end - 1 < told {
                return Err(format!(
                    "change {newest} of writer {one} survived, but of {told} changes that writer {other} had been told of before only {} did",
                    others_cuts.range.end - 1
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::now;

    const NOW_MS: u64 = 1000;

    fn held(stamp: u64) -> State {
        Some(Held { stamp, expires_at_ms: None })
    }

    fn change(states: &[(usize, State)], start: Instant, ms: u64) -> Change {
        let sent = start + Duration::from_millis(ms);
        Change { states: states.to_vec(), sent, acknowledged: Some(sent + Duration::from_millis(1)) }
    }

    fn story(start: Instant) -> Vec<Change> {
        vec![
            change(&[(0, held(1))], start, 0),
            change(&[(0, held(2)), (1, held(2))], start, 10),
            change(&[(0, None)], start, 20),
            change(&[(1, Some(Held { stamp: 3, expires_at_ms: Some(NOW_MS - 1) }))], start, 30),
        ]
    }

    #[test]
    fn every_prefix_is_recognized() {
        let (base, changes) = ([None, None], story(now()));
        let after = [[None, None], [held(1), None], [held(2), held(2)], [None, held(2)], [None, None]];
        for (cut, states) in after.iter().enumerate() {
            let cuts = cuts(&base, &changes, states.to_vec(), NOW_MS).expect("a prefix");
            assert!(cuts.range.contains(&cut), "{cut} {:?}", cuts.range);
        }
    }

    #[test]
    fn half_a_group_and_an_old_value_that_came_back_are_no_prefix() {
        let (base, changes) = ([None, None], story(now()));
        for states in [[held(2), None], [held(1), held(2)], [None, held(3)]] {
            assert!(cuts(&base, &changes, states.to_vec(), NOW_MS).is_err(), "{states:?}");
        }
    }

    #[test]
    fn a_lost_acknowledged_change_is_seen() {
        let start = now();
        let (base, changes) = ([held(9), None], story(start));
        let cut = cuts(&base, &changes, vec![held(1), None], NOW_MS).expect("a prefix");
        assert_eq!(cut.range, 1..2);
        let killed = start + Duration::from_millis(111);
        assert!(lost(&cut, &changes, killed, None).is_err());
        assert!(lost(&cut, &changes, killed, Some(Duration::from_millis(99))).is_err());
        let allowed = Some(Duration::from_millis(100));
        assert_eq!(lost(&cut, &changes, killed, allowed), Ok(Lost { changes: 3, time: Duration::from_millis(100) }));
    }

    #[test]
    fn survivors_of_two_writers_that_no_single_cut_explains_are_seen() {
        let start = now();
        let (early, late) = ([change(&[(0, held(1))], start, 0)], [change(&[(0, held(1))], start, 50)]);
        let gone = cuts(&[None], &early, vec![None], NOW_MS).expect("a prefix");
        let there = cuts(&[None], &late, vec![held(1)], NOW_MS).expect("a prefix");
        assert!(one_cut(&[(&gone, &early), (&there, &late)]).is_err());
        let there_too = cuts(&[None], &early, vec![held(1)], NOW_MS).expect("a prefix");
        assert_eq!(one_cut(&[(&there_too, &early), (&there, &late)]), Ok(()));
    }
}
