//! Approvals of deploys: what waits, what a deploy would touch, who signed it, and deciding.

use std::collections::BTreeSet;

use askama::Template;
use gateway_app::approvals::{self, ApprovalError, mark};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_approvals::state::State;
use gateway_store::ApprovalFilter;
use gateway_types::wire::approvals::{
    Approval, ApprovalEnvironment, ApprovalFinding, ApprovalManifest, ApprovalSignature, SignApproval,
};
use gateway_types::{ApprovalId, Layer, Problem, ProblemKind, Resource, Timestamp};

use super::choices::{self, Choice};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, live, reply};

const PATH: &str = "/app/approvals";
const PAGE_SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "approvals.html")]
struct ApprovalsPage {
    frame: Frame,
    /// How it stands, for the script that follows it.
    mark: String,
    script: String,
    /// Whether those that are over are shown too.
    everything: bool,
    /// Links to the other views of the same filter.
    views: Views,
    filter: Filled,
    states: Vec<Choice>,
    columns: Vec<&'static str>,
    approvals: Vec<Row>,
    pager: Pager,
}

struct Views {
    open: String,
    everything: String,
    mine: String,
    everybodys: String,
}

/// The filter, as it was filled in.
struct Filled {
    app: String,
    mine: bool,
    fault: String,
}

struct Row {
    id: String,
    app: String,
    commit: String,
    message: String,
    requester: String,
    state: &'static str,
    tone: &'static str,
    asked: Option<Timestamp>,
    ends: Option<Timestamp>,
    signed: String,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct ApprovalPage {
    frame: Frame,
    /// How it stands, for the script that follows it.
    mark: String,
    script: String,
    one: Approval,
    state: &'static str,
    tone: &'static str,
    order: &'static str,
    asked: Option<Timestamp>,
    answer_by: Option<Timestamp>,
    expires: Option<Timestamp>,
    approvers: usize,
    /// A page that shows the change.
    link: Option<String>,
    /// A page that compares it with what runs.
    compare: Option<String>,
    told: Vec<(String, String)>,
    environment: Vec<Key>,
    manifests: Vec<Manifest>,
    images: Vec<(String, String)>,
    processes: Vec<(String, u32)>,
    /// New and gone lines of the manifest, one a line.
    differences: String,
    findings: Vec<FindingRow>,
    signatures: Vec<Signature>,
    offers: Offers,
    /// The decision that the link to this page chose; nothing is decided by it.
    chosen: Option<Chosen>,
    commands: (String, String),
}

/// A decision that a link chose: its form stands first and has the focus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Chosen {
    Approve,
    Reject,
}

impl Chosen {
    fn of(query: &Query) -> Option<Self> {
        match query.one("decision").as_deref() {
            Some("approve") => Some(Chosen::Approve),
            Some("reject") => Some(Chosen::Reject),
            Some(_) | None => None,
        }
    }
}

impl ApprovalPage {
    fn approves(&self) -> bool {
        self.chosen == Some(Chosen::Approve)
    }

    fn rejects(&self) -> bool {
        self.chosen == Some(Chosen::Reject)
    }
}

struct Key {
    key: String,
    change: String,
    tone: &'static str,
}

struct Manifest {
    path: String,
    sha256: String,
    fault: String,
}

/// What others say of the commit.
struct FindingRow {
    what: String,
    verdict: &'static str,
    tone: &'static str,
    said: String,
    url: Option<String>,
    found: Option<Timestamp>,
}

struct Signature {
    by: String,
    purpose: &'static str,
    method: &'static str,
    tone: &'static str,
    made: Option<Timestamp>,
    expires: Option<Timestamp>,
    reason: String,
    fault: String,
    /// The exact text that was approved.
    statement: String,
}

/// What may become of it.
struct Offers {
    approve: Offer,
    extend: Offer,
    reject: Offer,
    withdraw: Offer,
}

/// Whether something is offered.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Offer {
    /// It cannot happen to an approval that stands there.
    No,
    /// It could happen, but not by this person or not yet.
    Refused(String),
    /// A form does it.
    Yes,
}

impl Offer {
    fn is_yes(&self) -> bool {
        *self == Offer::Yes
    }

