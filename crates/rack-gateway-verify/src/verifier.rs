//! From a token to who calls, or to why not. Nothing here reads the clock.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::identity::{Caller, GatewayIdentity, StepUp};
use crate::keys::Keys;

/// The longest token, in bytes.
const LONGEST: usize = 8 * 1024;

/// How far two clocks may be apart, in seconds, unless somebody says otherwise.
const LEEWAY: i64 = 10;

/// The longest life of a token, in seconds: the gateway's are of 60.
const LONGEST_LIFE: i64 = 300;

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no token.
    #[error("there is no Gateway-Token; the request did not come through the gateway")]
    Missing,
    /// There is more than one.
    #[error("there is more than one Gateway-Token")]
    MoreThanOne,
    /// It is no token as the gateway makes them.
    #[error("the token is malformed")]
    Malformed,
    /// No known key has its name; the list of keys may be old.
    #[error("the token names a key that is not known")]
    UnknownKey,
    /// It is not signed by the key that it names.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is of another gateway.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for another service.
    #[error("the token is for another audience")]
    Audience,
    /// It holds no more, or not yet.
    #[error("the token does not hold now")]
    Time,
    /// It is for another request.
    #[error("the token is for another request")]
    Request,
}

/// What tokens are held to.
#[derive(Clone, Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: Keys,
    /// In seconds.
    leeway: i64,
}

/// The head that the gateway's tokens have, and nothing else: no embedded key, no `crit`, no encryption.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    typ: Option<String>,
}

/// Numbers are whole and texts are texts; a field that is there twice is an error.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    on_behalf_of: Option<String>,
    kind: Caller,
    roles: Vec<String>,
    service: String,
    step_up: StepUp,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    htm: String,
    htu_hash: String,
}

impl Verifier {
    /// `issuer`: the gateway, `https://` and its host name as configured (`DOMAIN`); without one `urn:uuid:` and the
    /// `gateway_id` that `/.well-known/rack-gateway` says. `audience`: the service's `audience`, which is its name
    /// unless its declaration says otherwise.
    pub fn new(issuer: &str, audience: &str, keys: Keys) -> Self {
        Self { issuer: issuer.to_owned(), audience: audience.to_owned(), keys, leeway: LEEWAY }
    }

    /// With clocks that may be so far apart: ten seconds otherwise. A token can be shown again for as much longer, so more
    /// is for who takes tokens from the gateway's own connection alone, as behind mutual TLS.
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        Self { leeway: i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX), ..self }
    }

    /// Who calls with this token, in a request of `method` for `target`, which is path and query as they came.
    /// `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`VerifyError`]; then nothing is known of the caller.
    pub fn verify(
        &self,
        token: &str,
        method: &str,
        target: &str,
        now: i64,
    ) -> Result<GatewayIdentity, VerifyError> {
        let claims = self.signed(token)?;
        if claims.iss != self.issuer {
            return Err(VerifyError::Issuer);
        }
        if claims.aud != self.audience {
            return Err(VerifyError::Audience);
        }
        let life = claims.exp.checked_sub(claims.iat).ok_or(VerifyError::Time)?;
        let holds = (0..=LONGEST_LIFE).contains(&life)
            && now < claims.exp.saturating_add(self.leeway)
            && claims.nbf <= now.saturating_add(self.leeway)
            && claims.iat <= now.saturating_add(self.leeway);
        if !holds {
            return Err(VerifyError::Time);
        }
        let wanted =
            BASE64URL_NOPAD.encode(digest(&SHA256, format!("{method}\n{target}").as_bytes()).as_ref());
        let is_same = verify_slices_are_equal(wanted.as_bytes(), claims.htu_hash.as_bytes()).is_ok();
        if claims.htm != method || !is_same {
            return Err(VerifyError::Request);
        }
        if claims.sub.is_empty() {
            return Err(VerifyError::Malformed);
        }
        Ok(GatewayIdentity {
            subject: claims.sub,
            name: claims.name,
            email: claims.email,
            on_behalf_of: claims.on_behalf_of,
            kind: claims.kind,
            roles: claims.roles,
            step_up: claims.step_up,
            service: claims.service,
            request_id: claims.jti,
        })
    }

    /// The claims of a token that one of the keys signed.
    fn signed(&self, token: &str) -> Result<Claims, VerifyError> {
        if token.len() > LONGEST {
            return Err(VerifyError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(VerifyError::Malformed)?;
        if claims.contains('.') {
            return Err(VerifyError::Malformed);
        }
        let header: Header = read(header)?;
        if header.typ.is_some_and(|typ| typ != "JWT") {
            return Err(VerifyError::Malformed);
        }
        let (signs, key) = self.keys.find(&header.kid).ok_or(VerifyError::UnknownKey)?;
        if header.alg != signs.name() {
            return Err(VerifyError::Signature);
        }
        // The decoder takes one spelling only, so that a token has exactly one.
        BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| VerifyError::Malformed)?;
        match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, signs.algorithm()) {
            Ok(true) => read(claims),
            Ok(false) | Err(_) => Err(VerifyError::Signature),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, VerifyError> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| VerifyError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| VerifyError::Malformed)
}
