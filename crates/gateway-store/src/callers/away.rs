//! Callers while the database is away. Any change makes every remembered caller one to be looked up again; so that one who
//! was here lately is still known when the database goes away next, they are looked up again after each change, and for
//! the moment until then the answer from before it counts.

use std::sync::{Arc, Weak};
use std::time::Duration;

use gateway_types::{Clock, CredentialDigest, CredentialKind, Principal, Timestamp, WorkloadOrigin};

use super::{CallerFault, Callers, KnownCaller};
use crate::changes::Changes;
use crate::error::StoreError;

/// How long after a change, counted to the database's last answer, a caller from before it still counts while nobody can
/// be asked: what a revocation may take to be seen by all instances.
const OVERTAKEN_LIMIT: Duration = Duration::from_secs(5);

/// Changes come in groups; one look after them is enough.
const GATHERED_FOR: Duration = Duration::from_millis(200);

/// Looks the callers who were here lately up again after each change, until they or the changes are gone.
pub(crate) async fn keep_current(callers: Weak<Callers>, changes: Arc<Changes>, clock: Arc<dyn Clock>) {
    let mut generations = changes.subscribe();
    while generations.changed().await.is_ok() {
        tokio::time::sleep(GATHERED_FOR).await;
        generations.mark_unchanged();
        let Some(callers) = callers.upgrade() else { return };
        if let Err(error) = callers.look_up_again(clock.now()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "callers were not looked up again");
        }
    }
}

impl Callers {
    /// The database's answer or, while it cannot be asked, who the credential was just now.
    pub(super) async fn ask_or_recall(
        &self,
        kind: CredentialKind,
        digest: CredentialDigest,
        now: Timestamp,
    ) -> Result<Result<Arc<KnownCaller>, CallerFault>, StoreError> {
        if !self.changes.database_answers()
            && let Some(known) = self.recalled(&digest, now)
        {
            return Ok(Ok(known));
        }
        match self.ask(kind, digest, now).await {
            // Whom a flood of lookups turns away asks again: the database is there.
            Err(error @ StoreError::Overloaded { .. }) => Err(error),
            Err(error) if error.is_unavailable() => self.recalled(&digest, now).map(Ok).ok_or(error),
            asked => asked,
        }
    }

    /// The remembered caller, when no change had overtaken it for long while the database still answered.
    fn recalled(&self, digest: &CredentialDigest, now: Timestamp) -> Option<Arc<KnownCaller>> {
        let known = self.known.get(digest)?;
        let is_recent = self.changes.was_present_within(OVERTAKEN_LIMIT, known.generation);
        (is_recent && known.value.fault(now).is_none()).then_some(known.value)
    }

    /// Looks everybody up again who was here lately, one after the other.
    async fn look_up_again(&self, now: Timestamp) -> Result<(), StoreError> {
        for (digest, remembered) in &self.known {
            let known = remembered.value;
            let was_here_lately =
                now.checked_since(known.last_seen()).is_none_or(|since| since < self.known_for);
            if remembered.generation == self.changes.generation()
                || !was_here_lately
                || !has_row(&known.principal)
            {
                continue;
            }
            let found = self.ask(known.principal.credential_kind(), *digest, now).await?;
            if let Ok(found) = found {
                found.was_seen_as(&known);
            }
        }
        Ok(())
    }
}

/// Whether the credential itself is in the database: whom a trust rule takes by a certificate is found another way.
fn has_row(principal: &Principal) -> bool {
    !matches!(principal, Principal::Workload { origin: WorkloadOrigin::Certificate, .. })
}
