//! Sessions in the rack and their recordings: `/recordings`, `/live`.

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::recordings::{self, Part, Seen, Watch};
use gateway_recording::Chunk;
use gateway_store::{RecordedSession as Session, RecordingFilter};
use gateway_types::wire::Listing;
use gateway_types::wire::recordings::{RecordedSession, RecordingPart, RecordingPiece, SessionOver};
use gateway_types::{Principal, UserId};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::input;
use crate::paging::{self, limit, no_query};
use crate::reply::{self, Answer};

/// The query of the listing.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordingsQuery {
    /// Also those of others.
    #[serde(default)]
    all: bool,
    /// Only of this app.
    #[serde(default)]
    app: Option<String>,
    /// Only of whoever's name contains this.
    #[serde(default)]
    q: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

/// Sessions of which something was recorded, newest first: one's own, or with `all=true` everybody's.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(RecordingsQuery),
    responses((status = 200, body = Listing<RecordedSession>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let RecordingsQuery { all, app: of, q, cursor, limit: asked } = input::query(request)?;
    // What policy allowed as the caller's own is never more than that, whatever the query said.
    let user = match request.facts.own_object || !all {
        true => Some(person(request)?),
        false => None,
    };
    let filter =
        RecordingFilter { app: of, user, actor: q, recorded_only: true, limit: limit(asked)?, cursor };
    reply::json(&paging::listing(recordings::list(app, &filter).await?, shown))
}

/// Whose sessions are one's own: a person's, also those of the person's tokens.
fn person(request: &OwnRequest) -> Result<UserId, gateway_types::Problem> {
    match &request.caller.principal {
        Principal::User { id, .. } => Ok(*id),
        Principal::ApiToken { creator, .. } => Ok(*creator),
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => {
            Err(input::bad("you are no person, so none of these is yours; ask with all=true"))
        }
    }
}

/// The query of a recording.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PartQuery {
    /// The number of the first piece; 0 unless given.
    #[serde(default)]
    from: u64,
}

/// Some pieces of a recording, checked against each other and the audit log. Reading them is an event.
#[utoipa::path(get, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path), PartQuery),
    responses((status = 200, body = RecordingPart)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    let PartQuery { from } = input::query(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let part = recordings::read(app, &operator, input::path(request, "id")?, from).await?;
    let next = part.next();
    let Part { session, chunks, fault, logged_at } = part;
    let pieces = chunks.into_iter().map(piece).collect();
    reply::json(&RecordingPart { session: shown(session), pieces, next, fault, logged_at })
}

/// Sessions that go on, on any instance, oldest first.
#[utoipa::path(get, path = "/api/v1/live", tag = "recordings",
    responses((status = 200, body = Listing<RecordedSession>)))]
pub(crate) async fn live(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let items = recordings::live(app).await?.into_iter().map(shown).collect();
    reply::json(&Listing { items, next: None })
}

/// The query of an end.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EndQuery {
    /// Why, in 1 to 300 characters. The person sees it.
    reason: String,
}

/// Ends a session. Its person sees who did and why.
#[utoipa::path(delete, path = "/api/v1/live/{id}", tag = "recordings", params(("id" = String, Path), EndQuery),
    responses((status = 204)))]
pub(crate) async fn end(app: &App, request: &OwnRequest) -> Answer {
    let EndQuery { reason } = input::query(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    recordings::end(app, &operator, input::path(request, "id")?, &reason).await?;
    Ok(reply::no_content())
}

/// A session that goes on, as it goes on: server-sent events `piece` (a `RecordingPiece`) and at last `over` (a
/// `SessionOver`). Pieces come as they are kept, about two seconds late. That somebody watches is an event, and the
/// setting `watch_notice` decides whether the person is told.
#[utoipa::path(get, path = "/api/v1/live/{id}/watch", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = RecordingPiece, content_type = "text/event-stream")))]
pub(crate) async fn watch(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let watch = Watch::open(app, &operator, &request.caller, input::path(request, "id")?).await?;
    Ok(OwnReply::events(watch.feed(told)))
}

/// What whoever watches is told.
fn told(seen: &Seen) -> String {
    match seen {
        Seen::Pieces(chunks) => chunks.iter().map(|chunk| sent("piece", &piece(chunk.clone()))).collect(),
        // A comment: nobody who relays it takes the stream for dead.
        Seen::Quiet => ":\n\n".to_owned(),
        Seen::Over(session) => {
            let (state, ending) = (session.state.name().to_owned(), session.ending.clone());
            sent("over", &SessionOver { state, ending })
        }
    }
}

/// A server-sent event. JSON has no line breaks, so its data is one line.
fn sent<T: Serialize>(event: &str, data: &T) -> String {
    format!("event: {event}\ndata: {}\n\n", serde_json::to_string(data).unwrap_or_default())
}

/// Joins a session as its second person. It goes on for as long as that person watches it.
#[utoipa::path(post, path = "/api/v1/live/{id}/join", tag = "recordings", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn join(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    recordings::join(app, &operator, &request.caller, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}

fn piece(chunk: Chunk) -> RecordingPiece {
    RecordingPiece {
        sequence: chunk.sequence,
        last: chunk.is_last,
        digest: chunk.digest.to_string(),
        // The writer writes nothing but UTF-8; what is none was altered, and the fault says so.
        cast: String::from_utf8_lossy(&chunk.plain).into_owned(),
    }
}

fn shown(session: Session) -> RecordedSession {
    RecordedSession {
        id: session.id.to_string(),
        request_id: session.request_id.to_string(),
        action: session.action,
        app: session.app,
        target: session.target,
        command: session.command,
        actor: session.actor,
        source_ip: session.source_ip,
        mode: session.mode,
        state: session.state.name().to_owned(),
        began: session.began.to_rfc3339(),
        ended: session.ended.map(gateway_types::Timestamp::to_rfc3339),
        ending: session.ending,
        pieces: session.chunks,
        bytes: session.plain_bytes,
        lost_bytes: session.lost_bytes,
        digest: session.digest,
        second: session.second.map(|second| second.name().to_owned()),
        detached: session.detached.map(gateway_types::Timestamp::to_rfc3339),
    }
}
