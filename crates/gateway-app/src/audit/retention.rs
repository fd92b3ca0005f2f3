//! Retention of the log: bodies of old entries are removed, behind an anchor that was held against the log, and what the
//! tree is made of stays. A legal hold keeps everything.
//!
//! What is removed is first recorded, in an entry behind the range that it names. That entry is the proof: an entry
//! without a body that no such entry names is an alarm, here and in `audit verify`. How bodies are removed is the
//! store's.

#[cfg(test)]
mod tests;

use std::time::Duration;

use gateway_audit::tiles::TILE_WIDTH;
use gateway_audit::{Head, PRUNE_ACTION, leaf_hash, pruned_before, verify_consistency};
use gateway_store::{EventFilter, LegalHold, Needed, Retained, Store, StoreError};
use gateway_types::{Layer, Problem, ProblemKind, Timestamp};
use serde_json::json;

use super::AuditError;
use crate::users::by;
use crate::{App, Operator, problems, record, tree};

/// The longest reason of a hold, in characters.
pub const LONGEST_REASON: usize = 300;

/// The most transactions of one round: an hour has some millions of entries.
const MOST_PIECES: usize = 2000;

/// How many leaves are read at once.
const PIECE: u64 = 1000;

/// The lease of the one instance that prunes.
const LEASE: &str = "audit-retention";

/// How long that lasts, unless it is given back before. What goes on behind its end does no harm: each piece is one
/// transaction that looks anew.
const LEASE_TIME: Duration = Duration::from_secs(300);

/// Why nothing was pruned, or no hold set.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The log cannot be asked or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Whoever asks why nothing is pruned has to be told.
    #[error("a legal hold needs a reason of 1 to {LONGEST_REASON} characters in one line")]
    BadReason,
    /// There is nothing to lift.
    #[error("there is no legal hold")]
    NoHold,
    /// Another instance is at it.
    #[error("another instance prunes the log at this moment; look again in a minute")]
    Busy,
    /// The bytes of an entry are not those that were hashed.
    #[error(
        "ALARM: entry {index} of the audit log was altered: nothing is pruned; run `rack-gateway audit verify`"
    )]
    Altered {
        /// Which.
        index: u64,
    },
    /// The log does not extend its newest anchor.
    #[error(
        "ALARM: the audit log does not extend its newest anchor: nothing is pruned; run `rack-gateway audit verify`"
    )]
    NotAsAnchored,
    /// Bodies are missing that nobody pruned.
    #[error(
        "ALARM: bodies before entry {first_kept} of the audit log are marked as pruned, and the log says so only of those \
         before {declared}: somebody removed them by hand"
    )]
    Undeclared {
        /// From which on there are bodies, as the database says.
        first_kept: u64,
        /// The same as the log says.
        declared: u64,
    },
}

impl RetentionError {
    /// Whether this tells of somebody who altered the log.
    pub const fn is_alarm(&self) -> bool {
        matches!(
            self,
            RetentionError::Altered { .. }
                | RetentionError::NotAsAnchored
                | RetentionError::Undeclared { .. }
        )
    }
}

impl From<StoreError> for RetentionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseHeld { .. } => RetentionError::Busy,
            error => RetentionError::Audit(error.into()),
        }
    }
}

impl From<RetentionError> for Problem {
    fn from(error: RetentionError) -> Self {
        let (kind, layer) = match error {
            RetentionError::Audit(error) => return error.into(),
            RetentionError::BadReason => (ProblemKind::BadParameter, Layer::Network),
            RetentionError::NoHold | RetentionError::Busy => (ProblemKind::NotPossible, Layer::Authorization),
            RetentionError::Altered { .. }
            | RetentionError::NotAsAnchored
            | RetentionError::Undeclared { .. } => return problems::internal(&error),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// What keeps the oldest of the entries that stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// `audit_retention` is zero.
    Setting,
    /// The legal hold.
    Hold,
    /// It is younger than `audit_retention`.
    Age,
    /// It is in no anchor that this instance kept and held against the log.
    Anchor,
    /// It is not in the counts of charts yet.
    Counts,
    /// This sink was not given it yet.
    Sink(String),
    /// It is of a session that goes on or whose recording is kept.
    Recordings,
}

impl Keeper {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Keeper::Setting => "audit_retention is 0s: bodies are kept for ever".to_owned(),
            Keeper::Hold => "the legal hold".to_owned(),
            Keeper::Age => "its age: it is younger than audit_retention".to_owned(),
            Keeper::Anchor => "anchors: none that this instance verified covers it".to_owned(),
            Keeper::Counts => "the charts: it is not counted yet".to_owned(),
            Keeper::Sink(name) => format!(
                "the sink `{name}`: it was not given it yet (`rack-gateway audit sinks forget` when it is declared no longer)"
            ),
            Keeper::Recordings => "the recording of its session, which is kept or goes on".to_owned(),
        }
    }
}

