//! Making a token for oneself or, as an admin, for somebody else.

use gateway_audit::Event;
use gateway_config::canonical_email;
use gateway_identity::ClientCertificate;
use gateway_store::{ApiToken, NewToken, StoreError, User};
use gateway_types::{Caller, Class, Facts, Grant, Operation, Principal, Resource, RoleSet, Secret, UserId};
use ipnet::IpNet;
use serde_json::Value;

use super::expiry::Expiry;
use super::{OwnedToken, check_dates, is_name, key_name, shown};
use crate::error::PeopleError;
use crate::rights::{beyond_giving, beyond_owner, person_behind};
use crate::users::by;
use crate::{App, Notice, Operator, record};

/// The most grants of a token, and the most apps of a grant.
const MOST_GRANTS: usize = 50;

/// A token that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    /// Its name.
    pub name: String,
    /// What it may be, none of it more than its owner.
    pub roles: RoleSet,
    /// What it is granted; empty = everything its roles may, short of class *critical*.
    pub grants: Vec<Grant>,
    /// When it ends.
    pub expiry: Expiry,
    /// Whose it is: id or e-mail address; `None` = the caller's own.
    pub owner: Option<String>,
    /// From where it may be used, as written; none = from everywhere.
    pub networks: Vec<String>,
}

/// Makes a token; its secret is shown once. `facts` are those of the request's verdict.
///
/// # Errors
/// [`PeopleError::AboveOwn`] and [`PeopleError::AboveOwner`] for roles, [`PeopleError::CriticalGrant`]
/// and [`PeopleError::CriticalForever`] for grants of critical actions, [`PeopleError::NotOwn`],
/// [`PeopleError::NobodyCalled`], what is malformed, or the store's.
///
/// # Security
/// `own_object` of the verdict and the owner found here must agree, so that nothing can be decided about
/// one person and done for another. A grant reaches class *critical* only when the very request that makes
/// it spent a fresh factor.
pub async fn issue(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    facts: &Facts,
    asked: Issue,
) -> Result<(OwnedToken, Secret<String>), PeopleError> {
    let Planned { new, event, owner, for_somebody_else } = plan(app, operator, caller, facts, asked).await?;
    record(&app.store, event).await?;
    let (token, secret) = app.store.tokens().create(new).await?;
    notify(app, operator, &token, &owner, for_somebody_else).await;
    Ok((OwnedToken { token, owner_email: Some(owner.email) }, secret))
}

/// Makes a token that has no secret: a client with the key of `certificate` is it.
///
/// # Errors
/// As [`issue`], [`PeopleError::CertificateEnded`], [`PeopleError::KeyIsBound`].
///
/// # Security
/// As [`issue`]. That the key is the owner's is the owner's word; whoever has the key gets what the token may,
/// and nothing else of its owner.
pub async fn issue_for_certificate(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    facts: &Facts,
    asked: Issue,
    certificate: &ClientCertificate,
) -> Result<OwnedToken, PeopleError> {
    if !check_dates(certificate, app.clock.now()) {
        return Err(PeopleError::CertificateEnded);
    }
    let planned = plan(app, operator, caller, facts, asked).await?;
    let Planned { new, mut event, owner, for_somebody_else } = planned;
    event.parameters.insert("certificate_key".to_owned(), key_name(certificate));
    record(&app.store, event).await?;
    let made = app.store.tokens().create_for_certificate(new, certificate.key).await;
    let token = made.map_err(|error| match error {
        StoreError::Exists => PeopleError::KeyIsBound,
        other => other.into(),
    })?;
    notify(app, operator, &token, &owner, for_somebody_else).await;
    Ok(OwnedToken { token, owner_email: Some(owner.email) })
}

/// A token that may be made, with the event that says so.
struct Planned {
    new: NewToken,
    event: Event,
    owner: User,
    for_somebody_else: bool,
}

