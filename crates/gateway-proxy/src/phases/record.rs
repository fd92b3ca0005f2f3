//! Phase 7: intent before effect. What changes, executes or reveals goes no further until its intent is committed.

use std::ops::ControlFlow;

use gateway_app::{Notice, modes};
use gateway_audit::Receipt;
use gateway_types::{Layer, Problem, ProblemKind};

use super::authorize::Authorized;
use super::inspect::{Asked, Inspected, logged_parameters};
use super::plaintext::{self, Plaintext};
use crate::environment;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::rack_parameters;

/// A request whose intent is durable, or whose class needs none.
#[derive(Debug)]
pub struct Recorded {
    authorized: Authorized,
    receipt: Option<Receipt>,
    effects: Effects,
}

/// What comes with a request that is carried out.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The caller may read values as they are.
    pub(super) plaintext: Option<Plaintext>,
    /// What people are told once it was done.
    pub(super) notice: Option<Notice>,
}

impl Recorded {
    pub(super) fn into_parts(self) -> (Inspected, Option<Receipt>, Effects) {
        (self.authorized.into_inspected(), self.receipt, self.effects)
    }
}

/// Commits the intent.
pub(crate) async fn record(
    plane: &DataPlane,
    authorized: Authorized,
    outcome: &mut OutcomeGuard,
) -> Flow<Recorded> {
    let operation = authorized.inspected().asked.operation();
    if let Some(problem) = modes::refusal(&plane.parts.app.health, operation) {
        return refuse(problem);
    }
    let plaintext = match plaintext::time_of(plane, authorized.inspected()) {
        Some(time) => Some(Box::pin(plaintext::record(plane, time, outcome)).await?),
        None => None,
    };
    if !authorized.inspected().asked.operation().class.needs_intent() {
        return ControlFlow::Continue(Recorded {
            authorized,
            receipt: None,
            effects: Effects { plaintext, notice: None },
        });
    }
    let inspected = authorized.inspected();
    if inspected.asked.holds_scanned_text() {
        // A command line goes into a log that cannot be edited: the app's secrets are read first.
        Box::pin(environment::known_values(plane, &inspected.caller, inspected.asked.resource().app_name()))
            .await;
        outcome.inspected(inspected.asked.operation(), logged_parameters(plane, &inspected.asked));
    }
    let notice = changes(plane, inspected, outcome).await?;
    match Box::pin(plane.parts.store.audit().append(outcome.intent_event())).await {
        Ok(receipt) => {
            outcome.recorded(receipt.index);
            ControlFlow::Continue(Recorded {
                authorized,
                receipt: Some(receipt),
                effects: Effects { plaintext, notice },
            })
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an intent could not be recorded; the request is refused"
            );
            refuse(cannot_record())
        }
    }
}

/// The refusal of what could not be recorded.
pub(crate) fn cannot_record() -> Problem {
    Problem::new(
        ProblemKind::CannotRecord,
        Layer::Audit,
        "the audit log cannot be written, so nothing that has an effect may pass",
    )
}

/// Adds to the intent what is other after the change than before it; what people are told of it.
async fn changes(
    plane: &DataPlane,
    inspected: &Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Option<Notice>> {
    let Asked::Rack { request, .. } = &inspected.asked else { return ControlFlow::Continue(None) };
    let principal = &inspected.caller.principal;
    match Box::pin(rack_parameters::difference(plane, principal, request)).await {
        Ok(None) => ControlFlow::Continue(None),
        Ok(Some(difference)) => {
            outcome.changes(&difference);
            ControlFlow::Continue(difference.notice(principal))
        }
        Err(problem) => refuse(problem),
    }
}
