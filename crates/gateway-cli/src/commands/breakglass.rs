//! `breakglass`: the offline codes for emergencies. Codes are asked for or read from a file, never taken from the
//! command line, which every user of the machine can see.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_app::NoNotices;
use gateway_app::break_glass::{self, Asked, Scope, read_codes};
use gateway_client::Client;
use gateway_client::text::one_line;
use gateway_config::load;
use gateway_types::wire::break_glass::{BreakGlassUse, DrillCodes, InitBreakGlass, RedeemCodes};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::lines::Lines;
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, remark};
use crate::remote::{Remote, Target};
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The most bytes of a file of codes.
const MOST_BYTES: u64 = 16 * 1024;

/// The arguments of `breakglass`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without a subcommand: spends codes, gets in for half an hour, and tells every admin. Nobody has to be signed in.\nWhere the gateway cannot be reached: --local, on the server's own machine.\n\n  rack-gateway breakglass --role admin --person me@example.com --reason \"the identity provider is down\""
)]
pub(crate) struct BreakglassArguments {
    /// What to do instead.
    #[command(subcommand)]
    pub(crate) command: Option<BreakglassCommand>,
    /// What to ask for.
    #[command(flatten)]
    pub(crate) redeem: RedeemArguments,
}

/// What is asked for with codes.
#[derive(Args, Debug)]
pub(crate) struct RedeemArguments {
    /// Everything that this role may: viewer, ops, deployer or admin
    #[arg(long, value_name = "ROLE", conflicts_with = "app")]
    role: Option<String>,
    /// Everything that a deployer may with this app
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// Who you are: your e-mail address
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
    /// Why, in a sentence
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Read the codes from this file, one on a line; - for standard input [default: they are asked for]
    #[arg(long, value_name = "FILE")]
    codes_file: Option<PathBuf>,
    /// On the server's own machine, past the network
    #[arg(long)]
    local: bool,
    /// Where the data are.
    #[command(flatten)]
    place: DataPlace,
}

/// What to do with codes instead of using them.
#[derive(Subcommand, Debug)]
pub(crate) enum BreakglassCommand {
    /// Make codes and show them, this once; those before are void
    Init {
        /// How many codes one use takes
        #[arg(long, value_name = "NUMBER", default_value_t = 2)]
        threshold: u32,
        /// How many codes there are, one for each keeper
        #[arg(long, value_name = "NUMBER", default_value_t = 5)]
        codes: u32,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show which codes are good; spends none, gives nothing
    Drill {
        /// Read the codes from this file, one on a line; - for standard input
        #[arg(long, value_name = "FILE")]
        codes_file: Option<PathBuf>,
    },
    /// Show how many codes are left, what they were used for, and what is to be looked at
    Status {
        /// Only uses that nobody looked at yet
        #[arg(long)]
        open: bool,
    },
    /// Close the task of looking at a use that is over
    Review {
        /// The use's id
        #[arg(value_name = "ID")]
        id: String,
        /// What you found
        #[arg(long, value_name = "TEXT")]
        found: String,
    },
    /// End a use now
    End {
        /// The use's id
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Serialize)]
struct Opened<'a> {
    id: &'a str,
    scope: &'a str,
    ends: &'a str,
    token: &'a str,
}

