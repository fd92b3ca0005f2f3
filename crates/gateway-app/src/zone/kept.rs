//! Backups of the zone: everything, sealed by a passphrase of its own. In it the root's key stays sealed by the root's
//! passphrase, so that a backup that is opened makes leaves, and no issuers.

use std::time::Duration;

use data_encoding::BASE64;
use gateway_pki::{Cost, Custody, Passphrase, Sealed};
use gateway_store::{StoreError, ZoneAuthority, ZoneContent, ZoneKey, ZoneMember, ZoneRecord, ZoneService};
use gateway_types::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::authority::{beside, in_force};
use super::{ZoneError, read};
use crate::{App, Operator, record};

/// What a backup says of itself, and what it is sealed for.
pub const FORMAT: &str = "rack-gateway zone backup v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    domain: String,
    sequence: u64,
    leaf_micros: u64,
    created: i64,
    authorities: Vec<Authority>,
    services: Vec<Service>,
    members: Vec<Member>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authority {
    name: String,
    root: Option<String>,
    phase: String,
    since: u64,
    certificate: String,
    cross_signed: Option<String>,
    custody: Option<String>,
    key: Option<String>,
    created: i64,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    listeners: String,
    callers: String,
    updated: i64,
    updated_by: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    id: String,
    service: String,
    issuer: String,
    serial: String,
    seen: u64,
    enrolled: i64,
    last_seen: i64,
    expires: i64,
    banned: Option<i64>,
    banned_by: Option<String>,
}

/// The zone as it stands, sealed.
///
/// # Errors
/// [`ZoneError::NoZone`], [`ZoneError::Pki`] for a passphrase that is too short, or the store's.
pub async fn back_up(
    app: &App,
    operator: &Operator<'_>,
    passphrase: Secret<String>,
) -> Result<String, ZoneError> {
    let _turn = app.zone.turn.lock().await;
    let custody = Passphrase::new(passphrase, Cost::default())?;
    let content = app.store.zone().read().await?.ok_or(ZoneError::NoZone)?;
    let members = app.store.zone().members().await?;
    let mut event = operator.event("gateway:zone:backup");
    event.parameters.insert("sequence".to_owned(), content.zone.sequence.to_string());
    record(&app.store, event).await?;
    let whole = serde_json::to_vec(&written(&content, &members)).map_err(|_bad| ZoneError::Backup)?;
    let whole = Secret::new(whole);
    let entropy = std::sync::Arc::clone(&app.entropy);
    let sealed = beside(move || custody.seal(&whole, FORMAT, &*entropy)).await?;
    serde_json::to_string(&sealed).map_err(|_bad| ZoneError::Backup)
}

/// Puts a backup in force where there is no zone: of a gateway that lost its database.
///
/// # Errors
/// [`ZoneError::Exists`], [`ZoneError::Backup`], [`ZoneError::Pki`] for a wrong passphrase, or the store's.
pub async fn restore(
    app: &App,
    operator: &Operator<'_>,
    passphrase: Secret<String>,
    sealed: &str,
) -> Result<(), ZoneError> {
    let _turn = app.zone.turn.lock().await;
    if app.store.zone().read().await?.is_some() {
        return Err(ZoneError::Exists);
    }
    let custody = Passphrase::new(passphrase, Cost::default())?;
    let sealed: Sealed = serde_json::from_str(sealed).map_err(|_bad| ZoneError::Backup)?;
    let whole = beside(move || custody.open(&sealed, FORMAT)).await?;
    let whole: Whole = serde_json::from_slice(whole.expose()).map_err(|_bad| ZoneError::Backup)?;
    let (mut content, members) = content_of(whole).ok_or(ZoneError::Backup)?;
    // Members that saw a newer bundle than the backup's take this one.
    content.zone.sequence = content.zone.sequence.saturating_add(1_000_000);
    // It must be usable before it is kept.
    read(content.clone(), Vec::new())?;
    let mut event = operator.event("gateway:zone:restore");
    event.after = Some(json!({
        "trust_domain": content.zone.domain,
        "members": members.len(),
        "services": content.services.len(),
    }));
    record(&app.store, event).await?;
    app.store.zone().create(&content, &members).await.map_err(|error| match error {
        StoreError::Exists => ZoneError::Exists,
        other => other.into(),
    })?;
    in_force(app).await
}

