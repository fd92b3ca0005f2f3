//! From a credential to who it stands for, fast: an in-memory cache keyed by the full digest, which
//! every change of users, tokens or sessions empties. Whether the caller may do something is not
//! decided here.
//!
//! Start at [`Callers::resolve_from`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use gateway_types::{CredentialDigest, CredentialKind, Principal, Timestamp, TokenKind};
use ipnet::IpNet;
use moka::sync::Cache;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use crate::changes::Changes;
use crate::database::Database;
use crate::error::StoreError;
use crate::secrets::credential_digest;
use crate::trust_rules::{self, TrustRule};

mod away;
mod lookup;
mod touch;

pub(crate) use away::keep_current;
use touch::Touch;
pub(crate) use touch::write_touches;

/// The most callers kept in memory.
const MOST_KNOWN: u64 = 20_000;
/// How long a caller may be served from memory while the database cannot be asked, unless
/// [`Store::open_for`](crate::Store::open_for) is told another time: the bound on what a revocation can miss in
/// degraded mode.
pub const KNOWN_FOR: Duration = Duration::from_secs(900);
/// The most refused credentials kept in memory, and for how long: enough that a client that
/// repeats itself costs nothing, too little to be worth filling.
const MOST_REFUSED: u64 = 10_000;
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// How long a lookup waits for its turn at the database.
const TURN_LIMIT: Duration = Duration::from_secs(2);
/// How long a lookup may take: a database that stands still answers nothing, and breaks nothing off.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);
/// Uses waiting to be written down; more are forgotten, which costs only an exact `last_used`.
const MOST_TOUCHES: usize = 1024;
/// How often a use is written down at most.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// Why a credential is refused. For the audit log; the client only learns that it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallerFault {
    /// No such credential was issued here.
    Unknown,
    /// It is past its end.
    Expired,
    /// It was revoked, or whoever made it is gone.
    Revoked,
    /// The person, or the token's creator, is locked.
    Locked,
    /// The session rested unused for longer than its idle limit.
    Idle,
    /// It may not be used from this address.
    Network,
}

impl CallerFault {
    /// The name used in the log.
    pub const fn name(self) -> &'static str {
        match self {
            CallerFault::Unknown => "unknown",
            CallerFault::Expired => "expired",
            CallerFault::Revoked => "revoked",
            CallerFault::Locked => "locked",
            CallerFault::Idle => "idle",
            CallerFault::Network => "network",
        }
    }
}

impl fmt::Display for CallerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a credential was not resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It stands for nobody.
    #[error("the credential is refused: {0}")]
    Refused(CallerFault),
    /// It could not be checked.
    #[error("the credential cannot be checked")]
    Store(#[source] StoreError),
}

impl From<CallerFault> for ResolveError {
    fn from(fault: CallerFault) -> Self {
        ResolveError::Refused(fault)
    }
}

impl From<StoreError> for ResolveError {
    fn from(error: StoreError) -> Self {
        ResolveError::Store(error)
    }
}

/// Who a live credential stands for.
#[derive(Debug)]
pub struct KnownCaller {
    /// Who, with present roles.
    pub principal: Principal,
    /// When the credential ends by itself; `None` = never.
    pub expires: Option<Timestamp>,
    /// How long a session may rest unused; `None` for API tokens.
    pub idle_limit: Option<Duration>,
    /// The host of a service that this secret of a web session is for, and no other; `None` = the gateway's own
    /// hosts.
    pub host: Option<Arc<str>>,
    /// When this secret of a host was made; `None` for every other credential.
    pub made: Option<Timestamp>,
    /// From where it may be used; none = from everywhere.
    pub networks: Arc<[IpNet]>,
    /// Microseconds; the last use this process knows of.
    last_seen: AtomicI64,
    /// Microseconds; the last use that is, or is about to be, in the database.
    last_written: AtomicI64,
}

impl KnownCaller {
    fn fault(&self, now: Timestamp) -> Option<CallerFault> {
        if self.expires.is_some_and(|expires| now >= expires) {
            return Some(CallerFault::Expired);
        }
        let idle_limit = self.idle_limit?;
        // A last use in the future (the clock moved back) is live, as is the limit itself.
        now.checked_since(self.last_seen()).filter(|idle| *idle > idle_limit).map(|_idle| CallerFault::Idle)
    }

