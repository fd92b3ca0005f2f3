//! The sentinel: compares what the rack has with what the log says was asked of it, and tells of a change that nobody asked
//! for through the gateway. Whoever holds the rack's password can go around the gateway; they cannot do it unseen.
//!
//! Each look takes the apps with their running release, their releases and their builds, and holds them to what was there before. A
//! change needs an entry of the log that explains it, and an entry explains one change of each kind. Start reading at [`look`].
//!
//! # Security
//! The first look is the beginning: what was done before it is not judged. A change that is undone between two looks, and processes, are not
//! seen (docs/zone.md).

mod change;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_audit::{Event, bounded};
use gateway_store::{EventFilter, Store, StoreError};
use gateway_types::{Decision, Problem, Resource, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::AppError;
use crate::{App, Notice, Operator, record};

use change::due;
pub use change::{AppSeen, Change, RackSeen, changes};

/// For how long an entry of the log can explain what the rack then shows, in microseconds: builds take their time.
const REACH_MICROS: i64 = 2 * 3600 * 1_000_000;

/// How long the rack may take to show itself: the lease holds longer, so that no two instances tell of the same.
const LONGEST_LOOK: Duration = Duration::from_secs(45);

/// The lease of whoever looks.
const LEASE: &str = "sentinel";
/// For how long it holds without its holder.
const LEASE_TTL: Duration = Duration::from_secs(60);

/// Apps that are asked for their releases and builds in one look, at the most: racks ask their cloud for each.
const MOST_ASKED: usize = 20;

/// Entries of one page of a search.
const PAGE: u32 = 200;

/// Why there was no look.
#[derive(Debug, thiserror::Error)]
pub enum SentinelError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// The rack does not answer.
    #[error("the rack could not be looked at: {0}")]
    Rack(String),
    /// What was seen has no JSON form, or what was kept is of another version.
    #[error("what the sentinel remembers cannot be read or written")]
    Memory(#[from] serde_json::Error),
}

impl From<Problem> for SentinelError {
    fn from(problem: Problem) -> Self {
        SentinelError::Rack(problem.detail)
    }
}

/// What is remembered from one look to the next.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Memory {
    looked: i64,
    rack: RackSeen,
    /// The app that was asked for its releases and builds last, in turn.
    last: String,
    /// Entries that have explained a change.
    spent: Vec<Spent>,
    /// How many changes nothing explained, ever. What an older version kept does not say.
    #[serde(default)]
    bypasses: u64,
    /// The last of them.
    #[serde(default)]
    last_bypass: Option<Bypass>,
}

/// A change that nothing explained, as it is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Bypass {
    /// When it was found, in microseconds since 1970.
    at: i64,
    what: String,
}

/// How the sentinel stands, over all instances.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// When the rack was last compared with the log.
    pub looked: Timestamp,
    /// How many changes were found that nobody asked for.
    pub bypasses: u64,
    /// When the last of them was found, and what it is.
    pub last_bypass: Option<(Timestamp, String)>,
}

/// How the sentinel stands; `None` before its first look.
///
/// # Errors
/// [`SentinelError::Store`] and [`SentinelError::Memory`].
pub async fn standing(store: &Store) -> Result<Option<Standing>, SentinelError> {
    let Some(text) = store.sentinel().seen().await? else { return Ok(None) };
    let memory: Memory = serde_json::from_str(&text)?;
    Ok(Some(Standing {
        looked: Timestamp::from_micros(memory.looked),
        bypasses: memory.bypasses,
        last_bypass: memory.last_bypass.map(|last| (Timestamp::from_micros(last.at), last.what)),
    }))
}

/// An entry that has explained a change of a kind, and explains no other one of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Spent {
    index: u64,
    kind: String,
    /// When, in microseconds since 1970.
    at: i64,
}

/// Looks at the rack once, unless another instance did within `period`; gives what nobody asked for, which is recorded and told by
/// then.
///
/// # Errors
/// [`SentinelError`]; then the next look finds what this one would have.
pub async fn look(app: &App, period: Duration) -> Result<Vec<Change>, SentinelError> {
    let found = look_in_turn(app, period).await;
    app.health.set_sentinel_fault(found.as_ref().err().map(ToString::to_string));
    found
}

async fn look_in_turn(app: &App, period: Duration) -> Result<Vec<Change>, SentinelError> {
    let lease = match app.store.leases().acquire(LEASE, LEASE_TTL, Duration::ZERO).await {
        Err(StoreError::LeaseHeld { .. }) => return Ok(Vec::new()),
        lease => lease?,
    };
    let found = look_alone(app, period).await;
    lease.release().await?;
    found
}

