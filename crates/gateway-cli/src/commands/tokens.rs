//! `tokens`: API tokens, at a gateway under its policy, or by someone with a shell on the server's machine,
//! who is beyond policy but not beyond the log.

mod create;
mod grant;
mod listing;
mod remote;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_app::tokens::revoke;
use gateway_types::Role;

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::remote::{Whose, whose};

pub(crate) use create::CreateArguments;
pub(crate) use listing::ListArguments;

pub(super) use create::read_certificate;
pub(super) use grant::{TypedGrant, typed};

use create::{Lifetime, parse_lifetime};

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
    /// Give a token a new secret and print it, this once (asked of a gateway)
    Rotate(RotateArguments),
    /// Narrow a token: another name, fewer roles or grants, an earlier end (asked of a gateway)
    Update(UpdateArguments),
}

/// The arguments of `tokens revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArguments {
    /// The token's name or id
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
    /// Do not ask (a command on the server's own machine never does)
    #[arg(long)]
    pub(crate) yes: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// The arguments of `tokens rotate`.
#[derive(Args, Debug)]
pub(crate) struct RotateArguments {
    /// The token's name or id
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
    /// How long the secret before is good too: 0s to 24h [default: 1h]
    #[arg(long, value_name = "AGE")]
    pub(crate) overlap: Option<String>,
    /// A file with another client certificate in PEM, for a token that a certificate stands for
    #[arg(long, value_name = "FILE", conflicts_with = "quiet")]
    pub(crate) certificate: Option<std::path::PathBuf>,
    /// Print the secret and nothing else
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The arguments of `tokens update`.
#[derive(Args, Debug)]
pub(crate) struct UpdateArguments {
    /// The token's name or id
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
    /// Another name
    #[arg(long, required_unless_present_any = ["roles", "grants", "expires", "networks"])]
    pub(crate) name: Option<String>,
    /// All roles that it keeps; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<Role>,
    /// All grants that it keeps; may be repeated
    #[arg(long = "grant", value_name = "ACTIONS[@APP,APP]")]
    pub(crate) grants: Vec<TypedGrant>,
    /// An earlier end: such as 90d or 12h from now
    #[arg(long, value_name = "AGE", value_parser = parse_lifetime)]
    pub(crate) expires: Option<Lifetime>,
    /// All networks that it keeps; may be repeated
    #[arg(long = "network", value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: TokensArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        TokensCommand::Create(arguments) => match whose(context, &arguments.place)? {
            Whose::Local if arguments.critical => return Err(not_here()),
            Whose::Local => create::run(context, arguments).await?,
            Whose::Remote(target) => remote::create(context, *target, arguments).await?,
        },
        TokensCommand::List(arguments) => match whose(context, &arguments.place)? {
            Whose::Local => listing::run(context, &arguments).await?,
            Whose::Remote(target) => remote::list(context, *target, &arguments).await?,
        },
        TokensCommand::Revoke(arguments) => match whose(context, &arguments.place)? {
            Whose::Local => end(context, &arguments).await?,
            Whose::Remote(target) => remote::revoke(context, *target, &arguments).await?,
        },
        TokensCommand::Rotate(arguments) => remote::rotate(context, &arguments).await?,
        TokensCommand::Update(arguments) => remote::update(context, arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn not_here() -> Failure {
    Failure::new(
        Exit::Usage,
        "a token that reaches class critical is made at a gateway, with a second factor of its owner",
    )
    .hint("sign in with `rack-gateway login` and leave out what names a database")
}

async fn end(context: &Context, arguments: &RevokeArguments) -> Result<(), Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    let token = revoke(&local.store, &local.operator(), &arguments.token).await?;
    let now_revoked = local.store.tokens().by_id(token.id).await?.unwrap_or(token);
    let shown = listing::shown(&local, &now_revoked).await?;
    local.close().await;
    context.output.answer(&shown, || format!("revoked {} ({})", shown.name, shown.id))
}
