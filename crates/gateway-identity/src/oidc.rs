//! Signing people in at an OpenID Connect provider: the relying party's half of the code flow, with
//! state, nonce and PKCE (S256) always.
//!
//! Nothing here opens a socket ([`Fetch`] is passed in), reads the clock, keeps a session or decides who
//! may sign in: [`Provider::begin`] makes the address to which a browser is sent and the secrets that the
//! gateway keeps, [`Provider::finish`] turns what came back into an [`Identity`]. Tokens are read and
//! verified by the `openidconnect` crate. Start reading at those two functions.
//!
//! Source: OpenID Connect Core 1.0 and Discovery 1.0; RFC 6749; RFC 7636; RFC 9207; RFC 9700.

mod callback;
mod claims;
mod discovery;
mod error;
mod exchange;
mod fetch;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use gateway_types::{Entropy, Role, RoleSet, Secret, Timestamp};
use openidconnect::core::CoreAuthenticationFlow;
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use url::Url;

pub use callback::{Callback, Refusal, RefusalKind, callback_error};
pub use claims::{GroupsFault, Identity};
pub use error::{Endpoint, FaultSide, OidcError, TokenFault};
pub use fetch::{Answer, Fetch, FetchError, MAX_ANSWER_BYTES};

use discovery::Cache;
use fetch::Reach;

/// Random bytes of a state, a nonce and a PKCE verifier: 43 characters of base64url, the least that
/// RFC 7636 allows for a verifier and 256 bits each.
const RANDOM_BYTES: usize = 32;

/// The longest code that is taken back to the provider, in bytes.
const MAX_CODE_BYTES: usize = 4096;

/// One configured provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name in addresses and messages.
    pub name: String,
    /// Its issuer, exactly as it stands in its tokens.
    pub issuer: String,
    /// The client id it gave the gateway.
    pub client_id: String,
    /// The client secret it gave the gateway.
    pub client_secret: Secret<String>,
    /// Domains whose people may sign in unlisted; empty = nobody's.
    pub allowed_domains: Vec<String>,
    /// The claim of the ID token that holds a person's groups; `None` = groups are not looked at.
    pub groups_claim: Option<String>,
    /// The role that a group gives, by the group's exact name.
    pub role_map: BTreeMap<String, Role>,
    /// The form in which people are compared, stored and listed; `None` = not an address. It is passed in
    /// (`gateway_config::canonical_email`) because there must be one rule for lists and for tokens.
    pub canonical_email: fn(&str) -> Option<String>,
}

/// A sign-in that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser is sent.
    pub url: String,
    /// What the gateway keeps, on its own side, until the browser comes back.
    pub kept: Kept,
}

/// What is kept of a sign-in between [`Provider::begin`] and [`Provider::finish`]. It must be sealed where
/// it is stored, bound to the browser that began, and used once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The state that was sent.
    pub state: Secret<String>,
    /// The nonce that was sent.
    pub nonce: Secret<String>,
    /// The PKCE verifier, of which only the digest was sent.
    pub verifier: Secret<String>,
    /// The address for the way back.
    pub redirect_uri: String,
}

/// One identity provider, with what is remembered of its documents.
pub struct Provider {
    config: ProviderConfig,
    cache: Mutex<Cache>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Provider {
    /// A provider of which nothing has been read yet.
    pub fn new(config: ProviderConfig) -> Self {
        Self { config, cache: Mutex::new(Cache::default()) }
    }

    /// Its name in addresses and messages.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Whether people of this address's domain may sign in without being listed or invited. The whole
    /// domain after the only `@` must be in the list, without regard to case: neither a subdomain nor a
    /// longer name ending in it is. An empty list allows nobody.
    pub fn domain_allowed(&self, email: &str) -> bool {
        let Some((local, domain)) = email.split_once('@') else { return false };
        !local.is_empty()
            && !domain.contains('@')
            && self.config.allowed_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain))
    }

    /// The roles that these groups give, by exact name; a group that is not in the map gives none.
    pub fn roles_of(&self, groups: &[String]) -> RoleSet {
        groups.iter().filter_map(|group| self.config.role_map.get(group)).copied().collect()
    }

    /// Begins a sign-in: the address to send the browser to, and what to keep.
    ///
    /// # Errors
    /// [`OidcError`] when the provider's documents cannot be read or are not acceptable.
    pub async fn begin(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        entropy: &dyn Entropy,
        redirect_uri: &str,
    ) -> Result<Begun, OidcError> {
        let redirect = self.redirect(redirect_uri)?;
        let known = self.known(fetch, now).await?;
        let kept = Kept {
            state: random(entropy),
            nonce: random(entropy),
            verifier: random(entropy),
            redirect_uri: redirect_uri.to_owned(),
        };
        let verifier = PkceCodeVerifier::new(kept.verifier.expose().clone());
        let (state, nonce) = (kept.state.expose().clone(), kept.nonce.expose().clone());
        let client = self.client(&known.metadata);
        let (url, _, _) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(["email", "profile"].map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(redirect))
            .url();
        Ok(Begun { url: url.into(), kept })
    }

    /// Finishes a sign-in: checks what the browser brought, exchanges the code, verifies the ID token.
    ///
    /// # Errors
    /// [`OidcError`]; nobody is signed in then.
    ///
    /// # Security
    /// The state is compared before anything is asked, so that a browser that did not begin the sign-in
    /// costs the provider nothing. That `kept` belongs to this browser, is used once and is not too old
    /// is for the caller to hold.
    pub async fn finish(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        kept: &Kept,
        callback: &Callback,
    ) -> Result<Identity, OidcError> {
        let (sent, returned) = (kept.state.expose().as_bytes(), callback.state.expose().as_bytes());
        if sent.is_empty() || verify_slices_are_equal(sent, returned).is_err() {
            return Err(OidcError::State);
        }
        if callback.code.expose().is_empty() || callback.code.expose().len() > MAX_CODE_BYTES {
            return Err(OidcError::Code);
        }
        let known = self.known(fetch, now).await?;
        match callback.iss.as_deref() {
            Some(iss) if iss == self.config.issuer => {}
            None if !known.metadata.additional_metadata().says_who_answers() => {}
            Some(_) | None => return Err(OidcError::CallbackIssuer { provider: self.named() }),
        }
        let token = self.exchange(fetch, &known.metadata, kept, callback).await?;
        let claims = self.verified(fetch, now, &known, &token, &kept.nonce).await?;
        self.identity(now, &claims)
    }

    /// The provider's name, for an error.
    fn named(&self) -> String {
        self.config.name.clone()
    }

    fn reach(&self) -> Result<(Url, Reach), OidcError> {
        let fault = || OidcError::Address { provider: self.named(), what: "issuer" };
        let issuer = Url::parse(&self.config.issuer).map_err(|_| fault())?;
        let reach = Reach::of(&issuer);
        if reach.permits(&issuer) && issuer.query().is_none() { Ok((issuer, reach)) } else { Err(fault()) }
    }

    fn redirect(&self, redirect_uri: &str) -> Result<RedirectUrl, OidcError> {
        RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|_| OidcError::Address { provider: self.named(), what: "address for the way back" })
    }
}

fn random(entropy: &dyn Entropy) -> Secret<String> {
    let mut bytes = vec![0u8; RANDOM_BYTES];
    entropy.fill(&mut bytes);
    let bytes = Secret::new(bytes);
    Secret::new(BASE64URL_NOPAD.encode(bytes.expose()))
}
