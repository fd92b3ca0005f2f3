//! Asking a provider again, while a person's sessions last: whether it still knows them, and in which groups.
//!
//! Source: RFC 6749, section 6; OpenID Connect Core 1.0, section 12.

use gateway_types::{Secret, Timestamp};

use super::{Endpoint, Fetch, Identity, OidcError, Provider, ProviderKind, TokenFault};

/// A person whom a provider is asked about again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Person<'a> {
    /// What the provider calls them.
    pub subject: &'a str,
    /// Their canonical e-mail address when they signed in, for a provider that does not say it again.
    pub email: Option<&'a str>,
}

/// What a provider said when it was asked again.
#[derive(Debug)]
pub enum Refreshed {
    /// It still knows the person.
    Known {
        /// Who they are now; `None` when it did not say.
        identity: Option<Box<Identity>>,
        /// What it is asked with next; `None` = with the same.
        again: Option<Secret<String>>,
    },
    /// It knows them no longer, or vouches for them no longer.
    Gone(OidcError),
}

impl Provider {
    /// Asks whether the provider still knows this person, with what it gave to be asked again.
    ///
    /// # Errors
    /// [`OidcError`] when it could not be asked, or did not give an answer that counts: nothing is then known, and
    /// it is to be asked again later.
    pub async fn refresh(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        person: Person<'_>,
        again: &Secret<String>,
    ) -> Result<Refreshed, OidcError> {
        let Person { subject, email } = person;
        if let ProviderKind::GitHub { api_url } = &self.config.kind {
            return self.refresh_at_github(fetch, api_url, subject, again).await;
        }
        let known = self.known(fetch, now).await?;
        let tokens = match self.exchange_again(fetch, &known.metadata, again).await {
            Ok(answer) => answer,
            // The grant is over: the person left, was disabled, or signed out there (RFC 6749, section 5.2).
            Err(gone @ OidcError::CodeRefused { .. }) => return Ok(Refreshed::Gone(gone)),
            Err(error) => return Err(error),
        };
        let next = tokens.again;
        let Some(token) = tokens.id else { return Ok(Refreshed::Known { identity: None, again: next }) };
        let claims = self.verified(fetch, now, &known, &token, None).await?;
        if claims.subject().as_str() != subject {
            let (provider, fault) = (self.named(), TokenFault::Subject);
            return Ok(Refreshed::Gone(OidcError::IdToken { provider, fault }));
        }
        match self.identity_again(fetch, now, &known, &claims, &tokens.access, email).await {
            Ok(identity) => Ok(Refreshed::Known { identity: Some(Box::new(identity)), again: next }),
            // Some leave out all but the subject here.
            Err(OidcError::EmailAbsent { .. }) => Ok(Refreshed::Known { identity: None, again: next }),
            Err(
                gone @ (OidcError::EmailNotVerified { .. }
                | OidcError::EmailMalformed { .. }
                | OidcError::NotTheOrganisations { .. }),
            ) => Ok(Refreshed::Gone(gone)),
            Err(error) => Err(error),
        }
    }

    /// Where a browser is sent to sign out at the provider too, and from there to `back`; `None` when the
    /// provider has no such place. Nothing of the person is in the address: the provider asks them.
    ///
    /// # Errors
    /// [`OidcError`] when the provider's documents cannot be read.
    ///
    /// Source: OpenID Connect RP-Initiated Logout 1.0, section 2.
    pub async fn logout_url(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        back: &str,
    ) -> Result<Option<String>, OidcError> {
        if self.config.kind != ProviderKind::Oidc {
            return Ok(None);
        }
        let known = self.known(fetch, now).await?;
        let Some(address) = known.metadata.additional_metadata().end_session_endpoint() else {
            return Ok(None);
        };
        let (_, reach) = self.reach()?;
        let endpoint = Endpoint::Logout;
        let Some(mut url) = url::Url::parse(address).ok().filter(|url| reach.permits(url)) else {
            let address = "an address that cannot be used".to_owned();
            return Err(OidcError::EndpointAddress { provider: self.named(), endpoint, address });
        };
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", back);
        Ok(Some(url.into()))
    }
}
