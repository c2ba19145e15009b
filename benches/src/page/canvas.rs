//! A sheet to draw on, the same for SVG and PNG: lines, areas, boxes, text, measured with a font that the program carries.
//!
//! Promises: no font of the machine is needed, so a picture is the same everywhere; text is escaped by the backend.
//! Never knows what a plot is.

use super::palette::Colour;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea as _};
use plotters::element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle};
use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, IntoTextStyle as _, TextStyle, register_font};
use std::sync::Once;

/// The first name is the font that the program carries; a browser without it takes its own.
const FAMILY: &str = "Noto Sans, sans-serif";

/// A browser draws the letters a tenth larger than the backend measures them, and its own font may be wider.
const WIDTH_SLACK: f64 = 1.18;

/// Pixels of a PNG per unit of the sheet: sharp on dense screens.
const PNG_SCALE: u32 = 2;

/// Where a text's given point lies in it.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The text begins there.
    Left,
    /// It is centred there.
    Middle,
    /// It ends there.
    Right,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct Letters {
    /// Height of a line.
    pub size: f64,
    /// Colour.
    pub colour: Colour,
    /// Heavy.
    pub bold: bool,
    /// What the given point means, across; it is always the middle in height.
    pub side: Side,
}

/// The sheet. Lengths are in its own units, from the upper left corner.
pub struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
}

/// Something that can be drawn on any sheet.
pub trait Picture {
    /// Width and height of the sheet that it wants.
    fn size(&self) -> (u32, u32);
    /// Draws it.
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()>;
}

/// A picture as the text of an SVG file.
pub fn svg(picture: &impl Picture) -> Result<String> {
    carry_font();
    let mut text = String::new();
    let canvas = Canvas { area: SVGBackend::with_string(&mut text, picture.size()).into_drawing_area(), scale: 1.0 };
    picture.draw(&canvas)?;
    canvas.finish()?;
    Ok(text)
}

/// A picture as the bytes of a PNG file.
pub fn png(picture: &impl Picture) -> Result<Vec<u8>> {
    carry_font();
    let (width, height) = picture.size();
    let (width, height) = (width * PNG_SCALE, height * PNG_SCALE);
    let mut pixels = vec![0; width as usize * height as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
    let canvas = Canvas { area: backend.into_drawing_area(), scale: f64::from(PNG_SCALE) };
    picture.draw(&canvas)?;
    canvas.finish()?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

fn carry_font() {
    static CARRIED: Once = Once::new();
    CARRIED.call_once(|| {
        let carried = register_font(FAMILY, FontStyle::Normal, ttf_noto_sans::REGULAR).is_ok()
            && register_font(FAMILY, FontStyle::Bold, ttf_noto_sans::BOLD).is_ok();
        assert!(carried, "the fonts in the program are whole");
    });
}

impl<B: DrawingBackend> Canvas<B> {
    fn finish(self) -> Result<()> {
        self.area.present().map_err(|error| anyhow!("cannot draw: {error}"))
    }

    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    /// A line through points.
    pub fn line(&self, points: &[(f64, f64)], colour: Colour, width: u32) -> Result<()> {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        let style = colour.light.stroke_width(width * self.scale as u32);
        self.area.draw(&PathElement::new(points, style)).map_err(|error| anyhow!("cannot draw a line: {error}"))
    }

    /// A line of dashes through points.
    pub fn dashes(&self, points: &[(f64, f64)], colour: Colour, width: u32) -> Result<()> {
        const DASH: f64 = 6.0;
        const GAP: f64 = 4.0;
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        let style = colour.light.stroke_width(width * self.scale as u32);
        let (dash, gap) = ((DASH * self.scale) as i32, (GAP * self.scale) as i32);
        let line = DashedPathElement::new(points, dash, gap, style);
        self.area.draw(&line).map_err(|error| anyhow!("cannot draw dashes: {error}"))
    }

    /// A filled area.
    pub fn area(&self, points: &[(f64, f64)], colour: Colour) -> Result<()> {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        let polygon = Polygon::new(points, colour.light.filled());
        self.area.draw(&polygon).map_err(|error| anyhow!("cannot draw an area: {error}"))
    }

    /// A filled box between two corners.
    pub fn fill(&self, from: (f64, f64), to: (f64, f64), colour: Colour) -> Result<()> {
        let rectangle = Rectangle::new([self.at(from), self.at(to)], colour.light.filled());
        self.area.draw(&rectangle).map_err(|error| anyhow!("cannot draw a box: {error}"))
    }

    /// A dot.
    pub fn dot(&self, at: (f64, f64), radius: f64, colour: Colour) -> Result<()> {
        let circle = Circle::new(self.at(at), (radius * self.scale) as i32, colour.light.filled());
        self.area.draw(&circle).map_err(|error| anyhow!("cannot draw a dot: {error}"))
    }

    /// A text.
    pub fn text(&self, at: (f64, f64), text: &str, letters: Letters) -> Result<()> {
        let style = self.style(&letters);
        self.area.draw_text(text, &style, self.at(at)).map_err(|error| anyhow!("cannot write {text:?}: {error}"))
    }

    /// How wide a text will be at most.
    pub fn width(&self, text: &str, letters: Letters) -> Result<f64> {
        let size = self.area.estimate_text_size(text, &self.style(&letters));
        let (width, _) = size.map_err(|error| anyhow!("cannot measure {text:?}: {error}"))?;
        Ok(f64::from(width) / self.scale * WIDTH_SLACK)
    }

    /// A text cut to a width, with an ellipsis when something is missing.
    pub fn cut(&self, text: &str, letters: Letters, width: f64) -> Result<String> {
        if self.width(text, letters)? <= width {
            return Ok(text.to_owned());
        }
        let mut kept: Vec<char> = text.chars().collect();
        while kept.pop().is_some() {
            let shown: String = kept.iter().chain(['…'].iter()).collect();
            if self.width(&shown, letters)? <= width {
                return Ok(shown);
            }
        }
        Ok(String::new())
    }

    fn style<'a>(&self, letters: &'a Letters) -> TextStyle<'a> {
        let weight = if letters.bold { FontStyle::Bold } else { FontStyle::Normal };
        let horizontal = match letters.side {
            Side::Left => HPos::Left,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Right,
        };
        // The backends take the height of a line, people think in the size of letters.
        let font = FontDesc::new(FontFamily::Name(FAMILY), letters.size * 1.24 * self.scale, weight);
        font.into_text_style(&self.area).color(&letters.colour.light).pos(Pos::new(horizontal, VPos::Center))
    }
}
