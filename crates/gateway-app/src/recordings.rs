//! Sessions in the rack as people see them: those that go on, ended from anywhere; and recordings of those that were,
//! read, checked against the audit log, and forgotten after their time.
//!
//! The data plane writes recordings. Who may see which is the verdict's business (class *reveal*, whose intent is in
//! the log before this is called); here are the rules that hold for whoever asks. It must not know frames or tables.

mod error;
mod watch;

use gateway_audit::{Event, bounded};
use gateway_recording::{Chunk, Digest, Verifier};
use gateway_store::{Page, RecordedSession, RecordingFilter, SessionState, Store, StoreError};
use gateway_types::{RecordingId, Resource, Timestamp};
use serde_json::json;

use crate::users::by;
use crate::{App, Operator, record};

pub use error::RecordingError;
pub use watch::{Seen, Watch, join};

/// The longest reason of an end, in characters: it has to fit into a frame that the person sees.
pub const LONGEST_REASON: usize = 300;

/// A page of sessions, newest first.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App, filter: &RecordingFilter) -> Result<Page<RecordedSession>, RecordingError> {
    Ok(app.store.recordings().list(filter).await?)
}

/// The sessions that go on, on any instance.
///
/// # Errors
/// Only the store's.
pub async fn live(app: &App) -> Result<Vec<RecordedSession>, RecordingError> {
    Ok(app.store.recordings().live().await?)
}

/// Some pieces of a recording, with what is wrong with them.
#[derive(Debug)]
pub struct Part {
    /// The session.
    pub session: RecordedSession,
    /// The pieces.
    pub chunks: Vec<Chunk>,
    /// What is wrong, in one sentence.
    pub fault: Option<String>,
    /// Where the log holds the digest of the last of them.
    pub logged_at: Option<u64>,
}

impl Part {
    /// The number of the next piece, while the recording has one.
    pub fn next(&self) -> Option<u64> {
        let last = self.chunks.last()?;
        (!last.is_last && last.sequence + 1 < self.session.chunks).then_some(last.sequence + 1)
    }
}

/// Reads pieces of a recording, from `from` on, and checks them against each other and the audit log. That it was
/// read is in the log before anything is returned.
///
/// # Errors
/// [`RecordingError::Unknown`], [`RecordingError::Nothing`], or the store's.
pub async fn read(
    app: &App,
    operator: &Operator<'_>,
    id: RecordingId,
    from: u64,
) -> Result<Part, RecordingError> {
    let session = app.store.recordings().by_id(id).await?.ok_or(RecordingError::Unknown)?;
    if session.chunks == 0 {
        return Err(RecordingError::Nothing);
    }
    let mut event = about(operator, "gateway:recording:view", &session);
    event.parameters.insert("from_piece".to_owned(), from.to_string());
    record(&app.store, event).await?;
    part(&app.store, session, from).await
}

/// The same for whoever has recorded already that it is read.
async fn part(store: &Store, session: RecordedSession, from: u64) -> Result<Part, RecordingError> {
    // The piece before shows whether the first of these follows it.
    let mut chunks = store.recordings().chunks(session.id, from.saturating_sub(1)).await?;
    let mut verifier = Verifier::new(&session.id.to_string());
    if from > 0 {
        if chunks.is_empty() {
            return Err(RecordingError::Unknown);
        }
        let before = chunks.remove(0);
        if before.sequence + 1 != from {
            return Err(RecordingError::Unknown);
        }
        verifier = verifier.behind(&before);
    }
    let broken = chunks.iter().find_map(|chunk| verifier.take(chunk).err());
    let is_end = verifier.end().chunks >= session.chunks;
    let short = is_end && !verifier.end().is_whole && session.state == SessionState::Ended;
    let logged = logged(store, &session).await?;
    let foreign = chunks.iter().find(|chunk| {
        logged.iter().any(|one| one.sequence == chunk.sequence && one.digest != chunk.digest.to_string())
    });
    let ahead = logged.iter().any(|one| one.sequence >= session.chunks);
    let fault = match (broken, foreign) {
        (Some(fault), _) => Some(fault.to_string()),
        (None, Some(chunk)) => Some(format!("piece {} is not the one in the audit log", chunk.sequence)),
        (None, None) if ahead => Some("pieces that the audit log has are missing".to_owned()),
        (None, None) if short => Some("the end of the recording is missing".to_owned()),
        (None, None) => None,
    };
    let last = chunks.last();
    let logged_at = last.and_then(|last| {
        let same = |one: &&Logged| one.sequence == last.sequence && one.digest == last.digest.to_string();
        logged.iter().find(same).map(|one| one.index)
    });
    Ok(Part { session, chunks, fault, logged_at })
}

