//! API tokens: made, listed, changed, revoked; each change an event before it is made.
//!
//! [`issue()`], [`narrow`], [`rotate`] and [`end`] are for people who sign in, and hold the rules that bind
//! them. [`create`] and [`revoke`] are for whoever has a shell on the server's machine.

use data_encoding::HEXLOWER;
use gateway_audit::Event;
use gateway_identity::ClientCertificate;
use gateway_store::{ApiToken, NewToken, Store, StoreError, TokenFilter};
use gateway_types::{Grant, RoleSet, Secret, Timestamp, TokenId, UserId};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::error::AppError;
use crate::{Operator, record};

mod change;
mod ending;
mod expiry;
mod issue;
mod listing;

pub use change::{Narrowing, end, narrow, read, rotate};
pub use ending::warn_of_ends;
pub(crate) use expiry::days_or_duration;
pub use expiry::{Expiry, LONGEST_LIFE, LONGEST_OVERLAP, USUAL_LIFE, USUAL_OVERLAP, overlap};
pub use issue::{Issue, issue, issue_for_certificate};
pub use listing::{OwnedToken, Scope, page};

pub(crate) use issue::{check_grants, names_oneself};

/// A token that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRequest {
    /// Its name.
    pub name: String,
    /// The roles it gets. Its rights are never more than its creator's.
    pub roles: RoleSet,
    /// What it is granted; empty means everything its role may, short of class *critical*.
    pub grants: Vec<Grant>,
    /// Whose it is.
    pub creator: UserId,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// From where it may be used; none = from everywhere.
    pub networks: Vec<IpNet>,
}

/// Makes a token; its secret is shown once.
///
/// # Errors
/// [`AppError::BadTokenName`], [`AppError::NoRole`], or the store's.
///
/// # Security
/// A grant never reaches class *critical* here: that takes a bound step-up of the creator.
pub async fn create(
    store: &Store,
    operator: &Operator<'_>,
    request: TokenRequest,
) -> Result<(ApiToken, Secret<String>), AppError> {
    let (new, event) = plan(operator, request)?;
    record(store, event).await?;
    Ok(store.tokens().create(new).await?)
}

/// Makes a token that has no secret: a client with the key of `certificate` is it.
///
/// # Errors
/// As [`create`], [`AppError::CertificateEnded`], [`AppError::KeyIsBound`].
pub async fn create_for_certificate(
    store: &Store,
    operator: &Operator<'_>,
    request: TokenRequest,
    certificate: &ClientCertificate,
) -> Result<ApiToken, AppError> {
    if !check_dates(certificate, operator.clock.now()) {
        return Err(AppError::CertificateEnded);
    }
    let (new, mut event) = plan(operator, request)?;
    event.parameters.insert("certificate_key".to_owned(), key_name(certificate));
    record(store, event).await?;
    let made = store.tokens().create_for_certificate(new, certificate.key).await;
    made.map_err(|error| match error {
        StoreError::Exists => AppError::KeyIsBound,
        other => other.into(),
    })
}

/// What events call the key of a certificate.
fn key_name(certificate: &ClientCertificate) -> String {
    HEXLOWER.encode(&certificate.key.0)
}

/// One that is not valid yet may be bound; one that is over would be a token that can never be used.
fn check_dates(certificate: &ClientCertificate, now: Timestamp) -> bool {
    now <= certificate.not_after
}

fn plan(operator: &Operator<'_>, request: TokenRequest) -> Result<(NewToken, Event), AppError> {
    if !is_name(&request.name) {
        return Err(AppError::BadTokenName);
    }
    if request.roles.is_empty() {
        return Err(AppError::NoRole);
    }
    let mut grants = if request.grants.is_empty() { vec![Grant::everything()] } else { request.grants };
    for grant in &mut grants {
        grant.critical = false;
    }
    let mut event = operator.event("gateway:token:create");
    event.parameters.insert("name".to_owned(), request.name.clone());
    event.parameters.insert("roles".to_owned(), request.roles.to_string());
    event.parameters.insert("creator".to_owned(), request.creator.to_string());
    event.after = serde_json::to_value(&grants).ok();
    let new = NewToken {
        name: request.name,
        roles: request.roles,
        grants,
        creator: request.creator,
        expires: request.expires,
        networks: request.networks,
    };
    Ok((new, event))
}

/// A token as events show it.
fn shown(
    name: &str,
    roles: RoleSet,
    grants: &[Grant],
    expires: Option<Timestamp>,
    networks: &[IpNet],
) -> Value {
    json!({
        "name": name,
        "roles": roles.to_string(),
        "grants": grants,
        "expires": expires.map(Timestamp::to_rfc3339),
        "networks": networks,
    })
}

pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._:@/-".contains(c);
    (1..=100).contains(&name.len()) && name.chars().all(allowed) && name.trim() == name
}

/// One page of tokens.
///
/// # Errors
/// Only the store's.
pub async fn list(store: &Store, filter: &TokenFilter) -> Result<gateway_store::Page<ApiToken>, AppError> {
    Ok(store.tokens().list(filter).await?)
}

/// Finds a token by its id, or by its name when exactly one live token has it.
///
/// # Errors
/// [`AppError::UnknownToken`], [`AppError::AmbiguousToken`], or the store's.
pub async fn find(store: &Store, id_or_name: &str) -> Result<ApiToken, AppError> {
    if let Ok(id) = id_or_name.parse::<TokenId>() {
        return store.tokens().by_id(id).await?.ok_or_else(|| AppError::UnknownToken(id_or_name.to_owned()));
    }
    let filter = TokenFilter {
        search: Some(id_or_name.to_owned()),
        live_only: true,
        limit: 1000,
        ..TokenFilter::default()
    };
    let named: Vec<ApiToken> = store
        .tokens()
        .list(&filter)
        .await?
        .items
        .into_iter()
        .filter(|token| token.name == id_or_name)
        .collect();
    match named.len() {
        0 => Err(AppError::UnknownToken(id_or_name.to_owned())),
        1 => named.into_iter().next().ok_or_else(|| AppError::UnknownToken(id_or_name.to_owned())),
        count => Err(AppError::AmbiguousToken { name: id_or_name.to_owned(), count }),
    }
}

/// Revokes a token. It is refused from the next request on, and its open streams end within seconds.
///
/// # Errors
/// [`AppError::UnknownToken`], [`AppError::AmbiguousToken`], or the store's.
pub async fn revoke(store: &Store, operator: &Operator<'_>, id_or_name: &str) -> Result<ApiToken, AppError> {
    let token = find(store, id_or_name).await?;
    let mut event = operator.event("gateway:token:revoke");
    event.parameters.insert("id".to_owned(), token.id.to_string());
    event.parameters.insert("name".to_owned(), token.name.clone());
    record(store, event).await?;
    store.tokens().revoke(token.id).await?;
    Ok(token)
}
