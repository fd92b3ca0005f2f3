//! Searches of the log that people kept: `/audit/searches`.

use gateway_app::App;
use gateway_app::audit::saved;
use gateway_app::control::OwnRequest;
use gateway_app::environments::person;
use gateway_types::Problem;
use gateway_types::wire::Listing;
use gateway_types::wire::audit::{SaveSearch, SavedSearch};

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(request: &OwnRequest, search: &gateway_store::SavedSearch) -> Result<SavedSearch, Problem> {
    Ok(SavedSearch {
        id: search.id.to_string(),
        name: search.name.clone(),
        owner: search.owner.clone(),
        mine: person(&request.caller.principal) == Some(search.user),
        shared: search.shared,
        filter: saved::filter_of(search)?,
        saved: search.saved.to_rfc3339(),
    })
}

/// One's own searches, and those that others shared, by name.
#[utoipa::path(get, path = "/api/v1/audit/searches", tag = "audit",
    responses((status = 200, body = Listing<SavedSearch>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let found = saved::list(app, &request.caller).await?;
    let items = found.iter().map(|search| shown(request, search)).collect::<Result<_, _>>()?;
    reply::json(&Listing { items, next: None })
}

/// Keeps a search under a name, in the place of one's own of the same name. Whoever opens a shared one sees what they may
/// see, and nothing by it.
#[utoipa::path(post, path = "/api/v1/audit/searches", tag = "audit", request_body = SaveSearch,
    responses((status = 200, body = SavedSearch)))]
pub(crate) async fn save(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: SaveSearch = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let kept = saved::keep(app, &operator, &request.caller, &asked.name, &asked.filter, asked.shared).await?;
    reply::json(&shown(request, &kept)?)
}

/// Forgets a search.
#[utoipa::path(delete, path = "/api/v1/audit/searches/{id}", tag = "audit", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    saved::remove(app, &operator, &request.caller, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}
