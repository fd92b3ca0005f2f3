//! Questions about the policy itself: may I, and who may.
//!
//! Both ask the same engine as every request does, so they cannot say anything else than it would.

use gateway_types::{Caller, Facts, Layer, RemedyKind, Resource, Verdict};

use crate::engine::PolicyEngine;

/// An action that no operation of this gateway has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no operation of this gateway has the action `{action}`; `rack-gateway policy` lists them")]
pub struct UnknownAction {
    /// The action asked about.
    pub action: String,
}

/// Whether `caller` may do `action` on `resource`.
///
/// An action whose rows differ is answered for its strictest row: a yes means yes to all of them. One row
/// is asked about by `ACTION@METHOD /path`, as policies name it.
///
/// # Errors
/// When no operation has this action.
pub fn can(
    engine: &PolicyEngine,
    caller: &Caller,
    action: &str,
    resource: &Resource,
    facts: &Facts,
) -> Result<Verdict, UnknownAction> {
    engine
        .operations_of(action)
        .into_iter()
        .map(|operation| engine.decide(caller, operation, resource, facts))
        .reduce(|worst, next| if distance(&next) > distance(&worst) { next } else { worst })
        .ok_or_else(|| UnknownAction { action: action.to_owned() })
}

/// Which of `candidates` may do `action` on `resource`, now or once a second factor is given: their
/// places in the list, with the verdicts. Nobody, when no operation has this action.
pub fn who_can(
    engine: &PolicyEngine,
    candidates: &[Caller],
    action: &str,
    resource: &Resource,
    facts: &Facts,
) -> Vec<(usize, Verdict)> {
    candidates
        .iter()
        .enumerate()
        .filter_map(|(place, caller)| Some((place, can(engine, caller, action, resource, facts).ok()?)))
        .filter(|(_, verdict)| verdict.is_allowed() || verdict.layer == Layer::Mfa)
        .collect()
}

/// How far a verdict is from a yes: a factor is near, one for this very action less so, a role far.
fn distance(verdict: &Verdict) -> u8 {
    let remedies = verdict.remedies.iter().map(|remedy| match remedy.kind {
        RemedyKind::StepUp => 1,
        RemedyKind::StepUpBound | RemedyKind::Enrol => 2,
        RemedyKind::Approval | RemedyKind::Setting | RemedyKind::Elevation => 3,
        RemedyKind::Role => 4,
    });
    // A refusal without a remedy: nothing that this caller can do.
    if verdict.is_allowed() { 0 } else { remedies.max().unwrap_or(5) }
}

#[cfg(test)]
mod tests;
