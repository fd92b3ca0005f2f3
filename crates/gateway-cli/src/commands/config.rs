//! `config check` and `config explain`: the configuration without a gateway.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_config::{Config, ConfigFaults, Explained, Flags, Origin, load};
use gateway_policy::OwnTable;
use gateway_server::{policy_engine, route_table, service_table};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::local::DataPlace;
use crate::output::{Format, Tone};
use crate::table::Rows;
use crate::{Context, program_log};

/// The arguments of `config`.
#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Print every fault, or ok
    Check(DataPlace),
    /// Print every key with its value, where the value came from, and its default
    Explain(DataPlace),
}

/// Runs one of the two.
pub(crate) fn run(context: &Context, arguments: ConfigArguments) -> Result<ExitCode, Failure> {
    let loaded = |place: &DataPlace| load(context.config.clone(), place.flags());
    match arguments.command {
        ConfigCommand::Check(place) => check(context, loaded(&place)),
        ConfigCommand::Explain(place) => explain(context, &loaded(&place)?),
    }
}

#[derive(Serialize)]
struct CheckAnswer {
    ok: bool,
    faults: Vec<FaultAnswer>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct FaultAnswer {
    key: Option<String>,
    origin: Option<String>,
    problem: String,
}

fn check(context: &Context, loaded: Result<Config, ConfigFaults>) -> Result<ExitCode, Failure> {
    let (warnings, mut faults) = match &loaded {
        Ok(config) => (config.warnings.iter().map(ToString::to_string).collect(), Vec::new()),
        Err(found) => (Vec::new(), faults(found)),
    };
    let checked = loaded.map_err(Failure::from).and_then(|config| parts(&config));
    if let (Err(failure), true) = (&checked, faults.is_empty()) {
        faults.push(FaultAnswer { key: None, origin: None, problem: failure.sentence() });
    }
    let answer = CheckAnswer { ok: checked.is_ok(), faults, warnings };
    match context.output.format {
        Format::Json => context.output.answer(&answer, String::new)?,
        Format::Text => {
            for warning in &answer.warnings {
                context.output.line(&format!("warning: {warning}"))?;
            }
        }
    }
    checked?;
    if context.output.format == Format::Text {
        context.output.line(&context.output.toned(Tone::Good, "ok"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn faults(faults: &ConfigFaults) -> Vec<FaultAnswer> {
    let answer = |fault: &gateway_config::Fault| FaultAnswer {
        key: Some(fault.key.clone()),
        origin: Some(fault.origin.to_string()),
        problem: fault.kind.to_string(),
    };
    faults.0.iter().map(answer).collect()
}

/// What `serve` makes out of the configuration before it listens: faults there are faults too.
fn parts(config: &Config) -> Result<(), Failure> {
    let routes = route_table(config)?;
    policy_engine(config, &routes, &OwnTable::builtin()?, &service_table(config)?)?;
    program_log::filter(&config.log.filter).map(drop)
}

#[derive(Serialize)]
struct ExplainAnswer<'a> {
    key: &'a str,
    variable: Option<&'a str>,
    value: Option<&'a str>,
    source: String,
    default: Option<&'a str>,
}

fn explain(context: &Context, config: &Config) -> Result<ExitCode, Failure> {
    let mut rows = Rows::new(&["KEY", "VALUE", "SOURCE", "DEFAULT"]);
    for entry in &config.sources {
        rows.add(cells(entry));
    }
    let answers: Vec<ExplainAnswer<'_>> = config
        .sources
        .iter()
        .map(|entry| ExplainAnswer {
            key: &entry.key,
            variable: entry.variable.as_deref(),
            value: entry.value.as_deref(),
            source: entry.origin.to_string(),
            default: entry.default.as_deref(),
        })
        .collect();
    context.output.listing(&answers, &rows, "nothing is configured")?;
    Ok(ExitCode::SUCCESS)
}

/// A long list is cut for people, and a default is not said twice.
fn cells(entry: &Explained) -> Vec<String> {
    let shown = |text: Option<&String>| text.map(|text| shortened(text)).unwrap_or_default();
    let default = match entry.origin {
        Origin::Default => String::new(),
        Origin::File { .. } | Origin::Variable(_) | Origin::Flag(_) => shown(entry.default.as_ref()),
    };
    vec![entry.key.clone(), shown(entry.value.as_ref()), entry.origin.to_string(), default]
}

/// The most characters of a value in the table; `--json` has all of it.
const MOST_CHARACTERS: usize = 60;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The configuration that questions about policy are answered with.
pub(crate) fn for_questions(context: &Context, place: &DataPlace) -> Result<Config, Failure> {
    let flags: Flags = place.flags();
    load(context.config.clone(), flags).map_err(|faults| {
        Failure::from(faults).exits(Exit::Failed).hint(
            "the answer depends on the gateway's routes, policies and settings: run this with the gateway's own configuration",
        )
    })
}
