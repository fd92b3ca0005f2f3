//! What each role may do: the engine asked about every operation, for every role alone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_policy::PolicyEngine;
use gateway_types::{
    Caller, Channel, Class, CredentialKind, Facts, Grant, Operation, Principal, Problem, RemedyKind,
    Resource, Role, RoleSet, SessionId, TokenId, UserId,
};
use uuid::Uuid;

use super::choices::{self, Choice};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, reply};

const PATH: &str = "/app/roles";
const PAGE_SIZE: usize = 50;

#[derive(Template)]
#[template(path = "roles.html")]
struct RolesPage {
    frame: Frame,
    policy_version: String,
    roles: Vec<RoleCard>,
    total: usize,
    text: String,
    chosen: Vec<Choice>,
    classes: Vec<Choice>,
    columns: Vec<&'static str>,
    operations: Vec<OperationRow>,
    window: String,
    pager: Pager,
}

/// A role with how much it may.
struct RoleCard {
    name: &'static str,
    about: &'static str,
    allowed: usize,
    with_factor: usize,
    href: String,
}

/// An operation with what each role gets.
struct OperationRow {
    action: String,
    route: String,
    class: &'static str,
    cells: Vec<Cell>,
}

/// What a role gets, in a word.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Cell {
    role: &'static str,
    text: String,
    tone: &'static str,
}

impl Cell {
    fn is_allowed(&self) -> bool {
        self.tone != "no"
    }
}

/// `GET /app/roles`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let policy = web.app().policy();
    // What is open to everybody says nothing about roles.
    let operations = policy.operations().iter().filter(|row| row.class != Class::Open);
    let all: Vec<OperationRow> = operations.map(|row| answers(&policy, row)).collect();
    let role = query.one("role").and_then(|name| name.parse::<Role>().ok());
    let class = query.one("class").unwrap_or_default();
    let text = query.one("q").unwrap_or_default();
    let (roles, total) = (Role::ALL.map(|role| card(role, &all)).into(), all.len());
    let begin = query.one("cursor").and_then(|cursor| cursor.parse::<usize>().ok()).unwrap_or(0);
    let mut matching = all.into_iter().filter(|row| matches(row, role, &class, &text)).skip(begin);
    let operations: Vec<OperationRow> =
        matching.by_ref().take(PAGE_SIZE).map(|row| narrowed(row, role)).collect();
    let next = matching.next().map(|_row| (begin + PAGE_SIZE).to_string());
    reply::html(&RolesPage {
        frame: Frame::of(web, request, "Roles"),
        policy_version: policy.version().to_owned(),
        roles,
        total,
        chosen: role_choices(role),
        classes: class_choices(&class),
        columns: columns(role),
        operations,
        window: filters::in_words(web.app().settings.step_up_window()),
        pager: Pager::new(PATH, &query, next.as_deref()),
        text,
    })
}

fn card(role: Role, rows: &[OperationRow]) -> RoleCard {
    let cells = || rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.role == role.name());
    RoleCard {
        name: role.name(),
        about: gateway_app::roles::description(role),
        allowed: cells().filter(|cell| cell.is_allowed()).count(),
        with_factor: cells().filter(|cell| cell.text.contains("factor")).count(),
        href: format!("{}#operations", Query::default().with("role", role.name()).link(PATH)),
    }
}

fn role_choices(chosen: Option<Role>) -> Vec<Choice> {
    let roles = Role::ALL.map(|role| (role.name(), role.name()));
    let options: Vec<_> = std::iter::once(("", "any role")).chain(roles).collect();
    choices::one_of(&options, chosen.map_or("", Role::name))
}

fn class_choices(chosen: &str) -> Vec<Choice> {
    let classes = Class::ALL
        .into_iter()
        .filter(|class| *class != Class::Open)
        .map(|class| (class.name(), class.name()));
    let options: Vec<_> = std::iter::once(("", "any class")).chain(classes).collect();
    choices::one_of(&options, chosen)
}

