//! Which entries of the log keep their bodies: `/audit/retention`, `/audit/prune`, `/audit/hold`.

use gateway_app::App;
use gateway_app::audit::retention::{self, Plan};
use gateway_app::control::OwnRequest;
use gateway_types::wire::audit::{AuditPruned, AuditRetention, LegalHold, SetHold};

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn hold_shown(hold: gateway_store::LegalHold) -> LegalHold {
    LegalHold { reason: hold.reason, set_by: hold.set_by, since: hold.since.to_rfc3339() }
}

fn shown(plan: Plan) -> AuditRetention {
    AuditRetention {
        first_kept: plan.retained.first_kept,
        keep_seconds: plan.keep.map(|time| time.as_secs()),
        anchored: plan.anchored,
        would_keep_from: plan.to,
        kept_by: plan.keeper.text(),
        hold: plan.retained.hold.map(hold_shown),
    }
}

/// What the log still has, and what pruning would remove now. Nothing is changed.
#[utoipa::path(get, path = "/api/v1/audit/retention", tag = "audit",
    responses((status = 200, body = AuditRetention)))]
pub(crate) async fn show(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    reply::json(&shown(retention::plan(app).await?))
}

/// Removes the bodies that `audit_retention` lets go and nothing needs, as the gateway does each hour.
#[utoipa::path(post, path = "/api/v1/audit/prune", tag = "audit", responses((status = 200, body = AuditPruned)))]
pub(crate) async fn prune(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let pruned = retention::prune(app, &operator).await?;
    reply::json(&AuditPruned { from: pruned.from, to: pruned.to })
}

/// Keeps every body from now on, for a reason.
#[utoipa::path(put, path = "/api/v1/audit/hold", tag = "audit", request_body = SetHold,
    responses((status = 200, body = LegalHold)))]
pub(crate) async fn hold(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let SetHold { reason } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&hold_shown(retention::hold(&app.store, &operator, &reason).await?))
}

/// Lifts the legal hold.
#[utoipa::path(delete, path = "/api/v1/audit/hold", tag = "audit", responses((status = 204)))]
pub(crate) async fn lift(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    retention::lift(&app.store, &operator).await?;
    Ok(reply::no_content())
}
