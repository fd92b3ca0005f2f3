//! Problems: the page of each kind, and the page that answers instead of what was asked for.
//!
//! # Security
//! A refusal that only wants a second factor offers the same POST again: its target is the one that was
//! asked for, which is of this gateway since it begins with one slash, and it carries the session's own
//! `_csrf`. Whatever is sent again passes every layer again.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest, PageAsked};
use gateway_types::{Layer, Problem, ProblemKind, RemedyKind, RequestId};
use http::Method;

use crate::page::Frame;
use crate::words::action_in_words;
use crate::{Web, filters, pages, reply};

/// The page of a kind of problem.
#[derive(Template)]
#[template(path = "problem_kind.html")]
struct KindPage {
    frame: Frame,
    kind: ProblemKind,
}

/// `GET /problems/{kind}`.
pub(crate) async fn explain(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let name = request.parameter("kind").unwrap_or_default();
    let kind = ProblemKind::parse(name).ok_or_else(pages::no_such_page)?;
    reply::html(&KindPage { frame: Frame::of(web, request, kind.title()).narrow(), kind })
}

/// A problem in place of what was asked for.
#[derive(Template)]
#[template(path = "problem.html")]
struct RefusalPage<'a> {
    frame: Frame,
    problem: &'a Problem,
    layer: &'static str,
    rules: Vec<RuleInWords>,
    /// The same POST again, with a second factor.
    again: Option<Again<'a>>,
    /// Where to sign in, when nobody is.
    sign_in: Option<String>,
    remedies: Vec<Way>,
    request_id: RequestId,
    /// The command that shows more.
    why: String,
}

/// A rule that decided.
struct RuleInWords {
    id: String,
    /// Completes "needs …"; empty when the rule does not say.
    needs: String,
}

/// A form that repeats a POST.
struct Again<'a> {
    target: &'a str,
    form: Vec<&'a (String, String)>,
    /// The factor must be of this very action.
    bound: bool,
    /// The action in words.
    action: String,
}

impl Again<'_> {
    /// The target's path: what a passkey is asked for.
    fn path(&self) -> &str {
        path_of(self.target)
    }
}

/// Something that would turn the refusal into a yes and is no form.
#[derive(Default)]
struct Way {
    sentence: &'static str,
    /// A page of this gateway and what its button says.
    link: Option<(String, &'static str)>,
    command: Option<String>,
}

/// The page that tells `problem`, or the way to sign in.
pub(crate) fn refusal(web: &Web, asked: &PageAsked, problem: &Problem, request_id: RequestId) -> OwnReply {
    if asked.at_service {
        return crate::hosts::refusal(web, problem, request_id);
    }
    let signed_out = problem.kind == ProblemKind::Unauthenticated;
    let reads = asked.method == Method::GET || asked.method == Method::HEAD;
    if signed_out && reads {
        return reply::see_other(&sign_in(&asked.target));
    }
    let again = again(web, asked, problem);
    let page = RefusalPage {
        frame: Frame::of_problem(web, asked, problem.kind.title()).narrow(),
        problem,
        layer: layer(problem.layer),
        rules: rules(web, problem),
        remedies: ways(problem, again.is_some()),
        again,
        sign_in: signed_out.then(|| sign_in("/app")),
        request_id,
        why: format!("rack-gateway why {request_id}"),
    };
    let reply = reply::html_with_status(problem.kind.status(), &page);
    reply.unwrap_or_else(|_unrendered| {
        OwnReply::new(500, "text/plain; charset=utf-8", problem.sentence(request_id))
    })
}

/// Where to sign in and come back from.
fn sign_in(target: &str) -> String {
    let target: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    format!("/auth/login?return_to={target}")
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

fn again<'a>(web: &Web, asked: &'a PageAsked, problem: &Problem) -> Option<Again<'a>> {
    let wants = |kind| problem.remedies.iter().any(|remedy| remedy.kind == kind);
    let bound = wants(RemedyKind::StepUpBound);
    let here = asked.target.starts_with('/') && !asked.target.starts_with("//");
    let again = asked.method == Method::POST && here && (bound || wants(RemedyKind::StepUp));
    // The gateway's own fields are given anew.
    let form = asked.form.iter().filter(|(name, _)| !matches!(name.as_str(), "_csrf" | "_code"));
    again.then(|| {
        let route = web.app().own.identify("POST", path_of(&asked.target));
        let action = route.map(|route| action_in_words(route.operation.action.as_str())).unwrap_or_default();
        Again { target: &asked.target, form: form.collect(), bound, action }
    })
}