    /// Why it is not offered, where that is worth telling.
    fn refusal(&self) -> Option<&str> {
        match self {
            Offer::Refused(reason) => Some(reason),
            Offer::No | Offer::Yes => None,
        }
    }
}

/// What of the list is asked for.
struct Wanted {
    filter: ApprovalFilter,
    state: Option<State>,
    /// What is wrong with it.
    fault: String,
    everything: bool,
    mine: bool,
}

fn wanted(request: &OwnRequest, query: &Query) -> Result<Wanted, Problem> {
    let state = query.one("state").map(|text| text.parse::<State>());
    let fault = match &state {
        Some(Err(unknown)) => unknown.to_string(),
        Some(Ok(_)) | None => String::new(),
    };
    let state = state.and_then(Result::ok);
    let everything = query.one("all").as_deref() == Some("true");
    // What policy allowed as one's own is never more than that.
    let mine = request.facts.own_object || query.one("mine").as_deref() == Some("true");
    let requester = match (mine, approvals::requester_of(&request.caller.principal)) {
        (false, _) => None,
        (true, Some(requester)) => Some(requester),
        (true, None) => return Err(unknown()),
    };
    // No app and no page is called so, and not every database takes it.
    let plain_text = |name| query.one(name).filter(|text| !text.contains(char::is_control));
    let filter = ApprovalFilter {
        app: plain_text("app"),
        requester,
        state,
        open_only: !everything && state.is_none(),
        cursor: plain_text("cursor"),
        limit: PAGE_SIZE,
    };
    Ok(Wanted { filter, state, fault, everything, mine })
}

/// A mark for whoever follows; `None` when it cannot be asked for.
fn marked(mark: Result<String, ApprovalError>) -> Option<String> {
    mark.inspect_err(|error| {
        tracing::info!(error = error as &dyn std::error::Error, "a page is not followed any more");
    })
    .ok()
}

/// `GET /app/approvals`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    let Wanted { filter, state, fault, everything, mine } = wanted(request, &query)?;
    if live::is_asked(request) {
        let app = web.shared_app();
        return live::reply(web.followers(), request, move || {
            let (app, filter) = (app.clone(), filter.clone());
            async move { marked(mark::of_list(&app, &filter).await) }
        });
    }
    // Before the page is made: what changes meanwhile is another mark.
    let mark = mark::of_list(app, &filter).await?;
    let found = approvals::list(app, &request.caller, &filter).await?;
    let plain = query.clone().without("done").without("cursor");
    let names = [("", "any")].into_iter().chain(State::ALL.map(|state| (state.name(), state.name())));
    reply::html(&ApprovalsPage {
        frame: Frame::of(web, request, "Approvals"),
        mark,
        script: web.asset("live.js"),
        everything: everything || state.is_some(),
        views: Views {
            open: plain.clone().without("all").without("state").link(PATH),
            everything: plain.clone().without("state").with("all", "true").link(PATH),
            mine: plain.clone().with("mine", "true").link(PATH),
            everybodys: plain.without("mine").link(PATH),
        },
        filter: Filled { app: filter.app.clone().unwrap_or_default(), mine, fault },
        states: choices::one_of(&names.collect::<Vec<_>>(), state.map_or("", State::name)),
        columns: vec!["Deploy", "What", "Asked by", "State", "Approved"],
        approvals: found.items.iter().map(row).collect(),
        pager: Pager::new(PATH, &query, found.next.as_deref()),
    })
}

fn row(one: &Approval) -> Row {
    let (state, tone) = in_words(&one.state);
    Row {
        id: one.id.clone(),
        app: one.app.clone(),
        commit: one.commit.chars().take(12).collect(),
        message: one.message.as_deref().and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
        requester: one.requester.clone(),
        state,
        tone,
        asked: Timestamp::parse_rfc3339(&one.created),
        ends: one.expires.as_deref().and_then(Timestamp::parse_rfc3339),
        signed: format!("{} of {}", approvers(one), one.quorum),
    }
}

