//! The queries behind a credential. Each reads the credential and the person behind it in one
//! statement, so that no half-changed state is seen.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use gateway_types::{CredentialDigest, CredentialKind, Principal, RoleSet, Timestamp, WorkloadOrigin};
use ipnet::IpNet;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{CallerFault, KnownCaller};
use crate::database::Database;
use crate::error::StoreError;
use crate::row::{moment, optional_moment, parsed};
use crate::secrets::digest_text;
use crate::trust_rules::TrustRule;
use crate::{sessions, tokens, trust_rules};

/// `overlap_ends` is NULL for the token's present secret, and for the one before its last rotation the
/// moment from which on it is refused.
const TOKEN: &str = "SELECT t.id, t.name, t.roles, t.grants, t.networks, t.creator, t.expires, t.last_used, t.revoked, \
     CASE WHEN t.digest = $1 THEN NULL ELSE COALESCE(t.previous_until, 0) END AS overlap_ends, \
     u.email AS creator_email, u.roles AS creator_roles, u.locked AS creator_locked \
     FROM api_tokens AS t LEFT JOIN users AS u ON u.id = t.creator \
     WHERE t.digest = $1 OR t.previous_digest = $1";

const SESSION: &str = "SELECT s.id, s.user_id, s.kind, s.expires, s.idle_limit, s.last_seen, s.revoked, \
     u.email, u.roles, u.locked FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.digest = $1";

/// A secret of a web session at a host of a service: the session's row decides everything but where it counts.
const HOST_SESSION: &str = "SELECT s.id, s.user_id, s.kind, s.expires, s.idle_limit, s.last_seen, s.revoked, \
     u.email, u.roles, u.locked, h.host, h.created AS made FROM host_sessions AS h JOIN sessions AS s ON s.id = h.session_id \
     JOIN users AS u ON u.id = s.user_id WHERE h.digest = $1";

pub(super) async fn token(
    database: &Database,
    digest: &CredentialDigest,
) -> Result<Result<KnownCaller, CallerFault>, StoreError> {
    let Some(row) = one(database, TOKEN, digest).await? else { return Ok(Err(CallerFault::Unknown)) };
    let locked: Option<i64> = row.try_get("creator_locked")?;
    let Some(locked) = locked else { return Ok(Err(CallerFault::Revoked)) };
    if let Some(fault) = ended(&row, locked)? {
        return Ok(Err(fault));
    }
    let creator_email: String = row.try_get("creator_email")?;
    let name: String = row.try_get("name")?;
    let principal = Principal::ApiToken {
        id: parsed(&row, "id", "token id")?,
        name: name.into(),
        roles: parsed::<RoleSet>(&row, "roles", "set of roles")?,
        grants: tokens::grants(&row.try_get::<String, _>("grants")?)?.into(),
        creator: parsed(&row, "creator", "user id")?,
        creator_email: creator_email.into(),
        creator_roles: parsed::<RoleSet>(&row, "creator_roles", "set of roles")?,
    };
    let last_used = optional_moment(&row, "last_used")?.map_or(0, Timestamp::micros);
    let ends = [optional_moment(&row, "expires")?, optional_moment(&row, "overlap_ends")?];
    Ok(Ok(KnownCaller {
        principal,
        expires: ends.into_iter().flatten().min(),
        idle_limit: None,
        host: None,
        made: None,
        networks: trust_rules::networks(&row.try_get::<String, _>("networks")?)?.into(),
        last_seen: AtomicI64::new(last_used),
        last_written: AtomicI64::new(last_used),
    }))
}

pub(super) async fn session(
    database: &Database,
    digest: &CredentialDigest,
    presented_as: CredentialKind,
) -> Result<Result<KnownCaller, CallerFault>, StoreError> {
    let (row, host, made) = match one(database, SESSION, digest).await? {
        Some(row) => (row, None, None),
        None if presented_as == CredentialKind::WebSession => {
            let Some(row) = one(database, HOST_SESSION, digest).await? else {
                return Ok(Err(CallerFault::Unknown));
            };
            let host: String = row.try_get("host")?;
            let made = moment(&row, "made")?;
            (row, Some(Arc::from(host)), Some(made))
        }
        None => return Ok(Err(CallerFault::Unknown)),
    };
    if let Some(fault) = ended(&row, row.try_get("locked")?)? {
        return Ok(Err(fault));
    }
    let kind = sessions::kind(&row.try_get::<String, _>("kind")?)?;
    if kind != presented_as {
        return Ok(Err(CallerFault::Unknown));
    }
    let email: String = row.try_get("email")?;
    let principal = Principal::User {
        id: parsed(&row, "user_id", "user id")?,
        email: Arc::from(email),
        roles: parsed(&row, "roles", "set of roles")?,
        session: parsed(&row, "id", "session id")?,
        kind,
    };
    let last_seen = moment(&row, "last_seen")?.micros();
    Ok(Ok(KnownCaller {
        principal,
        expires: Some(moment(&row, "expires")?),
        idle_limit: Some(sessions::idle_limit(&row)?),
        host,
        made,
        networks: Arc::from([]),
        last_seen: AtomicI64::new(last_seen),
        last_written: AtomicI64::new(last_seen),
    }))
}

