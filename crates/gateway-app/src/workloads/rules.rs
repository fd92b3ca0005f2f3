//! Trust rules: written, listed, removed; each change an event before it is made.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_config::duration::{format_duration, parse_duration};
use gateway_identity::Authority;
use gateway_store::{NewTrustRule, StoreError, TrustRule};
use gateway_types::{Caller, Facts, Grant, Role, RoleSet};
use ipnet::IpNet;
use serde_json::{Value, json};
use url::Url;

use super::error::TrustRuleError;
use super::kinds::{FINGERPRINT, Kind};
use crate::error::PeopleError;
use crate::rights::{Expected, beyond_giving};
use crate::{App, Operator, record};

/// The shortest life of what a rule gives.
pub const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// The longest.
pub const LONGEST_LIFE: Duration = Duration::from_secs(3600);
/// The life, unless somebody says.
pub const USUAL_LIFE: Duration = Duration::from_secs(15 * 60);
/// The most rules.
pub const MOST_RULES: usize = 500;

/// The most claims of a rule, and the most values of one.
const MOST_CLAIMS: usize = 30;
/// The longest value.
const LONGEST_VALUE: usize = 500;
/// The most networks.
const MOST_NETWORKS: usize = 50;

/// The name that policy calls whoever broke the glass by.
const TAKEN: &str = "break-glass";

/// A rule that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The kind, by name.
    pub kind: String,
    /// The issuer; `None` = the kind's usual one.
    pub issuer: Option<String>,
    /// The conditions, without what the kind says unless somebody says otherwise.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Certificates in PEM that must have signed a client's.
    pub authority: Option<String>,
    /// The roles.
    pub roles: RoleSet,
    /// The grants.
    pub grants: Vec<Grant>,
    /// The networks, as written.
    pub networks: Vec<String>,
    /// The lifetime, as written.
    pub lifetime: Option<String>,
}

/// All rules, by name.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<TrustRule>, TrustRuleError> {
    Ok(app.store.trust_rules().list().await?)
}

/// Writes a rule. `facts` are those of the request's verdict. What machines got under the rule as it was ends.
///
/// # Errors
/// [`TrustRuleError`].
///
/// # Security
/// Nobody gives a machine more than they have. A grant reaches class *critical* only when the very request that writes
/// the rule spent a fresh factor.
pub async fn write(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    facts: &Facts,
    name: &str,
    asked: Asked,
    expected: Expected,
) -> Result<TrustRule, TrustRuleError> {
    let new = checked(app, caller, facts, name, asked)?;
    let before = app.store.trust_rules().by_name(name).await?;
    let present = before.as_ref().map_or(0, |rule| rule.version);
    let version = expected.version(present);
    if version != present {
        return Err(StoreError::Conflict.into());
    }
    if before.is_none() && app.store.trust_rules().list().await?.len() >= MOST_RULES {
        return Err(TrustRuleError::TooMany);
    }
    let mut event = operator.event("gateway:workload:update");
    event.parameters.insert("name".to_owned(), name.to_owned());
    event.before = Some(before.as_ref().map_or(Value::Null, |rule| shown(&rule.rule)));
    event.after = Some(shown(&new));
    record(&app.store, event).await?;
    let expected = (version != 0).then_some(version);
    Ok(app.store.trust_rules().set(new, expected, &operator.actor.name).await?)
}

/// Removes a rule; what machines got under it ends.
///
/// # Errors
/// [`TrustRuleError::Unknown`], or the store's.
pub async fn remove(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    expected: Expected,
) -> Result<(), TrustRuleError> {
    let before = app.store.trust_rules().by_name(name).await?;
    let before = before.ok_or_else(|| TrustRuleError::Unknown { name: name.chars().take(100).collect() })?;
    let version = expected.version(before.version);
    if version != before.version {
        return Err(StoreError::Conflict.into());
    }
    let mut event = operator.event("gateway:workload:remove");
    event.parameters.insert("name".to_owned(), name.to_owned());
    event.before = Some(shown(&before.rule));
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    Ok(app.store.trust_rules().remove(name, version).await?)
}

fn shown(rule: &NewTrustRule) -> Value {
    json!({
        "kind": rule.kind,
        "issuer": rule.issuer,
        "claims": rule.claims,
        "authority": rule.authority,
        "roles": rule.roles.to_string(),
        "grants": rule.grants,
        "networks": rule.networks,
        "lifetime": format_duration(rule.lifetime),
    })
}

fn checked(
    app: &App,
    caller: &Caller,
    facts: &Facts,
    name: &str,
    asked: Asked,
) -> Result<NewTrustRule, TrustRuleError> {
    if !is_name(name) {
        return Err(TrustRuleError::BadName);
    }
    let kind: Kind = asked.kind.parse()?;
    let issuer = issuer(kind, asked.issuer)?;
    let claims = kind.completed(asked.claims);
    check_claims(kind, &claims)?;
    check_authority(kind, &claims, asked.authority.as_deref())?;
    check_rights(app, caller, facts, asked.roles, &asked.grants)?;
    let lifetime = match asked.lifetime.as_deref() {
        None => USUAL_LIFE,
        Some(text) => parse_duration(text)
            .filter(|life| (SHORTEST_LIFE..=LONGEST_LIFE).contains(life))
            .ok_or(TrustRuleError::BadLifetime)?,
    };
    Ok(NewTrustRule {
        name: name.to_owned(),
        kind: kind.name().to_owned(),
        issuer,
        claims,
        authority: asked.authority,
        roles: asked.roles,
        grants: asked.grants,
        networks: networks(&asked.networks).map_err(TrustRuleError::BadNetwork)?,
        lifetime,
    })
}

