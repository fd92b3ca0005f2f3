//! Sessions that come of signing in: always new ones, never with a step-up window.

use std::net::IpAddr;
use std::time::Duration;

use gateway_store::{NewSession, Session, StoreError, User};
use gateway_types::{Caller, CredentialKind, Principal, RequestId, Secret};

use super::SignInError;
use crate::notify::Notice;
use crate::{App, record};

/// How long a web session may rest, and how long it lasts at most.
pub const WEB_IDLE: Duration = Duration::from_secs(30 * 60);
/// See [`WEB_IDLE`].
pub const WEB_LONGEST: Duration = Duration::from_secs(12 * 3600);

/// How long a command line's session may rest, and how long it lasts at most.
pub const CLI_IDLE: Duration = Duration::from_secs(8 * 3600);
/// See [`CLI_IDLE`].
pub const CLI_LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Opens a session whose event is recorded, and tells the person when device or address are new for them.
pub(super) async fn open(
    app: &App,
    user: &User,
    kind: CredentialKind,
    device: &str,
    ip: IpAddr,
) -> Result<(Session, Secret<String>), SignInError> {
    let (idle_limit, longest) = match kind {
        CredentialKind::CliSession => (CLI_IDLE, CLI_LONGEST),
        CredentialKind::WebSession
        | CredentialKind::None
        | CredentialKind::ApiToken
        | CredentialKind::AccessToken
        | CredentialKind::Workload => (WEB_IDLE, WEB_LONGEST),
    };
    let known = app.store.identities().knows_place(user.id, device, &ip.to_string()).await?;
    let new = NewSession {
        user: user.id,
        kind,
        expires: app.clock.now().saturating_add(longest),
        idle_limit,
        device: device.to_owned(),
        ip: Some(ip),
    };
    let opened = app.store.sessions().create(new).await.map_err(|error| match error {
        // Removed at this very moment.
        StoreError::NotFound => SignInError::NotInvited,
        other => other.into(),
    })?;
    if !known {
        app.notices
            .notify(Notice::NewSignIn {
                email: user.email.clone(),
                device: device.to_owned(),
                ip: Some(ip),
                at: app.clock.now(),
            })
            .await;
    }
    Ok(opened)
}

/// Ends the caller's own session, everywhere, from the next request on.
///
/// # Errors
/// [`SignInError::NotASession`] for an API token, or the store's.
pub async fn sign_out(app: &App, caller: &Caller, request_id: RequestId) -> Result<(), SignInError> {
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
    match app.store.sessions().revoke(session).await {
        // Gone already, with its person.
        Ok(()) | Err(StoreError::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
