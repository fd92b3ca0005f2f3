//! Anchors of the log: at the start, in intervals and at the stop its checkpoint is kept in a directory and in a bucket, and
//! posted to a web hook, and the log is held to what was kept before.
//!
//! # Security
//! A log that does not extend an anchor is an alarm that stays until somebody looked: no anchor of such a log is kept.
//! Readiness does not depend on it, since whoever can alter the database could then also stop the gateway.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gateway_app::Operator;
use gateway_app::anchors::{self, Anchor, AnchorError, KeptInBucket};
use gateway_app::health::Health;
use gateway_audit::Head;
use gateway_config::Anchors as Declared;
use gateway_integrations::aws::{LockTerms, LockedBucket};
use gateway_sinks::{RecordFault, WebhookKey, cloudevents};
use gateway_store::{Store, StoreError};
use gateway_types::{Clock, Entropy};
use http::header::CONTENT_TYPE;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::sinks::{DeliveryError, Place, SinkSetupError, with_causes};

/// How many of the newest anchors the log is held to each time; `audit verify --anchors` looks at all.
const COMPARED: usize = 48;

/// How often all the names in the bucket are listed, for a version or a mark on top of an old one.
const LISTED: Duration = Duration::from_secs(24 * 3600);

/// How long the anchor of the stop may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// Why the log was not anchored.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    #[error("the anchor {name} does not hold")]
    Kept {
        name: String,
        #[source]
        source: AnchorError,
    },
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    #[error("an anchor could not be posted")]
    Post(#[from] DeliveryError),
    #[error("an anchor has no form")]
    Form(#[from] RecordFault),
    #[error("the reading of anchors was interrupted")]
    Interrupted,
}

impl Failure {
    /// What makes this failure the same as before, where its text goes on changing: each alarm is an entry, so that a log
    /// which was rolled back grows with every one.
    fn told_once(&self) -> Option<String> {
        match self {
            Failure::Kept { name, source: AnchorError::RolledBack { size, .. } } => {
                Some(format!("{name}: {size}"))
            }
            Failure::Kept { .. }
            | Failure::Anchor(_)
            | Failure::Store(_)
            | Failure::Post(_)
            | Failure::Form(_)
            | Failure::Interrupted => None,
        }
    }

    const fn is_alarm(&self) -> bool {
        match self {
            Failure::Anchor(error) | Failure::Kept { source: error, .. } => error.is_alarm(),
            Failure::Store(_) | Failure::Post(_) | Failure::Form(_) | Failure::Interrupted => false,
        }
    }
}

/// What anchors the log.
pub(crate) struct Anchors {
    declared: Declared,
    hook: Option<(Place, WebhookKey)>,
    bucket: Option<Bucket>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    fault: ArcSwapOption<String>,
    /// What was told last, so that it is told once.
    told: ArcSwapOption<String>,
    anchored: AtomicU64,
    health: Arc<Health>,
    /// When the log was last anchored; held while it is.
    last: Mutex<Option<Instant>>,
}

/// A bucket, and how far back it is looked at.
struct Bucket {
    place: LockedBucket,
    terms: LockTerms,
    /// When all names were listed, and the name behind which the newest begin.
    listed: Mutex<Option<(Instant, Option<String>)>>,
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchors").field("directory", &self.declared.directory).finish_non_exhaustive()
    }
}

impl Anchors {
    /// What does as declared. Nothing is kept yet.
    ///
    /// # Errors
    /// [`SinkSetupError`].
    pub(crate) fn new(
        declared: &Declared,
        bucket: Option<(LockedBucket, LockTerms)>,
        store: Arc<Store>,
        health: Arc<Health>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SinkSetupError> {
        let hook = match &declared.webhook {
            Some(hook) => Some((Place::new(&hook.url, None)?, WebhookKey::new(hook.key.clone()))),
            None => None,
        };
        Ok(Self {
            declared: declared.clone(),
            hook,
            bucket: bucket.map(|(place, terms)| Bucket { place, terms, listed: Mutex::new(None) }),
            store,
            clock,
            entropy,
            fault: ArcSwapOption::empty(),
            told: ArcSwapOption::empty(),
            anchored: AtomicU64::new(0),
            health,
            last: Mutex::new(None),
        })
    }

    fn is_wanted(&self) -> bool {
        self.declared.directory.is_some() || self.hook.is_some() || self.bucket.is_some()
    }

    /// Why the log is not anchored; `None` when it is, or nobody wants it.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.load().as_deref().cloned()
    }

    /// How many entries the last anchor of this instance has.
    pub(crate) fn anchored(&self) -> u64 {
        self.anchored.load(Ordering::Relaxed)
    }

