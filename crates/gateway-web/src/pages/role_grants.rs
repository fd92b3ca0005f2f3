//! Grants of roles to persons and groups, and the review of who can do what.

use askama::Template;
use gateway_app::access_review::{self, Line};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::role_grants::{self, NewRoleGrant, RoleGrantError, Shown};
use gateway_store::GrantHolder;
use gateway_types::{Layer, Problem, ProblemKind, Timestamp};

use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/grants";
const REVIEW: &str = "/app/access";
/// People of one page of the review: each is some hundred questions to policy, about 2 ms of a processor.
const PAGE_SIZE: u32 = 10;

#[derive(Template)]
#[template(path = "grants.html")]
struct GrantsPage {
    frame: Frame,
    refused: Option<String>,
    columns: Vec<&'static str>,
    grants: Vec<GrantRow>,
    new: NewRoleGrant,
    fault: String,
}

struct GrantRow {
    id: String,
    holder: String,
    role: String,
    place: String,
    granted_by: String,
    created: Timestamp,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    frame: Frame,
    columns: Vec<&'static str>,
    lines: Vec<Line>,
    pager: Pager,
}

/// `GET /app/grants`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&page(web, request, NewRoleGrant::default(), String::new()).await?)
}

async fn page(
    web: &Web,
    request: &OwnRequest,
    new: NewRoleGrant,
    fault: String,
) -> Result<GrantsPage, Problem> {
    let grants = role_grants::list(web.app()).await?;
    Ok(GrantsPage {
        frame: Frame::of(web, request, "Grants"),
        refused: gate::refusal(web.app(), &request.caller, "POST /app/grants", false),
        columns: vec!["Who", "Role", "Where", "Granted", "What to do"],
        grants: grants.into_iter().map(row).collect(),
        new,
        fault,
    })
}

fn row((grant, email): Shown) -> GrantRow {
    GrantRow {
        id: grant.id.to_string(),
        holder: match grant.holder {
            GrantHolder::Person(id) => email.unwrap_or_else(|| id.to_string()),
            GrantHolder::Group(name) => format!("group {name}"),
        },
        role: grant.role,
        place: grant.app.unwrap_or_else(|| "the rack and every app".to_owned()),
        granted_by: grant.granted_by,
        created: grant.created,
    }
}

/// `POST /app/grants`.
pub(crate) async fn create(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let optional = |name| Some(field(name)).filter(|value| !value.is_empty());
    let new = NewRoleGrant {
        person: optional("person"),
        group: optional("group"),
        role: field("granted"),
        app: optional("app"),
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    match role_grants::create(web.app(), &operator, &request.caller, &new).await {
        Ok(_granted) => Ok(reply::done(PATH, "grant-made")),
        Err(error @ (RoleGrantError::Store(_) | RoleGrantError::Record(_))) => Err(error.into()),
        Err(fault) => {
            let page = page(web, request, new, fault.to_string()).await?;
            reply::html_with_status(400, &page)
        }
    }
}

/// `POST /app/grants/{id}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let unknown = || Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is no such grant.");
    let id = request.parameter("id").and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    role_grants::remove(web.app(), &operator, id).await?;
    Ok(reply::done(PATH, "grant-removed"))
}

/// `GET /app/access`.
pub(crate) async fn review(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let found = access_review::page(web.app(), query.one("cursor").as_deref(), PAGE_SIZE).await?;
    reply::html(&AccessPage {
        frame: Frame::of(web, request, "Access review"),
        columns: vec!["Who", "Roles", "Where", "Can do", "Last used"],
        lines: found.items,
        pager: Pager::new(REVIEW, &query, found.next.as_deref()),
    })
}
