//! Console mode of the rack's own client: it can ask for a second factor itself, when the reply to a GET tells it to.
//! It then opens a page of the gateway, waits for its person, and repeats the request.
//!
//! A socket, or a request with a body, cannot be repeated so. What was refused there waits, and is asked for at the
//! list of racks, which the client reads before its next command. Where nothing waits nothing is asked, and a factor
//! that came along with the credential is left to the command: what is bound takes a code of its own.
//!
//! # Security
//! Nothing here is a proof: what counts is the challenge that its person confirmed on its page, and the window of the
//! session. The `Session` that the client stores names that window and opens nothing.
//!
//! Source: API.md 2.5.

use std::ops::ControlFlow;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use gateway_app::factors::passkeys::Purpose;
use gateway_app::step_up::{self as app, Checks, Giving, Spending};
use gateway_store::{Asker, Challenge, OpenWindow};
use gateway_types::{Channel, Layer, Principal, Problem, ProblemKind, SessionChallenge, SessionId, UserId};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Response};

use super::super::inspect::Inspected;
use super::{tell_of_copy, tell_of_few_codes, tell_of_lock};
use crate::body::ReplyBody;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;

/// The header that only a client in console mode sends; empty before its first step-up.
const SESSION: &str = "session";

/// The header in which the client repeats which challenge was confirmed.
const CHALLENGE: HeaderName = HeaderName::from_static("challenge");

/// How the client is told to ask for what was just refused; `None` when it could not repeat the request.
pub(crate) fn offer(inspected: &Inspected, failed: bool) -> Option<SessionChallenge> {
    (is_console(inspected) && inspected.facts.mfa_enrolled && !failed).then_some(SessionChallenge::InBrowser)
}

fn is_console(inspected: &Inspected) -> bool {
    inspected.caller.channel == Channel::RackProxy
        && inspected.head.method == Method::GET
        && !inspected.socket
        && inspected.head.headers.contains_key(SESSION)
}

fn person(inspected: &Inspected) -> Option<(UserId, SessionId)> {
    match &inspected.caller.principal {
        Principal::User { id, session, .. } => Some((*id, *session)),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => None,
    }
}

/// What to ask before the command that follows the list of racks: for what was refused a moment ago, or for the
/// factor that came along with the credential.
pub(crate) async fn before_command(plane: &DataPlane, inspected: &Inspected) -> Flow<()> {
    let Some((user, session)) = person(inspected) else { return ControlFlow::Continue(()) };
    if !is_console(inspected) || inspected.facts.mfa_off {
        return ControlFlow::Continue(());
    }
    let waiting = waiting(plane, session).await?;
    if waiting.is_empty() {
        return ControlFlow::Continue(());
    }
    let window = open_window(plane, user, session).await?;
    let challenge = match (to_ask(&waiting, window), inspected.factor.is_some()) {
        (None, _) => return ControlFlow::Continue(()),
        (Some(asked), true) if asked.bound => return ControlFlow::Continue(()),
        (Some(_), true) => SessionChallenge::WithCredential,
        (Some(_), false) => SessionChallenge::InBrowser,
    };
    let detail = "what was refused a moment ago needs a second factor; confirm it, and the command goes on";
    let mut problem = Problem::new(ProblemKind::StepUpRequired, Layer::Mfa, detail);
    problem.session_challenge = Some(challenge);
    refuse(problem)
}

/// What this session was refused and nobody confirmed, newest first.
async fn waiting(plane: &DataPlane, session: SessionId) -> Flow<Vec<Challenge>> {
    match plane.parts.store.challenges().waiting(session).await {
        Ok(waiting) => ControlFlow::Continue(waiting),
        Err(error) => refuse(app::unreachable(&error)),
    }
}

/// Which of them is to be asked for: the newest. An open window is all that those need which are not bound.
fn to_ask(waiting: &[Challenge], window: Option<OpenWindow>) -> Option<&Challenge> {
    waiting.iter().find(|challenge| challenge.bound || window.is_none())
}

async fn open_window(plane: &DataPlane, user: UserId, session: SessionId) -> Flow<Option<OpenWindow>> {
    let length = plane.parts.settings.step_up_window();
    match plane.parts.store.step_ups().standing(user, session, length).await {
        Ok(standing) => ControlFlow::Continue(standing.window),
        Err(error) => refuse(app::unreachable(&error)),
    }
}

/// What the client stores of a window.
fn name(session: SessionId, window: OpenWindow) -> String {
    let text = format!("{session} {}", window.opened.micros());
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    HEXLOWER.encode(hash.as_ref().get(..16).unwrap_or_default())
}

/// `GET /session`: which challenge the client's page is to show.
pub(crate) async fn challenge(plane: &DataPlane, inspected: &Inspected) -> Flow<Response<ReplyBody>> {
    let Some((user, session)) = person(inspected) else { return refuse(nothing_waits()) };
    let waiting = waiting(plane, session).await?;
    let window = open_window(plane, user, session).await?;
    let Some(asked) = to_ask(&waiting, window) else { return refuse(nothing_waits()) };
    let id = asked.id.to_string();
    let mut response = Response::new(ReplyBody::whole(id.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(CHALLENGE, id);
    }
    ControlFlow::Continue(response)
}

fn nothing_waits() -> Problem {
    let detail = "nothing waits to be confirmed for this session; repeat the command that was refused";
    Problem::new(ProblemKind::NotFound, Layer::Mfa, detail)
}

/// `POST /session`: the client comes back from its page, or with a factor beside its credential.
pub(crate) async fn step_up(
    plane: &DataPlane,
    inspected: &Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Response<ReplyBody>> {
    let Some((user, session)) = person(inspected) else { return refuse(not_confirmed()) };
    let mut window = open_window(plane, user, session).await?;
    if let Some(factor) = &inspected.factor
        && window.is_none()
    {
        let checks = Checks {
            store: &plane.parts.store,
            now: plane.parts.clock.now(),
            yubico: plane.parts.yubico.as_deref(),
        };
        let target = format!("{} {}", inspected.head.method, inspected.head.uri.path());
        let giving =
            Giving { user, session, by: Asker::Session(session), purpose: Purpose::Request(&target) };
        let turn = plane.parts.store.step_ups().turn(session).await;
        let spent = app::spend(&checks, &giving, factor).await;
        drop(turn);
        match spent {
            Ok(Spending::Fresh(opened)) => {
                outcome.stepped_up(opened.factor.to_string());
                tell_of_few_codes(plane, user, opened.factor, inspected).await;
                window = Some(opened);
            }
            Ok(Spending::Before) => window = open_window(plane, user, session).await?,
            Ok(Spending::TooMany(until)) => {
                tell_of_lock(plane, user, session, until, inspected).await;
                return refuse(app::too_many(until, checks.now));
            }
            Ok(Spending::Unknown) => return refuse(app::unchecked()),
            Ok(Spending::Copied(factor)) => tell_of_copy(plane, user, factor, inspected).await,
            Ok(Spending::Wrong | Spending::Spent) => {}
            Err(error) => return refuse(app::unreachable(&error)),
        }
    }
    let Some(window) = window else { return refuse(not_confirmed()) };
    let body = serde_json::json!({ "id": name(session, window) }).to_string();
    let mut response = Response::new(ReplyBody::whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ControlFlow::Continue(response)
}

fn not_confirmed() -> Problem {
    let detail = "this was not confirmed with a second factor; repeat the command, and confirm it on the page that opens";
    Problem::new(ProblemKind::Refused, Layer::Mfa, detail)
}
