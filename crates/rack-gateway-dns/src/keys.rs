//! The gateway's public keys, fetched anew each minute.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rack_gateway_verify::{Keys, KeysError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::KeySource;
use crate::reconcile::chain;

/// How often they are fetched: a key is shown a day before it signs.
const INTERVAL: Duration = Duration::from_secs(60);

/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// How long a fetch may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest list, in bytes.
const MOST_BYTES: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFetchError {
    /// The file cannot be read.
    #[error("the file of keys cannot be read")]
    File(#[from] std::io::Error),
    /// They cannot be fetched.
    #[error("the keys cannot be fetched")]
    Fetch(#[from] reqwest::Error),
    /// There is something else.
    #[error("the gateway answered with {0} when asked for its keys")]
    Status(reqwest::StatusCode),
    /// There are none yet.
    #[error("the gateway has no keys yet: it makes them when it first calls a service with a token")]
    NoneYet,
    /// There is too much.
    #[error("the list of keys is larger than {MOST_BYTES} bytes")]
    TooLarge,
    /// It is no list of keys.
    #[error("the list of keys")]
    Keys(#[from] KeysError),
    /// TLS cannot be set up.
    #[error("TLS to the gateway cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The authorities cannot be read.
    #[error("gateway.ca_file cannot be read")]
    Authorities(#[source] rustls::pki_types::pem::Error),
}

/// Where keys are, and how they are fetched there.
#[derive(Debug)]
enum Place {
    Url(String, reqwest::Client),
    File(PathBuf),
}

/// Fetches keys.
#[derive(Debug)]
pub struct KeyFetcher {
    place: Place,
    keys: Keys,
    have: watch::Sender<bool>,
}

impl KeyFetcher {
    /// One that fetched nothing yet: until it has, nobody is let in.
    ///
    /// # Errors
    /// [`KeyFetchError`], when it could never fetch any.
    pub fn new(source: KeySource) -> Result<Self, KeyFetchError> {
        let place = match source {
            KeySource::File(path) => Place::File(path),
            KeySource::Url(url, ca_file) => Place::Url(url, client(ca_file.as_deref())?),
        };
        Ok(Self { place, keys: Keys::default(), have: watch::Sender::new(false) })
    }

    /// The keys; they change as they are fetched.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Whether any were fetched.
    pub fn have(&self) -> watch::Receiver<bool> {
        self.have.subscribe()
    }

    /// Fetches until it is dropped. A failure leaves the keys from before.
    pub async fn run(self) {
        loop {
            let wait = match self.fetch().await {
                Ok(()) => {
                    self.have.send_replace(true);
                    INTERVAL
                }
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "the gateway's keys could not be fetched; tried again"
                    );
                    RETRY
                }
            };
            sleep(wait).await;
        }
    }

    async fn fetch(&self) -> Result<(), KeyFetchError> {
        let text = match &self.place {
            Place::Url(url, client) => ask(client, url).await?,
            Place::File(path) => tokio::fs::read_to_string(path).await?,
        };
        // An empty list is no list: the keys from before stay.
        if Keys::from_jwks(&text)?.is_empty() {
            return Err(KeyFetchError::NoneYet);
        }
        Ok(self.keys.replace(&text)?)
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<String, KeyFetchError> {
    let mut answer = client.get(url).send().await?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(KeyFetchError::Status(answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if bytes.len().saturating_add(piece.len()) > MOST_BYTES {
            return Err(KeyFetchError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn client(ca_file: Option<&std::path::Path>) -> Result<reqwest::Client, KeyFetchError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            for certificate in CertificateDer::pem_file_iter(path).map_err(KeyFetchError::Authorities)? {
                roots.add(certificate.map_err(KeyFetchError::Authorities)?)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let redirect = reqwest::redirect::Policy::none();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).redirect(redirect);
    Ok(builder.referer(false).no_proxy().timeout(LIMIT).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_list_takes_no_key_away_and_is_asked_for_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("jwks.json");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let fetcher = KeyFetcher::new(KeySource::File(path.clone())).unwrap();
        write(r#"{"keys":[]}"#);
        assert!(matches!(fetcher.fetch().await, Err(KeyFetchError::NoneYet)));
        assert!(!*fetcher.have().borrow(), "an empty list is no list");
        let key = r#"{"issuer":"urn:x","keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"k","alg":"EdDSA","use":"sig"}]}"#;
        write(key);
        fetcher.fetch().await.unwrap();
        write(r#"{"keys":[]}"#);
        assert!(matches!(fetcher.fetch().await, Err(KeyFetchError::NoneYet)));
        assert!(!fetcher.keys().is_empty(), "the keys from before stay");
    }
}
