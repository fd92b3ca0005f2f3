//! Access tokens of issuers that a service lists (RFC 9068): who they stand for, at that one service.
//!
//! Its job: [`AccessTokens::principal`]. It fetches and keeps issuers' keys; it does not know what the
//! caller may do, nor any credential of the gateway's own.
//!
//! # Security
//! Only RS256, ES256 and EdDSA, and only with a key of that very kind; the key is one of the listed
//! issuer's set, never one that the token names or carries. Issuer and audience are compared as text. A
//! token of another type (`typ`), such as an ID token, is refused, and so is one with a critical header.
//! What tokens make the gateway fetch is bounded: a set that failed is left alone, and unknown keys have
//! the set read again at most each half minute.
//!
//! Source: RFC 7515, 7517, 7519, 8725, 9068.

mod keys;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use gateway_identity::oidc::Fetch;
use gateway_services::RawIssuer;
use gateway_types::{Principal, Timestamp};
use serde::Deserialize;

use keys::Keys;

/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

/// The longest token, in bytes.
const LONGEST: usize = 8 * 1024;

/// The longest subject, in bytes.
const LONGEST_SUBJECT: usize = 255;

/// Why a token stands for nobody. The texts hold nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenFault {
    /// It is no signed token of the usual form.
    #[error("access token refused: malformed")]
    Malformed,
    /// It is signed in a way that is not taken, or not at all.
    #[error("access token refused: algorithm")]
    Algorithm,
    /// It is a token of another type, or with a header that must be understood.
    #[error("access token refused: type")]
    Type,
    /// No listed issuer has its `iss` and `aud`.
    #[error("access token refused: issuer or audience")]
    Issuer,
    /// The issuer has no such key.
    #[error("access token refused: key")]
    Key,
    /// The signature is not of the issuer's key.
    #[error("access token refused: signature")]
    Signature,
    /// It is past its end.
    #[error("access token refused: expired")]
    Expired,
    /// It is not good yet.
    #[error("access token refused: not yet valid")]
    NotYet,
    /// The issuer's keys cannot be read now.
    #[error("access token refused: the keys of its issuer cannot be read")]
    Unavailable,
}

/// What the header says.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
    #[serde(default)]
    b64: Option<serde_json::Value>,
}

/// What the claims say. One that stands twice is an error of serde's.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

/// A way to sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signing {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Signing {
    fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Signing::Rs256),
            "ES256" => Some(Signing::Es256),
            "EdDSA" => Some(Signing::EdDsa),
            _ => None,
        }
    }
}

/// Where keys are: the issuer, and their address when it is declared.
type KeysPlace = (String, Option<String>);

/// Checks access tokens; keeps the keys of their issuers.
pub struct AccessTokens {
    fetch: Arc<dyn Fetch>,
    issuers: Mutex<HashMap<KeysPlace, Arc<Keys>>>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens(…)")
    }
}

/// A token taken apart.
struct Parts<'a> {
    header: Header,
    claims: Claims,
    signed: &'a str,
    signature: &'a str,
}

