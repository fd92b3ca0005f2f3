//! The browser's way back from the provider.
//!
//! # Security
//! Whoever knows a link can make a browser follow it. What counts is that this browser began this sign-in,
//! once, at this provider; only then is anything asked of anybody.

use std::fmt;

use gateway_config::SettingKey;
use gateway_identity::oidc::{Callback, Kept, Provider, SignedIn, callback_error};
use gateway_store::{NewCliCode, NewProviderSession, SessionSource, SignInFault, User};
use gateway_types::{Channel, CredentialKind, ProviderSessionId, Secret, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{
    CliRequest, KeptSignIn, Purpose, SignInError, Visitor, client_name, device_name, events, factor, place,
    provider_of, session, who,
};
use crate::{App, Operator, record};

/// The longest parameter that is looked at, in bytes. A provider's codes are a tenth of it.
const LONGEST: usize = 4096;

/// A sign-in that is finished.
pub enum Finished {
    /// A web session was opened.
    Web {
        /// Its secret, for the cookie.
        secret: Secret<String>,
        /// Where to go, a path.
        return_to: String,
    },
    /// A second factor is asked for first.
    Factor {
        /// Where, a path.
        location: String,
    },
    /// The browser brings a code, or a refusal, to a command line.
    Cli {
        /// Where to go.
        redirect_to: String,
    },
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without secret and code.
        f.write_str(match self {
            Finished::Web { .. } => "Finished::Web",
            Finished::Factor { .. } => "Finished::Factor",
            Finished::Cli { .. } => "Finished::Cli",
        })
    }
}

/// Finishes a sign-in. `query` is the callback's, undecoded.
///
/// # Errors
/// [`SignInError`]; no session is opened, and what had begun is spent.
pub async fn finish(
    app: &App,
    provider: &str,
    query: &str,
    visitor: Visitor<'_>,
) -> Result<Finished, SignInError> {
    let operator = events::stranger(app, Channel::Web, &visitor);
    let about = [("provider", provider)];
    let begun = begun(app, provider, query, &visitor).await;
    let (provider, answer, kept) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // What no browser began is counted by source with all other refusals.
            if !matches!(
                error,
                SignInError::NotBegunHere | SignInError::UnknownProvider | SignInError::Callback
            ) {
                events::failed(app, &operator, events::LOGIN, &about, &error).await;
            }
            return Err(error);
        }
    };
    match signed_in(app, &operator, provider, answer, &kept, &visitor).await {
        Ok(finished) => Ok(finished),
        Err(error) => {
            let device = match &kept.purpose {
                Purpose::Web { .. } => device_name(visitor.device),
                Purpose::Cli(request) => request.device().to_owned(),
            };
            let about = [("provider", provider.name()), ("device", device.as_str())];
            events::failed(app, &operator, events::LOGIN, &about, &error).await;
            match &kept.purpose {
                Purpose::Web { .. } => Err(error),
                Purpose::Cli(request) => Ok(refused(request, &kept, &error)),
            }
        }
    }
}

/// What the provider sends.
enum Answer {
    Code { code: Secret<String>, state: Secret<String>, iss: Option<String> },
    Error { error: String, description: Option<String> },
}

