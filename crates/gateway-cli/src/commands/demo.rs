//! `demo`: a gateway with everything it needs, in one process on loopback.
//!
//! It provides the parties (a rack, a sign-in page, people, tokens) and weakens nothing: the gateway is the one that
//! `serve` runs, decided by the same policy. Start reading at [`run`].

mod announcement;
mod certificate;
mod parties;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use gateway_config::{Config, Flags, LogFormat, load_embedded, variables};
use gateway_server::{Running, StartError, start};
use gateway_store::Adoption;
use gateway_types::{Clock as _, SystemClock};

use crate::commands::serve::surroundings;
use crate::failure::{Exit, Failure, Problem};
use crate::output::{Format, remark};
use crate::stop::{StopSignals, Stopped};
use crate::{Context, program_log};

use announcement::{Announcement, Place};
use certificate::Certificate;
use parties::{DataDirectory, People, Provider, Rack};

/// The arguments of `demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Port of the gateway; 0 takes any free one
    #[arg(long, default_value_t = 8443)]
    pub(crate) port: u16,
    /// Port of the second listener (/healthz, /readyz); 0 takes any free one
    #[arg(long, default_value_t = 9443)]
    pub(crate) admin_port: u16,
    /// Port of the simulated rack; 0 takes any free one
    #[arg(long, default_value_t = 0, conflicts_with = "rack_url")]
    pub(crate) rack_port: u16,
    /// Port of the sign-in page; 0 takes any free one
    #[arg(long, default_value_t = 0)]
    pub(crate) idp_port: u16,
    /// A real rack instead of the simulated one: https://convox:TOKEN@HOST, or without the credential
    /// and RACK_TOKEN set
    #[arg(long, value_name = "URL")]
    pub(crate) rack_url: Option<String>,
    /// Keep the data in this directory, and go on with what is there; without it, a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Speak HTTPS, with a certificate that the demo signs itself for this run
    #[arg(long)]
    pub(crate) tls: bool,
    /// Use this database instead of a file in the data directory: sqlite:///path or postgres://…
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
}

/// Which lines a demo's log has unless LOG_FILTER says otherwise: a demo keeps its own key in its own
/// database, and need not be warned of it.
const LOG_FILTER: &str = "warn,gateway_server::server=error";

/// How often a free port that is then taken on the other loopback address is tried anew.
const PORT_ATTEMPTS: u32 = 8;

/// Runs the demo until it is told to stop.
pub(crate) async fn run(context: &Context, arguments: DemoArguments) -> Result<ExitCode, Failure> {
    if context.config.is_some() {
        return Err(Failure::new(Exit::Usage, "a demo brings its own configuration").hint(
            "leave out --config; environment variables such as RGW_SETTING_MFA_STEP_UP hold here too",
        ));
    }
    let mut signals = StopSignals::listen()?;
    let directory = DataDirectory::open(arguments.data_dir.as_deref())?;
    let rack = Rack::start(arguments.rack_url.as_deref(), arguments.rack_port).await?;
    let provider = Provider::start(arguments.idp_port).await?;
    let certificate = match arguments.tls {
        true => Some(Certificate::make(directory.path(), SystemClock.now())?),
        false => None,
    };
    let config = config(&arguments, &rack, &provider, directory.path().to_owned(), certificate.as_ref())?;
    program_log::start(config.log.format, &config.log.filter)?;
    let running = start_gateway(&config, arguments.port).await?;
    let people = People::settle(&running.store, &config, SystemClock.now()).await?;
    let place = Place { directory: &directory, certificate: certificate.as_ref() };
    announce(context, &Announcement::new(&running, &rack, &provider, place, &config, &people)?)?;
    drop(people);
    signals.next().await;
    if context.output.format == Format::Text {
        remark("stopping; a second Ctrl-C stops at once");
    }
    let stopped = signals.or_at_once(running.stop()).await;
    rack.stop().await;
    provider.stop().await;
    directory.close()?;
    match stopped {
        Stopped::Gracefully => Ok(ExitCode::SUCCESS),
        Stopped::AtOnce => Err(Failure::new(Exit::Failed, "a second signal ended what was still open")),
    }
}

