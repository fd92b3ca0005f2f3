//! What was measured, as a table and as raw numbers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// What a figure is aimed at.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound:.0}"),
            Self::AtMost(bound) => format!("≤ {bound:.0} ms"),
        }
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    database: &'static str,
    value: f64,
    unit: &'static str,
    /// In shares of what the plain INSERT did.
    ratio: Option<f64>,
    bound: Option<Bound>,
}

impl Figure {
    /// So many per second.
    pub(crate) fn rate(what: &str, value: f64) -> Self {
        Self { what: what.to_owned(), database: "", value, unit: "/s", ratio: None, bound: None }
    }

    /// A time.
    pub(crate) fn milliseconds(what: &str, value: f64) -> Self {
        Self { unit: "ms", ..Self::rate(what, value) }
    }

    pub(crate) fn on(mut self, database: &'static str) -> Self {
        self.database = database;
        self
    }

    pub(crate) fn beside(mut self, plain: f64) -> Self {
        self.ratio = (plain > 0.0).then(|| self.value / plain);
        self
    }

    pub(crate) const fn bounded(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }
}

/// Everything of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    cores: usize,
    rounds: usize,
    seconds: u64,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(rounds: usize, length: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cores, rounds, seconds: length.as_secs(), figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Prints it, and writes `audit.md` and `audit.json` into this directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let text = self.text();
        println!("{text}");
        fs::create_dir_all(directory)?;
        fs::write(directory.join("audit.md"), text)?;
        fs::write(directory.join("audit.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header([
            "measure",
            "database",
            "measured",
            "of the plain INSERT",
            "target",
            "verdict",
        ]);
        for one in &self.figures {
            let value = match one.unit {
                "ms" => format!("{:.2} ms", one.value),
                unit => format!("{:.0} {unit}", one.value),
            };
            let verdict = match one.bound {
                Some(bound) if bound.holds(one.value) => "met",
                Some(_) => "MISSED",
                None => "",
            };
            table.add_row([
                one.what.clone(),
                one.database.to_owned(),
                value,
                one.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} ×")),
                one.bound.map_or_else(String::new, Bound::text),
                verdict.to_owned(),
            ]);
        }
        for column in [2, 3] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let Self { cores, rounds, seconds, .. } = self;
        format!("{cores} cores; {rounds} rounds of {seconds} s, medians.\n\n{table}\n")
    }
}