/// The sign-in that this browser began and that this answer is for; it is spent by this.
async fn begun<'a>(
    app: &'a App,
    provider: &str,
    query: &str,
    visitor: &Visitor<'_>,
) -> Result<(&'a Provider, Answer, KeptSignIn), SignInError> {
    let provider = provider_of(app, provider)?;
    let parameters = Parameters::read(query)?;
    let state = parameters.one("state")?.ok_or(SignInError::Callback)?;
    let answer = match (parameters.one("error")?, parameters.one("code")?) {
        (Some(error), None) => Answer::Error { error, description: parameters.one("error_description")? },
        (None, Some(code)) => Answer::Code {
            code: Secret::new(code),
            state: Secret::new(state.clone()),
            iss: parameters.one("iss")?,
        },
        (Some(_), Some(_)) | (None, None) => return Err(SignInError::Callback),
    };
    let browser = visitor.browser_secret().ok_or(SignInError::NotBegunHere)?;
    let kept = match app.store.sign_ins().take(&state, browser).await? {
        Ok(kept) => kept,
        Err(SignInFault::Unknown | SignInFault::OtherBrowser) => return Err(SignInError::NotBegunHere),
        Err(SignInFault::Expired) => return Err(SignInError::Expired),
        Err(SignInFault::Used) => return Err(SignInError::Used),
    };
    let kept: KeptSignIn = serde_json::from_slice(kept.expose()).map_err(|_unreadable| SignInError::Kept)?;
    // Two providers, one of them bad: its answer must not be taken for the other's (RFC 9700, section 4.4).
    if kept.provider != provider.name() {
        return Err(SignInError::OtherProvider);
    }
    Ok((&**provider, answer, kept))
}

async fn signed_in(
    app: &App,
    operator: &Operator<'_>,
    provider: &Provider,
    answer: Answer,
    kept: &KeptSignIn,
    visitor: &Visitor<'_>,
) -> Result<Finished, SignInError> {
    let callback = match answer {
        Answer::Code { code, state, iss } => Callback { code, state, iss },
        Answer::Error { error, description } => {
            return Err(callback_error(provider.name(), &error, description.as_deref()).into());
        }
    };
    let sent = Kept {
        state: Secret::new(kept.state.clone()),
        nonce: Secret::new(kept.nonce.clone()),
        verifier: Secret::new(kept.verifier.clone()),
        redirect_uri: kept.redirect_uri.clone(),
    };
    let SignedIn { identity, sid, again } =
        provider.finish(&*app.fetch, app.clock.now(), &sent, &callback).await?;
    if let Some(fault) = identity.groups_fault {
        tracing::warn!(provider = provider.name(), %fault, "a person's groups are left out");
    }
    let user = who::person(app, operator, provider, &identity).await?;
    let due = app.clock.now().saturating_add(app.settings.duration(SettingKey::ProviderRefresh));
    let new = NewProviderSession {
        user: user.id,
        provider: provider.name().to_owned(),
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        sid,
        again: again.map(|again| (Secret::new(again.expose().clone().into_bytes()), due)),
    };
    let came = Came {
        provider_session: app.store.provider_sessions().open(&new).await?,
        user: user.id,
        provider: provider.name().to_owned(),
        issuer: identity.issuer,
        subject: identity.subject,
        redirect_uri: kept.redirect_uri.clone(),
        purpose: kept.purpose.clone(),
        since: app.clock.now(),
    };
    if factor::is_needed(app, &user, visitor).await? {
        return factor::ask(app, &came, visitor).await;
    }
    complete(app, operator, &user, &came, visitor).await
}

/// Somebody whom a provider vouches for, and whom this gateway knows.
#[derive(Serialize, Deserialize)]
pub(super) struct Came {
    pub(super) user: UserId,
    pub(super) provider_session: ProviderSessionId,
    pub(super) provider: String,
    issuer: String,
    subject: String,
    pub(super) redirect_uri: String,
    pub(super) purpose: Purpose,
    /// When the provider vouched for them. What waits for a factor waits from here on, however often it is asked for.
    #[serde(default = "long_ago")]
    pub(super) since: Timestamp,
}

const fn long_ago() -> Timestamp {
    Timestamp::from_micros(0)
}

