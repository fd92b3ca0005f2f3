//! `apply`, `diff` and `export`: configuration as code, through the API of a gateway.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway_client::text::{lines, one_line};
use serde::Serialize;
use serde_json::Value;

use crate::Context;
use crate::declared::Kind;
use crate::declared::difference::{Planned, Verb, between};
use crate::declared::document::{Document, DocumentFault};
use crate::declared::making::{Made, make};
use crate::declared::present::{Apps, Present};
use crate::failure::{Exit, Failure};
use crate::output::{Format, remark};
use crate::remote::Remote;
use crate::terminal::{Assent, waiting};

/// What `diff` ends with when something differs, as of old.
const DIFFERS: u8 = 1;
/// The longest value that is shown to people on one line, in characters.
const LONGEST_SHOWN: usize = 120;

/// What is compared.
#[derive(Args, Debug)]
pub(crate) struct Declared {
    /// A TOML file, or a directory whose *.toml are read as one; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Also remove what is not declared of these kinds; nothing else is ever removed
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) prune: Vec<Kind>,
}

/// The arguments of `apply`.
#[derive(Args, Debug)]
#[command(
    after_help = "Changes are made in an order in which nobody locks themselves out: what adds first, what takes away last. When one\nfails, it is said what was made and what was not; run it again to go on. The second factor is asked for once."
)]
pub(crate) struct ApplyArguments {
    /// What is declared.
    #[command(flatten)]
    pub(crate) declared: Declared,
    /// Show what would be changed, as `diff` does, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; what is removed is still confirmed
    #[arg(long)]
    pub(crate) yes: bool,
    /// Confirm what is removed by the name of the rack, where nobody can type it
    #[arg(long, value_name = "RACK", requires = "prune")]
    pub(crate) confirm: Option<String>,
}

/// The arguments of `diff`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 nothing differs, 1 something does, 2 or more: it could not be found out."
)]
pub(crate) struct DiffArguments {
    /// What is declared.
    #[command(flatten)]
    pub(crate) declared: Declared,
}

/// The arguments of `export`.
#[derive(Args, Debug)]
#[command(
    after_help = "What the gateway's own file, its environment and the defaults give is not exported, and no secret is: services name\nwhere their credential is. Applying what was exported changes nothing."
)]
pub(crate) struct ExportArguments {
    /// Only these kinds [default: all]
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub(crate) kinds: Vec<Kind>,
    /// Settings of this app; may be repeated [default: every app of the rack]
    #[arg(long = "app", value_name = "APP")]
    pub(crate) apps: Vec<String>,
}

/// What differs, and what was made of it.
#[derive(Serialize)]
struct Answer<'a> {
    same: bool,
    changes: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    planned: &'a Planned,
    /// Absent where nothing was to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<bool>,
}

/// Shows what differs.
pub(crate) async fn diff(context: &Context, arguments: DiffArguments) -> Result<ExitCode, Failure> {
    let found = async {
        let remote = Remote::open(context)?;
        compared(&remote, &arguments.declared).await
    };
    // 1 says that something differs, and nothing else.
    match found.await {
        Ok(changes) => shown(context, &changes),
        Err(failure) if failure.exit() == Exit::Failed => Err(failure.exits(Exit::Usage)),
        Err(failure) => Err(failure),
    }
}

/// Makes what is declared so.
pub(crate) async fn apply(context: &Context, arguments: ApplyArguments) -> Result<ExitCode, Failure> {
    if arguments.dry_run {
        return diff(context, DiffArguments { declared: arguments.declared }).await;
    }
    let remote = Remote::open(context)?;
    let changes = compared(&remote, &arguments.declared).await?;
    if changes.is_empty() {
        return answer(context, &changes, &[]);
    }
    if context.output.format == Format::Text {
        remark(&listing(&changes));
    }
    assent(context, &remote, &changes, &arguments)?;
    let Made { made, failed } = make(context, &remote, &changes).await;
    let Some((place, failure)) = failed else {
        return answer(context, &changes, &made);
    };
    match context.output.format {
        Format::Json => {
            answer(context, &changes, &made)?;
        }
        Format::Text => remark(&half_way(&changes, &made)),
    }
    let stopped = changes.get(place).map(one).unwrap_or_default();
    let made = made.len();
    let hint = format!(
        "stopped at {stopped}; {made} of {} changes were made: repair the cause and run it again, which goes on from here",
        changes.len()
    );
    failure.report();
    Err(Failure::new(failure.exit(), "not everything that is declared was made so").hint(hint))
}

/// Writes what the database of the gateway has.
pub(crate) async fn export(context: &Context, arguments: ExportArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    let kinds: BTreeSet<Kind> = match arguments.kinds.is_empty() {
        true => Kind::ALL.into_iter().collect(),
        false => arguments.kinds.into_iter().collect(),
    };
    let apps = match arguments.apps.is_empty() {
        true => Apps::OfTheRack,
        false => Apps::Named(arguments.apps.into_iter().collect()),
    };
    let document = Present::ask(&remote, &kinds, &apps).await?.document()?;
    let text = document.to_toml()?;
    context.output.answer(&document, || lines(&text))?;
    Ok(ExitCode::SUCCESS)
}

