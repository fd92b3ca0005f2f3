//! A member of the zone: joins, renews at half-life, reports, follows the bundle. Its leaf and what it trusts change
//! while connections are open.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use gateway_pki::tls::{LiveLeaf, LiveTrust, Trust as _, client_settings, joining_settings, provider};
use gateway_pki::{Bundle, JoinToken, PkiError, SpiffeId, TokenFault, issuer_of, renewal, request};
use gateway_types::wire::zone::{Enrol, Enrolled, MemberReport, MemberStanding, Renew};
use gateway_types::{Secret, Timestamp};
use http::Method;
use rack_gateway_verify::Keys;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Surroundings;
use crate::authority::{AskError, Authority};
use crate::refusals::Refusals;
use crate::registering::Registering;
use crate::state::{self, Kept};

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_millis(200);

/// How often the keys of request tokens are asked for.
const KEYS_FRESH: Duration = Duration::from_secs(300);

/// How soon they are asked for again when a token names one that is not known.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How long a member that stops tries to tell the gateway of it.
const LEAVING: Duration = Duration::from_secs(2);

/// Whether a member that reports goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Presence {
    Here,
    Leaving,
}

/// How somebody becomes a member.
#[derive(Clone, Debug)]
pub struct Join {
    /// Host and port of the gateway.
    pub gateway: String,
    /// The service that it is to be, which must be the one of the token.
    pub service: String,
    /// The join token; needed where nothing is kept.
    pub token: Option<Secret<String>>,
    /// Where key and leaf are kept; without it a restart takes another join token.
    pub state: Option<PathBuf>,
}

/// Why somebody is no member.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// There is no token and nothing that was kept.
    #[error("give a join token (`rack-gateway zone join-token NAME`): nothing is kept that still holds")]
    NoToken,
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The authority could not be asked or said no.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A key could not be made, or the bundle not read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// What the gateway gave is for another service.
    #[error("this is a member of {found}, not of the service `{wanted}`")]
    OtherService {
        /// Who it is.
        found: String,
        /// Who it was to be.
        wanted: String,
    },
    /// What the gateway gave cannot be used.
    #[error("what the gateway answered cannot be used")]
    Answer,
    /// The state cannot be written.
    #[error("the state cannot be kept in {path}")]
    State {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What a member knows besides the bundle.
#[derive(Clone, Debug)]
pub(crate) struct Knows {
    pub(crate) id: SpiffeId,
    /// Who may call.
    pub(crate) callers: Vec<SpiffeId>,
    pub(crate) token_issuer: String,
}

/// The leaf and its dates.
#[derive(Clone, Debug)]
struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    not_before: Timestamp,
    not_after: Timestamp,
    renew: Timestamp,
}

/// A member.
#[derive(Debug)]
pub struct Member {
    pub(crate) trust: Arc<LiveTrust>,
    pub(crate) leaf: Arc<LiveLeaf>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) knows: ArcSwap<Knows>,
    pub(crate) keys: Keys,
    pub(crate) refusals: Refusals,
    registering: Option<Registering>,
    /// When keys were last asked for because a token named one that is not known.
    asked_again: tokio::sync::Mutex<Option<Instant>>,
    pub(crate) surroundings: Surroundings,
    current: Mutex<Leaf>,
    authority: Authority,
    state: Option<PathBuf>,
}

/// A new key, what was asked for with it, and what came.
struct Got {
    key: Secret<Vec<u8>>,
    enrolled: Enrolled,
}

