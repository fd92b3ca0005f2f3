//! GitHub: OAuth instead of OpenID Connect, and an API that says who somebody is and where they belong.
//!
//! A person's groups are the organizations of which they are an active member (`acme`) and their teams there
//! (`acme/platform`), in lower case, as GitHub compares them. It is asked for all of them; what counts, the
//! configuration says.
//!
//! # Security
//! The person is their number at GitHub: logins are given to others. Only addresses that GitHub verified count.
//! The token is good for reading only, and is kept, sealed, only where the provider is asked again.

use std::collections::BTreeSet;

use gateway_types::Secret;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use url::form_urlencoded::Serializer;

use super::callback::Refusal;
use super::claims::{GroupsFault, Identity, MAX_GROUPS, shown_name};
use super::fetch::checked;
use super::{Again, Callback, Endpoint, Fetch, Kept, OidcError, Provider, Refreshed, SignedIn, TokenFault};

/// What the gateway asks to read.
const SCOPES: &str = "read:user user:email read:org";

/// Items of a page of the API; the most that it gives.
const PAGE: usize = 100;

/// The version of the API that is spoken.
const API_VERSION: &str = "2022-11-28";

/// What the token endpoint answers, with status 200 also when it refuses.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    #[serde(default)]
    name: Option<String>,
    login: String,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    verified: bool,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
    organization: Organization,
}

#[derive(Deserialize)]
struct Team {
    slug: String,
    organization: Organization,
}

