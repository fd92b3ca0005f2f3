//! The code for an ID token, at the provider's token endpoint.

use std::borrow::Cow;
use std::pin::Pin;

use gateway_types::Secret;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenFields, OAuth2TokenResponse as _,
    PkceCodeVerifier, RefreshToken, RequestTokenError, StandardErrorResponse, StandardTokenResponse,
    TokenResponse,
};

use super::callback::Refusal;
use super::claims::FurtherClaims;
use super::discovery::Metadata;
use super::fetch::{Fetch, FetchError, Reach, checked};
use super::{Callback, Endpoint, Kept, OidcError, Provider};

/// An ID token as it came, not yet verified.
pub(super) type Unverified =
    IdToken<FurtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type TokenAnswer = StandardTokenResponse<
    IdTokenFields<
        FurtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type TokenRefusal = StandardErrorResponse<CoreErrorResponseType>;

type OidcClient = Client<
    FurtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenRefusal,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What the token endpoint gave.
pub(super) struct Tokens {
    /// What the person is told by; at a refresh not every provider gives one.
    pub(super) id: Option<Unverified>,
    /// What UserInfo is asked with.
    pub(super) access: Secret<String>,
    /// What the provider can be asked again with.
    pub(super) again: Option<Secret<String>>,
}

impl From<TokenAnswer> for Tokens {
    fn from(answer: TokenAnswer) -> Self {
        Self {
            id: answer.id_token().cloned(),
            access: Secret::new(answer.access_token().secret().clone()),
            again: answer.refresh_token().map(|token| Secret::new(token.secret().clone())),
        }
    }
}

/// Why the token endpoint gave no answer that can be read.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Neither 200 nor a refusal.
    #[error("status {0}")]
    Status(u16),
}

impl Provider {
    pub(super) fn client(&self, metadata: &Metadata) -> OidcClient {
        let id = ClientId::new(self.config.client_id.clone());
        let secret = ClientSecret::new(self.config.client_secret.expose().clone());
        Client::from_provider_metadata(metadata.clone(), id, Some(secret)).set_auth_type(auth_type(metadata))
    }

    /// Exchanges the code.
    pub(super) async fn exchange(
        &self,
        fetch: &dyn Fetch,
        metadata: &Metadata,
        kept: &Kept,
        callback: &Callback,
    ) -> Result<Tokens, OidcError> {
        let redirect = self.redirect(&kept.redirect_uri)?;
        let (_, reach) = self.reach()?;
        let client = self.client(metadata);
        let request = client
            .exchange_code(AuthorizationCode::new(callback.code.expose().clone()))
            .map_err(|_| OidcError::EndpointAbsent { provider: self.named(), endpoint: Endpoint::Token })?
            .set_pkce_verifier(PkceCodeVerifier::new(copy(&kept.verifier)))
            .set_redirect_uri(Cow::Owned(redirect));
        let asker = Asker { fetch, reach };
        request.request_async(&asker).await.map(Tokens::from).map_err(|error| self.no_token(error))
    }

    /// Asks the token endpoint with what it gave to be asked again.
    pub(super) async fn exchange_again(
        &self,
        fetch: &dyn Fetch,
        metadata: &Metadata,
        again: &Secret<String>,
    ) -> Result<Tokens, OidcError> {
        let (_, reach) = self.reach()?;
        let client = self.client(metadata);
        let token = RefreshToken::new(again.expose().clone());
        let request = client
            .exchange_refresh_token(&token)
            .map_err(|_| OidcError::EndpointAbsent { provider: self.named(), endpoint: Endpoint::Token })?;
        let asker = Asker { fetch, reach };
        request.request_async(&asker).await.map(Tokens::from).map_err(|error| self.no_token(error))
    }

    fn no_token(&self, error: RequestTokenError<NoAnswer, TokenRefusal>) -> OidcError {
        let (provider, endpoint) = (self.named(), Endpoint::Token);
        match error {
            RequestTokenError::ServerResponse(answer) => {
                let description = answer.error_description().map(String::as_str);
                let refusal = Refusal::new(answer.error().as_ref(), description);
                match answer.error() {
                    CoreErrorResponseType::InvalidGrant => OidcError::CodeRefused { provider, refusal },
                    _ => OidcError::ClientRefused { provider, refusal },
                }
            }
            RequestTokenError::Request(NoAnswer::Fetch(source)) => {
                OidcError::Unreachable { provider, endpoint, source }
            }
            RequestTokenError::Request(NoAnswer::Status(status)) => {
                OidcError::Status { provider, endpoint, status }
            }
            // The second part is the answer, which holds tokens: it is dropped.
            RequestTokenError::Parse(error, _) => self.malformed(endpoint, &error.to_string()),
            RequestTokenError::Other(reason) => self.malformed(endpoint, &reason),
        }
    }
}

/// The fetcher as the OAuth library wants one. A type with a named future: a closure's is not `Send` for every
/// lifetime, and then no server could wait for it.
struct Asker<'f> {
    fetch: &'f dyn Fetch,
    reach: Reach,
}

impl<'c> AsyncHttpClient<'c> for Asker<'_> {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(ask(self.fetch, self.reach, request))
    }
}

async fn ask(
    fetch: &dyn Fetch,
    reach: Reach,
    mut request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, NoAnswer> {
    if let Some(credential) = request.headers_mut().get_mut(AUTHORIZATION) {
        credential.set_sensitive(true);
    }
    let answer = checked(fetch, reach, request).await?;
    let status = answer.status();
    // RFC 6749, section 5.2: refusals are 400, or 401 when the client is not known.
    if status.is_success() || status.is_client_error() {
        Ok(answer)
    } else {
        Err(NoAnswer::Status(status.as_u16()))
    }
}

/// How the gateway shows its secret. Source: OpenID Connect Discovery 1.0, section 3: where the document
/// does not say, it is `client_secret_basic`.
fn auth_type(metadata: &Metadata) -> AuthType {
    let Some(methods) = metadata.token_endpoint_auth_methods_supported() else { return AuthType::BasicAuth };
    let takes = |method: CoreClientAuthMethod| methods.contains(&method);
    if !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost) {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

fn copy(secret: &Secret<String>) -> String {
    secret.expose().clone()
}
