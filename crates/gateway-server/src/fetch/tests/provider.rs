//! A whole sign-in over HTTP at the development provider, well and with each rule broken. The provider
//! signs and checks with other libraries than the gateway does.

use std::sync::Arc;

use gateway_identity::oidc::{Callback, Identity, Kept, OidcError, Provider, ProviderConfig, TokenFault};
use gateway_sim::{DevIdp, DevPerson, IdpFault, IdpOptions};
use gateway_types::{Clock, OsEntropy, Secret, Timestamp};

use super::*;

const REDIRECT: &str = "http://127.0.0.1:8443/auth/callback/dev";
const SECRET: &str = "a secret/+";

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000)
    }
}

struct Fixture {
    idp: DevIdp,
    provider: Provider,
    fetch: HttpFetch,
}

async fn fixture() -> Fixture {
    let people = vec![DevPerson::new("Ada@example.com", "Ada", &["staff"])];
    let options = IdpOptions { clock: Arc::new(Still), ..IdpOptions::new(people, SECRET) };
    let idp = DevIdp::start(options).await.unwrap();
    let provider = Provider::new(ProviderConfig {
        name: "dev".to_owned(),
        kind: gateway_identity::oidc::ProviderKind::Oidc,
        allowed_groups: Vec::new(),
        again: gateway_identity::oidc::Again::Never,
        issuer: idp.url(),
        client_id: "rack-gateway".to_owned(),
        client_secret: Secret::new(SECRET.to_owned()),
        allowed_domains: Vec::new(),
        email_verified_claim: None,
        groups_claim: Some("groups".to_owned()),
        role_map: std::collections::BTreeMap::new(),
        canonical_email: |text| gateway_config::canonical_email(text).ok(),
    });
    let fetch = HttpFetch::with_times(None, Duration::from_secs(2), Duration::from_secs(2)).unwrap();
    Fixture { idp, provider, fetch }
}

impl Fixture {
    /// What the browser brings back after Ada was chosen.
    async fn choose(&self, url: &str) -> Callback {
        let request = Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(b"person=Ada%40example.com".to_vec())
            .unwrap();
        let answer = self.fetch.fetch(request).await.unwrap();
        let location = answer.headers().get("location").expect("sent back").to_str().unwrap();
        let back = Url::parse(location).unwrap();
        let value =
            |name: &str| back.query_pairs().find(|(have, _)| have == name).map(|(_, v)| v.into_owned());
        Callback {
            code: Secret::new(value("code").unwrap_or_default()),
            state: Secret::new(value("state").unwrap_or_default()),
            iss: value("iss"),
        }
    }

    async fn begin(&self) -> Result<(Kept, Callback), OidcError> {
        let begun = self.provider.begin(&self.fetch, Still.now(), &OsEntropy, REDIRECT).await?;
        let callback = self.choose(&begun.url).await;
        Ok((begun.kept, callback))
    }

    async fn finish(&self, kept: &Kept, callback: &Callback) -> Result<Identity, OidcError> {
        let signed_in = self.provider.finish(&self.fetch, Still.now(), kept, callback).await;
        signed_in.map(|signed_in| signed_in.identity)
    }

    async fn sign_in(&self) -> Result<Identity, OidcError> {
        let (kept, callback) = self.begin().await?;
        self.finish(&kept, &callback).await
    }
}

#[tokio::test]
async fn a_person_signs_in_at_the_development_provider() {
    let fixture = fixture().await;
    let ada = fixture.sign_in().await.unwrap();
    assert_eq!((ada.email.as_str(), ada.name.as_deref()), ("ada@example.com", Some("Ada")));
    assert_eq!((ada.issuer, ada.groups), (fixture.idp.url(), vec!["staff".to_owned()]));
    fixture.idp.rotate_key().unwrap();
    fixture.sign_in().await.unwrap();
    assert_eq!(fixture.idp.count("/keys"), 2, "once at first and once for the new key");
}

