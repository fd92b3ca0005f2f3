//! The endpoints of command lines: the token endpoint, the device authorization endpoint, signing out.
//!
//! What is wrong with a request of the first two is told as OAuth tells it (RFC 6749, section 5.2; RFC 8628,
//! section 3.5), because that is what their clients read; what is wrong with the gateway is a problem.

#[cfg(test)]
mod tests;

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::sign_in::tokens::{self, Fields, Issued, TokenError, TokenFault};
use gateway_app::sign_in::{self, Visitor, backchannel, devices};
use gateway_app::workloads;
use gateway_app::workloads::exchange::{self, ExchangeError};
use gateway_types::wire::trust_rules::Mismatch;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, USER_AGENT};
use serde::Serialize;
use utoipa::ToSchema;

use crate::reply::{self, Answer};

/// A session of a command line (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionGiven {
    /// The session's token, shown once.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long it lives at most, in seconds.
    expires_in: u64,
    /// Which gateway gave it.
    gateway_id: String,
    /// Whose it is.
    email: String,
}

/// A device that may wait (RFC 8628, section 3.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceStarted {
    /// What the device polls with.
    device_code: String,
    /// What the person types.
    user_code: String,
    /// Where the person goes.
    verification_uri: String,
    /// The same with the code.
    verification_uri_complete: String,
    /// How long the person has, in seconds.
    expires_in: u64,
    /// How long to wait between two polls, in seconds.
    interval: u64,
}

/// A short token of a machine (RFC 8693, section 2.2.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenGiven {
    /// The token, shown once.
    access_token: String,
    /// What it is.
    issued_token_type: &'static str,
    /// `Bearer`.
    token_type: &'static str,
    /// How long it lives, in seconds.
    expires_in: u64,
    /// Which gateway gave it.
    gateway_id: String,
    /// The trust rule that it is of.
    rule: String,
}

/// What is wrong with a request (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct OauthFault {
    /// The standard's word.
    error: &'static str,
    /// In a sentence.
    error_description: String,
    /// Of a token that is not exchanged: one word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Of a token that fits no trust rule: the claims that do not fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mismatches: Vec<Mismatch>,
}

/// A session for a code of a loopback sign-in (with its PKCE verifier), or for a device that a person let in; or a short
/// token for one of a CI system (RFC 8693), by a trust rule.
#[utoipa::path(post, path = "/auth/token", tag = "auth",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = SessionGiven), (status = 400, body = OauthFault)))]
pub(crate) async fn token(app: &App, request: &OwnRequest) -> Answer {
    match form(request) {
        Ok(fields) if fields.get("grant_type") == Some(exchange::GRANT) => {
            return exchanged(app, request, &fields).await;
        }
        Ok(_) | Err(_) => {}
    }
    match given(app, request).await {
        Ok(issued) => document(
            200,
            &SessionGiven {
                access_token: issued.secret.expose().clone(),
                token_type: "Bearer",
                expires_in: issued.expires_in,
                gateway_id: app.store.gateway_id().to_string(),
                email: issued.email,
            },
        ),
        Err(TokenError::Fault(fault)) => told(fault),
        Err(TokenError::Failed(error)) => Err(error.into()),
    }
}

async fn exchanged(app: &App, request: &OwnRequest, fields: &Fields) -> Answer {
    match exchange::exchange(app, fields, visitor(request)).await {
        Ok(given) => document(
            200,
            &TokenGiven {
                access_token: given.secret.expose().clone(),
                issued_token_type: exchange::ISSUED_TYPE,
                token_type: "Bearer",
                expires_in: given.expires_in,
                gateway_id: app.store.gateway_id().to_string(),
                rule: given.rule,
            },
        ),
        Err(ExchangeError::Fault(fault)) => {
            let audience = workloads::audience(app.store.gateway_id());
            let told = OauthFault {
                error: fault.code(),
                error_description: fault.description(&audience),
                reason: Some(fault.reason()),
                mismatches: fault.mismatches().to_vec(),
            };
            document(fault.status(), &told)
        }
        Err(ExchangeError::Failed(error)) => Err(error.into()),
    }
}