impl Member {
    /// Becomes a member, or is one by what was kept.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn join(
        join: Join,
        registering: Option<Registering>,
        surroundings: Surroundings,
    ) -> Result<Self, MemberError> {
        let provider = provider();
        let now = surroundings.clock.now();
        let kept = join.state.as_deref().and_then(state::read).and_then(|kept| {
            let key = Secret::new(BASE64.decode(kept.key.as_bytes()).ok()?);
            let holds = moment(&kept.enrolled.not_after).ok()? > now;
            holds.then_some(Got { key, enrolled: kept.enrolled })
        });
        let got = match (kept, &join.token) {
            (Some(got), _) => got,
            (None, None) => return Err(MemberError::NoToken),
            (None, Some(token)) => enrol(&provider, &join.gateway, token, &surroundings).await?,
        };
        let bundle = Bundle::from_json(&got.enrolled.standing.bundle)?;
        let authority = Authority { address: join.gateway, domain: bundle.domain.clone() };
        let knows = knows(&got.enrolled.spiffe_id, &got.enrolled.standing)?;
        if bundle.domain.service(&join.service).ok().as_ref() != Some(&knows.id) {
            return Err(MemberError::OtherService { found: knows.id.to_string(), wanted: join.service });
        }
        let (trust, leaf) = (Arc::<LiveTrust>::default(), Arc::<LiveLeaf>::default());
        trust.set(Some(Arc::new(bundle)));
        let current = current(&got.enrolled, &surroundings)?;
        leaf.show(&provider, current.chain.clone(), &got.key)?;
        let member = Self {
            trust,
            leaf,
            provider,
            knows: ArcSwap::from_pointee(knows),
            keys: Keys::default(),
            refusals: Refusals::default(),
            registering,
            asked_again: tokio::sync::Mutex::default(),
            surroundings,
            current: Mutex::new(current),
            authority,
            state: join.state,
        };
        member.keep(&got)?;
        member.fetch_keys().await?;
        Ok(member)
    }

    /// Who it is.
    pub fn id(&self) -> SpiffeId {
        self.knows.load().id.clone()
    }

    /// Until when its leaf holds.
    pub fn not_after(&self) -> Timestamp {
        self.now_has().not_after
    }

    /// The sequence of the bundle that it has.
    pub fn sequence(&self) -> u64 {
        self.trust.bundle().map_or(0, |bundle| bundle.sequence)
    }

    fn now_has(&self) -> Leaf {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the gateway is called, with the leaf that holds now.
    fn to_gateway(&self) -> Result<ClientConfig, rustls::Error> {
        let gateway = self.authority.domain.gateway();
        self.to(gateway)
    }

    /// How exactly this member is called.
    pub(crate) fn to(&self, id: SpiffeId) -> Result<ClientConfig, rustls::Error> {
        client_settings(
            Arc::clone(&self.provider),
            self.trust.clone(),
            id,
            Some(Arc::clone(&self.leaf)),
            Arc::clone(&self.surroundings.clock),
        )
    }

    fn keep(&self, got: &Got) -> Result<(), MemberError> {
        let Some(path) = &self.state else { return Ok(()) };
        let kept = Kept { key: BASE64.encode(got.key.expose()), enrolled: got.enrolled.clone() };
        state::write(path, &kept).map_err(|source| MemberError::State { path: path.clone(), source })
    }

    async fn fetch_keys(&self) -> Result<(), MemberError> {
        let settings = self.to_gateway()?;
        let body = self.authority.ask(settings, Method::GET, "/.well-known/jwks.json", Vec::new()).await?;
        let text = std::str::from_utf8(&body).map_err(|_bad| MemberError::Answer)?;
        self.keys.replace(text).map_err(|_bad| MemberError::Answer)
    }

    /// Asks for the keys once more, since a token names one that is not known: the gateway may have begun to sign with it
    /// just now. At most every few seconds, whoever sends such tokens.
    pub(crate) async fn look_for_key(&self) {
        let mut last = self.asked_again.lock().await;
        if last.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return;
        }
        *last = Some(Instant::now());
        if let Err(error) = self.fetch_keys().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the keys of request tokens could not be asked for"
            );
        }
    }

    /// Gets the next leaf.
    async fn renew(&self) -> Result<(), MemberError> {
        let (key, csr) = request::make()?;
        let body =
            serde_json::to_vec(&Renew { csr: BASE64.encode(&csr) }).map_err(|_bad| MemberError::Answer)?;
        let body = self.authority.ask(self.to_gateway()?, Method::POST, "/zone/renew", body).await?;
        let enrolled: Enrolled = serde_json::from_slice(&body).map_err(|_bad| MemberError::Answer)?;
        let next = current(&enrolled, &self.surroundings)?;
        self.learn(&enrolled.standing)?;
        self.leaf.show(&self.provider, next.chain.clone(), &key)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.keep(&Got { key, enrolled })
    }

    /// Says what was seen and learns what changed.
    async fn report(&self, presence: Presence) -> Result<(), MemberError> {
        let registration = match (presence, &self.registering) {
            (Presence::Here, Some(registering)) => Some(registering.look().await),
            (Presence::Here, None) | (Presence::Leaving, _) => None,
        };
        let refused = self.refusals.take();
        let report = MemberReport { sequence: self.sequence(), refused, registration };
        let told = async {
            let body = serde_json::to_vec(&report).map_err(|_bad| MemberError::Answer)?;
            let body = self.authority.ask(self.to_gateway()?, Method::POST, "/zone/report", body).await?;
            serde_json::from_slice::<MemberStanding>(&body).map_err(|_bad| MemberError::Answer)
        };
        match told.await {
            Ok(standing) => {
                if let Some(registering) = &self.registering {
                    registering.told(standing.registration_refused.as_deref());
                }
                self.learn(&standing)
            }
            Err(error) => {
                self.refusals.put_back(report.refused);
                Err(error)
            }
        }
    }

    fn learn(&self, standing: &MemberStanding) -> Result<(), MemberError> {
        let bundle = Bundle::from_json(&standing.bundle)?;
        // A reply that was overtaken by a newer one takes nothing back.
        if bundle.domain == self.authority.domain && bundle.sequence >= self.sequence() {
            let id = self.knows.load().id.to_string();
            self.knows.store(Arc::new(knows(&id, standing)?));
            self.trust.set(Some(Arc::new(bundle)));
        }
        Ok(())
    }

    /// Whether the leaf is to be replaced now.
    fn is_due(&self, now: Timestamp) -> bool {
        let leaf = self.now_has();
        let bundle = self.trust.bundle();
        let is_tainted = issuer_of(&leaf.chain)
            .zip(bundle)
            .is_some_and(|(issuer, bundle)| bundle.tainted.contains(&issuer));
        is_tainted || now >= leaf.renew
    }

    /// Renews, reports and follows until it is stopped.
    pub(crate) async fn keep_up(self: Arc<Self>, stopping: CancellationToken) {
        let clock = Arc::clone(&self.surroundings.clock);
        let now = clock.now();
        let (mut next_renewal, mut failures) = (now, 0u32);
        let (mut next_report, mut next_keys) = (now, now.saturating_add(KEYS_FRESH));
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stopping.cancelled() => return self.leave().await,
            }
            let now = clock.now();
            if now >= next_renewal && self.is_due(now) {
                match self.renew().await {
                    Ok(()) => failures = 0,
                    Err(error) => {
                        self.renewal_failed(&error, now);
                        let leaf = self.now_has();
                        let life = leaf.not_after.checked_since(leaf.not_before).unwrap_or_default();
                        next_renewal = now.saturating_add(renewal::retry(life, failures));
                        failures = failures.saturating_add(1);
                    }
                }
            }
            if now >= next_report {
                let refresh = self.trust.bundle().map_or(TICK, |bundle| bundle.refresh);
                next_report = now.saturating_add(refresh);
                if let Err(error) = self.report(Presence::Here).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the gateway could not be told of; what is known holds"
                    );
                }
            }
            if now >= next_keys {
                next_keys = now.saturating_add(KEYS_FRESH);
                if let Err(error) = self.fetch_keys().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the keys of request tokens could not be asked for; those that are known hold"
                    );
                }
            }
        }
    }

    /// Tells the gateway that this is no instance any more. When it cannot be told, it finds out by itself.
    async fn leave(&self) {
        if self.registering.is_none() {
            return;
        }
        match tokio::time::timeout(LEAVING, self.report(Presence::Leaving)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the gateway could not be told that this instance stops; it finds out within seconds"
            ),
            Err(_late) => tracing::warn!(
                "the gateway did not answer in time that this instance stops; it finds out within seconds"
            ),
        }
    }

    fn renewal_failed(&self, error: &MemberError, now: Timestamp) {
        let leaf = self.now_has();
        if renewal::is_late(leaf.not_before, leaf.not_after, now) {
            tracing::error!(
                error = error as &dyn std::error::Error,
                until = %leaf.not_after.to_rfc3339(),
                "the leaf could not be renewed, and less than a third of its life is left"
            );
        } else {
            tracing::warn!(error = error as &dyn std::error::Error, "the leaf could not be renewed yet");
        }
    }
}

