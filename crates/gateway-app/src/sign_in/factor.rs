//! The second factor of a sign-in, where the gateway asks for one: between the provider's word and the session.
//!
//! # Security
//! Until the factor is given there is no session, no code and no event of a sign-in: what waits is kept like a
//! sign-in that was begun, sealed, for this browser alone, used once. So somebody who has only the password can
//! reach nothing but this form. A right code is spent, and opens no step-up window: signing in never counts as
//! one. A trusted browser is excused from this form and from nothing else.

use std::fmt;

use gateway_config::SettingKey;
use gateway_identity::InlineFactor;
use gateway_store::{Admission, Asker, NewSignIn, SIGN_IN_TIME, SignInFault, User};
use gateway_types::{Channel, Problem, Secret};

use super::callback::{Came, complete};
use super::{
    Finished, Purpose, SignInError, TRUSTED_COOKIE, Visitor, device_name, events, new_browser_secret,
};
use crate::factors::passkeys::{self, Asked};
use crate::origin::Origin;
use crate::step_up::{self, Proven};
use crate::{App, record};

/// What became of a factor.
pub enum FactorGiven {
    /// It was right.
    Done {
        /// What the sign-in came to.
        finished: Finished,
        /// The value of `Set-Cookie` that makes the browser a trusted one.
        trusted: Option<Secret<String>>,
    },
    /// It was wrong or spent; the form is asked for again.
    Again {
        /// Where, a path.
        location: String,
    },
}

impl fmt::Debug for FactorGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the session's secret and the cookie.
        f.write_str(match self {
            FactorGiven::Done { .. } => "FactorGiven::Done",
            FactorGiven::Again { .. } => "FactorGiven::Again",
        })
    }
}

/// Whether this person gives a second factor before they are signed in with this browser.
pub(super) async fn is_needed(app: &App, user: &User, visitor: &Visitor<'_>) -> Result<bool, SignInError> {
    if !app.settings.sign_in_factor() {
        return Ok(false);
    }
    let has_one = app.store.factors().list(user.id).await?.iter().any(|factor| factor.confirmed.is_some());
    if !has_one {
        // Nothing can be given; what needs a factor stays refused until one is enrolled.
        return Ok(false);
    }
    let Some(secret) = visitor.trusted else { return Ok(true) };
    let name = device_name(visitor.device);
    let life = app.settings.duration(SettingKey::TrustedDevice);
    Ok(!app.store.trusted_devices().is_trusted(user.id, secret, &name, life).await?)
}

/// Keeps what waits for the factor, and says where the form is.
pub(super) async fn ask(app: &App, came: &Came, visitor: &Visitor<'_>) -> Result<Finished, SignInError> {
    Ok(Finished::Factor { location: keep(app, came, visitor).await? })
}

async fn keep(app: &App, came: &Came, visitor: &Visitor<'_>) -> Result<String, SignInError> {
    let browser = visitor.browser_secret().ok_or(SignInError::NotBegunHere)?;
    let kept = serde_json::to_vec(came).map(Secret::new).map_err(|_unwritable| SignInError::Kept)?;
    let id = new_browser_secret(app);
    let state = state_of(id.expose());
    let new = NewSignIn { state: &state, browser, kept: &kept, source_ip: visitor.source_ip };
    match app.store.sign_ins().begin(new).await? {
        Admission::Admitted => Ok(format!("/auth/factor/{}", id.expose())),
        Admission::TooMany => Err(SignInError::TooMany),
    }
}

/// Asks the passkeys of the person whose sign-in waits at `id`, which goes on waiting. What one answers is good for
/// that sign-in alone, and is given as its factor.
///
/// # Errors
/// A problem: nothing of this browser waits there, the person has no passkey, passkeys cannot be used at the address
/// that was opened, or the store cannot be reached.
pub async fn ask_passkey(
    app: &App,
    id: &str,
    claimed: &Origin,
    visitor: Visitor<'_>,
) -> Result<Asked, Problem> {
    let browser = visitor.browser_secret().ok_or(SignInError::NotBegunHere)?;
    let state = state_of(id);
    let kept = app.store.sign_ins().peek(&state, browser).await.map_err(SignInError::from)?;
    let came = came(app, kept)?;
    let user = app.store.users().by_id(came.user).await.map_err(SignInError::from)?;
    match user {
        None => Err(SignInError::NotInvited.into()),
        Some(user) if user.locked => Err(SignInError::Locked.into()),
        Some(user) => {
            let asker = Asker::SignIn(&state);
            Ok(passkeys::ask_of(app, user.id, asker, claimed, &passkeys::Purpose::SignIn).await?)
        }
    }
}

/// Another name than a state has, so that neither can be brought as the other.
fn state_of(id: &str) -> String {
    format!("factor:{id}")
}