#[tokio::test]
async fn d3_a_code_is_taken_once_and_with_its_own_verifier() {
    let fixture = fixture().await;
    let (kept, callback) = fixture.begin().await.unwrap();
    fixture.finish(&kept, &callback).await.unwrap();
    let is_refused = |result: Result<Identity, OidcError>| {
        assert!(matches!(result, Err(OidcError::CodeRefused { .. })), "{result:?}");
    };
    is_refused(fixture.finish(&kept, &callback).await);
    let (one, one_back) = fixture.begin().await.unwrap();
    let (two, two_back) = fixture.begin().await.unwrap();
    let swapped = Callback { code: one_back.code, ..two_back.clone() };
    is_refused(fixture.finish(&two, &swapped).await);
    let elsewhere = Kept { redirect_uri: "http://127.0.0.1:8443/other".to_owned(), ..two };
    is_refused(fixture.finish(&elsewhere, &two_back).await);
    assert!(matches!(fixture.finish(&one, &two_back).await, Err(OidcError::State)));
}

#[tokio::test]
async fn a_wrong_secret_is_the_gateways_fault() {
    let mut fixture = fixture().await;
    fixture.provider = Provider::new(ProviderConfig {
        name: "dev".to_owned(),
        kind: gateway_identity::oidc::ProviderKind::Oidc,
        allowed_groups: Vec::new(),
        again: gateway_identity::oidc::Again::Never,
        issuer: fixture.idp.url(),
        client_id: "rack-gateway".to_owned(),
        client_secret: Secret::new("another".to_owned()),
        allowed_domains: Vec::new(),
        email_verified_claim: None,
        groups_claim: None,
        role_map: std::collections::BTreeMap::new(),
        canonical_email: |text| gateway_config::canonical_email(text).ok(),
    });
    assert!(matches!(fixture.sign_in().await, Err(OidcError::ClientRefused { .. })));
}

