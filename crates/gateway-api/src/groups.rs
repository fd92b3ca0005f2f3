//! Groups of identity providers and what their members get: `/groups`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::groups::{self, GroupInForce};
use gateway_types::wire::Listing;
use gateway_types::wire::groups::{Group, UpdateGroup};

use crate::input;
use crate::paging::{self, Searching, no_query};
use crate::reply::{self, Answer};

fn shown(group: GroupInForce) -> Group {
    let (updated_by, updated) = group.updated.map(|(by, at)| (by, at.to_rfc3339())).unzip();
    Group {
        id: group.id,
        roles: group.roles,
        source: group.source.name().to_owned(),
        version: group.version,
        updated_by,
        updated,
    }
}

/// Groups by name.
#[utoipa::path(get, path = "/api/v1/groups", tag = "users", params(Searching),
    responses((status = 200, body = Listing<Group>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: Searching = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    let search = asked.q.unwrap_or_default().to_lowercase();
    let cursor = asked.cursor.unwrap_or_default();
    let mut found = groups::list(app)
        .await?
        .into_iter()
        .filter(|group| group.id > cursor && group.id.to_lowercase().contains(&search));
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let items: Vec<Group> = found.by_ref().take(most).map(shown).collect();
    let more = found.next().is_some();
    let next = items.last().filter(|_last| more).map(|last| last.id.clone());
    reply::json(&Listing { items, next })
}

/// Says what a group's members get. `If-Match: "0"` for one that the database has no entry of.
#[utoipa::path(put, path = "/api/v1/groups/{id}", tag = "users",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = UpdateGroup,
    responses((status = 200, body = Group)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: String = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let UpdateGroup { roles } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let group = groups::update(app, &operator, &request.caller, &id, expected, roles).await?;
    let version = group.version;
    Ok(reply::tagged(reply::json(&shown(group))?, version))
}