async fn enrol(
    provider: &Arc<CryptoProvider>,
    gateway: &str,
    token: &Secret<String>,
    surroundings: &Surroundings,
) -> Result<Got, MemberError> {
    let token = JoinToken::parse(token.expose())?;
    let authority = Authority { address: gateway.to_owned(), domain: token.domain().clone() };
    let (key, csr) = request::make()?;
    let asked = Enrol { token: token.text().expose().clone(), csr: BASE64.encode(&csr) };
    let body = serde_json::to_vec(&asked).map_err(|_bad| MemberError::Answer)?;
    let settings = joining_settings(Arc::clone(provider), token, Arc::clone(&surroundings.clock))?;
    let body = authority.ask(settings, Method::POST, "/zone/enrol", body).await?;
    let enrolled = serde_json::from_slice(&body).map_err(|_bad| MemberError::Answer)?;
    Ok(Got { key, enrolled })
}

fn knows(id: &str, standing: &MemberStanding) -> Result<Knows, MemberError> {
    let id_of = |text: &str| text.parse::<SpiffeId>().map_err(|_bad| MemberError::Answer);
    Ok(Knows {
        id: id_of(id)?,
        callers: standing.callers.iter().map(|text| id_of(text)).collect::<Result<_, _>>()?,
        token_issuer: standing.token_issuer.clone(),
    })
}

fn moment(text: &str) -> Result<Timestamp, MemberError> {
    Timestamp::parse_rfc3339(text).ok_or(MemberError::Answer)
}

fn current(enrolled: &Enrolled, surroundings: &Surroundings) -> Result<Leaf, MemberError> {
    let der = |text: &String| BASE64.decode(text.as_bytes()).map(CertificateDer::from);
    let chain: Result<Vec<_>, _> = enrolled.chain.iter().map(der).collect();
    let (not_before, not_after) = (moment(&enrolled.not_before)?, moment(&enrolled.not_after)?);
    // Leaves are dated back a little for clocks that are behind; the life that counts begins now.
    let begun = not_before.max(surroundings.clock.now()).min(not_after);
    Ok(Leaf {
        chain: chain.map_err(|_bad| MemberError::Answer)?,
        not_before: begun,
        not_after,
        renew: renewal::due(begun, not_after, &*surroundings.entropy),
    })
}