async fn look_alone(app: &App, period: Duration) -> Result<Vec<Change>, SentinelError> {
    let now = app.clock.now();
    let before: Option<Memory> =
        app.store.sentinel().seen().await?.map(|text| serde_json::from_str(&text)).transpose()?;
    if let Some(before) = &before {
        let rested = now.micros().saturating_sub(before.looked);
        // Instances look in turn, not each of them all the time.
        if (0..i64::try_from(period.as_micros() / 2).unwrap_or(i64::MAX)).contains(&rested) {
            return Ok(Vec::new());
        }
    }
    let (rack, last) = tokio::time::timeout(LONGEST_LOOK, see(app, before.as_ref()))
        .await
        .map_err(|_slow| SentinelError::Rack(format!("it took more than {} s", LONGEST_LOOK.as_secs())))??;
    let Some(before) = before else {
        keep(app, &Memory { looked: now.micros(), rack, last, ..Memory::default() }).await?;
        return Ok(Vec::new());
    };
    // An entry explains for as long as it is in reach; instances' clocks differ, and no entry is spent twice.
    let forgotten = now.micros().saturating_sub(2 * REACH_MICROS);
    let mut spent: Vec<Spent> = before.spent.into_iter().filter(|one| one.at >= forgotten).collect();
    let found = changes(&before.rack, &rack);
    let entries = entries(app, &found, now).await?;
    let unasked: Vec<Change> =
        found.into_iter().filter(|change| !is_explained(change, &entries, &mut spent, now)).collect();
    for change in &unasked {
        report(app, change).await?;
    }
    let last_bypass =
        unasked.last().map(|change| Bypass { at: now.micros(), what: bounded(&change.to_string()) });
    let memory = Memory {
        looked: now.micros(),
        rack: rack.after(before.rack),
        last,
        spent,
        bypasses: before.bypasses.saturating_add(u64::try_from(unasked.len()).unwrap_or(u64::MAX)),
        last_bypass: last_bypass.or(before.last_bypass),
    };
    keep(app, &memory).await?;
    if !unasked.is_empty() {
        app.notices
            .notify(Notice::RackBypassed { changes: unasked.iter().map(ToString::to_string).collect() })
            .await;
    }
    Ok(unasked)
}

/// What the rack has now, and which app was asked for its history last.
async fn see(app: &App, before: Option<&Memory>) -> Result<(RackSeen, String), SentinelError> {
    let nothing = Memory::default();
    let before = before.unwrap_or(&nothing);
    let mut rack = app.rack.survey().await?;
    let (asked, last) = due(&before.rack, &rack, &before.last, MOST_ASKED);
    for name in asked {
        let (releases, builds) = app.rack.history(&name).await?;
        if let Some(seen) = rack.apps.get_mut(&name) {
            (seen.known, seen.releases, seen.builds) = (true, releases, builds);
        }
    }
    Ok((rack, last))
}

async fn keep(app: &App, memory: &Memory) -> Result<(), SentinelError> {
    Ok(app.store.sentinel().keep(&serde_json::to_string(memory)?).await?)
}

/// What the log says of the operations that bring such changes about, oldest first.
async fn entries(app: &App, changes: &[Change], now: Timestamp) -> Result<Vec<(u64, Event)>, SentinelError> {
    let wanted: BTreeSet<(Option<String>, &'static str)> = changes
        .iter()
        .flat_map(|change| {
            let of_app = match change {
                // The app of a request that makes one stands in its parameters.
                Change::AppMade { .. } | Change::AppGone { .. } => None,
                Change::BuildMade { app, .. }
                | Change::ReleaseMade { app, .. }
                | Change::Promoted { app, .. } => Some(app.clone()),
            };
            change.actions().iter().map(move |action| (of_app.clone(), *action))
        })
        .collect();
    let since = Timestamp::from_micros(now.micros().saturating_sub(REACH_MICROS));
    let mut found = Vec::new();
    // By its very operation: an app that is polled has many entries, and none may hide the one that is looked for.
    for (of_app, action) in wanted {
        let filter = EventFilter {
            app: of_app,
            action: Some(action.to_owned()),
            since: Some(since),
            ..EventFilter::default()
        };
        let mut before = None;
        loop {
            let page = app.store.events().search(&filter, before, PAGE).await?;
            found.extend(page.items);
            match page.next.as_deref().and_then(|next| next.parse().ok()) {
                Some(next) if before != Some(next) => before = Some(next),
                Some(_) | None => break,
            }
        }
    }
    found.sort_by_key(|(index, _event)| *index);
    found.dedup_by_key(|(index, _event)| *index);
    Ok(found)
}

/// Whether an entry explains the change that has not explained another one of its kind; it has then.
fn is_explained(change: &Change, entries: &[(u64, Event)], spent: &mut Vec<Spent>, now: Timestamp) -> bool {
    let explains = |event: &Event| {
        let is_refused = event.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Refuse);
        // An outcome is of the same request as the intent before it.
        !is_refused && event.phase != gateway_audit::Phase::Outcome && change.is_asked_for_by(event)
    };
    let is_spent = |index: u64| spent.iter().any(|one| one.index == index && one.kind == change.kind());
    let found = entries.iter().find(|(index, event)| explains(event) && !is_spent(*index));
    let Some((index, _event)) = found else { return false };
    spent.push(Spent { index: *index, kind: change.kind().to_owned(), at: now.micros() });
    true
}

async fn report(app: &App, change: &Change) -> Result<(), SentinelError> {
    let operator = Operator::system(&*app.clock, &*app.entropy);
    let mut event = operator.event("gateway:rack:bypassed");
    event.resource = Resource::app(change.app());
    event.parameters.insert("change".to_owned(), change.kind().to_owned());
    if let Some(id) = change.id() {
        event.parameters.insert("id".to_owned(), bounded(id));
    }
    event.reason = Some(bounded(&change.to_string()));
    Ok(record(&app.store, event).await?)
}
