//! The audit log as people search, read and export it.
//!
//! Who may read is the verdict's business, before any of these is called; that somebody who may only see
//! their own sees only that is this module's. Verifying the log is [`log`](crate::log)'s.

mod columns;
mod csv;
pub(crate) use csv::row as csv_row;
mod error;
pub mod retention;
pub mod saved;
pub mod shares;
pub mod stories;
mod story;
pub mod summary;
#[cfg(test)]
mod tests;

use gateway_audit::{Event, Hash};
use gateway_store::{EventFilter, Page};
use gateway_types::wire::audit::{AuditFilter, AuditFormat, AuditPhase, AuditVerdict, RecordEvidence};
use gateway_types::{Caller, Decision, Timestamp};
use serde_json::json;

use crate::{App, Operator, record, tree};

pub use columns::{ColumnsWatch, first_wrong};
pub use error::AuditError;
pub use story::{QUIET, Story, StoryApproval, StoryOutcome};

/// The most events of one export.
pub const MOST_EXPORTED: u32 = 50_000;

/// The most bytes of one export: the events that did not fit come with its cursor.
const MOST_EXPORTED_BYTES: usize = 32 * 1024 * 1024;

/// Whose events a search is for.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Everybody's.
    Everybodys,
    /// Only those of this caller.
    Own(&'a Caller),
}

/// An entry of the log, with what shows that it is in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its place.
    pub index: u64,
    /// What is recorded.
    pub event: Event,
    /// The recorded bytes.
    pub leaf: Vec<u8>,
    /// Their stored hash.
    pub hash: Hash,
    /// The proof that it is in the log.
    pub inclusion: Inclusion,
}

/// That an entry is in the tree of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inclusion {
    /// The size of the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The audit path, lowest sibling first.
    pub path: Vec<Hash>,
    /// The signed note that names size and root.
    pub checkpoint: String,
}

/// An export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// What was asked for.
    pub body: Vec<u8>,
    /// Where to go on, when there is more.
    pub next: Option<u64>,
}

/// What is asked for, typed.
///
/// # Errors
/// [`AuditError::BadFilter`] naming the first member that is not of its type.
pub fn filter(asked: &AuditFilter) -> Result<EventFilter, AuditError> {
    let moment = |member, text: &Option<String>| {
        let parse = |text: &String| Timestamp::parse_rfc3339(text).ok_or(AuditError::BadFilter { member });
        text.as_ref().map(parse).transpose()
    };
    let request = asked.request.as_ref().map(|text| text.parse());
    Ok(EventFilter {
        actor: asked.actor.clone(),
        action: asked.action.clone(),
        app: asked.app.clone(),
        since: moment("from", &asked.from)?,
        until: moment("to", &asked.to)?,
        decision: asked.verdict.map(|verdict| match verdict {
            AuditVerdict::Allow => Decision::Allow,
            AuditVerdict::Refuse => Decision::Refuse,
        }),
        phase: asked.phase.map(|phase| match phase {
            AuditPhase::Intent => gateway_audit::Phase::Intent,
            AuditPhase::Outcome => gateway_audit::Phase::Outcome,
            AuditPhase::Single => gateway_audit::Phase::Single,
        }),
        request: request.transpose().map_err(|_| AuditError::BadFilter { member: "request" })?,
        text: asked.q.clone(),
    })
}

/// A cursor, as the page before gave it out.
///
/// # Errors
/// [`AuditError::BadFilter`].
pub fn cursor(text: Option<&str>) -> Result<Option<u64>, AuditError> {
    text.map(|text| text.parse().map_err(|_| AuditError::BadFilter { member: "cursor" })).transpose()
}

