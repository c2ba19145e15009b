//! Numbers as people read them: with a unit, three digits at most, and the ticks of an axis that fit that unit.
//!
//! Promises: every finite number has a text; ticks are round in the unit that they are shown in (bytes by powers of two).

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds of a run.
    Seconds,
    /// Latencies and CPU time, kept in microseconds.
    Microseconds,
    /// Anything per second.
    PerSecond,
    /// Bytes.
    Bytes,
    /// A share, 0 to 1, shown in percent.
    Share,
    /// A plain factor.
    Factor,
    /// A plain count.
    Count,
}

impl Unit {
    /// A number in words.
    pub fn text(self, number: f64) -> String {
        match self {
            Self::Seconds => format!("{} s", digits(number)),
            Self::Microseconds if number.abs() >= 1e6 => format!("{} s", digits(number / 1e6)),
            Self::Microseconds if number.abs() >= 1e3 => format!("{} ms", digits(number / 1e3)),
            Self::Microseconds => format!("{} µs", digits(number)),
            Self::PerSecond => {
                let (number, prefix) = thousands(number);
                format!("{} {prefix}/s", digits(number))
            }
            Self::Bytes => bytes(number),
            Self::Share => format!("{} %", digits(number * 100.0)),
            Self::Factor => digits(number),
            Self::Count => {
                let (number, prefix) = thousands(number);
                format!("{} {prefix}", digits(number)).trim_end().to_owned()
            }
        }
    }

    /// A step at least as large as `least` that looks round in this unit.
    fn step(self, least: f64) -> f64 {
        match self {
            Self::Bytes => {
                // Round within the binary unit that the numbers are shown in: 1, 2, 5, 10, ... MiB.
                let power = least.max(1.0).log2().div_euclid(10.0).clamp(0.0, 5.0);
                let unit = 1024_f64.powf(power);
                let step = decimal_step(least / unit).max(1.0 / unit);
                if step >= 1_000.0 && power < 5.0 { unit * 1024.0 } else { step * unit }
            }
            _ => decimal_step(least),
        }
    }
}

fn decimal_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|part| part * power)
        .into_iter()
        .find(|step| *step >= least * 0.999)
        .unwrap_or(10.0 * power)
}

fn thousands(number: f64) -> (f64, &'static str) {
    match number.abs() {
        size if size >= 999.5e6 => (number / 1e9, "G"),
        size if size >= 999.5e3 => (number / 1e6, "M"),
        size if size >= 999.5 => (number / 1e3, "k"),
        _ => (number, ""),
    }
}

fn bytes(number: f64) -> String {
    let mut rest = number;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest.abs() < 1023.5 {
            return format!("{} {unit}", digits(rest));
        }
        rest /= 1024.0;
    }
    format!("{} TiB", digits(rest))
}

/// Three digits, no zeros behind the point that say nothing.
fn digits(number: f64) -> String {
    let size = number.abs();
    let places = match size {
        _ if size == 0.0 || size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ if size >= 0.01 => 3,
        _ => 5,
    };
    let text = format!("{number:.places$}");
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Where an axis has its marks, and its ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticks {
    /// Lowest number of the axis.
    pub low: f64,
    /// Highest.
    pub high: f64,
    /// Marks in order, with their text.
    pub marks: Vec<(f64, String)>,
}

impl Ticks {
    /// From zero to a round number above `high`, about `count` marks.
    pub fn from_zero(unit: Unit, high: f64, count: u32) -> Self {
        let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
        let step = unit.step(high / f64::from(count));
        let steps = (high / step - 1e-9).ceil().max(1.0);
        let marks = (0..=steps as u32).map(|index| f64::from(index) * step);
        Self { low: 0.0, high: step * steps, marks: marks.map(|at| (at, unit.text(at))).collect() }
    }

    /// From zero exactly to `high`: for time, where nothing lies behind the end.
    pub fn up_to(unit: Unit, high: f64, count: u32) -> Self {
        let mut ticks = Self::from_zero(unit, high, count);
        ticks.high = if high > 0.0 { high } else { ticks.high };
        ticks.marks.retain(|(at, _)| *at <= ticks.high * (1.0 + 1e-9));
        ticks
    }

    /// A logarithmic axis around `low` and `high` (both above zero): marks at 1, 2, 5 when few decades are shown, else at 1.
    pub fn logarithmic(unit: Unit, low: f64, high: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
        let high = if high.is_finite() && high > low { high } else { low * 10.0 };
        let parts: &[f64] = if (high / low).log10() > 3.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|power| parts.iter().map(move |part| part * 10_f64.powi(power)));
        let all: Vec<f64> = all.collect();
        let begin = all.iter().rposition(|at| *at <= low * 1.001).unwrap_or(0);
        let end = all.iter().position(|at| *at >= high * 0.999).unwrap_or(all.len() - 1).max(begin + 1);
        let marks: Vec<f64> = all[begin..=end.min(all.len() - 1)].to_vec();
        let (low, high) = (marks[0], marks[marks.len() - 1]);
        Self { low, high, marks: marks.into_iter().map(|at| (at, unit.text(at))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (Unit::PerSecond, 412_345.0, "412 k/s"),
            (Unit::PerSecond, 1_234_567.0, "1.23 M/s"),
            (Unit::PerSecond, 999_700.0, "1 M/s"),
            (Unit::PerSecond, 12.0, "12 /s"),
            (Unit::Microseconds, 85.04, "85 µs"),
            (Unit::Microseconds, 1_500.0, "1.5 ms"),
            (Unit::Microseconds, 2_000_000.0, "2 s"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 67_108_864.0, "64 MiB"),
            (Unit::Bytes, 1_536.0, "1.5 KiB"),
            (Unit::Share, 0.9876, "98.8 %"),
            (Unit::Share, 1.0, "100 %"),
            (Unit::Share, 0.001, "0.1 %"),
            (Unit::Factor, 1.104, "1.1"),
            (Unit::Count, 2_000_000.0, "2 M"),
            (Unit::Seconds, 0.5, "0.5 s"),
        ];
        for (unit, number, text) in cases {
            assert_eq!(unit.text(number), text);
        }
    }

    #[test]
    fn ticks_are_round_and_cover_the_numbers() {
        let ticks = Ticks::from_zero(Unit::PerSecond, 412_345.0, 5);
        assert_eq!(
            ticks.marks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
            ["0 /s", "100 k/s", "200 k/s", "300 k/s", "400 k/s", "500 k/s"]
        );
        let ticks = Ticks::from_zero(Unit::Bytes, 70.0 * 1_048_576.0, 4);
        assert_eq!(
            ticks.marks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
            ["0 B", "20 MiB", "40 MiB", "60 MiB", "80 MiB"]
        );
        assert_eq!(Ticks::up_to(Unit::Seconds, 12.5, 5).high, 12.5);
        let ticks = Ticks::logarithmic(Unit::Microseconds, 80.0, 900.0);
        assert_eq!(
            ticks.marks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
            ["50 µs", "100 µs", "200 µs", "500 µs", "1 ms"]
        );
    }

    #[test]
    fn nonsense_still_gives_an_axis() {
        for number in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            for unit in [Unit::Bytes, Unit::Microseconds, Unit::Share] {
                for ticks in [Ticks::from_zero(unit, number, 5), Ticks::logarithmic(unit, number, number)] {
                    assert!(ticks.marks.len() >= 2 && ticks.marks.len() < 40, "{unit:?} {number}: {ticks:?}");
                    assert!(ticks.high > ticks.low, "{unit:?} {number}: {ticks:?}");
                }
            }
        }
    }
}
