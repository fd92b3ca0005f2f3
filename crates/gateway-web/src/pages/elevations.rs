//! Elevations: asking for a role for a while, and deciding about what others ask.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::elevations::{self, ElevationError, Request};
use gateway_config::duration::{format_duration, parse_duration};
use gateway_store::{Elevation, ElevationFilter, ElevationState};
use gateway_types::{ElevationId, Layer, Problem, ProblemKind, Role, Timestamp};

use super::account;
use super::choices::{self, Choice};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/elevations";
const PAGE_SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "elevations.html")]
struct ElevationsPage {
    frame: Frame,
    /// Why this person may not ask.
    refused: Option<String>,
    /// Whether those of others are shown.
    everybodys: bool,
    /// Whether this person may see those of others.
    may_see_all: bool,
    longest: String,
    quorum: u32,
    form: AskForm,
    columns: Vec<&'static str>,
    elevations: Vec<Row>,
    pager: Pager,
}

/// The form that asks, as it was filled in.
#[derive(Default)]
struct AskForm {
    roles: Vec<Choice>,
    app: String,
    length: String,
    reason: String,
    fault: String,
}

struct Row {
    id: String,
    person: String,
    role: &'static str,
    place: String,
    length: String,
    reason: String,
    state: &'static str,
    tone: &'static str,
    ends: Option<Timestamp>,
    approvals: String,
    may_decide: bool,
    may_end: bool,
}

/// `GET /app/elevations`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    // A refusal leads here with what would have helped.
    let query = Query::of(request);
    let one = |name| query.one(name).unwrap_or_default();
    let length = query.one("for").unwrap_or_else(|| "1h".to_owned());
    let form = AskForm { roles: roles(&one("role")), app: one("app"), length, ..AskForm::default() };
    reply::html(&page(web, request, form).await?)
}

async fn page(web: &Web, request: &OwnRequest, form: AskForm) -> Result<ElevationsPage, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let query = Query::of(request);
    let may_see_all = gate::could_use(app, caller, "GET /app/elevations", false);
    // Policy was told that this is about one's own unless the query says otherwise.
    let everybodys = may_see_all && query.one("all").as_deref() == Some("true");
    let own = account::person(caller)?;
    let filter = ElevationFilter {
        user: if everybodys { None } else { Some(own) },
        open_only: false,
        cursor: query.one("cursor"),
        limit: PAGE_SIZE,
    };
    let found = elevations::list(app, &filter).await?;
    let quorum = app.settings.elevation_quorum();
    let may_decide = gate::could_use(app, caller, "POST /app/elevations/{id}/approve", false);
    let may_end_others = gate::could_use(app, caller, "POST /app/elevations/{id}/end", false);
    let row = |one: &Elevation| {
        let is_own = own == one.user;
        row(one, quorum, may_decide && !is_own, is_own || may_end_others)
    };
    Ok(ElevationsPage {
        frame: Frame::of(web, request, "Elevations"),
        refused: gate::refusal(app, caller, "POST /app/elevations", true),
        everybodys,
        may_see_all,
        longest: format_duration(app.settings.elevation_longest()),
        quorum,
        form,
        columns: vec!["Who", "Role", "Where", "Why", "State", "What to do"],
        elevations: found.items.iter().map(row).collect(),
        pager: Pager::new(PATH, &query, found.next.as_deref()),
    })
}

fn row(one: &Elevation, quorum: u32, may_decide: bool, may_end: bool) -> Row {
    let (state, tone) = match one.state {
        ElevationState::Waiting => ("waits for approval", "warn"),
        ElevationState::Live => ("live", "ok"),
        ElevationState::Rejected => ("rejected", ""),
        ElevationState::Ended => ("ended", ""),
        ElevationState::Expired => ("over", ""),
    };
    let approvals = match (one.state, one.approved_by.join(", ")) {
        (ElevationState::Waiting, names) => {
            format!("{} of {quorum} approvals {names}", one.approved_by.len()).trim().to_owned()
        }
        (_, names) if names.is_empty() => String::new(),
        (_, names) => format!("approved by {names}"),
    };
    let is_open = matches!(one.state, ElevationState::Waiting | ElevationState::Live);
    Row {
        id: one.id.to_string(),
        person: one.email.clone(),
        role: one.role.name(),
        place: one.app.clone().unwrap_or_else(|| "the rack and every app".to_owned()),
        length: format_duration(one.length),
        reason: one.reason.clone(),
        state,
        tone,
        ends: one.expires,
        approvals,
        may_decide: may_decide && one.state == ElevationState::Waiting,
        may_end: may_end && is_open,
    }
}

fn roles(chosen: &str) -> Vec<Choice> {
    let names = elevations::ROLES.map(Role::name).map(|name| (name, name));
    choices::one_of(&names, if chosen.is_empty() { "deployer" } else { chosen })
}

/// `POST /app/elevations`.
pub(crate) async fn request(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let form = AskForm {
        roles: roles(&field("role")),
        app: field("app"),
        length: field("for"),
        reason: field("reason"),
        fault: String::new(),
    };
    let again = async |fault: String, form: AskForm| {
        let page = page(web, request, AskForm { fault, ..form }).await?;
        reply::html_with_status(400, &page)
    };
    let Some(length) = parse_duration(&form.length) else {
        return again("Write for how long as 1h or 30m.".to_owned(), form).await;
    };
    let Ok(role) = field("role").parse::<Role>() else {
        return again("Choose a role.".to_owned(), form).await;
    };
    let app = Some(form.app.clone()).filter(|app| !app.is_empty());
    let asked = Request { role, app, length, reason: form.reason.clone() };
    let operator = web.app().operator(&request.caller, request.request_id);
    match elevations::request(web.app(), &operator, &request.caller, asked).await {
        Ok(_asked) => Ok(reply::done(PATH, "elevation-asked")),
        Err(error @ (ElevationError::Store(_) | ElevationError::Record(_))) => Err(error.into()),
        Err(fault) => again(fault.to_string(), form).await,
    }
}

/// `POST /app/elevations/{id}/approve`.
pub(crate) async fn approve(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    elevations::approve(web.app(), &operator, &request.caller, id(request)?).await?;
    Ok(reply::done(EVERYBODYS, "elevation-approved"))
}

/// `POST /app/elevations/{id}/reject`.
pub(crate) async fn reject(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let reason = request.field("reason").map(str::trim).filter(|reason| !reason.is_empty());
    elevations::reject(web.app(), &operator, id(request)?, reason).await?;
    Ok(reply::done(EVERYBODYS, "elevation-rejected"))
}

/// `POST /app/elevations/{id}/end`.
pub(crate) async fn end(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    elevations::end(web.app(), &operator, id(request)?).await?;
    Ok(reply::done(PATH, "elevation-ended"))
}

const EVERYBODYS: &str = "/app/elevations?all=true";

fn id(request: &OwnRequest) -> Result<ElevationId, Problem> {
    let unknown = || Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is no such elevation.");
    request.parameter("id").and_then(|id| id.parse().ok()).ok_or_else(unknown)
}
