//! `services`: what stands behind the gateway beside the rack; and of an app, what `native::services` does.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::{lines, one_line};
use gateway_types::wire::services::{
    Service, ServiceCheck, ServiceDiscovery, ServiceRegistration, ServiceUpstream, Services,
};
use serde::Serialize;
use serde_json::Value;

use super::native::services::AppServicesCommand;
use super::native::{self, AppArgument};
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::Tone;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

mod candidates;

/// The largest declaration or OpenAPI document, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// The arguments of `services`.
#[derive(Args, Debug)]
#[command(
    after_help = "Of an app, as `convox services` does:\n  rack-gateway services -a web\n  rack-gateway services restart worker -a web\n\nBehind the gateway:\n  rack-gateway services list\n  rack-gateway services show grafana"
)]
pub(crate) struct ServicesArguments {
    /// What to do; without it, list the services of an app.
    #[command(subcommand)]
    pub(crate) command: Option<ServicesCommand>,
    /// Whose services.
    #[command(flatten)]
    pub(crate) app: AppArgument,
}

/// Two kinds of services under one word: those of an app, as the official client shows and changes them, and those
/// behind the gateway. They share no command.
#[derive(Subcommand, Debug)]
pub(crate) enum ServicesCommand {
    /// Those behind the gateway.
    #[command(flatten)]
    OfGateway(GatewayServicesCommand),
    /// Those of an app.
    #[command(flatten)]
    OfApp(AppServicesCommand),
}

