//! Vantage points: from where it is looked whether anything answers past the gateway. The gateway itself is one (its probe), agents
//! elsewhere are others; each says what it found, and what is news of that is an event and, when something answers, told.
//!
//! Start reading at [`take`]. How ports are looked at is not known here.
//!
//! # Security
//! A name belongs to whoever reported in it first: nobody else can say in an agent's name that all is well. What cannot
//! be looked at changes nothing, and reports that stay away are told of, so that silence is no good sign.

mod memory;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use gateway_audit::{ActorKind, bounded};
use gateway_pki::id::is_label;
use gateway_store::{Store, StoreError, VantagePoint, ZoneKnock};
use gateway_types::wire::vantage::VantageReport;
use gateway_types::{Layer, Problem, ProblemKind, Timestamp};

use crate::error::AppError;
use crate::zone::members::RefusedThere;
use crate::{App, Notice, Operator, problems, record};

use memory::Memory;
pub use memory::{Cleared, Turn};

/// The name of the gateway itself as a vantage point.
pub const OWN: &str = "gateway";

/// How a vantage point stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VantageState {
    /// Nothing answers.
    Quiet,
    /// Something does.
    Open,
    /// Something could not be looked at.
    Unclear,
    /// Its reports stay away.
    Silent,
}

impl VantageState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quiet, Self::Open, Self::Unclear, Self::Silent];

    /// The word for it, in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Open => "open",
            Self::Unclear => "unclear",
            Self::Silent => "silent",
        }
    }
}

/// The most vantage points.
const MOST_POINTS: usize = 200;
/// The most targets of one report.
pub const MOST_TARGETS: usize = 2000;
/// The longest text of a target or of what is there.
const LONGEST_TEXT: usize = 300;

/// The lease of whoever looks for reports that stay away.
const LEASE: &str = "vantage-points";
/// For how long it holds without its holder.
const LEASE_TTL: Duration = Duration::from_secs(30);

/// For how long after a try of the gateway's own its refusal is no news: members report every five seconds.
const KNOCK_HEARD: Duration = Duration::from_secs(30);

/// Why a report was not taken, or nothing could be said of vantage points.
#[derive(Debug, thiserror::Error)]
pub enum VantageError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// The name.
    #[error(
        "a vantage point is named by a label a-z, 0-9 and -, and not `gateway`, which is the gateway itself"
    )]
    Name,
    /// The report.
    #[error(
        "a report names 1 to 2000 targets, each and its meaning in 1 to 300 plain characters, and comes every 10 to 3600 seconds"
    )]
    Report,
    /// Somebody else reports in this name.
    #[error("`{name}` is the vantage point of {reporter}; take another name, or have an admin remove it")]
    Taken {
        /// The name.
        name: String,
        /// Whose it is.
        reporter: String,
    },
    /// There are too many.
    #[error("there are 200 vantage points already; remove one that is not used")]
    TooMany,
    /// There is none of this name.
    #[error("there is no vantage point `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// What is kept is of another version, or has no JSON form.
    #[error("what is kept of a vantage point cannot be read or written")]
    Memory(#[from] serde_json::Error),
}

impl From<VantageError> for Problem {
    fn from(error: VantageError) -> Self {
        let said = error.to_string();
        let (kind, layer) = match error {
            VantageError::Store(error) => return problems::of_store(&error),
            VantageError::Record(error) => return error.into(),
            VantageError::Memory(error) => return problems::internal(&error),
            VantageError::Name | VantageError::Report => (ProblemKind::BadParameter, Layer::Network),
            VantageError::Taken { .. } => (ProblemKind::Refused, Layer::Authorization),
            VantageError::TooMany => (ProblemKind::NotPossible, Layer::Authorization),
            VantageError::Unknown { .. } => (ProblemKind::NotFound, Layer::Authorization),
        };
        Problem::new(kind, layer, said)
    }
}

/// A vantage point and its last word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Who reports, for people.
    pub reporter: String,
    /// How it stands.
    pub state: VantageState,
    /// When it last reported.
    pub reported: Timestamp,
    /// How often it says that it does.
    pub every: Duration,
    /// At how many targets it looked.
    pub looked: u64,
    /// What answers: target, what is there, since when.
    pub open: Vec<(String, String, Timestamp)>,
    /// What could not be looked at.
    pub unclear: Vec<String>,
}

/// All of them, by name.
///
/// # Errors
/// [`VantageError::Store`] and [`VantageError::Memory`].
pub async fn list(store: &Store) -> Result<Vec<Listed>, VantageError> {
    store.vantage_points().list().await?.into_iter().map(listed).collect()
}

fn listed(point: VantagePoint) -> Result<Listed, VantageError> {
    let memory: Memory = serde_json::from_str(&point.seen)?;
    Ok(Listed {
        state: memory.state(),
        name: point.name,
        reporter: point.reporter_name,
        reported: point.reported,
        every: Duration::from_secs(memory.every_seconds),
        looked: memory.looked,
        open: memory
            .open
            .into_iter()
            .map(|(target, open)| (target, open.meaning, Timestamp::from_micros(open.since)))
            .collect(),
        unclear: memory.unclear,
    })
}

