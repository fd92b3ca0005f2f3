//! What the gateway says about itself: discovery, health, problems, the checkpoint of its log.

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Layer, Problem, ProblemKind};
use serde_json::json;

use crate::reply::{self, Answer};

/// Where to report what is wrong with the gateway's security (RFC 9116).
const SECURITY_TXT: &str = "Contact: https://github.com/rack-gateway/rack-gateway/security/advisories/new\n\
    Expires: 2027-11-22T00:00:00Z\n\
    Policy: https://github.com/rack-gateway/rack-gateway/blob/main/SECURITY.md\n\
    Preferred-Languages: en\n";

/// What a client needs to know before it signs in.
pub(crate) async fn discovery(app: &App, _request: &OwnRequest) -> Answer {
    reply::json(&json!({
        "gateway_id": app.store.gateway_id().to_string(),
        "rack": app.rack_name,
        "rack_proxy": "/api/v1/rack-proxy",
        "checkpoint": "/log/checkpoint",
        "checkpoint_key": app.store.audit().verifier().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// For balancers: 200 while the gateway can serve, 503 when it cannot. No body.
pub(crate) async fn health(app: &App, _request: &OwnRequest) -> Answer {
    let status = if app.health.can_serve(&app.store) { 200 } else { 503 };
    Ok(OwnReply::new(status, "text/plain; charset=utf-8", Vec::new()))
}

/// What a problem means and what to do about it.
pub(crate) async fn problem(_app: &App, request: &OwnRequest) -> Answer {
    let kind = ProblemKind::parse(request.parameter("kind").unwrap_or_default()).ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Network, "there is no problem of this name")
    })?;
    let mut body = format!("{} ({} {})\n\n{}\n", kind.title(), kind.status(), kind.name(), kind.advice());
    body.push_str(
        "\nEvery problem names the layer that decided and carries the request id as its instance.\n",
    );
    Ok(reply::text(body))
}

/// Where to report what is wrong with the gateway's security.
pub(crate) async fn security_txt(_app: &App, _request: &OwnRequest) -> Answer {
    Ok(reply::text(SECURITY_TXT))
}

/// The signed checkpoint of the audit log's present head.
pub(crate) async fn checkpoint(app: &App, _request: &OwnRequest) -> Answer {
    Ok(reply::text(app.store.audit().checkpoint().await.map_err(gateway_app::AppError::from)?))
}
