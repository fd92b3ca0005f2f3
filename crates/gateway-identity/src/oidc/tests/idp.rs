//! A provider in memory. It answers at once, so a future that waits is a fault of the test.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateway_types::{OsEntropy, Role, Secret, Timestamp};
use http::{Request, Response};
use serde_json::{Value, json};

use super::key::TestKey;
use crate::oidc::{
    Again, Answer, Begun, Callback, Fetch, FetchError, Identity, Kept, OidcError, Provider, ProviderConfig,
    ProviderKind,
};

pub(super) const ISSUER: &str = "https://idp.example.com";
pub(super) const CLIENT: &str = "gateway-client";
pub(super) const REDIRECT: &str = "https://gateway.example.com/auth/callback/test";
pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(super) const KEYS: &str = "/keys";
pub(super) const TOKEN: &str = "/token";
pub(super) const USER_INFO: &str = "/user-info";

/// 2027-01-15T08:00:00Z, in seconds.
pub(super) const NOW: i64 = 1_800_000_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// What the future gives; it must not wait for anything.
pub(super) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("waits although everything answers at once"),
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) form: BTreeMap<String, String>,
}

#[derive(Debug)]
struct State {
    metadata: Value,
    keys: Value,
    id_token: Value,
    user_info: Value,
    /// Answers instead of the right ones, by path: `None` = no connection.
    instead: BTreeMap<String, Option<(u16, Vec<u8>)>>,
    asked: Vec<Asked>,
}

/// The provider.
#[derive(Debug)]
pub(super) struct Idp(Mutex<State>);

impl Idp {
    /// One with the common RSA key under the id `k1`.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            metadata: metadata(),
            keys: json!({"keys": [TestKey::rsa().jwk(Some("k1"))]}),
            id_token: Value::Null,
            user_info: Value::Null,
            instead: BTreeMap::new(),
            asked: Vec::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes the discovery document.
    pub(super) fn metadata(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state().metadata);
    }

    pub(super) fn keys(&self, keys: &[Value]) {
        self.state().keys = json!({ "keys": keys });
    }

    pub(super) fn id_token(&self, token: impl Into<Value>) {
        self.state().id_token = token.into();
    }

    /// From now on it has UserInfo, with this answer.
    pub(super) fn user_info(&self, answer: Value) {
        let mut state = self.state();
        state.metadata["userinfo_endpoint"] = format!("{ISSUER}{USER_INFO}").into();
        state.user_info = answer;
    }

    pub(super) fn instead(&self, path: &str, status: u16, body: impl Into<Vec<u8>>) {
        self.state().instead.insert(path.to_owned(), Some((status, body.into())));
    }

    pub(super) fn down(&self, path: &str) {
        self.state().instead.insert(path.to_owned(), None);
    }

    pub(super) fn well(&self) {
        self.state().instead.clear();
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|asked| asked.path == path).count()
    }

    fn answer(&self, request: &Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
        let path = request.uri().path().to_owned();
        let header = |name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        let form = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let authorization = header("authorization");
        let mut state = self.state();
        state.asked.push(Asked { path: path.clone(), authorization, form });
        if let Some(instead) = state.instead.get(&path) {
            let (status, body) = instead
                .clone()
                .ok_or_else(|| FetchError::Connect { host: "idp.example.com".to_owned(), source: None })?;
            return Ok(reply(status, body));
        }
        let answer = match path.as_str() {
            DISCOVERY => state.metadata.clone(),
            KEYS => state.keys.clone(),
            USER_INFO => state.user_info.clone(),
            TOKEN => json!({"access_token": "at", "token_type": "Bearer", "id_token": state.id_token}),
            other => panic!("asked for {other}"),
        };
        Ok(reply(200, answer.to_string().into_bytes()))
    }
}

fn reply(status: u16, body: Vec<u8>) -> Response<Vec<u8>> {
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

impl Fetch for Idp {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        Box::pin(std::future::ready(self.answer(&request)))
    }
}

pub(super) fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}{TOKEN}"),
        "jwks_uri": format!("{ISSUER}{KEYS}"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

pub(super) fn settings() -> ProviderConfig {
    ProviderConfig {
        name: "test".to_owned(),
        kind: ProviderKind::Oidc,
        allowed_groups: Vec::new(),
        again: Again::Never,
        issuer: ISSUER.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Secret::new("client secret/+".to_owned()),
        allowed_domains: vec!["example.com".to_owned()],
        email_verified_claim: None,
        groups_claim: Some("groups".to_owned()),
        role_map: [("admins".to_owned(), Role::Admin), ("devs".to_owned(), Role::Deployer)].into(),
        canonical_email: canonical,
    }
}

/// As `gateway_config::canonical_email`: blanks around are removed, letters are made small, one `@`,
/// visible ASCII, a domain of host-name characters.
fn canonical(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (local, domain) = text.split_once('@')?;
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let local_is_plain = !local.is_empty() && local.chars().all(|c| c.is_ascii_graphic());
    (local_is_plain && domain.split('.').all(label)).then_some(text)
}

/// A provider and the party that signs in at it.
pub(super) struct Pair {
    pub(super) idp: Idp,
    pub(super) provider: Provider,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self { idp: Idp::new(), provider: Provider::new(settings()) }
    }

    pub(super) fn begin(&self) -> Result<Begun, OidcError> {
        self.begin_at(NOW)
    }

    pub(super) fn begin_at(&self, seconds: i64) -> Result<Begun, OidcError> {
        ready(self.provider.begin(&self.idp, at(seconds), &OsEntropy, REDIRECT))
    }

    pub(super) fn finish(&self, kept: &Kept) -> Result<Identity, OidcError> {
        self.finish_at(NOW, kept, &callback(kept))
    }

    pub(super) fn finish_at(
        &self,
        seconds: i64,
        kept: &Kept,
        callback: &Callback,
    ) -> Result<Identity, OidcError> {
        let signed_in = ready(self.provider.finish(&self.idp, at(seconds), kept, callback));
        signed_in.map(|signed_in| signed_in.identity)
    }

    /// A whole sign-in with a token of the changed claims.
    pub(super) fn sign_in(&self, change: impl FnOnce(&mut Value)) -> Result<Identity, OidcError> {
        self.sign_in_with(|nonce| {
            let mut claims = claims(nonce);
            change(&mut claims);
            TestKey::rsa().token(&header(), &claims.to_string())
        })
    }

    /// A whole sign-in with the token that is made for the nonce.
    pub(super) fn sign_in_with(&self, token: impl FnOnce(&str) -> String) -> Result<Identity, OidcError> {
        let begun = self.begin()?;
        self.idp.id_token(token(begun.kept.nonce.expose()));
        self.finish(&begun.kept)
    }
}

/// What comes back to the browser when all is well.
pub(super) fn callback(kept: &Kept) -> Callback {
    Callback { code: Secret::new("code".to_owned()), state: kept.state.clone(), iss: None }
}

pub(super) fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "k1"})
}

/// The claims of a token that is right.
pub(super) fn claims(nonce: &str) -> Value {
    json!({
        "iss": ISSUER,
        "sub": "person-1",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": nonce,
        "email": "Ada@Example.com",
        "email_verified": true,
        "name": "Ada Lovelace",
    })
}

/// The parameters of an address.
pub(super) fn query(address: &str) -> BTreeMap<String, String> {
    url::Url::parse(address).unwrap().query_pairs().into_owned().collect()
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);
