//! What `rack` does with the rack itself, beside showing the gateway in front of it.

use clap::Subcommand;
use gateway_client::ClientError;
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{Release, Resource, ResourceKind, System};
use gateway_client::text::one_line;
use http::Method;

use super::place::{Fetched, map_text, moment, pair};
use super::{AppArgument, Place, apps, logs, ps};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::table::Rows;

/// What to do with the rack.
#[derive(Subcommand, Debug)]
pub(crate) enum SystemCommand {
    /// Show the rack, as it tells itself
    Info,
    /// Follow or print the log of the rack
    Logs(logs::LogOptions),
    /// List the processes of the rack
    Ps {
        /// Those of apps too
        #[arg(long, short = 'a')]
        all: bool,
    },
    /// List the versions that the rack had
    Releases,
    /// Show or set parameters of the rack
    Params {
        /// What to do; without it, show them.
        #[command(subcommand)]
        command: Option<ParamsCommand>,
    },
    /// Show or set how many instances the rack has, and of which type
    Scale {
        /// How many
        #[arg(long, value_name = "N")]
        count: Option<u32>,
        /// Of which type
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Bring the rack to another version
    Update {
        /// The version
        #[arg(value_name = "VERSION")]
        version: String,
        /// Also when the rack thinks it should not be
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List, make, link and remove resources of the rack
    Resources {
        /// What to do; without it, list them.
        #[command(subcommand)]
        command: Option<ResourcesCommand>,
    },
    /// Clean up after Karpenter
    Karpenter {
        /// What to do.
        #[command(subcommand)]
        command: KarpenterCommand,
    },
}

/// What to do with parameters.
#[derive(Subcommand, Debug)]
pub(crate) enum ParamsCommand {
    /// Set some
    Set {
        /// NAME=VALUE
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = pair)]
        pairs: Vec<(String, String)>,
    },
}

/// What to do about Karpenter.
#[derive(Subcommand, Debug)]
pub(crate) enum KarpenterCommand {
    /// Remove what it left
    Cleanup,
}

/// What to do with resources of the rack.
#[derive(Subcommand, Debug)]
pub(crate) enum ResourcesCommand {
    /// Show a resource
    Info {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show what a kind of resource takes
    Options {
        /// The kind
        #[arg(value_name = "KIND")]
        kind: String,
    },
    /// Make a resource and wait until it is there
    Create {
        /// Its kind
        #[arg(value_name = "KIND")]
        kind: String,
        /// Its options
        #[arg(value_name = "NAME=VALUE", value_parser = pair)]
        pairs: Vec<(String, String)>,
        /// Its name [default: the rack's choice]
        #[arg(long, short = 'n', value_name = "NAME")]
        name: Option<String>,
    },
    /// Change options and wait until they hold
    Update {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Its options
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = pair)]
        pairs: Vec<(String, String)>,
    },
    /// Let an app use a resource
    Link {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        app: AppArgument,
    },
    /// Let an app no longer use a resource
    Unlink {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        app: AppArgument,
    },
    /// Remove a resource and wait until it is gone
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(crate) async fn run(context: &Context, command: SystemCommand) -> Result<(), Failure> {
    let place = &Place::open(context)?;
    match command {
        SystemCommand::Info => {
            let Fetched { raw, value } = place.system().await?;
            let mut lines = Lines::default();
            lines.line("name", &value.name);
            lines.some("provider", Some(&value.provider));
            lines.some("region", Some(&value.region));
            lines.some("router", Some(&value.domain));
            lines.line("status", &value.status);
            lines.line("version", &value.version);
            place.shown(&raw, &lines)
        }
        SystemCommand::Logs(options) => logs::of_rack(place, &options).await,
        SystemCommand::Ps { all } => ps::of_rack(place, all).await,
        SystemCommand::Releases => releases(place).await,
        SystemCommand::Params { command: None } => {
            apps::parameters(place, place.system().await?.value.parameters.unwrap_or_default())
        }
        SystemCommand::Params { command: Some(ParamsCommand::Set { pairs }) } => {
            place.system().await?;
            place.order(&RackRequest::put(&["system"]).form("parameters", Some(map_text(&pairs)))).await?;
            place.done("Updating parameters", None)
        }
        SystemCommand::Scale { count, kind } => scale(place, count, kind).await,
        SystemCommand::Update { version, force, yes } => {
            place.confirm(&format!("the rack is updated to {}", one_line(&version)), yes)?;
            place.system().await?;
            let asked =
                RackRequest::put(&["system"]).form("force", Some(force)).form("version", Some(&version));
            place.order(&asked).await?;
            place.done(&format!("Updating to {version}"), None)
        }
        SystemCommand::Resources { command } => {
            place.system().await?;
            resources(place, command).await
        }
        SystemCommand::Karpenter { command: KarpenterCommand::Cleanup } => {
            place.order(&RackRequest::post(&["system", "karpenter", "cleanup"])).await?;
            place.done("Cleaning up", None)
        }
    }
}

async fn releases(place: &Place<'_>) -> Result<(), Failure> {
    let Fetched { raw, value } =
        place.fetch::<Vec<Release>>(&RackRequest::get(&["system", "releases"])).await?;
    let mut rows = Rows::new(&["VERSION", "UPDATED"]);
    for one in value {
        rows.add(vec![one.id, moment(&one.created)]);
    }
    place.listing(&raw, &rows, "the rack tells of no versions")
}

