//! The seam to the gateway's own operations: they are reached only through the data plane's verdict.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_policy::OwnRoute;
use gateway_types::{Caller, Operation, Principal, Problem, RequestId};

/// A request for one of the gateway's own operations, after the verdict and the intent.
#[derive(Debug)]
pub struct OwnRequest {
    /// The operation.
    pub operation: Arc<Operation>,
    /// Parameters of its path, in order.
    pub parameters: Vec<(String, String)>,
    /// The query, undecoded.
    pub query: Option<String>,
    /// Who asks.
    pub caller: Caller,
    /// The request, for events and problems.
    pub request_id: RequestId,
    /// The complete body.
    pub body: bytes::Bytes,
}

impl OwnRequest {
    /// A parameter of the path.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A finished reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnReply {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}

/// What [`ControlPlane::serve`] returns.
pub type Served<'a> = Pin<Box<dyn Future<Output = Result<OwnReply, Problem>> + Send + 'a>>;

/// Whoever serves the gateway's own operations.
pub trait ControlPlane: fmt::Debug + Send + Sync {
    /// Whether this operation is served here; one that is not does not exist.
    fn serves(&self, operation: &Operation) -> bool;

    /// Whether what a route acts on belongs to the caller: a fact for policy. Unsure means no.
    fn is_own(&self, principal: &Principal, route: Option<&OwnRoute>) -> bool;

    /// Serves a request that policy allowed and whose intent is recorded.
    fn serve(&self, request: OwnRequest) -> Served<'_>;
}
