//! `tokens create`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use gateway_app::AppError;
use gateway_app::people::at_first_sight;
use gateway_app::tokens::{TokenRequest, create, create_for_certificate};
use gateway_config::{Config, ConfigFaults, load};
use gateway_convox::RouteTable;
use gateway_identity::ClientCertificate;
use gateway_policy::OwnTable;
use gateway_store::{User, canonical_email};
use gateway_types::{Grant, Operation, Role, RoleSet};
use serde::Serialize;

use super::grant::TypedGrant;
use super::listing::{self, Shown};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, remark};

/// The arguments of `tokens create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArguments {
    /// What the token is for, as it will stand in the log
    #[arg(long)]
    pub(crate) name: String,
    /// viewer, ops, deployer, admin, auditor or cicd; may be repeated
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub(crate) roles: Vec<Role>,
    /// What it may do: an action or a beginning with a star, and apps behind an @; may be repeated.
    /// Without any, everything its role may short of class critical
    #[arg(long = "grant", value_name = "ACTIONS[@APP,APP]")]
    pub(crate) grants: Vec<TypedGrant>,
    /// The grants also reach class critical (at a gateway only)
    #[arg(long, requires = "grants")]
    pub(crate) critical: bool,
    /// Whose it is: it never may more than this person [default: oneself; on the server's own machine the
    /// first of ADMIN_USERS]
    #[arg(long = "for", value_name = "EMAIL")]
    pub(crate) creator: Option<String>,
    /// When it ends by itself: such as 90d or 12h, or never
    #[arg(long, value_name = "AGE", default_value = "90d", value_parser = parse_lifetime)]
    pub(crate) expires: Lifetime,
    /// A file with a client certificate in PEM: the token has no secret, and a client that proves to hold the
    /// certificate's key is it. The gateway asks for certificates with `listener.client_certificates`
    #[arg(long, value_name = "FILE", conflicts_with = "quiet")]
    pub(crate) certificate: Option<PathBuf>,
    /// From where it may be used, such as 203.0.113.0/24; may be repeated [default: from everywhere]
    #[arg(long = "network", value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
    /// Print the token and nothing else
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// How long a token lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lifetime {
    /// This long.
    Limited(Duration),
    /// Until it is revoked.
    Unlimited,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest lifetime that is not `never`, in days.
const MOST_DAYS: u32 = 3650;

/// Reads `90d`, what durations are in the configuration, or `never`.
pub(super) fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime::Unlimited);
    }
    let age = match text.strip_suffix('d') {
        Some(days) => days.parse::<u32>().ok().and_then(|days| DAY.checked_mul(days)),
        None => gateway_config::duration::parse_duration(text),
    };
    match age {
        Some(age) if !age.is_zero() && age <= DAY * MOST_DAYS => Ok(Lifetime::Limited(age)),
        _ => Err(format!("write an age such as 90d or 12h, at most {MOST_DAYS}d, or never")),
    }
}

/// A new token with its secret.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    shown: Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// What a client certificate's file says.
pub(in crate::commands) fn read_certificate(path: &Path) -> Result<String, Failure> {
    let fault = |why: String| Failure::new(Exit::Usage, format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    // A private key in the same file stays here: only the certificate is sent.
    let begin = text.find("-----BEGIN CERTIFICATE-----");
    let end = text.find(END_OF_CERTIFICATE).map(|at| at + END_OF_CERTIFICATE.len());
    let pem = begin.zip(end).and_then(|(begin, end)| text.get(begin..end)).unwrap_or_default();
    ClientCertificate::from_pem(pem).map_err(|why| fault(why.to_string()))?;
    Ok(pem.to_owned())
}

const END_OF_CERTIFICATE: &str = "-----END CERTIFICATE-----";

/// Makes a token and prints its secret.
pub(super) async fn run(context: &Context, arguments: CreateArguments) -> Result<(), Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    let creator = creator(context, &local, &arguments).await?;
    warn_of_unknown(&arguments.grants)?;
    let pem = arguments.certificate.as_deref().map(read_certificate).transpose()?;
    let certificate = pem.as_deref().and_then(|pem| ClientCertificate::from_pem(pem).ok());
    let expires = match arguments.expires {
        Lifetime::Limited(age) => Some(local.now().saturating_add(age)),
        Lifetime::Unlimited => None,
    };
    let request = TokenRequest {
        name: arguments.name,
        roles: arguments.roles.iter().copied().collect::<RoleSet>(),
        grants: arguments.grants.into_iter().map(|typed| typed.0).collect(),
        creator: creator.id,
        expires,
        networks: gateway_app::workloads::rules::networks(&arguments.networks).map_err(|bad| {
            Failure::new(Exit::Usage, format!("`{bad}` is no network; write it as 203.0.113.0/24"))
        })?,
    };
    let (token, secret) = match certificate {
        None => {
            let (token, secret) = create(&local.store, &local.operator(), request).await?;
            (token, Some(secret.expose().clone()))
        }
        Some(certificate) => {
            let made = create_for_certificate(&local.store, &local.operator(), request, &certificate).await?;
            (made, None)
        }
    };
    let shown = listing::shown(&local, &token).await?;
    local.close().await;
    if let (true, Format::Text, Some(secret)) = (arguments.quiet, context.output.format, &secret) {
        return context.output.line(secret);
    }
    let made = Made { shown, token: secret };
    context.output.answer(&made, || match &made.token {
        Some(secret) => format!(
            "{secret}\n\nThis is the only time it is shown; the gateway keeps its hash.\n{}",
            about(&made.shown)
        ),
        None => format!("{NO_SECRET}\n{}", about(&made.shown)),
    })
}

