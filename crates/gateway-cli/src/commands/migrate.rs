//! `migrate`: the database's schema, brought up to date.

use std::process::ExitCode;

use clap::Args;
use gateway_config::{load_database, masked_database_url};
use gateway_store::Store;
use gateway_types::SystemClock;
use serde::Serialize;

use crate::Context;
use crate::failure::Failure;
use crate::local::DataPlace;

/// The arguments of `migrate`.
#[derive(Args, Debug)]
pub(crate) struct MigrateArguments {
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

#[derive(Serialize)]
struct Applied {
    stamp: i64,
    name: &'static str,
}

#[derive(Serialize)]
struct Answer {
    database: String,
    applied: Vec<Applied>,
}

/// Applies what is missing.
pub(crate) async fn run(context: &Context, arguments: MigrateArguments) -> Result<ExitCode, Failure> {
    let database = load_database(context.config.clone(), arguments.place.flags())?;
    let applied = Store::migrate(&database.url, &SystemClock).await?;
    let answer = Answer {
        database: masked_database_url(&database.url),
        applied: applied.into_iter().map(|step| Applied { stamp: step.stamp, name: step.name }).collect(),
    };
    context.output.answer(&answer, || text(&answer))?;
    Ok(ExitCode::SUCCESS)
}

fn text(answer: &Answer) -> String {
    if answer.applied.is_empty() {
        return format!("{} is up to date", answer.database);
    }
    let steps: Vec<String> =
        answer.applied.iter().map(|step| format!("  applied {} {}\n", step.stamp, step.name)).collect();
    format!("{}:\n{}", answer.database, steps.concat())
}
