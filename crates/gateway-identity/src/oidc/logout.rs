//! Logout tokens: what a provider sends, behind the browser's back, when it ended somebody's session.
//!
//! # Security
//! Anybody can send anything here. A token counts only when it is signed by the provider, for this client alone,
//! made a moment ago, of the kind that logs out (never an ID token), and names whom it is about. That it is used
//! once is the caller's to hold. What is no token for this client costs the provider nothing: its keys are asked
//! for last, and for keys that are not known at most each half minute.
//!
//! Source: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6; RFC 7515; RFC 8725.

use data_encoding::BASE64URL_NOPAD;
use gateway_types::Timestamp;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyAlgorithm, SignatureVerificationError};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{ALGORITHMS, MAX_SUBJECT_BYTES, OLDEST, SKEW, seconds};
use super::discovery::Known;
use super::{Fetch, MAX_SID_BYTES, OidcError, Provider, ProviderKind};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest `jti`, in bytes.
const MAX_JTI_BYTES: usize = 255;

/// The event that makes a token one that logs out.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A token that counts, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutToken {
    /// Its name; a second one of the same name does not count.
    pub jti: String,
    /// Whose sessions end.
    pub subject: Option<String>,
    /// The one session that ends; `None` = all of the subject.
    pub sid: Option<String>,
    /// When nobody would take it any more.
    pub over: Timestamp,
}

/// Why a logout token does not count. The texts hold nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogoutFault {
    /// It is no signed token of the usual form, or its claims are not of their types.
    #[error("it is malformed")]
    Malformed,
    /// It is a token of another type.
    #[error("it is a token of another type")]
    Type,
    /// Its algorithm is none that is accepted.
    #[error("its signature algorithm is not accepted")]
    Algorithm,
    /// Another issuer.
    #[error("its issuer is another")]
    Issuer,
    /// Not for this client alone.
    #[error("it is not for this client alone")]
    Audience,
    /// It has expired, or was not made just now.
    #[error("its times are not of now")]
    Time,
    /// It is not about logging out.
    #[error("it has not the event that logs out")]
    Event,
    /// It has a nonce, as ID tokens have.
    #[error("it has a nonce, as an ID token has")]
    Nonce,
    /// It says neither who nor which session, or not in a form that can be.
    #[error("it does not say whose session ends")]
    Whose,
    /// No key of the provider is its key.
    #[error("no key of the provider is its key")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("its signature is wrong")]
    Signature,
    /// This provider sends none.
    #[error("this provider sends no logout tokens")]
    NotSent,
}

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
    #[serde(default)]
    b64: Option<Value>,
}

/// The claims. One that stands twice is an error of serde's.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: i64,
    #[serde(default)]
    exp: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
    jti: String,
    events: Map<String, Value>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    sid: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    nonce: bool,
}

/// Also `null` is a nonce that is there.
fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Provider {
    /// Checks a logout token.
    ///
    /// # Errors
    /// [`OidcError::LogoutToken`] when it does not count; another when the provider's keys cannot be read.
    pub async fn logout_token(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        token: &str,
    ) -> Result<LogoutToken, OidcError> {
        let refused = |fault| OidcError::LogoutToken { provider: self.named(), fault };
        if self.config.kind != ProviderKind::Oidc {
            return Err(refused(LogoutFault::NotSent));
        }
        let (header, claims, signed, signature) = take_apart(token).map_err(refused)?;
        check_header(&header).map_err(refused)?;
        let token = self.checked(claims, now).map_err(refused)?;
        let known = self.known(fetch, now).await?;
        let verified = match verify(&known, &header, signed, &signature) {
            Err(LogoutFault::UnknownKey) => match self.with_keys_again(fetch, now, &known).await? {
                Some(again) => verify(&again, &header, signed, &signature),
                None => Err(LogoutFault::UnknownKey),
            },
            done => done,
        };
        verified.map_err(refused)?;
        Ok(token)
    }

    fn checked(&self, claims: Claims, now: Timestamp) -> Result<LogoutToken, LogoutFault> {
        if claims.iss != self.config.issuer {
            return Err(LogoutFault::Issuer);
        }
        let is_ours = match &claims.aud {
            Audience::One(one) => *one == self.config.client_id,
            Audience::Several(all) => matches!(all.as_slice(), [one] if *one == self.config.client_id),
        };
        if !is_ours {
            return Err(LogoutFault::Audience);
        }
        let over = over(&claims, now)?;
        // Before the event: an ID token, whatever it was made to look like, has one.
        if claims.nonce {
            return Err(LogoutFault::Nonce);
        }
        if !claims.events.get(EVENT).is_some_and(Value::is_object) {
            return Err(LogoutFault::Event);
        }
        if !is_name(&claims.jti, MAX_JTI_BYTES) {
            return Err(LogoutFault::Malformed);
        }
        let named = [(&claims.sub, MAX_SUBJECT_BYTES), (&claims.sid, MAX_SID_BYTES)];
        let is_named = named.iter().any(|(name, _)| name.is_some())
            && named.iter().all(|(name, most)| name.as_deref().is_none_or(|name| is_name(name, *most)));
        if !is_named {
            return Err(LogoutFault::Whose);
        }
        Ok(LogoutToken { jti: claims.jti, subject: claims.sub, sid: claims.sid, over })
    }
}

