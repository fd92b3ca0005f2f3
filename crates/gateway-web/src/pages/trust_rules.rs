//! Trust rules: which CI jobs and client certificates sign a machine in; listed, written, removed.

use std::collections::BTreeMap;

use askama::Template;
use gateway_app::PeopleError;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::rights::Expected;
use gateway_app::workloads::rules::{self, Asked};
use gateway_app::workloads::{Kind, TrustRuleError, audience, matching};
use gateway_config::duration::format_duration;
use gateway_store::TrustRule;
use gateway_types::{Problem, Role, RoleSet, Timestamp};

use super::choices::{self, Choice};
use super::grants::{self, GrantRow};
use super::versions;
use crate::page::Frame;
use crate::query::Query;
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/trust-rules";
const LIFETIMES: &[(&str, &str)] =
    &[("15m", "15 minutes"), ("5m", "5 minutes"), ("30m", "half an hour"), ("1h", "an hour")];

#[derive(Template)]
#[template(path = "trust_rules.html")]
struct TrustRulesPage {
    frame: Frame,
    audience: String,
    rules: Vec<Row>,
    /// Why this person may not write rules.
    refused: Option<String>,
    form: Option<Form>,
}

struct Row {
    name: String,
    kind: &'static str,
    in_words: String,
    roles: Vec<&'static str>,
    grants: Vec<GrantRow>,
    networks: Vec<String>,
    lifetime: Option<String>,
    updated: Timestamp,
    updated_by: String,
    last_used: Option<Timestamp>,
    last_used_ip: Option<String>,
    version: i64,
}

/// The form of one rule, as it is or as it was filled in.
#[derive(Default)]
struct Form {
    name: String,
    version: i64,
    kinds: Vec<Choice>,
    issuer: String,
    claims: String,
    claims_fault: String,
    authority: String,
    roles: Vec<Choice>,
    roles_fault: String,
    grants: String,
    grants_fault: String,
    networks: String,
    lifetimes: Vec<Choice>,
    /// What is wrong with the whole.
    fault: String,
}

/// `GET /app/trust-rules`. With `rule`, the form of exactly that one is there, also when there is none yet.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let stored = rules::list(web.app()).await?;
    let named =
        Query::of(request).one("rule").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let form = named.map(|name| match stored.iter().find(|rule| rule.rule.name == name) {
        Some(rule) => Form::of(rule),
        None => Form::blank(name, ""),
    });
    reply::html(&page(web, request, &stored, form))
}

fn page(web: &Web, request: &OwnRequest, stored: &[TrustRule], form: Option<Form>) -> TrustRulesPage {
    TrustRulesPage {
        frame: Frame::of(web, request, "Trust rules"),
        audience: audience(web.app().store.gateway_id()),
        rules: stored.iter().map(row).collect(),
        refused: gate::refusal(web.app(), &request.caller, "POST /app/trust-rules/{id}", false),
        form,
    }
}

fn row(stored: &TrustRule) -> Row {
    let rule = &stored.rule;
    let kind: Option<Kind> = rule.kind.parse().ok();
    Row {
        name: rule.name.clone(),
        kind: kind.map_or("unknown", Kind::title),
        in_words: kind.map(|kind| matching::in_words(kind, &rule.issuer, &rule.claims)).unwrap_or_default(),
        roles: rule.roles.iter().map(Role::name).collect(),
        grants: grants::rows(&rule.grants),
        networks: rule.networks.iter().map(ToString::to_string).collect(),
        lifetime: (kind != Some(Kind::Certificate)).then(|| format_duration(rule.lifetime)),
        updated: stored.updated,
        updated_by: stored.updated_by.clone(),
        last_used: stored.last_used,
        last_used_ip: stored.last_used_ip.map(|ip| ip.to_string()),
        version: stored.version,
    }
}

fn kinds(chosen: &str) -> Vec<Choice> {
    let kinds: Vec<(&str, &str)> = Kind::ALL.iter().map(|kind| (kind.name(), kind.title())).collect();
    choices::one_of(&kinds, chosen)
}

/// The lifetimes to choose from; the one that a rule has is always there, so that saving changes nothing unseen.
fn lifetimes(chosen: &str) -> Vec<Choice> {
    let own = (!chosen.is_empty() && LIFETIMES.iter().all(|(value, _)| *value != chosen))
        .then_some((chosen, chosen));
    let offered: Vec<(&str, &str)> = LIFETIMES.iter().copied().chain(own).collect();
    choices::one_of(&offered, chosen)
}

fn may_be(role: Role) -> bool {
    !matches!(role, Role::Admin | Role::Auditor)
}

impl Form {
    fn blank(name: String, kind: &str) -> Self {
        Self {
            name,
            kinds: kinds(kind),
            roles: choices::of_roles(may_be, RoleSet::of(Role::Cicd)),
            lifetimes: lifetimes(""),
            ..Self::default()
        }
    }