/// What pruning would do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What the log still has, and the hold.
    pub retained: Retained,
    /// For how long bodies are kept; `None` for ever.
    pub keep: Option<Duration>,
    /// How many entries the newest anchor has that this instance verified.
    pub anchored: u64,
    /// From which entry on bodies would be kept.
    pub to: u64,
    /// What keeps that one.
    pub keeper: Keeper,
}

/// What was pruned: the bodies from the first index up to, not including, the second one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pruned {
    /// The first.
    pub from: u64,
    /// The first that is kept.
    pub to: u64,
}

/// What pruning would do now. Nothing is changed.
///
/// # Errors
/// The store's.
pub async fn plan(app: &App) -> Result<Plan, RetentionError> {
    let retention = app.store.audit_retention();
    let retained = retention.retained().await?;
    let keep = app.settings.audit_retention();
    let anchored = app.health.anchored().map_or(0, |head| head.size);
    let stay = |keeper| Plan { to: retained.first_kept, keeper, keep, anchored, retained: retained.clone() };
    let Some(time) = keep else { return Ok(stay(Keeper::Setting)) };
    if retained.hold.is_some() {
        return Ok(stay(Keeper::Hold));
    }
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let since = Timestamp::from_micros(app.clock.now().micros().saturating_sub(micros));
    let needed = retention.needed(since).await?;
    let size = app.store.events().head().await.map_err(AuditError::from)?.size;
    let (end, keeper) = first_needed(needed, anchored, size);
    Ok(Plan { to: whole_bundles(end).max(retained.first_kept), ..stay(keeper) })
}

/// The first entry that something needs, and what that is.
fn first_needed(needed: Needed, anchored: u64, size: u64) -> (u64, Keeper) {
    let all = [
        Some((needed.by_age.unwrap_or(size), Keeper::Age)),
        Some((anchored, Keeper::Anchor)),
        Some((needed.by_counts, Keeper::Counts)),
        needed.by_sink.map(|(name, position)| (position, Keeper::Sink(name))),
        needed.by_recordings.map(|index| (index, Keeper::Recordings)),
    ];
    let first = all.into_iter().flatten().min_by_key(|(index, _keeper)| *index);
    first.unwrap_or((0, Keeper::Setting))
}

/// A bundle of entries is there whole or not at all, and an hour without many entries leaves no event.
const fn whole_bundles(index: u64) -> u64 {
    index - index % TILE_WIDTH
}

/// Removes the bodies that nothing needs: recorded first, then piece by piece, so that a round that is killed is
/// finished by the next one.
///
/// # Errors
/// [`RetentionError`]; what was removed before stays so, and is as it was recorded.
pub async fn prune(app: &App, operator: &Operator<'_>) -> Result<Pruned, RetentionError> {
    let lease = app.store.leases().acquire(LEASE, LEASE_TIME, Duration::ZERO).await?;
    let pruned = prune_alone(app, operator).await;
    lease.release().await?;
    pruned
}

async fn prune_alone(app: &App, operator: &Operator<'_>) -> Result<Pruned, RetentionError> {
    let store = &app.store;
    let declared = check(store).await?;
    let Plan { retained: Retained { first_kept: from, .. }, to, .. } = plan(app).await?;
    let to = to.min(signed(store).await?);
    if to <= from {
        return Ok(Pruned { from, to: from });
    }
    let anchor = app.health.anchored().ok_or(RetentionError::NotAsAnchored)?;
    hold_to(store, &anchor).await?;
    look_at_bodies(store, from, to).await?;
    if to > declared {
        let mut event = operator.event(PRUNE_ACTION);
        for (name, value) in [
            ("from", declared.to_string()),
            ("to", to.to_string()),
            ("anchored_size", anchor.size.to_string()),
            ("anchored_root", anchor.root.to_base64()),
        ] {
            event.parameters.insert(name.to_owned(), value);
        }
        event.before = Some(json!({ "first_kept": from }));
        event.after = Some(json!({ "first_kept": to }));
        event.reason = Some("they are older than audit_retention; their hashes stay".to_owned());
        record(store, event).await.map_err(AuditError::from)?;
    }
    let mut reached = from;
    for _piece in 0..MOST_PIECES {
        let next = store.audit_retention().prune(to).await?;
        if next <= reached {
            break;
        }
        reached = next;
    }
    tracing::info!(from, to = reached, "bodies of old entries of the audit log were removed");
    Ok(Pruned { from, to: reached })
}

