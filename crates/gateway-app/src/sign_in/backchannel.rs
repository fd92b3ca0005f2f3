//! What a provider says behind the browser's back: that it ended somebody's session.
//!
//! # Security
//! Anybody can call this. Only a logout token that the provider signed for this client, just now and for the first
//! time, ends anything; see [`gateway_identity::oidc::Provider::logout_token`].
//!
//! Source: OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8.

use gateway_identity::oidc::{LogoutToken, OidcError};
use gateway_store::Ending;
use gateway_types::{Channel, RequestId};

use super::{SignInError, Visitor, events, provider_of};
use crate::{App, record};

/// The action of these events.
const LOGOUT: &str = "gateway:auth:backchannel_logout";

/// Ends the sessions that came of what the token names; returns how many there were.
///
/// # Errors
/// [`SignInError`]; nothing has ended then. A token that does not count is
/// [`SignInError::Provider`] or [`SignInError::LogoutReplayed`].
pub async fn logout(
    app: &App,
    provider: &str,
    token: &str,
    source_ip: std::net::IpAddr,
    request_id: RequestId,
) -> Result<usize, SignInError> {
    let provider = provider_of(app, provider)?;
    let token = provider.logout_token(&*app.fetch, app.clock.now(), token).await?;
    let visitor = Visitor { browser: None, trusted: None, source_ip, device: "", client: "", request_id };
    let operator = events::stranger(app, Channel::Api, &visitor);
    let LogoutToken { jti, subject, sid, over } = token;
    let mut about =
        vec![("provider", provider.name()), ("issuer", provider.issuer()), ("token", jti.as_str())];
    about.extend(subject.as_deref().map(|subject| ("subject", subject)));
    about.extend(sid.as_deref().map(|sid| ("provider_session", sid)));
    let event = events::event(&operator, LOGOUT, &about);
    let sessions = app.store.provider_sessions();
    let replayed = events::event(&operator, LOGOUT, &about);
    if sessions.token_is_used(provider.issuer(), &jti).await? {
        events::refused(app, replayed, &SignInError::LogoutReplayed.reason()).await;
        return Err(SignInError::LogoutReplayed);
    }
    let ending = match (&sid, &subject) {
        (Some(sid), subject) => Ending::Session { sid, subject: subject.as_deref() },
        (None, Some(subject)) => Ending::Subject(subject),
        // The token's check refuses one that names nobody.
        (None, None) => return Ok(0),
    };
    record(&app.store, event).await?;
    // The token is used up with what it ends, so that one whose logout failed can be sent again.
    let Some(ended) = sessions.end(provider.issuer(), ending, &jti, over).await? else {
        events::refused(app, replayed, &SignInError::LogoutReplayed.reason()).await;
        return Err(SignInError::LogoutReplayed);
    };
    for session in &ended {
        let (id, user) = (session.session.to_string(), session.user.to_string());
        tracing::info!(session = id, user, provider = provider.name(), "ended by the identity provider");
    }
    Ok(ended.len())
}

/// Whether what went wrong is the token's fault, which its sender is told as OAuth tells it.
pub const fn is_the_tokens(error: &SignInError) -> bool {
    matches!(
        error,
        SignInError::LogoutReplayed
            | SignInError::UnknownProvider
            | SignInError::Provider(OidcError::LogoutToken { .. })
    )
}
