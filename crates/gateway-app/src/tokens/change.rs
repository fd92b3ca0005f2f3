//! Changes of a token that is there: less, another secret, the end.

use std::time::Duration;

use gateway_identity::ClientCertificate;
use gateway_store::{ApiToken, PresentedBy, StoreError, TokenChange};
use gateway_types::{Caller, Grant, Principal, RoleSet, Secret, TokenId};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::expiry::{Expiry, LONGEST_OVERLAP};
use super::issue::{check_grants, networks};
use super::{OwnedToken, is_name, shown};
use crate::error::PeopleError;
use crate::rights::{Expected, are_within, beyond};
use crate::{App, Operator, record};

/// A change that is asked for; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Narrowing {
    /// Another name.
    pub name: Option<String>,
    /// Fewer or lower roles, at least one.
    pub roles: Option<RoleSet>,
    /// Fewer or smaller grants, at least one.
    pub grants: Option<Vec<Grant>>,
    /// An earlier end.
    pub expiry: Option<Expiry>,
    /// Fewer or smaller networks, as written.
    pub networks: Option<Vec<String>>,
}

/// A token, live or not.
///
/// # Errors
/// [`PeopleError::NoSuchToken`], or the store's.
pub async fn read(app: &App, id: TokenId) -> Result<OwnedToken, PeopleError> {
    let token = app.store.tokens().by_id(id).await?.ok_or(PeopleError::NoSuchToken)?;
    owned(app, token).await
}

async fn owned(app: &App, token: ApiToken) -> Result<OwnedToken, PeopleError> {
    let owner = app.store.users().by_id(token.creator).await?;
    Ok(OwnedToken { token, owner_email: owner.map(|owner| owner.email) })
}

async fn live(app: &App, id: TokenId) -> Result<ApiToken, PeopleError> {
    let token = app.store.tokens().by_id(id).await?.ok_or(PeopleError::NoSuchToken)?;
    if token.is_live(app.clock.now()) { Ok(token) } else { Err(PeopleError::TokenEnded) }
}

/// Takes rights or time from a token, or names it anew.
///
/// # Errors
/// [`PeopleError::Wider`] for anything that would give it more, [`PeopleError::NoSuchToken`],
/// [`PeopleError::TokenEnded`], what is malformed, or the store's: [`StoreError::Conflict`] when somebody
/// changed it since.
pub async fn narrow(
    app: &App,
    operator: &Operator<'_>,
    id: TokenId,
    expected: Expected,
    asked: Narrowing,
) -> Result<OwnedToken, PeopleError> {
    let before = live(app, id).await?;
    let version = expected.version(before.version);
    if version != before.version {
        return Err(StoreError::Conflict.into());
    }
    let change = narrower(app, &before, asked)?;
    let mut event = operator.event("gateway:token:update");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("name".to_owned(), before.name.clone());
    event.before = Some(shown(&before.name, before.roles, &before.grants, before.expires, &before.networks));
    event.after = Some(shown(
        change.name.as_deref().unwrap_or(&before.name),
        change.roles.unwrap_or(before.roles),
        change.grants.as_deref().unwrap_or(&before.grants),
        change.expires.or(before.expires),
        change.networks.as_deref().unwrap_or(&before.networks),
    ));
    record(&app.store, event).await?;
    let after = app.store.tokens().update(id, &change, version).await.map_err(ended)?;
    owned(app, after).await
}

/// Whether every address of `new` is one of `old`. An empty list is every address.
fn are_networks_within(new: &[IpNet], old: &[IpNet]) -> bool {
    old.is_empty() || (!new.is_empty() && new.iter().all(|new| old.iter().any(|old| old.contains(new))))
}

