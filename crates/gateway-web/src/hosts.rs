//! Pages of signing on over hosts: the way to the gateway and back, and signing out at a service's host.
//!
//! At a service's host nothing of the gateway's own answers but what is below `/.rack-gateway`, so these
//! pages lead to no other page of the gateway but by its whole address.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::cookies;
use gateway_app::hosts::{self, BROWSER_COOKIE, Visit};
use gateway_app::sign_in::{self, SignInError};
use gateway_types::{Problem, RemedyKind, RequestId, Secret};
use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};

use crate::query::Query;
use crate::sign_in::asked_by_a_person;
use crate::{Web, reply};

/// A page at a service's host.
#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    title: String,
    lead: String,
    rack: String,
    style: String,
    icon: String,
    /// The token of the form that signs out; empty for none.
    csrf: String,
    links: Vec<(String, &'static str)>,
    request_id: String,
}

impl HostPage {
    fn new(web: &Web, title: &str, lead: &str) -> Self {
        Self {
            title: title.to_owned(),
            lead: lead.to_owned(),
            rack: web.app().rack_name.clone(),
            style: web.assets.href_at_service("style.css"),
            icon: web.assets.href_at_service("icon.svg"),
            csrf: String::new(),
            links: Vec::new(),
            request_id: String::new(),
        }
    }
}

/// The reply that sends a browser from a service's host to the gateway.
pub fn away(location: &str, cookie: &Secret<String>) -> OwnReply {
    unstored(reply::see_other(location)).with_header(SET_COOKIE, cookie.expose())
}

/// `GET /auth/handoff`.
pub(crate) async fn hand_over(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    asked_by_a_person(request)?;
    let id = Query::of(request).one("id").unwrap_or_default();
    let location = hosts::hand_over(web.app(), &request.caller, &id).await?;
    Ok(unstored(reply::see_other(&location)))
}

/// `GET /.rack-gateway/callback`.
pub(crate) async fn callback(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    asked_by_a_person(request)?;
    let code = Query::of(request).one("code");
    let visit = Visit {
        origin: &request.head.origin,
        target: &request.head.path,
        browser: browser_secret(request),
        source_ip: request.caller.source_ip,
    };
    if !visit.origin.is_trustworthy() {
        return Err(SignInError::PlainHttp { authority: visit.origin.authority.clone() }.into());
    }
    let arrived = hosts::finish(web.app(), visit, code.as_deref(), request.request_id).await?;
    // The whole address: whatever the target looks like, it is of this host.
    let location = request.head.origin.join(&arrived.target);
    Ok(unstored(reply::see_other(&location)).with_header(SET_COOKIE, &cookies::session(&arrived.secret)))
}

/// `GET /.rack-gateway/sign-out`.
pub(crate) async fn ask_to_sign_out(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let page = HostPage {
        csrf: request.csrf.clone().unwrap_or_default(),
        ..HostPage::new(
            web,
            "Sign out",
            "This ends your session here, at the gateway and at every other service that it opened.",
        )
    };
    Ok(unstored(reply::html(&page)?))
}

/// `POST /.rack-gateway/sign-out`.
pub(crate) async fn sign_out(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    sign_in::sign_out(web.app(), &request.caller, request.request_id).await?;
    let page = HostPage {
        links: vec![("/".to_owned(), "Sign in again")],
        ..HostPage::new(web, "You are signed out", "Here, at the gateway, and at every service it opened.")
    };
    Ok(unstored(reply::html(&page)?)
        .with_header(SET_COOKIE, &cookies::removed(cookies::SESSION))
        .with_header(SET_COOKIE, &cookies::removed(BROWSER_COOKIE)))
}

/// The page that tells a problem at a service's host.
pub(crate) fn refusal(web: &Web, problem: &Problem, request_id: RequestId) -> OwnReply {
    // Confirming, and enrolling before it: pages at the gateway's own address, which the remedy names whole.
    let link = |kind: RemedyKind| match kind {
        RemedyKind::StepUp | RemedyKind::StepUpBound => Some("Confirm now"),
        RemedyKind::Enrol
        | RemedyKind::Approval
        | RemedyKind::Elevation
        | RemedyKind::Role
        | RemedyKind::Setting => None,
    };
    let page = HostPage {
        links: problem
            .remedies
            .iter()
            .filter_map(|remedy| Some((remedy.url.clone()?, link(remedy.kind)?)))
            .collect(),
        request_id: request_id.to_string(),
        ..HostPage::new(web, problem.kind.title(), &problem.detail)
    };
    let reply = reply::html_with_status(problem.kind.status(), &page);
    reply.unwrap_or_else(|_unrendered| {
        OwnReply::new(500, "text/plain; charset=utf-8", problem.sentence(request_id))
    })
}

/// The secret that binds the way to this browser; one that comes twice counts for nothing.
fn browser_secret(request: &OwnRequest) -> Option<&str> {
    let headers = request.head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = headers
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == BROWSER_COOKIE)
        .map(|(_, value)| value);
    let first = values.next();
    if values.next().is_some() { None } else { first }
}

fn unstored(reply: OwnReply) -> OwnReply {
    reply.with_header(CACHE_CONTROL, "no-store")
}