fn announce(context: &Context, announcement: &Announcement<'_>) -> Result<(), Failure> {
    match context.output.format {
        Format::Json => context.output.line(&announcement.to_json()?),
        Format::Text => context.output.line(&announcement.to_text()),
    }
}

/// The configuration of a demo. What decides who may reach it and what it works on is the demo's own
/// and cannot be changed from outside; everything else may come from the environment, as for `serve`.
fn config(
    arguments: &DemoArguments,
    rack: &Rack,
    provider: &Provider,
    data_dir: PathBuf,
    certificate: Option<&Certificate>,
) -> Result<Config, Failure> {
    let file = |path: fn(&Certificate) -> &Path| certificate.map(|one| path(one).display().to_string());
    let mut provided = vec![
        (variables::LISTENER_ADDRESSES, Some(loopback_addresses())),
        (variables::ADMIN_ADDRESS, Some("127.0.0.1".to_owned())),
        (variables::LISTENER_TLS, certificate.map(|_| "files".to_owned())),
        (variables::TLS_CERTIFICATE_FILES, file(Certificate::chain)),
        (variables::TLS_KEY_FILES, file(Certificate::key)),
        (variables::HTTP_PORT, None),
        (variables::DOMAIN, None),
        (variables::TRUSTED_FORWARDERS, None),
        (variables::DATABASE_URL, None),
        (variables::GOOGLE_CLIENT_ID, None),
        (variables::GOOGLE_CLIENT_SECRET, None),
        (variables::GOOGLE_ALLOWED_DOMAIN, None),
        // The people of a demo have addresses that are nobody's to be written to.
        (variables::SMTP_HOST, None),
        (variables::POSTMARK_API_TOKEN, None),
    ];
    provided.extend(rack.variables());
    provided.extend(parties::people_variables());
    let flags = Flags {
        port: Some(arguments.port),
        admin_port: Some(arguments.admin_port),
        data_dir: Some(data_dir),
        database_url: arguments.database_url.clone(),
    };
    let mut config = load_embedded(provided, flags)?;
    config.identity.providers = vec![provider.configured()];
    let given = |key: &str| {
        config.sources.iter().any(|entry| entry.key == key && entry.origin != gateway_config::Origin::Default)
    };
    let (has_format, has_filter, has_drain) =
        (given("log.format"), given("log.filter"), given("limits.drain_timeout"));
    if !has_format {
        config.log.format = LogFormat::Text;
    }
    if !has_filter {
        config.log.filter = LOG_FILTER.to_owned();
    }
    if !has_drain {
        // Nobody wants to wait for a demo whose log is still being followed.
        config.limits.drain_timeout = std::time::Duration::from_secs(2);
        config.limits.drain_notice = std::time::Duration::ZERO;
    }
    refuse_public(&config)?;
    Ok(config)
}

/// Both loopback addresses, or only 127.0.0.1 on a machine without IPv6.
fn loopback_addresses() -> String {
    let has_ipv6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).is_ok();
    if has_ipv6 { "127.0.0.1,::1".to_owned() } else { "127.0.0.1".to_owned() }
}

/// A demo prints its credentials: nobody but this machine may reach it.
fn refuse_public(config: &Config) -> Result<(), Failure> {
    let all = config.listener.addresses.iter().chain(std::iter::once(&config.admin_listener));
    match all.map(SocketAddr::ip).find(|address: &IpAddr| !address.is_loopback()) {
        None => Ok(()),
        Some(address) => Err(Failure::new(Exit::Failed, format!("a demo does not listen on {address}"))
            .hint("a demo is for this machine alone; `rack-gateway serve` is for others")),
    }
}

async fn start_gateway(config: &Config, port: u16) -> Result<Running, Failure> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match start(config.clone(), surroundings(Adoption::Adopt)).await {
            Err(StartError::Listen { .. }) if port == 0 && attempts < PORT_ATTEMPTS => {}
            started => return started.problem("the demo cannot start"),
        }
    }
}
