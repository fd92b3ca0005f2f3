//! People, for admins and operators: `/users`.

use gateway_app::control::OwnRequest;
use gateway_app::users::{self, Invitation};
use gateway_app::{App, sessions as ending};
use gateway_store::{Standing, UserChange, UserFilter};
use gateway_types::wire::Listing;
use gateway_types::wire::sessions::{Session, SessionsEnded};
use gateway_types::wire::users::{InviteUser, LockUser, UpdateUser, User};
use gateway_types::{Role, SessionId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::paging::{self, Paging, bare, no_query};
use crate::reply::{self, Answer};
use crate::{input, sessions};

fn shown(user: gateway_store::User) -> User {
    User {
        id: user.id.to_string(),
        email: user.email,
        name: user.name,
        roles: user.roles,
        locked: user.locked,
        created: user.created.to_rfc3339(),
        updated: user.updated.to_rfc3339(),
        version: user.version,
    }
}

fn one(user: gateway_store::User) -> Answer {
    let version = user.version;
    Ok(reply::tagged(reply::json(&shown(user))?, version))
}

/// Which people a listing holds.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct People {
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
    /// Only people whose address or name contains this.
    #[serde(default)]
    q: Option<String>,
    /// Only people who hold this very role.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    role: Option<Role>,
    /// Only people who are locked out, or only those who are not.
    #[serde(default)]
    locked: Option<bool>,
}

/// People by address.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(People),
    responses((status = 200, body = Listing<User>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: People = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    let filter = UserFilter {
        search: asked.q,
        role: asked.role,
        standing: asked.locked.map(|locked| if locked { Standing::Locked } else { Standing::Active }),
    };
    let page = users::find(app, &filter, asked.cursor.as_deref(), limit).await?;
    reply::json(&paging::listing(page, shown))
}

/// One person.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = User)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    one(users::read(app, input::path(request, "id")?).await?)
}

/// Invites somebody who is not known yet.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = InviteUser,
    responses((status = 201, body = User)))]
pub(crate) async fn invite(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: InviteUser = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let invitation = Invitation { email: asked.email, name: asked.name, roles: asked.roles };
    let user = users::invite(app, &operator, &request.caller, invitation).await?;
    let version = user.version;
    let location = format!("/api/v1/users/{}", user.id);
    Ok(reply::tagged(reply::created(&location, &shown(user))?, version))
}

/// Changes somebody's name and roles. Not one's own roles, not the last admin's.
#[utoipa::path(put, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = UpdateUser,
    responses((status = 200, body = User)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: UserId = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let UpdateUser { name, roles } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let change = UserChange { name, roles };
    one(users::update(app, &operator, &request.caller, id, expected, change).await?)
}

/// Locks somebody out; their sessions and tokens end at once.
#[utoipa::path(post, path = "/api/v1/users/{id}/lock", tag = "users", params(("id" = String, Path)),
    request_body = LockUser, responses((status = 200, body = User)))]
pub(crate) async fn lock(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: UserId = input::path(request, "id")?;
    let LockUser { reason } = input::json_or_default(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    one(users::lock(app, &operator, &request.caller, id, reason.as_deref()).await?)
}

/// Lets somebody in again.
#[utoipa::path(post, path = "/api/v1/users/{id}/unlock", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = User)))]
pub(crate) async fn unlock(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    one(users::unlock(app, &operator, input::path(request, "id")?).await?)
}

/// Takes all second factors from somebody who lost them, and ends their sessions.
#[utoipa::path(post, path = "/api/v1/users/{id}/reset-factors", tag = "users",
    params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn reset_factors(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: UserId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    users::reset_factors(app, &operator, &request.caller, id).await?;
    Ok(reply::no_content())
}

/// Removes somebody.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: UserId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    users::remove(app, &operator, &request.caller, id).await?;
    Ok(reply::no_content())
}

/// Somebody's live sessions.
#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", tag = "users",
    params(("id" = String, Path), Paging), responses((status = 200, body = Listing<Session>)))]
pub(crate) async fn list_sessions(app: &App, request: &OwnRequest) -> Answer {
    sessions::page(app, request, input::path(request, "id")?).await
}

/// Ends all of somebody's sessions.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = SessionsEnded)))]
pub(crate) async fn revoke_sessions(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: UserId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    let ended = ending::revoke_all_of(app, &operator, id).await?;
    reply::json(&SessionsEnded { ended })
}

/// Ends one of somebody's sessions.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions/{sid}", tag = "users",
    params(("id" = String, Path), ("sid" = String, Path)), responses((status = 204)))]
pub(crate) async fn revoke_session(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: UserId = input::path(request, "id")?;
    let session: SessionId = input::path(request, "sid")?;
    let operator = app.operator(&request.caller, request.request_id);
    ending::revoke(app, &operator, &request.caller, id, session).await?;
    Ok(reply::no_content())
}
