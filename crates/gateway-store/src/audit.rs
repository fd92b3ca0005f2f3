//! The audit log's writing side. One task drains a bounded queue and writes what waits in one
//! transaction (group commit), under a lock on the tree head, so that all instances keep one order.
//! What an event means is not known here.
//!
//! Start at [`AuditLog::append`] (durable) and [`AuditLog::queue`] (plain reads and outcomes), then
//! `writer`.

mod chunk;
mod nodes;
mod pending;
mod signing;
mod spool;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_audit::{Event, Head, KeyChain, NoteSigner, NoteVerifier, Phase, PreviousShutdown, Receipt};
use gateway_types::{EventId, GatewayId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::sealing::Sealer;
use crate::store::Core;

pub(crate) use chunk::{from_column, read_head, to_column};
pub(crate) use nodes::{complete as complete_nodes, read as read_tile};
pub(crate) use pending::{Columns, column};
use pending::{Pending, Urgency};
use signing::{Due, Signing};
pub(crate) use signing::{SEALING_KEY, owner_of};
use spool::Spool;
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
    signing: Arc<Signing>,
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
        first_key: NoteSigner,
        sealer: Arc<Sealer>,
        serving: bool,
    ) -> Result<AuditLog, StoreError> {
        let head = chunk::prepare_head(&core.database).await?;
        if serving {
            let made = nodes::complete(&core.database).await?;
            if made > 0 {
                tracing::info!(
                    made,
                    "nodes of the log's tree were made, so that tiles are read and not computed"
                );
            }
        }
        let (sender, receiver) = mpsc::channel(MOST_QUEUED);
        let shared = Arc::new(Shared::default());
        let signing = Arc::new(Signing::new(Arc::clone(&core), gateway_id, first_key, sealer));
        // Learnt now, so that the key in force is known before the first head is signed.
        signing.signer(chunk::read_head(&core.database).await?.key).await?;
        let writer = Writer::new(Arc::clone(&signing), Arc::clone(&shared), receiver, head, serving);
        let task = tokio::spawn(writer.run());
        Ok(AuditLog {
            core,
            signing,
            shared,
            sender,
            runtime: Handle::current(),
            task: Mutex::new(Some(task)),
            serving,
        })
    }

    /// From now on what cannot be written is kept in this directory until it can, and what an earlier process left
    /// there is written. Without it such events are kept in memory, and lost with the process.
    ///
    /// # Errors
    /// [`StoreError::File`] when the directory cannot be used; the log works without.
    pub async fn keep_in(&self, directory: &Path) -> Result<(), StoreError> {
        let spool = Spool::open(directory, self.signing.gateway_id())?;
        self.shared.queued.fetch_add(spool.len(), Ordering::Relaxed);
        self.send(Message::Spool(spool)).await
    }

    /// Whether the last attempt to write succeeded.
    pub fn is_writable(&self) -> bool {
        !self.shared.broken.load(Ordering::Relaxed)
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
        let head = chunk::read_head(&self.core.database).await?;
        self.signing.publish(&head, Due::AfterInterval).await
    }

    /// The newest key of this log that this process knows; prints as a `vkey`. Another instance may have
    /// exchanged it a moment ago: [`keys`](Self::keys) asks.
    pub fn verifier(&self) -> NoteVerifier {
        self.signing.known_verifier()
    }

    /// The keys that ever signed this log, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read, or holds keys that do not follow each other.
    pub async fn keys(&self) -> Result<KeyChain, StoreError> {
        self.signing.chain().await
    }

    /// Exchanges the key that signs the log. From this moment on every instance signs with the new one, and
    /// one checkpoint is signed by both.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else exchanged it at the same time, or when the database cannot
    /// be written.
    pub async fn exchange_key(&self) -> Result<NoteVerifier, StoreError> {
        self.signing.exchange().await
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
        Ok(chunk::read_head(&self.core.database).await?.head)
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
