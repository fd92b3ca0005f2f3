//! The client: one method for each operation. What it can be asked is below `client/`, by subject.

mod account;
mod approvals;
mod audit;
mod elevations;
mod environments;
mod integrations;
mod jobs;
mod log;
mod machines;
mod meta;
mod modes;
mod people;
mod policy;
mod processes;
mod rack_credential;
mod recordings;
mod selfcheck;
mod services;
mod settings;
mod tokens;
mod vantage;
mod zone;

use gateway_types::Secret;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

pub use account::{Challenge, WINDOW};
pub use approvals::ApprovalsAsked;
pub use environments::Compared;
pub use meta::Discovery;
pub use processes::{ProcessOptions, RackProcess};
pub use recordings::RecordingSearch;
pub use tokens::TokenScope;

use crate::address::GatewayAddress;
use crate::error::ClientError;
use crate::factor::SecondFactor;
use crate::tls::TlsOptions;
use crate::transport::{Body, Call, Reply, Transport};

/// A client of one gateway, with the credential of one caller or of nobody. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) transport: Transport,
}

/// An object with the version that it was read in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tagged<T> {
    /// The object.
    pub value: T,
    /// What a change of it sends as `If-Match`; `None` when the gateway gives none.
    pub etag: Option<String>,
}

/// Which page of a listing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// What the page before named as `next`; `None` for the first page.
    pub cursor: Option<String>,
    /// How many items at most; `None` leaves it to the gateway.
    pub limit: Option<u32>,
    /// Only items that contain this, where the listing can be searched.
    pub search: Option<String>,
}

impl Page {
    /// Adds it to the query of `url`.
    pub(crate) fn on(&self, url: Url) -> Url {
        let limit = self.limit.map(|limit| limit.to_string());
        let parameters =
            [("cursor", self.cursor.as_deref()), ("limit", limit.as_deref()), ("q", self.search.as_deref())];
        with_query(url, &parameters)
    }
}

/// Adds the parameters that have a value to the query of `url`.
pub(crate) fn with_query(mut url: Url, parameters: &[(&str, Option<&str>)]) -> Url {
    for (name, value) in parameters {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url
}

impl Client {
    /// A client of the gateway at `address`.
    ///
    /// # Errors
    /// When a named certificate authority cannot be used.
    pub fn new(
        address: GatewayAddress,
        credential: Option<Secret<String>>,
        tls: &TlsOptions,
    ) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(address, credential, tls)? })
    }

    /// The same client, whose requests carry this second factor.
    #[must_use]
    pub fn with_factor(&self, factor: SecondFactor) -> Self {
        Self { transport: self.transport.with_factor(factor) }
    }

    /// Where the gateway is.
    pub fn address(&self) -> &GatewayAddress {
        self.transport.address()
    }

    /// Whether there is a credential.
    pub fn has_credential(&self) -> bool {
        self.transport.has_credential()
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<T, ClientError> {
        Ok(self.read_tagged(url).await?.value)
    }

    pub(crate) async fn read_tagged<T: DeserializeOwned>(&self, url: Url) -> Result<Tagged<T>, ClientError> {
        let reply = self.transport.send(Call::new(Method::GET, url)).await?;
        self.tagged(&reply)
    }

    /// A change that is answered with a document.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: &(impl Serialize + Sync),
        if_match: Option<&str>,
    ) -> Result<Tagged<T>, ClientError> {
        let reply = self.transport.send(call(method, url, body, if_match)?).await?;
        self.tagged(&reply)
    }

    /// A change without a body that is answered with a document.
    pub(crate) async fn post_bare<T: DeserializeOwned>(&self, url: Url) -> Result<T, ClientError> {
        let reply = self.transport.send(Call::new(Method::POST, url)).await?;
        self.transport.document(&reply.body)
    }

    /// A removal that is answered with a document.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, url: Url) -> Result<T, ClientError> {
        let reply = self.transport.send(Call::new(Method::DELETE, url)).await?;
        self.transport.document(&reply.body)
    }

    /// A change whose answer is of no interest.
    pub(crate) async fn order(
        &self,
        method: Method,
        url: Url,
        if_match: Option<&str>,
    ) -> Result<(), ClientError> {
        let mut call = Call::new(method, url);
        call.if_match = if_match.map(str::to_owned);
        self.transport.send(call).await.map(|_| ())
    }

    /// The same with a body.
    pub(crate) async fn order_with(
        &self,
        method: Method,
        url: Url,
        body: &(impl Serialize + Sync),
        if_match: Option<&str>,
    ) -> Result<(), ClientError> {
        self.transport.send(call(method, url, body, if_match)?).await.map(|_| ())
    }

    fn tagged<T: DeserializeOwned>(&self, reply: &Reply) -> Result<Tagged<T>, ClientError> {
        Ok(Tagged { value: self.transport.document(&reply.body)?, etag: reply.etag.clone() })
    }
}

/// The `ETag` of a version: what `If-Match` takes.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// A call with a JSON body.
pub(crate) fn call(
    method: Method,
    url: Url,
    body: &impl Serialize,
    if_match: Option<&str>,
) -> Result<Call, ClientError> {
    let mut call = Call::new(method, url);
    call.body = Body::Json(serde_json::to_vec(body).map_err(ClientError::Encode)?);
    call.if_match = if_match.map(str::to_owned);
    Ok(call)
}
