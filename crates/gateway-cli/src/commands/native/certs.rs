//! `certs`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Certificate;
use gateway_client::text::one_line;

use super::place::{Fetched, moment};
use super::{AppArgument, Place};
use crate::failure::{Failure, Problem};
use crate::table::Rows;

/// The arguments of `certs`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway certs generate www.example.com example.com\n  rack-gateway certs import cert.pem key.pem --chain chain.pem"
)]
pub(crate) struct CertsArguments {
    /// What to do; without it, list the certificates.
    #[command(subcommand)]
    command: Option<CertsCommand>,
    #[command(flatten)]
    app: AppArgument,
    /// Those too that the rack made by itself
    #[arg(long)]
    generated: bool,
}

/// What to do with certificates.
#[derive(Subcommand, Debug)]
pub(crate) enum CertsCommand {
    /// Remove a certificate
    Delete {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Have a certificate made
    Generate {
        /// For these names
        #[arg(value_name = "DOMAIN", required = true)]
        domains: Vec<String>,
        /// By this authority
        #[arg(long, value_name = "ISSUER")]
        issuer: Option<String>,
        /// For this long, such as 2160h
        #[arg(long, value_name = "TIME")]
        duration: Option<String>,
    },
    /// Bring a certificate and its key
    Import {
        /// The certificate (PEM)
        #[arg(value_name = "CERTIFICATE")]
        certificate: PathBuf,
        /// Its private key (PEM)
        #[arg(value_name = "KEY")]
        key: PathBuf,
        /// The chain above it (PEM)
        #[arg(long, value_name = "FILE")]
        chain: Option<PathBuf>,
    },
    /// Have the certificates of an app made anew
    Renew,
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: CertsArguments) -> Result<(), Failure> {
    let CertsArguments { command, app, generated } = arguments;
    match command {
        None => list(place, generated).await,
        Some(CertsCommand::Delete { id, yes }) => {
            place.confirm(&format!("the certificate {} is removed", one_line(&id)), yes)?;
            place.order(&RackRequest::delete(&["certificates", &id])).await?;
            place.done(&format!("Deleting certificate {id}"), None)
        }
        Some(CertsCommand::Generate { domains, issuer, duration }) => {
            let asked = RackRequest::post(&["certificates", "generate"])
                .form("domains", Some(domains.join(",")))
                .form("issuer", issuer)
                .form("duration", duration);
            let made: Certificate = place.change(&asked).await?;
            place.done("Generating certificate", Some(&made.id))
        }
        Some(CertsCommand::Import { certificate, key, chain }) => {
            let (certificate, key) = (read(&certificate)?, read(&key)?);
            let chain = chain.as_deref().map(read).transpose()?;
            place.system().await?;
            let asked = RackRequest::post(&["certificates"])
                .form("pub", Some(certificate))
                .form("key", Some(key))
                .form("chain", chain);
            let made: Certificate = place.change(&asked).await?;
            place.done("Importing certificate", Some(&made.id))
        }
        Some(CertsCommand::Renew) => {
            let app = place.app(&app)?;
            place.order(&RackRequest::post(&["certificates", &app, "renew"])).await?;
            place.done(&format!("Renewing certificate {app}"), None)
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).problem(format!("{} cannot be read", path.display()))
}

async fn list(place: &Place<'_>, generated: bool) -> Result<(), Failure> {
    // In the form of a GET, as the official client sends it.
    let asked = RackRequest::get(&["certificates"]).form("generated", generated.then_some(true));
    let Fetched { raw, value } = place.fetch::<Vec<Certificate>>(&asked).await?;
    let mut rows = Rows::new(&["ID", "DOMAIN", "EXPIRES", "STATUS"]);
    for one in value {
        rows.add(vec![one.id, one.domain, moment(&one.expiration), one.status]);
    }
    place.listing(&raw, &rows, "there are no certificates")
}
