//! Grants of roles, and the review of who can do what: `/grants`, `/access/review`.

use gateway_app::App;
use gateway_app::access_review::{self, Line};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::role_grants::{self, NewRoleGrant, Shown};
use gateway_store::GrantHolder;
use gateway_types::wire::Listing;
use gateway_types::wire::elevations::{AccessLine, CreateRoleGrant, RoleGrant};
use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input;
use crate::paging::{self, Paging, bare, no_query};
use crate::reply::{self, Answer};

/// Where comma-separated values say that there is more.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("next-cursor");

/// Grants of roles to people and groups, oldest first.
#[utoipa::path(get, path = "/api/v1/grants", tag = "users", params(Paging),
    responses((status = 200, body = Listing<RoleGrant>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: Paging = input::query(request)?;
    let most = usize::try_from(paging::limit(asked.limit)?).unwrap_or(usize::MAX);
    let after = asked.cursor.unwrap_or_default();
    let all = role_grants::list(app).await?;
    let mut found = all.into_iter().map(shown).filter(|grant| grant.id > after);
    let items: Vec<RoleGrant> = found.by_ref().take(most).collect();
    let more = found.next().is_some();
    let next = items.last().filter(|_last| more).map(|last| last.id.clone());
    reply::json(&Listing { items, next })
}

/// Grants a role to a person or to the members of a group, on one app or everywhere.
#[utoipa::path(post, path = "/api/v1/grants", tag = "users", request_body = CreateRoleGrant,
    responses((status = 200, body = RoleGrant)))]
pub(crate) async fn create(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let CreateRoleGrant { person, group, role, app: of_app } = input::json(request)?;
    let new = NewRoleGrant { person, group, role, app: of_app };
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&shown(role_grants::create(app, &operator, &request.caller, &new).await?))
}

/// Takes a grant back.
#[utoipa::path(delete, path = "/api/v1/grants/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    role_grants::remove(app, &operator, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}

fn shown((grant, email): Shown) -> RoleGrant {
    let (person, group) = match grant.holder {
        GrantHolder::Person(id) => (Some(email.unwrap_or_else(|| id.to_string())), None),
        GrantHolder::Group(name) => (None, Some(name)),
    };
    RoleGrant {
        id: grant.id.to_string(),
        person,
        group,
        role: grant.role,
        app: grant.app,
        granted_by: grant.granted_by,
        created: grant.created.to_rfc3339(),
    }
}

/// The query of the review.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReviewQuery {
    /// `json` or `csv`; `json` unless given.
    #[serde(default)]
    format: Option<String>,
    /// `next` of the page before, or its header `Next-Cursor`.
    #[serde(default)]
    cursor: Option<String>,
    /// People or tokens of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

/// Who can do what, and when they last did anything: people by address, then live tokens, then trust rules.
#[utoipa::path(get, path = "/api/v1/access/review", tag = "users", params(ReviewQuery),
    responses((status = 200, headers(("Next-Cursor" = String)), content(
        (Listing<AccessLine> = "application/json"), (String = "text/csv")))))]
pub(crate) async fn review(app: &App, request: &OwnRequest) -> Answer {
    let asked: ReviewQuery = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    let page = access_review::page(app, asked.cursor.as_deref(), limit).await?;
    match asked.format.as_deref() {
        None | Some("json") => reply::json(&paging::listing(page, line)),
        Some("csv") => {
            let lines: Vec<_> = page.items.into_iter().map(line).collect();
            let body = access_review::csv(&lines, asked.cursor.is_none());
            let reply = OwnReply::new(200, "text/csv; charset=utf-8", body)
                .with_header(CONTENT_DISPOSITION, "attachment; filename=\"access.csv\"")
                .with_header(CACHE_CONTROL, "no-store");
            Ok(match page.next {
                Some(next) => reply.with_header(NEXT_CURSOR, &next),
                None => reply,
            })
        }
        Some(_other) => Err(input::bad("`format` is json or csv")),
    }
}

fn line(line: Line) -> AccessLine {
    AccessLine {
        subject: line.subject,
        kind: line.kind.to_owned(),
        locked: line.locked,
        owner: line.owner,
        roles: line.roles,
        grants: line.grants,
        place: line.place,
        actions: line.actions,
        last_used: line.last_used.map(gateway_types::Timestamp::to_rfc3339),
    }
}