async fn compared(remote: &Remote, declared: &Declared) -> Result<Vec<Planned>, Failure> {
    let document = Document::read(&declared.files).map_err(usage)?;
    let prune: BTreeSet<Kind> = declared.prune.iter().copied().collect();
    let kinds: BTreeSet<Kind> =
        Kind::ALL.into_iter().filter(|kind| document.declares(*kind) || prune.contains(kind)).collect();
    // To remove settings of apps that are not declared, those of all apps have to be known.
    let apps = match prune.contains(&Kind::Settings) {
        true => Apps::OfTheRack,
        false => Apps::Named(document.app.keys().cloned().collect()),
    };
    let mut present = Present::ask(remote, &kinds, &apps).await?;
    if apps == Apps::OfTheRack {
        let missing: BTreeSet<String> =
            document.app.keys().filter(|app| !present.apps.contains_key(*app)).cloned().collect();
        if !missing.is_empty() {
            let settings = BTreeSet::from([Kind::Settings]);
            let more = Present::ask(remote, &settings, &Apps::Named(missing)).await?;
            present.apps.extend(more.apps);
        }
    }
    between(&document, &present, &prune)
}

fn usage(fault: DocumentFault) -> Failure {
    Failure::from(fault).exits(Exit::Usage)
}

/// Asks whether it is meant. What is removed is confirmed by typing the rack's name.
fn assent(
    context: &Context,
    remote: &Remote,
    changes: &[Planned],
    arguments: &ApplyArguments,
) -> Result<(), Failure> {
    let removed = changes.iter().filter(|planned| planned.verb == Verb::Remove).count();
    let question = match changes.len() {
        1 => "1 change is made".to_owned(),
        count => format!("{count} changes are made"),
    };
    if removed == 0 {
        return waiting(|| context.terminal.confirm(&question, Assent::of(arguments.yes)));
    }
    let name = remote.target.name();
    let typed = match &arguments.confirm {
        Some(typed) => Some(typed.clone()),
        None if context.terminal.is_there => {
            let question = format!(
                "{question}, and {removed} of them take away what is not declared. Type {name} to go on: "
            );
            waiting(|| (context.terminal.ask)(&question))?
        }
        None => {
            let what = format!("{removed} of {} changes take away what is not declared", changes.len());
            return Err(Failure::new(Exit::Usage, format!("{what}: nobody is there to confirm it"))
                .hint(format!("say --confirm {name} when it is meant")));
        }
    };
    if typed.as_deref().map(str::trim) == Some(name.as_str()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("that is not {name}; nothing was changed")))
}

fn shown(context: &Context, changes: &[Planned]) -> Result<ExitCode, Failure> {
    let listed = changes.iter().map(|planned| Listed { planned, made: None }).collect();
    let value = Answer { same: changes.is_empty(), changes: listed };
    context.output.answer(&value, || match changes.is_empty() {
        true => "nothing differs".to_owned(),
        false => listing(changes),
    })?;
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

fn answer(context: &Context, changes: &[Planned], made: &[usize]) -> Result<ExitCode, Failure> {
    let listed = changes
        .iter()
        .enumerate()
        .map(|(place, planned)| Listed { planned, made: Some(made.contains(&place)) })
        .collect();
    let value = Answer { same: changes.len() == made.len(), changes: listed };
    context.output.answer(&value, || match made.len() {
        0 => "everything is as declared; nothing was changed".to_owned(),
        1 => "1 change was made; everything is as declared".to_owned(),
        count => format!("{count} changes were made; everything is as declared"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn half_way(changes: &[Planned], made: &[usize]) -> String {
    let state = |place: usize| if made.contains(&place) { "made    " } else { "not made" };
    let lines = changes.iter().enumerate();
    lines.map(|(place, planned)| format!("  {} {}\n", state(place), one(planned))).collect()
}

const fn sign(verb: Verb) -> char {
    match verb {
        Verb::Add => '+',
        Verb::Change => '~',
        Verb::Remove => '-',
    }
}

fn one(planned: &Planned) -> String {
    format!("{} {} {}", sign(planned.verb), planned.kind, one_line(&planned.name))
}

/// The changes for people: one line each, and below it the fields that differ.
fn listing(changes: &[Planned]) -> String {
    let mut text = String::new();
    for planned in changes {
        text.push_str(&format!("{}\n", one(planned)));
        let empty = Value::Null;
        let (before, after) =
            (planned.before.as_ref().unwrap_or(&empty), planned.after.as_ref().unwrap_or(&empty));
        let keys: BTreeSet<&String> = [before, after]
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|fields| fields.keys())
            .collect();
        for key in keys {
            match (before.get(key), after.get(key)) {
                (before, after) if before == after => {}
                (Some(before), Some(after)) => {
                    text.push_str(&format!("    {key}: {} -> {}\n", brief(before), brief(after)));
                }
                (None, Some(value)) | (Some(value), None) => {
                    text.push_str(&format!("    {key}: {}\n", brief(value)));
                }
                (None, None) => {}
            }
        }
    }
    text
}

fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    };
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
