//! Deploy approvals: `/approvals`.

use gateway_app::App;
use gateway_app::approvals;
use gateway_app::control::OwnRequest;
use gateway_approvals::state::{NotAState, State};
use gateway_store::ApprovalFilter;
use gateway_types::wire::Listing;
use gateway_types::wire::approvals::{Approval, DecideApproval, RequestApproval, SignApproval};
use gateway_types::{ApprovalId, Principal, Problem, Role, RoleSet};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input;
use crate::paging::{self, no_query};
use crate::reply::{self, Answer};

/// The query of the listing.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApprovalsQuery {
    /// Only of this app.
    #[serde(default)]
    app: Option<String>,
    /// Only in this state.
    #[serde(default)]
    state: Option<String>,
    /// Only those that are not over.
    #[serde(default)]
    open: bool,
    /// Only those that the caller asked for.
    #[serde(default)]
    mine: bool,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

/// The query of one approval.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApprovalQuery {
    /// Answers all that was signed, for `rack-gateway approvals verify`, in place of the approval.
    #[serde(default)]
    evidence: bool,
}

/// Approvals, newest first. A machine that only deploys sees those that it asked for.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "approvals", params(ApprovalsQuery),
    responses((status = 200, body = Listing<Approval>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: ApprovalsQuery = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    let principal = &request.caller.principal;
    // What policy allowed as the caller's own is never more than that, whatever the query said.
    let own = asked.mine || request.facts.own_object || only_deploys(principal);
    let requester = match (own, approvals::requester_of(principal)) {
        (false, _) => None,
        (true, Some(requester)) => Some(requester),
        // Nobody asks in its name, so that it has none.
        (true, None) => return reply::json(&Listing::<Approval> { items: Vec::new(), next: None }),
    };
    let filter = ApprovalFilter {
        app: asked.app,
        requester,
        state: asked.state.as_deref().map(state).transpose()?,
        open_only: asked.open,
        cursor: asked.cursor,
        limit,
    };
    let page = approvals::list(app, &request.caller, &filter).await?;
    reply::json(&Listing { items: page.items, next: page.next })
}

/// An approval, with what its deploy would touch; or with `evidence=true` all that was signed.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", tag = "approvals",
    params(("id" = String, Path), ApprovalQuery),
    responses((status = 200, body = Approval, description = "With evidence=true: the document that `rack-gateway approvals verify` reads.")))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    let asked: ApprovalQuery = input::query(request)?;
    let id = input::path::<ApprovalId>(request, "id")?;
    if asked.evidence {
        return reply::json(&approvals::evidence(app, id).await?);
    }
    reply::json(&approvals::read(app, &request.caller, id).await?)
}

/// Asks for an approval of a deploy. The one that the caller has open for the same app and commit is answered in
/// its place.
#[utoipa::path(post, path = "/api/v1/approvals", tag = "approvals", request_body = RequestApproval,
    responses((status = 200, body = Approval)))]
pub(crate) async fn request(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: RequestApproval = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&approvals::request(app, &operator, &request.caller, asked).await?)
}

/// Approves somebody else's request. A passkey signs what is approved; a one-time code counts as weaker.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/approve", tag = "approvals", params(("id" = String, Path)),
    request_body = SignApproval, responses((status = 200, body = Approval)))]
pub(crate) async fn approve(app: &App, request: &OwnRequest) -> Answer {
    let (id, given) = signature(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&approvals::approve(app, &operator, &request.caller, id, &given).await?)
}

/// Says no, also to what was approved before and is not deployed yet.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/reject", tag = "approvals", params(("id" = String, Path)),
    request_body = DecideApproval, responses((status = 200, body = Approval)))]
pub(crate) async fn reject(app: &App, request: &OwnRequest) -> Answer {
    let (id, reason) = decision(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&approvals::reject(app, &operator, &request.caller, id, reason.as_deref()).await?)
}

/// Makes an approval good for as long again, once.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/extend", tag = "approvals", params(("id" = String, Path)),
    request_body = SignApproval, responses((status = 200, body = Approval)))]
pub(crate) async fn extend(app: &App, request: &OwnRequest) -> Answer {
    let (id, given) = signature(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&approvals::extend(app, &operator, &request.caller, id, &given).await?)
}

/// Takes one's own request back, also when it was approved.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/withdraw", tag = "approvals", params(("id" = String, Path)),
    request_body = DecideApproval, responses((status = 200, body = Approval)))]
pub(crate) async fn withdraw(app: &App, request: &OwnRequest) -> Answer {
    let (id, reason) = decision(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&approvals::withdraw(app, &operator, &request.caller, id, reason.as_deref()).await?)
}

/// Which approval it is about, and what of it was looked at.
fn signature(request: &OwnRequest) -> Result<(ApprovalId, SignApproval), Problem> {
    no_query(request)?;
    Ok((input::path(request, "id")?, input::json(request)?))
}

/// Which approval it is about, and the reason, where one was given.
fn decision(request: &OwnRequest) -> Result<(ApprovalId, Option<String>), Problem> {
    no_query(request)?;
    let DecideApproval { reason } = input::json_or_default(request)?;
    Ok((input::path(request, "id")?, reason))
}

fn state(text: &str) -> Result<State, Problem> {
    text.parse().map_err(|unknown: NotAState| input::bad(format!("`state` is unknown: {unknown}")))
}

/// Whether it is a machine that may deploy and nothing else: what others ask for is not its business.
fn only_deploys(principal: &Principal) -> bool {
    match principal {
        Principal::ApiToken { roles, .. } | Principal::Workload { roles, .. } => {
            *roles == RoleSet::of(Role::Cicd)
        }
        Principal::AccessToken { role, .. } => *role == Role::Cicd,
        Principal::User { .. } | Principal::Anonymous => false,
    }
}
