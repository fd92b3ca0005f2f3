//! Phase 6: the one verdict. The only place that says no for a reason of policy.

use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_types::{Layer, Problem, ProblemKind, Verdict};

use super::inspect::Inspected;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;

/// A request that policy has allowed. Only [`authorize`] makes one, so that nothing is forwarded
/// around the policy.
#[derive(Debug)]
pub struct Authorized {
    inspected: Inspected,
    #[expect(
        dead_code,
        reason = "the proof carries its reason; the outcome guard has copied what is logged"
    )]
    verdict: Verdict,
}

impl Authorized {
    pub(super) fn into_inspected(self) -> Inspected {
        self.inspected
    }

    pub(super) fn inspected(&self) -> &Inspected {
        &self.inspected
    }
}

/// Decides.
pub(crate) fn authorize(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Authorized> {
    let operation = inspected.asked.operation();
    let resource = inspected.asked.resource();
    let verdict = plane.parts.policy.load().decide(&inspected.caller, operation, &resource, &inspected.facts);
    outcome.decided(&verdict, &inspected.facts);
    if verdict.is_allowed() {
        ControlFlow::Continue(Authorized { inspected, verdict })
    } else {
        refuse(refusal(verdict))
    }
}

/// The problem that tells a refusal.
pub(crate) fn refusal(verdict: Verdict) -> Problem {
    let kind = match verdict.layer {
        Layer::Mfa => ProblemKind::StepUpRequired,
        Layer::Authentication => ProblemKind::Unauthenticated,
        Layer::Network | Layer::Authorization | Layer::Audit => ProblemKind::Refused,
    };
    let mut problem = Problem::new(kind, verdict.layer, verdict.reason);
    problem.rules = verdict.rules;
    problem.remedies = verdict.remedies;
    problem
}
