//! What the page says about one run, before it is written as HTML: warnings, figures, tables, and where it all comes from.

use super::figure::Figure;

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What makes the figures worth less, or worthless.
    pub alerts: Vec<String>,
    /// Circumstances: name and value.
    pub facts: Vec<(String, String)>,
    /// The command lines that lead here, as they were typed.
    pub commands: Vec<String>,
    /// Figures and tables in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading within it.
    Heading(String),
    /// A plot.
    Figure(Figure),
    /// Numbers.
    Table(Table),
}

/// Numbers in rows, the first column is the name.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What it holds.
    pub title: String,
    /// Heads of the columns.
    pub head: Vec<String>,
    /// Rows; each as long as the head.
    pub rows: Vec<Vec<Cell>>,
    /// Shown only when asked for: it is long.
    pub folded: bool,
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// It is a loss or an error.
    pub bad: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), bad: false }
    }
}

impl Cell {
    /// Nothing was measured.
    pub fn absent() -> Self {
        "–".into()
    }

    /// A number that may be absent.
    pub fn number(number: Option<f64>, unit: super::units::Unit) -> Self {
        number.filter(|number| number.is_finite()).map_or_else(Self::absent, |number| unit.text(number).into())
    }
}

impl Table {
    /// An empty table with these columns.
    pub fn new(title: impl Into<String>, head: &[&str]) -> Self {
        Self { title: title.into(), head: head.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
    }
}

/// A name for a file or an anchor: small letters, digits and `-`, at most 60 of them.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == 60 {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_never_leaves_its_folder() {
        assert_eq!(slug("GET 64 B, P=32"), "get-64-b-p-32");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("<script>"), "script");
        assert!(slug(&"long ".repeat(100)).len() <= 60);
    }
}
