//! Text for people: aligned columns, labelled lines, and colours where a terminal shows them.

use std::fmt::Write;

/// Whether colours are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Colours are written.
    pub colour: bool,
}

impl Style {
    /// Text in green: it went well.
    pub fn good(self, text: &str) -> String {
        self.paint("32;1", text)
    }

    /// Text in red: it did not.
    pub fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// Text in yellow: take note.
    pub fn note(self, text: &str) -> String {
        self.paint("33;1", text)
    }

    /// Bold text.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Text that steps back.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Lines of a label and a value, the values aligned.
#[derive(Default, Debug)]
pub struct Facts {
    lines: Vec<(String, String)>,
}

impl Facts {
    /// Adds one line.
    pub fn add(&mut self, label: &str, value: impl Into<String>) -> &mut Self {
        self.lines.push((label.to_owned(), value.into()));
        self
    }

    /// The text, each line indented by two spaces and ended.
    pub fn render(&self, style: Style) -> String {
        let width = self.lines.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (label, value) in &self.lines {
            let label = style.faint(&format!("{label:<width$}"));
            let _ = writeln!(text, "  {label}  {}", printable(value));
        }
        text
    }
}

/// Rows of cells under a heading, the columns aligned.
#[derive(Debug)]
pub struct Table {
    heading: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names; a name that begins with `>` makes a column of numbers, aligned to the right.
    pub fn new(heading: &[&str]) -> Self {
        Table {
            heading: heading.iter().map(|name| name.trim_start_matches('>').to_owned()).collect(),
            right: heading.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds one row; cells beyond the heading are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) -> &mut Self {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
        self
    }

    /// The text, each line indented by two spaces and ended.
    pub fn render(&self, style: Style) -> String {
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.chain([&self.heading[column]]).map(|cell| shown_width(cell)).max().unwrap_or(0)
            })
            .collect();
        let mut text = style.faint(&self.line(&self.heading, &widths)) + "\n";
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), right) in cells.iter().zip(widths).zip(&self.right) {
            let gap = " ".repeat(width - shown_width(cell));
            let _ = if *right { write!(line, "  {gap}{cell}") } else { write!(line, "  {cell}{gap}") };
        }
        line.trim_end().to_owned()
    }
}

/// The columns that a text takes on a terminal, its colours aside.
fn shown_width(text: &str) -> usize {
    let mut inside_colour = false;
    text.chars()
        .filter(|&character| {
            let shown = !inside_colour && character != '\x1b';
            inside_colour = (inside_colour || character == '\x1b') && character != 'm';
            shown
        })
        .count()
}

/// The text without control characters except for our own colours: what a node or a file says must not steer the
/// terminal.
pub fn printable(text: &str) -> String {
    let colour_codes = ["32;1", "31;1", "33;1", "1", "2", "0"];
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(char::is_control) {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let own = colour_codes.iter().map(|code| format!("\x1b[{code}m")).find(|code| rest.starts_with(code));
        match own {
            Some(code) => {
                clean.push_str(&code);
                rest = &rest[code.len()..];
            }
            None => {
                clean.push('\u{fffd}');
                rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
            }
        }
    }
    clean + rest
}

/// As [`printable`], with the ends of lines left where they are.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn columns_are_aligned_also_with_colours() {
        let style = Style { colour: true };
        let mut table = Table::new(&["node", ">height"]);
        table.row(["v0".to_owned(), "7".to_owned()]).row([style.good("v10"), "12".to_owned()]);
        assert_eq!(table.render(PLAIN), "  node  height\n  v0         7\n  \x1b[32;1mv10\x1b[0m       12\n");
    }

    #[test]
    fn facts_are_aligned() {
        let mut facts = Facts::default();
        facts.add("id", "ab").add("height", "7");
        assert_eq!(facts.render(PLAIN), "  id      ab\n  height  7\n");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b]0;title\x07b\nc\x1b[2J"), "a\u{fffd}]0;title\u{fffd}b\u{fffd}c\u{fffd}[2J");
        assert_eq!(printable("\x1b[1mbold\x1b[0m"), "\x1b[1mbold\x1b[0m");
        assert_eq!(printable("plain é"), "plain é");
        assert_eq!(printable_lines("a\n  b\x1b[2J"), "a\n  b\u{fffd}[2J");
    }
}
