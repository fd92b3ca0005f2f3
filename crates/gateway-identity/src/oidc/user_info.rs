//! UserInfo: what a provider says of a person besides the ID token. It is asked only where the token does not say
//! whether the address is verified, as with Okta, whose tokens of the code flow leave that out.
//!
//! Source: OpenID Connect Core 1.0, section 5.3.

use gateway_types::Secret;
use http::Request;
use http::header::{AUTHORIZATION, HeaderValue};
use openidconnect::core::CoreGenderClaim;
use openidconnect::{EndUserEmail, EndUserName, LocalizedClaim, UserInfoClaims, UserInfoError};

use super::claims::{Claims, FurtherClaims};
use super::discovery::Known;
use super::fetch::{Fetch, FetchError, origin};
use super::{Endpoint, OidcError, Provider};

/// What UserInfo said, of the token's own subject.
pub(super) struct UserInfo(UserInfoClaims<FurtherClaims, CoreGenderClaim>);

impl UserInfo {
    pub(super) fn email(&self) -> Option<&EndUserEmail> {
        self.0.email()
    }

    pub(super) fn email_verified(&self) -> Option<bool> {
        self.0.email_verified()
    }

    pub(super) fn name(&self) -> Option<&LocalizedClaim<EndUserName>> {
        self.0.name()
    }

    pub(super) fn further(&self) -> &FurtherClaims {
        self.0.additional_claims()
    }
}

impl Provider {
    /// What UserInfo adds to a verified token; `None` when the token says enough, or when the provider has none.
    ///
    /// # Errors
    /// [`OidcError`] when it is needed and cannot be read.
    ///
    /// # Security
    /// The answer is not signed. It counts because it came over TLS from an address that the issuer's own discovery
    /// document names, to the access token of this very exchange, and is about the token's subject (section 5.3.2).
    pub(super) async fn user_info(
        &self,
        fetch: &dyn Fetch,
        known: &Known,
        claims: &Claims,
        access: &Secret<String>,
    ) -> Result<Option<UserInfo>, OidcError> {
        let endpoint = Endpoint::UserInfo;
        let says_enough = match claims.email_verified() {
            // Then nothing can be added: it is not.
            Some(false) => true,
            Some(true) => claims.email().is_some(),
            None => false,
        };
        let Some(url) = known.metadata.userinfo_endpoint().map(|endpoint| endpoint.url()) else {
            return Ok(None);
        };
        if says_enough || self.config.email_verified_claim.is_some() {
            return Ok(None);
        }
        let (_, reach) = self.reach()?;
        if !reach.permits(url) {
            return Err(OidcError::EndpointAddress {
                provider: self.named(),
                endpoint,
                address: origin(url),
            });
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access.expose()))
            .map_err(|error| self.malformed(Endpoint::Token, &error.to_string()))?;
        bearer.set_sensitive(true);
        let request = Request::get(url.as_str()).header(AUTHORIZATION, bearer).body(Vec::new());
        let body = self.read_with(fetch, reach, endpoint, request).await?;
        match UserInfoClaims::from_json::<FetchError>(&body, Some(claims.subject())) {
            Ok(told) => Ok(Some(UserInfo(told))),
            Err(UserInfoError::ClaimsVerification(_)) => {
                Err(self.malformed(endpoint, "it is about somebody else than the ID token"))
            }
            Err(error) => Err(self.malformed(endpoint, &error.to_string())),
        }
    }
}
