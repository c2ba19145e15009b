//! The colours, each in a light and a dark version. Plots are drawn in the light ones; on a dark page the style sheet
//! exchanges them by their value, so every colour here is different from every other.
//!
//! The row for series is the one of Okabe and Ito, which people with any colour sight can tell apart.

use super::figure::Hue;
use plotters::style::RGBColor;
use std::fmt::Write as _;

/// A colour: on white, and on a dark ground.
#[derive(Debug, Clone, Copy)]
pub struct Colour {
    /// On white.
    pub light: RGBColor,
    dark: RGBColor,
}

const fn colour(light: u32, dark: u32) -> Colour {
    const fn split(hex: u32) -> RGBColor {
        RGBColor((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
    }
    Colour { light: split(light), dark: split(dark) }
}

/// Behind everything.
pub const GROUND: Colour = colour(0xFEFEFE, 0x15191E);
/// Text.
pub const INK: Colour = colour(0x1F2328, 0xE4E8EC);
/// Text that matters less.
pub const FAINT: Colour = colour(0x57606A, 0x9DA7B1);
/// Lines of the grid.
pub const GRID: Colour = colour(0xE3E7EB, 0x2B323A);
/// Axes.
pub const AXIS: Colour = colour(0x8C959F, 0x6B7580);
/// Losses, errors, wrong values.
pub const BAD: Colour = colour(0xB3261E, 0xFF8A80);
/// Wins.
pub const GOOD: Colour = colour(0x1A6B3C, 0x7BD69B);

const HOT: Colour = colour(0xD9622B, 0xF08A55);
const COLD: Colour = colour(0x2F7DC0, 0x5AA9E6);
const MISS: Colour = colour(0x8A8F98, 0x8B929C);
const LIMIT: Colour = colour(0x6A737D, 0xA9B2BC);
const ROW: [Colour; 7] = [
    colour(0xC8501F, 0xF2935F),
    colour(0x0072B2, 0x56A8E0),
    colour(0x00875F, 0x3CC79A),
    colour(0xAA4A8A, 0xE08CC2),
    colour(0x9A7400, 0xE0B93C),
    colour(0x5B5BD6, 0x9D9DFF),
    colour(0x3B8EA5, 0x7CCBE0),
];

/// The colour of a meaning.
pub fn of(hue: Hue) -> Colour {
    match hue {
        Hue::Hot => HOT,
        Hue::Cold => COLD,
        Hue::Miss => MISS,
        Hue::Limit => LIMIT,
        Hue::Nth(index) => ROW[index % ROW.len()],
    }
}

fn all() -> impl Iterator<Item = Colour> {
    [GROUND, INK, FAINT, GRID, AXIS, BAD, GOOD, HOT, COLD, MISS, LIMIT].into_iter().chain(ROW)
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The page's colours as variables, and for a dark page the exchange of the plots' colours.
pub fn style_sheet() -> String {
    let names = [("ground", GROUND), ("ink", INK), ("faint", FAINT), ("grid", GRID), ("bad", BAD), ("good", GOOD)];
    let variables = |pick: fn(Colour) -> RGBColor| {
        names.iter().fold(String::new(), |mut text, (name, colour)| {
            write!(text, "--{name}:{};", hex(pick(*colour))).expect("a String takes every write");
            text
        })
    };
    let mut sheet = format!(":root{{color-scheme:light dark;{}}}\n", variables(|colour| colour.light));
    let mut dark = format!("@media (prefers-color-scheme:dark){{:root{{{}}}\n", variables(|colour| colour.dark));
    for colour in all() {
        let (from, to) = (hex(colour.light), hex(colour.dark));
        writeln!(dark, "svg [fill=\"{from}\"]{{fill:{to}}}svg [stroke=\"{from}\"]{{stroke:{to}}}")
            .expect("a String takes every write");
    }
    dark.push('}');
    sheet.push_str(&dark);
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_colour_can_be_exchanged_by_its_value() {
        let lights: HashSet<String> = all().map(|colour| hex(colour.light)).collect();
        assert_eq!(lights.len(), all().count());
    }

    #[test]
    fn text_can_be_read_on_its_ground() {
        let luminance = |RGBColor(red, green, blue): RGBColor| {
            let linear = |part: u8| {
                let part = f64::from(part) / 255.0;
                if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        };
        let contrast = |one: RGBColor, other: RGBColor| {
            let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
            one.max(other) / one.min(other)
        };
        for text in [INK, FAINT, BAD, GOOD] {
            assert!(contrast(text.light, GROUND.light) > 4.5 && contrast(text.dark, GROUND.dark) > 4.5, "{text:?}");
        }
        for line in all().skip(5) {
            assert!(contrast(line.light, GROUND.light) > 3.0 && contrast(line.dark, GROUND.dark) > 3.0, "{line:?}");
        }
    }
}
