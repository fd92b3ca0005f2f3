//! `tokens` at a gateway, under its policy.

use gateway_client::text::one_line;
use gateway_client::{TokenScope, etag};
use gateway_types::wire::tokens::{CreateToken, RotateToken, Token, TokenSecret, UpdateToken};
use gateway_types::{Clock as _, Grant, SystemClock, TokenId};
use serde::Serialize;

use super::create::{CreateArguments, Lifetime, NO_SECRET, read_certificate, warn_of_unknown};
use super::grant::{TypedGrant, typed};
use super::listing::ListArguments;
use super::{RevokeArguments, RotateArguments, UpdateArguments};
use crate::Context;
use crate::commands::listing::{every, minute};
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::output::Format;
use crate::remote::{Remote, Target};
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// A token with its secret, as `tokens create` on the server's own machine writes it too.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    shown: &'a Token,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct Revoked<'a> {
    id: &'a str,
    name: &'a str,
    state: &'static str,
}

pub(super) async fn list(
    context: &Context,
    target: Target,
    arguments: &ListArguments,
) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    let scope = TokenScope { everyone: arguments.everyone, live_only: !arguments.all };
    let search = arguments.search.as_deref();
    let tokens = every(&remote, search, async |client, page| client.tokens(scope, page).await).await?;
    let mut rows = Rows::new(&["NAME", "ID", "STATE", "ROLES", "GRANTS", "FOR", "EXPIRES", "LAST USED"]);
    for token in &tokens {
        rows.add(vec![
            token.name.clone(),
            token.id.clone(),
            token.state.clone(),
            token.roles.to_string(),
            grants_text(token),
            token.owner_email.clone().unwrap_or_else(|| token.owner.clone()),
            minute(token.expires.as_deref(), "never"),
            used(token),
        ]);
    }
    context.output.listing(&tokens, &rows, "there are no tokens")
}

pub(super) async fn create(
    context: &Context,
    target: Target,
    arguments: CreateArguments,
) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    warn_of_unknown(&arguments.grants)?;
    let grants =
        arguments.grants.into_iter().map(|TypedGrant(grant)| Grant { critical: arguments.critical, ..grant });
    let draft = CreateToken {
        name: arguments.name,
        roles: arguments.roles.iter().copied().collect(),
        grants: grants.map(Into::into).collect(),
        expires: Some(moment(arguments.expires)),
        owner: arguments.creator,
        certificate: arguments.certificate.as_deref().map(read_certificate).transpose()?,
        networks: arguments.networks,
    };
    let made = remote.ask(async |client| client.create_token(&draft).await).await?;
    show_secret(context, &made, arguments.quiet)
}

pub(super) async fn rotate(context: &Context, arguments: &RotateArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    let id = find(&remote, &arguments.token).await?.id;
    let rotation = RotateToken {
        overlap: arguments.overlap.clone(),
        certificate: arguments.certificate.as_deref().map(read_certificate).transpose()?,
    };
    let made = remote.ask(async |client| client.rotate_token(&id, &rotation).await).await?;
    show_secret(context, &made, arguments.quiet)
}

pub(super) async fn update(context: &Context, arguments: UpdateArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    let before = find(&remote, &arguments.token).await?;
    warn_of_unknown(&arguments.grants)?;
    // What reached class critical before goes on doing so: this command only takes away.
    let reached =
        |grant: &Grant| before.grants.iter().any(|had| had.critical && had.actions == grant.actions);
    let grants = arguments.grants.into_iter().map(|TypedGrant(grant)| {
        let critical = reached(&grant);
        Grant { critical, ..grant }.into()
    });
    let grants: Vec<_> = grants.collect();
    let update = UpdateToken {
        name: arguments.name,
        roles: (!arguments.roles.is_empty()).then(|| arguments.roles.into_iter().collect()),
        grants: (!grants.is_empty()).then_some(grants),
        expires: arguments.expires.map(moment),
        networks: (!arguments.networks.is_empty()).then_some(arguments.networks),
    };
    let version = etag(before.version);
    let token = remote.ask(async |client| client.update_token(&before.id, &version, &update).await).await?;
    context.output.answer(&token, || format!("changed\n{}", about(&token)))
}