/// Each broken rule on its own, on a provider of which nothing is remembered.
async fn broken(fault: IdpFault) -> OidcError {
    let fixture = fixture().await;
    let shown = format!("{fault:?}");
    fixture.idp.misbehave(fault);
    match fixture.sign_in().await {
        Ok(identity) => panic!("{shown} signs in {identity:?}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn d2_d6_f1_f2_broken_tokens_sign_nobody_in() {
    let token = |error: OidcError| match error {
        OidcError::IdToken { fault, .. } => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(token(broken(IdpFault::claim("nonce", "other")).await), TokenFault::Nonce);
    assert_eq!(token(broken(IdpFault::without("nonce")).await), TokenFault::Nonce);
    assert_eq!(token(broken(IdpFault::claim("aud", "other")).await), TokenFault::Audience);
    assert_eq!(token(broken(IdpFault::claim("iss", "https://evil.example.com")).await), TokenFault::Issuer);
    assert_eq!(token(broken(IdpFault::Expired).await), TokenFault::Expired);
    assert_eq!(token(broken(IdpFault::AlgorithmNone).await), TokenFault::Algorithm);
    assert_eq!(token(broken(IdpFault::AlgorithmHs256).await), TokenFault::Algorithm);
    assert_eq!(token(broken(IdpFault::WrongSignature).await), TokenFault::Signature);
    assert_eq!(token(broken(IdpFault::DuplicateKeyId).await), TokenFault::AmbiguousKey);
    let verified = async |value: serde_json::Value| broken(IdpFault::claim("email_verified", value)).await;
    assert!(matches!(verified(false.into()).await, OidcError::EmailNotVerified { .. }));
    assert!(matches!(verified("false".into()).await, OidcError::Malformed { .. }));
    assert!(matches!(verified("true".into()).await, OidcError::Malformed { .. }));
    // UserInfo says what the token leaves out, and then counts as the token does.
    let thin = fixture().await;
    thin.idp.misbehave(IdpFault::without("email_verified"));
    assert_eq!(thin.sign_in().await.unwrap().email, "ada@example.com");
    let told = async |name: &str, value: Option<serde_json::Value>| {
        let thin = fixture().await;
        thin.idp.misbehave(IdpFault::without("email_verified"));
        thin.idp.misbehave(IdpFault::UserInfo(name.to_owned(), value));
        thin.sign_in().await.unwrap_err()
    };
    assert!(matches!(told("email_verified", None).await, OidcError::EmailNotVerified { .. }));
    assert!(matches!(told("sub", Some("another".into())).await, OidcError::Malformed { .. }));
    let two = broken(IdpFault::claim("email", "ada@example.com@evil.com")).await;
    assert!(matches!(two, OidcError::EmailMalformed { .. }));
}

#[tokio::test]
async fn d2_d4_d8_broken_answers_sign_nobody_in() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let unreachable = |error: OidcError| match error {
        OidcError::Unreachable { source, .. } => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(unreachable(broken(IdpFault::HugeDiscovery).await), FetchError::TooLarge { .. }));
    assert!(matches!(unreachable(broken(IdpFault::ManyKeys).await), FetchError::TooLarge { .. }));
    assert!(matches!(unreachable(broken(IdpFault::Hang(DISCOVERY)).await), FetchError::Timeout { .. }));
    assert!(matches!(unreachable(broken(IdpFault::Hang("/token")).await), FetchError::Timeout { .. }));
    for path in [DISCOVERY, "/keys", "/token"] {
        let error = broken(IdpFault::Status(path, 500)).await;
        assert!(matches!(error, OidcError::Status { status: 500, .. }), "{path}: {error:?}");
        let error = broken(IdpFault::Redirect(path, "http://127.0.0.1:1/".to_owned())).await;
        assert!(matches!(error, OidcError::Status { status: 302, .. }), "{path}: {error:?}");
    }
    let other = "https://evil.example.com".to_owned();
    let error = broken(IdpFault::DiscoveryIssuer(other.clone())).await;
    assert!(matches!(error, OidcError::OtherIssuer { .. }), "{error:?}");
    for iss in [None, Some(other)] {
        let error = broken(IdpFault::CallbackIssuer(iss)).await;
        assert!(matches!(error, OidcError::CallbackIssuer { .. }), "{error:?}");
    }
    assert!(matches!(broken(IdpFault::CallbackState("other".to_owned())).await, OidcError::State));
}

/// Case 2 of `digital-rebar.md` 6.5, over HTTP: out of order, empty, nonsense or nothing at all, at each step.
#[tokio::test]
async fn at_whatever_step_a_provider_fails_nobody_is_signed_in() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let mut tries = tokio::task::JoinSet::new();
    for path in [DISCOVERY, "/keys", "/token", "/userinfo"] {
        let statuses = [204, 404, 429, 500, 503].map(|status| IdpFault::Status(path, status));
        let bodies =
            ["", "null", "{}", "[]", "{\"sub\":", "<!doctype html>"].map(|text| IdpFault::Body(path, text));
        for fault in statuses.into_iter().chain(bodies).chain([IdpFault::Hang(path)]) {
            tries.spawn(async move {
                let fixture = fixture().await;
                // UserInfo is asked when the token is silent.
                fixture.idp.misbehave(IdpFault::without("email_verified"));
                let shown = format!("{fault:?}");
                fixture.idp.misbehave(fault);
                if let Ok(identity) = fixture.sign_in().await {
                    panic!("{shown} signs in {identity:?}");
                }
            });
        }
    }
    assert_eq!(tries.join_all().await.len(), 4 * 12);
}

#[tokio::test]
async fn a_single_key_without_an_id_is_enough() {
    let fixture = fixture().await;
    fixture.idp.misbehave(IdpFault::NoKeyId);
    fixture.sign_in().await.unwrap();
}
