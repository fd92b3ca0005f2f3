//! The credential that the gateway holds for a service, as it goes into a request: made of secrets, or asked from a
//! token endpoint, kept until it is due, and renewed by one at a time.
//!
//! # Security
//! No function returns a credential but to the code that sends it. What may come back in a reply is told as needles,
//! to look for and never to show.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_identity::oidc::{Fetch, FetchError};
use gateway_services::{Credential, OAuthClient, SecretRef, Service, TokenEndpoint};
use gateway_types::{Clock, Secret, Timestamp};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use moka::sync::Cache;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::secrets::{SecretError, SecretReader};
use super::token::{RequestTokens, Subject, TokenError, roles_of};
use crate::upstream::spellings;

/// How long a token lives when its endpoint does not say.
const UNTOLD_LIFE: Duration = Duration::from_secs(300);

/// The longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long an endpoint that failed is not asked again.
const PAUSE: Duration = Duration::from_secs(2);

/// How long after a refused token was replaced a refusal brings no further one.
const FORCED_PAUSE: Duration = Duration::from_secs(60);

/// The most tokens that are kept: of callers and services together.
const MOST_TOKENS: u64 = 10_000;

/// The shortest secret that replies are searched for, in bytes. A shorter one occurs by chance.
const NEEDLE_BYTES: usize = 8;

/// Why there is no credential. No text holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret cannot be put in a header.
    #[error("the secret holds characters that no header can")]
    Header(#[from] http::header::InvalidHeaderValue),
    /// The name cannot be a header's.
    #[error("the declared header name cannot be used")]
    HeaderName(#[from] http::header::InvalidHeaderName),
    /// The token that names the caller could not be made.
    #[error(transparent)]
    Subject(#[from] TokenError),
    /// There is nobody to exchange a token for.
    #[error("the caller has no name, so no token can be exchanged for it")]
    Nobody,
    /// The request could not be made.
    #[error("the request for the token endpoint could not be made")]
    Request(#[from] http::Error),
    /// The token endpoint could not be asked.
    #[error("the token endpoint could not be asked")]
    Endpoint(#[from] FetchError),
    /// It refused.
    #[error("the token endpoint answered {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused {
        /// Its status.
        status: u16,
        /// The error code of RFC 6749, section 5.2.
        code: Option<String>,
    },
    /// Its answer has no token that can be sent.
    #[error("the token endpoint answered without a bearer token")]
    NoToken,
    /// It failed a moment ago and is not asked again yet.
    #[error("the token endpoint failed a moment ago")]
    Pausing,
}

/// A credential for one request.
#[derive(Default)]
pub(crate) struct Held {
    /// The header that carries it.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    /// Its spellings, as an upstream might repeat it.
    pub(crate) needles: Vec<Secret<String>>,
    renewal: Option<Renewal>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(…)")
    }
}

enum Renewal {
    /// The secret may have been changed where it is.
    Secret(SecretRef, Secret<String>),
    /// The token may have been revoked.
    Token(Arc<Slot>, Arc<Token>),
}

/// What a kept token belongs to. Two callers never share one, and neither do two of anything else here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct TokenKey {
    service: String,
    endpoint: TokenEndpoint,
    client: Option<OAuthClient>,
    subject: Option<SubjectKey>,
}

/// A caller as a token names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct SubjectKey {
    credential: String,
    name: String,
    roles: Vec<&'static str>,
}

/// A kept token, and the turn to renew it.
#[derive(Default)]
struct Slot {
    token: ArcSwapOption<Token>,
    /// When asking failed, in this process's time.
    renewing: Mutex<Option<tokio::time::Instant>>,
}

struct Token {
    value: Secret<String>,
    renew_at: Timestamp,
    expires: Timestamp,
    /// It was asked for because the one before was refused, and until this moment a refusal of it brings no other.
    forced_until: Option<Timestamp>,
    /// A service refused it, so the next request asks for another.
    is_refused: bool,
}

/// The credentials of all services.
pub(crate) struct Credentials {
    clock: Arc<dyn Clock>,
    fetch: Arc<dyn Fetch>,
    secrets: Arc<SecretReader>,
    tokens: Cache<TokenKey, Arc<Slot>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    pub(crate) fn new(clock: Arc<dyn Clock>, fetch: Arc<dyn Fetch>, secrets: Arc<SecretReader>) -> Self {
        let tokens =
            Cache::builder().max_capacity(MOST_TOKENS).time_to_idle(Duration::from_secs(3600)).build();
        Self { clock, fetch, secrets, tokens }
    }

