//! `api get`: a plain request, for what has no command.

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::text::lines;
use serde_json::Value;

use super::Place;
use super::place::Fetched;
use crate::failure::Failure;

/// The arguments of `api`.
#[derive(Args, Debug)]
pub(crate) struct ApiArguments {
    /// What to do.
    #[command(subcommand)]
    command: ApiCommand,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum ApiCommand {
    /// Ask for a path of the rack's API and print the answer
    Get {
        /// The path, such as /apps/web/releases?limit=1
        #[arg(value_name = "PATH")]
        path: String,
    },
}

/// Asks.
pub(super) async fn run(place: &Place<'_>, arguments: &ApiArguments) -> Result<(), Failure> {
    let ApiCommand::Get { path } = &arguments.command;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut asked = RackRequest::get(&segments);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        asked = asked.query(&name, Some(value));
    }
    let Fetched { raw, .. } = place.fetch::<Value>(&asked).await?;
    place.context.output.answer(&raw, || lines(&serde_json::to_string_pretty(&raw).unwrap_or_default()))
}
