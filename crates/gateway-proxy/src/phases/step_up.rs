//! Second factors: what is known of the caller's before the verdict, and spending a code when it would
//! turn the verdict into a yes. It says neither who needs a factor nor what for; policy does.
//!
//! # Security
//! A code is spent only when policy allows the request with it, so that a refused request costs nobody
//! a code. Tries are counted before a code is looked at.

use std::ops::ControlFlow;
use std::time::Duration;

use gateway_identity::{InlineFactor, TotpSecret};
use gateway_store::{RightCode, Spent, StepUps, StoreError, Try, TryLimit};
use gateway_types::{
    Facts, Layer, Principal, Problem, ProblemKind, RemedyKind, SessionId, StepUp, Timestamp, UserId, Verdict,
};

use super::inspect::Inspected;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;

mod advice;

pub(crate) use advice::{CodeFault, advise};

/// How many codes of one session may be wrong before no more are looked at.
const TRIES: TryLimit = TryLimit { most: 5, within: Duration::from_secs(5 * 60) };

/// What the digests of backup codes are keyed with.
const BACKUP_KEY: &str = gateway_app::factors::BACKUP_KEY;

/// What trying to confirm with a second factor changed.
#[derive(Debug)]
pub(crate) enum Confirmation {
    /// Nothing: the verdict stands.
    None,
    /// The facts: decide again.
    Learnt,
    /// A code was given and does not count.
    Failed(CodeFault),
}

/// Adds what is known of the caller's second factor to the facts, for operations that ask for one.
pub(crate) async fn learn(
    plane: &DataPlane,
    principal: &Principal,
    step_up: StepUp,
    facts: &mut Facts,
) -> Flow<()> {
    match step_up {
        StepUp::None => ControlFlow::Continue(()),
        StepUp::Window | StepUp::Bound => ask(plane, principal, facts).await,
    }
}

async fn ask(plane: &DataPlane, principal: &Principal, facts: &mut Facts) -> Flow<()> {
    let Principal::User { id, session, .. } = principal else { return ControlFlow::Continue(()) };
    if facts.mfa_off {
        return ControlFlow::Continue(());
    }
    let length = plane.parts.settings.step_up_window();
    match plane.parts.store.step_ups().standing(*id, *session, length).await {
        Ok(standing) => {
            facts.mfa_enrolled = standing.enrolled;
            facts.mfa_window = standing.window.is_some();
            ControlFlow::Continue(())
        }
        Err(error) => refuse(unreachable(&error)),
    }
}

/// Tries to turn a refusal for want of a second factor into a yes.
pub(crate) async fn confirm(
    plane: &DataPlane,
    inspected: &mut Inspected,
    refused: &Verdict,
    outcome: &mut OutcomeGuard,
) -> Flow<Confirmation> {
    let Principal::User { id, session, .. } = inspected.caller.principal else {
        return ControlFlow::Continue(Confirmation::None);
    };
    if !refused.remedies.iter().any(|remedy| asks_for_factor(remedy.kind)) {
        return ControlFlow::Continue(Confirmation::None);
    }
    let before = inspected.facts.clone();
    if inspected.asked.operation().step_up == StepUp::None {
        // A policy of the operator's own asks for a factor where the table does not.
        ask(plane, &inspected.caller.principal.clone(), &mut inspected.facts).await?;
    }
    if let Some(factor) = inspected.factor.take()
        && inspected.facts.mfa_enrolled
        && !allowed(plane, inspected, &inspected.facts)
        && allowed(plane, inspected, &confirmed(&inspected.facts))
    {
        let turn = plane.parts.store.step_ups().turn(session).await;
        // Whoever had the turn before may have opened the window with the same code.
        ask(plane, &inspected.caller.principal.clone(), &mut inspected.facts).await?;
        if !allowed(plane, inspected, &inspected.facts) {
            let spent = spend(plane, id, session, &factor, inspected, outcome).await?;
            drop(turn);
            return ControlFlow::Continue(spent);
        }
    }
    let learnt = inspected.facts != before;
    ControlFlow::Continue(if learnt { Confirmation::Learnt } else { Confirmation::None })
}

const fn asks_for_factor(kind: RemedyKind) -> bool {
    match kind {
        RemedyKind::StepUp | RemedyKind::StepUpBound | RemedyKind::Enrol => true,
        RemedyKind::Approval | RemedyKind::Elevation | RemedyKind::Role | RemedyKind::Setting => false,
    }
}

