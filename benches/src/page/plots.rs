//! The figures of a page as pictures, and their names in files and anchors.
//!
//! Promises: no two figures of a page share a name.

use super::bars::BarPicture;
use super::canvas::{self, Canvas};
use super::figure::{Figure, Plot};
use super::lines::LinePicture;
use super::section::{Block, Section};
use anyhow::{Context as _, Result};
use plotters::prelude::DrawingBackend;
use std::path::{Path, PathBuf};

/// A figure and its name in the page.
#[derive(Debug, Clone)]
pub struct Placed<'a> {
    /// Name of its files, without an ending, and of its anchor.
    pub name: String,
    /// The figure.
    pub figure: &'a Figure,
}

/// The figures of a section with their names.
pub fn placed_in(index: usize, section: &Section) -> impl Iterator<Item = Placed<'_>> {
    let figures = section.blocks.iter().filter_map(|block| match block {
        Block::Figure(figure) => Some(figure),
        _ => None,
    });
    let name = move |(number, figure): (usize, &Figure)| format!("{:02}-{:02}-{}", index + 1, number + 1, figure.file);
    figures.enumerate().map(move |numbered| Placed { name: name(numbered), figure: numbered.1 })
}

/// A figure that can be drawn.
pub struct Picture<'a>(pub &'a Figure);

impl canvas::Picture for Picture<'_> {
    fn size(&self) -> (u32, u32) {
        match &self.0.plot {
            Plot::Lines(lines) => LinePicture { title: &self.0.title, lines, stacked: false }.size(),
            Plot::Stack(lines) => LinePicture { title: &self.0.title, lines, stacked: true }.size(),
            Plot::Bars(panels) => BarPicture { title: &self.0.title, panels }.size(),
        }
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        match &self.0.plot {
            Plot::Lines(lines) => LinePicture { title: &self.0.title, lines, stacked: false }.draw(canvas),
            Plot::Stack(lines) => LinePicture { title: &self.0.title, lines, stacked: true }.draw(canvas),
            Plot::Bars(panels) => BarPicture { title: &self.0.title, panels }.draw(canvas),
        }
    }
}

/// Writes every figure into a folder, as SVG and, if asked, as PNG; gives the files.
#[expect(clippy::disallowed_methods, reason = "pictures of results, nothing of the engine's")]
pub fn write(folder: &Path, with_png: bool, sections: &[Section]) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut files = Vec::new();
    let mut save = |name: String, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path);
        Ok::<(), anyhow::Error>(())
    };
    for (index, section) in sections.iter().enumerate() {
        for placed in placed_in(index, section) {
            save(format!("{}.svg", placed.name), canvas::svg(&Picture(placed.figure))?.as_bytes())?;
            if with_png {
                save(format!("{}.png", placed.name), &canvas::png(&Picture(placed.figure))?)?;
            }
        }
    }
    Ok(files)
}