    /// The credential of this service, for a request of this caller.
    pub(crate) async fn hold(
        &self,
        service: &Service,
        subject: Subject<'_>,
        signer: &RequestTokens,
    ) -> Result<Held, CredentialError> {
        match &service.way.credential {
            Credential::None | Credential::Certificate { .. } => Ok(Held::default()),
            Credential::Basic { username, secret } => {
                let password = self.secrets.read(secret).await?;
                let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
                let value = sensitive(&format!("Basic {encoded}"))?;
                Ok(held(
                    AUTHORIZATION,
                    value,
                    &password,
                    encoded,
                    Renewal::Secret(secret.clone(), password.clone()),
                ))
            }
            Credential::Bearer { secret } => {
                let token = self.secrets.read(secret).await?;
                let value = sensitive(&format!("Bearer {}", token.expose()))?;
                let renewal = Renewal::Secret(secret.clone(), token.clone());
                Ok(held(AUTHORIZATION, value, &token, String::new(), renewal))
            }
            Credential::Header { name, secret } => {
                let found = self.secrets.read(secret).await?;
                let value = sensitive(found.expose())?;
                let renewal = Renewal::Secret(secret.clone(), found.clone());
                Ok(held(HeaderName::from_bytes(name.as_bytes())?, value, &found, String::new(), renewal))
            }
            Credential::ClientCredentials { endpoint, client } => {
                let key = TokenKey {
                    service: service.name.to_string(),
                    endpoint: endpoint.clone(),
                    client: Some(client.clone()),
                    subject: None,
                };
                self.token(key, None).await
            }
            Credential::TokenExchange { endpoint, client } => {
                let principal = &subject.caller.principal;
                let key = TokenKey {
                    service: service.name.to_string(),
                    endpoint: endpoint.clone(),
                    client: client.clone(),
                    subject: Some(SubjectKey {
                        credential: principal.credential_id().ok_or(CredentialError::Nobody)?,
                        name: principal.display_name(),
                        roles: roles_of(principal),
                    }),
                };
                self.token(key, Some((subject, signer))).await
            }
        }
    }

    /// Makes sure that the next try has another credential than this refused one; false when there is none.
    pub(crate) async fn renew(&self, held: &Held) -> bool {
        match &held.renewal {
            None => false,
            Some(Renewal::Secret(reference, refused)) => {
                // Another request may have brought the new one already.
                let now = match self.secrets.again(reference).await {
                    Some(now) => Some(now),
                    None => self.secrets.read(reference).await.ok(),
                };
                now.is_some_and(|now| now.expose() != refused.expose())
            }
            // A token that is refused right after it was asked for will not be better a third time.
            Some(Renewal::Token(_, token))
                if token.forced_until.is_some_and(|until| self.clock.now() < until) =>
            {
                false
            }
            Some(Renewal::Token(slot, token)) => {
                let present = slot.token.load_full();
                if present.is_some_and(|present| Arc::ptr_eq(&present, token)) {
                    let refused = Token {
                        value: token.value.clone(),
                        renew_at: token.renew_at,
                        expires: Timestamp::from_micros(0),
                        forced_until: None,
                        is_refused: true,
                    };
                    slot.token.store(Some(Arc::new(refused)));
                }
                true
            }
        }
    }

