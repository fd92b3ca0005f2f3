//! The built-in roles: `/roles`.

use gateway_app::control::OwnRequest;
use gateway_app::{App, roles};
use gateway_types::Role;
use gateway_types::wire::Listing;
use gateway_types::wire::users::RoleInfo;

use crate::paging::no_query;
use crate::reply::{self, Answer};

/// The roles, lowest first, then the two that stand beside.
#[utoipa::path(get, path = "/api/v1/roles", tag = "users",
    responses((status = 200, body = Listing<RoleInfo>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let items = roles::list(app).into_iter().map(|info| RoleInfo {
        role: info.role.name().to_owned(),
        description: info.description.to_owned(),
        includes: info.includes.iter().map(|role| role.name().to_owned()).collect(),
        machines_only: info.role == Role::Cicd,
        actions: info.actions,
    });
    reply::json(&Listing { items: items.collect(), next: None })
}
