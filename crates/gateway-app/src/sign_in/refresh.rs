//! Asking providers again while people's sessions last: roles follow groups, and sessions of people whom a
//! provider no longer knows, or who may no longer come from it, end.

use std::sync::Arc;

use gateway_audit::{Actor, bounded};
use gateway_config::SettingKey;
use gateway_identity::oidc::{Identity, Person, Provider, Refreshed};
use gateway_store::{DueProviderSession, StoreError, User};
use gateway_types::{Channel, Secret};

use super::{SignInError, provider_of, roles, who};
use crate::{App, Operator, record};

/// How many are asked about in one round. A round comes each few seconds; those that are left over are due in the
/// next.
const ROUND: usize = 50;

/// What became of one round.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Round {
    /// How many were asked about.
    pub asked: usize,
    /// Of how many of them the sessions ended.
    pub ended: usize,
}

/// Asks about everybody of whom it is due, one after the other, until `is_stopped`.
///
/// # Errors
/// Only the store's. A provider that cannot be asked about one person is asked about nobody else in this round.
pub async fn round(app: &App, is_stopped: impl Fn() -> bool) -> Result<Round, SignInError> {
    if app.identity.providers.iter().all(|provider| !provider.refresh) {
        return Ok(Round::default());
    }
    let next = app.clock.now().saturating_add(app.settings.duration(SettingKey::ProviderRefresh));
    let mut round = Round::default();
    let mut failed = Vec::new();
    while round.asked < ROUND && !is_stopped() {
        // One at a time: what is taken and then not asked, because this process ends, would wait for its next turn.
        let Some(due) = app.store.provider_sessions().take_due(next, 1, &failed).await?.pop() else { break };
        round.asked += 1;
        match one(app, &due).await {
            Ok(Outcome::Stays) => {}
            Ok(Outcome::Ended) => round.ended += 1,
            Err(error) => {
                tracing::warn!(
                    provider = due.provider,
                    error = &error as &dyn std::error::Error,
                    "an identity provider could not be asked about a person again"
                );
                failed.push(due.provider);
            }
        }
    }
    Ok(round)
}

enum Outcome {
    Stays,
    Ended,
}

async fn one(app: &App, due: &DueProviderSession) -> Result<Outcome, SignInError> {
    // A provider that is not configured any more vouches for nobody.
    let provider = match provider_of(app, &due.provider) {
        Ok(provider) if provider.issuer() == due.issuer => Arc::clone(provider),
        Ok(_) | Err(_) => return end(app, due, "the identity provider is not configured any more").await,
    };
    let text = String::from_utf8(due.kept.expose().clone()).map_err(|_none| SignInError::Kept)?;
    let again = Secret::new(text);
    let link = app.store.identities().by_subject(&due.issuer, &due.subject).await?;
    let person = Person { subject: &due.subject, email: link.as_ref().map(|link| link.email.as_str()) };
    let answer = provider.refresh(&*app.fetch, app.clock.now(), person, &again).await?;
    let (identity, next) = match answer {
        Refreshed::Gone(why) => return end(app, due, &why.to_string()).await,
        Refreshed::Known { identity, again } => (identity, again),
    };
    if let Some(next) = next {
        let next = Secret::new(next.expose().clone().into_bytes());
        app.store.provider_sessions().keep(due.id, &next).await?;
    }
    match identity {
        None => Ok(Outcome::Stays),
        Some(identity) => follow(app, due, &provider, &identity).await,
    }
}

/// Brings the person after what the provider says of them now.
async fn follow(
    app: &App,
    due: &DueProviderSession,
    provider: &Provider,
    identity: &Identity,
) -> Result<Outcome, SignInError> {
    if let Err(error) = who::may_stay(app, provider, identity) {
        return end(app, due, &error.reason()).await;
    }
    let link = app.store.identities().by_subject(&due.issuer, &due.subject).await?;
    let (Some(link), Some(user)) = (link, app.store.users().by_id(due.user).await?) else {
        return end(app, due, "the person is not known here any more").await;
    };
    if link.user != user.id {
        return end(app, due, "the account is another person's now").await;
    }
    let now = roles::of_groups(app, provider, identity).await?;
    let had = user.roles;
    let operator = operator(app);
    let user: User = roles::follow(app, &operator, user, &link, now).await?;
    let are_believed = identity.groups_fault.is_none();
    let given = roles::remembered(link.group_roles, now, had, user.roles, are_believed);
    app.store.identities().seen(&due.issuer, &due.subject, &identity.email, given).await?;
    // Grants to groups are of those whom the provider names a member now.
    app.store.role_grants().set_groups(user.id, &identity.groups).await?;
    Ok(Outcome::Stays)
}

async fn end(app: &App, due: &DueProviderSession, why: &str) -> Result<Outcome, SignInError> {
    let mut event = operator(app).event("gateway:session:revoke_any");
    event.parameters.insert("user".to_owned(), due.user.to_string());
    event.parameters.insert("provider".to_owned(), due.provider.clone());
    event.parameters.insert("subject".to_owned(), bounded(&due.subject));
    event.reason = Some(bounded(why));
    record(&app.store, event).await?;
    match app.store.provider_sessions().end_one(due.id).await {
        Ok(_) | Err(StoreError::NotFound) => Ok(Outcome::Ended),
        Err(error) => Err(error.into()),
    }
}

/// The gateway itself, on its own account.
fn operator(app: &App) -> Operator<'_> {
    Operator {
        actor: Actor::system(),
        channel: Channel::Local,
        request_id: None,
        source_ip: None,
        clock: &*app.clock,
        entropy: &*app.entropy,
    }
}
