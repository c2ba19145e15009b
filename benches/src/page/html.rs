//! Writes the page: one file, no script, nothing from the network, light or dark as the reader's system is.
//!
//! Promises: every text that came from a file is escaped; the page says in its own policy that it runs no script.

use super::canvas;
use super::palette;
use super::plots::{self, Placed};
use super::section::{Block, Section, Table};
use anyhow::Result;
use std::fmt::{self, Write as _};

const STYLE: &str = include_str!("page.css");

/// A text that HTML cannot take for more than text.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A picture in SVG may not hold them, and a page has no use for them.
                control if control.is_control() && control != '\n' => f.write_str("\u{fffd}")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The whole page.
pub fn page(title: &str, sections: &[Section]) -> Result<String> {
    let mut out = String::new();
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{0}</title>\n<style>\n{1}{STYLE}</style>\n</head>\n<body>\n<header><h1>{0}</h1></header>\n",
        Escaped(title),
        palette::style_sheet(),
    )?;
    alerts(&mut out, sections)?;
    contents(&mut out, sections)?;
    out.push_str("<main>\n");
    for (index, section) in sections.iter().enumerate() {
        write_section(&mut out, index, section)?;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(out)
}

fn alerts(out: &mut String, sections: &[Section]) -> fmt::Result {
    if sections.iter().all(|section| section.alerts.is_empty()) {
        return Ok(());
    }
    out.push_str("<div class=\"alerts\" role=\"alert\">\n<strong>Read this first</strong>\n<ul>\n");
    for (index, section) in sections.iter().enumerate() {
        for alert in &section.alerts {
            writeln!(out, "<li><a href=\"#run-{index}\">{}</a>: {}</li>", Escaped(&section.title), Escaped(alert))?;
        }
    }
    out.push_str("</ul>\n</div>\n");
    Ok(())
}

fn contents(out: &mut String, sections: &[Section]) -> fmt::Result {
    out.push_str("<nav aria-label=\"Contents\">\n<h2>Contents</h2>\n<ol>\n");
    for (index, section) in sections.iter().enumerate() {
        writeln!(out, "<li><a href=\"#run-{index}\">{}</a>", Escaped(&section.title))?;
        let figures: Vec<Placed<'_>> = plots::placed_in(index, section).collect();
        if !figures.is_empty() {
            out.push_str("<ul>\n");
            for placed in figures {
                writeln!(out, "<li><a href=\"#{}\">{}</a></li>", placed.name, Escaped(&placed.figure.title))?;
            }
            out.push_str("</ul>\n");
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ol>\n</nav>\n");
    Ok(())
}

fn write_section(out: &mut String, index: usize, section: &Section) -> Result<()> {
    writeln!(out, "<section id=\"run-{index}\">\n<h2>{}</h2>", Escaped(&section.title))?;
    for alert in &section.alerts {
        writeln!(out, "<p class=\"bad\">{}</p>", Escaped(alert))?;
    }
    out.push_str("<dl>\n");
    for (name, value) in &section.facts {
        writeln!(out, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(value))?;
    }
    out.push_str("</dl>\n");
    for command in &section.commands {
        writeln!(out, "<pre><code>{}</code></pre>", Escaped(command))?;
    }
    let mut figures = plots::placed_in(index, section);
    let mut among_figures = false;
    for block in &section.blocks {
        // Figures that follow each other stand side by side where there is room.
        let is_figure = matches!(block, Block::Figure(_));
        if is_figure != among_figures {
            out.push_str(if is_figure { "<div class=\"figures\">\n" } else { "</div>\n" });
            among_figures = is_figure;
        }
        match block {
            Block::Heading(text) => writeln!(out, "<h3>{}</h3>", Escaped(text))?,
            Block::Table(table) => write_table(out, table)?,
            Block::Figure(_) => {
                let placed = figures.next().expect("as many as there are blocks of this kind");
                write_figure(out, section, &placed)?;
            }
        }
    }
    out.push_str(if among_figures { "</div>\n</section>\n" } else { "</section>\n" });
    Ok(())
}

fn write_figure(out: &mut String, section: &Section, placed: &Placed<'_>) -> Result<()> {
    let figure = placed.figure;
    let picture = canvas::svg(&plots::Picture(figure))?;
    let described = format!("<svg role=\"img\" aria-label=\"{}\"", Escaped(&figure.title));
    let picture = picture.replacen("<svg", &described, 1);
    write!(out, "<figure id=\"{}\">\n<div class=\"plot\">{picture}</div>\n<figcaption>", placed.name)?;
    if !figure.hint.is_empty() {
        write!(out, "{} ", Escaped(figure.hint))?;
    }
    let facts: Vec<String> = section.facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    writeln!(out, "<span class=\"source\">{}</span>", Escaped(&facts.join(" · ")))?;
    for command in &section.commands {
        writeln!(out, "<code>{}</code>", Escaped(command))?;
    }
    out.push_str("</figcaption>\n</figure>\n");
    Ok(())
}

fn write_table(out: &mut String, table: &Table) -> fmt::Result {
    if table.folded {
        write!(out, "<details><summary>{}</summary>\n<div class=\"table\"><table>\n", Escaped(&table.title))?;
    } else {
        write!(out, "<div class=\"table\"><table>\n<caption>{}</caption>\n", Escaped(&table.title))?;
    }
    out.push_str("<thead><tr>");
    for name in &table.head {
        write!(out, "<th scope=\"col\">{}</th>", Escaped(name))?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let class = if cell.bad { " class=\"bad\"" } else { "" };
            let (open, close) = if column == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            write!(out, "<{open}{class}>{}</{close}>", Escaped(&cell.text))?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str(if table.folded { "</tbody></table></div></details>\n" } else { "</tbody></table></div>\n" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            Escaped("<b a=\"1\" c='2'>&\u{1b}[31m").to_string(),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;\u{fffd}[31m"
        );
    }
}
