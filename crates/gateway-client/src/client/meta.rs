//! What a gateway says about itself.

use http::Method;
use serde::{Deserialize, Serialize};

use super::Client;
use crate::error::ClientError;
use crate::transport::{Call, Credential};

/// What a client needs to know before it signs in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Discovery {
    /// Which gateway it is.
    pub gateway_id: String,
    /// The rack's name for people.
    #[serde(default)]
    pub rack: String,
    /// The key that signs the log's checkpoints, as a signed note's verifier.
    #[serde(default)]
    pub checkpoint_key: Option<String>,
    /// The gateway's version.
    #[serde(default)]
    pub version: Option<String>,
}

impl Client {
    /// Asks a gateway what it is; needs no credential and shows none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn discovery(&self) -> Result<Discovery, ClientError> {
        let mut call = Call::new(Method::GET, self.address().at(&[".well-known", "rack-gateway"]));
        call.credential = Credential::Never;
        let reply = self.transport.send(call).await?;
        self.transport.document(&reply.body)
    }
}