impl AccessTokens {
    /// Asks issuers so.
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, issuers: Mutex::default() }
    }

    /// Whether a credential has the form of such a token: nothing of the gateway's own has.
    pub fn is_one(credential: &str) -> bool {
        credential.starts_with("ey") && credential.split('.').count() == 3
    }

    /// Who a token stands for at the service that lists these issuers.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn principal(
        &self,
        token: &str,
        service: &str,
        issuers: &[RawIssuer],
        now: Timestamp,
    ) -> Result<Principal, TokenFault> {
        let parts = take_apart(token)?;
        let signing = Signing::named(&parts.header.alg).ok_or(TokenFault::Algorithm)?;
        check_header(&parts.header)?;
        let claims = &parts.claims;
        let issuer = issuers
            .iter()
            .find(|listed| listed.issuer == claims.iss && claims.aud.names(&listed.audience))
            .ok_or(TokenFault::Issuer)?;
        // Before anything is fetched: what is over costs nothing.
        let expires = check_time(claims, now)?;
        let is_name =
            (1..=LONGEST_SUBJECT).contains(&claims.sub.len()) && !claims.sub.chars().any(char::is_control);
        if !is_name {
            return Err(TokenFault::Malformed);
        }
        let keys = self.keys_of(issuer);
        keys.verify(&*self.fetch, now, signing, parts.header.kid.as_deref(), parts.signed, parts.signature)
            .await?;
        Ok(Principal::AccessToken {
            issuer: claims.iss.as_str().into(),
            subject: claims.sub.as_str().into(),
            service: service.into(),
            role: issuer.role,
            expires,
        })
    }

    /// Whether an issuer signed this, with one of the keys that its discovery document leads to.
    ///
    /// # Errors
    /// [`TokenFault::Algorithm`], [`TokenFault::Key`], [`TokenFault::Signature`], [`TokenFault::Unavailable`].
    pub(crate) async fn check_signature(
        &self,
        issuer: &str,
        algorithm: &str,
        key: Option<&str>,
        (signed, signature): (&str, &str),
        now: Timestamp,
    ) -> Result<(), TokenFault> {
        let signing = Signing::named(algorithm).ok_or(TokenFault::Algorithm)?;
        let keys = self.keys_at((issuer.to_owned(), None));
        keys.verify(&*self.fetch, now, signing, key, signed, signature).await
    }

    fn keys_of(&self, issuer: &RawIssuer) -> Arc<Keys> {
        self.keys_at((issuer.issuer.clone(), issuer.jwks_url.clone()))
    }

    fn keys_at(&self, place: KeysPlace) -> Arc<Keys> {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        // Services come and go; those that are asked for again are read again.
        if issuers.len() > 1000 {
            issuers.clear();
        }
        Arc::clone(
            issuers.entry(place).or_insert_with_key(|(issuer, url)| Arc::new(Keys::new(issuer, url.clone()))),
        )
    }
}

fn take_apart(token: &str) -> Result<Parts<'_>, TokenFault> {
    if token.len() > LONGEST {
        return Err(TokenFault::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenFault::Malformed)?;
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| TokenFault::Malformed)?;
    Ok(Parts { header, claims, signed, signature })
}

fn decoded(text: &str) -> Result<Vec<u8>, TokenFault> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenFault::Malformed)?;
    // serde would read an array as a struct, member by member.
    if bytes.trim_ascii_start().first() == Some(&b'{') { Ok(bytes) } else { Err(TokenFault::Malformed) }
}

/// Source: RFC 9068, section 4; RFC 7515, section 4.1.11; RFC 7797.
fn check_header(header: &Header) -> Result<(), TokenFault> {
    let is_access_token = header.typ.as_deref().is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
    });
    let is_plain = header.crit.is_none() && header.b64.is_none();
    if is_access_token && is_plain { Ok(()) } else { Err(TokenFault::Type) }
}

/// When the token ends, if it is good now.
fn check_time(claims: &Claims, now: Timestamp) -> Result<Timestamp, TokenFault> {
    let expires = moment(claims.exp)?;
    if now >= expires.saturating_add(LEEWAY) {
        return Err(TokenFault::Expired);
    }
    for begins in [claims.nbf, claims.iat].into_iter().flatten() {
        if moment(begins)? > now.saturating_add(LEEWAY) {
            return Err(TokenFault::NotYet);
        }
    }
    Ok(expires.saturating_add(LEEWAY))
}

/// A NumericDate (RFC 7519, section 2).
fn moment(seconds: f64) -> Result<Timestamp, TokenFault> {
    // The year 9999; no fraction of it is lost in a double.
    if !(0.0..=253_402_300_799.0).contains(&seconds) {
        return Err(TokenFault::Malformed);
    }
    let micros = Duration::from_secs_f64(seconds).as_micros();
    Ok(Timestamp::from_micros(i64::try_from(micros).map_err(|_| TokenFault::Malformed)?))
}
