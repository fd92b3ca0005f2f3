//! Second factors: what is known of the caller's before the verdict, and spending a code when it would
//! turn the verdict into a yes. It says neither who needs a factor nor what for; policy does.
//!
//! # Security
//! A code is spent only when policy allows the request with it, so that a refused request costs nobody
//! a code. Tries are counted before a code is looked at.

use std::ops::ControlFlow;

use gateway_app::Operator;
use gateway_app::factors::passkeys::Purpose;
use gateway_app::step_up::{self as app, Asks, Checks, Giving, Refused, Spending};
use gateway_audit::Actor;
use gateway_identity::InlineFactor;
use gateway_store::{Asker, FactorStanding, OpenWindow, UsedFactor};
use gateway_types::{
    Channel, FactorId, Facts, Layer, Principal, Problem, ProblemKind, Remedy, RemedyKind, SessionId, StepUp,
    Timestamp, UserId, Verdict,
};

use super::identify::service_host;
use super::inspect::Inspected;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::sign_on::Going;

mod advice;
pub(crate) mod console;

pub(crate) use advice::{CodeFault, advise};

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

/// Whose second factor is asked for, and with what they came.
#[derive(Clone, Copy)]
pub(crate) struct FactorAsker<'a> {
    /// Who.
    pub(crate) principal: &'a Principal,
    /// When the cookie of one host that they came with was made.
    pub(crate) made: Option<Timestamp>,
}

impl FactorAsker<'_> {
    /// Whether a window counts for what they came with.
    ///
    /// # Security
    /// At its step-up the gateway's own cookie becomes another one. A service's host is not asked then, so its
    /// cookie stays as it was, with all that could be done with it before, and without the factor: whoever
    /// copied it gains nothing. A browser gets a new one by way of the gateway, where its session is.
    fn has(self, window: &OpenWindow) -> bool {
        self.made.is_none_or(|made| window.opened <= made)
    }
}

/// Adds what is known of the caller's second factor to the facts, for operations that ask for one.
pub(crate) async fn learn(
    plane: &DataPlane,
    asker: FactorAsker<'_>,
    step_up: StepUp,
    facts: &mut Facts,
) -> Flow<()> {
    match step_up {
        // Whoever has none may not even look.
        StepUp::None if facts.mfa_required => ask_enrolled(plane, asker.principal, facts).await,
        StepUp::None => ControlFlow::Continue(()),
        StepUp::Window | StepUp::Bound => ask(plane, asker, facts).await,
    }
}

async fn ask_enrolled(plane: &DataPlane, principal: &Principal, facts: &mut Facts) -> Flow<()> {
    let Principal::User { id, .. } = principal else { return ControlFlow::Continue(()) };
    match plane.parts.store.step_ups().is_enrolled(*id).await {
        Ok(enrolled) => {
            facts.mfa_enrolled = enrolled;
            ControlFlow::Continue(())
        }
        Err(error) => refuse(app::unreachable(&error)),
    }
}

async fn ask(plane: &DataPlane, asker: FactorAsker<'_>, facts: &mut Facts) -> Flow<()> {
    if facts.mfa_off {
        return ControlFlow::Continue(());
    }
    if let Some(standing) = standing(plane, asker.principal).await? {
        facts.mfa_enrolled = standing.enrolled;
        facts.mfa_window = standing.window.is_some_and(|window| asker.has(&window));
    }
    ControlFlow::Continue(())
}

async fn ask_again(plane: &DataPlane, inspected: &mut Inspected) -> Flow<()> {
    let asker = FactorAsker { principal: &inspected.caller.principal, made: inspected.made };
    ask(plane, asker, &mut inspected.facts).await
}

/// What is known of a person's factors and of their session's window.
async fn standing(plane: &DataPlane, principal: &Principal) -> Flow<Option<FactorStanding>> {
    let Principal::User { id, session, .. } = principal else { return ControlFlow::Continue(None) };
    let length = plane.parts.settings.step_up_window();
    match plane.parts.store.step_ups().standing(*id, *session, length).await {
        Ok(standing) => ControlFlow::Continue(Some(standing)),
        Err(error) => refuse(app::unreachable(&error)),
    }
}

