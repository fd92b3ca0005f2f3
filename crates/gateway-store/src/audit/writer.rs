//! The one task that writes: gathers what waits, writes it, answers those who wait for it, and keeps
//! what could not be written.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gateway_audit::{Event, Head, Receipt};
use gateway_types::EventId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::pending::{Pending, Urgency};
use super::signing::{Due, Signing};
use super::spool::{Kept, Spool};
use super::{CHECKPOINT_INTERVAL, Shared, chunk};
use crate::error::StoreError;

/// The most events of one transaction.
const MOST_TOGETHER: usize = 256;
/// How long events nobody waits for are gathered.
const GATHER_FOR: Duration = Duration::from_millis(50);
/// How long one transaction may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// The pause before what could not be written is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Events kept while the database does not answer; further plain reads are counted and dropped.
const MOST_KEPT: usize = 4096;
/// How long the database has to show that it is back.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// How often writing is tried at the close.
const LAST_TRIES: usize = 3;

/// What the writer is asked for.
pub(super) enum Message {
    Write(Pending),
    Flush(oneshot::Sender<Result<(), StoreError>>),
    /// Where to keep what cannot be written.
    Spool(Spool),
    Close(Option<Pending>, oneshot::Sender<Result<(), StoreError>>),
}

pub(super) struct Writer {
    signing: Arc<Signing>,
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Message>,
    pending: VecDeque<Pending>,
    flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    closing: Option<oneshot::Sender<Result<(), StoreError>>>,
    /// The newest head this process knows is committed.
    head: Head,
    /// A commit failed; part of what is pending may be in the log.
    perhaps_written: bool,
    /// Why nothing could be written at the last attempt.
    away: Option<Arc<StoreError>>,
    /// The database gave no sign of life since. Until it does nobody waits for it: what must be durable is refused
    /// at once.
    unreachable: bool,
    probe: Option<JoinHandle<bool>>,
    spool: Option<Spool>,
    publishes: bool,
    publish_at: Instant,
    published_size: Option<u64>,
    retry_at: Instant,
}

/// Why the writer woke up.
enum Woken {
    Message(Box<Message>),
    /// Nobody is left who could send.
    Orphaned,
    Retry,
    /// Whether the database is back.
    Probed(bool),
    Publish,
}

