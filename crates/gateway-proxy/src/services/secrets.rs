//! From references to secrets: the environment, files, Vault, AWS. A file is read again when it may have changed; Vault
//! and AWS are asked again after a minute, and while they cannot be, what they said last holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_identity::oidc::{Fetch, FetchError};
use gateway_integrations::aws::{AwsFault, Renewal, SecretId, SecretsManager};
use gateway_services::{Environment, SecretRef};
use gateway_types::Secret;
use http::Request;
use tokio::time::Instant;

/// How long the content of a file is taken as it was read.
const FILE_FRESH: Duration = Duration::from_secs(1);

/// The longest time between two renewals of the token for Vault.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// How long an answer of Vault or AWS is taken as it was.
pub(crate) const STORE_FRESH: Duration = Duration::from_secs(60);

/// The largest file of a secret, in bytes.
const FILE_LIMIT_BYTES: u64 = 256 * 1024;

/// Where Vault is and how the gateway signs in there.
#[derive(Clone, Debug)]
pub struct VaultAccess {
    /// Scheme, host and port, without a slash at the end.
    pub address: String,
    /// The token, or the file that holds it now.
    pub token: VaultToken,
    /// Namespace in Vault Enterprise.
    pub namespace: Option<String>,
}

/// The token for Vault.
#[derive(Clone, Debug)]
pub enum VaultToken {
    /// It.
    Value(Secret<String>),
    /// The file that holds it now.
    File(PathBuf),
}

