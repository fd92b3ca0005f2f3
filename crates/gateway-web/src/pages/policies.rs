//! Policies: what says yes and no, the editor of the database's documents, what a change of them would do, and what
//! those in observe mode would have refused.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::policies::{
    self, Check, DEFAULT_REPLAY, Listed, MOST_REPLAYED, ObservedRefusal, Period, Place, PolicyChangeError,
    ReplayChange, RoleChange,
};
use gateway_app::rights::Expected;
use gateway_policy::{Effect, Rule};
use gateway_types::{Problem, Timestamp};

use super::versions;
use crate::page::Frame;
use crate::query::Query;
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/policies";

/// Changes by role that a page shows.
const MOST_ROLES: usize = 200;

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    frame: Frame,
    fault: Option<String>,
    observing: bool,
    version: String,
    may_read_log: bool,
    /// Why this person may not change policy.
    refused: Option<String>,
    documents: Vec<Document>,
    editor: Editor,
    plan: Option<Plan>,
}

struct Document {
    id: String,
    origin: &'static str,
    set: Option<(String, Timestamp)>,
    /// Where its editor is; of a document of the database.
    edit: Option<String>,
    version: i64,
    rules: Vec<RuleRow>,
}

struct RuleRow {
    id: String,
    effect: &'static str,
    observed: bool,
    needs: String,
    text: String,
}

/// The form, as it was filled in.
#[derive(Default)]
struct Editor {
    id: String,
    text: String,
    version: i64,
    known: bool,
}

/// What the change would do.
struct Plan {
    faults: Vec<String>,
    replayed: u64,
    skipped: u64,
    more: bool,
    changes: Vec<ReplayChange>,
    change_columns: Vec<&'static str>,
    roles: Vec<RoleChange>,
    role_columns: Vec<&'static str>,
    more_roles: usize,
}

#[derive(Template)]
#[template(path = "observed.html")]
struct ObservedPage {
    frame: Frame,
    observing: bool,
    decisions: u64,
    oldest: Option<Timestamp>,
    columns: Vec<&'static str>,
    refusals: Vec<ObservedRefusal>,
    next: Option<String>,
}

/// `GET /app/policies`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let listed = policies::list(web.app()).await?;
    let asked = Query::of(request).one("edit").unwrap_or_default();
    let editor = listed.iter().find_map(|one| editor_of(one, &asked)).unwrap_or_default();
    reply::html(&page(web, request, &listed, editor, None))
}

fn editor_of(listed: &Listed, asked: &str) -> Option<Editor> {
    match &listed.place {
        Place::Database(stored) if listed.id == asked => Some(Editor {
            id: listed.id.clone(),
            text: stored.text.clone(),
            version: stored.version,
            known: true,
        }),
        Place::Database(_) | Place::BuiltIn | Place::File => None,
    }
}

fn page(
    web: &Web,
    request: &OwnRequest,
    listed: &[Listed],
    editor: Editor,
    plan: Option<Plan>,
) -> PoliciesPage {
    let app = web.app();
    PoliciesPage {
        frame: Frame::of(web, request, "Policies"),
        fault: app.health.policy_fault(),
        observing: app.settings.observe_policies(),
        version: app.policy().version().to_owned(),
        may_read_log: gate::could_use(app, &request.caller, "GET /app/audit", false),
        refused: gate::refusal(app, &request.caller, "POST /app/policies/{id}", false),
        documents: listed.iter().map(document).collect(),
        editor,
        plan,
    }
}

fn document(listed: &Listed) -> Document {
    let (origin, stored) = match &listed.place {
        Place::BuiltIn => ("built in", None),
        Place::File => ("from a file", None),
        Place::Database(stored) => ("in the database", Some(stored)),
    };
    Document {
        id: listed.id.clone(),
        origin,
        set: stored.map(|stored| (stored.updated_by.clone(), stored.updated)),
        edit: stored.map(|_stored| Query::default().with("edit", &listed.id).link(PATH)),
        version: stored.map_or(0, |stored| stored.version),
        rules: listed.rules.iter().map(rule).collect(),
    }
}

