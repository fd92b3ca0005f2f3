//! Who else is asked about deploys and told of them, and with which credentials: those of the configuration, or those
//! that an admin gave the gateway while it ran. What is asked of GitHub, and when a commit is good enough, is in
//! `gateway-integrations`; what an app's settings demand is in `approvals/commit.rs`.

mod changes;
mod credentials;
mod error;
mod github;
mod slack;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gateway_identity::oidc::{Fetch, FetchError};
use gateway_integrations::circleci::CircleCi;
use gateway_integrations::http::{Http, Pending, Unreachable};
use gateway_integrations::sigstore::{Sigstore, TrustFault};
use gateway_store::{Integration, Store, StoreError};
use http::Request;

pub use changes::{Shown, Source, Stand, list, remove, set, test};
pub use credentials::{Credentials, CredentialsFault, Given};
pub use error::IntegrationError;
pub use github::{GitHubDesk, NotShown, Question};
pub use slack::{Claimed, Heard, NotSlacks, SlackDesk, hear};

/// A service that is asked or told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// GitHub.
    Github,
    /// CircleCI.
    Circleci,
    /// Slack.
    Slack,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Github, Kind::Circleci, Kind::Slack];

    /// The name in paths, events and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Github => "github",
            Kind::Circleci => "circleci",
            Kind::Slack => "slack",
        }
    }

    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Github => "GitHub",
            Kind::Circleci => "CircleCI",
            Kind::Slack => "Slack",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

impl FromStr for Kind {
    type Err = IntegrationError;

    fn from_str(text: &str) -> Result<Self, IntegrationError> {
        let known = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| IntegrationError::UnknownKind { kind: gateway_audit::bounded(text) })
    }
}

/// Who else is asked and told, as it is in force on this instance.
#[derive(Debug)]
pub struct Integrations {
    configured: gateway_config::Integrations,
    attestations: Option<Sigstore>,
    in_force: ArcSwap<InForce>,
}

/// With whom the gateway can speak.
#[derive(Debug, Default)]
struct InForce {
    /// The versions of the credentials of the database that this was made of.
    versions: BTreeMap<Kind, i64>,
    github: Option<Arc<GitHubDesk>>,
    circleci: Option<Arc<CircleCi>>,
    slack: Option<Arc<SlackDesk>>,
    /// Why credentials of the database cannot be used.
    faults: BTreeMap<Kind, String>,
}

