//! `registries`. Passwords are asked for or read from standard input: a command line is read by every user of the machine
//! and kept in the history.

use std::io::{self, Read as _};

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Registry;
use gateway_client::text::one_line;
use gateway_types::Secret;
use serde_json::Value;

use super::Place;
use super::place::Fetched;
use crate::failure::{Exit, Failure, Problem};
use crate::table::Rows;
use crate::terminal::waiting;

/// The longest password, in bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// The arguments of `registries`.
#[derive(Args, Debug)]
#[command(
    after_help = "The password is asked for at a terminal, else read from standard input:\n  rack-gateway registries add ghcr.io bot < token"
)]
pub(crate) struct RegistriesArguments {
    /// What to do; without it, list the registries.
    #[command(subcommand)]
    command: Option<RegistriesCommand>,
}

/// What to do with registries.
#[derive(Subcommand, Debug)]
pub(crate) enum RegistriesCommand {
    /// Add a registry, or give it another password
    Add {
        /// Its address
        #[arg(value_name = "SERVER")]
        server: String,
        /// As whom
        #[arg(value_name = "USERNAME")]
        username: String,
    },
    /// Remove a registry
    Remove {
        /// Its address
        #[arg(value_name = "SERVER")]
        server: String,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: RegistriesArguments) -> Result<(), Failure> {
    match arguments.command {
        None => {
            let Fetched { raw, value } =
                place.fetch::<Vec<Registry>>(&RackRequest::get(&["registries"])).await?;
            let mut rows = Rows::new(&["SERVER", "USERNAME"]);
            for one in value {
                rows.add(vec![one.server, one.username]);
            }
            place.listing(&without_passwords(raw), &rows, "there are no registries")
        }
        Some(RegistriesCommand::Add { server, username }) => {
            let password =
                password(place, &format!("Password of {} at {}", one_line(&username), one_line(&server)))?;
            let asked = RackRequest::post(&["registries"])
                .form("server", Some(&server))
                .form("username", Some(&username))
                .form("password", Some(password.expose()));
            place.order(&asked).await?;
            place.done("Adding registry", None)
        }
        Some(RegistriesCommand::Remove { server }) => {
            place.system().await?;
            // The address may have a path, which the rack's has too.
            let path: Vec<&str> = ["registries"].into_iter().chain(server.split('/')).collect();
            place.order(&RackRequest::delete(&path)).await?;
            place.done("Removing registry", None)
        }
    }
}

/// A rack lists passwords in clear, and gateways handles in their place; nobody needs either.
fn without_passwords(mut raw: Value) -> Value {
    for one in raw.as_array_mut().into_iter().flatten() {
        if let Some(fields) = one.as_object_mut() {
            fields.remove("password");
        }
    }
    raw
}

/// A secret that is typed, or read from standard input.
pub(super) fn password(place: &Place<'_>, what: &str) -> Result<Secret<String>, Failure> {
    let none =
        || Failure::new(Exit::Usage, "no password was given").hint("type it, or give it on standard input");
    let text = if place.context.terminal.is_there {
        let question = format!("{what} (it is shown): ");
        waiting(|| (place.context.terminal.ask)(&question))?.ok_or_else(none)?
    } else {
        let mut text = String::new();
        io::stdin()
            .lock()
            .take(MOST_BYTES + 1)
            .read_to_string(&mut text)
            .problem("standard input cannot be read")?;
        if text.len() as u64 > MOST_BYTES {
            return Err(Failure::new(
                Exit::Usage,
                format!("standard input has more than {MOST_BYTES} bytes"),
            ));
        }
        text.trim_end_matches(['\r', '\n']).to_owned()
    };
    if text.is_empty() { Err(none()) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_listing_holds_a_password() {
        let listed = serde_json::json!([{ "server": "s", "username": "u", "password": "p" }]);
        assert_eq!(without_passwords(listed), serde_json::json!([{ "server": "s", "username": "u" }]));
        assert_eq!(without_passwords(Value::Null), Value::Null);
    }
}
