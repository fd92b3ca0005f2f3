//! Signing people in at an identity provider: the relying party's half of the code flow, with state, nonce and
//! PKCE (S256) always. Providers speak OpenID Connect; GitHub, which does not, is asked through its API
//! ([`github`]).
//!
//! Nothing here opens a socket ([`Fetch`] is passed in), reads the clock, keeps a session or decides who
//! may sign in: [`Provider::begin`] makes the address to which a browser is sent and the secrets that the
//! gateway keeps, [`Provider::finish`] turns what came back into an [`Identity`]. Later [`Provider::refresh`]
//! asks whether the provider still knows the person, and [`Provider::logout_token`] checks what it sends when it
//! ended their session. ID tokens are read and verified by the `openidconnect` crate. Start reading at those
//! functions.
//!
//! Source: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0 and Back-Channel Logout 1.0; RFC 6749;
//! RFC 7636; RFC 9207; RFC 9700.

mod callback;
mod claims;
mod discovery;
mod error;
mod exchange;
mod fetch;
mod github;
mod logout;
mod refresh;
mod user_info;

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
pub use logout::{LogoutFault, LogoutToken};
pub use refresh::{Person, Refreshed};

use discovery::Cache;
use fetch::Reach;

/// Random bytes of a state, a nonce and a PKCE verifier: 43 characters of base64url, the least that
/// RFC 7636 allows for a verifier and 256 bits each.
const RANDOM_BYTES: usize = 32;

/// The longest code that is taken back to the provider, in bytes.
const MAX_CODE_BYTES: usize = 4096;

/// What a provider speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProviderKind {
    /// OpenID Connect.
    Oidc,
    /// GitHub's OAuth, beside its API.
    GitHub {
        /// The API's base URL, without a slash at its end.
        api_url: String,
    },
}

/// Whether a provider is asked again while a person's sessions last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// It is; it must then give something to ask with.
    Refresh,
    /// It is asked once, at sign-in.
    Never,
}

/// One configured provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name in addresses and messages.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Its issuer, exactly as it stands in its tokens. Of GitHub, the address of its pages.
    pub issuer: String,
    /// The client id it gave the gateway.
    pub client_id: String,
    /// The client secret it gave the gateway.
    pub client_secret: Secret<String>,
    /// Domains whose people may sign in unlisted; empty = nobody's.
    pub allowed_domains: Vec<String>,
    /// Groups of which one must be a member to sign in; empty = nobody need be. Of GitHub, organizations (`acme`)
    /// and teams (`acme/platform`), in lower case.
    pub allowed_groups: Vec<String>,
    /// Whether it is asked again while sessions last.
    pub again: Again,
    /// The claim of the ID token that says that the address is verified, where it is not `email_verified`.
    pub email_verified_claim: Option<String>,
    /// The claim that holds a person's groups; `None` = groups are not looked at.
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

/// A sign-in that came to a good end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedIn {
    /// Who it is.
    pub identity: Identity,
    /// What the provider calls its session (the claim `sid`).
    pub sid: Option<String>,
    /// What it is asked again with; `None` when it gave nothing, or is not to be asked.
    pub again: Option<Secret<String>>,
}

/// The longest name of a provider's session, in bytes.
const MAX_SID_BYTES: usize = 255;

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

    /// Whether people must be in certain groups, whatever else they have.
    pub fn restricts_groups(&self) -> bool {
        !self.config.allowed_groups.is_empty()
    }

    /// Whether one of these groups is one that people must be in, by exact name. An empty list allows nobody by
    /// their groups.
    pub fn group_allowed(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| self.config.allowed_groups.contains(group))
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
        let kept = Kept {
            state: random(entropy),
            nonce: random(entropy),
            verifier: random(entropy),
            redirect_uri: redirect_uri.to_owned(),
        };
        if let ProviderKind::GitHub { .. } = self.config.kind {
            return Ok(Begun { url: self.begin_at_github(&kept)?, kept });
        }
        let known = self.known(fetch, now).await?;
        let verifier = PkceCodeVerifier::new(kept.verifier.expose().clone());
        let (state, nonce) = (kept.state.expose().clone(), kept.nonce.expose().clone());
        let client = self.client(&known.metadata);
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(["email", "profile"].map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(redirect));
        for (name, value) in self.offline() {
            request = match *name {
                "scope" => request.add_scope(Scope::new((*value).to_owned())),
                _ => request.add_extra_param(*name, *value),
            };
        }
        let (url, _, _) = request.url();
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
    ) -> Result<SignedIn, OidcError> {
        let (sent, returned) = (kept.state.expose().as_bytes(), callback.state.expose().as_bytes());
        if sent.is_empty() || verify_slices_are_equal(sent, returned).is_err() {
            return Err(OidcError::State);
        }
        if callback.code.expose().is_empty() || callback.code.expose().len() > MAX_CODE_BYTES {
            return Err(OidcError::Code);
        }
        if let ProviderKind::GitHub { api_url } = &self.config.kind {
            return self.finish_at_github(fetch, api_url, kept, callback).await;
        }
        let known = self.known(fetch, now).await?;
        match callback.iss.as_deref() {
            Some(iss) if iss == self.config.issuer => {}
            None if !known.metadata.additional_metadata().says_who_answers() => {}
            Some(_) | None => return Err(OidcError::CallbackIssuer { provider: self.named() }),
        }
        let tokens = self.exchange(fetch, &known.metadata, kept, callback).await?;
        let absent = || OidcError::IdToken { provider: self.named(), fault: TokenFault::Absent };
        let token = tokens.id.ok_or_else(absent)?;
        let claims = self.verified(fetch, now, &known, &token, Some(&kept.nonce)).await?;
        let identity = self.identity(fetch, now, &known, &claims, &tokens.access).await?;
        let again = tokens.again.filter(|_| self.config.again == Again::Refresh);
        Ok(SignedIn { identity, sid: claims::session_of(&claims), again })
    }

    /// What a provider wants to be asked for so that it can be asked again. Google has its own way, which also
    /// asks the person each time. Source: OpenID Connect Core 1.0, section 11.
    fn offline(&self) -> &'static [(&'static str, &'static str)] {
        match self.config.again {
            Again::Never => &[],
            Again::Refresh if self.config.issuer == claims::GOOGLE => {
                &[("access_type", "offline"), ("prompt", "consent")]
            }
            Again::Refresh => &[("scope", "offline_access"), ("prompt", "consent")],
        }
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