#[derive(Serialize)]
struct Ended<'a> {
    id: &'a str,
    ended: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: BreakglassArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        None => redeem(context, arguments.redeem).await?,
        Some(BreakglassCommand::Init { threshold, codes, yes }) => {
            init(context, threshold, codes, yes).await?
        }
        Some(BreakglassCommand::Drill { codes_file }) => drill(context, codes_file).await?,
        Some(BreakglassCommand::Status { open }) => status(context, open).await?,
        Some(BreakglassCommand::Review { id, found }) => {
            let remote = Remote::open(context)?;
            let closed = remote.ask(async |client| client.review_break_glass(&id, &found).await).await?;
            context.output.answer(&closed, || format!("closed the review of {}", one_line(&closed.id)))?;
        }
        Some(BreakglassCommand::End { id }) => {
            let remote = Remote::open(context)?;
            remote.ask(async |client| client.end_break_glass(&id).await).await?;
            context.output.answer(&Ended { id: &id, ended: true }, || format!("ended {}", one_line(&id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn redeem(context: &Context, arguments: RedeemArguments) -> Result<(), Failure> {
    let scope = Scope::read(arguments.role.as_deref(), arguments.app.as_deref())
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()).hint("say --role ROLE or --app APP"))?;
    let person = told(context, arguments.person, "Your e-mail address: ", "--person")?;
    let reason =
        told(context, arguments.reason, "Why (this is recorded, and told to every admin): ", "--reason")?;
    let codes = codes(context, arguments.codes_file)?;
    if arguments.local || arguments.place != DataPlace::default() {
        let asked = Asked {
            codes: read_codes(codes.iter().map(String::as_str)).map_err(unusable)?,
            person,
            reason,
            scope,
        };
        return redeem_here(context, &arguments.place, asked).await;
    }
    let (role, app) = match scope {
        Scope::Role(role) => (Some(role.name().to_owned()), None),
        Scope::App(app) => (None, Some(app)),
    };
    let target = Target::of(context)?;
    let client = Client::new(target.address.clone(), None, &target.tls())?;
    let body = RedeemCodes { codes, person, reason, role, app };
    let opened = client.redeem_codes(&body).await?;
    let used = &opened.used;
    let answer = Opened { id: &used.id, scope: &used.scope, ends: &used.ends, token: &opened.secret };
    show(context, &answer, Some(&target.address.to_string()))
}

async fn redeem_here(context: &Context, place: &DataPlace, asked: Asked) -> Result<(), Failure> {
    let local = LocalStore::open(context, place).await?;
    let notices = match load(context.config.clone(), place.flags()) {
        Ok(config) => gateway_server::notices(&config, &local.store),
        Err(_faults) => {
            remark(
                "warning: the configuration cannot be read, so nobody is told by mail; tell the admins yourself",
            );
            std::sync::Arc::new(NoNotices)
        }
    };
    let (used, secret) =
        break_glass::redeem(&local.store, &*notices, &local.operator(), asked).await.map_err(unusable)?;
    local.close().await;
    let (id, ends) = (used.id.to_string(), used.ends.to_rfc3339());
    show(context, &Opened { id: &id, scope: &used.scope, ends: &ends, token: secret.expose() }, None)
}

fn unusable(error: gateway_app::break_glass::BreakGlassError) -> Failure {
    Failure::new(Exit::Refused, error.to_string())
}

fn show(context: &Context, answer: &Opened<'_>, url: Option<&str>) -> Result<(), Failure> {
    context.output.answer(answer, || {
        let url = url.map(|url| format!("export RACK_GATEWAY_URL={url}\n")).unwrap_or_default();
        format!(
            "{url}export RACK_GATEWAY_TOKEN={}\n\n  for   {}\n  ends  {}\n\nEvery admin was told. Somebody will look at what is done with it.",
            one_line(answer.token),
            one_line(answer.scope),
            one_line(answer.ends)
        )
    })
}

/// What a flag says, or the person at the terminal.
fn told(context: &Context, given: Option<String>, question: &str, flag: &str) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let nobody = || Failure::new(Exit::Usage, format!("{flag} is missing, and nobody is there to be asked"));
    if !context.terminal.is_there {
        return Err(nobody());
    }
    waiting(|| (context.terminal.ask)(question))?.ok_or_else(nobody)
}

fn codes(context: &Context, file: Option<PathBuf>) -> Result<Vec<String>, Failure> {
    if let Some(path) = file {
        let mut text = String::new();
        let cannot = || format!("the codes cannot be read from {}", path.display());
        if path.as_os_str() == "-" {
            std::io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text).problem(cannot())?;
        } else {
            let file = std::fs::File::open(&path).problem(cannot())?;
            file.take(MOST_BYTES).read_to_string(&mut text).problem(cannot())?;
        }
        return Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect());
    }
    if !context.terminal.is_there {
        return Err(Failure::new(Exit::Usage, "nobody is there to type the codes")
            .hint("give them with --codes-file FILE, or - for standard input"));
    }
    let mut codes = Vec::new();
    loop {
        let question = format!("Code {} (empty when that was the last): ", codes.len() + 1);
        match waiting(|| (context.terminal.ask)(&question))? {
            Some(code) if !code.trim().is_empty() => codes.push(code),
            Some(_) | None => return Ok(codes),
        }
    }
}

async fn init(context: &Context, threshold: u32, codes: u32, yes: bool) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    let page = gateway_client::Page { limit: Some(1), ..gateway_client::Page::default() };
    let known = remote.ask(async |client| client.break_glass(false, &page).await).await?;
    let instead_of = known.codes.map(|set| set.id);
    if instead_of.is_some() {
        let what = "the codes in force are void from then on";
        waiting(|| context.terminal.confirm(what, Assent::of(yes)))?;
    }
    let init = InitBreakGlass { threshold, codes, instead_of };
    let made = remote.ask(async |client| client.init_break_glass(&init).await).await?;
    context.output.answer(&made, || {
        let codes: Vec<String> = (1..).zip(&made.codes).map(|(n, code)| format!("{n:>3}  {}", one_line(code))).collect();
        format!(
            "{}\n\nThis is the only time they are shown. Give each to another person, on paper. {} of them together get in.",
            codes.join("\n"),
            made.set.threshold
        )
    })
}

async fn drill(context: &Context, file: Option<PathBuf>) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    let drill = DrillCodes { codes: codes(context, file)? };
    let shown = remote.ask(async |client| client.drill_codes(&drill).await).await?;
    context.output.answer(&shown, || {
        let good: Vec<String> = shown.good.iter().map(ToString::to_string).collect();
        let verdict = if shown.would_do { "they would do" } else { "they would not do" };
        format!(
            "good: {}; not good: {}; one use takes {}: {verdict}. Nothing was spent or given.",
            if good.is_empty() { "none".to_owned() } else { good.join(", ") },
            shown.bad,
            shown.threshold
        )
    })
}

async fn status(context: &Context, open: bool) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    let page = gateway_client::Page::default();
    let known = remote.ask(async |client| client.break_glass(open, &page).await).await?;
    if context.output.format == Format::Json {
        return context.output.answer(&known, String::new);
    }
    let mut lines = Lines::default();
    match &known.codes {
        Some(set) => {
            lines.line(
                "codes",
                &format!("{} of {} left; one use takes {}", set.left, set.codes, set.threshold),
            );
            lines.line("made", &format!("{} by {}", set.created, set.created_by));
        }
        None => lines.line("codes", "none; make them with `rack-gateway breakglass init`"),
    }
    remark(&lines.to_string());
    let mut rows = Rows::new(&["ID", "STATE", "PERSON", "SCOPE", "OPENED", "REASON"]);
    let row = |used: &BreakGlassUse| {
        [&used.id, &used.state, &used.person, &used.scope, &used.opened, &used.reason]
            .map(Clone::clone)
            .to_vec()
    };
    for used in &known.uses {
        rows.add(row(used));
    }
    context.output.listing(&known.uses, &rows, "the glass was never broken")
}