/// A short token: of a trust rule while that is as it was, or of a use of the break-glass codes while that is not
/// ended. Its rights are those of the rule, or the use, at this moment.
const WORKLOAD: &str = "SELECT w.id, w.rule, w.break_glass, w.subject, w.expires, \
     r.name AS rule_name, r.roles AS rule_roles, r.grants AS rule_grants, r.networks AS rule_networks, \
     CASE WHEN r.version = w.rule_version THEN 1 ELSE 0 END AS as_it_was, \
     b.id AS use_id, b.roles AS use_roles, b.grants AS use_grants, b.ended AS use_ended \
     FROM workloads AS w LEFT JOIN trust_rules AS r ON r.name = w.rule \
     LEFT JOIN break_glass_uses AS b ON b.id = w.break_glass WHERE w.digest = $1";

pub(super) async fn workload(
    database: &Database,
    digest: &CredentialDigest,
) -> Result<Result<KnownCaller, CallerFault>, StoreError> {
    let Some(row) = one(database, WORKLOAD, digest).await? else { return Ok(Err(CallerFault::Unknown)) };
    let rule: Option<String> = row.try_get("rule_name")?;
    let used: Option<String> = row.try_get("use_id")?;
    let subject: String = row.try_get("subject")?;
    let (principal, networks) = match (rule, used) {
        (Some(name), None) => {
            if row.try_get::<i64, _>("as_it_was")? == 0 {
                return Ok(Err(CallerFault::Revoked));
            }
            let principal = Principal::Workload {
                id: Arc::from(row.try_get::<String, _>("id")?),
                name: name.into(),
                subject: subject.into(),
                origin: WorkloadOrigin::Exchange,
                roles: parsed(&row, "rule_roles", "set of roles")?,
                grants: tokens::grants(&row.try_get::<String, _>("rule_grants")?)?.into(),
            };
            (principal, trust_rules::networks(&row.try_get::<String, _>("rule_networks")?)?)
        }
        (None, Some(id)) => {
            if optional_moment(&row, "use_ended")?.is_some() {
                return Ok(Err(CallerFault::Revoked));
            }
            let principal = Principal::Workload {
                id: id.into(),
                name: Arc::from(BREAK_GLASS),
                subject: subject.into(),
                origin: WorkloadOrigin::BreakGlass,
                roles: parsed(&row, "use_roles", "set of roles")?,
                grants: tokens::grants(&row.try_get::<String, _>("use_grants")?)?.into(),
            };
            (principal, Vec::new())
        }
        (None, None) | (Some(_), Some(_)) => return Ok(Err(CallerFault::Revoked)),
    };
    Ok(Ok(machine(principal, Some(moment(&row, "expires")?), networks, None)))
}

/// What policy and the log call whoever broke the glass.
const BREAK_GLASS: &str = "break-glass";

/// A client certificate that a trust rule takes. Its own dates are looked at on each request.
pub(super) fn by_rule(certificate: &CredentialDigest, rule: &TrustRule, subject: &str) -> KnownCaller {
    let fingerprint = digest_text(certificate);
    let new = &rule.rule;
    let principal = Principal::Workload {
        id: format!("{}:{}", new.name, fingerprint.get(..16).unwrap_or_default()).into(),
        name: new.name.as_str().into(),
        subject: subject.into(),
        origin: WorkloadOrigin::Certificate,
        roles: new.roles,
        grants: new.grants.clone().into(),
    };
    machine(principal, None, new.networks.clone(), rule.last_used)
}

fn machine(
    principal: Principal,
    expires: Option<Timestamp>,
    networks: Vec<IpNet>,
    last_used: Option<Timestamp>,
) -> KnownCaller {
    let last_used = last_used.map_or(0, Timestamp::micros);
    KnownCaller {
        principal,
        expires,
        idle_limit: None,
        host: None,
        made: None,
        networks: networks.into(),
        last_seen: AtomicI64::new(last_used),
        last_written: AtomicI64::new(last_used),
    }
}

async fn one(
    database: &Database,
    sql: &'static str,
    digest: &CredentialDigest,
) -> Result<Option<AnyRow>, StoreError> {
    Ok(sqlx::query(sql).bind(digest_text(digest)).fetch_optional(database.pool()).await?)
}

fn ended(row: &AnyRow, locked: i64) -> Result<Option<CallerFault>, StoreError> {
    if optional_moment(row, "revoked")?.is_some() {
        return Ok(Some(CallerFault::Revoked));
    }
    Ok((locked != 0).then_some(CallerFault::Locked))
}
