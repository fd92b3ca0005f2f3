//! One's own account: an overview, sessions, second factors.

pub(crate) mod factors;
pub(crate) mod sessions;
pub(crate) mod standing;
pub(crate) mod trusted_devices;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Caller, Layer, Principal, Problem, ProblemKind, UserId};

use crate::page::Frame;
use crate::pages::powers::{self, Power};
use crate::{Web, filters, gate, reply};
use standing::Standing;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    roles: Vec<&'static str>,
    id: String,
    address: String,
    powers: Vec<Power>,
    may_see_roles: bool,
    standing: Option<Standing>,
}

/// `GET /app/account`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let caller = &request.caller;
    let user = person(caller)?;
    let frame = Frame::of(web, request, "Account");
    reply::html(&AccountPage {
        name: caller.principal.display_name(),
        roles: frame.who.as_ref().map(|who| who.roles.clone()).unwrap_or_default(),
        id: user.to_string(),
        address: caller.source_ip.to_string(),
        powers: powers::of(web.app(), caller),
        may_see_roles: gate::could_use(web.app(), caller, "GET /app/roles", false),
        standing: standing::of(web, caller).await?,
        frame,
    })
}

/// The person who asks.
///
/// # Errors
/// [`ProblemKind::Refused`] when it is nobody, or a machine.
pub(crate) fn person(caller: &Caller) -> Result<UserId, Problem> {
    match &caller.principal {
        Principal::User { id, .. } => Ok(*id),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => {
            let detail = "This page is about a person's own account.";
            Err(Problem::new(ProblemKind::Refused, Layer::Authentication, detail))
        }
    }
}
