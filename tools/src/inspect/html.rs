//! The report of `inspect` as one page with plots: no script, nothing loaded from elsewhere.
//!
//! Promises: names of keys are text, never markup; the page is bounded (segments beyond a bound are left out and said). Never:
//! a number that is not in the report.

use super::histogram::Bucket;
use super::report::Report;
use crate::print::bytes;
use std::fmt::Write;

/// Segments drawn.
const SEGMENTS_MAX: usize = 4096;
const BAR_WIDTH: f64 = 420.0;
const LINE: usize = 22;
const SQUARE: usize = 12;
const SQUARES_PER_LINE: usize = 64;

/// A bar: its name, its parts, and the words behind it.
struct Bar {
    name: String,
    parts: Vec<(u64, &'static str)>,
    words: String,
}

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><style>\
         body{{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;color:#223}}\
         text{{font:13px system-ui,sans-serif;fill:#223}}pre{{background:#f4f6f8;padding:1em;overflow:auto}}</style><h1>{0}</h1>",
        escaped(&report.directory)
    );
    let live = "#2a7f9e";
    let dead = "#d7b49e";
    let kinds = report.kinds.iter().map(|kind| Bar {
        name: kind.kind.to_owned(),
        parts: vec![(kind.live_bytes, live), (kind.bytes - kind.live_bytes, dead)],
        words: format!("{} of {} live", bytes(kind.live_bytes), bytes(kind.bytes)),
    });
    plot(&mut out, "Kinds: live and dead bytes", kinds);
    let generations = report.generations.iter().map(|row| Bar {
        name: row.stream.clone(),
        parts: vec![(row.live_bytes, live), (row.garbage_bytes, dead)],
        words: format!("{} of {} garbage, {} segments", bytes(row.garbage_bytes), bytes(row.bytes), row.segments),
    });
    plot(&mut out, "Garbage per generation", generations);
    let buckets = |buckets: &[Bucket]| -> Vec<Bar> {
        let bar = |bucket: &Bucket| Bar {
            name: bucket.label.clone(),
            parts: vec![(bucket.count, live)],
            words: format!("{} ({})", bucket.count, bytes(bucket.bytes)),
        };
        buckets.iter().map(bar).collect()
    };
    plot(&mut out, "Live values by size", buckets(&report.sizes).into_iter());
    plot(&mut out, "Keys by time to live", buckets(&report.ttls).into_iter());
    if let Some(keys) = &report.keys {
        let prefixes = keys.prefixes.iter().map(|row| Bar {
            name: row.prefix.clone(),
            parts: vec![(row.hot_bytes, "#c8553d"), (row.bytes - row.hot_bytes, live)],
            words: format!("{}, {} hot, {} keys", bytes(row.bytes), bytes(row.hot_bytes), row.keys),
        });
        plot(&mut out, "Prefixes: hot and cold bytes", prefixes);
        let largest = keys.largest.iter().map(|row| Bar {
            name: row.key.clone(),
            parts: vec![(row.bytes, live)],
            words: format!("{} ({})", bytes(row.bytes), row.kind),
        });
        plot(&mut out, "Largest keys", largest);
    }
    segments(&mut out, report);
    let words = report.words(100);
    let _ = write!(out, "<h2>In words</h2><pre>{}</pre></html>", escaped(&words)); // a String takes all
    out
}

fn plot(out: &mut String, title: &str, bars: impl Iterator<Item = Bar>) {
    let bars: Vec<Bar> = bars.collect();
    let sum = |bar: &Bar| bar.parts.iter().map(|part| part.0).sum::<u64>();
    let longest = bars.iter().map(sum).max().unwrap_or(0).max(1) as f64;
    let height = bars.len() * LINE;
    let _ = write!(out, "<h2>{title}</h2><svg width=900 height={height} role=img aria-label=\"{title}\">");
    for (number, bar) in bars.iter().enumerate() {
        let (y, mut x) = (number * LINE, 200.0);
        let name: String = bar.name.chars().take(28).collect();
        let _ = write!(out, "<text x=190 y={} text-anchor=end>{}</text>", y + 15, escaped(&name));
        for (value, colour) in &bar.parts {
            let width = *value as f64 / longest * BAR_WIDTH;
            let _ = write!(out, "<rect x={x:.1} y={} width={width:.1} height=16 fill=\"{colour}\"/>", y + 3);
            x += width;
        }
        let _ = write!(out, "<text x={:.1} y={}>{}</text>", x + 6.0, y + 15, escaped(&bar.words));
    }
    out.push_str("</svg>");
}

/// A square per segment, the darker the more of it is live.
fn segments(out: &mut String, report: &Report) {
    let shown = report.segments.len().min(SEGMENTS_MAX);
    let height = shown.div_ceil(SQUARES_PER_LINE) * SQUARE;
    let width = SQUARES_PER_LINE * SQUARE;
    let _ = write!(out, "<h2>Segments: the darker, the more is live</h2><svg width={width} height={height} role=img>");
    for (number, row) in report.segments.iter().take(shown).enumerate() {
        let (x, y) = (number % SQUARES_PER_LINE * SQUARE, number / SQUARES_PER_LINE * SQUARE);
        let light = 95.0 - row.live_percent.clamp(0.0, 100.0) * 0.6;
        let (id, state, live) = (row.segment, row.state, row.live_percent);
        let _ = write!(
            out,
            "<rect x={x} y={y} width=11 height=11 fill=\"hsl(196 58% {light:.0}%)\"><title>{id}: {state}, {live:.1} %</title></rect>"
        );
    }
    out.push_str("</svg>");
    if report.segments.len() > shown {
        let _ = write!(out, "<p>{} more are not drawn.</p>", report.segments.len() - shown);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