/// Refuses a cookie of one host that is older than the open window of its session: a browser that goes to a page is
/// then sent to the gateway for a new one, and everybody else is told to load the page again.
pub(crate) async fn refuse_older_cookie(plane: &DataPlane, asker: FactorAsker<'_>) -> Flow<()> {
    if asker.made.is_none() {
        return ControlFlow::Continue(());
    }
    let standing = standing(plane, asker.principal).await?;
    if standing.and_then(|standing| standing.window).is_none_or(|window| asker.has(&window)) {
        return ControlFlow::Continue(());
    }
    refuse(Problem::new(
        ProblemKind::Unauthenticated,
        Layer::Authentication,
        "the cookie of this host is older than the second factor that was given since; load the page again",
    ))
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
        ask_again(plane, inspected).await?;
    }
    if let Some(factor) = inspected.factor.take()
        && inspected.facts.mfa_enrolled
        && !allowed(inspected, &inspected.facts)
        && allowed(inspected, &confirmed(&inspected.facts))
    {
        let turn = plane.parts.store.step_ups().turn(session).await;
        // Whoever had the turn before may have opened the window with the same code.
        ask_again(plane, inspected).await?;
        if !allowed(inspected, &inspected.facts) {
            let spent = spend(plane, id, session, &factor, inspected, outcome).await?;
            drop(turn);
            return ControlFlow::Continue(spent);
        }
    }
    if !allowed(inspected, &inspected.facts) && allowed(inspected, &confirmed(&inspected.facts)) {
        let asker = FactorAsker { principal: &inspected.caller.principal, made: inspected.made };
        refuse_older_cookie(plane, asker).await?;
        if let Some(factor) = confirmed_elsewhere(plane, session, inspected).await? {
            inspected.facts = confirmed(&inspected.facts);
            outcome.stepped_up(factor);
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

fn allowed(inspected: &Inspected, facts: &Facts) -> bool {
    let (asked, caller) = (&inspected.asked, &inspected.caller);
    inspected.rules.policy.decide(caller, asked.operation(), &asked.resource(), facts).is_allowed()
}

/// Uses up the challenge of exactly this request, when its person confirmed it on its page.
async fn confirmed_elsewhere(
    plane: &DataPlane,
    session: SessionId,
    inspected: &Inspected,
) -> Flow<Option<String>> {
    let (action, target) =
        (&inspected.asked.operation().action, inspected.asked.target(plane, &inspected.head));
    match plane.parts.store.challenges().take(session, action.as_str(), &target).await {
        Ok(factor) => ControlFlow::Continue(factor),
        Err(error) => refuse(app::unreachable(&error)),
    }
}

/// The page at which a person can confirm what was just refused; `None` for pages, whose form is asked
/// for the code itself (their sockets have no form), and when the challenge cannot be kept: the refusal stands with one
/// remedy less.
pub(crate) async fn confirmation_page(
    plane: &DataPlane,
    inspected: &Inspected,
    remedies: &[Remedy],
) -> Option<String> {
    let asks = Asks::of(remedies);
    let Principal::User { id, session, .. } = inspected.caller.principal else { return None };
    let has_form = inspected.caller.channel == Channel::Web && !inspected.socket;
    if has_form || !inspected.facts.mfa_enrolled {
        return None;
    }
    // What streams is not known here, so nobody can be shown what they would confirm.
    if asks == Asks::Action && inspected.asked.is_streamed() {
        return None;
    }
    let target = inspected.asked.target(plane, &inspected.head);
    let refused = Refused {
        operation: inspected.asked.operation(),
        resource: &inspected.asked.resource(),
        target: &target,
        asks,
        source_ip: inspected.caller.source_ip,
    };
    match app::open_challenge(&plane.parts.store, id, session, refused).await {
        Ok(id) => page_of(plane, inspected, &id.to_string()).await,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a step-up challenge could not be kept");
            None
        }
    }
}

/// The address of a challenge's page: at the gateway's own origin, and from there back to where a person's
/// browser was.
async fn page_of(plane: &DataPlane, inspected: &Inspected, id: &str) -> Option<String> {
    if inspected.caller.channel != Channel::Service {
        return Some(inspected.origin.join(&format!("/step-up/{id}")));
    }
    let head = &inspected.head;
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let ip = inspected.caller.source_ip;
    let going = Going::of(&head.method, target, &head.headers, &inspected.origin, ip);
    let visit = going.as_ref().map(Going::visit);
    let is_away = service_host(plane, &inspected.rules, inspected.origin.host()).is_some();
    if is_away {
        return plane.parts.control.confirmation_page(&inspected.origin, id.to_owned(), visit).await;
    }
    let back = visit.map(|visit| {
        let target: String = form_urlencoded::byte_serialize(visit.target.as_bytes()).collect();
        format!("?return_to={target}")
    });
    Some(inspected.origin.join(&format!("/step-up/{id}{}", back.unwrap_or_default())))
}

/// What this request was refused without its code waits no more to be confirmed.
async fn settle(plane: &DataPlane, session: SessionId, inspected: &Inspected) {
    let action = inspected.asked.operation().action.as_str();
    let target = gateway_audit::bounded(&inspected.asked.target(plane, &inspected.head));
    if let Err(error) = plane.parts.store.challenges().settle(session, action, &target).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a challenge stays though it was settled");
    }
}

