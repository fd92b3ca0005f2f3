//! How a web hook shows that it is this gateway's: HMAC-SHA256 over id, time and body.
//!
//! Source: Standard Webhooks, "Signature scheme" (symmetric, `v1`).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_types::Secret;

/// The key that sender and receiver share: 24 to 64 random bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookKey(Secret<Vec<u8>>);

impl WebhookKey {
    /// The key of these bytes, which a receiver knows as `whsec_` and their base64.
    pub const fn new(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The value of `webhook-signature` for a message with this `webhook-id`, `webhook-timestamp` (seconds since 1970)
    /// and body.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign().as_ref()))
    }
}
