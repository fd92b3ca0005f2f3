//! `ssl`: which certificate is in front of which service; `letsencrypt`: how the rack shows that it owns its names.

use clap::{Args, Subcommand};
use gateway_client::rack::types::Certificate;
use gateway_client::rack::{RackRequest, Upload};
use gateway_client::text::one_line;
use serde_json::{Value, json};

use super::place::{Fetched, moment};
use super::scale::services;
use super::{AppArgument, Place, apps};
use crate::failure::{Exit, Failure};
use crate::table::Rows;

/// The arguments of `ssl`.
#[derive(Args, Debug)]
pub(crate) struct SslArguments {
    /// What to do; without it, list what is in front of the app's services.
    #[command(subcommand)]
    command: Option<SslCommand>,
    #[command(flatten)]
    app: AppArgument,
}

/// What to do with endpoints.
#[derive(Subcommand, Debug)]
pub(crate) enum SslCommand {
    /// Put a certificate in front of a service
    Update {
        /// The service and its port
        #[arg(value_name = "SERVICE:PORT")]
        endpoint: String,
        /// The certificate's id
        #[arg(value_name = "CERTIFICATE")]
        certificate: String,
        /// Wait until the app runs with it
        #[arg(long)]
        wait: bool,
    },
}

/// The arguments of `letsencrypt`.
#[derive(Args, Debug)]
pub(crate) struct LetsencryptArguments {
    /// What to do.
    #[command(subcommand)]
    command: LetsencryptCommand,
}

/// What to do with Let's Encrypt.
#[derive(Subcommand, Debug)]
pub(crate) enum LetsencryptCommand {
    /// Solvers that show the names by DNS
    Dns {
        /// Whose DNS.
        #[command(subcommand)]
        command: DnsCommand,
    },
}

/// Whose DNS.
#[derive(Subcommand, Debug)]
pub(crate) enum DnsCommand {
    /// Amazon Route 53
    Route53 {
        /// What to do.
        #[command(subcommand)]
        command: Route53Command,
    },
}

