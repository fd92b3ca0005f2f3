//! What the data plane knows of services while it serves them: how their instances stand, and what a service says of
//! itself. The seam through which pages and the API ask; they know neither connections nor credentials.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_services::{
    InstanceStanding, Kind, Service, ServiceRequest, ServiceRouteError, openapi, openapi::OpenapiError,
};
use gateway_types::{Caller, Channel, Facts, Layer, Problem, ProblemKind, RequestId};
use serde_json::Value;

use super::{ServiceChangeError, one};
use crate::App;
use crate::control::OwnRequest;
use crate::origin::Origin;
use crate::rules::Rules;

/// The largest document that is read, in bytes.
pub const LARGEST_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// The longest title or version that is shown, in characters.
const LONGEST_WORDS: usize = 200;

/// Whoever serves the services.
pub trait ServiceInstances: fmt::Debug + Send + Sync {
    /// How the instances of a service stand at this instance of the gateway, in the order of its declaration.
    fn standings(&self, service: &Service) -> Vec<InstanceStanding>;

    /// Reads what a service answers, in the name of the caller: it is told who asks as for any of their requests, and
    /// none of their credentials.
    fn read<'a>(&'a self, asking: Asking<'a>) -> Reading<'a>;
}

/// What [`ServiceInstances::read`] returns.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, ReadFault>> + Send + 'a>>;

/// Who reads what.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// The request, which policy allowed.
    pub request: ServiceRequest,
    /// Who asks.
    pub caller: &'a Caller,
    /// What policy was told.
    pub facts: &'a Facts,
    /// The request to the gateway.
    pub request_id: RequestId,
    /// The origin that the client used.
    pub origin: &'a Origin,
}

/// Why there is nothing to read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadFault {
    /// Nobody serves services here.
    #[error("services are not served here")]
    Nobody,
    /// No instance answered; why is in the program's log.
    #[error("the service does not answer")]
    Unreachable,
    /// It took too long.
    #[error("the service did not answer in time")]
    TooSlow,
    /// It answered with something else than 200.
    #[error("the service answered with {status}")]
    Status {
        /// With what.
        status: u16,
    },
    /// It is not said to be JSON.
    #[error("the service answered with `{found}`, not with JSON")]
    NotJson {
        /// The media type, or the coding.
        found: String,
    },
    /// It is too large.
    #[error("the document is larger than {LARGEST_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// It repeats what the gateway signs in with.
    #[error("the document holds the credential that the gateway has for the service, so it is not shown")]
    Credential,
}

/// For an application that serves no services: a command, or a test.
#[derive(Clone, Copy, Debug)]
pub struct NoInstances;

impl ServiceInstances for NoInstances {
    fn standings(&self, _service: &Service) -> Vec<InstanceStanding> {
        Vec::new()
    }

    fn read<'a>(&'a self, _asking: Asking<'a>) -> Reading<'a> {
        Box::pin(async { Err(ReadFault::Nobody) })
    }
}

/// A service's own OpenAPI document, as far as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenDocument {
    /// The service's name.
    pub service: String,
    /// The service's name for people.
    pub service_title: String,
    /// What the document is called.
    pub title: String,
    /// Its version of itself.
    pub version: String,
    /// What it has, as a declaration takes it.
    pub imported: openapi::Imported,
}

