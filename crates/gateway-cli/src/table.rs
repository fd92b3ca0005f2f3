//! Tables for people: with a line below the header on a terminal, bare columns in a pipe.

#[cfg(test)]
mod tests;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Row, Table, TableComponent};
use gateway_client::text::one_line;

/// How much is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Looks {
    /// Bare columns: somebody cuts them into pieces.
    Plain,
    /// A line below the header, no colours; how many columns the terminal has, when it says so.
    Lines(Option<u16>),
    /// The line and colours; as [`Lines`](Self::Lines).
    Colours(Option<u16>),
}

impl Looks {
    /// How many columns there are; `None` where nobody says, or where lines may have any length.
    const fn columns(self) -> Option<u16> {
        match self {
            Looks::Plain => None,
            Looks::Lines(columns) | Looks::Colours(columns) => columns,
        }
    }
}

/// A table's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rows {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// A table with these columns and no rows yet.
    pub(crate) fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| harmless(cell)).collect());
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Draws it; no blanks at the ends of lines. Cells of a table that is wider than the terminal go on below themselves,
    /// so that each stays in its column; in a pipe nothing is broken.
    pub(crate) fn render(&self, looks: Looks) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        if looks != Looks::Plain {
            table.set_style(TableComponent::HeaderLines, '─');
            table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        }
        if let Some(columns) = looks.columns() {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        }
        table.set_header(Row::from(self.headers.clone()));
        for row in &self.rows {
            table.add_row(Row::from(row.clone()));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }
}

/// A cell's text on one line, without anything that could steer a terminal; `-` for none.
fn harmless(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    one_line(text)
}
