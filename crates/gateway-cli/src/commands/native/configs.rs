//! `configs`: files that the rack keeps for an app.

use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::AppConfig;
use gateway_client::text::lines;

use super::place::Fetched;
use super::scale::{restart_one, services};
use super::{AppArgument, Place};
use crate::failure::{Exit, Failure, Problem};
use crate::table::Rows;

/// The largest config, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// The arguments of `configs`.
#[derive(Args, Debug)]
#[command(
    after_help = "A value is read from standard input, so that it stands in no command line:\n  rack-gateway configs set nginx -a web < nginx.conf"
)]
pub(crate) struct ConfigsArguments {
    /// What to do; without it, list the configs.
    #[command(subcommand)]
    command: Option<ConfigsCommand>,
    #[command(flatten)]
    app: AppArgument,
}

/// What to do with configs.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigsCommand {
    /// Print a config
    Get {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Set a config to what standard input says
    Set {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The value, when it is no secret [default: standard input]
        #[arg(long, value_name = "TEXT")]
        value: Option<String>,
        /// Restart the services of the app afterwards
        #[arg(long)]
        restart: bool,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: ConfigsArguments) -> Result<(), Failure> {
    let ConfigsArguments { command, app } = arguments;
    let app = place.app(&app)?;
    match command {
        None => {
            let asked = RackRequest::get(&["apps", &app, "configs"]);
            let Fetched { raw, value } = place.fetch::<Vec<AppConfig>>(&asked).await?;
            let mut rows = Rows::new(&["NAME"]);
            for one in value {
                rows.add(vec![one.name]);
            }
            place.listing(&raw, &rows, "there are no configs")
        }
        Some(ConfigsCommand::Get { name }) => {
            let asked = RackRequest::get(&["apps", &app, "configs", &name]);
            let Fetched { raw, value } = place.fetch::<AppConfig>(&asked).await?;
            place.context.output.answer(&raw, || lines(&value.value))
        }
        Some(ConfigsCommand::Set { name, value, restart }) => {
            let value = value.map_or_else(|| typed(place), Ok)?;
            let asked = RackRequest::put(&["apps", &app, "configs", &name])
                .form("value", Some(STANDARD.encode(value)));
            place.order(&asked).await?;
            if restart {
                for service in services(place, &app).await?.value {
                    restart_one(place, &app, &service.name).await?;
                }
            }
            place.done(&format!("Setting {name}"), None)
        }
    }
}

fn typed(place: &Place<'_>) -> Result<String, Failure> {
    if place.context.terminal.is_there {
        return Err(Failure::new(Exit::Usage, "no value is given").hint(
            "give it on standard input, as in `rack-gateway configs set NAME < FILE`, or with --value",
        ));
    }
    let mut text = String::new();
    let read = io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text);
    match read.problem("standard input cannot be read")? {
        count if count as u64 > MOST_BYTES => {
            Err(Failure::new(Exit::Usage, format!("standard input has more than {MOST_BYTES} bytes")))
        }
        _ => Ok(text),
    }
}
