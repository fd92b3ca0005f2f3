//! The token that every form of a web session carries, so that a page of another site cannot fill one in.
//!
//! It is derived from the session's id, which never leaves the gateway, so nothing has to be kept.

use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64URL_NOPAD;
use gateway_store::Store;
use gateway_types::SessionId;

/// What the key of these tokens is derived for.
const KEY: &str = "csrf/v1";

/// The token of a session: 43 base64url characters.
pub fn token(store: &Store, session: SessionId) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, store.derive_key(KEY).expose());
    BASE64URL_NOPAD.encode(hmac::sign(&key, session.uuid().as_bytes()).as_ref())
}

/// Whether `presented` is the token of this session. Takes the same time for every wrong one.
pub fn is_token(store: &Store, session: SessionId, presented: &str) -> bool {
    let right = token(store, session);
    constant_time::verify_slices_are_equal(right.as_bytes(), presented.as_bytes()).is_ok()
}
