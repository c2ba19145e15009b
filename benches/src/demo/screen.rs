//! Draws the moment in a terminal: bars for DRAM, SSD and the tiers, a picture of the throughput, latencies by tier.
//!
//! Promises: fits 80 x 24, and shows what it can in less; never panics for a size.

use super::view::{Latency, View};
use crate::page::Unit;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};

const HOT: Color = Color::LightRed;
const COLD: Color = Color::LightBlue;
const MISS: Color = Color::DarkGray;
const FAINT: Style = Style::new().fg(Color::DarkGray);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Columns of the names at the left.
const NAMES: u16 = 12;
/// Columns of the numbers at the right of a bar.
const NUMBERS: u16 = 20;
/// Below this height there is a line for each fact and nothing else.
const COMFORTABLE: u16 = 21;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    if area.height < COMFORTABLE {
        frame.render_widget(Paragraph::new(bare(view, area)), area);
        return;
    }
    let (line, gap) = (Constraint::Length(1), Constraint::Length(1));
    let (picture, words) = (Constraint::Min(3), Constraint::Length(2));
    let rows = Layout::vertical([
        line, gap, line, line, gap, line, line, gap, line, picture, gap, line, line, line, line, gap, words, line,
    ])
    .split(area);
    frame.render_widget(title(view, area.width), rows[0]);
    frame.render_widget(memory(view, rows[2]), rows[2]);
    frame.render_widget(disk(view, rows[3]), rows[3]);
    frame.render_widget(tiers(view, rows[5]), rows[5]);
    frame.render_widget(legend(view), rows[6]);
    frame.render_widget(throughput(view), rows[8]);
    draw_picture(frame, view, rows[9]);
    frame.render_widget(latency_head(), rows[11]);
    frame.render_widget(latency("from DRAM", HOT, view.hot), rows[12]);
    frame.render_widget(latency("from SSD", COLD, view.cold), rows[13]);
    frame.render_widget(reads(view), rows[14]);
    frame.render_widget(Paragraph::new(view.explanation()).style(STRONG).wrap(Wrap { trim: true }), rows[16]);
    frame.render_widget(keys(), rows[17]);
}

/// What matters most, first: a low terminal cuts the rest.
fn bare(view: &View, area: Rect) -> Vec<Line<'static>> {
    vec![
        title(view, area.width),
        memory(view, area),
        disk(view, area),
        tiers(view, area),
        throughput(view),
        latency_head(),
        latency("from DRAM", HOT, view.hot),
        latency("from SSD", COLD, view.cold),
        reads(view),
        keys(),
        Line::styled(view.explanation(), STRONG),
    ]
}

fn keys() -> Line<'static> {
    Line::styled("q quit   space move the hot set   + - load", FAINT)
}

fn latency_head() -> Line<'static> {
    Line::styled(format!("{:<12}{:>12}{:>12}", "GET latency", "p50", "p99"), FAINT)
}

fn title(view: &View, width: u16) -> Line<'static> {
    let memory = view.server.map_or(0.0, |server| server.memory_bytes_max as f64);
    let left = format!(
        "Thermocline: {} of data, {} of DRAM",
        Unit::Bytes.text(view.data_bytes as f64),
        Unit::Bytes.text(memory)
    );
    let right = match view.loaded {
        Some(loaded) => format!("loading {:.0} %", loaded as f64 * 100.0 / view.keys.max(1) as f64),
        None => format!("{:.0} of {:.0} s", view.mix_s.0, view.mix_s.1),
    };
    let room = usize::from(width).saturating_sub(left.chars().count() + right.chars().count());
    Line::from(vec![Span::styled(left, STRONG), Span::raw(" ".repeat(room.max(1))), Span::styled(right, FAINT)])
}

/// A name, a bar of parts, and words behind it.
fn bar(name: &str, area: Rect, parts: &[(f64, Color)], words: String) -> Line<'static> {
    let width = usize::from(area.width.saturating_sub(NAMES + NUMBERS));
    let mut spans = vec![Span::raw(format!("{name:<12}"))];
    let (mut share, mut drawn) = (0.0, 0);
    for (part, colour) in parts {
        share += part.clamp(0.0, 1.0);
        let end = ((share * width as f64).round() as usize).min(width);
        spans.push(Span::styled("█".repeat(end.saturating_sub(drawn)), Style::new().fg(*colour)));
        drawn = end.max(drawn);
    }
    spans.push(Span::styled("░".repeat(width - drawn), FAINT));
    spans.push(Span::raw(format!("  {words}")));
    Line::from(spans)
}

fn memory(view: &View, area: Rect) -> Line<'static> {
    let (used, most) = view.server.map_or((0, 0), |server| (server.memory_bytes, server.memory_bytes_max));
    let words = format!("{} of {}", Unit::Bytes.text(used as f64), Unit::Bytes.text(most as f64));
    bar("DRAM used", area, &[(used as f64 / most.max(1) as f64, HOT)], words)
}

/// Drawn to the same measure as all values, so that the two bars say how unequal the two are.
fn disk(view: &View, area: Rect) -> Line<'static> {
    let used = view.server.map_or(0, |server| server.disk_bytes);
    let most = (view.data_bytes as f64 * 1.25).max(used as f64).max(1.0);
    bar("SSD used", area, &[(used as f64 / most, COLD)], Unit::Bytes.text(used as f64))
}