/// Up to which bundle a checkpoint vouches for the log that is kept beside it: whoever verifies asks for one.
async fn signed(store: &Store) -> Result<u64, RetentionError> {
    store.audit().checkpoint().await?;
    let newest = store.events().checkpoints(1).await?;
    Ok(whole_bundles(newest.first().map_or(0, |checkpoint| checkpoint.size)))
}

/// Holds the log to an anchor at this very moment.
async fn hold_to(store: &Store, anchor: &Head) -> Result<(), RetentionError> {
    let head = store.events().head().await?;
    if anchor.size == 0 || anchor.size > head.size {
        return Err(RetentionError::NotAsAnchored);
    }
    let proof = tree::consistency(store, anchor.size, Some(head.size)).await?.path;
    verify_consistency(anchor, &head, &proof).map_err(|_broken| RetentionError::NotAsAnchored)
}

/// What was altered is not removed: it would look like the rest.
async fn look_at_bodies(store: &Store, from: u64, to: u64) -> Result<(), RetentionError> {
    let mut next = from;
    while next < to {
        let rows = store.events().leaves(next, to.min(next.saturating_add(PIECE))).await?;
        if rows.is_empty() {
            return Err(RetentionError::Altered { index: next });
        }
        for row in rows {
            if row.index != next || leaf_hash(&row.bytes) != row.hash {
                return Err(RetentionError::Altered { index: next });
            }
            next += 1;
        }
    }
    Ok(())
}

/// Compares what the database says is pruned with what the log says; returns up to which entry the log says so.
///
/// # Errors
/// [`RetentionError::Undeclared`], or the store's.
pub async fn check(store: &Store) -> Result<u64, RetentionError> {
    // In this order: what is pruned meanwhile was declared before.
    let first_kept = store.audit_retention().first_kept().await?;
    let of_pruning = EventFilter { action: Some(PRUNE_ACTION.to_owned()), ..EventFilter::default() };
    let newest = store.events().search(&of_pruning, None, 1).await?.items;
    let declared = newest.first().and_then(|(_index, event)| pruned_before(event)).unwrap_or(0);
    if first_kept > declared {
        return Err(RetentionError::Undeclared { first_kept, declared });
    }
    Ok(declared)
}

/// Prunes by the clock, and says what is wrong: an alarm is in [`Health`](crate::health::Health) until a round found nothing, and
/// in the log once.
///
/// # Errors
/// What is no alarm: the store's, or that another instance is at it.
pub async fn tend(app: &App) -> Result<(), RetentionError> {
    let operator = Operator::system(&*app.clock, &*app.entropy);
    match prune(app, &operator).await {
        Ok(_) => app.health.set_retention_fault(None),
        Err(RetentionError::Busy) => {}
        Err(error) if error.is_alarm() => {
            let text = error.to_string();
            tracing::error!(
                error = text,
                "the retention of the audit log raises an alarm; look at it at once"
            );
            if app.health.retention_fault().as_ref() != Some(&text) {
                app.health.set_retention_fault(Some(text.clone()));
                let mut event = operator.event("gateway:audit:retention_alarm");
                event.reason = Some(gateway_audit::bounded(&text));
                record(&app.store, event).await.map_err(AuditError::from)?;
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Keeps every body from now on, for this reason. When there is a hold already, reason and person are exchanged.
///
/// # Errors
/// [`RetentionError::BadReason`], or when it cannot be recorded or written.
pub async fn hold(store: &Store, operator: &Operator<'_>, reason: &str) -> Result<LegalHold, RetentionError> {
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    let length = reason.chars().count();
    if !(1..=LONGEST_REASON).contains(&length) || reason.trim().is_empty() || reason.chars().any(is_hazard) {
        return Err(RetentionError::BadReason);
    }
    let before = store.audit_retention().retained().await?.hold;
    let mut event = operator.event("gateway:audit:set_hold");
    event.reason = Some(gateway_audit::bounded(reason));
    event.before = Some(json!({ "hold": before.map(|hold| hold.reason) }));
    event.after = Some(json!({ "hold": reason }));
    record(store, event).await.map_err(AuditError::from)?;
    Ok(store.audit_retention().hold(reason, &by(operator)).await?)
}

/// Lifts the hold.
///
/// # Errors
/// [`RetentionError::NoHold`], or when it cannot be recorded or written.
pub async fn lift(store: &Store, operator: &Operator<'_>) -> Result<(), RetentionError> {
    let hold = store.audit_retention().retained().await?.hold.ok_or(RetentionError::NoHold)?;
    let mut event = operator.event("gateway:audit:lift_hold");
    event.before = Some(json!({ "hold": hold.reason }));
    event.after = Some(json!({ "hold": null }));
    record(store, event).await.map_err(AuditError::from)?;
    Ok(store.audit_retention().lift().await?)
}
