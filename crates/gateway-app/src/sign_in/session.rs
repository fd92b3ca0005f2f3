//! Sessions that come of signing in: always new ones, never with a step-up window.

use std::net::IpAddr;

use gateway_store::{NewSession, Session, SessionSource, StoreError, User};
use gateway_types::{Caller, CredentialKind, Principal, RequestId, Secret};

use super::{SignInError, events, place, provider_of};
use crate::notify::Notice;
use crate::origin::Origin;
use crate::{App, Operator, record};

/// A session to be opened, after its event.
pub(super) struct Opening<'a> {
    /// Whoever signs in, in the log.
    pub(super) operator: &'a Operator<'a>,
    pub(super) kind: CredentialKind,
    /// What people call the device.
    pub(super) device: &'a str,
    pub(super) ip: IpAddr,
    /// What it comes of.
    pub(super) source: SessionSource,
}

/// Opens a session whose event is recorded, and tells the person when device or address are new for them.
pub(super) async fn open(
    app: &App,
    user: &User,
    opening: Opening<'_>,
) -> Result<(Session, Secret<String>), SignInError> {
    let Opening { operator, kind, device, ip, source } = opening;
    let (idle_limit, longest) = app.settings.session_limits(kind);
    let known = app.store.identities().knows_place(user.id, device, &ip.to_string()).await?;
    let new = NewSession {
        user: user.id,
        kind,
        expires: app.clock.now().saturating_add(longest),
        idle_limit,
        device: device.to_owned(),
        ip: Some(ip),
    };
    let opened = app.store.sessions().create_from(new, source).await.map_err(|error| match error {
        // Removed, or signed out at the provider, at this very moment.
        StoreError::NotFound => SignInError::NotInvited,
        other => other.into(),
    })?;
    if !known {
        tell_of_device(app, user, operator, device, ip).await;
    }
    Ok(opened)
}

/// Tells the person, and the log, of a device or an address that is new for them. The session is open: what goes wrong
/// is logged.
async fn tell_of_device(app: &App, user: &User, operator: &Operator<'_>, device: &str, ip: IpAddr) {
    let (id, address) = (user.id.to_string(), ip.to_string());
    let about = [("user", id.as_str()), ("device", device), ("ip", address.as_str())];
    let event = events::event(operator, events::NEW_DEVICE, &about);
    if let Err(error) = record(&app.store, event).await {
        tracing::error!(error = &error as &dyn std::error::Error, "a new device was not recorded");
    }
    app.notices
        .notify(Notice::NewSignIn {
            email: user.email.clone(),
            device: device.to_owned(),
            ip: Some(ip),
            at: app.clock.now(),
        })
        .await;
}

/// Ends the caller's own session, everywhere, from the next request on; the name of the provider it came of.
///
/// # Errors
/// [`SignInError::NotASession`] for an API token, or the store's.
pub async fn sign_out(
    app: &App,
    caller: &Caller,
    request_id: RequestId,
) -> Result<Option<String>, SignInError> {
    let session = match &caller.principal {
        Principal::User { session, .. } => *session,
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => {
            return Err(SignInError::NotASession);
        }
    };
    let mut event = app.operator(caller, request_id).event("gateway:auth:logout");
    event.parameters.insert("session".to_owned(), session.to_string());
    record(&app.store, event).await?;
    let provider = app.store.provider_sessions().provider_of(session).await?;
    match app.store.sessions().revoke(session).await {
        // Gone already, with its person.
        Ok(()) | Err(StoreError::NotFound) => Ok(provider),
        Err(error) => Err(error.into()),
    }
}

/// Where a browser that signed out here can sign out at the provider too; `None` when there is no such place, or
/// the provider cannot be asked for it now.
pub async fn provider_logout(app: &App, provider: &str, claimed: &Origin) -> Option<String> {
    let provider = provider_of(app, provider).ok()?;
    let origin = place::holding(app, claimed).await.ok()?;
    let back = origin.join("/auth/login?signed_out");
    match provider.logout_url(&*app.fetch, app.clock.now(), &back).await {
        Ok(url) => url,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "where to sign out is not known");
            None
        }
    }
}
