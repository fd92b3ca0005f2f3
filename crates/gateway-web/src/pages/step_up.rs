//! The page that a person confirms at with a second factor.
//!
//! # Security
//! It says what is confirmed before it asks for a code: action, object, and which device asked from
//! where. Somebody who was sent a link sees whose command it is.

use askama::Template;
use data_encoding::{BASE64, BASE64URL};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::factors::account;
use gateway_app::step_up::{self, Challenge, WINDOW};
use gateway_app::{cookies, hosts, sign_in};
use gateway_identity::InlineFactor;
use gateway_types::{Principal, Problem, ProblemKind, Timestamp};
use http::header::SET_COOKIE;

use super::account::person;
use crate::page::Frame;
use crate::query::Query;
use crate::words::action_in_words;
use crate::{Web, filters, reply};

/// The parameter that the rack's own client gives, and the field of the form.
const CALLBACK: &str = "callback_url";

/// What that client is told.
const CONFIRMED: &str = "confirmed";

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
    /// The person has a passkey to confirm with.
    has_passkey: bool,
    /// It was confirmed just now.
    confirmed: bool,
    /// The name of the way back to where the person's browser was, for the form.
    back: String,
    /// Where the rack's own client waits for an answer, for the form.
    callback: String,
    /// A page of a service on the gateway's own hosts to go back to, for the form.
    return_to: String,
    /// The browser goes on by itself.
    follow: bool,
    /// Where to go on; empty when nothing was kept of it.
    on: String,
}

/// `GET /step-up/{id}`.
pub(crate) async fn ask(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let challenge = find(web, request).await?;
    reply::html(&page(web, request, challenge, String::new()).await?)
}

/// `GET /login/u2f`: the page that the rack's own client opens in console mode.
pub(crate) async fn of_console(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let token = Query::of(request).one("token").unwrap_or_default();
    let id = BASE64.decode(token.as_bytes()).ok().and_then(|id| String::from_utf8(id).ok());
    let id = id.filter(|id| *id != WINDOW).unwrap_or_default();
    let challenge = step_up::challenge(web.app(), &request.caller, &id).await?;
    reply::html(&page(web, request, challenge, String::new()).await?)
}

/// The client's own listener, on the machine of the browser; `None` for every other address.
///
/// # Security
/// What is sent there tells only that somebody confirmed; that they did is looked up when the client comes back.
fn callback(wanted: &str) -> Option<String> {
    let digits = wanted.strip_prefix("http://localhost:")?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let port: u16 = digits.parse().ok().filter(|_| is_number)?;
    Some(format!("http://localhost:{port}"))
}

/// `POST /step-up/{id}`.
pub(crate) async fn confirm(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    if request.field("begin") == Some("passkey") {
        return ask_passkey(web, request).await;
    }
    let challenge = find(web, request).await?;
    let Some(factor) = InlineFactor::typed(request.field("code").unwrap_or_default()) else {
        let fault = "Give the six digits that your authenticator shows, or a backup code.".to_owned();
        return reply::html_with_status(400, &page(web, request, challenge, fault).await?);
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    match step_up::confirm(web.app(), &operator, &request.caller, &challenge.id, &[], &factor).await {
        Ok(()) => {
            let renewed = if challenge.own { renewed_cookie(web, request).await } else { None };
            let confirmed = Challenge { confirmed: true, ..challenge };
            let page = reply::html(&page(web, request, confirmed, String::new()).await?)?;
            Ok(match renewed {
                Some(cookie) => page.with_header(SET_COOKIE, &cookie),
                None => page,
            })
        }
        // Another try on the same page; everything else is told as any problem is.
        Err(problem) if problem.kind == ProblemKind::StepUpRequired => {
            let status = problem.kind.status();
            reply::html_with_status(status, &page(web, request, challenge, problem.detail).await?)
        }
        Err(problem) => Err(problem),
    }
}

/// What the page's script asks a passkey. The id `request` is for the form of another page.
async fn ask_passkey(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let id = request.parameter("id").unwrap_or_default();
    let (caller, origin) = (&request.caller, &request.head.origin);
    let asked = step_up::ask_passkey(web.app(), caller, origin, id, request.field("for")).await?;
    Ok(OwnReply::new(200, "application/json", asked.options))
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

async fn page(
    web: &Web,
    request: &OwnRequest,
    challenge: Challenge,
    fault: String,
) -> Result<StepUpPage, Problem> {
    let (back, return_to) = (carried(request, "back"), carried(request, "return_to"));
    let callback = callback(&carried(request, CALLBACK)).unwrap_or_default();
    let on = match (challenge.confirmed, back.is_empty(), return_to.is_empty()) {
        (true, false, _) => hosts::way_back(web.app(), &back).await.ok().flatten(),
        (true, true, false) => {
            let app = web.app();
            Some(sign_in::return_to(&app.own, &app.rules.services(), Some(&return_to)))
        }
        (true, true, true) | (false, _, _) => None,
    };
    let on = match (challenge.confirmed, callback.is_empty()) {
        (true, false) => format!("{callback}/?data={}", BASE64URL.encode(CONFIRMED.as_bytes())),
        (true, true) | (false, _) => on.unwrap_or_default(),
    };
    let now: Timestamp = web.app().clock.now();
    let window = challenge.id == WINDOW;
    let title = match (challenge.confirmed, window) {
        (true, _) => "Confirmed",
        (false, true) => "Confirm that it is you",
        (false, false) => "Confirm this action",
    };
    let standing = account::standing(web.app(), person(&request.caller)?).await?;
    Ok(StepUpPage {
        has_passkey: standing.has_passkey(),
        frame: Frame::of(web, request, title).narrow(),
        action: action_in_words(&challenge.action),
        address: challenge.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        elsewhere: challenge.ip.is_some_and(|ip| ip != request.caller.source_ip),
        left: challenge.expires.checked_since(now).unwrap_or_default(),
        confirmed: challenge.confirmed,
        follow: challenge.confirmed && !callback.is_empty(),
        callback,
        back,
        return_to,
        on,
        fault,
        challenge,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_the_way_back_to_the_client_is_one_address_with_a_port() {
        let check = |wanted: &str, ok: bool| {
            assert_eq!(callback(wanted), ok.then(|| wanted.to_owned()), "{wanted}");
        };
        check("http://localhost:49152", true);
        check("http://localhost:1", true);
        check("http://localhost:65535", true);
        for wrong in ["", "0", "01", "+80", "-1", "65536", "80/", "80//", " 80", "80@evil.example", "８０"]
        {
            check(&format!("http://localhost:{wrong}"), false);
        }
        check("https://localhost:80", false);
        check("http://127.0.0.1:80", false);
    }

    #[test]
    fn codes_as_people_type_them() {
        assert!(matches!(InlineFactor::typed(" 123 456 "), Some(InlineFactor::Totp(_))));
        assert!(matches!(InlineFactor::typed("abcde-fgh12"), Some(InlineFactor::Backup(_))));
        assert!(InlineFactor::typed("").is_none());
        assert!(InlineFactor::typed("12345").is_none());
        assert!(InlineFactor::typed("１２３４５６").is_none());
    }
}
