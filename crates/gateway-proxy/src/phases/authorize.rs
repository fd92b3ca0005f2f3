//! Phase 6: the one verdict. The only place that says no for a reason of policy.

use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_types::{Layer, Problem, ProblemKind, Verdict};

use super::commands;
use super::elevation;
use super::inspect::Inspected;
use super::step_up::{self, Confirmation};
use crate::approving;
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
pub(crate) async fn authorize(
    plane: &Arc<DataPlane>,
    mut inspected: Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Authorized> {
    let mut verdict = decide(&inspected, outcome);
    let mut fault = None;
    if !verdict.is_allowed() && could_be_elevated(plane, &inspected) {
        // Asked once more for its remedies alone.
        inspected.facts.elevation_possible = true;
        verdict = decide(&inspected, outcome);
    }
    if !verdict.is_allowed() {
        match Box::pin(step_up::confirm(plane, &mut inspected, &verdict, outcome)).await? {
            Confirmation::None => {}
            Confirmation::Learnt => verdict = decide(&inspected, outcome),
            Confirmation::Failed(found) => fault = Some(found),
        }
    }
    if verdict.is_allowed()
        && let Some(refused) = commands::refused(plane, &inspected.asked, &verdict)
    {
        outcome.decided(&refused, &inspected.facts);
        return refuse(refusal(refused));
    }
    if verdict.is_allowed() {
        if let Some(approval) = inspected.approving.id() {
            outcome.approved(approval);
        }
        return ControlFlow::Continue(Authorized { inspected, verdict });
    }
    if let Some(fault) = fault {
        outcome.note(fault.reason());
    }
    let mut problem = refusal(verdict);
    let page = if problem.kind == ProblemKind::StepUpRequired {
        Box::pin(step_up::confirmation_page(plane, &inspected, &problem.remedies)).await
    } else {
        None
    };
    let resource = inspected.asked.resource();
    let inbox = inspected.origin.join("/app/approvals");
    approving::advise(&mut problem, &inspected.approving, resource.app_name(), inbox);
    elevation::advise(&mut problem, &inspected, plane.parts.settings.elevation_longest());
    if problem.kind == ProblemKind::StepUpRequired {
        problem.session_challenge = step_up::console::offer(&inspected, fault.is_some());
    }
    let window = plane.parts.settings.step_up_window();
    step_up::advise(&mut problem, fault, &inspected.caller, &inspected.origin, page, window);
    refuse(problem)
}

fn could_be_elevated(plane: &DataPlane, inspected: &Inspected) -> bool {
    let resource = inspected.asked.resource();
    let (policy, facts) = (&inspected.rules.policy, &inspected.facts);
    plane.circumstances().elevation_possible(policy, &inspected.caller, &resource, facts)
}

fn decide(inspected: &Inspected, outcome: &mut OutcomeGuard) -> Verdict {
    let (asked, facts) = (&inspected.asked, &inspected.facts);
    let verdict =
        inspected.rules.policy.decide(&inspected.caller, asked.operation(), &asked.resource(), facts);
    outcome.decided(&verdict, facts);
    verdict
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