    /// A kept token, or a new one. Past four fifths of its life it is renewed by whoever comes first, while others
    /// go on with it.
    async fn token(
        &self,
        key: TokenKey,
        subject: Option<(Subject<'_>, &RequestTokens)>,
    ) -> Result<Held, CredentialError> {
        let slot = self.tokens.get_with(key.clone(), Arc::default);
        let now = self.clock.now();
        let present = slot.token.load_full();
        if let Some(token) = present.filter(|token| now < token.expires) {
            if now < token.renew_at {
                return bearer(slot, token);
            }
            let Ok(turn) = slot.renewing.try_lock() else { return bearer(slot, token) };
            return match self.renewed(&slot, turn, &key, subject).await {
                Ok(renewed) => bearer(Arc::clone(&slot), renewed),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        service = key.service,
                        "the credential of a service could not be renewed yet; the present one still holds"
                    );
                    bearer(Arc::clone(&slot), token)
                }
            };
        }
        let turn = slot.renewing.lock().await;
        // Whoever had the turn before may have brought one.
        if let Some(token) =
            slot.token.load_full().filter(|token| now < token.renew_at && now < token.expires)
        {
            return bearer(Arc::clone(&slot), token);
        }
        let token = self.renewed(&slot, turn, &key, subject).await?;
        bearer(Arc::clone(&slot), token)
    }

    async fn renewed(
        &self,
        slot: &Slot,
        mut failed: tokio::sync::MutexGuard<'_, Option<tokio::time::Instant>>,
        key: &TokenKey,
        subject: Option<(Subject<'_>, &RequestTokens)>,
    ) -> Result<Arc<Token>, CredentialError> {
        if failed.is_some_and(|since| since.elapsed() < PAUSE) {
            return Err(CredentialError::Pausing);
        }
        let is_forced = slot.token.load().as_ref().is_some_and(|token| token.is_refused);
        match self.ask(key, subject).await {
            Ok(token) => {
                *failed = None;
                let forced_until = is_forced.then(|| self.clock.now().saturating_add(FORCED_PAUSE));
                let token = Arc::new(Token { forced_until, ..token });
                slot.token.store(Some(Arc::clone(&token)));
                Ok(token)
            }
            Err(error) => {
                *failed = Some(tokio::time::Instant::now());
                Err(error)
            }
        }
    }

    /// Asks the token endpoint.
    async fn ask(
        &self,
        key: &TokenKey,
        subject: Option<(Subject<'_>, &RequestTokens)>,
    ) -> Result<Token, CredentialError> {
        let mut form: Vec<(&str, Secret<String>)> = Vec::new();
        let plain = |text: &str| Secret::new(text.to_owned());
        match subject {
            None => form.push(("grant_type", plain("client_credentials"))),
            Some((subject, signer)) => {
                let signed = signer.sign(subject, &key.endpoint.url, None).await?;
                form.push(("grant_type", plain("urn:ietf:params:oauth:grant-type:token-exchange")));
                form.push(("subject_token", signed.ok_or(CredentialError::Nobody)?));
                form.push(("subject_token_type", plain("urn:ietf:params:oauth:token-type:jwt")));
                form.push(("requested_token_type", plain("urn:ietf:params:oauth:token-type:access_token")));
            }
        }
        form.extend(key.endpoint.scope.as_deref().map(|scope| ("scope", plain(scope))));
        form.extend(key.endpoint.audience.as_deref().map(|audience| ("audience", plain(audience))));
        let mut request = Request::post(&key.endpoint.url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        if let Some(client) = &key.client {
            let secret = self.secrets.read(&client.secret).await?;
            request = request.header(AUTHORIZATION, client_basic(&client.id, &secret)?);
        }
        let asked = self.clock.now();
        let answer = self.fetch.fetch(request.body(encoded(&form))?).await?;
        if answer.status().as_u16() != 200 {
            let code = serde_json::from_slice::<Refusal>(answer.body()).ok().map(|refusal| refusal.error);
            let code = code.filter(|code| {
                code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            });
            return Err(CredentialError::Refused { status: answer.status().as_u16(), code });
        }
        let granted: Granted = serde_json::from_slice(answer.body()).map_err(|_| CredentialError::NoToken)?;
        granted.token(asked)
    }
}

fn encoded(form: &[(&str, Secret<String>)]) -> Vec<u8> {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form {
        serializer.append_pair(name, value.expose());
    }
    serializer.finish().into_bytes()
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Granted {
    fn token(self, asked: Timestamp) -> Result<Token, CredentialError> {
        let is_bearer = self.token_type.is_empty() || self.token_type.eq_ignore_ascii_case("bearer");
        let is_sendable =
            !self.access_token.is_empty() && self.access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_bearer || !is_sendable {
            return Err(CredentialError::NoToken);
        }
        let life = self.expires_in.map_or(UNTOLD_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        Ok(Token {
            value: Secret::new(self.access_token),
            renew_at: asked.saturating_add(life * 4 / 5),
            expires: asked.saturating_add(life),
            forced_until: None,
            is_refused: false,
        })
    }
}

/// Source: RFC 6749, section 2.3.1.
fn client_basic(id: &str, secret: &Secret<String>) -> Result<HeaderValue, CredentialError> {
    let coded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    sensitive(&format!("Basic {}", STANDARD.encode(format!("{}:{}", coded(id), coded(secret.expose())))))
}

fn sensitive(text: &str) -> Result<HeaderValue, CredentialError> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn held(
    name: HeaderName,
    value: HeaderValue,
    secret: &Secret<String>,
    encoded: String,
    renewal: Renewal,
) -> Held {
    let needles = spellings(secret.expose(), encoded)
        .into_iter()
        .filter(|needle| needle.expose().len() >= NEEDLE_BYTES)
        .collect();
    Held { header: Some((name, value)), needles, renewal: Some(renewal) }
}

fn bearer(slot: Arc<Slot>, token: Arc<Token>) -> Result<Held, CredentialError> {
    let value = sensitive(&format!("Bearer {}", token.value.expose()))?;
    let secret = token.value.clone();
    Ok(held(AUTHORIZATION, value, &secret, String::new(), Renewal::Token(slot, token)))
}
