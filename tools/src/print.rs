//! Words for people: byte counts, plurals, tables with aligned columns; and JSON for programs.

use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Bytes with a binary unit: `13.4 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = (count.max(1).ilog2() / 10) as usize;
    if unit == 0 {
        format!("{count} B")
    } else {
        format!("{:.1} {}", count as f64 / 1024f64.powi(unit as i32), UNITS[unit.min(5)])
    }
}

/// `1 record`, `2 records`.
pub fn count(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Rows under a head, each column as wide as its widest cell; numbers to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut out = String::from(" ");
        for (cell, &width) in cells.zip(&widths) {
            let right = cell.starts_with(|c: char| c.is_ascii_digit());
            out.push_str(&if right { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") });
        }
        out.truncate(out.trim_end().len());
        out + "\n"
    };
    let mut out = line(&mut head.iter().copied());
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

/// The most memory this process had; 0 where the system does not say.
pub fn peak_memory_bytes() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a fact of the kernel, not a file of the store")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// The report as indented JSON.
pub fn json(report: &impl Serialize) -> Result<()> {
    text(&(serde_json::to_string_pretty(report).context("writing JSON")? + "\n"))
}

/// The report as JSON for programs, or in words for people.
pub fn report<R: Serialize>(report: &R, as_json: bool, words: impl FnOnce(&R) -> String) -> Result<()> {
    if as_json { json(report) } else { text(&words(report)) }
}

/// Text to standard output. A reader that has left (`| head`) is no error.
pub fn text(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("writing to standard output"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_suits_them() {
        assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(3 << 29)], ["0 B", "1023 B", "1.0 KiB", "1.5 GiB"]);
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&["name", "n"], &[vec!["a".into(), "100".into()], vec!["longer".into(), "2".into()]]);
        assert_eq!(text, "  name    n\n  a       100\n  longer    2\n");
    }
}
