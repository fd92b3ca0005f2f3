//! Being at a session that goes on: watching it, and joining it as its second person.
//!
//! What is watched is the recording, piece by piece as it is kept, so masked as it is, a moment late, and on whichever
//! instance. Whoever watches gives signs of life, by which the instance that holds the session knows who is there.
//!
//! # Security
//! The second person is never the one whose session it is, nor a token. Watching is in the log before the first byte
//! leaves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_recording::{Chunk, Size, header};
use gateway_store::{RecordedSession, SessionState, Store, StoreError};
use gateway_types::{Caller, Principal, RecordingId};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{RecordingError, about};
use crate::control::Feed;
use crate::{App, Operator, record};

/// How often it is looked for a new piece, and how often a sign of life is given.
const LOOK: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(2);

/// How often whoever watches is told that nothing happens, so that nothing between takes the stream for dead.
const QUIET: Duration = Duration::from_secs(15);

/// How long the database may not answer before watching ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many pieces of what was before are shown at most: 4 MiB or so.
const MOST_BEHIND: u64 = 64;

/// What may wait for whoever watches.
const MOST_WAITING: usize = 4;

/// A session that somebody watches.
#[derive(Debug)]
pub struct Watch {
    store: Arc<Store>,
    id: RecordingId,
    who: String,
    name: String,
    session: RecordedSession,
    size: Size,
    next: u64,
    beaten: Option<Instant>,
}

/// What a look at a session found.
#[derive(Debug)]
pub enum Seen {
    /// Further pieces, in their order.
    Pieces(Vec<Chunk>),
    /// Nothing new.
    Quiet,
    /// It is over, and everything was seen.
    Over(Box<RecordedSession>),
}

impl Watch {
    /// Begins to watch: the log says so first.
    ///
    /// # Errors
    /// [`RecordingError::Unknown`], [`RecordingError::Over`], [`RecordingError::Unseen`], or the store's.
    pub async fn open(
        app: &App,
        operator: &Operator<'_>,
        caller: &Caller,
        id: RecordingId,
    ) -> Result<Self, RecordingError> {
        let session = going_on(app, id).await?;
        if session.mode == "off" {
            return Err(RecordingError::Unseen);
        }
        record(&app.store, about(operator, "gateway:live:watch", &session)).await?;
        let name = caller.principal.display_name();
        let who = match &caller.principal {
            Principal::User { id, .. } => id.to_string(),
            Principal::Anonymous
            | Principal::ApiToken { .. }
            | Principal::AccessToken { .. }
            | Principal::Workload { .. } => format!("other:{name}"),
        };
        let next = session.chunks.saturating_sub(MOST_BEHIND);
        let first = app.store.recordings().chunks(id, 0).await?;
        let head = first.first().and_then(|first| header(&first.plain).ok());
        let size = head.map_or_else(Size::default, |(head, _)| head.size);
        Ok(Self { store: Arc::clone(&app.store), id, who, name, session, size, next, beaten: None })
    }

    /// How large the terminal was when it began.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// The session as it was found.
    pub fn into_session(self) -> RecordedSession {
        self.session
    }

    /// Looks at the session once, and says that somebody is there.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn look(&mut self) -> Result<Seen, StoreError> {
        let recordings = self.store.recordings();
        let session = recordings.by_id(self.id).await?.ok_or(StoreError::NotFound)?;
        let is_live = session.state == SessionState::Live;
        if is_live && self.beaten.is_none_or(|beaten| beaten.elapsed() >= BEAT) {
            recordings.attend(self.id, &self.who, &self.name).await?;
            self.beaten = Some(Instant::now());
        }
        if session.chunks > self.next {
            let chunks = recordings.chunks(self.id, self.next).await?;
            if let Some(last) = chunks.last() {
                self.next = last.sequence + 1;
                return Ok(Seen::Pieces(chunks));
            }
        }
        Ok(if is_live { Seen::Quiet } else { Seen::Over(Box::new(session)) })
    }

    /// Watches to the end, and says with `tell` what of it goes to whoever watches. It ends when they do.
    pub fn feed(self, tell: impl FnMut(&Seen) -> String + Send + 'static) -> Feed {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(self.run(sender, tell));
        Feed::new(receiver)
    }

    async fn run(mut self, sender: mpsc::Sender<Bytes>, mut tell: impl FnMut(&Seen) -> String) {
        let (mut said, mut answered) = (Instant::now(), Instant::now());
        loop {
            match self.look().await {
                Ok(seen) => {
                    answered = Instant::now();
                    let is_due = !matches!(seen, Seen::Quiet) || said.elapsed() >= QUIET;
                    if is_due {
                        said = Instant::now();
                        if sender.send(Bytes::from(tell(&seen))).await.is_err() {
                            return;
                        }
                    }
                    match seen {
                        Seen::Pieces(_) => continue,
                        Seen::Quiet => {}
                        Seen::Over(_) => return,
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        recording = %self.id,
                        "a session that is watched cannot be read"
                    );
                    if answered.elapsed() > PATIENCE {
                        return;
                    }
                }
            }
            tokio::select! {
                () = sender.closed() => return,
                () = sleep(LOOK) => {}
            }
        }
    }
}

/// Joins a session as its second person. It begins, if it waited, and goes on while that person watches it.
///
/// # Errors
/// [`RecordingError::Unknown`], [`RecordingError::Over`], [`RecordingError::NotAPerson`],
/// [`RecordingError::OwnSession`], [`RecordingError::NeedsNone`], or the store's.
pub async fn join(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: RecordingId,
) -> Result<(), RecordingError> {
    let session = going_on(app, id).await?;
    let Principal::User { id: user, .. } = &caller.principal else {
        return Err(RecordingError::NotAPerson);
    };
    if session.user == Some(*user) {
        return Err(RecordingError::OwnSession);
    }
    let Some(second) = session.second else { return Err(RecordingError::NeedsNone) };
    let mut event = about(operator, "gateway:live:join", &session);
    event.before = Some(json!({ "second_person": second.name() }));
    event.after = Some(json!({ "second_person": "there" }));
    record(&app.store, event).await?;
    match app.store.recordings().join(id, *user, &caller.principal.display_name()).await {
        Err(StoreError::NotFound) => Err(RecordingError::Over),
        joined => Ok(joined?),
    }
}

async fn going_on(app: &App, id: RecordingId) -> Result<RecordedSession, RecordingError> {
    let session = app.store.recordings().by_id(id).await?.ok_or(RecordingError::Unknown)?;
    match session.state {
        SessionState::Live => Ok(session),
        SessionState::Ended | SessionState::Cut => Err(RecordingError::Over),
    }
}
