//! `who-can`, asked of a gateway.

use std::process::ExitCode;

use gateway_types::wire::policy::WhoCanQuestion;

use super::super::question::Asked;
use crate::Context;
use crate::failure::Failure;
use crate::remote::{Remote, Target};
use crate::table::Rows;

/// Answers.
pub(super) async fn run(context: &Context, target: Target, asked: &Asked) -> Result<ExitCode, Failure> {
    let remote = Remote::at(context, target)?;
    let question = WhoCanQuestion { action: asked.action.clone(), app: asked.app.clone() };
    let answers = remote.ask(async |client| client.who_can(&question).await).await?.items;
    let mut rows = Rows::new(&["WHO", "ANSWER"]);
    for answer in &answers {
        let word =
            if answer.allowed { "yes".to_owned() } else { format!("after {}", answer.remedies.join(", ")) };
        rows.add(vec![answer.subject.clone(), word]);
    }
    let nobody = format!("nobody may {} on {}", asked.action, asked.resource());
    context.output.listing(&answers, &rows, &nobody)?;
    Ok(ExitCode::SUCCESS)
}
