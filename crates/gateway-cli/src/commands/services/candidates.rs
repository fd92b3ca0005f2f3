//! `services candidates` and `services approve`: what labels of a compose file ask for, and the approval of exactly that.

use std::path::Path;
use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_types::wire::services::{ServiceCandidate, ServiceCandidates};
use serde_json::Value;

use super::read_text;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::Tone;
use crate::remote::Remote;
use crate::terminal::{Assent, waiting};

/// What is to be approved.
pub(super) struct Seen<'a> {
    /// The service.
    pub(super) name: &'a str,
    /// The difference that was seen before; without it the present one is shown now.
    pub(super) difference: Option<&'a str>,
}

/// Shows every candidate.
pub(super) async fn list(
    context: &Context,
    remote: &Remote,
    file: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let compose = file.map(read_text).transpose()?;
    let found = asked(remote, compose.as_deref()).await?;
    context.output.answer(&found, || match (found.watched, found.items.is_empty()) {
        (false, _) => "the gateway watches no compose file: give one with --file".to_owned(),
        (true, true) => "no labels ask for a service".to_owned(),
        (true, false) => found.items.iter().map(|one| shown(context, one)).collect::<Vec<_>>().join("\n\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Shows one and puts it in force.
pub(super) async fn approve(
    context: &Context,
    remote: &Remote,
    file: Option<&Path>,
    seen: Seen<'_>,
    assent: Assent,
) -> Result<ExitCode, Failure> {
    let compose = file.map(read_text).transpose()?;
    let found = asked(remote, compose.as_deref()).await?;
    let candidate = found.items.iter().find(|one| one.name == seen.name).ok_or_else(|| {
        let said = format!("no labels ask for the service {}", one_line(seen.name));
        Failure::new(Exit::Failed, said).hint("rack-gateway services candidates shows what they ask for")
    })?;
    if candidate.state == "refused" {
        return Err(Failure::new(Exit::Failed, shown(context, candidate)));
    }
    let difference = seen.difference.unwrap_or(&candidate.difference);
    let what = format!("{}\n{} is put in force so", shown(context, candidate), one_line(seen.name));
    waiting(|| context.terminal.confirm(&what, assent))?;
    let compose = compose.as_deref();
    let put = remote
        .ask(async |client| client.approve_service_candidate(seen.name, difference, compose).await)
        .await?;
    context.output.answer(&put, || {
        let place = put.url.as_deref().unwrap_or("without an address for browsers");
        format!("{} is in force: {}", one_line(&put.name), one_line(place))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn asked(remote: &Remote, compose: Option<&str>) -> Result<ServiceCandidates, Failure> {
    remote.ask(async |client| client.service_candidates(compose).await).await
}

fn shown(context: &Context, one: &ServiceCandidate) -> String {
    let tone = if one.state == "refused" { Tone::Bad } else { Tone::Good };
    let state = context.output.toned(tone, &one.state);
    let mut text = format!("{} (container {}): {state}", one_line(&one.name), one_line(&one.container));
    for fault in &one.faults {
        text.push_str(&format!("\n  {}", one_line(fault)));
    }
    for difference in &one.differences {
        let said = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(value) => one_line(&value.to_string()),
        };
        let (field, before) = (one_line(&difference.field), said(&difference.before));
        text.push_str(&format!("\n  {field}: {before} -> {}", said(&difference.after)));
    }
    if !one.difference.is_empty() {
        text.push_str(&format!("\n  difference {}", one_line(&one.difference)));
    }
    text
}
