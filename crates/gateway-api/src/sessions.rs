//! One's own sessions: `/me/sessions`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::rights::person_behind;
use gateway_app::sessions::{self, ListedSession};
use gateway_types::wire::Listing;
use gateway_types::wire::sessions::{Session, SessionsEnded, TrustedDevice};
use gateway_types::{Problem, SessionId, TrustedDeviceId, UserId};

use crate::input;
use crate::paging::{self, Paging, bare, no_query};
use crate::reply::{self, Answer};

fn shown(listed: ListedSession) -> Session {
    let ListedSession { session, current } = listed;
    Session {
        id: session.id.to_string(),
        kind: session.kind.name().to_owned(),
        device: session.device,
        ip: session.ip.map(|ip| ip.to_string()),
        client: (!session.client.is_empty()).then_some(session.client),
        last_ip: session.last_ip.map(|ip| ip.to_string()),
        created: session.created.to_rfc3339(),
        last_seen: session.last_seen.to_rfc3339(),
        expires: session.expires.to_rfc3339(),
        idle_limit_seconds: session.idle_limit.as_secs(),
        current,
    }
}

/// One page of `user`'s sessions.
pub(crate) async fn page(app: &App, request: &OwnRequest, user: UserId) -> Answer {
    let asked: Paging = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    let page = sessions::of_person(app, &request.caller, user, asked.cursor.as_deref(), limit).await?;
    reply::json(&paging::listing(page, shown))
}

fn oneself(request: &OwnRequest) -> Result<UserId, Problem> {
    person_behind(&request.caller).ok_or_else(|| gateway_app::PeopleError::NotOwn.into())
}

/// One's own live sessions.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "me", params(Paging),
    responses((status = 200, body = Listing<Session>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    page(app, request, oneself(request)?).await
}

/// Ends one of one's own sessions, also the one that asks.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", tag = "me", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: SessionId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    sessions::revoke(app, &operator, &request.caller, oneself(request)?, id).await?;
    Ok(reply::no_content())
}

/// Ends all of one's own sessions but the one that asks.
#[utoipa::path(post, path = "/api/v1/me/sessions/revoke-others", tag = "me",
    responses((status = 200, body = SessionsEnded)))]
pub(crate) async fn revoke_others(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let ended = sessions::revoke_others(app, &operator, &request.caller).await?;
    reply::json(&SessionsEnded { ended })
}

/// Ends all of one's own sessions, also the one that asks.
#[utoipa::path(post, path = "/api/v1/me/sessions/revoke-all", tag = "me",
    responses((status = 200, body = SessionsEnded)))]
pub(crate) async fn revoke_all(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let ended = sessions::revoke_all(app, &operator, &request.caller).await?;
    reply::json(&SessionsEnded { ended })
}

/// One's own browsers that need no second factor to sign in.
#[utoipa::path(get, path = "/api/v1/me/trusted-devices", tag = "me",
    responses((status = 200, body = Listing<TrustedDevice>)))]
pub(crate) async fn trusted_devices(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let devices = sessions::trusted_devices(app, &request.caller).await?;
    let shown = |device: gateway_store::TrustedDevice| TrustedDevice {
        id: device.id.to_string(),
        name: device.name,
        ip: device.ip.map(|ip| ip.to_string()),
        created: device.created.to_rfc3339(),
        last_used: device.last_used.to_rfc3339(),
        expires: device.expires.to_rfc3339(),
    };
    reply::json(&Listing { items: devices.into_iter().map(shown).collect(), next: None })
}

/// Trusts one of them no longer.
#[utoipa::path(delete, path = "/api/v1/me/trusted-devices/{id}", tag = "me", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn forget_device(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: TrustedDeviceId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    sessions::forget_device(app, &operator, &request.caller, id).await?;
    Ok(reply::no_content())
}
