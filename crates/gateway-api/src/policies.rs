//! The documents of policies: `/policies`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::policies::{self, DEFAULT_REPLAY, Listed, MOST_REPLAYED, Period, Place};
use gateway_policy::{Effect, Rule};
use gateway_types::wire::policy::{
    CheckPolicy, ObservedRefusal, ObservedRefusals, Policies, PolicyCheck, PolicyDocument, PolicyFault,
    PolicyRule, Replay, ReplayChange, RoleChange, WritePolicy,
};
use gateway_types::{Problem, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

/// Everything that says yes or no: the built-in policies, those of files, those of the database.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policy", responses((status = 200, body = Policies)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    reply::json(&Policies {
        items: policies::list(app).await?.iter().map(document).collect(),
        policy_version: app.policy().version().to_owned(),
        fault: app.health.policy_fault(),
    })
}

/// What a change would do: faults with their place, who gains or loses what, which of the recorded decisions
/// would be others. Changes nothing.
#[utoipa::path(post, path = "/api/v1/policies/check", tag = "policy", request_body = CheckPolicy,
    responses((status = 200, body = PolicyCheck)))]
pub(crate) async fn check(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: CheckPolicy = input::json(request)?;
    let period = Period {
        since: since(app, asked.since.as_deref())?,
        before: asked.before,
        most: asked.replay.unwrap_or(DEFAULT_REPLAY),
    };
    let check = policies::check(app, &asked.id, asked.text.as_deref(), period).await?;
    reply::json(&PolicyCheck {
        acceptable: check.faults.is_empty(),
        faults: check.faults.into_iter().map(fault).collect(),
        policy_version: check.policy_version,
        roles: check.roles.into_iter().map(role_change).collect(),
        replay: Replay {
            replayed: check.replayed.replayed,
            skipped: check.replayed.skipped,
            changes: check.replayed.changes.into_iter().map(replay_change).collect(),
            oldest: check.replayed.reached.oldest.map(Timestamp::to_rfc3339),
            next: check.replayed.reached.next,
        },
    })
}

/// The query of what was observed.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ObservedQuery {
    /// From when on: `7d`, `12h`, or a moment in RFC 3339; absent = from the beginning.
    #[serde(default)]
    since: Option<String>,
    /// `next` of the answer before.
    #[serde(default)]
    before: Option<u64>,
}

/// What policies in observe mode would have refused, newest decisions first, 5000 of them in one answer.
#[utoipa::path(get, path = "/api/v1/policies/observed", tag = "policy", params(ObservedQuery),
    responses((status = 200, body = ObservedRefusals)))]
pub(crate) async fn observed(app: &App, request: &OwnRequest) -> Answer {
    let asked: ObservedQuery = input::query(request)?;
    let since = since(app, asked.since.as_deref())?;
    let period = Period { since, before: asked.before, most: MOST_REPLAYED };
    let found = policies::observed(app, period).await?;
    reply::json(&ObservedRefusals {
        observing: app.settings.observe_policies(),
        decisions: found.decisions,
        items: found.refusals.into_iter().map(observed_refusal).collect(),
        oldest: found.reached.oldest.map(Timestamp::to_rfc3339),
        next: found.reached.next,
    })
}

fn observed_refusal(found: policies::ObservedRefusal) -> ObservedRefusal {
    let policies::ObservedRefusal { rule, actor, action, resource, seen } = found;
    let policies::Seen { count, newest, examples } = seen;
    ObservedRefusal { rule, actor, action, resource, count, newest, examples }
}

fn since(app: &App, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let since = policies::since(text, app.clock.now());
    since.map(Some).ok_or_else(|| input::bad("write `since` as 7d, 12h, or a moment in RFC 3339"))
}

/// Writes a document of the database and puts it in force here and on every instance. Refused when the set
/// would not load, or when no unlocked admin could take it back. `If-Match`: the document's version, 0 for
/// a new one.
#[utoipa::path(put, path = "/api/v1/policies/{id}", tag = "policy",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = WritePolicy,
    responses((status = 200, body = PolicyDocument)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: String = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let WritePolicy { text } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let written = document(&policies::write(app, &operator, &id, &text, expected).await?);
    Ok(reply::tagged(reply::json(&written)?, written.version.unwrap_or_default()))
}

/// Removes a document of the database and puts what is left in force.
#[utoipa::path(delete, path = "/api/v1/policies/{id}", tag = "policy",
    params(("id" = String, Path), ("If-Match" = String, Header)), responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: String = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    policies::remove(app, &operator, &id, expected).await?;
    Ok(reply::no_content())
}

/// A policy as it is shown.
pub(crate) fn rule(rule: &Rule) -> PolicyRule {
    PolicyRule {
        id: rule.id.clone(),
        effect: match rule.effect {
            Effect::Permit => "permit".to_owned(),
            Effect::Forbid => "forbid".to_owned(),
        },
        remedy: rule.remedy.map(|remedy| remedy.name().to_owned()),
        needs: rule.needs.clone(),
        observed: rule.observed,
        text: rule.text.clone(),
    }
}

fn document(listed: &Listed) -> PolicyDocument {
    let (origin, stored) = match &listed.place {
        Place::BuiltIn => ("built_in", None),
        Place::File => ("file", None),
        Place::Database(document) => ("database", Some(document)),
    };
    PolicyDocument {
        id: listed.id.clone(),
        origin: origin.to_owned(),
        version: stored.map(|document| document.version),
        updated_by: stored.map(|document| document.updated_by.clone()),
        updated: stored.map(|document| document.updated.to_rfc3339()),
        text: stored.map(|document| document.text.clone()),
        rules: listed.rules.iter().map(rule).collect(),
    }
}

fn fault(fault: policies::Fault) -> PolicyFault {
    let (line, column) = fault.place.unzip();
    PolicyFault { message: fault.message, line, column }
}

fn role_change(change: policies::RoleChange) -> RoleChange {
    let policies::RoleChange { route, action, who, before, after } = change;
    RoleChange { route, action, who, before, after }
}

fn replay_change(change: policies::ReplayChange) -> ReplayChange {
    let policies::ReplayChange { actor, action, resource, before, after, effect, seen } = change;
    let policies::Seen { count, newest, examples } = seen;
    let effect = effect.name().to_owned();
    ReplayChange { actor, action, resource, before, after, effect, count, newest, examples }
}
