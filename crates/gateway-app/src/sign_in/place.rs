//! Where people sign in: the one public origin of this gateway.
//!
//! A `Host` header is only a claim. What `DOMAIN` says holds; without it, what the first admin's sign-in
//! showed to be right; before that, a claim over TLS or of this very machine: the provider then compares the
//! address for the way back with those that it was told.

use gateway_types::Problem;

use super::SignInError;
use crate::App;
use crate::origin::{Origin, Scheme};

/// The name under which the origin is kept.
const KEPT: &str = "origin";

/// The public origin that holds for a request that came to `claimed`.
///
/// # Errors
/// A problem that says what to do, when the claim is not the gateway's address or cannot be trusted.
pub async fn origin(app: &App, claimed: &Origin) -> Result<Origin, Problem> {
    holding(app, claimed).await.map_err(Problem::from)
}

/// The same, as a fact.
pub(crate) async fn holding(app: &App, claimed: &Origin) -> Result<Origin, SignInError> {
    if let Some(domain) = app.domain.as_deref() {
        return match (claimed.scheme, host(&claimed.authority).eq_ignore_ascii_case(domain)) {
            (Scheme::Https, true) => Ok(claimed.clone()),
            (Scheme::Http, true) => Err(plain_http(claimed)),
            (Scheme::Https | Scheme::Http, false) => Err(SignInError::OtherAddress {
                right: Origin { scheme: Scheme::Https, authority: domain.to_owned() },
            }),
        };
    }
    if !claimed.is_trustworthy() {
        return Err(plain_http(claimed));
    }
    match kept(app).await? {
        Some(kept) if kept != *claimed => Err(SignInError::OtherAddress { right: kept }),
        Some(_) | None => Ok(claimed.clone()),
    }
}

/// The host of an authority, without a port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

fn plain_http(claimed: &Origin) -> SignInError {
    SignInError::PlainHttp { authority: claimed.authority.clone() }
}

/// The origin that an admin's sign-in showed to be right; `None` before the first one.
pub(crate) async fn kept(app: &App) -> Result<Option<Origin>, SignInError> {
    Ok(app.store.kept().value(KEPT).await?.as_deref().and_then(https))
}

fn https(text: &str) -> Option<Origin> {
    let authority = text.strip_prefix("https://")?.to_owned();
    Some(Origin { scheme: Scheme::Https, authority })
}

/// The origin that an admin's sign-in which came back to `redirect_uri` makes the gateway's own from now on;
/// `None` when one holds already.
///
/// Addresses of this very machine are never kept: an admin who looks through a tunnel first would lock
/// everybody else out, and nobody else can come that way.
pub(super) async fn to_be_kept(app: &App, redirect_uri: &str) -> Result<Option<Origin>, SignInError> {
    if app.domain.is_some() || kept(app).await?.is_some() {
        return Ok(None);
    }
    let authority = redirect_uri.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    Ok(authority.map(|authority| Origin { scheme: Scheme::Https, authority: authority.to_owned() }))
}

/// Keeps it. Of two at once one holds.
pub(super) async fn keep(app: &App, origin: &Origin) -> Result<(), SignInError> {
    app.store.kept().keep(KEPT, &origin.to_string()).await?;
    Ok(())
}