fn visitor(request: &OwnRequest) -> Visitor<'_> {
    let agent = request.head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    Visitor {
        browser: None,
        trusted: None,
        source_ip: request.caller.source_ip,
        device: "",
        client: agent.unwrap_or_default(),
        request_id: request.request_id,
    }
}

async fn given(app: &App, request: &OwnRequest) -> Result<Issued, TokenError> {
    let fields = form(request)?;
    tokens::issue(app, &fields, visitor(request)).await
}

/// Lets a device without a browser wait for a person.
#[utoipa::path(post, path = "/auth/device", tag = "auth",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = DeviceStarted), (status = 400, body = OauthFault)))]
pub(crate) async fn device(app: &App, request: &OwnRequest) -> Answer {
    let fields = form(request).and_then(|fields| fields.client().map(|()| fields));
    let fields = match fields {
        Ok(fields) => fields,
        Err(fault) => return told(fault),
    };
    let name = fields.get("device").unwrap_or_default();
    let started = devices::start(app, &request.head.origin, name, request.caller.source_ip).await?;
    document(
        200,
        &DeviceStarted {
            device_code: started.device_code.expose().clone(),
            user_code: started.user_code,
            verification_uri: started.verification_uri,
            verification_uri_complete: started.verification_uri_complete,
            expires_in: started.expires_in,
            interval: started.interval,
        },
    )
}

/// Ends the session that asks, everywhere.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 204)))]
pub(crate) async fn logout(app: &App, request: &OwnRequest) -> Answer {
    sign_in::sign_out(app, &request.caller, request.request_id).await?;
    Ok(reply::no_content())
}

/// What an identity provider says when it ended somebody's session: a signed logout token, which ends the sessions
/// here that came of it (OpenID Connect Back-Channel Logout 1.0).
#[utoipa::path(post, path = "/auth/backchannel-logout/{provider}", tag = "auth",
    params(("provider" = String, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200), (status = 400, body = OauthFault)))]
pub(crate) async fn backchannel_logout(app: &App, request: &OwnRequest) -> Answer {
    let fields = match form(request) {
        Ok(fields) => fields,
        Err(fault) => return told(fault),
    };
    let Ok(token) = fields.need("logout_token") else { return told(TokenFault::InvalidRequest) };
    let provider = request.parameter("provider").unwrap_or_default();
    let (from, id) = (request.caller.source_ip, request.request_id);
    match backchannel::logout(app, provider, token, from, id).await {
        Ok(_ended) => {
            Ok(OwnReply::new(200, "application/json", b"{}".to_vec()).with_header(CACHE_CONTROL, "no-store"))
        }
        Err(error) if backchannel::is_the_tokens(&error) => {
            tracing::warn!(
                provider,
                error = &error as &dyn std::error::Error,
                "a logout token does not count"
            );
            let fault = OauthFault {
                error: "invalid_request",
                error_description: "the logout token does not count here, or counted before".to_owned(),
                reason: None,
                mismatches: Vec::new(),
            };
            document(400, &fault)
        }
        Err(error) => Err(error.into()),
    }
}

fn form(request: &OwnRequest) -> Result<Fields, TokenFault> {
    let content_type = request.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(TokenFault::InvalidRequest);
    }
    Fields::read(&request.body)
}

fn told(fault: TokenFault) -> Answer {
    let error_description = fault.description().to_owned();
    document(
        400,
        &OauthFault { error: fault.code(), error_description, reason: None, mismatches: Vec::new() },
    )
}

/// Neither a token nor a code is kept by anything on the way (RFC 6749, section 5.1).
fn document<T: Serialize>(status: u16, value: &T) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a reply could not be written as JSON");
        Problem::new(ProblemKind::Internal, Layer::Network, "the reply could not be written")
    })?;
    Ok(OwnReply::new(status, "application/json", body)
        .with_header(CACHE_CONTROL, "no-store")
        .with_header(PRAGMA, "no-cache"))
}