/// When the gateway itself last looked; `None` = never.
///
/// # Errors
/// Only the store's.
pub async fn last_own_look(store: &Store) -> Result<Option<Timestamp>, VantageError> {
    Ok(store.vantage_points().one(OWN).await?.map(|point| point.reported))
}

/// Takes an agent's report: what is news of it is recorded, and told when something answers.
///
/// # Errors
/// [`VantageError`]; then nothing of the report is kept.
pub async fn take(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    report: &VantageReport,
) -> Result<Vec<Turn>, VantageError> {
    if !is_label(name) || name == OWN {
        return Err(VantageError::Name);
    }
    take_of(app, operator, name, report).await
}

/// Takes what the gateway's own probe found.
///
/// # Errors
/// [`VantageError`]; then nothing of it is kept.
pub async fn take_own(app: &App, report: &VantageReport) -> Result<Vec<Turn>, VantageError> {
    take_of(app, &Operator::system(&*app.clock, &*app.entropy), OWN, report).await
}

async fn take_of(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    report: &VantageReport,
) -> Result<Vec<Turn>, VantageError> {
    check(report)?;
    let points = app.store.vantage_points();
    let reporter = reporter(operator);
    let known = points.one(name).await?;
    let (before, revision) = match known {
        Some(point) if point.reporter != reporter => {
            return Err(VantageError::Taken { name: point.name, reporter: point.reporter_name });
        }
        Some(point) => (serde_json::from_str(&point.seen)?, point.revision),
        None if points.list().await?.len() >= MOST_POINTS => return Err(VantageError::TooMany),
        None => (Memory::default(), 0),
    };
    let now = app.clock.now();
    let (next, turns) = before.after(report, now);
    // The record first: a report that is broken off between the two is news once more.
    if revision == 0 {
        // From now on the name is theirs.
        let mut event = operator.event("gateway:vantage:begin");
        event.parameters.insert("name".to_owned(), name.to_owned());
        record(&app.store, event).await?;
    }
    for turn in &turns {
        record_turn(app, operator, name, turn).await?;
    }
    let point = VantagePoint {
        name: name.to_owned(),
        reporter,
        reporter_name: operator.actor.name.clone(),
        reported: now,
        revision,
        seen: serde_json::to_string(&next)?,
    };
    points.keep(&point).await?;
    let opened: Vec<String> =
        turns.iter().filter(|turn| matches!(turn, Turn::Opened { .. })).map(ToString::to_string).collect();
    if !opened.is_empty() {
        app.notices.notify(Notice::Exposed { vantage: name.to_owned(), targets: opened }).await;
    }
    Ok(turns)
}

/// Who reports, so that it stays the same from one report to the next: short tokens of a workload differ each time.
fn reporter(operator: &Operator<'_>) -> String {
    let actor = &operator.actor;
    let id = actor.id.as_deref().unwrap_or(&actor.name);
    match actor.kind {
        ActorKind::User => format!("user {id}"),
        ActorKind::ApiToken => format!("token {id}"),
        ActorKind::AccessToken => format!("{id} of {}", actor.on_behalf_of.as_deref().unwrap_or_default()),
        ActorKind::Workload
        | ActorKind::BreakGlass
        | ActorKind::LocalOperator
        | ActorKind::System
        | ActorKind::Anonymous => actor.name.clone(),
    }
}

fn check(report: &VantageReport) -> Result<(), VantageError> {
    let is_fit =
        |text: &str| (1..=LONGEST_TEXT).contains(&text.chars().count()) && !text.contains(char::is_control);
    let holds = (10..=3600).contains(&report.every_seconds)
        && (1..=MOST_TARGETS).contains(&report.sightings.len())
        && report.sightings.iter().all(|one| is_fit(&one.target) && is_fit(&one.meaning));
    if holds { Ok(()) } else { Err(VantageError::Report) }
}

async fn record_turn(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    turn: &Turn,
) -> Result<(), VantageError> {
    let mut event = operator.event(match turn {
        Turn::Opened { .. } => "gateway:vantage:exposed",
        Turn::Closed { .. } => "gateway:vantage:closed",
        Turn::Returned => "gateway:vantage:returned",
    });
    event.parameters.insert("name".to_owned(), name.to_owned());
    match turn {
        Turn::Opened { target, .. } => {
            event.parameters.insert("target".to_owned(), bounded(target));
        }
        Turn::Closed { target, since, .. } => {
            event.parameters.insert("target".to_owned(), bounded(target));
            event.parameters.insert("since".to_owned(), since.to_rfc3339());
        }
        Turn::Returned => {}
    }
    event.reason = Some(bounded(&turn.to_string()));
    Ok(record(&app.store, event).await?)
}