impl Writer {
    pub(super) fn new(
        signing: Arc<Signing>,
        shared: Arc<Shared>,
        receiver: mpsc::Receiver<Message>,
        head: Head,
        publishes: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            signing,
            shared,
            receiver,
            pending: VecDeque::new(),
            flushes: Vec::new(),
            closing: None,
            head,
            perhaps_written: false,
            away: None,
            unreachable: false,
            probe: None,
            spool: None,
            publishes,
            publish_at: now + CHECKPOINT_INTERVAL,
            published_size: None,
            retry_at: now,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            // Here and not only by the timer: under load there is always a message first.
            if self.publishes && Instant::now() >= self.publish_at {
                self.publish(Due::AfterInterval).await;
            }
            match self.wait().await {
                Woken::Message(message) => {
                    self.take(*message);
                    self.gather().await;
                }
                Woken::Retry => {
                    self.look_for_the_database();
                    continue;
                }
                Woken::Probed(false) => {
                    self.unreachable = true;
                    self.retry_at = Instant::now() + RETRY_AFTER;
                    continue;
                }
                Woken::Probed(true) => self.unreachable = false,
                Woken::Publish => continue,
                Woken::Orphaned => {
                    // Dropped without a close, as by a crash: write what is there, and say nothing more.
                    let _ = self.write_all().await;
                    return;
                }
            }
            let written = match &self.away {
                Some(cause) if self.unreachable && self.closing.is_none() => {
                    let cause = Arc::clone(cause);
                    self.put_off(Vec::new(), &cause);
                    Err(cause)
                }
                Some(_) | None => self.write_all().await,
            };
            self.keep_on_disk().await;
            for flush in self.flushes.drain(..) {
                let _ = flush.send(match &written {
                    Ok(()) => Ok(()),
                    Err(cause) => Err(StoreError::NotRecorded { cause: Arc::clone(cause) }),
                });
            }
            if let Some(reply) = self.closing.take() {
                let _ = reply.send(self.last_writes(written).await);
                return;
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let waits = !self.pending.is_empty() || self.spool.as_ref().is_some_and(|spool| !spool.is_empty());
        let retries = (waits || self.away.is_some()) && self.probe.is_none();
        let (probe, receiver) = (&mut self.probe, &mut self.receiver);
        let probe = async {
            match probe.as_mut() {
                Some(probe) => probe.await.unwrap_or(false),
                None => std::future::pending().await,
            }
        };
        let woken = tokio::select! {
            biased;
            answer = probe => Woken::Probed(answer),
            message = receiver.recv() => {
                message.map_or(Woken::Orphaned, |message| Woken::Message(Box::new(message)))
            },
            () = tokio::time::sleep_until(self.retry_at), if retries => Woken::Retry,
            () = tokio::time::sleep_until(self.publish_at), if self.publishes => Woken::Publish,
        };
        if matches!(woken, Woken::Probed(_)) {
            self.probe = None;
        }
        woken
    }

    /// Asks the database for a sign of life, beside everything else.
    fn look_for_the_database(&mut self) {
        let database = self.signing.core.database.clone();
        self.probe =
            Some(tokio::spawn(
                async move { matches!(timeout(PROBE_LIMIT, database.ping()).await, Ok(Ok(()))) },
            ));
    }

    /// Takes in what waits; when nobody waits for an answer, what comes within a moment as well.
    async fn gather(&mut self) {
        let until = Instant::now() + GATHER_FOR;
        while self.pending.len() < MOST_TOGETHER && self.closing.is_none() {
            let message = match self.receiver.try_recv() {
                Ok(message) => message,
                Err(_empty) if self.is_awaited() => return,
                Err(_empty) => match tokio::time::timeout_at(until, self.receiver.recv()).await {
                    Ok(Some(message)) => message,
                    Ok(None) | Err(_) => return,
                },
            };
            self.take(message);
        }
    }

    fn is_awaited(&self) -> bool {
        let durable = |pending: &Pending| matches!(pending.urgency, Urgency::Durable(_));
        !self.flushes.is_empty() || self.closing.is_some() || self.pending.iter().any(durable)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Write(pending) => {
                let full = self.pending.len() >= MOST_KEPT;
                if full && matches!(pending.urgency, Urgency::Droppable) {
                    self.shared.queued.fetch_sub(1, Ordering::Relaxed);
                    self.shared.drop_read();
                } else {
                    self.pending.push_back(pending);
                }
            }
            Message::Flush(reply) => self.flushes.push(reply),
            Message::Spool(spool) => self.spool = Some(spool),
            Message::Close(stop, reply) => {
                self.receiver.close();
                // Whatever got its place before the close is still taken in, before the stop event.
                while let Ok(message) = self.receiver.try_recv() {
                    if !matches!(message, Message::Close(..)) {
                        self.take(message);
                    }
                }
                self.shared.queued.fetch_add(usize::from(stop.is_some()), Ordering::Relaxed);
                self.pending.extend(stop);
                self.closing = Some(reply);
            }
        }
    }

    /// Writes everything pending, a transaction for each [`MOST_TOGETHER`].
    async fn write_all(&mut self) -> Result<(), Arc<StoreError>> {
        self.merge().await?;
        self.mark_gap();
        while !self.pending.is_empty() {
            let count = self.pending.len().min(MOST_TOGETHER);
            let events: Vec<Pending> = self.pending.drain(..count).collect();
            let write = chunk::write(&self.signing.core.database, &events, &self.head, self.perhaps_written);
            let outcome = timeout(WRITE_LIMIT, write).await.unwrap_or_else(|_elapsed| Err(too_slow()));
            match outcome {
                Ok(written) => self.wrote(events, written).await,
                Err(error) => return Err(self.failed(events, error)),
            }
        }
        self.perhaps_written = false;
        self.away = None;
        Ok(())
    }

    /// Writes what was kept on disk, before anything that is younger, and says that it was.
    async fn merge(&mut self) -> Result<(), Arc<StoreError>> {
        let Some(mut spool) = self.spool.take_if(|spool| !spool.is_empty()) else { return Ok(()) };
        let (kept, merged) = (spool.kept(), self.merge_from(&mut spool).await);
        if merged.is_err() {
            spool.rewind();
        }
        self.spool = Some(spool);
        merged?;
        self.mark_kept(kept);
        Ok(())
    }

