//! Phase 7: intent before effect. What changes, executes or reveals goes no further until its intent is committed.

use std::ops::ControlFlow;

use gateway_audit::Receipt;
use gateway_types::{Layer, Problem, ProblemKind};

use super::authorize::Authorized;
use super::inspect::{Inspected, logged_parameters};
use crate::environment;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;

/// A request whose intent is durable, or whose class needs none.
#[derive(Debug)]
pub struct Recorded {
    authorized: Authorized,
    receipt: Option<Receipt>,
}

impl Recorded {
    pub(super) fn into_parts(self) -> (Inspected, Option<Receipt>) {
        (self.authorized.into_inspected(), self.receipt)
    }
}

/// Commits the intent.
pub(crate) async fn record(
    plane: &DataPlane,
    authorized: Authorized,
    outcome: &mut OutcomeGuard,
) -> Flow<Recorded> {
    if !authorized.inspected().asked.operation().class.needs_intent() {
        return ControlFlow::Continue(Recorded { authorized, receipt: None });
    }
    let inspected = authorized.inspected();
    if inspected.asked.holds_scanned_text() {
        // A command line goes into a log that cannot be edited: the app's secrets are read first.
        Box::pin(environment::known_values(plane, &inspected.caller, inspected.asked.resource().app_name()))
            .await;
        outcome.inspected(inspected.asked.operation(), logged_parameters(plane, &inspected.asked));
    }
    match Box::pin(plane.parts.store.audit().append(outcome.intent_event())).await {
        Ok(receipt) => {
            outcome.recorded(receipt.index);
            ControlFlow::Continue(Recorded { authorized, receipt: Some(receipt) })
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an intent could not be recorded; the request is refused"
            );
            refuse(Problem::new(
                ProblemKind::CannotRecord,
                Layer::Audit,
                "the audit log cannot be written, so nothing that has an effect may pass",
            ))
        }
    }
}