/// Whoever asks, in the log.
fn operator<'a>(plane: &'a DataPlane, inspected: &Inspected) -> Operator<'a> {
    let (parts, caller) = (&plane.parts, &inspected.caller);
    Operator {
        actor: Actor::of(&caller.principal),
        channel: caller.channel,
        request_id: None,
        source_ip: Some(caller.source_ip),
        clock: &*parts.clock,
        entropy: &*parts.entropy,
    }
}

/// The person is told that there may be a copy of a passkey of theirs.
async fn tell_of_copy(plane: &DataPlane, user: UserId, factor: FactorId, inspected: &Inspected) {
    let (parts, caller) = (&plane.parts, &inspected.caller);
    let email = &caller.principal.display_name();
    let copied = app::Copied { user, email, factor, source_ip: Some(caller.source_ip) };
    app::tell_of_copy(&parts.store, &*parts.notices, &operator(plane, inspected), copied).await;
}

/// The person is told that their backup codes run out, when this was one of the last.
async fn tell_of_few_codes(plane: &DataPlane, user: UserId, spent: UsedFactor, inspected: &Inspected) {
    if spent == UsedFactor::BackupCode {
        let email = inspected.caller.principal.display_name();
        app::tell_of_few_codes(&plane.parts.store, &*plane.parts.notices, user, &email).await;
    }
}

/// The person is told, once, that no more of their codes are looked at.
async fn tell_of_lock(
    plane: &DataPlane,
    user: UserId,
    session: SessionId,
    until: Timestamp,
    inspected: &Inspected,
) {
    let (parts, caller) = (&plane.parts, &inspected.caller);
    let operator = operator(plane, inspected);
    let lock = app::Lock {
        user,
        email: &caller.principal.display_name(),
        session: Some(session),
        until,
        source_ip: Some(caller.source_ip),
    };
    app::tell_of_lock(&parts.store, &*parts.notices, &operator, lock).await;
}

async fn spend(
    plane: &DataPlane,
    user: UserId,
    session: SessionId,
    factor: &InlineFactor,
    inspected: &mut Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Confirmation> {
    let now = plane.parts.clock.now();
    let checks = Checks { store: &plane.parts.store, now, yubico: plane.parts.yubico.as_deref() };
    let target = format!("{} {}", inspected.head.method, inspected.head.uri.path());
    let giving = Giving { user, session, by: Asker::Session(session), purpose: Purpose::Request(&target) };
    match app::spend(&checks, &giving, factor).await {
        Ok(Spending::Fresh(window)) => {
            outcome.stepped_up(window.factor.to_string());
            tell_of_few_codes(plane, user, window.factor, inspected).await;
            let length = plane.parts.settings.step_up_window();
            let store = &plane.parts.store;
            match app::was_enrolled_lately(store, user, window.factor, now, length).await {
                Ok(false) => inspected.facts = confirmed(&inspected.facts),
                Ok(true) => inspected.facts.mfa_window = true,
                Err(error) => return refuse(app::unreachable(&error)),
            }
            if !allowed(inspected, &inspected.facts) {
                return ControlFlow::Continue(Confirmation::Failed(CodeFault::YOUNG));
            }
            settle(plane, session, inspected).await;
            ControlFlow::Continue(Confirmation::Learnt)
        }
        // Another instance was faster with the same code of the same session: the code is right, the
        // window is open, and nothing is bound to this request.
        Ok(Spending::Before) => {
            ask_again(plane, inspected).await?;
            let rides = allowed(inspected, &inspected.facts);
            let spent_already = Confirmation::Failed(CodeFault::spent(factor));
            ControlFlow::Continue(if rides { Confirmation::Learnt } else { spent_already })
        }
        Ok(Spending::Wrong) => ControlFlow::Continue(Confirmation::Failed(CodeFault::wrong(factor))),
        Ok(Spending::Spent) => ControlFlow::Continue(Confirmation::Failed(CodeFault::spent(factor))),
        Ok(Spending::Copied(factor)) => {
            tell_of_copy(plane, user, factor, inspected).await;
            ControlFlow::Continue(Confirmation::Failed(CodeFault::COPIED))
        }
        Ok(Spending::Unknown) => refuse(app::unchecked()),
        Ok(Spending::TooMany(until)) => {
            tell_of_lock(plane, user, session, until, inspected).await;
            refuse(app::too_many(until, now))
        }
        Err(error) => refuse(app::unreachable(&error)),
    }
}