/// Why a service's own document is not shown.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// There is no such service, or the store cannot be reached.
    #[error(transparent)]
    Service(#[from] ServiceChangeError),
    /// The declaration is not in force here.
    #[error("this declaration is not in force here")]
    NotInForce,
    /// The service names no document.
    #[error("the service names no OpenAPI document; an admin sets `openapi` to its path")]
    None,
    /// No route leads to it.
    #[error("no request to the service leads to its document: {0}")]
    Route(ServiceRouteError),
    /// The caller may not read it at the service itself.
    #[error("you may not read this document at the service: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// It could not be read.
    #[error("the document cannot be shown: {0}")]
    Read(#[from] ReadFault),
    /// It is no JSON.
    #[error("the document cannot be shown: it is no JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON and no OpenAPI document.
    #[error("the document cannot be shown: {0}")]
    Openapi(#[from] OpenapiError),
}

impl From<DocumentError> for Problem {
    fn from(error: DocumentError) -> Self {
        let (kind, layer) = match error {
            DocumentError::Service(error) => return error.into(),
            DocumentError::NotInForce | DocumentError::None | DocumentError::Route(_) => {
                (ProblemKind::NotFound, Layer::Network)
            }
            DocumentError::Refused { .. } => (ProblemKind::Refused, Layer::Authorization),
            DocumentError::Read(ReadFault::Unreachable | ReadFault::Nobody) => {
                (ProblemKind::UpstreamUnreachable, Layer::Network)
            }
            DocumentError::Read(ReadFault::TooSlow) => (ProblemKind::UpstreamTimeout, Layer::Network),
            DocumentError::Read(
                ReadFault::Status { .. }
                | ReadFault::NotJson { .. }
                | ReadFault::TooLarge
                | ReadFault::Credential,
            )
            | DocumentError::Json(_)
            | DocumentError::Openapi(_) => (ProblemKind::BadUpstream, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// Who wants to see a document, and how they came.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// What policy was told of them.
    pub facts: &'a Facts,
    /// Their request.
    pub request_id: RequestId,
    /// The origin that they used.
    pub origin: &'a Origin,
}

impl<'a> Reader<'a> {
    /// Whoever asked the gateway for it.
    pub fn of(request: &'a OwnRequest) -> Self {
        Self {
            caller: &request.caller,
            facts: &request.facts,
            request_id: request.request_id,
            origin: &request.head.origin,
        }
    }
}

/// How the instances of a service stand here; none of a TCP service's are watched.
pub fn standings(app: &App, service: &Service) -> Vec<InstanceStanding> {
    app.instances.standings(service)
}

/// A service's own OpenAPI document, read from the service in the name of whoever wants to see it.
///
/// # Errors
/// [`DocumentError`].
///
/// # Security
/// It is one more request to the service, so the verdict over it is the one of that request: nobody sees here what they
/// could not open there.
pub async fn document(app: &App, reader: Reader<'_>, name: &str) -> Result<OpenDocument, DocumentError> {
    let listed = one(app, name).await?;
    let rules = app.rules.load();
    let known = rules.services.named(name).filter(|known| known.raw == listed.declaration);
    let service = known.cloned().ok_or(DocumentError::NotInForce)?;
    if matches!(service.kind, Kind::Tcp { .. }) {
        return Err(DocumentError::None);
    }
    let request = service.document().ok_or(DocumentError::None)?.map_err(DocumentError::Route)?;
    let caller = Caller { channel: Channel::Service, ..reader.caller.clone() };
    let resource = request.resource();
    // What was gathered about the gateway's own operation says nothing about the service's.
    let own = Facts { own_object: false, mfa_bound: false, approval_matches: false, ..reader.facts.clone() };
    let facts = app.circumstances().of(&caller.principal, &resource, own);
    let verdict = rules.policy.decide(&caller, &request.operation, &resource, &facts);
    if !verdict.is_allowed() {
        return Err(DocumentError::Refused { reason: verdict.reason });
    }
    let asking = Asking {
        rules,
        request,
        caller: &caller,
        facts: &facts,
        request_id: reader.request_id,
        origin: reader.origin,
    };
    let bytes = app.instances.read(asking).await?;
    let document: Value = serde_json::from_slice(&bytes).map_err(DocumentError::Json)?;
    let imported = openapi::import(&document)?;
    let words = |pointer: &str| -> String {
        let text = document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|c| !c.is_control()).take(LONGEST_WORDS).collect()
    };
    Ok(OpenDocument {
        service: service.name.to_string(),
        service_title: service.title.clone(),
        title: words("/info/title"),
        version: words("/info/version"),
        imported,
    })
}
