//! The signed request token: how a service learns who calls, in which request, and that it came through here.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use gateway_app::AppError;
use gateway_app::signing::SigningKeys;
use gateway_types::{Caller, Clock, Facts, Principal, RequestId, Secret};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// How long a token holds.
const LIFE: Duration = Duration::from_secs(60);

/// Makes request tokens.
#[derive(Debug)]
pub(crate) struct RequestTokens {
    issuer: String,
    clock: Arc<dyn Clock>,
    pub(super) keys: SigningKeys,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The signing keys cannot be had.
    #[error("the signing keys cannot be had")]
    Keys(#[from] AppError),
    /// Signing failed.
    #[error("the request token could not be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// What a token is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) facts: &'a Facts,
    pub(crate) request_id: RequestId,
    pub(crate) service: &'a str,
}

/// The request that a token is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) method: &'a str,
    /// Path and query as they go upstream.
    pub(crate) target: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'a str>,
    kind: &'static str,
    roles: Vec<&'static str>,
    service: &'a str,
    step_up: &'static str,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    htm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    htu_hash: Option<String>,
}

impl RequestTokens {
    pub(crate) fn new(issuer: String, clock: Arc<dyn Clock>, keys: SigningKeys) -> Self {
        Self { issuer, clock, keys }
    }

    /// A token for `audience`; `None` for nobody, who has no name to tell. Without `bound` it names a caller and no
    /// request, and nothing but a token endpoint takes it.
    pub(crate) async fn sign(
        &self,
        subject: Subject<'_>,
        audience: &str,
        bound: Option<Bound<'_>>,
    ) -> Result<Option<Secret<String>>, TokenError> {
        let (sub, email, on_behalf_of) = match &subject.caller.principal {
            Principal::Anonymous => return Ok(None),
            Principal::User { id, email, .. } => (id.to_string(), Some(&**email), None),
            Principal::ApiToken { id, creator_email, .. } => (id.to_string(), None, Some(&**creator_email)),
            // With its issuer, so that no other issuer's subject, and no id of ours, is ever the same.
            Principal::AccessToken { issuer, subject, .. } => (format!("{issuer} {subject}"), None, None),
            // All machines of one trust rule are one to a service, as they are to policy.
            Principal::Workload { .. } => (subject.caller.principal.display_name(), None, None),
        };
        let now = self.clock.now().micros().div_euclid(1_000_000);
        let claims = Claims {
            iss: &self.issuer,
            aud: audience,
            sub,
            name: subject.caller.principal.display_name(),
            email,
            on_behalf_of,
            kind: kind_of(&subject.caller.principal),
            roles: roles_of(&subject.caller.principal),
            service: subject.service,
            step_up: step_up(subject.facts),
            jti: subject.request_id.to_string(),
            iat: now,
            nbf: now,
            exp: now.saturating_add_unsigned(LIFE.as_secs()),
            htm: bound.map(|bound| bound.method),
            htu_hash: bound.map(|bound| target_hash(bound.method, bound.target)),
        };
        let signer = self.keys.current().await?;
        let header = Header { kid: Some(signer.id), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(signer.pkcs8.expose());
        Ok(Some(Secret::new(jsonwebtoken::encode(&header, &claims, &key)?)))
    }
}

/// `htu_hash`: SHA-256, base64url, of method, newline, path and query.
fn target_hash(method: &str, target: &str) -> String {
    let text = format!("{method}\n{target}");
    BASE64URL_NOPAD.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

/// What kind of party a principal is.
pub(crate) const fn kind_of(principal: &Principal) -> &'static str {
    match principal {
        Principal::Anonymous => "anonymous",
        Principal::User { .. } => "user",
        Principal::ApiToken { .. } => "api_token",
        Principal::AccessToken { .. } => "access_token",
        Principal::Workload { .. } => "workload",
    }
}

/// The roles of a principal, by name.
pub(crate) fn roles_of(principal: &Principal) -> Vec<&'static str> {
    match principal {
        Principal::Anonymous => Vec::new(),
        Principal::User { roles, .. }
        | Principal::ApiToken { roles, .. }
        | Principal::Workload { roles, .. } => roles.iter().map(gateway_types::Role::name).collect(),
        Principal::AccessToken { role, .. } => vec![role.name()],
    }
}

const fn step_up(facts: &Facts) -> &'static str {
    match (facts.mfa_bound, facts.mfa_window) {
        (true, _) => "bound",
        (false, true) => "window",
        (false, false) => "none",
    }
}
