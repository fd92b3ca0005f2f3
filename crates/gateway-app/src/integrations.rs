//! Who else is asked about deploys. What is asked of GitHub, and when a commit is good enough, is in
//! `gateway-integrations`; here is with what it is asked, and what an app's settings demand is in
//! `approvals/commit.rs`.

mod github;
#[cfg(test)]
mod tests;

use gateway_identity::oidc::{Fetch, FetchError};
use gateway_integrations::circleci::CircleCi;
use gateway_integrations::http::{Http, Pending, Unreachable};
use gateway_integrations::sigstore::{Sigstore, TrustFault};
use http::Request;

pub use github::{GitHubDesk, NotShown, Question};

/// Who else is asked.
#[derive(Debug, Default)]
pub struct Integrations {
    github: Option<GitHubDesk>,
    circleci: Option<CircleCi>,
    attestations: Option<Sigstore>,
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
    /// Whose attestations are believed.
    #[error(transparent)]
    Trust(#[from] TrustFault),
}

impl Integrations {
    /// As configured.
    ///
    /// # Errors
    /// [`SetupError`]: what is configured cannot be used.
    pub fn new(configured: &gateway_config::Integrations) -> Result<Self, SetupError> {
        let github = configured.github.as_ref().map(GitHubDesk::new).transpose()?;
        let circleci = configured.circleci.as_ref();
        let circleci = circleci.map(|one| CircleCi::new(one.host.clone(), one.token.clone())).transpose()?;
        let attestations = configured.attestations.as_ref();
        let attestations = attestations
            .map(|one| Sigstore::new(one.authority.expose(), one.log_key.expose(), &one.issuer))
            .transpose()?;
        Ok(Self { github, circleci, attestations })
    }

    /// GitHub, if it is asked.
    pub fn github(&self) -> Option<&GitHubDesk> {
        self.github.as_ref()
    }

    /// Whose attestations are believed, if anybody's are.
    pub fn attestations(&self) -> Option<&Sigstore> {
        self.attestations.as_ref()
    }

    /// CircleCI, if it is told.
    pub fn circleci(&self) -> Option<&CircleCi> {
        self.circleci.as_ref()
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

fn unreachable(error: FetchError) -> Unreachable {
    match error {
        FetchError::Connect { host, source } => Unreachable::Connect { host, source },
        FetchError::Timeout { host } => Unreachable::Timeout { host },
        FetchError::TooLarge { host, limit: _ } => Unreachable::TooLarge { host },
        FetchError::Address { address } => Unreachable::Address { address },
    }
}