fn columns(role: Option<Role>) -> Vec<&'static str> {
    let roles = Role::ALL.into_iter().filter(|other| role.is_none_or(|role| role == *other)).map(Role::name);
    std::iter::once("Operation").chain(roles).collect()
}

fn matches(row: &OperationRow, role: Option<Role>, class: &str, text: &str) -> bool {
    let allowed = |role: Role| row.cells.iter().any(|cell| cell.role == role.name() && cell.is_allowed());
    let text = text.to_lowercase();
    let holds_text = || row.action.to_lowercase().contains(&text) || row.route.to_lowercase().contains(&text);
    role.is_none_or(allowed) && (class.is_empty() || row.class == class) && holds_text()
}

/// The row with the cell of that role alone.
fn narrowed(mut row: OperationRow, role: Option<Role>) -> OperationRow {
    row.cells.retain(|cell| role.is_none_or(|role| cell.role == role.name()));
    row
}

fn answers(policy: &PolicyEngine, operation: &Operation) -> OperationRow {
    OperationRow {
        action: operation.action.to_string(),
        route: operation.route.to_string(),
        class: operation.class.name(),
        cells: Role::ALL.into_iter().map(|role| cell(policy, operation, role)).collect(),
    }
}

/// What this role gets: about anything, else about one's own, else nothing.
fn cell(policy: &PolicyEngine, operation: &Operation, role: Role) -> Cell {
    let caller = somebody(role);
    let resource = resource_of(operation);
    let answer = |own_object| {
        let facts = Facts { mfa_enrolled: true, own_object, ..Facts::default() };
        let verdict = policy.decide(&caller, operation, &resource, &facts);
        if verdict.is_allowed() {
            return Some((String::from("yes"), "ok"));
        }
        let words: Option<Vec<&str>> = verdict.remedies.iter().map(|remedy| word(remedy.kind)).collect();
        words.filter(|words| !words.is_empty()).map(|words| (words.join(" + "), "warn"))
    };
    let of_all = answer(false);
    let found = of_all.or_else(|| answer(true).map(|(text, tone)| (format!("own: {text}"), tone)));
    let (text, tone) = found.unwrap_or_else(|| ("–".to_owned(), "no"));
    Cell { role: role.name(), text, tone }
}

/// What is still needed, where the role is enough.
const fn word(kind: RemedyKind) -> Option<&'static str> {
    match kind {
        RemedyKind::StepUp => Some("factor"),
        RemedyKind::StepUpBound => Some("fresh factor"),
        RemedyKind::Approval => Some("approval"),
        RemedyKind::Setting => Some("setting"),
        RemedyKind::Enrol | RemedyKind::Elevation | RemedyKind::Role => None,
    }
}

/// Something that the operation can be about.
fn resource_of(operation: &Operation) -> Resource {
    if operation.route.contains("{app}") {
        Resource::app("app")
    } else if operation.action.as_str().starts_with("convox:") {
        Resource::rack()
    } else {
        Resource::gateway()
    }
}

/// Somebody with this role alone: a person, or for the role of machines a token of an admin that is
/// granted everything short of what is critical.
fn somebody(role: Role) -> Caller {
    let roles = RoleSet::of(role);
    let principal = match role {
        Role::Cicd => Principal::ApiToken {
            id: TokenId::from(Uuid::nil()),
            name: Arc::from(role.name()),
            roles,
            grants: Arc::from([Grant::everything()]),
            creator: UserId::from(Uuid::nil()),
            creator_email: Arc::from(""),
            creator_roles: RoleSet::of(Role::Admin),
        },
        Role::Viewer | Role::Ops | Role::Deployer | Role::Admin | Role::Auditor => Principal::User {
            id: UserId::from(Uuid::nil()),
            email: Arc::from(""),
            roles,
            session: SessionId::from(Uuid::nil()),
            kind: CredentialKind::WebSession,
        },
    };
    Caller { principal, channel: Channel::Web, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}
