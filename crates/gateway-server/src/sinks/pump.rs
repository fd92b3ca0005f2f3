//! The loop of one sink: read, deliver, remember.
//!
//! The position is written after the receiver took the entries. So an entry may reach it twice (a lost answer, a killed
//! process), each time with the same id, and none is left out; after a clean stop none is sent twice either, because a
//! delivery that has begun is waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_config::SinkStart;
use gateway_sinks::{Record, RecordFault, Sampling, gather};
use gateway_store::{LeafRow, Lease, SinkWindow, Store, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::SinkStatus;
use super::receiver::{DeliveryError, Receiver};

/// How often it is looked whether the log grew.
const POLL: Duration = Duration::from_secs(1);

/// The longest pause after a failure; the first is one second, and each the double of the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// For how long one round delivers before it lets another instance have its turn.
const ROUND: Duration = Duration::from_secs(20);

/// How long the right to deliver lasts: a round, and the longest that one delivery goes on behind its end.
const LEASE: Duration = Duration::from_secs(60);

/// Entries read at once.
const BATCH: u64 = 500;

/// For how long entries that may come together with more wait for those.
const LONGEST_WINDOW: Duration = Duration::from_secs(60);

/// The bytes of leaves that are delivered at once: a bound of memory, and of a request's size.
const BATCH_BYTES: usize = 1 << 20;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    /// The log cannot be read, or the position not written.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// The receiver does not take entries.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// An entry cannot be sent.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// Entries that were there are not.
    #[error(
        "the log has {size} entries, and this sink was given {position}: a backup was restored, or the log was cut; give the sink another name to begin anew"
    )]
    LogIsShorter {
        /// How many entries there are.
        size: u64,
        /// How many this sink was given.
        position: u64,
    },
}

/// One sink at work.
pub(super) struct Pump {
    pub(super) status: Arc<SinkStatus>,
    pub(super) start: SinkStart,
    pub(super) sampling: Sampling,
    pub(super) receiver: Receiver,
    pub(super) store: Arc<Store>,
    pub(super) stopping: CancellationToken,
    /// Where the window that is waited for begins, and since when it is.
    pub(super) window_since: Option<(u64, Instant)>,
}

/// Entries that are delivered at once.
struct Batch {
    /// Those that the rules of the sink leave.
    records: Vec<Record>,
    /// The entry behind the last one that was read.
    end: u64,
    /// Whether there is no room for those that come.
    is_full: bool,
}