/// What to do with solvers.
#[derive(Subcommand, Debug)]
pub(crate) enum Route53Command {
    /// List them
    List,
    /// Add one, or replace the one of this number
    Add {
        /// Its number
        #[arg(long, value_name = "N")]
        id: u32,
        /// For these zones, separated by commas
        #[arg(long, value_name = "ZONES", value_delimiter = ',', required = true)]
        dns_zones: Vec<String>,
        /// The zone at Route 53
        #[arg(long, value_name = "ID")]
        hosted_zone_id: Option<String>,
        /// Its region
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
        /// The role that may write there
        #[arg(long, value_name = "ARN")]
        role: Option<String>,
    },
    /// Remove one
    Delete {
        /// Its number
        #[arg(long, value_name = "N")]
        id: u32,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: SslArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    match arguments.command {
        None => list(place, &app).await,
        Some(SslCommand::Update { endpoint, certificate, wait }) => {
            let (service, port) = endpoint
                .split_once(':')
                .filter(|(service, port)| !service.is_empty() && port.parse::<u16>().is_ok())
                .ok_or_else(|| Failure::new(Exit::Usage, "write the endpoint as SERVICE:PORT"))?;
            place.read_app(&app).await?;
            let asked =
                RackRequest::put(&["apps", &app, "ssl", service, port]).form("id", Some(&certificate));
            place.order(&asked).await?;
            if wait {
                apps::until_made(place, &app).await?;
            }
            place.done("Updating certificate", None)
        }
    }
}

async fn list(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    place.system().await?;
    let services = services(place, app).await?.value;
    let certificates: Vec<Certificate> = place.fetch(&RackRequest::get(&["certificates"])).await?.value;
    let mut rows = Rows::new(&["ENDPOINT", "CERTIFICATE", "DOMAIN", "EXPIRES"]);
    let mut found = Vec::new();
    for service in &services {
        for port in service.ports.iter().flatten().filter(|port| !port.certificate.is_empty()) {
            let certificate = certificates.iter().find(|certificate| certificate.id == port.certificate);
            let endpoint = format!("{}:{}", service.name, port.balancer);
            let domain = certificate.map(|certificate| certificate.domain.clone()).unwrap_or_default();
            let expires = certificate.map(|certificate| certificate.expiration.clone()).unwrap_or_default();
            rows.add(vec![endpoint.clone(), port.certificate.clone(), domain.clone(), moment(&expires)]);
            found.push(json!({
                "endpoint": endpoint, "certificate": port.certificate, "domain": domain, "expires": expires,
            }));
        }
    }
    place.listing(&Value::Array(found), &rows, "there are no certificates in front of this app")
}

/// Shows and changes solvers.
pub(super) async fn letsencrypt(place: &Place<'_>, arguments: LetsencryptArguments) -> Result<(), Failure> {
    let LetsencryptCommand::Dns { command: DnsCommand::Route53 { command } } = arguments.command;
    let Fetched { raw: mut config, .. } =
        place.fetch::<Value>(&RackRequest::get(&["letsencrypt", "config"])).await?;
    let mut solvers = config.get("solvers").and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |solver: &Value| solver.get("id").and_then(Value::as_u64);
    match command {
        Route53Command::List => {
            let mut rows = Rows::new(&["ID", "DNS-ZONES", "HOSTED-ZONE-ID", "REGION", "ROLE"]);
            for solver in &solvers {
                let zones = solver.get("dns-zones").and_then(Value::as_array).into_iter().flatten();
                let zones: Vec<&str> = zones.filter_map(Value::as_str).collect();
                let of = |name: &str| {
                    let text =
                        solver.get("route53").and_then(|route53| route53.get(name)).and_then(Value::as_str);
                    text.unwrap_or_default().to_owned()
                };
                let id = number(solver).map(|id| id.to_string()).unwrap_or_default();
                rows.add(vec![id, zones.join(","), of("hosted-zone-id"), of("region"), of("role")]);
            }
            place.listing(&Value::Array(solvers), &rows, "there are no solvers")
        }
        Route53Command::Add { id, dns_zones, hosted_zone_id, region, role } => {
            solvers.retain(|solver| number(solver) != Some(u64::from(id)));
            let mut route53 = serde_json::Map::new();
            for (name, value) in [("hosted-zone-id", hosted_zone_id), ("region", region), ("role", role)] {
                if let Some(value) = value {
                    route53.insert(name.to_owned(), Value::String(value));
                }
            }
            solvers.push(json!({ "id": id, "dns-zones": dns_zones, "route53": route53 }));
            write(place, &mut config, solvers).await?;
            place.done(&format!("Adding solver {id}"), None)
        }
        Route53Command::Delete { id } => {
            let before = solvers.len();
            solvers.retain(|solver| number(solver) != Some(u64::from(id)));
            if solvers.len() == before {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("there is no solver {}", one_line(&id.to_string())),
                ));
            }
            write(place, &mut config, solvers).await?;
            place.done(&format!("Removing solver {id}"), None)
        }
    }
}

/// Writes the whole configuration, with what this program does not know of it.
async fn write(place: &Place<'_>, config: &mut Value, solvers: Vec<Value>) -> Result<(), Failure> {
    let Some(fields) = config.as_object_mut() else {
        return Err(Failure::new(
            Exit::Failed,
            "the rack's configuration of Let's Encrypt is not understood",
        ));
    };
    fields.insert("solvers".to_owned(), Value::Array(solvers));
    let text = serde_json::to_vec(config)?;
    let asked = RackRequest::put(&["letsencrypt", "config"]);
    place
        .remote
        .ask(async |client| {
            let length = text.len() as u64;
            let upload = Upload::new(std::io::Cursor::new(text.clone()), Some(length));
            client.rack_upload(&asked, upload).await.map(|_| ())
        })
        .await
}
