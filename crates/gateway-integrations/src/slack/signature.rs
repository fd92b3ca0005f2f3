//! Whether a request is Slack's.

use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER_PERMISSIVE;
use gateway_types::{Secret, Timestamp};

/// How old, or how far ahead, a request may be. Within it the same request counts again: what it sets off must bear that.
pub const MAX_AGE: Duration = Duration::from_mins(5);

/// The app's signing secret.
#[derive(Clone, Debug)]
pub struct SigningSecret(Secret<String>);

/// Why a request is not taken for Slack's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureFault {
    /// No signing secret is set; without one every signature could be made by anybody.
    #[error("the signing secret is empty")]
    NoSecret,
    /// The time is not a number of seconds.
    #[error("X-Slack-Request-Timestamp is not a number of seconds")]
    Timestamp,
    /// Too old, or of the future: a replay, or a clock is wrong.
    #[error("X-Slack-Request-Timestamp is more than five minutes away; check the clock")]
    Stale,
    /// Not `v0=` and 64 hexadecimal digits.
    #[error("X-Slack-Signature is not v0= and 64 hexadecimal digits")]
    Form,
    /// Another secret, or another body.
    #[error("X-Slack-Signature does not match")]
    Mismatch,
}

impl SigningSecret {
    /// Takes the secret in.
    ///
    /// # Errors
    /// When it is empty.
    pub fn new(secret: Secret<String>) -> Result<Self, SignatureFault> {
        if secret.expose().is_empty() { Err(SignatureFault::NoSecret) } else { Ok(Self(secret)) }
    }

    /// Checks `X-Slack-Signature` over `v0:X-Slack-Request-Timestamp:BODY`, with the body's bytes as they came.
    ///
    /// # Errors
    /// Whenever the request is not shown to be Slack's, and of the last five minutes (their end included).
    ///
    /// # Security
    /// The comparison takes the same time for any two signatures. Each header must be there once; which of two counts is
    /// not for this function to choose.
    ///
    /// Source: "Verifying requests from Slack".
    pub fn verify(
        &self,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureFault> {
        let is_digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: i64 = timestamp.parse().ok().filter(|_| is_digits).ok_or(SignatureFault::Timestamp)?;
        let away = (now.micros() / 1_000_000).abs_diff(seconds);
        if away > MAX_AGE.as_secs() {
            return Err(SignatureFault::Stale);
        }
        let digits = signature.strip_prefix("v0=").ok_or(SignatureFault::Form)?;
        let tag = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| SignatureFault::Form)?;
        if tag.len() != 32 {
            return Err(SignatureFault::Form);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose().as_bytes());
        let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
        hmac::verify(&key, &signed, &tag).map_err(|_| SignatureFault::Mismatch)
    }
}
