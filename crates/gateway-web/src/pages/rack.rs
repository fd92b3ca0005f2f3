//! Pages of what is in the rack: apps and what belongs to them, and the rack itself.
//!
//! Each is a further path to one operation of the rack (`pages.tsv`): it was decided, recorded and asked of the rack as
//! any client's request is, secrets in the reply are handles, and only then the page is made of the reply (ADR 0042).

pub(super) mod apps;
pub(super) mod builds;
pub(super) mod metrics;
pub(super) mod processes;
pub(super) mod releases;
pub(super) mod services;
pub(super) mod system;

use gateway_app::control::{OwnRequest, RackForm};
use gateway_types::{Caller, Layer, Problem, ProblemKind, Resource, Timestamp};
use serde::de::DeserializeOwned;

use crate::query::Query;
use crate::{Web, confirm, gate};

/// The most rows on one page.
const PAGE_SIZE: usize = 100;

/// Pages whose form holds the name of what is lost, typed once more: the page, and the parameter that is the name.
pub(super) const TYPED: &[(&str, &str)] = &[
    ("POST /app/apps/{app}/delete", "app"),
    ("POST /app/apps/{app}/releases/{id}/promote", "id"),
    ("POST /app/instances/{id}/terminate", "id"),
    ("POST /app/certificates/{id}/delete", "id"),
];

/// Why a form cannot be meant so; `None` when nothing is wrong with it.
pub(crate) fn fault_of_form(form: RackForm<'_>) -> Option<Problem> {
    let (_, name) = TYPED.iter().find(|(page, _)| *page == form.page)?;
    let word = form.parameters.iter().find(|(known, _)| known == name).map(|(_, word)| word.as_str());
    confirm::typed_in(form.fields, word.unwrap_or_default()).err()
}

/// What the rack answered.
///
/// # Errors
/// [`ProblemKind::BadUpstream`] when it is not what this page is made of.
fn said<T: DeserializeOwned>(request: &OwnRequest) -> Result<T, Problem> {
    let body = request.rack_reply.as_deref().unwrap_or_default();
    serde_json::from_slice(body).map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a reply of the rack is not what a page expects"
        );
        Problem::new(ProblemKind::BadUpstream, Layer::Network, "The rack's reply could not be read.")
    })
}

/// As [`said`] for a listing, which racks may leave out when it is empty.
fn listed<T: DeserializeOwned>(request: &OwnRequest) -> Result<Vec<T>, Problem> {
    Ok(said::<Option<Vec<T>>>(request)?.unwrap_or_default())
}

/// A parameter of the page's path.
fn parameter(request: &OwnRequest, name: &str) -> String {
    request.parameter(name).unwrap_or_default().to_owned()
}

/// Part of a listing, as the query says: what is searched for, and which part.
struct Part<T> {
    items: Vec<T>,
    /// How many there are in all that were searched for.
    total: usize,
    search: String,
    newer: Option<String>,
    older: Option<String>,
}

impl<T> Part<T> {
    /// The part of `all` that `request` asks for; `text` is what is searched.
    fn of(request: &OwnRequest, all: Vec<T>, text: impl Fn(&T) -> String) -> Self {
        let query = Query::of(request);
        let search = query.one("q").unwrap_or_default();
        let wanted = search.to_lowercase();
        let found: Vec<T> =
            all.into_iter().filter(|one| text(one).to_lowercase().contains(&wanted)).collect();
        let page = query.one("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1).max(1);
        let (total, before) = (found.len(), (page - 1).saturating_mul(PAGE_SIZE));
        let link = |page: usize| {
            query.clone().without("done").with("page", &page.to_string()).link(&request.head.path)
        };
        Self {
            items: found.into_iter().skip(before).take(PAGE_SIZE).collect(),
            newer: (page > 1).then(|| link(page - 1)),
            older: (before.saturating_add(PAGE_SIZE) < total).then(|| link(page + 1)),
            total,
            search,
        }
    }
}

/// Something that can be done, or why it cannot.
struct Offer {
    /// Why this person may not; `None` when they may, once they gave every factor.
    refused: Option<String>,
}

/// What may be done to an app.
fn offer(web: &Web, caller: &Caller, action: &str, app: &str) -> Offer {
    Offer { refused: gate::refusal_at(web.app(), caller, action, app) }
}

/// What may be done to the rack.
fn offer_at_rack(web: &Web, caller: &Caller, action: &str) -> Offer {
    Offer { refused: gate::refusal_of(web.app(), caller, action, &Resource::rack()) }
}

/// A moment as racks tell it; `None` when it is none.
fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text)
}

/// The way to another page of the same app.
pub(super) struct Tab {
    pub(super) label: &'static str,
    pub(super) href: String,
    /// `page` when it is this page, `true` when this page stands below it, else empty.
    pub(super) current: &'static str,
}

/// The pages of an app: the label, what follows the app's address, and the action that it takes to open it.
const TABS: [(&str, &str, &str); 9] = [
    ("Overview", "", "convox:app:read"),
    ("Services", "/services", "convox:service:list"),
    ("Processes", "/processes", "convox:process:list"),
    ("Logs", "/logs", "convox:log:read"),
    ("Releases", "/releases", "convox:release:list"),
    ("Builds", "/builds", "convox:build:list"),
    ("Environment", "/env", "gateway:env:read"),
    ("Resources", "/resources", "convox:resource:list"),
    ("Metrics", "/metrics", "convox:app:read"),
];

/// The ways to the pages of an app that this person may open.
pub(super) fn tabs(web: &Web, request: &OwnRequest, app: &str) -> Vec<Tab> {
    let base = format!("/app/apps/{app}");
    let path = request.head.path.as_str();
    let below = |href: &str| path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/'));
    let may = |action: &&str| gate::refusal_at(web.app(), &request.caller, action, app).is_none();
    let tabs = TABS.iter().filter(|(_, _, action)| may(action)).map(|(label, rest, _)| {
        let href = format!("{base}{rest}");
        let current = match () {
            () if path == href => "page",
            () if !rest.is_empty() && below(&href) => "true",
            () => "",
        };
        Tab { label, href, current }
    });
    let may_set = gate::could_use(web.app(), &request.caller, "GET /app/settings", false);
    let settings =
        may_set.then(|| Tab { label: "Settings", href: format!("/app/settings?app={app}"), current: "" });
    tabs.chain(settings).collect()
}

/// The tone of a status as racks name it.
fn tone(status: &str) -> &'static str {
    match status {
        "running" | "complete" | "active" | "ready" | "healthy" => "ok",
        "failed" | "unhealthy" | "rollback" | "crashed" | "error" | "cancelled" => "bad",
        "" => "",
        _ => "warn",
    }
}
