//! The audit log's writing side. One task drains a bounded queue and writes what waits in one
//! transaction (group commit), under a lock on the tree head, so that all instances keep one order.
//! What an event means is not known here.
//!
//! Start at [`AuditLog::append`] (durable) and [`AuditLog::queue`] (plain reads and outcomes), then
//! `writer`.

mod chunk;
mod pending;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_audit::{Checkpoint, Event, Head, NoteSigner, NoteVerifier, Phase, PreviousShutdown, Receipt};
use gateway_types::{EventId, GatewayId, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::store::Core;

pub(crate) use chunk::{from_column, read_head, to_column};
pub(crate) use pending::column;
use pending::{Pending, Urgency};
use writer::{Message, Writer};

/// Events that may wait for the writer.
const MOST_QUEUED: usize = 4096;
/// How long an append may take before the request is refused.
const APPEND_LIMIT: Duration = Duration::from_secs(15);
/// How old the newest stored checkpoint may become.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// How the log is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditHealth {
    /// The last attempt to write succeeded.
    pub writable: bool,
    /// Events waiting to be written.
    pub queued: usize,
    /// What the last failed attempt said, while the log is not writable.
    pub last_error: Option<String>,
    /// Plain reads lost since the start because the queue was full; each run of them is a
    /// `gateway:audit:gap` event.
    pub dropped_reads: u64,
    /// Transactions committed since the start.
    pub commits: u64,
}

#[derive(Debug, Default)]
struct Shared {
    broken: AtomicBool,
    queued: AtomicUsize,
    dropped: AtomicU64,
    dropped_unmarked: AtomicU64,
    commits: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Shared {
    fn drop_read(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_unmarked.fetch_add(1, Ordering::Relaxed);
    }
}

/// The audit log, for writing.
#[derive(Debug)]
pub struct AuditLog {
    core: Arc<Core>,
    gateway_id: GatewayId,
    signer: Arc<NoteSigner>,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Message>,
    runtime: Handle,
    task: Mutex<Option<JoinHandle<()>>>,
    serving: bool,
}

impl AuditLog {
    /// Starts the writer. `serving`: also publish checkpoints by the clock and write start and stop.
    pub(crate) async fn start(
        core: Arc<Core>,
        gateway_id: GatewayId,
        signer: NoteSigner,
        serving: bool,
    ) -> Result<AuditLog, StoreError> {
        let head = chunk::prepare_head(&core.database).await?;
        let (sender, receiver) = mpsc::channel(MOST_QUEUED);
        let signer = Arc::new(signer);
        let shared = Arc::new(Shared::default());
        let signing = Signing { core: Arc::clone(&core), gateway_id, signer: Arc::clone(&signer) };
        let writer = Writer::new(signing, Arc::clone(&shared), receiver, head, serving);
        let task = tokio::spawn(writer.run());
        Ok(AuditLog {
            core,
            gateway_id,
            signer,
            shared,
            sender,
            runtime: Handle::current(),
            task: Mutex::new(Some(task)),
            serving,
        })
    }

    /// Records the event durably: returns once the transaction that holds it and the new tree head
    /// is committed. The receipt's checkpoint covers the event.
    ///
    /// # Errors
    /// Any error means that what the event records must not happen. The event may still come to be
    /// in the log: an answer of the database can be lost.
    pub async fn append(&self, event: Event) -> Result<Receipt, StoreError> {
        let (reply, answer) = oneshot::channel();
        let pending = self.pending(&event, Urgency::Durable(reply))?;
        let exchange = async {
            self.send(Message::Write(pending)).await?;
            answer.await.unwrap_or(Err(StoreError::AuditClosed))
        };
        tokio::time::timeout_at(Instant::now() + APPEND_LIMIT, exchange)
            .await
            .map_err(|_elapsed| StoreError::TimedOut { doing: "an audit record", limit: APPEND_LIMIT })?
    }

