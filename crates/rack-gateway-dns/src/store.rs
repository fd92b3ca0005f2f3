//! What is desired, kept durably: one file for each zone, replaced as a whole.
//!
//! A change is on the disk before anybody is told of it, and before any back end hears of it. Start reading at
//! [`ZoneStore::edit`].

mod file;
mod raw;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use gateway_types::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::name::DnsName;
use crate::record::NameSets;

pub use file::StateDirectory;
pub(crate) use file::{Readers, replace};

/// How many changes are remembered for each zone.
const MOST_CHANGES: usize = 1000;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("another rack-gateway-dns uses the state directory {0}")]
    InUse(PathBuf),
    /// The system said no.
    #[error("{path} cannot be {doing}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried, as a past participle.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A state file is no state.
    #[error(
        "the state file {path} is damaged: {what}. Nothing was changed. Restore it from a backup, or move it away to begin with no records"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The task that writes was stopped.
    #[error("the change was not written: the program is stopping")]
    Stopping,
}

/// What a name is to have, and since which change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The zone's revision when it was last changed.
    pub revision: u64,
    /// Its sets; empty until a removal was applied.
    pub sets: NameSets,
}

/// All names that the shim holds.
pub type Desired = BTreeMap<DnsName, Held>;

/// Who changed which name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeEntry {
    /// The zone's revision from then on.
    pub revision: u64,
    /// The name.
    pub name: DnsName,
    /// When.
    pub at: Timestamp,
    /// Who, for people.
    pub by: String,
    /// The caller's id at the gateway.
    pub subject: String,
    /// The request's id at the gateway.
    pub request_id: String,
}

/// A zone as it is desired.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ZoneState {
    /// Counts changes.
    pub revision: u64,
    /// What is held.
    pub names: Desired,
    /// The latest changes, oldest first.
    pub changes: VecDeque<ChangeEntry>,
}

impl ZoneState {
    /// Sets what a name is to have; nothing means that it is to be removed.
    pub fn set(&mut self, name: DnsName, sets: NameSets, change: impl FnOnce(u64) -> ChangeEntry) -> u64 {
        self.revision = self.revision.saturating_add(1);
        self.names.insert(name, Held { revision: self.revision, sets });
        self.changes.push_back(change(self.revision));
        while self.changes.len() > MOST_CHANGES {
            self.changes.pop_front();
        }
        self.revision
    }
}

/// How an edit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit<T> {
    /// The state was changed; it must be written.
    Changed(T),
    /// Nothing was changed.
    Same(T),
}

/// One zone's state. Clones share it.
#[derive(Clone, Debug)]
pub struct ZoneStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    zone: DnsName,
    state: RwLock<Arc<ZoneState>>,
    writer: Mutex<()>,
    revision: watch::Sender<u64>,
}

impl ZoneStore {
    fn new(path: PathBuf, zone: DnsName, state: ZoneState) -> Self {
        let revision = watch::Sender::new(state.revision);
        let state = RwLock::new(Arc::new(state));
        Self(Arc::new(Inner { path, zone, state, writer: Mutex::new(()), revision }))
    }

    /// The zone.
    pub fn zone(&self) -> &DnsName {
        &self.0.zone
    }

    /// The file that holds it.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The state now.
    pub fn state(&self) -> Arc<ZoneState> {
        Arc::clone(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells of each change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    /// Changes the state: one caller after the other, each on top of the one before. It runs in a task of its own, so that a
    /// caller who goes away leaves no file that the memory does not know.
    ///
    /// # Errors
    /// The outer error when it could not be written: then the memory is as before. The inner one is the edit's.
    pub async fn edit<T, E, F>(&self, edit: F) -> Result<Result<T, E>, StoreError>
    where
        F: FnOnce(&mut ZoneState) -> Result<Edit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let store = self.clone();
        tokio::spawn(async move { store.edit_now(edit).await }).await.unwrap_or(Err(StoreError::Stopping))
    }

    async fn edit_now<T, E>(
        &self,
        edit: impl FnOnce(&mut ZoneState) -> Result<Edit<T>, E> + Send,
    ) -> Result<Result<T, E>, StoreError> {
        let _one_at_a_time = self.0.writer.lock().await;
        let mut next = ZoneState::clone(&self.state());
        let told = match edit(&mut next) {
            Ok(Edit::Changed(told)) => told,
            Ok(Edit::Same(told)) => return Ok(Ok(told)),
            Err(refused) => return Ok(Err(refused)),
        };
        let next = Arc::new(next);
        let (written, inner) = (Arc::clone(&next), Arc::clone(&self.0));
        let write = move || {
            let text = raw::write(&inner.zone, &written);
            replace(&inner.path, text.as_bytes(), Readers::Own)
        };
        tokio::task::spawn_blocking(write).await.unwrap_or(Err(StoreError::Stopping))?;
        let revision = next.revision;
        *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.0.revision.send_replace(revision);
        Ok(Ok(told))
    }

    /// Forgets removals that were applied, unless the name was changed since.
    ///
    /// # Errors
    /// [`StoreError`]; then they are applied once more after the next start, which changes nothing.
    pub(crate) async fn forget(&self, removed: Vec<(DnsName, u64)>) -> Result<(), StoreError> {
        let forget = move |state: &mut ZoneState| {
            let before = state.names.len();
            for (name, revision) in removed {
                let is_over = |held: &Held| held.revision == revision && held.sets.is_empty();
                if state.names.get(&name).is_some_and(is_over) {
                    state.names.remove(&name);
                }
            }
            let ended = if state.names.len() == before { Edit::Same(()) } else { Edit::Changed(()) };
            Ok::<_, std::convert::Infallible>(ended)
        };
        self.edit(forget).await.map(|Ok(())| ())
    }
}