fn came(app: &App, kept: Result<Secret<Vec<u8>>, SignInFault>) -> Result<Came, SignInError> {
    let kept = match kept {
        Ok(kept) => kept,
        Err(SignInFault::Unknown | SignInFault::OtherBrowser) => return Err(SignInError::NotBegunHere),
        Err(SignInFault::Expired) => return Err(SignInError::Expired),
        Err(SignInFault::Used) => return Err(SignInError::Used),
    };
    let came: Came = serde_json::from_slice(kept.expose()).map_err(|_unreadable| SignInError::Kept)?;
    // Each form that comes back is kept anew; the whole of it lasts no longer for that.
    let waited = app.clock.now().checked_since(came.since).unwrap_or_default();
    if waited > SIGN_IN_TIME { Err(SignInError::Expired) } else { Ok(came) }
}

/// Gives the factor for the sign-in that waits at `id`. With `trust` the browser needs none for a while.
///
/// # Errors
/// [`SignInError`]; among them [`SignInError::TooManyTries`]. What waited is spent.
pub async fn give_factor(
    app: &App,
    id: &str,
    factor: Option<&InlineFactor>,
    trust: bool,
    visitor: Visitor<'_>,
) -> Result<FactorGiven, SignInError> {
    let browser = visitor.browser_secret().ok_or(SignInError::NotBegunHere)?;
    let state = state_of(id);
    let came = came(app, app.store.sign_ins().take(&state, browser).await?)?;
    let operator = events::stranger(app, Channel::Web, &visitor);
    let user = app.store.users().by_id(came.user).await?.ok_or(SignInError::NotInvited)?;
    if user.locked {
        return Err(SignInError::Locked);
    }
    let known = events::known(&operator, &user);
    let refused = async |reason: &str| {
        let about = [("provider", came.provider.as_str()), ("stage", "factor")];
        events::refused(app, events::event(&known, events::LOGIN, &about), reason).await;
    };
    // Nothing was typed that can be a code: that is no guess.
    let Some(factor) = factor else {
        return Ok(FactorGiven::Again { location: keep(app, &came, &visitor).await? });
    };
    let now = app.clock.now();
    match step_up::prove(&app.checks(), user.id, &state, factor).await? {
        Proven::Right if matches!(factor, InlineFactor::Backup(_)) => {
            step_up::tell_of_few_codes(&app.store, &*app.notices, user.id, &user.email).await;
        }
        Proven::Right => {}
        Proven::Wrong => {
            refused("the second factor is wrong, or was used before").await;
            return Ok(FactorGiven::Again { location: keep(app, &came, &visitor).await? });
        }
        Proven::Copied(factor) => {
            let (email, source_ip) = (&user.email, Some(visitor.source_ip));
            let copied = step_up::Copied { user: user.id, email, factor, source_ip };
            step_up::tell_of_copy(&app.store, &*app.notices, &known, copied).await;
            refused("the passkey's counter went back").await;
            return Ok(FactorGiven::Again { location: keep(app, &came, &visitor).await? });
        }
        Proven::Unknown => {
            refused("the second factor could not be checked").await;
            return Err(SignInError::FactorUnchecked);
        }
        Proven::TooMany(until) => {
            refused("too many codes of this person were wrong; no more are looked at for now").await;
            let lock = step_up::Lock {
                user: user.id,
                email: &user.email,
                session: None,
                until,
                source_ip: Some(visitor.source_ip),
            };
            step_up::tell_of_lock(&app.store, &*app.notices, &known, lock).await;
            let seconds = until.checked_since(now).unwrap_or_default().as_secs() + 1;
            return Err(SignInError::TooManyTries { until, seconds });
        }
    }
    app.store.provider_sessions().prove(came.provider_session).await?;
    let trusted = match (trust, &came.purpose) {
        (true, Purpose::Web { .. } | Purpose::Cli(_)) => {
            Some(trust_browser(app, &known, &user, &visitor).await?)
        }
        (false, _) => None,
    };
    let finished = complete(app, &operator, &user, &came, &visitor).await?;
    Ok(FactorGiven::Done { finished, trusted })
}

async fn trust_browser(
    app: &App,
    operator: &crate::Operator<'_>,
    user: &User,
    visitor: &Visitor<'_>,
) -> Result<Secret<String>, SignInError> {
    let name = device_name(visitor.device);
    let life = app.settings.duration(SettingKey::TrustedDevice);
    let about = [("device", name.as_str()), ("stage", "trusted")];
    record(&app.store, events::event(operator, "gateway:factor:trust_device", &about)).await?;
    let ip = Some(visitor.source_ip);
    let (_device, secret) = app.store.trusted_devices().trust(user.id, &name, ip, life).await?;
    Ok(Secret::new(format!(
        "{TRUSTED_COOKIE}={}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        secret.expose(),
        life.as_secs()
    )))
}
