//! `who-can`: everybody who may do something, by the engine that decides requests.

mod remote;

use std::process::ExitCode;

use clap::Args;
use gateway_app::explain::who_can;
use gateway_app::reading::announce;
use gateway_types::{Caller, Verdict};
use serde::Serialize;

use super::config::for_questions;
use super::question::{self, Asked, Moment};
use crate::Context;
use crate::failure::Failure;
use crate::local::{DataPlace, LocalStore};
use crate::remote::{Whose, whose};
use crate::table::Rows;

/// The arguments of `who-can`.
#[derive(Args, Debug)]
pub(crate) struct WhoCanArguments {
    /// What is asked about.
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

#[derive(Serialize)]
struct Answer {
    subject: String,
    credential: &'static str,
    allowed: bool,
    remedies: Vec<&'static str>,
    rules: Vec<String>,
}

/// Answers.
pub(crate) async fn run(context: &Context, arguments: WhoCanArguments) -> Result<ExitCode, Failure> {
    if let Whose::Remote(target) = whose(context, &arguments.place)? {
        return remote::run(context, *target, &arguments.asked).await;
    }
    let config = for_questions(context, &arguments.place)?;
    let engine = question::engine(&config)?;
    let local = LocalStore::open_url(config.database_url.clone(), config.app_secret_key.clone()).await?;
    let (asked, resource) = (&arguments.asked, arguments.asked.resource());
    let parameters = [("action", asked.action.as_str()), ("resource", &resource.to_string())];
    announce(&local.store, &local.operator(), "gateway:policy:who_can", &parameters).await?;
    let now = Moment::read(&local.store, &config, &resource).await?;
    let found =
        who_can(&local.store, &engine, now.circumstances(), &asked.action, &resource, &now.facts).await?;
    local.close().await;
    let mut rows = Rows::new(&["WHO", "BY", "ANSWER"]);
    let answers: Vec<Answer> = found.iter().map(|(caller, verdict)| answer(caller, verdict)).collect();
    for answer in &answers {
        let word =
            if answer.allowed { "yes".to_owned() } else { format!("after {}", answer.remedies.join(", ")) };
        rows.add(vec![answer.subject.clone(), answer.credential.to_owned(), word]);
    }
    let nobody = format!("nobody may {} on {resource}", asked.action);
    context.output.listing(&answers, &rows, &nobody)?;
    Ok(ExitCode::SUCCESS)
}

fn answer(caller: &Caller, verdict: &Verdict) -> Answer {
    Answer {
        subject: caller.principal.display_name(),
        credential: caller.principal.credential_kind().name(),
        allowed: verdict.is_allowed(),
        remedies: verdict.remedies.iter().map(|remedy| remedy.kind.name()).collect(),
        rules: verdict.rules.clone(),
    }
}
