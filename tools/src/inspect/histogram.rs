//! Counts in a few buckets: sizes by powers of two, times to live by what people ask for.

use serde::Serialize;

/// One bucket.
#[derive(Clone, Serialize)]
pub struct Bucket {
    /// What falls into it.
    pub label: String,
    /// Values.
    pub count: u64,
    /// Their bytes on the SSD.
    pub bytes: u64,
}

/// Values by the size of their record, in powers of two.
#[derive(Default)]
pub struct Sizes {
    buckets: [(u64, u64); 32],
}

impl Sizes {
    /// Adds a value.
    pub fn add(&mut self, bytes: u32) {
        let power = u64::from(bytes.max(1)).next_power_of_two().ilog2().min(31);
        let bucket = &mut self.buckets[power as usize];
        bucket.0 += 1;
        bucket.1 += u64::from(bytes);
    }

    /// The buckets that hold something.
    pub fn rows(&self) -> Vec<Bucket> {
        let filled = self.buckets.iter().enumerate().filter(|(_, (count, _))| *count > 0);
        filled
            .map(|(power, &(count, bytes))| Bucket {
                label: format!("<= {}", crate::print::bytes(1 << power as u64)),
                count,
                bytes,
            })
            .collect()
    }
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const TTLS: [(&str, u64); 6] = [
    ("minute", MINUTE_MS),
    ("hour", HOUR_MS),
    ("day", DAY_MS),
    ("week", 7 * DAY_MS),
    ("30 days", 30 * DAY_MS),
    ("year", 365 * DAY_MS),
];

/// Values by their time to live.
pub struct Ttls {
    now_ms: u64,
    never: (u64, u64),
    expired: (u64, u64),
    within: [(u64, u64); TTLS.len()],
    later: (u64, u64),
}

impl Ttls {
    /// As seen at this time.
    pub fn at(now_ms: u64) -> Ttls {
        Ttls { now_ms, never: (0, 0), expired: (0, 0), within: [(0, 0); TTLS.len()], later: (0, 0) }
    }

    /// Adds a value.
    pub fn add(&mut self, expiry: Option<u64>, bytes: u32) {
        let bucket = match expiry {
            None => &mut self.never,
            Some(at) if at <= self.now_ms => &mut self.expired,
            Some(at) => match TTLS.iter().position(|(_, ms)| at - self.now_ms <= *ms) {
                Some(n) => &mut self.within[n],
                None => &mut self.later,
            },
        };
        bucket.0 += 1;
        bucket.1 += u64::from(bytes);
    }

    /// The buckets that hold something.
    pub fn rows(&self) -> Vec<Bucket> {
        let within = TTLS
            .iter()
            .zip(self.within)
            .map(|((name, _), bucket)| (format!("within a {name}").replace("a 30", "30"), bucket));
        let ends = [("no expiry".to_owned(), self.never), ("expired".to_owned(), self.expired)];
        let all = ends.into_iter().chain(within).chain([("later".to_owned(), self.later)]);
        all.filter(|(_, bucket)| bucket.0 > 0).map(|(label, (count, bytes))| Bucket { label, count, bytes }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_falls_into_the_power_of_two_that_holds_it() {
        let mut sizes = Sizes::default();
        [64, 65, 128].into_iter().for_each(|bytes| sizes.add(bytes));
        let rows = sizes.rows();
        assert_eq!(
            rows.iter().map(|r| (r.label.as_str(), r.count, r.bytes)).collect::<Vec<_>>(),
            [("<= 64 B", 1, 64), ("<= 128 B", 2, 193)]
        );
    }

    #[test]
    fn times_to_live_are_told_apart() {
        let mut ttls = Ttls::at(1000);
        for expiry in [None, Some(1000), Some(1001), Some(1000 + MINUTE_MS), Some(1000 + 20 * DAY_MS), Some(u64::MAX)] {
            ttls.add(expiry, 10);
        }
        let rows: Vec<(String, u64)> = ttls.rows().into_iter().map(|r| (r.label, r.count)).collect();
        let want = [("no expiry", 1), ("expired", 1), ("within a minute", 2), ("within 30 days", 1), ("later", 1)];
        assert_eq!(rows, want.map(|(label, count)| (label.to_owned(), count)));
    }
}
