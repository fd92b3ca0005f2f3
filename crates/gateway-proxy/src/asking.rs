//! What the gateway asks the rack on its own account, with the name of whoever it is asked for in the rack's log.

use std::time::Duration;

use gateway_convox::RackRole;
use gateway_types::{Layer, Principal, Problem, ProblemKind};
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::time::timeout;

use crate::body::{BodyError, RequestBody, collect};
use crate::phases::forward::{ACTOR_HEADER, actor_value};
use crate::plane::LABELLED_REPLY_LIMIT_BYTES;
use crate::upstream::Upstream;

/// How long the rack may take to tell the present values.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Reads JSON at `target`; `None` when the rack says that it is not there.
///
/// # Errors
/// A problem: the rack cannot be reached, or does not answer with what was asked for.
pub(crate) async fn read_json<T: for<'de> Deserialize<'de>>(
    upstream: &Upstream,
    principal: &Principal,
    target: &str,
) -> Result<Option<T>, Problem> {
    let unreachable = || {
        Problem::new(
            ProblemKind::UpstreamUnreachable,
            Layer::Network,
            "the rack cannot tell the present values, so nothing was changed",
        )
    };
    let mut request = http::Request::new(RequestBody::Empty);
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(ACTOR_HEADER, actor_value(principal));
    let sent = timeout(READ_LIMIT, upstream.send(request, target, RackRole::Read)).await;
    let response = sent.map_err(|_slow| unreachable())?.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the rack could not be asked for present values"
        );
        unreachable()
    })?;
    match response.status().as_u16() {
        200 => {
            let body = collect(response.into_body().map_err(BodyError::Broken), LABELLED_REPLY_LIMIT_BYTES);
            let body = body.await.map_err(|_broken| unreachable())?;
            serde_json::from_slice(&body).map(Some).map_err(|_other| unreachable())
        }
        404 => Ok(None),
        _ => Err(unreachable()),
    }
}
