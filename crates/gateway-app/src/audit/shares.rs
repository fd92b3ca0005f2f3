//! Links for auditors: somebody without an account reads one part of the log for a while, and nothing else.
//!
//! # Security
//! A link is its secret: 256 random bits, told once, kept as a digest. The bounds are the filter that was shared: a reader
//! can only narrow it. Each opening and each page that is read is an event, durable before anything is shown; why a link
//! does not open is not told. Choice: ADR 0026.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gateway_audit::{Actor, ActorKind, Event, EventId, bounded};
use gateway_store::{AuditShare, EventFilter, NewAuditShare, Page, StoreError};
use gateway_types::wire::audit::{AuditFilter, ShareAudit};
use gateway_types::{
    ActionName, AuditShareId, Channel, Layer, Problem, ProblemKind, RequestId, Resource, Secret, Timestamp,
};
use serde_json::{Value, json};

use super::{AuditError, AuditFormat, Entry, Export, filter};
use crate::origin::Origin;
use crate::{App, Operator, record};

/// How long a link lasts unless something else is said, in hours.
pub const USUAL_HOURS: u32 = 24;
/// The longest life of a link, in hours: 30 days.
pub const MOST_HOURS: u32 = 30 * 24;
/// The longest label, in characters.
pub const LONGEST_LABEL: usize = 120;
/// Where a link is opened.
pub const PAGE: &str = "/auth/shared";
/// For how long a link is listed after its end.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most links that are live at one time.
const MOST_LIVE: usize = 100;
/// What a link's secret begins with.
const PREFIX: &str = "rga_";

/// Why a link was not made, found or ended.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The store cannot be reached, or the change could not be recorded.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It says nothing of for whom it is.
    #[error(
        "a link needs a label of 1 to {LONGEST_LABEL} characters that says for whom it is, without control characters"
    )]
    BadLabel,
    /// It would last too long, or not at all.
    #[error("a link lasts 1 to {MOST_HOURS} hours")]
    BadLife,
    /// There are too many.
    #[error("{MOST_LIVE} links are live already; revoke one first")]
    TooMany,
    /// There is none with this id that is live.
    #[error("there is no live link with this id")]
    Unknown,
    /// The secret opens nothing: it is none, or its link is over or was revoked. Which of them is not told.
    #[error(
        "this link opens nothing: it is wrong, over, or was revoked; ask whoever sent it for another one"
    )]
    Closed,
}

impl From<StoreError> for ShareError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::Unknown,
            error => Self::Audit(error.into()),
        }
    }
}

impl From<ShareError> for Problem {
    fn from(error: ShareError) -> Self {
        let (kind, layer) = match error {
            ShareError::Audit(error) => return error.into(),
            ShareError::Unknown => (ProblemKind::NotFound, Layer::Authorization),
            ShareError::TooMany => (ProblemKind::NotPossible, Layer::Authorization),
            ShareError::Closed => (ProblemKind::NotFound, Layer::Authentication),
            ShareError::BadLabel | ShareError::BadLife => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// Makes a link. Its secret is told here and never again.
///
/// # Errors
/// [`ShareError`].
pub async fn create(
    app: &App,
    operator: &Operator<'_>,
    by: &str,
    asked: &ShareAudit,
) -> Result<(AuditShare, Secret<String>), ShareError> {
    let label = asked.label.trim();
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    if label.is_empty() || label.chars().count() > LONGEST_LABEL || label.chars().any(is_hazard) {
        return Err(ShareError::BadLabel);
    }
    let hours = asked.hours.unwrap_or(USUAL_HOURS);
    if !(1..=MOST_HOURS).contains(&hours) {
        return Err(ShareError::BadLife);
    }
    // What no search takes is not shared either.
    filter(&asked.filter)?;
    let now = app.clock.now();
    let live = list(app).await?.into_iter().filter(|share| share.is_live(now)).count();
    if live >= MOST_LIVE {
        return Err(ShareError::TooMany);
    }
    let mut random = [0u8; 32];
    app.entropy.fill(&mut random);
    let secret = Secret::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random)));
    let id = AuditShareId::new(now, &*app.entropy);
    let expires = now.saturating_add(Duration::from_secs(u64::from(hours) * 3600));
    let text = serde_json::to_string(&asked.filter).map_err(AuditError::Json)?;
    let mut event = operator.event("gateway:audit:share");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.before = Some(Value::Null);
    event.after = Some(json!({ "label": label, "filter": bounded(&text), "expires": expires.to_rfc3339() }));
    record(&app.store, event).await.map_err(AuditError::from)?;
    let new = NewAuditShare {
        id,
        digest: digest_of(secret.expose()),
        label: label.to_owned(),
        filter: text,
        created_by: by.to_owned(),
        expires,
    };
    app.store.audit_shares().create(&new).await?;
    let share = app.store.audit_shares().by_id(id).await?.ok_or(ShareError::Unknown)?;
    Ok((share, secret))
}