fn written(content: &ZoneContent, members: &[ZoneMember]) -> Whole {
    let authority = |one: &ZoneAuthority| {
        let (custody, key) = match &one.key {
            ZoneKey::Custody(text) => (Some(text.clone()), None),
            ZoneKey::Online(key) => (None, Some(BASE64.encode(key.expose()))),
            ZoneKey::Gone => (None, None),
        };
        Authority {
            name: one.name.clone(),
            root: one.root.clone(),
            phase: one.phase.clone(),
            since: one.since,
            certificate: BASE64.encode(&one.certificate),
            cross_signed: one.cross_signed.as_ref().map(|der| BASE64.encode(der)),
            custody,
            key,
            created: one.created.micros(),
            expires: one.expires.micros(),
        }
    };
    let service = |one: &ZoneService| Service {
        name: one.name.clone(),
        listeners: one.listeners.clone(),
        callers: one.callers.clone(),
        updated: one.updated.micros(),
        updated_by: one.updated_by.clone(),
    };
    let member = |one: &ZoneMember| Member {
        id: one.id.to_string(),
        service: one.service.clone(),
        issuer: one.issuer.clone(),
        serial: one.serial.clone(),
        seen: one.seen,
        enrolled: one.enrolled.micros(),
        last_seen: one.last_seen.micros(),
        expires: one.expires.micros(),
        banned: one.banned.map(Timestamp::micros),
        banned_by: one.banned_by.clone(),
    };
    Whole {
        domain: content.zone.domain.clone(),
        sequence: content.zone.sequence,
        leaf_micros: u64::try_from(content.zone.leaf_life.as_micros()).unwrap_or(u64::MAX),
        created: content.zone.created.micros(),
        authorities: content.authorities.iter().map(authority).collect(),
        services: content.services.iter().map(service).collect(),
        members: members.iter().map(member).collect(),
    }
}

/// `None` = it is no backup that this program wrote.
fn content_of(whole: Whole) -> Option<(ZoneContent, Vec<ZoneMember>)> {
    let der = |text: &str| BASE64.decode(text.as_bytes()).ok();
    let at = Timestamp::from_micros;
    let mut authorities = Vec::new();
    for one in whole.authorities {
        let key = match (one.custody, one.key) {
            (Some(text), None) => ZoneKey::Custody(text),
            (None, Some(key)) => ZoneKey::Online(Secret::new(der(&key)?)),
            (None, None) => ZoneKey::Gone,
            (Some(_), Some(_)) => return None,
        };
        let cross_signed = match one.cross_signed {
            Some(text) => Some(der(&text)?),
            None => None,
        };
        authorities.push(ZoneAuthority {
            certificate: der(&one.certificate)?,
            name: one.name,
            root: one.root,
            phase: one.phase,
            since: one.since,
            cross_signed,
            key,
            created: at(one.created),
            expires: at(one.expires),
        });
    }
    let service = |one: Service| ZoneService {
        name: one.name,
        listeners: one.listeners,
        callers: one.callers,
        updated: at(one.updated),
        updated_by: one.updated_by,
    };
    let mut members = Vec::new();
    for one in whole.members {
        members.push(ZoneMember {
            id: one.id.parse().ok()?,
            service: one.service,
            issuer: one.issuer,
            serial: one.serial,
            seen: one.seen,
            enrolled: at(one.enrolled),
            last_seen: at(one.last_seen),
            expires: at(one.expires),
            banned: one.banned.map(at),
            banned_by: one.banned_by,
        });
    }
    let zone = ZoneRecord {
        domain: whole.domain,
        sequence: whole.sequence,
        leaf_life: Duration::from_micros(whole.leaf_micros),
        created: at(whole.created),
    };
    let services = whole.services.into_iter().map(service).collect();
    Some((ZoneContent { zone, authorities, services }, members))
}
