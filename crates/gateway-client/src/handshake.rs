//! The opening handshake of a WebSocket, from the client's side (RFC 6455, section 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_types::{Entropy as _, OsEntropy};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue};
use tungstenite::handshake::derive_accept_key;

use crate::error::ClientError;

/// A handshake that was begun: what the answer to it has to say.
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Puts the headers in that ask for a WebSocket, with a key of its own.
    ///
    /// # Errors
    /// [`ClientError::BadHeader`] when the key is no header, which base64 always is.
    pub(crate) fn begin(headers: &mut HeaderMap) -> Result<Self, ClientError> {
        let mut random = [0; 16];
        OsEntropy.fill(&mut random);
        let key = STANDARD.encode(random);
        let value = HeaderValue::from_str(&key).map_err(|_| ClientError::BadHeader("the WebSocket key"))?;
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, value);
        Ok(Self { accept: derive_accept_key(key.as_bytes()) })
    }

    /// Whether an answer is to this very request.
    pub(crate) fn is_answered_by(&self, headers: &HeaderMap) -> bool {
        headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes())
    }
}
