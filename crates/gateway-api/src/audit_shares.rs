//! Links by which somebody without an account reads a part of the log: `/audit/share` and `/audit/shares`.

use gateway_app::App;
use gateway_app::audit::shares;
use gateway_app::control::OwnRequest;
use gateway_types::Problem;
use gateway_types::wire::Listing;
use gateway_types::wire::audit::{AuditShare, ShareAudit, SharedAudit};

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(app: &App, share: gateway_store::AuditShare) -> Result<AuditShare, Problem> {
    Ok(AuditShare {
        filter: shares::bounds(&share)?,
        id: share.id.to_string(),
        state: shares::state(&share, app.clock.now()).to_owned(),
        label: share.label,
        created: share.created.to_rfc3339(),
        created_by: share.created_by,
        expires: share.expires.to_rfc3339(),
        openings: share.openings,
        last_opened: share.last_opened.map(|at| at.to_rfc3339()),
    })
}

/// Links, newest first, also those that are over. Their secrets are kept nowhere.
#[utoipa::path(get, path = "/api/v1/audit/shares", tag = "audit",
    responses((status = 200, body = Listing<AuditShare>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let found = shares::list(app).await?;
    let items = found.into_iter().map(|share| shown(app, share)).collect::<Result<_, _>>()?;
    reply::json(&Listing { items, next: None })
}

/// Makes a link by which somebody without an account reads the events of a filter, for a while. Its address is told only
/// now. Each opening and each reading is an event.
#[utoipa::path(post, path = "/api/v1/audit/share", tag = "audit", request_body = ShareAudit,
    responses((status = 200, body = SharedAudit)))]
pub(crate) async fn create(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: ShareAudit = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let by = request.caller.principal.display_name();
    let (share, secret) = shares::create(app, &operator, &by, &asked).await?;
    let url = shares::address(&request.head.origin, &secret);
    reply::json(&SharedAudit { share: shown(app, share)?, url })
}

/// Ends a link before its time: whoever reads by it reads nothing more.
#[utoipa::path(delete, path = "/api/v1/audit/shares/{id}", tag = "audit", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let by = request.caller.principal.display_name();
    shares::revoke(app, &operator, &by, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}