/// One page of events, newest first, of those before `before`. A page can be short and still have a `next`.
///
/// # Errors
/// Only the store's.
pub async fn search(
    app: &App,
    whose: Whose<'_>,
    mut filter: EventFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Page<(u64, Event)>, AuditError> {
    let Whose::Own(caller) = whose else {
        return Ok(app.store.events().search(&filter, before, limit).await?);
    };
    let name = caller.principal.display_name();
    if filter.actor.as_ref().is_some_and(|asked| *asked != name) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    filter.actor = Some(gateway_audit::bounded(&name));
    let mut page = app.store.events().search(&filter, before, limit).await?;
    // Names are given anew: another token of the same name, an address of somebody who was removed.
    let own = gateway_audit::Actor::of(&caller.principal).id;
    page.items.retain(|(_, event)| own.is_some() && event.actor.id == own);
    Ok(page)
}

/// One entry, with its hash and the proof that it is in the log.
///
/// # Errors
/// [`AuditError::NoSuchEntry`], or the store's.
pub async fn read(app: &App, index: u64) -> Result<Entry, AuditError> {
    let events = app.store.events();
    let after = index.checked_add(1).ok_or(AuditError::NoSuchEntry { index })?;
    let row = events.leaves(index, after).await?.into_iter().next();
    let row = row.ok_or(AuditError::NoSuchEntry { index })?;
    if row.has_no_body() {
        pruned(&app.store, index).await?;
    }
    let (event, _nonce) = Event::from_leaf(&row.bytes)
        .map_err(|_bad| gateway_store::StoreError::Corrupt { what: "leaf of the audit log" })?;
    let inclusion = inclusion(app, index).await?;
    Ok(Entry { index, event, leaf: row.bytes, hash: row.hash, inclusion })
}

/// Says of an entry without a body that it was pruned; one that must have a body is nothing that this passes off as that.
///
/// # Errors
/// [`AuditError::Pruned`], or the store's.
pub(crate) async fn pruned(store: &gateway_store::Store, index: u64) -> Result<(), AuditError> {
    let first_kept = store.audit_retention().first_kept().await?;
    if index < first_kept { Err(AuditError::Pruned { index, first_kept }) } else { Ok(()) }
}

async fn inclusion(app: &App, index: u64) -> Result<Inclusion, AuditError> {
    let checkpoint = app.store.audit().checkpoint().await?;
    let head = app.store.audit().keys().await?.verify(&checkpoint)?.head();
    let proof = tree::inclusion(&app.store, index, Some(head.size)).await?;
    Ok(Inclusion { size: head.size, root: head.root, path: proof.path, checkpoint })
}

/// Writes events, newest first, of those before `before`; at most `limit` and [`MOST_EXPORTED`]. That
/// somebody takes them is recorded first.
///
/// # Errors
/// Only the store's; then nothing leaves.
pub async fn export(
    app: &App,
    operator: &Operator<'_>,
    asked: &AuditFilter,
    format: AuditFormat,
    before: Option<u64>,
    limit: u32,
) -> Result<Export, AuditError> {
    let filter = filter(asked)?;
    announce(app, operator, asked, format, before).await?;
    exported(app, &filter, format, before, limit).await
}

/// The events themselves.
async fn exported(
    app: &App,
    filter: &EventFilter,
    format: AuditFormat,
    before: Option<u64>,
    limit: u32,
) -> Result<Export, AuditError> {
    let mut left = limit.clamp(1, MOST_EXPORTED);
    let mut body = match format {
        AuditFormat::Ndjson => Vec::new(),
        AuditFormat::Csv => csv::HEAD.as_bytes().to_vec(),
    };
    let mut next = before;
    loop {
        let page = app.store.events().search(filter, next, left.min(1000)).await?;
        for (index, event) in &page.items {
            line(&mut body, format, *index, event)?;
            left = left.saturating_sub(1);
            if body.len() >= MOST_EXPORTED_BYTES {
                return Ok(Export { body, next: Some(*index) });
            }
        }
        next = cursor(page.next.as_deref())?;
        if next.is_none() || left == 0 {
            return Ok(Export { body, next });
        }
    }
}

fn line(body: &mut Vec<u8>, format: AuditFormat, index: u64, event: &Event) -> Result<(), AuditError> {
    match format {
        AuditFormat::Ndjson => {
            let line = json!({ "index": index, "time": event.time.to_rfc3339(), "event": event });
            serde_json::to_writer(&mut *body, &line).map_err(AuditError::Json)?;
            body.push(b'\n');
        }
        AuditFormat::Csv => csv::line(body, index, event),
    }
    Ok(())
}

/// Records what an evidence bundle is known by.
///
/// # Errors
/// [`AuditError::BadEvidence`], or when it cannot be recorded.
pub async fn record_evidence(
    app: &App,
    operator: &Operator<'_>,
    asked: &RecordEvidence,
) -> Result<(), AuditError> {
    let is_digest = asked.digest.len() == 64
        && asked.digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let moment = |text: &str| Timestamp::parse_rfc3339(text).ok_or(AuditError::BadEvidence);
    let (from, to) = (moment(&asked.from)?, moment(&asked.to)?);
    if !is_digest || to < from {
        return Err(AuditError::BadEvidence);
    }
    let mut event = operator.event("gateway:audit:evidence");
    event.parameters.insert("digest".to_owned(), asked.digest.clone());
    event.parameters.insert("from".to_owned(), from.to_rfc3339());
    event.parameters.insert("to".to_owned(), to.to_rfc3339());
    event.parameters.insert("entries".to_owned(), asked.entries.to_string());
    Ok(record(&app.store, event).await?)
}

const fn format_name(format: AuditFormat) -> &'static str {
    match format {
        AuditFormat::Ndjson => "ndjson",
        AuditFormat::Csv => "csv",
    }
}

async fn announce(
    app: &App,
    operator: &Operator<'_>,
    asked: &AuditFilter,
    format: AuditFormat,
    before: Option<u64>,
) -> Result<(), AuditError> {
    let mut event = operator.event("gateway:audit:export");
    let filter = serde_json::to_string(asked).map_err(AuditError::Json)?;
    event.parameters.insert("filter".to_owned(), gateway_audit::bounded(&filter));
    event.parameters.insert("format".to_owned(), format_name(format).to_owned());
    if let Some(before) = before {
        event.parameters.insert("cursor".to_owned(), before.to_string());
    }
    Ok(record(&app.store, event).await?)
}