async fn plan(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    facts: &Facts,
    asked: Issue,
) -> Result<Planned, PeopleError> {
    if !is_name(&asked.name) {
        return Err(PeopleError::BadTokenName);
    }
    let own = person_behind(caller).ok_or(PeopleError::NotOwn)?;
    let owner = owner(app, caller, asked.owner.as_deref()).await?;
    if facts.own_object && owner.id != own {
        return Err(PeopleError::NotOwn);
    }
    check_roles(caller, &owner, asked.roles)?;
    let grants = if asked.grants.is_empty() { vec![Grant::everything()] } else { asked.grants };
    check_grants(app, &grants)?;
    let critical = grants.iter().any(|grant| grant.critical);
    if critical && !facts.mfa_bound {
        return Err(PeopleError::CriticalGrant);
    }
    let expires = asked.expiry.end(app.clock.now())?;
    if critical && expires.is_none() {
        return Err(PeopleError::CriticalForever);
    }
    let networks = networks(&asked.networks)?;
    let new = NewToken { name: asked.name, roles: asked.roles, grants, creator: owner.id, expires, networks };
    let mut event = operator.event("gateway:token:create");
    event.parameters.insert("name".to_owned(), new.name.clone());
    event.parameters.insert("roles".to_owned(), new.roles.to_string());
    event.parameters.insert("creator".to_owned(), owner.id.to_string());
    event.parameters.insert("owner".to_owned(), owner.email.clone());
    event.before = Some(Value::Null);
    event.after = Some(shown(&new.name, new.roles, &new.grants, new.expires, &new.networks));
    let for_somebody_else = owner.id != own;
    Ok(Planned { new, event, owner, for_somebody_else })
}

async fn notify(app: &App, operator: &Operator<'_>, token: &ApiToken, owner: &User, for_somebody_else: bool) {
    let notice = Notice::TokenCreated {
        token: token.name.clone(),
        owner: owner.email.clone(),
        roles: token.roles,
        expires: token.expires,
        by: by(operator),
        for_somebody_else,
    };
    app.notices.notify(notice).await;
}

/// Whether a named owner is the caller: an id or an address of their own.
pub(crate) fn names_oneself(principal: &Principal, named: &str) -> bool {
    let Principal::User { id, email, .. } = principal else { return false };
    named.parse::<UserId>().is_ok_and(|named| named == *id)
        || canonical_email(named).is_ok_and(|named| *named == **email)
}

async fn owner(app: &App, caller: &Caller, named: Option<&str>) -> Result<User, PeopleError> {
    let users = app.store.users();
    let found = match named {
        None => users.by_id(person_behind(caller).ok_or(PeopleError::NotOwn)?).await?,
        Some(named) => match named.parse::<UserId>() {
            Ok(id) => users.by_id(id).await?,
            Err(_not_an_id) => match canonical_email(named) {
                Ok(email) => users.by_email(&email).await?,
                Err(_not_an_address) => None,
            },
        },
    };
    found.ok_or_else(|| match named {
        Some(named) => PeopleError::NobodyCalled(named.chars().take(200).collect()),
        None => PeopleError::NoSuchPerson,
    })
}

fn check_roles(caller: &Caller, owner: &User, roles: RoleSet) -> Result<(), PeopleError> {
    if roles.is_empty() {
        return Err(PeopleError::NoRole);
    }
    // One's own tokens: the next check says the same, in better words.
    if person_behind(caller) != Some(owner.id) {
        let beyond = beyond_giving(caller, roles);
        if !beyond.is_empty() {
            return Err(PeopleError::AboveOwn(beyond));
        }
    }
    let beyond = beyond_owner(owner.roles, roles);
    if beyond.is_empty() {
        Ok(())
    } else {
        Err(PeopleError::AboveOwner { roles: beyond, owner: owner.email.clone() })
    }
}

pub(super) fn networks(written: &[String]) -> Result<Vec<IpNet>, PeopleError> {
    crate::workloads::rules::networks(written).map_err(PeopleError::BadNetwork)
}

/// Every grant must name something: one that names nothing is a slip, and may come to name something that
/// nobody thought of.
pub(crate) fn check_grants(app: &App, grants: &[Grant]) -> Result<(), PeopleError> {
    if grants.len() > MOST_GRANTS || grants.iter().any(|grant| grant.apps.len() > MOST_GRANTS) {
        return Err(PeopleError::TooManyGrants(MOST_GRANTS));
    }
    let policy = app.policy();
    let bad = grants.iter().find(|grant| {
        !(grant.apps.iter().all(|app| is_app(app))
            && policy.operations().iter().any(|operation| names(grant, operation)))
    });
    match bad {
        Some(grant) => Err(PeopleError::BadGrant(Grant {
            actions: grant.actions.chars().filter(|c| !c.is_control()).take(200).collect(),
            ..grant.clone()
        })),
        None => Ok(()),
    }
}

fn names(grant: &Grant, operation: &Operation) -> bool {
    let anywhere = Grant { apps: Vec::new(), ..grant.clone() };
    anywhere.covers(&operation.action, Class::Read, &Resource::gateway())
}

/// An empty name would make a list that limits nothing.
fn is_app(app: &str) -> bool {
    (1..=100).contains(&app.len())
        && app.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