impl Pump {
    /// Goes on until the gateway stops.
    pub(super) async fn run(mut self) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_begun = false;
        let mut pause = POLL;
        let mut not_before = Instant::now();
        loop {
            tokio::select! {
                _ = poll.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            if Instant::now() < not_before {
                continue;
            }
            match self.begun_round(&mut has_begun).await {
                Ok(()) => {
                    pause = POLL;
                    if self.status.fault.swap(None).is_some() {
                        tracing::info!(sink = self.status.name, "the audit sink takes entries again");
                    }
                }
                Err(error) => {
                    self.note(&error);
                    not_before = Instant::now() + pause;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    /// The position of a new sink is fixed at the first round that reaches the store.
    async fn begun_round(&mut self, has_begun: &mut bool) -> Result<(), RoundError> {
        if !*has_begun {
            let sinks = self.store.audit_sinks();
            match self.start {
                // Of what was pruned there is nothing to give.
                SinkStart::Beginning => sinks.begin_at_first_kept(&self.status.name).await?,
                SinkStart::Now => {
                    sinks.begin(&self.status.name, self.store.events().head().await?.size).await?
                }
            };
            *has_begun = true;
        }
        self.round().await
    }

    /// Delivers what is there, for at most [`ROUND`].
    async fn round(&mut self) -> Result<(), RoundError> {
        if self.waiting().await? == 0 {
            return Ok(());
        }
        let Some(lease) = self.lease().await? else { return Ok(()) };
        let result = self.deliver_what_waits().await;
        if let Some(lease) = lease {
            lease.release().await?;
        }
        result
    }

    async fn deliver_what_waits(&mut self) -> Result<(), RoundError> {
        let until = Instant::now() + ROUND;
        // Another instance may have delivered since it was looked.
        let mut position = self.store.audit_sinks().position(&self.status.name).await?;
        let size = self.store.events().head().await?.size;
        while position < size && Instant::now() < until && !self.stopping.is_cancelled() {
            let Some(records) = self.records(position, size).await? else { break };
            let next = self.deliver(position, records, until).await?;
            if next == position {
                break;
            }
            if !self.store.audit_sinks().advance(&self.status.name, position, next).await? {
                // Another instance delivers: its position counts.
                break;
            }
            position = next;
            self.status.lag.store(size.saturating_sub(position), Ordering::Relaxed);
        }
        Ok(())
    }

    /// How many entries wait.
    async fn waiting(&self) -> Result<u64, RoundError> {
        let position = self.store.audit_sinks().position(&self.status.name).await?;
        let size = self.store.events().head().await?.size;
        if size < position {
            return Err(RoundError::LogIsShorter { size, position });
        }
        self.status.lag.store(size - position, Ordering::Relaxed);
        Ok(size - position)
    }

    /// The right to deliver; `None` when another instance has it. With one instance there is nothing to ask for.
    async fn lease(&self) -> Result<Option<Option<Lease>>, RoundError> {
        if !self.store.audit_sinks().are_shared() {
            return Ok(Some(None));
        }
        let name = format!("audit-sink/{}", self.status.name);
        match self.store.leases().acquire(&name, LEASE, Duration::ZERO).await {
            Ok(lease) => Ok(Some(Some(lease))),
            Err(StoreError::LeaseHeld { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is delivered next; `None` when that has to wait, since more may come together with it.
    async fn records(&mut self, position: u64, size: u64) -> Result<Option<Batch>, RoundError> {
        let open = self.store.audit_sinks().window(&self.status.name).await?;
        let Some(window) = open else {
            let batch = self.read(position, size.min(position + BATCH)).await?;
            if !self.sampling.is_aggregating() {
                return Ok(Some(batch));
            }
            return self.window_opened(position, batch).await;
        };
        // The whole of it, also when it does not fit into a batch any more: counts are over all of it.
        let mut batch = self.batch(self.store.events().leaves(window.start, window.end).await?)?;
        batch.records = gather(batch.records);
        // When nothing is aggregated any more, what was counted in the part that was sent is sent anew.
        if self.sampling.is_aggregating() {
            batch.records.retain(|record| record.index >= position);
        }
        Ok(Some(batch))
    }

    /// Remembers the window before anything of it is sent, so that it is the same after a restart. It waits while nothing is in it
    /// but what may come together with more, for [`LONGEST_WINDOW`] at the most.
    async fn window_opened(&mut self, position: u64, batch: Batch) -> Result<Option<Batch>, RoundError> {
        let has_more_room = !batch.is_full && batch.records.iter().all(|record| record.together.is_some());
        let since = match self.window_since {
            Some((at, since)) if at == position => since,
            _ => Instant::now(),
        };
        self.window_since = Some((position, since));
        if has_more_room && since.elapsed() < LONGEST_WINDOW {
            return Ok(None);
        }
        let window = SinkWindow { start: position, end: batch.end };
        if !self.store.audit_sinks().open_window(&self.status.name, window).await? {
            // Another instance delivers.
            return Ok(None);
        }
        Ok(Some(Batch { records: gather(batch.records), ..batch }))
    }

    /// What is delivered at once of these entries.
    async fn read(&self, from: u64, to: u64) -> Result<Batch, RoundError> {
        let rows = cut(self.store.events().leaves(from, to).await?);
        let is_full = rows.len() as u64 >= BATCH;
        let mut batch = self.batch(rows)?;
        // What was cut is more than its bytes leave room for.
        batch.is_full = is_full || batch.end < to;
        Ok(batch)
    }

    fn batch(&self, rows: Vec<LeafRow>) -> Result<Batch, RoundError> {
        let last = rows.last().ok_or(StoreError::Corrupt { what: "leaf of the audit log" })?;
        let end = last.index + 1;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.extend(Record::read(row.index, row.bytes, row.hash, &self.sampling)?);
        }
        Ok(Batch { records, end, is_full: false })
    }

    /// Delivers these entries; the index behind the last one that is dealt with. When the receiver takes some and then
    /// no more, those are remembered before the failure is told.
    async fn deliver(&mut self, position: u64, batch: Batch, until: Instant) -> Result<u64, RoundError> {
        let Batch { records, end, .. } = batch;
        if records.is_empty() {
            return Ok(end);
        }
        let (taken, failure) = self.receiver.deliver(&records, until, &self.stopping).await;
        self.status.delivered.fetch_add(taken as u64, Ordering::Relaxed);
        // Never back, also when what was sent before is sent anew.
        let next = records.get(taken).map_or(end, |record| record.index).max(position);
        match failure {
            None => Ok(next),
            Some(error) => {
                if taken > 0 {
                    self.store.audit_sinks().advance(&self.status.name, position, next).await?;
                }
                Err(error.into())
            }
        }
    }

    fn note(&self, error: &RoundError) {
        let text = with_causes(error);
        if self.status.fault.swap(Some(Arc::new(text.clone()))).is_none() {
            tracing::warn!(
                sink = self.status.name,
                kind = self.status.kind,
                error = text,
                "the audit sink does not take entries; they wait in the log"
            );
        }
    }
}

/// As many of the first entries as may be delivered at once, and at least one.
fn cut(mut rows: Vec<LeafRow>) -> Vec<LeafRow> {
    let mut bytes = 0_usize;
    let fitting = rows
        .iter()
        .take_while(|row| {
            bytes = bytes.saturating_add(row.bytes.len());
            bytes <= BATCH_BYTES
        })
        .count();
    rows.truncate(fitting.max(1));
    rows
}

/// The error with what caused it, on one line. None of them holds a secret or an answer's text.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        // Transparent errors repeat their cause.
        if !text.ends_with(&further) {
            text.push_str(": ");
            text.push_str(&further);
        }
        cause = error.source();
    }
    text
}
