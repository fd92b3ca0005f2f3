//! The access review: who can do what, and when they last did anything. Made page by page, by the same engine that
//! decides requests, so that it cannot say anything else than it would.

use gateway_store::{ApiToken, EventFilter, Page, StoreError, TokenFilter, User};
use gateway_types::wire::elevations::AccessLine;
use gateway_types::{Caller, Grant, Principal, Resource, Timestamp};

use crate::audit::csv_row;
use crate::error::PeopleError;
use crate::me::{OwnObjects, permissions, permissions_on};
use crate::{App, explain};

/// How the cursors of people, of tokens and of trust rules begin, which follow each other.
const PEOPLE: &str = "p:";
const TOKENS: &str = "t:";
const WORKLOADS: &str = "w:";

/// The first line of the comma-separated values.
const HEAD: &str = "subject,kind,locked,owner,roles,grants,place,actions,last_used\r\n";

/// What one person, token or trust rule can do at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Who: an address, `token:NAME`, or `workload:RULE`.
    pub subject: String,
    /// `person`, `token` or `workload`.
    pub kind: &'static str,
    /// Locked out, or over.
    pub locked: bool,
    /// Of a token: whose it is.
    pub owner: Option<String>,
    /// Names of the roles.
    pub roles: Vec<String>,
    /// Elevations and grants of roles, or the grants of a token or a trust rule, in words.
    pub grants: Vec<String>,
    /// `everywhere`, or an app.
    pub place: String,
    /// The actions that they can do there; on an app, those beyond `everywhere`.
    pub actions: Vec<String>,
    /// When they, or it, last did anything.
    pub last_used: Option<Timestamp>,
}

/// A page of the review: at most `limit` people or tokens, each with one line or more; last, all trust rules.
///
/// # Errors
/// Only the store's.
pub async fn page(app: &App, cursor: Option<&str>, limit: u32) -> Result<Page<Line>, PeopleError> {
    if let Some(cursor) = cursor.and_then(|cursor| cursor.strip_prefix(TOKENS)) {
        return tokens(app, Some(cursor).filter(|cursor| !cursor.is_empty()), limit).await;
    }
    if cursor == Some(WORKLOADS) {
        return workloads(app).await;
    }
    let after = cursor.and_then(|cursor| cursor.strip_prefix(PEOPLE));
    let people = app.store.users().list(None, after, limit).await?;
    let mut items = Vec::new();
    for user in &people.items {
        items.extend(person(app, user).await?);
    }
    let next = people.next.map_or_else(|| TOKENS.to_owned(), |next| format!("{PEOPLE}{next}"));
    Ok(Page { items, next: Some(next) })
}

async fn tokens(app: &App, cursor: Option<&str>, limit: u32) -> Result<Page<Line>, PeopleError> {
    let filter =
        TokenFilter { live_only: true, limit, cursor: cursor.map(str::to_owned), ..TokenFilter::default() };
    let page = app.store.tokens().list(&filter).await?;
    let mut items = Vec::new();
    for one in &page.items {
        items.push(token(app, one).await?);
    }
    let next = match page.next {
        Some(next) => Some(format!("{TOKENS}{next}")),
        None if app.store.trust_rules().list().await?.is_empty() => None,
        None => Some(WORKLOADS.to_owned()),
    };
    Ok(Page { items, next })
}

/// What signs in by trust rules. There are never many of those: they are one page.
async fn workloads(app: &App) -> Result<Page<Line>, PeopleError> {
    let mut items = Vec::new();
    for rule in app.store.trust_rules().list().await? {
        let caller = explain::workload(&rule);
        let subject = caller.principal.display_name();
        items.push(Line {
            kind: "workload",
            locked: false,
            owner: None,
            roles: rule.rule.roles.iter().map(|role| role.name().to_owned()).collect(),
            grants: rule.rule.grants.iter().map(in_words).collect(),
            place: "everywhere".to_owned(),
            actions: permissions(app, &caller, OwnObjects::Count),
            last_used: last_act(app, &subject).await?,
            subject,
        });
    }
    Ok(Page { items, next: None })
}

