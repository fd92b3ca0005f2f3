//! `tokens`: API tokens, by someone with a shell on the server's machine, who is beyond policy but not
//! beyond the log.

mod create;
mod grant;
mod listing;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_app::tokens::revoke;

use crate::Context;
use crate::failure::Failure;
use crate::local::{DataPlace, LocalStore};

pub(crate) use create::CreateArguments;
pub(crate) use listing::ListArguments;

/// The arguments of `tokens`.
#[derive(Args, Debug)]
pub(crate) struct TokensArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: TokensCommand,
}

/// What to do with tokens.
#[derive(Subcommand, Debug)]
pub(crate) enum TokensCommand {
    /// Make a token and print it, this once
    Create(CreateArguments),
    /// List tokens
    List(ListArguments),
    /// End a token; it is refused from its next request on
    Revoke(RevokeArguments),
}

/// The arguments of `tokens revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArguments {
    /// The token's name or id
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: TokensArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        TokensCommand::Create(arguments) => create::run(context, arguments).await?,
        TokensCommand::List(arguments) => listing::run(context, &arguments).await?,
        TokensCommand::Revoke(arguments) => end(context, &arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn end(context: &Context, arguments: &RevokeArguments) -> Result<(), Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    let token = revoke(&local.store, &local.operator(), &arguments.token).await?;
    let now_revoked = local.store.tokens().by_id(token.id).await?.unwrap_or(token);
    let shown = listing::shown(&local, &now_revoked).await?;
    local.close().await;
    context.output.answer(&shown, || format!("revoked {} ({})", shown.name, shown.id))
}
