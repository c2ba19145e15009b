//! When requests are due. Closed loop: now, whenever a connection has room. Open loop: by a timetable that does not care how
//! the server fares, so that a stall is felt by every request that was due meanwhile (Gil Tene's "coordinated omission").
//!
//! The queue of due requests is this timetable itself: a request that waits costs nothing until it is sent, none is ever
//! dropped or moved, and memory is bounded whatever the backlog. A wait longer than [`PATIENCE_S`] is counted: then the rate
//! was not kept, and the report says so.

use crate::report::{LoopKind, LoopReport};
use clap::{Args, ValueEnum};

/// A request that waits longer than this in the client says that the rate cannot be kept.
pub const PATIENCE_S: u64 = 10;

const SECOND_NS: f64 = 1e9;

/// How the moments of an open loop are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Constant,
    /// As independent clients would come: exponential gaps.
    Poisson,
}

/// `--rate` and `--arrivals`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct PaceArguments {
    /// Open loop: so many requests per second are due, come what may; latency counts from the intended moment.
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: Option<f64>,
    /// How the requests of an open loop are spaced.
    #[arg(long, value_enum, default_value_t, requires = "rate")]
    pub arrivals: Arrivals,
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err(format!("{text} is not above 0")) }
}

/// The timetable of a pass.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    /// The next request is due at this moment of the run (open loop).
    due_ns: f64,
    taken: u64,
    random: u64,
    late_max_ns: u64,
    waiting_max: u64,
    over_patience: u64,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    Closed,
    Rate {
        gap_ns: f64,
        arrivals: Arrivals,
    },
    /// Moments come from the workload itself.
    Given,
}

impl Schedule {
    /// By the command line: closed without a rate. The seed decides Poisson's gaps.
    pub fn new(arguments: PaceArguments, seed: u64) -> Self {
        let rate = |rate: f64| Pace::Rate { gap_ns: SECOND_NS / rate, arrivals: arguments.arrivals };
        Self::of(arguments.rate.map_or(Pace::Closed, rate), seed)
    }

    /// Closed loop.
    pub fn closed() -> Self {
        Self::of(Pace::Closed, 0)
    }

    /// Open loop by moments that the workload brings, with [`Schedule::at`].
    pub fn given() -> Self {
        Self::of(Pace::Given, 0)
    }

    fn of(pace: Pace, seed: u64) -> Self {
        Self { pace, due_ns: 0.0, taken: 0, random: seed, late_max_ns: 0, waiting_max: 0, over_patience: 0 }
    }

    /// The moments are the workload's.
    pub fn is_given(&self) -> bool {
        matches!(self.pace, Pace::Given)
    }

    /// The moment when the next request is due; in a closed loop that is now.
    pub fn due_ns(&self, now_ns: u64) -> u64 {
        if matches!(self.pace, Pace::Closed) { now_ns } else { self.due_ns as u64 }
    }

    /// The workload's next request is due at this moment (for [`Schedule::given`]).
    pub fn at(&mut self, due_ns: u64) {
        self.due_ns = due_ns as f64;
    }

    /// Takes the next moment from the timetable, which is due or past.
    pub fn take(&mut self, now_ns: u64) -> u64 {
        let due_ns = self.due_ns(now_ns);
        if let Pace::Rate { gap_ns, arrivals } = self.pace {
            let waiting = (now_ns.saturating_sub(due_ns) as f64 / gap_ns) as u64;
            self.waiting_max = self.waiting_max.max(waiting);
            self.taken += 1;
            self.due_ns = match arrivals {
                // From the count, not from the moment before: no error adds up.
                Arrivals::Constant => self.taken as f64 * gap_ns,
                Arrivals::Poisson => self.due_ns - gap_ns * self.uniform().ln(),
            };
        }
        due_ns
    }