/// Links: those that are live, and after them those that are over, for [`KEPT`] after their end.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<AuditShare>, ShareError> {
    Ok(app.store.audit_shares().list().await?)
}

/// Ends a link before its time. Whoever reads by it reads nothing more.
///
/// # Errors
/// [`ShareError::Unknown`], or the store's.
pub async fn revoke(
    app: &App,
    operator: &Operator<'_>,
    by: &str,
    id: AuditShareId,
) -> Result<(), ShareError> {
    let share = app.store.audit_shares().by_id(id).await?;
    let share = share.filter(|share| share.is_live(app.clock.now())).ok_or(ShareError::Unknown)?;
    let mut event = operator.event("gateway:audit:revoke_share");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.before = Some(json!({ "label": share.label, "expires": share.expires.to_rfc3339() }));
    event.after = Some(Value::Null);
    record(&app.store, event).await.map_err(AuditError::from)?;
    Ok(app.store.audit_shares().revoke(id, by).await?)
}

/// What a link shows.
///
/// # Errors
/// When what is stored is no filter.
pub fn bounds(share: &AuditShare) -> Result<AuditFilter, ShareError> {
    serde_json::from_str(&share.filter)
        .map_err(|_other| StoreError::Corrupt { what: "shared part of the log" }.into())
}

/// `live`, `over` or `revoked`.
pub fn state(share: &AuditShare, now: Timestamp) -> &'static str {
    match (&share.revoked, share.is_live(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "live",
        (None, false) => "over",
    }
}

/// The address that opens a link. What stands behind `#` is never sent by a browser: not to a server, not to a log on the
/// way, not as a referrer.
pub fn address(gateway: &Origin, secret: &Secret<String>) -> String {
    format!("{gateway}{PAGE}#{}", secret.expose())
}

/// Forgets links that have been over for long; the log has them.
///
/// # Errors
/// Only the store's.
pub async fn tidy(app: &App) -> Result<u64, ShareError> {
    let age = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
    let before = Timestamp::from_micros(app.clock.now().micros().saturating_sub(age));
    Ok(app.store.audit_shares().forget(before).await?)
}

/// Who reads by a link, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The address.
    pub source_ip: std::net::IpAddr,
    /// The request.
    pub request: RequestId,
}

/// Opens a link: it is counted and recorded.
///
/// # Errors
/// [`ShareError::Closed`], or the store's.
pub async fn open(app: &App, reader: Reader, secret: &str) -> Result<AuditShare, ShareError> {
    let share = live(app, secret).await?;
    record(&app.store, event(app, reader, &share, "gateway:audit:open_share"))
        .await
        .map_err(AuditError::from)?;
    app.store.audit_shares().opened(share.id).await?;
    Ok(share)
}

/// The link of a secret, as long as it is live.
///
/// # Errors
/// [`ShareError::Closed`], or the store's.
pub async fn live(app: &App, secret: &str) -> Result<AuditShare, ShareError> {
    let is_one = secret.len() == PREFIX.len() + 43 && secret.starts_with(PREFIX);
    let found = match is_one {
        true => app.store.audit_shares().live(&digest_of(secret)).await?,
        false => None,
    };
    found.ok_or(ShareError::Closed)
}

