//! One's own sessions.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::sessions::{self, ListedSession};
use gateway_types::{CredentialKind, Problem, SessionId, Timestamp};

use super::person;
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, pages, reply};

const HERE: &str = "/app/account/sessions";

/// How many sessions stand on one page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    frame: Frame,
    sessions: Vec<Row>,
    /// There are others than the one that asks.
    others: bool,
    pager: Pager,
}

struct Row {
    id: String,
    kind: &'static str,
    device: String,
    client: String,
    address: String,
    /// From where it was last used, when that is another address.
    last_address: String,
    created: Timestamp,
    last_seen: Timestamp,
    expires: Timestamp,
    current: bool,
}

/// `GET /app/account/sessions`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let user = person(&request.caller)?;
    let query = Query::of(request);
    let cursor = query.one("cursor");
    let page = sessions::of_person(web.app(), &request.caller, user, cursor.as_deref(), PAGE).await?;
    let sessions: Vec<Row> = page.items.into_iter().map(row).collect();
    reply::html(&SessionsPage {
        frame: Frame::of(web, request, "Sessions"),
        others: cursor.is_some() || sessions.iter().any(|session| !session.current),
        pager: Pager::new(HERE, &query, page.next.as_deref()),
        sessions,
    })
}

fn row(listed: ListedSession) -> Row {
    let session = listed.session;
    Row {
        id: session.id.to_string(),
        kind: match session.kind {
            CredentialKind::WebSession => "Browser",
            CredentialKind::CliSession => "Command line",
            CredentialKind::None
            | CredentialKind::ApiToken
            | CredentialKind::AccessToken
            | CredentialKind::Workload => "Unknown",
        },
        device: session.device,
        client: session.client,
        address: session.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        last_address: session
            .last_ip
            .filter(|last| session.ip != Some(*last))
            .map(|ip| ip.to_string())
            .unwrap_or_default(),
        created: session.created,
        last_seen: session.last_seen,
        expires: session.expires,
        current: listed.current,
    }
}

/// `POST /app/account/sessions/{id}/revoke`.
pub(crate) async fn revoke(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let user = person(&request.caller)?;
    let id = request.parameter("id").and_then(|id| id.parse::<SessionId>().ok());
    let id = id.ok_or_else(pages::no_such_page)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    sessions::revoke(web.app(), &operator, &request.caller, user, id).await?;
    Ok(reply::done(HERE, "session-revoked"))
}

/// `POST /app/account/sessions/revoke-others`.
pub(crate) async fn revoke_others(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    sessions::revoke_others(web.app(), &operator, &request.caller).await?;
    Ok(reply::done(HERE, "others-revoked"))
}

/// `POST /app/account/sessions/revoke-all`.
pub(crate) async fn revoke_all(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    sessions::revoke_all(web.app(), &operator, &request.caller).await?;
    Ok(reply::see_other("/auth/login?signed_out"))
}
