//! Refusals, and how they are told (RFC 9457).

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::json;

use super::Reply;
use crate::name::{DnsName, NameFault};
use crate::record::SetFault;
use crate::rules::RuleFault;
use crate::store::StoreError;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("there is no Gateway-Token; call through the gateway")]
    NoToken,
    #[error("this program serves this machine only: call it as 127.0.0.1 or localhost")]
    OtherHost,
    #[error("there is no such operation; /openapi.json lists them")]
    NoRoute,
    #[error("this path takes {0}")]
    OtherMethod(String),
    #[error("there is no such zone, or you cannot read it")]
    NoZone,
    #[error("you can read the zone {0} and not write it")]
    NotWritable(DnsName),
    #[error("the name is not held")]
    NotHeld,
    #[error("there is no such change, or it is too long ago")]
    NoChange,
    #[error("`{0}` is no name: {1}")]
    Name(String, NameFault),
    #[error("the query parameter `{0}` is not known here, is there twice, or has no good value")]
    Query(String),
    #[error("the body must be JSON (Content-Type: application/json)")]
    OtherContent,
    #[error("the body is too large")]
    TooLarge,
    #[error("the body did not come in time")]
    TooSlow,
    #[error("the body was broken off")]
    Broken,
    #[error("the body is not as /openapi.json says: {0}")]
    Body(serde_json::Error),
    #[error("there must be at least one record set; to remove the name say DELETE")]
    Empty,
    #[error("{0}")]
    Sets(#[from] SetFault),
    #[error("{0}")]
    Rule(#[from] RuleFault),
    #[error("If-Match or If-None-Match is not in order")]
    Condition,
    #[error("the name was changed since you read it; read it again")]
    Changed(Option<String>),
    #[error("the change could not be kept, so it was not made; the program's log says why")]
    Store(#[from] StoreError),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Problem::NoToken => StatusCode::UNAUTHORIZED,
            Problem::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            Problem::NoRoute | Problem::NoZone | Problem::NotHeld | Problem::NoChange => {
                StatusCode::NOT_FOUND
            }
            Problem::OtherMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::NotWritable(_) => StatusCode::FORBIDDEN,
            Problem::Name(..)
            | Problem::Query(_)
            | Problem::Broken
            | Problem::Body(_)
            | Problem::Condition => StatusCode::BAD_REQUEST,
            Problem::OtherContent => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Problem::Empty | Problem::Sets(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::Rule(RuleFault::OtherZone { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::Rule(_) => StatusCode::CONFLICT,
            Problem::Changed(_) => StatusCode::PRECONDITION_FAILED,
            Problem::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The reply that says so.
    pub(crate) fn reply(&self) -> Reply {
        if let Problem::Store(error) = self {
            tracing::error!(error = crate::reconcile::chain(error), "the state cannot be written");
        }
        let status = self.status();
        let title = status.canonical_reason().unwrap_or_default();
        let body = json!({"title": title, "status": status.as_u16(), "detail": self.to_string()});
        let mut reply = json(status, &body);
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Problem::OtherMethod(allow) = self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(ALLOW, allow);
        }
        if let Problem::Changed(Some(tag)) = self
            && let Ok(tag) = HeaderValue::from_str(tag)
        {
            headers.insert(ETAG, tag);
        }
        reply
    }
}

/// A reply with JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    // Our own types, whose maps have text keys: there is nothing in them that JSON cannot say.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut reply = Response::new(Full::new(Bytes::from(bytes)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    reply
}
