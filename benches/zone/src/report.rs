//! What was measured, as a table and as raw numbers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::storm::Storm;

/// A rate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    what: &'static str,
    who: &'static str,
    /// By the clock, where it was measured so.
    per_second: Option<f64>,
    /// Of processor time, all threads and programs of it together.
    per_processor_second: f64,
    /// The same in shares of what openssl did of it.
    ratio: Option<f64>,
}

impl Figure {
    /// A rate of processor time alone.
    pub(crate) const fn of_processor(what: &'static str, who: &'static str, rate: f64) -> Self {
        Self { what, who, per_second: None, per_processor_second: rate, ratio: None }
    }

    /// What was done.
    pub(crate) const fn of(what: &'static str, who: &'static str, rates: Rates) -> Self {
        let Rates { per_second, per_processor_second } = rates;
        Self { what, who, per_second: Some(per_second), per_processor_second, ratio: None }
    }

    /// Beside what openssl did of the same.
    pub(crate) fn beside(mut self, reference: f64) -> Self {
        self.ratio = (reference > 0.0).then(|| self.per_processor_second / reference);
        self
    }
}

/// Medians of several rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) per_second: f64,
    pub(crate) per_processor_second: f64,
}

/// Everything of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    openssl: String,
    cores: usize,
    rounds: usize,
    seconds: u64,
    figures: Vec<Figure>,
    storm: Option<Storm>,
}

impl Report {
    pub(crate) fn new(openssl: String, cores: usize, rounds: usize, length: Duration) -> Self {
        Self { openssl, cores, rounds, seconds: length.as_secs(), figures: Vec::new(), storm: None }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub(crate) fn storm(&mut self, storm: Storm) {
        self.storm = Some(storm);
    }

    /// Prints it, and writes `zone.md` and `zone.json` into this directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let text = self.text()?;
        println!("{text}");
        fs::create_dir_all(directory)?;
        fs::write(directory.join("zone.md"), text)?;
        fs::write(directory.join("zone.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }

    fn text(&self) -> Result<String> {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header([
            "measure",
            "who",
            "per second",
            "per CPU second",
            "of openssl",
        ]);
        for one in &self.figures {
            let ratio = one.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} ×"));
            let rate = one.per_second.map_or_else(String::new, |rate| format!("{rate:.0}"));
            let processor = format!("{:.0}", one.per_processor_second);
            table.add_row([one.what.to_owned(), one.who.to_owned(), rate, processor, ratio]);
        }
        for column in [2, 3, 4] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = format!(
            "{} cores, {}; {} rounds of {} s, medians.\n\n{table}\n",
            self.cores, self.openssl, self.rounds, self.seconds
        );
        if let Some(storm) = &self.storm {
            write!(
                text,
                "\n{} members that renew at once, 64 at the same moment: {:.1} s, {:.0} renewals per second ({:.0} per CPU second, authority and members together), p50 {:.0} ms, p99 {:.0} ms. \
                 So many members with leaves of an hour usually renew {:.1} times per second.\n",
                storm.members,
                storm.seconds,
                storm.renewals_per_second,
                storm.renewals_per_processor_second,
                storm.p50_ms,
                storm.p99_ms,
                storm.usual_per_second,
            )?;
        }
        Ok(text)
    }
}