    fn of(stored: &TrustRule) -> Self {
        let rule = &stored.rule;
        let claims: Vec<String> =
            rule.claims.iter().map(|(name, values)| format!("{name} = {}", values.join(" | "))).collect();
        let networks: Vec<String> = rule.networks.iter().map(ToString::to_string).collect();
        Self {
            version: stored.version,
            issuer: rule.issuer.clone(),
            claims: claims.join("\n"),
            authority: rule.authority.clone().unwrap_or_default(),
            roles: choices::of_roles(may_be, rule.roles),
            grants: grants::written(&rule.grants),
            networks: networks.join("\n"),
            lifetimes: lifetimes(&format_duration(rule.lifetime)),
            ..Self::blank(rule.name.clone(), &rule.kind)
        }
    }
}

/// Reads conditions, one on a line: `NAME = VALUE`, or `NAME = VALUE | VALUE`.
///
/// # Errors
/// A sentence about the first line that is none.
fn read_claims(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut claims = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let shown: String = line.chars().take(100).collect();
        let fault = || {
            format!(
                "`{shown}` is no condition: write CLAIM = VALUE, or CLAIM = VALUE | VALUE, each claim once"
            )
        };
        let (name, values) = line.split_once('=').ok_or_else(fault)?;
        let values: Vec<String> = values.split('|').map(|value| value.trim().to_owned()).collect();
        if values.iter().any(String::is_empty) || claims.insert(name.trim().to_owned(), values).is_some() {
            return Err(fault());
        }
    }
    Ok(claims)
}

/// `POST /app/trust-rules/{id}`.
pub(crate) async fn write(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let name = request.parameter("id").unwrap_or_default().to_owned();
    let version = versions::expected(request)?;
    let (mut form, asked) = filled_in(request, name.clone(), version);
    if let Some(asked) = asked {
        let operator = app.operator(&request.caller, request.request_id);
        let expected = Expected::Version(version);
        let (caller, facts) = (&request.caller, &request.facts);
        match rules::write(app, &operator, caller, facts, &name, asked, expected).await {
            Ok(_written) => return Ok(reply::done(PATH, "trust-rule-written")),
            Err(error @ (TrustRuleError::Store(_) | TrustRuleError::Record(_))) => {
                return Err(versions::told(error.into(), PATH));
            }
            Err(TrustRuleError::Rights(error @ (PeopleError::Store(_) | PeopleError::Record(_)))) => {
                return Err(error.into());
            }
            Err(error) => form.fault = error.to_string(),
        }
    }
    let stored = rules::list(app).await?;
    reply::html_with_status(400, &page(web, request, &stored, Some(form)))
}

fn filled_in(request: &OwnRequest, name: String, version: i64) -> (Form, Option<Asked>) {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let (kind, lifetime) = (field("kind"), field("lifetime"));
    let ticked = choices::ticked(&request.form);
    let mut form = Form {
        version,
        issuer: field("issuer"),
        claims: field("claims"),
        authority: field("authority"),
        roles: choices::of_roles(may_be, ticked.clone().unwrap_or_default()),
        grants: field("grants"),
        networks: field("networks"),
        lifetimes: lifetimes(&lifetime),
        ..Form::blank(name, &kind)
    };
    let claims = read_claims(&form.claims).map_err(|fault| form.claims_fault = fault).ok();
    let roles = ticked.map_err(|fault| form.roles_fault = fault).ok();
    let granted = grants::read(&form.grants).map_err(|fault| form.grants_fault = fault).ok();
    let (Some(claims), Some(roles), Some(grants)) = (claims, roles, granted) else { return (form, None) };
    let asked = Asked {
        kind,
        issuer: some(&form.issuer),
        claims,
        authority: some(&form.authority),
        roles,
        grants,
        networks: form.networks.split_whitespace().map(str::to_owned).collect(),
        lifetime: some(&lifetime),
    };
    (form, Some(asked))
}

/// `POST /app/trust-rules/{id}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let version = versions::expected(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let name = request.parameter("id").unwrap_or_default();
    let removed = rules::remove(app, &operator, name, Expected::Version(version)).await;
    removed.map_err(|error| versions::told(error.into(), PATH))?;
    Ok(reply::done(PATH, "trust-rule-removed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_a_rule_keeps_its_lifetime() {
        let chosen = |lifetime: &str| {
            let offered = lifetimes(lifetime);
            offered.into_iter().find(|choice| choice.chosen).map(|choice| choice.value).unwrap()
        };
        assert_eq!((chosen("10m"), chosen("1h"), chosen("")), ("10m".into(), "1h".into(), "15m".into()));
    }

    #[test]
    fn conditions_are_read_and_a_slip_is_said() {
        let read = read_claims("repository_id = 1\r\n\n ref = refs/heads/main | refs/tags/v* \n").unwrap();
        assert_eq!(read["repository_id"], ["1"]);
        assert_eq!(read["ref"], ["refs/heads/main", "refs/tags/v*"]);
        for bad in ["repository_id", "a = ", "a = b |", "a = b\na = c"] {
            assert!(read_claims(bad).is_err(), "{bad}");
        }
    }
}
