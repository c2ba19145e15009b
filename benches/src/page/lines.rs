//! Draws series over a common x, as lines or as areas upon each other: title, legend, axes with round ticks, the data.
//!
//! Promises: no two labels of an axis overlap; a figure without a single point is drawn with the words "no data".

use super::canvas::{Canvas, Letters, Picture, Side};
use super::figure::{Axis, Lines, Scale};
use super::palette::{AXIS, FAINT, GRID, GROUND, INK, of};
use super::units::Ticks;
use anyhow::Result;
use plotters::prelude::DrawingBackend;

/// Width of every figure.
pub const WIDTH: f64 = 700.0;
const PLOT_HEIGHT: f64 = 230.0;
const EDGE: f64 = 16.0;
const TITLE_HEIGHT: f64 = 38.0;
const LEGEND_HEIGHT: f64 = 22.0;
const NAME_HEIGHT: f64 = 24.0;
const FOOT_HEIGHT: f64 = 46.0;

/// Title of a figure.
pub const TITLE: Letters = Letters { size: 16.0, colour: INK, bold: true, side: Side::Left };
const LEGEND: Letters = Letters { size: 13.0, colour: INK, bold: false, side: Side::Left };
const NAME: Letters = Letters { size: 12.0, colour: FAINT, bold: false, side: Side::Left };
const TICK: Letters = Letters { size: 12.0, colour: FAINT, bold: false, side: Side::Right };

/// What the legend takes beside a name: the swatch and the gap to the next one.
const SWATCH: f64 = 26.0;
const LEGEND_GAP: f64 = 20.0;

/// A plot to be drawn.
pub struct LinePicture<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its data.
    pub lines: &'a Lines,
    /// As areas upon each other.
    pub stacked: bool,
}

impl Picture for LinePicture<'_> {
    fn size(&self) -> (u32, u32) {
        let rows = if self.lines.series.len() > 1 { self.legend_rows().len() } else { 0 };
        let height = TITLE_HEIGHT + LEGEND_HEIGHT * rows as f64 + NAME_HEIGHT + PLOT_HEIGHT + FOOT_HEIGHT;
        (WIDTH as u32, height as u32)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let (_, height) = self.size();
        canvas.fill((0.0, 0.0), (WIDTH, f64::from(height)), GROUND)?;
        let title = canvas.cut(self.title, TITLE, WIDTH - 2.0 * EDGE)?;
        canvas.text((EDGE, 20.0), &title, TITLE)?;
        let mut top = TITLE_HEIGHT;
        if self.lines.series.len() > 1 {
            for row in self.legend_rows() {
                self.draw_legend(canvas, top, row)?;
                top += LEGEND_HEIGHT;
            }
        }
        canvas.text((EDGE, top + 7.0), self.lines.y.name, NAME)?;
        top += NAME_HEIGHT;
        let (x_ticks, y_ticks) = self.ticks();
        let mut labels_width: f64 = 0.0;
        for (_, text) in &y_ticks.marks {
            labels_width = labels_width.max(canvas.width(text, TICK)?);
        }
        let frame = Frame {
            left: EDGE + labels_width + 8.0,
            right: WIDTH - EDGE - 8.0,
            top,
            bottom: top + PLOT_HEIGHT,
            x: Projection::new(self.lines.x, &x_ticks),
            y: Projection::new(self.lines.y, &y_ticks),
        };
        frame.draw_axes(canvas, self.lines.x.name, &x_ticks, &y_ticks)?;
        if self.lines.series.iter().all(|series| series.points.is_empty()) {
            let middle = ((frame.left + frame.right) / 2.0, (frame.top + frame.bottom) / 2.0);
            return canvas.text(middle, "no data", Letters { side: Side::Middle, ..LEGEND });
        }
        if self.stacked { self.draw_areas(canvas, &frame) } else { self.draw_lines(canvas, &frame) }
    }
}