pub(super) async fn revoke(
    context: &Context,
    target: Target,
    arguments: &RevokeArguments,
) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    let token = find(&remote, &arguments.token).await?;
    let question = format!("the token {} is refused from its next request on", one_line(&token.name));
    waiting(|| context.terminal.confirm(&question, Assent::of(arguments.yes)))?;
    remote.ask(async |client| client.revoke_token(&token.id).await).await?;
    let answer = Revoked { id: &token.id, name: &token.name, state: "revoked" };
    context.output.answer(&answer, || format!("revoked {} ({})", one_line(answer.name), one_line(answer.id)))
}

/// The token with this name or id: one's own, else of those that the caller may see.
async fn find(remote: &Remote, wanted: &str) -> Result<Token, Failure> {
    let search = wanted.parse::<TokenId>().is_err().then_some(wanted);
    let mut refused = None;
    for everyone in [false, true] {
        let scope = TokenScope { everyone, live_only: true };
        let tokens = match every(remote, search, async |client, page| client.tokens(scope, page).await).await
        {
            Ok(tokens) => tokens,
            // Whoever may not see the tokens of others has looked at all there are.
            Err(failure) if everyone && failure.exit() == Exit::Refused => {
                refused = Some(failure);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let mut found = tokens.into_iter().filter(|token| token.name == wanted || token.id == wanted);
        match (found.next(), found.next()) {
            (Some(token), None) => return Ok(token),
            (Some(_), Some(_)) => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("more than one live token is called `{wanted}`"),
                )
                .hint("name it by its id, which `rack-gateway tokens list` shows"));
            }
            (None, _) => {}
        }
    }
    let whose = if refused.is_some() { "you have no live token" } else { "there is no live token" };
    Err(Failure::new(Exit::Failed, format!("{whose} with the name or id `{wanted}`"))
        .hint("`rack-gateway tokens list` shows them"))
}

/// A moment, because that is what every gateway understands alike.
fn moment(lifetime: Lifetime) -> String {
    match lifetime {
        Lifetime::Limited(age) => SystemClock.now().saturating_add(age).to_rfc3339(),
        Lifetime::Unlimited => "never".to_owned(),
    }
}

fn show_secret(context: &Context, made: &TokenSecret, quiet: bool) -> Result<(), Failure> {
    if let (true, Format::Text, Some(secret)) = (quiet, context.output.format, &made.secret) {
        return context.output.line(&one_line(secret));
    }
    let answer = Made { shown: &made.token, token: made.secret.as_deref() };
    context.output.answer(&answer, || match &made.secret {
        Some(secret) => format!(
            "{}\n\nThis is the only time it is shown; the gateway keeps its hash.\n{}",
            one_line(secret),
            about(&made.token)
        ),
        None => format!("{NO_SECRET}\n{}", about(&made.token)),
    })
}

/// When and from where a token was last used.
fn used(token: &Token) -> String {
    let when = minute(token.last_used.as_deref(), "never");
    match (&token.last_used, &token.last_used_ip) {
        (Some(_), Some(ip)) => format!("{when} from {ip}"),
        (None, _) | (Some(_), None) => when,
    }
}

fn grants_text(token: &Token) -> String {
    let typed: Vec<String> = token.grants.iter().map(|grant| typed(&grant.clone().into())).collect();
    typed.join(" ")
}

fn about(token: &Token) -> String {
    let mut lines = Lines::default();
    lines.line("id", &token.id);
    lines.line("name", &token.name);
    lines.line("roles", &token.roles.to_string());
    lines.line("grants", &grants_text(token));
    lines.line("for", token.owner_email.as_deref().unwrap_or(&token.owner));
    lines.line("expires", token.expires.as_deref().unwrap_or("never"));
    if !token.networks.is_empty() {
        lines.line("networks", &token.networks.join(" "));
    }
    if let Some(ends) = &token.overlap_ends {
        lines.line("before", &format!("the secret before is good until {ends}"));
    }
    lines.to_string()
}
