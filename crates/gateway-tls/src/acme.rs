//! Certificates by ACME (RFC 8555): got when there is none, renewed when the server suggests it (RFC 9773) or
//! at two thirds of their life, tried again with growing pauses.
//!
//! Everything is in the store, so that a crash loses nothing and several instances share one account: a name
//! is worked on under a lease, and every instance shows what the store has. Start reading at [`Acme::run`];
//! [`order`] is one certificate from beginning to end, [`schedule`] says when.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway_store::{Attempt, ChallengeAnswer, ChallengeKind, IssuedCertificate, Lease, Store, StoreError};
use gateway_types::{Clock, Entropy, Secret, Timestamp};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::{PairError, TlsError};
use crate::pair::Pair;
use crate::resolver::CertificateResolver;
use crate::status::{Standing, Status};

pub mod answers;
pub mod dns;
mod error;
mod order;
mod schedule;
mod transport;

pub use answers::HttpAnswers;
pub use dns::{DnsUpdater, TsigAlgorithm};
pub use error::AcmeError;

use schedule::{Due, Present};
use transport::Transport;

/// How often it is looked whether something is due. It costs no question to the store.
const DUE_INTERVAL: Duration = Duration::from_secs(1);

/// At latest when a change in the store is seen.
const LOAD_INTERVAL: Duration = Duration::from_secs(15);

/// How long one name may be worked on.
const WORK_LIMIT: Duration = Duration::from_secs(8 * 60);

/// How long the lease of a name is held at most: longer than the work under it.
const LEASE_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How long a name rests after it was looked at, whatever came of it: the store must be seen first.
const REST: Duration = Duration::from_secs(3);

/// How names are proved.
#[derive(Clone, Debug)]
pub enum Proof {
    /// TLS-ALPN-01, and HTTP-01 after it failed, in turn.
    InTurn,
    /// Over TLS (RFC 8737).
    TlsAlpn01,
    /// Over plain HTTP (RFC 8555, section 8.3).
    Http01,
    /// By TXT records (RFC 8555, section 8.4).
    Dns01(DnsUpdater),
}

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct AcmeOptions {
    /// The address of the server's directory.
    pub directory: String,
    /// A PEM file of the only authorities that may have signed the server's own certificate.
    pub ca_file: Option<PathBuf>,
    /// An e-mail address that the server may write to.
    pub contact: Option<String>,
    /// Key id and HMAC key of an external account.
    pub external_account: Option<(String, Secret<Vec<u8>>)>,
    /// How names are proved.
    pub proof: Proof,
}

/// What the composition root provides.
#[derive(Debug)]
pub struct AcmeParts {
    /// What the configuration says.
    pub options: AcmeOptions,
    /// Where account, certificates and challenges are kept.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The cryptography.
    pub provider: Arc<CryptoProvider>,
    /// Shows the certificates.
    pub resolver: Arc<CertificateResolver>,
    /// Answers HTTP-01 challenges.
    pub answers: Arc<HttpAnswers>,
    /// How the certificates stand.
    pub status: Arc<Status>,
    /// The names that need a certificate, the default one first.
    pub names: watch::Receiver<Vec<String>>,
}

/// What the store said last.
#[derive(Debug, Default)]
struct Known {
    certificates: BTreeMap<String, IssuedCertificate>,
    attempts: BTreeMap<String, Attempt>,
}

/// Gets certificates and keeps them fresh.
#[derive(Debug)]
pub struct Acme {
    parts: AcmeParts,
    transport: Transport,
    known: ArcSwap<Known>,
}

