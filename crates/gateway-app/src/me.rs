//! The caller themselves: who they are, what they can confirm with, what they can do.

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_store::Session;
use gateway_types::{Caller, Facts, Operation, Principal, Resource, Timestamp};

use crate::App;
use crate::error::PeopleError;
use crate::factors::FactorError;
use crate::factors::account;

/// What a person can confirm with, and what of it counts now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecondFactor {
    /// Second factors are asked for at all (the setting `mfa_step_up`).
    pub asked_for: bool,
    /// How many authenticators count.
    pub factors: usize,
    /// Backup codes that are not used yet.
    pub backup_codes_left: u64,
    /// How long a step-up counts.
    pub window: Duration,
    /// When this session last stepped up, if that still counts.
    pub stepped_up: Option<Timestamp>,
}

/// What is known of the credential that asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Me {
    /// For a person: what they can confirm with.
    pub second_factor: Option<SecondFactor>,
    /// For a person: the session.
    pub session: Option<Session>,
    /// When the credential ends by itself; `None` = never.
    pub expires: Option<Timestamp>,
}

/// What is known of the caller.
///
/// # Errors
/// Only the store's.
pub async fn read(app: &App, caller: &Caller) -> Result<Me, PeopleError> {
    match &caller.principal {
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => {
            Ok(Me { second_factor: None, session: None, expires: None })
        }
        Principal::ApiToken { id, .. } => {
            let token = app.store.tokens().by_id(*id).await?;
            Ok(Me { second_factor: None, session: None, expires: token.and_then(|token| token.expires) })
        }
        Principal::User { id, session, .. } => {
            let window = app.settings.step_up_window();
            let standing = account::standing(app, *id).await.map_err(of_factors)?;
            let stepped_up = app.store.step_ups().standing(*id, *session, window).await?.window;
            let session = app.store.sessions().by_id(*session).await?;
            Ok(Me {
                second_factor: Some(SecondFactor {
                    asked_for: app.settings.mfa_step_up(),
                    factors: standing.confirmed(),
                    backup_codes_left: standing.backup_codes_left,
                    window,
                    stepped_up: stepped_up.map(|window| window.opened),
                }),
                expires: session.as_ref().map(|session| session.expires),
                session,
            })
        }
    }
}

/// Looking at factors can only fail at the store.
fn of_factors(error: FactorError) -> PeopleError {
    match error {
        FactorError::Store(error) => error.into(),
        FactorError::Record(error) => error.into(),
        FactorError::UnknownPerson(_)
        | FactorError::Approval(_)
        | FactorError::UnknownFactor(_)
        | FactorError::TooMany
        | FactorError::WrongCode
        | FactorError::BadName
        | FactorError::NotAPerson
        | FactorError::NotACode
        | FactorError::TooManyTries { .. }
        | FactorError::NoFactor
        | FactorError::NoPasskey
        | FactorError::KnownKey
        | FactorError::Passkey(_)
        | FactorError::NoCeremony
        | FactorError::NoYubico
        | FactorError::NotAnOtp
        | FactorError::WrongOtp
        | FactorError::Yubico(_)
        | FactorError::Place(_) => PeopleError::NoSuchPerson,
    }
}

/// Whether rights about one's own objects are looked at as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnObjects {
    /// Yes: what the caller can do at all.
    Count,
    /// No: what the caller can do to others' objects.
    Ignore,
}

/// Every action of both tables that the caller could do once they gave every factor they can: to the
/// gateway, to the rack as a whole or, for a token, to an app that a grant names. Sorted.
pub fn permissions(app: &App, caller: &Caller, own_objects: OwnObjects) -> Vec<String> {
    let policy = app.policy();
    let could = |operation: &Operation, resource: &Resource| {
        let decide = |own_object| {
            let facts = Facts { own_object, ..app.best_facts(caller, resource) };
            policy.decide(caller, operation, resource, &facts).is_allowed()
        };
        decide(false) || (own_objects == OwnObjects::Count && decide(true))
    };
    let actions: BTreeSet<&str> = policy
        .operations()
        .iter()
        .filter(|operation| resources(caller, operation).iter().any(|resource| could(operation, resource)))
        .map(|operation| operation.action.as_str())
        .collect();
    actions.into_iter().map(str::to_owned).collect()
}

/// Every action that the caller could do on this app once they gave every factor they can. Sorted.
pub fn permissions_on(app: &App, caller: &Caller, resource: &Resource) -> Vec<String> {
    let policy = app.policy();
    let facts = app.best_facts(caller, resource);
    let could = |operation: &&Operation| policy.decide(caller, operation, resource, &facts).is_allowed();
    let actions: BTreeSet<&str> =
        policy.operations().iter().filter(could).map(|operation| operation.action.as_str()).collect();
    actions.into_iter().map(str::to_owned).collect()
}

/// What an operation can be about, as far as it makes a difference to this caller.
fn resources(caller: &Caller, operation: &Operation) -> Vec<Resource> {
    let is_own = operation.action.as_str().starts_with("gateway:");
    let mut resources = vec![if is_own { Resource::gateway() } else { Resource::rack() }];
    if let Principal::ApiToken { grants, .. } | Principal::Workload { grants, .. } = &caller.principal {
        for app in grants.iter().flat_map(|grant| grant.apps.iter().map(move |app| (grant, app))) {
            let (grant, app) = (app.0, Resource::app(app.1));
            if grant.covers(&operation.action, operation.class, &app) && !resources.contains(&app) {
                resources.push(app);
            }
        }
    }
    resources
}
