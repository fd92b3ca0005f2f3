//! `zone vantage`: from where it is looked whether anything answers past the gateway, and what was seen.

use clap::Subcommand;
use gateway_client::text::one_line;
use gateway_types::wire::vantage::VantagePoint;
use serde::Serialize;

use super::listing::minute;
use crate::Context;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// What to do with vantage points.
#[derive(Subcommand, Debug)]
pub(crate) enum VantageCommand {
    /// List them with their last words
    List,
    /// Forget one that does not report any more
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Serialize)]
struct Removed<'a> {
    id: &'a str,
    done: &'static str,
}

/// Runs one of them.
pub(super) async fn run(
    context: &Context,
    remote: &Remote,
    command: Option<VantageCommand>,
) -> Result<(), Failure> {
    match command.unwrap_or(VantageCommand::List) {
        VantageCommand::List => {
            let points = remote.ask(async |client| client.vantage_points().await).await?;
            context.output.listing(
                &points,
                &rows(&points),
                "nobody looks: see `rack-gateway probe-agent --help`",
            )
        }
        VantageCommand::Remove { name, yes } => {
            let question = format!("forget the vantage point {}?", one_line(&name));
            waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
            remote.ask(async |client| client.remove_vantage_point(&name).await).await?;
            let removed = Removed { id: &name, done: "removed" };
            context.output.answer(&removed, || format!("removed {}", one_line(&name)))
        }
    }
}

/// Their last words as a table.
pub(super) fn text(context: &Context, points: &[VantagePoint]) -> String {
    match points.is_empty() {
        true => "no vantage point reports".to_owned(),
        false => rows(points).render(context.output.looks).trim_end().to_owned(),
    }
}

fn rows(points: &[VantagePoint]) -> Rows {
    let mut rows = Rows::new(&["VANTAGE POINT", "STATE", "LOOKED AT", "LAST REPORT", "WHAT ANSWERS"]);
    for one in points {
        let mut open: Vec<String> =
            one.open.iter().map(|open| format!("{}: {}", open.target, open.meaning)).collect();
        if !one.unclear.is_empty() {
            open.push(format!("not looked at: {}", one.unclear.join(", ")));
        }
        rows.add(vec![
            one_line(&one.name),
            one_line(&one.state),
            one.looked.to_string(),
            minute(Some(&one.reported), ""),
            one_line(&open.join("; ")),
        ]);
    }
    rows
}