    /// Whether it may be used from this address; of one that is not known, whether it may from everywhere.
    fn is_at_home(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&from))
    }

    /// The last use that this process knows of.
    fn last_seen(&self) -> Timestamp {
        Timestamp::from_micros(self.last_seen.load(Ordering::Relaxed))
    }

    /// Takes over the uses that were noted of the same caller before.
    fn was_seen_as(&self, before: &KnownCaller) {
        self.last_seen.fetch_max(before.last_seen.load(Ordering::Relaxed), Ordering::Relaxed);
        self.last_written.fetch_max(before.last_written.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Notes a use; true when it is time to write it down, for exactly one of those who ask at once.
    fn used(&self, now: Timestamp) -> bool {
        self.last_seen.fetch_max(now.micros(), Ordering::Relaxed);
        let written = self.last_written.load(Ordering::Relaxed);
        let interval = self.idle_limit.map_or(TOUCH_INTERVAL, |limit| TOUCH_INTERVAL.min(limit / 4));
        let due = now.checked_since(Timestamp::from_micros(written)).is_some_and(|since| since >= interval);
        due && self
            .last_written
            .compare_exchange(written, now.micros(), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// A remembered answer, good only while its generation is the present one.
#[derive(Clone)]
struct Remembered<T> {
    generation: u64,
    value: T,
}

/// Resolves credentials.
pub struct Callers {
    database: Database,
    changes: Arc<Changes>,
    known: Cache<CredentialDigest, Remembered<Arc<KnownCaller>>>,
    refused: Cache<CredentialDigest, Remembered<CallerFault>>,
    /// Lookups that may be at the database at once: a flood of made-up credentials must leave
    /// connections for everybody else.
    turns: Semaphore,
    touches: mpsc::Sender<Touch>,
    known_for: Duration,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").field("known", &self.known.entry_count()).finish_non_exhaustive()
    }
}

impl Callers {
    pub(crate) fn new(
        database: Database,
        changes: Arc<Changes>,
        max_connections: u32,
        known_for: Duration,
    ) -> (Callers, mpsc::Receiver<Touch>) {
        let (touches, touched) = mpsc::channel(MOST_TOUCHES);
        let turns = usize::try_from(max_connections / 2).unwrap_or(1).max(1);
        let callers = Callers {
            database,
            changes,
            known: Cache::builder().max_capacity(MOST_KNOWN).time_to_live(known_for).build(),
            refused: Cache::builder().max_capacity(MOST_REFUSED).time_to_live(REFUSED_FOR).build(),
            turns: Semaphore::new(turns),
            touches,
            known_for,
        };
        (callers, touched)
    }

    /// [`Callers::resolve_from`] without an address.
    ///
    /// # Errors
    /// As there.
    pub async fn resolve(&self, credential: &str, now: Timestamp) -> Result<Arc<KnownCaller>, ResolveError> {
        self.resolve_from(credential, None, now).await
    }

    /// Who the credential (the whole `rgw_…`, `rgs_…` or cookie value, without an inline factor)
    /// stands for. Notes the use, from address `from`.
    ///
    /// Which *kinds* of credential a route takes is the caller's to check, see
    /// [`Principal::credential_kind`].
    ///
    /// # Errors
    /// [`ResolveError::Refused`] when it stands for nobody. [`ResolveError::Store`] when the database
    /// is needed and does not answer: a credential that was live within the time that the store was opened with
    /// ([`KNOWN_FOR`] by default) is answered from memory.
    pub async fn resolve_from(
        &self,
        credential: &str,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<KnownCaller>, ResolveError> {
        let kind = kind_of(credential).ok_or(CallerFault::Unknown)?;
        self.resolve_digest(kind, credential_digest(credential), from, now).await
    }

    /// Which API token stands for the key of a client certificate, by the key's digest. Notes the use, from
    /// address `from`. The certificate's own dates are the caller's to check.
    ///
    /// # Errors
    /// As [`Callers::resolve_from`].
    pub async fn resolve_certificate(
        &self,
        key: CredentialDigest,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<KnownCaller>, ResolveError> {
        self.resolve_digest(CredentialKind::ApiToken, key, from, now).await
    }

    async fn resolve_digest(
        &self,
        kind: CredentialKind,
        digest: CredentialDigest,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<KnownCaller>, ResolveError> {
        let caller = match self.remembered(&digest, now) {
            Some(answer) => answer?,
            None => Box::pin(self.ask_or_recall(kind, digest, now)).await??,
        };
        self.noted(caller, from, now)
    }

    /// Who a client certificate stands for by a trust rule. `certificate` is the digest of all of it; `choose` finds,
    /// among all rules for certificates, the one that takes it, and what the machine is called.
    ///
    /// # Errors
    /// As [`Callers::resolve_from`].
    pub async fn resolve_by_rule(
        &self,
        certificate: CredentialDigest,
        kind: &str,
        choose: impl FnOnce(&[TrustRule]) -> Option<(&TrustRule, String)>,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<KnownCaller>, ResolveError> {
        let caller = match self.remembered(&certificate, now) {
            Some(answer) => answer?,
            None => {
                let _turn = self.turn().await?;
                let generation = self.changes.generation();
                let rules = trust_rules::list(&self.database, Some(kind)).await?;
                let found = choose(&rules).ok_or(CallerFault::Unknown);
                let found = found.map(|(rule, subject)| lookup::by_rule(&certificate, rule, &subject));
                self.keep(certificate, generation, found)?
            }
        };
        self.noted(caller, from, now)
    }

    /// Who a client certificate was found to stand for by a trust rule, if that is remembered; never asks the database.
    ///
    /// # Errors
    /// As [`Callers::resolve_from`], without [`ResolveError::Store`].
    pub fn remembered_by_rule(
        &self,
        certificate: &CredentialDigest,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Result<Arc<KnownCaller>, ResolveError>> {
        let answer = self.remembered(certificate, now)?;
        Some(answer.map_err(ResolveError::from).and_then(|caller| self.noted(caller, from, now)))
    }

    fn noted(
        &self,
        caller: Arc<KnownCaller>,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<KnownCaller>, ResolveError> {
        if from.is_some_and(|from| !caller.is_at_home(from)) {
            return Err(CallerFault::Network.into());
        }
        if caller.used(now) {
            // A full queue only costs precision.
            let _ = self.touches.try_send(Touch::new(&caller.principal, from, now));
        }
        Ok(caller)
    }

    /// A number that changes whenever users, tokens, sessions or settings may have changed:
    /// at once for changes of this instance, and at latest after the poll for those of others.
    pub fn subscribe_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn remembered(
        &self,
        digest: &CredentialDigest,
        now: Timestamp,
    ) -> Option<Result<Arc<KnownCaller>, CallerFault>> {
        let generation = self.changes.generation();
        if let Some(known) = self.known.get(digest).filter(|known| known.generation == generation) {
            return match known.value.fault(now) {
                None => Some(Ok(known.value)),
                // Another instance may have seen the session meanwhile: the row decides.
                Some(CallerFault::Idle) => None,
                Some(fault) => Some(Err(fault)),
            };
        }
        let refused = self.refused.get(digest).filter(|refused| refused.generation == generation)?;
        Some(Err(refused.value))
    }

    /// What is remembered, good now.
    #[cfg(test)]
    pub(crate) fn remembered_for_tests(
        &self,
        digest: &CredentialDigest,
        now: Timestamp,
    ) -> Option<Result<Arc<KnownCaller>, CallerFault>> {
        self.remembered(digest, now)
    }

    async fn ask(
        &self,
        kind: CredentialKind,
        digest: CredentialDigest,
        now: Timestamp,
    ) -> Result<Result<Arc<KnownCaller>, CallerFault>, StoreError> {
        let _turn = self.turn().await?;
        // Read before the row: an answer that a change overtakes is remembered under a generation
        // that is past, and so never used.
        let generation = self.changes.generation();
        let late = |_elapsed| StoreError::TimedOut { doing: "looking a caller up", limit: LOOKUP_LIMIT };
        let found = timeout(LOOKUP_LIMIT, self.look_up(kind, &digest)).await.map_err(late).flatten();
        match &found {
            Ok(_) => self.changes.asked(true),
            Err(error) if error.is_unavailable() => self.changes.asked(false),
            Err(_) => {}
        }
        let answer = found?.and_then(|caller| caller.fault(now).map_or(Ok(caller), Err));
        Ok(self.keep(digest, generation, answer))
    }

    async fn look_up(
        &self,
        kind: CredentialKind,
        digest: &CredentialDigest,
    ) -> Result<Result<KnownCaller, CallerFault>, StoreError> {
        match kind {
            CredentialKind::ApiToken => lookup::token(&self.database, digest).await,
            CredentialKind::CliSession | CredentialKind::WebSession => {
                lookup::session(&self.database, digest, kind).await
            }
            CredentialKind::Workload => lookup::workload(&self.database, digest).await,
            CredentialKind::None | CredentialKind::AccessToken => Ok(Err(CallerFault::Unknown)),
        }
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StoreError> {
        let overloaded = || StoreError::Overloaded { of: "credential lookups" };
        let turn = tokio::time::timeout(TURN_LIMIT, self.turns.acquire()).await;
        turn.map_err(|_elapsed| overloaded())?.map_err(|_closed| overloaded())
    }

    /// Remembers an answer that was true at `generation`.
    fn keep(
        &self,
        digest: CredentialDigest,
        generation: u64,
        answer: Result<KnownCaller, CallerFault>,
    ) -> Result<Arc<KnownCaller>, CallerFault> {
        match answer {
            Ok(caller) => {
                let caller = Arc::new(caller);
                self.known.insert(digest, Remembered { generation, value: Arc::clone(&caller) });
                Ok(caller)
            }
            Err(fault) => {
                self.known.invalidate(&digest);
                self.refused.insert(digest, Remembered { generation, value: fault });
                Err(fault)
            }
        }
    }
}

/// The kind of a well-formed credential. Anything else is refused without asking the database.
fn kind_of(credential: &str) -> Option<CredentialKind> {
    match TokenKind::of(credential) {
        Some(TokenKind::Api) => Some(CredentialKind::ApiToken),
        Some(TokenKind::CliSession) => Some(CredentialKind::CliSession),
        Some(TokenKind::Workload) => Some(CredentialKind::Workload),
        Some(TokenKind::Join) => None,
        None if gateway_types::is_predecessors_token(credential) => Some(CredentialKind::ApiToken),
        None => {
            let web = credential.len() == 43 && BASE64URL_NOPAD.decode(credential.as_bytes()).is_ok();
            web.then_some(CredentialKind::WebSession)
        }
    }
}