impl LinePicture<'_> {
    /// Which series stand in which row of the legend; names are estimated, for the height must be known before drawing.
    fn legend_rows(&self) -> Vec<std::ops::Range<usize>> {
        let wide = |name: &str| name.chars().count() as f64 * 8.0 + SWATCH + LEGEND_GAP;
        let mut rows = Vec::new();
        let (mut start, mut used) = (0, 0.0);
        for (index, series) in self.lines.series.iter().enumerate() {
            let width = wide(&series.name);
            if index > start && used + width > WIDTH - 2.0 * EDGE {
                rows.push(start..index);
                (start, used) = (index, 0.0);
            }
            used += width;
        }
        rows.push(start..self.lines.series.len());
        rows
    }

    fn draw_legend<B: DrawingBackend>(&self, canvas: &Canvas<B>, top: f64, row: std::ops::Range<usize>) -> Result<()> {
        let middle = top + LEGEND_HEIGHT / 2.0 - 3.0;
        let mut x = EDGE;
        for series in &self.lines.series[row] {
            let (colour, swatch) = (of(series.hue), [(x, middle), (x + 18.0, middle)]);
            if self.stacked {
                canvas.fill((x, middle - 5.0), (x + 18.0, middle + 5.0), colour)?;
            } else if series.dashed {
                canvas.dashes(&swatch, colour, 2)?;
            } else {
                canvas.line(&swatch, colour, 3)?;
            }
            let name = canvas.cut(&series.name, LEGEND, WIDTH - EDGE - x - SWATCH)?;
            canvas.text((x + SWATCH, middle), &name, LEGEND)?;
            x += SWATCH + canvas.width(&name, LEGEND)? + LEGEND_GAP;
        }
        Ok(())
    }

    fn ticks(&self) -> (Ticks, Ticks) {
        let all = || self.lines.series.iter().flat_map(|series| series.points.iter().copied());
        (ticks_of(self.lines.x, all().map(|(x, _)| x), true), ticks_of(self.lines.y, all().map(|(_, y)| y), false))
    }

    fn draw_lines<B: DrawingBackend>(&self, canvas: &Canvas<B>, frame: &Frame) -> Result<()> {
        for series in &self.lines.series {
            let colour = of(series.hue);
            let places: Vec<_> = series.points.iter().map(|point| frame.place(*point)).collect();
            if series.dashed {
                canvas.dashes(&places, colour, 2)?;
            } else if places.len() > 1 {
                canvas.line(&places, colour, 2)?;
            }
            if series.dots || places.len() == 1 {
                places.iter().try_for_each(|place| canvas.dot(*place, 3.0, colour))?;
            }
        }
        Ok(())
    }

    fn draw_areas<B: DrawingBackend>(&self, canvas: &Canvas<B>, frame: &Frame) -> Result<()> {
        let length = self.lines.series.iter().map(|series| series.points.len()).min().unwrap_or(0);
        let mut below = vec![0.0; length];
        for series in &self.lines.series {
            let xs = series.points.iter().map(|(x, _)| *x);
            let above: Vec<f64> = below.iter().zip(&series.points).map(|(below, (_, y))| below + y).collect();
            let upper = xs.clone().zip(&above).map(|(x, y)| frame.place((x, *y)));
            let lower = xs.zip(&below).map(|(x, y)| frame.place((x, *y)));
            let mut outline: Vec<_> = upper.collect();
            outline.extend(lower.collect::<Vec<_>>().into_iter().rev());
            if outline.len() > 2 {
                canvas.area(&outline, of(series.hue))?;
            }
            below = above;
        }
        Ok(())
    }
}

fn ticks_of(axis: Axis, numbers: impl Iterator<Item = f64>, across: bool) -> Ticks {
    let positive = |low: f64, number: f64| if number > 0.0 { low.min(number) } else { low };
    let (low, high) =
        numbers.fold((f64::INFINITY, 0.0_f64), |(low, high), number| (positive(low, number), high.max(number)));
    match axis.scale {
        Scale::Linear if across => Ticks::up_to(axis.unit, high, 8),
        Scale::Linear => Ticks::from_zero(axis.unit, high, 4),
        Scale::Whole => Ticks::from_zero(axis.unit, 1.0, 5),
        Scale::Logarithmic => Ticks::logarithmic(axis.unit, low, high),
        Scale::Percentile => {
            let marks = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.99999];
            let marks = marks.into_iter().filter(|mark| *mark <= high || *mark <= 90.0);
            Ticks { low: 0.0, high: high.max(90.0), marks: marks.map(|mark| (mark, format!("p{mark}"))).collect() }
        }
    }
}

/// From numbers to 0..1 along an axis.
struct Projection {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Projection {
    fn new(axis: Axis, ticks: &Ticks) -> Self {
        Self { scale: axis.scale, low: ticks.low, high: ticks.high }
    }

    fn of(&self, number: f64) -> f64 {
        let place = |number: f64| match self.scale {
            Scale::Linear | Scale::Whole => number,
            Scale::Logarithmic => number.max(self.low).log10(),
            Scale::Percentile => -(1.0 - number / 100.0).max(1e-12).log10(),
        };
        ((place(number) - place(self.low)) / (place(self.high) - place(self.low))).clamp(0.0, 1.0)
    }
}

/// The rectangle of the data.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Projection,
    y: Projection,
}

impl Frame {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (x, y) = (self.x.of(x), self.y.of(y));
        (self.left + (self.right - self.left) * x, self.bottom - (self.bottom - self.top) * y)
    }

    fn draw_axes<B: DrawingBackend>(
        &self,
        canvas: &Canvas<B>,
        x_name: &str,
        x_ticks: &Ticks,
        y_ticks: &Ticks,
    ) -> Result<()> {
        let mut free_above = f64::INFINITY;
        for (number, text) in &y_ticks.marks {
            let (_, y) = self.place((x_ticks.low, *number));
            canvas.line(&[(self.left, y), (self.right, y)], GRID, 1)?;
            if y <= free_above {
                canvas.text((self.left - 8.0, y), text, TICK)?;
                free_above = y - TICK.size - 3.0;
            }
        }
        let mut free_from = f64::NEG_INFINITY;
        for (number, text) in &x_ticks.marks {
            let (x, _) = self.place((*number, y_ticks.low));
            canvas.line(&[(x, self.bottom), (x, self.bottom + 4.0)], AXIS, 1)?;
            let half = canvas.width(text, TICK)? / 2.0;
            let middle = x.min(WIDTH - 4.0 - half);
            if middle - half >= free_from {
                canvas.text((middle, self.bottom + 14.0), text, Letters { side: Side::Middle, ..TICK })?;
                free_from = middle + half + 10.0;
            }
        }
        canvas.line(&[(self.left, self.bottom), (self.right, self.bottom)], AXIS, 1)?;
        let middle = (self.left + self.right) / 2.0;
        canvas.text((middle, self.bottom + 33.0), x_name, Letters { side: Side::Middle, ..NAME })
    }
}
