//! Credentials as the SDKs of AWS find them by default: keys in the environment, web identity, container, instance; then
//! a further role, where one is asked for. Temporary ones are renewed before they expire.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gateway_types::{Clock, Timestamp};
use tokio::sync::Mutex;

use super::{AwsCredentials, AwsFault, AwsSettings, CredentialSource, Ways, sources, sts};

/// How long before their end credentials are renewed.
///
/// The metadata services hold out new ones at least five minutes before the old ones end (Amazon EC2 User Guide).
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// How soon after a renewal that failed the next is tried, while the present credentials are still good.
const PAUSE: Duration = Duration::from_secs(30);

/// Who this machine is at AWS.
#[derive(Debug)]
pub struct CredentialChain {
    settings: AwsSettings,
    ways: Ways,
    clock: Arc<dyn Clock>,
    /// Held while credentials are asked for, so that one asks for all.
    kept: Mutex<Option<Kept>>,
    /// What is told of them.
    shown: RwLock<Option<Renewal>>,
}

#[derive(Debug)]
struct Kept {
    credentials: AwsCredentials,
    /// Not before then are they renewed again.
    next: Option<Timestamp>,
}

/// What may be told of credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// Where they came from.
    pub source: CredentialSource,
    /// Until when they are good; `None` = for ever.
    pub expires: Option<Timestamp>,
    /// When they are renewed, at the next use from then on.
    pub next: Option<Timestamp>,
}

impl CredentialChain {
    /// Looks where `settings` say, on these ways. Nothing is asked yet.
    pub fn new(settings: AwsSettings, ways: Ways, clock: Arc<dyn Clock>) -> Self {
        Self { settings, ways, clock, kept: Mutex::default(), shown: RwLock::default() }
    }

    /// Credentials that are good now. Those at hand are given out until shortly before their end, and up to it while new
    /// ones cannot be had.
    ///
    /// # Errors
    /// [`AwsFault`]: there are none, and why the place that should have them has none.
    pub async fn credentials(&self) -> Result<AwsCredentials, AwsFault> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some(Kept { credentials, next }) = &*kept
            && next.is_none_or(|next| now < next)
        {
            return Ok(credentials.clone());
        }
        match (self.find(now).await, kept.as_mut()) {
            (Ok(found), _) => {
                self.keep(&mut kept, found.clone(), now);
                Ok(found)
            }
            (Err(_later), Some(old)) if old.credentials.expires.is_none_or(|expires| now < expires) => {
                old.next = Some(now.saturating_add(PAUSE));
                Ok(old.credentials.clone())
            }
            (Err(fault), _) => Err(fault),
        }
    }

    /// Others than `refused`, which AWS says are over.
    ///
    /// # Errors
    /// As [`CredentialChain::credentials`].
    pub async fn others_than(&self, refused: &AwsCredentials) -> Result<AwsCredentials, AwsFault> {
        let mut kept = self.kept.lock().await;
        if let Some(present) = &*kept
            && present.credentials != *refused
        {
            return Ok(present.credentials.clone());
        }
        let now = self.clock.now();
        let found = self.find(now).await?;
        self.keep(&mut kept, found.clone(), now);
        Ok(found)
    }

    /// What may be told of the present credentials; `None` before the first use.
    pub fn renewal(&self) -> Option<Renewal> {
        *self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> &AwsSettings {
        &self.settings
    }

    pub(super) fn ways(&self) -> &Ways {
        &self.ways
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn keep(&self, kept: &mut Option<Kept>, credentials: AwsCredentials, now: Timestamp) {
        let next = credentials.expires.map(|expires| {
            // Of a short life half is used.
            let left = expires.checked_since(now).unwrap_or_default();
            now.saturating_add(left.checked_sub(MARGIN).unwrap_or_default().max(left / 2).min(left))
        });
        let renewal = Renewal { source: credentials.source, expires: credentials.expires, next };
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(renewal);
        *kept = Some(Kept { credentials, next });
    }

    async fn find(&self, now: Timestamp) -> Result<AwsCredentials, AwsFault> {
        let (settings, ways) = (&self.settings, &self.ways);
        let own = if let Some(found) = sources::of_environment(settings)? {
            found
        } else if let Some(found) = sts::of_web_identity(settings, ways).await? {
            found
        } else if let Some(found) = sources::of_container(settings, ways).await? {
            found
        } else {
            sources::of_instance(settings, ways).await?
        };
        match &settings.role {
            None => Ok(own),
            Some(role) => sts::assume(settings, ways, role, &own, now).await,
        }
    }
}
