//! `access review`: who can do what, and when they last did anything.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::Page;
use gateway_types::wire::elevations::AccessLine;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::{Format, escaped, remark};
use crate::remote::Remote;

/// People or tokens of one page.
const PAGE: u32 = 50;

/// The arguments of `access`.
#[derive(Args, Debug)]
pub(crate) struct AccessArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AccessCommand,
}

/// What to do about access.
#[derive(Subcommand, Debug)]
pub(crate) enum AccessCommand {
    /// Write who can do what, and when they last did anything: a line for each person, app and token
    Review {
        /// Into this file; without it, to the standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Runs it. Each page is written as it comes: comma-separated values, or with `--json` one object a line.
pub(crate) async fn run(context: &Context, arguments: AccessArguments) -> Result<ExitCode, Failure> {
    let AccessCommand::Review { output } = arguments.command;
    let remote = Remote::open(context)?;
    let mut file = match &output {
        Some(path) => Some(File::create(path).problem(format!("{} cannot be written", path.display()))?),
        None => None,
    };
    let mut write = |text: &str| match &mut file {
        Some(file) => writeln!(file, "{text}").problem("the review cannot be written"),
        None => context.output.line(text),
    };
    let is_json = context.output.format == Format::Json;
    if !is_json {
        write("subject,kind,locked,owner,roles,grants,place,actions,last_used")?;
    }
    let mut asked = Page { cursor: None, limit: Some(PAGE), search: None };
    let mut lines = 0_usize;
    loop {
        let listing = remote.ask(async |client| client.access_review(&asked).await).await?;
        for line in &listing.items {
            write(&if is_json { json(line)? } else { csv(line) })?;
        }
        lines += listing.items.len();
        match listing.next {
            // A gateway that names the same page again would be asked for ever.
            Some(next) if asked.cursor.as_ref() != Some(&next) => asked.cursor = Some(next),
            Some(_) | None => break,
        }
    }
    if output.is_some() {
        remark(&format!("{lines} lines written"));
    }
    Ok(ExitCode::SUCCESS)
}

fn json(line: &AccessLine) -> Result<String, Failure> {
    let text = serde_json::to_string(line)
        .map_err(|_no_form| Failure::new(Exit::Failed, "a line of the review has no JSON form"))?;
    Ok(escaped(&text))
}

fn csv(line: &AccessLine) -> String {
    let cells = [
        line.subject.clone(),
        line.kind.clone(),
        line.locked.to_string(),
        line.owner.clone().unwrap_or_default(),
        line.roles.join(" "),
        line.grants.join("; "),
        line.place.clone(),
        line.actions.join(" "),
        line.last_used.clone().unwrap_or_default(),
    ];
    cells.map(|cell| self::cell(&cell)).join(",")
}

/// One cell (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe in front, and what would steer a
/// terminal is left out.
fn cell(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    let is_formula = plain.starts_with(['=', '+', '-', '@']);
    let text = if is_formula { format!("'{plain}") } else { plain };
    if text.contains([',', '"']) || is_formula { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_data_and_no_formulas() {
        assert_eq!(cell("ann@example.com"), "ann@example.com");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(cell("a\u{1b}[2J"), "a[2J");
    }
}
