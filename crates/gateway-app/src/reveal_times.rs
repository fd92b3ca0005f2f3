//! Times in which one credential reads an app's values in plaintext, in force: in memory, for each request to the
//! rack.
//!
//! What is over by the clock gives nothing from that moment on, whether or not anybody read the database since.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gateway_store::{Store, StoreError};
use gateway_types::{Principal, RevealId, Timestamp};

/// What credentials may read, exchanged whole.
#[derive(Debug, Default)]
pub struct RevealTimes {
    /// By credential.
    live: ArcSwap<HashMap<String, Vec<RevealTime>>>,
}

/// A time in which one credential reads an app's values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevealTime {
    /// Its id.
    pub id: RevealId,
    /// The app.
    pub app: String,
    /// Why.
    pub reason: String,
    /// When it is over by itself.
    pub expires: Timestamp,
}

impl RevealTimes {
    /// Reads them.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn read(store: &Store) -> Result<Arc<Self>, StoreError> {
        let times = Arc::new(Self::default());
        times.refresh(store).await?;
        Ok(times)
    }

    /// Reads them again; when that fails the last ones hold, each until its own end.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let mut live: HashMap<String, Vec<RevealTime>> = HashMap::new();
        for one in store.reveals().live().await? {
            let time = RevealTime { id: one.id, app: one.app, reason: one.reason, expires: one.expires };
            live.entry(one.credential).or_default().push(time);
        }
        self.live.store(Arc::new(live));
        Ok(())
    }

    /// The time of this credential and app that ends last, if one is open now.
    pub fn of(&self, principal: &Principal, app: &str, now: Timestamp) -> Option<RevealTime> {
        let live = self.live.load();
        let of_credential = live.get(&principal.credential_id()?)?;
        let open = of_credential.iter().filter(|one| one.app == app && now < one.expires);
        open.max_by_key(|one| one.expires).cloned()
    }

    /// Whether this very time is still open.
    pub fn is_open(&self, principal: &Principal, id: RevealId, now: Timestamp) -> bool {
        let live = self.live.load();
        let of_credential = principal.credential_id().and_then(|credential| live.get(&credential));
        of_credential.is_some_and(|times| times.iter().any(|one| one.id == id && now < one.expires))
    }
}