fn narrower(app: &App, before: &ApiToken, asked: Narrowing) -> Result<TokenChange, PeopleError> {
    if asked.name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(PeopleError::BadTokenName);
    }
    if let Some(roles) = asked.roles {
        if roles.is_empty() {
            return Err(PeopleError::NoRole);
        }
        if !beyond(before.roles, roles).is_empty() {
            return Err(PeopleError::Wider("roles"));
        }
    }
    if let Some(grants) = &asked.grants {
        check_grants(app, grants)?;
        // None would be a token that lives and can do nothing; that is what revoking is for.
        if grants.is_empty() || !are_within(grants, &before.grants) {
            return Err(PeopleError::Wider("grants"));
        }
    }
    let expires = match asked.expiry {
        None => None,
        Some(expiry) => {
            let end = expiry.end(app.clock.now())?.ok_or(PeopleError::Wider("life"))?;
            if before.expires.is_some_and(|before| end > before) {
                return Err(PeopleError::Wider("life"));
            }
            Some(end)
        }
    };
    let networks = asked.networks.as_deref().map(networks).transpose()?;
    if networks.as_deref().is_some_and(|after| !are_networks_within(after, &before.networks)) {
        return Err(PeopleError::Wider("networks"));
    }
    Ok(TokenChange { name: asked.name, roles: asked.roles, grants: asked.grants, expires, networks })
}

/// Gives a token a new secret, which is shown once, or binds it to the key of another certificate. What it had is good
/// for `overlap` more (at most [`LONGEST_OVERLAP`]); zero ends it at once.
///
/// # Errors
/// [`PeopleError::BadOverlap`], [`PeopleError::NoSuchToken`], [`PeopleError::TokenEnded`],
/// [`PeopleError::OverlapRuns`], [`PeopleError::NoSecret`] for a token that a certificate stands for when none is given,
/// [`PeopleError::CertificateEnded`], [`PeopleError::KeyIsBound`], or the store's.
///
/// # Security
/// While two secrets are good, the token itself cannot rotate: whoever holds the old one could turn the
/// rightful holder out. Its owner can. Nor does a token bind itself to a certificate, or choose who else is it.
pub async fn rotate(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: TokenId,
    overlap: Duration,
    certificate: Option<&ClientCertificate>,
) -> Result<(OwnedToken, Option<Secret<String>>), PeopleError> {
    if overlap > LONGEST_OVERLAP {
        return Err(PeopleError::BadOverlap);
    }
    let before = live(app, id).await?;
    let now = app.clock.now();
    match (before.presented_by, certificate) {
        (PresentedBy::Certificate, None) => return Err(PeopleError::NoSecret),
        (_, Some(certificate)) if !super::check_dates(certificate, now) => {
            return Err(PeopleError::CertificateEnded);
        }
        (PresentedBy::Secret | PresentedBy::Certificate, _) => {}
    }
    let itself = matches!(&caller.principal, Principal::ApiToken { id: own, .. } if *own == id);
    if itself && certificate.is_some() {
        return Err(PeopleError::NotOwn);
    }
    if itself && before.overlap_ends.is_some_and(|ends| now < ends) {
        return Err(PeopleError::OverlapRuns);
    }
    let mut event = operator.event("gateway:token:rotate");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("name".to_owned(), before.name.clone());
    if let Some(certificate) = certificate {
        event.parameters.insert("certificate_key".to_owned(), super::key_name(certificate));
    }
    event.after = Some(json!({ "old_secret_good_until": now.saturating_add(overlap).to_rfc3339() }));
    record(&app.store, event).await?;
    let tokens = app.store.tokens();
    let (after, secret) = match certificate {
        Some(certificate) => {
            let rotated = tokens.rotate_to_certificate(id, certificate.key, overlap, before.version).await;
            (rotated.map_err(ended)?, None)
        }
        None => {
            let (after, secret) = tokens.rotate(id, overlap, before.version).await.map_err(ended)?;
            (after, Some(secret))
        }
    };
    Ok((owned(app, after).await?, secret))
}

/// Ends a token at once: it is refused from its next request on, and its open streams end within seconds.
/// Ending it again changes nothing.
///
/// # Errors
/// [`PeopleError::NoSuchToken`], or the store's.
pub async fn end(app: &App, operator: &Operator<'_>, id: TokenId) -> Result<(), PeopleError> {
    let before = app.store.tokens().by_id(id).await?.ok_or(PeopleError::NoSuchToken)?;
    let mut event = operator.event("gateway:token:revoke");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("name".to_owned(), before.name.clone());
    event.before = Some(shown(&before.name, before.roles, &before.grants, before.expires, &before.networks));
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    Ok(app.store.tokens().revoke(id).await?)
}

fn ended(error: StoreError) -> PeopleError {
    match error {
        StoreError::NotFound => PeopleError::TokenEnded,
        StoreError::Exists => PeopleError::KeyIsBound,
        other => other.into(),
    }
}