fn is_name(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

/// Until when a token could be taken, if it can be now.
fn over(claims: &Claims, now: Timestamp) -> Result<Timestamp, LogoutFault> {
    let as_seconds = |time: i64| u64::try_from(time).map_err(|_negative| LogoutFault::Time);
    let (now, skew) = (seconds(now), SKEW.as_secs());
    let made = as_seconds(claims.iat)?;
    let latest = made.saturating_add(OLDEST.as_secs()).saturating_add(skew);
    let from = claims.nbf.map(as_seconds).transpose()?.unwrap_or(made).max(made);
    let until = match claims.exp.map(as_seconds).transpose()? {
        Some(until) => until.saturating_add(skew).min(latest),
        None => latest,
    };
    if from > now.saturating_add(skew) || until <= now {
        return Err(LogoutFault::Time);
    }
    let micros = i64::try_from(until).map_err(|_large| LogoutFault::Time)?.saturating_mul(1_000_000);
    Ok(Timestamp::from_micros(micros))
}

/// Header, claims, what is signed, the signature.
fn take_apart(token: &str) -> Result<(Header, Claims, &str, Vec<u8>), LogoutFault> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(LogoutFault::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(LogoutFault::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(LogoutFault::Malformed)?;
    let header = decoded(header)?;
    // What its algorithm is called is not always one that is known.
    let header: Header = serde_json::from_slice(&header).map_err(|_| LogoutFault::Algorithm)?;
    let claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| LogoutFault::Malformed)?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| LogoutFault::Malformed)?;
    Ok((header, claims, signed, signature))
}

/// The JSON object behind a part. serde would read an array as a struct, member by member.
fn decoded(part: &str) -> Result<Vec<u8>, LogoutFault> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| LogoutFault::Malformed)?;
    if bytes.trim_ascii_start().first() == Some(&b'{') { Ok(bytes) } else { Err(LogoutFault::Malformed) }
}

/// A type that is there must be one of the two that logout tokens have: `logout+jwt`, or the `JWT` of before.
fn check_header(header: &Header) -> Result<(), LogoutFault> {
    let is_logout = header.typ.as_deref().is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "logout+jwt" | "jwt")
    });
    if !is_logout || header.crit.is_some() || header.b64.is_some() {
        return Err(LogoutFault::Type);
    }
    if ALGORITHMS.contains(&header.alg) { Ok(()) } else { Err(LogoutFault::Algorithm) }
}

fn verify(known: &Known, header: &Header, signed: &str, signature: &[u8]) -> Result<(), LogoutFault> {
    let mut fitting = known.keys.keys().iter().filter(|key| fits(key, header));
    let key = fitting.next().ok_or(LogoutFault::UnknownKey)?;
    // Which of two is meant is anybody's guess.
    if fitting.next().is_some() {
        return Err(LogoutFault::UnknownKey);
    }
    key.verify_signature(&header.alg, signed.as_bytes(), signature).map_err(|error| match error {
        SignatureVerificationError::InvalidKey(_) => LogoutFault::UnknownKey,
        _ => LogoutFault::Signature,
    })
}

fn fits(key: &CoreJsonWebKey, header: &Header) -> bool {
    let is_named = match &header.kid {
        Some(kid) => key.key_id().is_some_and(|id| id.as_str() == kid),
        None => true,
    };
    let is_meant = match key.signing_alg() {
        JsonWebKeyAlgorithm::Algorithm(algorithm) => *algorithm == header.alg,
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    let is_kind = openidconnect::JwsSigningAlgorithm::key_type(&header.alg).as_ref() == Some(key.key_type());
    is_named
        && is_meant
        && is_kind
        && key.key_use().is_none_or(|purpose| *purpose == CoreJsonWebKeyUse::Signature)
}