/// Tells of each agent whose reports stay away, once until they come again; gives their names. One instance at a time does.
///
/// # Errors
/// [`VantageError`]; the next look finds what this one would have.
pub async fn tell_of_silence(app: &App) -> Result<Vec<String>, VantageError> {
    if silent(app).await?.is_empty() {
        return Ok(Vec::new());
    }
    let lease = match app.store.leases().acquire(LEASE, LEASE_TTL, Duration::ZERO).await {
        Err(StoreError::LeaseHeld { .. }) => return Ok(Vec::new()),
        lease => lease?,
    };
    let told = tell_alone(app).await;
    lease.release().await?;
    told
}

/// Agents whose reports stay away, of whom that was not told yet. The gateway's own look has a metric and a note of its own, and may be
/// switched off.
async fn silent(app: &App) -> Result<Vec<(VantagePoint, Memory)>, VantageError> {
    let mut silent = Vec::new();
    for point in app.store.vantage_points().list().await? {
        let memory: Memory = serde_json::from_str(&point.seen)?;
        if point.name != OWN && !memory.silent && memory.is_overdue(point.reported, app.clock.now()) {
            silent.push((point, memory));
        }
    }
    Ok(silent)
}

async fn tell_alone(app: &App) -> Result<Vec<String>, VantageError> {
    let mut told = Vec::new();
    for (point, memory) in silent(app).await? {
        let operator = Operator::system(&*app.clock, &*app.entropy);
        let mut event = operator.event("gateway:vantage:silent");
        event.parameters.insert("name".to_owned(), point.name.clone());
        event.parameters.insert("reported".to_owned(), point.reported.to_rfc3339());
        event.reason = Some("its reports stay away".to_owned());
        record(&app.store, event).await?;
        let (name, last) = (point.name.clone(), point.reported);
        let seen = serde_json::to_string(&Memory { silent: true, ..memory })?;
        match app.store.vantage_points().keep(&VantagePoint { seen, ..point }).await {
            // It reported just now.
            Err(StoreError::Conflict) => continue,
            kept => kept?,
        }
        app.notices.notify(Notice::VantageSilent { vantage: name.clone(), last }).await;
        told.push(name);
    }
    Ok(told)
}

/// Forgets a vantage point; whoever reports in its name next, it is theirs.
///
/// # Errors
/// [`VantageError::Unknown`], or the store's.
pub async fn remove(app: &App, operator: &Operator<'_>, name: &str) -> Result<(), VantageError> {
    let unknown = || VantageError::Unknown { name: bounded(name) };
    let point = app.store.vantage_points().one(name).await?.ok_or_else(unknown)?;
    let mut event = operator.event("gateway:vantage:remove");
    event.parameters.insert("name".to_owned(), point.name.clone());
    event.before = Some(serde_json::json!({
        "name": point.name,
        "reporter": point.reporter_name,
        "reported": point.reported.to_rfc3339(),
    }));
    record(&app.store, event).await?;
    match app.store.vantage_points().remove(name).await {
        Err(StoreError::NotFound) => Err(unknown()),
        removed => Ok(removed?),
    }
}

/// Notes that the gateway itself is about to try connections without an identity at a service, so that their refusal is no
/// news.
///
/// # Errors
/// Only the store's.
pub async fn note_knock(app: &App, service: &str, source: IpAddr, tries: u64) -> Result<(), VantageError> {
    let source = source.to_canonical();
    let at = app.clock.now();
    let heard = i64::try_from(KNOCK_HEARD.as_micros()).unwrap_or(i64::MAX);
    let since = Timestamp::from_micros(at.micros().saturating_sub(heard));
    let knock = ZoneKnock { service: service.to_owned(), source, tries, at };
    Ok(app.store.vantage_points().note_knock(&knock, since).await?)
}

/// What a member refused, without what the gateway itself just tried there; each try of its own is left out once.
///
/// # Errors
/// Only the store's.
pub(crate) async fn without_own_knocks(
    store: &Store,
    service: &str,
    refused: &[RefusedThere],
    now: Timestamp,
) -> Result<Vec<RefusedThere>, StoreError> {
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let knock = store.vantage_points().knock(service).await?;
    let recent = knock.filter(|knock| now.checked_since(knock.at).is_some_and(|age| age <= KNOCK_HEARD));
    let Some(knock) = recent else { return Ok(refused.to_vec()) };
    let is_own = |one: &RefusedThere| {
        let peer: Option<IpAddr> = one.peer.parse().ok();
        one.reason == "no_certificate"
            && one.claimed.is_none()
            && peer.is_some_and(|peer| peer.to_canonical() == knock.source)
    };
    let mut told = Vec::new();
    for one in refused {
        let own = if is_own(one) { one.count.min(knock.tries) } else { 0 };
        let is_spent = own > 0 && store.vantage_points().spend_knocks(service, own).await?;
        let count = if is_spent { one.count.saturating_sub(own) } else { one.count };
        if count > 0 {
            told.push(RefusedThere { count, ..one.clone() });
        }
    }
    Ok(told)
}