/// Why a secret cannot be had. No text holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or empty.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// It.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What stands there is no secret that can be sent.
    #[error("{place} does not hold one line of text without control characters")]
    Malformed {
        /// The reference.
        place: String,
    },
    /// Anybody could have written the file.
    #[error("{} can be written by everybody, so it is not used", path.display())]
    WorldWritable {
        /// It.
        path: PathBuf,
    },
    /// No Vault is configured.
    #[error("no Vault is configured; set VAULT_ADDR and VAULT_TOKEN or VAULT_TOKEN_FILE")]
    NoVault,
    /// Vault could not be asked.
    #[error("Vault could not be asked")]
    Vault(#[from] FetchError),
    /// The request for Vault could not be made.
    #[error("the request for Vault could not be made")]
    VaultRequest(#[from] http::Error),
    /// AWS gave no credentials or no secret.
    #[error(transparent)]
    Aws(#[from] AwsFault),
    /// Vault refused, or has no such secret.
    #[error("Vault answered {status} for {place}")]
    VaultRefused {
        /// Its status.
        status: u16,
        /// The reference.
        place: String,
    },
}

/// Follows references.
#[derive(Debug)]
pub(crate) struct SecretReader {
    environment: Environment,
    vault: Option<VaultAccess>,
    aws: Arc<SecretsManager>,
    /// Whether it was said that AWS is asked with keys that never end.
    warned: AtomicBool,
    fetch: Arc<dyn Fetch>,
    seen: Mutex<HashMap<SecretRef, (Instant, Secret<String>)>>,
    /// When a refused secret was last asked for anew.
    asked_again: Mutex<HashMap<SecretRef, Instant>>,
    /// When the token for Vault is to be renewed; `None` = at once.
    renewal: Mutex<Option<Instant>>,
}

impl SecretReader {
    pub(crate) fn new(
        environment: Environment,
        vault: Option<VaultAccess>,
        aws: Arc<SecretsManager>,
        fetch: Arc<dyn Fetch>,
    ) -> Self {
        Self {
            environment,
            vault,
            aws,
            warned: AtomicBool::new(false),
            fetch,
            seen: Mutex::default(),
            asked_again: Mutex::default(),
            renewal: Mutex::default(),
        }
    }

    /// The secret behind a reference.
    pub(crate) async fn read(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        let (fresh, seen) = match reference {
            SecretRef::Env(name) => {
                let value = self.environment.variable(name).filter(|value| !value.expose().is_empty());
                return value.cloned().ok_or_else(|| SecretError::Unset { name: name.clone() });
            }
            SecretRef::File(_) => (FILE_FRESH, self.seen(reference)),
            SecretRef::Vault { .. } | SecretRef::Aws { .. } => (STORE_FRESH, self.seen(reference)),
        };
        match seen {
            Some((since, secret)) if since.elapsed() < fresh => Ok(secret),
            seen => match (self.follow(reference).await, seen) {
                (Ok(secret), _) => {
                    self.remember(reference, secret.clone());
                    Ok(secret)
                }
                (Err(error), Some((_, secret))) if is_of_store(reference) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        %reference,
                        "a secret could not be asked for again; what was said last holds"
                    );
                    self.remember(reference, secret.clone());
                    Ok(secret)
                }
                (Err(error), _) => Err(error),
            },
        }
    }

    /// The secret as it stands where it is kept now, because the present value was refused. `None` = it could not be
    /// had, or was asked for in this way a moment ago; what was seen before holds.
    ///
    /// # Security
    /// A refusal by a service is no word about the secret: were the present value thrown away for it, one 401 while
    /// Vault is down would take the service away, and a service that always refuses would make each request a
    /// question to Vault.
    pub(crate) async fn again(&self, reference: &SecretRef) -> Option<Secret<String>> {
        let pause = match reference {
            // A variable of this process never changes.
            SecretRef::Env(_) => return None,
            SecretRef::File(_) => FILE_FRESH,
            SecretRef::Vault { .. } | SecretRef::Aws { .. } => STORE_FRESH,
        };
        {
            let mut asked = self.asked_again.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.get(reference).is_some_and(|since| since.elapsed() < pause) {
                return None;
            }
            asked.insert(reference.clone(), Instant::now());
        }
        match self.follow(reference).await {
            Ok(secret) => {
                self.remember(reference, secret.clone());
                Some(secret)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    %reference,
                    "a service refused its secret, and the secret could not be read again; the present one holds"
                );
                None
            }
        }
    }

    /// The content of a file of public or private text, such as a PEM file.
    pub(crate) async fn file(&self, path: &Path) -> Result<Secret<String>, SecretError> {
        let reference = SecretRef::File(path.to_owned());
        match self.seen(&reference) {
            Some((since, content)) if since.elapsed() < FILE_FRESH => Ok(content),
            Some(_) | None => {
                let content = content_of(path).await?;
                self.remember(&reference, content.clone());
                Ok(content)
            }
        }
    }

    fn seen(&self, reference: &SecretRef) -> Option<(Instant, Secret<String>)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned()
    }

    fn remember(&self, reference: &SecretRef, secret: Secret<String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(reference.clone(), (Instant::now(), secret));
    }

    /// What stands behind a reference at this moment, whatever was seen before.
    pub(crate) async fn follow(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        match reference {
            SecretRef::Env(name) => Err(SecretError::Unset { name: name.clone() }),
            SecretRef::File(path) => one_line(content_of(path).await?.expose(), reference),
            SecretRef::Vault { mount, path, key } => {
                let answer = self.ask_vault(&format!("/v1/{mount}/data/{path}"), reference).await?;
                let value = answer.pointer("/data/data").and_then(|data| data.get(key));
                let missing = || SecretError::Malformed { place: reference.to_string() };
                one_line(value.and_then(serde_json::Value::as_str).ok_or_else(missing)?, reference)
            }
            SecretRef::Aws { secret, stage, key } => {
                let id = SecretId { name: secret.clone(), stage: stage.clone(), key: key.clone() };
                let read = self.aws.read(&id).await?;
                if self.aws.has_static_keys() && !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "AWS is asked with static keys (AWS_ACCESS_KEY_ID), which never end by themselves; give the task, pod or instance a role in their place"
                    );
                }
                one_line(read.expose(), reference)
            }
        }
    }

    /// What may be told of the credentials with which AWS is asked; `None` before it was.
    pub(crate) fn aws_renewal(&self) -> Option<Renewal> {
        self.aws.renewal()
    }

    /// In how long the token for Vault is renewed; `None` when it is not the gateway's to renew.
    pub(crate) fn vault_renewal(&self) -> Option<Duration> {
        let Some(VaultAccess { token: VaultToken::Value(_), .. }) = &self.vault else { return None };
        let due = *self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Renews the token for Vault when half of its time is over. One in a file is renewed by whoever writes the file,
    /// and one that Vault does not renew (a root token, one with a fixed end) is used as long as it is good.
    ///
    /// Source: Vault's documentation of the token auth method, "Renew a token (self)".
    pub(crate) async fn renew(&self) {
        let Some(VaultAccess { token: VaultToken::Value(token), .. }) = &self.vault else { return };
        let due = *self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        let next = match self.renewed(token).await {
            Ok(Some(lease)) => lease.div_f64(2.0).clamp(STORE_FRESH, LONGEST_LEASE),
            Ok(None) => LONGEST_LEASE,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the token for Vault could not be renewed; it is tried again"
                );
                STORE_FRESH
            }
        };
        *self.renewal.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + next);
    }

    /// For how long Vault lets the token live from now on; `None` when it does not renew it.
    async fn renewed(&self, token: &Secret<String>) -> Result<Option<Duration>, SecretError> {
        let vault = self.vault.as_ref().ok_or(SecretError::NoVault)?;
        let mut request = Request::post(format!("{}/v1/auth/token/renew-self", vault.address))
            .header("x-vault-token", token.expose())
            .header("x-vault-request", "true")
            .header("content-type", "application/json");
        if let Some(namespace) = &vault.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let answer = self.fetch.fetch(request.body(b"{}".to_vec())?).await?;
        match answer.status().as_u16() {
            200 => {}
            // Not one that can be renewed.
            400 | 403 => return Ok(None),
            status => return Err(SecretError::VaultRefused { status, place: "the token".to_owned() }),
        }
        let place = || SecretError::Malformed { place: "the answer to the renewal".to_owned() };
        let answer: serde_json::Value = serde_json::from_slice(answer.body()).map_err(|_| place())?;
        let lease = answer.pointer("/auth/lease_duration").and_then(serde_json::Value::as_u64);
        Ok(lease.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    /// Source: Vault's documentation of the KV secrets engine, version 2, "Read secret version".
    async fn ask_vault(&self, path: &str, reference: &SecretRef) -> Result<serde_json::Value, SecretError> {
        let vault = self.vault.as_ref().ok_or(SecretError::NoVault)?;
        let token = match &vault.token {
            VaultToken::Value(token) => token.clone(),
            VaultToken::File(path) => {
                let place = SecretRef::File(path.clone());
                one_line(content_of(path).await?.expose(), &place)?
            }
        };
        let mut request = Request::get(format!("{}{path}", vault.address))
            .header("x-vault-token", token.expose())
            .header("x-vault-request", "true");
        if let Some(namespace) = &vault.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let answer = self.fetch.fetch(request.body(Vec::new())?).await?;
        if answer.status().as_u16() != 200 {
            let place = reference.to_string();
            return Err(SecretError::VaultRefused { status: answer.status().as_u16(), place });
        }
        serde_json::from_slice(answer.body())
            .map_err(|_| SecretError::Malformed { place: reference.to_string() })
    }
}

/// Whether it is kept by a program that may be away for a while.
const fn is_of_store(reference: &SecretRef) -> bool {
    match reference {
        SecretRef::Env(_) | SecretRef::File(_) => false,
        SecretRef::Vault { .. } | SecretRef::Aws { .. } => true,
    }
}

async fn content_of(path: &Path) -> Result<Secret<String>, SecretError> {
    use std::os::unix::fs::PermissionsExt as _;
    let unreadable = |source| SecretError::File { path: path.to_owned(), source };
    let about = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if about.permissions().mode() & 0o002 != 0 {
        return Err(SecretError::WorldWritable { path: path.to_owned() });
    }
    if !about.is_file() || about.len() > FILE_LIMIT_BYTES {
        return Err(SecretError::Malformed { place: format!("file:{}", path.display()) });
    }
    tokio::fs::read_to_string(path).await.map(Secret::new).map_err(unreadable)
}

/// Editors and `echo` end a file with one newline that is not part of the secret.
fn one_line(text: &str, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(SecretError::Malformed { place: reference.to_string() });
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests;
