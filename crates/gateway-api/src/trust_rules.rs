//! How machines without secrets sign in: `/trust-rules`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::workloads::rules::{self, Asked};
use gateway_app::workloads::{Kind, audience, matching};
use gateway_config::duration::format_duration;
use gateway_store::TrustRule as Stored;
use gateway_types::Timestamp;
use gateway_types::wire::trust_rules::{TrustRule, TrustRules, WriteTrustRule};

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(app: &App, stored: Stored) -> TrustRule {
    let Stored { rule, version, created, updated_by, updated, last_used, last_used_ip } = stored;
    let kind: Option<Kind> = rule.kind.parse().ok();
    let is_token = kind != Some(Kind::Certificate);
    let in_words = kind.map(|kind| matching::in_words(kind, &rule.issuer, &rule.claims));
    TrustRule {
        name: rule.name,
        kind: rule.kind,
        issuer: is_token.then_some(rule.issuer),
        audience: is_token.then(|| audience(app.store.gateway_id())),
        claims: rule.claims,
        in_words: in_words.unwrap_or_default(),
        authority: rule.authority,
        roles: rule.roles,
        grants: rule.grants.into_iter().map(Into::into).collect(),
        networks: rule.networks.iter().map(ToString::to_string).collect(),
        lifetime: is_token.then(|| format_duration(rule.lifetime)),
        created: created.to_rfc3339(),
        updated_by,
        updated: updated.to_rfc3339(),
        last_used: last_used.map(Timestamp::to_rfc3339),
        last_used_ip: last_used_ip.map(|ip| ip.to_string()),
        version,
    }
}

/// Every trust rule.
#[utoipa::path(get, path = "/api/v1/trust-rules", tag = "trust-rules",
    responses((status = 200, body = TrustRules)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let stored = rules::list(app).await?;
    reply::json(&TrustRules {
        items: stored.into_iter().map(|stored| shown(app, stored)).collect(),
        audience: audience(app.store.gateway_id()),
    })
}

/// Writes a trust rule. What machines got under it as it was ends. `If-Match`: the rule's version, 0 for a new one.
#[utoipa::path(put, path = "/api/v1/trust-rules/{id}", tag = "trust-rules",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = WriteTrustRule,
    responses((status = 200, body = TrustRule)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let asked: WriteTrustRule = input::json(request)?;
    let asked = Asked {
        kind: asked.kind,
        issuer: asked.issuer,
        claims: asked.claims,
        authority: asked.authority,
        roles: asked.roles,
        grants: asked.grants.into_iter().map(Into::into).collect(),
        networks: asked.networks,
        lifetime: asked.lifetime,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let (caller, facts) = (&request.caller, &request.facts);
    let written = rules::write(app, &operator, caller, facts, &name, asked, expected).await?;
    let version = written.version;
    Ok(reply::tagged(reply::json(&shown(app, written))?, version))
}

/// Removes a trust rule; what machines got under it ends.
#[utoipa::path(delete, path = "/api/v1/trust-rules/{id}", tag = "trust-rules",
    params(("id" = String, Path), ("If-Match" = String, Header)), responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let name: String = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    rules::remove(app, &operator, &name, expected).await?;
    Ok(reply::no_content())
}
