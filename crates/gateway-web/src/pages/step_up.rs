//! The page that a person confirms at with a second factor.
//!
//! # Security
//! It says what is confirmed before it asks for a code: action, object, and which device asked from
//! where. Somebody who was sent a link sees whose command it is.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::step_up::{self, Challenge, WINDOW};
use gateway_app::{cookies, hosts, sign_in};
use gateway_identity::InlineFactor;
use gateway_types::{Principal, Problem, ProblemKind, Timestamp};
use http::header::SET_COOKIE;

use crate::page::Frame;
use crate::query::Query;
use crate::words::action_in_words;
use crate::{Web, filters, reply};

#[derive(Template)]
#[template(path = "step_up.html")]
struct StepUpPage {
    frame: Frame,
    challenge: Challenge,
    /// The action in words; empty for the window alone.
    action: String,
    /// The address that asked; empty when it is not known.
    address: String,
    /// It is another address than the one that looks at this page.
    elsewhere: bool,
    left: std::time::Duration,
    /// What was wrong with the code.
    fault: String,
    /// It was confirmed just now.
    confirmed: bool,
    /// The name of the way back to where the person's browser was, for the form.
    back: String,
    /// A page of a service on the gateway's own hosts to go back to, for the form.
    return_to: String,
    /// Where to go on; empty when nothing was kept of it.
    on: String,
}

/// `GET /step-up/{id}`.
pub(crate) async fn ask(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let challenge = find(web, request).await?;
    reply::html(&page(web, request, challenge, String::new()).await)
}

/// `POST /step-up/{id}`.
pub(crate) async fn confirm(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let challenge = find(web, request).await?;
    let Some(factor) = InlineFactor::typed(request.field("code").unwrap_or_default()) else {
        let fault = "Give the six digits that your authenticator shows, or a backup code.".to_owned();
        return reply::html_with_status(400, &page(web, request, challenge, fault).await);
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    match step_up::confirm(web.app(), &operator, &request.caller, &challenge.id, &factor).await {
        Ok(()) => {
            let renewed = if challenge.id == WINDOW { renewed_cookie(web, request).await } else { None };
            let confirmed = Challenge { confirmed: true, ..challenge };
            let page = reply::html(&page(web, request, confirmed, String::new()).await)?;
            Ok(match renewed {
                Some(cookie) => page.with_header(SET_COOKIE, &cookie),
                None => page,
            })
        }
        // Another try on the same page; everything else is told as any problem is.
        Err(problem) if problem.kind == ProblemKind::StepUpRequired => {
            let status = problem.kind.status();
            reply::html_with_status(status, &page(web, request, challenge, problem.detail).await)
        }
        Err(problem) => Err(problem),
    }
}

/// A session that can do more than before has another cookie: whoever got hold of the old one has nothing.
async fn renewed_cookie(web: &Web, request: &OwnRequest) -> Option<String> {
    let Principal::User { session, .. } = request.caller.principal else { return None };
    match web.app().store.sessions().renew(session).await {
        Ok(secret) => Some(cookies::session(&secret)),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a web session keeps its cookie after a step-up"
            );
            None
        }
    }
}

async fn find(web: &Web, request: &OwnRequest) -> Result<Challenge, Problem> {
    step_up::challenge(web.app(), &request.caller, request.parameter("id").unwrap_or_default()).await
}

/// What the page was opened with, or its form carried on.
fn carried(request: &OwnRequest, name: &str) -> String {
    let field = request.field(name).map(str::to_owned);
    field.or_else(|| Query::of(request).one(name)).unwrap_or_default()
}

async fn page(web: &Web, request: &OwnRequest, challenge: Challenge, fault: String) -> StepUpPage {
    let (back, return_to) = (carried(request, "back"), carried(request, "return_to"));
    let on = match (challenge.confirmed, back.is_empty(), return_to.is_empty()) {
        (true, false, _) => hosts::way_back(web.app(), &back).await.ok().flatten(),
        (true, true, false) => {
            let app = web.app();
            Some(sign_in::return_to(&app.own, &app.rules.services(), Some(&return_to)))
        }
        (true, true, true) | (false, _, _) => None,
    };
    let on = on.unwrap_or_default();
    let now: Timestamp = web.app().clock.now();
    let window = challenge.id == WINDOW;
    let title = match (challenge.confirmed, window) {
        (true, _) => "Confirmed",
        (false, true) => "Confirm that it is you",
        (false, false) => "Confirm this action",
    };
    StepUpPage {
        frame: Frame::of(web, request, title).narrow(),
        action: action_in_words(&challenge.action),
        address: challenge.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        elsewhere: challenge.ip.is_some_and(|ip| ip != request.caller.source_ip),
        left: challenge.expires.checked_since(now).unwrap_or_default(),
        confirmed: challenge.confirmed,
        back,
        return_to,
        on,
        fault,
        challenge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_people_type_them() {
        assert!(matches!(InlineFactor::typed(" 123 456 "), Some(InlineFactor::Totp(_))));
        assert!(matches!(InlineFactor::typed("abcde-fgh12"), Some(InlineFactor::Backup(_))));
        assert!(InlineFactor::typed("").is_none());
        assert!(InlineFactor::typed("12345").is_none());
        assert!(InlineFactor::typed("１２３４５６").is_none());
    }
}