fn tiers(view: &View, area: Rect) -> Line<'static> {
    let Some(shares) = view.shares else { return bar("GETs now", area, &[], "none".to_owned()) };
    let words = format!("{} from DRAM", Unit::Share.text(shares.hot));
    bar("GETs now", area, &[(shares.hot, HOT), (shares.cold, COLD), (shares.miss, MISS)], words)
}

fn legend(view: &View) -> Line<'static> {
    let mut spans = vec![Span::raw(" ".repeat(usize::from(NAMES)))];
    let shares = view.shares;
    let parts: [(&str, Color, Option<f64>); 3] = [
        ("hot (DRAM)", HOT, shares.map(|shares| shares.hot)),
        ("cold (SSD)", COLD, shares.map(|shares| shares.cold)),
        ("miss", MISS, shares.map(|shares| shares.miss)),
    ];
    for (name, colour, share) in parts {
        let share = share.map_or_else(|| "–".to_owned(), |share| Unit::Share.text(share));
        spans.push(Span::styled("■ ", Style::new().fg(colour)));
        spans.push(Span::raw(format!("{name} {share}   ")));
    }
    Line::from(spans)
}

fn throughput(view: &View) -> Line<'static> {
    let now = view.throughput.back().copied().unwrap_or(0);
    let highest = view.throughput.iter().copied().max().unwrap_or(0);
    Line::from(vec![
        Span::raw(format!("{:<12}", "Answers")),
        Span::styled(Unit::PerSecond.text(now as f64), STRONG),
        Span::styled(format!("   highest {}", Unit::PerSecond.text(highest as f64)), FAINT),
    ])
}

fn draw_picture(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let skipped = view.throughput.len().saturating_sub(usize::from(area.width));
    let shown: Vec<u64> = view.throughput.iter().skip(skipped).copied().collect();
    frame.render_widget(Sparkline::default().data(&shown).style(Style::new().fg(Color::Green)), area);
}

fn latency(name: &str, colour: Color, latency: Option<Latency>) -> Line<'static> {
    let text = |us: fn(Latency) -> u64| {
        latency.map_or_else(|| "–".to_owned(), |latency| Unit::Microseconds.text(us(latency) as f64))
    };
    let numbers = format!("{:>12}{:>12}", text(|latency| latency.p50_us), text(|latency| latency.p99_us));
    Line::from(vec![Span::styled(format!("{name:<12}"), Style::new().fg(colour)), Span::raw(numbers)])
}

fn reads(view: &View) -> Line<'static> {
    let per_get = view.server.map_or(0.0, |server| server.reads_per_cold_get);
    Line::from(format!(
        "SSD reads {}   per cold GET {per_get:.2}   requests in flight {}",
        Unit::PerSecond.text(view.ssd_reads_per_s),
        view.in_flight
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::live::Live;
    use crate::demo::watch::ServerState;
    use crate::wire::Tier;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::sync::atomic::Ordering;

    fn busy_view() -> View {
        let live = Live::new();
        live.mixing.store(true, Ordering::Relaxed);
        let mut view = View::new(1 << 30, 1_000_000, 60.0);
        let server = ServerState {
            memory_bytes: 60 << 20,
            memory_bytes_max: 64 << 20,
            disk_bytes: 1_100 << 20,
            keys: 1_000_000,
            hot_keys: 30_000,
            cold_reads: 5,
            reads_per_cold_get: 1.0,
        };
        for look in 1..300_u64 {
            live.answers.store(look * look * 100, Ordering::Relaxed);
            (0..3).for_each(|_| live.answered(Some(Tier::Hot), 40_000));
            live.answered(Some(Tier::Cold), 130_000);
            view.update(look as f64 / 2.0, &live, Some(ServerState { cold_reads: look * 1_000, ..server }));
        }
        view
    }

    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells.chunks(usize::from(width)).map(|line| line.concat()).collect()
    }

    #[test]
    fn everything_fits_eighty_by_twenty_four() {
        let text = drawn(&busy_view(), 80, 24).join("\n");
        for words in [
            "1 GiB of data, 64 MiB of DRAM",
            "60 MiB of 64 MiB",
            "1.07 GiB",
            "75 % from DRAM",
            "cold (SSD) 25 %",
            "130 µs",
            "SSD reads 2 k/s",
            "per cold GET 1.00",
            "DRAM holds the values of 3.0 % of the keys",
            "space move the hot set",
        ] {
            assert!(text.contains(words), "{words:?} is missing:\n{text}");
        }
    }

    #[test]
    fn any_size_is_drawn_without_a_panic() {
        for view in [View::new(0, 0, 0.0), busy_view()] {
            for (width, height) in [(40, 10), (1, 1), (12, 3), (80, 17), (80, 20), (80, 21), (300, 100), (3, 200)] {
                drawn(&view, width, height);
            }
        }
        let text = drawn(&busy_view(), 40, 10).join("\n");
        for words in ["DRAM used", "SSD used", "GETs now", "from DRAM", "from SSD", "SSD reads", "q quit"] {
            assert!(text.contains(words), "{words:?} is missing:\n{text}");
        }
    }
}