    /// Records the event soon: within 100 ms while the database answers. Never blocks.
    ///
    /// When the queue is full a plain read ([`Phase::Single`]) is counted and dropped, and a
    /// `gateway:audit:gap` event with the count follows; an outcome waits for its place.
    pub fn queue(&self, event: Event) {
        let droppable = event.phase == Phase::Single && event.intent.is_none();
        let urgency = || if droppable { Urgency::Droppable } else { Urgency::Kept };
        let pending = match self.pending(&event, urgency()) {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, id = %event.id, "an event was cut down");
                match self.pending(&cut_down(event), urgency()) {
                    Ok(pending) => pending,
                    Err(_again) => return self.shared.drop_read(),
                }
            }
        };
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        match self.sender.try_send(Message::Write(pending)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(message)) if !droppable => {
                let sender = self.sender.clone();
                self.runtime.spawn(async move {
                    // Only a closed log ends this; it has then written all it could.
                    let _ = sender.send(message).await;
                });
            }
            Err(mpsc::error::TrySendError::Full(_) | mpsc::error::TrySendError::Closed(_)) => {
                self.shared.queued.fetch_sub(1, Ordering::Relaxed);
                self.shared.drop_read();
            }
        }
    }

    /// Returns once everything queued before is committed.
    ///
    /// # Errors
    /// When it could not be written now; it stays queued.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Flush(reply)).await?;
        answer.await.unwrap_or(Err(StoreError::AuditClosed))
    }

    /// Writes what is queued, the stop event and a last checkpoint, and ends the writer. Closing
    /// again does nothing.
    ///
    /// # Errors
    /// When something queued could not be written any more.
    pub async fn close(&self) -> Result<(), StoreError> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return Ok(()) };
        let stop = if self.serving {
            let event = Event::stopped(self.core.clock.now(), self.event_id());
            Some(self.pending(&event, Urgency::Kept)?)
        } else {
            None
        };
        let (reply, answer) = oneshot::channel();
        self.send(Message::Close(stop, reply)).await?;
        let closed = answer.await.unwrap_or(Err(StoreError::AuditClosed));
        // The writer has nothing left to do; a panic in it was reported by its lost answer.
        let _ = task.await;
        closed
    }

    /// The signed checkpoint of the present head. Also stored, unless one was in the last minute.
    ///
    /// # Errors
    /// Only when the database cannot be used.
    pub async fn checkpoint(&self) -> Result<String, StoreError> {
        let signing = Signing {
            core: Arc::clone(&self.core),
            gateway_id: self.gateway_id,
            signer: Arc::clone(&self.signer),
        };
        signing.publish(self.head().await?, Due::AfterInterval).await
    }

    /// The key that checks this log's checkpoints; prints as a `vkey`.
    pub fn verifier(&self) -> NoteVerifier {
        self.signer.verifier()
    }

    /// How the log is doing.
    pub fn health(&self) -> AuditHealth {
        let broken = self.shared.broken.load(Ordering::Relaxed);
        let last_error = self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        AuditHealth {
            writable: !broken && !self.sender.is_closed(),
            queued: self.shared.queued.load(Ordering::Relaxed),
            last_error: last_error.filter(|_text| broken),
            dropped_reads: self.shared.dropped.load(Ordering::Relaxed),
            commits: self.shared.commits.load(Ordering::Relaxed),
        }
    }

    /// The present head: how many leaves, and the root over them.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn head(&self) -> Result<Head, StoreError> {
        chunk::read_head(&self.core.database).await
    }

    /// Records that `serve` started, and how the run before ended.
    pub(crate) async fn record_start(&self, previous: PreviousShutdown) -> Result<(), StoreError> {
        let event = Event::started(self.core.clock.now(), self.event_id(), previous);
        self.append(event).await.map(|_receipt| ())
    }

    fn event_id(&self) -> EventId {
        EventId::new(self.core.clock.now(), &*self.core.entropy)
    }

    fn pending(&self, event: &Event, urgency: Urgency) -> Result<Pending, StoreError> {
        Pending::new(event, &*self.core.entropy, urgency)
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        if let Message::Write(_) = message {
            self.shared.queued.fetch_add(1, Ordering::Relaxed);
        }
        self.sender.send(message).await.map_err(|_closed| StoreError::AuditClosed)
    }
}

/// An event that cannot be encoded, without what can be at fault: that something was done by
/// somebody must not be lost over its details.
fn cut_down(mut event: Event) -> Event {
    event.before = None;
    event.after = None;
    event.parameters.clear();
    event.reason = Some("details were left out: they could not be encoded".to_owned());
    event
}

/// When a checkpoint is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Only if none was stored for [`CHECKPOINT_INTERVAL`].
    AfterInterval,
    /// In any case.
    Now,
}

/// What it takes to publish a checkpoint.
struct Signing {
    core: Arc<Core>,
    gateway_id: GatewayId,
    signer: Arc<NoteSigner>,
}

impl Signing {
    fn sign(&self, head: &Head, now: Timestamp) -> String {
        self.signer.sign(&Checkpoint::new(self.gateway_id, head, now))
    }

    /// Signs a committed head, and stores the note when it is due.
    async fn publish(&self, head: Head, due: Due) -> Result<String, StoreError> {
        let now = self.core.clock.now();
        let note = self.sign(&head, now);
        let interval = i64::try_from(CHECKPOINT_INTERVAL.as_micros()).unwrap_or(i64::MAX);
        let stored_since = match due {
            Due::AfterInterval => now.micros().saturating_sub(interval),
            Due::Now => i64::MAX,
        };
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO audit_checkpoints (size, note, time) SELECT $1, $2, $3 \
             WHERE (SELECT count(*) FROM audit_checkpoints WHERE time > $4) = 0 \
             ON CONFLICT (size) DO NOTHING",
        )
        .bind(chunk::to_column(head.size)?)
        .bind(note.clone())
        .bind(now.micros())
        .bind(stored_since)
        .execute(self.core.database.pool())
        .await?;
        Ok(note)
    }
}
