//! The provider's discovery document and key set: read, checked and remembered. A document is read again
//! when it is too old, a provider that failed is left alone for a moment, and the keys are read again for
//! a key that is not among them, so that a provider may change its keys, but not for every token.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_types::Timestamp;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, StatusCode};
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::printable;
use super::fetch::{Fetch, Reach, checked, origin};
use super::{Endpoint, OidcError, Provider};

/// How long a discovery document and its keys are used.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// How long a provider that could not be read is not asked again.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// How long apart the keys are read again because a token's key is not among them.
const KEYS_APART: Duration = Duration::from_secs(30);

/// The most keys that are taken. Providers publish two to ten.
const MAX_KEYS: usize = 100;

/// How much of a parser's words is kept.
const REASON_CHARACTERS: usize = 300;

/// What discovery says besides what every provider says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FurtherMetadata {
    authorization_response_iss_parameter_supported: Option<bool>,
    /// Source: OpenID Connect RP-Initiated Logout 1.0, section 2.1.
    end_session_endpoint: Option<String>,
}

impl AdditionalProviderMetadata for FurtherMetadata {}

impl FurtherMetadata {
    /// Whether the provider promised to say in each answer that it is the one who answers.
    pub(super) fn says_who_answers(&self) -> bool {
        self.authorization_response_iss_parameter_supported == Some(true)
    }

    /// Where a browser is sent to sign out at the provider.
    pub(super) fn end_session_endpoint(&self) -> Option<&str> {
        self.end_session_endpoint.as_deref()
    }
}

/// The discovery document.
pub(super) type Metadata = ProviderMetadata<
    FurtherMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What has been read of a provider.
#[derive(Clone)]
pub(super) struct Known {
    /// The discovery document.
    pub(super) metadata: Arc<Metadata>,
    /// The key set.
    pub(super) keys: Arc<CoreJsonWebKeySet>,
    read_at: Timestamp,
}

/// What is remembered between sign-ins.
#[derive(Default)]
pub(super) struct Cache {
    known: Option<Known>,
    failed_at: Option<Timestamp>,
    keys_again_at: Option<Timestamp>,
}

impl Provider {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What is behind the lock is replaced whole, so that a panic cannot leave half of it.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The provider's documents, read now unless they were read within the last hour.
    pub(super) async fn known(&self, fetch: &dyn Fetch, now: Timestamp) -> Result<Known, OidcError> {
        {
            let cache = self.cache();
            if let Some(known) = cache.known.as_ref().filter(|known| within(known.read_at, now, MAX_AGE)) {
                return Ok(known.clone());
            }
            if cache.failed_at.is_some_and(|failed| within(failed, now, LEFT_ALONE)) {
                return Err(OidcError::RecentlyUnreachable { provider: self.named() });
            }
        }
        let read = self.read(fetch, now).await;
        let mut cache = self.cache();
        match read {
            Ok(known) => {
                cache.failed_at = None;
                cache.known = Some(known.clone());
                Ok(known)
            }
            Err(error) => {
                cache.failed_at = Some(now);
                Err(error)
            }
        }
    }

    /// The documents with the keys read again; `None` when they were read again a moment ago.
    pub(super) async fn with_keys_again(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        known: &Known,
    ) -> Result<Option<Known>, OidcError> {
        {
            let mut cache = self.cache();
            if cache.keys_again_at.is_some_and(|at| within(at, now, KEYS_APART)) {
                // Somebody else may have read them since `known` was taken.
                return Ok(cache.known.clone().filter(|other| !Arc::ptr_eq(&other.keys, &known.keys)));
            }
            cache.keys_again_at = Some(now);
        }
        let (_, reach) = self.reach()?;
        let keys = self.read_keys(fetch, reach, &known.metadata).await?;
        let again =
            Known { metadata: Arc::clone(&known.metadata), keys: Arc::new(keys), read_at: known.read_at };
        self.cache().known = Some(again.clone());
        Ok(Some(again))
    }

    async fn read(&self, fetch: &dyn Fetch, now: Timestamp) -> Result<Known, OidcError> {
        let (issuer, reach) = self.reach()?;
        let metadata: Metadata =
            self.read_json(fetch, reach, Endpoint::Discovery, &discovery_address(&issuer)).await?;
        // Compared as text: an issuer that differs in a final slash is another one.
        if metadata.issuer().as_str() != self.config.issuer {
            return Err(OidcError::OtherIssuer { provider: self.named() });
        }
        let token = metadata
            .token_endpoint()
            .ok_or_else(|| OidcError::EndpointAbsent { provider: self.named(), endpoint: Endpoint::Token })?;
        let endpoints = [
            (Endpoint::Authorization, metadata.authorization_endpoint().url()),
            (Endpoint::Token, token.url()),
            (Endpoint::Keys, metadata.jwks_uri().url()),
        ];
        for (endpoint, url) in endpoints {
            if !reach.permits(url) {
                let address = printable(&origin(url), REASON_CHARACTERS);
                return Err(OidcError::EndpointAddress { provider: self.named(), endpoint, address });
            }
        }
        let keys = self.read_keys(fetch, reach, &metadata).await?;
        Ok(Known { metadata: Arc::new(metadata), keys: Arc::new(keys), read_at: now })
    }

    async fn read_keys(
        &self,
        fetch: &dyn Fetch,
        reach: Reach,
        metadata: &Metadata,
    ) -> Result<CoreJsonWebKeySet, OidcError> {
        let keys: CoreJsonWebKeySet =
            self.read_json(fetch, reach, Endpoint::Keys, metadata.jwks_uri().as_str()).await?;
        match keys.keys().len() {
            count if count > MAX_KEYS => {
                Err(OidcError::TooManyKeys { provider: self.named(), count, limit: MAX_KEYS })
            }
            _ => Ok(keys),
        }
    }

    async fn read_json<T: DeserializeOwned>(
        &self,
        fetch: &dyn Fetch,
        reach: Reach,
        endpoint: Endpoint,
        address: &str,
    ) -> Result<T, OidcError> {
        let request = Request::get(address).body(Vec::new());
        let body = self.read_with(fetch, reach, endpoint, request).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(endpoint, &error.to_string()))
    }

    pub(super) fn malformed(&self, endpoint: Endpoint, reason: &str) -> OidcError {
        OidcError::Malformed {
            provider: self.named(),
            endpoint,
            reason: printable(reason, REASON_CHARACTERS),
        }
    }

    /// The answer, when it is 200, to a request that wants JSON.
    pub(super) async fn read_with(
        &self,
        fetch: &dyn Fetch,
        reach: Reach,
        endpoint: Endpoint,
        request: http::Result<Request<Vec<u8>>>,
    ) -> Result<Vec<u8>, OidcError> {
        let mut request = request.map_err(|error| self.malformed(endpoint, &error.to_string()))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = checked(fetch, reach, request).await.map_err(|source| OidcError::Unreachable {
            provider: self.named(),
            endpoint,
            source,
        })?;
        if answer.status() != StatusCode::OK {
            let status = answer.status().as_u16();
            return Err(OidcError::Status { provider: self.named(), endpoint, status });
        }
        Ok(answer.into_body())
    }
}

/// Source: OpenID Connect Discovery 1.0, section 4.1: a final slash of the issuer is removed first.
fn discovery_address(issuer: &Url) -> String {
    format!("{}/.well-known/openid-configuration", issuer.as_str().trim_end_matches('/'))
}

/// Whether `then` is not longer ago than `limit`. After the clock moved back nothing is.
fn within(then: Timestamp, now: Timestamp, limit: Duration) -> bool {
    now.checked_since(then).is_some_and(|age| age < limit)
}
