//! Replies: JSON, created, nothing, text; and the entity tags that changes are compared against.
//!
//! Knows HTTP's manners and no operation.

use gateway_app::control::OwnReply;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CACHE_CONTROL, ETAG, LOCATION};
use serde::Serialize;

/// What the handlers return.
pub(crate) type Answer = Result<OwnReply, Problem>;

/// 200 with a JSON document.
///
/// # Errors
/// [`ProblemKind::Internal`] when the value has no JSON form, which no wire type lacks.
pub(crate) fn json<T: Serialize>(value: &T) -> Answer {
    document(200, value)
}

/// 201 with the new object, and where it is from now on.
///
/// # Errors
/// As [`json`].
pub(crate) fn created<T: Serialize>(location: &str, value: &T) -> Answer {
    Ok(document(201, value)?.with_header(LOCATION, location))
}

/// 204: done, and there is nothing to say.
pub(crate) fn no_content() -> OwnReply {
    OwnReply::new(204, "text/plain; charset=utf-8", Vec::new())
}

/// 200 with plain text.
pub(crate) fn text(body: impl Into<String>) -> OwnReply {
    OwnReply::new(200, "text/plain; charset=utf-8", body.into())
}

/// The same with the entity tag of the object that it shows: what a change of it names in `If-Match`.
pub(crate) fn tagged(reply: OwnReply, version: i64) -> OwnReply {
    reply.with_header(ETAG, &etag(version))
}

/// The entity tag of a version (RFC 9110, section 8.8.3).
pub(crate) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

fn document<T: Serialize>(status: u16, value: &T) -> Answer {
    let mut body = serde_json::to_vec_pretty(value).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a reply could not be written as JSON");
        Problem::new(ProblemKind::Internal, Layer::Network, "the reply could not be written")
    })?;
    body.push(b'\n');
    // What the API says is for this caller and of this moment, and some of it is shown only once.
    Ok(OwnReply::new(status, "application/json", body).with_header(CACHE_CONTROL, "no-store"))
}