    async fn merge_from(&mut self, spool: &mut Spool) -> Result<(), Arc<StoreError>> {
        let unreadable = |source| StoreError::Spool { source };
        let database = self.signing.core.database.clone();
        // An earlier attempt, or an earlier process, may have written some of them.
        let written = match timeout(WRITE_LIMIT, chunk::written_since(&database, spool.since_size())).await {
            Ok(Ok(written)) => written,
            Ok(Err(error)) => return Err(self.failed(Vec::new(), error)),
            Err(_elapsed) => return Err(self.failed(Vec::new(), too_slow())),
        };
        loop {
            let mut events = match spool.next(MOST_TOGETHER) {
                Ok(events) => events,
                Err(error) => return Err(self.failed(Vec::new(), unreadable(error))),
            };
            if events.is_empty() {
                break;
            }
            events.retain(|event| !written.contains(&event.leaf.hash));
            let write = chunk::write(&database, &events, &self.head, false);
            match timeout(WRITE_LIMIT, write).await {
                Ok(Ok(written)) => self.committed(&written),
                // They stay on disk.
                Ok(Err(error)) => return Err(self.failed(Vec::new(), error)),
                Err(_elapsed) => return Err(self.failed(Vec::new(), too_slow())),
            }
        }
        // All at once: what is merged anew after a failure must not count twice.
        self.shared.queued.fetch_sub(spool.len(), Ordering::Relaxed);
        spool.clear().map_err(|source| self.failed(Vec::new(), unreadable(source)))
    }