impl Acme {
    /// One that has asked nobody yet.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub fn new(parts: AcmeParts) -> Result<Arc<Self>, TlsError> {
        let transport = Transport::new(parts.options.ca_file.as_deref(), parts.provider.clone())?;
        Ok(Arc::new(Self { parts, transport, known: ArcSwap::default() }))
    }

    /// Shows what the store has.
    ///
    /// # Errors
    /// Only when the store cannot be read; what was shown before is shown further.
    pub async fn load(&self) -> Result<(), StoreError> {
        let stored = self.parts.store.certificates();
        let (all, attempts, answers) =
            (stored.all().await?, stored.attempts().await?, stored.answers().await?);
        let known = Known {
            certificates: all.into_iter().map(|issued| (issued.name.clone(), issued)).collect(),
            attempts: attempts.into_iter().map(|attempt| (attempt.name.clone(), attempt)).collect(),
        };
        let names = self.parts.names.borrow().clone();
        let mut pairs = Vec::new();
        for issued in names.iter().filter_map(|name| known.certificates.get(name)) {
            match pair_of(issued, &self.parts.provider) {
                Ok(pair) => pairs.push(pair),
                Err(error) => tracing::error!(
                    name = issued.name,
                    error = &error as &dyn std::error::Error,
                    "a certificate in the store cannot be used"
                ),
            }
        }
        self.parts.resolver.show(pairs);
        self.parts.status.set(names.iter().map(|name| (name.clone(), standing(name, &known))).collect());
        self.show_answers(&answers);
        self.known.store(Arc::new(known));
        Ok(())
    }

    fn show_answers(&self, all: &[ChallengeAnswer]) {
        self.parts.answers.set(all);
        let certificates = all
            .iter()
            .filter(|answer| answer.kind == ChallengeKind::TlsAlpn01)
            .filter_map(|answer| match answers::certificate(answer, &self.parts.provider) {
                Ok(certificate) => Some((answer.name.clone(), certificate)),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "no challenge certificate could be made");
                    None
                }
            })
            .collect();
        self.parts.resolver.answer(certificates);
    }

    /// Follows the store and gets what is missing, until it is stopped. Work in hand is dropped then; the next
    /// start goes on with it.
    pub async fn run(self: Arc<Self>, stopping: CancellationToken) {
        tokio::select! {
            () = self.follow() => {}
            () = self.renew() => {}
            () = stopping.cancelled() => {}
        }
    }

    /// Shows what changes in the store, whoever changed it.
    async fn follow(&self) {
        let mut changes = self.parts.store.callers().subscribe_changes();
        let mut names = self.parts.names.clone();
        let mut ticks = interval(LOAD_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(error) = self.load().await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "certificates could not be read again; the last ones are shown");
            }
            tokio::select! {
                _ = ticks.tick() => {}
                changed = changes.changed() => if changed.is_err() { return },
                // Without a sender the names stay as they are.
                Ok(()) = names.changed() => {}
            }
        }
    }

    /// Works on every name for which something is due, each in a task of its own.
    async fn renew(self: &Arc<Self>) {
        let mut ticks = interval(DUE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work: JoinSet<String> = JoinSet::new();
        // A name in work rests for longer than the work may take; one that is done, until then.
        let mut resting: HashMap<String, Instant> = HashMap::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(done) = work.join_next() => {
                    match done {
                        Ok(name) => { resting.insert(name, Instant::now() + REST); }
                        Err(error) => tracing::error!(%error, "the work on a certificate was cut off"),
                    }
                    continue;
                }
            }
            let now = Instant::now();
            resting.retain(|_name, until| now < *until);
            for name in
                self.due_names().into_iter().filter(|name| !resting.contains_key(name)).collect::<Vec<_>>()
            {
                resting.insert(name.clone(), now + LEASE_LIMIT);
                let acme = self.clone();
                work.spawn(async move {
                    acme.tend(&name).await;
                    name
                });
            }
        }
    }

    fn due_names(&self) -> Vec<String> {
        let known = self.known.load();
        let due = |name: &String| self.due(known.certificates.get(name), known.attempts.get(name));
        self.parts.names.borrow().iter().filter(|name| due(name) != Due::Nothing).cloned().collect()
    }

    fn due(&self, issued: Option<&IssuedCertificate>, attempt: Option<&Attempt>) -> Due {
        let present = issued.map(|issued| Present {
            of_this_server: issued.directory == self.parts.options.directory,
            not_before: issued.not_before,
            not_after: issued.not_after,
            renew_at: issued.renew_at,
            ask_again: issued.ask_again,
        });
        // What another server said is nothing to this one.
        let attempt = attempt.filter(|attempt| attempt.directory == self.parts.options.directory);
        schedule::due(present.as_ref(), attempt.and_then(|attempt| attempt.next_try), self.now())
    }

    /// Does what is due for a name, unless another instance is at it.
    async fn tend(&self, name: &str) {
        let lease = match self.lease(name).await {
            Ok(lease) => lease,
            Err(StoreError::LeaseHeld { .. }) => return,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name, error, "a certificate cannot be worked on now");
                return;
            }
        };
        match timeout(WORK_LIMIT, self.tend_alone(name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    name,
                    error = &error as &dyn std::error::Error,
                    "a certificate cannot be worked on now"
                );
            }
            Err(_elapsed) => tracing::warn!(name, "getting a certificate took too long"),
        }
        if let Err(error) = lease.release().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a lease was left to expire");
        }
    }

    async fn lease(&self, name: &str) -> Result<Lease, StoreError> {
        self.parts.store.leases().acquire(&format!("acme:{name}"), LEASE_LIMIT, Duration::ZERO).await
    }

    /// Looks again, now that nobody else is at it, and acts.
    async fn tend_alone(&self, name: &str) -> Result<(), StoreError> {
        let stored = self.parts.store.certificates();
        let issued = stored.all().await?.into_iter().find(|issued| issued.name == name);
        let attempt = stored.attempts().await?.into_iter().find(|attempt| attempt.name == name);
        match self.due(issued.as_ref(), attempt.as_ref()) {
            Due::Nothing => Ok(()),
            Due::Ask => match issued {
                Some(issued) => self.ask(&issued).await,
                None => Ok(()),
            },
            Due::Order => self.order(name, issued.as_ref(), attempt).await,
        }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    fn random(&self) -> u64 {
        let mut bytes = [0u8; 8];
        self.parts.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

fn standing(name: &str, known: &Known) -> Standing {
    let attempt = known.attempts.get(name);
    Standing {
        not_after: known.certificates.get(name).map(|issued| issued.not_after),
        problem: attempt.and_then(|attempt| attempt.last_error.clone()),
        next_try: attempt.and_then(|attempt| attempt.next_try),
    }
}

/// The stored key is PKCS #8 in DER.
fn pair_of(issued: &IssuedCertificate, provider: &CryptoProvider) -> Result<Pair, PairError> {
    pair(issued.chain.as_bytes(), &issued.key, provider)
}

fn pair(chain: &[u8], key: &Secret<Vec<u8>>, provider: &CryptoProvider) -> Result<Pair, PairError> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.expose().clone()));
    Pair::new(chain.map_err(PairError::CertificatePem)?, key, provider)
}
