//! `zone compose`, `zone lint` and `zone probe`: what of a deployment may be reached from where. No gateway is asked, but for what its
//! vantage points saw.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_exposure::{Expected, Finding, Manifest, compose, lint, targets, units};
use gateway_probe::{Place, look};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::Tone;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

mod rack;

/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// What needs no gateway.
#[derive(Subcommand, Debug)]
pub(crate) enum ExposureCommand {
    /// Make a compose file, or systemd units, that publishes only the gateway and external listeners
    Compose(ComposeArguments),
    /// Find what a compose file publishes or shares past the gateway
    Lint(LintArguments),
    /// Look from outside whether only the declared ports of a machine answer
    Probe(ProbeArguments),
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, command: ExposureCommand) -> Result<ExitCode, Failure> {
    match command {
        ExposureCommand::Compose(arguments) => run_compose(context, &arguments),
        ExposureCommand::Lint(arguments) => run_lint(context, &arguments),
        ExposureCommand::Probe(arguments) => run_probe(context, arguments).await,
    }
}

/// The arguments of `zone compose`.
#[derive(Args, Debug)]
pub(crate) struct ComposeArguments {
    /// The manifest of the deployment, TOML; docs/zone.md describes it
    #[arg(value_name = "MANIFEST")]
    manifest: PathBuf,
    /// Write the compose file here instead of to standard output; it must not be there yet unless --force is given
    #[arg(long, value_name = "FILE", conflicts_with = "systemd")]
    output: Option<PathBuf>,
    /// Write systemd units into this directory instead of a compose file
    #[arg(long, value_name = "DIRECTORY")]
    systemd: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

/// The arguments of `zone lint`.
#[derive(Args, Debug)]
pub(crate) struct LintArguments {
    /// A compose file, as it is or as `docker compose config` writes it; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The manifest that says what may be published and who may talk to whom
    #[arg(long, value_name = "MANIFEST")]
    manifest: Option<PathBuf>,
    /// The name of the gateway in the file
    #[arg(long, value_name = "NAME", default_value = "gateway")]
    gateway: String,
}

/// The arguments of `zone probe`.
#[derive(Args, Debug)]
pub(crate) struct ProbeArguments {
    /// The manifest that says what may answer
    #[arg(value_name = "MANIFEST", required_unless_present = "rack_address")]
    manifest: Option<PathBuf>,
    /// The machine to look at, as those outside reach it: a name or an address
    #[arg(long, value_name = "HOST", required_unless_present = "rack_address")]
    at: Option<String>,
    /// Look whether the rack answers here, HOST or HOST:PORT (443 unless given): nothing but the gateway may reach it
    #[arg(long, value_name = "HOST", value_parser = Place::parse, conflicts_with_all = ["manifest", "at", "all"])]
    rack_address: Option<Place>,
    /// Say too what the gateway's probe agents last saw; it is asked for it
    #[arg(long, requires = "rack_address")]
    agents: bool,
    /// Look at every TCP port, not only at those of the manifest and the usual ones
    #[arg(long)]
    all: bool,
    /// Do not ask before
    #[arg(long)]
    yes: bool,
}

/// What was written, for programs.
#[derive(Serialize)]
struct Written {
    files: Vec<String>,
}

/// What was found at a port, for programs.
#[derive(Serialize)]
struct Seen {
    port: u16,
    expected: &'static str,
    found: &'static str,
    meaning: String,
}

/// What a look from outside found.
#[derive(Serialize)]
struct Report {
    host: String,
    address: IpAddr,
    ports: usize,
    /// Ports that answer and should not, and the other way round.
    findings: Vec<Seen>,
    open: Vec<u16>,
}

/// Makes a compose file or units.
fn run_compose(context: &Context, arguments: &ComposeArguments) -> Result<ExitCode, Failure> {
    let manifest = manifest(&arguments.manifest)?;
    let files = match (&arguments.systemd, &arguments.output) {
        (None, None) => {
            context.output.line(compose(&manifest).trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        (None, Some(file)) => vec![(file.clone(), compose(&manifest))],
        (Some(directory), _) => units(&manifest)
            .problem(format!("{} fits no single machine", arguments.manifest.display()))?
            .into_iter()
            .map(|unit| (directory.join(unit.path), unit.text))
            .collect(),
    };
    if let Some((there, _text)) = files.iter().find(|(file, _text)| file.exists() && !arguments.force) {
        let said = format!("{} is there already; nothing was written", there.display());
        return Err(Failure::new(Exit::Failed, said).hint("--force replaces it"));
    }
    for (file, text) in &files {
        let failed = || format!("{} cannot be written", file.display());
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory).problem(failed())?;
        }
        std::fs::write(file, text).problem(failed())?;
    }
    let written = Written { files: files.iter().map(|(file, _text)| file.display().to_string()).collect() };
    context.output.answer(&written, || format!("wrote {}", written.files.join("\nwrote ")))?;
    Ok(ExitCode::SUCCESS)
}

/// Judges a compose file.
fn run_lint(context: &Context, arguments: &LintArguments) -> Result<ExitCode, Failure> {
    let manifest = arguments.manifest.as_deref().map(manifest).transpose()?;
    let text = read(&arguments.file)?;
    let found = lint(&text, &arguments.gateway, manifest.as_ref())
        .problem(format!("{} cannot be judged", arguments.file.display()))?;
    let mut rows = Rows::new(&["WHERE", "RULE", "WHAT"]);
    for Finding { rule, place, what } in &found {
        let rule = serde_json::to_value(rule)?.as_str().unwrap_or_default().to_owned();
        rows.add(vec![one_line(place), rule, one_line(what)]);
    }
    context.output.listing(&found, &rows, "nothing goes round the gateway")?;
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { Exit::Failed.code() })
}

