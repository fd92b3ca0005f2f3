//! Values in plaintext through the rack proxy, for one credential and app, for a while (DESIGN 6.1).
//!
//! # Security
//! A time gives nothing by itself: each read asks policy again whether its holder may reveal this app's values, and is
//! in the log before the rack hears of it. Nothing but [`record`] makes a [`Plaintext`].

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gateway_app::reveal_times::RevealTime;
use gateway_types::{ActionName, Facts, Principal, Resource, RevealId};
use tokio::time::interval;

use super::inspect::{Asked, Inspected};
use super::record::cannot_record;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;

/// What is revealed: the app's environment, configs, parameters and resources. Not its builds, whose reply may hold a
/// credential of the rack.
const REVEALED: [&str; 7] = [
    "convox:release:list",
    "convox:release:read",
    "convox:config:list",
    "convox:config:read",
    "convox:app:read",
    "convox:resource:list",
    "convox:resource:read",
];

/// The operation that a time stands for.
const ACTION: &str = "gateway:secret:reveal";

/// How often it is looked whether the time of a reply that is still being sent is over.
const INTERVAL: Duration = Duration::from_millis(500);

/// The leave to pass one reply on with its values. That it is read is in the log.
#[derive(Debug)]
pub(crate) struct Plaintext {
    id: RevealId,
}

impl Plaintext {
    /// Whether the time it was given for still goes on.
    pub(super) fn is_open(&self, plane: &DataPlane, principal: &Principal) -> bool {
        plane.parts.reveal_times.is_open(principal, self.id, plane.parts.clock.now())
    }

    /// Waits until that time is over, and says so.
    pub(super) async fn over(self, plane: Arc<DataPlane>, principal: Principal) -> String {
        let mut ticks = interval(INTERVAL);
        while self.is_open(&plane, &principal) {
            ticks.tick().await;
        }
        "the time for which values were revealed is over".to_owned()
    }
}

/// The time under which this request reads plaintext, when there is one and its holder may still have it.
pub(super) fn time_of(plane: &DataPlane, inspected: &Inspected) -> Option<RevealTime> {
    let Asked::Rack { request, .. } = &inspected.asked else { return None };
    if inspected.page.is_some() {
        // Pages show handles; values are on the one page that reveals them.
        return None;
    }
    if !REVEALED.contains(&request.operation().action.as_str()) {
        return None;
    }
    let resource = request.resource();
    let principal = &inspected.caller.principal;
    let time = plane.parts.reveal_times.of(principal, resource.app_name()?, plane.parts.clock.now())?;
    let policy = inspected.rules.policy.clone();
    let reveal = policy.operation(ACTION)?;
    // The second factor for this was given when the time began.
    let facts = Facts {
        mfa_window: true,
        mfa_bound: true,
        sensitive_parameters: Default::default(),
        ..inspected.facts.clone()
    };
    policy.decide(&inspected.caller, reveal, &resource, &facts).is_allowed().then_some(time)
}

/// Puts the read into the log, durably.
pub(super) async fn record(plane: &DataPlane, time: RevealTime, outcome: &OutcomeGuard) -> Flow<Plaintext> {
    let mut event = outcome.intent_event();
    event.phase = gateway_audit::Phase::Single;
    event.action = ActionName::new(ACTION);
    event.resource = Resource::app(&time.app);
    event.parameters.insert("reveal".to_owned(), time.id.to_string());
    event.reason = Some(gateway_audit::bounded(&time.reason));
    match plane.parts.store.audit().append(event).await {
        Ok(_receipt) => ControlFlow::Continue(Plaintext { id: time.id }),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a read of values could not be recorded; the request is refused"
            );
            refuse(cannot_record())
        }
    }
}
