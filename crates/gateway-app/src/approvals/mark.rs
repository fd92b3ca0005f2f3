//! Short texts that are others as soon as something changed, for whoever watches.

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use gateway_store::{Approval, ApprovalFilter};
use gateway_types::{ApprovalId, Timestamp};

use super::ApprovalError;
use crate::App;

/// How the approvals of a filter stand.
///
/// # Errors
/// Only the store's.
pub async fn of_list(app: &App, filter: &ApprovalFilter) -> Result<String, ApprovalError> {
    let now = app.clock.now();
    let mut context = Context::new(&SHA256);
    for row in app.store.approvals().list(filter).await?.items {
        context.update(line(&row, now).as_bytes());
    }
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}

/// How one stands, with what is known of its commit.
///
/// # Errors
/// [`ApprovalError::Unknown`], or the store's.
pub async fn of_one(app: &App, id: ApprovalId) -> Result<String, ApprovalError> {
    let row = app.store.approvals().by_id(id).await?.ok_or(ApprovalError::Unknown)?;
    let mut context = Context::new(&SHA256);
    context.update(line(&row, app.clock.now()).as_bytes());
    for one in app.store.approvals().findings(id).await? {
        let (finding, good) = (&one.finding, one.finding.good);
        context.update(format!("{} {} {good} {:?}\n", one.source, finding.what, finding.said).as_bytes());
    }
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}

/// Each change counts the row's version up; what only the clock changes is told besides.
fn line(row: &Approval, now: Timestamp) -> String {
    let is_late = row.answer_by <= now;
    let is_over = row.expires.is_some_and(|expires| expires <= now);
    format!("{} {} {is_late} {is_over}\n", row.id, row.version)
}