/// One page of what a link shows, narrowed by what was asked, newest first.
///
/// # Errors
/// When it cannot be recorded; then nothing is shown.
pub async fn read(
    app: &App,
    reader: Reader,
    share: &AuditShare,
    asked: &EventFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Page<(u64, Event)>, ShareError> {
    let mut event = event(app, reader, share, "gateway:audit:read_share");
    if let Some(before) = before {
        event.parameters.insert("cursor".to_owned(), before.to_string());
    }
    record(&app.store, event).await.map_err(AuditError::from)?;
    let within = narrowed(filter(&bounds(share)?)?, asked);
    Ok(app.store.events().search(&within, before, limit).await.map_err(AuditError::from)?)
}

/// One entry, if the link shows it, with the proof that it is in the log.
///
/// # Errors
/// [`ShareError::Unknown`] for an entry beyond the link's bounds, or the store's.
pub async fn entry(app: &App, reader: Reader, share: &AuditShare, index: u64) -> Result<Entry, ShareError> {
    let within = filter(&bounds(share)?)?;
    let after = index.checked_add(1).ok_or(ShareError::Unknown)?;
    let found = app.store.events().search(&within, Some(after), 1).await.map_err(AuditError::from)?;
    if found.items.first().map(|(index, _)| *index) != Some(index) {
        return Err(ShareError::Unknown);
    }
    let mut event = event(app, reader, share, "gateway:audit:read_share");
    event.parameters.insert("index".to_owned(), index.to_string());
    record(&app.store, event).await.map_err(AuditError::from)?;
    Ok(super::read(app, index).await?)
}

/// What a link shows as a file, narrowed by what was asked. [`Export::next`] says that the file ends before the events do.
///
/// # Errors
/// When it cannot be recorded; then nothing leaves.
pub async fn export(
    app: &App,
    reader: Reader,
    share: &AuditShare,
    asked: &EventFilter,
    format: AuditFormat,
) -> Result<Export, ShareError> {
    let mut event = event(app, reader, share, "gateway:audit:read_share");
    event.parameters.insert("format".to_owned(), super::format_name(format).to_owned());
    record(&app.store, event).await.map_err(AuditError::from)?;
    let within = narrowed(filter(&bounds(share)?)?, asked);
    Ok(super::exported(app, &within, format, None, super::MOST_EXPORTED).await?)
}

/// Both at once: what the link fixes stays fixed, and times are the narrower ones.
fn narrowed(bounds: EventFilter, asked: &EventFilter) -> EventFilter {
    let asked = asked.clone();
    EventFilter {
        actor: bounds.actor.or(asked.actor),
        action: bounds.action.or(asked.action),
        app: bounds.app.or(asked.app),
        since: bounds.since.max(asked.since),
        until: match (bounds.until, asked.until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        },
        decision: bounds.decision.or(asked.decision),
        phase: bounds.phase.or(asked.phase),
        request: bounds.request.or(asked.request),
        text: bounds.text.or(asked.text),
    }
}

fn digest_of(secret: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Nobody is signed in: the link is who reads.
fn event(app: &App, reader: Reader, share: &AuditShare, action: &str) -> Event {
    let now = app.clock.now();
    let actor = Actor {
        credential_id: Some(share.id.to_string()),
        id: Some(share.id.to_string()),
        kind: ActorKind::Anonymous,
        name: bounded(&format!("share:{}", share.label)),
        on_behalf_of: Some(bounded(&share.created_by)),
    };
    let id = EventId::new(now, &*app.entropy);
    let mut event = Event::new(now, id, ActionName::new(action), Resource::gateway(), actor);
    event.channel = Some(Channel::Web);
    event.source_ip = Some(reader.source_ip);
    event.request_id = Some(reader.request);
    event
}

#[cfg(test)]
mod tests {
    use gateway_types::Decision;

    use super::*;

    #[test]
    fn what_is_shared_is_only_ever_narrowed() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let bounds = EventFilter {
            app: Some("shop".to_owned()),
            since: at(100),
            until: at(200),
            decision: Some(Decision::Refuse),
            text: Some("release".to_owned()),
            ..EventFilter::default()
        };
        let asked = EventFilter {
            app: Some("payroll".to_owned()),
            actor: Some("ann@example.com".to_owned()),
            since: at(50),
            until: at(150),
            decision: Some(Decision::Allow),
            text: Some("other".to_owned()),
            ..EventFilter::default()
        };
        let both = narrowed(bounds.clone(), &asked);
        assert_eq!((both.since, both.until), (at(100), at(150)));
        assert_eq!((both.app.as_deref(), both.text.as_deref()), (Some("shop"), Some("release")));
        assert_eq!((both.decision, both.actor.as_deref()), (Some(Decision::Refuse), Some("ann@example.com")));
        assert_eq!(narrowed(bounds.clone(), &EventFilter::default()), bounds);
        let later = EventFilter { since: at(120), until: at(900), ..EventFilter::default() };
        let both = narrowed(bounds, &later);
        assert_eq!((both.since, both.until), (at(120), at(200)));
    }
}
