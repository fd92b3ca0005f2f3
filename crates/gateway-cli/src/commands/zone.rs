//! `zone`: the trust zone, in which services have identities and the gateway is the only way in.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::vantage::VantagePoint;
use gateway_types::wire::zone::{
    BackUpZone, InitZone, RegisterZoneService, RestoreZone, RotateZone, Zone, ZoneBackup, ZoneRotated,
};
use serde::Serialize;

use super::exposure::{self, ExposureCommand};
use super::listing::minute;
use super::vantage::{self, VantageCommand};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `zone`.
#[derive(Args, Debug)]
pub(crate) struct ZoneArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ZoneCommand,
}

/// What to do with the zone.
#[derive(Subcommand, Debug)]
pub(crate) enum ZoneCommand {
    /// What the gateway does.
    #[command(flatten)]
    Asked(AskedCommand),
    /// What needs no gateway.
    #[command(flatten)]
    Exposure(ExposureCommand),
}

/// What the gateway is asked to do with the zone.
#[derive(Subcommand, Debug)]
pub(crate) enum AskedCommand {
    /// Make the zone: a root, sealed by a passphrase, and an issuer
    Init {
        /// Its trust domain, such as prod.internal; one is made of the gateway's id unless given
        #[arg(long, value_name = "NAME")]
        trust_domain: Option<String>,
        /// How long leaves live: 5m to 24h
        #[arg(long, value_name = "TIME")]
        leaf_life: Option<String>,
        /// The root's passphrase: the first line of this file, - for standard input
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Show authorities, services and members
    Status,
    /// Register and list the services that may join
    Service {
        /// What to do.
        #[command(subcommand)]
        command: ServiceCommand,
    },
    /// Make a join token for a service: good once, for ten minutes
    JoinToken {
        /// The service
        #[arg(value_name = "NAME")]
        service: String,
        /// Let in this key alone, by its name
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// List who joined
    Members,
    /// From where it is looked whether anything answers past the gateway, and what was seen
    Vantage {
        /// What to do; they are listed unless given.
        #[command(subcommand)]
        command: Option<VantageCommand>,
    },
    /// Ban a member: its leaf is refused, and it gets no other
    Ban {
        /// The member's id
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Replace the issuer or the root, step by step
    Rotate {
        /// issuer or root
        #[arg(value_name = "WHAT")]
        kind: String,
        /// prepare, activate, taint, retire, roll-back or abandon
        #[arg(value_name = "STEP")]
        step: String,
        /// The root's passphrase, for prepare: the first line of this file, - for standard input
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Only say what would be done
        #[arg(long)]
        rehearse: bool,
    },
    /// Write the whole zone to a file, sealed by a passphrase
    Backup {
        /// The file; it must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The backup's passphrase: the first line of this file, - for standard input
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Put a backup in force, at a gateway without a zone
    Restore {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The backup's passphrase: the first line of this file, - for standard input
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
}

/// What to do with services.
#[derive(Subcommand, Debug)]
pub(crate) enum ServiceCommand {
    /// Register a service, or write anew what it is
    Add {
        /// Its name; it becomes spiffe://DOMAIN/svc/NAME
        #[arg(value_name = "NAME")]
        name: String,
        /// A listener, NAME:gateway|external|internal:PORT; may be given several times
        #[arg(long = "listener", value_name = "LISTENER")]
        listeners: Vec<String>,
        /// Who may call it: gateway, a service's name or an id; may be given several times; the gateway alone unless given
        #[arg(long = "caller", value_name = "CALLER")]
        callers: Vec<String>,
    },
    /// List them
    List,
    /// Forget a service; its members are banned
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// The largest backup that is read, in bytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Serialize)]
struct Done<'a> {
    id: &'a str,
    done: &'static str,
}

/// The zone and what is seen from its vantage points, for programs.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    zone: &'a Zone,
    vantage_points: &'a [VantagePoint],
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: ZoneArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        ZoneCommand::Asked(command) => ask(context, &Remote::open(context)?, command).await,
        ZoneCommand::Exposure(command) => exposure::run(context, command).await,
    }
}

/// Asks the gateway for it.
async fn ask(context: &Context, remote: &Remote, command: AskedCommand) -> Result<ExitCode, Failure> {
    match command {
        AskedCommand::Init { trust_domain, leaf_life, passphrase_file } => {
            let new = InitZone { trust_domain, leaf_life, passphrase: passphrase(&passphrase_file)? };
            let zone = remote.ask(async |client| client.init_zone(&new).await).await?;
            context.output.answer(&zone, || {
                format!(
                    "made the zone {}\nkeep the passphrase: without it there is no next issuer",
                    one_line(&zone.trust_domain)
                )
            })?;
        }
        AskedCommand::Status => status(context, remote).await?,
        AskedCommand::Service { command } => service(context, remote, command).await?,
        AskedCommand::JoinToken { service, key } => {
            let made =
                remote.ask(async |client| client.zone_join_token(&service, key.as_deref()).await).await?;
            context.output.answer(&made, || {
                format!(
                    "{}\ngood once, until {}, for {}",
                    one_line(&made.token),
                    minute(Some(&made.expires), ""),
                    one_line(&made.spiffe_id)
                )
            })?;
        }
        AskedCommand::Vantage { command } => vantage::run(context, remote, command).await?,
        AskedCommand::Members => {
            let zone = remote.ask(async |client| client.zone().await).await?;
            context.output.listing(&zone.members, &members(&zone), "nobody joined yet")?;
        }
        AskedCommand::Ban { id, yes } => {
            let question = format!("ban the member {} of the zone?", one_line(&id));
            waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
            remote.ask(async |client| client.ban_zone_member(&id).await).await?;
            done(context, &id, "banned")?;
        }
        AskedCommand::Rotate { kind, step, passphrase_file, rehearse } => {
            let passphrase = passphrase_file.as_deref().map(passphrase).transpose()?;
            let asked = RotateZone { kind, step, passphrase, rehearse };
            let stepped = remote.ask(async |client| client.rotate_zone(&asked).await).await?;
            context.output.answer(&stepped, || rotated(&stepped))?;
        }
        AskedCommand::Backup { file, passphrase_file } => {
            let asked = BackUpZone { passphrase: passphrase(&passphrase_file)? };
            let backup = remote.ask(async |client| client.back_up_zone(&asked).await).await?;
            write_new(&file, &backup)?;
            done(context, &file.display().to_string(), "written")?;
        }
        AskedCommand::Restore { file, passphrase_file } => {
            let asked =
                RestoreZone { passphrase: passphrase(&passphrase_file)?, backup: read_backup(&file)? };
            let zone = remote.ask(async |client| client.restore_zone(&asked).await).await?;
            context.output.answer(&zone, || format!("restored the zone {}", one_line(&zone.trust_domain)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn service(context: &Context, remote: &Remote, command: ServiceCommand) -> Result<(), Failure> {
    match command {
        ServiceCommand::Add { name, listeners, callers } => {
            let what = RegisterZoneService { listeners, callers };
            let made = remote.ask(async |client| client.register_zone_service(&name, &what).await).await?;
            context.output.answer(&made, || {
                format!(
                    "registered {}, called by {}",
                    one_line(&made.spiffe_id),
                    one_line(&made.callers.join(", "))
                )
            })
        }
        ServiceCommand::List => {
            let zone = remote.ask(async |client| client.zone().await).await?;
            context.output.listing(&zone.services, &services(&zone), "no service is registered")
        }
        ServiceCommand::Remove { name, yes } => {
            let question = format!("forget the service {} and ban its members?", one_line(&name));
            waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
            remote.ask(async |client| client.unregister_zone_service(&name).await).await?;
            done(context, &name, "removed")
        }
    }
}

async fn status(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let zone = remote.ask(async |client| client.zone().await).await?;
    let points = remote.ask(async |client| client.vantage_points().await).await?;
    let status = Status { zone: &zone, vantage_points: &points };
    context.output.answer(&status, || {
        let mut authorities = Rows::new(&["KIND", "PHASE", "KEY", "EXPIRES"]);
        for one in &zone.authorities {
            authorities.add(vec![
                one.kind.clone(),
                one.phase.clone(),
                one.key.clone(),
                minute(Some(&one.expires), ""),
            ]);
        }
        let live = zone.members.iter().filter(|member| member.state == "live");
        let behind = live.clone().filter(|member| member.sequence < zone.sequence).count();
        format!(
            "zone {}, bundle {}, leaves live {}\n{} services, {} live members, {behind} of them behind the bundle\n{}\n{}",
            one_line(&zone.trust_domain),
            zone.sequence,
            one_line(&zone.leaf_life),
            zone.services.len(),
            live.count(),
            authorities.render(crate::table::Looks::Plain).trim_end(),
            vantage::text(context, &points),
        )
    })
}

fn services(zone: &Zone) -> Rows {
    let mut rows = Rows::new(&["NAME", "LISTENERS", "CALLERS", "BY"]);
    for one in &zone.services {
        rows.add(vec![
            one.name.clone(),
            one.listeners.join(" "),
            one.callers.join(" "),
            one.updated_by.clone(),
        ]);
    }
    rows
}

fn members(zone: &Zone) -> Rows {
    let mut rows = Rows::new(&["ID", "SERVICE", "STATE", "BUNDLE", "LAST SEEN", "LEAF UNTIL"]);
    for one in &zone.members {
        rows.add(vec![
            one.id.clone(),
            one.service.clone(),
            one.state.clone(),
            one.sequence.to_string(),
            minute(Some(&one.last_seen), ""),
            minute(Some(&one.expires), ""),
        ]);
    }
    rows
}

fn rotated(done: &ZoneRotated) -> String {
    let mut lines = vec![match done.rehearsed {
        true => format!("would be bundle {}", done.sequence),
        false => format!("bundle {}", done.sequence),
    }];
    if done.makes {
        lines.push("a new authority is prepared".to_owned());
    }
    lines.extend(done.moves.iter().map(|step| one_line(step)));
    lines.join("\n")
}

fn done(context: &Context, id: &str, what: &'static str) -> Result<(), Failure> {
    context.output.answer(&Done { id, done: what }, || format!("{what} {}", one_line(id)))
}

/// The first line of a file.
pub(super) fn passphrase(file: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("the passphrase cannot be read from {}: {error}", file.display()))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(4096).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(4096).read_to_string(&mut text))
            .map_err(unreadable)?;
    }
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn write_new(file: &Path, backup: &ZoneBackup) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be written: {error}", file.display()))
    };
    let text = serde_json::to_string_pretty(backup).unwrap_or_default();
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(unwritable)?;
    std::io::Write::write_all(&mut new, text.as_bytes()).and_then(|()| new.sync_all()).map_err(unwritable)
}

fn read_backup(file: &Path) -> Result<ZoneBackup, Failure> {
    let unreadable = |error: String| {
        Failure::new(Exit::Failed, format!("{} is no backup that can be read: {error}", file.display()))
    };
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
        .map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))
}
