//! Elevations: `/elevations`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::elevations::{self, Request};
use gateway_config::duration::{format_duration, parse_duration};
use gateway_store::{Elevation as Row, ElevationFilter};
use gateway_types::wire::Listing;
use gateway_types::wire::elevations::{Elevation, RejectElevation, RequestElevation};
use gateway_types::{Principal, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input;
use crate::paging::{self, bare, listing, no_query};
use crate::reply::{self, Answer};

/// The query of the listing.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ElevationsQuery {
    /// Also those of others.
    #[serde(default)]
    all: bool,
    /// Only those that wait or are live.
    #[serde(default)]
    open: bool,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

/// Elevations, newest first: one's own, or with `all=true` everybody's.
#[utoipa::path(get, path = "/api/v1/elevations", tag = "elevations", params(ElevationsQuery),
    responses((status = 200, body = Listing<Elevation>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: ElevationsQuery = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    // What policy allowed as the caller's own is never more than that, whatever the query said.
    let own = request.facts.own_object || !asked.all;
    let user = match (&request.caller.principal, own) {
        (_, false) => None,
        (Principal::User { id, .. }, true) => Some(*id),
        // Machines have none.
        (_, true) => return reply::json(&Listing::<Elevation> { items: Vec::new(), next: None }),
    };
    let filter = ElevationFilter { user, open_only: asked.open, cursor: asked.cursor, limit };
    let page = elevations::list(app, &filter).await?;
    reply::json(&listing(page, |row| shown(app, row)))
}

/// Asks for a role for a while, for oneself.
#[utoipa::path(post, path = "/api/v1/elevations", tag = "elevations", request_body = RequestElevation,
    responses((status = 200, body = Elevation)))]
pub(crate) async fn request(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: RequestElevation = input::json(request)?;
    let asked = Request {
        role: asked.role.parse().map_err(|_unknown| input::bad("`role` is ops, deployer or admin"))?,
        app: asked.app,
        length: parse_duration(&asked.length).ok_or_else(|| input::bad("write `for` as 1h or 30m"))?,
        reason: asked.reason,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let row = elevations::request(app, &operator, &request.caller, asked).await?;
    reply::json(&shown(app, row))
}

/// Approves somebody else's request. With the last approval that it takes it is live.
#[utoipa::path(post, path = "/api/v1/elevations/{id}/approve", tag = "elevations",
    params(("id" = String, Path)), responses((status = 200, body = Elevation)))]
pub(crate) async fn approve(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let id = input::path(request, "id")?;
    let row = elevations::approve(app, &operator, &request.caller, id).await?;
    reply::json(&shown(app, row))
}

/// Says no to somebody's request.
#[utoipa::path(post, path = "/api/v1/elevations/{id}/reject", tag = "elevations",
    params(("id" = String, Path)), request_body = RejectElevation, responses((status = 200, body = Elevation)))]
pub(crate) async fn reject(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let RejectElevation { reason } = input::json_or_default(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let row = elevations::reject(app, &operator, input::path(request, "id")?, reason.as_deref()).await?;
    reply::json(&shown(app, row))
}

/// Ends an elevation before its time, or takes a request back.
#[utoipa::path(delete, path = "/api/v1/elevations/{id}", tag = "elevations", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn end(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    elevations::end(app, &operator, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}

fn shown(app: &App, row: Row) -> Elevation {
    Elevation {
        id: row.id.to_string(),
        person: row.email,
        role: row.role.name().to_owned(),
        app: row.app,
        reason: row.reason,
        length: format_duration(row.length),
        state: row.state.name().to_owned(),
        created: row.created.to_rfc3339(),
        answer_by: row.answer_by.to_rfc3339(),
        begins: row.begins.map(Timestamp::to_rfc3339),
        expires: row.expires.map(Timestamp::to_rfc3339),
        approved_by: row.approved_by,
        quorum: app.settings.elevation_quorum(),
        closed_by: row.closed_by,
    }
}