/// What is said instead of a secret.
pub(super) const NO_SECRET: &str =
    "It has no secret: a client that presents the certificate, or another one with the same key, is it.";

fn about(shown: &Shown) -> String {
    let expires = shown.expires.as_deref().unwrap_or("never");
    format!(
        "  id       {}\n  name     {}\n  roles    {}\n  grants   {}\n  for      {}\n  expires  {expires}\n",
        shown.id,
        shown.name,
        shown.roles,
        shown.grants_text(),
        shown.creator,
    )
}

/// Whose the token will be: a person with a row, or one whom the configuration's lists name.
async fn creator(
    context: &Context,
    local: &LocalStore,
    arguments: &CreateArguments,
) -> Result<User, Failure> {
    let configured = || load(context.config.clone(), arguments.place.flags());
    let email = match &arguments.creator {
        Some(email) => canonical_email(email),
        None => configured().map_err(nobody_named)?.users.admin.first().cloned().ok_or_else(|| {
            Failure::new(Exit::Usage, "it is not said whose the token shall be")
                .hint("name the person with --for EMAIL, or list somebody in ADMIN_USERS")
        })?,
    };
    if let Some(user) = local.store.users().by_email(&email).await? {
        return Ok(user);
    }
    let listed = configured().map(|config: Config| config.users.roles_of(&email)).unwrap_or_default();
    if listed.is_empty() {
        return Err(AppError::UnknownPerson { email }.into());
    }
    Ok(at_first_sight(&local.store, &local.operator(), &email, listed).await?.into_user())
}

fn nobody_named(faults: ConfigFaults) -> Failure {
    Failure::from(faults)
        .hint("name the person with --for EMAIL, or run this with the gateway's own configuration")
}

/// A grant that nothing answers to is allowed, because the configuration may add rows, but it is
/// most likely a slip.
pub(super) fn warn_of_unknown(grants: &[TypedGrant]) -> Result<(), Failure> {
    let mut operations: Vec<Operation> = RouteTable::builtin()?.operations();
    operations.extend(OwnTable::builtin()?.operations());
    for TypedGrant(Grant { actions, .. }) in grants {
        let known = operations.iter().any(|operation| match actions.strip_suffix('*') {
            Some(prefix) => operation.action.as_str().starts_with(prefix),
            None => operation.action.as_str() == actions,
        });
        if !known {
            remark(&format!(
                "warning: no built-in operation is called `{actions}`, so this grant allows nothing by itself"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Lifetime>) {
        assert_eq!(parse_lifetime(text).ok(), expected, "{text}");
    }

    #[test]
    fn lifetimes() {
        check("90d", Some(Lifetime::Limited(DAY * 90)));
        check("12h", Some(Lifetime::Limited(DAY / 2)));
        check("never", Some(Lifetime::Unlimited));
        for bad in ["", "0d", "0s", "-1d", "90", "d", "4000d", "99999999999d", "1d12h", "forever"] {
            check(bad, None);
        }
    }
}