    /// A request whose moment was taken is sent now.
    pub fn sent(&mut self, due_ns: u64, now_ns: u64) {
        let late_ns = now_ns.saturating_sub(due_ns);
        self.late_max_ns = self.late_max_ns.max(late_ns);
        self.over_patience += u64::from(late_ns > PATIENCE_S * SECOND_NS as u64);
    }

    /// How the timetable was kept until now, the end of the pass.
    pub fn report(&self, ended_ns: u64) -> LoopReport {
        let open = |rate_per_second, arrivals: &str| LoopReport {
            kind: LoopKind::Open,
            rate_per_second,
            arrivals: Some(arrivals.to_owned()),
            sent_late_max_s: self.late_max_ns as f64 / SECOND_NS,
            waiting_max: self.waiting_max,
            over_patience: self.over_patience,
            unsent_at_end: 0,
        };
        match self.pace {
            Pace::Closed => LoopReport::default(),
            Pace::Given => open(None, "trace"),
            Pace::Rate { gap_ns, arrivals } => {
                let name = if arrivals == Arrivals::Poisson { "poisson" } else { "constant" };
                let unsent_at_end = ((ended_ns as f64 - self.due_ns).max(0.0) / gap_ns) as u64;
                LoopReport { unsent_at_end, ..open(Some(SECOND_NS / gap_ns), name) }
            }
        }
    }

    /// Above 0, at most 1.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(1);
        let bits = crate::value::KeyId(self.random).spread() >> 11;
        (bits + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn open(rate: f64, arrivals: Arrivals) -> Schedule {
        Schedule::new(PaceArguments { rate: Some(rate), arrivals }, 1)
    }

    #[test]
    fn a_closed_loop_is_always_due_now() {
        let mut schedule = Schedule::closed();
        assert_eq!(schedule.due_ns(77), 77);
        assert_eq!(schedule.take(77), 77);
        schedule.sent(77, 77);
        assert_eq!(schedule.report(1_000), LoopReport::default());
    }

    #[test]
    fn a_stall_moves_no_request_and_drops_none() {
        let mut schedule = open(1_000.0, Arrivals::Constant);
        let mut due = Vec::new();
        // Nothing could be sent for the first second; then all that waited goes out.
        while schedule.due_ns(1_000 * MILLISECOND) <= 1_000 * MILLISECOND {
            let due_ns = schedule.take(1_000 * MILLISECOND);
            schedule.sent(due_ns, 1_000 * MILLISECOND);
            due.push(due_ns);
        }
        assert_eq!(due, (0..=1_000).map(|request| request * MILLISECOND).collect::<Vec<u64>>());
        let report = schedule.report(1_000 * MILLISECOND);
        assert_eq!((report.kind, report.waiting_max, report.sent_late_max_s), (LoopKind::Open, 1_000, 1.0));
        assert_eq!(report.broken(), None, "a second is within the client's patience");
    }

    #[test]
    fn a_rate_that_is_not_kept_is_said() {
        let mut schedule = open(1_000.0, Arrivals::Constant);
        for second in 0..20 {
            let now_ns = second * 1_000 * MILLISECOND;
            let due_ns = schedule.take(now_ns);
            schedule.sent(due_ns, now_ns);
        }
        let report = schedule.report(20_000 * MILLISECOND);
        assert_eq!((report.over_patience, report.unsent_at_end), (9, 19_980));
        assert!(report.broken().unwrap().contains("19980"));
    }

    #[test]
    fn poisson_keeps_the_rate_and_not_the_gaps() {
        let mut schedule = open(1_000.0, Arrivals::Poisson);
        let due: Vec<u64> = (0..100_000).map(|_| schedule.take(u64::MAX)).collect();
        let seconds = *due.last().unwrap() as f64 / 1e9;
        assert!((seconds - 100.0).abs() < 2.0, "{seconds}");
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / MILLISECOND as f64).collect();
        let above_the_mean = gaps.iter().filter(|gap| **gap > 1.0).count() as f64 / gaps.len() as f64;
        assert!((above_the_mean - (-1.0f64).exp()).abs() < 0.01, "{above_the_mean}");
    }
}
