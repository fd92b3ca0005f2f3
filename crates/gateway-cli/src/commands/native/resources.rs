//! `resources`: databases, caches and the like of an app. Resources of the rack are `rack resources`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Resource;
use gateway_client::text::one_line;
use url::Url;

use super::place::Fetched;
use super::{AppArgument, Place, proxy, transfer};
use crate::commands::exec::{self, ConsoleArguments};
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::table::Rows;

/// The arguments of `resources`.
#[derive(Args, Debug)]
#[command(
    after_help = "Addresses hold credentials: they are shown as handles, and `rack-gateway reveal` shows values.\nResources of the rack itself are `rack-gateway rack resources`."
)]
pub(crate) struct ResourcesArguments {
    /// What to do; without it, list the resources.
    #[command(subcommand)]
    command: Option<ResourcesCommand>,
    #[command(flatten)]
    app: AppArgument,
}

/// What to do with resources.
#[derive(Subcommand, Debug)]
pub(crate) enum ResourcesCommand {
    /// Show a resource
    Info {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print the address of a resource
    Url {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Write all that a resource holds
    Export {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The file [default: standard output]
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Put into a resource what `resources export` wrote
    Import {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The file [default: standard input]
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Open the console of a resource, such as a database's own client
    Console {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Open a port of this machine that leads to a resource
    Proxy {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The port of this machine [default: the resource's own]
        #[arg(long, short = 'p', value_name = "PORT")]
        port: Option<u16>,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: ResourcesArguments) -> Result<ExitCode, Failure> {
    let ResourcesArguments { command, app: which } = arguments;
    let app = place.app(&which)?;
    match command {
        Some(ResourcesCommand::Console { name: resource }) => {
            return exec::console(place.context, ConsoleArguments { which, resource }).await;
        }
        None => list(place, &app).await,
        Some(ResourcesCommand::Info { name }) => {
            let Fetched { raw, value } = fetched(place, &app, &name).await?;
            let mut lines = Lines::default();
            lines.line("name", &value.name);
            lines.line("type", &value.kind);
            lines.some("url", Some(&value.url));
            place.shown(&raw, &lines)
        }
        Some(ResourcesCommand::Url { name }) => {
            let url = fetched(place, &app, &name).await?.value.url;
            place.context.output.answer(&url, || one_line(&url))
        }
        Some(ResourcesCommand::Export { name, file }) => {
            let asked = RackRequest::get(&["apps", &app, "resources", &name, "data"]);
            transfer::download(place, &asked, file.as_deref(), "Exporting resource data").await
        }
        Some(ResourcesCommand::Import { name, file, yes }) => {
            place.confirm(&format!("what {} holds is replaced", one_line(&name)), yes)?;
            let asked = RackRequest::put(&["apps", &app, "resources", &name, "data"]);
            transfer::upload(place, &asked, file.as_deref(), "Importing resource data").await?;
            place.done("Importing resource data", None)
        }
        Some(ResourcesCommand::Proxy { name, port }) => {
            let url = fetched(place, &app, &name).await?.value.url;
            let target = target(&url)?;
            proxy::open(
                place,
                vec![proxy::Passage { local: port.unwrap_or(target.1), host: target.0, port: target.1 }],
            )
            .await
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    let Fetched { raw, value } =
        place.fetch::<Vec<Resource>>(&RackRequest::get(&["apps", app, "resources"])).await?;
    let mut rows = Rows::new(&["NAME", "TYPE", "URL"]);
    for one in value {
        rows.add(vec![one.name, one.kind, one.url]);
    }
    place.listing(&raw, &rows, "there are no resources")
}

async fn fetched(place: &Place<'_>, app: &str, name: &str) -> Result<Fetched<Resource>, Failure> {
    place.fetch(&RackRequest::get(&["apps", app, "resources", name])).await
}

/// Where an address leads.
fn target(url: &str) -> Result<(String, u16), Failure> {
    let known = |url: &Url| match url.scheme() {
        "postgres" | "postgresql" => Some(5432),
        "mysql" => Some(3306),
        "redis" | "rediss" => Some(6379),
        "memcached" => Some(11211),
        _ => url.port_or_known_default(),
    };
    let parsed = Url::parse(url).ok();
    let port = parsed.as_ref().and_then(|url| url.port().or_else(|| known(url)));
    match (parsed.as_ref().and_then(Url::host_str), port) {
        (Some(host), Some(port)) => Ok((host.to_owned(), port)),
        _ => Err(Failure::new(Exit::Failed, "the resource's address does not say where it is").hint(
            "the gateway hides it; name host and port yourself with `rack-gateway proxy PORT:HOST:PORT`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn an_address_says_where_it_leads() {
        assert_eq!(target("postgres://u:p@db.svc:5433/x").unwrap(), ("db.svc".to_owned(), 5433));
        assert_eq!(target("redis://cache.svc/0").unwrap(), ("cache.svc".to_owned(), 6379));
        assert!(target("secret:1:0199").is_err());
    }
}