/// Networks as people write them; a bare address is a network of one.
///
/// # Errors
/// The first that is none, cut to what can be shown.
pub fn networks(written: &[String]) -> Result<Vec<IpNet>, String> {
    let one = |text: &String| {
        let network = text.parse::<IpNet>().ok();
        let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        let shown = || text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
        network.or_else(address).map(|network| network.trunc()).ok_or_else(shown)
    };
    if written.len() > MOST_NETWORKS {
        return Err(format!("a list of {}", written.len()));
    }
    written.iter().map(one).collect()
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    (1..=63).contains(&name.len())
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name != TAKEN
}

fn issuer(kind: Kind, asked: Option<String>) -> Result<String, TrustRuleError> {
    let bad = |what| TrustRuleError::BadIssuer { kind: kind.name(), what };
    if kind == Kind::Certificate {
        return if asked.is_none() { Ok(String::new()) } else { Err(bad("none")) };
    }
    let Some(issuer) = asked else {
        let usual = kind.usual_issuer().ok_or(bad("the one of your organization"))?;
        return Ok(usual.to_owned());
    };
    let url = Url::parse(&issuer).map_err(|_bad| bad("such an address"))?;
    // A test's issuer, or one beside the gateway, is on this machine.
    let is_local =
        url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let is_bare = url.username().is_empty() && url.password().is_none();
    let is_whole = url.query().is_none() && url.fragment().is_none() && issuer.len() <= LONGEST_VALUE;
    if (url.scheme() == "https" || is_local) && is_bare && is_whole {
        Ok(issuer)
    } else {
        Err(bad("such an address"))
    }
}

/// Claims that every token has to have right, whatever a rule says.
const FIXED: [&str; 6] = ["iss", "aud", "exp", "iat", "nbf", "jti"];

fn check_claims(kind: Kind, claims: &BTreeMap<String, Vec<String>>) -> Result<(), TrustRuleError> {
    let bad = |name: &str, why| TrustRuleError::BadClaim { name: name.chars().take(60).collect(), why };
    if let Some(missing) =
        kind.pinned().iter().find(|one_of| !one_of.iter().any(|claim| claims.contains_key(*claim)))
    {
        return Err(TrustRuleError::Unpinned { kind: kind.name(), claims: missing });
    }
    if claims.len() > MOST_CLAIMS {
        return Err(bad("", "there are too many"));
    }
    for (name, values) in claims {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
        if !(1..=100).contains(&name.len()) || !name.chars().all(plain) {
            return Err(bad(name, "its name is none"));
        }
        if FIXED.contains(&name.as_str()) {
            return Err(bad(name, "the gateway checks it itself"));
        }
        if kind == Kind::Certificate && !kind.pinned().iter().any(|known| known.contains(&name.as_str())) {
            return Err(bad(name, "certificates have spiffe_id, dns, email and fingerprint"));
        }
        if values.is_empty() || values.len() > MOST_CLAIMS {
            return Err(bad(name, "it needs 1 to 30 values"));
        }
        for value in values {
            check_value(name, value).map_err(|why| bad(name, why))?;
        }
    }
    Ok(())
}

fn check_value(name: &str, value: &str) -> Result<(), &'static str> {
    if value.is_empty() || value.len() > LONGEST_VALUE || value.chars().any(char::is_control) {
        return Err("a value has 1 to 500 visible characters");
    }
    match value.strip_suffix('*') {
        Some(beginning) if Kind::takes_beginnings(name) => Kind::check_beginning(name, beginning),
        Some(_) => Err("this claim is compared as a whole, so that a star stands for itself; leave it out"),
        None if name == FINGERPRINT && !is_fingerprint(value) => {
            Err("a fingerprint is SHA-256 in 64 lower-case hexadecimal digits")
        }
        None => Ok(()),
    }
}

fn is_fingerprint(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn check_authority(
    kind: Kind,
    claims: &BTreeMap<String, Vec<String>>,
    authority: Option<&str>,
) -> Result<(), TrustRuleError> {
    let names = kind == Kind::Certificate && claims.keys().any(|name| name != FINGERPRINT);
    match authority {
        Some(pem) if names => {
            Authority::from_pem(pem)?;
            Ok(())
        }
        None if !names => Ok(()),
        Some(_) | None => Err(TrustRuleError::AuthorityMisplaced),
    }
}

fn check_rights(
    app: &App,
    caller: &Caller,
    facts: &Facts,
    roles: RoleSet,
    grants: &[Grant],
) -> Result<(), TrustRuleError> {
    if roles.is_empty() {
        return Err(PeopleError::NoRole.into());
    }
    let high: RoleSet = roles.iter().filter(|role| matches!(role, Role::Admin | Role::Auditor)).collect();
    if !high.is_empty() {
        return Err(TrustRuleError::TooHigh(high));
    }
    let beyond = beyond_giving(caller, roles);
    if !beyond.is_empty() {
        return Err(PeopleError::AboveOwn(beyond).into());
    }
    if grants.is_empty() {
        return Err(TrustRuleError::NoGrant);
    }
    crate::tokens::check_grants(app, grants)?;
    if grants.iter().any(|grant| grant.critical) && !facts.mfa_bound {
        return Err(PeopleError::CriticalGrant.into());
    }
    Ok(())
}
