//! Draws groups of bars: one group per measure, one bar per server, with the spread of its rounds as a whisker, its number,
//! and in words what it means for the first bar.
//!
//! Promises: every bar begins at zero; a loss is written in red and never left out.

use super::canvas::{Canvas, Letters, Picture, Side};
use super::figure::{Panel, Sense};
use super::lines::{TITLE, WIDTH};
use super::palette::{BAD, FAINT, GOOD, GROUND, INK, of};
use anyhow::Result;
use plotters::prelude::DrawingBackend;

const EDGE: f64 = 16.0;
const TITLE_HEIGHT: f64 = 38.0;
const PANEL_TITLE_HEIGHT: f64 = 24.0;
const BAR_HEIGHT: f64 = 24.0;
const PANEL_GAP: f64 = 12.0;
const NAME_WIDTH_MAX: f64 = 190.0;

const PANEL_TITLE: Letters = Letters { size: 13.0, colour: FAINT, bold: true, side: Side::Left };
const NAME: Letters = Letters { size: 13.0, colour: INK, bold: false, side: Side::Left };
const VALUE: Letters = Letters { size: 13.0, colour: INK, bold: true, side: Side::Left };
const VERDICT: Letters = Letters { size: 12.0, colour: FAINT, bold: false, side: Side::Left };

/// Groups to be drawn.
pub struct BarPicture<'a> {
    /// Title of all.
    pub title: &'a str,
    /// The groups.
    pub panels: &'a [Panel],
}

impl Picture for BarPicture<'_> {
    fn size(&self) -> (u32, u32) {
        let panel = |panel: &Panel| PANEL_TITLE_HEIGHT + BAR_HEIGHT * panel.bars.len() as f64 + PANEL_GAP;
        (WIDTH as u32, (TITLE_HEIGHT + self.panels.iter().map(panel).sum::<f64>()) as u32)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let (_, height) = self.size();
        canvas.fill((0.0, 0.0), (WIDTH, f64::from(height)), GROUND)?;
        canvas.text((EDGE, 20.0), &canvas.cut(self.title, TITLE, WIDTH - 2.0 * EDGE)?, TITLE)?;
        let bars = || self.panels.iter().flat_map(|panel| panel.bars.iter().map(move |bar| (panel, bar)));
        let (mut names, mut words): (f64, f64) = (0.0, 0.0);
        for (panel, bar) in bars() {
            names = names.max(canvas.width(&bar.name, NAME)?.min(NAME_WIDTH_MAX));
            let value = canvas.width(&panel.unit.text(bar.value), VALUE)?;
            let verdict = bar.verdict.as_ref().map_or(Ok(0.0), |verdict| canvas.width(&verdict.text, VERDICT))?;
            words = words.max(value + 10.0 + verdict);
        }
        let columns = Columns { left: EDGE + names + 10.0, right: WIDTH - EDGE - words - 10.0, names };
        let mut top = TITLE_HEIGHT;
        for panel in self.panels {
            canvas.text((EDGE, top + 9.0), &panel.title, PANEL_TITLE)?;
            top += PANEL_TITLE_HEIGHT;
            columns.draw(canvas, panel, top)?;
            top += BAR_HEIGHT * panel.bars.len() as f64 + PANEL_GAP;
        }
        Ok(())
    }
}

struct Columns {
    left: f64,
    right: f64,
    names: f64,
}

impl Columns {
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, panel: &Panel, top: f64) -> Result<()> {
        let highest = panel.bars.iter().map(|bar| bar.high.max(bar.value)).fold(0.0, f64::max);
        let place = |number: f64| {
            let share = if highest > 0.0 { number / highest } else { 0.0 };
            self.left + (self.right - self.left) * share
        };
        for (index, bar) in panel.bars.iter().enumerate() {
            let middle = top + BAR_HEIGHT * (index as f64 + 0.5) - 3.0;
            canvas.text((EDGE, middle), &canvas.cut(&bar.name, NAME, self.names)?, NAME)?;
            canvas.fill(
                (self.left, middle - 7.0),
                (place(bar.value).max(self.left + 1.0), middle + 7.0),
                of(bar.hue),
            )?;
            if bar.high > bar.low {
                let (low, high) = (place(bar.low), place(bar.high));
                canvas.line(&[(low, middle), (high, middle)], INK, 1)?;
                canvas.line(&[(low, middle - 4.0), (low, middle + 4.0)], INK, 1)?;
                canvas.line(&[(high, middle - 4.0), (high, middle + 4.0)], INK, 1)?;
            }
            let text = panel.unit.text(bar.value);
            let x = place(bar.value.max(bar.high)) + 8.0;
            canvas.text((x, middle), &text, VALUE)?;
            if let Some(verdict) = &bar.verdict {
                let x = x + canvas.width(&text, VALUE)? + 8.0;
                let colour = match verdict.sense {
                    Sense::Better => GOOD,
                    Sense::Even => FAINT,
                    Sense::Worse => BAD,
                };
                canvas.text((x, middle), &verdict.text, Letters { colour, ..VERDICT })?;
            }
        }
        Ok(())
    }
}
