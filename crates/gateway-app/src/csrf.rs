//! The token that every form of a web session carries, so that a page of another site cannot fill one in.
//!
//! It is derived from the session's id, which never leaves the gateway, so nothing has to be kept.

use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64URL_NOPAD;
use gateway_store::Store;
use gateway_types::SessionId;

/// What the key of these tokens is derived for.
const KEY: &str = "csrf/v1";

/// The token of a session in the gateway's own pages: 43 base64url characters.
pub fn token(store: &Store, session: SessionId) -> String {
    token_at(store, session, None)
}

/// The token of a session at a host of a service, or, with `None`, at the gateway's own.
///
/// # Security
/// A page of the service can read the token that is shown at its own host. It is no other host's.
pub fn token_at(store: &Store, session: SessionId, host: Option<&str>) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, store.derive_key(KEY).expose());
    let mut context = hmac::Context::with_key(&key);
    context.update(session.uuid().as_bytes());
    context.update(host.unwrap_or_default().as_bytes());
    BASE64URL_NOPAD.encode(context.sign().as_ref())
}

/// Whether `presented` is the token of this session there. Takes the same time for every wrong one.
pub fn is_token(store: &Store, session: SessionId, host: Option<&str>, presented: &str) -> bool {
    let right = token_at(store, session, host);
    constant_time::verify_slices_are_equal(right.as_bytes(), presented.as_bytes()).is_ok()
}
