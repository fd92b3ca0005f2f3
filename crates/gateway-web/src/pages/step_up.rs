//! The page that a person confirms at with a second factor.
//!
//! # Security
//! It says what is confirmed before it asks for a code: action, object, and which device asked from
//! where. Somebody who was sent a link sees whose command it is.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::step_up::{self, Challenge, WINDOW};
use gateway_identity::InlineFactor;
use gateway_types::{Problem, ProblemKind, Timestamp};

use crate::page::Frame;
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
}

/// `GET /step-up/{id}`.
pub(crate) async fn ask(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let challenge = find(web, request).await?;
    reply::html(&page(web, request, challenge, String::new()))
}

/// `POST /step-up/{id}`.
pub(crate) async fn confirm(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let challenge = find(web, request).await?;
    let Some(factor) = factor(request.field("code").unwrap_or_default()) else {
        let fault = "Give the six digits that your authenticator shows, or a backup code.".to_owned();
        return reply::html_with_status(400, &page(web, request, challenge, fault));
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    match step_up::confirm(web.app(), &operator, &request.caller, &challenge.id, &factor).await {
        Ok(()) => {
            let confirmed = Challenge { confirmed: true, ..challenge };
            reply::html(&page(web, request, confirmed, String::new()))
        }
        // Another try on the same page; everything else is told as any problem is.
        Err(problem) if problem.kind == ProblemKind::StepUpRequired => {
            let status = problem.kind.status();
            reply::html_with_status(status, &page(web, request, challenge, problem.detail))
        }
        Err(problem) => Err(problem),
    }
}

async fn find(web: &Web, request: &OwnRequest) -> Result<Challenge, Problem> {
    step_up::challenge(web.app(), &request.caller, request.parameter("id").unwrap_or_default()).await
}

/// A second factor as a person types it.
fn factor(text: &str) -> Option<InlineFactor> {
    let text = text.trim();
    let digits: String = text.chars().filter(|c| *c != ' ').collect();
    let totp = digits.parse().ok().map(InlineFactor::Totp);
    totp.or_else(|| text.parse().ok().map(InlineFactor::Backup))
}

fn page(web: &Web, request: &OwnRequest, challenge: Challenge, fault: String) -> StepUpPage {
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
        fault,
        challenge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_people_type_them() {
        assert!(matches!(factor(" 123 456 "), Some(InlineFactor::Totp(_))));
        assert!(matches!(factor("abcde-fgh12"), Some(InlineFactor::Backup(_))));
        assert!(factor("").is_none());
        assert!(factor("12345").is_none());
        assert!(factor("１２３４５６").is_none());
    }
}