/// A piece as the log has it.
struct Logged {
    index: u64,
    sequence: u64,
    digest: String,
}

async fn logged(store: &Store, session: &RecordedSession) -> Result<Vec<Logged>, StoreError> {
    let events = store.events().by_request(session.request_id).await?;
    let id = session.id.to_string();
    let of_piece = |(index, event): (u64, Event)| {
        let parameter = |name: &str| event.parameters.get(name);
        let is_own = parameter("recording") == Some(&id);
        let (sequence, digest) = (parameter("piece")?.parse().ok()?, parameter("digest")?.clone());
        (is_own && Digest::parse(&digest).is_some()).then_some(Logged { index, sequence, digest })
    };
    Ok(events.into_iter().filter_map(of_piece).collect())
}

/// Ends a session, wherever it goes on, with a reason that its person sees.
///
/// # Errors
/// [`RecordingError::BadReason`], [`RecordingError::Unknown`], [`RecordingError::Over`],
/// [`RecordingError::Ending`], or the store's.
pub async fn end(
    app: &App,
    operator: &Operator<'_>,
    id: RecordingId,
    reason: &str,
) -> Result<(), RecordingError> {
    let reason = reason.trim();
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(is_hazard) {
        return Err(RecordingError::BadReason);
    }
    let session = app.store.recordings().by_id(id).await?.ok_or(RecordingError::Unknown)?;
    match session.state {
        SessionState::Live => {}
        SessionState::Ended | SessionState::Cut => return Err(RecordingError::Over),
    }
    let mut event = about(operator, "gateway:live:end", &session);
    event.reason = Some(bounded(reason));
    event.before = Some(json!({ "state": "live" }));
    event.after = Some(json!({ "state": "ended" }));
    record(&app.store, event).await?;
    match app.store.recordings().stop(id, reason, &by(operator)).await {
        Err(StoreError::NotFound) => Err(RecordingError::Over),
        Err(StoreError::Conflict) => Err(RecordingError::Ending),
        stopped => Ok(stopped?),
    }
}

/// Marks sessions whose instance died, and forgets recordings whose time is over; both are in the log.
///
/// # Errors
/// Only the store's.
pub async fn tidy(app: &App, operator: &Operator<'_>) -> Result<(), RecordingError> {
    for cut in app.store.recordings().bury().await? {
        let mut event = about(operator, "gateway:recording:cut", &cut);
        event.parameters.insert("pieces".to_owned(), cut.chunks.to_string());
        event.parameters.insert("digest".to_owned(), cut.digest.clone());
        event.reason = Some("the gateway that held the session stopped without ending it".to_owned());
        record(&app.store, event).await?;
    }
    let kept = i64::try_from(app.settings.recording_retention().as_micros()).unwrap_or(i64::MAX);
    let before = Timestamp::from_micros(operator.clock.now().micros().saturating_sub(kept));
    loop {
        let old = app.store.recordings().ended_before(before).await?;
        if old.is_empty() {
            return Ok(());
        }
        for old in old {
            let mut event = about(operator, "gateway:recording:prune", &old);
            event.parameters.insert("pieces".to_owned(), old.chunks.to_string());
            event.parameters.insert("digest".to_owned(), old.digest.clone());
            event.reason = Some("it is older than recording_retention".to_owned());
            record(&app.store, event).await?;
            app.store.recordings().forget(old.id).await?;
        }
    }
}

fn about(operator: &Operator<'_>, action: &str, session: &RecordedSession) -> Event {
    let mut event = operator.event(action);
    event.resource = session.app.as_deref().map_or_else(Resource::rack, Resource::app);
    event.parameters.insert("recording".to_owned(), session.id.to_string());
    event.parameters.insert("of".to_owned(), bounded(&session.actor));
    event
}
