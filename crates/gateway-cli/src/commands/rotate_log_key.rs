//! `rotate-log-key`: another key signs the log from now on. A gateway may run meanwhile.

use std::process::ExitCode;

use clap::Args;
use gateway_app::reading;
use serde::Serialize;

use crate::Context;
use crate::failure::Failure;
use crate::local::{DataPlace, LocalStore};

/// The arguments of `rotate-log-key`.
#[derive(Args, Debug)]
#[command(
    after_help = "The old key signs one last checkpoint together with the new one, so that every client that trusts the old key comes to trust the new one by itself. Give the new key to whoever verifies exports with --key. No older version of rack-gateway may run on the database meanwhile: it knows only the first key."
)]
pub(crate) struct RotateLogKeyArguments {
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

#[derive(Serialize)]
struct Answer {
    old: String,
    new: String,
}

/// Exchanges the key. That it is meant is recorded before, and what came of it after.
pub(crate) async fn run(context: &Context, arguments: RotateLogKeyArguments) -> Result<ExitCode, Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    let old = local.store.audit().verifier().to_string();
    let said = [("old", old.as_str())];
    reading::announce(&local.store, &local.operator(), "gateway:log:rotate_key", &said).await?;
    let new = local.store.audit().exchange_key().await?.to_string();
    let said = [("state", "done"), ("old", old.as_str()), ("new", new.as_str())];
    reading::announce(&local.store, &local.operator(), "gateway:log:rotate_key", &said).await?;
    local.close().await;
    let answer = Answer { old, new };
    context.output.answer(&answer, || {
        format!(
            "the log is signed with another key from now on\n  old  {}\n  new  {}",
            answer.old, answer.new
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