/// How many people's approvals count.
fn approvers(one: &Approval) -> usize {
    let counting =
        one.signatures.iter().filter(|signature| signature.purpose == "approve" && signature.fault.is_none());
    counting.map(|signature| signature.by.as_str()).collect::<BTreeSet<_>>().len()
}

fn in_words(state: &str) -> (&'static str, &'static str) {
    match state.parse::<State>() {
        Ok(State::Pending) => ("waits for approval", "warn"),
        Ok(State::Approved) => ("approved", "ok"),
        Ok(State::Deploying) => ("deploying", "ok"),
        Ok(State::Deployed) => ("deployed", ""),
        Ok(State::Rejected) => ("rejected", "bad"),
        Ok(State::Expired) => ("expired", ""),
        Ok(State::Withdrawn) => ("withdrawn", ""),
        Err(_unknown) => ("unknown", "bad"),
    }
}

/// `GET /app/approvals/{id}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id(request)?);
    if live::is_asked(request) {
        let app = web.shared_app();
        return live::reply(web.followers(), request, move || {
            let app = app.clone();
            async move { marked(mark::of_one(&app, id).await) }
        });
    }
    let mark = mark::of_one(app, id).await?;
    let one = approvals::read(app, &request.caller, id).await?;
    let statements = approvals::evidence(app, id).await?.signatures;
    let mut statements = statements.into_iter().map(|signature| signature.statement);
    let signatures = one
        .signatures
        .iter()
        // The two lists are of the same rows, in the same order.
        .map(|kept| signature(kept, statements.next().unwrap_or_default()))
        .collect();
    let (state, tone) = in_words(&one.state);
    let impact = one.impact.clone().unwrap_or_default();
    let frame = Frame::of(web, request, &format!("Deploy of {}", one.app));
    let (manifests, images) = archive(&one);
    reply::html(&ApprovalPage {
        frame,
        mark,
        script: web.asset("live.js"),
        state,
        tone,
        order: match one.order.as_str() {
            "artefact" => "The archive was uploaded first, and its digest is approved.",
            _ => "The commit is approved; its archive is uploaded after that.",
        },
        asked: Timestamp::parse_rfc3339(&one.created),
        answer_by: Timestamp::parse_rfc3339(&one.answer_by),
        expires: one.expires.as_deref().and_then(Timestamp::parse_rfc3339),
        approvers: approvers(&one),
        // Whoever asked wrote it: it leads to the web or nowhere.
        link: impact.link.filter(|link| link.starts_with("https://")),
        compare: impact.compare,
        told: one.metadata.iter().map(|(name, text)| (name.clone(), text.clone())).collect(),
        environment: environment(&one),
        manifests,
        images,
        processes: impact.processes.into_iter().collect(),
        differences: impact.manifest.join("\n"),
        findings: findings(&one),
        signatures,
        offers: offers(web, request, &one),
        chosen: Chosen::of(&Query::of(request)),
        commands: (
            format!("rack-gateway approvals approve {}", one.id),
            format!("rack-gateway approvals show {} --export approval.json", one.id),
        ),
        one,
    })
}

fn findings(one: &Approval) -> Vec<FindingRow> {
    let row = |finding: &ApprovalFinding| FindingRow {
        what: finding.what.clone(),
        verdict: if finding.good { "yes" } else { "no" },
        tone: if finding.good { "ok" } else { "bad" },
        said: finding.said.clone(),
        // Others wrote it: nothing but a page is ever a link.
        url: finding.url.clone().filter(|url| url.starts_with("https://") || url.starts_with("http://")),
        found: Timestamp::parse_rfc3339(&finding.found),
    };
    one.findings.iter().map(row).collect()
}

fn environment(one: &Approval) -> Vec<Key> {
    let key = |change: &ApprovalEnvironment| Key {
        key: change.key.clone(),
        change: change.change.clone(),
        tone: match change.change.as_str() {
            "removed" => "bad",
            "changed" => "warn",
            _ => "",
        },
    };
    one.environment.iter().map(key).collect()
}

