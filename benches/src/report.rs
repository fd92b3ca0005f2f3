//! What was measured, as raw lines, a table, plots and verdicts.

mod plot;
mod verdicts;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::cases::{Case, Who};
use crate::load::Measured;

pub(crate) use verdicts::{Fixed, Verdict, verdicts};

/// One run of one case at one party.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) case: &'static str,
    pub(crate) party: &'static str,
    pub(crate) round: usize,
    /// Replies in a second.
    pub(crate) rate: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    pub(crate) failures: u64,
    pub(crate) megabytes_per_second: f64,
    /// Processor time of the party for one request, in microseconds: what does not depend on who else runs.
    pub(crate) processor_us: f64,
    /// What the party holds in memory at the end of the run, in bytes.
    pub(crate) resident_bytes: u64,
}

impl Run {
    pub(crate) fn of(
        case: &Case,
        who: Who,
        round: usize,
        measured: &Measured,
        processor: std::time::Duration,
        resident_bytes: u64,
    ) -> Self {
        let up = case.body_bytes as u64 * measured.count;
        let bytes = measured.bytes_down + up;
        Self {
            case: case.id,
            party: who.title(),
            round,
            rate: measured.rate(),
            p50_us: measured.quantile_us(0.5),
            p99_us: measured.quantile_us(0.99),
            max_us: measured.latencies_us.max(),
            failures: measured.failures,
            megabytes_per_second: bytes as f64 / 1e6 / measured.elapsed.as_secs_f64().max(1e-9),
            processor_us: processor.as_secs_f64() * 1e6 / (measured.count.max(1)) as f64,
            resident_bytes,
        }
    }
}

/// The medians of a case at a party.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) rate: f64,
    /// Half of the distance between the fastest and the slowest round, as a share of the median.
    pub(crate) spread: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) megabytes_per_second: f64,
    pub(crate) processor_us: f64,
    pub(crate) failures: u64,
}

/// Medians by case and party.
pub(crate) type Summaries = BTreeMap<(&'static str, Who), Summary>;

/// Sums the runs up.
pub(crate) fn summaries(runs: &[(Who, Run)]) -> Summaries {
    let mut groups: BTreeMap<(&'static str, Who), Vec<&Run>> = BTreeMap::new();
    for (who, run) in runs {
        groups.entry((run.case, *who)).or_default().push(run);
    }
    groups.into_iter().map(|(key, group)| (key, summary(&group))).collect()
}

fn summary(runs: &[&Run]) -> Summary {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(|run| value(run)).collect());
    let rate = of(|run| run.rate);
    let fastest = runs.iter().map(|run| run.rate).fold(f64::MIN, f64::max);
    let slowest = runs.iter().map(|run| run.rate).fold(f64::MAX, f64::min);
    Summary {
        rate,
        spread: (fastest - slowest) / 2.0 / rate.max(1e-9),
        p50_us: of(|run| run.p50_us as f64),
        p99_us: of(|run| run.p99_us as f64),
        megabytes_per_second: of(|run| run.megabytes_per_second),
        processor_us: of(|run| run.processor_us),
        failures: runs.iter().map(|run| run.failures).sum(),
    }
}

/// The middle value; of an even number, the mean of both in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    match values.len() % 2 {
        0 => (upper + values.get(middle.wrapping_sub(1)).copied().unwrap_or_default()) / 2.0,
        _ => upper,
    }
}

/// Everything as Markdown.
pub(crate) fn markdown(
    machine: &str,
    cases: &[Case],
    summaries: &Summaries,
    fixed: &[Fixed],
    verdicts: &[Verdict],
) -> String {
    let mut text = format!("# The last benchmark\n\n{machine}\n\n## Targets\n\n");
    let mut table = new_table(&["measure", "target", "measured", "verdict"]);
    for verdict in verdicts {
        let outcome = if verdict.is_met { "met" } else { "MISSED" };
        table.add_row([verdict.measure.as_str(), &verdict.target, &verdict.measured, outcome]);
    }
    // Writing to a string does not fail.
    let _ = writeln!(text, "{table}\n\n## Cases\n");
    let mut table = new_table(&["case", "party", "req/s", "±", "p50 µs", "p99 µs", "MB/s", "CPU µs/req"]);
    for case in cases {
        for who in Who::ALL {
            let Some(summary) = summaries.get(&(case.id, who)) else { continue };
            let failed =
                if summary.failures > 0 { format!(", {} FAILED", summary.failures) } else { String::new() };
            table.add_row([
                format!("{}{failed}", case.title),
                who.title().to_owned(),
                format!("{:.0}", summary.rate),
                format!("{:.0} %", summary.spread * 100.0),
                format!("{:.0}", summary.p50_us),
                format!("{:.0}", summary.p99_us),
                format!("{:.1}", summary.megabytes_per_second),
                format!("{:.1}", summary.processor_us),
            ]);
        }
    }
    for column in 2..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let _ = writeln!(text, "{table}\n\n## Once\n");
    let mut table = new_table(&["what", "value"]);
    for value in fixed {
        table.add_row([value.what.clone(), format!("{:.1} {}", value.value, value.unit)]);
    }
    let _ = writeln!(text, "{table}");
    text
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header.to_vec());
    table
}

/// Writes all of it below `directory`.
pub(crate) fn write(directory: &Path, runs: &[(Who, Run)], cases: &[Case], text: &str) -> Result<()> {
    fs::create_dir_all(directory)?;
    let mut raw = File::create(directory.join("raw.jsonl"))?;
    for (_, run) in runs {
        writeln!(raw, "{}", serde_json::to_string(run)?)?;
    }
    fs::write(directory.join("table.md"), text)?;
    let summaries = summaries(runs);
    for case in cases {
        let bars: Vec<(&str, f64, f64)> = Who::ALL
            .iter()
            .filter_map(|who| {
                let summary = summaries.get(&(case.id, *who))?;
                Some((who.title(), summary.rate, summary.rate * summary.spread))
            })
            .collect();
        if !bars.is_empty() {
            fs::write(directory.join(format!("{}.svg", case.id)), plot::bars(case.title, &bars))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
