//! What the gateway says about itself: discovery, health, problems, the API.

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::wire::meta::{AuthPaths, ClientHints, Discovery};
use gateway_types::{Layer, Problem, ProblemKind};

use crate::reply::{self, Answer};

/// Where to report what is wrong with the gateway's security (RFC 9116).
const SECURITY_TXT: &str = "Contact: https://github.com/rack-gateway/rack-gateway/security/advisories/new\n\
    Expires: 2027-11-22T00:00:00Z\n\
    Policy: https://github.com/rack-gateway/rack-gateway/blob/main/SECURITY.md\n\
    Preferred-Languages: en\n";

/// Where the rack's own API is, below the gateway's origin.
const RACK_PROXY: &str = "/api/v1/rack-proxy";

/// What a client needs to know before it signs in.
#[utoipa::path(get, path = "/.well-known/rack-gateway", tag = "meta",
    responses((status = 200, body = Discovery)))]
pub(crate) async fn discovery(app: &App, request: &OwnRequest) -> Answer {
    let origin = &request.head.origin;
    let (scheme, authority) = (origin.scheme.name(), &origin.authority);
    let path = |text: &str| text.to_owned();
    let keys = app.store.audit().keys().await.map_err(gateway_app::AppError::from)?;
    let known = app.store.audit().verifier();
    let newest = keys.newest().unwrap_or(&known);
    reply::json(&Discovery {
        gateway_id: app.store.gateway_id().to_string(),
        rack: app.rack_name.clone(),
        version: path(env!("CARGO_PKG_VERSION")),
        rack_proxy: path(RACK_PROXY),
        api: path("/api/v1"),
        openapi: path("/openapi.json"),
        checkpoint: path("/log/checkpoint"),
        log_keys: path("/log/keys"),
        checkpoint_key: newest.to_string(),
        auth: AuthPaths {
            login: path("/auth/login"),
            device: path("/auth/device"),
            device_page: path("/device"),
            token: path("/auth/token"),
        },
        clients: ClientHints {
            convox_rack_url: format!("{scheme}://convox:TOKEN@{authority}{RACK_PROXY}"),
            login_command: format!("rack-gateway login {origin}"),
        },
    })
}

/// For balancers: 200 while the gateway can serve, also degraded; 503 when it is stopping or out of disk. No
/// body.
#[utoipa::path(get, path = "/api/v1/health", tag = "meta",
    responses((status = 200, description = "It can serve."), (status = 503, description = "It cannot.")))]
pub(crate) async fn health(app: &App, _request: &OwnRequest) -> Answer {
    let status = if app.health.can_serve(&app.store) { 200 } else { 503 };
    Ok(OwnReply::new(status, "text/plain; charset=utf-8", Vec::new()))
}

/// What a kind of problem means and what to do about it.
#[utoipa::path(get, path = "/problems/{kind}", tag = "meta", params(("kind" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
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
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "meta",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn security_txt(_app: &App, _request: &OwnRequest) -> Answer {
    Ok(reply::text(SECURITY_TXT))
}

/// The public keys of request tokens (RFC 7517), each listed a day before it signs, and `issuer`, the `iss` of the tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "meta",
    responses((status = 200, body = Object, content_type = "application/jwk-set+json")))]
pub(crate) async fn jwks(app: &App, _request: &OwnRequest) -> Answer {
    let keys = gateway_app::signing::published(&app.store, &app.token_issuer()).await?;
    let mut reply = OwnReply::new(200, "application/jwk-set+json", keys.to_string());
    reply.headers.push((http::header::CACHE_CONTROL, http::HeaderValue::from_static("public, max-age=300")));
    Ok(reply)
}

/// This description of the API.
#[utoipa::path(get, path = "/openapi.json", tag = "meta",
    responses((status = 200, body = Object, content_type = "application/json")))]
pub(crate) async fn openapi(_app: &App, _request: &OwnRequest) -> Answer {
    Ok(OwnReply::new(200, "application/json", crate::openapi::COMMITTED))
}
