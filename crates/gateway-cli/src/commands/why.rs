//! `why`: what the log has of one request: the layer that decided, the rules, the facts.

mod remote;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway_app::AppError;
use gateway_app::explain::why;
use gateway_app::reading::announce;
use gateway_audit::{End, Event, VerdictRecord};
use gateway_store::Store;
use gateway_types::{Decision, Facts, RequestId};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::local::{DataPlace, LocalStore};
use crate::output::{Output, Tone};
use crate::remote::{Whose, whose};

/// How long an event may take to be in the log after its request was answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// The arguments of `why`.
#[derive(Args, Debug)]
pub(crate) struct WhyArguments {
    /// The request's id, as every refusal prints it
    #[arg(value_name = "REQUEST_ID")]
    pub(crate) request_id: String,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

#[derive(Serialize)]
struct Answer<'a> {
    request_id: RequestId,
    events: Vec<Indexed<'a>>,
}

/// An event with its place in the log.
#[derive(Serialize)]
pub(crate) struct Indexed<'a> {
    pub(crate) index: u64,
    pub(crate) event: &'a Event,
}

/// Answers.
pub(crate) async fn run(context: &Context, arguments: WhyArguments) -> Result<ExitCode, Failure> {
    let request_id: RequestId = arguments.request_id.trim().parse().map_err(|_| {
        Failure::new(Exit::Usage, "that is not a request id")
            .hint("take the id from the refusal, such as 0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88; replies carry it as `instance`")
    })?;
    if let Whose::Remote(target) = whose(context, &arguments.place)? {
        remote::run(context, *target, request_id).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let local = LocalStore::open(context, &arguments.place).await?;
    let asked = request_id.to_string();
    announce(&local.store, &local.operator(), "gateway:policy:why", &[("request_id", &asked)]).await?;
    let events = events(&local.store, request_id).await?;
    local.close().await;
    let indexed = events.iter().map(|(index, event)| Indexed { index: *index, event }).collect();
    let answer = Answer { request_id, events: indexed };
    context.output.answer(&answer, || {
        let told: Vec<String> =
            events.iter().map(|(index, event)| text(&context.output, *index, event)).collect();
        format!("request {request_id}\n{}", told.concat())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Plain reads and refusals reach the log a moment after their reply: somebody who asks at once waits.
async fn events(store: &Store, request_id: RequestId) -> Result<Vec<(u64, Event)>, AppError> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match why(store, request_id).await {
            Err(AppError::UnknownRequest(_)) if Instant::now() < patience => sleep(PATIENCE / 8).await,
            answer => return answer,
        }
    }
}

/// One event as a block of lines.
fn text(output: &Output, index: u64, event: &Event) -> String {
    let mut block = Lines::default();
    block.line("who", &who(event));
    block.line("what", &format!("{} on {}", event.action, event.resource));
    block.some("route", event.route.as_deref());
    if !event.parameters.is_empty() {
        let pairs: Vec<String> =
            event.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        block.line("with", &pairs.join(" "));
    }
    if let Some(verdict) = &event.verdict {
        decided(&mut block, output, event, verdict);
    } else if let Some(layer) = event.layer.filter(|_| event.end == Some(End::Refused)) {
        block.own("verdict", &format!("{} by the {layer} layer", output.toned(Tone::Bad, "refused")));
    }
    block.some("reason", event.reason.as_deref());
    let status = event.status.map(|status| status.to_string());
    block.some("status", status.as_deref());
    block.some("end", event.end.map(End::name));
    format!("\n#{index} {} {}\n{}", event.time, event.phase.name(), block)
}

fn who(event: &Event) -> String {
    let mut who = event.actor.name.clone();
    if let Some(creator) = &event.actor.on_behalf_of {
        who.push_str(&format!(" for {creator}"));
    }
    if let Some(address) = event.source_ip {
        who.push_str(&format!(" from {address}"));
    }
    if let Some(channel) = event.channel {
        who.push_str(&format!(" by {}", channel.name()));
    }
    who
}

fn decided(block: &mut Lines, output: &Output, event: &Event, verdict: &VerdictRecord) {
    let layer = event.layer.map(|layer| format!(" by the {layer} layer")).unwrap_or_default();
    let word = match verdict.decision {
        Decision::Allow => output.toned(Tone::Good, "allowed"),
        Decision::Refuse => output.toned(Tone::Bad, "refused"),
    };
    block.own("verdict", &format!("{word}{layer}"));
    let rules =
        if verdict.rules.is_empty() { "none permitted it".to_owned() } else { verdict.rules.join(", ") };
    block.line("rules", &rules);
    block.line("facts", &facts(&verdict.facts));
    let remedies: Vec<&str> = verdict.remedies.iter().map(|remedy| remedy.name()).collect();
    if !remedies.is_empty() {
        block.line("remedies", &remedies.join(", "));
    }
    if !verdict.observed.is_empty() {
        block.line("observed", &format!("would be refused by {}", verdict.observed.join(", ")));
    }
    block.line("policy", &verdict.policy_version);
}

/// The facts that were so; the others were not.
fn facts(facts: &Facts) -> String {
    let Facts {
        mfa_window,
        mfa_bound,
        mfa_enrolled,
        mfa_off,
        mfa_required,
        own_object,
        approval_matches,
        destructive_allowed,
        external_builds_allowed,
        sensitive_parameters,
        networks,
        labels,
        hour,
        weekday,
        elevated,
        roles_here,
        elevation_possible,
        observing,
    } = facts;
    let switches = [
        ("mfa_window", *mfa_window),
        ("mfa_bound", *mfa_bound),
        ("mfa_enrolled", *mfa_enrolled),
        ("mfa_off", *mfa_off),
        ("mfa_required", *mfa_required),
        ("own_object", *own_object),
        ("approval_matches", *approval_matches),
        ("destructive_allowed", *destructive_allowed),
        ("external_builds_allowed", *external_builds_allowed),
        ("elevation_possible", *elevation_possible),
        ("observing", *observing),
    ];
    let mut told: Vec<String> =
        switches.into_iter().filter(|(_, so)| *so).map(|(name, _)| name.to_owned()).collect();
    told.extend(sensitive_parameters.iter().map(|name| format!("sensitive parameter {name}")));
    told.extend(networks.iter().map(|name| format!("network {name}")));
    told.extend(labels.iter().map(|name| format!("label {name}")));
    told.extend(elevated.iter().map(|role| format!("elevated to {role}")));
    told.extend(roles_here.iter().map(|role| format!("granted {role} here")));
    told.extend(hour.map(|hour| format!("hour {hour}")));
    told.extend(weekday.map(|day| format!("weekday {day}")));
    if told.is_empty() {
        "none: no factor, no approval, nothing switched on".to_owned()
    } else {
        told.join(", ")
    }
}