    /// Anchors the log when it is time; asked each minute, so that what failed is tried again soon.
    pub(crate) async fn tend(&self) {
        if !self.is_wanted() {
            return;
        }
        let mut last = self.last.lock().await;
        if last.is_some_and(|last| last.elapsed() < self.declared.interval) {
            return;
        }
        match self.anchor().await {
            Ok(head) => {
                let size = head.size;
                // What was only posted cannot be read again, and so not be held against the log.
                let is_kept = self.declared.directory.is_some() || self.bucket.is_some();
                self.health.set_anchored(is_kept.then_some(head));
                *last = Some(Instant::now());
                self.anchored.store(size, Ordering::Relaxed);
                self.told.store(None);
                if self.fault.swap(None).is_some() {
                    tracing::info!(size, "the audit log is anchored again");
                }
            }
            Err(failure) => {
                if failure.is_alarm() {
                    self.health.set_anchored(None);
                }
                self.note(&failure).await;
            }
        }
    }

    /// Anchors the log at the stop, whatever the time.
    pub(crate) async fn farewell(&self) {
        *self.last.lock().await = None;
        if timeout(FAREWELL, self.tend()).await.is_err() {
            tracing::warn!("the audit log was not anchored at the stop: it took too long");
        }
    }

    /// Holds the log to its anchors, then keeps another one. What a receiver or S3 cannot do now the others still do.
    async fn anchor(&self) -> Result<Head, Failure> {
        if let Some(directory) = &self.declared.directory {
            self.hold_to(self.newest(directory).await?).await?;
        }
        let held_to_bucket = match self.hold_to_bucket().await {
            Err(alarm) if alarm.is_alarm() => return Err(alarm),
            other => other,
        };
        let note = self.store.audit().checkpoint().await?;
        let head = anchors::compare(&self.store, &note).await?;
        if let Some(directory) = self.declared.directory.clone() {
            let (gateway, note) = (self.store.gateway_id(), note.clone());
            tokio::task::spawn_blocking(move || anchors::keep(&directory, gateway, &head, &note))
                .await
                .map_err(|_panicked| Failure::Interrupted)??;
        }
        let posted = self.post(&head, &note).await;
        held_to_bucket?;
        if let Some(bucket) = &self.bucket {
            let gateway = self.store.gateway_id();
            anchors::keep_in_bucket(&bucket.place, &bucket.terms, gateway, &head, &note).await?;
        }
        posted?;
        Ok(head)
    }

    async fn hold_to(&self, anchors: Vec<Anchor>) -> Result<(), Failure> {
        for anchor in anchors {
            anchors::hold(&self.store, &anchor)
                .await
                .map_err(|source| Failure::Kept { name: anchor.path.display().to_string(), source })?;
        }
        Ok(())
    }

    /// Holds the log to the newest objects in the bucket. Each day the names of all are looked at.
    async fn hold_to_bucket(&self) -> Result<(), Failure> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        let mut listed = bucket.listed.lock().await;
        // What was listed stays so after an alarm, which is looked at anew each minute.
        let known = listed.clone().filter(|(at, _)| at.elapsed() < LISTED);
        let after = known.as_ref().and_then(|(_, after)| after.as_deref());
        let gateway = Some(self.store.gateway_id());
        let KeptInBucket { anchors, before, fault } =
            anchors::read_bucket(&bucket.place, gateway, after, Some(COMPARED)).await?;
        self.hold_to(anchors).await?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        *listed = Some((known.map_or_else(Instant::now, |(at, _)| at), before));
        Ok(())
    }

    async fn newest(&self, directory: &Path) -> Result<Vec<Anchor>, Failure> {
        let (directory, gateway) = (directory.to_owned(), self.store.gateway_id());
        let read =
            tokio::task::spawn_blocking(move || anchors::read(&directory, Some(gateway), Some(COMPARED)));
        match read.await.map_err(|_panicked| Failure::Interrupted)? {
            Ok(anchors) => Ok(anchors),
            // Before the first one.
            Err(AnchorError::None { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn post(&self, head: &Head, note: &str) -> Result<(), Failure> {
        let Some((place, key)) = &self.hook else { return Ok(()) };
        let now = self.clock.now();
        let body = cloudevents::checkpoint(self.store.gateway_id(), head, note, now)?;
        let id = cloudevents::checkpoint_id(head);
        let seconds = now.micros().div_euclid(1_000_000);
        let (time, signature) = (seconds.to_string(), key.sign(&id, seconds, &body));
        let headers = [
            (CONTENT_TYPE.as_str(), cloudevents::CONTENT_TYPE),
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        place.post(&headers, body).await?;
        Ok(())
    }

    /// Says it once: in the program's log, and an alarm in the audit log too.
    async fn note(&self, failure: &Failure) {
        let mark = if failure.is_alarm() { "ALARM: " } else { "" };
        let text = format!("{mark}{}", with_causes(failure));
        self.fault.store(Some(Arc::new(text.clone())));
        let news = Arc::new(failure.told_once().unwrap_or_else(|| text.clone()));
        if self.told.swap(Some(news.clone())).as_deref() == Some(&*news) {
            return;
        }
        if !failure.is_alarm() {
            tracing::warn!(error = text, "the audit log is not anchored; it is tried again each minute");
            return;
        }
        tracing::error!(error = text, "the anchors of the audit log raise an alarm; look at it at once");
        let operator = Operator::system(&*self.clock, &*self.entropy);
        if let Err(error) = anchors::alarm(&self.store, &operator, &text).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the alarm could not be recorded");
        }
    }
}