fn rules(web: &Web, problem: &Problem) -> Vec<RuleInWords> {
    let policy = web.app().policy();
    let in_words = |id: &String| {
        let needs = policy.rule(id).and_then(|rule| rule.needs.clone()).unwrap_or_default();
        RuleInWords { id: id.clone(), needs }
    };
    problem.rules.iter().map(in_words).collect()
}

/// The layer, among the five that each request passes.
fn layer(layer: Layer) -> &'static str {
    match layer {
        Layer::Network => "1 of 5, network: where from, and is it well-formed",
        Layer::Authentication => "2 of 5, authentication: who is it",
        Layer::Authorization => "3 of 5, authorization: may they",
        Layer::Mfa => "4 of 5, second factor: are they really here",
        Layer::Audit => "5 of 5, audit: can it be recorded",
    }
}

/// The page where a role for a while is asked for.
const ELEVATIONS: &str = "/app/elevations?";

fn ways(problem: &Problem, again: bool) -> Vec<Way> {
    let ways = problem.remedies.iter().filter_map(|remedy| {
        let way = way(remedy.kind, again)?;
        let page = remedy.url.clone().filter(|url| url.starts_with('/') && !url.starts_with("//"));
        // The form for it is this gateway's own, whatever name the client knows the gateway by.
        let form = remedy.url.as_ref().filter(|_| remedy.kind == RemedyKind::Elevation);
        let form = form.and_then(|url| url.find(ELEVATIONS).and_then(|at| url.get(at..)));
        let ask = form.map(|form| (form.to_owned(), "Ask for it"));
        // Where this very request can be confirmed is better than where any can.
        let confirm = remedy.url.clone().filter(|_| is_factor(remedy.kind)).map(|page| (page, "Confirm now"));
        let link = confirm.or(ask).or(way.link).or_else(|| page.map(|page| (page, "Open the page for it")));
        Some(Way { link, command: remedy.command.clone(), ..way })
    });
    ways.collect()
}

const fn is_factor(kind: RemedyKind) -> bool {
    match kind {
        RemedyKind::StepUp | RemedyKind::StepUpBound => true,
        RemedyKind::Enrol
        | RemedyKind::Approval
        | RemedyKind::Elevation
        | RemedyKind::Role
        | RemedyKind::Setting => false,
    }
}

/// What a remedy asks a person to do. `again`: the page has a form for a second factor.
fn way(kind: RemedyKind, again: bool) -> Option<Way> {
    let (sentence, link) = match kind {
        RemedyKind::StepUp | RemedyKind::StepUpBound if again => return None,
        RemedyKind::StepUp => (
            "Confirm with your second factor, then do the same again.",
            Some(("/step-up/window".to_owned(), "Confirm now")),
        ),
        RemedyKind::StepUpBound => ("Do the same again, with a code from your second factor.", None),
        RemedyKind::Enrol => (
            "Set up a second factor first. It takes a minute and an authenticator app.",
            Some(("/app/account/factors".to_owned(), "Set up a second factor")),
        ),
        RemedyKind::Approval => ("Somebody else has to approve this deploy first.", None),
        RemedyKind::Elevation => ("Ask for a higher role for a while.", None),
        RemedyKind::Role => (
            "An admin of this gateway can give you a role or a grant that allows it. Tell them the request id below.",
            Some(("/app/roles".to_owned(), "What each role may do")),
        ),
        RemedyKind::Setting => (
            "A setting stands against it, which the sentence above names. An admin can change it, if it is meant to be possible.",
            Some(("/app/settings".to_owned(), "Settings")),
        ),
    };
    Some(Way { sentence, link, command: None })
}