/// When the newest event of this actor was.
async fn last_act(app: &App, actor: &str) -> Result<Option<Timestamp>, StoreError> {
    let filter = EventFilter { actor: Some(actor.to_owned()), ..EventFilter::default() };
    let newest = app.store.events().search(&filter, None, 1).await?;
    Ok(newest.items.first().map(|(_, event)| event.time))
}

fn in_words(grant: &Grant) -> String {
    let apps = if grant.apps.is_empty() { String::new() } else { format!(" on {}", grant.apps.join(" ")) };
    let critical = if grant.critical { ", critical ones too" } else { "" };
    format!("{}{apps}{critical}", grant.actions)
}

async fn person(app: &App, user: &User) -> Result<Vec<Line>, StoreError> {
    let caller = explain::person(user);
    let now = app.clock.now();
    let last_used = match app.store.sessions().last_seen_of(user.id).await? {
        Some(seen) => Some(seen),
        // Sessions that are long over are forgotten; what was done is not.
        None => last_act(app, &user.email).await?,
    };
    let names = |resource: &Resource| {
        let (elevated, granted) = app.entitlements.of(user.id, resource, now);
        let elevated = elevated.iter().map(|role| format!("elevated to {role}"));
        elevated.chain(granted.into_iter().map(|role| format!("granted {role}"))).collect::<Vec<_>>()
    };
    let can = |caller: &Caller, on: Option<&Resource>| match (user.locked, on) {
        // Who is locked out can do nothing, whatever they hold.
        (true, _) => Vec::new(),
        (false, None) => permissions(app, caller, OwnObjects::Count),
        (false, Some(resource)) => permissions_on(app, caller, resource),
    };
    let everywhere = can(&caller, None);
    let line = |place: String, grants: Vec<String>, actions: Vec<String>| Line {
        subject: user.email.clone(),
        kind: "person",
        locked: user.locked,
        owner: None,
        roles: user.roles.iter().map(|role| role.name().to_owned()).collect(),
        grants,
        place,
        actions,
        last_used,
    };
    let mut lines = Vec::new();
    for name in app.entitlements.apps_of(user.id, now) {
        let resource = Resource::app(&name);
        let mut actions = can(&caller, Some(&resource));
        actions.retain(|action| everywhere.binary_search(action).is_err());
        lines.push(line(name, names(&resource), actions));
    }
    lines.insert(0, line("everywhere".to_owned(), names(&Resource::rack()), everywhere));
    Ok(lines)
}

async fn token(app: &App, token: &ApiToken) -> Result<Line, PeopleError> {
    let caller = explain::machine(&app.store, token).await?;
    let owner = match &caller.principal {
        Principal::ApiToken { creator_email, .. } => {
            Some(creator_email.to_string()).filter(|owner| !owner.is_empty())
        }
        Principal::Anonymous
        | Principal::User { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => None,
    };
    Ok(Line {
        subject: caller.principal.display_name(),
        kind: "token",
        locked: owner.is_none(),
        owner,
        roles: token.roles.iter().map(|role| role.name().to_owned()).collect(),
        grants: token.grants.iter().map(in_words).collect(),
        place: "everywhere".to_owned(),
        actions: permissions(app, &caller, OwnObjects::Count),
        last_used: token.last_used,
    })
}

/// Lines as comma-separated values; with their names in a first line where they are the `first`.
pub fn csv(lines: &[AccessLine], first: bool) -> Vec<u8> {
    let mut body = Vec::new();
    if first {
        body.extend_from_slice(HEAD.as_bytes());
    }
    for line in lines {
        let cells = [
            line.subject.clone(),
            line.kind.clone(),
            line.locked.to_string(),
            line.owner.clone().unwrap_or_default(),
            line.roles.join(" "),
            line.grants.join("; "),
            line.place.clone(),
            line.actions.join(" "),
            line.last_used.clone().unwrap_or_default(),
        ];
        csv_row(&mut body, &cells);
    }
    body
}
