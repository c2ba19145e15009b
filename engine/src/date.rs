//! The date of a moment, UTC, in the calendar of today.
//!
//! The days are counted as in Howard Hinnant's `civil_from_days`: years begin in March, so the leap day is the last one.

const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;

/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_TO_1970: u64 = 719_468;

/// `2026-11-24 09:37:24`.
pub fn utc(unix_s: u64) -> String {
    // Later moments than the year 9999 are nonsense in a file; they are shown as its end.
    let unix_s = unix_s.min(253_402_300_799);
    let (days, second) = (unix_s / SECONDS_PER_DAY + DAYS_TO_1970, unix_s % SECONDS_PER_DAY);
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    let year = if month <= 2 { year + 1 } else { year };
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(utc(951_868_799), "2000-02-29 23:59:59");
        assert_eq!(utc(951_868_800), "2000-03-01 00:00:00");
        assert_eq!(utc(1_735_689_599), "2024-12-31 23:59:59");
        assert_eq!(utc(1_795_513_044), "2026-11-24 09:37:24");
        assert_eq!(utc(u64::MAX), "9999-12-31 23:59:59");
    }
}
