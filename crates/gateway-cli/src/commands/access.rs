//! `access review`: who can do what, and when they last did anything.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_app::access_review;
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
    /// Write who can do what, and when they last did anything: a line for each person, app, token
    /// and trust rule
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
        // Nothing that is there is lost.
        Some(path) => Some(File::create_new(path).problem(format!(
            "{} cannot be made; if it is there already, name another file",
            path.display()
        ))?),
        None => None,
    };
    let mut write = |text: &str| match &mut file {
        Some(file) => writeln!(file, "{text}").problem("the review cannot be written"),
        None => context.output.line(text),
    };
    let is_json = context.output.format == Format::Json;
    if !is_json {
        write(&csv(&[], true))?;
    }
    let mut asked = Page { cursor: None, limit: Some(PAGE), search: None };
    let mut lines = 0_usize;
    loop {
        let listing = remote.ask(async |client| client.access_review(&asked).await).await?;
        for line in &listing.items {
            write(&if is_json { json(line)? } else { csv(std::slice::from_ref(line), false) })?;
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

/// A line as the gateway's own export has it, without what would steer a terminal.
fn csv(lines: &[AccessLine], first: bool) -> String {
    let text = String::from_utf8_lossy(&access_review::csv(lines, first)).into_owned();
    text.lines()
        .map(|line| line.chars().filter(|sign| !sign.is_control()).collect())
        .collect::<Vec<String>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::{AccessLine, csv};

    #[test]
    fn what_is_written_is_data_and_steers_nothing() {
        let line = |subject: &str| AccessLine {
            subject: subject.to_owned(),
            kind: "person".to_owned(),
            locked: false,
            owner: None,
            roles: vec!["ops".to_owned()],
            grants: Vec::new(),
            place: "everywhere".to_owned(),
            actions: Vec::new(),
            last_used: None,
        };
        let check = |subject: &str, first: &str| {
            let text = csv(&[line(subject)], false);
            assert!(text.starts_with(&format!("{first},person,false,,ops,")), "{text}");
        };
        check("ann@example.com", "ann@example.com");
        check("a,b", "\"a,b\"");
        check("=HYPERLINK(1)", "\"'=HYPERLINK(1)\"");
        check("a\u{1b}[2J", "a[2J");
        assert_eq!(csv(&[], true), "subject,kind,locked,owner,roles,grants,place,actions,last_used");
    }
}