/// Why somebody cannot be asked as configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address or the token.
    #[error(transparent)]
    Endpoint(#[from] gateway_integrations::http::EndpointFault),
    /// The App's key.
    #[error("the private key of the GitHub App is not an RSA key in PEM")]
    AppKey(#[source] jsonwebtoken::errors::Error),
    /// The secret of the Slack app.
    #[error(transparent)]
    SigningSecret(#[from] gateway_integrations::slack::SignatureFault),
    /// Whose attestations are believed.
    #[error(transparent)]
    Trust(#[from] TrustFault),
}

impl Integrations {
    /// As configured; what the database knows comes with [`Integrations::refresh`].
    ///
    /// # Errors
    /// [`SetupError`]: what is configured cannot be used.
    pub fn new(configured: &gateway_config::Integrations) -> Result<Self, SetupError> {
        let mut in_force = InForce::default();
        for kind in Kind::ALL {
            if let Some(credentials) = Credentials::configured(configured, kind) {
                in_force.take(configured, &credentials)?;
            }
        }
        let attestations = configured.attestations.as_ref();
        let attestations = attestations
            .map(|one| Sigstore::new(one.authority.expose(), one.log_key.expose(), &one.issuer))
            .transpose()?;
        Ok(Self { configured: configured.clone(), attestations, in_force: ArcSwap::from_pointee(in_force) })
    }

    /// Reads the credentials of the database again. When that fails the last ones hold; what did not change goes on as
    /// it is, with all that it remembers. Credentials that cannot be used are left out with a line in the log.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let stored = store.integrations().list().await?;
        let versions: BTreeMap<Kind, i64> =
            stored.iter().filter_map(|row| Some((row.kind.parse().ok()?, row.version))).collect();
        let before = self.in_force.load();
        if before.versions == versions {
            return Ok(());
        }
        let mut next = InForce { versions, ..InForce::default() };
        for kind in Kind::ALL {
            let is_same = before.versions.get(&kind) == next.versions.get(&kind);
            if is_same || self.is_configured(kind) {
                next.keep(&before, kind);
            } else if let Some(row) = stored.iter().find(|row| row.kind == kind.name())
                && let Err(fault) = self.take(&mut next, kind, row)
            {
                tracing::error!(kind = kind.name(), fault, "the credentials in the database cannot be used");
                next.faults.insert(kind, fault);
            }
        }
        self.in_force.store(Arc::new(next));
        Ok(())
    }

    fn take(&self, next: &mut InForce, kind: Kind, row: &Integration) -> Result<(), String> {
        let sealed = row.credentials.as_ref().ok_or("they do not open under this app secret key")?;
        let credentials = Credentials::read(kind, sealed).map_err(|fault| fault.to_string())?;
        next.take(&self.configured, &credentials).map_err(|fault| fault.to_string())
    }

    /// Whether the configuration gives the credentials, which then come before the database's.
    pub fn is_configured(&self, kind: Kind) -> bool {
        Credentials::configured(&self.configured, kind).is_some()
    }

    /// Whether credentials can be used at all.
    ///
    /// # Errors
    /// [`SetupError`]: they cannot.
    pub fn check(&self, credentials: &Credentials) -> Result<(), SetupError> {
        InForce::default().take(&self.configured, credentials)
    }

    /// GitHub, if it is asked.
    pub fn github(&self) -> Option<Arc<GitHubDesk>> {
        self.in_force.load().github.clone()
    }

    /// Whose attestations are believed, if anybody's are.
    pub fn attestations(&self) -> Option<&Sigstore> {
        self.attestations.as_ref()
    }

    /// CircleCI, if it is told.
    pub fn circleci(&self) -> Option<Arc<CircleCi>> {
        self.in_force.load().circleci.clone()
    }

    /// Slack, if it is told.
    pub fn slack(&self) -> Option<Arc<SlackDesk>> {
        self.in_force.load().slack.clone()
    }

    /// Why the credentials of the database cannot be used; `None` when they can, or there are none.
    pub fn fault(&self, kind: Kind) -> Option<String> {
        self.in_force.load().faults.get(&kind).cloned()
    }

    /// Whether the gateway can speak with this service.
    pub fn is_ready(&self, kind: Kind) -> bool {
        let in_force = self.in_force.load();
        match kind {
            Kind::Github => in_force.github.is_some(),
            Kind::Circleci => in_force.circleci.is_some(),
            Kind::Slack => in_force.slack.is_some(),
        }
    }
}

impl InForce {
    fn take(
        &mut self,
        configured: &gateway_config::Integrations,
        credentials: &Credentials,
    ) -> Result<(), SetupError> {
        match credentials {
            Credentials::Github(access) => {
                let desk = GitHubDesk::new(&configured.github.api, access)?;
                self.github = Some(Arc::new(desk));
            }
            Credentials::Circleci(token) => {
                let circle = CircleCi::new(configured.circleci.host.clone(), token.clone())?;
                self.circleci = Some(Arc::new(circle));
            }
            Credentials::Slack(access) => {
                self.slack = Some(Arc::new(SlackDesk::new(&configured.slack.api, access)?));
            }
        }
        Ok(())
    }

    fn keep(&mut self, before: &InForce, kind: Kind) {
        match kind {
            Kind::Github => self.github.clone_from(&before.github),
            Kind::Circleci => self.circleci.clone_from(&before.circleci),
            Kind::Slack => self.slack.clone_from(&before.slack),
        }
        if let Some(fault) = before.faults.get(&kind) {
            self.faults.insert(kind, fault.clone());
        }
    }
}

/// The gateway's way out, as integrations know it.
#[derive(Debug)]
pub(crate) struct WayOut<'f>(pub(crate) &'f dyn Fetch);

impl Http for WayOut<'_> {
    fn send<'a>(&'a self, request: Request<Vec<u8>>) -> Pending<'a> {
        let asked = self.0.fetch(request);
        Box::pin(async move { asked.await.map_err(unreachable) })
    }
}

/// The same for those who keep their way out.
#[derive(Clone, Debug)]
pub struct KeptWayOut(Arc<dyn Fetch>);

impl KeptWayOut {
    /// By this way.
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self(fetch)
    }
}

impl Http for KeptWayOut {
    fn send<'a>(&'a self, request: Request<Vec<u8>>) -> Pending<'a> {
        let asked = self.0.fetch(request);
        Box::pin(async move { asked.await.map_err(unreachable) })
    }
}

fn unreachable(error: FetchError) -> Unreachable {
    match error {
        FetchError::Connect { host, source } => Unreachable::Connect { host, source },
        FetchError::Timeout { host } => Unreachable::Timeout { host },
        FetchError::TooLarge { host, limit: _ } => Unreachable::TooLarge { host },
        FetchError::Address { address } => Unreachable::Address { address },
    }
}
