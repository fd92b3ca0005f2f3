//! Deciding: approve, extend, reject, withdraw.

use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_types::wire::approvals::SignApproval;

use super::{DecideArguments, ReasonArguments, said};
use crate::Context;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::terminal::{Assent, waiting};

/// What lets a deploy happen, and so is shown and asked for before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asking {
    Approve,
    Extend,
}

/// What keeps it from happening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Reject,
    Withdraw,
}

/// Shows what it is for, asks, and does it.
pub(super) async fn asking(
    context: &Context,
    remote: &Remote,
    what: Asking,
    arguments: DecideArguments,
) -> Result<ExitCode, Failure> {
    let DecideArguments { id, reason, yes } = arguments;
    let shown = remote.ask(async |client| client.approval(&id).await).await?;
    let verb = match what {
        Asking::Approve => "approve",
        Asking::Extend => "extend",
    };
    let question = format!("{}\n{verb} {}", said::approved(&shown).trim_end(), said::subject(&shown));
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    let given = SignApproval { statement: shown.statement, reason };
    let done = remote
        .ask(async |client| match what {
            Asking::Approve => client.approve_approval(&id, &given).await,
            Asking::Extend => client.extend_approval(&id, &given).await,
        })
        .await?;
    context.output.answer(&done, || said::decided(&done))?;
    Ok(ExitCode::SUCCESS)
}

/// Does it: nothing is lost by a deploy that does not happen, and it can be asked for again.
pub(super) async fn ending(
    context: &Context,
    remote: &Remote,
    what: Ending,
    arguments: ReasonArguments,
) -> Result<ExitCode, Failure> {
    let ReasonArguments { id, reason } = arguments;
    let reason = reason.as_deref();
    let done = remote
        .ask(async |client| match what {
            Ending::Reject => client.reject_approval(&id, reason).await,
            Ending::Withdraw => client.withdraw_approval(&id, reason).await,
        })
        .await?;
    context.output.answer(&done, || format!("{}: {}", one_line(&done.state), said::subject(&done)))?;
    Ok(ExitCode::SUCCESS)
}