async fn scale(place: &Place<'_>, count: Option<u32>, kind: Option<String>) -> Result<(), Failure> {
    let Fetched { raw, value: System { count: now, status, kind: of, .. } } = place.system().await?;
    if count.is_some() || kind.is_some() {
        place.order(&RackRequest::put(&["system"]).form("count", count).form("type", kind)).await?;
        return place.done("Scaling rack", None);
    }
    let mut lines = Lines::default();
    lines.line("count", &now.to_string());
    lines.line("status", &status);
    lines.some("type", Some(&of));
    place.shown(&raw, &lines)
}

async fn resources(place: &Place<'_>, command: Option<ResourcesCommand>) -> Result<(), Failure> {
    let context = place.context;
    match command {
        None => {
            let Fetched { raw, value } =
                place.fetch::<Vec<Resource>>(&RackRequest::get(&["resources"])).await?;
            let mut rows = Rows::new(&["NAME", "TYPE", "STATUS"]);
            for one in value {
                rows.add(vec![one.name, one.kind, one.status]);
            }
            place.listing(&raw, &rows, "there are no resources")
        }
        Some(ResourcesCommand::Info { name }) => {
            let Fetched { raw, value } =
                place.fetch::<Resource>(&RackRequest::get(&["resources", &name])).await?;
            let mut lines = Lines::default();
            lines.line("name", &value.name);
            lines.line("type", &value.kind);
            lines.line("status", &value.status);
            for (at, (name, value)) in value.parameters.unwrap_or_default().iter().enumerate() {
                lines.line(if at == 0 { "options" } else { "" }, &format!("{name}={value}"));
            }
            lines.some("url", Some(&value.url));
            place.shown(&raw, &lines)
        }
        Some(ResourcesCommand::Options { kind }) => options(place, &kind).await,
        Some(ResourcesCommand::Create { kind, pairs, name }) => {
            let asked = RackRequest::post(&["resources"])
                .form("kind", Some(&kind))
                .form("name", name)
                .form("parameters", (!pairs.is_empty()).then(|| map_text(&pairs)));
            let made: Resource = place.change(&asked).await?;
            settled(place, &made.name).await?;
            place.done("Creating resource", Some(&made.name))
        }
        Some(ResourcesCommand::Update { name, pairs }) => {
            place
                .order(&RackRequest::put(&["resources", &name]).form("parameters", Some(map_text(&pairs))))
                .await?;
            settled(place, &name).await?;
            place.done("Updating resource", None)
        }
        Some(ResourcesCommand::Link { name, app }) => {
            let app = app.name(context)?;
            place.order(&RackRequest::post(&["resources", &name, "links"]).form("app", Some(&app))).await?;
            settled(place, &name).await?;
            place.done(&format!("Linking to {app}"), None)
        }
        Some(ResourcesCommand::Unlink { name, app }) => {
            let app = app.name(context)?;
            place.order(&RackRequest::delete(&["resources", &name, "links", &app])).await?;
            settled(place, &name).await?;
            place.done(&format!("Unlinking from {app}"), None)
        }
        Some(ResourcesCommand::Delete { name, yes }) => {
            place.confirm(&format!("the resource {} is removed", one_line(&name)), yes)?;
            place.order(&RackRequest::delete(&["resources", &name])).await?;
            settled(place, &name).await?;
            place.done("Deleting resource", None)
        }
    }
}

async fn options(place: &Place<'_>, kind: &str) -> Result<(), Failure> {
    let asked = RackRequest::new(Method::OPTIONS, &["resources"]);
    let kinds: Vec<ResourceKind> = place.fetch(&asked).await?.value;
    let found = kinds.into_iter().find(|one| one.name == kind);
    let found = found.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("the rack makes no resource of the kind {}", one_line(kind)))
    })?;
    let options = found.parameters.unwrap_or_default();
    let mut rows = Rows::new(&["NAME", "DEFAULT", "DESCRIPTION"]);
    let mut raw = Vec::new();
    for one in options {
        raw.push(
            serde_json::json!({ "name": one.name, "default": one.default, "description": one.description }),
        );
        rows.add(vec![one.name, one.default, one.description]);
    }
    place.listing(&serde_json::Value::Array(raw), &rows, "it takes no options")
}

/// Waits until rack and resource are settled: seen running, or gone, twice in a row.
async fn settled(place: &Place<'_>, name: &str) -> Result<(), Failure> {
    let asked = RackRequest::get(&["resources", name]);
    let mut settled = 0;
    for _ in 0..place.context.pace.looks() {
        tokio::time::sleep(place.context.pace.settle).await;
        let rack_runs = place.system().await?.value.status == "running";
        let runs = place
            .remote
            .ask(async |client| match client.rack_document::<Resource>(&asked).await {
                Ok(resource) => Ok(resource.status == "running"),
                Err(ClientError::Rack { status: 404, .. }) => Ok(true),
                Err(error) => Err(error),
            })
            .await?;
        settled = if rack_runs && runs { settled + 1 } else { 0 };
        if settled == 2 {
            return Ok(());
        }
    }
    Err(Failure::new(Exit::Failed, format!("{} is not settled after all this time", one_line(name))))
}
