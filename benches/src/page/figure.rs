//! A figure before it is drawn: what it shows, not how. Knows no backend and no HTML.
//!
//! Promises: a point that is not a number is never in a figure.

use super::units::Unit;

/// A plot with its words.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Name of its file, without an ending: small letters, digits and `-`.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// How to read it, when that is not plain.
    pub hint: &'static str,
    /// The plot itself.
    pub plot: Plot,
}

/// The kinds of plots.
#[derive(Debug, Clone)]
pub enum Plot {
    /// A line per series.
    Lines(Lines),
    /// Areas upon each other, from 0 to 1.
    Stack(Lines),
    /// Groups of bars.
    Bars(Vec<Panel>),
}

/// Series over a common x.
#[derive(Debug, Clone)]
pub struct Lines {
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// What is drawn, in the order of the legend.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// Its name; the unit is at the ticks.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How numbers become places.
    pub scale: Scale,
}

/// How numbers become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly from zero.
    Linear,
    /// Evenly, 0 to 1.
    Whole,
    /// Each tenfold the same width.
    Logarithmic,
    /// Percentiles, given as 0 to 100: each further nine the same width.
    Percentile,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Which colour.
    pub hue: Hue,
    /// Dashed: what is compared with, or a limit.
    pub dashed: bool,
    /// A dot at each point.
    pub dots: bool,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// A plain line; points that are no numbers are left out.
    pub fn new(name: impl Into<String>, hue: Hue, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        Self { name: name.into(), hue, dashed: false, dots: false, points }
    }

    /// The same, dashed.
    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }

    /// The same, with dots.
    pub fn dotted(self) -> Self {
        Self { dots: true, ..self }
    }
}

/// Colours by what they mean; see [`super::palette`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hue {
    /// DRAM.
    Hot,
    /// SSD.
    Cold,
    /// Nowhere.
    Miss,
    /// A limit.
    Limit,
    /// The n-th of a row without a meaning of their own.
    Nth(usize),
}

/// Bars of one measure.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What is measured.
    pub title: String,
    /// What the bars count.
    pub unit: Unit,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar with the spread of its rounds.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Whose.
    pub name: String,
    /// Which colour.
    pub hue: Hue,
    /// Its length.
    pub value: f64,
    /// Lowest round.
    pub low: f64,
    /// Highest round.
    pub high: f64,
    /// What it means beside the first bar.
    pub verdict: Option<Verdict>,
}

/// The first bar beside another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// In words.
    pub text: String,
    /// For the first bar.
    pub sense: Sense,
}

/// Whether the first bar wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// It does.
    Better,
    /// Nearly the same.
    Even,
    /// It loses.
    Worse,
}