/// Gives them what they came for: a web session, or a code for their command line.
pub(super) async fn complete(
    app: &App,
    operator: &Operator<'_>,
    user: &User,
    came: &Came,
    visitor: &Visitor<'_>,
) -> Result<Finished, SignInError> {
    match &came.purpose {
        Purpose::Web { return_to } => {
            let device = device_name(visitor.device);
            login(app, operator, user, came, &device).await?;
            let source = SessionSource {
                provider_session: Some(came.provider_session),
                client: client_name(visitor.client),
            };
            let kind = CredentialKind::WebSession;
            let operator = &events::known(operator, user);
            let ip = visitor.source_ip;
            let opening = session::Opening { operator, kind, device: &device, ip, source };
            let (_session, secret) = session::open(app, user, opening).await?;
            Ok(Finished::Web { secret, return_to: return_to.clone() })
        }
        Purpose::Cli(request) => {
            login(app, operator, user, came, request.device()).await?;
            let new = NewCliCode {
                user: user.id,
                code_challenge: request.code_challenge().to_owned(),
                redirect_uri: request.redirect_uri().to_owned(),
                device: request.device().to_owned(),
                provider_session: Some(came.provider_session),
            };
            let code = app.store.cli_codes().create(&new).await?;
            let issuer = issuer_of(&came.provider, &came.redirect_uri);
            Ok(Finished::Cli { redirect_to: request.way_back(&[("code", code.expose())], issuer) })
        }
    }
}

/// Records the sign-in before anything comes of it, and keeps the gateway's address when it is the first
/// admin's.
async fn login(
    app: &App,
    operator: &Operator<'_>,
    user: &User,
    came: &Came,
    device: &str,
) -> Result<(), SignInError> {
    let client = match &came.purpose {
        Purpose::Web { .. } => "web",
        Purpose::Cli(_) => "cli",
    };
    let parameters = [
        ("provider", came.provider.as_str()),
        ("issuer", came.issuer.as_str()),
        ("subject", came.subject.as_str()),
        ("device", device),
        ("client", client),
    ];
    let mut event = events::event(&events::known(operator, user), events::LOGIN, &parameters);
    let is_listed_admin = app.users.admin.contains(&user.email);
    let origin = if is_listed_admin { place::to_be_kept(app, &came.redirect_uri).await? } else { None };
    if let Some(origin) = &origin {
        event.parameters.insert("origin_kept".to_owned(), origin.to_string());
    }
    record(&app.store, event).await?;
    match origin {
        Some(origin) => place::keep(app, &origin).await,
        None => Ok(()),
    }
}

/// The origin that the browser came back to, which is who issues the code (RFC 9207).
fn issuer_of<'a>(provider: &str, redirect_uri: &'a str) -> &'a str {
    let path = format!("/auth/callback/{provider}");
    redirect_uri.strip_suffix(path.as_str()).unwrap_or(redirect_uri)
}

/// The command line is told, so that it does not wait in vain (RFC 6749, section 4.1.2.1). What it prints are
/// our own words.
fn refused(request: &CliRequest, kept: &KeptSignIn, error: &SignInError) -> Finished {
    let description = match error {
        SignInError::Store(_) | SignInError::Record(_) | SignInError::Kept => {
            "the gateway cannot sign anybody in now; try again".to_owned()
        }
        told => told.to_string(),
    };
    let code = match error {
        SignInError::Store(_) | SignInError::Record(_) | SignInError::Kept => "server_error",
        _told => "access_denied",
    };
    let answer = [("error", code), ("error_description", description.as_str())];
    Finished::Cli { redirect_to: request.way_back(&answer, issuer_of(&kept.provider, &kept.redirect_uri)) }
}

/// The parameters of a callback, decoded.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: &str) -> Result<Self, SignInError> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if pairs.len() > 32 { Err(SignInError::Callback) } else { Ok(Self(pairs)) }
    }

    /// The value of a parameter that may be there once. A description may be of any length: it is cut later.
    fn one(&self, name: &str) -> Result<Option<String>, SignInError> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let first = values.next();
        let too_long = name != "error_description" && first.is_some_and(|value| value.len() > LONGEST);
        if values.next().is_some() || too_long { Err(SignInError::Callback) } else { Ok(first.cloned()) }
    }
}
