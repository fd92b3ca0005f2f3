//! Home: which rack this is, who one is here, and what to do next.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::origin::Scheme;
use gateway_types::{Principal, Problem};

use crate::page::Frame;
use crate::pages::account::standing::{self, Standing};
use crate::pages::powers::{self, Power};
use crate::pages::services::{self, Launch};
use crate::{Web, reply};

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    origin: String,
    /// The connection is not encrypted.
    plain: bool,
    /// Where the gateway itself listens without TLS.
    plain_address: Option<String>,
    version: &'static str,
    gateway: String,
    name: String,
    roles: Vec<&'static str>,
    powers: Vec<Power>,
    standing: Option<Standing>,
    login: String,
    services: Vec<Launch>,
}

/// `GET /app`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let origin = &request.head.origin;
    let roles = match &request.caller.principal {
        Principal::User { roles, .. }
        | Principal::ApiToken { roles, .. }
        | Principal::Workload { roles, .. } => roles.iter().map(|role| role.name()).collect(),
        Principal::AccessToken { role, .. } => vec![role.name()],
        Principal::Anonymous => Vec::new(),
    };
    reply::html(&HomePage {
        frame: Frame::of(web, request, "Home"),
        origin: origin.to_string(),
        plain: origin.scheme == Scheme::Http,
        plain_address: web.app().plain_address.map(|address| address.to_string()),
        version: env!("CARGO_PKG_VERSION"),
        gateway: web.app().store.gateway_id().to_string(),
        name: request.caller.principal.display_name(),
        roles,
        powers: powers::of(web.app(), &request.caller),
        standing: standing::of(web, &request.caller).await?,
        login: format!("rack-gateway login {origin}"),
        services: services::launcher(web, request),
    })
}
