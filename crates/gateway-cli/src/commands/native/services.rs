//! The services of an app, for `services`, which also shows the services behind the gateway: the words differ, so the
//! habits of both live side by side.

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use serde::Serialize;

use super::super::completion;
use super::place::Fetched;
use super::scale::{Size, restart_one, services, update};
use super::{AppArgument, Place};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::table::Rows;

/// What to do with the services of an app.
#[derive(Subcommand, Debug)]
pub(crate) enum AppServicesCommand {
    /// Restart a service of an app
    Restart {
        /// The service
        #[arg(value_name = "SERVICE", add = completion::services())]
        service: String,
    },
    /// Set how many processes a service of an app has, and how large they are
    Update {
        /// The service
        #[arg(value_name = "SERVICE", add = completion::services())]
        service: String,
        #[command(flatten)]
        size: Size,
    },
    /// Let a service of an app scale by itself
    Triggers {
        /// What to do.
        #[command(subcommand)]
        command: TriggersCommand,
    },
}

/// What to do with triggers.
#[derive(Subcommand, Debug)]
pub(crate) enum TriggersCommand {
    /// Scale between two numbers of processes
    Enable {
        /// The service
        #[arg(value_name = "SERVICE", add = completion::services())]
        service: String,
        #[command(flatten)]
        between: Between,
    },
    /// Scale no more
    Disable {
        /// The service
        #[arg(value_name = "SERVICE", add = completion::services())]
        service: String,
    },
    /// Set at which load it scales
    ThresholdSet {
        /// The service
        #[arg(value_name = "SERVICE", add = completion::services())]
        service: String,
        /// What is measured: cpu or memory
        #[arg(long = "type", value_name = "KIND")]
        kind: String,
        /// In percent
        #[arg(long, value_name = "PERCENT")]
        threshold: u32,
    },
}

/// Between what a service scales, and when.
#[derive(Args, Debug)]
pub(crate) struct Between {
    /// The least processes
    #[arg(long, value_name = "N")]
    min: u32,
    /// The most processes
    #[arg(long, value_name = "N")]
    max: u32,
    /// At this load of the processors, in percent
    #[arg(long, value_name = "PERCENT")]
    cpu: Option<u32>,
    /// At this use of memory, in percent
    #[arg(long, value_name = "PERCENT")]
    memory: Option<u32>,
}

#[derive(Serialize)]
struct Options {
    min: u32,
    max: u32,
    triggers: Vec<Trigger>,
}

#[derive(Serialize)]
struct Trigger {
    #[serde(rename = "type")]
    kind: &'static str,
    threshold: u32,
}

/// Lists the services of an app.
pub(crate) async fn list(context: &Context, app: &AppArgument) -> Result<(), Failure> {
    let place = Place::open(context)?;
    let app = place.app(app)?;
    let Fetched { raw, value } = services(&place, &app).await?;
    place.budget_notice(&app).await;
    let mut rows = Rows::new(&["SERVICE", "DOMAIN", "PORTS"]);
    for one in value {
        let ports = one.ports.unwrap_or_default();
        let ports: Vec<String> =
            ports.iter().map(|port| format!("{}:{}", port.balancer, port.container)).collect();
        rows.add(vec![one.name, one.domain, ports.join(" ")]);
    }
    place.listing(&raw, &rows, "there are no services")
}

/// Does something with one of them.
pub(crate) async fn run(
    context: &Context,
    app: &AppArgument,
    command: AppServicesCommand,
) -> Result<(), Failure> {
    let place = Place::open(context)?;
    let app = place.app(app)?;
    let triggers =
        |service: &str, what: &str| RackRequest::post(&["apps", &app, "services", service, "triggers", what]);
    match command {
        AppServicesCommand::Restart { service } => {
            restart_one(&place, &app, &service).await?;
            place.done(&format!("Restarting {service}"), None)
        }
        AppServicesCommand::Update { service, size } => {
            update(&place, &app, &service, &size, "Updating").await
        }
        AppServicesCommand::Triggers { command: TriggersCommand::Enable { service, between } } => {
            let Between { min, max, cpu, memory } = between;
            if min > max {
                return Err(Failure::new(Exit::Usage, "--min is more than --max"));
            }
            place.system().await?;
            let trigger =
                |kind, threshold: Option<u32>| threshold.map(|threshold| Trigger { kind, threshold });
            let triggered = [trigger("cpu", cpu), trigger("memory", memory)].into_iter().flatten().collect();
            let options = serde_json::to_string(&Options { min, max, triggers: triggered })?;
            place.order(&triggers(&service, "enable").form("opts", Some(options))).await?;
            place.done(&format!("Enabling triggers override on {service}"), None)
        }
        AppServicesCommand::Triggers { command: TriggersCommand::Disable { service } } => {
            place.system().await?;
            place.order(&triggers(&service, "disable")).await?;
            place.done(&format!("Disabling triggers override on {service}"), None)
        }
        AppServicesCommand::Triggers {
            command: TriggersCommand::ThresholdSet { service, kind, threshold },
        } => {
            place.system().await?;
            let asked =
                triggers(&service, "threshold").form("type", Some(&kind)).form("threshold", Some(threshold));
            place.order(&asked).await?;
            place.done(&format!("Setting the {kind} threshold of {service}"), None)
        }
    }
}