/// What to do with services behind the gateway.
#[derive(Subcommand, Debug)]
pub(crate) enum GatewayServicesCommand {
    /// List the services behind the gateway, where they are, and whether you may use them
    List,
    /// Show a service: its operations, and, to admins, its declaration
    Show {
        /// The service's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Say what is wrong with a declaration; changes nothing
    Check {
        /// A JSON file with the declaration, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write a service; it takes effect on every instance at once, without a restart
    Put {
        /// A JSON file with the declaration, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove a service
    Remove {
        /// The service's name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show what labels of a compose file ask for (`rack-gateway.service` and others), and what would change; changes nothing
    Candidates {
        /// The compose file, or - for standard input; without it, the one that the gateway watches
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Put a candidate in force, exactly as it is shown
    Approve {
        /// The service's name
        #[arg(value_name = "NAME")]
        name: String,
        /// The compose file, or - for standard input; without it, the one that the gateway watches
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// What was seen before (`difference` of `services candidates --json`): refused when it is another one by now
        #[arg(long, value_name = "DIGEST")]
        difference: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Read a service's own OpenAPI document and print its routes, to be put into its declaration; changes nothing
    Openapi {
        /// The service's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print the routes of an OpenAPI 3 document, to be put into a declaration; changes nothing
    ImportOpenapi {
        /// A JSON file with the document, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What was removed, for programs.
#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    removed: bool,
}

/// Does it.
pub(crate) async fn run(context: &Context, arguments: ServicesArguments) -> Result<ExitCode, Failure> {
    let ServicesArguments { command, app } = arguments;
    match command {
        None => native::services::list(context, &app).await?,
        Some(ServicesCommand::OfApp(command)) => native::services::run(context, &app, command).await?,
        Some(ServicesCommand::OfGateway(command)) => return of_gateway(context, command).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_gateway(context: &Context, command: GatewayServicesCommand) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match command {
        GatewayServicesCommand::List => list(context, &remote).await,
        GatewayServicesCommand::Show { name } => show(context, &remote, &name).await,
        GatewayServicesCommand::Check { file } => {
            let declaration = read(&file)?;
            let check = remote.ask(async |client| client.check_service(&declaration).await).await?;
            context.output.answer(&check, || checked(context, &check))?;
            Ok(if check.acceptable { ExitCode::SUCCESS } else { Exit::Failed.code() })
        }
        GatewayServicesCommand::Put { file, yes } => put(context, &remote, &file, yes).await,
        GatewayServicesCommand::Remove { name, yes } => remove(context, &remote, &name, yes).await,
        GatewayServicesCommand::Candidates { file } => {
            candidates::list(context, &remote, file.as_deref()).await
        }
        GatewayServicesCommand::Approve { name, file, difference, yes } => {
            let seen = candidates::Seen { name: &name, difference: difference.as_deref() };
            candidates::approve(context, &remote, file.as_deref(), seen, Assent::of(yes)).await
        }
        GatewayServicesCommand::Openapi { name } => {
            let document = remote.ask(async |client| client.service_openapi(&name).await).await?;
            context.output.answer(&document, || as_routes(&document.routes, &document.skipped))?;
            Ok(ExitCode::SUCCESS)
        }
        GatewayServicesCommand::ImportOpenapi { file } => import(context, &remote, &file).await,
    }
}

fn read(path: &Path) -> Result<Value, Failure> {
    serde_json::from_str(&read_text(path)?).problem(format!("{} is no JSON", path.display()))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
    };
    let bytes = read.problem(format!("{} cannot be read", path.display()))?;
    if u64::try_from(bytes).is_ok_and(|bytes| bytes > MOST_BYTES) {
        let said = format!("{} has more than {MOST_BYTES} bytes", path.display());
        return Err(Failure::new(Exit::Failed, said));
    }
    Ok(text)
}

async fn all(remote: &Remote) -> Result<Services, Failure> {
    remote.ask(async |client| client.services().await).await
}

async fn list(context: &Context, remote: &Remote) -> Result<ExitCode, Failure> {
    let services = all(remote).await?;
    let mut rows = Rows::new(&["NAME", "TITLE", "WHERE", "SOURCE", "IN FORCE", "YOU"]);
    for service in &services.items {
        rows.add(vec![
            service.name.clone(),
            service.title.clone(),
            service.url.clone().unwrap_or_default(),
            service.source.clone(),
            if service.in_force { "yes" } else { "no" }.to_owned(),
            if service.may_use { "may use it" } else { "may not" }.to_owned(),
        ]);
    }
    context.output.answer(&services, || {
        let fault = services.fault.as_deref();
        let fault = fault.map(|fault| format!("\n\nnot in force: {}", one_line(fault))).unwrap_or_default();
        let table = match rows.is_empty() {
            true => "there are no services".to_owned(),
            false => rows.render(context.output.looks),
        };
        format!("{table}{fault}")
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(context: &Context, remote: &Remote, name: &str) -> Result<ExitCode, Failure> {
    let service = remote.ask(async |client| client.service(name).await).await?.value;
    context.output.answer(&service, || shown(context, &service))?;
    Ok(ExitCode::SUCCESS)
}

fn shown(context: &Context, service: &Service) -> String {
    let mut text = format!("{} ({})", one_line(&service.title), one_line(&service.name));
    let mut line = |what: &str, value: &str| text.push_str(&format!("\n{what}: {}", one_line(value)));
    line("declared in", &service.source);
    if let Some(url) = &service.url {
        line("where", url);
    }
    if let Some(url) = &service.openapi_url {
        line("openapi", url);
    }
    line("in force", if service.in_force { "yes" } else { "no" });
    line("you", if service.may_use { "may use it" } else { "may not use it" });
    if let Some(discovery) = &service.discovery {
        line("looked up", &looked_up(discovery));
    }
    if !service.upstreams.is_empty() {
        text.push_str(&format!("\n\n{}", upstreams(&service.upstreams).render(context.output.looks)));
    }
    if !service.registrations.is_empty() {
        let rows = registrations(&service.registrations);
        text.push_str(&format!("\n\n{}", rows.render(context.output.looks)));
    }
    let mut rows = Rows::new(&["ROUTE", "ACTION", "CLASS", "ROLE"]);
    for operation in &service.operations {
        rows.add(vec![
            operation.route.clone(),
            operation.action.clone(),
            operation.class.clone(),
            operation.role.clone(),
        ]);
    }
    if !rows.is_empty() {
        text.push_str(&format!("\n\n{}", rows.render(context.output.looks)));
    }
    if let Some(declaration) =
        service.declaration.as_ref().and_then(|value| serde_json::to_string_pretty(value).ok())
    {
        text.push_str(&format!("\n\n{}", lines(&declaration)));
    }
    text
}

/// What the DNS says of where it is.
fn looked_up(discovery: &ServiceDiscovery) -> String {
    let mut text = format!("{} {}, {}", discovery.record, discovery.state, discovery.looked);
    if let Some(fault) = &discovery.fault {
        text.push_str(&format!(": {fault}"));
    }
    if !discovery.refused.is_empty() {
        text.push_str(&format!("; refused: {}", discovery.refused.join(" ")));
    }
    text
}

/// How upstreams stand; their addresses are for those only who could change the service.
fn upstreams(upstreams: &[ServiceUpstream]) -> Rows {
    let mut rows = Rows::new(&["UPSTREAM", "STATE", "SINCE", "SHARE"]);
    for (index, upstream) in upstreams.iter().enumerate() {
        let name = upstream.address.clone().unwrap_or_else(|| format!("upstream {}", index + 1));
        rows.add(vec![
            match &upstream.version {
                Some(version) => format!("{name} (version {version})"),
                None => name,
            },
            match &upstream.until {
                Some(until) => format!("{} until {until}", upstream.state),
                None => upstream.state.clone(),
            },
            upstream.since.clone().unwrap_or_default(),
            match upstream.priority {
                0 => upstream.weight.to_string(),
                priority => format!("{} at priority {priority}", upstream.weight),
            },
        ]);
    }
    rows
}

/// The members of the zone that registered as instances: where, how they say that they are, and since when they are
/// not heard of.
fn registrations(registrations: &[ServiceRegistration]) -> Rows {
    let mut rows = Rows::new(&["REGISTERED", "MEMBER", "HEALTH", "SINCE", "HEARD OF", "UNDERSTANDS"]);
    for one in registrations {
        rows.add(vec![
            match &one.version {
                Some(version) => format!("{} (version {version})", one.address),
                None => one.address.clone(),
            },
            one.member.clone(),
            match (&one.refused, one.healthy) {
                (Some(why), _) => format!("refused: {why}"),
                (None, true) => "well".to_owned(),
                (None, false) => "not well".to_owned(),
            },
            one.registered.clone(),
            one.seen.clone(),
            match &one.capabilities {
                None => "all".to_owned(),
                Some(names) => names.iter().cloned().collect::<Vec<_>>().join(" "),
            },
        ]);
    }
    rows
}

fn checked(context: &Context, check: &ServiceCheck) -> String {
    if check.acceptable {
        let count = check.operations.len();
        return format!("{}: {count} operations", context.output.toned(Tone::Good, "acceptable"));
    }
    let faults: Vec<String> = check.faults.iter().map(|fault| format!("  {}", one_line(fault))).collect();
    format!("{}\n{}", context.output.toned(Tone::Bad, "not acceptable"), faults.join("\n"))
}

async fn put(context: &Context, remote: &Remote, file: &Path, yes: bool) -> Result<ExitCode, Failure> {
    let declaration = read(file)?;
    let name = declaration.get("name").and_then(Value::as_str).map(str::to_owned);
    let name = name.ok_or_else(|| Failure::new(Exit::Usage, "the declaration has no `name`"))?;
    let before = all(remote).await?.items.into_iter().find(|service| service.name == name);
    let version = before.as_ref().and_then(|service| service.version).unwrap_or(0);
    let what = match &before {
        Some(_) => format!("the service {} is replaced", one_line(&name)),
        None => format!("the service {} is added", one_line(&name)),
    };
    waiting(|| context.terminal.confirm(&what, Assent::of(yes)))?;
    let written = remote.ask(async |client| client.write_service(&name, &declaration, version).await).await?;
    context.output.answer(&written, || {
        let place = written.url.as_deref().unwrap_or("without an address for browsers");
        format!("{} is in force: {}", one_line(&written.name), one_line(place))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(context: &Context, remote: &Remote, name: &str, yes: bool) -> Result<ExitCode, Failure> {
    let before = remote.ask(async |client| client.service(name).await).await?.value;
    let version = before.version.ok_or_else(|| {
        let said = format!("{} is not in the database, so it is not removed here", one_line(name));
        Failure::new(Exit::Failed, said).hint("services of the configuration file are removed in that file")
    })?;
    let what = format!("the service {} is removed", one_line(name));
    waiting(|| context.terminal.confirm(&what, Assent::of(yes)))?;
    remote.ask(async |client| client.remove_service(name, version).await).await?;
    context.output.answer(&Removed { name, removed: true }, || format!("removed {}", one_line(name)))?;
    Ok(ExitCode::SUCCESS)
}

async fn import(context: &Context, remote: &Remote, file: &Path) -> Result<ExitCode, Failure> {
    let document = read(file)?;
    let imported = remote.ask(async |client| client.import_openapi(&document).await).await?;
    context.output.answer(&imported, || as_routes(&imported.routes, &imported.skipped))?;
    Ok(ExitCode::SUCCESS)
}

/// Routes as a declaration takes them, and what has none.
fn as_routes(routes: &[Value], skipped: &[String]) -> String {
    let routes = serde_json::to_string_pretty(routes).unwrap_or_default();
    let skipped: Vec<String> =
        skipped.iter().map(|skipped| format!("\nskipped: {}", one_line(skipped))).collect();
    format!("{}{}", lines(&routes), skipped.concat())
}