/// Looks at a machine from outside.
async fn run_probe(context: &Context, arguments: ProbeArguments) -> Result<ExitCode, Failure> {
    let assent = Assent::of(arguments.yes);
    let (file, host) = match (arguments.rack_address, arguments.manifest, arguments.at) {
        (Some(place), _, _) => return rack::probe(context, &place, assent, arguments.agents).await,
        (None, Some(file), Some(host)) => (file, host),
        (None, _, _) => return Err(Failure::new(Exit::Usage, "a probe needs MANIFEST and --at, or --rack")),
    };
    let manifest = manifest(&file)?;
    let targets = targets(&manifest, arguments.all);
    let Some(address) = addresses(&host).await?.into_iter().next() else {
        return Err(Failure::new(Exit::Unreachable, format!("{} has no address", one_line(&host))));
    };
    let what = format!(
        "This connects to {} TCP ports of {} ({address}), and sends nothing. Look at your own machines only",
        targets.len(),
        one_line(&host)
    );
    waiting(|| context.terminal.confirm(&what, assent))?;
    let ports = targets.len();
    let mut looked = look(address, targets).await;
    looked.sort_by_key(|one| one.target.port);
    let open = looked.iter().filter(|one| one.found == Expected::Open).map(|one| one.target.port).collect();
    let differs = looked.into_iter().filter(|one| one.found != one.target.expected);
    let findings = differs
        .map(|one| Seen {
            port: one.target.port,
            expected: word(one.target.expected),
            found: word(one.found),
            meaning: one.target.meaning,
        })
        .collect();
    let report = Report { host, address, ports, findings, open };
    context.output.answer(&report, || text(context, &report))?;
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { Exit::Failed.code() })
}

fn text(context: &Context, report: &Report) -> String {
    let open: Vec<String> = report.open.iter().map(ToString::to_string).collect();
    let seen = match open.is_empty() {
        true => "none answers".to_owned(),
        false => format!("open: {}", open.join(", ")),
    };
    let host = one_line(&report.host);
    let heading = format!("looked at {} ports of {host} ({}), {seen}", report.ports, report.address);
    if report.findings.is_empty() {
        let good = context.output.toned(Tone::Good, "green");
        return format!("{heading}\n{good}: nothing but the declared ports answers");
    }
    let mut rows = Rows::new(&["PORT", "EXPECTED", "FOUND", "WHAT IT IS"]);
    for one in &report.findings {
        let found = one.found.to_owned();
        rows.add(vec![one.port.to_string(), one.expected.to_owned(), found, one_line(&one.meaning)]);
    }
    let bad = context.output.toned(Tone::Bad, "red");
    format!(
        "{heading}\n{bad}: {} ports are not as declared\n{}",
        report.findings.len(),
        rows.render(context.output.looks)
    )
}

/// Where a host is; more than one address may be its.
async fn addresses(host: &str) -> Result<Vec<IpAddr>, Failure> {
    gateway_probe::addresses(host).await.map_err(|error| {
        Failure::new(Exit::Unreachable, format!("{} cannot be found: {error}", one_line(host)))
    })
}

const fn word(found: Expected) -> &'static str {
    match found {
        Expected::Open => "open",
        Expected::Closed => "closed",
    }
}

pub(super) fn manifest(file: &Path) -> Result<Manifest, Failure> {
    Manifest::parse(&read(file)?).problem(format!("{} is no manifest", file.display()))
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text),
        false => {
            std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
        }
    };
    let count = read.problem(format!("{} cannot be read", file.display()))?;
    // A part of it would be judged as if it were the whole.
    if count as u64 > MOST_BYTES {
        return Err(Failure::new(Exit::Failed, format!("{} has more than 4 MiB", file.display())));
    }
    Ok(text)
}
