//! `can`: whether a person or a token may do something, by the engine that decides requests.

mod remote;

use std::process::ExitCode;

use clap::Args;
use gateway_app::explain::{Subject, can};
use gateway_app::reading::announce;
use gateway_types::{Layer, Verdict};
use serde::Serialize;

use super::config::for_questions;
use super::question::{self, Asked, Moment};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Output, Tone};
use crate::remote::{Whose, whose};

/// The arguments of `can`.
#[derive(Args, Debug)]
#[command(after_help = "Exits with 0 for yes and 4 for no.")]
pub(crate) struct CanArguments {
    /// What is asked about.
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Who is asked about.
    #[command(flatten)]
    pub(crate) who: Who,
    /// On something of their own (asked of a gateway only)
    #[arg(long)]
    pub(crate) own: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// Who is asked about: at most one of them; at a gateway, without either, oneself.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
#[group(required = false, multiple = false)]
pub(crate) struct Who {
    /// The person with this address
    #[arg(long, value_name = "EMAIL")]
    pub(crate) user: Option<String>,
    /// The API token with this name or id
    #[arg(long, value_name = "NAME")]
    pub(crate) token: Option<String>,
    /// Whatever signs in by the trust rule of this name
    #[arg(long, value_name = "RULE")]
    pub(crate) workload: Option<String>,
}

impl Who {
    fn subject(&self) -> Option<Subject> {
        match (&self.user, &self.token, &self.workload) {
            (Some(email), ..) => Some(Subject::Person(email.clone())),
            (None, Some(token), _) => Some(Subject::Token(token.clone())),
            (None, None, Some(rule)) => Some(Subject::Workload(rule.clone())),
            (None, None, None) => None,
        }
    }

    fn name(&self) -> String {
        match (&self.user, &self.token, &self.workload) {
            (Some(email), ..) => email.clone(),
            (None, Some(token), _) => format!("token:{token}"),
            (None, None, Some(rule)) => format!("workload:{rule}"),
            (None, None, None) => String::new(),
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    allowed: bool,
    subject: String,
    action: &'a str,
    resource: String,
    verdict: &'a Verdict,
}

/// Answers.
pub(crate) async fn run(context: &Context, arguments: CanArguments) -> Result<ExitCode, Failure> {
    if let Whose::Remote(target) = whose(context, &arguments.place)? {
        return remote::run(context, *target, &arguments).await;
    }
    if arguments.own {
        return Err(Failure::new(
            Exit::Usage,
            "--own is for a gateway, and the database of this machine is asked here",
        ));
    }
    let subject = arguments
        .who
        .subject()
        .ok_or_else(|| Failure::new(Exit::Usage, "say who, with --user, --token or --workload"))?;
    let config = for_questions(context, &arguments.place)?;
    let engine = question::engine(&config)?;
    let local = LocalStore::open_url(config.database_url.clone(), config.app_secret_key.clone()).await?;
    let (asked, resource) = (&arguments.asked, arguments.asked.resource());
    let name = arguments.who.name();
    let shown = resource.to_string();
    let parameters = [("subject", name.as_str()), ("action", &asked.action), ("resource", &shown)];
    announce(&local.store, &local.operator(), "gateway:policy:can", &parameters).await?;
    let now = Moment::read(&local.store, &config, &resource).await?;
    let circumstances = now.circumstances();
    let verdict =
        can(&local.store, &engine, circumstances, &subject, &asked.action, &resource, &now.facts).await?;
    local.close().await;
    let answer = Answer {
        allowed: verdict.is_allowed(),
        subject: name,
        action: &asked.action,
        resource: shown,
        verdict: &verdict,
    };
    context.output.answer(&answer, || text(&context.output, &answer))?;
    Ok(if answer.allowed { ExitCode::SUCCESS } else { Exit::Refused.code() })
}

fn text(output: &Output, answer: &Answer<'_>) -> String {
    let Answer { subject, action, resource, verdict, .. } = answer;
    let word = match (answer.allowed, verdict.layer) {
        (true, _) => output.toned(Tone::Good, "yes"),
        (false, Layer::Mfa) => output.toned(Tone::Bad, "not without a second factor"),
        (false, _) => output.toned(Tone::Bad, "no"),
    };
    let mut text = format!("{word}: {subject} {action} on {resource}\n");
    if !answer.allowed {
        text.push_str(&format!("  reason    {}\n  layer     {}\n", verdict.reason, verdict.layer));
    }
    for (label, words) in [("rules", verdict.rules.join(", ")), ("remedies", question::remedies(verdict))] {
        if !words.is_empty() {
            text.push_str(&format!("  {label:<9} {words}\n"));
        }
    }
    text.push_str(&format!("  policy    {}\n", verdict.policy_version));
    text
}