fn rule(rule: &Rule) -> RuleRow {
    RuleRow {
        id: rule.id.clone(),
        effect: match rule.effect {
            Effect::Permit => "permits",
            Effect::Forbid => "forbids",
        },
        observed: rule.observed,
        needs: rule.needs.clone().unwrap_or_default(),
        text: rule.text.clone(),
    }
}

/// `POST /app/policies`: what writing this text would do. Changes nothing.
pub(crate) async fn plan(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let field = |name| request.field(name).unwrap_or_default().to_owned();
    let (id, text) = (field("id").trim().to_owned(), field("text").replace("\r\n", "\n"));
    let check = policies::check(web.app(), &id, Some(&text), Period::from(DEFAULT_REPLAY)).await?;
    let listed = policies::list(web.app()).await?;
    let version = versions::expected(request)?;
    let known = listed.iter().any(|one| one.id == id && matches!(one.place, Place::Database(_)));
    let editor = Editor { id, text, version, known };
    let status = if check.faults.is_empty() { 200 } else { 400 };
    reply::html_with_status(status, &page(web, request, &listed, editor, Some(planned(check))))
}

fn planned(check: Check) -> Plan {
    let faults = check.faults.into_iter().map(|fault| match fault.place {
        Some((line, column)) => format!("Line {line}, column {column}: {}", fault.message),
        None => fault.message,
    });
    let more_roles = check.roles.len().saturating_sub(MOST_ROLES);
    Plan {
        faults: faults.collect(),
        replayed: check.replayed.replayed,
        skipped: check.replayed.skipped,
        more: check.replayed.reached.next.is_some(),
        changes: check.replayed.changes,
        change_columns: vec!["", "Who", "Action", "On", "Now", "Then", "Times", "Example"],
        roles: check.roles.into_iter().take(MOST_ROLES).collect(),
        role_columns: vec!["Who", "Action", "Now", "Then"],
        more_roles,
    }
}

/// `POST /app/policies/{id}`.
pub(crate) async fn write(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let id = request.parameter("id").unwrap_or_default();
    let text = request.field("text").unwrap_or_default().replace("\r\n", "\n");
    let version = versions::expected(request)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    match policies::write(web.app(), &operator, id, &text, Expected::Version(version)).await {
        Ok(_listed) => Ok(reply::done(PATH, "policy-written")),
        Err(error @ (PolicyChangeError::Store(_) | PolicyChangeError::Record(_))) => {
            Err(versions::told(error.into(), PATH))
        }
        // What is wrong with the text stands beside it, with its place.
        Err(_fault) => {
            let check = policies::check(web.app(), id, Some(&text), 0).await?;
            let listed = policies::list(web.app()).await?;
            let editor = Editor { id: id.to_owned(), text, version, known: version != 0 };
            let page = page(web, request, &listed, editor, Some(planned(check)));
            reply::html_with_status(400, &page)
        }
    }
}

/// `POST /app/policies/{id}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let id = request.parameter("id").unwrap_or_default();
    let expected = Expected::Version(versions::expected(request)?);
    let operator = web.app().operator(&request.caller, request.request_id);
    match policies::remove(web.app(), &operator, id, expected).await {
        Ok(()) => Ok(reply::done(PATH, "policy-removed")),
        Err(error) => Err(versions::told(error.into(), PATH)),
    }
}

/// `GET /app/policies/observed`.
pub(crate) async fn observed(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let before = query.one("before").and_then(|before| before.parse().ok());
    let period = Period { since: None, before, most: MOST_REPLAYED };
    let found = policies::observed(web.app(), period).await?;
    let next = found.reached.next;
    reply::html(&ObservedPage {
        frame: Frame::of(web, request, "Observed refusals"),
        observing: web.app().settings.observe_policies(),
        decisions: found.decisions,
        oldest: found.reached.oldest,
        columns: vec!["Policy", "Who", "Action", "On", "Times", "Example"],
        refusals: found.refusals,
        next: next.map(|next| query.with("before", &next.to_string()).link("/app/policies/observed")),
    })
}
