//! The one task that writes: gathers what waits, writes it, answers those who wait for it, and keeps
//! what could not be written.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gateway_audit::{Event, Head, Receipt};
use gateway_types::EventId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::pending::{Pending, Urgency};
use super::{CHECKPOINT_INTERVAL, Due, Shared, Signing, chunk};
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
/// How often writing is tried at the close.
const LAST_TRIES: usize = 3;

/// What the writer is asked for.
pub(super) enum Message {
    Write(Pending),
    Flush(oneshot::Sender<Result<(), StoreError>>),
    Close(Option<Pending>, oneshot::Sender<Result<(), StoreError>>),
}

pub(super) struct Writer {
    signing: Signing,
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Message>,
    pending: VecDeque<Pending>,
    flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    closing: Option<oneshot::Sender<Result<(), StoreError>>>,
    /// The newest head this process knows is committed.
    head: Head,
    /// A commit failed; part of what is pending may be in the log.
    perhaps_written: bool,
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
    Publish,
}

impl Writer {
    pub(super) fn new(
        signing: Signing,
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
                Woken::Retry => {}
                Woken::Publish => continue,
                Woken::Orphaned => {
                    // Dropped without a close, as by a crash: write what is there, and say nothing more.
                    let _ = self.write_all().await;
                    return;
                }
            }
            let written = self.write_all().await;
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
        let retries = !self.pending.is_empty();
        tokio::select! {
            biased;
            message = self.receiver.recv() => {
                message.map_or(Woken::Orphaned, |message| Woken::Message(Box::new(message)))
            },
            () = tokio::time::sleep_until(self.retry_at), if retries => Woken::Retry,
            () = tokio::time::sleep_until(self.publish_at), if self.publishes => Woken::Publish,
        }
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
        self.mark_gap();
        while !self.pending.is_empty() {
            let count = self.pending.len().min(MOST_TOGETHER);
            let events: Vec<Pending> = self.pending.drain(..count).collect();
            let write = chunk::write(&self.signing.core.database, &events, &self.head, self.perhaps_written);
            let outcome = tokio::time::timeout(WRITE_LIMIT, write).await.unwrap_or_else(|_elapsed| {
                Err(StoreError::TimedOut { doing: "an audit record", limit: WRITE_LIMIT })
            });
            match outcome {
                Ok(written) => self.wrote(events, written),
                Err(error) => return Err(self.failed(events, error)),
            }
        }
        self.perhaps_written = false;
        Ok(())
    }

    fn wrote(&mut self, events: Vec<Pending>, written: chunk::Written) {
        self.shared.queued.fetch_sub(events.len(), Ordering::Relaxed);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.broken.store(false, Ordering::Relaxed);
        self.head = written.head;
        let mut note: Option<String> = None;
        for (event, index) in events.into_iter().zip(written.indices) {
            let (Urgency::Durable(reply), Some(index)) = (event.urgency, index) else { continue };
            let note =
                note.get_or_insert_with(|| self.signing.sign(&written.head, self.signing.core.clock.now()));
            let receipt = Receipt { index, leaf_hash: event.leaf.hash, checkpoint: Some(note.clone()) };
            // Whoever waited may have gone; the event stays.
            let _ = reply.send(Ok(receipt));
        }
    }

    /// Answers those who wait, and keeps the rest in its order.
    fn failed(&mut self, events: Vec<Pending>, error: StoreError) -> Arc<StoreError> {
        let cause = Arc::new(error);
        if !self.shared.broken.swap(true, Ordering::Relaxed) {
            tracing::error!(error = &*cause as &dyn std::error::Error, "the audit log cannot be written");
        }
        *self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain(&cause));
        let rest = std::mem::take(&mut self.pending);
        let mut answered = 0;
        for event in events.into_iter().chain(rest) {
            match event.urgency {
                Urgency::Durable(reply) => {
                    answered += 1;
                    let _ = reply.send(Err(StoreError::NotRecorded { cause: Arc::clone(&cause) }));
                }
                Urgency::Kept | Urgency::Droppable => self.pending.push_back(event),
            }
        }
        self.shared.queued.fetch_sub(answered, Ordering::Relaxed);
        self.perhaps_written = true;
        self.retry_at = Instant::now() + RETRY_AFTER;
        cause
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
            let head = chunk::read_head(&self.signing.core.database).await?;
            if self.published_size == Some(head.size) {
                return Ok(head.size);
            }
            self.signing.publish(head, due).await.map(|_note| head.size)
        };
        match published.await {
            Ok(size) => self.published_size = Some(size),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no checkpoint could be published");
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
        if self.publishes && written.is_ok() {
            self.publish(Due::Now).await;
        }
        written.map_err(|cause| {
            tracing::error!(lost = self.pending.len(), "events could not be written before the end");
            StoreError::NotRecorded { cause }
        })
    }
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