/// The facts once a fresh code was spent.
fn confirmed(facts: &Facts) -> Facts {
    Facts { mfa_enrolled: true, mfa_window: true, mfa_bound: true, ..facts.clone() }
}

fn allowed(plane: &DataPlane, inspected: &Inspected, facts: &Facts) -> bool {
    let (asked, caller) = (&inspected.asked, &inspected.caller);
    plane.parts.policy.load().decide(caller, asked.operation(), &asked.resource(), facts).is_allowed()
}

async fn spend(
    plane: &DataPlane,
    user: UserId,
    session: SessionId,
    factor: &InlineFactor,
    inspected: &mut Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Confirmation> {
    let step_ups = plane.parts.store.step_ups();
    match step_ups.begin_try(session, TRIES).await {
        Ok(Try::Allowed) => {}
        Ok(Try::TooMany(until)) => return refuse(too_many(until, plane.parts.clock.now())),
        Err(error) => return refuse(unreachable(&error)),
    }
    let spent = match right_code(plane, user, factor).await {
        Ok(Some(code)) => step_ups.spend(user, session, &code).await,
        Ok(None) => return ControlFlow::Continue(Confirmation::Failed(CodeFault::Wrong)),
        Err(error) => Err(error),
    };
    match spent {
        Ok(Spent::Fresh(window)) => {
            inspected.facts = confirmed(&inspected.facts);
            outcome.stepped_up(window.factor.to_string());
            was_right(&step_ups, session).await;
            ControlFlow::Continue(Confirmation::Learnt)
        }
        // Another instance was faster with the same code of the same session: the code is right, the
        // window is open, and nothing is bound to this request.
        Ok(Spent::Before(_)) => {
            was_right(&step_ups, session).await;
            ask(plane, &inspected.caller.principal.clone(), &mut inspected.facts).await?;
            let rides = allowed(plane, inspected, &inspected.facts);
            let spent_already = Confirmation::Failed(CodeFault::Spent);
            ControlFlow::Continue(if rides { Confirmation::Learnt } else { spent_already })
        }
        Ok(Spent::Refused) => {
            let fault = match factor {
                InlineFactor::Totp(_) => CodeFault::Spent,
                // A backup code that is none and one that was used look the same.
                InlineFactor::Backup(_) => CodeFault::Wrong,
            };
            ControlFlow::Continue(Confirmation::Failed(fault))
        }
        Err(error) => refuse(unreachable(&error)),
    }
}

/// What the code is, if it is one of this person's that is good now. Every authenticator is looked at,
/// so that the time tells nothing.
async fn right_code(
    plane: &DataPlane,
    user: UserId,
    factor: &InlineFactor,
) -> Result<Option<RightCode>, StoreError> {
    match factor {
        InlineFactor::Backup(code) => {
            let key = plane.parts.store.derive_key(BACKUP_KEY);
            Ok(Some(RightCode::Backup { digest: code.digest(&key, user) }))
        }
        InlineFactor::Totp(code) => {
            let now = plane.parts.clock.now();
            let mut right = None;
            for (factor, seed) in plane.parts.store.factors().seeds(user).await? {
                let step = TotpSecret::from_bytes(seed).matching_step(code, now);
                if let (Some(step), Some(_)) = (step, factor.confirmed) {
                    right = Some(RightCode::Totp { factor: factor.id, step: step.0 });
                }
            }
            Ok(right)
        }
    }
}

/// A count that stays too high only makes the limit stricter for a while.
async fn was_right(step_ups: &StepUps, session: SessionId) {
    if let Err(error) = step_ups.succeeded(session).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a right code stays counted as a try");
    }
}

fn too_many(until: Timestamp, now: Timestamp) -> Problem {
    let seconds = until.checked_since(now).map_or(0, |wait| wait.as_secs()) + 1;
    let mut problem = Problem::new(
        ProblemKind::TooManyRequests,
        Layer::Mfa,
        format!(
            "too many codes of this session were wrong, so no more are looked at for now; wait {seconds} s"
        ),
    );
    problem.retry_after_seconds = Some(seconds);
    problem
}

fn unreachable(error: &StoreError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a second factor could not be checked");
    Problem::new(
        ProblemKind::CannotRecord,
        Layer::Mfa,
        "the second factor cannot be checked, because the store cannot be reached",
    )
}
