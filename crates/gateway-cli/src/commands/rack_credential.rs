//! `rack-credential`: what the gateway signs in to the rack with, as it stands; and that it is read anew at once.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::rack_credential::RackCredential;

use crate::Context;
use crate::failure::Failure;
use crate::lines::Lines;
use crate::remote::Remote;

/// The arguments of `rack-credential`.
#[derive(Args, Debug)]
#[command(
    after_help = "What is shown is of the instance that answers, and never the credential. The fingerprint is the same on all instances that have the same one."
)]
pub(crate) struct RackCredentialArguments {
    /// What to do [default: show how it stands]
    #[command(subcommand)]
    pub(crate) command: Option<RackCredentialCommand>,
}

/// What to do with it.
#[derive(Subcommand, Debug)]
pub(crate) enum RackCredentialCommand {
    /// Read it at once where it is kept, and mint its tokens anew
    Refresh,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: RackCredentialArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    let shown = match arguments.command {
        None => remote.ask(async |client| client.rack_credential().await).await?,
        Some(RackCredentialCommand::Refresh) => {
            remote.ask(async |client| client.refresh_rack_credential().await).await?
        }
    };
    context.output.answer(&shown, || text(&shown))?;
    Ok(ExitCode::SUCCESS)
}

fn text(shown: &RackCredential) -> String {
    let mut lines = Lines::default();
    lines.some("print", Some(&shown.fingerprint));
    lines.line("since", &shown.since);
    lines.some("read", shown.read.as_deref());
    lines.some("next", shown.next_read.as_deref());
    lines.some("error", shown.error.as_deref());
    lines.some("failing", shown.error_since.as_deref());
    lines.some("refused", shown.refused.as_deref());
    if let Some(access) = &shown.access {
        let renews = access.renews.as_deref().map(|at| format!(", renewed {at}")).unwrap_or_default();
        lines.line("by", &format!("{}{renews}", access.kind));
    }
    if let Some(tokens) = &shown.tokens {
        for token in &tokens.roles {
            let about = format!("of role {}, minted {}, renewed {}", token.role, token.minted, token.renews);
            lines.line("token", &about);
        }
        if tokens.roles.is_empty() {
            lines.line("tokens", "none is minted yet");
        }
        lines.some("minting", tokens.error.as_deref());
    }
    let source = shown.source.as_deref().unwrap_or("in the configuration itself");
    format!("{}\n{lines}", one_line(source))
}

#[cfg(test)]
mod tests {
    use gateway_types::wire::rack_credential::{CredentialAccess, RackToken, RackTokens};

    use super::*;

    #[test]
    fn everything_that_stands_is_a_line() {
        let at = |text: &str| Some(text.to_owned());
        let mut shown = RackCredential {
            source: at("aws:secretsmanager:prod/rack#password"),
            fingerprint: "0123456789abcdef".to_owned(),
            since: "then".to_owned(),
            age_seconds: 60,
            read: at("before"),
            next_read: at("soon"),
            error: at("no\nanswer"),
            error_since: at("yesterday"),
            refused: None,
            access: Some(CredentialAccess {
                kind: "web identity".to_owned(),
                expires: None,
                renews: at("later"),
            }),
            tokens: Some(RackTokens { roles: Vec::new(), error: None }),
        };
        let first = text(&shown);
        assert!(
            first.starts_with("aws:secretsmanager:prod/rack#password\n  print     0123456789abcdef\n"),
            "{first}"
        );
        assert!(first.contains("  by        web identity, renewed later\n"), "{first}");
        assert!(
            first.contains("  tokens    none is minted yet\n") && !first.contains("no\nanswer"),
            "{first}"
        );
        let token = |role: &str| RackToken {
            role: role.to_owned(),
            minted: "m".to_owned(),
            renews: "r".to_owned(),
            expires: "e".to_owned(),
        };
        shown.tokens = Some(RackTokens { roles: vec![token("read")], error: None });
        shown.source = None;
        let second = text(&shown);
        assert!(second.starts_with("in the configuration itself\n"), "{second}");
        assert!(second.contains("  token     of role read, minted m, renewed r\n"), "{second}");
    }
}