    /// Puts an event in for what was kept on disk.
    fn mark_kept(&mut self, kept: Kept) {
        let core = &self.signing.core;
        let now = core.clock.now();
        let mut event = Event::of_system(now, EventId::new(now, &*core.entropy), "gateway:audit:merge");
        event.count = u64::try_from(kept.count).ok();
        let since = kept.since.map(|since| since.to_rfc3339()).unwrap_or_default();
        event.reason = Some(format!(
            "the database was away: events since {since} were kept on this instance's disk and stand before this one"
        ));
        match Pending::new(&event, &*core.entropy, Urgency::Kept) {
            Ok(pending) => {
                self.shared.queued.fetch_add(1, Ordering::Relaxed);
                self.pending.push_front(pending);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the end of a time without the database could not be marked"
                );
            }
        }
    }

    /// Moves what waits for the database to disk, where there is a place for it. What has none stays in memory.
    async fn keep_on_disk(&mut self) {
        if self.away.is_none() || self.pending.is_empty() {
            return;
        }
        let Some(mut spool) = self.spool.take() else { return };
        let (pending, size) = (std::mem::take(&mut self.pending), self.head.size);
        let kept = tokio::task::spawn_blocking(move || {
            let added = spool.add(&pending.iter().collect::<Vec<_>>(), size);
            (spool, pending, added)
        });
        let (spool, pending, added) = match kept.await {
            Ok(kept) => kept,
            Err(error) => {
                // Only a panic in it: then what it held is gone, and this is the one place that can say so.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "events could not be kept on disk and are lost"
                );
                return;
            }
        };
        self.spool = Some(spool);
        if let Err(error) = added {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "events that cannot be written are kept in memory alone"
            );
            self.pending = pending;
        }
    }

    async fn wrote(&mut self, events: Vec<Pending>, written: chunk::Written) {
        self.shared.queued.fetch_sub(events.len(), Ordering::Relaxed);
        self.committed(&written);
        let is_awaited = events.iter().any(|event| matches!(event.urgency, Urgency::Durable(_)));
        let note = if is_awaited { self.note_of(&written).await } else { None };
        for (event, index) in events.into_iter().zip(written.indices) {
            let (Urgency::Durable(reply), Some(index)) = (event.urgency, index) else { continue };
            let receipt = Receipt { index, leaf_hash: event.leaf.hash, checkpoint: note.clone() };
            // Whoever waited may have gone; the event stays.
            let _ = reply.send(Ok(receipt));
        }
    }

    fn committed(&mut self, written: &chunk::Written) {
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.broken.store(false, Ordering::Relaxed);
        self.head = written.head;
    }

    /// The checkpoint of what was written. Without it the events are in the log all the same, and their
    /// receipts say where.
    async fn note_of(&self, written: &chunk::Written) -> Option<String> {
        match self.signing.signer(written.key).await {
            Ok(signer) => Some(self.signing.sign(&signer, &written.head, self.signing.core.clock.now())),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the key that signs the log could not be read; receipts come without a checkpoint"
                );
                None
            }
        }
    }

    /// Notes that the log cannot be written, answers those who wait, and keeps the rest.
    fn failed(&mut self, events: Vec<Pending>, error: StoreError) -> Arc<StoreError> {
        let cause = Arc::new(error);
        // At once the first time: it may have been one hiccup.
        let pause =
            if self.away.replace(Arc::clone(&cause)).is_some() { RETRY_AFTER } else { Duration::ZERO };
        self.retry_at = Instant::now() + pause;
        if !self.shared.broken.swap(true, Ordering::Relaxed) {
            tracing::error!(error = &*cause as &dyn std::error::Error, "the audit log cannot be written");
        }
        *self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain(&cause));
        self.perhaps_written = true;
        self.put_off(events, &cause);
        cause
    }

    /// Answers those who wait, and keeps the rest in its order.
    fn put_off(&mut self, events: Vec<Pending>, cause: &Arc<StoreError>) {
        let rest = std::mem::take(&mut self.pending);
        let mut answered = 0;
        for event in events.into_iter().chain(rest) {
            match event.urgency {
                Urgency::Durable(reply) => {
                    answered += 1;
                    let _ = reply.send(Err(StoreError::NotRecorded { cause: Arc::clone(cause) }));
                }
                Urgency::Kept | Urgency::Droppable => self.pending.push_back(event),
            }
        }
        self.shared.queued.fetch_sub(answered, Ordering::Relaxed);
    }

    /// Puts an event in for plain reads that were dropped since the last one.
    fn mark_gap(&mut self) {
        let dropped = self.shared.dropped_unmarked.swap(0, Ordering::Relaxed);
        if dropped == 0 {
            return;
        }
        let core = &self.signing.core;
        let now = core.clock.now();
        let mut event = Event::of_system(now, EventId::new(now, &*core.entropy), "gateway:audit:gap");
        event.count = Some(dropped);
        event.reason = Some("plain reads were not recorded: more came than could be written".to_owned());
        match Pending::new(&event, &*core.entropy, Urgency::Kept) {
            Ok(pending) => {
                self.shared.queued.fetch_add(1, Ordering::Relaxed);
                self.pending.push_back(pending);
            }
            Err(error) => {
                self.shared.dropped_unmarked.fetch_add(dropped, Ordering::Relaxed);
                tracing::error!(error = &error as &dyn std::error::Error, "a gap could not be marked");
            }
        }
    }

    async fn publish(&mut self, due: Due) {
        self.publish_at = Instant::now() + CHECKPOINT_INTERVAL;
        let published = async {
            let stored = chunk::read_head(&self.signing.core.database).await?;
            let size = stored.head.size;
            if self.published_size == Some(size) {
                return Ok(size);
            }
            self.signing.publish(&stored, due).await.map(|_note| size)
        };
        match published.await {
            Ok(size) => {
                self.published_size = Some(size);
                self.take_what_is_left_behind();
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no checkpoint could be published");
            }
        }
    }

    /// Exchanges an empty spool for one that a process left which is gone for good, so that its events are merged.
    fn take_what_is_left_behind(&mut self) {
        let Some(spool) = self.spool.as_mut().filter(|spool| spool.is_empty()) else { return };
        match spool.left_behind(self.signing.gateway_id()) {
            Ok(None) => {}
            Ok(Some(left)) => {
                self.shared.queued.fetch_add(left.len(), Ordering::Relaxed);
                *spool = left;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "another process's spool cannot be read"
                );
            }
        }
    }

    async fn last_writes(&mut self, first: Result<(), Arc<StoreError>>) -> Result<(), StoreError> {
        let mut written = first;
        for _try in 1..LAST_TRIES {
            if written.is_ok() {
                break;
            }
            tokio::time::sleep_until(self.retry_at).await;
            written = self.write_all().await;
        }
        self.keep_on_disk().await;
        if self.publishes && written.is_ok() {
            self.publish(Due::Now).await;
        }
        written.map_err(|cause| {
            tracing::error!(
                lost = self.pending.len(),
                on_disk = self.spool.as_ref().map_or(0, Spool::len),
                "events could not be written before the end; the next start writes those on disk"
            );
            StoreError::NotRecorded { cause }
        })
    }
}

const fn too_slow() -> StoreError {
    StoreError::TimedOut { doing: "an audit record", limit: WRITE_LIMIT }
}

/// An error with its causes, in one line.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
