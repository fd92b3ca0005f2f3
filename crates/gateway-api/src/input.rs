//! What a request says: strict JSON bodies, typed queries, `If-Match`.
//!
//! Nothing is guessed and nothing left over is ignored: a member or parameter that is unknown, twice, or not
//! of its type is refused with the place where it stands. Knows no operation.

mod once;
mod query;
#[cfg(test)]
mod tests;

use gateway_app::control::OwnRequest;
use gateway_app::rights::Expected;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use serde::de::DeserializeOwned;

pub(crate) use query::query;

/// The largest body that is read, in bytes.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;

/// The body as `T`, which must refuse unknown members (`deny_unknown_fields`; the document's test looks).
///
/// # Errors
/// [`ProblemKind::BadParameter`] for another media type, another shape, or a member that stands twice;
/// [`ProblemKind::TooLarge`].
pub(crate) fn json<T: DeserializeOwned>(request: &OwnRequest) -> Result<T, Problem> {
    if !is_json(request) {
        return Err(bad("send the body as JSON, with `Content-Type: application/json`"));
    }
    if request.body.len() > MOST_BYTES {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            Layer::Network,
            format!("the body has more than {MOST_BYTES} bytes"),
        ));
    }
    once::check(&request.body).map_err(|error| not_of_its_shape(&error))?;
    // serde reads an array as a struct too, member by member, so that names would not matter.
    if request.body.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad("the body is one JSON object"));
    }
    serde_json::from_slice(&request.body).map_err(|error| not_of_its_shape(&error))
}

/// The same for a body that holds secrets: a fault repeats nothing of what was sent.
///
/// # Errors
/// As [`json`].
pub(crate) fn secret_json<T: DeserializeOwned>(request: &OwnRequest) -> Result<T, Problem> {
    json(request).map_err(|problem| match problem.kind == ProblemKind::BadParameter {
        true => bad("the body is not what this operation takes: one JSON object, each member once, every value a text"),
        false => problem,
    })
}

/// The body as `T`, or the default when there is none at all.
///
/// # Errors
/// As [`json`].
pub(crate) fn json_or_default<T: DeserializeOwned + Default>(request: &OwnRequest) -> Result<T, Problem> {
    if request.body.is_empty() { Ok(T::default()) } else { json(request) }
}

/// The parameter `name` of the path as `T`.
///
/// # Errors
/// [`ProblemKind::NotFound`] for a text that is none: there is nothing with such an id.
pub(crate) fn path<T: std::str::FromStr>(request: &OwnRequest, name: &'static str) -> Result<T, Problem> {
    request.parameter(name).and_then(|text| text.parse().ok()).ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Authorization, "there is nothing with this id")
    })
}

/// Which state a change is a change of, by its `If-Match`. `If-None-Match: *` is version 0: nothing there yet.
///
/// # Errors
/// [`ProblemKind::PreconditionRequired`] without one; [`ProblemKind::BadParameter`] for more than one
/// entity tag or one that this API does not give out.
///
/// Source: RFC 9110, sections 13.1.1 and 13.1.2; RFC 6585, section 3.
pub(crate) fn if_match(request: &OwnRequest) -> Result<Expected, Problem> {
    let mut none = request.head.headers.get_all(IF_NONE_MATCH).iter();
    let mut values = request.head.headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else {
        if none.next().is_some_and(|value| value == "*") && none.next().is_none() {
            return Ok(Expected::Version(0));
        }
        return Err(Problem::new(
            ProblemKind::PreconditionRequired,
            Layer::Network,
            "send If-Match with the ETag of what you read, or `*` for whatever is there",
        ));
    };
    let one = || bad("If-Match takes one ETag as this API gives it out, such as \"42\", or `*`");
    if values.next().is_some() || none.next().is_some() {
        return Err(one());
    }
    let text = value.to_str().map_err(|_not_text| one())?.trim();
    if text == "*" {
        return Ok(Expected::Any);
    }
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(one)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(one());
    }
    digits.parse().map(Expected::Version).map_err(|_too_large| one())
}

/// A parameter that is not acceptable, in one sentence.
pub(crate) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::BadParameter, Layer::Network, detail)
}

fn is_json(request: &OwnRequest) -> bool {
    let mut values = request.head.headers.get_all(CONTENT_TYPE).iter();
    let only = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_some() {
        return false;
    }
    let Some(text) = only else { return false };
    let (media_type, parameters) = text.split_once(';').unwrap_or((text, ""));
    let parameters = parameters.trim();
    media_type.trim().eq_ignore_ascii_case("application/json")
        && (parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8"))
}

/// serde's sentence without anything that a terminal would act on; it repeats a piece of what was sent.
fn not_of_its_shape(error: &serde_json::Error) -> Problem {
    let said: String = error.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
    bad(format!("the body is not what this operation takes: {said}"))
}
