//! The rack's own API, through the gateway's rack proxy, as the official client asks it: the same methods, paths,
//! parameters and option headers (the recordings of that client are what the tests compare with).
//!
//! What is asked is a [`RackRequest`]; what comes back is typed in [`types`] as far as commands look at it.

mod request;
mod socket;
mod upload;

pub use gateway_convox::replies as types;

pub use request::RackRequest;
pub use socket::{Heard, RackSocket};
pub use upload::Upload;

use std::io::Write;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::{BadReply, ClientError};
use crate::transport::Body;

impl Client {
    /// Makes a request of the rack and returns the whole answer, at most 16 MiB.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Rack`] when it is the rack that says no.
    pub async fn rack(&self, request: &RackRequest) -> Result<Bytes, ClientError> {
        let (call, headers) = request.call(self)?;
        let mut response = self.transport.ask_rack(call, headers).await?;
        self.transport.read_rack(&mut response).await
    }

    /// The same, for an answer that is a document.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rack_document<T: DeserializeOwned>(&self, request: &RackRequest) -> Result<T, ClientError> {
        let body = self.rack(request).await?;
        self.transport.document(&body)
    }

    /// Makes a request of the rack and writes the answer's body as it comes.
    ///
    /// # Errors
    /// [`ClientError`]; also when `out` takes no more.
    pub async fn rack_download(
        &self,
        request: &RackRequest,
        out: &mut (dyn Write + Send),
    ) -> Result<(), ClientError> {
        let (call, headers) = request.call(self)?;
        let mut response = self.transport.ask_rack(call, headers).await?;
        while let Some(chunk) = response.chunk().await.map_err(|_| self.transport.bad(BadReply::Cut))? {
            out.write_all(&chunk).map_err(ClientError::Write)?;
        }
        out.flush().map_err(ClientError::Write)
    }

    /// Sends bytes to the rack and returns the whole answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rack_upload(&self, request: &RackRequest, upload: Upload) -> Result<Bytes, ClientError> {
        let (mut call, headers) = request.call(self)?;
        call.body = Body::Bytes(upload.into_body());
        let mut response = self.transport.ask_rack(call, headers).await?;
        self.transport.read_rack(&mut response).await
    }

    /// Opens a socket of the rack.
    ///
    /// # Errors
    /// [`ClientError`]. A rack upgrades first and refuses afterwards, in words: see [`RackSocket::hear`].
    pub async fn rack_socket(&self, request: &RackRequest) -> Result<RackSocket, ClientError> {
        let (call, headers) = request.call(self)?;
        socket::open(self, call, headers).await
    }
}