impl Provider {
    pub(super) fn begin_at_github(&self, kept: &Kept) -> Result<String, OidcError> {
        let (mut url, _) = self.reach()?;
        extend(&mut url, &["login", "oauth", "authorize"]);
        let verifier = openidconnect::PkceCodeVerifier::new(kept.verifier.expose().clone());
        let challenge = openidconnect::PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &kept.redirect_uri)
            .append_pair("scope", SCOPES)
            .append_pair("state", kept.state.expose())
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", "S256")
            .append_pair("allow_signup", "false");
        Ok(url.into())
    }

    pub(super) async fn finish_at_github(
        &self,
        fetch: &dyn Fetch,
        api_url: &str,
        kept: &Kept,
        callback: &Callback,
    ) -> Result<SignedIn, OidcError> {
        // It need not say who answers; when it does, it must be this one (RFC 9207).
        let oauth = format!("{}/login/oauth", self.config.issuer.trim_end_matches('/'));
        if callback.iss.as_deref().is_some_and(|iss| iss != self.config.issuer && iss != oauth) {
            return Err(OidcError::CallbackIssuer { provider: self.named() });
        }
        let token = self.token_of_github(fetch, kept, callback).await?;
        let identity = self.who_at_github(fetch, api_url, &token).await?;
        let again = Some(token).filter(|_| self.config.again == Again::Refresh);
        Ok(SignedIn { identity, sid: None, again })
    }

    /// The token is asked with itself: it does not end by itself, but GitHub takes it back when the person, or an
    /// admin, withdraws the consent, and tells of fewer groups when they left.
    pub(super) async fn refresh_at_github(
        &self,
        fetch: &dyn Fetch,
        api_url: &str,
        subject: &str,
        token: &Secret<String>,
    ) -> Result<Refreshed, OidcError> {
        match self.who_at_github(fetch, api_url, token).await {
            Ok(identity) if identity.subject == subject => {
                Ok(Refreshed::Known { identity: Some(Box::new(identity)), again: None })
            }
            Ok(_other) => {
                let (provider, fault) = (self.named(), TokenFault::Subject);
                Ok(Refreshed::Gone(OidcError::IdToken { provider, fault }))
            }
            Err(
                gone @ (OidcError::Status { status: 401, .. }
                | OidcError::EmailNotVerified { .. }
                | OidcError::EmailMalformed { .. }),
            ) => Ok(Refreshed::Gone(gone)),
            Err(error) => Err(error),
        }
    }

    async fn token_of_github(
        &self,
        fetch: &dyn Fetch,
        kept: &Kept,
        callback: &Callback,
    ) -> Result<Secret<String>, OidcError> {
        let (mut url, _) = self.reach()?;
        extend(&mut url, &["login", "oauth", "access_token"]);
        let form = Serializer::new(String::new())
            .append_pair("client_id", &self.config.client_id)
            .append_pair("client_secret", self.config.client_secret.expose())
            .append_pair("code", callback.code.expose())
            .append_pair("redirect_uri", &kept.redirect_uri)
            .append_pair("code_verifier", kept.verifier.expose())
            .finish();
        let request = Request::post(url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into_bytes());
        let answer = self.asked_github(fetch, Endpoint::Token, request).await?;
        let answer: TokenAnswer = self.read_answer(Endpoint::Token, answer.body())?;
        if let Some(error) = answer.error {
            let provider = self.named();
            let refusal = Refusal::new(&error, answer.error_description.as_deref());
            return Err(match error.as_str() {
                "bad_verification_code" => OidcError::CodeRefused { provider, refusal },
                _ => OidcError::ClientRefused { provider, refusal },
            });
        }
        match answer.access_token.filter(|token| !token.is_empty()) {
            Some(token) => Ok(Secret::new(token)),
            None => Err(self.malformed(Endpoint::Token, "there is no access_token")),
        }
    }

    async fn who_at_github(
        &self,
        fetch: &dyn Fetch,
        api_url: &str,
        token: &Secret<String>,
    ) -> Result<Identity, OidcError> {
        let account: Account = self.api(fetch, token, &format!("{api_url}/user")).await?;
        let addresses: Vec<Address> = self.all(fetch, token, &format!("{api_url}/user/emails?")).await?;
        let email = self.address(&addresses)?;
        let (groups, groups_fault) = self.groups_at_github(fetch, api_url, token).await?;
        let name = account.name.as_deref().and_then(shown_name);
        Ok(Identity {
            issuer: self.config.issuer.clone(),
            subject: account.id.to_string(),
            email,
            name: name.or_else(|| shown_name(&account.login)),
            groups,
            groups_fault,
        })
    }

    /// The verified address that counts: one in the organisation's own domains before the primary one.
    fn address(&self, addresses: &[Address]) -> Result<String, OidcError> {
        let verified = || addresses.iter().filter(|address| address.verified);
        let own = verified().find(|address| self.domain_allowed(&address.email));
        let address = own.or_else(|| verified().find(|address| address.primary));
        let Some(address) = address else {
            let provider = self.named();
            return Err(if addresses.is_empty() {
                OidcError::EmailAbsent { provider }
            } else {
                OidcError::EmailNotVerified { provider }
            });
        };
        (self.config.canonical_email)(&address.email)
            .filter(|email| *email == address.email.to_ascii_lowercase())
            .ok_or_else(|| OidcError::EmailMalformed { provider: self.named() })
    }

    async fn groups_at_github(
        &self,
        fetch: &dyn Fetch,
        api_url: &str,
        token: &Secret<String>,
    ) -> Result<(Vec<String>, Option<GroupsFault>), OidcError> {
        let place = format!("{api_url}/user/memberships/orgs?state=active&");
        let memberships: Vec<Membership> = self.all(fetch, token, &place).await?;
        let teams: Vec<Team> = self.all(fetch, token, &format!("{api_url}/user/teams?")).await?;
        let count = memberships.len() + teams.len();
        if count > MAX_GROUPS {
            return Ok((Vec::new(), Some(GroupsFault::TooMany { count })));
        }
        // An invitation that nobody took up is no membership.
        let active: BTreeSet<String> = memberships
            .into_iter()
            .filter(|membership| membership.state == "active")
            .map(|membership| membership.organization.login.to_ascii_lowercase())
            .collect();
        let teams: BTreeSet<String> = teams
            .into_iter()
            .map(|team| (team.organization.login.to_ascii_lowercase(), team.slug.to_ascii_lowercase()))
            .filter(|(organization, _)| active.contains(organization))
            .map(|(organization, slug)| format!("{organization}/{slug}"))
            .collect();
        let groups: Vec<String> = active.into_iter().chain(teams).collect();
        let is_name = |group: &String| {
            group.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        };
        match groups.iter().all(is_name) {
            true => Ok((groups, None)),
            false => Ok((Vec::new(), Some(GroupsFault::Malformed))),
        }
    }

    /// Every page of a listing, up to one item more than the most that is looked at.
    async fn all<T: DeserializeOwned>(
        &self,
        fetch: &dyn Fetch,
        token: &Secret<String>,
        place: &str,
    ) -> Result<Vec<T>, OidcError> {
        let mut items = Vec::new();
        for page in 1..=MAX_GROUPS / PAGE + 1 {
            let address = format!("{place}per_page={PAGE}&page={page}");
            let found: Vec<T> = self.api(fetch, token, &address).await?;
            let is_last = found.len() < PAGE;
            items.extend(found);
            if is_last {
                break;
            }
        }
        Ok(items)
    }

    async fn api<T: DeserializeOwned>(
        &self,
        fetch: &dyn Fetch,
        token: &Secret<String>,
        address: &str,
    ) -> Result<T, OidcError> {
        let credential = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut credential =
            credential.map_err(|_| self.malformed(Endpoint::Token, "the access_token is none"))?;
        credential.set_sensitive(true);
        let request = Request::get(address)
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", API_VERSION)
            .header(AUTHORIZATION, credential)
            .body(Vec::new());
        let answer = self.asked_github(fetch, Endpoint::Api, request).await?;
        self.read_answer(Endpoint::Api, answer.body())
    }

    async fn asked_github(
        &self,
        fetch: &dyn Fetch,
        endpoint: Endpoint,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<Response<Vec<u8>>, OidcError> {
        let (_, reach) = self.reach()?;
        let request = request.map_err(|error| self.malformed(endpoint, &error.to_string()))?;
        let answer = checked(fetch, reach, request).await.map_err(|source| OidcError::Unreachable {
            provider: self.named(),
            endpoint,
            source,
        })?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(OidcError::Status { provider: self.named(), endpoint, status: status.as_u16() }),
        }
    }

    /// The answer of the token endpoint holds a token: the parser's words do not.
    fn read_answer<T: DeserializeOwned>(&self, endpoint: Endpoint, body: &[u8]) -> Result<T, OidcError> {
        serde_json::from_slice(body).map_err(|error| {
            let place = format!("it is not as expected in line {}, column {}", error.line(), error.column());
            self.malformed(endpoint, &place)
        })
    }
}

fn extend(url: &mut Url, segments: &[&str]) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
}
