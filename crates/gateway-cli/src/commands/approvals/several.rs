//! Approvals at several gateways at once.
//!
//! A gateway that does not answer takes nothing from what the others say, and is never passed over in silence: it is
//! named on standard error, and the exit code says that something is missing.

use std::process::ExitCode;

use futures_util::future::join_all;
use gateway_client::text::one_line;
use gateway_client::{ApprovalsAsked, ClientError};
use gateway_types::wire::approvals::Approval;
use serde::Serialize;

use super::{columns, row};
use crate::Context;
use crate::commands::listing::every;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::{Named, Remote};
use crate::table::Rows;

/// An approval, and which gateway has it.
#[derive(Serialize)]
struct AtRack {
    rack: String,
    #[serde(flatten)]
    approval: Approval,
}

/// The approvals of all of them, newest first.
pub(super) async fn list(
    context: &Context,
    racks: Vec<Named>,
    asked: &ApprovalsAsked,
) -> Result<ExitCode, Failure> {
    let answers = join_all(racks.into_iter().map(async |Named { name, remote }| {
        let found = match remote {
            Ok(remote) => {
                every(&remote, None, async |client, page| client.approvals(page, asked).await).await
            }
            Err(failure) => Err(failure),
        };
        (name, found)
    }))
    .await;
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for (rack, found) in answers {
        match found {
            Ok(found) => {
                all.extend(found.into_iter().map(|approval| AtRack { rack: rack.clone(), approval }))
            }
            Err(failure) => failures.push((rack, failure)),
        }
    }
    // Moments are in one form, so that their texts are in their order.
    all.sort_by(|one, other| other.approval.created.cmp(&one.approval.created));
    let headers: Vec<&'static str> = std::iter::once("RACK").chain(columns()).collect();
    let mut rows = Rows::new(&headers);
    for one in &all {
        rows.add(std::iter::once(one.rack.clone()).chain(row(&one.approval)).collect());
    }
    let is_partial = !all.is_empty() || failures.is_empty();
    if is_partial {
        context.output.listing(&all, &rows, "there is no approval")?;
    }
    missing(failures)
}

/// Success when nothing is missing. What is, is told.
fn missing(mut failures: Vec<(String, Failure)>) -> Result<ExitCode, Failure> {
    let Some((rack, last)) = failures.pop() else { return Ok(ExitCode::SUCCESS) };
    for (rack, failure) in &failures {
        remark(&format!("error: {}: {}", one_line(rack), failure.sentence()));
    }
    // Several that fail for different reasons have failed; of one reason its own code tells more.
    let exit = if failures.iter().all(|(_, other)| other.exit() == last.exit()) {
        last.exit()
    } else {
        Exit::Failed
    };
    let sentence = format!("{}: {}", one_line(&rack), last.sentence());
    Err(Failure::new(exit, sentence)
        .hint("what the other gateways answered is complete; this one is missing"))
}

/// The one gateway that has this approval.
///
/// # Errors
/// When none has it, or those that do not have it are not all that were named.
pub(super) async fn holding(racks: Vec<Named>, id: &str) -> Result<Remote, Failure> {
    let mut failures = Vec::new();
    for Named { name, remote } in racks {
        let found = match &remote {
            Ok(remote) => remote.ask(async |client| present(client.approval(id).await)).await,
            Err(_) => Ok(false),
        };
        match (remote, found) {
            (Ok(remote), Ok(true)) => {
                remark(&format!("at {}", one_line(&name)));
                return Ok(remote);
            }
            (Ok(_), Ok(false)) => {}
            (Ok(_), Err(failure)) | (Err(failure), _) => failures.push((name, failure)),
        }
    }
    if failures.is_empty() {
        return Err(Failure::new(Exit::Failed, "none of these gateways has an approval with this id")
            .hint("`rack-gateway approvals list --rack all` shows what there is where"));
    }
    missing(failures).and(Err(Failure::new(Exit::Failed, "the approval was not found")))
}

/// Whether it is there; that it is not is an answer too.
fn present(answer: Result<Approval, ClientError>) -> Result<bool, ClientError> {
    match answer {
        Ok(_) => Ok(true),
        Err(ClientError::Refused { refusal }) if refusal.status == 404 => Ok(false),
        Err(error) => Err(error),
    }
}