/// The manifests of the archive, and the images that the one names that is built.
fn archive(one: &Approval) -> (Vec<Manifest>, Vec<(String, String)>) {
    let Some(archive) = &one.artefact else { return (Vec::new(), Vec::new()) };
    let manifest = |(path, manifest): (&String, &ApprovalManifest)| Manifest {
        path: path.clone(),
        sha256: manifest.sha256.clone(),
        fault: manifest.fault.clone().unwrap_or_default(),
    };
    let images = archive.manifests.get(&one.manifest).map(|built| built.images.clone()).unwrap_or_default();
    (archive.manifests.iter().map(manifest).collect(), images.into_iter().collect())
}

fn signature(kept: &ApprovalSignature, statement: String) -> Signature {
    let (method, tone) = match kept.method.as_str() {
        "passkey" => ("signed with a passkey", "ok"),
        "code" => ("one-time code: weaker", "warn"),
        _ => ("no second factor: weaker", "bad"),
    };
    Signature {
        by: kept.by.clone(),
        purpose: if kept.purpose == "extend" { "made it longer" } else { "approved" },
        method,
        tone,
        made: Timestamp::parse_rfc3339(&kept.made),
        expires: Timestamp::parse_rfc3339(&kept.expires),
        reason: kept.reason.clone().unwrap_or_default(),
        fault: kept.fault.clone().unwrap_or_default(),
        statement,
    }
}

/// What may become of it, and whether this person could do that.
fn offers(web: &Web, request: &OwnRequest, one: &Approval) -> Offers {
    let resource = Resource::app(&one.app);
    let state = one.state.parse::<State>().ok();
    let offer = |what: &str, can_happen: bool| {
        if !can_happen {
            return Offer::No;
        }
        let page = format!("POST /app/approvals/{{id}}/{what}");
        match gate::refusal_about(web.app(), &request.caller, &page, one.own, &resource) {
            Some(reason) => Offer::Refused(reason),
            None => Offer::Yes,
        }
    };
    let is_open = state.is_some_and(State::is_open);
    let nothing_to_sign = one.order == "artefact" && one.artefact.is_none();
    let approve = match offer("approve", state == Some(State::Pending)) {
        Offer::Yes if nothing_to_sign => Offer::Refused("Its archive was not uploaded yet.".to_owned()),
        other @ (Offer::Yes | Offer::No | Offer::Refused(_)) => other,
    };
    let is_usable = matches!(state, Some(State::Approved | State::Deploying));
    let reject = offer("reject", is_open);
    let withdraw = if one.own { offer("withdraw", is_open) } else { Offer::No };
    Offers { approve, extend: offer("extend", is_usable && !one.extended), reject, withdraw }
}

/// `POST /app/approvals/{id}/approve`.
pub(crate) async fn approve(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let id = id(request)?;
    approvals::approve(web.app(), &operator, &request.caller, id, &signs(request)).await?;
    Ok(done(id, "approval-approved"))
}

/// `POST /app/approvals/{id}/extend`.
pub(crate) async fn extend(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let id = id(request)?;
    approvals::extend(web.app(), &operator, &request.caller, id, &signs(request)).await?;
    Ok(done(id, "approval-extended"))
}

/// `POST /app/approvals/{id}/reject`.
pub(crate) async fn reject(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let id = id(request)?;
    approvals::reject(web.app(), &operator, &request.caller, id, reason(request)).await?;
    Ok(done(id, "approval-rejected"))
}

/// `POST /app/approvals/{id}/withdraw`.
pub(crate) async fn withdraw(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let id = id(request)?;
    approvals::withdraw(web.app(), &operator, &request.caller, id, reason(request)).await?;
    Ok(done(id, "approval-withdrawn"))
}

fn done(id: ApprovalId, code: &str) -> OwnReply {
    reply::done(&format!("{PATH}/{id}"), code)
}

/// What was on the page, and what is said about it.
fn signs(request: &OwnRequest) -> SignApproval {
    let statement = request.field("statement").unwrap_or_default().to_owned();
    SignApproval { statement, reason: reason(request).map(str::to_owned) }
}

fn reason(request: &OwnRequest) -> Option<&str> {
    request.field("reason").map(str::trim).filter(|reason| !reason.is_empty())
}

fn id(request: &OwnRequest) -> Result<ApprovalId, Problem> {
    request.parameter("id").and_then(|id| id.parse().ok()).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is no such approval.")
}
