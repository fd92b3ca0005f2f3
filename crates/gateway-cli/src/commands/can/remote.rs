//! `can`, asked of a gateway.

use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_types::wire::policy::{CanAnswer, CanQuestion, PolicySubject};

use super::CanArguments;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::output::{Output, Tone};
use crate::remote::{Remote, Target};

/// Answers.
pub(super) async fn run(
    context: &Context,
    target: Target,
    arguments: &CanArguments,
) -> Result<ExitCode, Failure> {
    let remote = Remote::at(context, target)?;
    let who = &arguments.who;
    let is_given = who.user.is_some() || who.token.is_some() || who.workload.is_some();
    let subject = is_given.then(|| PolicySubject {
        person: who.user.clone(),
        token: who.token.clone(),
        workload: who.workload.clone(),
    });
    let question = CanQuestion {
        subject,
        action: arguments.asked.action.clone(),
        app: arguments.asked.app.clone(),
        own: arguments.own,
    };
    let answer = remote.ask(async |client| client.can(&question).await).await?;
    context.output.answer(&answer, || text(&context.output, &answer))?;
    Ok(if answer.allowed { ExitCode::SUCCESS } else { Exit::Refused.code() })
}

fn text(output: &Output, answer: &CanAnswer) -> String {
    let word = match (answer.allowed, answer.layer.as_str()) {
        (true, _) => output.toned(Tone::Good, "yes"),
        (false, "mfa") => output.toned(Tone::Bad, "not without a second factor"),
        (false, _) => output.toned(Tone::Bad, "no"),
    };
    let mut lines = Lines::default();
    if !answer.allowed {
        lines.line("reason", &answer.reason);
        lines.line("layer", &answer.layer);
    }
    lines.some("rules", Some(&answer.rules.join(", ")));
    lines.some("remedies", Some(&answer.remedies.join(", ")));
    lines.line("policy", &answer.policy_version);
    let what = format!("{} {} on {}", answer.subject, answer.action, answer.resource);
    format!("{word}: {}\n{lines}", one_line(&what))
}
